//! The administrator of an AWS account, who creates roles in IAM.

use super::{ground::run, install::Install};
use serde_json::{Value, json};

/// A statement that lets the operator's user assume a role on behalf of the namespace.
pub fn trusts_operator(install: &Install<'_>, actions: &[&str]) -> Value {
    let operator = format!("arn:aws:iam::{}:user/keyturn", install.account);
    json!({"Effect": "Allow", "Principal": {"AWS": operator}, "Action": actions,
        "Condition": {"StringEquals": {"sts:ExternalId": format!("{}/{}", install.cluster, install.namespace)}}})
}

/// A role that is not created yet.
pub struct Role {
    account: String,
    name: String,
    trust: Value,
}

/// A role whose trust policy has this statement only.
pub fn role_for(account: &str, name: &str, trust: &Value) -> Role {
    Role { account: account.to_owned(), name: name.to_owned(), trust: trust.clone() }
}

impl Role {
    /// Creates the role with these statements as its policy.
    pub fn allows(&self, install: &Install<'_>, statements: &Value) {
        let policy = |statements: &Value| json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        let (trust, policy) = (policy(&self.trust), policy(statements));
        for arguments in [
            [
                "iam",
                "create-role",
                "--role-name",
                &self.name,
                "--assume-role-policy-document",
                &trust,
                "--output",
                "json",
            ],
            [
                "iam",
                "put-role-policy",
                "--role-name",
                &self.name,
                "--policy-name=test",
                "--policy-document",
                &policy,
                "--output=json",
            ],
        ] {
            run(&mut install.aws_as_root(&self.account, &arguments));
        }
    }
}

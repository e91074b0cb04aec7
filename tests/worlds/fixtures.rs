//! The vocabulary of all tests: alice, an analyst of namespace `scoring`, and the grant for her.

#![allow(dead_code, reason = "a vocabulary offers more than each world says")]

use keyturn::api::{
    ActiveRoleRef, AwsConfig, AwsConfigSpec, AwsRole, AwsRoleGrant, AwsRoleGrantSpec, CredentialProvider,
    DataRobotInstance, DataRobotInstanceSpec, DssInstance, DssInstanceSpec, Namespaces,
};
use serde_json::json;

/// The namespace that most tests happen in.
pub const SCORING: &str = "scoring";
/// The name of the cluster: half of every external ID.
pub const CLUSTER: &str = "prod";
/// The AWS account of most roles.
pub const ACCOUNT: &str = "123456789012";

/// The ARN of a role in [`ACCOUNT`].
pub fn role(name: &str) -> String {
    role_of(ACCOUNT, name)
}

/// The ARN of a role in an account.
pub fn role_of(account: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role/{name}")
}

/// An `AwsConfig` in [`SCORING`] for the person of the same name and the role `ds-analyst`, changed
/// as the test needs it.
pub fn config(name: &str, change: impl FnOnce(&mut AwsConfigSpec)) -> AwsConfig {
    config_in(SCORING, name, change)
}

/// The same in another namespace.
pub fn config_in(namespace: &str, name: &str, change: impl FnOnce(&mut AwsConfigSpec)) -> AwsConfig {
    let spec = json!({"person": name, "role": role("ds-analyst"), "region": "eu-west-1", "defaultBucket": "team-a"});
    let mut spec: AwsConfigSpec = serde_json::from_value(spec).unwrap();
    change(&mut spec);
    let mut config = AwsConfig::new(name, spec);
    config.metadata.namespace = Some(namespace.to_owned());
    config
}

/// alice, unchanged.
pub fn alice() -> AwsConfig {
    config("alice", |_| {})
}

/// Allows [`SCORING`] to use the roles `ds-*` as any person, changed as the test needs it.
pub fn grant(name: &str, change: impl FnOnce(&mut AwsRoleGrantSpec)) -> AwsRoleGrant {
    let mut spec = AwsRoleGrantSpec {
        roles: vec![role("ds-*")],
        namespaces: Some(Namespaces { names: vec![SCORING.to_owned()], selector: None }),
        persons: vec!["*".to_owned()],
        ..AwsRoleGrantSpec::default()
    };
    change(&mut spec);
    AwsRoleGrant::new(name, spec)
}

/// The grant that most tests need.
pub fn analysts() -> AwsRoleGrant {
    grant("analysts", |_| {})
}

/// An `AwsRole` of [`SCORING`] as a user writes it: another role for a config of the person of the
/// same name.
pub fn aws_role(name: &str, config: &str, role: &str) -> AwsRole {
    aws_role_for(name, config, Some(config), role)
}

/// The same for another person, or for none (System mode).
pub fn aws_role_for(name: &str, config: &str, person: Option<&str>, role: &str) -> AwsRole {
    let spec = json!({"awsConfigRef": {"name": config}, "person": person, "role": role});
    let mut role = AwsRole::new(name, serde_json::from_value(spec).unwrap());
    role.metadata.namespace = Some(SCORING.to_owned());
    role
}

/// Lets a config use an existing `AwsRole` instead of `spec.role`.
pub fn uses(role: &str) -> impl FnOnce(&mut AwsConfigSpec) {
    let named = ActiveRoleRef { name: role.to_owned() };
    move |spec| {
        spec.role = None;
        spec.active_role_ref = Some(named);
    }
}

/// Lets a config deliver the key in a user's Secret.
pub fn delivers_key(secret: &str) -> impl FnOnce(&mut AwsConfigSpec) {
    let source = serde_json::from_value(json!({"name": secret})).unwrap();
    move |spec| {
        spec.credential_provider = CredentialProvider::Default;
        spec.key_secret_ref = Some(source);
        (spec.role, spec.active_role_ref, spec.session, spec.renew_before) = (None, None, None, None);
        spec.profiles.clear();
    }
}

/// The `DssInstance` of most tests. It allows every person of [`SCORING`], as the login of the same
/// name.
pub fn design(url: &str) -> DssInstance {
    instance("design", url, |_| {})
}

/// Another instance, changed as the test needs it.
pub fn instance(name: &str, url: &str, change: impl FnOnce(&mut DssInstanceSpec)) -> DssInstance {
    let spec = json!({
        "url": url,
        "apiKeySecretRef": {"namespace": OPERATORS, "name": "dss-admin"},
        "awsAccountId": ACCOUNT,
        "allow": [{"namespaces": {"names": [SCORING]}, "persons": ["*"]}],
    });
    let mut spec = serde_json::from_value(spec).unwrap();
    change(&mut spec);
    DssInstance::new(name, spec)
}

/// The namespace of the operator's own Secrets.
pub const OPERATORS: &str = "keyturn-system";

/// Lets a config take its role from DSS.
pub fn role_from_dss(role: &str) -> impl FnOnce(&mut AwsConfigSpec) {
    let dss = serde_json::from_value(json!({"instance": "design"})).unwrap();
    let role = role.to_owned();
    move |spec| (spec.role, spec.dss) = (Some(role), Some(dss))
}

/// Lets a config have a personal API key of DSS.
pub fn personal_key(spec: &mut AwsConfigSpec) {
    spec.dss = serde_json::from_value(json!({"instance": "design", "project": "FRAUD", "apiKey": "Personal"})).unwrap();
}

/// Lets a config push its credential to user secrets of this prefix in the DSS of `design`.
pub fn pushes_secrets(prefix: &str) -> impl FnOnce(&mut AwsConfigSpec) {
    let push = serde_json::from_value(json!({"dssSecrets": {"prefix": prefix}})).unwrap();
    let dss = serde_json::from_value(json!({"instance": "design"})).unwrap();
    move |spec| (spec.push, spec.dss) = (Some(push), Some(dss))
}

/// A `DataRobotInstance` that allows every person of [`SCORING`], changed as the test needs it.
pub fn robot(name: &str, url: &str, change: impl FnOnce(&mut DataRobotInstanceSpec)) -> DataRobotInstance {
    let spec = json!({
        "url": url,
        "tokenSecretRef": {"namespace": OPERATORS, "name": "datarobot-token"},
        "allow": [{"namespaces": {"names": [SCORING]}, "persons": ["*"]}],
    });
    let mut spec = serde_json::from_value(spec).unwrap();
    change(&mut spec);
    DataRobotInstance::new(name, spec)
}

/// Lets a config push its credential to an S3 credential of this name in the DataRobot `prod`.
pub fn pushes_to_datarobot(name: &str) -> impl FnOnce(&mut AwsConfigSpec) {
    let push = serde_json::from_value(json!({"dataRobot": {"instance": "prod", "name": name}})).unwrap();
    move |spec| spec.push = Some(push)
}

/// Lets a config take its credential from a DSS connection.
pub fn from_connection(connection: &str) -> impl FnOnce(&mut AwsConfigSpec) {
    let (connection, dss) = (connection.to_owned(), serde_json::from_value(json!({"instance": "design"})).unwrap());
    move |spec| {
        spec.credential_provider = CredentialProvider::Connection;
        (spec.connection, spec.dss) = (Some(connection), Some(dss));
        (spec.role, spec.active_role_ref, spec.session, spec.renew_before) = (None, None, None, None);
    }
}

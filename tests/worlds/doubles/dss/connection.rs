//! Connections, and the answer of `/connections/{name}/info`.
//!
//! The credential is resolved for the user who asks. DSS calls S3 `EC2`. Its modes differ only in
//! the source of the credential. The groups that may *use* a connection do not matter here, because
//! this route shows the details only. Project variables (`contextualProjectKey`) do not matter
//! either.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Dss;
use super::answer::Refusal;
use super::caller::Caller;
use super::session::{AssumedBy, HandedOut};
use super::user::User;
use crate::doubles::sts;

/// A connection. By default only administrators may read its details, as in DSS.
#[derive(Clone, Debug)]
pub struct Connection {
    kind: Kind,
    readable_by: Readers,
}

#[derive(Clone, Debug)]
enum Kind {
    AssumeRole { role: String },
    KeyPair { id: String, secret: String },
    Environment,
    Other { type_name: String },
}

#[derive(Clone, Debug)]
enum Readers {
    Nobody,
    Everybody,
    Groups(Vec<String>),
}

impl Connection {
    /// S3 in AssumeRole mode, e.g. `${adminProperty:associatedRole}`, `team-${dssUserLogin}`, an
    /// ARN or a name.
    pub fn assume_role(role: &str) -> Self {
        Self::new(Kind::AssumeRole { role: role.to_owned() })
    }

    /// S3 with a static key.
    pub fn key_pair(id: &str, secret: &str) -> Self {
        Self::new(Kind::KeyPair { id: id.to_owned(), secret: secret.to_owned() })
    }

    /// S3 with the credential of DSS' machine. The answer has no credential in it.
    pub fn without_credential() -> Self {
        Self::new(Kind::Environment)
    }

    /// A connection of another type, e.g. `PostgreSQL`, with a user and a password.
    pub fn other(type_name: &str) -> Self {
        Self::new(Kind::Other { type_name: type_name.to_owned() })
    }

    fn new(kind: Kind) -> Self {
        Self { kind, readable_by: Readers::Nobody }
    }

    /// "Details readable by" these groups.
    #[must_use]
    pub fn readable_by(mut self, groups: &[&str]) -> Self {
        self.readable_by = Readers::Groups(groups.iter().map(|&group| group.to_owned()).collect());
        self
    }

    /// "Details readable by" every user.
    #[must_use]
    pub fn readable_by_all(mut self) -> Self {
        self.readable_by = Readers::Everybody;
        self
    }

    fn shows_itself_to(&self, caller: &Caller) -> bool {
        caller.is_admin()
            || match &self.readable_by {
                Readers::Nobody => false,
                Readers::Everybody => true,
                Readers::Groups(groups) => groups.iter().any(|group| caller.is_in(group)),
            }
    }
}

pub(super) fn routes() -> Router<Dss> {
    Router::new().route("/connections/{name}/info", get(info))
}

async fn info(State(dss): State<Dss>, caller: Caller, Path(name): Path<String>) -> Result<Json<Value>, Refusal> {
    let connection = dss.lock().connections.get(&name).cloned();
    let connection = connection.ok_or_else(|| Refusal::not_found(format!("Connection not found: {name}")))?;
    if !connection.shows_itself_to(&caller) {
        let message = format!("Action forbidden: you may not read the details of connection {name}");
        return Err(Refusal::denied(message));
    }
    Ok(Json(match connection.kind {
        Kind::AssumeRole { role } => {
            let assumed = expanded(&role, caller.person())?;
            let assumed_by = AssumedBy { role: assumed, session_name: caller.identifier().to_owned() };
            let session = dss.session(assumed_by).await?;
            let credential = credential_of(&session, dss.lock().tells_expiration);
            s3(&json!({ "credentialsMode": "STS_ASSUME_ROLE", "stsRoleToAssume": role }), Some(credential))
        }
        Kind::KeyPair { id, secret } => {
            let params = json!({ "credentialsMode": "KEYPAIR", "accessKey": id, "secretKey": secret });
            s3(&params, Some(json!({ "accessKey": id, "secretKey": secret })))
        }
        Kind::Environment => s3(&json!({ "credentialsMode": "ENVIRONMENT" }), None),
        Kind::Other { type_name } => json!({
            "type": type_name,
            "credentialsMode": "GLOBAL",
            "params": { "host": "db.example.test" },
            "resolvedBasicCredential": { "user": "dss", "password": sts::LEAK_MARKERS[0] },
        }),
    }))
}

fn s3(params: &Value, credential: Option<Value>) -> Value {
    let mut info = json!({ "type": "EC2", "credentialsMode": "GLOBAL", "params": params });
    if let Some(credential) = credential {
        info["resolvedAWSCredential"] = credential;
    }
    info
}

/// The dictionary of `get_aws_credential()`. The real DSS has no `expiration`, so its spelling is
/// not known.
fn credential_of(session: &HandedOut, with_expiration: bool) -> Value {
    let mut credential = json!({ "accessKey": session.access_key, "secretKey": session.secret_key });
    if let Some(token) = &session.session_token {
        credential["sessionToken"] = json!(token);
    }
    if let Some(end) = session.expiration.filter(|_| with_expiration) {
        credential["expiration"] = json!(end);
    }
    credential
}

/// The role of a template for a user: each `${…}` is replaced.
fn expanded(template: &str, user: Option<&User>) -> Result<String, Refusal> {
    let mut role = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let unended = || Refusal::senseless(format!("Variable does not end: {template}"));
        let (variable, behind) = after.split_once('}').ok_or_else(unended)?;
        role.push_str(before);
        role.push_str(&value(variable, user)?);
        rest = behind;
    }
    Ok(role + rest)
}

fn value(variable: &str, user: Option<&User>) -> Result<String, Refusal> {
    let unknown = || Refusal::senseless(format!("Cannot resolve variable: ${{{variable}}}"));
    let user = user.ok_or_else(unknown)?;
    let property = |properties: &BTreeMap<String, String>, name| properties.get(name).cloned();
    let value = match variable.split_once(':') {
        None if variable == "dssUserLogin" => Some(user.login.clone()),
        Some(("adminProperty", name)) => property(&user.admin_properties, name),
        Some(("userProperty", name)) => property(&user.own_properties, name),
        _ => None,
    };
    value.ok_or_else(unknown)
}

//! The user secrets of one config in a DSS: a store.

use super::{Pushable, push::failed};
use crate::{
    credentials::IssueError,
    dss::{Dss, DssError},
};
use secrecy::ExposeSecret;

/// The secrets of one prefix in the account of a login.
pub struct DssSecrets<'a> {
    /// The DSS, with the admin key.
    pub dss: Dss,
    /// The beginning of the names of the secrets.
    pub prefix: &'a str,
}

impl DssSecrets<'_> {
    /// The names of the secrets, in the order of the values of a credential.
    fn names(&self) -> [String; 4] {
        ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "EXPIRATION"].map(|end| format!("{}{end}", self.prefix))
    }

    /// Replaces the secrets of this prefix by the credential, in one write. A key has neither a
    /// token nor an expiry, and leaves none of a former session.
    pub(super) async fn put(&self, login: &str, credential: Pushable<'_>) -> Result<(), IssueError> {
        let Pushable { credentials, expires_at } = credential;
        let current = self.dss.secrets_of(login).await.map_err(|error| failed(&error))?;
        let Some(current) = current else { return Err(IssueError::without_user(login)) };
        let token = credentials.session_token.as_ref().map(ExposeSecret::expose_secret);
        let expiry = expires_at.map(|at| at.to_string());
        let names = self.names();
        let key = credentials.secret_access_key.expose_secret();
        let values = [Some(credentials.access_key_id.as_str()), Some(key), token, expiry.as_deref()];
        let mut wanted = current.without(&names);
        for (name, value) in names.iter().zip(values) {
            if let Some(value) = value {
                wanted = wanted.with(name, value);
            }
        }
        self.dss.set_secrets_of(login, &wanted).await.map_err(|error| failed(&error))
    }

    /// Removes the secrets of this prefix. If there are none, nothing is written.
    pub(super) async fn delete(&self, login: &str) -> Result<(), DssError> {
        let Some(current) = self.dss.secrets_of(login).await? else { return Ok(()) };
        let left = current.without(&self.names());
        if left == current { Ok(()) } else { self.dss.set_secrets_of(login, &left).await }
    }

    /// Whether DSS has any secret of one of the names.
    pub(super) async fn find(&self, login: &str) -> Result<bool, DssError> {
        let names = self.names();
        let there = self.dss.secrets_of(login).await?;
        Ok(there.is_some_and(|there| there.names().any(|name| names.iter().any(|own| own == name))))
    }
}

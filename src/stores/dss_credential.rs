//! A login's own credential of a DSS connection or of a plugin preset: a store.

use super::{Pushable, push::failed};
use crate::{
    credentials::IssueError,
    dss::{Dss, DssError, Kind},
};
use secrecy::ExposeSecret as _;

/// One credential in the account of a login.
pub struct DssCredential<'a> {
    /// The DSS, with the admin key.
    pub dss: Dss,
    /// The key of the credential among those of the login.
    pub key: &'a str,
}

impl DssCredential<'_> {
    /// Writes the AWS key as user and password, as the login itself.
    pub(super) async fn put(&self, login: &str, credential: Pushable<'_>) -> Result<(), IssueError> {
        let Pushable { credentials, .. } = credential;
        let as_login = self.dss.as_user(login);
        let settings = as_login.own_settings().await.map_err(|error| failed(&error))?;
        let secret = credentials.secret_access_key.expose_secret();
        let settings = settings.with_credential(self.key, &credentials.access_key_id, secret);
        as_login.set_own_settings(&settings).await.map_err(|error| failed(&error))
    }

    /// Removes the credential. If there is none, or no such login, nothing is written.
    pub(super) async fn delete(&self, login: &str) -> Result<(), DssError> {
        let as_login = self.dss.as_user(login);
        let settings = match as_login.own_settings().await {
            Err(error) if error.kind == Kind::NotFound => return Ok(()),
            settings => settings?,
        };
        if !settings.has_credential(self.key) {
            return Ok(());
        }
        as_login.set_own_settings(&settings.without_credential(self.key)).await
    }

    /// Whether the login has a credential under the key.
    pub(super) async fn find(&self, login: &str) -> Result<bool, DssError> {
        Ok(self.dss.as_user(login).own_settings().await?.has_credential(self.key))
    }
}

//! A client of the public HTTP API of Dataiku DSS: the few routes that keyturn needs, and nothing of Kubernetes.
//!
//! Every call is bounded in time and in size, is tried again only if that cannot do anything twice, and ends in a value
//! or in a [`DssError`] that names the route. Keys are [`SecretString`]s; no error quotes one.
//!
//! The routes are those of Dataiku's own Python client (`dataiku-api-client` 15.2.0, which documents them by using
//! them), under the base `/public/api` that the REST API's documentation names.
//!
//! * `dss/answer.rs`: what DSS answers
//! * `dss/call.rs`: one call: how it is sent, when it is tried again
//! * `dss/error.rs`: why it failed
//! * `dss/wire.rs`: the connection: TLS, redirects, how much is read

mod answer;
mod call;
mod error;
mod wire;

pub use answer::{AuthInfo, AwsCredential, Connection, CreatedKey, PersonalKey, User};
pub use error::{DssError, Kind};
pub use wire::{InvalidTls, Lost, Tls, Wire, connect};

use call::Call;
use http::Method;
use secrecy::SecretString;
use serde_json::json;
use std::sync::Arc;
use url::Url;

/// How an API key is sent ("Authentication" in DSS's REST API documentation): both are the key, in another header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// As the user name of Basic authentication, as Dataiku's own clients send it. Every release takes it so.
    #[default]
    Basic,
    /// As a Bearer token, for a proxy in between that keeps Basic authentication for itself. Later releases take it.
    Bearer,
}

/// A DSS, and who speaks to it. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Dss {
    wire: Arc<dyn Wire>,
    base: Url,
    key: SecretString,
    scheme: Scheme,
    as_user: Option<String>,
}

impl Dss {
    /// The DSS at `url` (no trailing slash), spoken to with the API key `key`, which is sent by `scheme`.
    ///
    /// # Errors
    /// If it is no URL.
    pub fn new(url: &str, key: SecretString, scheme: Scheme, wire: Arc<dyn Wire>) -> Result<Self, url::ParseError> {
        Ok(Self { wire, base: Url::parse(url)?, key, scheme, as_user: None })
    }

    /// The same DSS, spoken to as this user (`X-DKU-ProxyUser`; the key has to be an admin's). What the Python client
    /// calls `get_client_as()`.
    #[must_use]
    pub fn as_user(&self, login: &str) -> Self {
        Self { as_user: Some(login.to_owned()), ..self.clone() }
    }

    /// The same DSS, spoken to with another key.
    #[must_use]
    pub fn with_key(&self, key: SecretString) -> Self {
        Self { key, as_user: None, ..self.clone() }
    }

    /// Its version: `GET /instance-info` (`get_instance_info()`), which any key may ask for.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn version(&self) -> Result<Option<String>, DssError> {
        let info: answer::InstanceInfo = self.call(Method::GET, &["instance-info"]).json().await?;
        Ok(info.dss_version)
    }

    /// All users with their admin properties: `GET /admin/users/?includeSettings=true` (`list_users(include_settings=
    /// True)`). Needs an admin key.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn users(&self) -> Result<Vec<User>, DssError> {
        let call = self.call(Method::GET, &["admin", "users", ""]).query("includeSettings", "true");
        call.at_most(call::LISTING).json().await
    }

    /// One user: `GET /admin/users/{login}` (`get_user(login).get_settings()`); `None` if there is none of that login.
    /// Needs an admin key.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn user(&self, login: &str) -> Result<Option<User>, DssError> {
        self.call(Method::GET, &["admin", "users", login]).json_if_there().await
    }

    /// Who the key (or the user that is spoken as) is: `GET /auth/info` (`get_auth_info()`).
    ///
    /// # Errors
    /// If the call fails.
    pub async fn auth_info(&self) -> Result<AuthInfo, DssError> {
        self.call(Method::GET, &["auth", "info"]).query("withSecrets", "false").json().await
    }

    /// A connection with the credential that it resolves to for whoever asks: `GET /connections/{name}/info`
    /// (`get_connection(name).get_info()`). The caller has to be among those by whom the connection's details are
    /// readable. `project` supplies the project's variables.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn connection(&self, name: &str, project: Option<&str>) -> Result<Connection, DssError> {
        let call = self.call(Method::GET, &["connections", name, "info"]);
        match project {
            Some(project) => call.query("contextualProjectKey", project).json().await,
            None => call.json().await,
        }
    }

    /// The personal API keys of all users, without their secrets: `GET /admin/personal-api-keys/`
    /// (`list_all_personal_api_keys()`). Needs an admin key.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn personal_keys(&self) -> Result<Vec<PersonalKey>, DssError> {
        self.call(Method::GET, &["admin", "personal-api-keys", ""]).at_most(call::LISTING).json().await
    }

    /// Creates a personal API key for a user: `POST /admin/personal-api-keys/`
    /// (`create_personal_api_key_for_user(user, label, description)`). Needs an admin key. The key's secret is in this
    /// answer and in none that comes later. Never tried again: the answer may be lost after the key was created.
    ///
    /// # Errors
    /// If the call fails. Then there may be a key all the same, which [`Dss::personal_keys`] shows by its label.
    pub async fn create_personal_key(
        &self,
        login: &str,
        label: &str,
        description: &str,
    ) -> Result<CreatedKey, DssError> {
        let body = json!({"user": login, "label": label, "description": description});
        self.call(Method::POST, &["admin", "personal-api-keys", ""]).body(&body).json().await
    }

    /// Deletes a personal API key: `DELETE /personal-api-keys/{id}` (`get_personal_api_key(id).delete()`). One that is
    /// gone already is no error. The client of Dataiku's has no admin's variant of this route, so where DSS refuses an
    /// admin the key of somebody else, it is deleted as its owner. If DSS then finds nothing, that may be the key or its
    /// owner, and [`Dss::personal_keys`] tells which.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn delete_personal_key(&self, id: &str, owner: &str) -> Result<(), DssError> {
        let path = ["personal-api-keys", id];
        let refused = match self.call(Method::DELETE, &path).done().await {
            Err(gone) if gone.kind == Kind::NotFound => return Ok(()),
            Err(refused) if refused.kind == Kind::Denied => refused,
            done => return done,
        };
        match self.as_user(owner).call(Method::DELETE, &path).done().await {
            Err(error) if error.kind == Kind::NotFound => {
                let is_there = self.personal_keys().await?.iter().any(|key| key.id == id);
                if is_there { Err(refused) } else { Ok(()) }
            }
            done => done,
        }
    }

    /// Deletes a personal API key as its owner: `DELETE /personal-api-keys/{id}`, by which users delete their own. One that is
    /// gone already is no error.
    ///
    /// # Errors
    /// If the call fails, and if the key is somebody else's.
    pub async fn delete_own_key(&self, id: &str, owner: &str) -> Result<(), DssError> {
        match self.as_user(owner).call(Method::DELETE, &["personal-api-keys", id]).done().await {
            Err(gone) if gone.kind == Kind::NotFound => Ok(()),
            done => done,
        }
    }

    fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        Call::new(self, method, path)
    }
}

#[cfg(test)]
mod tests;

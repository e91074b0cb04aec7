//! A client of the public HTTP API of Dataiku DSS. It knows the few routes that keyturn needs, and
//! nothing of Kubernetes.
//!
//! Every call is limited in time and in size. The client retries a call only if a repetition cannot
//! act twice. A call returns a value, or a [`DssError`] that names the route. Keys are
//! [`SecretString`]s; no error quotes a key.
//!
//! The routes are those of Dataiku's own Python client (`dataiku-api-client` 15.2.0, which
//! documents them by using them), under the base `/public/api`, which DSS's REST API documentation
//! names.
//!
//! * `dss/account.rs`: the secrets and credentials in the account of a user
//! * `dss/answer.rs`: the answers of DSS
//! * `dss/seen_user.rs`: what is known of one user

mod account;
mod answer;
mod seen_user;

pub use crate::rest::{Connect, InvalidTls, Kind, Lost, RestError as DssError, Tls, Wire, connect};
pub use account::{OwnSettings, UserSecrets};
pub use answer::{AuthInfo, AwsCredential, Connection, CreatedKey, KeyKind, PersonalKey, User};
pub use seen_user::SeenUser;

use crate::rest::{Call, Dialect, LISTING, Service, authorized};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Method};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Semaphore;
use url::Url;

/// The header in which an API key is sent ("Authentication" in DSS's REST API documentation). The
/// key is the same in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// The key as the user name of Basic authentication, like Dataiku's own clients. Every release
    /// accepts it.
    #[default]
    Basic,
    /// The key as a Bearer token, for a proxy before DSS that keeps Basic authentication for
    /// itself. Later releases accept it.
    Bearer,
}

/// The number of listings that are read at once by the clients that take turns.
pub const LISTINGS_AT_ONCE: usize = 1;

/// The longest text that counts as a version, in characters.
const VERSION: usize = 64;

/// The base of the public API ("Public REST API" in DSS's reference documentation).
const BASE: [&str; 2] = ["public", "api"];
/// The header for calls as another user ("Impersonating another user" in the developer guide).
const PROXY_USER: &str = "x-dku-proxyuser";

const DIALECT: Dialect = Dialect { system: "DSS", key: "the API key", said };

/// A DSS, with the key and the user of the calls. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Dss {
    service: Service,
    scheme: Scheme,
}

/// An error of DSS: a JSON object with `errorType`. Dataiku's own client recognizes an error by
/// this field.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    error_type: String,
    message: Option<String>,
    detailed_message: Option<String>,
}

impl Dss {
    /// A client of the DSS at `url` (without a trailing slash), which sends the API key `key` by
    /// `scheme`.
    ///
    /// # Errors
    /// `url` is not a URL.
    pub fn new(url: &str, key: &SecretString, scheme: Scheme, wire: Arc<dyn Wire>) -> Result<Self, url::ParseError> {
        let mut base = Url::parse(url)?;
        if let Ok(mut segments) = base.path_segments_mut() {
            segments.pop_if_empty().extend(BASE);
        }
        let service = Service {
            dialect: &DIALECT,
            wire,
            base,
            keys: vec![],
            headers: HeaderMap::new(),
            as_user: None,
            listings: Arc::new(Semaphore::new(LISTINGS_AT_ONCE)),
        };
        Ok(Self { service, scheme }.with_key(key))
    }

    /// The same DSS. Its listings take turns with those of every other DSS that has these turns, so
    /// that long listings of several DSS do not add up in memory.
    #[must_use]
    pub fn taking_turns(self, listings: Arc<Semaphore>) -> Self {
        Self { service: Service { listings, ..self.service }, ..self }
    }

    /// The same DSS, with calls made as this user (`X-DKU-ProxyUser`; the key has to be an
    /// admin's). The Python client calls this `get_client_as()`.
    #[must_use]
    pub fn as_user(&self, login: &str) -> Self {
        let mut dss = self.clone();
        dss.service.as_user = Some(login.to_owned());
        match HeaderValue::from_str(login) {
            Ok(login) => drop(dss.service.headers.insert(PROXY_USER, login)),
            // The request cannot be written. It must not go out as the admin instead.
            Err(_) => dss.service.headers.clear(),
        }
        dss
    }

    /// The same DSS with another key, and without an impersonated user.
    #[must_use]
    pub fn with_key(&self, key: &SecretString) -> Self {
        let (plain, basic) = (key.expose_secret(), encoded(key.expose_secret()));
        let headers = authorized(&match self.scheme {
            Scheme::Basic => format!("Basic {basic}"),
            Scheme::Bearer => format!("Bearer {plain}"),
        });
        let keys = vec![key.clone(), basic.into()];
        Self { service: Service { keys, headers, as_user: None, ..self.service.clone() }, ..self.clone() }
    }

    /// The version of DSS: `GET /instance-info` (`get_instance_info()`). Any key may call this
    /// route. `None` if the answer names none, or a text that is none. The version is shown to
    /// users, and the server that answers knows the key, therefore a text that quotes the key is
    /// none.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call; [`DssError::kind`] says which.
    pub async fn version(&self) -> Result<Option<String>, DssError> {
        let info: answer::InstanceInfo = self.call(Method::GET, &["instance-info"]).json().await?;
        Ok(info.dss_version.filter(|version| version.chars().count() <= VERSION && !self.service.quotes_key(version)))
    }

    /// All users with their admin properties: `GET /admin/users/?includeSettings=true`
    /// (`list_users(include_settings=True)`). The call needs an admin key. It reads at most 16 MiB,
    /// and waits for its turn.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call; [`DssError::kind`] says which.
    pub async fn users(&self) -> Result<Vec<User>, DssError> {
        let call = self.call(Method::GET, &["admin", "users", ""]).query("includeSettings", "true");
        call.at_most(LISTING).json().await
    }

    /// One user: `GET /admin/users/{login}` (`get_user(login).get_settings()`). `None` if DSS has
    /// no user with exactly this login: a DSS that compares logins without case returns another
    /// person's user. The call needs an admin key.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call; [`DssError::kind`] says which.
    pub async fn user(&self, login: &str) -> Result<Option<User>, DssError> {
        let user: Option<User> = self.call(Method::GET, &["admin", "users", login]).json_if_there().await?;
        Ok(user.filter(|user| user.login == login))
    }

    /// Whether the key may do what only administrators may: `GET /admin/users/{login}`
    /// (`get_user(login).get_settings()`). Ask with the login of the key's owner, because this user
    /// exists.
    ///
    /// A refusal by DSS itself counts as "no". That can be a 403, or a 401, because no
    /// documentation says which status a missing right has. Ask only with a key that DSS has just
    /// accepted. Only an answer that shows a user counts as "yes", because another server in front
    /// of DSS may answer everything with 200.
    ///
    /// # Errors
    /// DSS cannot be reached, or answers something else. Nothing is known then.
    pub async fn may_administer(&self, login: &str) -> Result<bool, DssError> {
        match self.call(Method::GET, &["admin", "users", login]).json::<User>().await {
            Ok(_) => Ok(true),
            Err(refused) if matches!(refused.kind, Kind::Denied | Kind::Unauthenticated) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The owner of the key, or the impersonated user: `GET /auth/info` (`get_auth_info()`). An
    /// answer that names nobody is unreadable, because DSS names somebody for every key: another
    /// server in front of DSS may answer everything with 200.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call; [`DssError::kind`] says which.
    pub async fn auth_info(&self) -> Result<AuthInfo, DssError> {
        let call = self.call(Method::GET, &["auth", "info"]).query("withSecrets", "false");
        call.json_if(AuthInfo::names_somebody).await
    }

    /// A connection with the credential that it resolves to for the calling user:
    /// `GET /connections/{name}/info` (`get_connection(name).get_info()`). DSS has to let the
    /// calling user read the connection's details. `project` supplies the variables of that
    /// project.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call; [`DssError::kind`] says which.
    pub async fn connection(&self, name: &str, project: Option<&str>) -> Result<Connection, DssError> {
        let call = self.call(Method::GET, &["connections", name, "info"]);
        match project {
            Some(project) => call.query("contextualProjectKey", project).json().await,
            None => call.json().await,
        }
    }

    /// The personal API keys of all users, without their secrets: `GET /admin/personal-api-keys/`
    /// (`list_all_personal_api_keys()`). The call needs an admin key. It reads at most 16 MiB, and
    /// waits for its turn.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call; [`DssError::kind`] says which.
    pub async fn personal_keys(&self) -> Result<Vec<PersonalKey>, DssError> {
        self.call(Method::GET, &["admin", "personal-api-keys", ""]).at_most(LISTING).json().await
    }

    /// Creates a personal API key for a user: `POST /admin/personal-api-keys/`
    /// (`create_personal_api_key_for_user(user, label, description)`). The call needs an admin key.
    /// Only this answer holds the secret of the key. The call is never retried, because the answer
    /// may be lost after DSS created the key.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call; [`DssError::kind`] says which. DSS may have
    /// created a key all the same; [`Dss::personal_keys`] shows it by its label.
    pub async fn create_personal_key(
        &self,
        login: &str,
        label: &str,
        description: &str,
    ) -> Result<CreatedKey, DssError> {
        let body = json!({"user": login, "label": label, "description": description});
        self.call(Method::POST, &["admin", "personal-api-keys", ""]).body(&body).json().await
    }

    /// Deletes a personal API key: `DELETE /personal-api-keys/{id}`
    /// (`get_personal_api_key(id).delete()`). A key that is already gone is no error. Dataiku's
    /// client has no variant of this route for admins. If DSS denies an admin the deletion of
    /// another user's key, the key is deleted as its owner. If DSS then answers "not found", either
    /// the key or its owner is gone; [`Dss::personal_keys`] decides.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call; [`DssError::kind`] says which.
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

    /// Deletes a personal API key as its owner: `DELETE /personal-api-keys/{id}`, the route by
    /// which users delete their own keys. A key that is already gone is no error.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call, for example because the key belongs to another
    /// user.
    pub async fn delete_own_key(&self, id: &str, owner: &str) -> Result<(), DssError> {
        match self.as_user(owner).call(Method::DELETE, &["personal-api-keys", id]).done().await {
            Err(gone) if gone.kind == Kind::NotFound => Ok(()),
            done => done,
        }
    }

    fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        Call::new(&self.service, method, path)
    }
}

/// The words of DSS in an answer without success.
fn said(body: &[u8]) -> Option<String> {
    let Said { error_type, message, detailed_message } = serde_json::from_slice(body).ok()?;
    let message = detailed_message.or(message).unwrap_or_default();
    let parts: Vec<String> = [error_type, message].into_iter().filter(|part| !part.is_empty()).collect();
    Some(parts.join(": "))
}

/// The key as the user name of Basic authentication, without a password.
fn encoded(key: &str) -> String {
    STANDARD.encode(format!("{key}:"))
}

#[cfg(test)]
mod tests;

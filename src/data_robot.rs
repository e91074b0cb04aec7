//! A client of DataRobot's public API (v2). It knows the few routes that keyturn needs, and nothing
//! of Kubernetes.
//!
//! The routes are those of DataRobot's own Python client (`datarobot` 3.20.0, which documents them
//! by using them) and of the schemas in its public API documentation. DataRobot never shows the
//! values of a credential, therefore keyturn cannot compare them.

mod clients;

pub use crate::rest::{Kind, RestError};
pub use clients::DataRobots;

use crate::{
    credentials::Credentials,
    rest::{Call, Dialect, LISTING, Service, Wire, authorized},
};
use http::{HeaderMap, Method};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;
use url::Url;

const DIALECT: Dialect = Dialect { system: "DataRobot", key: "the API token", said };

/// The number of credentials that keyturn asks for in one listing.
const PAGE: usize = 100;
/// The most pages of one account that keyturn reads: 20,000 credentials. A larger account is an
/// error, because keyturn could take a name in the rest for a free one.
const PAGES: usize = 200;
/// The longest text that counts as a version, in characters.
const VERSION: usize = 64;
/// The type of an S3 credential.
const S3: &str = "s3";

/// A DataRobot, with the token of the calls. Clones share the connection.
#[derive(Clone, Debug)]
pub struct DataRobot {
    service: Service,
}

/// A credential, as DataRobot shows it: without its values.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Credential {
    /// The ID.
    #[serde(rename = "credentialId")]
    pub id: String,
    /// The name, unique in the account.
    pub name: String,
    /// The type, such as `s3`.
    #[serde(rename = "credentialType")]
    pub kind: String,
    /// The description; empty if there is none.
    #[serde(default)]
    pub description: Option<String>,
}

#[derive(Deserialize)]
struct Listing {
    data: Vec<Credential>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiVersion {
    version_string: Option<String>,
}

/// An error of DataRobot: a JSON object with `message`.
#[derive(Deserialize)]
struct Said {
    message: String,
}

impl Credential {
    /// Whether the credential is of type `s3`.
    #[must_use]
    pub fn is_s3(&self) -> bool {
        self.kind == S3
    }
}

impl DataRobot {
    /// A client of the DataRobot whose API is at `endpoint`, which sends no token.
    ///
    /// # Errors
    /// `endpoint` is not a URL.
    pub fn new(endpoint: &str, wire: Arc<dyn Wire>) -> Result<Self, url::ParseError> {
        let service = Service {
            dialect: &DIALECT,
            wire,
            base: Url::parse(endpoint)?,
            keys: vec![],
            headers: HeaderMap::new(),
            as_user: None,
            listings: Arc::new(Semaphore::new(1)),
        };
        Ok(Self { service })
    }

    /// The same DataRobot with this token.
    #[must_use]
    pub fn with_token(&self, token: &SecretString) -> Self {
        let headers = authorized(&format!("Bearer {}", token.expose_secret()));
        Self { service: Service { keys: vec![token.clone()], headers, ..self.service.clone() } }
    }

    /// The version of the API: `GET /version/` (the constructor of the client). `None` if the
    /// answer names none, or a text that is none.
    ///
    /// # Errors
    /// DataRobot cannot be reached or refuses the call; [`RestError::kind`] says which.
    pub async fn version(&self) -> Result<Option<String>, RestError> {
        let version: ApiVersion = self.call(Method::GET, &["version", ""]).json().await?;
        let is_one = |text: &String| text.chars().count() <= VERSION && !self.service.quotes_key(text);
        Ok(version.version_string.filter(is_one))
    }

    /// The credentials of the account, whole: `GET /credentials/` (`Credential.list()`).
    ///
    /// # Errors
    /// DataRobot cannot be reached or refuses the call; [`RestError::kind`] says which. An account
    /// with more than 20,000 credentials is [`Kind::Refused`].
    pub async fn credentials(&self) -> Result<Vec<Credential>, RestError> {
        let mut all = vec![];
        let mut page = 1;
        loop {
            // DataRobot may give fewer credentials than keyturn asks for.
            let (listing, refusal) = self.page(PAGE, all.len()).json_or_refusal::<Listing>().await?;
            let is_last = listing.next.is_none() || listing.data.is_empty();
            all.extend(listing.data);
            // The address in `next` is not followed, because the token goes to one place only.
            if is_last {
                return Ok(all);
            }
            if page == PAGES {
                let said = format!("the account has more than {} credentials, and keyturn reads no more", all.len());
                return Err(refusal(Kind::Refused, &said));
            }
            page += 1;
        }
    }

    /// Asks for one credential, to see whether DataRobot takes the token.
    ///
    /// # Errors
    /// DataRobot cannot be reached or refuses the call; [`RestError::kind`] says which.
    pub async fn may_list(&self) -> Result<(), RestError> {
        self.page(1, 0).json::<Listing>().await.map(drop)
    }

    fn page(&self, limit: usize, offset: usize) -> Call<'_> {
        let call = self.call(Method::GET, &["credentials", ""]).at_most(LISTING);
        call.query("limit", &limit.to_string()).query("offset", &offset.to_string())
    }

    /// Whether the other client calls the same DataRobot with the same token.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let keys = self.service.keys.iter().map(ExposeSecret::expose_secret);
        self.service.base == other.service.base && keys.eq(other.service.keys.iter().map(ExposeSecret::expose_secret))
    }

    /// Creates an S3 credential: `POST /credentials/` (`Credential.create_s3()`), and returns its
    /// ID. The call is never retried, because the answer may be lost after DataRobot created it.
    ///
    /// # Errors
    /// DataRobot cannot be reached or refuses the call; [`RestError::kind`] says which. DataRobot
    /// may have created the credential all the same; [`DataRobot::credentials`] shows it.
    pub async fn create_s3(&self, name: &str, description: &str, values: &Credentials) -> Result<String, RestError> {
        let mut body = of_values(values);
        body.insert("name".to_owned(), name.into());
        body.insert("credentialType".to_owned(), S3.into());
        body.insert("description".to_owned(), description.into());
        let call = self.call(Method::POST, &["credentials", ""]).body(&Value::Object(body)).hiding(hidden(values));
        let created: Credential = call.json().await?;
        Ok(created.id)
    }

    /// Replaces the values of an S3 credential in one write: `PATCH /credentials/{id}/`
    /// (`Credential.update()`). A token that `values` lack stays, because DataRobot keeps what a
    /// write leaves out. The write goes out once; a repetition would write the same again.
    ///
    /// # Errors
    /// DataRobot cannot be reached or refuses the call; [`RestError::kind`] says which.
    pub async fn update_s3(&self, id: &str, values: &Credentials) -> Result<(), RestError> {
        let body = Value::Object(of_values(values));
        self.call(Method::PATCH, &["credentials", id, ""]).body(&body).hiding(hidden(values)).done().await
    }

    /// Deletes a credential: `DELETE /credentials/{id}/` (`Credential.delete()`). Returns whether
    /// it was there; one that is already gone is no error.
    ///
    /// # Errors
    /// DataRobot cannot be reached or refuses the call; [`RestError::kind`] says which.
    pub async fn delete(&self, id: &str) -> Result<bool, RestError> {
        match self.call(Method::DELETE, &["credentials", id, ""]).done().await {
            Err(gone) if gone.kind == Kind::NotFound => Ok(false),
            done => done.map(|()| true),
        }
    }

    fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        Call::new(&self.service, method, path)
    }
}

/// The fields of an S3 credential (`CredentialsCreate` and `CredentialsUpdate` of DataRobot's
/// public API).
fn of_values(values: &Credentials) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("awsAccessKeyId".to_owned(), json!(values.access_key_id));
    fields.insert("awsSecretAccessKey".to_owned(), json!(values.secret_access_key.expose_secret()));
    if let Some(token) = &values.session_token {
        fields.insert("awsSessionToken".to_owned(), json!(token.expose_secret()));
    }
    fields
}

/// The texts that no error may quote.
fn hidden(values: &Credentials) -> Vec<String> {
    let secrets = [Some(&values.secret_access_key), values.session_token.as_ref()];
    secrets.into_iter().flatten().map(|secret| secret.expose_secret().to_owned()).collect()
}

/// The words of DataRobot in an answer without success.
fn said(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Said>(body).ok().map(|said| said.message)
}

#[cfg(test)]
mod tests;

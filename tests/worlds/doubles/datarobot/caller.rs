//! The caller: the account of a token.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};

use super::answer::Refusal;
use super::{DataRobot, State};

/// An account.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: String,
    /// The token. `None` after it was revoked.
    pub(super) token: Option<String>,
    pub(super) may_use_credentials: bool,
}

/// The account that a request comes from.
pub(super) struct Caller(pub(super) Account);

impl FromRequestParts<DataRobot> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, datarobot: &DataRobot) -> Result<Self, Refusal> {
        let token = presented_token(&parts.headers)
            .ok_or_else(|| Refusal::unauthenticated("The Authorization header has no credentials that can be read"))?;
        let account = datarobot.lock().account_of(&token).cloned();
        account.map(Self).ok_or_else(|| Refusal::unauthenticated("The API token is not valid"))
    }
}

/// The name of the account that a request comes from, if the account may use credentials.
pub(super) struct Owner(pub(super) String);

impl FromRequestParts<DataRobot> for Owner {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, datarobot: &DataRobot) -> Result<Self, Refusal> {
        let Caller(account) = Caller::from_request_parts(parts, datarobot).await?;
        if !account.may_use_credentials {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "You do not have access to stored credentials"));
        }
        Ok(Self(account.name))
    }
}

impl State {
    pub(super) fn account_of(&self, token: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.token.as_deref() == Some(token))
    }
}

/// The token of a request: `Token …`, as the Python client sends it, or `Bearer …`, as the REST
/// documentation says.
pub(super) fn presented_token(headers: &HeaderMap) -> Option<String> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = authorization.split_once(' ')?;
    ["token", "bearer"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then(|| token.to_owned())
}

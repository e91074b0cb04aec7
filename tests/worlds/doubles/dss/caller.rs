//! The caller: the owner of the key, the user that it acts as, and the rights of that user.
//!
//! A personal key acts as its user, with exactly that user's rights. A global key has rights of its
//! own. It may have an associated user, whom `/auth/info` names, but whose rights it does not have.
//! An administrator's key may send `X-DKU-ProxyUser`. The caller *is* then that user, with that
//! user's rights and no more.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::user::User;
use super::{ADMINISTRATORS, Dss, Logins, State};
use crate::doubles::server::PROXY_USER;

/// The caller of a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    source: &'static str,
    key_id: String,
    user: Option<User>,
    associated: Option<String>,
    groups: Vec<String>,
    admin: bool,
}

impl Caller {
    /// A user: by a personal key, because an administrator acts as that user, or by a browser.
    pub(super) fn user(source: &'static str, key_id: &str, user: &User) -> Self {
        Self {
            source,
            key_id: key_id.to_owned(),
            groups: user.groups.clone(),
            admin: user.groups.iter().any(|group| group == ADMINISTRATORS),
            user: Some(user.clone()),
            associated: Some(user.login.clone()),
        }
    }

    /// The login for a user, the key's ID for a global key.
    pub(super) fn identifier(&self) -> &str {
        self.user.as_ref().map_or(&self.key_id, |user| &user.login)
    }

    /// The user, if the caller is one.
    pub(super) fn person(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// The user, or a refusal for a global key that acts as no user.
    pub(super) fn require_person(&self) -> Result<&User, Refusal> {
        self.person().ok_or_else(|| Refusal::denied("This call needs a user: a global API key is none"))
    }

    pub(super) fn is_admin(&self) -> bool {
        self.admin
    }

    pub(super) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// The answer to `GET /auth/info` for this caller.
    pub(super) fn info(&self, with_secrets: bool) -> Value {
        let mut info = json!({
            "authSource": self.source,
            "via": [],
            "authIdentifier": self.identifier(),
            "groups": self.groups,
        });
        if let Some(login) = &self.associated {
            info["associatedDSSUser"] = json!(login);
            info["userForImpersonation"] = json!(login);
        }
        if let Some(user) = &self.user {
            info["userProfile"] = json!(user.profile);
            if with_secrets {
                info["secrets"] = user.secrets_as_answered();
            }
        }
        info
    }
}

impl FromRequestParts<Dss> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, dss: &Dss) -> Result<Self, Refusal> {
        dss.lock().caller(&parts.headers)
    }
}

/// The caller, if it is an administrator.
pub(super) struct Admin(pub(super) Caller);

impl FromRequestParts<Dss> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, dss: &Dss) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, dss).await?;
        if !caller.admin {
            return Err(Refusal::denied("Action forbidden, you are not admin"));
        }
        Ok(Self(caller))
    }
}

impl State {
    /// The ID of the key with this value.
    pub(super) fn key_id(&self, value: &str) -> Option<String> {
        let global = self.global_keys.iter().find(|key| key.value == value).map(|key| &key.id);
        let personal = self.personal_keys.iter().find(|key| key.key == value).map(|key| &key.id);
        global.or(personal).cloned()
    }

    /// The user with this login.
    pub(super) fn user_called(&self, login: &str) -> Option<&User> {
        let folded = || self.users.values().find(|user| user.login.eq_ignore_ascii_case(login));
        self.users.get(login).or_else(|| if self.logins == Logins::WithoutCase { folded() } else { None })
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let by_key = presented_key(headers).and_then(|key| self.caller_by_key(&key));
        let caller = by_key.ok_or_else(|| Refusal::unauthenticated("Invalid API key"))?;
        let Some(login) = headers.get(PROXY_USER) else {
            return Ok(caller);
        };
        if !caller.admin {
            return Err(Refusal::denied("Action forbidden: only an admin may act as another user"));
        }
        let login = String::from_utf8_lossy(login.as_bytes());
        let user = self.user_called(self.callers_act_as.as_deref().unwrap_or(&login));
        let user = user.ok_or_else(|| Refusal::not_found(format!("User not found: {login}")))?;
        if !user.enabled {
            return Err(Refusal::denied(format!("User is disabled: {login}")));
        }
        // It is an assumption that DSS answers so for an impersonated user. Only the wording
        // depends on it.
        Ok(Caller::user("CONFIGURABLE_API_KEY", &caller.key_id, user))
    }

    fn caller_by_key(&self, value: &str) -> Option<Caller> {
        if let Some(key) = self.global_keys.iter().find(|key| key.value == value) {
            return Some(Caller {
                source: "CONFIGURABLE_API_KEY",
                key_id: key.id.clone(),
                user: None,
                associated: key.acts_as.clone(),
                groups: key.groups.clone(),
                admin: key.admin,
            });
        }
        let key = self.personal_keys.iter().find(|key| key.key == value)?;
        let user = self.users.get(&key.user).filter(|user| user.enabled)?;
        Some(Caller::user("PERSONAL_API_KEY", &key.id, user))
    }
}

/// The key of a request: as the name of a user, as a password without a name, or as a bearer token.
pub(super) fn presented_key(headers: &HeaderMap) -> Option<String> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(rest).ok()?).ok()?;
    match pair.split_once(':')? {
        (key, "") | ("", key) => Some(key.to_owned()),
        _ => None,
    }
}

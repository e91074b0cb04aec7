//! Visitors of a webapp: users who are logged in to DSS by a browser.
//!
//! The backend of a webapp has a key of its own. It hands the headers of a visitor's browser to
//! DSS, which answers whose they are (`POST /auth/info-from-browser-headers`, as the Python package
//! `dataiku-api-client` 15.2.0 sends it). A cookie in the headers decides. It is an assumption that
//! every key may ask, that an unknown visitor is answered by 401, and that `authSource` has the
//! value here; nothing in keyturn depends on them.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;

use super::Dss;
use super::answer::Refusal;
use super::caller::Caller;
use super::user::says_yes;

/// The name of the cookie.
const COOKIE: &str = "dss_access_token";

/// A user who is logged in by a browser.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    cookie: String,
    login: String,
}

impl Dss {
    /// Logs a user in by a browser. Returns the header `Cookie` of the browser.
    pub fn visits(&self, login: &str) -> String {
        let mut state = self.lock();
        let cookie = format!("{COOKIE}=visit-{:0>4}", state.visitors.len() + 1);
        state.visitors.push(Visitor { cookie: cookie.clone(), login: login.to_owned() });
        cookie
    }
}

pub(super) fn routes() -> Router<Dss> {
    Router::new().route("/auth/info-from-browser-headers", post(info))
}

async fn info(
    State(dss): State<Dss>,
    _: Caller,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let headers: BTreeMap<String, String> = serde_json::from_slice(&body).map_err(Refusal::not_json)?;
    let cookies = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    let cookies: Vec<&str> = cookies.flat_map(|(_, value)| value.split("; ")).collect();
    let state = dss.lock();
    let visitor = state.visitors.iter().find(|visitor| cookies.contains(&visitor.cookie.as_str()));
    let user = visitor.and_then(|visitor| state.users.get(&visitor.login)).filter(|user| user.enabled);
    let user = user.ok_or_else(|| Refusal::unauthenticated("The headers are of no user who is logged in"))?;
    Ok(Json(Caller::user("USER_FROM_UI", "", user).info(says_yes(&query, "withSecrets"))))
}

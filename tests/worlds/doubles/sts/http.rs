//! From a request to STS's answer, and the SDK's connection without a socket.
//!
//! A call is recorded when it arrives and gets its outcome when it is answered. In between the
//! client may have given up. Rules come first, then the checks of STS itself.

use std::collections::BTreeMap;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use axum::Router;
use axum::body::Body;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use http_body_util::BodyExt;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tower::ServiceExt;

use super::answer::Envelope;
use super::behaviour::{Behaviour, Refusal};
use super::{Call, Issued, Outcome, Sts};
use crate::doubles::wire::ConnectionLost;

/// The action by which a web identity token becomes a session.
const WEB_IDENTITY: &str = "AssumeRoleWithWebIdentity";
const SHORTEST: i64 = 900;
const LONGEST: i64 = 43_200;
const LONGEST_CHAINED: i64 = 3_600;
const DEFAULT_LIFETIME: i64 = 3_600;
const SIGNING_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

pub(super) fn router(sts: Sts) -> Router {
    Router::new().route("/", post(answer)).with_state(sts)
}

async fn answer(State(sts): State<Sts>, headers: HeaderMap, Form(params): Form<BTreeMap<String, String>>) -> Response {
    let (call, effects) = {
        let mut state = sts.lock();
        state.arrived += 1;
        let call = Call::new(state.arrived, (sts.clock)(), &headers, params);
        let effects = state.rules.take(&call);
        state.calls.push(call.clone());
        (call, effects)
    };

    let mut coloured = Coloured::default();
    let mut instead = None;
    for behaviour in effects {
        match behaviour {
            Behaviour::Latency(latency) => tokio::time::sleep(latency).await,
            Behaviour::Lifetime(seconds) => coloured.lifetime = Some(seconds),
            Behaviour::Skew(ahead) => coloured.skew += ahead,
            other => instead = Some(other),
        }
    }
    if instead == Some(Behaviour::Hang) {
        return std::future::pending().await;
    }

    let (outcome, answer) = sts.settle(&call, &coloured, instead.as_ref(), &headers);
    let mut state = sts.lock();
    let mut calls = state.calls.iter_mut().rev();
    // A test may have cleared the list while the call was under way.
    if let Some(recorded) = calls.find(|recorded| recorded.number == call.number) {
        recorded.outcome = outcome;
    }
    answer
}

/// The effects that modify an answer.
#[derive(Default)]
struct Coloured {
    lifetime: Option<i64>,
    skew: SignedDuration,
}

impl Sts {
    fn settle(
        &self,
        call: &Call,
        coloured: &Coloured,
        instead: Option<&Behaviour>,
        headers: &HeaderMap,
    ) -> (Outcome, Response) {
        let at = (self.clock)();
        let mut state = self.lock();
        let sts_now = at + state.skew + coloured.skew;
        let envelope = Envelope { date: sts_now, request_id: format!("00000000-0000-4000-8000-{:0>12}", call.number) };
        let caller = state.caller(call).to_owned();
        let refused = |refusal: &Refusal| {
            let outcome = Outcome::Refused { status: refusal.status.as_u16(), code: refusal.code.clone() };
            (outcome, envelope.refusal(refusal))
        };

        match instead {
            Some(Behaviour::BrokenXml) => return (Outcome::Garbled, envelope.broken_xml()),
            Some(Behaviour::EmptyAnswer) => return (Outcome::Garbled, envelope.empty()),
            Some(Behaviour::ProxyErrorPage) => {
                return (Outcome::Garbled, envelope.proxy_error_page());
            }
            Some(Behaviour::ConnectionFailure) => {
                return (Outcome::ConnectionLost, ConnectionLost::answer());
            }
            Some(error) => {
                let refusal = Refusal::of(error, &caller, call).expect("an error");
                return refused(&refusal);
            }
            None => {}
        }
        if let Err(refusal) = state.check(call, &caller, sts_now, headers) {
            return refused(&refusal);
        }
        if call.action == "GetCallerIdentity" {
            return (Outcome::Identified, envelope.get_caller_identity(&caller));
        }

        let asked = call.duration_seconds.unwrap_or(DEFAULT_LIFETIME);
        let lifetime = SignedDuration::from_secs(coloured.lifetime.unwrap_or(asked));
        let session = Issued::new(state.next_session(), at, sts_now, lifetime, call);
        let outcome = Outcome::Issued { access_key_id: session.access_key_id.clone() };
        let answer = envelope.issued(&call.action, &session, call.source_identity.as_deref());
        state.issued.push(session);
        (outcome, answer)
    }
}

impl super::State {
    /// The refusals of STS itself.
    fn check(&self, call: &Call, caller: &str, now: Timestamp, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.checks_signing_time {
            check_signing_time(headers, now)?;
        }
        if call.action == WEB_IDENTITY {
            return self.check_web_identity(call);
        }
        let key = call.access_key_id.as_deref().ok_or_else(|| {
            let message = "Request is missing Authentication Token";
            Refusal::new(StatusCode::FORBIDDEN, "MissingAuthenticationToken", message)
        })?;
        if self.session(key).is_some_and(|own| own.expiration <= now) {
            return Err(Refusal::expired_token());
        }
        match call.action.as_str() {
            "AssumeRole" => self.check_assume_role(call, caller),
            "GetCallerIdentity" => Ok(()),
            other => {
                let message = format!("Could not find operation {other} for version 2011-06-15");
                Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidAction", message))
            }
        }
    }

    /// A call with a token is not signed. The double compares the token and reads nothing in it.
    fn check_web_identity(&self, call: &Call) -> Result<(), Refusal> {
        if self.web_identity.is_some() && self.web_identity.as_ref() == call.params.get("WebIdentityToken") {
            return Ok(());
        }
        let message = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)";
        Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidIdentityToken", message))
    }

    fn check_assume_role(&self, call: &Call, caller: &str) -> Result<(), Refusal> {
        let (Some(role), Some(_)) = (&call.role_arn, &call.session_name) else {
            let message = "1 validation error detected: Value at 'roleArn' or 'roleSessionName' \
                           failed to satisfy constraint: Member must not be null";
            return Err(Refusal::validation(message));
        };
        let asked = call.duration_seconds.unwrap_or(DEFAULT_LIFETIME);
        if !(SHORTEST..=LONGEST).contains(&asked) {
            let side = if asked < SHORTEST {
                format!("greater than or equal to {SHORTEST}")
            } else {
                format!("less than or equal to {LONGEST}")
            };
            return Err(Refusal::validation(format!(
                "1 validation error detected: Value '{asked}' at 'durationSeconds' failed to \
                 satisfy constraint: Member must have value {side}"
            )));
        }
        let required = self.external_ids.get(role);
        if required.is_some() && required != call.external_id.as_ref() {
            return Err(Refusal::access_denied(caller, call));
        }
        if caller.contains(":assumed-role/") && asked > LONGEST_CHAINED {
            return Err(Refusal::validation(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles \
                 assumed by role chaining.",
            ));
        }
        let longest = self.max_durations.get(role).copied().unwrap_or(LONGEST);
        if asked > longest {
            return Err(Refusal::duration_too_long());
        }
        Ok(())
    }
}

fn check_signing_time(headers: &HeaderMap, now: Timestamp) -> Result<(), Refusal> {
    let header = headers.get("x-amz-date").and_then(|value| value.to_str().ok());
    let text = header.unwrap_or_default();
    let signed = DateTime::strptime("%Y%m%dT%H%M%SZ", text)
        .and_then(|at| at.to_zoned(TimeZone::UTC))
        .map_err(|_| Refusal::signature("Date must be in ISO-8601 'basic format'."))?
        .timestamp();
    let shown = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let server = shown(now);
    if signed < now - SIGNING_TOLERANCE {
        let limit = shown(now - SIGNING_TOLERANCE);
        return Err(Refusal::signature(format!(
            "Signature expired: {text} is now earlier than {limit} ({server} - 5 min.)"
        )));
    }
    if signed > now + SIGNING_TOLERANCE {
        let limit = shown(now + SIGNING_TOLERANCE);
        return Err(Refusal::signature(format!(
            "Signature not yet current: {text} is still later than {limit} ({server} + 5 min.)"
        )));
    }
    Ok(())
}

impl Call {
    fn new(number: usize, at: Timestamp, headers: &HeaderMap, params: BTreeMap<String, String>) -> Self {
        let text = |name: &str| params.get(name).cloned();
        let mut tags = BTreeMap::new();
        for (name, value) in &params {
            if let Some(member) = name.strip_suffix(".Key")
                && member.starts_with("Tags.member.")
            {
                tags.insert(value.clone(), text(&format!("{member}.Value")).unwrap_or_default());
            }
        }
        Self {
            number,
            at,
            action: text("Action").unwrap_or_default(),
            role_arn: text("RoleArn"),
            session_name: text("RoleSessionName"),
            external_id: text("ExternalId"),
            source_identity: text("SourceIdentity"),
            duration_seconds: text("DurationSeconds").and_then(|seconds| seconds.parse().ok()),
            policy: text("Policy"),
            tags,
            access_key_id: signer(headers),
            params,
            outcome: Outcome::Unanswered,
        }
    }
}

/// `AKIA…` of `AWS4-HMAC-SHA256 Credential=AKIA…/20261122/eu-west-1/sts/aws4_request, …`.
fn signer(headers: &HeaderMap) -> Option<String> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = authorization.split_once("Credential=")?;
    let (key, _) = credential.split_once('/')?;
    Some(key.to_owned())
}

/// The SDK's HTTP client that calls a router in the same process.
#[derive(Clone, Debug)]
pub struct InProcess {
    router: Router,
}

impl InProcess {
    /// A client of this router, whatever the URL.
    pub fn new(router: Router) -> Self {
        Self { router }
    }
}

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let router = self.router.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let Ok(answer) = router.oneshot(request.map(Body::new)).await;
            let answer = ConnectionLost::check(answer).map_err(|e| ConnectorError::io(e.into()))?;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.map_err(|e| ConnectorError::io(e.into()))?;
            let answer = axum::http::Response::from_parts(parts, SdkBody::from(body.to_bytes()));
            HttpResponse::try_from(answer).map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}

//! AssumeRole: a call that is bounded in time and results in [`Issued`] or an explained
//! [`IssueError`].

use super::{
    Credentials, Extras, Identity, IssueError, Issued, SessionRequest,
    hops::{Hops, hops, last},
    refusal::{Answer, Retry, explain, is_throttling},
};
use crate::{
    api::{Reason, RoleArn},
    clock::{Clock, http_date, whole_seconds},
    limit::{Heard, StsTurn},
    network::innermost,
    spans::{Described, traced},
};
use aws_sdk_sts::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextRef},
    error::{ProvideErrorMetadata as _, SdkError},
    operation::{
        RequestId as _,
        assume_role::{AssumeRoleError, AssumeRoleOutput},
    },
    types::{PolicyDescriptorType, Tag},
};
use aws_smithy_runtime_api::{box_error::BoxError, client::orchestrator::HttpResponse};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::Instant;

/// The longest time that STS may take to answer, in seconds. It usually answers in a tenth of a
/// second.
const TIMEOUT_SECONDS: u64 = 10;

/// A callback after each `AssumeRole` call. It receives the duration of the call, and the reason if
/// the call failed.
pub type Answered = Arc<dyn Fn(Duration, Option<Reason>) + Send + Sync>;

/// Issues sessions of IAM roles. Clones share the sessions of hops and the identity.
#[derive(Clone)]
pub struct Sts {
    client: aws_sdk_sts::Client,
    clock: Clock,
    hops: Arc<Hops>,
    identity: Arc<OnceLock<Identity>>,
    answered: Answered,
}

impl std::fmt::Debug for Sts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sts")
    }
}

impl Sts {
    /// Issues through `client`. The retries of `client` should be off (see [`super::base`]).
    #[must_use]
    pub fn new(client: aws_sdk_sts::Client, clock: Clock, answered: Answered) -> Self {
        Self { client, clock, hops: Arc::default(), identity: Arc::default(), answered }
    }

    /// The client of STS.
    pub(super) fn client(&self) -> &aws_sdk_sts::Client {
        &self.client
    }

    /// The operator's identity in AWS; `None` until [`Sts::identify`] has succeeded.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.get()
    }

    /// Asks STS for the operator's identity, in exactly one call. The call needs no rights.
    ///
    /// # Errors
    /// A sentence that says why STS gave no answer.
    pub async fn identify(&self, turn: &StsTurn) -> Result<Identity, String> {
        let began = turn.begin();
        let call = self.client.get_caller_identity().send();
        let answer = tokio::time::timeout(Duration::from_secs(TIMEOUT_SECONDS), call).await;
        turn.heard(heard_of_caller(answer.as_ref().ok()), began);
        let answer = answer.map_err(|_| format!("STS did not answer within {TIMEOUT_SECONDS} s"))?;
        let answer = answer.map_err(|error| error.code().map_or_else(|| innermost(&error), str::to_owned))?;
        let arn = answer.arn().filter(|arn| arn.starts_with("arn:"));
        let identity = Identity::new(arn.ok_or("STS answered with something that is no STS response")?);
        Ok(self.identity.get_or_init(|| identity).clone())
    }

    /// The number of calls to STS that [`Sts::assume_role`] would make now.
    #[must_use]
    pub fn calls(&self, request: &SessionRequest) -> u32 {
        let now = self.clock.now();
        let missing = hops(request).into_iter().filter(|(key, _)| !self.hops.has(key, now)).count();
        u32::try_from(missing).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Assumes the role. The cost is exactly one call to STS, and one more for each hop whose
    /// session is not in memory. Each call is one of `turn`.
    ///
    /// # Errors
    /// [`IssueError`] with a reason, a retry class and a sentence for the user.
    pub async fn assume_role(&self, request: &SessionRequest, turn: &StsTurn) -> Result<Issued, IssueError> {
        let mut way = vec![];
        let result = self.assume_along(request, &mut way, turn).await;
        result.map_err(|error| match way.len().checked_sub(1).and_then(|last| request.via.hops.get(last)) {
            // STS did not accept the session of a hop, not the operator's own. The session may have
            // been revoked.
            Some(hop) if error.why.reason == Reason::BaseCredentialsMissing => {
                self.hops.forget(&way);
                of_the_hop(error, hop)
            }
            _ => error,
        })
    }

    /// Assumes hop by hop. `way` receives the keys of the hops whose sessions were obtained.
    async fn assume_along(
        &self,
        request: &SessionRequest,
        way: &mut Vec<String>,
        turn: &StsTurn,
    ) -> Result<Issued, IssueError> {
        let mut from: Option<Credentials> = None;
        for (key, hop) in hops(request) {
            let issued = if let Some(issued) = self.hops.get(&key, self.clock.now()) {
                issued
            } else {
                let issued = self.call(&hop, from.as_ref(), turn).await.map_err(|error| on_the_way(error, request))?;
                self.hops.put(key.clone(), issued.clone());
                issued
            };
            from = Some(issued.credentials);
            way.push(key);
        }
        self.call(&last(request), from.as_ref(), turn).await
    }

    /// Makes one call in a span of its own.
    async fn call(
        &self,
        request: &SessionRequest,
        from: Option<&Credentials>,
        turn: &StsTurn,
    ) -> Result<Issued, IssueError> {
        let described = || Described { kind: "AssumeRole".to_owned(), object: Some(request.role.to_string()) };
        traced("sts", described, |error| error.why.reason.as_str(), Box::pin(self.call_untraced(request, from, turn)))
            .await
    }

    /// Makes one call, signed with the operator's own credentials or with those of a hop.
    async fn call_untraced(
        &self,
        request: &SessionRequest,
        from: Option<&Credentials>,
        turn: &StsTurn,
    ) -> Result<Issued, IssueError> {
        let started = Instant::now();
        let began = turn.begin();
        let mut call = self
            .client
            .assume_role()
            .role_arn(request.role.as_str())
            .role_session_name(&request.session_name)
            .external_id(&request.external_id)
            .duration_seconds(request.duration_seconds)
            .set_source_identity(request.extras.source_identity.clone())
            .set_tags(tags(&request.extras))
            .set_transitive_tag_keys(unless_empty(&request.extras.transitive_tags))
            .set_policy(request.extras.policy.clone())
            .set_policy_arns(policy_arns(&request.extras))
            .customize()
            .interceptor(DateOfAnswer { clock: self.clock.clone(), asked_at: Instant::now() });
        if let Some(from) = from {
            call = call.config_override(aws_sdk_sts::Config::builder().credentials_provider(signer(from)));
        }
        let answer = tokio::time::timeout(Duration::from_secs(TIMEOUT_SECONDS), call.send()).await;
        let result = match answer {
            Err(_) => Err(explain(request, &Answer::TimedOut { seconds: TIMEOUT_SECONDS })),
            Ok(Err(error)) => {
                // Not in the message of a condition, because the ID is another one at each retry.
                if let Some((code, request_id)) = refused_request(&error) {
                    tracing::info!(role = request.role.as_str(), code, request_id, "STS refused AssumeRole");
                }
                Err(failed(request, &error))
            }
            Ok(Ok(output)) => self.issued(output).ok_or_else(|| explain(request, &Answer::Unreadable { status: 200 })),
        };
        (self.answered)(started.elapsed(), result.as_ref().err().map(|error| error.why.reason));
        let heard = result.as_ref().err().map_or(Heard::Answered, |error| heard(error, from.is_some()));
        turn.heard(heard, began);
        result.map_err(|error| if heard == Heard::Answered { error } else { in_turn(error) })
    }

    fn issued(&self, output: AssumeRoleOutput) -> Option<Issued> {
        let session = output.credentials?;
        let expires_at = Timestamp::from_second(session.expiration.secs()).ok()?;
        let issued_at = whole_seconds(self.clock.now());
        // A body that was cut short can still parse. The missing values are then empty, and the
        // expiry is 1970.
        let whole =
            ![&session.access_key_id, &session.secret_access_key, &session.session_token].iter().any(|v| v.is_empty());
        if !whole || expires_at <= issued_at {
            return None;
        }
        let credentials = Credentials {
            access_key_id: session.access_key_id,
            secret_access_key: session.secret_access_key.into(),
            session_token: Some(session.session_token.into()),
        };
        Some(Issued { credentials, issued_at, expires_at: Some(expires_at) })
    }
}

/// The credentials of a session or of a key, as the SDK signs with them.
pub(super) fn signer(session: &Credentials) -> aws_sdk_sts::config::Credentials {
    aws_sdk_sts::config::Credentials::new(
        &session.access_key_id,
        session.secret_access_key.expose_secret(),
        session.session_token.as_ref().map(|token| token.expose_secret().to_owned()),
        None,
        "keyturn",
    )
}

/// What a failed call says about the calls of all others. Without credentials of its own, and with
/// a clock that is wrong, keyturn gets no session for anybody. The session of a hop may have been
/// revoked, which concerns the routes through this hop only.
fn heard(error: &IssueError, is_from_hop: bool) -> Heard {
    match error.why.reason {
        Reason::Throttled => Heard::Throttled,
        Reason::Unreachable | Reason::ClockSkewed => Heard::Unreachable,
        Reason::BaseCredentialsMissing if !is_from_hop => Heard::Unreachable,
        _ => Heard::Answered,
    }
}

/// What an answer to `GetCallerIdentity` says about the calls of all others; `None` if there was
/// no answer in time.
pub(super) fn heard_of_caller<T, E>(answer: Option<&Result<T, SdkError<E, HttpResponse>>>) -> Heard
where
    SdkError<E, HttpResponse>: aws_sdk_sts::error::ProvideErrorMetadata,
{
    let Some(Err(error)) = answer else {
        return if answer.is_some() { Heard::Answered } else { Heard::Unreachable };
    };
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    match error.code() {
        Some(code) if is_throttling(code) => Heard::Throttled,
        _ if status == 429 => Heard::Throttled,
        Some(_) if status < 500 => Heard::Answered,
        _ => Heard::Unreachable,
    }
}

/// The same error, retried when the budget of STS has a turn.
fn in_turn(error: IssueError) -> IssueError {
    IssueError { retry: Retry::InTurn, ..error }
}

fn of_the_hop(mut error: IssueError, hop: &RoleArn) -> IssueError {
    error.why.message = format!("{} (they were those of a session of {hop}, which is assumed anew)", error.why.message);
    error
}

/// Says in the error that the failure happened on the way to the requested role.
fn on_the_way(mut error: IssueError, request: &SessionRequest) -> IssueError {
    error.why.message = format!("on the way to {}: {}", request.role, error.why.message);
    error
}

fn tags(extras: &Extras) -> Option<Vec<Tag>> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build().ok();
    unless_empty(&extras.tags.iter().filter_map(tag).collect::<Vec<Tag>>())
}

fn policy_arns(extras: &Extras) -> Option<Vec<PolicyDescriptorType>> {
    let descriptor = |arn: &String| PolicyDescriptorType::builder().arn(arn).build();
    unless_empty(&extras.policy_arns.iter().map(descriptor).collect::<Vec<_>>())
}

fn unless_empty<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// The code of a refusal, and the ID by which AWS's support and `CloudTrail` find the request.
fn refused_request(error: &SdkError<AssumeRoleError, HttpResponse>) -> Option<(&str, &str)> {
    Some((error.code()?, error.request_id()?))
}

fn failed(request: &SessionRequest, error: &SdkError<AssumeRoleError, HttpResponse>) -> IssueError {
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let answer = match error {
        SdkError::ServiceError(service) => match (service.err().code(), service.err().message()) {
            (Some(code), message) => Answer::Refused { status, code, message: message.unwrap_or_default() },
            (None, _) => Answer::Unreadable { status },
        },
        SdkError::ResponseError(_) => Answer::Unreadable { status },
        SdkError::TimeoutError(_) => Answer::TimedOut { seconds: TIMEOUT_SECONDS },
        // A failure of the chain of providers is a dispatch failure that is neither I/O nor a
        // time-out.
        SdkError::DispatchFailure(failure) if !failure.is_io() && !failure.is_timeout() => {
            Answer::NoBaseCredentials { detail: innermost(error) }
        }
        _ => Answer::Disconnected { detail: innermost(error) },
    };
    explain(request, &answer)
}

/// Corrects the clock by the `Date` header of every answer, also of an error.
#[derive(Debug)]
struct DateOfAnswer {
    clock: Clock,
    asked_at: Instant,
}

impl Intercept for DateOfAnswer {
    fn name(&self) -> &'static str {
        "DateOfAnswer"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date").and_then(http_date) {
            let travelled = SignedDuration::try_from(self.asked_at.elapsed()).unwrap_or(SignedDuration::MAX);
            self.clock.learn(date, travelled);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sts::error::ErrorMetadata;
    use aws_smithy_types::body::SdkBody;

    #[test]
    fn a_refusal_is_named_by_its_code_and_its_id() {
        let refused = |code: Option<&'static str>, id: Option<&'static str>| {
            let mut response = HttpResponse::new(403_u16.try_into().unwrap(), SdkBody::empty());
            if let Some(id) = id {
                response.headers_mut().insert("x-amzn-requestid", id);
            }
            let meta = ErrorMetadata::builder();
            let meta = if let Some(code) = code { meta.code(code) } else { meta };
            SdkError::service_error(AssumeRoleError::generic(meta.build()), response)
        };
        for (name, code, id, expected) in [
            ("a refusal of STS", Some("AccessDenied"), Some("c6104cbe-af31"), Some(("AccessDenied", "c6104cbe-af31"))),
            ("an answer without an ID", Some("AccessDenied"), None, None),
            ("an answer of another server", None, Some("c6104cbe-af31"), None),
        ] {
            assert_eq!(refused_request(&refused(code, id)), expected, "{name}");
        }
    }
}

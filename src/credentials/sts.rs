//! AssumeRole: one call, bounded in time, whose every ending becomes [`Issued`] or an explained [`IssueError`].

use super::{
    Credentials, IssueError, Issued, Request,
    refusal::{Answer, explain},
};
use crate::clock::{Clock, http_date, whole_seconds};
use aws_sdk_sts::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextRef},
    error::{ProvideErrorMetadata as _, SdkError},
    operation::assume_role::{AssumeRoleError, AssumeRoleOutput},
};
use aws_smithy_runtime_api::{box_error::BoxError, client::orchestrator::HttpResponse};
use jiff::Timestamp;
use std::{error::Error, time::Duration};

/// How long STS may take to answer, in seconds. It answers in a tenth of one.
const TIMEOUT_SECONDS: u64 = 10;

/// Issues sessions of IAM roles.
#[derive(Clone, Debug)]
pub struct Sts {
    client: aws_sdk_sts::Client,
    clock: Clock,
}

impl Sts {
    /// Issues through `client`, whose retries should be off (see [`super::base`]).
    #[must_use]
    pub fn new(client: aws_sdk_sts::Client, clock: Clock) -> Self {
        Self { client, clock }
    }

    /// Assumes the role: exactly one call to STS.
    ///
    /// # Errors
    /// With reason, pace and a sentence for the user, whatever went wrong.
    pub async fn assume_role(&self, request: &Request) -> Result<Issued, IssueError> {
        let call = self
            .client
            .assume_role()
            .role_arn(request.role.as_str())
            .role_session_name(&request.session_name)
            .external_id(&request.external_id)
            .duration_seconds(request.duration_seconds)
            .customize()
            .interceptor(DateOfAnswer { clock: self.clock.clone(), asked_at: self.clock.now() })
            .send();
        let answer = tokio::time::timeout(Duration::from_secs(TIMEOUT_SECONDS), call).await;
        match answer {
            Err(_) => Err(explain(request, &Answer::TimedOut { seconds: TIMEOUT_SECONDS })),
            Ok(Err(error)) => Err(failed(request, &error)),
            Ok(Ok(output)) => self.issued(output).ok_or_else(|| explain(request, &Answer::Unreadable { status: 200 })),
        }
    }

    fn issued(&self, output: AssumeRoleOutput) -> Option<Issued> {
        let session = output.credentials?;
        let expires_at = Timestamp::from_second(session.expiration.secs()).ok()?;
        let issued_at = whole_seconds(self.clock.now());
        // A body that was cut short can parse: what is missing is then empty, and the expiry is 1970.
        let whole =
            ![&session.access_key_id, &session.secret_access_key, &session.session_token].iter().any(|v| v.is_empty());
        if !whole || expires_at <= issued_at {
            return None;
        }
        let credentials = Credentials {
            access_key_id: session.access_key_id,
            secret_access_key: session.secret_access_key.into(),
            session_token: session.session_token.into(),
        };
        Some(Issued { credentials, issued_at, expires_at })
    }
}

fn failed(request: &Request, error: &SdkError<AssumeRoleError, HttpResponse>) -> IssueError {
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let answer = match error {
        SdkError::ServiceError(service) => match (service.err().code(), service.err().message()) {
            (Some(code), message) => Answer::Refused { status, code, message: message.unwrap_or_default() },
            (None, _) => Answer::Unreadable { status },
        },
        SdkError::ResponseError(_) => Answer::Unreadable { status },
        SdkError::TimeoutError(_) => Answer::TimedOut { seconds: TIMEOUT_SECONDS },
        // The chain of providers fails as a dispatch failure that is neither I/O nor a time-out.
        SdkError::DispatchFailure(failure) if !failure.is_io() && !failure.is_timeout() => {
            Answer::NoBaseCredentials { detail: innermost(error) }
        }
        _ => Answer::Disconnected { detail: innermost(error) },
    };
    explain(request, &answer)
}

/// What the last error of the chain says: the outer ones say "dispatch failure".
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// Teaches the clock the `Date` of every answer, error or not.
#[derive(Debug)]
struct DateOfAnswer {
    clock: Clock,
    asked_at: Timestamp,
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
            self.clock.learn(date, self.clock.now().duration_since(self.asked_at));
        }
        Ok(())
    }
}

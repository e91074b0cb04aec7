//! A trial of a credential: whose it is, as STS says, and which buckets S3 shows it. The calls are
//! bounded in time and made with the credential itself.

use super::{
    Credentials, S3, Sts,
    refusal::{is_about_credentials, is_about_time, is_throttling, quoted},
    s3::BucketAnswer,
    sts::{heard_of_caller, signer},
};
use crate::{limit::StsTurn, network::innermost};
use aws_sdk_sts::{
    error::{ProvideErrorMetadata as _, SdkError},
    operation::get_caller_identity::GetCallerIdentityError,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use std::time::Duration;

/// The longest time that STS may take to answer, in seconds.
const TIMEOUT_SECONDS: u64 = 5;
/// The number of buckets that are looked at at once.
const BUCKETS_AT_ONCE: usize = 8;

/// The answer of STS to the question whose credential it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerAnswer {
    /// The ARN of the caller.
    Is(String),
    /// STS does not accept the credential: the code of AWS.
    Refused(String),
    /// STS has said nothing about the credential, for this reason.
    NoAnswer(String),
}

/// The answers to one trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// The answer of STS.
    pub caller: CallerAnswer,
    /// The answers of S3, by bucket. Empty if STS did not name the caller.
    pub buckets: Vec<(String, BucketAnswer)>,
}

/// What is tried of one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The ARN that STS has to name: that of the session. `None` for a credential of which keyturn
    /// does not know the identity, such as a key.
    pub expected: Option<String>,
    /// The buckets that are looked at.
    pub buckets: Vec<String>,
    /// The region in which S3 is asked first; `None` for the one of the client.
    pub region: Option<String>,
}

impl Question {
    /// Whether the credential is of the expected identity, if one is expected.
    #[must_use]
    pub fn expects(&self, arn: &str) -> bool {
        self.expected.as_deref().is_none_or(|expected| expected == arn)
    }
}

/// Tries a credential: one call to STS. If STS names the expected identity, one request to S3 for
/// each bucket follows, and a second one if the bucket is in another region. The call to STS is one
/// of `turn`.
pub async fn try_out(sts: &Sts, s3: &S3, credentials: &Credentials, question: &Question, turn: &StsTurn) -> Answers {
    let caller = sts.caller(credentials, turn).await;
    turn.end();
    if !matches!(&caller, CallerAnswer::Is(arn) if question.expects(arn)) {
        return Answers { caller, buckets: vec![] };
    }
    let head = |bucket: String| {
        let (s3, credentials, region) = (s3.clone(), credentials.clone(), question.region.clone());
        async move {
            let answer = s3.head(&credentials, &bucket, region.as_deref()).await;
            (bucket, answer)
        }
        .boxed()
    };
    let asked: Vec<BoxFuture<'static, _>> = question.buckets.iter().cloned().map(head).collect();
    Answers { caller, buckets: stream::iter(asked).buffered(BUCKETS_AT_ONCE).collect().await }
}

impl Sts {
    /// Asks STS whose credentials these are. The call needs no rights
    /// (STS API reference, `GetCallerIdentity`).
    async fn caller(&self, credentials: &Credentials, turn: &StsTurn) -> CallerAnswer {
        let began = turn.begin();
        let signed = aws_sdk_sts::Config::builder().credentials_provider(signer(credentials));
        let call = self.client().get_caller_identity().customize().config_override(signed).send();
        let answer = tokio::time::timeout(Duration::from_secs(TIMEOUT_SECONDS), call).await;
        turn.heard(heard_of_caller(answer.as_ref().ok()), began);
        match answer {
            Err(_) => CallerAnswer::NoAnswer(format!("STS did not answer within {TIMEOUT_SECONDS} s")),
            Ok(Err(error)) => refused(&error),
            Ok(Ok(answer)) => match answer.arn().filter(|arn| arn.starts_with("arn:")) {
                Some(arn) => CallerAnswer::Is(quoted(arn)),
                None => CallerAnswer::NoAnswer("STS answered with something that is no STS response".to_owned()),
            },
        }
    }
}

fn refused(error: &SdkError<GetCallerIdentityError, HttpResponse>) -> CallerAnswer {
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let said = match error {
        SdkError::ServiceError(service) => service.err().code().map(|code| (code, service.err().message())),
        _ => None,
    };
    match said {
        Some((code, message)) => explained(status, code, message.unwrap_or_default()),
        None if status > 0 => {
            CallerAnswer::NoAnswer(format!("STS answered with HTTP {status} and something that is no STS response"))
        }
        None => CallerAnswer::NoAnswer(format!("STS could not be reached: {}", quoted(&innermost(error)))),
    }
}

/// The message of a wrong signature can quote the signed request. Therefore only the code is
/// repeated.
fn explained(status: u16, code: &str, message: &str) -> CallerAnswer {
    let shown = quoted(code);
    if is_about_time(code, message) {
        return CallerAnswer::NoAnswer(format!("STS refuses the time of the request ({shown})"));
    }
    if is_throttling(code) || status == 429 {
        return CallerAnswer::NoAnswer(format!("STS is throttling this account ({shown})"));
    }
    if is_about_credentials(code) || matches!(status, 401 | 403) {
        return CallerAnswer::Refused(shown);
    }
    CallerAnswer::NoAnswer(format!("STS answered with {shown} (HTTP {status})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_credential_is_told_from_trouble_on_the_way() {
        let no = |part: &'static str| Err(part);
        let rows = [
            ("a deleted key", 403, "InvalidClientTokenId", "", Ok("InvalidClientTokenId")),
            ("a wrong secret", 403, "SignatureDoesNotMatch", "Check your key", Ok("SignatureDoesNotMatch")),
            ("an old session", 403, "ExpiredToken", "", Ok("ExpiredToken")),
            ("a policy of an endpoint", 403, "AccessDenied", "", Ok("AccessDenied")),
            ("a wrong clock", 403, "SignatureDoesNotMatch", "Signature expired: 1 is now earlier", no("time")),
            ("throttling", 400, "Throttling", "", no("throttling")),
            ("an internal error", 500, "InternalFailure", "", no("HTTP 500")),
            ("a region that is off", 400, "Odd", "", no("Odd")),
        ];
        for (row, status, code, message, expected) in rows {
            match (explained(status, code, message), expected) {
                (CallerAnswer::Refused(code), Ok(expected)) => assert_eq!(code, expected, "{row}"),
                (CallerAnswer::NoAnswer(why), Err(part)) => assert!(why.contains(part), "{row}: {why}"),
                (answer, _) => panic!("{row}: {answer:?}"),
            }
        }
    }
}

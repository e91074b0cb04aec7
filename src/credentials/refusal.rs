//! The reasons why STS gave no credential. Each error becomes a reason, a retry class and a
//! sentence.

use super::SessionRequest;
use crate::api::{Reason, RoleArn, Statement};
use crate::dss::{DssError, Kind};
use jiff::SignedDuration;

/// The class of a failure, which decides when the call is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Somebody has to change something first. keyturn retries after 30 s, doubling to 10 min, for
    /// this object only.
    Durable,
    /// The failure will pass. keyturn retries after seconds, with jitter.
    Transient,
    /// The failure will pass, and the server asked for this wait. keyturn retries no sooner, but it
    /// does not wait for longer than 10 min because of this.
    TransientAfter(SignedDuration),
    /// keyturn did not call STS or DSS, because too many other reconciles wait for them. keyturn
    /// retries after seconds, with jitter. This is not a failure, and nothing is reported.
    Saturated,
    /// keyturn did not call STS or DSS, because the rate of calls is used up. keyturn retries after
    /// this wait, when it is the turn of this call. Only a long wait is reported.
    HeldBack(SignedDuration),
}

impl Retry {
    /// Whether keyturn made the call that failed.
    #[must_use]
    pub fn is_of_a_call(self) -> bool {
        !matches!(self, Self::Saturated | Self::HeldBack(_))
    }
}

/// The error for a credential that was not issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", why.message)]
pub struct IssueError {
    /// What keyturn tried, why it failed and what to do.
    pub why: Statement,
    /// The class of the failure, which decides when keyturn retries.
    pub retry: Retry,
}

impl IssueError {
    /// Translates a failed call to DSS into the error of the issue that needed the call.
    #[must_use]
    pub fn of_dss(error: &DssError) -> Self {
        let (reason, retry) = match error.kind {
            Kind::Unreachable | Kind::Unreadable | Kind::Failed => {
                let wait = error.retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
                (Reason::DssUnreachable, wait.map_or(Retry::Transient, Retry::TransientAfter))
            }
            Kind::Unauthenticated | Kind::Denied | Kind::NotFound | Kind::Refused => {
                (Reason::DssDenied, Retry::Durable)
            }
        };
        let what = match error.kind {
            Kind::Unreachable | Kind::Unreadable => "DSS cannot be reached",
            Kind::Failed => "DSS failed",
            _ => "DSS refused",
        };
        Self::new(reason, retry, format!("{what}: {error}"))
    }

    /// The failure of a call to a DSS whose admin key has not been read yet.
    #[must_use]
    pub fn not_connected(instance: &str) -> Self {
        let message = format!("DssInstance \"{instance}\" has not been connected to yet; see its conditions");
        Self::new(Reason::DssUnreachable, Retry::Transient, message)
    }

    /// A failure of this reason, tried again so.
    #[must_use]
    pub fn new(reason: Reason, retry: Retry, message: impl Into<String>) -> Self {
        Self { why: Statement::new(reason, message), retry }
    }
}

/// The answer of STS: the code and message of an error, or the way in which the call broke.
#[derive(Debug)]
pub(super) enum Answer<'a> {
    /// An error response with a code.
    Refused { status: u16, code: &'a str, message: &'a str },
    /// An answer that is not an STS response.
    Unreadable { status: u16 },
    /// No call, because the operator has no credentials to sign it with.
    NoBaseCredentials { detail: String },
    /// No answer within the time-out, in seconds.
    TimedOut { seconds: u64 },
    /// No connection, or a connection that broke.
    Disconnected { detail: String },
}

/// The longest quote from an answer in a message, in characters.
const QUOTED: usize = 400;

/// Explains an answer to the user. The codes are those of the AWS STS API reference, `AssumeRole`
/// and Common Errors.
pub(super) fn explain(request: &SessionRequest, answer: &Answer<'_>) -> IssueError {
    let SessionRequest { role, external_id, session_name, .. } = request;
    let tried = format!("AssumeRole of {role} as \"{session_name}\" with external ID \"{external_id}\"");
    let (reason, retry, why) = match answer {
        Answer::Refused { code, message, status } => refused(request, code, message, *status),
        Answer::Unreadable { status } => (
            Reason::Unreachable,
            Retry::Transient,
            format!("STS answered with HTTP {status} and something that is no STS response; is a proxy in the way?"),
        ),
        Answer::NoBaseCredentials { detail } => (
            Reason::BaseCredentialsMissing,
            Retry::Transient,
            format!(
                "the operator has no AWS credentials of its own ({}); give its ServiceAccount an IAM role",
                quoted(detail)
            ),
        ),
        Answer::TimedOut { seconds } => {
            (Reason::Unreachable, Retry::Transient, format!("STS did not answer within {seconds} s"))
        }
        Answer::Disconnected { detail } => {
            (Reason::Unreachable, Retry::Transient, format!("STS could not be reached: {}", quoted(detail)))
        }
    };
    IssueError::new(reason, retry, format!("{tried}: {why}"))
}

fn refused(request: &SessionRequest, code: &str, message: &str, status: u16) -> (Reason, Retry, String) {
    let said = quoted(message);
    match code {
        "AccessDenied" | "AccessDeniedException" => (
            Reason::AssumeRoleDenied,
            Retry::Durable,
            format!(
                "IAM refused: {said}. Check that the role exists, that its trust policy names {} and, if it has a condition on \
                 sts:ExternalId, that it is \"{}\"{}",
                request.via.hops.last().map_or("the operator's identity", RoleArn::as_str),
                request.external_id,
                further_actions(request)
            ),
        ),
        "PackedPolicyTooLarge" | "PackedPolicyTooLargeException" => (
            Reason::PolicyTooLarge,
            Retry::Durable,
            format!(
                "session policy and tags together are larger than STS takes: {said}. Shorten session.policy, or name fewer \
                 extraBuckets (with scope Buckets), policyArns or tags; if keyturn's own identity is an EKS Pod Identity, disable the \
                 session tags of its association, because they take most of the room"
            ),
        ),
        "MalformedPolicyDocument" | "MalformedPolicyDocumentException" => (
            Reason::InvalidSpec,
            Retry::Durable,
            format!("STS does not understand session.policy: {said}"),
        ),
        "ValidationError" if is_about_duration(message) => (
            Reason::DurationTooLong,
            Retry::Durable,
            format!(
                "{} s are longer than allowed: {said}. Ask for less in session.duration, or raise the role's MaxSessionDuration \
                 (a base identity that is itself a role's session never gets more than 1h)",
                request.duration_seconds
            ),
        ),
        // The values of the request come from the AwsConfig and the grant.
        "ValidationError" | "ValidationException" | "InvalidParameterValue" | "InvalidParameterCombination"
        | "MissingParameter" | "InvalidInput" | "InvalidTags" => (
            Reason::InvalidSpec,
            Retry::Durable,
            format!("STS does not take a value of the request: {said}. Look for it in spec.role, spec.person and spec.session"),
        ),
        "RegionDisabledException" => (
            Reason::RegionDisabled,
            Retry::Durable,
            "STS is not activated in the operator's region for this account; activate it in IAM's account settings, or give the \
             operator another region"
                .to_owned(),
        ),
        "SignatureDoesNotMatch" | "RequestExpired" | "InvalidSignatureException" if is_about_time(code, message) => (
            Reason::ClockSkewed,
            Retry::Transient,
            "STS refuses the time of the request: set the clock of the operator's node".to_owned(),
        ),
        // The message of a wrong signature can quote the signed request. It is not repeated for
        // that reason.
        "InvalidClientTokenId" | "SignatureDoesNotMatch" | "UnrecognizedClientException" | "ExpiredToken"
        | "ExpiredTokenException" | "MissingAuthenticationToken" | "OptInRequired" => (
            Reason::BaseCredentialsMissing,
            Retry::Transient,
            format!("STS does not accept the operator's own credentials ({code}); check the identity that its pod runs with"),
        ),
        "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequestsException" => {
            (Reason::Throttled, Retry::Transient, "STS is throttling this account; it will be tried again shortly".to_owned())
        }
        // IAM refuses, and has a newer name for it.
        _ if status == 403 => (
            Reason::AssumeRoleDenied,
            Retry::Durable,
            format!("IAM refused with {}: {said}. Check the trust policy of the role, and the policies of its account", quoted(code)),
        ),
        _ if status >= 500 => {
            (Reason::Unreachable, Retry::Transient, format!("STS has a problem of its own (HTTP {status}, {})", quoted(code)))
        }
        _ => (Reason::Internal, Retry::Durable, format!("STS refused with {}: {said}", quoted(code))),
    }
}

/// Names the further actions that the role's trust policy has to allow for this request.
fn further_actions(request: &SessionRequest) -> String {
    let extras = &request.extras;
    let actions: Vec<&str> = [
        (!extras.tags.is_empty(), "sts:TagSession (session.tags)"),
        (extras.source_identity.is_some(), "sts:SetSourceIdentity (session.sourceIdentity)"),
    ]
    .into_iter()
    .filter_map(|(needed, action)| needed.then_some(action))
    .collect();
    if actions.is_empty() { String::new() } else { format!("; and that it allows {}", actions.join(" and ")) }
}

fn is_about_duration(message: &str) -> bool {
    ["MaxSessionDuration", "DurationSeconds", "role chaining"].iter().any(|hint| message.contains(hint))
}

fn is_about_time(code: &str, message: &str) -> bool {
    code == "RequestExpired"
        || message.starts_with("Signature expired")
        || message.starts_with("Signature not yet current")
}

/// Returns a text from outside on one line, and cut to [`QUOTED`] characters.
fn quoted(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTED).collect();
    line.trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::{Extras, Via};

    fn request() -> SessionRequest {
        SessionRequest { duration_seconds: 7200, ..SessionRequest::example() }
    }

    #[test]
    fn each_answer_has_its_reason_and_its_retry_class() {
        let refused = |status, code, message| Answer::Refused { status, code, message };
        let table = [
            (refused(403, "AccessDenied", "User is not authorized"), Reason::AssumeRoleDenied, Retry::Durable),
            (
                refused(
                    400,
                    "ValidationError",
                    "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
                ),
                Reason::DurationTooLong,
                Retry::Durable,
            ),
            (
                refused(400, "ValidationError", "exceeds the 1 hour session limit for roles assumed by role chaining"),
                Reason::DurationTooLong,
                Retry::Durable,
            ),
            (refused(400, "ValidationError", "1 validation error detected"), Reason::InvalidSpec, Retry::Durable),
            (refused(400, "InvalidParameterValue", "Invalid tag"), Reason::InvalidSpec, Retry::Durable),
            (refused(403, "SomethingNew", "no"), Reason::AssumeRoleDenied, Retry::Durable),
            (refused(400, "SomethingNew", "no"), Reason::Internal, Retry::Durable),
            (refused(400, "PackedPolicyTooLarge", "consumes 132%"), Reason::PolicyTooLarge, Retry::Durable),
            (refused(400, "MalformedPolicyDocument", "Syntax errors"), Reason::InvalidSpec, Retry::Durable),
            (refused(403, "RegionDisabledException", "STS is not activated"), Reason::RegionDisabled, Retry::Durable),
            (
                refused(403, "SignatureDoesNotMatch", "Signature expired: 1 is now earlier than 2"),
                Reason::ClockSkewed,
                Retry::Transient,
            ),
            (refused(403, "SignatureDoesNotMatch", "does not match"), Reason::BaseCredentialsMissing, Retry::Transient),
            (refused(403, "InvalidClientTokenId", "invalid"), Reason::BaseCredentialsMissing, Retry::Transient),
            (refused(403, "ExpiredToken", "expired"), Reason::BaseCredentialsMissing, Retry::Transient),
            (refused(400, "Throttling", "Rate exceeded"), Reason::Throttled, Retry::Transient),
            (refused(500, "InternalFailure", "oops"), Reason::Unreachable, Retry::Transient),
            (refused(503, "ServiceUnavailable", "oops"), Reason::Unreachable, Retry::Transient),
            (Answer::Unreadable { status: 200 }, Reason::Unreachable, Retry::Transient),
            (Answer::NoBaseCredentials { detail: "none".into() }, Reason::BaseCredentialsMissing, Retry::Transient),
            (Answer::TimedOut { seconds: 10 }, Reason::Unreachable, Retry::Transient),
            (Answer::Disconnected { detail: "refused".into() }, Reason::Unreachable, Retry::Transient),
        ];
        for (answer, reason, retry) in table {
            let error = explain(&request(), &answer);
            assert_eq!((error.why.reason, error.retry), (reason, retry), "{answer:?}");
            assert!(
                error.why.message.contains("role/analyst"),
                "the message names what was tried: {}",
                error.why.message
            );
        }
    }

    #[test]
    fn a_denial_names_the_actions_that_the_trust_policy_must_allow() {
        let denied = Answer::Refused { status: 403, code: "AccessDenied", message: "not authorized" };
        assert!(!explain(&request(), &denied).why.message.contains("sts:TagSession"));
        let extras = Extras {
            tags: [("project".to_owned(), "fraud".to_owned())].into(),
            source_identity: Some("alice".into()),
            ..Extras::default()
        };
        let message = explain(&SessionRequest { extras, ..request() }, &denied).why.message;
        assert!(message.contains("sts:TagSession") && message.contains("sts:SetSourceIdentity"), "{message}");
    }

    #[test]
    fn a_denied_role_at_the_end_of_a_way_has_to_trust_the_last_hop() {
        let denied = Answer::Refused { status: 403, code: "AccessDenied", message: "not authorized" };
        let hub = "arn:aws:iam::210987654321:role/hub";
        let via = Via { hops: vec![hub.parse().unwrap()], external_id: String::new() };
        let message = explain(&SessionRequest { via, ..request() }, &denied).why.message;
        assert!(message.contains(&format!("trust policy names {hub}")), "{message}");
        assert!(explain(&request(), &denied).why.message.contains("the operator's identity"));
    }

    #[test]
    fn the_message_of_a_wrong_signature_is_not_repeated() {
        let answer = Answer::Refused {
            status: 403,
            code: "SignatureDoesNotMatch",
            message: "canonical string: x-amz-security-token:TOKEN",
        };
        assert!(!explain(&request(), &answer).why.message.contains("TOKEN"));
    }

    #[test]
    fn a_message_from_outside_stays_on_one_line_and_short() {
        let long = "a\nb".repeat(10_000);
        let answer = Answer::Refused { status: 403, code: "AccessDenied", message: &long };
        let message = explain(&request(), &answer).why.message;
        assert!(!message.contains('\n') && message.len() < 1_000, "{}", message.len());
    }
}

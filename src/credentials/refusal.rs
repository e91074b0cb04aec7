//! The reasons why STS gave no credential. Each error becomes a reason, a retry class and a
//! sentence.

use super::SessionRequest;
use crate::api::{Reason, RoleArn, Statement};
use crate::{
    dss::{DssError, Kind},
    rest::RestError,
};
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
    /// STS throttled the call, or could not be reached. keyturn retries when the budget of STS has
    /// a turn for the object.
    InTurn,
    /// keyturn did not call STS, because others come first in the budget of STS. The object is
    /// reconciled when its turn has come, about after this wait. Only a long wait is reported.
    Queued(SignedDuration),
}

impl Retry {
    /// Whether keyturn made the call that failed.
    #[must_use]
    pub fn is_of_a_call(self) -> bool {
        !matches!(self, Self::Saturated | Self::HeldBack(_) | Self::Queued(_))
    }

    /// Whether keyturn retries when the budget of STS has a turn for the object.
    #[must_use]
    pub fn is_in_turn(self) -> bool {
        matches!(self, Self::InTurn | Self::Queued(_))
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
            Kind::Unreachable | Kind::Unreadable | Kind::NoRoute | Kind::Failed => {
                let wait = error.retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
                (Reason::DssUnreachable, wait.map_or(Retry::Transient, Retry::TransientAfter))
            }
            Kind::Unauthenticated | Kind::Denied | Kind::NotFound | Kind::Refused => {
                (Reason::DssDenied, Retry::Durable)
            }
        };
        let what = match error.kind {
            Kind::Unreachable | Kind::Unreadable | Kind::NoRoute => "DSS cannot be reached",
            Kind::Failed => "DSS failed",
            _ => "DSS refused",
        };
        Self::new(reason, retry, format!("{what}: {error}; {}", remedy_of_dss(error)))
    }

    /// Translates a failed call to DataRobot into the error of the push that needed the call.
    #[must_use]
    pub fn of_data_robot(error: &RestError) -> Self {
        let wait = error.retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
        let (reason, retry, what) = match error.kind {
            Kind::Unreachable | Kind::Unreadable | Kind::NoRoute | Kind::Failed => {
                let retry = wait.map_or(Retry::Transient, Retry::TransientAfter);
                (Reason::DataRobotUnreachable, retry, "DataRobot cannot be reached")
            }
            Kind::Unauthenticated | Kind::Denied => (Reason::DataRobotDenied, Retry::Durable, "DataRobot refused"),
            Kind::NotFound | Kind::Refused => (Reason::PushRefused, Retry::Durable, "DataRobot refused"),
        };
        Self::new(reason, retry, format!("{what}: {error}; {}", remedy_of_data_robot(error.kind)))
    }

    /// The failure of a call to a DSS whose admin key has not been read yet.
    #[must_use]
    pub fn not_connected(instance: &str) -> Self {
        let message = format!("DssInstance \"{instance}\" has not been connected to yet; see its conditions");
        Self::new(Reason::DssUnreachable, Retry::Transient, message)
    }

    /// The failure of a write into the account of a login that DSS does not have.
    #[must_use]
    pub fn without_user(login: &str) -> Self {
        let message = format!("DSS has no user \"{login}\" any more; a DSS admin creates the user");
        Self::new(Reason::DssUserMissing, Retry::Durable, message)
    }

    /// A failure of this reason, tried again so.
    #[must_use]
    pub fn new(reason: Reason, retry: Retry, message: impl Into<String>) -> Self {
        Self { why: Statement::new(reason, message), retry }
    }
}

/// The remedy for a failed call to DSS that keyturn made with the admin key.
#[must_use]
pub fn remedy_of_dss(error: &DssError) -> &'static str {
    match error.kind {
        Kind::Unreachable => {
            "keyturn tries again; if it stays so, a cluster admin checks url and caBundle of the DssInstance, network policies and proxies"
        }
        Kind::Unreadable | Kind::NoRoute => {
            "keyturn tries again; if it stays so, a cluster admin checks url of the DssInstance, and which proxy or login page answers there"
        }
        Kind::Failed => "keyturn tries again; if it stays so, a DSS admin looks into the log of DSS",
        Kind::Unauthenticated => {
            "a cluster admin puts an admin key that DSS knows into the Secret that apiKeySecretRef of the DssInstance names"
        }
        Kind::Denied => {
            "a DSS admin gives the admin key of the DssInstance this right; it has to be a global API key with admin rights, or an \
             administrator's"
        }
        Kind::NotFound | Kind::Refused => {
            "keyturn tries again within 10 min; a DSS admin checks the object that the route names, and that this release of DSS has the route"
        }
    }
}

/// The remedy for a failed call to DataRobot.
#[must_use]
pub fn remedy_of_data_robot(kind: Kind) -> &'static str {
    match kind {
        Kind::Unreachable | Kind::Unreadable | Kind::NoRoute | Kind::Failed => {
            "keyturn tries again; if it stays so, a cluster admin checks url and caBundle of the DataRobotInstance, network policies, \
             proxies and login pages"
        }
        Kind::Unauthenticated => {
            "create an API token in DataRobot (Developer tools), and put it into the Secret that tokenSecretRef names"
        }
        Kind::Denied => "a DataRobot admin gives the account of the API token the right to manage its credentials",
        Kind::NotFound | Kind::Refused => {
            "keyturn tries again within 10 min; look in DataRobot at the credential that the message is about"
        }
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

/// The remedy if STS cannot be reached for long.
pub(super) const CHECK_THE_WAY: &str =
    "if it stays so, a cluster admin checks network policies, proxies, DNS and aws.stsEndpoint of the chart";

/// Explains an answer to the user. The codes are those of the AWS STS API reference (`AssumeRole`
/// and Common Errors), and those that the AWS SDKs take for throttling and for passing failures.
pub(super) fn explain(request: &SessionRequest, answer: &Answer<'_>) -> IssueError {
    let SessionRequest { role, external_id, session_name, .. } = request;
    let tried = format!("AssumeRole of {role} as \"{session_name}\" with external ID \"{external_id}\"");
    let (reason, retry, why) = match answer {
        Answer::Refused { code, message, status } => refused(request, code, message, *status),
        Answer::Unreadable { status } => (
            Reason::Unreachable,
            Retry::Transient,
            format!(
                "STS answered with HTTP {status} and something that is no STS response; is a proxy in the way, or is the STS endpoint \
                 that of another service? keyturn tries again; {CHECK_THE_WAY}"
            ),
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
            let why = format!("STS did not answer within {seconds} s; keyturn tries again; {CHECK_THE_WAY}");
            (Reason::Unreachable, Retry::Transient, why)
        }
        Answer::Disconnected { detail } => {
            let why = format!("STS could not be reached: {}; keyturn tries again; {CHECK_THE_WAY}", quoted(detail));
            (Reason::Unreachable, Retry::Transient, why)
        }
    };
    IssueError::new(reason, retry, format!("{tried}: {why}"))
}

fn refused(request: &SessionRequest, code: &str, message: &str, status: u16) -> (Reason, Retry, String) {
    let said = quoted(message);
    match code {
        "AccessDenied" | "AccessDeniedException" | "NotAuthorized" | "UnauthorizedOperation" => (
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
        "PackedPolicyTooLarge"
        | "PackedPolicyTooLargeException"
        | "RequestEntityTooLarge"
        | "RequestEntityTooLargeException" => (
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
            format!("STS does not understand session.policy: {said}. Correct it as a policy of IAM"),
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
        | "MissingParameter" | "MissingRequiredParameter" | "InvalidParameter" | "InvalidInput" | "InvalidTags" => (
            Reason::InvalidSpec,
            Retry::Durable,
            format!("STS does not take a value of the request: {said}. Look for it in spec.role, spec.person and spec.session"),
        ),
        "RegionDisabledException" | "RegionDisabled" => (
            Reason::RegionDisabled,
            Retry::Durable,
            "STS is not activated in the operator's region for this account; activate it in IAM's account settings, or give the \
             operator another region"
                .to_owned(),
        ),
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "InvalidSignature" | "IncompleteSignature" | "RequestExpired"
        | "RequestTimeTooSkewed" | "RequestInTheFuture"
            if is_about_time(code, message) =>
        (
            Reason::ClockSkewed,
            Retry::Transient,
            "STS refuses the time of the request: set the clock of the operator's node".to_owned(),
        ),
        // The message of a wrong signature can quote the signed request. It is not repeated for
        // that reason.
        _ if is_about_credentials(code) => (
            Reason::BaseCredentialsMissing,
            Retry::Transient,
            format!("STS does not accept the operator's own credentials ({code}); check the identity that its pod runs with"),
        ),
        _ if is_throttling(code) || status == 429 => throttled(),
        "RequestTimeout" | "RequestTimeoutException" | "RequestAborted" | "RequestAbortedException" | "IDPCommunicationError" => (
            Reason::Unreachable,
            Retry::Transient,
            format!("STS gave up the request ({code}); keyturn tries again; {CHECK_THE_WAY}"),
        ),
        "InvalidAction" | "MissingAction" | "InvalidQueryParameter" | "MalformedQueryString" | "MalformedHttpRequestException"
        | "UnknownOperation" | "UnknownOperationException" | "NoSuchVersion" => not_sts(code),
        _ if status == 404 => not_sts(code),
        // IAM refuses, and has a newer name for it.
        _ if matches!(status, 401 | 403) => (
            Reason::AssumeRoleDenied,
            Retry::Durable,
            format!("IAM refused with {}: {said}. Check the trust policy of the role, and the policies of its account", quoted(code)),
        ),
        _ if status >= 500 => {
            let why = format!("STS has a problem of its own (HTTP {status}, {}); keyturn tries again", quoted(code));
            (Reason::Unreachable, Retry::Transient, why)
        }
        _ => (Reason::Internal, Retry::Durable, format!("STS refused with {}: {said}", quoted(code))),
    }
}

fn throttled() -> (Reason, Retry, String) {
    let why = "STS is throttling this account; keyturn tries again shortly; if it stays so, look for other programs that call STS there";
    (Reason::Throttled, Retry::Transient, why.to_owned())
}

/// The endpoint does not know a request that every STS knows.
fn not_sts(code: &str) -> (Reason, Retry, String) {
    let why = format!(
        "what answers at the STS endpoint does not know AssumeRole ({}); a cluster admin checks aws.stsEndpoint of the chart \
         (AWS_ENDPOINT_URL_STS) and proxies",
        quoted(code)
    );
    (Reason::Unreachable, Retry::Transient, why)
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

/// Whether a code says that AWS does not accept the credentials of a request.
pub(super) fn is_about_credentials(code: &str) -> bool {
    matches!(
        code,
        "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "UnrecognizedClientException"
            | "AuthFailure"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "InvalidSignature"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidToken"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "OptInRequired"
            | "NotSignedUp"
    )
}

/// Whether a code asks for fewer requests.
pub(super) fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "BandwidthLimitExceeded"
            | "TooManyRequestsException"
            | "PriorRequestNotComplete"
            | "SlowDown"
    )
}

/// Whether a refusal is about the time of the request.
pub(super) fn is_about_time(code: &str, message: &str) -> bool {
    matches!(code, "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture")
        || message.starts_with("Signature expired")
        || message.starts_with("Signature not yet current")
}

/// Returns a text from outside on one line, and cut to [`QUOTED`] characters.
pub(super) fn quoted(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTED).collect();
    line.trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;

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
        assert!(error.why.message.contains("role/analyst"), "the message names what was tried: {}", error.why.message);
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

/// The errors that AWS documents for AssumeRole and in common for all actions, with each status
/// that a page of AWS names, and those that the SDKs know besides.
#[test]
fn no_documented_error_of_sts_is_internal() {
    use Reason::{
        AssumeRoleDenied, BaseCredentialsMissing, ClockSkewed, InvalidSpec, PolicyTooLarge, RegionDisabled, Throttled,
        Unreachable,
    };
    let table: [(&str, &[u16], Reason); 45] = [
        ("AccessDenied", &[403], AssumeRoleDenied),
        ("AccessDeniedException", &[400, 403], AssumeRoleDenied),
        ("NotAuthorized", &[400, 401], AssumeRoleDenied),
        ("UnauthorizedOperation", &[403], AssumeRoleDenied),
        ("MalformedPolicyDocument", &[400], InvalidSpec),
        ("PackedPolicyTooLarge", &[400], PolicyTooLarge),
        ("RequestEntityTooLargeException", &[413], PolicyTooLarge),
        ("RegionDisabledException", &[403], RegionDisabled),
        ("ExpiredTokenException", &[400, 403], BaseCredentialsMissing),
        ("ExpiredToken", &[403], BaseCredentialsMissing),
        ("InvalidClientTokenId", &[403], BaseCredentialsMissing),
        ("InvalidAccessKeyId", &[403], BaseCredentialsMissing),
        ("UnrecognizedClientException", &[400, 403], BaseCredentialsMissing),
        ("AuthFailure", &[401], BaseCredentialsMissing),
        ("SignatureDoesNotMatch", &[403], BaseCredentialsMissing),
        ("InvalidSignatureException", &[400, 403], BaseCredentialsMissing),
        ("IncompleteSignature", &[400, 403], BaseCredentialsMissing),
        ("InvalidToken", &[400], BaseCredentialsMissing),
        ("MissingAuthenticationToken", &[400, 403], BaseCredentialsMissing),
        ("OptInRequired", &[403], BaseCredentialsMissing),
        ("NotSignedUp", &[403], BaseCredentialsMissing),
        ("RequestExpired", &[400, 403], ClockSkewed),
        ("RequestTimeTooSkewed", &[403], ClockSkewed),
        ("RequestInTheFuture", &[403], ClockSkewed),
        ("ValidationError", &[400], InvalidSpec),
        ("InvalidParameterCombination", &[400], InvalidSpec),
        ("InvalidParameterValue", &[400], InvalidSpec),
        ("MissingParameter", &[400], InvalidSpec),
        ("Throttling", &[400], Throttled),
        ("ThrottlingException", &[400, 429], Throttled),
        ("RequestThrottled", &[400], Throttled),
        ("SlowDown", &[503], Throttled),
        ("SomethingNew", &[429], Throttled),
        ("RequestTimeoutException", &[400, 408], Unreachable),
        ("RequestAbortedException", &[400], Unreachable),
        ("IDPCommunicationError", &[400], Unreachable),
        ("InvalidAction", &[400], Unreachable),
        ("MissingAction", &[400], Unreachable),
        ("InvalidQueryParameter", &[400], Unreachable),
        ("MalformedQueryString", &[400, 404], Unreachable),
        ("MalformedHttpRequestException", &[400], Unreachable),
        ("UnknownOperationException", &[400, 404], Unreachable),
        ("NoSuchKey", &[404], Unreachable),
        ("InternalFailure", &[500], Unreachable),
        ("ServiceUnavailable", &[503], Unreachable),
    ];
    for (code, statuses, expected) in table {
        for &status in statuses {
            let error = explain(&request(), &Answer::Refused { status, code, message: "said" });
            assert_eq!(error.why.reason, expected, "{code} with {status}: {}", error.why.message);
            let is_durable = matches!(expected, AssumeRoleDenied | InvalidSpec | PolicyTooLarge | RegionDisabled);
            assert_eq!(error.retry == Retry::Durable, is_durable, "{code} with {status}");
        }
    }
}

#[test]
fn the_message_of_each_answer_says_what_to_do() {
    let refused = |status, code| Answer::Refused { status, code, message: "said" };
    for (answer, remedy) in [
        (refused(403, "AccessDenied"), "trust policy"),
        (refused(400, "MalformedPolicyDocument"), "Correct it"),
        (refused(400, "PackedPolicyTooLarge"), "Shorten"),
        (refused(403, "RegionDisabledException"), "activate it"),
        (refused(403, "ExpiredToken"), "check the identity"),
        (refused(403, "RequestTimeTooSkewed"), "set the clock"),
        (refused(400, "ValidationError"), "Look for it"),
        (refused(400, "Throttling"), "tries again"),
        (refused(400, "InvalidAction"), "aws.stsEndpoint"),
        (refused(408, "RequestTimeout"), "aws.stsEndpoint"),
        (refused(503, "ServiceUnavailable"), "tries again"),
        (Answer::Unreadable { status: 407 }, "proxy"),
        (Answer::TimedOut { seconds: 10 }, "aws.stsEndpoint"),
        (Answer::Disconnected { detail: "reset".to_owned() }, "aws.stsEndpoint"),
        (Answer::NoBaseCredentials { detail: "none".to_owned() }, "ServiceAccount"),
    ] {
        let message = explain(&request(), &answer).why.message;
        assert!(message.contains(remedy), "{answer:?}: {message}");
    }
}

#[test]
fn the_error_of_a_call_to_dss_says_what_to_do() {
    let kinds = [
        (Kind::Unreachable, Reason::DssUnreachable, "caBundle"),
        (Kind::Unreadable, Reason::DssUnreachable, "login page"),
        (Kind::Failed, Reason::DssUnreachable, "log of DSS"),
        (Kind::Unauthenticated, Reason::DssDenied, "apiKeySecretRef"),
        (Kind::Denied, Reason::DssDenied, "admin rights"),
        (Kind::NotFound, Reason::DssDenied, "release of DSS"),
        (Kind::Refused, Reason::DssDenied, "release of DSS"),
    ];
    for (kind, reason, remedy) in kinds {
        let (tried, said) = ("GET /admin/users/ at https://dss.test".to_owned(), "HTTP 418".to_owned());
        let error = IssueError::of_dss(&DssError { tried, kind, said, retry_after: None });
        assert_eq!(error.why.reason, reason, "{kind}");
        let message = error.why.message;
        assert!(message.contains("GET /admin/users/") && message.contains(remedy), "{kind}: {message}");
    }
}

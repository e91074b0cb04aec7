//! The double as the real SDK sees it: the sessions that it issues, and each way to fail.
//!
//! The SDK is the judge here: an answer is right if the SDK reads from it the values that the test
//! set. The operator also has to know how the SDK reads wrong answers.

use std::time::Duration;

use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::{AssumeRoleError, AssumeRoleOutput};
use aws_sdk_sts::{Client, Config};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use jiff::{SignedDuration, Timestamp};

use super::{Behaviour, Issued, LEAK_MARKERS, Outcome, Sts};
use crate::doubles::rules::Times;
use crate::doubles::wire::{Clock, http_date, tokio_clock};

const ROLE: &str = "arn:aws:iam::123456789012:role/team/analyst";
const HUB: &str = "arn:aws:iam::210987654321:role/hub";

type Answer = Result<AssumeRoleOutput, SdkError<AssumeRoleError, HttpResponse>>;

fn start() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn sts() -> (Sts, Clock) {
    let clock = tokio_clock(start());
    (Sts::new(clock.clone()), clock)
}

struct SimulatedTime(Clock);

impl std::fmt::Debug for SimulatedTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimulatedTime")
    }
}

impl TimeSource for SimulatedTime {
    fn now(&self) -> std::time::SystemTime {
        (self.0)().into()
    }
}

fn config(clock: Clock, credentials: Credentials) -> aws_sdk_sts::config::Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url("http://sts.test")
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .sleep_impl(TokioSleep::new())
        .time_source(SimulatedTime(clock))
}

fn base() -> Credentials {
    Credentials::new("AKIABASE", "base-secret", None, None, "test")
}

fn client((sts, clock): &(Sts, Clock)) -> Client {
    let config = config(clock.clone(), base()).http_client(sts.http_client());
    Client::from_conf(config.build())
}

fn client_of_session((sts, clock): &(Sts, Clock), session: &Issued) -> Client {
    let key = session.access_key_id.clone();
    let secret = session.secret_access_key.clone();
    let token = Some(session.session_token.clone());
    let credentials = Credentials::new(key, secret, token, None, "test");
    let config = config(clock.clone(), credentials).http_client(sts.http_client());
    Client::from_conf(config.build())
}

async fn assume(client: &Client, role: &str, seconds: i32) -> Answer {
    let call = client.assume_role().role_arn(role).role_session_name("alice");
    call.external_id("prod/scoring").duration_seconds(seconds).send().await
}

fn code(answer: &Answer) -> (u16, &str) {
    let error = answer.as_ref().unwrap_err();
    let status = error.raw_response().expect("an answer").status().as_u16();
    (status, error.code().unwrap_or("none"))
}

#[tokio::test(start_paused = true)]
async fn a_session_matches_its_request_and_is_recorded() {
    let world = sts();
    let answer = assume(&client(&world), ROLE, 3600).await.unwrap();
    let credentials = answer.credentials().unwrap();
    assert_eq!(credentials.expiration().secs(), start().as_second() + 3600);
    assert_eq!(credentials.access_key_id().len(), 20);
    assert_eq!(credentials.secret_access_key().len(), 40);
    assert_eq!(credentials.session_token().len(), 800);
    assert!(credentials.secret_access_key().contains(LEAK_MARKERS[0]));
    assert!(credentials.session_token().contains(LEAK_MARKERS[1]));
    let user = answer.assumed_role_user().unwrap();
    assert_eq!(user.arn(), "arn:aws:sts::123456789012:assumed-role/analyst/alice");

    let calls = world.0.calls();
    assert_eq!(world.0.count(), 1);
    assert_eq!(calls[0].role_arn.as_deref(), Some(ROLE));
    assert_eq!(calls[0].session_name.as_deref(), Some("alice"));
    assert_eq!(calls[0].external_id.as_deref(), Some("prod/scoring"));
    assert_eq!(calls[0].duration_seconds, Some(3600));
    assert_eq!(calls[0].access_key_id.as_deref(), Some("AKIABASE"));
    let access_key_id = credentials.access_key_id().to_owned();
    assert!(world.0.session(&access_key_id).is_some());
    assert_eq!(calls[0].outcome, Outcome::Issued { access_key_id });
}

#[tokio::test(start_paused = true)]
async fn sessions_differ_and_the_same_history_gives_the_same_sessions() {
    let (one, other) = (sts(), sts());
    for world in [&one, &other] {
        assume(&client(world), ROLE, 900).await.unwrap();
        assume(&client(world), ROLE, 900).await.unwrap();
    }
    let issued = one.0.issued();
    assert_ne!(issued[0].access_key_id, issued[1].access_key_id);
    assert_ne!(issued[0].secret_access_key, issued[1].secret_access_key);
    assert_ne!(issued[0].session_token, issued[1].session_token);
    assert_eq!(issued, other.0.issued());
}

#[tokio::test(start_paused = true)]
async fn tags_and_policy_are_recorded() {
    let world = sts();
    let tag = aws_sdk_sts::types::Tag::builder().key("project").value("fraud & <co>");
    let call = client(&world).assume_role().role_arn(ROLE).role_session_name("alice");
    let call = call.tags(tag.build().unwrap()).policy("{}").source_identity("alice");
    let answer = call.send().await.unwrap();
    assert_eq!(answer.source_identity(), Some("alice"));
    let seen = &world.0.calls()[0];
    assert_eq!(seen.tags["project"], "fraud & <co>");
    assert_eq!(seen.policy.as_deref(), Some("{}"));
    assert_eq!(seen.params["Tags.member.1.Key"], "project");
}

#[tokio::test(start_paused = true)]
async fn the_sdk_reads_every_error() {
    let world = sts();
    let client = client(&world);
    let table = [
        (Behaviour::AccessDenied, 403, "AccessDenied"),
        (Behaviour::DurationTooLong, 400, "ValidationError"),
        (Behaviour::Throttling, 400, "Throttling"),
        (Behaviour::RegionDisabled, 403, "RegionDisabledException"),
        (Behaviour::ExpiredToken, 403, "ExpiredToken"),
        (Behaviour::ExpiredTokenException, 400, "ExpiredTokenException"),
        (Behaviour::InvalidClientTokenId, 403, "InvalidClientTokenId"),
        (Behaviour::SignatureDoesNotMatch, 403, "SignatureDoesNotMatch"),
        (Behaviour::PackedPolicyTooLarge, 400, "PackedPolicyTooLarge"),
        (Behaviour::MalformedPolicyDocument, 400, "MalformedPolicyDocument"),
        (Behaviour::InternalFailure, 500, "InternalFailure"),
        (Behaviour::ServiceUnavailable, 503, "ServiceUnavailable"),
        (Behaviour::EmptyAnswer, 200, "none"),
        (Behaviour::ProxyErrorPage, 502, "none"),
    ];
    for (behaviour, status, expected) in table {
        world.0.once(behaviour.clone());
        let answer = assume(&client, ROLE, 3600).await;
        assert_eq!(code(&answer), (status, expected), "{behaviour:?}");
    }
    world.0.once(Behaviour::AccessDenied);
    let denied = assume(&client, ROLE, 3600).await.unwrap_err();
    let user = "User: arn:aws:iam::123456789012:user/keyturn is not authorized to perform";
    let message = format!("{user}: sts:AssumeRole on resource: {ROLE}");
    assert_eq!(denied.message(), Some(message.as_str()));

    world.0.once(Behaviour::ConnectionFailure);
    match assume(&client, ROLE, 3600).await.unwrap_err() {
        SdkError::DispatchFailure(failure) => assert!(failure.is_io()),
        other => panic!("{other:?}"),
    }
    assert!(world.0.issued().is_empty());
    assert!(assume(&client, ROLE, 3600).await.is_ok(), "all rules are used up");
}

#[tokio::test(start_paused = true)]
async fn the_sdk_parses_broken_xml_as_an_empty_session() {
    let world = sts();
    world.0.once(Behaviour::BrokenXml);
    let answer = assume(&client(&world), ROLE, 3600).await.unwrap();
    let credentials = answer.credentials().unwrap();
    assert_eq!(credentials.access_key_id(), "ASIABROKEN");
    assert_eq!(credentials.secret_access_key(), "");
    assert_eq!(credentials.session_token(), "");
    assert_eq!(credentials.expiration().secs(), 0);
    assert_eq!(world.0.calls()[0].outcome, Outcome::Garbled);
}

#[tokio::test(start_paused = true)]
async fn rules_apply_to_matching_calls_for_a_number_of_times() {
    let world = sts();
    let client = client(&world);
    world.0.behave_for(HUB, Times::N(2), Behaviour::Throttling);
    let rule = world.0.always(Behaviour::Lifetime(5));
    for throttled in [true, true, false] {
        assert!(assume(&client, ROLE, 3600).await.is_ok());
        assert_eq!(assume(&client, HUB, 3600).await.is_err(), throttled);
    }
    assert_eq!(world.0.issued()[0].expiration, start() + SignedDuration::from_secs(5));
    world.0.forgive(rule);
    assume(&client, ROLE, 3600).await.unwrap();
    let last = world.0.issued().pop().unwrap();
    assert_eq!(last.expiration, start() + SignedDuration::from_hours(1));
}

#[tokio::test(start_paused = true)]
async fn sts_refuses_a_duration_or_external_id_that_the_role_forbids() {
    let world = sts();
    let client = client(&world);
    world.0.max_duration(ROLE, 3600);
    world.0.require_external_id(HUB, "other/cluster");
    assert!(assume(&client, ROLE, 3600).await.is_ok());
    assert_eq!(code(&assume(&client, ROLE, 3601).await), (400, "ValidationError"));
    assert_eq!(code(&assume(&client, ROLE, 899).await), (400, "ValidationError"));
    assert_eq!(code(&assume(&client, HUB, 3600).await), (403, "AccessDenied"));
    world.0.require_external_id(HUB, "prod/scoring");
    assert!(assume(&client, HUB, 7200).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_session_is_usable_until_it_ends_and_chains_for_one_hour() {
    let world = sts();
    assume(&client(&world), HUB, 3600).await.unwrap();
    let session = world.0.issued().pop().unwrap();
    let chained = client_of_session(&world, &session);
    let me = chained.get_caller_identity().send().await.unwrap();
    assert_eq!(me.arn(), Some("arn:aws:sts::210987654321:assumed-role/hub/alice"));
    assert_eq!(me.account(), Some("210987654321"));
    assert!(assume(&chained, ROLE, 3600).await.is_ok());
    assert_eq!(code(&assume(&chained, ROLE, 3601).await), (400, "ValidationError"));
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(code(&assume(&chained, ROLE, 3600).await), (403, "ExpiredToken"));
    assert_eq!(world.0.count_where(|call| call.action == "GetCallerIdentity"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_takes_simulated_time_and_a_hang_never_ends() {
    let world = sts();
    let client = client(&world);
    world.0.once(Behaviour::Latency(Duration::from_secs(7)));
    assume(&client, ROLE, 3600).await.unwrap();
    assert_eq!((world.1)(), start() + SignedDuration::from_secs(7));
    world.0.once(Behaviour::Hang);
    let limit = Duration::from_secs(100_000);
    let hung = tokio::time::timeout(limit, assume(&client, ROLE, 3600)).await;
    assert!(hung.is_err());
    assert_eq!(world.0.calls()[1].outcome, Outcome::Unanswered);
}

#[tokio::test(start_paused = true)]
async fn a_skewed_clock_shows_in_the_date_header_and_the_expiration() {
    let world = sts();
    let client = client(&world);
    let ahead = SignedDuration::from_mins(10);
    world.0.skew(ahead);
    let granted = assume(&client, ROLE, 3600).await.unwrap();
    let end = granted.credentials().unwrap().expiration().secs();
    assert_eq!(end, start().as_second() + 600 + 3600);

    world.0.check_signing_time(true);
    // The client above has learned STS's time from the answer and signs with it.
    assert!(assume(&client, ROLE, 3600).await.is_ok());
    let unaware = self::client(&world);
    let refused = assume(&unaware, ROLE, 3600).await.unwrap_err();
    assert_eq!(refused.code(), Some("SignatureDoesNotMatch"));
    let date = refused.raw_response().unwrap().headers().get("date");
    assert_eq!(date, Some(http_date(start() + ahead).as_str()));
    assert_eq!(date, Some("Sun, 22 Nov 2026 12:10:00 GMT"));
}

#[tokio::test]
async fn the_double_answers_fails_and_stops_over_tcp() {
    let clock = tokio_clock(start());
    let sts = Sts::new(clock.clone());
    let listening = sts.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let config = config(clock, base()).endpoint_url(listening.url());
    let client = Client::from_conf(config.build());
    assert!(assume(&client, ROLE, 3600).await.is_ok());
    sts.once(Behaviour::ConnectionFailure);
    let lost = assume(&client, ROLE, 3600).await.unwrap_err();
    assert!(matches!(lost, SdkError::DispatchFailure(_)), "{lost:?}");
    assert!(assume(&client, ROLE, 3600).await.is_ok());
    drop(listening);
    let refused = assume(&client, ROLE, 3600).await.unwrap_err();
    assert!(matches!(refused, SdkError::DispatchFailure(_)), "{refused:?}");
}

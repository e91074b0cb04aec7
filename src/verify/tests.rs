use super::*;
use crate::{
    api::{AwsConfigSpec, Texts},
    credentials::SessionRequest,
};

const ALICE: &str = "arn:aws:sts::123456789012:assumed-role/analyst/alice";

fn spec(verify: Verify, buckets: &[&str]) -> AwsConfigSpec {
    let mut spec: AwsConfigSpec = serde_json::from_value(serde_json::json!({"person": "alice"})).unwrap();
    spec.verify = verify;
    let mut buckets = buckets.iter().map(|&name| name.to_owned());
    spec.default_bucket = buckets.next();
    spec.extra_buckets = buckets.collect::<Vec<_>>().into_iter().collect::<Texts>();
    spec
}

fn question(buckets: &[&str]) -> Verification {
    Verification::of(&spec(Verify::Buckets, buckets), "issue", Some(ALICE.to_owned())).unwrap()
}

fn is(arn: &str) -> CallerAnswer {
    CallerAnswer::Is(arn.to_owned())
}

fn answers(caller: CallerAnswer, buckets: &[(&str, BucketAnswer)]) -> Answers {
    Answers { caller, buckets: buckets.iter().map(|(name, answer)| ((*name).to_owned(), answer.clone())).collect() }
}

#[test]
fn everything_that_is_tried_counts_in_the_digest() {
    let digest =
        |spec: &AwsConfigSpec, issue: &str| Verification::of(spec, issue, None).map(|question| question.digest);
    let asked = spec(Verify::Buckets, &["team", "shared"]);
    let first = digest(&asked, "issue");
    let in_region = |verify| AwsConfigSpec { region: Some("eu-west-1".into()), ..spec(verify, &["team", "shared"]) };
    let rows = [
        ("the same", asked.clone(), "issue", true),
        ("the order of labels is nothing", AwsConfigSpec { restart: vec![], ..asked.clone() }, "issue", true),
        ("another request", asked.clone(), "other", false),
        ("another bucket", spec(Verify::Buckets, &["team", "other"]), "issue", false),
        ("one bucket less", spec(Verify::Buckets, &["team"]), "issue", false),
        ("the identity alone", spec(Verify::Identity, &["team", "shared"]), "issue", false),
        ("another region", in_region(Verify::Buckets), "issue", false),
    ];
    for (row, spec, issue, same) in rows {
        assert_eq!(digest(&spec, issue) == first, same, "{row}");
    }
    let identity = digest(&spec(Verify::Identity, &["team"]), "issue");
    assert_eq!(digest(&spec(Verify::Identity, &["other"]), "issue"), identity, "buckets are not tried then");
    assert_eq!(digest(&in_region(Verify::Identity), "issue"), identity, "nor is a region of S3");
    assert_eq!(digest(&spec(Verify::None, &["team"]), "issue"), None);
}

#[test]
fn a_bucket_that_is_named_twice_is_tried_once() {
    assert_eq!(question(&["team", "team", "shared"]).question.buckets, ["team", "shared"]);
    assert_eq!(question(&["team", "shared"]).calls(), 3);
}

#[test]
fn an_answer_of_aws_has_its_reason_and_its_remedy() {
    use BucketAnswer::{NoAnswer, Refused, Shown};
    let late = || NoAnswer("S3 did not answer within 5 s".to_owned());
    let rows: [(&str, Answers, Reason, &[&str]); 9] = [
        (
            "all is well",
            answers(is(ALICE), &[("team", Shown), ("shared", Shown)]),
            Reason::Verified,
            &[ALICE, "\"team\", \"shared\""],
        ),
        (
            "somebody else",
            answers(is("arn:aws:iam::000000000000:root"), &[]),
            Reason::IdentityMismatch,
            &["000000000000:root", ALICE, "aws.stsEndpoint"],
        ),
        (
            "a refused key",
            answers(CallerAnswer::Refused("InvalidClientTokenId".to_owned()), &[]),
            Reason::CredentialRefused,
            &["InvalidClientTokenId", "compare it with IAM", "kubectl keyturn renew"],
        ),
        (
            "STS is silent",
            answers(CallerAnswer::NoAnswer("STS did not answer within 5 s".to_owned()), &[]),
            Reason::NotVerified,
            &["within 5 s", "tries again", "network policies"],
        ),
        (
            "a bucket of another team",
            answers(is(ALICE), &[("team", Shown), ("shared", Refused(403))]),
            Reason::BucketRefused,
            &["no access to \"shared\" (S3 refuses it, HTTP 403)", "s3:ListBucket", ALICE],
        ),
        (
            "a bucket with a wrong name",
            answers(is(ALICE), &[("team", Refused(404)), ("shared", Shown)]),
            Reason::BucketRefused,
            &["\"team\" (it does not exist, HTTP 404)", "spec.defaultBucket"],
        ),
        (
            "a refusal and silence",
            answers(is(ALICE), &[("team", late()), ("shared", Refused(403))]),
            Reason::BucketRefused,
            &["HTTP 403", "No answer for \"team\""],
        ),
        (
            "silence",
            answers(is(ALICE), &[("team", late()), ("shared", Shown)]),
            Reason::NotVerified,
            &["\"team\" (S3 did not answer", "aws.s3Endpoint"],
        ),
        (
            "a bucket that was not reached in time",
            answers(is(ALICE), &[("team", Shown)]),
            Reason::NotVerified,
            &["\"shared\" (it was not asked for)"],
        ),
    ];
    for (row, answers, reason, parts) in rows {
        let verdict = question(&["team", "shared"]).verdict(&answers);
        let why = verdict.statement();
        assert_eq!(why.reason, reason, "{row}: {}", why.message);
        assert!(parts.iter().all(|part| why.message.contains(part)), "{row}: {}", why.message);
        assert_eq!(verdict.is_answer(), reason != Reason::NotVerified, "{row}");
    }
}

#[test]
fn a_key_may_be_of_any_identity_and_the_message_names_it() {
    let question = Verification::of(&spec(Verify::Identity, &[]), "issue", None).unwrap();
    let verdict = question.verdict(&answers(is("arn:aws:iam::123456789012:user/alice"), &[]));
    assert_eq!(verdict.statement().message, "AWS takes the credential as arn:aws:iam::123456789012:user/alice");
}

#[test]
fn a_message_names_five_buckets_and_counts_the_others() {
    let names: Vec<String> = (0..51).map(|n| format!("bucket-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let refused = names.iter().map(|name| (*name, BucketAnswer::Refused(403))).collect::<Vec<_>>();
    let verdict = question(&names).verdict(&answers(is(ALICE), &refused));
    let message = &verdict.statement().message;
    assert!(message.contains("\"bucket-4\"") && !message.contains("\"bucket-5\""), "{message}");
    assert!(message.contains("and 46 others") && message.len() < 1024, "{message}");
}

#[test]
fn the_path_of_a_role_is_not_in_the_name_of_its_sessions() {
    let rows = [
        ("arn:aws:iam::123456789012:role/analyst", "arn:aws:sts::123456789012:assumed-role/analyst/alice"),
        (
            "arn:aws-cn:iam::123456789012:role/teams/ds/analyst",
            "arn:aws-cn:sts::123456789012:assumed-role/analyst/alice",
        ),
    ];
    for (role, expected) in rows {
        let request = SessionRequest { role: role.parse().unwrap(), ..SessionRequest::example() };
        assert_eq!(expected_arn(&Request::Session(Box::new(request))).as_deref(), Some(expected), "{role}");
    }
}

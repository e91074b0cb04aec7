//! The key of provider `default`: the consent of its owner, and the time of its read.

use super::*;
use crate::{api::CredentialProvider, decide::input::key_request, secret::SeenKey};

fn key(secret: &str) -> Arc<Credentials> {
    let access_key_id = "AKIAIOSFODNN7EXAMPLE".to_owned();
    Arc::new(Credentials { access_key_id, secret_access_key: secret.into(), session_token: None })
}

fn offers(key: SeenKey) -> Source {
    Source::Offered { version: Some("7".into()), key }
}

/// Lets a config ask for a key instead of a session.
pub(super) fn asks_for_key(config: &mut AwsConfig) {
    config.spec.credential_provider = CredentialProvider::Default;
    config.spec.role = None;
    config.spec.key_secret_ref = serde_json::from_value(json!({"name": "mine"})).unwrap();
}

/// alice's config asks for her key, which she offers. The target does not exist yet.
fn fresh_key() -> Observed {
    let mut seen = fresh();
    config(&mut seen, asks_for_key);
    grant(&mut seen, |g| g.spec.providers = vec![CredentialProvider::Default]);
    seen.source = offers(SeenKey::Delivered);
    seen
}

/// The same config after keyturn delivered the key.
fn delivered() -> Observed {
    let mut seen = fresh_key();
    let rendering = rendering(&seen);
    let issued = Issued { credentials: Credentials::clone(&key("one")), issued_at: issued_at(), expires_at: None };
    let content = render(&rendering, &issued.credentials, None, None).unwrap();
    let request = Request::Key(key_request(&seen.config).unwrap());
    let record = Record::of(&request, &issued, "alice", rendering.digest(), ApiKeyRecord::default(), &content);
    let secret = whole(&seen.config, &rendering, &record, content);
    seen.target =
        Target::Ours(Box::new(Ours { metadata: secret.metadata, record: Some(record), content: SecretData::Known }));
    seen
}

#[test]
fn a_delivered_key_is_kept_for_ever_without_a_read() {
    assert_eq!(next(&delivered(), now()), "Keep");
    assert_eq!(next(&delivered(), now() + SignedDuration::from_hours(24 * 365)), "Keep");
}

#[test]
fn a_key_is_taken_from_an_offered_secret_only() {
    let table = [
        (Source::NotShown, "Pending, waits", "Read(KeySource)"),
        (Source::Absent, "KeySecretMissing, withdraws", "Withdraw(KeySecretMissing)"),
        (Source::NotOffered, "SecretNotOffered, withdraws", "Withdraw(SecretNotOffered)"),
        (offers(SeenKey::Unknown), "Pending, waits", "Read(Key)"),
        (offers(SeenKey::Unreadable("no".into())), "KeySecretInvalid, withdraws", "Withdraw(KeySecretInvalid)"),
        (offers(SeenKey::Read(key("one"))), "granted by analysts", "Keep"),
        (offers(SeenKey::Read(key("two"))), "granted by analysts", "Issue(Changed)"),
    ];
    for (source, answer, expected) in table {
        let mut seen = delivered();
        seen.source = source.clone();
        assert_eq!((verdict(&seen).as_str(), next(&seen, now()).as_str()), (answer, expected), "{source:?}");
    }
}

#[test]
fn the_source_of_a_key_is_not_read_without_a_grant_for_keys() {
    let mut seen = delivered();
    seen.source = Source::NotShown;
    grant(&mut seen, |g| g.spec.providers = vec![CredentialProvider::Temporary]);
    assert_eq!(
        (verdict(&seen).as_str(), next(&seen, now()).as_str()),
        ("NotGranted, withdraws", "Withdraw(NotGranted)")
    );
}

#[test]
fn the_end_of_an_offer_withdraws_the_key_before_any_grant_is_seen() {
    let unbelieved = |source: Source| {
        let mut seen = delivered();
        (seen.grants, seen.grants_seen, seen.source) = (vec![], false, source);
        next(&seen, now())
    };
    assert_eq!(unbelieved(offers(SeenKey::Delivered)), "Keep", "an empty list of grants takes nothing");
    assert_eq!(unbelieved(offers(SeenKey::Unknown)), "Keep", "and nothing is read for it");
    assert_eq!(unbelieved(Source::NotShown), "Read(KeySource)");
    assert_eq!(unbelieved(Source::Absent), "Withdraw(KeySecretMissing)");
    assert_eq!(unbelieved(Source::NotOffered), "Withdraw(SecretNotOffered)");
    let mut never = fresh_key();
    (never.grants, never.grants_seen, never.source) = (vec![], false, Source::NotShown);
    assert_eq!(next(&never, now()), "Keep", "who has no key is not looked for");
}

#[test]
fn a_key_is_read_before_it_is_delivered_again() {
    let mut seen = delivered();
    seen.target = Target::Absent;
    assert_eq!(next(&seen, now()), "Read(Key)");
    seen.source = offers(SeenKey::Read(key("one")));
    assert_eq!(next(&seen, now()), "Issue(First)");
}

#[test]
fn a_change_of_provider_is_one_step() {
    let mut to_key = healthy();
    let asked = fresh_key();
    (to_key.config, to_key.grants) = (asked.config, asked.grants);
    to_key.source = offers(SeenKey::Read(key("one")));
    assert_eq!(next(&to_key, now()), "Issue(Changed)");

    let mut to_session = delivered();
    let asked = fresh();
    (to_session.config, to_session.grants) = (asked.config, asked.grants);
    to_session.asked_role = asked.asked_role;
    assert_eq!(next(&to_session, now()), "Issue(Changed)");
    failed(&mut to_session, now() + SignedDuration::from_mins(1), 1, None);
    assert_eq!(next(&to_session, now()), "Withdraw(Pending)", "a key never expires by itself");
    record(&mut to_session).withdrawn = Some("Pending".into());
    assert_eq!(next(&to_session, now()), "Hold");
}

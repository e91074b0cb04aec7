//! The brake: which withdrawals it holds back, for how long, and which it never holds back.

use super::*;
use crate::{
    api::{CredentialProvider, WithdrawalHeld},
    brake::{Brake, Braking, ConfigMapName, Confirmation, Settings, Turn},
    decide::{dss_access::SeenDss, held::hold, input::key_request},
    secret::SeenKey,
};

fn at(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

/// alice's config with everything in order but her grant, while a brake of 5 is on.
fn without_grant() -> Observed {
    let mut seen = healthy();
    seen.grants.clear();
    brakes(&mut seen);
    seen
}

fn brakes(seen: &mut Observed) {
    let config_map = ConfigMapName { namespace: "keyturn-system".into(), name: "keyturn-withdrawals".into() };
    seen.brake = Brake::new(Settings { limit: Some(5), config_map }, Box::new(|_| vec![])).seen("uid-of-alice");
    config(seen, |config| {
        let status = config.status.get_or_insert_default();
        (status.observed_generation, status.person) = (Some(1), Some("alice".into()));
    });
}

/// The same while keyturn holds the withdrawal back since [`now`].
fn held() -> Observed {
    let mut seen = without_grant();
    let hold = hold(&seen, seen.target.record().unwrap(), now());
    config(&mut seen, |config| config.status.as_mut().unwrap().withdrawal_held = Some(hold));
    seen
}

/// alice's key, delivered by a grant that is gone, while the withdrawal is held back since [`now`].
fn held_key() -> Observed {
    let mut seen = held();
    config(&mut seen, keys::asks_for_key);
    let issued = Issued {
        credentials: Credentials { session_token: None, ..session().credentials },
        issued_at: issued_at(),
        expires_at: None,
    };
    let rendering = rendering(&seen);
    let content = render(&rendering, &issued.credentials, None, None).unwrap();
    let request = Request::Key(key_request(&seen.config).unwrap());
    *record(&mut seen) = Record::of(&request, &issued, "alice", rendering.digest(), ApiKeyRecord::default(), &content);
    seen.source = Source::Offered { version: Some("7".into()), key: SeenKey::Delivered };
    seen
}

fn turn(seen: &mut Observed, turn: Turn) {
    seen.brake.turn = Some(turn);
}

#[test]
fn a_withdrawal_for_want_of_a_grant_asks_for_its_turn_once() {
    let rows: [(&str, Disturbance, &str); 6] = [
        ("no turn yet", |_| {}, "Read(Turn)"),
        ("its turn", |seen| turn(seen, Turn::Go), "Withdraw(NotGranted)"),
        ("too many", |seen| turn(seen, Turn::Held), "Hold"),
        ("too many, and status is not written yet", |seen| seen.brake.held_since = Some(now()), "Hold"),
        ("no brake", |seen| seen.brake = Braking::off(), "Withdraw(NotGranted)"),
        ("withdrawn before", |seen| record(seen).withdrawn = Some("Suspended".into()), "Withdraw(NotGranted)"),
    ];
    for (row, disturb, expected) in rows {
        let mut seen = without_grant();
        disturb(&mut seen);
        assert_eq!(next(&seen, now()), expected, "{row}");
    }
    let mut unseen = without_grant();
    unseen.grants_seen = false;
    assert_eq!(next(&unseen, now()), "Keep", "a process that has seen no grant withdraws nothing");
}

#[test]
fn a_hold_survives_a_restart_and_ends_by_time_or_confirmation() {
    type Row = (&'static str, fn() -> Observed, Disturbance, i64, &'static str);
    let rows: [Row; 11] = [
        ("at once", held, |_| {}, 0, "Hold"),
        ("a minute later", held, |_| {}, 1, "Hold"),
        ("no grant was ever seen", held, |seen| seen.grants_seen = false, 1, "Hold"),
        ("the session has ended", held, |_| {}, 45, "Withdraw(NotGranted)"),
        ("it has ended and no grant was seen", held, |seen| seen.grants_seen = false, 45, "Withdraw(NotGranted)"),
        ("a key, almost an hour", held_key, |_| {}, 59, "Hold"),
        ("a key, an hour", held_key, |_| {}, 60, "Withdraw(NotGranted)"),
        ("a key, and no grant was seen", held_key, |seen| seen.grants_seen = false, 60, "Withdraw(NotGranted)"),
        ("confirmed", held, |seen| seen.brake.confirmation = Confirmation::At(at(1)), 2, "Withdraw(NotGranted)"),
        ("confirmed before", held, |seen| seen.brake.confirmation = Confirmation::At(at(-1)), 2, "Hold"),
        ("the brake is off now", held, |seen| seen.brake = Braking::off(), 1, "Withdraw(NotGranted)"),
    ];
    for (row, of, disturb, minutes, expected) in rows {
        let mut seen = of();
        disturb(&mut seen);
        assert_eq!(next(&seen, at(minutes)), expected, "{row}");
    }
}

#[test]
fn a_grant_that_comes_back_ends_the_hold() {
    let mut seen = held();
    seen.grants = healthy().grants;
    assert_eq!(next(&seen, at(1)), "Keep");
}

/// The namespace loses the DSS, and a grant denies the role.
fn denied_without_dss(seen: &mut Observed) {
    let instance = json!({"url": "https://dss", "apiKeySecretRef": {"namespace": "keyturn", "name": "admin"}});
    let instance = crate::api::DssInstance::new("design", from_value(instance).unwrap());
    seen.dss = Some(SeenDss { login: None, ..SeenDss::allowing(instance, "alice") });
    config(seen, |config| config.spec.dss = Some(from_value(json!({"instance": "design"})).unwrap()));
    denied(seen, Some(ROLE));
}

#[test]
fn somebody_s_will_is_never_held_back() {
    type Row = (&'static str, fn() -> Observed, Disturbance, &'static str);
    let rows: [Row; 12] = [
        ("suspended", held, |seen| config(seen, |c| c.spec.suspend = true), "Withdraw(Suspended)"),
        ("denied", held, |seen| denied(seen, None), "Withdraw(Denied)"),
        ("the role is denied", held, |seen| denied(seen, Some(ROLE)), "Withdraw(Denied)"),
        ("the role is denied and the DSS too", held, denied_without_dss, "Withdraw(NotGranted)"),
        ("another person", held, |seen| config(seen, |c| c.spec.person = Some("bob".into())), "Withdraw(NotGranted)"),
        (
            "status knows another person",
            held,
            |seen| config(seen, |c| c.status.as_mut().unwrap().person = Some("bob".into())),
            "Withdraw(NotGranted)",
        ),
        ("another spec", held, |seen| config(seen, |c| c.metadata.generation = Some(2)), "Withdraw(NotGranted)"),
        ("another role", held, |seen| record(seen).role = format!("{ROLE}-former"), "Withdraw(NotGranted)"),
        ("no offer any more", held_key, |seen| seen.source = Source::NotOffered, "Withdraw(NotGranted)"),
        ("no Secret with the key any more", held_key, |seen| seen.source = Source::Absent, "Withdraw(NotGranted)"),
        ("the Secret with the key is not shown", held_key, |seen| seen.source = Source::NotShown, "Read(KeySource)"),
        ("its annotations are gone", held, |seen| ours(seen).record = None, "Withdraw(NotGranted)"),
    ];
    for (row, of, disturb, expected) in rows {
        let mut seen = of();
        disturb(&mut seen);
        assert_eq!(next(&seen, at(1)), expected, "{row}");
        // The same before anything is held.
        config(&mut seen, |config| config.status.as_mut().unwrap().withdrawal_held = None);
        assert_eq!(next(&seen, at(1)), expected, "{row}: it does not even ask for its turn");
    }
    assert_eq!(held_key().config.spec.credential_provider, CredentialProvider::Default);
}

#[test]
fn the_keys_of_dss_stay_while_the_secret_keeps_its_key() {
    let place = crate::dss_keys::KeyPlace { instance: "design".into(), exists: true, keys: None };
    let mut seen = held();
    seen.key_places = vec![place];
    assert_eq!(decide(&seen, at(1)).surplus_keys, vec![]);
    let ended = decide(&seen, at(45));
    assert_eq!(ended.surplus_keys.len(), 1, "they go with the credential: {:?}", ended.next);
}

#[test]
fn a_hold_lasts_an_hour_or_as_long_as_the_session() {
    let seen = without_grant();
    let session = hold(&seen, seen.target.record().unwrap(), now());
    assert_eq!(session, WithdrawalHeld { since: Time(now()), until: Time(at(45)) });
    let key = held_key();
    let key = hold(&key, key.target.record().unwrap(), at(30));
    assert_eq!(key, WithdrawalHeld { since: Time(now()), until: Time(at(60)) }, "from the first hold on");
}

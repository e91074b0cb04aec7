//! Of several configs, the oldest come first: for the name of a Secret, and for the room in a
//! namespace.

use super::*;

fn created(name: &str, uid: &str, at: &str, deleted: bool) -> Arc<AwsConfig> {
    let mut config = AwsConfig::new(name, from_value(json!({"person": name})).unwrap());
    config.metadata.uid = Some(uid.to_owned());
    config.metadata.creation_timestamp = Some(Time(at.parse().unwrap()));
    config.metadata.deletion_timestamp = deleted.then(|| Time(now()));
    Arc::new(config)
}

#[test]
fn only_the_oldest_config_creates_a_secret_that_several_ask_for() {
    let secret = healthy().target;
    for (case, target, expected) in [
        ("the Secret is gone", Target::Absent, "Blocked by bob"),
        ("the Secret may be there", Target::NotWatched, "Read(Target)"),
        ("the Secret is bob's", Target::Foreign { owner: "bob's".into(), is_marked: false }, "Blocked"),
        ("the younger config has the Secret", secret, "Keep"),
    ] {
        let mut seen = healthy();
        (seen.target, seen.older_claim) = (target, Some("bob".to_owned()));
        assert_eq!(next(&seen, now()), expected, "{case}");
    }
}

#[test]
fn the_oldest_other_config_has_the_older_claim() {
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
    for (case, others, expected) in [
        ("nobody else asks for it", vec![], None),
        ("an older one", vec![created("bob", "9", early, false)], Some("bob")),
        ("a younger one", vec![created("bob", "1", "2026-01-02T00:00:00Z", false)], None),
        ("the same second, a smaller UID", vec![created("bob", "4", late, false)], Some("bob")),
        ("the same second, a larger UID", vec![created("bob", "6", late, false)], None),
        ("an older one that is being deleted", vec![created("bob", "9", early, true)], None),
        ("two older ones", vec![created("bob", "9", early, false), created("carol", "8", early, false)], Some("carol")),
    ] {
        let alice = created("alice", "5", late, false);
        let asking = [vec![alice.clone()], others].concat();
        assert_eq!(older_claim(&alice, asking.clone()).as_deref(), expected, "{case}");
    }
}

#[test]
fn the_newest_configs_are_beyond_the_limit() {
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
    let configs = [
        created("a", "3", early, false),
        created("b", "1", late, false),
        created("c", "2", late, false),
        created("d", "0", early, true),
    ];
    for (row, limit, expected) in [
        ("no limit", None, [None, None, None]),
        ("one: by time", Some(1), [None, Some(1), Some(1)]),
        ("two: by UID within a second", Some(2), [None, None, Some(2)]),
        ("three: one that is being deleted does not count", Some(3), [None, None, None]),
    ] {
        let beyond = [0, 1, 2].map(|at| beyond_limit(&configs[at], limit, || configs.clone()));
        assert_eq!(beyond, expected, "{row}");
    }
}

#[test]
fn a_config_beyond_the_limit_keeps_what_it_has() {
    let rows: [(&str, Disturbance, &str); 6] = [
        ("at rest", |_| {}, "Keep"),
        ("due", |seen| record(seen).issued_at = issued_at() - SignedDuration::from_hours(2), "Issue(Due)"),
        ("edited", |seen| ours(seen).content = data_read(false, false), "Issue(Drifted)"),
        ("suspended", |seen| config(seen, |c| c.spec.suspend = true), "Withdraw(Suspended)"),
        ("no grant", |seen| seen.grants.clear(), "Withdraw(NotGranted)"),
        ("denied", |seen| denied(seen, Some(ROLE)), "Withdraw(Denied)"),
    ];
    for (row, disturb, expected) in rows {
        let mut seen = healthy();
        seen.beyond_limit = Some(50);
        disturb(&mut seen);
        assert_eq!(next(&seen, now()), expected, "{row}");
    }
}

#[test]
fn a_config_beyond_the_limit_gets_nothing_and_is_told_what_to_do() {
    for (row, target) in [("no Secret", Target::Absent), ("not watched", Target::NotWatched)] {
        let mut seen = fresh();
        (seen.target, seen.beyond_limit) = (target, Some(50));
        let plan = decide(&seen, now());
        assert_eq!(plan.next, SecretAction::Keep.into(), "{row}");
        let why = plan.accepted.unwrap_err().why;
        assert_eq!(why.reason, Reason::TooManyConfigs, "{row}");
        for words in ["namespace \"scoring\"", "room for 50", "delete one", "limits.awsConfigsPerNamespace"] {
            assert!(why.message.contains(words), "{row}: {}", why.message);
        }
    }
}

//! The limit of the number of configs in a namespace.

use super::*;

fn created(name: &str, uid: &str, at: &str, deleted: bool) -> AwsConfig {
    let mut config = AwsConfig::new(name, from_value(json!({"person": name})).unwrap());
    config.metadata.uid = Some(uid.to_owned());
    config.metadata.creation_timestamp = Some(Time(at.parse().unwrap()));
    config.metadata.deletion_timestamp = deleted.then(|| Time(now()));
    config
}

#[test]
fn the_newest_configs_are_beyond_the_limit() {
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
    let configs = [
        created("a", "3", early, false),
        created("b", "1", late, false),
        created("c", "2", late, false),
        created("d", "0", early, true),
    ]
    .map(Arc::new);
    for (row, limit, expected) in [
        ("no limit", None, [None, None, None]),
        ("one: by time", Some(1), [None, Some(1), Some(1)]),
        ("two: by UID within a second", Some(2), [None, None, Some(2)]),
        ("three: one that is being deleted does not count", Some(3), [None, None, None]),
    ] {
        let beyond = [0, 1, 2].map(|at| beyond_limit(&configs[at], &configs, limit));
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

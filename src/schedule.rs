//! When: pure functions from times and counts to the next point in time.
//!
//! Nothing here is random. What has to differ between objects, so that ten thousand born together do not renew
//! together, is a hash of the object's UID: the same after every restart, and the same in every test.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

/// The part of a credential's lifetime after which it is renewed lies between these, in thousandths. Of an hour at
/// least 18 minutes are left: botocore asks `credential_process` again at every call once less than 15 are, and the
/// kubelet needs up to 2 to bring the new file into the pod.
const RENEWAL_WINDOW: (i64, i64) = (550, 700);
/// However long `renewBefore` is: no renewal before this part of the lifetime has passed, in thousandths.
/// STS may grant less than was asked for, and a margin longer than the lifetime would issue for ever.
const EARLIEST_RENEWAL: i64 = 300;

const SLOW: (i64, i64) = (30, 600);
const FAST: (i64, i64) = (1, 60);
const REPAIR: (i64, i64) = (1, 300);
const REPAIRS_AT_ONCE: i32 = 5;

/// How long a config that is being deleted waits for its API keys to be deleted in DSS, while one leader tries.
pub const GIVE_UP: SignedDuration = SignedDuration::from_hours(1);
/// How long somebody who asks to be left alone is, at most: what they say may be a mistake.
pub const LONGEST_WISH: SignedDuration = SignedDuration::from_mins(10);
/// How long it waits at most, whoever leads.
pub const GIVE_UP_AT_LAST: SignedDuration = SignedDuration::from_hours(24);
/// How long even then a leader tries that has just begun.
const A_TRY: SignedDuration = SignedDuration::from_mins(1);
/// How long a Secret that is not ours is left alone before it is looked at again.
pub const FOREIGN_TARGET: SignedDuration = SignedDuration::from_mins(5);
/// How long a reconcile that waits for somebody to change something sleeps. Watches wake it sooner; this is for a lost event.
pub const RESYNC: SignedDuration = SignedDuration::from_mins(10);
/// How long something that will be seen in a moment is waited for.
pub const PENDING: SignedDuration = SignedDuration::from_secs(2);
/// After this time without a repair the next one counts as the first.
pub const CALM: SignedDuration = SignedDuration::from_mins(10);

/// When a credential is renewed: after 55 to 70 % of its lifetime, fixed for each object, or `renew_before` its end.
/// Whole seconds, and at least one.
#[must_use]
pub fn renew_at(
    uid: &str,
    issued_at: Timestamp,
    expires_at: Timestamp,
    renew_before: Option<SignedDuration>,
) -> Timestamp {
    let lifetime = expires_at.duration_since(issued_at).as_secs().max(0);
    let (from, to) = RENEWAL_WINDOW;
    let after = renew_before.map_or_else(
        || lifetime * (from + spread(uid, 0) % (to - from + 1)) / 1000,
        |margin| (lifetime - margin.as_secs()).max(lifetime * EARLIEST_RENEWAL / 1000),
    );
    let at = issued_at.saturating_add(SignedDuration::from_secs(after.max(1))).unwrap_or(expires_at);
    crate::clock::whole_seconds(at)
}

/// How long to wait after the `count`th failure that somebody has to mend: 30 s, doubling to 10 min.
#[must_use]
pub fn slow_delay(count: i32) -> SignedDuration {
    SignedDuration::from_secs(doubled(SLOW, count))
}

/// How long to wait after the `count`th failure that will pass: 1 s doubling to 60 s, of which half is jitter.
#[must_use]
pub fn fast_delay(uid: &str, count: i32) -> SignedDuration {
    let longest = doubled(FAST, count) * 1000;
    SignedDuration::from_millis(longest / 2 + spread(uid, count) % (longest / 2 + 1))
}

/// How long to wait before the repair after `count` repairs in a row: not at all for the first few, which may be a
/// person trying things out; then, which is a war with another writer, 1 s doubling to 5 min.
#[must_use]
pub fn repair_delay(count: i32) -> SignedDuration {
    let beyond = count - REPAIRS_AT_ONCE;
    if beyond < 0 { SignedDuration::ZERO } else { SignedDuration::from_secs(doubled(REPAIR, beyond + 1)) }
}

/// Whether what was deleted at `deleted` is not waited for any longer by a leader that began at `started`: it has tried for an
/// hour, or all leaders together had a day, and this one a minute of it.
#[must_use]
pub fn is_given_up(deleted: Timestamp, started: Timestamp, now: Timestamp) -> bool {
    let tried = now.duration_since(deleted.max(started));
    tried > GIVE_UP || (tried > A_TRY && now.duration_since(deleted) > GIVE_UP_AT_LAST)
}

/// A part of a length of time that is fixed for an object.
#[must_use]
pub fn part_of(length: SignedDuration, uid: &str) -> SignedDuration {
    SignedDuration::from_secs(length.as_secs() * (spread(uid, 0) % 1000) / 1000)
}

fn doubled((first, most): (i64, i64), count: i32) -> i64 {
    let doublings = u32::try_from(count.max(1) - 1).unwrap_or_default().min(20);
    (first << doublings).min(most)
}

/// A number from 0 to 2^32 - 1 that is fixed for an object and a count.
fn spread(uid: &str, count: i32) -> i64 {
    let hash = Sha256::new().chain_update(uid).chain_update(count.to_be_bytes()).finalize();
    i64::from(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    proptest! {
        #[test]
        fn a_credential_is_renewed_after_55_to_70_percent_of_its_lifetime(uid in "[a-f0-9-]{36}", lifetime in 100_i64..43_200) {
            let at = renew_at(&uid, start(), start() + SignedDuration::from_secs(lifetime), None);
            let after = at.duration_since(start()).as_secs();
            prop_assert!(after >= lifetime * 55 / 100 - 1 && after <= lifetime * 70 / 100, "{after} of {lifetime}");
            prop_assert_eq!(at.subsec_nanosecond(), 0);
        }

        #[test]
        fn whatever_the_margin_a_renewal_comes_after_the_issue_and_before_the_expiry(margin in 1_i64..50_000, lifetime in 4_i64..43_200) {
            let expires_at = start() + SignedDuration::from_secs(lifetime);
            let at = renew_at("uid", start(), expires_at, Some(SignedDuration::from_secs(margin)));
            prop_assert!(at > start() && at < expires_at, "{at}");
        }
    }

    #[test]
    fn objects_are_spread_over_the_whole_window() {
        let hour = start() + SignedDuration::from_hours(1);
        let minutes: std::collections::BTreeSet<i64> = (0..1000)
            .map(|n| renew_at(&n.to_string(), start(), hour, None).duration_since(start()).as_secs() / 60)
            .collect();
        assert_eq!(minutes, (33..=42).collect());
    }

    #[test]
    fn a_margin_is_kept_where_the_lifetime_allows_it() {
        let hour = start() + SignedDuration::from_hours(1);
        let at = renew_at("uid", start(), hour, Some(SignedDuration::from_mins(20)));
        assert_eq!(at, start() + SignedDuration::from_mins(40));
    }

    #[test]
    fn slow_failures_wait_30_seconds_doubling_to_10_minutes() {
        let waits: Vec<i64> = (1..=7).map(|count| slow_delay(count).as_secs()).collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(slow_delay(i32::MAX).as_secs(), 600);
    }

    #[test]
    fn fast_failures_wait_seconds_and_never_all_the_same() {
        let waits: std::collections::BTreeSet<_> =
            (0..100).map(|n| fast_delay(&n.to_string(), 4).as_millis()).collect();
        assert!(waits.len() > 50 && waits.iter().all(|ms| (4_000..=8_000).contains(ms)), "{waits:?}");
        assert!(fast_delay("uid", 100).as_secs() <= 60);
    }

    #[test]
    fn what_is_deleted_is_given_up_after_an_hour_of_one_leader_or_a_day_of_many() {
        let minutes = SignedDuration::from_mins;
        let given_up = |began: i64, now: i64| is_given_up(start(), start() + minutes(began), start() + minutes(now));
        assert!(!given_up(-500, 60) && given_up(-500, 61), "it began long before");
        assert!(!given_up(30, 90) && given_up(30, 91), "it began later");
        assert!(
            !given_up(24 * 60 - 50, 24 * 60) && given_up(24 * 60 - 50, 24 * 60 + 1),
            "who led before does not matter"
        );
        assert!(!given_up(48 * 60, 48 * 60 + 1) && given_up(48 * 60, 48 * 60 + 2), "it tries itself first");
    }

    #[test]
    fn the_first_repairs_are_at_once_and_a_war_is_slow() {
        let waits: Vec<i64> = (0..9).map(|count| repair_delay(count).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8]);
        assert_eq!(repair_delay(100).as_secs(), 300);
        assert_eq!(repair_delay(i32::MAX).as_secs(), 300);
    }
}

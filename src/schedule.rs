//! Schedules: pure functions from times and counts to the next time.
//!
//! Nothing here is random. A hash of the object's UID spreads the times, because ten thousand
//! objects that were created together must not renew together. The hash is the same after every
//! restart, and the same in every test.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// keyturn renews a credential after a part of its lifetime that lies between these bounds, in
/// thousandths. Of an hour, at least 18 minutes are then left. botocore asks `credential_process`
/// again at every call once less than 15 minutes are left, and the kubelet needs up to 2 minutes to
/// bring the new file into the pod.
const RENEWAL_WINDOW: (i64, i64) = (550, 700);
/// keyturn never renews before this part of the lifetime has passed, in thousandths, however long
/// `renewBefore` is. STS may grant less than keyturn asked for, and a margin longer than the
/// lifetime would cause endless issues.
const EARLIEST_RENEWAL: i64 = 300;

/// The first and the longest wait after durable failures, in seconds.
const SLOW: (i64, i64) = (30, 600);
/// The first and the longest wait after transient failures, in seconds.
const FAST: (i64, i64) = (1, 60);
/// The first and the longest wait before a repair in a fight with another writer, in seconds.
const REPAIR: (i64, i64) = (1, 300);
/// The number of consecutive repairs that are made without a wait.
const REPAIRS_AT_ONCE: i32 = 5;

/// The number of times that keyturn asks outside systems for one object without a wait, and the
/// time after which it may ask once more, in seconds.
const ASKED: (i64, i64) = (5, 10);

/// The longest time for which one leader tries to delete the API keys of a config that is
/// being deleted.
pub const GIVE_UP: SignedDuration = SignedDuration::from_hours(1);
/// The upper bound on a server's `Retry-After`, because the server may send a wrong value.
pub const LONGEST_WISH: SignedDuration = SignedDuration::from_mins(10);
/// The longest time, over all leaders, for which a config that is being deleted waits for its API
/// keys to be deleted.
pub const GIVE_UP_AT_LAST: SignedDuration = SignedDuration::from_hours(24);
/// The time for which a new leader tries, even after [`GIVE_UP_AT_LAST`].
const SHORTEST_TRY: SignedDuration = SignedDuration::from_mins(1);
/// The time after which keyturn reads a Secret of another owner again.
pub const FOREIGN_TARGET: SignedDuration = SignedDuration::from_mins(5);
/// The time after which a config that waits for somebody's change is requeued. A watch event
/// enqueues it sooner; this time covers a lost event.
pub const RESYNC: SignedDuration = SignedDuration::from_mins(10);
/// The time after which a config is requeued if it waits for something that keyturn will see in a
/// moment.
pub const PENDING: SignedDuration = SignedDuration::from_secs(2);
/// The time after which a config that waits for its turn in the budget of STS is reconciled all the
/// same. The budget has it reconciled sooner; this time covers a turn that was lost.
pub const TURN: SignedDuration = SignedDuration::from_mins(1);
/// The time for which keyturn relies on having seen no Secret of the target's name before a first
/// issue. It is longer than the wait for a turn ([`TURN`]).
pub const LOOKED: SignedDuration = SignedDuration::from_mins(2);
/// The time before the end of a confirmation at which a condition begins to warn.
pub const CONFIRMATION_WARNING: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A confirmation may be this long in the future, because the clock of its author may be ahead.
pub const CONFIRMATION_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// After this time without a repair, the next repair counts as the first.
pub const CALM: SignedDuration = SignedDuration::from_mins(10);

/// The time at which keyturn renews a credential. Without `renew_before` that is after 55 to 70 %
/// of the lifetime, at a point that is fixed for each object. With `renew_before` it is that long
/// before the expiry, and not before 30 % of the lifetime. The time is in whole seconds, and at
/// least one second after the issue.
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

/// Whether so much of the lifetime of a session has passed that keyturn may renew it along with
/// another one of the same Secret.
#[must_use]
pub fn may_renew(issued_at: Timestamp, expires_at: Timestamp, now: Timestamp) -> bool {
    let lifetime = expires_at.duration_since(issued_at).as_secs().max(0);
    now.duration_since(issued_at).as_secs() >= lifetime * EARLIEST_RENEWAL / 1000
}

/// The wait after the `count`th consecutive durable failure: 30 s, doubling up to 10 min.
#[must_use]
pub fn durable_delay(count: i32) -> SignedDuration {
    SignedDuration::from_secs(doubled(SLOW, count))
}

/// The wait after the `count`th consecutive transient failure. Its upper bound is 1 s, doubling up
/// to 60 s. A hash of the UID and the count chooses a wait between half of the bound and the bound.
#[must_use]
pub fn transient_delay(uid: &str, count: i32) -> SignedDuration {
    let longest = doubled(FAST, count) * 1000;
    SignedDuration::from_millis(longest / 2 + spread(uid, count) % (longest / 2 + 1))
}

/// The wait before the next repair, after `count` consecutive repairs. The first five repairs are
/// made at once, because a person may be trying things out. Later ones are a fight with another
/// writer, and wait 1 s, doubling up to 5 min.
#[must_use]
pub fn repair_delay(count: i32) -> SignedDuration {
    let beyond = count - REPAIRS_AT_ONCE;
    if beyond < 0 { SignedDuration::ZERO } else { SignedDuration::from_secs(doubled(REPAIR, beyond + 1)) }
}

/// The time until which one object has used up its requests to outside systems, after one more at
/// `now`. Each request uses up 10 s. `before` is that time before this request.
#[must_use]
pub fn used_until(before: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let (_, seconds) = ASKED;
    let from = before.map_or(now, |before| before.max(now));
    from.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(from)
}

/// The time before which keyturn does not ask an outside system again for an object that has used
/// up its requests until `used_until`. keyturn asks five times without a wait, because a person may
/// be trying things out, and then once in 10 s.
#[must_use]
pub fn asks_again_at(used_until: Timestamp) -> Timestamp {
    let (at_once, seconds) = ASKED;
    used_until.saturating_sub(SignedDuration::from_secs((at_once - 1) * seconds)).unwrap_or(used_until)
}

/// Whether a leader that started at `started` gives up the cleanup of an object that was deleted at
/// `deleted`. The leader gives up after it has tried for more than an hour ([`GIVE_UP`]). If the
/// deletion is more than a day old ([`GIVE_UP_AT_LAST`]), it gives up after a minute.
#[must_use]
pub fn is_given_up(deleted: Timestamp, started: Timestamp, now: Timestamp) -> bool {
    let tried = now.duration_since(deleted.max(started));
    tried > GIVE_UP || (tried > SHORTEST_TRY && now.duration_since(deleted) > GIVE_UP_AT_LAST)
}

/// A part of a duration, below 100 %, that is fixed for an object.
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

/// Returns the time from `now` to the next reconcile. If `next` is `None`, it is
/// [`RESYNC`].
#[must_use]
pub fn until(now: Timestamp, next: Option<Timestamp>) -> Duration {
    let wait = next.map_or(RESYNC, |next| next.duration_since(now));
    Duration::try_from(wait).unwrap_or_default()
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
        fn a_renewal_is_between_issue_and_expiry_whatever_the_margin(margin in 1_i64..50_000, lifetime in 4_i64..43_200) {
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
    fn durable_failures_wait_30_seconds_doubling_to_10_minutes() {
        let waits: Vec<i64> = (1..=7).map(|count| durable_delay(count).as_secs()).collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(durable_delay(i32::MAX).as_secs(), 600);
    }

    #[test]
    fn transient_failures_wait_seconds_that_differ_between_objects() {
        let waits: std::collections::BTreeSet<_> =
            (0..100).map(|n| transient_delay(&n.to_string(), 4).as_millis()).collect();
        assert!(waits.len() > 50 && waits.iter().all(|ms| (4_000..=8_000).contains(ms)), "{waits:?}");
        assert!(transient_delay("uid", 100).as_secs() <= 60);
    }

    #[test]
    fn a_leader_gives_up_after_an_hour_and_all_leaders_after_a_day() {
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
    fn an_object_is_asked_for_five_times_at_once_and_then_once_in_ten_seconds() {
        let (mut used, mut asked) = (None, vec![]);
        for second in 0..60 {
            let now = start() + SignedDuration::from_secs(second);
            while used.is_none_or(|used| asks_again_at(used) <= now) {
                used = Some(used_until(used, now));
                asked.push(second);
            }
        }
        assert_eq!(asked, [0, 0, 0, 0, 0, 10, 20, 30, 40, 50]);
        let later = start() + SignedDuration::from_hours(1);
        let after_rest = (0..5).fold(used, |used, _| Some(used_until(used, later)));
        assert_eq!(after_rest.map(asks_again_at), Some(later + SignedDuration::from_secs(10)), "five again");
    }

    #[test]
    fn the_first_repairs_are_made_at_once_and_later_ones_wait() {
        let waits: Vec<i64> = (0..9).map(|count| repair_delay(count).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8]);
        assert_eq!(repair_delay(100).as_secs(), 300);
        assert_eq!(repair_delay(i32::MAX).as_secs(), 300);
    }
}

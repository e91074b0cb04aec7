//! The content of a lease, and the decision about it. Pure.
//!
//! The times in a lease are for people to read. A replica that waits for the end of a lease
//! measures with its own clock how long the lease has not changed. Replicas whose clocks disagree
//! therefore still agree on the leader.

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::api::ObjectMeta;
use std::time::Duration;
use tokio::time::Instant;

/// The time after which a lease that is not renewed may be taken.
pub(super) const DURATION: Duration = Duration::from_secs(15);

/// The lease as one replica has seen it.
#[derive(Debug, Default)]
pub(super) struct Sight {
    last: Option<(LeaseSpec, Instant)>,
}

/// The decision about the lease.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Take it: it has no holder, or its holder has let it run out.
    Take,
    /// Renew it: this replica holds it.
    Renew,
    /// Wait: another replica holds it.
    Wait {
        /// The identity of the holder.
        holder: String,
    },
}

impl Sight {
    /// The decision about the lease at `now`, by our own clock. `lease` is `None` if the lease does
    /// not exist.
    pub(super) fn judge(&mut self, lease: Option<&Lease>, identity: &str, now: Instant) -> Verdict {
        if let Some(lease) = lease {
            let spec = lease.spec.clone().unwrap_or_default();
            if self.last.as_ref().is_none_or(|(last, _)| *last != spec) {
                self.last = Some((spec, now));
            }
        }
        // A lease that somebody deleted is not free at once, because its holder does not know of
        // the deletion yet.
        let Some((spec, since)) = &self.last else { return Verdict::Take };
        match spec.holder_identity.as_deref() {
            None | Some("") => Verdict::Take,
            Some(holder) if holder == identity => lease.map_or(Verdict::Take, |_| Verdict::Renew),
            Some(_) if now.saturating_duration_since(*since) >= length(spec) => Verdict::Take,
            Some(holder) => Verdict::Wait { holder: holder.to_owned() },
        }
    }
}

/// The time within which the holder promised to renew.
fn length(spec: &LeaseSpec) -> Duration {
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(DURATION, Duration::from_secs)
}

/// The lease as its holder writes it, based on the lease before.
pub(super) fn claimed(name: &str, identity: &str, before: Option<Lease>, now: Timestamp) -> Lease {
    let mut lease = before.unwrap_or_else(|| Lease {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        spec: None,
    });
    let before = lease.spec.take();
    let is_ours = before.as_ref().is_some_and(|spec| spec.holder_identity.as_deref() == Some(identity));
    let transitions = before.as_ref().map(|spec| spec.lease_transitions.unwrap_or_default());
    let acquired = before.and_then(|spec| spec.acquire_time).filter(|_| is_ours);
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: acquired.or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions.map_or(0, |count| count.saturating_add(i32::from(!is_ours)))),
        ..LeaseSpec::default()
    });
    lease
}

/// The lease without a holder. Any replica that sees it takes it at once.
pub(super) fn released(mut lease: Lease, now: Timestamp) -> Lease {
    let spec = lease.spec.take().unwrap_or_default();
    lease.spec =
        Some(LeaseSpec { holder_identity: None, acquire_time: None, renew_time: Some(MicroTime(now)), ..spec });
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn held_by(identity: &str, renewed: i64) -> Lease {
        claimed("keyturn", identity, None, at(renewed))
    }

    fn waits_for(holder: &str) -> Verdict {
        Verdict::Wait { holder: holder.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_not_there_or_that_nobody_holds_is_taken() {
        let now = Instant::now();
        assert_eq!(Sight::default().judge(None, "a", now), Verdict::Take);
        assert_eq!(Sight::default().judge(Some(&Lease::default()), "a", now), Verdict::Take);
        let released = released(held_by("b", 0), at(1));
        assert_eq!(Sight::default().judge(Some(&released), "a", now), Verdict::Take);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_of_another_is_taken_after_its_duration_without_change() {
        let (start, mut sight) = (Instant::now(), Sight::default());
        let after = |seconds| start + Duration::from_secs(seconds);
        // The lease's own times do not count, because clocks may disagree.
        assert_eq!(sight.judge(Some(&held_by("b", -10_000)), "a", start), waits_for("b"));
        assert_eq!(sight.judge(Some(&held_by("b", -10_000)), "a", after(14)), waits_for("b"));
        assert_eq!(sight.judge(Some(&held_by("b", 7)), "a", after(15)), waits_for("b"), "it was renewed");
        assert_eq!(sight.judge(Some(&held_by("b", 7)), "a", after(29)), waits_for("b"));
        assert_eq!(sight.judge(Some(&held_by("b", 7)), "a", after(30)), Verdict::Take);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_lasts_as_long_as_its_holder_says() {
        let (start, mut sight) = (Instant::now(), Sight::default());
        let mut lease = held_by("b", 0);
        lease.spec.as_mut().unwrap().lease_duration_seconds = Some(60);
        assert_eq!(sight.judge(Some(&lease), "a", start), waits_for("b"));
        assert_eq!(sight.judge(Some(&lease), "a", start + Duration::from_secs(59)), waits_for("b"));
        assert_eq!(sight.judge(Some(&lease), "a", start + Duration::from_secs(60)), Verdict::Take);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_lease_is_its_holder_s_until_it_would_have_run_out() {
        let (start, mut sight) = (Instant::now(), Sight::default());
        assert_eq!(sight.judge(Some(&held_by("b", 0)), "a", start), waits_for("b"));
        assert_eq!(sight.judge(None, "a", start + Duration::from_secs(14)), waits_for("b"));
        assert_eq!(sight.judge(None, "a", start + Duration::from_secs(15)), Verdict::Take);
        let mut holder = Sight::default();
        assert_eq!(holder.judge(Some(&held_by("b", 0)), "b", start), Verdict::Renew);
        assert_eq!(holder.judge(None, "b", start), Verdict::Take, "the holder may write it again");
    }

    #[test]
    fn a_lease_counts_its_holders_and_says_since_when() {
        let first = held_by("a", 0);
        let renewed = claimed("keyturn", "a", Some(first.clone()), at(2)).spec.unwrap();
        assert_eq!((renewed.lease_transitions, renewed.acquire_time), (Some(0), Some(MicroTime(at(0)))));
        assert_eq!(renewed.renew_time, Some(MicroTime(at(2))));
        let taken = claimed("keyturn", "b", Some(first), at(30)).spec.unwrap();
        assert_eq!((taken.lease_transitions, taken.acquire_time), (Some(1), Some(MicroTime(at(30)))));
        let after_release = claimed("keyturn", "c", Some(released(held_by("a", 0), at(1))), at(2)).spec.unwrap();
        assert_eq!((after_release.lease_transitions, after_release.lease_duration_seconds), (Some(1), Some(15)));
    }
}

//! What a lease says and what is to be done about it: pure.
//!
//! Times in a lease are for people to read. Whoever waits for it to run out measures with its own clock how long it has
//! seen no change, so that replicas whose clocks disagree still agree on who leads.

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::api::ObjectMeta;
use std::time::Duration;
use tokio::time::Instant;

/// How long a lease that is not renewed keeps others out.
pub(super) const DURATION: Duration = Duration::from_secs(15);

/// What one replica has seen of the lease.
#[derive(Debug, Default)]
pub(super) struct Sight {
    last: Option<(LeaseSpec, Instant)>,
}

/// What is to be done about the lease.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody holds it, or whoever did has let it run out.
    Take,
    /// It is ours.
    Renew,
    /// It is somebody else's.
    Wait {
        /// Whose.
        holder: String,
    },
}

impl Sight {
    /// What to do about the lease as it is `now`, by our own clock; `None` if there is none.
    pub(super) fn judge(&mut self, lease: Option<&Lease>, identity: &str, now: Instant) -> Verdict {
        if let Some(lease) = lease {
            let spec = lease.spec.clone().unwrap_or_default();
            if self.last.as_ref().is_none_or(|(last, _)| *last != spec) {
                self.last = Some((spec, now));
            }
        }
        // A lease that somebody deleted is not free at once: whoever held it does not know yet.
        let Some((spec, since)) = &self.last else { return Verdict::Take };
        match spec.holder_identity.as_deref() {
            None | Some("") => Verdict::Take,
            Some(holder) if holder == identity => lease.map_or(Verdict::Take, |_| Verdict::Renew),
            Some(_) if now.saturating_duration_since(*since) >= length(spec) => Verdict::Take,
            Some(holder) => Verdict::Wait { holder: holder.to_owned() },
        }
    }
}

/// What its holder promised to renew it within.
fn length(spec: &LeaseSpec) -> Duration {
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(DURATION, Duration::from_secs)
}

/// The lease as its holder writes it, over what there was.
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

/// The lease without a holder: whoever sees it takes it at once.
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
    async fn a_lease_of_another_is_taken_when_it_has_not_changed_for_as_long_as_it_lasts() {
        let (start, mut sight) = (Instant::now(), Sight::default());
        let after = |seconds| start + Duration::from_secs(seconds);
        // However old it says that it is: clocks may disagree.
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
    async fn a_lease_that_was_deleted_is_still_its_holder_s_until_it_would_have_run_out() {
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

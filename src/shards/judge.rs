//! Whether a shard may begin, as the Leases of the others say.

use super::{
    Shard, Standing,
    announcement::{Announced, read},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use std::fmt;

/// The time for which a Lease counts after its last renewal. A leader stops 10 s after it, and
/// another replica takes the Lease after 15 s ([`crate::leader`]). The rest is for clocks that
/// differ, and for a shard all of whose pods restart: another shard must not take over its
/// namespaces then.
pub const COUNTS: SignedDuration = SignedDuration::from_mins(5);

/// The decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// No other shard serves what this one serves.
    Begin,
    /// Another shard looks at the same time, and its Lease has a later name: it yields, or says
    /// that it serves.
    Wait {
        /// The name of its Lease.
        lease: String,
    },
    /// Another shard serves some of the same, or might.
    Yield(Overlap),
}

/// Two shards that must not run at the same time. The text is one line for an admin.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct Overlap(Box<Parties>);

#[derive(Clone, Debug, PartialEq)]
struct Parties {
    own: Shard,
    other: Shard,
    lease: String,
    holder: String,
    counts_until: Option<Timestamp>,
}

/// Decides whether `own`, which has announced in its Lease `own_lease` that it looks, may begin.
/// `leases` are the Leases in the namespace of that Lease. Leases that announce no shard, and those
/// of shards that are long gone, do not count.
#[must_use]
pub fn judge(own: &Shard, own_lease: &str, leases: &[Lease], now: Timestamp) -> Answer {
    let refused = refused(own, own_lease, leases, now);
    let decides = |other: &&Announced| other.standing == Standing::Serving || other.lease.as_str() < own_lease;
    match (refused.iter().find(decides), refused.first()) {
        (Some(other), _) => Answer::Yield(Overlap::of(own, other)),
        (None, Some(other)) => Answer::Wait { lease: other.lease.clone() },
        (None, None) => Answer::Begin,
    }
}

/// A shard that works, or is about to, and that `own` must not run beside. A process asks this at
/// its start, before it has announced anything.
#[must_use]
pub fn overlap(own: &Shard, own_lease: &str, leases: &[Lease], now: Timestamp) -> Option<Overlap> {
    refused(own, own_lease, leases, now).first().map(|other| Overlap::of(own, other))
}

/// The other shards that must not run at the same time.
fn refused(own: &Shard, own_lease: &str, leases: &[Lease], now: Timestamp) -> Vec<Announced> {
    let counted = leases.iter().filter_map(read).filter(|it| it.lease != own_lease && it.counts(now));
    counted.filter(|other| is_refused(own, &other.shard)).collect()
}

/// Whether two shards must not run at the same time.
fn is_refused(own: &Shard, other: &Shard) -> bool {
    !own.namespaces.excludes(&other.namespaces) || both_own(own, other)
}

/// Whether two shards would both write what belongs to the whole cluster. Releases without shards
/// may: each handles the instances that are used in its namespaces.
fn both_own(own: &Shard, other: &Shard) -> bool {
    own.owns_cluster && other.owns_cluster && (own.is_named() || other.is_named())
}

impl Overlap {
    fn of(own: &Shard, other: &Announced) -> Self {
        Self(Box::new(Parties {
            own: own.clone(),
            lease: other.lease.clone(),
            holder: other.holder.clone(),
            counts_until: other.counts_until(),
            other: other.shard.clone(),
        }))
    }
}

impl Announced {
    fn counts_until(&self) -> Option<Timestamp> {
        self.renewed?.checked_add(COUNTS).ok()
    }

    fn counts(&self, now: Timestamp) -> bool {
        self.counts_until().is_some_and(|until| now < until)
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parties { own, other, lease, holder, counts_until } = &*self.0;
        let of = |shard: &Shard| match (shard.name.as_str(), shard.namespaces.to_string().as_str()) {
            ("", "") => "keyturn without a shard's name, which serves every namespace".to_owned(),
            ("", selector) => format!("keyturn without a shard's name, which serves the namespaces \"{selector}\""),
            (name, "") => format!("the shard \"{name}\", which serves every namespace"),
            (name, selector) => format!("the shard \"{name}\", which serves the namespaces \"{selector}\""),
        };
        let holder = if holder.is_empty() { "nobody" } else { holder };
        write!(f, "{}, does not start beside {} (Lease {lease}, held by {holder}): ", of(own), of(other))?;
        if own.namespaces.excludes(&other.namespaces) {
            f.write_str("both own what belongs to the whole cluster; leave --shard-owns-cluster to one of them")?;
        } else {
            f.write_str(
                "a namespace may be in both; choose the namespaces so that the requirements on one label exclude each other, \
                 e.g. team in (a) and team notin (a)",
            )?;
        }
        match counts_until {
            Some(until) => write!(
                f,
                "; if the other is no longer installed, delete its Lease, or wait until {}",
                until.strftime("%Y-%m-%dT%H:%M:%SZ")
            ),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shards::announces;
    use k8s_openapi::{api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime};
    use kube::api::ObjectMeta;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn shard(name: &str, namespaces: &str, owns_cluster: bool) -> Shard {
        Shard { name: name.to_owned(), namespaces: namespaces.parse().unwrap(), owns_cluster }
    }

    /// The Lease `keyturn-<name>` of a shard, last renewed at the second 0.
    fn lease(of: &Shard, standing: Standing) -> Lease {
        let name = if of.is_named() { format!("keyturn-{}", of.name) } else { "keyturn".to_owned() };
        let mut lease = Lease {
            metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec {
                holder_identity: Some(format!("{name}-0_1")),
                renew_time: Some(MicroTime(at(0))),
                ..LeaseSpec::default()
            }),
        };
        announces(&mut lease.metadata, Some((of, standing)));
        lease
    }

    fn judged(own: &Shard, leases: &[Lease], seconds: i64) -> String {
        match judge(own, &format!("keyturn-{}", own.name), leases, at(seconds)) {
            Answer::Begin => "begin".to_owned(),
            Answer::Wait { lease } => format!("wait for {lease}"),
            Answer::Yield(overlap) => overlap.to_string(),
        }
    }

    #[test]
    fn a_shard_yields_to_another_that_serves_some_of_the_same() {
        let b = shard("b", "team=b", false);
        for (case, other, yields) in [
            ("another team", shard("a", "team=a", true), false),
            ("the same team", shard("a", "team in (a,b)", true), true),
            ("another label", shard("a", "zone=x", true), true),
            ("everything", shard("a", "", true), true),
            ("without a name, everything", shard("", "", true), true),
            ("without a name, other namespaces", shard("", "team=a", true), false),
        ] {
            let said = judged(&b, &[lease(&other, Standing::Serving)], 10);
            assert_eq!(said != "begin", yields, "{case}: {said}");
            assert!(!said.contains('\n'), "{case}: {said}");
        }
        assert_eq!(judged(&b, &[], 10), "begin");
        assert_eq!(judged(&b, &[Lease::default()], 10), "begin", "a Lease of something else");
        assert_eq!(judged(&b, &[lease(&b, Standing::Serving)], 10), "begin", "another replica of the same shard");
    }

    #[test]
    fn the_refusal_names_both_shards_the_lease_its_holder_and_the_step() {
        let (a, b) = (shard("a", "team in (a,b)", true), shard("b", "team=b", false));
        assert_eq!(
            judged(&b, &[lease(&a, Standing::Serving)], 10),
            "the shard \"b\", which serves the namespaces \"team in (b)\", does not start beside the shard \"a\", which serves \
             the namespaces \"team in (a,b)\" (Lease keyturn-a, held by keyturn-a-0_1): a namespace may be in both; choose the \
             namespaces so that the requirements on one label exclude each other, e.g. team in (a) and team notin (a); if the \
             other is no longer installed, delete its Lease, or wait until 2027-01-15T08:05:00Z"
        );
        let own = judged(&shard("b", "team=c", true), &[lease(&a, Standing::Serving)], 10);
        assert!(own.contains("both own what belongs to the whole cluster; leave --shard-owns-cluster to one"), "{own}");
        let unnamed = judged(&b, &[lease(&shard("", "", true), Standing::Serving)], 10);
        assert!(unnamed.contains("beside keyturn without a shard's name, which serves every namespace"), "{unnamed}");
    }

    #[test]
    fn one_shard_owns_what_belongs_to_the_whole_cluster() {
        for (case, own, other, yields) in [
            ("two owners", shard("b", "team=b", true), shard("a", "team=a", true), true),
            ("one owner", shard("b", "team=b", false), shard("a", "team=a", true), false),
            ("no owner", shard("b", "team=b", false), shard("a", "team=a", false), false),
            ("an owner beside a release without shards", shard("b", "team=b", true), shard("", "team=a", true), true),
            ("two releases without shards", shard("", "team=b", true), shard("", "team=a", true), false),
        ] {
            let verdict = judge(&own, "other", &[lease(&other, Standing::Serving)], at(10));
            assert_eq!(verdict != Answer::Begin, yields, "{case}: {verdict:?}");
        }
    }

    #[test]
    fn a_lease_counts_for_five_minutes_after_its_last_renewal() {
        let (a, b) = (shard("a", "", false), shard("b", "", false));
        let mut lease = lease(&a, Standing::Serving);
        assert_ne!(judged(&b, std::slice::from_ref(&lease), 299), "begin");
        assert_eq!(judged(&b, std::slice::from_ref(&lease), 300), "begin");
        lease.spec.as_mut().unwrap().holder_identity = None;
        let released = judged(&b, std::slice::from_ref(&lease), 299);
        assert!(released.contains("held by nobody"), "between two replicas of a shard: {released}");
        lease.spec = None;
        assert_eq!(judged(&b, &[lease], 10), "begin", "nobody ever held it");
    }

    #[test]
    fn of_two_shards_that_look_the_later_name_yields_and_the_other_waits() {
        let (a, b, c) = (shard("a", "", false), shard("b", "", false), shard("c", "", false));
        assert_eq!(judged(&a, &[lease(&b, Standing::Looking)], 10), "wait for keyturn-b");
        let yields = judged(&b, &[lease(&a, Standing::Looking)], 10);
        assert!(yields.contains("Lease keyturn-a"), "{yields}");
        let serving = judged(&a, &[lease(&b, Standing::Looking), lease(&c, Standing::Serving)], 10);
        assert!(serving.contains("Lease keyturn-c"), "one that serves decides: {serving}");
        let at_start = overlap(&a, "keyturn-a", &[lease(&b, Standing::Looking)], at(10)).map(|it| it.to_string());
        assert!(at_start.unwrap().contains("Lease keyturn-b"), "a process that has announced nothing does not start");
    }
}

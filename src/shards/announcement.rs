//! The announcement of a shard in its Lease.

use super::{NamespaceSelector, Shard};
use crate::api::names::{SHARD, SHARD_NAMESPACES, SHARD_OWNS_CLUSTER, SHARD_STANDING};
use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime};
use kube::{ResourceExt as _, api::ObjectMeta};

/// How far a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It looks for shards that serve the same namespaces, and does not work yet.
    Looking,
    /// It works.
    Serving,
}

impl Standing {
    fn as_str(self) -> &'static str {
        match self {
            Self::Looking => "Looking",
            Self::Serving => "Serving",
        }
    }
}

/// A shard as its Lease shows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Announced {
    /// The name of the Lease.
    pub(super) lease: String,
    pub(super) shard: Shard,
    pub(super) standing: Standing,
    /// The identity of the holder; empty if the Lease was released.
    pub(super) holder: String,
    /// The time of the last write by a holder, by the clock of the API server.
    pub(super) renewed: Option<Timestamp>,
}

/// Writes into the metadata of a Lease which shard holds it. `None` removes what is there.
pub fn announces(meta: &mut ObjectMeta, shard: Option<(&Shard, Standing)>) {
    let (labels, annotations) = (meta.labels.get_or_insert_default(), meta.annotations.get_or_insert_default());
    let Some((shard, standing)) = shard else {
        labels.remove(SHARD);
        for name in [SHARD_NAMESPACES, SHARD_OWNS_CLUSTER, SHARD_STANDING] {
            annotations.remove(name);
        }
        return;
    };
    labels.insert(SHARD.to_owned(), shard.name.clone());
    annotations.insert(SHARD_NAMESPACES.to_owned(), shard.namespaces.to_string());
    annotations.insert(SHARD_OWNS_CLUSTER.to_owned(), shard.owns_cluster.to_string());
    annotations.insert(SHARD_STANDING.to_owned(), standing.as_str().to_owned());
}

/// The shard that holds a Lease, or held it last; `None` for a Lease of something else.
#[must_use]
pub fn announced(lease: &Lease) -> Option<Shard> {
    read(lease).map(|it| it.shard)
}

/// Reads a Lease. A selector that cannot be read counts as every namespace, and an unknown standing
/// as serving, because a shard of a later version may have written them.
pub(super) fn read(lease: &Lease) -> Option<Announced> {
    let name = lease.labels().get(SHARD)?.clone();
    let says = |name: &str| lease.annotations().get(name).map(String::as_str).unwrap_or_default();
    let namespaces: NamespaceSelector = says(SHARD_NAMESPACES).parse().unwrap_or_default();
    let spec = lease.spec.clone().unwrap_or_default();
    let looks = says(SHARD_STANDING) == Standing::Looking.as_str();
    Some(Announced {
        lease: lease.name_any(),
        shard: Shard { name, namespaces, owns_cluster: says(SHARD_OWNS_CLUSTER) == "true" },
        standing: if looks { Standing::Looking } else { Standing::Serving },
        holder: spec.holder_identity.unwrap_or_default(),
        renewed: spec.renew_time.map(|MicroTime(at)| at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_says_what_was_announced_and_nothing_after_a_withdrawal() {
        let shard = Shard { name: "a".to_owned(), namespaces: "team in (x,y)".parse().unwrap(), owns_cluster: true };
        let mut lease = Lease::default();
        assert_eq!(read(&lease), None, "a Lease of something else");
        for standing in [Standing::Looking, Standing::Serving] {
            announces(&mut lease.metadata, Some((&shard, standing)));
            let read = read(&lease).unwrap();
            assert_eq!((&read.shard, read.standing), (&shard, standing));
        }
        announces(&mut lease.metadata, None);
        assert_eq!(read(&lease), None);
        assert!(lease.annotations().is_empty());
    }

    #[test]
    fn an_announcement_that_cannot_be_read_is_about_every_namespace() {
        let mut lease = Lease::default();
        lease.labels_mut().insert(SHARD.to_owned(), "a".to_owned());
        for selector in [None, Some("a ~ b")] {
            let written = selector.map(|it| lease.annotations_mut().insert(SHARD_NAMESPACES.to_owned(), it.to_owned()));
            let read = read(&lease).unwrap();
            assert!(read.shard.namespaces.is_everything() && read.standing == Standing::Serving, "{written:?}");
        }
    }
}

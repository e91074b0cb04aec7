//! Shards: several operators that share a cluster, each with namespaces of its own. Pure.
//!
//! Each shard announces in its Lease which namespaces it serves. Before a shard begins its work, it
//! reads the Leases of the others, and does not begin if a namespace might be in both.
//!
//! Of two shards that begin at the same moment, at least one sees the other, because each writes
//! its announcement before it reads. A shard that looks says so ([`Standing::Looking`]). It begins
//! only after it has written that it serves ([`Standing::Serving`]). A shard that sees another one
//! serving yields. Of two that look, the one with the later name of its Lease yields, and the other
//! waits until the first has decided.

mod announcement;
mod judge;
mod selector;

pub use announcement::{Standing, announced, announces};
pub use judge::{Answer, COUNTS, Overlap, judge, overlap};
pub use selector::{NAME as NAMESPACE_NAME, NamespaceSelector};

/// One of the operators that share a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Shard {
    /// The name of the shard; empty for an operator that is not part of a set of shards.
    pub name: String,
    /// The namespaces that it serves.
    pub namespaces: NamespaceSelector,
    /// Whether it alone writes what belongs to the whole cluster: the status of grants and of
    /// instances, the finalizers of instances that are being deleted, and the certificate of the
    /// webhook.
    pub owns_cluster: bool,
}

impl Shard {
    /// Whether the operator is one of a set of shards.
    #[must_use]
    pub fn is_named(&self) -> bool {
        !self.name.is_empty()
    }

    /// The shard's part in what belongs to the whole cluster.
    #[must_use]
    pub fn duty(&self) -> Duty {
        match (self.is_named(), self.owns_cluster) {
            (false, _) if self.namespaces.is_everything() => Duty::All,
            (false, _) => Duty::Used,
            (true, true) => Duty::Owner,
            (true, false) => Duty::Reader,
        }
    }
}

/// The part of an operator in what belongs to the whole cluster: grants and instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It is the only operator, and sees every config.
    All,
    /// It serves some namespaces, and handles the instances that are used there, because the others
    /// may belong to another release.
    Used,
    /// It is the shard that handles every instance and grant, also those of which only other shards
    /// see a config.
    Owner,
    /// It is another shard: it reads the instances that are used in its namespaces, and reports
    /// about none.
    Reader,
}

impl Duty {
    /// Whether the operator writes statuses of grants and of the instances that it handles.
    #[must_use]
    pub fn reports(self) -> bool {
        self != Self::Reader
    }

    /// Whether the operator sees every config that may have entries in the instances that it
    /// handles.
    #[must_use]
    pub fn sees_every_user(self) -> bool {
        matches!(self, Self::All | Self::Used)
    }

    /// Whether the operator handles also instances that no config in its namespaces uses.
    #[must_use]
    pub fn handles_every_instance(self) -> bool {
        matches!(self, Self::All | Self::Owner)
    }
}

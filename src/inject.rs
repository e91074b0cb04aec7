//! INJECT: a pod gets the Secret of an `AwsConfig` mounted, and the variables that lead SDKs to it, without a change by
//! its author. Pure: `webhook` serves it.
//!
//! ```text
//!  webhook ──▶ review ──▶ choose ──▶ pod ──▶ container
//!              JSON to    whose      volume,  mount and
//!              values     Secret     mark     variables
//! ```
//!
//! Who asked and bears no mark was [`Missed`]: the leader looks for such pods from time to time.
//!
//! What holds for every pod: nothing of it is removed or changed, only added to; what its author set wins, and is said
//! where it keeps the person's credential from being used; injecting twice is injecting once.
//!
//! A pod that asks for a credential waits for it: the Secret is mounted as a must, so the kubelet starts no container
//! before it is there. The alternative, an empty folder, would let SDKs fall back to the node's identity.

mod choose;
mod container;
mod missed;
mod patch;
mod pod;
mod pod_view;
mod review;

pub use choose::quoted;
pub use missed::{Count, Missed, is_looked_at};
pub use review::{NoAnswer, Outcome, answer};

use crate::api::AwsConfig;
use std::{collections::BTreeMap, sync::Arc};

/// What a pod says of itself that may lead to an `AwsConfig`.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// The config that its annotation names.
    pub named: Option<&'a str>,
}

/// The `AwsConfig`s of its namespace that a pod may mean, at least; `None` while they have not been listed.
pub type ConfigsFor = Arc<dyn Fn(Asking<'_>) -> Option<Vec<Arc<AwsConfig>>> + Send + Sync>;

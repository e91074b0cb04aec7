//! INJECT: a pod gets the Secret of an `AwsConfig` mounted, and the variables that lead SDKs to it, without a change by
//! its author.
//!
//! ```text
//!  API server ──▶ server ──▶ review ──▶ choose ──▶ pod ──▶ container
//!                 TLS,        HTTP to   whose      volume,  mount and
//!                 bounds      values    Secret     mark     variables     (all but the server: pure)
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
mod pod;
mod review;
pub mod server;

pub use choose::quoted;
pub use missed::{Count, Missed, is_looked_at};

use crate::api::AwsConfig;
use std::sync::Arc;

/// The `AwsConfig`s of a namespace, or `None` while they have not been listed.
pub type ConfigsOf = Arc<dyn Fn(&str) -> Option<Vec<Arc<AwsConfig>>> + Send + Sync>;

//! INJECT: a pod gets the Secret of an `AwsConfig` mounted, and the variables that point SDKs to
//! the Secret. The pod's author changes nothing else. Pure: `webhook` serves it.
//!
//! ```text
//!  webhook ──▶ review ──▶ choose ──▶ pod ──▶ container
//!              JSON to    which      volume,  mount and
//!              values     Secret     mark,    variables, of
//!                                    endpoint the chosen ones
//! ```
//!
//! A pod that asks for a credential and bears no mark, or the mark of a container that could not
//! have the Secret, is a [missed](missed::Missed) pod. The leader counts such pods at intervals.
//!
//! Four rules hold for every pod:
//!
//! * keyturn only adds to a pod. It removes and changes nothing, except that it replaces the values
//!   of variables by which Amazon's webhooks lead SDKs to the pod's own identity.
//! * A setting of the pod's author wins. If it keeps SDKs from the person's credential, a warning
//!   says so.
//! * A container that the author leaves out stays as it is.
//! * Injecting twice has the same result as injecting once.
//!
//! keyturn refuses a pod only if the pod or its namespace requires the Secret ([`Demand`]).
//!
//! A pod that asks for a credential waits for it. The Secret's volume is not optional, therefore
//! the kubelet starts no container before the Secret exists. With an optional volume the folder
//! could be empty, and SDKs would fall back to the node's identity.

mod choose;
mod chosen;
mod container;
mod endpoint;
mod home;
mod missed;
mod patch;
mod pod;
mod pod_view;
mod review;
mod variables;

pub use endpoint::Settings;
pub use missed::{Count, Missed, is_sent_to_the_webhook};
pub use review::{Demand, NoAnswer, Outcome, answer};
pub use variables::{OfProcess, of_process};

use crate::api::AwsConfig;
use std::{collections::BTreeMap, sync::Arc};

/// The parts of a pod's metadata that may lead to an `AwsConfig`.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod's labels.
    pub labels: &'a BTreeMap<String, String>,
    /// The config that the pod's annotation names.
    pub named: Option<&'a str>,
}

/// Finds the `AwsConfig`s of the pod's namespace that the pod may ask for, and those that have a
/// Secret of these as their target. The result may hold others of the namespace, too. It is `None`
/// while the `AwsConfig`s have not been listed.
pub type ConfigsFor = Arc<dyn Fn(Asking<'_>) -> Option<Vec<Arc<AwsConfig>>> + Send + Sync>;

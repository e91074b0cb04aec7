//! The turn of a reconcile to ask an outside system for something that is not a renewal that is
//! due.

use super::Context;
use crate::{
    api::AwsConfig,
    credentials::{IssueError, held_back},
    limit::Place,
};
use kube::ResourceExt as _;

/// Takes a turn for this many requests. The reconcile keeps the place until it has its answers.
///
/// # Errors
/// [`IssueError`] if others come first. keyturn has asked nobody.
pub(super) fn take(context: &Context, config: &AwsConfig, requests: u32) -> Result<Place, IssueError> {
    let namespace = config.namespace().unwrap_or_default();
    context.turns.take(&namespace, requests).map_err(|not_yet| {
        context.metrics.held_back(not_yet.scope());
        held_back(not_yet, &namespace, context.turns.limits())
    })
}

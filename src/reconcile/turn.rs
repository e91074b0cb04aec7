//! A turn at a DSS: how many looks at configs wait for one at the same time, and for how long.
//!
//! Looks share places, and most of them need no DSS. One that hangs would fill these with looks that wait for it, until renewals
//! that have nothing to do with it came too late. So a few may wait for the same DSS; who comes meanwhile is told so at once, and
//! comes again. And one look waits only so long, whatever it asks for.

use super::Context;
use crate::{
    api::Reason,
    credentials::{IssueError, Retry},
    dss::DssError,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long one look waits for DSS in all. Longer than any answer takes that is still of use to it.
pub(super) const A_LOOK: Duration = Duration::from_secs(20);
/// How long a credential that was obtained waits for its API key: then it is written without, or with the former one.
pub(super) const A_CREDENTIAL: Duration = Duration::from_secs(5);

/// How long a look has waited for DSS. Clones are of the same look.
#[derive(Clone, Debug, Default)]
pub struct Waited(Arc<Mutex<Duration>>);

impl Waited {
    fn so_far(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }
}

/// Trigger nothing came of a turn.
#[derive(Debug)]
pub(super) enum NoTurn {
    /// Enough others wait for this DSS. Nothing was asked.
    Busy(String),
    /// It was asked and did not finish in time. What was asked for may have happened.
    Late(DssError),
}

/// Speaks to a DSS as soon as it is this look's turn, and not for longer than `most`. `what` says what for, in words.
///
/// # Errors
/// If it is not its turn, or it takes too long; then `talk` is dropped where it stands.
pub(super) async fn in_turn<T>(
    context: &Context,
    instance: &str,
    what: &str,
    most: Duration,
    talk: impl Future<Output = T>,
) -> Result<T, NoTurn> {
    let tried = || format!("{what} in DssInstance \"{instance}\"");
    let most = most.min(A_LOOK.saturating_sub(context.waited.so_far()));
    let Some(_turn) = context.dss_cache.turn(instance) else { return Err(NoTurn::Busy(tried())) };
    let begun = Instant::now();
    let talked = tokio::time::timeout(most, talk).await;
    context.waited.add(begun.elapsed());
    talked.map_err(|_| NoTurn::Late(DssError::late(tried(), most)))
}

impl From<NoTurn> for IssueError {
    fn from(none: NoTurn) -> Self {
        match none {
            NoTurn::Busy(tried) => Self::new(
                Reason::DssUnreachable,
                Retry::Saturated,
                format!("{tried}: others wait for an answer; it will be asked in turn"),
            ),
            NoTurn::Late(error) => Self::of_dss(&error),
        }
    }
}

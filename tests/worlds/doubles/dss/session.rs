//! The sessions that DSS obtains from AWS for an S3 connection in AssumeRole mode.
//!
//! The test decides where they come from: made up, or from a real STS on another port.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::Dss;
use super::answer::Refusal;
use crate::doubles::sts;
use crate::doubles::wire::Clock;

/// The role and the user for which DSS calls AWS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AssumedBy {
    /// The resolved template of the connection: an ARN, or the bare name of a role.
    pub role: String,
    /// The login. For a global key that acts as no user, the ID of the key.
    pub session_name: String,
}

/// The session that DSS got and answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOut {
    /// The access key ID.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
    /// The session token.
    pub session_token: Option<String>,
    /// The expiry of the session. DSS reports it only if a test asks for that
    /// ([`Dss::tells_expiration`]).
    pub expiration: Option<Timestamp>,
}

/// The source of sessions. An error is the message of AWS, which DSS repeats.
pub type Sessions =
    Arc<dyn Fn(AssumedBy) -> Pin<Box<dyn Future<Output = Result<HandedOut, String>> + Send>> + Send + Sync>;

/// Numbered sessions of one hour. Their secrets carry [`sts::LEAK_MARKERS`], as those of the STS
/// double do.
pub fn made_up_sessions(clock: Clock) -> Sessions {
    let made = Arc::new(AtomicUsize::new(0));
    let [secret, token] = sts::LEAK_MARKERS;
    Arc::new(move |_| {
        let number = made.fetch_add(1, Ordering::SeqCst) + 1;
        let session = HandedOut {
            access_key: format!("ASIADSS{number:0>13}"),
            secret_key: format!("{secret}/dss/{number:0>20}"),
            session_token: Some(format!("IQoJb3JpZ2lu{token}/dss/{number:0>20}")),
            expiration: Some(clock() + SignedDuration::from_hours(1)),
        };
        Box::pin(async move { Ok(session) })
    })
}

impl Dss {
    /// A new session, or the cached one of the same role and name.
    pub(super) async fn session(&self, assumed_by: AssumedBy) -> Result<HandedOut, Refusal> {
        let (sessions, cached) = {
            let state = self.lock();
            let cached = state.cached.get(&assumed_by).filter(|_| state.caches_sessions).cloned();
            (Arc::clone(&state.sessions), cached)
        };
        let session = match cached {
            Some(session) => session,
            None => sessions(assumed_by.clone()).await.map_err(Refusal::aws)?,
        };
        let mut state = self.lock();
        state.cached.insert(assumed_by.clone(), session.clone());
        state.handed_out.push((assumed_by, session.clone()));
        Ok(session)
    }
}

//! Hops: the other roles through which keyturn reaches a role. An admin configures this route for
//! roles of accounts that trust a hub only.
//!
//! A hop carries everything that has to arrive at the end of the route: the session's name, its
//! source identity and its transitive tags. STS passes transitive tags on from the first hop by
//! itself, and refuses to receive them again.
//!
//! Sessions of hops live in memory only. There is one for each person, namespace, set of tags and
//! hop. After a restart keyturn asks STS for them again.

use super::{Extras, Issued, SessionRequest, Via};
use crate::digest::Digest;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;

/// The lifetime of a hop's session, in seconds. Every role allows it, chained or not.
const LIFETIME_SECONDS: i32 = 3600;
/// A session with less than this time left is not used for a new call.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

/// The sessions of hops that are still valid.
#[derive(Debug, Default)]
pub(super) struct Hops {
    sessions: Mutex<HashMap<String, Issued>>,
}

impl Hops {
    /// The session of the hop with this key; `None` if it has ended or ends within [`MARGIN`].
    pub(super) fn get(&self, key: &str, now: Timestamp) -> Option<Issued> {
        let mut sessions = self.sessions.lock();
        sessions.retain(|_, issued| issued.expires_at.is_some_and(|at| at.duration_since(now) > MARGIN));
        sessions.get(key).cloned()
    }

    pub(super) fn put(&self, key: String, issued: Issued) {
        self.sessions.lock().insert(key, issued);
    }

    pub(super) fn forget(&self, keys: &[String]) {
        self.sessions.lock().retain(|key, _| !keys.contains(key));
    }
}

/// Returns the request for each hop, with a key. The key differs if anything about the hop or a hop
/// before it differs.
pub(super) fn hops(request: &SessionRequest) -> Vec<(String, SessionRequest)> {
    let mut way = Digest::default();
    let hop = |(at, role): (usize, &super::RoleArn)| {
        let tags = request.extras.tags.clone().into_iter();
        let transitive = tags.filter(|(key, _)| at == 0 && request.extras.transitive_tags.contains(key));
        let extras = Extras {
            source_identity: request.extras.source_identity.clone(),
            tags: transitive.collect(),
            transitive_tags: if at == 0 { request.extras.transitive_tags.clone() } else { vec![] },
            ..Extras::default()
        };
        let hop = SessionRequest {
            role: role.clone(),
            session_name: request.session_name.clone(),
            external_id: request.via.external_id.clone(),
            duration_seconds: LIFETIME_SECONDS,
            extras,
            via: Via { hops: request.via.hops[..at].to_vec(), external_id: request.via.external_id.clone() },
        };
        // The key also covers the requests for the hops before it.
        way.part(hop.digest());
        (way.clone().short(), hop)
    };
    request.via.hops.iter().enumerate().map(hop).collect()
}

/// Returns the request at the end of the route. It leaves out the transitive tags, because the
/// session of the last hop carries them already.
pub(super) fn last(request: &SessionRequest) -> SessionRequest {
    let mut last = request.clone();
    if !request.via.hops.is_empty() {
        last.extras.tags.retain(|key, _| !request.extras.transitive_tags.contains(key));
        last.extras.transitive_tags.clear();
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> SessionRequest {
        let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}").parse().unwrap();
        let tags = [("project", "fraud"), ("step", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        SessionRequest {
            role: role("analyst"),
            session_name: "alice".into(),
            external_id: "theirs".into(),
            duration_seconds: 900,
            extras: Extras {
                source_identity: Some("alice".into()),
                tags: tags.into(),
                transitive_tags: vec!["project".into()],
                policy: Some("{}".into()),
                ..Extras::default()
            },
            via: Via { hops: vec![role("hub"), role("spoke")], external_id: "prod/scoring".into() },
        }
    }

    #[test]
    fn hops_carry_the_person_and_the_first_one_the_transitive_tags() {
        let hops = hops(&request());
        let keys = |request: &SessionRequest| request.extras.tags.keys().cloned().collect::<Vec<_>>();
        assert_eq!(hops.len(), 2);
        for (_, hop) in &hops {
            assert_eq!((hop.session_name.as_str(), hop.external_id.as_str()), ("alice", "prod/scoring"));
            assert_eq!(hop.extras.source_identity.as_deref(), Some("alice"));
            assert_eq!(
                hop.extras.policy, None,
                "a policy of the first session would narrow what the next may be assumed with"
            );
        }
        assert_eq!((keys(&hops[0].1), keys(&hops[1].1)), (vec!["project".to_owned()], vec![]));
        assert_eq!(keys(&last(&request())), ["step"]);
        assert!(last(&request()).extras.transitive_tags.is_empty());
    }

    #[test]
    fn a_hop_has_a_session_of_its_own_if_it_or_one_before_it_differs() {
        let key = |change: fn(&mut SessionRequest)| {
            let mut request = request();
            change(&mut request);
            hops(&request)[1].0.clone()
        };
        let as_it_is = key(|_| {});
        assert_eq!(as_it_is, key(|r| r.duration_seconds = 3600), "what only the last session is asked for");
        for other in [
            key(|r| r.session_name = "bob".into()),
            key(|r| r.via.external_id = "prod/other".into()),
            key(|r| r.extras.transitive_tags.clear()),
            key(|r| r.via.hops[0] = r.role.clone()),
        ] {
            assert_ne!(as_it_is, other);
        }
    }
}

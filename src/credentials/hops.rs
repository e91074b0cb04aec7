//! Hops: the other roles through which keyturn reaches a role. An admin configures this route for
//! roles of accounts that trust a hub only.
//!
//! A hop carries everything that has to arrive at the end of the route: the session's name, its
//! source identity and its transitive tags. STS passes transitive tags on from the first hop by
//! itself, and refuses to receive them again.
//!
//! Sessions of hops live in memory only. There is one for each person, namespace, set of tags and
//! hop, and at most 1,024 of them. After a restart keyturn asks STS for them again.

use super::{Extras, Issued, SessionRequest, Via};
use crate::digest::Digest;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;

/// The lifetime of a hop's session, in seconds. Every role allows it, chained or not.
const LIFETIME_SECONDS: i32 = 3600;
/// A session with less than this time left is not used for a new call.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

/// The most sessions of hops that are kept. A session takes some 3 KB. Users choose the tags, so
/// without a limit they would also choose the size of the memory.
const MOST: usize = 1024;

/// The sessions of hops that are still valid: at most [`MOST`], those that were used last.
#[derive(Debug, Default)]
pub(super) struct Hops(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    sessions: HashMap<String, Session>,
    /// The number of uses of all sessions so far.
    uses: u64,
}

#[derive(Debug)]
struct Session {
    issued: Issued,
    /// The number of this session's last use.
    used: u64,
}

impl Hops {
    /// The session of the hop with this key; `None` if it has ended or ends within [`MARGIN`].
    pub(super) fn get(&self, key: &str, now: Timestamp) -> Option<Issued> {
        let Kept { sessions, uses } = &mut *self.0.lock();
        sessions.retain(|_, session| is_usable(&session.issued, now));
        let session = sessions.get_mut(key)?;
        *uses += 1;
        session.used = *uses;
        Some(session.issued.clone())
    }

    /// Whether [`Hops::get`] would return a session. This is no use of it.
    pub(super) fn has(&self, key: &str, now: Timestamp) -> bool {
        self.0.lock().sessions.get(key).is_some_and(|session| is_usable(&session.issued, now))
    }

    /// Keeps a session. If there are too many, the one that was used longest ago is dropped.
    pub(super) fn put(&self, key: String, issued: Issued) {
        let Kept { sessions, uses } = &mut *self.0.lock();
        *uses += 1;
        sessions.insert(key, Session { issued, used: *uses });
        if sessions.len() > MOST {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| key.clone());
            oldest.map(|key| sessions.remove(&key));
        }
    }

    pub(super) fn forget(&self, keys: &[String]) {
        self.0.lock().sessions.retain(|key, _| !keys.contains(key));
    }
}

fn is_usable(issued: &Issued, now: Timestamp) -> bool {
    issued.expires_at.is_some_and(|at| at.duration_since(now) > MARGIN)
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
    fn two_thousand_tags_keep_1024_sessions_those_used_last() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let issued = Issued {
            credentials: crate::credentials::Credentials {
                access_key_id: "ASIAHUB".into(),
                secret_access_key: "secret".into(),
                session_token: None,
            },
            issued_at: now,
            expires_at: now.checked_add(SignedDuration::from_hours(1)).ok(),
        };
        let key = |tag: usize| {
            let mut request = request();
            request.extras.tags.insert("project".into(), format!("risk-{tag}"));
            hops(&request)[0].0.clone()
        };
        let kept = Hops::default();
        for tag in 0..2000 {
            kept.put(key(tag), issued.clone());
            assert!(kept.get(&key(0), now).is_some(), "it is in use, whatever comes after it: {tag}");
        }
        assert_eq!(kept.0.lock().sessions.len(), 1024);
        assert!(!kept.has(&key(976), now) && kept.has(&key(977), now) && kept.has(&key(1999), now));
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

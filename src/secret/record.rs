//! The annotations of the Secret: the truth about what was issued.

use super::{Content, digest::content_digest};
use crate::{
    api::{Reason, names},
    clock::whole_seconds,
    credentials::{Issued, Request},
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What a Secret of ours says of its credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose credential it is: the person, or `system:<namespace>`.
    pub person: String,
    /// The ARN of the role; empty for a key.
    pub role: String,
    /// Names the session in CloudTrail.
    pub access_key_id: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires, if it does.
    pub expires_at: Option<Timestamp>,
    /// What was asked for ([`Request::issue_digest`]).
    pub issue_digest: String,
    /// How it was rendered ([`super::Rendering::digest`]).
    pub render_digest: String,
    /// Which API key of DSS it holds; empty without one.
    pub api_key: ApiKeyRecord,
    /// The data keys that are ours, sorted.
    pub keys: Vec<String>,
    /// The reason, while it is withdrawn.
    pub withdrawn: Option<String>,
    /// Covers the keys and all of the above.
    pub content_digest: String,
}

/// What a record says of the API key of DSS; empty where the Secret holds none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// Which it is: the ID of a personal one, or the Secret that it came from and its version.
    pub key: String,
    /// What was asked for.
    pub digest: String,
}

impl Record {
    /// The record of a session just issued.
    #[must_use]
    pub fn of(
        request: &Request,
        issued: &Issued,
        person: &str,
        render_digest: String,
        api_key: ApiKeyRecord,
        content: &Content,
    ) -> Self {
        let record = Self {
            person: person.to_owned(),
            role: request.role().map(ToString::to_string).unwrap_or_default(),
            access_key_id: issued.credentials.access_key_id.clone(),
            issued_at: whole_seconds(issued.issued_at),
            expires_at: issued.expires_at.map(whole_seconds),
            issue_digest: request.issue_digest(&issued.credentials),
            render_digest,
            api_key,
            keys: vec![],
            withdrawn: None,
            content_digest: String::new(),
        };
        record.sealed(content)
    }

    /// The same session in another rendering.
    #[must_use]
    pub fn rendered_again(&self, render_digest: String, api_key: ApiKeyRecord, content: &Content) -> Self {
        Self { render_digest, api_key, ..self.clone() }.sealed(content)
    }

    /// The same session, withdrawn. Its times stay: until `expires_at` those who hold it can use it.
    #[must_use]
    pub fn withdrawn_for(&self, reason: Reason, render_digest: String, content: &Content) -> Self {
        let withdrawn = Some(reason.as_str().to_owned());
        Self { withdrawn, render_digest, api_key: ApiKeyRecord::default(), ..self.clone() }.sealed(content)
    }

    /// The record of a Secret of ours whose annotations were destroyed, so that it can be withdrawn all the same.
    #[must_use]
    pub fn lost(person: &str, now: Timestamp) -> Self {
        Self {
            person: person.to_owned(),
            role: String::new(),
            access_key_id: String::new(),
            issued_at: whole_seconds(now),
            expires_at: Some(whole_seconds(now)),
            issue_digest: String::new(),
            render_digest: String::new(),
            api_key: ApiKeyRecord::default(),
            keys: vec![],
            withdrawn: None,
            content_digest: String::new(),
        }
    }

    fn sealed(mut self, content: &Content) -> Self {
        self.keys = content.0.keys().cloned().collect();
        self.content_digest = content_digest(&self, &content.0);
        self
    }

    /// Reads the annotations of a Secret. `None` if one is missing or unreadable: the Secret was edited then.
    #[must_use]
    pub fn read(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let get = |name: &str| annotations.get(name).cloned();
        Some(Self {
            person: get(names::PERSON)?,
            role: get(names::ROLE)?,
            access_key_id: get(names::ACCESS_KEY_ID)?,
            issued_at: get(names::ISSUED_AT)?.parse().ok()?,
            expires_at: match get(names::EXPIRES_AT)?.as_str() {
                "" => None,
                at => Some(at.parse().ok()?),
            },
            issue_digest: get(names::ISSUE_DIGEST)?,
            render_digest: get(names::RENDER_DIGEST)?,
            // Secrets of releases that knew no DSS have none of these.
            api_key: ApiKeyRecord {
                key: get(names::DSS_KEY).unwrap_or_default(),
                digest: get(names::DSS_DIGEST).unwrap_or_default(),
            },
            keys: get(names::KEYS)?.split(',').map(str::to_owned).collect(),
            withdrawn: get(names::WITHDRAWN).filter(|reason| !reason.is_empty()),
            content_digest: get(names::CONTENT_DIGEST)?,
        })
    }

    /// The annotations that say all of this.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        [
            (names::PERSON, self.person.clone()),
            (names::ROLE, self.role.clone()),
            (names::ACCESS_KEY_ID, self.access_key_id.clone()),
            (names::ISSUED_AT, self.issued_at.to_string()),
            (names::EXPIRES_AT, self.expires_at.map(|at| at.to_string()).unwrap_or_default()),
            (names::ISSUE_DIGEST, self.issue_digest.clone()),
            (names::RENDER_DIGEST, self.render_digest.clone()),
            (names::DSS_KEY, self.api_key.key.clone()),
            (names::DSS_DIGEST, self.api_key.digest.clone()),
            (names::KEYS, self.keys.join(",")),
            (names::CONTENT_DIGEST, self.content_digest.clone()),
            // Empty rather than absent: what an apply does not name, somebody else could add and we could not remove.
            (names::WITHDRAWN, self.withdrawn.clone().unwrap_or_default()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Whether the Secret holds a credential that is valid at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.withdrawn.is_none() && !self.has_expired(now)
    }

    /// Whether it is withdrawn, for this very reason.
    #[must_use]
    pub fn is_withdrawn_for(&self, reason: Reason) -> bool {
        self.withdrawn.as_deref() == Some(reason.as_str())
    }

    /// Whether what was issued has come to its end, withdrawn or not.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// All that the content digest covers besides the data.
    pub(super) fn statements(&self) -> Vec<String> {
        let mut annotations = self.annotations();
        annotations.remove(names::CONTENT_DIGEST);
        // Nothing of DSS leaves no trace, as in the digests of releases that knew none.
        annotations.retain(|name, value| !(value.is_empty() && [names::DSS_KEY, names::DSS_DIGEST].contains(&&**name)));
        annotations.into_iter().flat_map(|(name, value)| [name, value]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        credentials::{Credentials, SessionRequest},
        secret::{Rendering, is_intact, render},
    };

    fn written() -> (Record, Content) {
        let request = Request::Session(Box::new(SessionRequest::example()));
        let issued = Issued {
            credentials: Credentials {
                access_key_id: "ASIAEXAMPLE".into(),
                secret_access_key: "secret".into(),
                session_token: Some("token".into()),
            },
            issued_at: "2026-01-01T00:00:00.75Z".parse().unwrap(),
            expires_at: "2026-01-01T01:00:00Z".parse().ok(),
        };
        let rendering = Rendering {
            formats: crate::api::Format::DEFAULT.to_vec(),
            region: None,
            default_bucket: None,
            extra_buckets: vec![],
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            dss: None,
        };
        let content = render(&rendering, &issued.credentials, issued.expires_at, None).unwrap();
        let api_key = ApiKeyRecord { key: "7".into(), digest: "whose".into() };
        (Record::of(&request, &issued, "alice", rendering.digest(), api_key, &content), content)
    }

    #[test]
    fn a_record_is_read_again_as_it_was_written() {
        let (record, content) = written();
        let read = Record::read(&record.annotations()).unwrap();
        assert_eq!(read, record);
        assert!(is_intact(&read, &content.0));
        assert_eq!(read.issued_at.to_string(), "2026-01-01T00:00:00Z", "whole seconds only");
    }

    #[test]
    fn an_edited_key_a_removed_key_and_an_edited_annotation_are_noticed() {
        let (record, content) = written();
        for key in content.0.keys() {
            let mut edited = content.0.clone();
            edited.insert(key.clone(), b"edited".to_vec());
            assert!(!is_intact(&record, &edited), "{key} edited");
            edited.remove(key);
            assert!(!is_intact(&record, &edited), "{key} removed");
        }
        for name in record.annotations().keys().filter(|name| *name != names::ISSUED_AT && *name != names::EXPIRES_AT) {
            let mut edited = record.annotations();
            edited.insert(name.clone(), "edited".to_owned());
            assert!(!is_intact(&Record::read(&edited).unwrap(), &content.0), "{name} edited");
        }
        for name in [names::ISSUED_AT, names::EXPIRES_AT] {
            let mut edited = record.annotations();
            edited.insert(name.to_owned(), "2030-01-01T00:00:00Z".to_owned());
            assert!(!is_intact(&Record::read(&edited).unwrap(), &content.0), "{name} edited");
        }
    }

    #[test]
    fn a_key_beside_ours_makes_no_difference() {
        let (record, mut content) = written();
        content.0.insert("NOT_OURS".to_owned(), b"stays".to_vec());
        assert!(is_intact(&record, &content.0));
    }

    #[test]
    fn a_secret_without_the_annotations_has_no_record() {
        let (record, _) = written();
        for name in record.annotations().keys() {
            let mut without = record.annotations();
            without.remove(name);
            let may_be_absent = [names::WITHDRAWN, names::DSS_KEY, names::DSS_DIGEST].contains(&name.as_str());
            assert!(may_be_absent || Record::read(&without).is_none(), "{name}");
        }
    }

    #[test]
    fn a_secret_of_a_release_that_knew_no_dss_is_intact() {
        let (record, content) = written();
        let record = record.rendered_again(String::new(), ApiKeyRecord::default(), &content);
        let mut annotations = record.annotations();
        annotations.retain(|name, _| ![names::DSS_KEY, names::DSS_DIGEST].contains(&name.as_str()));
        assert!(is_intact(&Record::read(&annotations).unwrap(), &content.0));
    }
}

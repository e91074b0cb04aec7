//! The annotations of the Secret: the authoritative record of the issued credential.

use super::{
    Content, ProfileRecord,
    digest::content_digest,
    profile::{read, written},
};
use crate::{
    api::{Reason, names},
    clock::whole_seconds,
    credentials::{Issued, Request},
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The statements of a Secret about its credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The subject of the credential: the person, or `system:<namespace>`.
    pub person: String,
    /// The ARN of the role. Empty for a key.
    pub role: String,
    /// The access key ID, which identifies the session in CloudTrail.
    pub access_key_id: String,
    /// The time at which the credential was issued.
    pub issued_at: Timestamp,
    /// The time at which the credential expires. `None` for a key.
    pub expires_at: Option<Timestamp>,
    /// Digest of the request ([`Request::issue_digest`]).
    pub issue_digest: String,
    /// Digest of the rendering ([`super::Rendering::digest`]).
    pub render_digest: String,
    /// The API key of DSS in the Secret. Empty without one.
    pub api_key: ApiKeyRecord,
    /// The profiles, in the order of `spec.profiles`.
    pub profiles: Vec<ProfileRecord>,
    /// The data keys that belong to keyturn, sorted.
    pub keys: Vec<String>,
    /// The reason, while the credential is withdrawn.
    pub withdrawn: Option<String>,
    /// Digest of these data keys and of all fields above.
    pub content_digest: String,
}

/// The API key of DSS in a record. Both fields are empty if the Secret holds none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// The ID of a personal key, or the name and the version of the Secret that the key came from.
    pub key: String,
    /// Digest of the request for the key.
    pub digest: String,
}

impl Record {
    /// The record of a session that was just issued.
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
            profiles: vec![],
            keys: vec![],
            withdrawn: None,
            content_digest: String::new(),
        };
        record.sealed(content)
    }

    /// The record of the same session in another rendering.
    #[must_use]
    pub fn rendered_again(&self, render_digest: String, api_key: ApiKeyRecord, content: &Content) -> Self {
        Self { render_digest, api_key, ..self.clone() }.sealed(content)
    }

    /// The record of the same session, withdrawn. The times stay, because the session is usable
    /// until `expires_at` for everybody who read it.
    #[must_use]
    pub fn withdrawn_for(&self, reason: Reason, render_digest: String, content: &Content) -> Self {
        let withdrawn = Some(reason.as_str().to_owned());
        Self { withdrawn, render_digest, api_key: ApiKeyRecord::default(), ..self.clone() }.sealed(content)
    }

    /// The record of a Secret of keyturn's whose annotations were destroyed. It lets keyturn
    /// withdraw that Secret.
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
            profiles: vec![],
            keys: vec![],
            withdrawn: None,
            content_digest: String::new(),
        }
    }

    /// The same record with these profiles. `content` is that of all together.
    #[must_use]
    pub fn with_profiles(self, profiles: Vec<ProfileRecord>, content: &Content) -> Self {
        Self { profiles, ..self }.sealed(content)
    }

    /// The record of the profile of this name; `None` if the Secret has none.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<&ProfileRecord> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    fn sealed(mut self, content: &Content) -> Self {
        self.keys = content.0.keys().cloned().collect();
        self.content_digest = content_digest(&self, &content.0);
        self
    }

    /// Parses the annotations of a Secret. `None` if one is missing or invalid, which means that
    /// somebody edited the Secret.
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
            // Releases that did not know DSS wrote none of these annotations.
            api_key: ApiKeyRecord {
                key: get(names::DSS_KEY).unwrap_or_default(),
                digest: get(names::DSS_DIGEST).unwrap_or_default(),
            },
            profiles: read(annotations.get(names::PROFILES))?,
            keys: get(names::KEYS)?.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect(),
            withdrawn: get(names::WITHDRAWN).filter(|reason| !reason.is_empty()),
            content_digest: get(names::CONTENT_DIGEST)?,
        })
    }

    /// The annotations that hold this record.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let profiles = written(&self.profiles).map(|records| (names::PROFILES, records));
        let always = [
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
            // The annotation is present also when it is empty: if an apply left it out, somebody
            // else could add it, and keyturn could not remove it.
            (names::WITHDRAWN, self.withdrawn.clone().unwrap_or_default()),
        ];
        always.into_iter().chain(profiles).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Whether the Secret holds a credential that is valid at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.withdrawn.is_none() && !self.has_expired(now)
    }

    /// Whether the credential is withdrawn for this reason.
    #[must_use]
    pub fn is_withdrawn_for(&self, reason: Reason) -> bool {
        self.withdrawn.as_deref() == Some(reason.as_str())
    }

    /// Whether the issued credential has expired, withdrawn or not.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// All statements that the content digest covers besides the data.
    pub(super) fn statements(&self) -> Vec<String> {
        let mut annotations = self.annotations();
        annotations.remove(names::CONTENT_DIGEST);
        // Without an API key these add no part. The digest is then equal to the digest of releases
        // that did not know DSS.
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
            data_robot: None,
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
    fn a_record_without_data_keys_is_read_as_it_was_written() {
        let (record, _) = written();
        let nothing = Content(BTreeMap::new());
        let record = record.rendered_again(String::new(), ApiKeyRecord::default(), &nothing);
        let read = Record::read(&record.annotations()).unwrap();
        assert_eq!(read, record);
        assert!(is_intact(&read, &nothing.0));
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

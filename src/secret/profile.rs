//! The sessions of `spec.profiles`, which the Secret holds beside the credential of the config.

use crate::{
    api::{Reason, profile_key},
    clock::whole_seconds,
    credentials::{Credentials, Issued, Request},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The statements of a Secret about the session of one profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileRecord {
    /// The name of the profile.
    pub name: String,
    /// The ARN of the role. Empty if there was no session yet.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// The access key ID. Empty if there was no session yet.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub access_key_id: String,
    /// The time at which the session was issued; `None` if there was no session yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// The time at which the session expires; `None` if there was no session yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Digest of the request ([`Request::issue_digest`]).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// The reason, while the Secret holds no session of the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}

impl ProfileRecord {
    /// The record of a session that was just issued for the profile of this name.
    #[must_use]
    pub fn of(name: &str, request: &Request, issued: &Issued) -> Self {
        Self {
            name: name.to_owned(),
            role: request.role().map(ToString::to_string).unwrap_or_default(),
            access_key_id: issued.credentials.access_key_id.clone(),
            issued_at: Some(whole_seconds(issued.issued_at)),
            expires_at: issued.expires_at.map(whole_seconds),
            digest: request.issue_digest(&issued.credentials),
            withdrawn: None,
        }
    }

    /// The record of a profile without session. The times of a former one stay, because it is
    /// usable until it expires for everybody who read it.
    #[must_use]
    pub fn withdrawn_for(name: &str, former: Option<&Self>, reason: Reason) -> Self {
        let former = former.cloned().unwrap_or_default();
        Self { name: name.to_owned(), withdrawn: Some(reason.as_str().to_owned()), ..former }
    }

    /// Whether the Secret holds a session of the profile that is valid at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.withdrawn.is_none() && !self.has_expired(now)
    }

    /// Whether the issued session has expired, withdrawn or not.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| at <= now)
    }
}

/// A profile for the Secret: its record, and its session. Without a session, or if the record says
/// that it is withdrawn, the Secret holds the reason in its place.
#[derive(Clone, Debug)]
pub struct ProfilePart {
    /// The record.
    pub record: ProfileRecord,
    /// The session.
    pub credentials: Option<Credentials>,
}

impl ProfilePart {
    /// A profile without session, for this reason.
    #[must_use]
    pub fn withdrawn_for(name: &str, former: Option<&ProfileRecord>, reason: Reason) -> Self {
        Self { record: ProfileRecord::withdrawn_for(name, former, reason), credentials: None }
    }
}

/// The records in the text of the annotation; `None` if keyturn did not write it so.
pub(super) fn read(text: Option<&String>) -> Option<Vec<ProfileRecord>> {
    let Some(text) = text else { return Some(vec![]) };
    let records: Vec<ProfileRecord> = serde_json::from_str(text).ok()?;
    (written(&records).as_ref() == Some(text)).then_some(records)
}

/// The text of the annotation with these records; `None` without any.
pub(super) fn written(records: &[ProfileRecord]) -> Option<String> {
    if records.is_empty() { None } else { serde_json::to_string(records).ok() }
}

/// The live session of a profile that `data` holds.
#[must_use]
pub fn profile_credentials_in(data: &BTreeMap<String, Vec<u8>>, name: &str) -> Option<Credentials> {
    super::content::process_credentials(data.get(&profile_key(name))?)
}

#[cfg(test)]
mod tests;

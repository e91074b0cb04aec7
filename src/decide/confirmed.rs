//! Whether status confirms the record of a Secret.
//!
//! The content digest of a Secret notices accidents. It has no key, so that a user who may patch
//! the Secret can write another content with a digest that fits. That user cannot write status,
//! where keyturn records the digest of its last write. A Secret that status does not confirm
//! counts as edited.
//!
//! keyturn writes the Secret first and status afterwards. If the process ends between the two, the
//! next process finds a Secret that status does not confirm, and issues once more. That issue
//! writes both.

use crate::{api::AwsConfigStatus, secret::Record};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Whether `record` is the one that keyturn wrote last, according to `status`.
///
/// A status of a release that recorded no digest has the fields of a credential only. They are
/// absent while the Secret holds no valid credential, therefore a record of none is confirmed. Such
/// a release knew no profiles.
#[must_use]
pub fn is_confirmed(record: &Record, status: Option<&AwsConfigStatus>, now: Timestamp) -> bool {
    let target = status.and_then(|status| status.target.as_ref());
    if let Some(digest) = target.and_then(|target| target.content_digest.as_deref()) {
        return digest == record.content_digest;
    }
    let at = |time: &Option<Time>| time.as_ref().map(|Time(at)| *at);
    let confirms = |status: &AwsConfigStatus| {
        status.access_key_id.as_deref() == Some(record.access_key_id.as_str())
            && status.person.as_deref() == Some(record.person.as_str())
            && at(&status.issued_at) == Some(record.issued_at)
            && at(&status.expires_at) == record.expires_at
    };
    record.profiles.is_empty() && (!record.is_live(now) || status.is_some_and(confirms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Reason, TargetStatus};
    use crate::secret::{Content, ProfileRecord};
    use std::collections::BTreeMap;

    fn time(text: &str) -> Timestamp {
        format!("2026-01-01T{text}Z").parse().unwrap()
    }

    fn record() -> Record {
        Record {
            access_key_id: "ASIAEXAMPLE".into(),
            expires_at: Some(time("01:00:00")),
            content_digest: "digest".into(),
            ..Record::lost("alice", time("00:00:00"))
        }
    }

    /// The status that belongs to [`record`].
    fn status(digest: Option<&str>) -> AwsConfigStatus {
        let target = TargetStatus {
            name: "alice-aws".into(),
            resource_version: None,
            content_digest: digest.map(str::to_owned),
        };
        AwsConfigStatus {
            target: Some(target),
            access_key_id: Some("ASIAEXAMPLE".into()),
            person: Some("alice".into()),
            issued_at: Some(Time(time("00:00:00"))),
            expires_at: Some(Time(time("01:00:00"))),
            ..AwsConfigStatus::default()
        }
    }

    #[test]
    fn a_record_is_confirmed_by_the_digest_in_status() {
        for (case, recorded, confirmed) in [("the same", "digest", true), ("another", "another", false)] {
            assert_eq!(is_confirmed(&record(), Some(&status(Some(recorded))), time("00:10:00")), confirmed, "{case}");
        }
        let withdrawn = record().withdrawn_for(Reason::Suspended, String::new(), &Content(BTreeMap::new()));
        assert!(!is_confirmed(&withdrawn, Some(&status(Some("digest"))), time("00:10:00")), "a forged withdrawal");
    }

    #[test]
    fn a_status_without_a_digest_confirms_by_its_fields() {
        type Change = fn(&mut Record);
        let table: [(&str, Change, bool); 9] = [
            ("nothing", |_| {}, true),
            ("the access key", |record| record.access_key_id = "ASIAMINE".into(), false),
            ("the person", |record| record.person = "mallory".into(), false),
            ("a later issue", |record| record.issued_at = time("00:01:00"), false),
            ("a later expiry", |record| record.expires_at = Some(time("23:00:00")), false),
            ("no expiry", |record| record.expires_at = None, false),
            ("an expiry that has passed", |record| record.expires_at = Some(time("00:01:00")), true),
            ("a profile", |record| record.profiles.push(ProfileRecord::default()), false),
            ("a withdrawal", |record| record.withdrawn = Some("Suspended".into()), true),
        ];
        for (changed, change, confirmed) in table {
            let mut record = record();
            change(&mut record);
            assert_eq!(is_confirmed(&record, Some(&status(None)), time("00:10:00")), confirmed, "{changed}");
        }
    }

    #[test]
    fn a_status_that_knows_of_no_credential_confirms_none() {
        for (case, status) in [("no status", None), ("an empty one", Some(AwsConfigStatus::default()))] {
            assert!(!is_confirmed(&record(), status.as_ref(), time("00:10:00")), "{case}");
        }
    }
}

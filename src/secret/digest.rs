//! Detects changes that others made to the Secret.

use super::Record;
use crate::digest::Digest;
use std::collections::BTreeMap;

/// The digest of keyturn's data keys and of the record's own annotations. Other data keys do not
/// count. A plain hash reveals nothing, because its input holds a random key of 40 characters.
pub(super) fn content_digest(record: &Record, data: &BTreeMap<String, Vec<u8>>) -> String {
    let mut digest = Digest::default();
    let mut part = |bytes: &[u8]| digest.part(bytes);
    for statement in record.statements() {
        part(statement.as_bytes());
    }
    for key in &record.keys {
        part(key.as_bytes());
        part(data.get(key).map_or(&[][..], Vec::as_slice));
        part(if data.contains_key(key) { b"present" } else { b"absent" });
    }
    digest.full()
}

/// Whether `data`, and the annotations that `record` was read from, are as keyturn wrote them.
#[must_use]
pub fn is_intact(record: &Record, data: &BTreeMap<String, Vec<u8>>) -> bool {
    content_digest(record, data) == record.content_digest
}

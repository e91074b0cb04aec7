//! The Secret: anybody who may patch it writes its annotations and its data.

use super::promise;
use crate::{
    credentials::{KeyRequest, read_api_key},
    secret::{ApiKeyRecord, Content, Record, api_key_in, credentials_in, is_intact, profile_credentials_in},
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The parts of a Secret that others can write.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

/// A record is read as it was written. After a seal, each change of the record or of the data is
/// noticed. No error and no `Debug` output shows a value of the data.
///
/// # Errors
/// The promise that the Secret breaks.
pub(super) fn a_record_is_read_as_it_was_written(input: &[u8]) -> Result<(), String> {
    let Ok(written) = serde_json::from_slice::<Written>(input) else { return Ok(()) };
    // Kubernetes allows no other characters in keys of data ("Secrets" in the documentation).
    let is_key = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let data = written.data.into_iter().filter(|(key, _)| is_key(key));
    let data: BTreeMap<String, Vec<u8>> = data.map(|(key, value)| (key, value.into_bytes())).collect();
    shows_no_value(&data)?;
    let Some(record) = Record::read(&written.annotations) else { return Ok(()) };
    round_trip(&record)?;
    // The result does not matter: it must not panic, whatever the record says.
    let _ = is_intact(&record, &data);
    let sealed = record.rendered_again(record.render_digest.clone(), record.api_key.clone(), &Content(data.clone()));
    round_trip(&sealed)?;
    let Some(read) = Record::read(&sealed.annotations()) else { return Ok(()) };
    promise(is_intact(&read, &data), || "a Secret is not intact as it was written".to_owned())?;
    for key in data.keys() {
        let mut edited = data.clone();
        edited.remove(key);
        promise(!is_intact(&read, &edited), || format!("the loss of {key} is not noticed"))?;
        edited.insert(key.clone(), [data[key].as_slice(), b"x"].concat());
        promise(!is_intact(&read, &edited), || format!("an edit of {key} is not noticed"))?;
    }
    let other = Record { person: format!("{}x", read.person), ..read.clone() };
    promise(!is_intact(&other, &data), || "another person is not noticed".to_owned())?;
    if !read.profiles.is_empty() {
        let mut other = read.clone();
        other.profiles[0].role.push('x');
        promise(!is_intact(&other, &data), || "another role of a profile is not noticed".to_owned())?;
    }
    let other =
        Record { api_key: ApiKeyRecord { key: format!("{}x", read.api_key.key), ..read.api_key.clone() }, ..read };
    promise(!is_intact(&other, &data), || "another API key is not noticed".to_owned())
}

fn round_trip(record: &Record) -> Result<(), String> {
    let read = Record::read(&record.annotations());
    promise(read.as_ref() == Some(record), || format!("{record:?} is read as {read:?}"))
}

/// Reads the data in every way in which keyturn reads it.
fn shows_no_value(data: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    if let Some(found) = credentials_in(data) {
        let shown = format!("{found:?}");
        // A text of a few characters is in the names of the fields, or in the ID.
        let secret = found.secret_access_key.expose_secret();
        let is_in_id = found.access_key_id.contains(secret);
        let is_shown = secret.len() > 24 && !is_in_id && shown.contains(secret);
        promise(!is_shown, || format!("a secret access key is shown: {shown}"))?;
    }
    let files = data.keys().filter_map(|key| key.strip_prefix("credential-process-")?.strip_suffix(".json"));
    for found in files.filter_map(|name| profile_credentials_in(data, name)) {
        let (shown, secret) = (format!("{found:?}"), found.secret_access_key.expose_secret());
        let is_shown = secret.len() > 24 && !found.access_key_id.contains(secret) && shown.contains(secret);
        promise(!is_shown, || format!("the key of a profile is shown: {shown}"))?;
    }
    if let Some(key) = api_key_in(data) {
        let (shown, key) = (format!("{key:?}"), key.expose_secret());
        promise(key.len() <= 24 || !shown.contains(key), || format!("an API key is shown: {shown}"))?;
    }
    let request = KeyRequest {
        secret: "key".to_owned(),
        access_key_id_key: "aws_access_key_id".to_owned(),
        secret_access_key_key: "aws_secret_access_key".to_owned(),
    };
    let errors = [request.read(data).err(), read_api_key(data, "apiKey").err()];
    for (error, value) in errors.iter().flatten().flat_map(|error| data.values().map(move |value| (error, value))) {
        let value = String::from_utf8_lossy(value);
        promise(value.len() <= 24 || !error.contains(&*value), || format!("a value is quoted: {error}"))?;
    }
    Ok(())
}

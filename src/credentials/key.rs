//! An access key that a user keeps in a Secret of their own.

use super::Credentials;
use secrecy::SecretString;
use std::collections::BTreeMap;

/// The place of an access key: a Secret and two keys of its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRequest {
    /// The name of the Secret.
    pub secret: String,
    /// The key of its data that holds the access key ID.
    pub access_key_id_key: String,
    /// The key of its data that holds the secret access key.
    pub secret_access_key_key: String,
}

impl KeyRequest {
    /// Reads the credentials from the Secret's data. White space around the values, which `echo`
    /// adds, is removed.
    ///
    /// # Errors
    /// A sentence that says what is wrong. It contains no value of the Secret.
    pub fn read(&self, data: &BTreeMap<String, Vec<u8>>) -> Result<Credentials, String> {
        let value = |key: &str| {
            let bytes = data.get(key).ok_or_else(|| format!("it has no key \"{key}\""))?;
            let text = std::str::from_utf8(bytes).map_err(|_| format!("its key \"{key}\" holds no text"))?;
            Ok::<_, String>(text.trim())
        };
        let (id_key, secret_key) = (&self.access_key_id_key, &self.secret_access_key_key);
        let (access_key_id, secret) = (value(id_key)?, value(secret_key)?);
        // IAM API reference, AccessKey: AccessKeyId is 16 to 128 characters of \w.
        let is_id = (16..=128).contains(&access_key_id.len())
            && access_key_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_id {
            return Err(format!("its key \"{id_key}\" holds no access key ID (16 to 128 letters and digits)"));
        }
        if access_key_id.starts_with("ASIA") {
            return Err(format!(
                "its key \"{id_key}\" holds the access key ID of a session, which is of no use without its token; take one \
                 that begins with AKIA"
            ));
        }
        if secret.is_empty()
            || secret.len() > 256
            || !secret.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
        {
            return Err(format!("its key \"{secret_key}\" holds no secret access key (letters, digits and +/=)"));
        }
        Ok(Credentials {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret.into(),
            session_token: None,
        })
    }
}

/// The API key under this key of a Secret's data. White space around it, which `echo`
/// leaves, is no part of it.
///
/// # Errors
/// With a sentence that says what is wrong. It holds no value.
pub fn read_api_key(data: &BTreeMap<String, Vec<u8>>, key: &str) -> Result<SecretString, String> {
    let bytes = data.get(key).ok_or_else(|| format!("it has no key \"{key}\""))?;
    let text = std::str::from_utf8(bytes).map(str::trim).unwrap_or_default();
    let is_key = (8..=512).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if is_key {
        Ok(text.into())
    } else {
        Err(format!("its key \"{key}\" holds no API key (8 to 512 printable characters)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    fn read(id: &str, secret: &str) -> Result<Credentials, String> {
        let request =
            KeyRequest { secret: "mine".into(), access_key_id_key: "id".into(), secret_access_key_key: "key".into() };
        let data = [("id", id), ("key", secret)].map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
        request.read(&data.into())
    }

    #[test]
    fn a_key_is_read_without_the_white_space_around_it() {
        let credentials = read("AKIAIOSFODNN7EXAMPLE\n", " abc/DEF+123= \n").unwrap();
        assert_eq!(credentials.access_key_id, "AKIAIOSFODNN7EXAMPLE");
        assert_eq!(credentials.secret_access_key.expose_secret(), "abc/DEF+123=");
        assert!(credentials.session_token.is_none());
    }

    #[test]
    fn an_invalid_key_is_refused_by_its_name_and_never_quoted() {
        for (case, id, secret, named) in [
            ("a short ID", "short", "abcdef", "\"id\""),
            ("a space in the ID", "AKIA IOSFODNN7EXAMPLE", "abcdef", "\"id\""),
            ("the ID of a session", "ASIAIOSFODNN7EXAMPLE", "abcdef", "session"),
            ("an empty secret", "AKIAIOSFODNN7EXAMPLE", "", "\"key\""),
            ("a space in the secret", "AKIAIOSFODNN7EXAMPLE", "with space", "\"key\""),
            ("a line break in the secret", "AKIAIOSFODNN7EXAMPLE", "a\nb", "\"key\""),
            ("a bracket in the secret", "AKIAIOSFODNN7EXAMPLE", "a]b", "\"key\""),
        ] {
            let message = read(id, secret).unwrap_err();
            assert!(message.contains(named), "{case}: {message}");
            let is_quoted = message.contains(id) || (!secret.is_empty() && message.contains(secret));
            assert!(!is_quoted, "{case}: {message}");
        }
        let request =
            KeyRequest { secret: "mine".into(), access_key_id_key: "id".into(), secret_access_key_key: "key".into() };
        assert!(request.read(&BTreeMap::new()).unwrap_err().contains("no key \"id\""));
    }
}

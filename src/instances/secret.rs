//! The Secret with the admin key or the API token of an instance.

use crate::{
    cluster::{CallError, Calls, Failed, data_of},
    credentials::read_api_key,
};
use secrecy::SecretString;

/// The words for a key in messages.
pub(super) struct Words {
    /// The field of spec that names the Secret.
    pub(super) field: &'static str,
    /// The key, such as `admin key`.
    pub(super) key: &'static str,
    /// The value of the chart that lists the Secrets which an operator of some namespaces may read.
    pub(super) value: &'static str,
}

/// Reads the key of an instance, which is in the Secret of this namespace and name under this data
/// key. The inner error says why there is none.
///
/// # Errors
/// [`CallError`] if the API server did not answer.
pub(super) async fn read(
    calls: &Calls,
    (namespace, name, key): (&str, &str, &str),
    words: &Words,
) -> Result<Result<SecretString, String>, CallError> {
    let Words { field, key: what, value } = words;
    let secret = match calls.secret(namespace, name).await {
        Err(error) if error.failed == Failed::Forbidden => {
            return Ok(Err(format!(
                "{error}; where keyturn serves some namespaces only, {value} of its chart names the Secrets that it may read"
            )));
        }
        secret => secret?,
    };
    let Some(secret) = secret else {
        return Ok(Err(format!("Secret \"{namespace}/{name}\", which {field} names, does not exist")));
    };
    let read = read_api_key(&data_of(secret), key);
    Ok(read.map_err(|why| format!("Secret \"{namespace}/{name}\" holds no {what}: {why}")))
}

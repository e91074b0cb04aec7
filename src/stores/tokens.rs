//! The API tokens of DataRobot that their owners offer in Secrets, as they were last read.
//!
//! The view of offered Secrets shows the version. A Secret is read once for each version. If its
//! owner no longer offers it, keyturn uses the token no more.

use super::Access;
use crate::{
    api::{Reason, Statement, TokenSecretRef},
    cluster::{CallError, data_of},
    credentials::read_api_key,
    push::token_not_offered,
    secret::is_offered,
};
use kube::ResourceExt as _;
use parking_lot::Mutex;
use secrecy::SecretString;
use std::{collections::HashMap, sync::Arc};

/// The tokens that were read. Clones share them. A restart forgets them, which costs one read of
/// each Secret at the next write.
#[derive(Clone, Default)]
pub struct Tokens(Arc<Mutex<HashMap<(String, TokenSecretRef), Token>>>);

struct Token {
    version: String,
    token: SecretString,
}

/// The token in a Secret of this namespace. The inner error says why there is none.
///
/// # Errors
/// [`CallError`] if the API server refused the read or did not answer.
pub async fn own_token(
    access: Access<'_>,
    namespace: &str,
    named: &TokenSecretRef,
) -> Result<Result<SecretString, Statement>, CallError> {
    let sources = &access.views.sources;
    let shown = access.views.offered_token(namespace, &named.name);
    let key = (namespace.to_owned(), named.clone());
    let Some(version) = shown else {
        access.tokens.0.lock().remove(&key);
        return Ok(Err(token_not_offered(&named.name)));
    };
    if let Some(known) = access.tokens.0.lock().get(&key).filter(|known| known.version == version) {
        return Ok(Ok(known.token.clone()));
    }
    let found = access.calls.secret(namespace, &named.name).await?.filter(|secret| is_offered(&secret.metadata));
    let Some(secret) = found else { return Ok(Err(token_not_offered(&named.name))) };
    let version = secret.resource_version().unwrap_or(version);
    match read_api_key(&data_of(secret), &named.key) {
        Ok(token) => {
            let mut tokens = access.tokens.0.lock();
            tokens.retain(|(namespace, named), _| sources.get(namespace, &named.name).is_some());
            tokens.insert(key, Token { version, token: token.clone() });
            Ok(Ok(token))
        }
        Err(why) => {
            let message =
                format!("Secret \"{}\" holds no API token of DataRobot: {why}; its owner corrects it", named.name);
            Ok(Err(Statement::new(Reason::DataRobotDenied, message)))
        }
    }
}

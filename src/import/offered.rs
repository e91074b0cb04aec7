//! Secrets with keys that keyturn delivers, and the consent of their owners. Pure.

use crate::api::names::{SOURCE, SOURCE_OFFERED};
use serde_json::{Value, json};

/// The value that the user replaces by a key.
pub(super) const TO_FILL_IN: &str = "FILL-IN";

/// A Secret with a key, which its owner offers.
pub(super) fn key_secret(name: &str, namespace: &str, (id, secret): (&str, &str)) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": {SOURCE: SOURCE_OFFERED}},
        "stringData": {"aws_access_key_id": id, "aws_secret_access_key": secret},
    })
}

/// The comment on the label of such a Secret.
pub(super) fn consent() -> String {
    format!("the label {SOURCE} is the consent that users of the namespace may have the key delivered")
}

/// The comment on a Secret that is not offered yet.
pub(super) fn how_to_offer(namespace: &str, secret: &str) -> String {
    format!("its owner offers it by: kubectl -n {namespace} label secret {secret} {SOURCE}={SOURCE_OFFERED}")
}

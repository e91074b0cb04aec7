//! The places that may hold API keys of a config, and the label by which keyturn finds them.

use crate::{api::AwsConfig, dss::PersonalKey};
use kube::ResourceExt as _;

/// A DSS that may hold personal API keys of a config, because the config has a finalizer for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// The name of the `DssInstance`.
    pub instance: String,
    /// Whether the `DssInstance` exists.
    pub exists: bool,
    /// The keys of this config in it; `None` while keyturn has not listed them.
    pub keys: Option<Vec<PersonalKey>>,
}

/// The label of a config's keys in DSS, by which keyturn finds them again. It holds the UID of the
/// config, because keyturn must not find the keys of any other config.
#[must_use]
pub fn key_label(cluster: &str, config: &AwsConfig) -> String {
    let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
    format!("{}{namespace}/{name} {}", key_label_prefix(cluster), config.uid().unwrap_or_default())
}

/// The beginning of the labels of all keys of a cluster.
#[must_use]
pub fn key_label_prefix(cluster: &str) -> String {
    format!("keyturn {cluster}/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn a_label_distinguishes_a_config_from_every_other() {
        let mut alice = AwsConfig::new("alice", from_value(json!({"person": "alice"})).unwrap());
        alice.metadata.namespace = Some("scoring".to_owned());
        alice.metadata.uid = Some("uid-1".to_owned());
        let label = key_label("prod", &alice);
        assert_eq!(label, "keyturn prod/scoring/alice uid-1");
        assert!(label.starts_with(&key_label_prefix("prod")) && !label.starts_with(&key_label_prefix("pro")));
        alice.metadata.uid = Some("uid-2".to_owned());
        assert_ne!(key_label("prod", &alice), label, "one that was created anew under the same name");
    }
}

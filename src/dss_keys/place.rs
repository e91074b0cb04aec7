//! Where there may be API keys of a config, and the label by which they are found.

use crate::{api::AwsConfig, dss::PersonalKey};
use kube::ResourceExt as _;

/// A DSS in which, by a finalizer's word, there may be personal API keys of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// The name of the instance.
    pub instance: String,
    /// Whether there is such an instance.
    pub exists: bool,
    /// The keys of this config there; `None` while they have not been listed.
    pub keys: Option<Vec<PersonalKey>>,
}

/// By this label a config's keys are found again in DSS, and no other config's: it holds the UID.
#[must_use]
pub fn key_label(cluster: &str, config: &AwsConfig) -> String {
    let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
    format!("{}{namespace}/{name} {}", key_label_prefix(cluster), config.uid().unwrap_or_default())
}

/// What the labels of all keys of a cluster begin with.
#[must_use]
pub fn key_label_prefix(cluster: &str) -> String {
    format!("keyturn {cluster}/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn a_label_tells_one_config_from_every_other() {
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

//! The grants that imported configs need: one for each role, with exactly its persons, and one for
//! those who bring keys. Pure.

use super::{manifest::Document, names::Names};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The credential that a grant has to allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Role(String),
    Keys,
}

/// The needed grants: subjects by namespace and by what they use.
#[derive(Debug, Default)]
pub(super) struct Grants(BTreeMap<(String, What), BTreeSet<String>>);

impl Grants {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A subject of a namespace needs a role. A subject is a person, or `system:<namespace>`.
    pub fn need_role(&mut self, namespace: &str, role: &str, subject: &str) {
        self.need(namespace, What::Role(role.to_owned()), subject);
    }

    /// A subject of a namespace brings a key.
    pub fn need_keys(&mut self, namespace: &str, subject: &str) {
        self.need(namespace, What::Keys, subject);
    }

    fn need(&mut self, namespace: &str, what: What, subject: &str) {
        self.0.entry((namespace.to_owned(), what)).or_default().insert(subject.to_owned());
    }

    /// The manifests.
    pub fn documents(&self) -> Vec<Document> {
        let mut names = Names::default();
        let grant = |((namespace, what), subjects): (&(String, What), &BTreeSet<String>)| {
            let mut spec = json!({"namespaces": {"names": [namespace]}, "persons": subjects});
            let about = match what {
                What::Role(role) => {
                    spec["roles"] = json!([role]);
                    role.rsplit('/').next().unwrap_or_default()
                }
                What::Keys => {
                    spec["providers"] = json!(["default"]);
                    "keys"
                }
            };
            let name = names.take(&format!("imported {namespace} {about}"));
            Document::new(
                "what the imported AwsConfigs need and nothing else; only a cluster admin can apply it",
                object("AwsRoleGrant", &json!({"name": name}), &spec),
            )
        };
        self.0.iter().map(grant).collect()
    }
}

/// A manifest of one of keyturn's resources.
pub(super) fn object(kind: &str, metadata: &Value, spec: &Value) -> Value {
    json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_a_grant_with_exactly_its_persons() {
        let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
        let mut grants = Grants::default();
        grants.need_role("scoring", &role("ds"), "alice");
        grants.need_role("scoring", &role("ds"), "bob");
        grants.need_role("scoring", &role("admin"), "carol");
        grants.need_keys("scoring", "dave");
        let specs: Vec<_> = grants.documents().into_iter().map(|it| it.object["spec"].clone()).collect();
        let scoring = json!({"names": ["scoring"]});
        assert_eq!(
            specs,
            [
                json!({"namespaces": scoring, "persons": ["carol"], "roles": [role("admin")]}),
                json!({"namespaces": scoring, "persons": ["alice", "bob"], "roles": [role("ds")]}),
                json!({"namespaces": scoring, "persons": ["dave"], "providers": ["default"]}),
            ]
        );
    }
}

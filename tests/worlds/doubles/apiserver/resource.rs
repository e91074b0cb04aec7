//! The resources that the API server serves, and how a path names one.
//!
//! Nothing here knows a schema. A resource has only the properties that change the server's
//! behaviour: its scope, whether it has a status subresource, and which status an object has that
//! nobody has written, whether it is a custom one, and which of its lists are merged by key and not
//! replaced as a whole.

use keyturn::api::UNSEEN;
use serde_json::{Value, json};
use std::sync::Arc;

/// A kind of object that the server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceKind {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The plural that paths use, e.g. `secrets`.
    pub plural: String,
    /// The kind, e.g. `Secret`.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether `status` is a subresource.
    pub status: bool,
    /// The status of an object while nobody has written one (a `default` of the CRD).
    pub first_status: Option<Value>,
    /// Whether it comes from a CRD: then it has a `generation`.
    pub custom: bool,
    /// The fields besides its name and namespace that a field selector may name.
    pub selectable: Vec<String>,
    /// Lists that are maps by key: the path of the list (`status.conditions`) and its keys.
    /// All other lists are atomic, except owner references (by uid) and finalizers (a set).
    pub keyed_lists: Vec<(String, Vec<String>)>,
}

impl ResourceKind {
    /// A namespaced built-in resource. `api_version` is `v1` or `group/version`.
    pub fn namespaced(api_version: &str, plural: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced: true,
            status: false,
            first_status: None,
            custom: false,
            selectable: Vec::new(),
            keyed_lists: Vec::new(),
        }
    }

    /// A cluster-scoped built-in resource.
    pub fn cluster(api_version: &str, plural: &str, kind: &str) -> Self {
        Self { namespaced: false, ..Self::namespaced(api_version, plural, kind) }
    }

    /// With a status subresource.
    #[must_use]
    pub fn with_status(self) -> Self {
        Self { status: true, ..self }
    }

    /// A custom resource.
    #[must_use]
    pub fn custom(self) -> Self {
        Self { custom: true, ..self }
    }

    /// With these fields for field selectors.
    #[must_use]
    pub fn selectable_by(self, fields: &[&str]) -> Self {
        Self { selectable: fields.iter().map(|&field| field.to_owned()).collect(), ..self }
    }

    /// With a list that is a map by key (`x-kubernetes-list-type: map`).
    #[must_use]
    pub fn with_keyed_list(mut self, path: &str, keys: &[&str]) -> Self {
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        self.keyed_lists.push((path.to_owned(), keys));
        self
    }

    /// With a status subresource that has conditions.
    #[must_use]
    fn with_conditions(self) -> Self {
        self.with_status().with_keyed_list("status.conditions", &["type"])
    }

    /// A custom resource of keyturn's.
    #[must_use]
    fn of_keyturn(self) -> Self {
        let first_status = Some(json!({ "observedGeneration": UNSEEN, "conditions": [] }));
        Self { first_status, ..self.custom().with_conditions() }
    }

    /// `v1`, `keyturn.dev/v1alpha1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The name in messages and in the store: `secrets`, `awsconfigs.keyturn.dev`.
    pub fn id(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `Secret`, `AwsConfig.keyturn.dev`: how messages name its kind.
    pub(super) fn kind_and_group(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// Whether the server accepts a replace without a version. It does for most built-in kinds.
    pub(super) fn replaces_any_version(&self) -> bool {
        !self.custom && self.plural != "leases"
    }

    /// Whether a replace of an absent object creates it.
    pub(super) fn is_made_by_a_replace(&self) -> bool {
        self.plural == "leases"
    }

    /// Whether somebody who says `Secret`, `secrets` or `awsconfigs.keyturn.dev` means this.
    pub fn is_called(&self, name: &str) -> bool {
        self.plural == name || self.kind == name || self.id() == name
    }

    /// The keys of the list for which `is_at` holds, if it is merged by key.
    pub(super) fn list_keys(&self, is_at: impl Fn(&str) -> bool) -> Option<Vec<String>> {
        if is_at("metadata.ownerReferences") {
            return Some(vec!["uid".to_owned()]);
        }
        let mut lists = self.keyed_lists.iter();
        let list = lists.find(|(list, _)| is_at(list));
        list.map(|(_, keys)| keys.clone())
    }

    /// The resources that the server serves from the start.
    pub(super) fn defaults() -> Vec<Arc<Self>> {
        let keyturn = "keyturn.dev/v1alpha1";
        [
            Self::cluster("v1", "namespaces", "Namespace").with_status(),
            Self::namespaced("v1", "secrets", "Secret").selectable_by(&["type"]),
            Self::namespaced("v1", "pods", "Pod").with_status().selectable_by(&["spec.nodeName", "status.phase"]),
            Self::namespaced("v1", "configmaps", "ConfigMap"),
            Self::namespaced("v1", "events", "Event"),
            Self::namespaced("events.k8s.io/v1", "events", "Event"),
            Self::namespaced("coordination.k8s.io/v1", "leases", "Lease"),
            Self::cluster(
                "admissionregistration.k8s.io/v1",
                "mutatingwebhookconfigurations",
                "MutatingWebhookConfiguration",
            )
            .with_keyed_list("webhooks", &["name"]),
            Self::namespaced(keyturn, "awsconfigs", "AwsConfig").of_keyturn(),
            Self::namespaced(keyturn, "awsroles", "AwsRole").of_keyturn(),
            Self::cluster(keyturn, "awsrolegrants", "AwsRoleGrant").of_keyturn(),
            Self::cluster(keyturn, "dssinstances", "DssInstance").of_keyturn(),
            Self::cluster(keyturn, "datarobotinstances", "DataRobotInstance").of_keyturn(),
        ]
        .map(Arc::new)
        .to_vec()
    }
}

/// The target of a path.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) kind: Arc<ResourceKind>,
    /// Empty: all namespaces, or the object is cluster-scoped.
    pub(super) namespace: String,
    /// Empty: the collection.
    pub(super) name: String,
    /// Empty: the object itself.
    pub(super) subresource: String,
}

impl Target {
    /// The target of a path, if the server has such a resource.
    pub(super) fn parse(kinds: &[Arc<ResourceKind>], path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let find = |plural: &str, namespaced: bool| {
            let mut kinds = kinds.iter();
            kinds.find(|kind| {
                (kind.group.as_str(), kind.version.as_str()) == (group, version)
                    && kind.plural == plural
                    && kind.namespaced == namespaced
            })
        };
        let target = |kind: &Arc<ResourceKind>, namespace: &str, rest: &[&str]| {
            (rest.len() <= 2).then(|| Self {
                kind: Arc::clone(kind),
                namespace: namespace.to_owned(),
                name: rest.first().copied().unwrap_or_default().to_owned(),
                subresource: rest.get(1).copied().unwrap_or_default().to_owned(),
            })
        };
        if let ["namespaces", namespace, plural, rest @ ..] = rest
            && let Some(kind) = find(plural, true)
        {
            return target(kind, namespace, rest);
        }
        let (plural, rest) = rest.split_first()?;
        if let Some(kind) = find(plural, false) {
            return target(kind, "", rest);
        }
        // Objects of all namespaces can be listed, but not named.
        let kind = find(plural, true).filter(|_| rest.is_empty())?;
        target(kind, "", rest)
    }
}

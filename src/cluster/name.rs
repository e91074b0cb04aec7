//! The kinds of objects that keyturn watches, and the name of an object in the form in which many
//! are kept.

use kube::{Resource, ResourceExt as _};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt::{self, Debug},
    sync::Arc,
};

/// An object of a kind that keyturn watches.
pub trait Object:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Object for K where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// The namespace and the name of an object, as one shared text. The namespace is empty for objects
/// that are not namespaced. A clone costs no memory.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The name of the object `name` in a namespace.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self(text(namespace, name).into())
    }

    /// The name of this object.
    #[must_use]
    pub fn of(object: &impl Resource) -> Self {
        Self::new(object.meta().namespace.as_deref().unwrap_or_default(), &object.name_any())
    }

    /// The namespace; empty for an object that is not namespaced.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.parts().0
    }

    /// The name within the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or_default()
    }
}

/// The text of a name, by which tables find it. Neither part contains a `/`, because the API server
/// accepts none.
pub(super) fn text(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace};

    #[test]
    fn a_name_has_its_parts_and_the_order_of_its_parts() {
        let mut object = ConfigMap::default();
        (object.metadata.namespace, object.metadata.name) = (Some("lab".into()), Some("alice".into()));
        let name = Name::of(&object);
        assert_eq!((name.namespace(), name.name()), ("lab", "alice"));
        let mut of_cluster = Namespace::default();
        of_cluster.metadata.name = Some("lab".into());
        assert_eq!(Name::of(&of_cluster), Name::new("", "lab"));
        let mut names = [Name::new("lab-2", "a"), Name::new("lab", "b"), Name::new("lab", "a")];
        names.sort();
        assert_eq!(names, [Name::new("lab", "a"), Name::new("lab", "b"), Name::new("lab-2", "a")]);
    }
}

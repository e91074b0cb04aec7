//! A JSON patch (RFC 6902) that only adds, except that it replaces values of Amazon's webhooks. Its
//! types serialise to the form that is sent. Pure.

use super::pod_view::Volume;
use k8s_openapi::api::core::v1::{Container, EnvVar, VolumeMount};
use serde::Serialize;
use std::collections::BTreeMap;

/// One operation. It is serialised directly, because building JSON values first took longer than
/// the decision about what to add.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum Operation {
    /// An addition at this path (RFC 6901).
    Add { path: String, value: Added },
    /// Another value for a variable.
    Replace { path: String, value: String },
}

/// The added value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Added {
    /// One element of a list, at its end or its beginning.
    Element(Box<Element>),
    /// A whole list, where the pod had none.
    List(Vec<Element>),
    /// The value of one annotation.
    Annotation(String),
    /// All annotations, where the pod had none.
    Annotations(BTreeMap<&'static str, String>),
}

/// An element of one of the pod's lists.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Element {
    Volume(Volume),
    Mount(VolumeMount),
    Variable(EnvVar),
    Container(Box<Container>),
}

/// Adds to the end of a list, or adds the list if the pod has none. Present elements keep their
/// places.
pub(super) fn append(patch: &mut Vec<Operation>, list: &str, is_there: bool, elements: Vec<Element>) {
    if elements.is_empty() {
        return;
    }
    if is_there {
        let path = format!("{list}/-");
        let added = elements.into_iter().map(|element| Added::Element(Box::new(element)));
        patch.extend(added.map(|value| Operation::Add { path: path.clone(), value }));
    } else {
        patch.push(Operation::Add { path: list.to_owned(), value: Added::List(elements) });
    }
}

/// Adds to the beginning of a list, or adds the list if the pod has none. All other places in the
/// list change, therefore this comes after the operations that name them.
pub(super) fn prepend(patch: &mut Vec<Operation>, list: &str, is_there: bool, element: Element) {
    if is_there {
        let value = Added::Element(Box::new(element));
        patch.push(Operation::Add { path: format!("{list}/0"), value });
    } else {
        append(patch, list, false, vec![element]);
    }
}

/// Gives a variable another value.
pub(super) fn replace(patch: &mut Vec<Operation>, path: String, value: String) {
    patch.push(Operation::Replace { path, value });
}

/// Adds annotations, or gives them another value. `are_there` says whether the pod has annotations
/// already.
pub(super) fn annotate(patch: &mut Vec<Operation>, annotations: BTreeMap<&'static str, String>, are_there: bool) {
    const ANNOTATIONS: &str = "/metadata/annotations";
    if are_there {
        patch.extend(annotations.into_iter().map(|(name, value)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            Operation::Add { path: format!("{ANNOTATIONS}/{name}"), value: Added::Annotation(value) }
        }));
    } else if !annotations.is_empty() {
        patch.push(Operation::Add { path: ANNOTATIONS.to_owned(), value: Added::Annotations(annotations) });
    }
}

//! The containers of a pod that get the Secret, by the choice of the pod's author. Pure.
//!
//! A container that the author leaves out keeps its own identity: nothing is added to it, and it
//! lacks nothing.

use super::{endpoint::is_endpoint, pod_view::Spec};
use crate::api::names::{POD_CONTAINERS, POD_SKIP_CONTAINERS};
use std::collections::BTreeMap;

/// The choice of the pod's author among the containers of the pod, of any kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen<'a> {
    /// The only containers that get the Secret; `None` for all.
    only: Option<Vec<&'a str>>,
    /// The containers that are left out, also if they are chosen.
    skipped: Vec<&'a str>,
}

impl<'a> Chosen<'a> {
    /// The choice that these annotations of a pod make.
    pub(super) fn by(annotations: &'a BTreeMap<String, String>) -> Self {
        let names = |annotation: &str| annotations.get(annotation).map(|text| listed(text));
        Self { only: names(POD_CONTAINERS), skipped: names(POD_SKIP_CONTAINERS).unwrap_or_default() }
    }

    /// Whether the container of this name gets the Secret.
    pub(super) fn has(&self, container: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&container)) && !self.skipped.contains(&container)
    }

    /// The warnings about names that no container of a new pod has.
    pub(super) fn unknown(&self, spec: &Spec) -> Vec<String> {
        let is_there = |name: &str| {
            let mut containers = spec.at_creation().into_iter().flat_map(|(_, containers)| containers);
            containers.any(|container| container.name == name)
        };
        let only = self.only.as_deref().unwrap_or_default();
        let lists = [(POD_CONTAINERS, only), (POD_SKIP_CONTAINERS, self.skipped.as_slice())];
        let unknown = lists.into_iter().map(|(annotation, names)| {
            let unknown: Vec<&str> = names.iter().copied().filter(|name| !is_there(name)).collect();
            (annotation, unknown)
        });
        let unknown = unknown.filter(|(_, names)| !names.is_empty());
        let said = unknown.map(|(annotation, names)| {
            format!("the annotation {annotation} names \"{}\", and the pod has no such container", names.join("\", \""))
        });
        said.collect()
    }

    /// The reason why a pod with containers of its author's gets nothing, if the author leaves out
    /// all of them.
    pub(super) fn leaves_out_all(&self, spec: &Spec) -> Option<String> {
        let containers = spec.at_creation().into_iter().flat_map(|(_, containers)| containers);
        let mut own = containers.filter(|container| !is_endpoint(container)).peekable();
        let is_all = own.peek().is_some() && own.all(|container| !self.has(&container.name));
        is_all.then(|| {
            format!(
                "the annotations {POD_CONTAINERS} and {POD_SKIP_CONTAINERS} leave out every container: nothing is mounted"
            )
        })
    }
}

/// The names in a list with commas. Spaces around a name do not count.
fn listed(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn annotations(only: Option<&str>, skipped: Option<&str>) -> BTreeMap<String, String> {
        let all = [(POD_CONTAINERS, only), (POD_SKIP_CONTAINERS, skipped)];
        all.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.to_owned()))).collect()
    }

    #[test]
    fn a_container_is_left_out_by_its_name_or_by_the_choice_of_others() {
        for (case, only, skipped, expected) in [
            ("nothing is chosen", None, None, "app side first"),
            ("one is left out", None, Some("side"), "app first"),
            ("two are left out, with spaces", None, Some(" side , first,"), "app"),
            ("one is chosen", Some("app"), None, "app"),
            ("both, and the omission wins", Some("app,side"), Some("side"), "app"),
            ("nobody is chosen", Some(""), None, ""),
            ("nobody is left out", None, Some(""), "app side first"),
        ] {
            let annotations = annotations(only, skipped);
            let chosen = Chosen::by(&annotations);
            let names: Vec<&str> = ["app", "side", "first"].into_iter().filter(|name| chosen.has(name)).collect();
            assert_eq!(names.join(" "), expected, "{case}");
        }
    }

    #[test]
    fn names_of_no_container_and_a_choice_of_none_are_said() {
        let spec: Spec =
            from_value(json!({"initContainers": [{"name": "first"}], "containers": [{"name": "app"}]})).unwrap();
        for (case, only, skipped, unknown, leaves_out_all) in [
            ("known names", Some("app"), Some("first"), &[][..], false),
            ("a wrong name", None, Some("apps"), &["skip-containers names \"apps\""][..], false),
            ("a wrong choice", Some("x,y"), None, &["dev/containers names \"x\", \"y\""][..], true),
            ("all of them", None, Some("app,first"), &[][..], true),
        ] {
            let annotations = annotations(only, skipped);
            let chosen = Chosen::by(&annotations);
            let said = chosen.unknown(&spec);
            assert_eq!(said.len(), unknown.len(), "{case}: {said:?}");
            assert!(said.iter().zip(unknown).all(|(said, part)| said.contains(part)), "{case}: {said:?}");
            assert_eq!(chosen.leaves_out_all(&spec).is_some(), leaves_out_all, "{case}");
        }
    }
}

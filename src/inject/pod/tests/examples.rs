//! The manifests of examples/pods, and the annotations in them.

use super::*;
use crate::api::names::POD_NAMES;
use std::{fs, path::Path};

/// The texts of the manifests, with the names of their files.
fn texts() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/pods");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| (file.display().to_string(), fs::read_to_string(&file).unwrap())).collect()
}

/// The pods among the manifests that ask for an AwsConfig.
fn pods() -> Vec<(String, Value)> {
    let texts = texts().into_iter();
    let documents = texts.flat_map(|(file, text)| {
        let documents: Vec<Value> = text.split("\n---\n").map(|it| serde_saphyr::from_str(it).unwrap()).collect();
        documents.into_iter().map(move |document| (file.clone(), document))
    });
    documents
        .filter(|(_, document)| document["metadata"]["annotations"]["keyturn.dev/aws-config"].is_string())
        .collect()
}

#[test]
fn an_example_pod_has_the_secret_where_its_annotations_say() {
    let pods = pods();
    assert_eq!(pods.len(), 3, "{pods:?}");
    for (file, pod) in pods {
        let annotations = &pod["metadata"]["annotations"];
        let name = annotations["keyturn.dev/aws-config"].as_str().unwrap();
        let (after, injection) = injected(&pod, &[config(name, None)]);
        assert!(injection.given && injection.warnings.is_empty(), "{file}: {:?}", injection.warnings);
        let chosen = annotations["keyturn.dev/containers"].as_str().unwrap();
        for kind in ["initContainers", "containers"] {
            for container in after["spec"][kind].as_array().into_iter().flatten() {
                let has_it = all(&container["volumeMounts"], "mountPath").contains(&MOUNT_PATH);
                assert_eq!(has_it, container["name"] == chosen, "{file}: {container}");
            }
        }
    }
}

#[test]
fn the_annotations_in_the_examples_are_keyturns() {
    let mut seen = 0;
    for (file, text) in texts() {
        for name in text.split("keyturn.dev/").skip(1) {
            let end = name.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(name.len());
            let name = format!("keyturn.dev/{}", &name[..end]);
            assert!(POD_NAMES.iter().any(|known| known.name == name), "{file}: {name}");
            seen += 1;
        }
    }
    assert!(seen >= 15, "{seen}");
}

use crate::{
    api::{AwsConfig, AwsConfigSpec},
    inject::{
        endpoint::Settings,
        pod::{Injection, ephemeral_containers, new_pod},
    },
};
use json_patch::{Patch, patch};
use serde_json::{Value, from_value, json};
use std::sync::Arc;

/// A config with this home folder, with an API key of DSS.
fn config(home: Option<&str>) -> Arc<AwsConfig> {
    let spec = json!({
        "person": "alice", "inject": home.map(|home| json!({"home": home})),
        "dss": {"instance": "design", "apiKey": "Personal"},
    });
    Arc::new(AwsConfig::new("alice", from_value::<AwsConfigSpec>(spec).unwrap()))
}

fn pod() -> Value {
    json!({"metadata": {"annotations": {"keyturn.dev/aws-config": "alice"}},
        "spec": {"containers": [{"name": "app"}, {"name": "side"}]}})
}

fn patched(pod: &Value, injection: &Injection) -> Value {
    let sent: Patch = serde_json::from_slice(&serde_json::to_vec(&injection.patch).unwrap()).unwrap();
    let mut after = pod.clone();
    patch(&mut after, &sent).unwrap();
    after
}

fn injected(pod: &Value, config: Arc<AwsConfig>) -> (Value, Vec<String>) {
    let injection = new_pod(&from_value(pod.clone()).unwrap(), &[config], &Settings::default());
    let after = patched(pod, &injection);
    let others = |warning: &String| !warning.contains("has no credential now");
    (after, injection.warnings.into_iter().filter(others).collect())
}

/// The paths below a home folder at which a container has mounts.
fn at_home(container: &Value) -> Vec<&str> {
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    let paths = mounts.filter_map(|mount| mount["mountPath"].as_str());
    paths.filter(|path| path.ends_with("/.aws") || path.ends_with("/.dataiku")).collect()
}

#[test]
fn a_home_folder_gets_whole_folders_that_follow_the_secret() {
    let (after, warnings) = injected(&pod(), config(Some("/home/dataiku")));
    assert!(warnings.is_empty(), "{warnings:?}");
    for container in after["spec"]["containers"].as_array().unwrap() {
        assert_eq!(at_home(container), ["/home/dataiku/.aws", "/home/dataiku/.dataiku"]);
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().all(|mount| mount["readOnly"] == true && mount.get("subPath").is_none()), "{mounts:?}");
    }
    let file = |name: &str, key: &str, path: &str| {
        let items = json!([{"key": key, "path": path}]);
        json!({"name": name, "secret": {"secretName": "alice-aws", "items": items, "optional": true}})
    };
    let volumes = json!([
        {"name": "keyturn", "secret": {"secretName": "alice-aws"}},
        file("keyturn-home-aws", "config", "config"),
        file("keyturn-home-dataiku", "dataiku-config.json", "config.json"),
    ]);
    assert_eq!(after["spec"]["volumes"], volumes);
    assert_eq!(injected(&after, config(Some("/home/dataiku"))), (after.clone(), vec![]), "once");

    let mut debugged = after;
    debugged["spec"]["ephemeralContainers"] = json!([{"name": "debug"}]);
    let injection = ephemeral_containers(&from_value(debugged.clone()).unwrap(), None);
    let debugged = patched(&debugged, &injection);
    assert_eq!(at_home(&debugged["spec"]["ephemeralContainers"][0]), ["/home/dataiku/.aws", "/home/dataiku/.dataiku"]);
}

#[test]
fn the_pod_chooses_its_home_folder_before_the_config() {
    for (case, of_config, of_pod, expected, said) in [
        ("nobody", None, None, None, None),
        ("the config", Some("/home/a/"), None, Some("/home/a/.aws"), None),
        ("the pod", None, Some("/root"), Some("/root/.aws"), None),
        ("the pod against the config", Some("/home/a"), Some("/home/b"), Some("/home/b/.aws"), None),
        ("the pod wants none", Some("/home/a"), Some(""), None, None),
        ("the root", Some("/"), None, Some("/.aws"), None),
        ("a relative path", None, Some("home/a"), None, Some("annotation keyturn.dev/home")),
        ("a way up", None, Some("/home/../etc"), None, Some("no absolute path")),
        ("a variable", None, Some("$HOME"), None, Some("no absolute path")),
        ("the place of the Secret", None, Some("/var/run/secrets/keyturn"), None, Some("no absolute path")),
        ("a folder of the kernel", Some("/proc/1"), None, None, Some("inject.home is no")),
    ] {
        let mut pod = pod();
        if let Some(home) = of_pod {
            pod["metadata"]["annotations"]["keyturn.dev/home"] = json!(home);
        }
        let (after, warnings) = injected(&pod, config(of_config));
        assert_eq!(at_home(&after["spec"]["containers"][0]).first().copied(), expected, "{case}");
        assert_eq!(warnings.len(), usize::from(said.is_some()), "{case}: {warnings:?}");
        assert!(said.is_none_or(|said| warnings[0].contains(said)), "{case}: {warnings:?}");
    }
}

#[test]
fn a_folder_that_is_taken_is_skipped_with_a_warning() {
    let secret = json!({"secretName": "mine"});
    for (case, path, source, expected, said) in [
        ("the folder", "/home/a/.aws", json!({"emptyDir": {}}), &["/home/a/.dataiku"][..], Some("something else at")),
        (
            "a file in it",
            "/home/a/.aws/credentials",
            json!({"emptyDir": {}}),
            &["/home/a/.dataiku"][..],
            Some("/credentials"),
        ),
        ("a volume of a notebook", "/home/a", json!({"emptyDir": {}}), &["/home/a/.aws", "/home/a/.dataiku"][..], None),
        ("a closed volume", "/home", json!({"secret": secret}), &[][..], Some("a read-only volume at /home")),
    ] {
        let mut pod = pod();
        let mut volume = source;
        volume["name"] = json!("mine");
        pod["spec"]["volumes"] = json!([volume]);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "mine", "mountPath": path}]);
        let (after, warnings) = injected(&pod, config(Some("/home/a")));
        assert_eq!(
            at_home(&after["spec"]["containers"][0]).into_iter().filter(|at| *at != path).collect::<Vec<_>>(),
            expected,
            "{case}"
        );
        assert_eq!(at_home(&after["spec"]["containers"][1]).len(), 2, "{case}");
        assert_eq!(warnings.is_empty(), said.is_none(), "{case}: {warnings:?}");
        assert!(
            said.is_none_or(|said| warnings[0].contains(said) && warnings[0].contains("container \"app\"")),
            "{case}: {warnings:?}"
        );
        let marks = &after["metadata"]["annotations"];
        assert_eq!(
            (&marks["keyturn.dev/injected"], marks.get("keyturn.dev/not-injected")),
            (&json!("alice"), None),
            "{case}"
        );
    }
}

#[test]
fn only_those_folders_are_mounted_that_the_secret_has_a_file_for() {
    let with = |change: Value| {
        let mut spec = json!({"person": "alice", "inject": {"home": "/home/a"}});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let config = AwsConfig::new("alice", from_value::<AwsConfigSpec>(spec).unwrap());
        let (after, _) = injected(&pod(), Arc::new(config));
        at_home(&after["spec"]["containers"][0]).join(" ")
    };
    assert_eq!(with(json!({})), "/home/a/.aws");
    assert_eq!(with(json!({"dss": {"instance": "design"}})), "/home/a/.aws");
    assert_eq!(with(json!({"target": {"formats": ["Env"]}})), "");
}

//! Pods that nobody wrote.

use super::*;
use proptest::prelude::*;
use serde::Serialize;

prop_compose! {
    fn a_variable()(name in prop::sample::select(vec![
        "AWS_CONFIG_FILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "DKU_DSS_URL", "DKU_API_KEY", "PATH",
        "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_DEFAULT_BUCKET", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ]), value in prop::option::of("[a-z/$()]{0,8}")) -> (String, Value) {
        let variable = value.map_or_else(|| json!({"name": name}), |value| json!({"name": name, "value": value}));
        (name.to_owned(), variable)
    }
}

fn some<T>(list: &[T]) -> Value
where
    T: Serialize,
{
    if list.is_empty() { Value::Null } else { json!(list) }
}

prop_compose! {
    fn a_container(volumes: Vec<String>)(
        env in prop::collection::btree_map(".{0}", Just(()), 0..1).prop_flat_map(|_| prop::collection::vec(a_variable(), 0..5)),
        mounts in prop::collection::btree_map(prop::sample::select(vec![
            "/data", "/var/run/secrets/keyturn", "/var/run/secrets", "/run/secrets/keyturn/config", "/var/run/secrets/keyturn/",
            "/run/secrets", "/var/run", "/home/a/.aws", "/home"
        ]), prop::sample::select([volumes, vec!["token".to_owned()]].concat()), 0..3),
        read_only in any::<bool>(),
        extra in any::<bool>(),
    ) -> Value {
        let mut seen = BTreeSet::new();
        let env: Vec<Value> = env.into_iter().filter(|(name, _)| seen.insert(name.clone())).map(|(_, it)| it).collect();
        let mounts: Vec<Value> = mounts.into_iter().map(|(path, name)| json!({"name": name, "mountPath": path, "readOnly": read_only})).collect();
        let mut container = json!({"name": "c", "image": "i"});
        for (key, list) in [("env", some(&env)), ("volumeMounts", some(&mounts))] {
            if !list.is_null() {
                container[key] = list;
            }
        }
        if extra {
            container["aFieldOfAnotherRelease"] = json!({"kept": true});
        }
        container
    }
}

prop_compose! {
    fn a_pod()(volumes in prop::collection::btree_map(
        prop::sample::select(vec!["keyturn".to_owned(), "keyturn-2".to_owned(), "mine".to_owned()]),
        prop::sample::select(vec![
            json!({"emptyDir": {}}), json!({"secret": {"secretName": "alice-aws"}}), json!({"secret": {"secretName": "alice-aws", "defaultMode": 256}}), json!({"secret": {"secretName": "bob-aws"}}),
            json!({"secret": {"secretName": "alice-aws", "items": [{"key": "config", "path": "config"}]}}),
        ]), 0..4))(
        containers in prop::collection::vec(a_container(volumes.keys().cloned().collect()), 1..4),
        init in prop::collection::vec(a_container(volumes.keys().cloned().collect()), 0..3),
        volumes in Just(volumes),
        labels in prop::collection::btree_map("app|keyturn.dev/inject", "x|false|true", 0..3),
        annotations in prop::option::of(prop::collection::btree_map("keyturn.dev/aws-config|keyturn.dev/((not-)?injected|injected-secret)|other", "alice|bob|carol|-", 0..5)),
        system in prop::option::weighted(0.1, "linux|windows"),
        home in prop::option::of("/home/a|/|x|"),
        chosen in prop::collection::btree_map("keyturn.dev/(skip-)?containers", "|c0|c1, i0|c0,c1,c2,i0|x", 0..2),
    ) -> Value {
        let numbered = |kind: &str, all: Vec<Value>| -> Vec<Value> {
            let named = all.into_iter().enumerate();
            named.map(|(at, mut it)| { it["name"] = json!(format!("{kind}{at}")); it }).collect()
        };
        let (containers, init) = (numbered("c", containers), numbered("i", init));
        let annotations = annotations.map(|mut annotations| {
            annotations.extend(chosen);
            annotations.extend(home.map(|home| ("keyturn.dev/home".to_owned(), home)));
            annotations
        });
        let volumes = volumes.iter().map(|(name, source)| { let mut it = source.clone(); it["name"] = json!(name); it });
        let volumes: Vec<Value> = volumes.chain([json!({"name": "token", "projected": {}})]).collect();
        let mut pod = json!({"metadata": {"labels": labels}, "spec": {"containers": containers, "volumes": volumes}});
        if let Some(system) = system {
            pod["spec"]["os"] = json!({"name": system});
        }
        if let Some(annotations) = annotations {
            pod["metadata"]["annotations"] = json!(annotations);
        }
        if !init.is_empty() {
            pod["spec"]["initContainers"] = json!(init);
        }
        pod
    }
}

/// Whether `after` holds everything of `before` in its place. Maps may have new keys, and lists new
/// elements at their ends.
fn is_kept(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            // The marks are keyturn's own.
            let others =
                before.iter().filter(|(key, _)| ![POD_INJECTED, POD_NOT_INJECTED, POD_SECRET].contains(&key.as_str()));
            others.into_iter().all(|(key, value)| after.get(key).is_some_and(|other| is_kept(value, other)))
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() <= after.len() && before.iter().zip(after).all(|(value, other)| is_kept(value, other))
        }
        (before, after) => before == after,
    }
}

fn each_once(values: &[&str]) -> bool {
    values.iter().collect::<BTreeSet<_>>().len() == values.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn any_pod_keeps_what_it_has_stays_valid_and_is_injected_once(pod in a_pod()) {
        let configs = [config("alice", Some(("app", "x"))), config("bob", Some(("app", "x")))];
        let (after, injection) = injected(&pod, &configs);
        prop_assert!(is_kept(&pod, &after), "{pod}\n{after}");
        let volumes = all(&after["spec"]["volumes"], "name");
        prop_assert!(each_once(&volumes), "{after}");
        for kind in ["containers", "initContainers"] {
            for container in after["spec"][kind].as_array().into_iter().flatten() {
                prop_assert!(each_once(&all(&container["env"], "name")), "{container}");
                prop_assert!(each_once(&all(&container["volumeMounts"], "mountPath")), "{container}");
                prop_assert!(all(&container["volumeMounts"], "name").iter().all(|name| volumes.contains(name)), "{after}");
            }
        }
        let (again, second) = injected(&after, &configs);
        prop_assert_eq!(&again, &after);
        prop_assert!(second.patch.is_empty(), "{:?}", second.patch);
        if pod["metadata"]["labels"]["keyturn.dev/inject"] == "false" {
            prop_assert!(injection.patch.is_empty());
        }
        let left_out = pod["metadata"]["annotations"]["keyturn.dev/skip-containers"].as_str().unwrap_or_default();
        for kind in ["containers", "initContainers"] {
            let pairs = [&pod, &after].map(|pod| pod["spec"][kind].as_array().cloned().unwrap_or_default());
            for (before, after) in pairs[0].iter().zip(&pairs[1]) {
                let is_left_out = left_out.split(',').any(|name| before["name"] == name.trim());
                prop_assert!(!is_left_out || before == after, "{after}");
                let paths = [before, after].map(|container| all(&container["volumeMounts"], "mountPath"));
                let is_added = paths[1].contains(&MOUNT_PATH) && !paths[0].contains(&MOUNT_PATH);
                let above = ["/var/run", "/run/secrets", "/var/run/secrets"];
                let is_closed = paths[0].iter().any(|path| above.contains(path)) && before["volumeMounts"][0]["readOnly"] == true;
                prop_assert!(!(is_added && is_closed), "a mount that the runtime cannot make: {after}");
            }
        }
    }
}

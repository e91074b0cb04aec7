use super::*;
use crate::api::AwsConfigSpec;
use json_patch::{Patch, patch};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, from_value, json};

/// The number of variables that lead SDKs to the files.
const LEADING: usize = 6;

fn config(name: &str, selects: Option<(&str, &str)>) -> Arc<AwsConfig> {
    let mut spec = json!({"person": name});
    if let Some((key, value)) = selects {
        spec["inject"] = json!({"podSelector": {"matchLabels": {key: value}}});
    }
    let mut config = AwsConfig::new(name, from_value::<AwsConfigSpec>(spec).unwrap());
    let ready = json!({"conditions": [{"type": "Ready", "status": "True", "reason": "Issued", "message": "", "lastTransitionTime": "2026-11-22T00:00:00Z"}]});
    config.status = Some(from_value(ready).unwrap());
    Arc::new(config)
}

fn pod(metadata: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {
        "initContainers": [{"name": "first"}],
        "containers": [{"name": "app", "env": [{"name": "A", "value": "b"}]}, {"name": "side"}],
    }})
}

fn annotated(config: &str) -> Value {
    pod(&json!({"name": "p", "annotations": {"keyturn.dev/aws-config": config}}))
}

fn as_sent(injection: &Injection) -> Patch {
    serde_json::from_slice(&serde_json::to_vec(&injection.patch).unwrap()).unwrap()
}

fn injected(pod: &Value, configs: &[Arc<AwsConfig>]) -> (Value, Injection) {
    let injection = new_pod(&from_value(pod.clone()).unwrap(), configs, &Settings::default());
    let mut after = pod.clone();
    patch(&mut after, &as_sent(&injection)).unwrap();
    (after, injection)
}

#[test]
fn a_pod_that_names_a_config_gets_its_secret_in_every_container() {
    let (after, injection) = injected(&annotated("alice"), &[config("alice", None), config("bob", None)]);
    assert_eq!(after["spec"]["volumes"], json!([{"name": "keyturn", "secret": {"secretName": "alice-aws"}}]));
    for container in ["/spec/initContainers/0", "/spec/containers/0", "/spec/containers/1"] {
        let container = after.pointer(container).unwrap();
        let mount = json!([{"name": "keyturn", "mountPath": "/var/run/secrets/keyturn", "readOnly": true}]);
        assert_eq!(container["volumeMounts"], mount);
        let variables = container["env"].as_array().unwrap();
        assert!(variables.iter().any(|it| it["name"] == "AWS_CONFIG_FILE"), "{container}");
    }
    assert_eq!(after["metadata"]["annotations"]["keyturn.dev/injected"], "alice");
    assert_eq!((injection.config.as_deref(), injection.warnings.len()), (Some("alice"), 0));
}

#[test]
fn a_pod_that_a_selector_matches_gets_it_too_and_no_other_does() {
    let configs = [config("alice", Some(("app", "scorer"))), config("bob", None)];
    let (after, _) = injected(&pod(&json!({"name": "p", "labels": {"app": "scorer"}})), &configs);
    assert_eq!(after["metadata"]["annotations"], json!({"keyturn.dev/injected": "alice"}));
    let other = pod(&json!({"name": "p", "labels": {"app": "web"}}));
    assert_eq!(injected(&other, &configs), (other.clone(), Injection::default()));
}

#[test]
fn annotation_selector_and_label_win_in_their_order() {
    let both = [config("bob", Some(("app", "x"))), config("alice", Some(("app", "x")))];
    let labels = json!({"app": "x"});
    let (_, injection) = injected(&pod(&json!({"labels": labels})), &both);
    assert_eq!(injection.config.as_deref(), Some("alice"));
    assert!(
        injection.warnings[0].contains("\"alice\", the first by name") && injection.warnings[0].contains("\"bob\"")
    );

    let named = pod(&json!({"labels": labels, "annotations": {"keyturn.dev/aws-config": "bob"}}));
    let (_, injection) = injected(&named, &both);
    assert_eq!(injection.config.as_deref(), Some("bob"));
    assert!(injection.warnings[0].contains("wins") && injection.warnings[0].contains("not \"alice\""));

    let labels = json!({"app": "x", "keyturn.dev/inject": "false"});
    let off = pod(&json!({"labels": labels, "annotations": {"keyturn.dev/aws-config": "bob"}}));
    let (after, injection) = injected(&off, &both);
    assert_eq!((after, injection.config), (off, None));
    assert!(injection.warnings[0].contains("keeps AwsConfig \"bob\" out"), "{:?}", injection.warnings);
}

#[test]
fn a_config_that_is_not_there_yet_is_waited_for_under_its_default_name() {
    let (after, injection) = injected(&annotated("carol"), &[]);
    assert_eq!(after["spec"]["volumes"][0]["secret"], json!({"secretName": "carol-aws"}), "and not optional");
    assert!(
        injection.warnings[0].contains("no AwsConfig \"carol\"") && injection.warnings[0].contains("\"carol-aws\"")
    );
    for odd in ["", "Carol", "a/b", "-a", "a..b", &"a".repeat(60)] {
        let (after, injection) = injected(&annotated(odd), &[]);
        assert_eq!(after, annotated(odd));
        assert!(injection.warnings[0].contains("no name"), "{:?}", injection.warnings);
    }
}

#[test]
fn a_config_without_a_credential_or_without_files_is_said() {
    let mut denied = AwsConfig::clone(&config("alice", None));
    let condition = &mut denied.status.as_mut().unwrap().conditions[0];
    (condition.status, condition.reason) = ("False".into(), "NotGranted".into());
    denied.spec.target = from_value(json!({"formats": ["Env"]})).unwrap();
    let (after, injection) = injected(&annotated("alice"), &[Arc::new(denied)]);
    assert!(injection.warnings[0].contains("NotGranted"), "{:?}", injection.warnings);
    assert!(injection.warnings[1].contains("no format Files"), "{:?}", injection.warnings);
    assert!(!after.to_string().contains("AWS_CONFIG_FILE"), "{after}");
}

#[test]
fn only_those_variables_are_added_that_the_secret_may_hold() {
    let variables = |spec: Value| {
        let mut config = AwsConfig::clone(&config("alice", None));
        let mut whole = serde_json::to_value(&config.spec).unwrap();
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        config.spec = from_value(whole).unwrap();
        let (after, _) = injected(&annotated("alice"), &[Arc::new(config)]);
        all(&after["spec"]["containers"][1]["env"], "name")[LEADING..].join(" ")
    };
    assert_eq!(variables(json!({})), "");
    assert_eq!(variables(json!({"region": "eu-west-1"})), "AWS_REGION AWS_DEFAULT_REGION");
    assert_eq!(variables(json!({"region": "eu-west-1", "target": {"formats": ["Files"]}})), "", "no variables at all");
    let buckets = json!({"defaultBucket": "a", "extraBuckets": ["b"]});
    assert_eq!(variables(buckets), "AWS_DEFAULT_BUCKET AWS_EXTRA_BUCKETS");
    assert_eq!(variables(json!({"dss": {"instance": "design"}})), "DKU_DSS_URL");
    let dss = json!({"instance": "design", "project": "FRAUD", "apiKey": "Personal"});
    assert_eq!(variables(json!({"dss": dss})), "DKU_DSS_URL DKU_API_KEY DKU_CURRENT_PROJECT_KEY");
}

#[test]
fn an_author_s_volume_is_used_if_whole_and_its_name_is_never_taken() {
    let mut own = annotated("alice");
    own["spec"]["volumes"] = json!([{"name": "mine", "secret": {"secretName": "alice-aws"}}]);
    let (after, _) = injected(&own, &[config("alice", None)]);
    assert_eq!(after["spec"]["volumes"], own["spec"]["volumes"]);
    assert_eq!(after["spec"]["containers"][1]["volumeMounts"][0]["name"], "mine");

    let part = json!({"secretName": "alice-aws", "items": [{"key": "config", "path": "c"}]});
    own["spec"]["volumes"] = json!([{"name": "keyturn", "secret": part}, {"name": "keyturn-2", "emptyDir": {}}]);
    let (after, _) = injected(&own, &[config("alice", None)]);
    assert_eq!(after["spec"]["volumes"][2]["name"], "keyturn-3");
}

#[test]
fn a_pod_injected_by_hand_is_marked_and_one_without_room_is_not() {
    let configs = [config("alice", None)];
    let (mut by_hand, _) = injected(&annotated("alice"), &configs);
    by_hand["metadata"]["annotations"] = json!({"keyturn.dev/aws-config": "alice"});
    let (after, injection) = injected(&by_hand, &configs);
    assert_eq!(after["metadata"]["annotations"]["keyturn.dev/injected"], "alice");
    assert_eq!((after["spec"].clone(), injection.given), (by_hand["spec"].clone(), true));

    let mut no_room = annotated("alice");
    no_room["spec"] = json!({"containers": [{"name": "app", "volumeMounts": [
        {"name": "mine", "mountPath": "/var/run/secrets/keyturn"}
    ]}], "volumes": [{"name": "mine", "emptyDir": {}}]});
    let (after, injection) = injected(&no_room, &configs);
    assert_eq!((after, injection.given), (no_room, false));
    assert!(injection.warnings[0].contains("mounts something else"), "{:?}", injection.warnings);
}

#[test]
fn a_mark_that_came_with_a_copy_of_another_pod_is_put_right() {
    let annotations = json!({"keyturn.dev/aws-config": "alice", "keyturn.dev/injected": "bob"});
    let (after, _) = injected(&pod(&json!({"annotations": annotations})), &[config("alice", None)]);
    assert_eq!(after["metadata"]["annotations"]["keyturn.dev/injected"], "alice");
}

#[test]
fn the_image_of_a_static_pod_is_left_alone_since_it_may_name_no_secret() {
    let annotations = json!({"keyturn.dev/aws-config": "alice", "kubernetes.io/config.mirror": "x"});
    let mirror = pod(&json!({"annotations": annotations}));
    assert_eq!(injected(&mirror, &[config("alice", None)]), (mirror.clone(), Injection::default()));
}

#[test]
fn a_new_debug_container_gets_the_pod_s_secret_and_earlier_ones_stay() {
    let (before, _) = injected(&annotated("alice"), &[config("alice", None)]);
    let mut with_one = before.clone();
    with_one["spec"]["ephemeralContainers"] = json!([{"name": "debug-1"}]);
    let mut with_two = with_one.clone();
    with_two["spec"]["ephemeralContainers"] = json!([{"name": "debug-1"}, {"name": "debug-2"}]);
    let read = |value: &Value| from_value::<Pod>(value.clone()).unwrap();
    let injection = ephemeral_containers(&read(&with_two), Some(&read(&with_one)));
    patch(&mut with_two, &as_sent(&injection)).unwrap();
    let containers = &with_two["spec"]["ephemeralContainers"];
    assert_eq!(containers[0], json!({"name": "debug-1"}));
    assert_eq!(containers[1]["volumeMounts"], before["spec"]["containers"][0]["volumeMounts"]);
    let names = all(&containers[1]["env"], "name");
    for name in all(&before["spec"]["containers"][1]["env"], "name").into_iter().chain(["DKU_API_KEY"]) {
        assert!(names.contains(&name), "{name}: which of them the Secret holds is not known here: {names:?}");
    }

    let mut plain = pod(&json!({"name": "p"}));
    plain["spec"]["ephemeralContainers"] = json!([{"name": "debug"}]);
    assert_eq!(ephemeral_containers(&read(&plain), None), Injection::default(), "its volumes are fixed");
}

#[test]
fn a_container_that_its_author_leaves_out_stays_as_it_was() {
    let with = |annotation: &str, names: &str| {
        let mut asks = annotated("alice");
        asks["metadata"]["annotations"][annotation] = json!(names);
        asks
    };
    let init = "initContainers/0";
    for (case, pod, expected) in [
        ("left out", with("keyturn.dev/skip-containers", "side"), &["containers/0", init][..]),
        ("chosen", with("keyturn.dev/containers", "app"), &["containers/0"][..]),
        ("left out beside a wrong name", with("keyturn.dev/skip-containers", "side,x"), &["containers/0", init][..]),
        ("all left out", with("keyturn.dev/containers", "x"), &[][..]),
    ] {
        let (after, injection) = injected(&pod, &[config("alice", None)]);
        for place in ["containers/0", "containers/1", init] {
            let (before, after) = (pod.pointer(&format!("/spec/{place}")), after.pointer(&format!("/spec/{place}")));
            assert_eq!(before != after, expected.contains(&place), "{case}: {place}");
        }
        assert_eq!(injection.lacking.is_some(), expected.is_empty(), "{case}: {:?}", injection.lacking);
        assert_eq!(after["metadata"]["annotations"]["keyturn.dev/injected"].is_null(), expected.is_empty(), "{case}");
        let is_said = injection.warnings.iter().any(|warning| warning.contains("no such container"));
        assert_eq!(is_said, case.contains("wrong") || expected.is_empty(), "{case}: {:?}", injection.warnings);
    }
}

#[test]
fn a_debug_container_is_left_out_by_its_name_too() {
    let (mut pod, _) = injected(&annotated("alice"), &[config("alice", None)]);
    pod["metadata"]["annotations"]["keyturn.dev/skip-containers"] = json!("debug-1");
    pod["spec"]["ephemeralContainers"] = json!([{"name": "debug-1"}, {"name": "debug-2"}]);
    let injection = ephemeral_containers(&from_value(pod.clone()).unwrap(), None);
    patch(&mut pod, &as_sent(&injection)).unwrap();
    assert_eq!(pod["spec"]["ephemeralContainers"][0], json!({"name": "debug-1"}));
    assert!(pod["spec"]["ephemeralContainers"][1]["env"].is_array(), "{pod}");
}

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
            "/data", "/var/run/secrets/keyturn", "/var/run/secrets", "/run/secrets/keyturn/config", "/var/run/secrets/keyturn/"
        ]), prop::sample::select([volumes, vec!["token".to_owned()]].concat()), 0..3),
        extra in any::<bool>(),
    ) -> Value {
        let mut seen = BTreeSet::new();
        let env: Vec<Value> = env.into_iter().filter(|(name, _)| seen.insert(name.clone())).map(|(_, it)| it).collect();
        let mounts: Vec<Value> = mounts.into_iter().map(|(path, name)| json!({"name": name, "mountPath": path})).collect();
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
            json!({"emptyDir": {}}), json!({"secret": {"secretName": "alice-aws"}}), json!({"secret": {"secretName": "bob-aws"}}),
            json!({"secret": {"secretName": "alice-aws", "items": [{"key": "config", "path": "config"}]}}),
        ]), 0..4))(
        containers in prop::collection::vec(a_container(volumes.keys().cloned().collect()), 1..4),
        init in prop::collection::vec(a_container(volumes.keys().cloned().collect()), 0..3),
        volumes in Just(volumes),
        labels in prop::collection::btree_map("app|keyturn.dev/inject", "x|false|true", 0..3),
        annotations in prop::option::of(prop::collection::btree_map("keyturn.dev/aws-config|keyturn.dev/injected|other", "alice|bob|carol|-", 0..4)),
        chosen in prop::collection::btree_map("keyturn.dev/(skip-)?containers", "|c0|c1, i0|c0,c1,c2,i0|x", 0..2),
    ) -> Value {
        let numbered = |kind: &str, all: Vec<Value>| -> Vec<Value> {
            let named = all.into_iter().enumerate();
            named.map(|(at, mut it)| { it["name"] = json!(format!("{kind}{at}")); it }).collect()
        };
        let (containers, init) = (numbered("c", containers), numbered("i", init));
        let annotations = annotations.map(|mut annotations| { annotations.extend(chosen); annotations });
        let volumes = volumes.iter().map(|(name, source)| { let mut it = source.clone(); it["name"] = json!(name); it });
        let volumes: Vec<Value> = volumes.chain([json!({"name": "token", "projected": {}})]).collect();
        let mut pod = json!({"metadata": {"labels": labels}, "spec": {"containers": containers, "volumes": volumes}});
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
            // The mark is keyturn's own.
            let others = before.iter().filter(|(key, _)| *key != POD_INJECTED);
            others.into_iter().all(|(key, value)| after.get(key).is_some_and(|other| is_kept(value, other)))
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() <= after.len() && before.iter().zip(after).all(|(value, other)| is_kept(value, other))
        }
        (before, after) => before == after,
    }
}

fn all<'a>(list: &'a Value, key: &'a str) -> Vec<&'a str> {
    list.as_array().into_iter().flatten().filter_map(|element| element[key].as_str()).collect()
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
            }
        }
    }
}

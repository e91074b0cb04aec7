mod any_pod;
mod examples;

use super::*;
use crate::api::AwsConfigSpec;
use json_patch::{Patch, patch};
use serde_json::{Value, from_value, json};

/// The number of variables that lead SDKs to the files.
const LEADING: usize = 7;

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
    assert_eq!(
        after["metadata"]["annotations"],
        json!({"keyturn.dev/injected": "alice", "keyturn.dev/injected-secret": "alice-aws"})
    );
    let other = pod(&json!({"name": "p", "labels": {"app": "web"}}));
    assert_eq!(injected(&other, &configs), (other.clone(), Injection::default()));
}

#[test]
fn annotation_selector_and_label_win_in_their_order() {
    let created = |name: &str, second: u32| {
        let mut config = AwsConfig::clone(&config(name, Some(("app", "x"))));
        let time = json!(format!("2026-11-22T00:00:{second:02}Z"));
        config.metadata.creation_timestamp = Some(from_value(time).unwrap());
        Arc::new(config)
    };
    let labels = json!({"app": "x"});
    let (_, injection) = injected(&pod(&json!({"labels": labels})), &[created("alice", 2), created("bob", 1)]);
    assert_eq!(injection.config.as_deref(), Some("bob"), "a younger one takes no pod by its name");
    let mut same_second = [created("alice", 1), created("bob", 1)].map(|config| AwsConfig::clone(&config));
    (same_second[0].metadata.uid, same_second[1].metadata.uid) = (Some("2".into()), Some("1".into()));
    let (_, injection) = injected(&pod(&json!({"labels": labels})), &same_second.map(Arc::new));
    assert_eq!(injection.config.as_deref(), Some("bob"), "the UID decides");
    let both = [created("bob", 2), created("alice", 1)];
    let (_, injection) = injected(&pod(&json!({"labels": labels})), &both);
    assert_eq!(injection.config.as_deref(), Some("alice"));
    assert!(injection.warnings[0].contains("\"alice\", the oldest") && injection.warnings[0].contains("\"bob\""));

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
    assert!(injection.warnings[0].contains("delete the pod then"), "{:?}", injection.warnings);
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
fn a_secret_of_another_config_is_never_mounted() {
    let with = |name: &str, target: Option<&str>, created: &str| {
        let mut config = AwsConfig::clone(&config(name, None));
        config.spec.target = target.map(|target| from_value(json!({"name": target})).unwrap());
        config.metadata.creation_timestamp = Some(from_value(json!(created)).unwrap());
        Arc::new(config)
    };
    let (early, late) = ("2026-11-22T00:00:00Z", "2026-11-22T00:00:01Z");
    let (carol, thief) = (with("carol", None, early), with("mallory", Some("carol-aws"), late));
    let older = with("mallory", Some("carol-aws"), "2026-11-21T00:00:00Z");
    let mut waiting = AwsConfig::clone(&carol);
    waiting.status.as_mut().unwrap().conditions[0].status = "False".into();
    let waiting = Arc::new(waiting);
    let mut leaving = AwsConfig::clone(&older);
    leaving.metadata.deletion_timestamp = Some(from_value(json!(late)).unwrap());
    for (case, configs, is_given) in [
        ("its own", vec![carol.clone()], true),
        ("a younger config wants it", vec![carol.clone(), thief.clone()], true),
        ("an older config has it", vec![waiting.clone(), older.clone()], false),
        ("an older config wants it, but it is ready", vec![carol.clone(), older], true),
        ("that config is being deleted", vec![waiting, Arc::new(leaving)], true),
        ("the config is not there yet", vec![thief], false),
    ] {
        let (after, injection) = injected(&annotated("carol"), &configs);
        assert_eq!(injection.given, is_given, "{case}");
        if !is_given {
            is_closed(&after, "first,app,side");
            let why = injection.lacking.unwrap();
            assert!(why.contains("Secret \"carol-aws\" is that of AwsConfig \"mallory\""), "{case}: {why}");
        }
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
fn an_author_s_volume_is_used_only_if_every_user_can_read_it() {
    for (case, source, is_used) in [
        ("as keyturn's", json!({"secretName": "alice-aws", "defaultMode": 0o444}), true),
        ("for root", json!({"secretName": "alice-aws", "defaultMode": 0o400}), false),
        ("for a group", json!({"secretName": "alice-aws", "defaultMode": 0o440}), false),
        ("optional", json!({"secretName": "alice-aws", "optional": true}), false),
    ] {
        let mut own = annotated("alice");
        own["spec"]["volumes"] = json!([{"name": "mine", "secret": source}]);
        let by_hand = json!([{"name": "mine", "mountPath": "/var/run/secrets/keyturn"}]);
        own["spec"]["containers"][0]["volumeMounts"] = by_hand.clone();
        let (after, injection) = injected(&own, &[config("alice", None)]);
        assert!(injection.warnings.is_empty(), "{case}: {:?}", injection.warnings);
        let used = if is_used { "mine" } else { "keyturn" };
        assert_eq!(all(&after["spec"]["containers"][1]["volumeMounts"], "name"), [used], "{case}");
        assert_eq!(after["spec"]["containers"][0]["volumeMounts"], by_hand, "{case}: the author's mount stays");
        assert_eq!(injected(&after, &[config("alice", None)]).0, after, "{case}: once");
    }
}

#[test]
fn a_pod_that_its_author_injected_by_hand_is_marked() {
    let configs = [config("alice", None)];
    let (mut by_hand, _) = injected(&annotated("alice"), &configs);
    by_hand["metadata"]["annotations"] = json!({"keyturn.dev/aws-config": "alice"});
    let (after, injection) = injected(&by_hand, &configs);
    assert_eq!(after["metadata"]["annotations"]["keyturn.dev/injected"], "alice");
    assert_eq!((after["spec"].clone(), injection.given), (by_hand["spec"].clone(), true));
}

/// Asserts that no container of the pod had room for the Secret.
fn is_closed(after: &Value, containers: &str) {
    let marks = &after["metadata"]["annotations"];
    assert!(marks["keyturn.dev/injected"].is_null(), "{after}");
    assert_eq!(marks["keyturn.dev/not-injected"], containers, "{after}");
    assert!(
        after["spec"]["volumes"].as_array().is_none_or(|all| all.iter().all(|it| it["secret"].is_null())),
        "{after}"
    );
    let uri = after["spec"]["containers"][0]["env"].as_array().unwrap().iter();
    let uri = uri.filter(|it| it["name"] == "AWS_CONTAINER_CREDENTIALS_FULL_URI").map(|it| it["value"].clone());
    assert_eq!(uri.collect::<Vec<_>>(), ["http://127.0.0.1:1/keyturn-could-not-mount-the-secret"]);
}

#[test]
fn a_pod_without_room_is_marked_as_one_and_finds_no_other_identity() {
    let mut no_room = annotated("alice");
    no_room["spec"] = json!({"containers": [{"name": "app", "volumeMounts": [
        {"name": "mine", "mountPath": "/var/run/secrets/keyturn"}
    ]}], "volumes": [{"name": "mine", "emptyDir": {}}]});
    let (after, injection) = injected(&no_room, &[config("alice", None)]);
    is_closed(&after, "app");
    assert!(!injection.given && injection.lacking.is_some());
    assert!(injection.warnings[0].contains("mounts something else"), "{:?}", injection.warnings);
    let (again, second) = injected(&after, &[config("alice", None)]);
    assert_eq!((again, second.patch), (after, vec![]));
}

#[test]
fn one_of_two_containers_without_room_is_named_by_a_mark() {
    let mut pod = annotated("alice");
    pod["spec"]["volumes"] = json!([{"name": "mine", "secret": {"secretName": "mine"}}]);
    pod["spec"]["containers"][1]["volumeMounts"] = json!([{"name": "mine", "mountPath": "/run/secrets"}]);
    let (after, injection) = injected(&pod, &[config("alice", None)]);
    let marks = &after["metadata"]["annotations"];
    assert_eq!((&marks["keyturn.dev/injected"], &marks["keyturn.dev/not-injected"]), (&json!("alice"), &json!("side")));
    assert!(injection.given && injection.lacking.unwrap().contains("container \"side\" mounts a read-only volume"));

    let mut copied = after.clone();
    copied["spec"] = annotated("alice")["spec"].clone();
    let (after, _) = injected(&copied, &[config("alice", None)]);
    assert_eq!(after["metadata"]["annotations"]["keyturn.dev/not-injected"], "", "of this pod, none");
}

#[test]
fn a_pod_for_another_operating_system_gets_neither_secret_nor_identity() {
    let image = Settings { image: Some("keyturn:1".into()), ..Settings::default() };
    for (case, field, value, system) in [
        ("Windows by name", "os", json!({"name": "windows"}), Some("windows")),
        ("Windows by label", "nodeSelector", json!({"kubernetes.io/os": "windows"}), Some("windows")),
        ("Windows by the old label", "nodeSelector", json!({"beta.kubernetes.io/os": "windows"}), Some("windows")),
        ("Linux by name", "os", json!({"name": "linux"}), None),
        ("Linux by label", "nodeSelector", json!({"kubernetes.io/os": "linux"}), None),
        ("another label", "nodeSelector", json!({"disk": "ssd"}), None),
    ] {
        for delivery in ["files", "endpoint"] {
            let mut pod = annotated("alice");
            pod["metadata"]["annotations"]["keyturn.dev/delivery"] = json!(delivery);
            pod["spec"][field] = value.clone();
            let injection = new_pod(&from_value(pod.clone()).unwrap(), &[config("alice", None)], &image);
            let mut after = pod.clone();
            patch(&mut after, &as_sent(&injection)).unwrap();
            assert_eq!(injection.given, system.is_none(), "{case}, {delivery}");
            let Some(system) = system else { continue };
            is_closed(&after, "first,app,side");
            let [warning] = &injection.warnings[..] else { panic!("{case}: {:?}", injection.warnings) };
            assert!(warning.contains(&format!("for {system}")) && warning.len() < 248, "{case}: {warning}");
            assert_eq!(injection.lacking.as_ref(), Some(warning), "{case}");
        }
    }
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

fn all<'a>(list: &'a Value, key: &'a str) -> Vec<&'a str> {
    list.as_array().into_iter().flatten().filter_map(|element| element[key].as_str()).collect()
}

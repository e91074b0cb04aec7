use super::*;
use crate::{
    api::{AwsConfig, AwsConfigSpec},
    inject::pod::{Injection, new_pod},
};
use json_patch::{Patch, patch};
use proptest::prelude::*;
use serde_json::{Value, from_value, json};
use std::sync::Arc;

fn settings() -> Settings {
    Settings { image: Some("keyturn:1".into()), pull_policy: Some("IfNotPresent".into()), ..Settings::default() }
}

fn config(delivery: Option<&str>) -> Arc<AwsConfig> {
    let mut spec = json!({"person": "alice"});
    if let Some(delivery) = delivery {
        spec["inject"] = json!({"delivery": delivery});
    }
    Arc::new(AwsConfig::new("alice", from_value::<AwsConfigSpec>(spec).unwrap()))
}

/// A pod that asks for the config `alice`, with these further annotations.
fn pod(annotations: &Value) -> Value {
    let mut pod = json!({"metadata": {"annotations": {"keyturn.dev/aws-config": "alice"}}, "spec": {
        "initContainers": [{"name": "first"}], "containers": [{"name": "app"}],
    }});
    let all = pod["metadata"]["annotations"].as_object_mut().unwrap();
    all.extend(annotations.as_object().unwrap().clone());
    pod
}

fn asking() -> Value {
    pod(&json!({"keyturn.dev/delivery": "endpoint"}))
}

fn injected_by(pod: &Value, config: Arc<AwsConfig>, settings: &Settings) -> (Value, Injection) {
    let injection = new_pod(&from_value(pod.clone()).unwrap(), &[config], settings);
    let sent: Patch = serde_json::from_slice(&serde_json::to_vec(&injection.patch).unwrap()).unwrap();
    let mut after = pod.clone();
    patch(&mut after, &sent).unwrap();
    (after, injection)
}

fn injected(pod: &Value) -> (Value, Vec<String>) {
    let (after, injection) = injected_by(pod, config(None), &settings());
    let others = |warning: &String| !warning.contains("has no credential now");
    (after, injection.warnings.into_iter().filter(others).collect())
}

fn has_endpoint(pod: &Value) -> bool {
    pod["spec"]["initContainers"][0]["command"] == json!(["/keyturn-endpoint"])
}

fn value<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == name)?["value"].as_str()
}

#[test]
fn an_endpoint_is_the_first_container_and_every_other_one_asks_it() {
    let (after, warnings) = injected(&asking());
    assert!(warnings.is_empty(), "{warnings:?}");
    let sidecar = &after["spec"]["initContainers"][0];
    assert_eq!((&sidecar["name"], &sidecar["image"]), (&json!("keyturn-endpoint"), &json!("keyturn:1")));
    assert_eq!((&sidecar["restartPolicy"], &sidecar["imagePullPolicy"]), (&json!("Always"), &json!("IfNotPresent")));
    assert_eq!((&sidecar["command"], &sidecar["args"]), (&json!(["/keyturn-endpoint"]), &json!(["--port=18197"])));
    let probe = json!(["/keyturn-endpoint", "--probe", "--port=18197"]);
    assert_eq!(sidecar["startupProbe"]["exec"]["command"], probe);
    assert!(sidecar["env"].is_null(), "{sidecar}");
    assert!(sidecar["resources"].is_null(), "the pod stays BestEffort");
    let paths: Vec<&str> =
        sidecar["volumeMounts"].as_array().unwrap().iter().map(|it| it["mountPath"].as_str().unwrap()).collect();
    assert_eq!(paths, [MOUNT_PATH, ENDPOINT_PATH, API_TOKEN]);
    for container in ["/spec/initContainers/1", "/spec/containers/0"] {
        let container = after.pointer(container).unwrap();
        for (name, expected) in [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:18197/v1/credentials"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/secrets/keyturn-endpoint/token"),
            ("AWS_CONFIG_FILE", "/var/run/secrets/keyturn-endpoint/config"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/var/run/secrets/keyturn-endpoint/credentials"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", ""),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_SDK_LOAD_CONFIG", "1"),
        ] {
            assert_eq!(value(container, name), Some(expected), "{name}: {container}");
        }
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(mounts.len() == 2 && mounts.iter().all(|mount| mount["readOnly"] == true), "{mounts:?}");
    }
}

#[test]
fn the_pod_chooses_before_the_config_and_that_before_the_cluster() {
    let cluster = |delivery| Settings { delivery, ..settings() };
    for (case, annotation, chosen, default, expected) in [
        ("nobody", None, None, Delivery::Files, false),
        ("the cluster", None, None, Delivery::Endpoint, true),
        ("the config", None, Some("Endpoint"), Delivery::Files, true),
        ("the config against the cluster", None, Some("Files"), Delivery::Endpoint, false),
        ("the pod against the config", Some("files"), Some("Endpoint"), Delivery::Endpoint, false),
        ("the pod", Some("Endpoint"), Some("Files"), Delivery::Files, true),
        ("a wrong word", Some("x"), Some("Endpoint"), Delivery::Files, true),
    ] {
        let annotations = annotation.map_or_else(|| json!({}), |it| json!({"keyturn.dev/delivery": it}));
        let (after, injection) = injected_by(&pod(&annotations), config(chosen), &cluster(default));
        assert_eq!(has_endpoint(&after), expected, "{case}");
        let is_said = injection.warnings.iter().any(|warning| warning.contains("neither files nor endpoint"));
        assert_eq!(is_said, annotation == Some("x"), "{case}: {:?}", injection.warnings);
    }
}

#[test]
fn a_pod_that_can_have_no_endpoint_gets_the_files_and_a_warning() {
    let port = |port: &str| json!({"keyturn.dev/delivery": "endpoint", "keyturn.dev/endpoint-port": port});
    let taken = json!([{"name": "app", "ports": [{"containerPort": 18197}]}]);
    let by_udp = json!([{"name": "app", "ports": [{"containerPort": 18197, "protocol": "UDP"}]}]);
    let asks = json!({"keyturn.dev/delivery": "endpoint"});
    for (case, annotations, field, setting, said) in [
        ("the network of the node", &asks, "hostNetwork", json!(true), Some("hostNetwork")),
        ("Linux", &asks, "os", json!({"name": "linux"}), None),
        ("a port that is taken", &asks, "containers", taken.clone(), Some("\"app\" has port 18197 itself")),
        ("the same port of UDP", &asks, "containers", by_udp, None),
        ("another port", &port("20000"), "containers", taken, None),
        ("a low port", &port("80"), "hostNetwork", json!(false), Some("no port from 1024")),
        ("no port", &port("http"), "hostNetwork", json!(false), Some("no port from 1024")),
    ] {
        let mut pod = pod(annotations);
        pod["spec"][field] = setting;
        let (after, warnings) = injected(&pod);
        assert_eq!(has_endpoint(&after), said.is_none(), "{case}");
        let is_said =
            |said: &str| warnings.len() == 1 && warnings[0].contains(said) && warnings[0].contains("files of");
        assert!(said.map_or(warnings.is_empty(), is_said), "{case}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.len() < 248), "{case}: {warnings:?}");
        let at = value(&after["spec"]["containers"][0], "AWS_CONFIG_FILE").unwrap();
        assert_eq!(at.starts_with(ENDPOINT_PATH), said.is_none(), "{case}: {at}");
    }
    let (after, injection) = injected_by(&asking(), config(None), &Settings::default());
    assert!(!has_endpoint(&after) && injection.warnings.iter().any(|it| it.contains("--endpoint-image")));
}

#[test]
fn names_of_the_author_are_not_taken_and_root_is_not_inherited() {
    let mut own = asking();
    own["spec"]["containers"][0]["name"] = json!(NAME);
    own["spec"]["volumes"] = json!([{"name": NAME, "emptyDir": {}}, {"name": NOTHING, "emptyDir": {}}]);
    own["spec"]["securityContext"] = json!({"runAsUser": 0});
    let (after, _) = injected(&own);
    let sidecar = &after["spec"]["initContainers"][0];
    assert_eq!(
        (&sidecar["name"], &sidecar["volumeMounts"][1]["name"]),
        (&json!("keyturn-endpoint-2"), &json!("keyturn-endpoint-2"))
    );
    assert_eq!(sidecar["volumeMounts"][2]["name"], "keyturn-nothing-2");
    assert_eq!(sidecar["securityContext"]["runAsUser"], USER);
    own["spec"]["securityContext"] = json!({"runAsUser": 1_000_680_000});
    let (after, _) = injected(&own);
    assert!(after["spec"]["initContainers"][0]["securityContext"]["runAsUser"].is_null(), "OpenShift allows no other");
}

#[test]
fn a_container_of_another_is_not_taken_for_the_endpoint() {
    let program = json!(["/keyturn-endpoint"]);
    for (case, name, command, args, is_ours) in [
        ("of this build", "keyturn-endpoint", &program, json!(["--port=18197"]), true),
        ("with a number", "keyturn-endpoint-2", &program, json!(["--port=18197"]), true),
        ("of an earlier build", "keyturn-endpoint", &Value::Null, json!(["serve", "--port=18197"]), true),
        ("another name", "mine", &program, json!(["--port=18197"]), false),
        ("another program", "keyturn-endpoint", &json!(["/mine"]), json!(["--port=18197"]), false),
        ("the program of the image", "keyturn-endpoint", &Value::Null, json!(["--port=18197"]), false),
        ("a probe", "keyturn-endpoint", &program, json!(["--probe", "--port=18197"]), false),
    ] {
        let container = from_value(json!({"name": name, "command": command, "args": args})).unwrap();
        assert_eq!(is_endpoint(&container), is_ours, "{case}");
    }
}

#[test]
fn a_copy_of_a_pod_that_an_earlier_build_injected_is_not_changed() {
    let (mut former, _) = injected(&asking());
    let container = &mut former["spec"]["initContainers"][0];
    container.as_object_mut().unwrap().remove("command");
    container["args"] = json!(["serve", "--port=18197"]);
    let (_, injection) = injected_by(&former, config(None), &settings());
    assert!(injection.patch.is_empty(), "{:?}", injection.patch);
}

#[test]
fn an_endpoint_is_kept_out_of_amazon_s_webhook_unless_its_author_chose() {
    let (after, _) = injected(&asking());
    assert_eq!(after["metadata"]["annotations"][AMAZON_SKIPS], NAME);
    let (after, _) = injected(&pod(&json!({"keyturn.dev/delivery": "endpoint", AMAZON_SKIPS: "side"})));
    assert_eq!(after["metadata"]["annotations"][AMAZON_SKIPS], "side");
    let (after, _) = injected(&pod(&json!({})));
    assert!(after["metadata"]["annotations"][AMAZON_SKIPS].is_null(), "the pod has no endpoint");
}

#[test]
fn a_token_never_goes_to_an_address_of_the_author() {
    let mut own = asking();
    own["spec"]["containers"][0]["env"] =
        json!([{"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://localhost/mine"}]);
    let (after, warnings) = injected(&own);
    let app = &after["spec"]["containers"][0];
    assert_eq!(value(app, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), None);
    assert!(warnings[0].contains("AWS_CONTAINER_CREDENTIALS_FULL_URI"), "{warnings:?}");
}

/// The class of service of a pod, by the rule of Kubernetes (`ComputePodQOS` in
/// pkg/apis/core/helper/qos/qos.go), for amounts that are not zero.
fn qos(pod: &Value) -> &'static str {
    let of = |pod: &Value, kind: &str| pod["spec"][kind].as_array().cloned().unwrap_or_default();
    let containers = [of(pod, "initContainers"), of(pod, "containers")].concat();
    let has = |it: &Value| ["requests", "limits"].iter().any(|kind| it["resources"][kind].is_object());
    let is_guaranteed = |it: &Value| {
        let (requests, limits) = (&it["resources"]["requests"], &it["resources"]["limits"]);
        ["cpu", "memory"].iter().all(|name| limits[name].is_string() && limits[name] == requests[name])
    };
    match (containers.iter().any(has), containers.iter().all(is_guaranteed)) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn resources() -> impl Strategy<Value = Value> {
    let all = json!({"cpu": "1", "memory": "1Gi"});
    prop::sample::select(vec![
        Value::Null,
        json!({"requests": all, "limits": all}),
        json!({"requests": {"cpu": "1"}}),
        json!({"requests": {"memory": "1Gi"}, "limits": all}),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn an_endpoint_changes_no_qos_class_and_is_added_once(
        init in prop::collection::vec(resources(), 0..3), main in prop::collection::vec(resources(), 1..3),
        asked in any::<bool>(), hosted in any::<bool>(),
    ) {
        let containers = |kind: &str, all: &[Value]| -> Vec<Value> {
            all.iter().enumerate().map(|(at, it)| json!({"name": format!("{kind}-{at}"), "resources": it})).collect()
        };
        let mut before = if asked { asking() } else { pod(&json!({})) };
        before["spec"] = json!({"containers": containers("main", &main), "hostNetwork": hosted});
        if !init.is_empty() {
            before["spec"]["initContainers"] = json!(containers("init", &init));
        }
        let (after, _) = injected(&before);
        prop_assert_eq!(has_endpoint(&after), asked && !hosted);
        prop_assert_eq!(qos(&before), qos(&after), "{}", after);
        let added = usize::from(has_endpoint(&after));
        let now = after["spec"]["initContainers"].as_array().map_or(0, Vec::len);
        prop_assert_eq!(now, init.len() + added);
        let (again, second) = injected_by(&after, config(None), &settings());
        prop_assert!(second.patch.is_empty(), "{:?}", second.patch);
        prop_assert_eq!(again, after);
    }
}

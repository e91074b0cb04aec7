use super::*;
use serde_json::{Value, from_value, json};

fn wanted() -> Wanted {
    Wanted::unseen("alice".into(), "alice-aws".into(), true)
}

fn env(pairs: &[(&str, &str)]) -> Vec<EnvVar> {
    pairs.iter().map(|(name, value)| literal(name, (*value).to_owned())).collect()
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.into(), mount_path: path.into(), ..VolumeMount::default() }
}

fn added(env: &[EnvVar], mounts: &[VolumeMount]) -> Addition {
    let container = json!({"name": "app", "env": env, "volumeMounts": mounts});
    among(&from_value(container).unwrap(), &json!([]), None)
}

/// The additions to a container in a pod with these volumes.
fn among(container: &Container, volumes: &Value, endpoint: Option<&Endpoint>) -> Addition {
    let volumes: Vec<Volume> = from_value(volumes.clone()).unwrap();
    let (wanted, volume) = (&wanted(), "keyturn");
    addition(container, &Way { wanted, volume, volumes: &volumes, endpoint, home: &[], blocked: None })
}

fn names(addition: &Addition) -> Vec<&str> {
    addition.env.iter().map(|variable| variable.name.as_str()).collect()
}

#[test]
fn a_plain_container_gets_the_mount_and_every_variable_and_no_key() {
    let addition = added(&[], &[]);
    let [mount] = &addition.mounts[..] else { panic!("one mount") };
    assert_eq!((mount.mount_path.as_str(), mount.read_only, &mount.sub_path), (MOUNT_PATH, Some(true), &None));
    assert_eq!(
        names(&addition),
        [
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_EC2_METADATA_DISABLED",
            "AWS_SDK_LOAD_CONFIG",
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
            "AWS_DEFAULT_BUCKET",
            "AWS_EXTRA_BUCKETS",
            "DKU_DSS_URL",
            "DKU_API_KEY",
            "DKU_CURRENT_PROJECT_KEY",
            "DATAROBOT_ENDPOINT",
            "DATAROBOT_API_TOKEN",
            "DATAROBOT_CREDENTIAL_ID"
        ]
    );
    let values: Vec<&str> = addition.env[..7].iter().filter_map(|variable| variable.value.as_deref()).collect();
    let nobody = "http://127.0.0.1:1/keyturn-delivers-files";
    assert_eq!(values, ["", "true", "1", "/var/run/secrets/keyturn/config", "/dev/null", nobody, "/dev/null"]);
    for variable in &addition.env[7..] {
        let from = variable.value_from.as_ref().unwrap().secret_key_ref.as_ref().unwrap();
        assert_eq!((from.name.as_str(), &from.key, from.optional), ("alice-aws", &variable.name, Some(true)));
    }
    assert!(addition.warnings.is_empty(), "{:?}", addition.warnings);
}

#[test]
fn a_variable_of_the_author_stays_and_keeps_its_group_out() {
    let added = added(&env(&[("AWS_DEFAULT_REGION", "eu-north-1"), ("DKU_DSS_URL", "https://other")]), &[]);
    let names = names(&added);
    assert!(!names.contains(&"AWS_REGION"), "two regions would be worse than one: {names:?}");
    assert!(!names.contains(&"DKU_API_KEY"), "the key must not go to another DSS: {names:?}");
    assert!(names.contains(&"AWS_DEFAULT_BUCKET"), "{names:?}");
    assert!(added.warnings.is_empty(), "{:?}", added.warnings);
}

#[test]
fn variables_that_point_sdks_to_another_credential_are_warned_about() {
    let set = env(&[("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), ("HOME", "/")]);
    let [warning] = &added(&set, &[]).warnings[..] else { panic!("one warning") };
    for part in ["\"app\"", "AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE", "\"alice\""] {
        assert!(warning.contains(part), "{warning}");
    }
    assert!(!warning.contains("AKIA"), "{warning}");
    let ours = env(&[("AWS_CONFIG_FILE", "/var/run/secrets/keyturn//config"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "")]);
    assert!(added(&ours, &[]).warnings.is_empty());
}

#[test]
fn a_variable_of_amazon_s_webhooks_is_replaced_and_no_other_is() {
    const URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    let nobody = "http://127.0.0.1:1/keyturn-delivers-files";
    let of_pods = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token";
    let of_roles = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token";
    for (case, name, value, expected) in [
        ("Pod Identity", URI, "http://169.254.170.23/v1/credentials", Some(nobody)),
        ("the token of Pod Identity", TOKEN, of_pods, Some("/dev/null")),
        ("Pod Identity with IPv6", URI, "http://[fd00:ec2::23]/v1/credentials", Some(nobody)),
        ("IAM roles for service accounts", "AWS_WEB_IDENTITY_TOKEN_FILE", of_roles, Some("")),
        ("the author", URI, "http://localhost/mine", None),
        ("keyturn", URI, nobody, None),
    ] {
        let addition = added(&env(&[("A", "b"), (name, value)]), &[]);
        let replaced: Vec<_> = expected.into_iter().map(|value| (1, value.to_owned())).collect();
        assert_eq!(addition.replaced, replaced, "{case}");
        assert!(!names(&addition).contains(&name), "{case}");
        assert_eq!(addition.warnings.len(), usize::from(case == "the author"), "{case}: {:?}", addition.warnings);
    }
    let asks = Endpoint { port: 18197, volume: "shared".into(), is_there: false };
    let container = json!({"name": "app", "env": env(&[
        (URI, "http://169.254.170.23/v1/credentials"), (TOKEN, of_pods),
    ])});
    let addition = among(&from_value(container).unwrap(), &json!([]), Some(&asks));
    let values: Vec<&str> = addition.replaced.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["http://127.0.0.1:18197/v1/credentials", "/var/run/secrets/keyturn-endpoint/token"]);
    assert!(addition.warnings.is_empty(), "{:?}", addition.warnings);
}

#[test]
fn an_env_from_is_warned_about_as_losing_or_as_the_secret_s_own_keys() {
    let said = |from: Value| {
        let container = json!({"name": "app", "envFrom": [from]});
        among(&from_value(container).unwrap(), &json!([]), None).warnings
    };
    let [settings] = &said(json!({"configMapRef": {"name": "settings"}}))[..] else { panic!("one warning") };
    assert!(settings.contains("\"app\" has envFrom") && settings.contains("\"alice\""), "{settings}");
    let [keys] = &said(json!({"secretRef": {"name": "alice-aws"}}))[..] else { panic!("one warning") };
    assert!(keys.contains("whole Secret \"alice-aws\"") && keys.contains("never read again"), "{keys}");
    // No SDK finds the keys under names with a prefix.
    let [prefixed] = &said(json!({"prefix": "X_", "secretRef": {"name": "alice-aws"}}))[..] else {
        panic!("one warning")
    };
    assert!(prefixed.contains("not looked into"), "{prefixed}");
}

#[test]
fn keys_that_env_from_may_bring_are_replaced_by_empty_ones() {
    let secret = |name: &str| json!({"secretRef": {"name": name}});
    let own_key = json!([{"name": "AWS_ACCESS_KEY_ID", "value": "AKIAOWN"}]);
    let rows = [
        ("another Secret", json!([secret("keys")]), json!([]), 3),
        ("a ConfigMap", json!([{"configMapRef": {"name": "settings"}}]), json!([]), 3),
        ("a prefix that makes the names", json!([{"prefix": "AWS_", "secretRef": {"name": "keys"}}]), json!([]), 3),
        ("another prefix", json!([{"prefix": "TEAM_", "secretRef": {"name": "keys"}}]), json!([]), 0),
        ("the Secret of the AwsConfig", json!([secret("alice-aws")]), json!([]), 0),
        ("both", json!([secret("alice-aws"), secret("keys")]), json!([]), 3),
        ("a key of the author in env", json!([secret("keys")]), own_key, 0),
        ("none", json!([]), json!([]), 0),
    ];
    for (row, env_from, env, expected) in rows {
        let mut container = json!({"name": "app", "envFrom": env_from, "env": env});
        let addition = among(&from_value(container.clone()).unwrap(), &json!([]), None);
        let keys: Vec<_> = addition.env.iter().filter(|it| KEYS.contains(&it.name.as_str())).collect();
        assert_eq!(keys.len(), expected, "{row}");
        assert!(keys.iter().all(|it| it.value.as_deref() == Some("") && it.value_from.is_none()), "{row}");
        // A second injection changes nothing, and says nothing about keyturn's own variables.
        container["env"].as_array_mut().unwrap().extend(addition.env.iter().map(|it| json!(it)));
        let again = among(&from_value(container).unwrap(), &json!([]), None);
        assert!(again.env.is_empty(), "{row}: {:?}", again.env);
        assert_eq!(again.warnings, addition.warnings, "{row}");
    }
}

#[test]
fn a_container_without_room_gets_variables_with_which_sdks_fail() {
    for path in [
        "/var/run/secrets/keyturn",
        "/var/run/secrets/keyturn/",
        "/var//run/secrets/keyturn/config",
        "/run/secrets/keyturn",
    ] {
        let addition = added(&env(&[("AWS_REGION", "eu-west-1")]), &[mount("mine", path)]);
        assert!(addition.mounts.is_empty(), "{path}");
        let set: Vec<_> =
            addition.env.iter().map(|it| format!("{}={}", it.name, it.value.as_deref().unwrap())).collect();
        let expected = [
            "AWS_WEB_IDENTITY_TOKEN_FILE=",
            "AWS_EC2_METADATA_DISABLED=true",
            "AWS_SDK_LOAD_CONFIG=1",
            "AWS_CONFIG_FILE=/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:1/keyturn-could-not-mount-the-secret",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/dev/null",
        ];
        assert_eq!(set, expected, "{path}");
        let why = addition.lacking.unwrap();
        assert!(why.contains("\"app\"") && why.contains(path) && why.contains("SDKs fail"), "{why}");
    }
    for path in ["/var/run/secrets", "/var/run/secrets/keyturn-other", "/"] {
        assert!(!added(&[], &[mount("mine", path)]).mounts.is_empty(), "{path}");
    }
    let part = VolumeMount { sub_path: Some("config".into()), ..mount("keyturn", MOUNT_PATH) };
    assert!(added(&[], &[part]).lacking.is_some(), "a part of the Secret is not the Secret: it would never change");
}

#[test]
fn a_read_only_volume_above_the_path_is_found_before_it_breaks_the_pod() {
    let writable = json!({"emptyDir": {}});
    let claim = |read_only: bool| json!({"persistentVolumeClaim": {"claimName": "c", "readOnly": read_only}});
    for (case, path, source, read_only, taken) in [
        ("a Secret", "/run/secrets", json!({"secret": {"secretName": "mine"}}), false, true),
        ("a Secret, by the other name", "/var/run/secrets/", json!({"secret": {"secretName": "mine"}}), false, true),
        ("a ConfigMap", "/var/run", json!({"configMap": {"name": "mine"}}), false, true),
        ("a projected volume", "/run", json!({"projected": {"sources": []}}), false, true),
        ("an image", "/var", json!({"image": {"reference": "i"}}), false, true),
        ("a read-only mount", "/run/secrets", writable.clone(), true, true),
        ("a read-only claim", "/run/secrets", claim(true), false, true),
        ("a claim", "/run/secrets", claim(false), false, false),
        ("a folder", "/var/run", writable.clone(), false, false),
        ("a Secret beside it", "/var/run/secrets/other", json!({"secret": {"secretName": "mine"}}), false, false),
        ("a Secret with a like name", "/var/runner", json!({"secret": {"secretName": "mine"}}), false, false),
    ] {
        let mut volume = source;
        volume["name"] = json!("mine");
        let mounts = json!([{"name": "mine", "mountPath": path, "readOnly": read_only}]);
        let container = json!({"name": "app", "volumeMounts": mounts});
        let addition = among(&from_value(container).unwrap(), &json!([volume]), None);
        assert_eq!(addition.lacking.is_some(), taken, "{case}: {addition:?}");
        assert!(
            addition.lacking.is_none_or(|why| why.contains("a read-only volume at") && why.contains(path)),
            "{case}"
        );
        assert_eq!(addition.mounts.is_empty(), taken, "{case}");
    }
    let nested = json!({"name": "app", "volumeMounts": [
        {"name": "closed", "mountPath": "/var/run", "readOnly": true}, {"name": "open", "mountPath": "/run/secrets"},
    ]});
    assert!(
        among(&from_value(nested).unwrap(), &json!([]), None).lacking.is_none(),
        "the folder is made in the nearest"
    );
}

#[test]
fn a_container_that_mounts_the_secret_already_gets_the_variables() {
    let addition = added(&[], &[mount("keyturn", "/var/run/secrets/keyturn/")]);
    assert_eq!((addition.mounts.len(), addition.env.len(), addition.warnings.len()), (0, 17, 0));
}

#[test]
fn a_profile_of_the_config_leads_to_no_other_credential() {
    for (name, value, is_said) in [
        ("AWS_PROFILE", "lake", false),
        ("AWS_DEFAULT_PROFILE", "lake", false),
        ("AWS_PROFILE", "corporate", true),
        ("AWS_CONFIG_FILE", "lake", true),
    ] {
        let container: Container = from_value(json!({"name": "app", "env": env(&[(name, value)])})).unwrap();
        let wanted = &Wanted { profiles: vec!["lake".into()], ..wanted() };
        let way = Way { wanted, volume: "keyturn", volumes: &[], endpoint: None, home: &[], blocked: None };
        let warnings = addition(&container, &way).warnings;
        assert_eq!(warnings.iter().any(|warning| warning.contains(name)), is_said, "{name}={value}: {warnings:?}");
    }
}

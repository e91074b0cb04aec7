//! Bad input: `kubectl apply` prints one clear line for each, and nothing changes.

use super::ground::{Ground, run_with_input};
use serde_json::{Value, json};

fn config(spec: &Value) -> Value {
    let mut all = json!({"person": "alice", "role": "arn:aws:iam::123456789012:role/ds-analyst"});
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig", "metadata": {"name": "bad", "namespace": "default"}, "spec": all})
}

fn grant(spec: &Value) -> Value {
    let mut all = json!({"roles": ["arn:aws:iam::123456789012:role/ds-*"], "namespaces": {"names": ["scoring"]}, "persons": ["*"]});
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsRoleGrant", "metadata": {"name": "bad"}, "spec": all})
}

fn apply(ground: &Ground, object: &Value) -> (bool, String) {
    let mut kubectl = ground.kubectl();
    kubectl.args(["apply", "--dry-run=server", "-f", "-"]);
    run_with_input(&mut kubectl, &object.to_string())
}

/// The lines that name a fault. The API server adds a head and, for an object of a wrong shape, a
/// line about the rules that were not checked.
fn complaints(said: &str) -> Vec<&str> {
    let lines = said.lines().filter(|line| !line.trim().is_empty());
    lines
        .filter(|line| !line.ends_with("is invalid: ") && !line.contains("some validation rules were not checked"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_bad_object_is_refused_with_its_field_and_its_fault() {
    let ground = Ground::shared();
    let long = "a".repeat(254);
    let table: Vec<(&str, Value, &[&str])> = vec![
        ("an ARN that is none", config(&json!({"role": "analyst"})), &["spec.role", "arn:aws"]),
        (
            "a wrong partition",
            config(&json!({"role": "arn:azure:iam::123456789012:role/x"})),
            &["spec.role", "arn:aws"],
        ),
        ("an ARN of a user", config(&json!({"role": "arn:aws:iam::123456789012:user/x"})), &["spec.role", "role/"]),
        (
            "a duration of 5m",
            config(&json!({"session": {"duration": "5m"}})),
            &["spec.session.duration", "from 15m to 12h"],
        ),
        (
            "a duration of 13h",
            config(&json!({"session": {"duration": "13h"}})),
            &["spec.session.duration", "from 15m to 12h"],
        ),
        (
            "a duration of 1day",
            config(&json!({"session": {"duration": "1day"}})),
            &["spec.session.duration", "should match"],
        ),
        ("renewBefore over the duration", config(&json!({"renewBefore": "2h"})), &["renewBefore must be shorter"]),
        (
            "a bucket with upper case",
            config(&json!({"defaultBucket": "Team-A"})),
            &["spec.defaultBucket", "should match"],
        ),
        (
            "an extra bucket with upper case",
            config(&json!({"extraBuckets": ["ok-bucket", "Not-Ok"]})),
            &["spec.extraBuckets[1]"],
        ),
        (
            "a bucket twice",
            config(&json!({"extraBuckets": ["same", "same"]})),
            &["spec.extraBuckets[1]", "Duplicate value"],
        ),
        ("a target name that is too long", config(&json!({"target": {"name": long}})), &["spec.target.name", "253"]),
        ("a target name that is none", config(&json!({"target": {"name": "Not_A_Name"}})), &["spec.target.name"]),
        ("no formats", config(&json!({"target": {"formats": []}})), &["spec.target.formats"]),
        (
            "an unknown format",
            config(&json!({"target": {"formats": ["Yaml"]}})),
            &["spec.target.formats[0]", "\"Env\", \"Files\""],
        ),
        (
            "a reserved label",
            config(&json!({"target": {"labels": {"keyturn.dev/x": "y"}}})),
            &["spec.target.labels", "reserved"],
        ),
        (
            "our manager's label",
            config(&json!({"target": {"labels": {"app.kubernetes.io/managed-by": "y"}}})),
            &["reserved"],
        ),
        (
            "a label's bad key",
            config(&json!({"target": {"labels": {"a b": "y"}}})),
            &["spec.target.labels", "a label's key"],
        ),
        (
            "a label's bad value",
            config(&json!({"target": {"labels": {"a": "b c"}}})),
            &["spec.target.labels", "a label's value"],
        ),
        (
            "a reserved annotation",
            config(&json!({"target": {"annotations": {"keyturn.dev/person": "eve"}}})),
            &["spec.target.annotations", "reserved"],
        ),
        ("a person with a blank", config(&json!({"person": "alice smith"})), &["spec.person", "should match"]),
        ("a person called system", config(&json!({"person": "system"})), &["spec.person", "must not be \"system\""]),
        ("no person", config(&json!({"person": null})), &["person is required in User mode"]),
        ("a push to no place", config(&json!({"push": {}})), &["spec.push", "push needs a place"]),
        (
            "a name in DataRobot with a blank at its end",
            config(&json!({"push": {"dataRobot": {"instance": "prod", "name": "alice "}}})),
            &["spec.push.dataRobot.name", "should match"],
        ),
        (
            "a DataRobotInstance whose finalizer would be too long",
            config(&json!({"push": {"dataRobot": {"instance": "x".repeat(54), "name": "alice"}}})),
            &["spec.push.dataRobot.instance", "53"],
        ),
        (
            "a token of DataRobot without a format to stand in",
            config(&json!({
                "target": {"formats": ["DataRobot"]},
                "push": {"dataRobot":
                    {"instance": "prod", "name": "alice", "tokenSecretRef": {"name": "mine"}, "deliverToken": true}},
            })),
            &["deliverToken needs one of the formats Env and Files"],
        ),
        ("a region that is none", config(&json!({"region": "Ireland!!"})), &["spec.region"]),
        (
            "a mode that is none",
            config(&json!({"mode": "Team"})),
            &["spec.mode", "supported values: \"User\", \"System\""],
        ),
        ("a person in System mode", config(&json!({"mode": "System"})), &["person is not allowed in System mode"]),
        (
            "role and activeRoleRef",
            config(&json!({"activeRoleRef": {"name": "r"}})),
            &["role and activeRoleRef exclude each other"],
        ),
        (
            "a session for a key",
            config(
                &json!({"role": null, "session": {}, "credentialProvider": "default", "keySecretRef": {"name": "k"}}),
            ),
            &["belong to credentialProvider temporary"],
        ),
        (
            "a role for a key",
            config(&json!({"credentialProvider": "default", "keySecretRef": {"name": "k"}})),
            &["belong to credentialProvider temporary"],
        ),
        (
            "a key that is not named",
            config(&json!({"role": null, "credentialProvider": "default"})),
            &["credentialProvider default needs keySecretRef"],
        ),
        (
            "a key for a session",
            config(&json!({"keySecretRef": {"name": "k"}})),
            &["keySecretRef belongs to credentialProvider default"],
        ),
        (
            "scope Buckets without a bucket",
            config(&json!({"session": {"scope": "Buckets"}})),
            &["session.scope Buckets needs defaultBucket"],
        ),
        (
            "a session tag of AWS's",
            config(&json!({"session": {"tags": {"AWS:x": "y"}}})),
            &["spec.session.tags", "does not begin with aws:"],
        ),
        (
            "a session tag with a bad value",
            config(&json!({"session": {"tags": {"x": "a;b"}}})),
            &["spec.session.tags.x", "should match"],
        ),
        (
            "a transitive tag that is none",
            config(&json!({"session": {"tags": {"x": "y"}, "transitiveTags": ["z"]}})),
            &["each of transitiveTags must be a key of tags"],
        ),
        (
            "a policy's ARN that is none",
            config(&json!({"session": {"policyArns": ["arn:aws:iam::aws:role/ReadOnly"]}})),
            &["spec.session.policyArns[0]"],
        ),
        ("an unknown field", config(&json!({"rolle": "x"})), &["unknown field \"spec.rolle\""]),
        (
            "a name that is too long",
            {
                let mut object = config(&json!({}));
                object["metadata"]["name"] = json!("a".repeat(60));
                object
            },
            &["metadata.name must be at most 59"],
        ),
        (
            "an AwsRole for a person called system",
            json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsRole", "metadata": {"name": "bad"}, "spec": {
                "awsConfigRef": {"name": "a"}, "person": "system", "role": "arn:aws:iam::123456789012:role/x"}}),
            &["spec.person", "for an AwsConfig in System mode leave it out"],
        ),
        ("a grant with an empty glob", grant(&json!({"roles": [""]})), &["spec.roles[0]"]),
        (
            "a grant with two stars",
            grant(&json!({"roles": ["arn:aws:iam::123456789012:role/**"]})),
            &["spec.roles", "** is no wildcard"],
        ),
        (
            "a grant with a question mark",
            grant(&json!({"roles": ["arn:aws:iam::123456789012:role/d?"]})),
            &["spec.roles[0]", "should match"],
        ),
        ("a grant of no roles", grant(&json!({"roles": []})), &["provider temporary needs roles"]),
        ("a grant of no providers", grant(&json!({"providers": []})), &["spec.providers"]),
        (
            "a way of three hops",
            grant(
                &json!({"via": (1..=3).map(|n| format!("arn:aws:iam::123456789012:role/hub-{n}")).collect::<Vec<_>>()}),
            ),
            &["spec.via"],
        ),
        ("a hop that is a glob", grant(&json!({"via": ["arn:aws:iam::123456789012:role/*"]})), &["spec.via[0]"]),
        (
            "a grant with another variable",
            grant(&json!({"roles": ["arn:aws:iam::123456789012:role/${user}"]})),
            &["spec.roles[0]", "should match"],
        ),
        (
            "a denial with a ceiling",
            grant(&json!({"effect": "Deny", "ceilings": {"maxDuration": "1h"}})),
            &["effect Deny holds persons, exceptPersons, namespaces and roles only"],
        ),
        (
            "a denial with a provider",
            grant(&json!({"effect": "Deny", "providers": ["temporary"]})),
            &["effect Deny holds persons, exceptPersons, namespaces and roles only"],
        ),
        ("a denial of nobody", grant(&json!({"effect": "Deny", "persons": []})), &["effect Deny needs persons"]),
        (
            "a denial in no namespace",
            grant(&json!({"effect": "Deny", "namespaces": {}})),
            &["leave namespaces out to deny in every namespace"],
        ),
        ("an effect of neither kind", grant(&json!({"effect": "deny"})), &["spec.effect"]),
        ("a tag without values", grant(&json!({"tags": {"x": []}})), &["spec.tags.x"]),
        (
            "a ceiling on a bucket with upper case",
            grant(&json!({"ceilings": {"buckets": ["Team-*"]}})),
            &["spec.ceilings.buckets[0]"],
        ),
        ("a grant with a bad person", grant(&json!({"persons": ["a b"]})), &["spec.persons[0]"]),
        (
            "a ceiling of 5m",
            grant(&json!({"ceilings": {"maxDuration": "5m"}})),
            &["spec.ceilings.maxDuration", "from 15m to 12h"],
        ),
        ("an external ID with a blank", grant(&json!({"externalId": "a b"})), &["spec.externalId"]),
    ];
    for (case, object, named) in &table {
        let (ok, said) = apply(ground, object);
        assert!(!ok, "{case} was accepted");
        assert!(named.iter().all(|name| said.contains(name)), "{case}: {said}");
        assert_eq!(complaints(&said).len(), 1, "{case} is not one line: {said}");
    }
    let leaver = json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsRoleGrant", "metadata": {"name": "leaver"},
        "spec": {"effect": "Deny", "persons": ["alice"]}});
    let own = grant(&json!({"roles": ["arn:aws:iam::*:role/ds-${person}"], "exceptPersons": ["bob"]}));
    for good in [config(&json!({})), grant(&json!({})), leaver, own] {
        let (ok, said) = apply(ground, &good);
        assert!(ok, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn immutable_fields_stay_and_the_message_names_the_alternative() {
    let ground = Ground::shared();
    let namespace = format!("immutable-{}-{}", std::process::id(), super::ground::number());
    super::ground::run(ground.kubectl().args(["create", "namespace", &namespace]));
    let apply_really = |object: &Value| {
        let mut object = object.clone();
        object["metadata"]["namespace"] = json!(namespace);
        let mut kubectl = ground.kubectl();
        kubectl.args(["apply", "-f", "-"]);
        run_with_input(&mut kubectl, &object.to_string())
    };
    assert!(apply_really(&config(&json!({}))).0);
    let (ok, said) = apply_really(&config(&json!({"target": {"name": "another"}})));
    assert!(!ok && said.contains("immutable: delete this AwsConfig and create it anew"), "{said}");
    assert!(apply_really(&config(&json!({"target": {"name": "bad-aws"}}))).0, "the default by its name is no change");

    let role = |config: &str, person: &str| {
        json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsRole", "metadata": {"name": "r"},
            "spec": {"awsConfigRef": {"name": config}, "person": person, "role": "arn:aws:iam::123456789012:role/x"}})
    };
    assert!(apply_really(&role("bad", "alice")).0);
    for (changed, named) in
        [(role("other", "alice"), "awsConfigRef is immutable"), (role("bad", "bob"), "person is immutable")]
    {
        let (ok, said) = apply_really(&changed);
        assert!(!ok && said.contains(named) && said.contains("recreate"), "{said}");
    }
}

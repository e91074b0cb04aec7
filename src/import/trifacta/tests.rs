//! Answers of the API in their documented shapes, and the manifests that stand for them.

use super::*;
use serde_json::Value;

fn read(files: &[(&str, &str)]) -> Answers {
    let mut answers = Answers::default();
    for (file, text) in files {
        answers.read(file, text).unwrap();
    }
    answers
}

fn objects(manifests: &Manifests, kind: &str) -> Vec<Value> {
    let of_kind = manifests.documents.iter().filter(|it| it.object["kind"] == kind);
    of_kind.map(|it| it.object["spec"].clone()).collect()
}

fn role(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{name}")
}

#[test]
fn a_config_of_each_release_becomes_the_same_config() {
    let arn = role("ds-analyst");
    let old = format!(
        r#"{{"id": 5, "credentialProvider": "temporary", "role": "{arn}", "mode": "user", "personId": 4,
            "defaultBucket": "team-a", "extraBuckets": ["b", "team-a"], "externalId": null}}"#
    );
    let config = r#"{"data": [{"id": 5, "credentialProvider": "temporary", "activeRoleId": 7, "credential": null,
        "defaultBucket": "team-a", "extraBuckets": ["b"], "externalId": null}]}"#;
    let nested =
        format!(r#"{{"data": [{{"id": 7, "role": "{arn}", "awsConfig": {{"id": 5}}, "createdFrom": "api"}}]}}"#);
    let flat = format!(r#"[{{"id": 7, "role": "{arn}", "awsConfigId": 5, "createdFrom": "api", "deleted_at": null}}]"#);
    let person = r#"{"data": [{"id": 4, "email": "alice@example.com", "isDisabled": false, "awsConfig": {"id": 5}}]}"#;
    let unlinked = r#"{"id": 4, "email": "alice@example.com"}"#;
    let rows = [
        ("6.0", vec![("c.json", old.as_str()), ("p.json", unlinked)]),
        ("6.4", vec![("c.json", config), ("r.json", nested.as_str()), ("p.json", person)]),
        ("6.8", vec![("p.json", person), ("r.json", flat.as_str()), ("c.json", config)]),
    ];
    for (row, files) in rows {
        let manifests = manifests(&read(&files), "scoring", false).unwrap();
        let expected =
            json!({"person": "alice@example.com", "role": arn, "defaultBucket": "team-a", "extraBuckets": ["b"]});
        assert_eq!(objects(&manifests, "AwsConfig"), [expected], "{row}");
        assert!(manifests.left_out.is_empty(), "{row}: {:?}", manifests.left_out);
        let text = manifests.written(true).unwrap();
        assert!(text.contains("(awsConfig 5), ") && text.contains("(person 4)\n"), "{row}: {text}");
        assert!(
            text.contains("kind: AwsRoleGrant") && !manifests.written(false).unwrap().contains("kind: AwsRoleGrant")
        );
    }
}

const PEOPLE: &str = r#"{"data": [
 {"id": 1, "email": "alice@example.com", "awsConfig": {"id": 11}},
 {"id": 2, "email": "bob@example.com", "isDisabled": true, "awsConfig": {"id": 12}},
 {"id": 3, "email": "carol@example.com", "awsConfig": {"id": 13}},
 {"id": 4, "email": "no person!", "awsConfig": {"id": 14}},
 {"id": 5, "email": "dave@example.com", "awsConfig": null}]}"#;

const CONFIGS: &str = r#"{"data": [
 {"id": 11, "credentialProvider": "temporary", "activeRoleId": 21, "externalId": "trifacta-1", "extraBuckets": "a, b"},
 {"id": 12, "credentialProvider": "default", "key": "AKIAIOSFODNN7EXAMPLE", "secret": "not-to-be-shown"},
 {"id": 13, "credentialProvider": "temporary", "activeRoleId": 23},
 {"id": 14, "credentialProvider": "temporary"},
 {"id": 15, "credentialProvider": "temporary", "personId": 1},
 {"id": 16, "credentialProvider": "instance"}]}"#;

const ROLES: &str = r#"{"data": [
 {"id": 21, "role": "arn:aws:iam::123456789012:role/ds-analyst", "awsConfigId": 11, "createdFrom": "idp"},
 {"id": 22, "role": "arn:aws:iam::123456789012:role/team/ds-other", "awsConfigId": 11},
 {"id": 23, "role": "arn:aws:iam::123456789012:role/gone", "awsConfigId": 13, "deletedAt": "2020-01-01T00:00:00Z"},
 {"id": 24, "role": "arn:aws:iam::123456789012:role/x", "awsConfigId": 99}]}"#;

#[test]
fn everything_without_an_equivalent_is_said_with_its_place() {
    let answers = read(&[("people.json", PEOPLE), ("configs.json", CONFIGS), ("roles.json", ROLES)]);
    let manifests = manifests(&answers, "scoring", false).unwrap();
    assert_eq!(
        objects(&manifests, "AwsConfig"),
        [
            json!({"person": "alice@example.com", "role": role("ds-analyst"), "extraBuckets": ["a", "b"]}),
            json!({"person": "bob@example.com", "suspend": true, "credentialProvider": "default",
                "keySecretRef": {"name": "bob-example-com-key"}}),
            json!({"person": "carol@example.com"}),
            json!({"mode": "System"}),
        ]
    );
    assert_eq!(
        objects(&manifests, "AwsRole"),
        [
            json!({"awsConfigRef": {"name": "alice-example-com"}, "person": "alice@example.com", "role": role("team/ds-other")})
        ]
    );
    let text = manifests.written(true).unwrap();
    for part in [
        "# not imported: from configs.json:5 (awsConfig 14): \"no person!\" cannot be a person's name",
        "# not imported: from configs.json:6 (awsConfig 15): nobody has it any more",
        "# not imported: from roles.json:5 (awsRole 24): its awsConfig 99 is in no file",
        "# not imported: from people.json:6 (person 5): dave@example.com has no awsConfig",
        "# from configs.json:2 (awsConfig 11), people.json:2 (person 1)\n# the identity provider had set awsRole 21",
        "expects the external ID trifacta-1: ",
        "# bob@example.com is disabled: Trifacta went on with their schedules",
        "# its active awsRole 23 was deleted (roles.json:4)\n# it has no role yet",
        "# the role of Trifacta's own machine has no equivalent",
        "# fill in the key: Trifacta does not answer it",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains("not-to-be-shown") && !text.contains("AKIA"), "{text}");
    let asked = super::manifests(&answers, "scoring", true).unwrap().written(true).unwrap();
    assert!(asked.contains("not-to-be-shown"), "the user asked for keys");
}

#[test]
fn a_role_that_is_no_arn_is_left_out_with_its_place() {
    let config = r#"[{"id": 11, "credentialProvider": "temporary", "activeRoleId": 21, "personId": 1}]"#;
    let roles = r#"[{"id": 21, "role": "analyst", "awsConfigId": 11}, {"id": 22, "role": "other", "awsConfigId": 11}]"#;
    let person = r#"[{"id": 1, "email": "alice@example.com"}]"#;
    let answers = read(&[("c.json", config), ("r.json", roles), ("p.json", person)]);
    let manifests = manifests(&answers, "scoring", false).unwrap();
    assert_eq!(objects(&manifests, "AwsConfig"), [json!({"person": "alice@example.com"})]);
    assert!(objects(&manifests, "AwsRole").is_empty());
    let text = manifests.written(true).unwrap();
    for part in ["# its role is left out: \"analyst\" is not", "# not imported: from r.json:1 (awsRole 22): \"other\""]
    {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn an_answer_that_is_none_is_an_error_with_its_file_and_line() {
    let rows = [
        ("no JSON", "{\"data\": [\n{]}", "f.json:2: no JSON"),
        ("something else", "[{\"id\": 1},\n{\"id\": 2}]", "f.json:1: neither a person"),
        ("no id", "[\n{\"email\": \"a@b\"}]", "f.json:2: the object has no number `id`"),
        ("another provider", "[{\"id\": 1, \"credentialProvider\": \"magic\"}]", "f.json:1: credentialProvider magic"),
        ("a role of nothing", "[{\"id\": 1, \"role\": \"x\"}]", "f.json:1: the awsRole names no awsConfig"),
    ];
    for (row, text, begin) in rows {
        let failed = Answers::default().read("f.json", text).unwrap_err();
        assert!(failed.0.starts_with(begin), "{row}: {failed}");
    }
    let twice = r#"[{"id": 1, "email": "a@b", "awsConfig": {"id": 5}}, {"id": 2, "email": "c@d", "awsConfigId": 5}]"#;
    let failed = manifests(&read(&[("p.json", twice)]), "scoring", false).unwrap_err();
    assert!(failed.0.contains("person 2 has awsConfig 5, and so has person 1"), "{failed}");
}

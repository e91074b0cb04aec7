//! Manifests of grants, and their effects.

use super::*;
use crate::plugin::{Command, cli::parse};
use std::ffi::OsString;

fn asks(arguments: &[&str]) -> Grant {
    let arguments = ["kubectl-keyturn", "grant"].iter().chain(arguments).map(OsString::from);
    let Command::Grant(asked) = parse(arguments).unwrap().command else { panic!("a grant") };
    *asked
}

const DS: &str = "arn:aws:iam::123456789012:role/ds-*";

#[test]
fn the_flags_of_a_grant_are_its_fields() {
    let rows = [
        (
            "the least",
            vec!["analysts", "--role", DS, "--person", "*"],
            json!({"roles": [DS], "persons": ["*"], "namespaces": {"names": ["scoring"]}}),
        ),
        (
            "everything",
            vec![
                "a",
                "--role",
                DS,
                "--person",
                "*",
                "--except-person",
                "bob",
                "--in",
                "x",
                "--in",
                "y",
                "--in-selector",
                "team=ds,env=prod",
                "--max-duration",
                "4h",
                "--bucket",
                "team-*",
                "--require-scope-buckets",
                "--require-source-identity",
                "--tag",
                "team=fraud",
                "--tag",
                "team=risk",
                "--via",
                "arn:aws:iam::123456789012:role/hub",
                "--provider",
                "temporary",
                "--provider",
                "default",
            ],
            json!({
                "roles": [DS], "persons": ["*"], "exceptPersons": ["bob"], "providers": ["temporary", "default"],
                "namespaces": {"names": ["x", "y"], "selector": {"matchLabels": {"team": "ds", "env": "prod"}}},
                "tags": {"team": ["fraud", "risk"]}, "via": ["arn:aws:iam::123456789012:role/hub"],
                "ceilings": {"maxDuration": "4h", "buckets": ["team-*"], "requireScopeBuckets": true,
                    "requireSourceIdentity": true},
            }),
        ),
        (
            "a denial everywhere",
            vec!["gone", "--deny", "--everywhere", "--person", "mallory"],
            json!({"effect": "Deny", "persons": ["mallory"]}),
        ),
        (
            "keys only",
            vec!["keys", "--provider", "default", "--person", "*"],
            json!({"providers": ["default"], "persons": ["*"], "namespaces": {"names": ["scoring"]}}),
        ),
    ];
    for (row, arguments, expected) in rows {
        assert_eq!(spec(&asks(&arguments), "scoring").unwrap(), expected, "{row}");
        let text = manifest(&asks(&arguments), "scoring").unwrap();
        assert!(text.contains("kind: AwsRoleGrant") && text.ends_with('\n'), "{row}: {text}");
    }
}

#[test]
fn flags_that_make_no_grant_are_refused_with_the_next_step() {
    let rows = [
        ("no role", vec!["a", "--person", "*"], "name a role by --role"),
        (
            "a tag without a value",
            vec!["a", "--role", DS, "--person", "*", "--tag", "team"],
            "--tag team: write KEY=VALUE",
        ),
        ("a hop that is no role", vec!["a", "--role", DS, "--person", "*", "--via", "hub"], "spec.via: "),
    ];
    for (row, arguments, part) in rows {
        let failed = manifest(&asks(&arguments), "scoring").unwrap_err();
        assert!(failed.code == 2 && failed.message.contains(part), "{row}: {failed}");
    }
}

fn config(name: &str, role: &str) -> AwsConfig {
    let role = format!("arn:aws:iam::123456789012:role/{role}");
    from_value(json!({"metadata": {"name": name, "namespace": "scoring"}, "spec": {"person": name, "role": role}}))
        .unwrap()
}

/// A case, the flags, what is newly allowed, what is taken away, and what a deletion withdraws.
type Row<'a> = (&'static str, Vec<&'a str>, Vec<&'a str>, Vec<&'a str>, Vec<&'a str>);

#[test]
fn the_effect_of_a_grant_is_said_of_every_config_that_it_changes() {
    let configs = [config("alice", "ds-analyst"), config("bob", "ds-other"), config("carol", "admin")];
    let present = |name: &str, spec: Value| Arc::new(AwsRoleGrant::new(name, from_value(spec).unwrap()));
    let scoring = json!({"names": ["scoring"]});
    let grants = [
        present("alice", json!({"roles": [DS], "persons": ["alice"], "namespaces": scoring})),
        present("narrowed", json!({"roles": [DS], "persons": ["bob"], "namespaces": scoring})),
    ];
    let alice = "AwsConfig scoring/alice (alice): arn:aws:iam::123456789012:role/ds-analyst";
    let bob = "AwsConfig scoring/bob (bob): arn:aws:iam::123456789012:role/ds-other";
    let carol = "AwsConfig scoring/carol (carol): arn:aws:iam::123456789012:role/admin";
    let admin = "arn:aws:iam::123456789012:role/admin";
    let rows: [Row<'_>; 4] = [
        ("another role", vec!["admins", "--role", admin, "--person", "*"], vec![carol], vec![], vec![carol]),
        ("nothing new", vec!["again", "--role", DS, "--person", "alice"], vec![], vec![], vec![]),
        (
            "a narrower one of the same name",
            vec!["narrowed", "--role", admin, "--person", "bob"],
            vec![],
            vec![bob],
            vec![],
        ),
        ("a denial", vec!["gone", "--deny", "--person", "*"], vec![], vec![alice, bob], vec![]),
    ];
    for (row, arguments, allowed, withdrawn, without) in rows {
        let grant = object(&asks(&arguments), "scoring").unwrap();
        let found = effect(&configs, &Labels::new(), &grants, &grant);
        assert_eq!((found.allowed, found.withdrawn), (owned(&allowed), owned(&withdrawn)), "{row}");
        assert_eq!(effect::without(&configs, &Labels::new(), &grants, &grant), owned(&without), "{row}");
    }
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

#[test]
fn the_uses_of_grants_are_the_requests_that_they_decide() {
    let profile = json!({"metadata": {"name": "dora", "namespace": "scoring"}, "spec": {
        "person": "dora", "role": "arn:aws:iam::123456789012:role/ds-analyst",
        "profiles": [{"name": "lake", "role": "arn:aws:iam::123456789012:role/lake"}]}});
    let mut gone = config("gone", "ds-analyst");
    gone.spec.suspend = true;
    let configs = [
        config("alice", "ds-analyst"),
        config("bob", "ds-other"),
        config("carol", "admin"),
        config("mallory", "ds-analyst"),
        from_value(profile).unwrap(),
        gone,
    ];
    let grant = |name: &str, spec: Value| Arc::new(AwsRoleGrant::new(name, from_value(spec).unwrap()));
    let scoring = json!({"names": ["scoring"]});
    let grants = [
        grant("analysts", json!({"roles": [DS], "persons": ["*"], "namespaces": scoring})),
        grant("for-bob", json!({"roles": [DS], "persons": ["bob"], "namespaces": scoring})),
        grant(
            "lake",
            json!({"roles": ["arn:aws:iam::123456789012:role/lake"], "persons": ["*"], "namespaces": scoring}),
        ),
        grant("no-mallory", json!({"effect": "Deny", "persons": ["mallory"]})),
        grant("unused", json!({"roles": [DS], "persons": ["*"], "namespaces": {"names": ["elsewhere"]}})),
    ];
    let uses = uses::of(&configs, &Labels::new(), &grants);
    assert_eq!(
        uses::listed(&grants, &uses),
        "GRANT        EFFECT   USED BY   DELETION WITHDRAWS\n\
         analysts     Allow    3         2\n\
         for-bob      Allow    0         0\n\
         lake         Allow    1         1\n\
         no-mallory   Deny     1         0\n\
         unused       Allow    0         0\n"
    );
    let one = |name: &str| uses::one(name, uses.get(name).map(Vec::as_slice).unwrap_or_default());
    for (name, expected) in [
        ("analysts", "allowed by \"for-bob\"   AwsConfig scoring/bob (bob): arn:aws:iam::123456789012:role/ds-other\n"),
        (
            "analysts",
            "withdrawn              AwsConfig scoring/alice (alice): arn:aws:iam::123456789012:role/ds-analyst\n",
        ),
        ("lake", "withdrawn    AwsConfig scoring/dora (dora), profile lake: arn:aws:iam::123456789012:role/lake\n"),
        ("no-mallory", "no longer denied, and allowed by \"analysts\"   AwsConfig scoring/mallory"),
        ("unused", "No AwsConfig uses AwsRoleGrant \"unused\""),
    ] {
        assert!(one(name).contains(expected), "{name}: {}", one(name));
    }
}

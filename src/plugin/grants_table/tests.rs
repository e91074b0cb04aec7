//! The answers of the grants, in tables.

use super::*;
use serde_json::Value;

fn grant(name: &str, spec: Value) -> Arc<AwsRoleGrant> {
    Arc::new(AwsRoleGrant::new(name, from_value(spec).unwrap()))
}

fn grants() -> Vec<Arc<AwsRoleGrant>> {
    vec![
        grant(
            "analysts",
            json!({"roles": ["arn:aws:iam::123456789012:role/ds-*"], "namespaces": {"names": ["scoring"]}, "persons": ["*"],
                "exceptPersons": ["mallory"]}),
        ),
        grant(
            "own",
            json!({"roles": ["arn:aws:iam::123456789012:role/p-${person}"], "namespaces": {"selector": {"matchLabels": {"team": "ds"}}},
                "persons": ["bob"]}),
        ),
        grant("gone", json!({"effect": "Deny", "persons": ["carol"]})),
    ]
}

fn asks(person: Option<&str>, role: &str) -> Can {
    Can { role: role.to_owned(), person: person.map(str::to_owned), system: person.is_none() }
}

#[test]
fn a_request_is_answered_before_anything_is_applied() {
    let labels = BTreeMap::from([("team".to_owned(), "ds".to_owned())]);
    let analyst = "arn:aws:iam::123456789012:role/ds-analyst";
    let rows = [
        ("allowed", Some("alice"), analyst, "yes: AwsRoleGrant \"analysts\" allows person \"alice\""),
        ("excepted", Some("mallory"), analyst, "no: no AwsRoleGrant allows"),
        ("denied", Some("carol"), analyst, "no: AwsRoleGrant \"gone\" (effect Deny) denies"),
        ("by the person's name", Some("bob"), "arn:aws:iam::123456789012:role/p-bob", "yes: AwsRoleGrant \"own\""),
        ("another person's", Some("bob"), "arn:aws:iam::123456789012:role/p-alice", "no: no AwsRoleGrant"),
        ("the namespace itself", None, analyst, "no: no AwsRoleGrant allows"),
    ];
    for (row, person, role, begin) in rows {
        let said = can(&grants(), &labels, "scoring", &asks(person, role)).unwrap();
        assert!(said.text.starts_with(begin), "{row}: {}", said.text);
        assert_eq!(said.is_fine(), begin.starts_with("yes"), "{row}");
    }
    let wrong = can(&grants(), &labels, "scoring", &asks(Some("alice"), "admin")).unwrap_err();
    assert!(wrong.message.starts_with("--role: "), "{wrong}");
}

#[test]
fn the_grants_about_a_role_are_listed_and_denials_come_first() {
    let said = who_can(&grants(), "arn:aws:iam::123456789012:role/p-bob");
    assert_eq!(
        said.text,
        "GRANT   EFFECT   NAMESPACES   PERSONS   EXCEPT   ROLES\n\
         gone    Deny     *            carol     -        *\n\
         own     Allow    -l team=ds   bob       -        arn:aws:iam::123456789012:role/p-${person}\n"
    );
    let none = who_can(&grants()[..2], "arn:aws:iam::123456789012:role/admin");
    assert_eq!(
        (none.text.as_str(), none.is_fine()),
        ("No AwsRoleGrant is about arn:aws:iam::123456789012:role/admin.\n", false)
    );
}

#[test]
fn the_roles_of_a_person_are_those_that_grants_name_for_them() {
    let none = BTreeMap::new();
    let of = |person| roles(&grants(), &none, "scoring", person).text;
    assert!(of(Some("alice")).contains("analysts") && !of(Some("alice")).contains("gone"), "{}", of(Some("alice")));
    assert_eq!(of(Some("mallory")), "No AwsRoleGrant allows person \"mallory\" a role in namespace \"scoring\".\n");
    assert!(of(Some("carol")).contains("Deny"), "{}", of(Some("carol")));
    assert!(of(None).contains("analysts") && !of(None).contains("own"), "a selector that does not match: {}", of(None));
}

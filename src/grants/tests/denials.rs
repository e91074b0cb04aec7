//! Grants that deny: the requests that they cover, and that they win over those that allow.

use super::*;

/// A grant that denies what `change` makes of "these persons everything".
fn denying(change: impl FnOnce(&mut AwsRoleGrantSpec)) -> Arc<AwsRoleGrant> {
    let mut spec =
        AwsRoleGrantSpec { effect: Effect::Deny, persons: vec!["alice".into()], ..AwsRoleGrantSpec::default() };
    change(&mut spec);
    Arc::new(AwsRoleGrant::new("leavers", spec))
}

#[test]
fn a_denial_wins_over_every_grant_that_allows() {
    type Change = fn(&mut AwsRoleGrantSpec);
    let table: [(&str, Change, bool); 16] = [
        ("the person", |_| {}, true),
        ("everybody", |s| s.persons = vec!["*".into()], true),
        ("a glob of persons", |s| s.persons = vec!["al*".into()], true),
        ("another person", |s| s.persons = vec!["bob".into()], false),
        ("nobody", |s| s.persons = vec![], false),
        ("namespaces", |s| s.persons = vec!["system:*".into()], false),
        ("everybody but this person", |s| s.except_persons = vec!["alice".into()], false),
        ("everybody but another", |s| s.except_persons = vec!["bob".into()], true),
        ("in this namespace", |s| s.namespaces = Some(selecting(&["scoring"])), true),
        ("in another namespace", |s| s.namespaces = Some(selecting(&["lab"])), false),
        ("in no namespace", |s| s.namespaces = Some(Namespaces::default()), false),
        ("this role", |s| s.roles = vec![ROLE.into()], true),
        ("roles by a glob", |s| s.roles = vec!["arn:aws:iam::*:role/ds-*".into()], true),
        ("another role", |s| s.roles = vec!["arn:aws:iam::123456789012:role/other".into()], false),
        ("the person's own role", |s| s.roles = vec!["arn:aws:iam::*:role/ds-${person}".into()], false),
        ("providers do not matter", |s| s.providers = vec![CredentialProvider::Default], true),
    ];
    for (row, change, denied) in table {
        let grants = [grant("a", |_| {}), denying(change), grant("z", |_| {})];
        let answer = asked(&grants, ROLE, "1h");
        assert_eq!(answer.is_err(), denied, "{row}: {answer:?}");
        let named = answer.err().is_none_or(|why| why.starts_with("Denied: AwsRoleGrant \"leavers\" (effect Deny)"));
        assert!(named, "{row}");
    }
}

fn selecting(names: &[&str]) -> Namespaces {
    Namespaces { names: names.iter().map(|name| (*name).to_owned()).collect(), selector: None }
}

#[test]
fn a_denial_of_everything_covers_keys_connections_and_namespaces() {
    type Change = fn(&mut AwsRoleGrantSpec);
    let allowing = |provider| {
        grant("a", |s| {
            s.providers = vec![provider];
            s.persons = vec!["*".into(), "system:*".into()];
        })
    };
    let (alice, system) = (json!({"person": "alice"}), json!({"mode": "System"}));
    let roles: Change = |s| s.roles = vec!["arn:aws:iam::*:role/*".into()];
    let namespace: Change = |s| s.persons = vec!["system:scoring".into()];
    let table: [(&str, &Value, CredentialProvider, Requested<'_>, Change, bool); 6] = [
        ("a key", &alice, CredentialProvider::Default, Requested::Key, |_| {}, true),
        ("a connection", &alice, CredentialProvider::Connection, Requested::Connection, |_| {}, true),
        ("a key, and roles are denied", &alice, CredentialProvider::Default, Requested::Key, roles, false),
        (
            "a connection, and roles are denied",
            &alice,
            CredentialProvider::Connection,
            Requested::Connection,
            roles,
            false,
        ),
        ("a namespace", &system, CredentialProvider::Temporary, Requested::Role(ROLE), namespace, true),
        (
            "a namespace, and a person is denied",
            &system,
            CredentialProvider::Temporary,
            Requested::Role(ROLE),
            |_| {},
            false,
        ),
    ];
    for (row, asks, provider, what, change, denied) in table {
        let (grants, config) = ([allowing(provider), denying(change)], config(asks.clone()));
        let (namespace_labels, subject) = (&BTreeMap::new(), &config.subject().unwrap());
        let answer = granted(&grants, GrantRequest { config: &config, namespace_labels, subject, what });
        assert_eq!(answer.map_err(|why| why.reason).err(), denied.then_some(Reason::Denied), "{row}");
        let of_everything = denial(&grants, "scoring", namespace_labels, subject, Denial::OfEverything);
        assert_eq!(of_everything.is_some(), denied, "{row}: it is known before the role");
    }
}

#[test]
fn a_denial_of_a_role_is_none_of_everything_and_a_denial_allows_nothing() {
    let (alice, labels) = (Subject::person("alice"), BTreeMap::new());
    let of_role = [denying(|s| s.roles = vec![ROLE.into()])];
    assert!(denial(&of_role, "scoring", &labels, &alice, Denial::OfEverything).is_none());
    let message = denial(&of_role, "scoring", &labels, &alice, Denial::Of(Requested::Role(ROLE))).unwrap().message;
    assert!(message.contains(&format!("the use of {ROLE}")) && message.contains("person \"alice\""), "{message}");
    let other = asked(&of_role, "arn:aws:iam::123456789012:role/other", "1h").unwrap_err();
    assert!(other.starts_with("NotGranted"), "{other}");
}

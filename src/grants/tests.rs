//! Each part of a grant, one at a time.

mod denials;

use super::*;
use crate::api::{AwsRoleGrantSpec, Ceilings, LabelRequirement, LabelSelector, Namespaces, Operator, TagPatterns};
use serde_json::{Value, json};

fn grant(name: &str, change: impl FnOnce(&mut AwsRoleGrantSpec)) -> Arc<AwsRoleGrant> {
    let mut spec = AwsRoleGrantSpec {
        roles: vec!["arn:aws:iam::123456789012:role/ds-*".into()],
        namespaces: Some(Namespaces { names: vec!["scoring".into()], selector: None }),
        persons: vec!["*".into()],
        ..AwsRoleGrantSpec::default()
    };
    change(&mut spec);
    Arc::new(AwsRoleGrant::new(name, spec))
}

fn config(spec: Value) -> AwsConfig {
    let mut config = AwsConfig::new("alice", serde_json::from_value(spec).unwrap());
    config.metadata.namespace = Some("scoring".into());
    config
}

/// The answer to this config if it asks for this role, or for a key if `role` is `None`.
fn asked_by(config: &AwsConfig, grants: &[Arc<AwsRoleGrant>], role: Option<&str>) -> Result<String, String> {
    let namespace_labels = &BTreeMap::from([("team".to_owned(), "ds".to_owned())]);
    let (subject, what) = (&config.subject().unwrap(), role.map_or(Requested::Key, Requested::Role));
    let answer = granted(grants, GrantRequest { config, namespace_labels, subject, what });
    answer.map(kube::ResourceExt::name_any).map_err(|why| format!("{}: {}", why.reason, why.message))
}

fn asked(grants: &[Arc<AwsRoleGrant>], role: &str, duration: &str) -> Result<String, String> {
    asked_by(&config(json!({"person": "alice", "session": {"duration": duration}})), grants, Some(role))
}

const ROLE: &str = "arn:aws:iam::123456789012:role/ds-analyst";

#[test]
fn nothing_is_allowed_that_no_grant_allows() {
    let message = asked(&[], ROLE, "1h").unwrap_err();
    assert!(message.contains("\"scoring\"") && message.contains(ROLE) && message.contains("\"alice\""), "{message}");
}

#[test]
fn each_part_of_a_grant_has_to_match() {
    type Change = fn(&mut AwsRoleGrantSpec);
    let table: [(&str, Change, bool); 12] = [
        ("as it is", |_| {}, true),
        ("another namespace", |s| s.namespaces.as_mut().unwrap().names = vec!["other".into()], false),
        ("no namespaces", |s| s.namespaces = None, false),
        ("another person", |s| s.persons = vec!["bob".into()], false),
        ("a glob of persons", |s| s.persons = vec!["bob".into(), "al*".into()], true),
        ("no persons", |s| s.persons = vec![], false),
        ("another role", |s| s.roles = vec!["arn:aws:iam::123456789012:role/admin".into()], false),
        ("no roles", |s| s.roles = vec![], false),
        ("a star crosses no colon", |s| s.roles = vec!["arn:aws:iam::*".into()], false),
        ("a star for the account", |s| s.roles = vec!["arn:aws:iam::*:role/ds-analyst".into()], true),
        ("a star for any role", |s| s.roles = vec!["arn:aws:iam::123456789012:role/*".into()], true),
        ("two stars are no wildcard", |s| s.roles = vec!["arn:aws:iam::123456789012:**".into()], false),
    ];
    for (case, change, allowed) in table {
        assert_eq!(asked(&[grant("g", change)], ROLE, "1h").is_ok(), allowed, "{case}");
    }
}

#[test]
fn a_star_crosses_no_slash() {
    let any = grant("g", |s| s.roles = vec!["arn:aws:iam::123456789012:role/*".into()]);
    let path = grant("g", |s| s.roles = vec!["arn:aws:iam::123456789012:role/*/analyst".into()]);
    let role = "arn:aws:iam::123456789012:role/team/analyst";
    assert!(asked(&[any], role, "1h").is_err());
    assert!(asked(&[path], role, "1h").is_ok());
}

#[test]
fn wildcards_of_other_globs_match_nothing() {
    for name in ["ds-analys?", "[d]s-analyst", "{ds-analyst,x}", "!x", "ds\\-analyst"] {
        let grant = grant("g", |s| s.roles = vec![format!("arn:aws:iam::123456789012:role/{name}")]);
        assert!(asked(&[grant], ROLE, "1h").is_err(), "{name}");
    }
    let nobody_but_bob = grant("g", |s| s.persons = vec!["!bob".into()]);
    assert!(asked(&[nobody_but_bob], ROLE, "1h").is_err());
}

#[test]
fn namespaces_are_selected_by_their_labels() {
    let by = |requirement: Option<(&str, Operator, &[&str])>| {
        let selector = LabelSelector {
            match_labels: BTreeMap::new(),
            match_expressions: requirement
                .map(|(key, operator, values)| LabelRequirement {
                    key: key.into(),
                    operator,
                    values: values.iter().collect(),
                })
                .into_iter()
                .collect(),
        };
        grant("g", |s| s.namespaces = Some(Namespaces { names: vec![], selector: Some(selector) }))
    };
    let table = [
        (by(None), true),
        (by(Some(("team", Operator::In, &["x", "ds"]))), true),
        (by(Some(("team", Operator::In, &["x"]))), false),
        (by(Some(("team", Operator::NotIn, &["ds"]))), false),
        (by(Some(("other", Operator::NotIn, &["ds"]))), true),
        (by(Some(("team", Operator::Exists, &[]))), true),
        (by(Some(("other", Operator::Exists, &[]))), false),
        (by(Some(("team", Operator::DoesNotExist, &[]))), false),
        (by(Some(("other", Operator::DoesNotExist, &[]))), true),
    ];
    for (grant, allowed) in table {
        assert_eq!(asked(std::slice::from_ref(&grant), ROLE, "1h").is_ok(), allowed, "{:?}", grant.spec.namespaces);
    }
    let labels = |value: &str| LabelSelector {
        match_labels: BTreeMap::from([("team".to_owned(), value.to_owned())]),
        match_expressions: vec![],
    };
    for (value, allowed) in [("ds", true), ("x", false)] {
        let g = grant("g", |s| s.namespaces = Some(Namespaces { names: vec![], selector: Some(labels(value)) }));
        assert_eq!(asked(&[g], ROLE, "1h").is_ok(), allowed, "matchLabels team: {value}");
    }
}

#[test]
fn an_excess_is_refused_by_its_ceiling_unless_a_grant_allows_it() {
    let ceiling = |most: &str| Some(Ceilings { max_duration: Some(most.parse().unwrap()), ..Ceilings::default() });
    let short = grant("a-short", |s| s.ceilings = ceiling("1h"));
    let long = grant("b-long", |s| s.ceilings = ceiling("2h"));
    let message = asked(std::slice::from_ref(&short), ROLE, "90m").unwrap_err();
    assert!(message.contains("maxDuration 1h") && message.contains("\"a-short\""), "{message}");
    assert_eq!(asked(&[long.clone(), short.clone()], ROLE, "1h").unwrap(), "a-short", "the first by name");
    assert_eq!(asked(&[short, long], ROLE, "90m").unwrap(), "b-long");
}

#[test]
fn a_namespace_s_shared_credentials_need_a_grant_that_names_them() {
    let system = config(json!({"mode": "System"}));
    for (pattern, allowed) in
        [("*", false), ("system*", false), ("system:scoring", true), ("system:*", true), ("system:other", false)]
    {
        let grant = grant("g", |s| s.persons = vec![pattern.into()]);
        assert_eq!(asked_by(&system, std::slice::from_ref(&grant), Some(ROLE)).is_ok(), allowed, "{pattern}");
    }
    let namespaces_only = grant("g", |s| s.persons = vec!["system:*".into()]);
    assert!(asked(&[namespaces_only], ROLE, "1h").is_err(), "a person is no namespace");
}

#[test]
fn session_tags_are_allowed_one_by_one_with_their_values() {
    let tagged = |key: &str, value: &str| config(json!({"person": "alice", "session": {"tags": {(key): value}}}));
    let patterns = |values: &[&str]| TagPatterns(values.iter().map(|v| (*v).to_owned()).collect());
    let grants = [grant("g", |s| {
        s.tags =
            [("project".to_owned(), patterns(&["fraud", "risk-*"])), ("path".to_owned(), patterns(&["a/*"]))].into();
    })];
    for (key, value, allowed) in [
        ("project", "fraud", true),
        ("project", "risk-7", true),
        ("project", "other", false),
        ("other", "fraud", false),
        ("path", "a/b/c", true),
        ("path", "b", false),
    ] {
        let answer = asked_by(&tagged(key, value), &grants, Some(ROLE));
        assert_eq!(answer.is_ok(), allowed, "{key}={value}: {answer:?}");
    }
    let refused = asked_by(&tagged("project", "other"), &grants, Some(ROLE)).unwrap_err();
    assert!(refused.contains("project=other") && refused.contains("\"g\""), "{refused}");
}

#[test]
fn each_ceiling_refuses_what_exceeds_it_by_its_name() {
    let alice = |session: Value, bucket: &str| {
        config(json!({"person": "alice", "defaultBucket": bucket, "extraBuckets": ["team-b"], "session": session}))
    };
    let ceilings = |ceilings: Value| {
        let ceilings = serde_json::from_value(ceilings).unwrap();
        [grant("g", |s| s.ceilings = Some(ceilings))]
    };
    let table = [
        (json!({"requireScopeBuckets": true}), json!({}), "team-a", "requireScopeBuckets"),
        (json!({"requireScopeBuckets": true}), json!({"scope": "Buckets"}), "team-a", ""),
        (json!({"buckets": ["team-*"]}), json!({}), "team-a", ""),
        (json!({"buckets": ["team-*"]}), json!({}), "other", "ceilings.buckets"),
        (json!({"buckets": ["team-a"]}), json!({}), "team-a", "\"team-b\""),
        (json!({"requireSourceIdentity": true}), json!({}), "team-a", "requireSourceIdentity"),
        (json!({"requireSourceIdentity": true}), json!({"sourceIdentity": true}), "team-a", ""),
    ];
    for (ceiling, session, bucket, named) in table {
        let answer = asked_by(&alice(session, bucket), &ceilings(ceiling.clone()), Some(ROLE));
        match answer {
            Ok(_) => assert_eq!(named, "", "{ceiling}"),
            Err(message) => assert!(!named.is_empty() && message.contains(named), "{ceiling}: {message}"),
        }
    }
}

#[test]
fn one_grant_has_to_allow_all_of_it() {
    let long = grant("long", |s| s.persons = vec!["bob".into()]);
    let short = grant("short", |s| s.roles = vec!["arn:aws:iam::123456789012:role/other".into()]);
    assert!(asked(&[long, short], ROLE, "1h").is_err());
}

#[test]
fn a_key_needs_a_grant_that_lists_its_provider_and_no_ceiling_on_sessions() {
    let alice = config(json!({"person": "alice", "credentialProvider": "default"}));
    let with = |change: fn(&mut AwsRoleGrantSpec)| asked_by(&alice, &[grant("g", change)], None);
    let message = with(|_| {}).unwrap_err();
    assert!(message.contains("credentialProvider default"), "{message}");
    assert!(with(|s| s.providers = vec![CredentialProvider::Default]).is_ok());
    let short = with(|s| {
        s.providers = vec![CredentialProvider::Default];
        s.ceilings = serde_json::from_value(json!({"maxDuration": "1h"})).unwrap();
    });
    assert!(short.unwrap_err().contains("ceilings.maxDuration"));
    let only_keys = grant("g", |s| s.providers = vec![CredentialProvider::Default]);
    assert!(asked(&[only_keys], ROLE, "1h").is_err(), "a session needs the provider temporary");
}

#[test]
fn a_grant_without_providers_allows_sessions_only() {
    let alice = config(json!({"person": "alice", "credentialProvider": "default"}));
    let grant = grant("g", |s| s.providers = vec![]);
    assert!(asked_by(&alice, std::slice::from_ref(&grant), None).is_err());
    assert!(asked(&[grant], ROLE, "1h").is_ok());
}

// ---- The person in a role, and persons left out -------------------------------------------------

#[test]
fn the_variable_person_stands_for_the_person_literally() {
    let table = [
        ("the person's own role", "alice", "ds-${person}", "ds-alice", true),
        ("another person's role", "alice", "ds-${person}", "ds-bob", false),
        ("a longer name", "alice", "ds-${person}", "ds-alice2", false),
        ("a glob behind the variable", "alice", "ds-${person}-*", "ds-alice-rw", true),
        ("a glob before the variable", "alice", "*-${person}", "team-alice", true),
        ("twice", "alice", "${person}-${person}", "alice-alice", true),
        ("twice, with two names", "alice", "${person}-${person}", "alice-bob", false),
        ("a dot is a dot", "a.b", "ds-${person}", "ds-a.b", true),
        ("a dot is no wildcard", "a.b", "ds-${person}", "ds-axb", false),
        ("a path is the role's", "alice", "${person}/*", "alice/rw", true),
        ("a star in the name is no wildcard", "al*", "ds-${person}", "ds-alice", false),
        ("a question mark neither", "alic?", "ds-${person}", "ds-alice", false),
        ("upper and lower case differ", "Alice", "ds-${person}", "ds-alice", false),
        ("no other variable", "alice", "ds-${user}", "ds-alice", false),
        ("half a variable", "alice", "ds-${person", "ds-alice", false),
    ];
    for (row, person, pattern, role, allowed) in table {
        let arn = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
        let grant = grant("g", |s| s.roles = vec![arn(pattern)]);
        let answer = asked_by(&config(json!({"person": person})), &[grant], Some(&arn(role)));
        assert_eq!(answer.is_ok(), allowed, "{row}: {answer:?}");
    }
}

#[test]
fn a_role_with_the_variable_person_matches_no_namespace() {
    let system = config(json!({"mode": "System"}));
    for (pattern, allowed) in [("ds-${person}", false), ("${person}", false), ("ds-*", true)] {
        let grant = grant("g", |s| {
            s.persons = vec!["*".into(), "system:*".into()];
            s.roles = vec![format!("arn:aws:iam::*:role/{pattern}")];
        });
        for role in ["ds-", "ds-scoring", "ds-system:scoring", "system:scoring"] {
            let arn = format!("arn:aws:iam::123456789012:role/{role}");
            let answer = asked_by(&system, std::slice::from_ref(&grant), Some(&arn));
            assert_eq!(answer.is_ok(), allowed && !role.contains(':'), "{pattern} and {role}");
        }
    }
}

#[test]
fn except_persons_narrows_its_own_grant_only() {
    type Row<'a> = (&'a str, &'a Value, Vec<Arc<AwsRoleGrant>>, Option<&'a str>);
    let but = |name: &str, except: &[&str]| {
        grant(name, |s| {
            s.persons = vec!["*".into(), "system:*".into()];
            s.except_persons = except.iter().map(|p| (*p).to_owned()).collect();
        })
    };
    let (alice, system) = (json!({"person": "alice"}), json!({"mode": "System"}));
    let table: [Row<'_>; 7] = [
        ("nobody", &alice, vec![but("a", &[])], Some("a")),
        ("the person", &alice, vec![but("a", &["alice"])], None),
        ("a glob", &alice, vec![but("a", &["bob", "al*"])], None),
        ("another person", &alice, vec![but("a", &["bob"])], Some("a")),
        ("a namespace by a glob of persons", &system, vec![but("a", &["*"])], Some("a")),
        ("the namespace", &system, vec![but("a", &["system:scor*"])], None),
        ("the person, and a second grant", &alice, vec![but("a", &["alice"]), but("b", &[])], Some("b")),
    ];
    for (row, asks, grants, expected) in table {
        let answer = asked_by(&config(asks.clone()), &grants, Some(ROLE));
        assert_eq!(answer.as_deref().ok(), expected, "{row}");
        let is_named = answer.err().is_none_or(|message| message.contains("exceptPersons of AwsRoleGrant \"a\""));
        assert!(is_named, "{row}");
    }
}

#[test]
fn a_grant_is_about_a_request_whatever_its_ceilings() {
    let (labels, alice) = (BTreeMap::new(), Subject::person("alice"));
    let grant = grant("g", |s| s.ceilings = serde_json::from_value(json!({"maxDuration": "15m"})).unwrap());
    assert!(
        is_about(&grant, "scoring", &labels, &alice, Requested::Role(ROLE)),
        "exceeding a ceiling is a matter of the grant, too"
    );
    assert!(!is_about(&grant, "other", &labels, &alice, Requested::Role(ROLE)));
    assert!(!is_about(&grant, "scoring", &labels, &alice, Requested::Role("arn:aws:iam::123456789012:role/other")));
    assert!(!is_about(&grant, "scoring", &labels, &Subject::namespace("scoring"), Requested::Role(ROLE)));
}

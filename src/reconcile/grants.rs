//! Whether a grant allows a request: pure, deny by default.

use crate::api::{AwsRoleGrant, LabelSelector, Operator, RoleArn, SessionDuration};
use kube::ResourceExt as _;
use std::{collections::BTreeMap, sync::Arc};

/// What an `AwsConfig` asks a grant for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The namespace of the `AwsConfig`.
    pub namespace: &'a str,
    /// The labels of that namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// The person to be named.
    pub person: &'a str,
    /// The role.
    pub role: &'a RoleArn,
    /// How long the session should live.
    pub duration: &'a SessionDuration,
}

/// The first grant by name that allows all of it.
///
/// # Errors
/// With a sentence that says what is missing: the ceiling that the request exceeds if there is a grant that allows
/// the rest, else that there is no grant.
pub fn granted<'a>(grants: &'a [Arc<AwsRoleGrant>], ask: Ask<'_>) -> Result<&'a AwsRoleGrant, String> {
    let mut candidates: Vec<&AwsRoleGrant> =
        grants.iter().map(Arc::as_ref).filter(|grant| matches(grant, ask)).collect();
    candidates.sort_by_key(|grant| grant.name_any());
    let mut exceeded = None;
    for grant in candidates {
        match exceeds_a_ceiling(grant, ask) {
            None => return Ok(grant),
            Some(ceiling) => exceeded = exceeded.or(Some(ceiling)),
        }
    }
    Err(exceeded.unwrap_or_else(|| {
        format!(
            "no AwsRoleGrant allows namespace \"{}\" to use {} as person \"{}\"; a cluster admin can add one",
            ask.namespace, ask.role, ask.person
        )
    }))
}

fn matches(grant: &AwsRoleGrant, ask: Ask<'_>) -> bool {
    let spec = &grant.spec;
    let namespace_matches = spec.namespaces.as_ref().is_some_and(|namespaces| {
        namespaces.names.iter().any(|name| name == ask.namespace)
            || namespaces.selector.as_ref().is_some_and(|selector| selects(selector, ask.namespace_labels))
    });
    namespace_matches
        && spec.persons.iter().any(|pattern| glob(pattern, ask.person))
        && spec.roles.iter().any(|pattern| arn_glob(pattern, ask.role.as_str()))
}

/// An ARN matches part by part, so that `*` does not cross `:`; within a part the glob library keeps it from crossing `/`.
fn arn_glob(pattern: &str, arn: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) = (pattern.split(':').collect(), arn.split(':').collect());
    patterns.len() == parts.len() && patterns.into_iter().zip(parts).all(|(pattern, part)| glob(pattern, part))
}

/// `*` is the only wildcard. The schema refuses what else the library would understand; so do we, since a pattern
/// that means more than its writer knew would hand out roles.
fn glob(pattern: &str, text: &str) -> bool {
    !pattern.contains("**")
        && !pattern.contains(['?', '[', ']', '{', '}', '!', '\\'])
        && fast_glob::glob_match(pattern, text)
}

fn exceeds_a_ceiling(grant: &AwsRoleGrant, ask: Ask<'_>) -> Option<String> {
    let most = grant.spec.ceilings.as_ref()?.max_duration.as_ref()?;
    // A ceiling that cannot be read allows nothing.
    let within = matches!((ask.duration.length(), most.length()), (Ok(asked), Ok(most)) if asked <= most);
    (!within).then(|| {
        format!(
            "session.duration {} exceeds ceilings.maxDuration {most} of AwsRoleGrant \"{}\"; ask for less, or have a \
             cluster admin raise it",
            ask.duration,
            grant.name_any()
        )
    })
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let label_matches = |(key, value): (&String, &String)| labels.get(key) == Some(value);
    selector.match_labels.iter().all(label_matches)
        && selector.match_expressions.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            let listed = value.is_some_and(|value| requirement.values.contains(value));
            match requirement.operator {
                Operator::In => listed,
                Operator::NotIn => !listed,
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AwsRoleGrantSpec, Ceilings, LabelRequirement, Namespaces};

    fn grant(name: &str, change: impl FnOnce(&mut AwsRoleGrantSpec)) -> Arc<AwsRoleGrant> {
        let mut spec = AwsRoleGrantSpec {
            roles: vec!["arn:aws:iam::123456789012:role/ds-*".into()],
            namespaces: Some(Namespaces { names: vec!["scoring".into()], selector: None }),
            persons: vec!["*".into()],
            ceilings: None,
            external_id: None,
        };
        change(&mut spec);
        Arc::new(AwsRoleGrant::new(name, spec))
    }

    fn asked(grants: &[Arc<AwsRoleGrant>], role: &str, duration: &str) -> Result<String, String> {
        let labels = BTreeMap::from([("team".to_owned(), "ds".to_owned())]);
        let ask = Ask {
            namespace: "scoring",
            namespace_labels: &labels,
            person: "alice",
            role: &role.parse().unwrap(),
            duration: &duration.parse().unwrap(),
        };
        granted(grants, ask).map(kube::ResourceExt::name_any)
    }

    const ROLE: &str = "arn:aws:iam::123456789012:role/ds-analyst";

    #[test]
    fn nothing_is_allowed_that_no_grant_allows() {
        let message = asked(&[], ROLE, "1h").unwrap_err();
        assert!(
            message.contains("\"scoring\"") && message.contains(ROLE) && message.contains("\"alice\""),
            "{message}"
        );
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
    fn what_other_globs_understand_matches_nothing() {
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
                        values: values.iter().map(|v| (*v).to_owned()).collect(),
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
            assert_eq!(asked(&[g], ROLE, "1h").is_ok(), allowed);
        }
    }

    #[test]
    fn what_exceeds_a_ceiling_is_refused_by_its_name_unless_another_grant_allows_it() {
        let ceiling = |most: &str| Some(Ceilings { max_duration: Some(most.parse().unwrap()) });
        let short = grant("a-short", |s| s.ceilings = ceiling("1h"));
        let long = grant("b-long", |s| s.ceilings = ceiling("2h"));
        let message = asked(std::slice::from_ref(&short), ROLE, "90m").unwrap_err();
        assert!(message.contains("maxDuration 1h") && message.contains("\"a-short\""), "{message}");
        assert_eq!(asked(&[long.clone(), short.clone()], ROLE, "1h").unwrap(), "a-short", "the first by name");
        assert_eq!(asked(&[short, long], ROLE, "90m").unwrap(), "b-long");
    }
}

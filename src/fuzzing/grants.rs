//! Grants, and the requests that are held against them: cluster admins write the former, users the
//! latter.

use super::promise;
use crate::{
    api::{AwsConfig, AwsConfigSpec, AwsRoleGrant, AwsRoleGrantSpec, CredentialProvider, Effect, Subject},
    grants::{GrantRequest, Requested, granted},
};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// The most grants that are combined: each one is tried with and without every change.
const GRANTS: usize = 4;

#[derive(Deserialize)]
struct Input {
    grants: Vec<AwsRoleGrantSpec>,
    config: AwsConfigSpec,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    role: String,
}

/// A request that is held against grants.
struct Asked {
    config: AwsConfig,
    labels: BTreeMap<String, String>,
    subject: Subject,
    role: String,
}

impl Asked {
    fn of(input: &Input) -> Option<Self> {
        let mut config = AwsConfig::new("asking", input.config.clone());
        config.metadata.namespace = Some(input.namespace.clone());
        let subject = config.subject()?;
        Some(Self { config, labels: input.labels.clone(), subject, role: input.role.clone() })
    }

    fn what(&self) -> Requested<'_> {
        match self.config.spec.credential_provider {
            CredentialProvider::Temporary => Requested::Role(&self.role),
            CredentialProvider::Default => Requested::Key,
            CredentialProvider::Connection => Requested::Connection,
        }
    }

    /// The name of the grant that allows the request.
    fn by(&self, specs: &[AwsRoleGrantSpec]) -> Option<String> {
        let named = specs.iter().enumerate().map(|(at, spec)| AwsRoleGrant::new(&at.to_string(), spec.clone()));
        self.by_named(&named.map(Arc::new).collect::<Vec<_>>())
    }

    fn by_named(&self, grants: &[Arc<AwsRoleGrant>]) -> Option<String> {
        let request = GrantRequest {
            config: &self.config,
            namespace_labels: &self.labels,
            subject: &self.subject,
            what: self.what(),
        };
        granted(grants, request).ok().map(kube::ResourceExt::name_any)
    }

    fn is_allowed(&self, specs: &[AwsRoleGrantSpec]) -> bool {
        self.by(specs).is_some()
    }

    /// Whether the spec names the role, the person and the namespace, by a simple evaluator.
    fn is_named(&self, spec: &AwsRoleGrantSpec) -> bool {
        let namespace = self.config.metadata.namespace.as_deref().unwrap_or_default();
        let has_namespace = spec.namespaces.as_ref().is_some_and(|namespaces| {
            namespaces.names.iter().any(|name| name == namespace)
                || namespaces.selector.as_ref().is_some_and(|selector| selector.matches(&self.labels))
        });
        let subject = self.subject.as_str();
        let is_alike = |pattern: &str| pattern.starts_with("system:") == subject.starts_with("system:");
        let has_person = spec.persons.iter().any(|pattern| is_alike(pattern) && is_like(pattern, subject, "/"));
        let has_role =
            spec.roles.iter().any(|pattern| is_like(&pattern.replace("${person}", subject), &self.role, "/:"));
        has_namespace && has_person && (has_role || !matches!(self.what(), Requested::Role(_)))
    }
}

/// A denial only takes away, an exception only narrows its own grant, and the order of grants does
/// not matter. The grant that allows a request names its role, its person and its namespace.
///
/// # Errors
/// The promise that the grants break.
pub(super) fn a_denial_and_an_exception_only_narrow(data: &[u8]) -> Result<(), String> {
    let Ok(input) = serde_json::from_slice::<Input>(data) else { return Ok(()) };
    let Some(asked) = Asked::of(&input) else { return Ok(()) };
    let grants = &input.grants[..input.grants.len().min(GRANTS)];
    let by = asked.by(grants);
    let is_allowed = by.is_some();
    for (at, grant) in grants.iter().enumerate() {
        let mut without = grants.to_vec();
        without.remove(at);
        let wider = AwsRoleGrantSpec { except_persons: vec![], ..grant.clone() };
        let mut widened = grants.to_vec();
        widened[at] = wider;
        let is_denial = grant.effect == Effect::Deny;
        let (less, more) = (asked.is_allowed(&without), asked.is_allowed(&widened));
        if is_denial {
            promise(!is_allowed || less, || format!("the denial {at} allows what was refused"))?;
            promise(!more || is_allowed, || format!("the exception of the denial {at} refuses more"))?;
        } else {
            promise(is_allowed || !less, || format!("the grant {at} refuses what another allows"))?;
            promise(!is_allowed || more, || format!("the exception of the grant {at} allows more"))?;
        }
        let denial = AwsRoleGrantSpec { effect: Effect::Deny, ..grant.clone() };
        let denied = asked.is_allowed(&[grants, &[denial]].concat());
        promise(!denied || is_allowed, || format!("the grant {at} as a denial allows what was refused"))?;
    }
    let everybody = AwsRoleGrantSpec {
        effect: Effect::Deny,
        persons: vec!["*".to_owned(), "system:*".to_owned()],
        ..AwsRoleGrantSpec::default()
    };
    // The schema allows no slash in the name of a person, and no empty name.
    let is_one = !asked.subject.as_str().is_empty() && !asked.subject.as_str().contains('/');
    let denied = asked.is_allowed(&[grants, &[everybody]].concat());
    promise(!denied || !is_one, || "a denial for everybody leaves something".to_owned())?;
    let named = grants.iter().enumerate().map(|(at, spec)| Arc::new(AwsRoleGrant::new(&at.to_string(), spec.clone())));
    let reversed = asked.by_named(&named.rev().collect::<Vec<_>>());
    promise(reversed == by, || format!("{by:?} allows it, and {reversed:?} in another order"))?;
    let Some(first) = by.and_then(|name| name.parse::<usize>().ok()) else { return Ok(()) };
    let grant = &grants[first];
    promise(grant.effect == Effect::Allow, || format!("the denial {first} allows"))?;
    promise(asked.is_allowed(std::slice::from_ref(grant)), || format!("the grant {first} does not allow it alone"))?;
    promise(asked.is_named(grant), || format!("the grant {first} allows what it does not name"))
}

/// Whether a text is like a pattern in which `*` stands for any characters but `ends`. The schema
/// allows neither `/` nor `:` in the name of a person, so that a grant may say anything about them.
fn is_like(pattern: &str, text: &str, ends: &str) -> bool {
    let mut possible = vec![false; text.len() + 1];
    possible[0] = true;
    for wanted in pattern.bytes() {
        let mut next = vec![false; text.len() + 1];
        for (at, is_possible) in possible.iter().enumerate().filter(|(_, is_possible)| **is_possible) {
            if wanted != b'*' {
                if text.as_bytes().get(at) == Some(&wanted) {
                    next[at + 1] = *is_possible;
                }
                continue;
            }
            next[at] = true;
            for (end, byte) in text.bytes().enumerate().skip(at) {
                if ends.as_bytes().contains(&byte) {
                    break;
                }
                next[end + 1] = true;
            }
        }
        possible = next;
    }
    possible[text.len()]
}

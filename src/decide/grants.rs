//! Whether a grant allows a request: pure, deny by default. One grant has to allow all of it.

use crate::api::{AwsConfig, AwsRoleGrant, Ceilings, CredentialProvider, Namespaces, Scope, Session, Subject};
use kube::ResourceExt as _;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// What an `AwsConfig` asks a grant for.
#[derive(Clone, Copy, Debug)]
pub struct GrantRequest<'a> {
    /// The config, which names session and buckets.
    pub config: &'a AwsConfig,
    /// The labels of its namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// Whom the credential is for.
    pub subject: &'a Subject,
    /// The role, or what else.
    pub what: Requested<'a>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested<'a> {
    /// A session of the role with this ARN.
    Role(&'a str),
    /// A key from a Secret.
    Key,
    /// What a DSS connection gives.
    Connection,
}

impl Requested<'_> {
    fn provider(self) -> CredentialProvider {
        match self {
            Self::Role(_) => CredentialProvider::Temporary,
            Self::Key => CredentialProvider::Default,
            Self::Connection => CredentialProvider::Connection,
        }
    }
}

impl fmt::Display for Requested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Role(arn) => arn,
            Self::Key => "credentialProvider default (a key of its own)",
            Self::Connection => "credentialProvider connection",
        })
    }
}

/// The first grant by name that allows all of it.
///
/// # Errors
/// With a sentence that says what is missing: what a grant that allows the rest does not, else that there is none.
pub fn granted<'a>(grants: &'a [Arc<AwsRoleGrant>], ask: GrantRequest<'_>) -> Result<&'a AwsRoleGrant, String> {
    let namespace = ask.config.namespace().unwrap_or_default();
    let about = |grant: &&AwsRoleGrant| is_about(grant, &namespace, ask.namespace_labels, ask.subject, ask.what);
    let mut candidates: Vec<&AwsRoleGrant> = grants.iter().map(Arc::as_ref).filter(about).collect();
    candidates.sort_by_key(|grant| grant.name_any());
    let mut exceeded = None;
    for grant in candidates {
        match exceeds(grant, ask) {
            None => return Ok(grant),
            Some(what) => exceeded = exceeded.or(Some(what)),
        }
    }
    Err(exceeded.unwrap_or_else(|| {
        format!(
            "no AwsRoleGrant allows namespace \"{namespace}\" to use {} as {}; a cluster admin can add one",
            ask.what,
            described(ask.subject)
        )
    }))
}

/// How a subject is spoken of.
pub(super) fn described(subject: &Subject) -> String {
    match subject.as_person() {
        Some(person) => format!("person \"{person}\""),
        None => format!("\"{subject}\" (System mode; \"*\" does not cover it)"),
    }
}

/// Whether a grant is about this namespace and subject and about this, whatever else is asked.
#[must_use]
pub fn is_about(
    grant: &AwsRoleGrant,
    namespace: &str,
    namespace_labels: &BTreeMap<String, String>,
    subject: &Subject,
    what: Requested<'_>,
) -> bool {
    let spec = &grant.spec;
    is_about_namespace(grant, namespace, namespace_labels)
        && spec.persons.iter().any(|pattern| names(pattern, subject))
        && spec.providers.contains(&what.provider())
        && match what {
            Requested::Role(role) => spec.roles.iter().any(|pattern| arn_glob(pattern, role)),
            Requested::Key | Requested::Connection => true,
        }
}

/// Whether a grant is about this namespace, by name or by label.
#[must_use]
pub fn is_about_namespace(grant: &AwsRoleGrant, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
    grant.spec.namespaces.as_ref().is_some_and(|namespaces| selects(namespaces, namespace, labels))
}

/// Whether a namespace is among these, by name or by label.
pub(super) fn selects(namespaces: &Namespaces, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
    namespaces.names.iter().any(|name| name == namespace)
        || namespaces.selector.as_ref().is_some_and(|selector| selector.matches(labels))
}

/// A pattern of persons covers no namespace, however wide it is, and the other way round.
pub(super) fn names(pattern: &str, subject: &Subject) -> bool {
    Subject::names_a_namespace(pattern) == Subject::names_a_namespace(subject.as_str())
        && glob(pattern, subject.as_str())
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

/// In the value of a tag `/` is a character like any other.
fn tag_glob(pattern: &str, value: &str) -> bool {
    glob(&pattern.replace('/', "\u{1}"), &value.replace('/', "\u{1}"))
}

/// What of the request a grant does not allow, by its name.
fn exceeds(grant: &AwsRoleGrant, ask: GrantRequest<'_>) -> Option<String> {
    let none = Session::default();
    let session = ask.config.spec.session.as_ref().unwrap_or(&none);
    let ceilings = grant.spec.ceilings.clone().unwrap_or_default();
    let what = no_session(&ceilings, ask.what)
        .or_else(|| undue_tag(grant, session))
        .or_else(|| too_long(&ceilings, ask.config))
        .or_else(|| scope_missing(&ceilings, session))
        .or_else(|| undue_bucket(&ceilings, ask.config))
        .or_else(|| source_identity_missing(&ceilings, session))?;
    Some(format!("{what} (AwsRoleGrant \"{}\"); ask for less, or have a cluster admin allow it", grant.name_any()))
}

/// Whoever else makes a credential sets its end, scope and source identity: what a ceiling asks of a session it cannot
/// keep.
fn no_session(ceilings: &Ceilings, what: Requested<'_>) -> Option<String> {
    if matches!(what, Requested::Role(_)) {
        return None;
    }
    let asked = [
        (ceilings.max_duration.is_some(), "maxDuration"),
        (ceilings.require_scope_buckets, "requireScopeBuckets"),
        (ceilings.require_source_identity, "requireSourceIdentity"),
    ];
    let (_, ceiling) = asked.into_iter().find(|(is_asked, _)| *is_asked)?;
    let provider = what.provider().as_str();
    Some(format!(
        "ceilings.{ceiling} is for sessions that keyturn asks for, and credentialProvider {provider} gives none"
    ))
}

fn undue_tag(grant: &AwsRoleGrant, session: &Session) -> Option<String> {
    let allowed = |(key, value): &(&String, &crate::api::TagValue)| {
        grant.spec.tags.get(*key).is_some_and(|patterns| patterns.0.iter().any(|pattern| tag_glob(pattern, &value.0)))
    };
    let (key, value) = session.tags.iter().find(|tag| !allowed(tag))?;
    Some(format!("session tag {key}={} is not among the grant's tags", value.0))
}

fn too_long(ceilings: &Ceilings, config: &AwsConfig) -> Option<String> {
    let most = ceilings.max_duration.as_ref()?;
    let asked = config.spec.duration();
    // A ceiling that cannot be read allows nothing.
    let within = matches!((asked.length(), most.length()), (Ok(asked), Ok(most)) if asked <= most);
    (!within).then(|| format!("session.duration {asked} exceeds ceilings.maxDuration {most}"))
}

fn scope_missing(ceilings: &Ceilings, session: &Session) -> Option<String> {
    (ceilings.require_scope_buckets && session.scope != Scope::Buckets)
        .then(|| "ceilings.requireScopeBuckets asks for session.scope Buckets".to_owned())
}

fn undue_bucket(ceilings: &Ceilings, config: &AwsConfig) -> Option<String> {
    if ceilings.buckets.is_empty() {
        return None;
    }
    let undue = config.spec.buckets().find(|bucket| !ceilings.buckets.iter().any(|pattern| glob(pattern, bucket)))?;
    Some(format!("bucket \"{undue}\" is not among ceilings.buckets"))
}

fn source_identity_missing(ceilings: &Ceilings, session: &Session) -> Option<String> {
    (ceilings.require_source_identity && !session.source_identity)
        .then(|| "ceilings.requireSourceIdentity asks for session.sourceIdentity".to_owned())
}

#[cfg(test)]
mod tests;

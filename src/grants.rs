//! Whether the grants allow a request. Pure. The default is to deny, one grant has to allow the
//! whole request, and a grant with effect Deny wins over all that allow.

mod order;

pub use order::grant_status;

use crate::api::{
    AwsConfig, AwsRoleGrant, Ceilings, CredentialProvider, Effect, Namespaces, PERSON_VARIABLE, Reason, Scope, Session,
    Statement, Subject,
};
use kube::ResourceExt as _;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The request of an `AwsConfig`, which a grant has to allow.
#[derive(Clone, Copy, Debug)]
pub struct GrantRequest<'a> {
    /// The config, which has the session settings and the buckets.
    pub config: &'a AwsConfig,
    /// The labels of the config's namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// The person or the namespace that the credential is for.
    pub subject: &'a Subject,
    /// The credential that the config asks for.
    pub what: Requested<'a>,
}

/// The kind of credential that a config asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested<'a> {
    /// A session of the role with this ARN.
    Role(&'a str),
    /// A key from a Secret.
    Key,
    /// The credential of a connection.
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

/// The part of a request that a denial is looked for.
#[derive(Clone, Copy, Debug)]
pub enum Denial<'a> {
    /// Only a grant counts that denies the subject everything.
    OfEverything,
    /// A grant that denies this counts as well.
    Of(Requested<'a>),
}

/// The first grant by name that allows the whole request, if no grant denies it.
///
/// # Errors
/// A statement for the user. If a grant denies the request, the statement names that grant.
/// Otherwise it names the part of the request that the first grant about this subject does not
/// allow. If no grant is about this subject, it says that.
pub fn granted<'a>(grants: &'a [Arc<AwsRoleGrant>], ask: GrantRequest<'_>) -> Result<&'a AwsRoleGrant, Statement> {
    let namespace = ask.config.namespace().unwrap_or_default();
    if let Some(why) = denial(grants, &namespace, ask.namespace_labels, ask.subject, Denial::Of(ask.what)) {
        return Err(why);
    }
    let about = |grant: &&AwsRoleGrant| {
        grant.spec.effect == Effect::Allow && covers(grant, &namespace, ask.namespace_labels, ask.subject, ask.what)
    };
    let (excepting, mut candidates): (Vec<&AwsRoleGrant>, Vec<&AwsRoleGrant>) =
        grants.iter().map(Arc::as_ref).filter(about).partition(|grant| excepts(grant, ask.subject));
    candidates.sort_by_key(|grant| grant.name_any());
    let mut exceeded = None;
    for grant in candidates {
        match exceeds(grant, ask) {
            None => return Ok(grant),
            Some(what) => exceeded = exceeded.or(Some(what)),
        }
    }
    let excepted = excepting.iter().map(|grant| grant.name_any()).min();
    let excepted = excepted.map(|name| format!(" (exceptPersons of AwsRoleGrant \"{name}\" leaves the person out)"));
    let message = exceeded.unwrap_or_else(|| {
        format!(
            "no AwsRoleGrant allows namespace \"{namespace}\" to use {} as {}{}; a cluster admin can add one",
            ask.what,
            described(ask.subject),
            excepted.unwrap_or_default()
        )
    });
    Err(Statement::new(Reason::NotGranted, message))
}

/// The denial of the first grant by name that denies a subject of a namespace what it asks for;
/// `None` if no grant does.
#[must_use]
pub fn denial(
    grants: &[Arc<AwsRoleGrant>],
    namespace: &str,
    labels: &BTreeMap<String, String>,
    subject: &Subject,
    of: Denial<'_>,
) -> Option<Statement> {
    let denies = |grant: &&Arc<AwsRoleGrant>| {
        // No pattern of roles matches an empty ARN.
        let what = if let Denial::Of(what) = of { what } else { Requested::Role("") };
        grant.spec.effect == Effect::Deny && is_about(grant, namespace, labels, subject, what)
    };
    let grant = grants.iter().filter(denies).min_by_key(|grant| grant.name_any())?;
    let what = match of {
        Denial::Of(what) if !grant.spec.roles.is_empty() => format!("the use of {what}"),
        Denial::Of(_) | Denial::OfEverything => "every credential".to_owned(),
    };
    let whom = subject.as_person().map_or_else(|| format!("\"{subject}\""), |person| format!("person \"{person}\""));
    let message = format!(
        "AwsRoleGrant \"{}\" (effect Deny) denies {whom} {what} in namespace \"{namespace}\"; only a cluster admin can change \
         or delete it",
        grant.name_any()
    );
    Some(Statement::new(Reason::Denied, message))
}

/// The subject as messages name it.
#[must_use]
pub fn described(subject: &Subject) -> String {
    match subject.as_person() {
        Some(person) => format!("person \"{person}\""),
        None => format!("\"{subject}\" (System mode; \"*\" does not cover it)"),
    }
}

/// Whether a grant is about this namespace, subject and credential, whatever its tags and ceilings
/// allow. The effect of the grant does not matter.
#[must_use]
pub fn is_about(
    grant: &AwsRoleGrant,
    namespace: &str,
    namespace_labels: &BTreeMap<String, String>,
    subject: &Subject,
    what: Requested<'_>,
) -> bool {
    covers(grant, namespace, namespace_labels, subject, what) && !excepts(grant, subject)
}

/// The same, whatever `exceptPersons` says.
fn covers(
    grant: &AwsRoleGrant,
    namespace: &str,
    namespace_labels: &BTreeMap<String, String>,
    subject: &Subject,
    what: Requested<'_>,
) -> bool {
    let spec = &grant.spec;
    let lists_role = || match what {
        Requested::Role(role) => spec.roles.iter().any(|pattern| role_matches(pattern, role, subject)),
        Requested::Key | Requested::Connection => false,
    };
    is_about_namespace(grant, namespace, namespace_labels)
        && spec.persons.iter().any(|pattern| names(pattern, subject))
        && match spec.effect {
            Effect::Deny => spec.roles.is_empty() || lists_role(),
            Effect::Allow => {
                spec.allowed_providers().contains(&what.provider())
                    && (what.provider() != CredentialProvider::Temporary || lists_role())
            }
        }
}

/// Whether a grant may be about a role, for some person and some namespace. `${person}` in a
/// pattern stands for any person.
#[must_use]
pub fn may_name(grant: &AwsRoleGrant, arn: &str) -> bool {
    let spec = &grant.spec;
    let lists = || spec.roles.iter().any(|pattern| arn_glob(&pattern.replace(PERSON_VARIABLE, "*"), arn));
    match spec.effect {
        Effect::Deny => spec.roles.is_empty() || lists(),
        Effect::Allow => spec.allowed_providers().contains(&CredentialProvider::Temporary) && lists(),
    }
}

fn excepts(grant: &AwsRoleGrant, subject: &Subject) -> bool {
    grant.spec.except_persons.iter().any(|pattern| names(pattern, subject))
}

/// Whether a grant is about this namespace, by name or by label. A grant that denies and has no
/// `namespaces` is about every namespace.
#[must_use]
pub fn is_about_namespace(grant: &AwsRoleGrant, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
    grant.spec.is_about_every_namespace()
        || grant.spec.namespaces.as_ref().is_some_and(|namespaces| selects(namespaces, namespace, labels))
}

/// Whether these namespaces include `namespace`, by name or by label.
#[must_use]
pub fn selects(namespaces: &Namespaces, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
    namespaces.names.iter().any(|name| name == namespace)
        || namespaces.selector.as_ref().is_some_and(|selector| selector.matches(labels))
}

/// Whether a pattern covers a subject. However wide a pattern of persons is, it covers no
/// namespace; and a pattern of namespaces covers no person.
#[must_use]
pub fn names(pattern: &str, subject: &Subject) -> bool {
    Subject::names_a_namespace(pattern) == Subject::names_a_namespace(subject.as_str())
        && glob(pattern, subject.as_str())
}

/// Matches the ARN of a role. `${person}` stands for the subject's person, literally. A pattern
/// with it matches nothing for a namespace, which is no person. No ARN of a role holds a wildcard
/// (IAM user guide, "IAM and AWS STS quotas", names), therefore a person whose name holds one is
/// in no ARN.
fn role_matches(pattern: &str, arn: &str, subject: &Subject) -> bool {
    if !pattern.contains(PERSON_VARIABLE) {
        return arn_glob(pattern, arn);
    }
    subject
        .as_person()
        .filter(|person| !person.contains(WILDCARDS))
        .is_some_and(|person| arn_glob(&pattern.replace(PERSON_VARIABLE, person), arn))
}

/// Matches an ARN part by part, because `*` must not cross `:`. Within a part, the glob library
/// keeps `*` from crossing `/`.
fn arn_glob(pattern: &str, arn: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) = (pattern.split(':').collect(), arn.split(':').collect());
    patterns.len() == parts.len() && patterns.into_iter().zip(parts).all(|(pattern, part)| glob(pattern, part))
}

/// The characters with a meaning in the glob library.
const WILDCARDS: [char; 8] = ['*', '?', '[', ']', '{', '}', '!', '\\'];

/// Matches a pattern in which `*` is the only wildcard. The schema refuses the other wildcards of
/// the library. This function does not match them either, because a pattern that means more than
/// its author knew would give roles away.
fn glob(pattern: &str, text: &str) -> bool {
    !pattern.contains("**") && !pattern.contains(&WILDCARDS[1..]) && fast_glob::glob_match(pattern, text)
}

/// Matches the value of a tag, in which `/` is a character like any other.
fn tag_glob(pattern: &str, value: &str) -> bool {
    glob(&pattern.replace('/', "\u{1}"), &value.replace('/', "\u{1}"))
}

/// The part of the request that a grant does not allow, by its name; `None` if the grant allows it
/// all.
fn exceeds(grant: &AwsRoleGrant, ask: GrantRequest<'_>) -> Option<String> {
    let none = Session::default();
    let session = ask.config.spec.session.as_ref().unwrap_or(&none);
    let ceilings = grant.spec.ceilings.clone().unwrap_or_default();
    let what = ceiling_on_sessions(&ceilings, ask.what)
        .or_else(|| tag_not_allowed(grant, session))
        .or_else(|| too_long(&ceilings, ask.config))
        .or_else(|| scope_missing(&ceilings, session))
        .or_else(|| bucket_not_allowed(&ceilings, ask.config))
        .or_else(|| source_identity_missing(&ceilings, session))?;
    Some(format!("{what} (AwsRoleGrant \"{}\"); ask for less, or have a cluster admin allow it", grant.name_any()))
}

/// The first ceiling that limits sessions, if the credential is no session that keyturn asks for.
/// keyturn cannot keep such a ceiling, because another system sets the expiry, the scope and the
/// source identity of the credential.
fn ceiling_on_sessions(ceilings: &Ceilings, what: Requested<'_>) -> Option<String> {
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

fn tag_not_allowed(grant: &AwsRoleGrant, session: &Session) -> Option<String> {
    let allowed = |(key, value): &(&String, &crate::api::TagValue)| {
        grant.spec.tags.get(*key).is_some_and(|patterns| patterns.0.iter().any(|pattern| tag_glob(pattern, &value.0)))
    };
    let (key, value) = session.tags.iter().find(|tag| !allowed(tag))?;
    Some(format!("session tag {key}={} is not among the grant's tags", value.0))
}

fn too_long(ceilings: &Ceilings, config: &AwsConfig) -> Option<String> {
    let most = ceilings.max_duration.as_ref()?;
    let asked = config.spec.duration();
    // A ceiling that does not parse allows nothing.
    let within = matches!((asked.length(), most.length()), (Ok(asked), Ok(most)) if asked <= most);
    (!within).then(|| format!("session.duration {asked} exceeds ceilings.maxDuration {most}"))
}

fn scope_missing(ceilings: &Ceilings, session: &Session) -> Option<String> {
    (ceilings.require_scope_buckets && session.scope != Scope::Buckets)
        .then(|| "ceilings.requireScopeBuckets asks for session.scope Buckets".to_owned())
}

fn bucket_not_allowed(ceilings: &Ceilings, config: &AwsConfig) -> Option<String> {
    if ceilings.buckets.is_empty() {
        return None;
    }
    let other = config.spec.buckets().find(|bucket| !ceilings.buckets.iter().any(|pattern| glob(pattern, bucket)))?;
    Some(format!("bucket \"{other}\" is not among ceilings.buckets"))
}

fn source_identity_missing(ceilings: &Ceilings, session: &Session) -> Option<String> {
    (ceilings.require_source_identity && !session.source_identity)
        .then(|| "ceilings.requireSourceIdentity asks for session.sourceIdentity".to_owned())
}

#[cfg(test)]
mod tests;

//! Whom a credential is for.

use std::fmt;

/// What a namespace's shared credentials are called where a person's name would stand. No person's name holds a colon.
const SYSTEM: &str = "system:";

/// The pattern that the schema holds every person's name to: what `RoleSessionName` and `SourceIdentity` allow in common,
/// without a comma (STS API reference, `AssumeRole`), so that no person is taken for a namespace.
pub(super) const PERSON_PATTERN: &str = "^[A-Za-z0-9_+=.@-]{2,64}$";

/// Whom a credential is for: a person, or a namespace, which is written `system:<namespace>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(String);

impl Subject {
    /// A person, by the name that they have in AWS.
    #[must_use]
    pub fn person(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Everybody in a namespace.
    #[must_use]
    pub fn namespace(namespace: &str) -> Self {
        Self(format!("{SYSTEM}{namespace}"))
    }

    /// As it stands in annotations, status, Events and grants.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The person, if it is one.
    #[must_use]
    pub fn as_person(&self) -> Option<&str> {
        (!Self::names_a_namespace(&self.0)).then_some(&self.0)
    }

    /// Whether a text (a subject, or a pattern of subjects) is about namespaces rather than persons.
    #[must_use]
    pub fn names_a_namespace(text: &str) -> bool {
        text.starts_with(SYSTEM)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

//! The subject of a credential: the person or the namespace that it is for.

use std::fmt;

/// The prefix of a namespace's shared credentials, in places that otherwise hold the name of a
/// person. No person's name holds a colon.
const SYSTEM: &str = "system:";

/// The pattern of a person's name in the schema: the characters that both `RoleSessionName` and
/// `SourceIdentity` allow (STS API reference, `AssumeRole`), without the comma. A namespace's
/// session name holds a comma, and no person's name can be mistaken for it.
pub(super) const PERSON_PATTERN: &str = "^[A-Za-z0-9_+=.@-]{2,64}$";

/// Whether a text can be the name of a person: it fits the pattern, and is not `system`, which the
/// schema refuses as well.
#[must_use]
pub fn is_person(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_+=.@-".contains(c);
    (2..=64).contains(&text.len()) && text.chars().all(is_allowed) && text != "system"
}

/// The subject of a credential: a person, or a namespace, which is written `system:<namespace>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(String);

impl Subject {
    /// A person, by the name that they have in AWS.
    #[must_use]
    pub fn person(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// A namespace, for everybody in it.
    #[must_use]
    pub fn namespace(namespace: &str) -> Self {
        Self(format!("{SYSTEM}{namespace}"))
    }

    /// The spelling in annotations, status, Events and grants.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The person, if the subject is one.
    #[must_use]
    pub fn as_person(&self) -> Option<&str> {
        (!Self::names_a_namespace(&self.0)).then_some(&self.0)
    }

    /// Whether a text (a subject, or a pattern of subjects) is about namespaces and not about
    /// persons.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_the_characters_that_aws_allows_in_a_session_name() {
        let rows = [("alice@example.com", true), ("a", false), ("a b", false), ("system", false), ("AB_+=.@-9", true)];
        for (text, expected) in rows {
            assert_eq!(is_person(text), expected, "{text}");
        }
    }
}

//! The named checks of a decision, and the trace of the checks that it made.

/// A check of the chain, in the order in which a decision makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    // May the config have what it asks for?
    /// `spec.suspend` is not set.
    NotSuspended,
    /// The labels of the namespace are known.
    NamespaceIsKnown,
    /// No grant denies everything to the person or the namespace that the credential is for.
    SubjectIsNotDenied,
    /// Somebody entitled has confirmed the config within the limit of its age.
    ConfirmedInTime,
    /// The `DssInstance` allows the config a login, and DSS has an enabled user with that login.
    DssAllowsLogin,
    /// The config names a role, and the role belongs to this config and person.
    RoleIsNamed,
    /// No `AwsRole` of another owner has the name of the generated one.
    GeneratedRoleIsOurs,
    /// The config names a Secret with a key.
    KeyIsNamed,
    /// The config names a connection of DSS.
    ConnectionIsNamed,
    /// One grant allows the whole request, and no grant denies it.
    GrantAllows,
    /// STS will accept the duration, the tags and the session policy, as far as keyturn can know.
    SessionIsValid,
    /// keyturn's own identity in AWS can reach the role.
    IdentityReachesRole,
    /// The owner of the Secret with the key offers it.
    KeyIsOffered,
    /// keyturn has read the key, or the key has not changed since keyturn delivered it.
    KeyIsKnown,
    /// The owner of the Secret with the API key of DSS offers it.
    ApiKeyIsOffered,
    /// keyturn has read the API key of DSS, or the key has not changed since keyturn delivered it.
    ApiKeyIsKnown,
    /// The namespace has fewer older configs than the limit, or the config has a credential.
    NamespaceHasRoom,
    // Does the Secret hold exactly that?
    /// DSS did not say that the last API key belongs to another user.
    ApiKeyIsTheirs,
    /// The target exists and belongs to this config.
    TargetIsOurs,
    /// The target has keyturn's annotations.
    TargetHasRecord,
    /// keyturn knows the data of the target, because nobody has written the Secret since keyturn
    /// did.
    DataIsKnown,
    /// The credential in the target is this person's.
    CredentialIsThisPersons,
    /// Nobody has edited the data and annotations that keyturn wrote.
    DataIsIntact,
    /// The credential was not withdrawn.
    NotWithdrawn,
    /// The credential answers the present request.
    AnswersRequest,
    /// The credential is not due for renewal.
    NotDue,
    /// Formats, labels and annotations are as the config asks.
    RenderedAsAsked,
    /// The Secret holds the sessions of the profiles that are asked for, and no others.
    HoldsProfiles,
    /// The Secret holds the API key of DSS that is asked for.
    HoldsApiKey,
}

impl Check {
    /// The condition that passes, in words for a person at a prompt.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NotSuspended => "spec.suspend is not set",
            Self::NamespaceIsKnown => "the labels of the namespace are known",
            Self::SubjectIsNotDenied => "no grant denies everything",
            Self::ConfirmedInTime => "the config was confirmed within its maximum age",
            Self::DssAllowsLogin => "the DssInstance allows the login, and DSS has that user",
            Self::RoleIsNamed => "a role is named, and it is this config's",
            Self::GeneratedRoleIsOurs => "no other AwsRole has the name of the generated one",
            Self::KeyIsNamed => "a Secret with a key is named",
            Self::ConnectionIsNamed => "a connection of DSS is named",
            Self::GrantAllows => "a grant allows the whole request",
            Self::SessionIsValid => "STS will accept the settings of the session",
            Self::IdentityReachesRole => "the operator's identity can reach the role",
            Self::KeyIsOffered => "the owner of the Secret with the key offers it",
            Self::KeyIsKnown => "the key is known",
            Self::ApiKeyIsOffered => "the owner of the Secret with the API key offers it",
            Self::ApiKeyIsKnown => "the API key is known",
            Self::NamespaceHasRoom => "the namespace has room for the config",
            Self::ApiKeyIsTheirs => "DSS did not say that the API key is another user's",
            Self::TargetIsOurs => "the Secret exists and is this config's",
            Self::TargetHasRecord => "the Secret has keyturn's annotations",
            Self::DataIsKnown => "the data of the Secret is known",
            Self::CredentialIsThisPersons => "the credential in the Secret is this person's",
            Self::DataIsIntact => "nobody edited the Secret",
            Self::NotWithdrawn => "the credential was not withdrawn",
            Self::AnswersRequest => "the credential answers the present request",
            Self::NotDue => "no renewal is due",
            Self::RenderedAsAsked => "formats, labels and annotations are as asked",
            Self::HoldsProfiles => "the Secret holds the profiles",
            Self::HoldsApiKey => "the Secret holds the API key",
        }
    }
}

/// A check that the decision made, and its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The check.
    pub check: Check,
    /// Whether the check passed.
    pub passed: bool,
}

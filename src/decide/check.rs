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
    /// The Secret holds the API key of DSS that is asked for.
    HoldsApiKey,
}

/// A check that the decision made, and its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The check.
    pub check: Check,
    /// Whether the check passed.
    pub passed: bool,
}

//! The checks of a decision by name, and the trace of those that were made.

/// A check of the chain, in the order in which a decision makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    // May the config have what it asks for?
    /// `spec.suspend` is not set.
    NotSuspended,
    /// The labels of the namespace are known.
    NamespaceIsKnown,
    /// The `DssInstance` allows the config a login, and DSS has an enabled user of it.
    DssAllowsLogin,
    /// A role is named, and it is of this config and person.
    RoleIsNamed,
    /// The name of the generated `AwsRole` is not taken.
    GeneratedRoleIsOurs,
    /// A Secret with a key is named.
    KeyIsNamed,
    /// A connection of DSS is named.
    ConnectionIsNamed,
    /// One grant allows all of it.
    GrantAllows,
    /// STS will accept duration, tags and session policy as far as that can be known.
    SessionIsValid,
    /// keyturn's own identity in AWS reaches the role.
    IdentityReachesRole,
    /// The owner of the Secret with the key offers it.
    KeyIsOffered,
    /// The key was read, or has not changed since it was delivered.
    KeyIsKnown,
    /// The owner of the Secret with the API key of DSS offers it.
    ApiKeyIsOffered,
    /// The API key of DSS was read, or has not changed since it was delivered.
    ApiKeyIsKnown,
    // Does the Secret hold exactly that?
    /// DSS did not say of the last API key that it is another user's.
    ApiKeyIsTheirs,
    /// The target exists and belongs to this config.
    TargetIsOurs,
    /// The target has keyturn's annotations.
    TargetHasRecord,
    /// The data of the target is known: nobody wrote the Secret since keyturn did.
    DataIsKnown,
    /// The credential is this person's.
    CredentialIsThisPersons,
    /// Nobody edited what keyturn wrote.
    DataIsIntact,
    /// The credential was not withdrawn.
    NotWithdrawn,
    /// The credential answers the request as it is now.
    AnswersRequest,
    /// The credential is not due for renewal.
    NotDue,
    /// Formats, labels and annotations are as asked for.
    RenderedAsAsked,
    /// The Secret holds the API key of DSS that is asked for.
    HoldsApiKey,
}

/// A check that was made, and whether it passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The check.
    pub check: Check,
    /// Whether it passed.
    pub passed: bool,
}

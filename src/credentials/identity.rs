//! The operator's own identity in AWS.

/// The identity that the base credentials belong to, as `GetCallerIdentity` reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    arn: String,
}

impl Identity {
    /// Makes an identity from the ARN that STS returned.
    #[must_use]
    pub fn new(arn: &str) -> Self {
        Self { arn: arn.to_owned() }
    }

    /// The identity's ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The identity's partition. STS gives it no session of a role in another partition.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or_default()
    }

    /// Whether the identity is itself the session of a role, as with IRSA, EKS Pod Identity and
    /// instance profiles. To assume a role from a session is role chaining, which STS limits to one
    /// hour (IAM user guide, "Role chaining").
    #[must_use]
    pub fn is_session(&self) -> bool {
        self.arn.contains(":assumed-role/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_session_are_told_apart_and_so_are_partitions() {
        let user = Identity::new("arn:aws:iam::123456789012:user/keyturn");
        let session = Identity::new("arn:aws-cn:sts::123456789012:assumed-role/keyturn/1699");
        assert_eq!((user.partition(), user.is_session()), ("aws", false));
        assert_eq!((session.partition(), session.is_session()), ("aws-cn", true));
    }
}

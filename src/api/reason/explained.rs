//! What each reason means to the person who reads it: the one table of names, causes and remedies.

use super::Reason;
use crate::api::ConditionType::{
    self, Accepted, Authorized, Issued, PodsMissed, Reachable, RenewalFailing, RestartFailing, Usable,
};

/// A reason, in the reader's words. The texts are Markdown.
pub(super) struct Explained {
    pub(super) name: &'static str,
    pub(super) conditions: &'static [ConditionType],
    pub(super) cause: &'static str,
    pub(super) remedy: &'static str,
}

impl Reason {
    #[allow(clippy::too_many_lines, reason = "a table")]
    pub(super) fn explained(self) -> Explained {
        match self {
            Self::Issued => Explained {
                name: "Issued",
                conditions: &[Issued],
                cause: "A valid credential for what is asked is in the Secret.",
                remedy: "Nothing.",
            },
            Self::Renewed => Explained {
                name: "Renewed",
                conditions: &[],
                cause: "A new credential replaced one before it expired. As an Event: renewal works again after a \
                     failure.",
                remedy: "Nothing.",
            },
            Self::Granted => Explained {
                name: "Granted",
                conditions: &[Accepted, Usable, Reachable, Authorized],
                cause: "A grant allows all of the request; the message names it. On a DssInstance: it is so.",
                remedy: "Nothing.",
            },
            Self::Pending => Explained {
                name: "Pending",
                conditions: &[Accepted, Issued, Usable, Reachable],
                cause: "Something is not there yet: the namespace has not been seen, a Secret is being read, a \
                     credential is being issued. On an AwsRole: the AwsConfig that it names does not exist.",
                remedy: "Wait some seconds; if it stays, look at what the message names. For an AwsRole, create the \
                     AwsConfig of `spec.awsConfigRef.name`.",
            },
            Self::RolePending => Explained {
                name: "RolePending",
                conditions: &[Accepted],
                cause: "Neither `spec.role` nor `spec.activeRoleRef` is set, or the AwsRole that `spec.activeRoleRef` \
                     names does not exist yet.",
                remedy: "Set `spec.role` to the ARN of an IAM role, or create the AwsRole.",
            },
            Self::ActiveRoleMissing => Explained {
                name: "ActiveRoleMissing",
                conditions: &[Accepted],
                cause: "The AwsRole that `spec.activeRoleRef` names was in use and has been deleted.",
                remedy: "Create it again, or name another in `spec.activeRoleRef`.",
            },
            Self::RoleNotOfThisConfig => Explained {
                name: "RoleNotOfThisConfig",
                conditions: &[Accepted, Usable],
                cause: "The AwsRole that `spec.activeRoleRef` names is another AwsConfig's or another person's; or one \
                     that is not this AwsConfig's has the name of the AwsRole to be created for `spec.role`.",
                remedy: "Name an AwsRole with this AwsConfig and the same person. Where a name is taken, delete the \
                     AwsRole that the message names.",
            },
            Self::KeySecretMissing => Explained {
                name: "KeySecretMissing",
                conditions: &[Accepted],
                cause: "The Secret that `spec.keySecretRef` names does not exist.",
                remedy: "Create it in the namespace of the AwsConfig, with the label `keyturn.dev/source=true`, or \
                     correct `spec.keySecretRef.name`.",
            },
            Self::KeySecretInvalid => Explained {
                name: "KeySecretInvalid",
                conditions: &[Accepted],
                cause: "The Secret that `spec.keySecretRef` names holds no key: a key of its data is missing, or a \
                     value is no long-lived AWS key.",
                remedy: "Correct the value that the message names, or `accessKeyIdKey` and `secretAccessKeyKey` of \
                     `spec.keySecretRef`.",
            },
            Self::SecretNotOffered => Explained {
                name: "SecretNotOffered",
                conditions: &[Accepted],
                cause: "The Secret that `spec.keySecretRef` names lacks the label `keyturn.dev/source: \"true\"`, by \
                     which its owner offers it.",
                remedy: "If its owner agrees: `kubectl label secret NAME keyturn.dev/source=true`.",
            },
            Self::NotGranted => Explained {
                name: "NotGranted",
                conditions: &[Accepted, Usable],
                cause: "No AwsRoleGrant allows all of the request: provider, role, namespace, person, tags, ceilings. \
                     The message names what is not allowed.",
                remedy: "Compare the message with `kubectl get awsrolegrants -o yaml`: one grant has to allow all of it. \
                     Ask for less, or have a cluster admin widen or add a grant.",
            },
            Self::InvalidSpec => Explained {
                name: "InvalidSpec",
                conditions: &[Accepted, Issued, RenewalFailing, RestartFailing, Usable, Authorized],
                cause: "The spec holds something that the schema could not refuse: a `session.policy` that is no IAM \
                     policy, a selector of `restart` that is none, or a role of another AWS partition than keyturn's identity.",
                remedy: "Correct the field that the message names.",
            },
            Self::ForeignTarget => Explained {
                name: "ForeignTarget",
                conditions: &[Issued],
                cause: "A Secret of the target's name exists and belongs to somebody else. It is never written.",
                remedy: "Delete that Secret, or delete the AwsConfig and create it anew with another `spec.target.name`.",
            },
            Self::Drifted => Explained {
                name: "Drifted",
                conditions: &[Issued],
                cause: "Somebody changed or deleted the Secret. It is put right: at once the first five times, then \
                     ever more slowly.",
                remedy: "Find the other writer by `kubectl get secret NAME -o yaml --show-managed-fields`, and stop it. \
                     After a change of your own: nothing.",
            },
            Self::Suspended => Explained {
                name: "Suspended",
                conditions: &[Accepted],
                cause: "`spec.suspend` is true, so the credential is withdrawn.",
                remedy: "Set `spec.suspend` to false.",
            },
            Self::Expired => Explained {
                name: "Expired",
                conditions: &[Issued],
                cause: "Renewal failed until the credential expired; then it was withdrawn.",
                remedy: "Do what the rest of the message says: it is why the renewal failed. It is still tried.",
            },
            Self::AssumeRoleDenied => Explained {
                name: "AssumeRoleDenied",
                conditions: &[Issued, RenewalFailing],
                cause: "IAM refused: the role does not exist, its trust policy does not allow what was asked, or \
                     keyturn's own identity may not assume it.",
                remedy: "Let the trust policy allow keyturn's identity with the external ID of `status.externalId` (with \
                     `session.tags` also `sts:TagSession`, with `session.sourceIdentity` also \
                     `sts:SetSourceIdentity`), and keyturn's own policy the role. It is tried again within 10 \
                     minutes.",
            },
            Self::DurationTooLong => Explained {
                name: "DurationTooLong",
                conditions: &[Accepted, Issued, RenewalFailing, Usable],
                cause: "`session.duration` is longer than the role's MaxSessionDuration, or longer than the 1h that AWS \
                     allows where keyturn's own identity is a role's session or the grant has `via`.",
                remedy: "Ask for less in `spec.session.duration`, or raise the role's MaxSessionDuration. Nothing raises \
                     the 1h.",
            },
            Self::PolicyTooLarge => Explained {
                name: "PolicyTooLarge",
                conditions: &[Accepted, Issued, RenewalFailing, Usable],
                cause: "The session policy is longer than 2,048 characters, or policies and tags together are larger \
                     than STS takes.",
                remedy: "Shorten `spec.session.policy`, or name fewer `extraBuckets` (with scope Buckets), `tags` or \
                     `policyArns`.",
            },
            Self::BaseCredentialsMissing => Explained {
                name: "BaseCredentialsMissing",
                conditions: &[Issued, RenewalFailing],
                cause: "keyturn has no AWS credentials of its own, or STS does not accept them.",
                remedy: "A cluster admin: check the role of keyturn's ServiceAccount and the `AWS_*` variables of its \
                     pod. A pod that is older than its Pod Identity association has to be restarted.",
            },
            Self::RegionDisabled => Explained {
                name: "RegionDisabled",
                conditions: &[Issued, RenewalFailing],
                cause: "STS is not activated in keyturn's region for this AWS account.",
                remedy: "An AWS admin: activate the region in IAM's account settings. A cluster admin: give keyturn \
                     another region (`aws.region` of the chart).",
            },
            Self::ClockSkewed => Explained {
                name: "ClockSkewed",
                conditions: &[Issued, RenewalFailing],
                cause: "STS refuses the time of the request: the clock of keyturn's node is wrong.",
                remedy: "A cluster admin: set the clock of that node.",
            },
            Self::Throttled => Explained {
                name: "Throttled",
                conditions: &[Issued, RenewalFailing],
                cause: "STS answers that there are too many requests for this account and region.",
                remedy: "Wait: it is tried again within a minute. If it stays, look for others that call STS there.",
            },
            Self::Unreachable => Explained {
                name: "Unreachable",
                conditions: &[Issued, RenewalFailing],
                cause: "STS cannot be reached, does not answer in time, or answers with an error of its own. The \
                     message quotes it.",
                remedy: "Wait: it is tried again within a minute. If it stays, a cluster admin checks network policies, \
                     proxy, DNS and `aws.stsEndpoint` of the chart.",
            },
            Self::DssInstanceMissing => Explained {
                name: "DssInstanceMissing",
                conditions: &[Accepted],
                cause: "There is no DssInstance of the name in `spec.dss.instance`, or it is being deleted.",
                remedy: "A cluster admin: compare with `kubectl get dssinstances`, and create it.",
            },
            Self::DssUnreachable => Explained {
                name: "DssUnreachable",
                conditions: &[Accepted, Issued, RenewalFailing, Reachable, Authorized],
                cause: "DSS cannot be reached, does not answer in time, or something else answers at its URL, such as a \
                        proxy or a login page. The message names the route. Nothing is taken away for it.",
                remedy: "Wait: it is tried again. If it stays, a cluster admin checks `url` and `caBundle` of the \
                         DssInstance, network policies and proxies.",
            },
            Self::DssDenied => Explained {
                name: "DssDenied",
                conditions: &[Accepted, Issued, RenewalFailing, Authorized],
                cause: "DSS does not accept keyturn's admin key, or refuses it what the message names.",
                remedy: "A cluster admin: put an API key of DSS with admin rights into the Secret that \
                         `apiKeySecretRef` of the DssInstance names.",
            },
            Self::DssUserMissing => Explained {
                name: "DssUserMissing",
                conditions: &[Accepted],
                cause: "DSS has no user of the login that the person has there, or the user is disabled.",
                remedy: "A DSS admin: create or enable the user. A cluster admin: check `login` of the DssInstance, which \
                         maps persons to logins.",
            },
            Self::DssPropertyMissing => Explained {
                name: "DssPropertyMissing",
                conditions: &[Accepted],
                cause: "The user has not the admin property that `spec.role` names, or what it holds is neither the ARN \
                        nor the name of an IAM role.",
                remedy: "A DSS admin: set the property in the user's settings, under Admin Properties. For a bare name, a \
                         cluster admin sets `awsAccountId` of the DssInstance.",
            },
            Self::DssConnectionDenied => Explained {
                name: "DssConnectionDenied",
                conditions: &[Issued, RenewalFailing],
                cause: "DSS gives this person no AWS credential for the connection: there is none of that name, its details \
                        are not readable by them, it is no S3 connection, or it has no credential.",
                remedy: "A DSS admin: check the connection's type, credentials mode and \"Details readable by\". The message \
                         quotes DSS.",
            },
            Self::DssUserMismatch => Explained {
                name: "DssUserMismatch",
                conditions: &[Issued],
                cause: "Asked whose the API key is, DSS names somebody else. The key is not delivered, and the credential is \
                        withdrawn until there is a right one.",
                remedy: "For `spec.dss.apiKeySecretRef`: put a key of the login that the message names there. For a personal \
                         one, which is tried for again within 10 min, report it to the admins of DSS.",
            },
            Self::NotInjected => Explained {
                name: "NotInjected",
                conditions: &[PodsMissed],
                cause: "Pods ask for the Secret and have not got it: the webhook was not reached when they were created, they \
                        are older than this AwsConfig or its selector, or they mount something else there.",
                remedy: "Delete the pods, or roll their workload: `kubectl rollout restart deployment/NAME`. If new ones are \
                         missed, too, a cluster admin looks at keyturn's log and at `webhook` of the chart.",
            },
            Self::Restarted => Explained {
                name: "Restarted",
                conditions: &[],
                cause: "A workload of `spec.restart` is being restarted: its environment held an earlier credential.",
                remedy: "Nothing.",
            },
            Self::WorkloadMissing => Explained {
                name: "WorkloadMissing",
                conditions: &[RestartFailing],
                cause: "There is no workload of the kind and name, or with the labels, that `spec.restart` names.",
                remedy: "Create it, or correct `spec.restart`. It is looked for again within 10 minutes.",
            },
            Self::RestartDenied => Explained {
                name: "RestartDenied",
                conditions: &[RestartFailing],
                cause: "The API server does not let keyturn read or patch the workload; the message quotes it.",
                remedy: "A cluster admin: add the namespace to `restart.namespaces` of the chart, which gives the right \
                     there. Or take the workload out of `spec.restart`.",
            },
            Self::RestartBlocked => Explained {
                name: "RestartBlocked",
                conditions: &[RestartFailing],
                cause: "The workload is paused, has the update strategy `OnDelete`, or its rollout does not finish; the \
                     message says which. keyturn does not interfere.",
                remedy: "Resume it, mend its rollout, or delete its pods yourself.",
            },
            Self::Internal => Explained {
                name: "Internal",
                conditions: &[Accepted, Issued, RenewalFailing, Usable],
                cause: "STS refused with an error that has no name here, or `via` of the grant cannot be read. The \
                     message quotes it.",
                remedy: "Look up what the message quotes. If nothing of yours is wrong, report it.",
            },
        }
    }
}

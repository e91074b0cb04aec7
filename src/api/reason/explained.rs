//! The table of all reasons: names, conditions, causes and remedies.

use super::Reason;
use crate::api::ConditionType::{
    self, Accepted, Authorized, AwsRoleFailing, ConfirmationDue, DssKeysFailing, Issued, PodsMissed, Pushed, Reachable,
    Ready, RenewalFailing, RestartFailing, Usable, Verified,
};

/// A reason, explained to the user. The texts are Markdown.
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
                cause: "A valid credential for the request is in the Secret.",
                remedy: "None needed.",
            },
            Self::Renewed => Explained {
                name: "Renewed",
                conditions: &[],
                cause: "A new credential replaced the previous one before it expired. As an Event: \
                     renewal works again after a failure.",
                remedy: "None needed.",
            },
            Self::Granted => Explained {
                name: "Granted",
                conditions: &[Accepted, Usable, Reachable, Authorized, Ready],
                cause: "A grant allows all of the request; the message names it. On a DssInstance or a \
                     DataRobotInstance: it answers, or the key has its rights. On an AwsRoleGrant: it is \
                     in order.",
                remedy: "None needed.",
            },
            Self::Pending => Explained {
                name: "Pending",
                conditions: &[Accepted, Issued, Usable, Reachable],
                cause: "keyturn waits: it has not seen the namespace yet, reads a Secret, or \
                     issues a credential. On an AwsRole: the AwsConfig that it names does not \
                     exist.",
                remedy: "Wait some seconds. If the reason stays, check the object that the message \
                     names. For an AwsRole, create the AwsConfig of `spec.awsConfigRef.name`.",
            },
            Self::RolePending => Explained {
                name: "RolePending",
                conditions: &[Accepted],
                cause: "Neither `spec.role` nor `spec.activeRoleRef` is set, or the AwsRole that \
                     `spec.activeRoleRef` names does not exist yet.",
                remedy: "Set `spec.role` to the ARN of an IAM role, or create the AwsRole.",
            },
            Self::ActiveRoleMissing => Explained {
                name: "ActiveRoleMissing",
                conditions: &[Accepted],
                cause: "The AwsRole that `spec.activeRoleRef` names was in use and has been \
                     deleted.",
                remedy: "Create it again, or name another AwsRole in `spec.activeRoleRef`.",
            },
            Self::RoleNotOfThisConfig => Explained {
                name: "RoleNotOfThisConfig",
                conditions: &[Accepted, Usable],
                cause: "The AwsRole that `spec.activeRoleRef` names belongs to another AwsConfig \
                     or another person. Or an AwsRole that does not belong to this AwsConfig has \
                     the name that keyturn needs for `spec.role`.",
                remedy: "Name an AwsRole of this AwsConfig and of the same person. If a name is \
                     taken, delete the AwsRole that the message names.",
            },
            Self::KeySecretMissing => Explained {
                name: "KeySecretMissing",
                conditions: &[Accepted],
                cause: "The Secret that `spec.keySecretRef` or `spec.dss.apiKeySecretRef` names \
                     does not exist.",
                remedy: "Create it in the namespace of the AwsConfig, with the label \
                     `keyturn.dev/source=true`, or correct `name` of the reference.",
            },
            Self::KeySecretInvalid => Explained {
                name: "KeySecretInvalid",
                conditions: &[Accepted],
                cause: "The Secret that `spec.keySecretRef` or `spec.dss.apiKeySecretRef` names \
                     holds no key: a key of its data is missing, or a value is not a long-lived \
                     AWS key or not an API key.",
                remedy: "Correct the value that the message names, or correct `accessKeyIdKey` and \
                     `secretAccessKeyKey` of `spec.keySecretRef` (`key` of \
                     `spec.dss.apiKeySecretRef`).",
            },
            Self::SecretNotOffered => Explained {
                name: "SecretNotOffered",
                conditions: &[Accepted, Pushed],
                cause: "The Secret that `spec.keySecretRef`, `spec.dss.apiKeySecretRef` or \
                     `spec.push.dataRobot.tokenSecretRef` names lacks the label \
                     `keyturn.dev/source: \"true\"`, by which its owner offers it.",
                remedy: "If the owner of the Secret agrees: `kubectl label secret NAME \
                     keyturn.dev/source=true`.",
            },
            Self::NotGranted => Explained {
                name: "NotGranted",
                conditions: &[Accepted, Usable],
                cause: "No AwsRoleGrant allows all of the request: provider, role, namespace, \
                     person, tags, ceilings. Or `allow` of the DssInstance does not list the \
                     namespace and the person, or its `roleProperties` the property in `spec.role`. \
                     The message names the part that is not allowed.",
                remedy: "Request less, or send the message to a cluster admin, because users may \
                     not read grants. The admin compares it with `kubectl get awsrolegrants -o \
                     yaml`: one grant has to allow all of it. `kubectl keyturn grant` writes a \
                     grant. Otherwise the admin widens `allow` or `roleProperties` of the \
                     DssInstance.",
            },
            Self::Denied => Explained {
                name: "Denied",
                conditions: &[Accepted, Usable],
                cause: "An AwsRoleGrant with `effect: Deny` denies this person, namespace or role, whatever \
                     other grants allow. The message names it. keyturn has withdrawn the credential.",
                remedy: "Ask a cluster admin whether the denial is meant. The admin can delete that grant, or \
                     narrow it by `exceptPersons`, `namespaces` or `roles`.",
            },
            Self::DenialEnded => Explained {
                name: "DenialEnded",
                conditions: &[],
                cause: "The AwsRoleGrant that denied the request was changed or deleted, or the AwsConfig \
                     asks for something else now.",
                remedy: "None needed. The next Event says whether another grant allows the request.",
            },
            Self::WithdrawalHeld => Explained {
                name: "WithdrawalHeld",
                conditions: &[Accepted],
                cause: "No AwsRoleGrant allows the request any more. More than `withdrawalBrake` credentials \
                     would go within 60 s, so keyturn leaves this one in the Secret until the time in the \
                     message, and renews nothing.",
                remedy: "If the grants or the labels of namespaces went by mistake, restore them. Otherwise a \
                     cluster admin confirms with the command in the message.",
            },
            Self::ManyWithdrawn => Explained {
                name: "ManyWithdrawn",
                conditions: &[],
                cause: "Many credentials were withdrawn within 60 s, because no AwsRoleGrant allows them any \
                     more. The Event is about the ConfigMap of keyturn's release that confirms withdrawals.",
                remedy: "If this was a mistake, restore the grants or the labels of the namespaces, and keyturn \
                     issues again at once.",
            },
            Self::NotConfirmed => Explained {
                name: "NotConfirmed",
                conditions: &[Accepted, ConfirmationDue],
                cause: "Nobody who is entitled has confirmed the AwsConfig within `ceilings.maxAge` of the \
                     chart, and keyturn has withdrawn the credential. On `ConfirmationDue`: this will \
                     happen at the time in the message, or the present confirmation does not count.",
                remedy: "The person, or a user of `ceilings.confirmers`, sets the annotation \
                     `keyturn.dev/confirmed` to the present time. The message has the command. Or delete \
                     the AwsConfig.",
            },
            Self::TooManyConfigs => Explained {
                name: "TooManyConfigs",
                conditions: &[Accepted],
                cause: "The namespace has as many older AwsConfigs as keyturn serves there \
                     (`limits.awsConfigsPerNamespace` of the chart). An AwsConfig that has a \
                     credential keeps it and has it renewed.",
                remedy: "Delete an older AwsConfig that nobody needs, or ask a cluster admin to \
                     raise the limit.",
            },
            Self::InvalidSpec => Explained {
                name: "InvalidSpec",
                conditions: &[Accepted, Issued, RenewalFailing, RestartFailing, Usable, Authorized, Ready],
                cause: "The spec holds a value that the schema could not refuse: a \
                     `session.policy` that is not an IAM policy, a selector, or a role of another \
                     AWS partition than keyturn's identity. On a DssInstance: `caBundle` holds no \
                     certificates. On an AwsRoleGrant: it can allow nobody anything.",
                remedy: "Correct the field that the message names.",
            },
            Self::ForeignTarget => Explained {
                name: "ForeignTarget",
                conditions: &[Issued],
                cause: "A Secret of the target's name exists and does not belong to this \
                     AwsConfig. keyturn never writes it. Or an older AwsConfig has the same \
                     target: only the oldest may create the Secret.",
                remedy: "Delete that Secret or that AwsConfig, or delete this AwsConfig and create \
                     it again with another `spec.target.name`.",
            },
            Self::Drifted => Explained {
                name: "Drifted",
                conditions: &[Issued],
                cause: "Somebody changed or deleted the Secret. keyturn repairs it, the first five \
                     times at once, then after growing delays.",
                remedy: "Find the other writer with `kubectl get secret NAME -o yaml \
                     --show-managed-fields`, and stop it. After a change of your own, nothing is \
                     needed.",
            },
            Self::HeldBack => Explained {
                name: "HeldBack",
                conditions: &[Issued, RenewalFailing],
                cause: "keyturn has not asked STS or DSS yet, because it asks at a bounded rate: for \
                     one AwsConfig, for a namespace and in all (`limits.requests` of the chart), and \
                     STS for everything together (`limits.stsPerSecond`). A renewal that is due waits \
                     only for the last of these.",
                remedy: "Wait; keyturn asks in turn. If it stays, look for a program that changes \
                     AwsConfigs of the namespace or their Secrets again and again (`managedFields`), \
                     or ask a cluster admin to raise the rate.",
            },
            Self::Suspended => Explained {
                name: "Suspended",
                conditions: &[Accepted],
                cause: "`spec.suspend` is true. keyturn has withdrawn the credential.",
                remedy: "Set `spec.suspend` to false.",
            },
            Self::Expired => Explained {
                name: "Expired",
                conditions: &[Issued],
                cause: "Renewal failed until the credential expired. keyturn then withdrew it.",
                remedy: "Follow the rest of the message: it says why the renewal failed. keyturn \
                     still retries.",
            },
            Self::AssumeRoleDenied => Explained {
                name: "AssumeRoleDenied",
                conditions: &[Issued, RenewalFailing],
                cause: "IAM refused: the role does not exist, its trust policy does not allow the \
                     request, or keyturn's own identity has no right to assume it.",
                remedy: "Let the trust policy allow keyturn's identity with the external ID of \
                     `status.externalId` (for `session.tags` also `sts:TagSession`, for \
                     `session.sourceIdentity` also `sts:SetSourceIdentity`), and keyturn's own \
                     policy the role. keyturn retries within 10 minutes.",
            },
            Self::DurationTooLong => Explained {
                name: "DurationTooLong",
                conditions: &[Accepted, Issued, RenewalFailing, Usable],
                cause: "`session.duration` is longer than the role's MaxSessionDuration. Or it is \
                     longer than 1h, which is AWS's limit if keyturn's own identity is the session \
                     of a role or if the grant has `via`.",
                remedy: "Request a shorter `spec.session.duration`, or raise the role's \
                     MaxSessionDuration. The limit of 1h cannot be raised.",
            },
            Self::PolicyTooLarge => Explained {
                name: "PolicyTooLarge",
                conditions: &[Accepted, Issued, RenewalFailing, Usable],
                cause: "The session policy is longer than 2,048 characters, or the policies and \
                     tags together are larger than STS accepts.",
                remedy: "Shorten `spec.session.policy`, or name fewer `extraBuckets` (with scope \
                     Buckets), `tags` or `policyArns`.",
            },
            Self::BaseCredentialsMissing => Explained {
                name: "BaseCredentialsMissing",
                conditions: &[Issued, RenewalFailing],
                cause: "keyturn has no AWS credentials of its own, or STS does not accept them.",
                remedy: "A cluster admin: check the role of keyturn's ServiceAccount and the \
                     `AWS_*` variables of its pod. A pod that is older than its Pod Identity \
                     association has to be restarted.",
            },
            Self::RegionDisabled => Explained {
                name: "RegionDisabled",
                conditions: &[Issued, RenewalFailing],
                cause: "STS is not activated in keyturn's region for this AWS account.",
                remedy: "An AWS admin: activate the region in IAM's account settings. Or a cluster \
                     admin: set another region for keyturn (`aws.region` of the chart).",
            },
            Self::ClockSkewed => Explained {
                name: "ClockSkewed",
                conditions: &[Issued, RenewalFailing],
                cause: "STS refuses the time of the request, because the clock of keyturn's node \
                     is wrong.",
                remedy: "A cluster admin: correct the clock of that node.",
            },
            Self::Throttled => Explained {
                name: "Throttled",
                conditions: &[Issued, RenewalFailing],
                cause: "STS reports too many requests for this account and region.",
                remedy: "Wait: keyturn calls STS less often, and serves everybody in turn. If the \
                     reason stays, look for other programs that call STS there.",
            },
            Self::Unreachable => Explained {
                name: "Unreachable",
                conditions: &[Issued, RenewalFailing],
                cause: "STS cannot be reached, does not answer in time, or reports an internal \
                     error. The message quotes the error.",
                remedy: "Wait: keyturn retries within a minute. If the reason stays, a cluster \
                     admin: check network policies, proxy, DNS and `aws.stsEndpoint` of the chart.",
            },
            Self::DssInstanceMissing => Explained {
                name: "DssInstanceMissing",
                conditions: &[Accepted],
                cause: "No DssInstance has the name in `spec.dss.instance`, or that DssInstance is \
                     being deleted.",
                remedy: "A cluster admin: compare the name with `kubectl get dssinstances`, and \
                     create the DssInstance.",
            },
            Self::DssUnreachable => Explained {
                name: "DssUnreachable",
                conditions: &[Accepted, Issued, RenewalFailing, DssKeysFailing, Pushed, Reachable, Authorized],
                cause: "DSS cannot be reached or does not answer in time, or another server \
                     answers at its URL, such as a proxy or a login page. The message names the \
                     route. keyturn withdraws nothing for this reason.",
                remedy: "Wait: keyturn retries. If the reason stays, a cluster admin: check `url` \
                     and `caBundle` of the DssInstance, network policies and proxies.",
            },
            Self::DssDenied => Explained {
                name: "DssDenied",
                conditions: &[Accepted, Issued, RenewalFailing, DssKeysFailing, Pushed, Authorized],
                cause: "DSS does not accept keyturn's admin key, or denies it the right that the \
                     message names.",
                remedy: "A cluster admin: put an API key of DSS with admin rights into the Secret \
                     that `apiKeySecretRef` of the DssInstance names.",
            },
            Self::DssUserMissing => Explained {
                name: "DssUserMissing",
                conditions: &[Accepted],
                cause: "DSS has no user with the person's login, or the user is disabled.",
                remedy: "A DSS admin: create or enable the user. A cluster admin: check `login` of \
                     the DssInstance, which maps persons to logins.",
            },
            Self::DssPropertyMissing => Explained {
                name: "DssPropertyMissing",
                conditions: &[Accepted],
                cause: "The user lacks the admin property that `spec.role` names, or its value is \
                     neither the ARN nor the name of an IAM role.",
                remedy: "A DSS admin: set the property in the user's settings, under Admin \
                     Properties. If the value is a bare name, a cluster admin: set `awsAccountId` \
                     of the DssInstance.",
            },
            Self::DssConnectionDenied => Explained {
                name: "DssConnectionDenied",
                conditions: &[Issued, RenewalFailing],
                cause: "DSS gives this person no AWS credential for the connection: no connection \
                     has that name, the person may not read its details, it is not an S3 \
                     connection, or it has no credential.",
                remedy: "A DSS admin: check the connection's type, credentials mode and \"Details \
                     readable by\". The message quotes DSS.",
            },
            Self::DssUserMismatch => Explained {
                name: "DssUserMismatch",
                conditions: &[Issued],
                cause: "DSS reports that the API key belongs to another user. keyturn does not \
                     deliver the key, and withdraws the credential until it has a key of the right \
                     login.",
                remedy: "For `spec.dss.apiKeySecretRef`: put a key of the login that the message \
                     names into that Secret. For a personal key, which keyturn tries again within \
                     10 min: report it to the admins of DSS.",
            },
            Self::DssKeyNotPersonal => Explained {
                name: "DssKeyNotPersonal",
                conditions: &[Issued],
                cause: "DSS does not report that the API key is a personal API key of the login. A global \
                     API key that acts as the login may have other rights. keyturn does not deliver the \
                     key; the AWS credential is not affected.",
                remedy: "For `spec.dss.apiKeySecretRef`: create a personal API key in DSS, under Profile > \
                     API keys, and put it into that Secret. Or set `spec.dss.apiKey: Personal`.",
            },
            Self::DssAdminKey => Explained {
                name: "DssAdminKey",
                conditions: &[Issued],
                cause: "The login is an administrator of DSS, whose API key may act as every user. The \
                     DssInstance does not allow such keys. keyturn does not deliver the key; the AWS \
                     credential is not affected.",
                remedy: "Use a login that is no administrator of DSS. Or a cluster admin: set \
                     `adminKeys: true` in the entry of `allow` for this namespace and person.",
            },
            Self::DataRobotInstanceMissing => Explained {
                name: "DataRobotInstanceMissing",
                conditions: &[Pushed],
                cause: "No DataRobotInstance has the name in `spec.push.dataRobot.instance`, or that \
                     DataRobotInstance is being deleted.",
                remedy: "A cluster admin: compare the name with `kubectl get datarobotinstances`, and \
                     create the DataRobotInstance.",
            },
            Self::DataRobotUnreachable => Explained {
                name: "DataRobotUnreachable",
                conditions: &[Pushed, Reachable, Authorized],
                cause: "DataRobot cannot be reached or does not answer in time, or another server \
                     answers at its URL, such as a proxy or a login page. The message names the \
                     route.",
                remedy: "Wait: keyturn retries. If the reason stays, a cluster admin: check `url` \
                     and `caBundle` of the DataRobotInstance, network policies and proxies.",
            },
            Self::DataRobotDenied => Explained {
                name: "DataRobotDenied",
                conditions: &[Pushed, Authorized],
                cause: "There is no API token, or DataRobot does not take it or denies it a right. \
                     The message names the Secret and the route.",
                remedy: "Create an API token in DataRobot and put it into the Secret that the message \
                     names: that of the DataRobotInstance (a cluster admin), or that of \
                     `spec.push.dataRobot.tokenSecretRef`.",
            },
            Self::NotInjected => Explained {
                name: "NotInjected",
                conditions: &[PodsMissed],
                cause: "Pods ask for the Secret and do not have it: the webhook was not reached \
                     when they were created, they are older than this AwsConfig or its selector, \
                     or they have containers that cannot mount it.",
                remedy: "Do as the message says. Mostly: delete the pods, or `kubectl rollout \
                     restart deployment/NAME`. If new pods are missed too, a cluster admin: check \
                     keyturn's log and `webhook` of the chart.",
            },
            Self::SelectorOverlaps => Explained {
                name: "SelectorOverlaps",
                conditions: &[PodsMissed],
                cause: "`inject.podSelector` of this AwsConfig and of another one match the same \
                     pods. The older AwsConfig has such pods, and pods that are older than this \
                     rule keep what they have.",
                remedy: "Change one of the selectors, or name an AwsConfig in the annotation \
                     `keyturn.dev/aws-config` of the pods.",
            },
            Self::Restarted => Explained {
                name: "Restarted",
                conditions: &[],
                cause: "keyturn restarts a workload of `spec.restart`, because its environment \
                     held an earlier credential.",
                remedy: "None needed.",
            },
            Self::WorkloadMissing => Explained {
                name: "WorkloadMissing",
                conditions: &[RestartFailing],
                cause: "No workload has the kind and the name, or the labels, that `spec.restart` \
                     names.",
                remedy: "Create the workload, or correct `spec.restart`. keyturn looks for it \
                     again within 10 minutes.",
            },
            Self::RestartDenied => Explained {
                name: "RestartDenied",
                conditions: &[RestartFailing],
                cause: "The API server does not let keyturn read or patch the workload. The \
                     message quotes the API server.",
                remedy: "A cluster admin: add the namespace to `restart.namespaces` of the chart, \
                     which gives keyturn the right there. Or remove the workload from \
                     `spec.restart`.",
            },
            Self::RestartBlocked => Explained {
                name: "RestartBlocked",
                conditions: &[RestartFailing],
                cause: "The workload is paused, has the update strategy `OnDelete`, or does not \
                     finish its rollout. The message says which. keyturn does not interfere.",
                remedy: "Resume the workload, repair its rollout, or delete its pods yourself.",
            },
            Self::Verified => Explained {
                name: "Verified",
                conditions: &[Verified],
                cause: "AWS takes the credential in the Secret as the one that was issued, and S3 \
                     answers it for all buckets, if `spec.verify` is `Buckets`.",
                remedy: "None needed.",
            },
            Self::IdentityMismatch => Explained {
                name: "IdentityMismatch",
                conditions: &[Verified],
                cause: "STS says that the credential is that of another role or person than the one \
                     that it was issued for. The message names both.",
                remedy: "A cluster admin: check which service answers at keyturn's STS endpoint \
                     (`aws.stsEndpoint` of the chart).",
            },
            Self::CredentialRefused => Explained {
                name: "CredentialRefused",
                conditions: &[Verified],
                cause: "STS does not accept the credential: the key is deleted, inactive or wrong, or \
                     a policy of the organization or of a VPC endpoint denies the call. The message \
                     has the code of AWS.",
                remedy: "For a key: compare it with IAM, and correct the Secret that holds it. Otherwise \
                     an AWS admin: look up the code. Then ask for a new session: `kubectl keyturn renew NAME`.",
            },
            Self::BucketRefused => Explained {
                name: "BucketRefused",
                conditions: &[Verified],
                cause: "S3 does not let the credential look at a bucket of `defaultBucket` or \
                     `extraBuckets`, or no such bucket exists. The message names the buckets, each \
                     with the status of S3.",
                remedy: "Correct the names. Or an AWS admin: allow `s3:ListBucket` of the bucket in the \
                     role's policy and the bucket's. Then ask for a new session: `kubectl keyturn renew NAME`.",
            },
            Self::NotVerified => Explained {
                name: "NotVerified",
                conditions: &[Verified],
                cause: "keyturn has not tried the credential yet, or STS or S3 could not be reached or \
                     had no time. The message says which. keyturn tries again five times, and then at \
                     each renewal.",
                remedy: "Wait. If the reason stays, a cluster admin: check network policies, proxies and \
                     `aws.s3Endpoint` of the chart.",
            },
            Self::Pushed => Explained {
                name: "Pushed",
                conditions: &[Pushed],
                cause: "The places of `spec.push` hold the credential that the Secret holds.",
                remedy: "None needed.",
            },
            Self::NotPushed => Explained {
                name: "NotPushed",
                conditions: &[Pushed],
                cause: "keyturn has not written the credential into the places of `spec.push` yet. It \
                     does so after the Secret.",
                remedy: "Wait some seconds.",
            },
            Self::PushNameTaken => Explained {
                name: "PushNameTaken",
                conditions: &[Pushed],
                cause: "The user secrets or the credential that `spec.push` names are there already, and \
                     another AwsConfig or the person wrote them. keyturn leaves them alone.",
                remedy: "Choose another name in `spec.push`, delete them in DSS (profile of the person) or in \
                     DataRobot, or take the name out of the other AwsConfig.",
            },
            Self::PushRefused => Explained {
                name: "PushRefused",
                conditions: &[Pushed],
                cause: "The DssInstance or the DataRobotInstance does not allow `spec.push`, or the system \
                     refuses what keyturn wants to write or to remove. The message has its words.",
                remedy: "A cluster admin: add to `allow` of the instance what the message names. Or a DSS \
                     admin: check that this release of DSS has the route that the message names.",
            },
            Self::ApiCallFailed => Explained {
                name: "ApiCallFailed",
                conditions: &[Accepted, Issued, RenewalFailing, AwsRoleFailing, Authorized],
                cause: "The API server refuses a call that keyturn needs, or has not answered three \
                     times in a row. The message quotes it. A ResourceQuota, an admission policy, \
                     another webhook or missing rights of keyturn may be the cause.",
                remedy: "Remove what the message names, or let it allow the object; for quotas, \
                     policies and rights ask a cluster admin. keyturn tries again within a minute.",
            },
            Self::Internal => Explained {
                name: "Internal",
                conditions: &[Accepted, Issued, RenewalFailing, Usable],
                cause: "STS refused the request with an error that has no reason here, or keyturn \
                     cannot parse `via` of the grant. The message quotes the error.",
                remedy: "Look up the error in the message. If your configuration is correct, \
                     report a bug.",
            },
        }
    }
}

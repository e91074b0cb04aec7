//! The status of an `AwsConfig`.

use super::{ProfileStatus, PushStatus, Reason, Statement};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of the request, as keyturn reports it. The fields about the credential repeat the
/// annotations of the Secret. They are absent while the Secret holds no valid credential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsConfigStatus {
    /// The generation of the spec that this status is about. -1: keyturn has not seen the object.
    pub observed_generation: Option<i64>,

    /// Accepted: the spec, its references and the grant are in order. Issued: a valid credential is
    /// in the Secret. Ready: both. ProfilesReady: the same of every profile; present only with
    /// profiles. RenewalFailing, PodsMissed, RestartFailing, AwsRoleFailing, DssKeysFailing,
    /// ConfirmationDue and Stalled: present only while they are true. Verified: present with
    /// spec.verify, while the Secret holds a valid credential. Pushed: present with spec.push, and
    /// while a place of it still holds something.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The obstacle that a person should see first, in one word and one message. Absent if there is
    /// none, and while keyturn only waits or the request is suspended.
    pub trouble: Option<Trouble>,

    /// The AwsRole in use.
    pub active_role: Option<ActiveRole>,

    /// The external ID that keyturn sends to STS. The trust policy of the role should require it.
    pub external_id: Option<String>,

    /// The Secret that keyturn writes the credential into.
    pub target: Option<TargetStatus>,

    /// The Secret that the key came from, for credentialProvider default.
    pub source: Option<SourceStatus>,

    /// Data from DSS, with spec.dss.
    pub dss: Option<DssStatus>,

    /// The access key ID of the credential in the Secret. It is not a secret: it identifies the
    /// session in CloudTrail.
    pub access_key_id: Option<String>,

    /// The subject of the credential in the Secret, or of the sessions of its profiles: the person,
    /// or `system:<namespace>`.
    pub person: Option<String>,

    /// The time at which the credential was issued.
    pub issued_at: Option<Time>,

    /// The time at which the credential expires. Absent for a key, because a key does not expire.
    pub expires_at: Option<Time>,

    /// The time at which keyturn will renew the credential. Absent for a key, and while the request
    /// is not accepted.
    pub renew_at: Option<Time>,

    /// The credential that the current one replaced, or the last one that the Secret held. Programs
    /// that took it from their environment use it until they are restarted (spec.restart).
    pub former: Option<Former>,

    /// The time in the annotation keyturn.dev/confirmed, if it was in the future when keyturn first
    /// saw it. Such a confirmation never counts, so that nobody confirms ahead of time.
    pub early_confirmation: Option<Time>,

    /// The text of the annotation keyturn.dev/renew at the last issue. Another text in the
    /// annotation asks for a new session.
    pub renewed: Option<String>,

    /// Digest of what keyturn last tried: the request of the credential, spec.verify, and the
    /// buckets. keyturn tries another digest anew. Absent without an answer of AWS.
    pub verified_request: Option<String>,

    /// The withdrawal that keyturn holds back. Present only while keyturn does (withdrawalBrake of
    /// the chart).
    pub withdrawal_held: Option<WithdrawalHeld>,

    /// The current failure to issue. Present only while issuing fails for a reason that somebody
    /// has to fix.
    pub failure: Option<Failure>,

    /// The state of each profile, in the order of spec.profiles. Absent without profiles.
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub profiles: Option<Vec<ProfileStatus>>,

    /// The content of the places of spec.push, as keyturn wrote it. Absent while they hold nothing
    /// of this AwsConfig.
    pub push: Option<Box<PushStatus>>,
}

impl AwsConfigStatus {
    /// The state of the profile of this name; `None` if status has none.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<&ProfileStatus> {
        self.profiles.iter().flatten().find(|profile| profile.name == name)
    }
}

/// An obstacle, for people who list many objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trouble {
    /// The reason of Ready if the AwsConfig is not ready. Otherwise the reason of ProfilesReady if
    /// a profile is not. Otherwise the type of the first of these conditions that is true:
    /// RenewalFailing, RestartFailing, PodsMissed, AwsRoleFailing, DssKeysFailing, ConfirmationDue.
    /// Otherwise the reason of Verified or of Pushed, if it is False.
    pub word: String,
    /// The message of that condition.
    pub message: String,
}

/// A credential that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Former {
    /// The time at which it was issued.
    pub issued_at: Time,
    /// The time at which it expires. Absent for a key, because a key does not expire.
    pub expires_at: Option<Time>,
}

/// A withdrawal that keyturn holds back. The status keeps it, because the hold must survive a
/// restart of keyturn and must not begin anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WithdrawalHeld {
    /// The time at which keyturn first held the withdrawal back. A confirmation of this time or a
    /// later one ends the hold.
    pub since: Time,
    /// The time at which keyturn withdraws the credential without a confirmation: an hour later, or
    /// when the credential expires.
    pub until: Time,
}

/// The `AwsRole` in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveRole {
    /// The name of the AwsRole.
    pub name: String,
    /// The ARN of its IAM role.
    pub role: String,
}

/// Data from DSS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DssStatus {
    /// The name of the DssInstance.
    pub instance: String,

    /// The person's login in DSS.
    pub login: String,

    /// The login that owns the API key in the Secret. DSS reported it (`get_auth_info()`) before
    /// keyturn delivered the key. Absent without a key.
    pub whoami: Option<String>,

    /// The role that spec.role with its variables stood for when keyturn last read DSS. keyturn
    /// uses it while DSS cannot be reached.
    pub resolved_role: Option<ResolvedRole>,

    /// The personal API keys that keyturn created and has not deleted yet, the one in the Secret
    /// first.
    // Serialized also if it is empty, because a merge patch does not change fields that it does not
    // name.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub keys: Vec<DssKey>,
}

/// A role with variables, and the role that it stood for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolvedRole {
    /// spec.role with its variables, when keyturn filled them in.
    pub from: String,
    /// The ARN of the resulting role.
    pub role: String,
}

/// A personal API key that keyturn created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DssKey {
    /// The DssInstance that holds the key. The ID is valid in this DSS only.
    pub instance: String,
    /// The ID of the key in DSS. It is not a secret.
    pub id: String,
    /// The login that owns the key.
    pub login: String,
    /// The time at which keyturn will delete the key. Absent for the key in the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_at: Option<Time>,
}

/// The Secret that holds the credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// The Secret's name.
    pub name: String,
    /// The Secret's resourceVersion after keyturn's last write. keyturn does not read the Secret's
    /// data again while the Secret has this version.
    pub resource_version: Option<String>,
    /// Digest of the data and annotations that keyturn wrote last. A Secret with another one was
    /// changed by somebody else, and keyturn issues a new credential. Absent in a status that an
    /// older release wrote.
    pub content_digest: Option<String>,
}

/// The Secret that a key came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// The Secret's name.
    pub name: String,
    /// The Secret's resourceVersion when keyturn took the key. keyturn does not read the Secret
    /// again while the Secret has this version.
    pub resource_version: Option<String>,
}

/// A failure to issue. The status keeps it, because the wait must survive a restart of keyturn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The number of attempts that failed in a row.
    pub count: i32,
    /// The time at which the first of them failed.
    pub since: Time,
    /// The time at which the last of them failed.
    pub last_at: Time,
    /// The earliest time of the next attempt. keyturn tries earlier only if the request or the
    /// grant changes.
    pub next_attempt_at: Time,
    /// Digest of what failed: the request to STS and the grant that allowed it. keyturn tries a
    /// request with another digest at once.
    pub attempt: String,
    /// Why the last of them failed: a reason of the closed list. Absent in a status that an older
    /// release wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The attempt, the cause of its failure, and the next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Failure {
    /// Why the last attempt failed; `None` if an older release wrote this, or a newer one with a
    /// reason of its own.
    #[must_use]
    pub fn why(&self) -> Option<Statement> {
        let reason = Reason::named(self.reason.as_deref()?)?;
        Some(Statement::new(reason, self.message.clone().unwrap_or_default()))
    }
}

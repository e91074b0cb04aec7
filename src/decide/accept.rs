//! The first question: may this config have what it asks for? And if not, what is taken away.

use super::{
    Accepted, Case, DssRequest, Refusal, Step,
    action::{cannot, refuse},
    grants::{GrantRequest, Requested, granted},
    input::{Observed, SecretData, Target},
};
use crate::{
    api::{AwsConfig, AwsRoleGrant, CredentialProvider, Reason, RoleArn, Scope, Session, Subject},
    credentials::{ConnectionRequest, Extras, PolicyError, Request, SessionRequest, Via, session_policy},
    digest::Digest,
};
use kube::ResourceExt as _;
use std::collections::{BTreeMap, BTreeSet};

impl Case<'_> {
    pub(super) fn accept(&self) -> Result<Accepted, Refusal> {
        self.is_not_suspended()?;
        self.namespace_is_known()?;
        let dss = self.asks_of_dss()?;
        let mut accepted = match self.seen.config.spec.credential_provider {
            CredentialProvider::Temporary => {
                let role = self.names_a_role()?;
                self.generated_role_is_ours(&role)?;
                self.may_use(&role)?
            }
            CredentialProvider::Default => {
                let request = self.names_a_key()?;
                let granted = self.is_granted(Requested::Key);
                match &granted {
                    // A key does not end by itself. So its owner's consent counts even where a missing grant is not
                    // believed yet.
                    Err(refusal) if refusal.withdraws || self.key_at_hand().is_none() => {}
                    _ => self.key_is_offered(&request)?,
                }
                let (grant, _) = granted?;
                self.key_is_known(&request)?;
                Self::accepted(grant, Request::Key(request))
            }
            CredentialProvider::Connection => {
                let request = self.names_a_connection(dss.as_ref())?;
                let (grant, _) = self.is_granted(Requested::Connection)?;
                Self::accepted(grant, Request::Connection(request))
            }
        };
        self.api_key_is_offered()?;
        accepted.dss = dss;
        Ok(accepted)
    }

    fn names_a_connection(&self, dss: Option<&DssRequest>) -> Result<ConnectionRequest, Refusal> {
        let spec = &self.seen.config.spec;
        let (Some(connection), Some(dss)) = (spec.connection.clone(), dss) else {
            return refuse(Reason::InvalidSpec, "credentialProvider connection needs spec.connection and spec.dss");
        };
        let project = spec.dss.as_ref().and_then(|dss| dss.project.clone());
        Ok(ConnectionRequest { instance: dss.instance.clone(), connection, login: dss.login.clone(), project })
    }

    /// Whether the config may use this role as it now asks.
    pub(super) fn may_use(&self, role: &RoleArn) -> Result<Accepted, Refusal> {
        let (grant, subject) = self.is_granted(Requested::Role(role.as_str()))?;
        let external_id = grant.spec.external_id.clone().unwrap_or_else(|| default_external_id(self.seen));
        let mut request = request(&self.seen.config, &subject, role, external_id)?;
        request.via = self.route(grant)?;
        self.base_identity_reaches(&request)?;
        Ok(Self::accepted(grant, Request::Session(Box::new(request))))
    }

    fn is_not_suspended(&self) -> Result<(), Refusal> {
        if self.seen.config.spec.suspend {
            return refuse(Reason::Suspended, "spec.suspend is true; set it to false to get a credential again");
        }
        Ok(())
    }

    pub(super) fn namespace_is_known(&self) -> Result<(), Refusal> {
        if self.seen.namespace_labels.is_some() {
            return Ok(());
        }
        let message = format!("namespace \"{}\" has not been seen yet; it is waited for", self.namespace());
        cannot(Reason::Pending, message)
    }

    fn is_granted(&self, what: Requested<'_>) -> Result<(&AwsRoleGrant, Subject), Refusal> {
        let config = &self.seen.config;
        let Some(subject) = config.subject() else {
            return refuse(Reason::InvalidSpec, "spec.person is required in User mode");
        };
        let none = BTreeMap::new();
        let namespace_labels = self.seen.namespace_labels.as_ref().unwrap_or(&none);
        match granted(&self.seen.grants, GrantRequest { config, namespace_labels, subject: &subject, what }) {
            Ok(grant) => Ok((grant, subject)),
            // A process that has never seen a grant issues nothing, but takes nothing away either: an empty list is
            // what a restored or half-restored cluster shows, and what is live ends by itself.
            Err(message) => {
                let withdraws = self.seen.grants_seen;
                Err(Refusal { reason: Reason::NotGranted, message, withdraws, look: None })
            }
        }
    }

    fn accepted(grant: &AwsRoleGrant, request: Request) -> Accepted {
        let attempt = Digest::default()
            .with(request.digest())
            .with(grant.uid().unwrap_or_default())
            .with(grant.metadata.generation.unwrap_or_default().to_be_bytes())
            .short();
        Accepted { grant: grant.name_any(), attempt, request, dss: None }
    }

    fn route(&self, grant: &AwsRoleGrant) -> Result<Via, Refusal> {
        let hops: Result<Vec<RoleArn>, _> = grant.spec.via.iter().map(|hop| hop.parse()).collect();
        match hops {
            Ok(hops) if hops.is_empty() => Ok(Via::default()),
            Ok(hops) => Ok(Via { hops, external_id: default_external_id(self.seen) }),
            Err(error) => cannot(Reason::Internal, format!("AwsRoleGrant \"{}\": via: {error}", grant.name_any())),
        }
    }

    /// Requested STS would refuse is said before it is asked. Nothing is taken away for it: what is live was granted.
    fn base_identity_reaches(&self, request: &SessionRequest) -> Result<(), Refusal> {
        let identity = self.seen.identity.as_ref();
        let first = request.via.hops.first().unwrap_or(&request.role);
        let crosses = |from: &str, role: &RoleArn| from != role.partition();
        if let Some(identity) = identity.filter(|identity| crosses(identity.partition(), first)) {
            let message = format!(
                "{first} is in partition {} and the operator's identity {} in {}; no session crosses partitions",
                first.partition(),
                identity.arn(),
                identity.partition()
            );
            return cannot(Reason::InvalidSpec, message);
        }
        let chained_from = match (request.via.hops.last(), identity) {
            (Some(hop), _) => Some(format!("{hop} (via of the AwsRoleGrant)")),
            (None, Some(identity)) if identity.is_session() => Some(format!("the operator's {}", identity.arn())),
            _ => None,
        };
        match chained_from {
            Some(from) if request.duration_seconds > LONGEST_CHAINED => cannot(
                Reason::DurationTooLong,
                format!(
                    "session.duration {} is longer than the 1h that STS allows a session which is assumed from another role's \
                     session, here from {from}; ask for at most 1h",
                    self.seen.config.spec.duration()
                ),
            ),
            _ => Ok(()),
        }
    }

    fn namespace(&self) -> String {
        self.seen.config.namespace().unwrap_or_default()
    }
}

/// `<cluster>/<namespace>`: set by the operator and not by the user, so that a trust policy can name the namespace.
#[must_use]
pub fn default_external_id(seen: &Observed) -> String {
    format!("{}/{}", seen.cluster, seen.config.namespace().unwrap_or_default())
}

/// Requested STS is to be asked for.
fn request(
    config: &AwsConfig,
    subject: &Subject,
    role: &RoleArn,
    external_id: String,
) -> Result<SessionRequest, Refusal> {
    let duration = config.spec.duration();
    let seconds = duration.length().ok().and_then(|length| i32::try_from(length.as_secs()).ok());
    let Some(duration_seconds) = seconds else {
        return refuse(Reason::InvalidSpec, format!("spec.session.duration: {duration} is no duration"));
    };
    let session_name = session_name(config, subject);
    let extras = match &config.spec.session {
        Some(session) => extras(config, session, role, &session_name)?,
        None => Extras::default(),
    };
    Ok(SessionRequest { role: role.clone(), session_name, external_id, duration_seconds, extras, via: Via::default() })
}

fn extras(config: &AwsConfig, session: &Session, role: &RoleArn, session_name: &str) -> Result<Extras, Refusal> {
    let buckets: Vec<&str> = config.spec.buckets().collect();
    let buckets = match session.scope {
        Scope::Role => None,
        Scope::Buckets if buckets.is_empty() => {
            return refuse(Reason::InvalidSpec, "session.scope Buckets needs spec.defaultBucket");
        }
        Scope::Buckets => Some(&buckets[..]),
    };
    let policy = session_policy(role.partition(), session.policy.as_deref(), buckets);
    let policy = policy.or_else(|error| match error {
        PolicyError::TooLong(_) => refuse(Reason::PolicyTooLarge, error.to_string()),
        PolicyError::Unreadable(_) => refuse(Reason::InvalidSpec, error.to_string()),
    })?;
    let sorted = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    Ok(Extras {
        source_identity: session.source_identity.then(|| session_name.to_owned()),
        tags: session.tags.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect(),
        transitive_tags: sorted(&session.transitive_tags),
        policy,
        policy_arns: sorted(&session.policy_arns),
    })
}

/// `RoleSessionName`: the person, unchanged; for a namespace `<namespace>,<config>`, which no person's name can be
/// taken for, and of which a digest is left where it is longer than the 64 characters that AWS allows.
fn session_name(config: &AwsConfig, subject: &Subject) -> String {
    if let Some(person) = subject.as_person() {
        return person.to_owned();
    }
    let name = format!("{},{}", config.namespace().unwrap_or_default(), config.name_any());
    if name.len() <= LONGEST_SESSION_NAME {
        return name;
    }
    let digest = Digest::default().with(&name).short();
    format!("{},{}", &name[..LONGEST_SESSION_NAME - 1 - SHORTENED], &digest[..SHORTENED])
}

/// The longest session by role chaining, in seconds (IAM user guide, "Role chaining").
const LONGEST_CHAINED: i32 = 3600;
/// Of `RoleSessionName`, in characters (STS API reference, `AssumeRole`).
const LONGEST_SESSION_NAME: usize = 64;
/// How many hex digits of a digest tell two names with the same beginning apart.
const SHORTENED: usize = 12;

impl Case<'_> {
    /// Requested goes whether or not there is more to be known: what has expired, and what is another person's.
    fn over_anyway(&self) -> Option<Step> {
        let Target::Ours(ours) = &self.seen.target else { return None };
        let of_another = ours.record.as_ref().and_then(|record| self.is_of_this_person(ours, record).err());
        of_another.or_else(|| self.expired())
    }

    /// Whether status knows of a Secret.
    fn claims_a_secret(&self) -> bool {
        let target = self.seen.config.status.as_ref().and_then(|status| status.target.as_ref());
        self.claims_a_credential() || target.is_some_and(|target| target.resource_version.is_some())
    }

    pub(super) fn withdrawal(&self, refusal: &Refusal) -> Step {
        if let Some(look) = &refusal.look {
            return look.clone();
        }
        let ours = match &self.seen.target {
            // Without our label it would be forgotten, and still be there when more is known.
            Target::NotWatched if !refusal.withdraws && self.claims_a_secret() => return Step::LookForTarget,
            _ if !refusal.withdraws => return self.over_anyway().unwrap_or(Step::Keep),
            Target::Ours(ours) => ours,
            // Somebody may have taken our label off. A Secret that never held a credential is not looked for.
            Target::NotWatched if self.claims_a_secret() => return Step::LookForTarget,
            Target::NotWatched | Target::Absent | Target::Foreign { .. } => return Step::Keep,
        };
        let withdraw = Step::Withdraw { reason: refusal.reason, message: refusal.message.clone() };
        let done = ours.record.as_ref().filter(|record| record.is_withdrawn_for(refusal.reason));
        let Some(record) = done else { return withdraw };
        match &ours.content {
            SecretData::Unknown => Step::LookInside,
            SecretData::Known | SecretData::Read(_)
                if !ours.is_edited() && self.metadata_drift(ours, record).is_none() =>
            {
                Step::Keep
            }
            SecretData::Known | SecretData::Read(_) => self.after_repairs(withdraw),
        }
    }
}

//! The first question: may this config have what it asks for? A refusal says whether keyturn
//! withdraws the credential that the config has.

use super::{
    Accepted, Case, Check, Confirmation, Refusal,
    action::{cannot, refuse},
    input::Observed,
    session_request::session_request,
};
use crate::{
    api::{AwsRoleGrant, CredentialProvider, Reason, RoleArn, Subject},
    credentials::{ConnectionRequest, Request, SessionRequest, Via},
    digest::Digest,
    dss_keys::DssRequest,
    grants::{Denial, GrantRequest, Requested, denial, granted},
};
use kube::ResourceExt as _;
use std::collections::BTreeMap;

impl Case<'_> {
    pub(super) fn accept(&self) -> Result<Accepted, Refusal> {
        let dss = self.accept_config()?;
        let mut accepted = match self.seen.config.spec.credential_provider {
            CredentialProvider::Temporary => {
                let role = self.check(Check::RoleIsNamed, self.names_a_role())?;
                self.check(Check::GeneratedRoleIsOurs, self.generated_role_is_ours(&role))?;
                self.may_use(&role)?
            }
            CredentialProvider::Default => {
                let request = self.check(Check::KeyIsNamed, self.names_a_key())?;
                let granted = self.is_granted(Requested::Key);
                match &granted {
                    // keyturn checks the consent of the key's owner even while it does not trust an
                    // empty list of grants, because a key never expires by itself.
                    Err(refusal) if refusal.withdraws || self.key_at_hand().is_none() => {}
                    _ => self.check(Check::KeyIsOffered, self.key_is_offered(&request))?,
                }
                let (grant, _) = granted?;
                self.check(Check::KeyIsKnown, self.key_is_known(&request))?;
                Self::accepted(grant, Request::Key(request))
            }
            CredentialProvider::Connection => {
                let request = self.check(Check::ConnectionIsNamed, self.names_a_connection(dss.as_ref()))?;
                let (grant, _) = self.is_granted(Requested::Connection)?;
                Self::accepted(grant, Request::Connection(request))
            }
        };
        if dss.is_some() {
            self.api_key_is_known()?;
        }
        accepted.dss = dss;
        self.check(Check::NamespaceHasRoom, self.namespace_has_room())?;
        Ok(accepted)
    }

    /// The part of the question that concerns the config, its person and its namespace, whatever
    /// role is asked for. Returns the request to DSS, if the config names one.
    pub(super) fn accept_config(&self) -> Result<Option<DssRequest>, Refusal> {
        self.check(Check::NotSuspended, self.is_not_suspended())?;
        self.check(Check::NamespaceIsKnown, self.namespace_is_known())?;
        self.check(Check::SubjectIsNotDenied, self.subject_is_not_denied())?;
        self.check(Check::ConfirmedInTime, self.is_confirmed_in_time())?;
        self.asks_of_dss()
    }

    /// Refuses a config beyond the limit of its namespace. A config that has a credential keeps it,
    /// because a user may add configs at any time, and nobody should lose a credential by that.
    /// This is the last question, because every other refusal may have to withdraw something.
    pub(super) fn namespace_has_room(&self) -> Result<(), Refusal> {
        let has_any = self.claims_a_credential() || self.claims_a_profile();
        let Some(limit) = self.seen.beyond_limit.filter(|_| !has_any) else { return Ok(()) };
        let message = format!(
            "namespace \"{}\" has room for {limit} AwsConfigs, and at least as many are older; delete one of them, or ask a \
             cluster admin to raise limits.awsConfigsPerNamespace of keyturn's chart",
            self.namespace()
        );
        cannot(Reason::TooManyConfigs, message)
    }

    fn names_a_connection(&self, dss: Option<&DssRequest>) -> Result<ConnectionRequest, Refusal> {
        let spec = &self.seen.config.spec;
        let (Some(connection), Some(dss)) = (spec.connection.clone(), dss) else {
            return refuse(Reason::InvalidSpec, "credentialProvider connection needs spec.connection and spec.dss");
        };
        let project = spec.dss.as_ref().and_then(|dss| dss.project.clone());
        Ok(ConnectionRequest { instance: dss.instance.clone(), connection, login: dss.login.clone(), project })
    }

    /// Whether a grant allows the config a session of this role with its present settings, and
    /// keyturn's identity can obtain it.
    pub(super) fn may_use(&self, role: &RoleArn) -> Result<Accepted, Refusal> {
        let (grant, subject) = self.is_granted(Requested::Role(role.as_str()))?;
        let external_id = grant.spec.external_id.clone().unwrap_or_else(|| default_external_id(self.seen));
        let session = session_request(&self.seen.config, &subject, role, external_id);
        let mut request = self.check(Check::SessionIsValid, session)?;
        request.via = self.route(grant)?;
        self.check(Check::IdentityReachesRole, self.base_identity_reaches(&request))?;
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

    /// Refuses a subject to which a grant denies everything. keyturn then asks nobody for anything,
    /// neither DSS for a user nor the API server for a key.
    fn subject_is_not_denied(&self) -> Result<(), Refusal> {
        let config = &self.seen.config;
        let (Some(subject), Some(labels)) = (config.subject(), &self.seen.namespace_labels) else { return Ok(()) };
        match denial(&self.seen.grants, &self.namespace(), labels, &subject, Denial::OfEverything) {
            Some(why) => Err(Refusal { why, withdraws: true, needs: None }),
            None => Ok(()),
        }
    }

    /// Refuses a config whose last confirmation is too long ago.
    fn is_confirmed_in_time(&self) -> Result<(), Refusal> {
        match Confirmation::of(self.seen, self.now).filter(|confirmation| confirmation.has_ended(self.now)) {
            Some(ended) => Err(Refusal { why: ended.ended(&self.seen.config), withdraws: true, needs: None }),
            None => Ok(()),
        }
    }

    fn is_granted(&self, what: Requested<'_>) -> Result<(&AwsRoleGrant, Subject), Refusal> {
        self.check(Check::GrantAllows, self.grant_of(what))
    }

    fn grant_of(&self, what: Requested<'_>) -> Result<(&AwsRoleGrant, Subject), Refusal> {
        let config = &self.seen.config;
        let Some(subject) = config.subject() else {
            return refuse(Reason::InvalidSpec, "spec.person is required in User mode");
        };
        let none = BTreeMap::new();
        let namespace_labels = self.seen.namespace_labels.as_ref().unwrap_or(&none);
        match granted(&self.seen.grants, GrantRequest { config, namespace_labels, subject: &subject, what }) {
            Ok(grant) => Ok((grant, subject)),
            // A process that has never seen a grant issues nothing and withdraws nothing. A
            // restored or half-restored cluster shows an empty list of grants, and a live session
            // expires by itself. A denial comes from a grant that has been seen.
            Err(why) => {
                let withdraws = self.seen.grants_seen || why.reason == Reason::Denied;
                Err(Refusal { why, withdraws, needs: None })
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

    /// Refuses a request that STS would refuse, before keyturn asks STS. The refusal withdraws
    /// nothing, because a grant allowed the live credential.
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

/// The external ID `<cluster>/<namespace>`. keyturn sets it, and not the user, because a trust
/// policy has to be able to name the namespace.
#[must_use]
pub fn default_external_id(seen: &Observed) -> String {
    format!("{}/{}", seen.cluster, seen.config.namespace().unwrap_or_default())
}

/// The longest session by role chaining, in seconds (IAM user guide, "Role chaining").
const LONGEST_CHAINED: i32 = 3600;

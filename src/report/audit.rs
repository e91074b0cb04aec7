//! The audit line: one for each credential that keyturn obtained, renewals included. It is a line
//! of the log under a target of its own, and no filter of the log leaves it out.

use crate::{
    api::{AwsConfig, names},
    credentials::{Issued, Request},
    decide::{Accepted, Trigger},
};
use kube::ResourceExt as _;

/// Writes the audit line about a credential that was just obtained. `subject` is the person, or
/// `system:<namespace>`, and `profile` the name of a profile of the config. The line says who has
/// it, why it was obtained, and which state of the `AwsConfig` asked for it. It holds no secret: an
/// access key ID is none.
pub fn obtained(
    config: &AwsConfig,
    subject: &str,
    profile: Option<&str>,
    accepted: &Accepted,
    issued: &Issued,
    trigger: Trigger,
) {
    let session = match &accepted.request {
        Request::Session(session) => Some(session),
        Request::Key(_) | Request::Connection(_) => None,
    };
    let route = session.map(|session| session.via.hops.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    tracing::info!(
        target: names::AUDIT_TARGET,
        person = subject,
        why = why(trigger),
        profile,
        provider = config.spec.credential_provider.as_str(),
        role = accepted.request.role().map(ToString::to_string),
        access_key_id = issued.credentials.access_key_id,
        issued_at = issued.issued_at.to_string(),
        expires_at = issued.expires_at.map(|at| at.to_string()),
        grant = accepted.grant,
        external_id = session.map(|session| session.external_id.as_str()),
        route = route.filter(|route| !route.is_empty()),
        namespace = config.namespace(),
        aws_config = config.name_any(),
        uid = config.uid(),
        generation = config.metadata.generation,
        resource_version = config.resource_version(),
        "credential issued"
    );
}

/// The cause of an issue, as the audit line names it.
fn why(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::First => "first",
        Trigger::Restored => "restored",
        Trigger::Changed => "changed",
        Trigger::Drifted => "drifted",
        Trigger::Due => "renewal",
        Trigger::Requested => "requested",
        Trigger::ApiKey => "api_key",
    }
}

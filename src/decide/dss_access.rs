//! The access of a config to DSS: whether the config may use the instance that it names, with which
//! login, and which role its template stands for. Pure.

use super::action::{Read, Refusal, refuse};
use crate::{
    api::{AskedRole, AwsConfig, DssInstance, Reason, RoleArn, RoleTemplate, Statement, Subject, Variable, role_named},
    credentials::remedy_of_dss,
    dss::{DssError, SeenUser, User},
    grants,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use std::{collections::BTreeMap, sync::Arc};

/// The DSS that a config names, as far as keyturn knows it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct SeenDss {
    /// The instance; `None` if no instance has that name.
    pub instance: Option<Arc<DssInstance>>,
    /// Whether the process has seen any instance since it started. Until then an empty list may be
    /// incomplete.
    pub instances_seen: bool,
    /// The login that the instance allows the config; `None` if the instance allows none.
    pub login: Option<String>,
    /// Whether the instance allows the config the API key of an administrator of DSS.
    pub admin_keys: bool,
    /// Whether the instance allows the config to have its credential written into the account of
    /// the login.
    pub push: bool,
    /// The user of DSS with that login.
    pub user: SeenUser,
    /// Whether the users that keyturn read last may still be used ([`is_fresh`]).
    pub fresh: bool,
    /// The error of the last read of users, if that read failed.
    pub trouble: Option<DssError>,
}

/// The use of a DSS that an instance allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The login.
    pub login: String,
    /// Whether the API key of this login may be an administrator's.
    pub admin_keys: bool,
    /// Whether keyturn may write credentials into the account of this login.
    pub push: bool,
}

/// The use that an instance allows a subject of a namespace; `None` if it allows none. The first
/// entry that allows a login counts.
#[must_use]
pub fn allowed(
    instance: &DssInstance,
    namespace: &str,
    labels: &BTreeMap<String, String>,
    subject: &Subject,
) -> Option<Allowed> {
    let about = instance.spec.allow.iter().filter(|entry| grants::selects(&entry.namespaces, namespace, labels));
    about.into_iter().find_map(|entry| {
        let login = match subject.as_person() {
            Some(person) => {
                let names = entry.persons.iter().any(|pattern| grants::names(pattern, subject));
                names.then(|| instance.spec.login_of(person))
            }
            None => entry.system_login.clone(),
        };
        login.map(|login| Allowed { login, admin_keys: entry.admin_keys, push: entry.push })
    })
}

/// The use that an instance allows a config; `None` if it allows none, or if the instance or the
/// labels of the namespace are not known.
#[must_use]
pub fn allowed_to(
    config: &AwsConfig,
    instance: Option<&DssInstance>,
    labels: Option<&BTreeMap<String, String>>,
) -> Option<Allowed> {
    allowed(instance?, &config.namespace().unwrap_or_default(), labels?, &config.subject()?)
}

/// Whether keyturn may use the users that it read last. This process read them at `read_at`; status
/// has the time of the last read of any process. keyturn may use users that it read within
/// `maxStale`. While `fine` (nothing is known to be wrong with DSS), keyturn may also use users
/// that this process read within the last two intervals of `refresh`, because the next read is not
/// overdue.
#[must_use]
pub fn is_fresh(instance: &DssInstance, read_at: Option<Timestamp>, fine: bool, now: Timestamp) -> bool {
    let refresh = instance.spec.refresh.length().unwrap_or_default();
    if fine && read_at.is_some_and(|at| now.duration_since(at) <= refresh + refresh) {
        return true;
    }
    let recorded = instance.status.as_ref().and_then(|status| status.users_read_at.as_ref()).map(|Time(at)| *at);
    // A duration that does not parse, which the schema refuses, counts as zero.
    let most = instance.spec.max_stale.length().unwrap_or_default();
    read_at.max(recorded).is_some_and(|at| now.duration_since(at) <= most)
}

impl SeenDss {
    /// The instance and the login, if the config may use them.
    ///
    /// # Errors
    /// A [`Refusal`] if the instance or its user does not exist, or the config may not use them.
    pub fn usable(&self, config: &AwsConfig) -> Result<(&DssInstance, &str), Refusal> {
        let name = config.spec.dss.as_ref().map(|dss| dss.instance.as_str()).unwrap_or_default();
        let Some(instance) = &self.instance else {
            let message = format!("there is no DssInstance \"{name}\"; a cluster admin can create it");
            // A half-restored cluster shows an empty list, as with grants.
            let withdraws = self.instances_seen;
            return Err(Refusal { why: Statement::new(Reason::DssInstanceMissing, message), withdraws, needs: None });
        };
        if instance.metadata.deletion_timestamp.is_some() {
            return refuse(Reason::DssInstanceMissing, format!("DssInstance \"{name}\" is being deleted"));
        }
        let Some(login) = &self.login else {
            let (namespace, subject) = (config.namespace().unwrap_or_default(), config.subject());
            let message = format!(
                "DssInstance \"{name}\" does not allow namespace \"{namespace}\" to use it as {}; a cluster admin can add that to \
                 its spec.allow",
                subject.as_ref().map(grants::described).unwrap_or_default()
            );
            return refuse(Reason::NotGranted, message);
        };
        let missing = |what: &str| {
            refuse(
                Reason::DssUserMissing,
                format!(
                    "DssInstance \"{name}\" {what} \"{login}\", the login of this config; a DSS admin creates or enables the user, or \
                     a cluster admin corrects login of the DssInstance"
                ),
            )
        };
        match &self.user {
            SeenUser::Missing => missing("has no user"),
            SeenUser::There(user) if !user.enabled => missing("has disabled the user"),
            SeenUser::Unlisted => Err(Refusal {
                why: Statement::new(
                    Reason::Pending,
                    format!("user \"{login}\" is being looked for in DssInstance \"{name}\""),
                ),
                withdraws: false,
                needs: Some(Read::DssUser),
            }),
            SeenUser::Unread | SeenUser::There(_) => Ok((instance, login)),
        }
    }
}

/// The role that `spec.role` stands for; `None` if `spec.role` is not set.
///
/// # Errors
/// A [`Refusal`] if `spec.role` is invalid, or if DSS does not give a value for its variables.
pub fn role_of(config: &AwsConfig, dss: Option<&SeenDss>) -> Result<Option<RoleArn>, Refusal> {
    let template = match config.spec.asked_role() {
        Ok(None) => return Ok(None),
        Ok(Some(AskedRole::Arn(role))) => return Ok(Some(role)),
        Ok(Some(AskedRole::Template(template))) => template,
        Err(error) => return refuse(Reason::InvalidSpec, format!("spec.role: {error}")),
    };
    let Some(dss) = dss else {
        return refuse(Reason::InvalidSpec, format!("spec.role: {template} needs spec.dss, whose users it is about"));
    };
    let (instance, login) = dss.usable(config)?;
    may_ask_for(&template, instance)?;
    match &dss.user {
        SeenUser::There(user) if dss.fresh => filled(&template, instance, user).map(Some),
        SeenUser::Unread if dss.fresh => match remembered(config, instance, login, &template) {
            Some(role) => Ok(Some(role)),
            None => Err(unread(dss, instance)),
        },
        _ => Err(unread(dss, instance)),
    }
}

/// Refuses a template that asks for an admin property that the instance does not list, before the
/// value is looked at.
fn may_ask_for(template: &RoleTemplate, instance: &DssInstance) -> Result<(), Refusal> {
    let listed = &instance.spec.role_properties;
    let Some(other) = template.properties().find(|asked| !listed.iter().any(|name| name == asked)) else {
        return Ok(());
    };
    let name = instance.name_any();
    let may = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
    refuse(
        Reason::NotGranted,
        format!(
            "DssInstance \"{name}\" does not let spec.role ask for the admin property \"{other}\" (its roleProperties: {may}); a \
             cluster admin can add it there"
        ),
    )
}

/// The role that status has recorded for the same instance, login and template. Status keeps it,
/// because a restarted process need not ask DSS again.
fn remembered(config: &AwsConfig, instance: &DssInstance, login: &str, template: &RoleTemplate) -> Option<RoleArn> {
    let dss = config.status.as_ref()?.dss.as_ref()?;
    let same = dss.instance == instance.name_any() && dss.login == login;
    let resolved = dss.resolved_role.as_ref().filter(|resolved| same && resolved.from == template.to_string())?;
    resolved.role.parse().ok()
}

fn unread(dss: &SeenDss, instance: &DssInstance) -> Refusal {
    let name = instance.name_any();
    let (reason, message) = match &dss.trouble {
        Some(why) => {
            let reason = if why.kind.passes() { Reason::DssUnreachable } else { Reason::DssDenied };
            (reason, format!("the users of DssInstance \"{name}\" cannot be read: {why}; {}", remedy_of_dss(why)))
        }
        None => (Reason::Pending, format!("the users of DssInstance \"{name}\" are being read")),
    };
    Refusal { why: Statement::new(reason, message), withdraws: false, needs: None }
}

fn filled(template: &RoleTemplate, instance: &DssInstance, user: &User) -> Result<RoleArn, Refusal> {
    let (name, login) = (instance.name_any(), &user.login);
    let text = template.fill(|variable| match variable {
        Variable::Login => Ok(login.clone()),
        Variable::AdminProperty(property) => {
            let value = user.admin_properties.as_ref().and_then(|properties| properties.get(property));
            let value = value.filter(|value| !value.trim().is_empty()).cloned();
            value.ok_or_else(|| {
                format!(
                    "user \"{login}\" of DssInstance \"{name}\" has no admin property \"{property}\"; a DSS admin sets it in the \
                     user's settings"
                )
            })
        }
    });
    let spec = &instance.spec;
    let role = text.and_then(|text| {
        role_named(&text, &spec.aws_partition, spec.aws_account_id.as_deref())
            .map_err(|error| format!("{template} of user \"{login}\" of DssInstance \"{name}\" {error}"))
    });
    role.or_else(|message| refuse(Reason::DssPropertyMissing, message))
}

#[cfg(test)]
impl SeenDss {
    /// An instance that allows the config this login, and whose users have not been read yet.
    pub(crate) fn allowing(instance: DssInstance, login: &str) -> Self {
        Self {
            instance: Some(Arc::new(instance)),
            instances_seen: true,
            login: Some(login.to_owned()),
            admin_keys: false,
            push: false,
            user: SeenUser::Unread,
            fresh: true,
            trouble: None,
        }
    }
}

#[cfg(test)]
mod tests;

//! A view keeps of each object only the parts that keyturn reads. The API server bounds neither the
//! labels nor the owners of an object, therefore everybody who may create an object could otherwise
//! fill the memory of every replica.
//!
//! What is dropped here never looks like a change of another writer. Of the Secret that keyturn
//! fills, a user may choose labels and annotations. If there are too many foreign ones to keep, the
//! view says so ([`is_abridged`]), and a reconcile that needs them reads the Secret.
//!
//! `kubectl apply` keeps a copy of the whole object in an annotation, and of a Secret that copy
//! contains the data. It is dropped if it is longer than an annotation that a user may ask for.

use crate::{
    api::{
        AwsConfig, AwsConfigStatus, AwsRole, AwsRoleGrant, ConditionType, DataRobotInstance, DssInstance, names,
        same_ignoring_times,
    },
    digest::Digest,
};
use k8s_openapi::{
    api::core::v1::{Namespace, Secret},
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, OwnerReference},
};
use kube::{Resource as _, core::PartialObjectMeta};
use std::collections::BTreeMap;

/// The most owners that a view keeps of an object.
const OWNERS: usize = 8;
/// The most characters of an owner's name that a view keeps. A valid name has 253 at most, so a
/// longer one stays unequal to every name.
const OWNER_NAME: usize = 254;
/// The most characters of the value of an annotation of keyturn's own. The longest valid one is the
/// ARN of a role, with 640.
const OWN_VALUE: usize = 4096;
/// The same of the annotation about profiles: 8 records with a role of 2,048 characters each.
const PROFILES: usize = 24 * 1024;
/// The most characters of a label's value, as the API server bounds it.
const LABEL_VALUE: usize = 63;
/// The most characters of the value of an annotation that `spec.target` may ask for, as the schema
/// bounds it.
const ASKED_VALUE: usize = 1024;
/// The most characters of the text of a time. No time of RFC 3339 is longer, therefore a text that
/// is cut here is none.
const TIME: usize = 64;
/// The most bytes of the message of a condition that keyturn only compares with the present one. A
/// digest is shorter.
const MESSAGE: usize = 128;
/// The conditions whose messages keyturn only compares. It reads the messages of the others again.
const COMPARED: [ConditionType; 7] = [
    ConditionType::Accepted,
    ConditionType::Issued,
    ConditionType::Ready,
    ConditionType::ProfilesReady,
    ConditionType::RenewalFailing,
    ConditionType::Usable,
    ConditionType::Stalled,
];
/// The most bytes of foreign labels and annotations that a view keeps of one Secret.
const FOREIGN: usize = 16 * 1024;
/// The annotation, in memory only, of a Secret that has more foreign metadata than the view keeps.
const ABRIDGED: &str = "keyturn.dev/abridged";

/// Keeps of an `AwsConfig` the annotations by which users confirm it and ask for a new session,
/// because keyturn reads no other annotation and no label. A longer text is cut: a time stays no
/// time. The conditions are [`brief`].
pub(super) fn config(config: &mut AwsConfig) {
    let mut annotations = config.metadata.annotations.take().unwrap_or_default();
    let mut kept = BTreeMap::new();
    for (name, most) in [(names::CONFIRMED, TIME), (names::RENEW, names::RENEW_CHARACTERS)] {
        let Some(mut text) = annotations.remove(name) else { continue };
        if let Some((end, _)) = text.char_indices().nth(most) {
            text.truncate(end);
            text.shrink_to_fit();
        }
        kept.insert(name.to_owned(), text);
    }
    bare(&mut config.metadata);
    config.metadata.annotations = (!kept.is_empty()).then_some(kept);
    config.metadata.labels = None;
    if let Some(status) = &mut config.status {
        brief_status(status);
    }
}

/// Keeps of an `AwsConfig` what the webhook reads: the spec, and `Ready` without its message.
pub(super) fn config_of_pods(of_pods: &mut AwsConfig) {
    config(of_pods);
    (of_pods.metadata.owner_references, of_pods.metadata.finalizers) = (None, None);
    let Some(status) = of_pods.status.take() else { return };
    let mut conditions = status.conditions;
    conditions.retain(|condition| condition.type_ == ConditionType::Ready.as_str());
    for ready in &mut conditions {
        ready.message = String::new();
    }
    of_pods.status = Some(AwsConfigStatus { conditions, ..AwsConfigStatus::default() });
}

/// Keeps keyturn's own labels of an `AwsRole`. The conditions are [`brief`].
pub(super) fn role(role: &mut AwsRole) {
    bare(&mut role.metadata);
    retain(&mut role.metadata.labels, |key, value| {
        [names::MANAGED_BY, names::AWS_CONFIG_LABEL, names::CREATED_FROM].contains(&key) && is_short(value, LABEL_VALUE)
    });
    if let Some(status) = &mut role.status {
        brief(&mut status.conditions);
    }
}

/// Keeps neither labels nor annotations of a grant.
pub(super) fn grant(grant: &mut AwsRoleGrant) {
    bare(&mut grant.metadata);
    grant.metadata.labels = None;
}

/// Keeps neither labels nor annotations of a `DssInstance`.
pub(super) fn instance(instance: &mut DssInstance) {
    bare(&mut instance.metadata);
    instance.metadata.labels = None;
}

/// Keeps neither labels nor annotations of a `DataRobotInstance`.
pub(super) fn data_robot(instance: &mut DataRobotInstance) {
    bare(&mut instance.metadata);
    instance.metadata.labels = None;
}

/// Keeps the labels of a namespace, because grants select namespaces by any label.
pub(super) fn namespace(namespace: &mut PartialObjectMeta<Namespace>) {
    bare(&mut namespace.metadata);
}

/// Keeps the label by which the owner of a Secret offers it.
pub(super) fn source(secret: &mut PartialObjectMeta<Secret>) {
    bare(&mut secret.metadata);
    retain(&mut secret.metadata.labels, |key, _| key == names::SOURCE);
}

/// Keeps keyturn's own labels and annotations of a Secret that carries keyturn's label, and those
/// that `spec.target` may ask for. Of the latter it keeps all or none.
pub(super) fn secret(secret: &mut PartialObjectMeta<Secret>) {
    let annotations = secret.metadata.annotations.take();
    bare(&mut secret.metadata);
    secret.metadata.annotations = annotations;
    let metadata = &mut secret.metadata;
    retain(&mut metadata.labels, |key, value| !is_reserved(key, OWN_LABELS) && is_short(value, LABEL_VALUE));
    retain(&mut metadata.annotations, |key, value| {
        let is_own = is_own_annotation(key);
        let most = match key {
            names::PROFILES => PROFILES,
            _ if is_own => OWN_VALUE,
            _ => ASKED_VALUE,
        };
        (is_own || !is_reserved(key, &[])) && is_short(value, most)
    });
    let is_own = |key: &str| OWN_LABELS.contains(&key);
    if size(metadata.labels.as_ref(), is_own) + size(metadata.annotations.as_ref(), is_own_annotation) > FOREIGN {
        retain(&mut metadata.labels, |key, _| is_own(key));
        retain(&mut metadata.annotations, |key, _| is_own_annotation(key));
        metadata.annotations.get_or_insert_default().insert(ABRIDGED.to_owned(), String::new());
    }
}

/// Makes the conditions of a status brief, the message of its trouble, which repeats the message of
/// a condition, and the messages of its profiles, which keyturn only compares.
fn brief_status(status: &mut AwsConfigStatus) {
    brief(&mut status.conditions);
    let of_trouble = status.trouble.iter_mut().map(|trouble| &mut trouble.message);
    let of_profiles = status.profiles.iter_mut().flatten().filter_map(|profile| profile.message.as_mut());
    for message in of_trouble.chain(of_profiles).filter(|message| message.len() > MESSAGE) {
        *message = digest_of(message);
    }
}

/// Whether a view, which keeps `before` of an object, shows these conditions already, but for their
/// times.
#[must_use]
pub fn shows(before: &[Condition], after: &[Condition]) -> bool {
    let mut after = after.to_vec();
    brief(&mut after);
    same_ignoring_times(before, &after)
}

/// Whether a view, which keeps `before` of a config, shows this status already, but for the times
/// of its conditions.
#[must_use]
pub fn shows_status(before: &AwsConfigStatus, after: &AwsConfigStatus) -> bool {
    let mut after = after.clone();
    brief_status(&mut after);
    let same_conditions = same_ignoring_times(&before.conditions, &after.conditions);
    after.conditions.clone_from(&before.conditions);
    same_conditions && after == *before
}

fn digest_of(message: &str) -> String {
    format!("sha256:{}", Digest::default().with(message).full())
}

/// Replaces each long message that keyturn only compares by its digest. Three conditions of an
/// `AwsConfig` may repeat a role of 640 characters. A brief message stays as it is.
fn brief(conditions: &mut [Condition]) {
    let is_compared = |condition: &Condition| COMPARED.iter().any(|type_| type_.as_str() == condition.type_);
    for condition in conditions {
        if condition.message.len() > MESSAGE && is_compared(condition) {
            condition.message = digest_of(&condition.message);
        }
    }
}

/// Whether a Secret that a view shows has labels and annotations that the view does not keep, and
/// that `spec.target` may ask for.
#[must_use]
pub fn is_abridged(shown: &ObjectMeta) -> bool {
    shown.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(ABRIDGED))
}

/// Keyturn's own labels of a Secret that it fills.
const OWN_LABELS: &[&str] = &[names::MANAGED_BY, names::AWS_CONFIG_LABEL];

fn is_own_annotation(key: &str) -> bool {
    names::ANNOTATIONS.iter().any(|own| own.name == key)
}

/// Whether a key is one that `spec.target` may not name, and is not one of `own`.
fn is_reserved(key: &str, own: &[&str]) -> bool {
    names::is_reserved(key) && !own.contains(&key)
}

fn is_short(text: &str, most: usize) -> bool {
    text.len() <= most || text.chars().nth(most).is_none()
}

/// The bytes of all entries, apart from keyturn's own.
fn size(map: Option<&BTreeMap<String, String>>, is_own: impl Fn(&str) -> bool) -> usize {
    let foreign = map.into_iter().flatten().filter(|(key, _)| !is_own(key));
    foreign.map(|(key, value)| key.len() + value.len()).sum()
}

/// Removes what keyturn reads of no object: managed fields, annotations, and all owners that are
/// neither the controller nor an `AwsConfig`. Finalizers stay, because keyturn writes the whole
/// list of them.
fn bare(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    metadata.annotations = None;
    metadata.self_link = None;
    metadata.generate_name = None;
    let Some(owners) = &mut metadata.owner_references else { return };
    let kind = AwsConfig::kind(&());
    owners.retain(|owner| owner.controller == Some(true) || owner.kind == kind);
    // The controller is the first, because there is only one and keyturn needs it most.
    owners.sort_by_key(|owner| owner.controller != Some(true));
    owners.truncate(OWNERS);
    owners.iter_mut().for_each(shorten);
    owners.shrink_to_fit();
}

fn shorten(owner: &mut OwnerReference) {
    for text in [&mut owner.name, &mut owner.uid, &mut owner.kind, &mut owner.api_version] {
        if let Some((end, _)) = text.char_indices().nth(OWNER_NAME) {
            text.truncate(end);
            text.shrink_to_fit();
        }
    }
}

fn retain(map: &mut Option<BTreeMap<String, String>>, keep: impl Fn(&str, &str) -> bool) {
    if let Some(map) = map {
        map.retain(|key, value| keep(key, value));
    }
}

#[cfg(test)]
mod sizes;
#[cfg(test)]
mod tests;

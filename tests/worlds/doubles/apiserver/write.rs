//! Writing: the effect of a create, replace, patch or delete.
//!
//! Every write ends in [`Writing::finish`], which restores the fields that only the server may set,
//! counts generations, and refuses changes of an immutable Secret. If nothing would change, it
//! leaves the object alone: there is no new version and no event.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::apply::{apply, merge};
use super::failure::Failure;
use super::ownership::{Operation, Owner, Ownership, after_update, leaves, managed_fields, same};
use super::resource::Target;
use super::store::{Store, Stored, has_finalizers, same_content, seconds, text};

/// The fields that only the server may set.
const OF_THE_SERVER: [&str; 8] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// One write by one manager.
pub(super) struct Writing<'a> {
    pub(super) store: &'a mut Store,
    pub(super) target: &'a Target,
    pub(super) manager: String,
    pub(super) now: Timestamp,
    /// Checks everything and changes nothing.
    pub(super) dry_run: bool,
    /// The write of a test, not of a client: spec and status in one step.
    pub(super) is_admin: bool,
}

type Written = Result<Arc<Value>, Failure>;

impl Writing<'_> {
    pub(super) fn create(&mut self, mut body: Value) -> Written {
        self.check_body(&mut body, Failure::bad_request)?;
        let target = self.target;
        if self.live().is_some() {
            return Err(Failure::already_exists(target));
        }
        if !text(&body, "resourceVersion").is_empty() && !self.is_admin {
            return Err(Failure::internal("resourceVersion should not be set on objects to be created"));
        }
        self.check_namespace()?;
        self.finish(None, body, None)
    }

    pub(super) fn replace(&mut self, mut body: Value) -> Written {
        self.check_body(&mut body, Failure::bad_request)?;
        let claim = &body["metadata"];
        let Some(live) = self.live() else {
            if !self.target.kind.is_made_by_a_replace() {
                return Err(Failure::not_found(self.target));
            }
            self.check_absent(claim)?;
            return self.create(body);
        };
        self.check_version(&live.object, claim)?;
        let uid = text(&live.object, "uid");
        if let Some(claimed) = self.other_uid(&uid, claim) {
            let why = format!("Precondition failed: UID in precondition: {claimed}, UID in object meta: {uid}");
            return Err(Failure::conflict(self.target, &why));
        }
        let takes_any = self.target.kind.replaces_any_version() || self.is_admin;
        if text(&body, "resourceVersion").is_empty() && !takes_any {
            let why = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
            return Err(Failure::invalid(self.target, why));
        }
        self.finish(Some(&live), body, None)
    }

    pub(super) fn merge(&mut self, patch: &Value) -> Written {
        let live = self.existing()?;
        self.check_version(&live.object, &patch["metadata"])?;
        self.check_uid(&live.object, &patch["metadata"])?;
        let mut next = Value::clone(&live.object);
        merge(&mut next, patch);
        self.check_body(&mut next, Failure::bad_request)?;
        self.finish(Some(&live), next, None)
    }

    pub(super) fn apply(&mut self, mut body: Value, force: bool) -> Written {
        if !body["metadata"]["managedFields"].is_null() {
            return Err(Failure::new(400, "metadata.managedFields must be nil"));
        }
        if self.manager.is_empty() {
            let why = "fieldManager: Required value: is required for apply patch";
            let message = format!("PatchOptions.meta.k8s.io \"\" is invalid: {why}");
            return Err(Failure::new(422, message));
        }
        if !text(&body, "generateName").is_empty() {
            return Err(Failure::new(400, "metadata.generateName must be nil"));
        }
        let claim = body["metadata"].clone();
        self.check_body(&mut body, Failure::internal)?;
        let live = self.live();
        match &live {
            Some(live) => {
                self.check_version(&live.object, &claim)?;
                self.check_uid(&live.object, &claim)?;
            }
            None if !self.target.subresource.is_empty() => {
                return Err(Failure::not_found(self.target));
            }
            None => {
                if let Some(uid) = claim["uid"].as_str() {
                    let why = format!(
                        "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                    );
                    return Err(Failure::conflict(self.target, &why));
                }
                self.check_namespace()?;
            }
        }

        let kind = &self.target.kind;
        let mut applied = leaves(kind, &body);
        if kind.status {
            let is_status = !self.target.subresource.is_empty();
            applied.retain(|path, _| path[0].is_field("status") == is_status);
        }
        let owner = self.owner(Operation::Apply);
        let mut nothing = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.kind,
            "metadata": { "name": self.target.name },
        });
        if kind.namespaced {
            nothing["metadata"]["namespace"] = json!(self.target.namespace);
        }
        let (base, ownership) = match &live {
            Some(live) => (Value::clone(&live.object), live.ownership.clone()),
            None => (nothing, Ownership::new()),
        };
        let version = kind.api_version();
        let (next, ownership) = apply(&base, &ownership, &owner, &applied, force, &version, self.now)?;
        self.finish(live.as_ref(), next, Some(ownership))
    }

    /// The object as it is if finalizers keep it, or as it was; and whether it is gone.
    pub(super) fn delete(&mut self, options: &Value) -> Result<(Arc<Value>, bool), Failure> {
        let live = self.existing()?;
        let target = self.target;
        for (field, name, since) in
            [("uid", "UID", "deleted and then recreated"), ("resourceVersion", "ResourceVersion", "modified")]
        {
            let (there, claimed) = (text(&live.object, field), options["preconditions"][field].as_str());
            if let Some(claimed) = claimed.filter(|claimed| *claimed != there) {
                let why = format!(
                    "the {name} in the precondition ({claimed}) does not match the {name} in record ({there}). The \
                     object might have been {since}"
                );
                return Err(Failure::precondition(target, &why));
            }
        }
        let (id, namespace, name) = (target.kind.id(), &target.namespace, &target.name);
        let is_gone = !self.dry_run && self.store.delete(&id, namespace, name, self.now);
        Ok((self.live().map_or(live.object, |live| live.object), is_gone))
    }

    fn live(&self) -> Option<Stored> {
        let (kind, namespace) = (self.target.kind.id(), &self.target.namespace);
        self.store.get(&kind, namespace, &self.target.name).cloned()
    }

    fn existing(&self) -> Result<Stored, Failure> {
        self.live().ok_or_else(|| Failure::not_found(self.target))
    }

    fn owner(&self, operation: Operation) -> Owner {
        Owner { manager: self.manager.clone(), operation, subresource: self.target.subresource.clone() }
    }

    /// The body is about the object that the path names; nulls and `stringData` are resolved.
    /// `unreadable` is the refusal of data that cannot be decoded.
    fn check_body(&self, body: &mut Value, unreadable: impl Fn(String) -> Failure) -> Result<(), Failure> {
        let target = self.target;
        if body["kind"] != target.kind.kind || body["apiVersion"] != target.kind.api_version() {
            return Err(Failure::new(
                400,
                format!("{} {} in the body is not {}", body["apiVersion"], body["kind"], target.kind.kind),
            ));
        }
        drop_nulls(body);
        if target.kind.id() == "secrets" {
            self.resolve_data(body, unreadable)?;
        }
        let metadata = &mut body["metadata"];
        for (field, expected) in [("name", &target.name), ("namespace", &target.namespace)] {
            match metadata[field].as_str() {
                Some(said) if said == expected => {}
                Some(_) if field == "namespace" => {
                    let why = "the namespace of the provided object does not match the namespace sent on the request";
                    return Err(Failure::new(400, why));
                }
                Some(said) => {
                    let why = format!(
                        "the {field} of the object ({said}) does not match the {field} on the URL ({expected})"
                    );
                    return Err(Failure::new(400, why));
                }
                None if expected.is_empty() => {}
                None => metadata[field] = json!(expected),
            }
        }
        drop_nulls(body);
        drop_empty(&mut body["metadata"], &["labels", "annotations", "ownerReferences", "finalizers"]);
        Ok(())
    }

    /// `stringData` goes into `data`, whose values are base64 and whose keys can be names of files.
    fn resolve_data(&self, secret: &mut Value, unreadable: impl Fn(String) -> Failure) -> Result<(), Failure> {
        let fields = secret.as_object_mut().expect("checked to be an object");
        let texts = fields.remove("stringData");
        for (key, text) in texts.as_ref().and_then(Value::as_object).into_iter().flatten() {
            let bytes = ByteString(text.as_str().unwrap_or_default().into());
            secret["data"][key] = serde_json::to_value(bytes).expect("bytes can be written");
        }
        for (key, value) in secret["data"].as_object().into_iter().flatten() {
            if serde_json::from_value::<ByteString>(value.clone()).is_err() {
                let why = "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 0";
                return Err(unreadable(why.to_owned()));
            }
            if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                let why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
                let why = format!("data[{key}]: Invalid value: \"{key}\": {why}");
                return Err(Failure::invalid(self.target, &why));
            }
        }
        drop_nulls(secret);
        drop_empty(secret, &["data"]);
        Ok(())
    }

    fn check_namespace(&self) -> Result<(), Failure> {
        let namespace = &self.target.namespace;
        let exists = self.store.get("namespaces", "", namespace).is_some();
        if namespace.is_empty() || exists || self.is_admin {
            return Ok(());
        }
        Err(Failure::no_namespace(namespace))
    }

    /// The uid that the writer names, if it is not this one.
    fn other_uid<'a>(&self, uid: &str, claim: &'a Value) -> Option<&'a str> {
        let claimed = claim["uid"].as_str().filter(|claimed| *claimed != uid);
        claimed.filter(|_| !self.is_admin)
    }

    /// A patch that names another uid would change it.
    fn check_uid(&self, live: &Value, claim: &Value) -> Result<(), Failure> {
        let Some(claimed) = self.other_uid(&text(live, "uid"), claim) else {
            return Ok(());
        };
        let why = format!("metadata.uid: Invalid value: \"{claimed}\": field is immutable");
        Err(Failure::invalid(self.target, &why))
    }

    fn check_version(&self, live: &Value, claim: &Value) -> Result<(), Failure> {
        if self.is_admin {
            return Ok(());
        }
        let version = text(live, "resourceVersion");
        let mut claimed = claim["resourceVersion"].as_str().into_iter();
        if claimed.any(|claimed| !claimed.is_empty() && claimed != version) {
            let why = "the object has been modified; please apply your changes to the latest \
                       version and try again";
            return Err(Failure::conflict(self.target, why));
        }
        Ok(())
    }

    /// A replace that names a uid or a version means an object that exists.
    fn check_absent(&self, claim: &Value) -> Result<(), Failure> {
        if let Some(uid) = claim["uid"].as_str() {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: ");
            return Err(Failure::conflict(self.target, &why));
        }
        if claim["resourceVersion"].is_string() {
            return Err(Failure::conflict(self.target, "the object does not exist"));
        }
        Ok(())
    }

    fn finish(&mut self, live: Option<&Stored>, mut next: Value, applied: Option<Ownership>) -> Written {
        let kind = Arc::clone(&self.target.kind);
        let before = live.map_or(&Value::Null, |live| &live.object);
        self.settle_status(before, &mut next);
        self.settle_metadata(before, &mut next);
        self.check_finalizers(before, &next)?;
        if kind.id() == "secrets" {
            self.check_secret(before, &mut next)?;
        }

        let former = live.map(|live| live.ownership.clone()).unwrap_or_default();
        let ownership = applied.unwrap_or_else(|| {
            let owner = self.owner(Operation::Update);
            let (before, after) = (leaves(&kind, before), leaves(&kind, &next));
            after_update(former.clone(), &owner, &before, &after, self.now)
        });
        // Nobody owns what the server fills in.
        if next["status"].is_null()
            && let Some(first) = &kind.first_status
        {
            next["status"] = first.clone();
        }
        if let Some(live) = live
            && same_content(&live.object, &next)
            && same(&former, &ownership)
        {
            return Ok(Arc::clone(&live.object));
        }
        next["metadata"]["managedFields"] = managed_fields(&kind, &ownership);
        if self.dry_run {
            return Ok(Arc::new(next));
        }
        if !next["metadata"]["deletionTimestamp"].is_null() && !has_finalizers(&next) {
            // The removal of the last finalizer is the end of the object, and no change of it.
            self.store.remove(&kind.id(), &self.target.namespace, &self.target.name, self.now);
            return Ok(Arc::new(next));
        }
        let written = self.store.put(&kind.id(), next, ownership);
        if self.store.is_orphan(&written) {
            self.store.collect_garbage(self.now);
        }
        Ok(written)
    }

    /// The status changes by its own endpoint only, and that endpoint changes nothing else.
    fn settle_status(&self, before: &Value, next: &mut Value) {
        if !self.target.kind.status || self.is_admin {
            return;
        }
        let status = if self.target.subresource.is_empty() {
            before["status"].clone()
        } else {
            let status = next["status"].clone();
            *next = before.clone();
            status
        };
        next["status"] = status;
        if before.is_null() && self.target.kind.id() == "pods" {
            next["status"] = json!({ "phase": "Pending" });
        }
        drop_nulls(next);
    }

    fn check_finalizers(&self, before: &Value, next: &Value) -> Result<(), Failure> {
        if before["metadata"]["deletionTimestamp"].is_null() {
            return Ok(());
        }
        let finalizers = |object: &Value| object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        let (before, mut new) = (finalizers(before), finalizers(next));
        new.retain(|finalizer| !before.contains(finalizer));
        if new.is_empty() {
            return Ok(());
        }
        let new: Vec<String> = new.iter().map(Value::to_string).collect();
        let why = format!(
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
             finalizers []string{{{}}}",
            new.join(", ")
        );
        Err(Failure::invalid(self.target, &why))
    }

    fn settle_metadata(&mut self, before: &Value, next: &mut Value) {
        for field in OF_THE_SERVER {
            next["metadata"][field] = before["metadata"][field].clone();
        }
        let counts = |field: &str| field != "metadata" && field != "status";
        let mut fields = before.as_object().into_iter().chain(next.as_object());
        let is_another = fields.any(|fields| {
            let mut names = fields.keys().filter(|field| counts(field));
            names.any(|name| before.get(name) != next.get(name))
        });
        let metadata = &mut next["metadata"];
        if before.is_null() {
            metadata["uid"] = json!(self.store.next_uid());
            metadata["creationTimestamp"] = seconds(self.now);
            if self.target.kind.custom {
                metadata["generation"] = json!(1);
            }
        } else if let Some(generation) = before["metadata"]["generation"].as_i64()
            && is_another
        {
            next["metadata"]["generation"] = json!(generation + 1);
        }
        drop_nulls(next);
    }

    fn check_secret(&self, before: &Value, next: &mut Value) -> Result<(), Failure> {
        if next["type"].is_null() {
            next["type"] = json!("Opaque");
        }
        if before.is_null() {
            return Ok(());
        }
        if before["type"] != next["type"] {
            let why = format!("type: Invalid value: {}: field is immutable", next["type"]);
            return Err(Failure::invalid(self.target, &why));
        }
        let changes = [("immutable", next["immutable"] != true), ("data", before["data"] != next["data"])];
        let changed = changes.into_iter().find_map(|(field, changes)| changes.then_some(field));
        if before["immutable"] == true
            && let Some(field) = changed
        {
            let why = format!("{field}: Forbidden: field is immutable when `immutable` is set");
            return Err(Failure::invalid(self.target, &why));
        }
        Ok(())
    }
}

/// The server treats a missing field and a null field alike.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Of these fields the server keeps none that is empty.
fn drop_empty(object: &mut Value, fields: &[&str]) {
    let is_empty = |value: &Value| value == &json!({}) || value == &json!([]);
    if let Some(object) = object.as_object_mut() {
        object.retain(|field, value| !(fields.contains(&field.as_str()) && is_empty(value)));
    }
}

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
        self.check_body(&mut body)?;
        let target = self.target;
        if self.live().is_some() {
            return Err(Failure::already_exists(target));
        }
        if !text(&body, "resourceVersion").is_empty() && !self.is_admin {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(Failure::new(400, why));
        }
        self.check_namespace()?;
        self.finish(None, body, None)
    }

    pub(super) fn replace(&mut self, mut body: Value) -> Written {
        self.check_body(&mut body)?;
        let live = self.existing()?;
        self.check_preconditions(&live.object, &body["metadata"])?;
        if self.target.kind.custom && text(&body, "resourceVersion").is_empty() && !self.is_admin {
            let why = "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update";
            return Err(Failure::invalid(self.target, why));
        }
        self.finish(Some(&live), body, None)
    }

    pub(super) fn merge(&mut self, patch: &Value) -> Written {
        let live = self.existing()?;
        self.check_preconditions(&live.object, &patch["metadata"])?;
        let mut next = Value::clone(&live.object);
        merge(&mut next, patch);
        self.check_body(&mut next)?;
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
        self.check_body(&mut body)?;
        let live = self.live();
        match &live {
            Some(live) => self.check_preconditions(&live.object, &claim)?,
            None if !self.target.subresource.is_empty() => {
                return Err(Failure::not_found(self.target));
            }
            None => {
                self.check_absent(&claim)?;
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
        let (next, ownership) = apply(&base, &ownership, &owner, &applied, force, self.now)
            .map_err(|conflicts| Failure::new(409, conflicts))?;
        self.finish(live.as_ref(), next, Some(ownership))
    }

    /// Returns the object if finalizers keep it, or nothing.
    pub(super) fn delete(&mut self, options: &Value) -> Result<Option<Arc<Value>>, Failure> {
        let live = self.existing()?;
        self.check_preconditions(&live.object, &options["preconditions"])?;
        let target = self.target;
        let (id, namespace, name) = (target.kind.id(), &target.namespace, &target.name);
        let is_gone = !self.dry_run && self.store.delete(&id, namespace, name, self.now);
        Ok((!is_gone).then(|| self.live().map_or(live.object, |live| live.object)))
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
    fn check_body(&self, body: &mut Value) -> Result<(), Failure> {
        let target = self.target;
        if body["kind"] != target.kind.kind || body["apiVersion"] != target.kind.api_version() {
            return Err(Failure::new(
                400,
                format!("{} {} in the body is not {}", body["apiVersion"], body["kind"], target.kind.kind),
            ));
        }
        drop_nulls(body);
        if target.kind.id() == "secrets" {
            resolve_string_data(body);
        }
        let metadata = &mut body["metadata"];
        for (field, expected) in [("name", &target.name), ("namespace", &target.namespace)] {
            match metadata[field].as_str() {
                Some(said) if said == expected => {}
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
        Ok(())
    }

    fn check_namespace(&self) -> Result<(), Failure> {
        let namespace = &self.target.namespace;
        let exists = self.store.get("namespaces", "", namespace).is_some();
        if namespace.is_empty() || exists || self.is_admin {
            return Ok(());
        }
        let message = format!("namespaces \"{namespace}\" not found");
        Err(Failure::new(404, message))
    }

    fn check_preconditions(&self, live: &Value, claim: &Value) -> Result<(), Failure> {
        if self.is_admin {
            return Ok(());
        }
        let (uid, version) = (text(live, "uid"), text(live, "resourceVersion"));
        if let Some(claimed) = claim["uid"].as_str().filter(|claimed| *claimed != uid) {
            let why = format!("Precondition failed: UID in precondition: {claimed}, UID in object meta: {uid}");
            return Err(Failure::conflict(self.target, &why));
        }
        let mut claimed = claim["resourceVersion"].as_str().into_iter();
        if claimed.any(|claimed| !claimed.is_empty() && claimed != version) {
            let why = "the object has been modified; please apply your changes to the latest \
                       version and try again";
            return Err(Failure::conflict(self.target, why));
        }
        Ok(())
    }

    /// A body with a uid or a version is about an existing object.
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
        if kind.id() == "secrets" {
            self.check_secret(before, &mut next)?;
        }

        let former = live.map(|live| live.ownership.clone()).unwrap_or_default();
        let ownership = applied.unwrap_or_else(|| {
            let owner = self.owner(Operation::Update);
            let (before, after) = (leaves(&kind, before), leaves(&kind, &next));
            after_update(former.clone(), &owner, &before, &after, self.now)
        });
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
        let written = self.store.put(&kind.id(), next, ownership);
        let metadata = &written["metadata"];
        if !metadata["deletionTimestamp"].is_null() && !has_finalizers(&written) {
            let (namespace, name) = (text(&written, "namespace"), text(&written, "name"));
            self.store.remove(&kind.id(), &namespace, &name, self.now);
        } else if self.store.is_orphan(&written) {
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
        drop_nulls(next);
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
            let why = "type: Invalid value: field is immutable";
            return Err(Failure::invalid(self.target, why));
        }
        let is_immutable = before["immutable"] == true;
        let changes = before["data"] != next["data"] || next["immutable"] != true;
        if is_immutable && changes {
            let why = "data: Forbidden: field is immutable when `immutable` is set";
            return Err(Failure::invalid(self.target, why));
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

/// `stringData` goes into `data`, in base64.
fn resolve_string_data(secret: &mut Value) {
    let fields = secret.as_object_mut().expect("checked to be an object");
    let Some(Value::Object(texts)) = fields.remove("stringData") else {
        return;
    };
    for (key, text) in texts {
        let bytes = ByteString(text.as_str().unwrap_or_default().into());
        secret["data"][&key] = serde_json::to_value(bytes).expect("bytes can be written");
    }
}

//! The test as a user: objects written, changed, read and deleted behind the operator's back.
//!
//! None of it is logged as a request, and no fault applies to it. Resource versions, generations,
//! watch events, finalizers and garbage collection are those of any other write. Resources are
//! named by plural, kind, or `plural.group`; cluster-scoped ones have the namespace `""`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ApiServer;
use super::resource::Target;
use super::store::{kind_of, text};
use super::write::Writing;

/// The field manager of a test's writes.
const MANAGER: &str = "test-user";

impl ApiServer {
    /// Creates a namespace, or gives it these labels.
    pub fn namespace(&self, name: &str, labels: &[(&str, &str)]) -> Value {
        let mut all = json!({ "kubernetes.io/metadata.name": name });
        for &(label, value) in labels {
            all[label] = json!(value);
        }
        self.put(json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": name, "labels": all },
        }))
    }

    /// Creates an object, or replaces the one of that name. The new object has its own status, if
    /// it has one, and nothing of the former object. A missing namespace is created.
    pub fn put(&self, object: Value) -> Value {
        let kind = kind_of(&self.kinds(), &object);
        let kind = kind.unwrap_or_else(|| panic!("no such resource: {object}"));
        let mut namespace = text(&object, "namespace");
        if kind.namespaced && namespace.is_empty() {
            "default".clone_into(&mut namespace);
        }
        if kind.namespaced && self.get("namespaces", "", &namespace).is_none() {
            self.namespace(&namespace, &[]);
        }
        let name = text(&object, "name");
        let exists = self.get(&kind.id(), &namespace, &name).is_some();
        self.write(
            &kind.id(),
            &namespace,
            &name,
            |writing| {
                if exists { writing.replace(object) } else { writing.create(object) }
            },
        )
    }

    /// The object, if it exists.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.stored(resource, namespace, name).map(|object| Value::clone(&object))
    }

    /// The same without a copy. Each write stores another value.
    pub fn stored(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let id = self.kind(resource).id();
        let state = self.lock();
        state.store.get(&id, namespace, name).map(|stored| stored.object.clone())
    }

    /// All objects of a resource, by namespace and name.
    pub fn list(&self, resource: &str) -> Vec<Value> {
        let id = self.kind(resource).id();
        let state = self.lock();
        state.store.list(&id).map(|object| Value::clone(object)).collect()
    }

    /// Changes an object in any way: spec, status, labels. It must exist.
    pub fn edit(&self, resource: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut object =
            self.get(resource, namespace, name).unwrap_or_else(|| panic!("no {resource} {namespace}/{name} to edit"));
        change(&mut object);
        self.write(resource, namespace, name, |writing| writing.replace(object))
    }

    /// Deletes an object, as a user would: finalizers keep it. Returns whether it existed.
    pub fn delete(&self, resource: &str, namespace: &str, name: &str) -> bool {
        if self.get(resource, namespace, name).is_none() {
            return false;
        }
        let id = self.kind(resource).id();
        let now = self.server_time();
        self.lock().store.delete(&id, namespace, name, now);
        self.tell();
        true
    }

    /// Deletes an object and creates it again with the same content: another uid, no status.
    pub fn recreate(&self, resource: &str, namespace: &str, name: &str) -> Value {
        let mut object = self
            .get(resource, namespace, name)
            .unwrap_or_else(|| panic!("no {resource} {namespace}/{name} to recreate"));
        self.delete(resource, namespace, name);
        object["status"] = Value::Null;
        self.put(object)
    }

    /// The version of the last change of any object. If it is the same before and after, nothing at
    /// all was written.
    pub fn version(&self) -> u64 {
        self.lock().store.version()
    }

    fn write(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        write: impl FnOnce(&mut Writing<'_>) -> Result<Arc<Value>, super::Failure>,
    ) -> Value {
        let target = Target {
            kind: self.kind(resource),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
        };
        let now = self.server_time();
        let mut state = self.lock();
        let written = write(&mut Writing {
            store: &mut state.store,
            target: &target,
            manager: MANAGER.to_owned(),
            now,
            dry_run: false,
            is_admin: true,
        });
        drop(state);
        self.tell();
        match written {
            Ok(object) => Value::clone(&object),
            Err(failure) => panic!("the API server refuses what the test writes: {failure:?}"),
        }
    }
}

//! The owners of fields: the bookkeeping behind server-side apply.
//!
//! An object is seen as its leaves: the path to each value, with the value. A list is a leaf as a
//! whole, except lists that are merged by key and finalizers, which are a set. Each writer owns the
//! leaves that it applied or last changed. `managedFields` is a rendering of this.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::resource::ResourceKind;

/// One step from an object towards a leaf.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// A field of a map.
    Field(String),
    /// The item of a list that has these keys, as JSON.
    Keys(String),
    /// The item of a set, as JSON.
    Item(String),
}

impl Step {
    pub(super) fn is_field(&self, name: &str) -> bool {
        matches!(self, Self::Field(field) if field == name)
    }
}

/// The way from an object to a leaf.
pub(super) type Path = Vec<Step>;

/// The leaves of an object.
pub(super) type Leaves<'a> = BTreeMap<Path, &'a Value>;

/// The way in which a manager writes: by applying, or in any other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// An owner of fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) subresource: String,
}

impl Owner {
    /// How a conflict names it.
    pub(super) fn named(&self, api_version: &str) -> String {
        let mut named = format!("\"{}\"", self.manager);
        if !self.subresource.is_empty() {
            named += &format!(" with subresource \"{}\"", self.subresource);
        }
        if self.operation == Operation::Update {
            named += &format!(" using {api_version}");
        }
        named
    }
}

/// The fields of an owner.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub(super) paths: BTreeSet<Path>,
    pub(super) since: Timestamp,
}

/// The owners of an object's fields.
pub(super) type Ownership = BTreeMap<Owner, Owned>;

/// The fields that the server sets by itself, so that nobody owns them.
const OF_THE_SERVER: [&str; 10] = [
    "name",
    "namespace",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
];

/// The leaves of an object that can have an owner.
pub(super) fn leaves<'a>(kind: &ResourceKind, object: &'a Value) -> Leaves<'a> {
    let mut leaves = Leaves::new();
    let mut path = Path::new();
    for (field, value) in object.as_object().into_iter().flatten() {
        path.push(Step::Field(field.clone()));
        match (field.as_str(), value.as_object()) {
            ("apiVersion" | "kind", _) => {}
            ("metadata", Some(metadata)) => {
                for (field, value) in metadata.iter().filter(|(field, _)| !OF_THE_SERVER.contains(&field.as_str())) {
                    descend(kind, &mut path, Step::Field(field.clone()), value, &mut leaves);
                }
            }
            _ => gather(kind, &mut path, value, &mut leaves),
        }
        path.pop();
    }
    leaves
}

fn descend<'a>(kind: &ResourceKind, path: &mut Path, step: Step, value: &'a Value, leaves: &mut Leaves<'a>) {
    path.push(step);
    gather(kind, path, value, leaves);
    path.pop();
}

fn gather<'a>(kind: &ResourceKind, path: &mut Path, value: &'a Value, leaves: &mut Leaves<'a>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (field, value) in fields {
                descend(kind, path, Step::Field(field.clone()), value, leaves);
            }
        }
        Value::Array(items) if is_list(path, "metadata.finalizers") => {
            for item in items {
                descend(kind, path, Step::Item(item.to_string()), item, leaves);
            }
        }
        Value::Array(items) => {
            let keys = kind.list_keys(|list| is_list(path, list));
            let Some(keys) = keys.filter(|_| !items.is_empty()) else {
                leaves.insert(path.clone(), value);
                return;
            };
            for item in items {
                let of_item: Map<String, Value> = keys.iter().map(|key| (key.clone(), item[key].clone())).collect();
                descend(kind, path, Step::Keys(Value::Object(of_item).to_string()), item, leaves);
            }
        }
        leaf => {
            leaves.insert(path.clone(), leaf);
        }
    }
}

/// Whether this is the way to that list of an object. Below the items of a list, lists are atomic
/// whatever their name.
fn is_list(path: &Path, list: &str) -> bool {
    list.split('.').count() == path.len() && list.split('.').zip(path).all(|(field, step)| step.is_field(field))
}

/// The value at a path.
pub(super) fn lookup<'a>(object: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, step| match step {
        Step::Field(field) => value.get(field),
        item => value.as_array()?.iter().find(|value| is_item(value, item)),
    })
}

/// Sets the value at a path, and makes the maps and lists on the way.
pub(super) fn set(object: &mut Value, path: &[Step], leaf: &Value) {
    let Some((step, rest)) = path.split_first() else {
        let keeps_what_is_in_it =
            (leaf == &json!({}) && object.is_object()) || (leaf == &json!([]) && object.is_array());
        if !keeps_what_is_in_it {
            *object = leaf.clone();
        }
        return;
    };
    if let Step::Field(field) = step {
        if !object.is_object() {
            *object = json!({});
        }
        let fields = object.as_object_mut().expect("a map");
        set(fields.entry(field).or_insert(Value::Null), rest, leaf);
        return;
    }
    if !object.is_array() {
        *object = json!([]);
    }
    let items = object.as_array_mut().expect("a list");
    let position = items.iter().position(|item| is_item(item, step));
    let position = position.unwrap_or_else(|| {
        let (Step::Keys(new) | Step::Item(new) | Step::Field(new)) = step;
        items.push(serde_json::from_str(new).expect("JSON that we wrote"));
        items.len() - 1
    });
    set(&mut items[position], rest, leaf);
}

/// Removes the value at a path, and the maps and lists that are empty then.
pub(super) fn remove(object: &mut Value, path: &[Step]) {
    let Some((step, rest)) = path.split_first() else {
        return;
    };
    match (step, object) {
        (Step::Field(field), Value::Object(fields)) => {
            let Some(value) = fields.get_mut(field) else {
                return;
            };
            remove(value, rest);
            if rest.is_empty() || is_empty(value) {
                fields.remove(field);
            }
        }
        (item, Value::Array(items)) => {
            let Some(position) = items.iter().position(|value| is_item(value, item)) else {
                return;
            };
            remove(&mut items[position], rest);
            if rest.is_empty() || is_empty(&items[position]) {
                items.remove(position);
            }
        }
        _ => {}
    }
}

fn is_item(value: &Value, step: &Step) -> bool {
    match step {
        Step::Field(_) => false,
        Step::Item(item) => serde_json::from_str(item).is_ok_and(|item: Value| item == *value),
        Step::Keys(keys) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).expect("JSON that we wrote");
            keys.iter().all(|(key, expected)| &value[key] == expected)
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// Ownership after `owner` turned `before` into `after` in any way but applying. It owns what it
/// changed, and removed fields have no owner.
pub(super) fn after_update(
    mut ownership: Ownership,
    owner: &Owner,
    before: &Leaves<'_>,
    after: &Leaves<'_>,
    now: Timestamp,
) -> Ownership {
    let changed: BTreeSet<Path> =
        after.iter().filter(|(path, value)| before.get(*path) != Some(value)).map(|(path, _)| path.clone()).collect();
    for owned in ownership.values_mut() {
        let keeps = |path: &Path| after.contains_key(path) && !changed.contains(path);
        owned.paths.retain(keeps);
    }
    if !changed.is_empty() {
        let nothing = Owned { paths: BTreeSet::new(), since: now };
        let own = ownership.entry(owner.clone()).or_insert(nothing);
        own.paths.extend(changed);
        own.since = now;
    }
    ownership.retain(|_, owned| !owned.paths.is_empty());
    ownership
}

/// Whether both are equal except for their times.
pub(super) fn same(one: &Ownership, other: &Ownership) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|((owner, owned), (other_owner, other_owned))| {
            owner == other_owner && owned.paths == other_owned.paths
        })
}

/// `metadata.managedFields`.
pub(super) fn managed_fields(kind: &ResourceKind, ownership: &Ownership) -> Value {
    let entries = ownership.iter().map(|(owner, owned)| {
        let mut fields = json!({});
        for path in &owned.paths {
            let mut at = &mut fields;
            for step in path {
                let name = match step {
                    Step::Field(field) => format!("f:{field}"),
                    Step::Keys(keys) => format!("k:{keys}"),
                    Step::Item(item) => format!("v:{item}"),
                };
                let map = at.as_object_mut().expect("a map");
                at = map.entry(name).or_insert_with(|| json!({}));
            }
        }
        let mut entry = json!({
            "manager": owner.manager,
            "operation": format!("{:?}", owner.operation),
            "apiVersion": kind.api_version(),
            "time": super::store::seconds(owned.since),
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        });
        if !owner.subresource.is_empty() {
            entry["subresource"] = json!(owner.subresource);
        }
        entry
    });
    entries.collect()
}

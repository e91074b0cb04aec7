//! Server-side apply: the effect of an applied configuration on an object.
//!
//! The applier sends everything that it wants. Fields that it applied before and no longer sends
//! are removed, unless another manager owns them too. Fields of other managers stay. If the applier
//! disagrees with another owner, it needs `force`, which takes the field over.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::failure::Failure;
use super::ownership::{Leaves, Owned, Owner, Ownership, Path, Step, lookup, remove, set};

/// The object after an apply, or the conflicts that stand in the way.
pub(super) fn apply(
    live: &Value,
    ownership: &Ownership,
    owner: &Owner,
    applied: &Leaves<'_>,
    force: bool,
    api_version: &str,
    now: Timestamp,
) -> Result<(Value, Ownership), Failure> {
    let contested = |other: &Owner, path: &Path| {
        let fields = ownership.get(other);
        fields.is_some_and(|fields| fields.paths.contains(path))
            && lookup(live, path).is_some_and(|value| Some(&value) != applied.get(path))
    };
    let others: Vec<&Owner> = ownership.keys().filter(|other| *other != owner).collect();
    let mut conflicts = Vec::new();
    for other in &others {
        for path in applied.keys().filter(|path| contested(other, path)) {
            conflicts.push((other.named(api_version), dotted(path)));
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(Failure::conflicts(&conflicts));
    }

    let mut next = live.clone();
    let mut ownership_next = ownership.clone();
    for other in others {
        let fields = ownership_next.get_mut(other).expect("it was there");
        fields.paths.retain(|path| !(applied.contains_key(path) && contested(other, path)));
    }
    let before = ownership_next.remove(owner);
    let is_others = |path: &Path| ownership_next.values().any(|owned| owned.paths.contains(path));
    for path in before.iter().flat_map(|owned| &owned.paths) {
        let is_above = applied.keys().any(|applied| applied.starts_with(path));
        if !is_above && !is_others(path) {
            remove(&mut next, path);
        }
    }
    for (path, value) in applied {
        set(&mut next, path, value);
    }

    let paths: BTreeSet<Path> = applied.keys().cloned().collect();
    let unchanged = before.filter(|before| before.paths == paths && next == *live);
    let since = unchanged.map_or(now, |before| before.since);
    ownership_next.insert(owner.clone(), Owned { paths, since });
    ownership_next.retain(|_, owned| !owned.paths.is_empty());
    Ok((next, ownership_next))
}

/// A JSON merge patch (RFC 7386): maps are merged, `null` removes, and everything else replaces.
pub(super) fn merge(object: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    let fields = object.as_object_mut().expect("a map");
    for (field, value) in patch {
        if value.is_null() {
            fields.remove(field);
        } else {
            merge(fields.entry(field).or_insert(Value::Null), value);
        }
    }
}

fn dotted(path: &Path) -> String {
    let steps = path.iter().map(|step| match step {
        Step::Field(field) => format!(".{field}"),
        Step::Keys(keys) => format!("[{keys}]"),
        Step::Item(item) => format!("[{item}]"),
    });
    steps.collect()
}

//! Label selectors: users write them into `AwsConfig`s, cluster admins into grants.

use super::promise;
use crate::api::{LabelSelector, Operator};
use serde::Deserialize;
use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Asked {
    selector: LabelSelector,
    #[serde(default)]
    labels: Labels,
}

/// A selector, its query at the API server and the labels by which it is found mean the same.
///
/// # Errors
/// The promise that the selector breaks.
pub(super) fn a_selector_means_the_same_everywhere(data: &[u8]) -> Result<(), String> {
    let Ok(Asked { selector, labels }) = serde_json::from_slice(data) else { return Ok(()) };
    let matches = selector.matches(&labels);
    promise(matches == is_matched(&selector, &labels), || format!("{selector:?} on {labels:?} is {matches}"))?;
    let needs = selector.needs_one_of();
    let has_one = needs.iter().any(|(key, value)| labels.get(*key).is_some_and(|it| it == value));
    promise(!matches || needs.is_empty() || has_one, || format!("{selector:?} matches without {needs:?}"))?;
    promise(!selector.is_empty() || matches, || "an empty selector matches not everything".to_owned())?;
    let Ok(query) = selector.query() else { return Ok(()) };
    let in_query = answer(&query, &labels)?;
    promise(in_query == matches, || format!("{selector:?} is {matches} on {labels:?}, and its query {query} is not"))
}

/// The definition in the documentation of Kubernetes, in words of its own: an object is refused if
/// a label differs, or if one requirement is not met.
fn is_matched(selector: &LabelSelector, labels: &Labels) -> bool {
    for (key, value) in &selector.match_labels {
        if labels.get(key).map(String::as_str) != Some(value.as_str()) {
            return false;
        }
    }
    for requirement in &selector.match_expressions {
        let mut is_listed = false;
        if let Some(value) = labels.get(&requirement.key) {
            for listed in requirement.values.iter() {
                is_listed |= listed == value;
            }
        }
        let is_met = match requirement.operator {
            Operator::In => is_listed,
            Operator::NotIn => !is_listed,
            Operator::Exists => labels.contains_key(&requirement.key),
            Operator::DoesNotExist => !labels.contains_key(&requirement.key),
        };
        if !is_met {
            return false;
        }
    }
    true
}

/// The API server's answer to a query on these labels ("Labels and Selectors" in the documentation
/// of Kubernetes: equality-based and set-based requirements).
fn answer(query: &str, labels: &Labels) -> Result<bool, String> {
    let mut rest = query;
    while !rest.is_empty() {
        let set = rest.find(" in (").map(|at| (at, true)).into_iter();
        let set = set.chain(rest.find(" notin (").map(|at| (at, false))).min();
        let comma = rest.find(',').unwrap_or(rest.len());
        let (is_met, end) = match set.filter(|(at, _)| *at < comma) {
            Some((at, is_in)) => {
                let key = &rest[..at];
                let open = at + rest[at..].find('(').ok_or("a set without a parenthesis")? + 1;
                let close = open + rest[open..].find(')').ok_or("a set without an end")?;
                let is_listed = labels.get(key).is_some_and(|it| rest[open..close].split(',').any(|one| one == it));
                (is_listed == is_in, close + 1)
            }
            None => (is_plain_met(&rest[..comma], labels), comma),
        };
        if !is_met {
            return Ok(false);
        }
        rest = rest[end..].strip_prefix(',').unwrap_or(&rest[end..]);
    }
    Ok(true)
}

fn is_plain_met(requirement: &str, labels: &Labels) -> bool {
    match (requirement.strip_prefix('!'), requirement.split_once('=')) {
        (Some(absent), _) => !labels.contains_key(absent),
        (None, Some((key, value))) => labels.get(key).is_some_and(|it| it == value),
        (None, None) => labels.contains_key(requirement),
    }
}

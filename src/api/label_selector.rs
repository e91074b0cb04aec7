//! Label selectors, as everywhere in Kubernetes.

use super::Texts;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A label selector, as everywhere in Kubernetes, with limits on its size.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels and values that an object has to have, all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16), with = "BTreeMap<String, LabelValue>")]
    #[x_kube(validation = Rule::new("self.all(k, size(k) <= 317)").message("a label's key has at most 317 characters"))]
    pub match_labels: BTreeMap<String, String>,

    /// Requirements that an object has to meet, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub match_expressions: Vec<LabelRequirement>,
}

impl LabelSelector {
    /// Whether the selector has no requirement. An empty selector matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// Whether the selector matches an object with these labels. An empty selector matches
    /// everything.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let label_matches = |(key, value): (&String, &String)| labels.get(key) == Some(value);
        self.match_labels.iter().all(label_matches)
            && self.match_expressions.iter().all(|requirement| {
                let value = labels.get(&requirement.key);
                let listed = value.is_some_and(|value| requirement.values.contains(value));
                match requirement.operator {
                    Operator::In => listed,
                    Operator::NotIn => !listed,
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }

    /// Labels as (key, value) pairs. Every object that the selector matches has at least one of
    /// them. The list is empty if the selector matches objects without a particular value. An index
    /// finds the selectors for an object by these pairs.
    #[must_use]
    pub fn needs_one_of(&self) -> Vec<(&str, &str)> {
        if let Some((key, value)) = self.match_labels.first_key_value() {
            return vec![(key, value)];
        }
        let listed = self.match_expressions.iter().find(|requirement| requirement.operator == Operator::In);
        let pairs = listed.into_iter().flat_map(|listed| listed.values.iter().map(|value| (&*listed.key, value)));
        pairs.collect()
    }

    /// The selector as a query for the API server (the parameter `labelSelector`).
    ///
    /// # Errors
    /// A sentence for the user if the API server would refuse the query.
    pub fn query(&self) -> Result<String, String> {
        let mut parts = Vec::new();
        for (label, value) in &self.match_labels {
            parts.push(format!("{}={}", key(label)?, plain(value)?));
        }
        for LabelRequirement { key: label, operator, values } in &self.match_expressions {
            let label = key(label)?;
            let values = values.iter().map(plain).collect::<Result<Vec<_>, _>>()?.join(",");
            parts.push(match operator {
                Operator::In | Operator::NotIn if values.is_empty() => {
                    return Err(format!("the label selector names no values for \"{label}\""));
                }
                Operator::In => format!("{label} in ({values})"),
                Operator::NotIn => format!("{label} notin ({values})"),
                Operator::Exists => label.to_owned(),
                Operator::DoesNotExist => format!("!{label}"),
            });
        }
        Ok(parts.join(","))
    }
}

/// The label's key, if it is valid: an optional prefix and a slash, then a name.
///
/// # Errors
/// A sentence that quotes an invalid key.
fn key(label: &str) -> Result<&str, String> {
    let (prefix, name) = label.split_once('/').unwrap_or(("x", label));
    if is_word(prefix) && is_word(name) { Ok(label) } else { Err(format!("\"{label}\" is no key of a label")) }
}

/// The label's value, if it is valid.
///
/// # Errors
/// A sentence that quotes an invalid value.
fn plain(value: &str) -> Result<&str, String> {
    if value.is_empty() || is_word(value) { Ok(value) } else { Err(format!("\"{value}\" is no value of a label")) }
}

fn is_word(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(ends) && text.ends_with(ends) && text.chars().all(|c| ends(c) || "-_.".contains(c))
}

/// The value of a label, with the limit of the schema.
#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "for the schema only")]
struct LabelValue(#[schemars(length(max = 63))] String);

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LabelRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// The relation between the label's value and `values`.
    pub operator: Operator,
    /// The values to compare with. At least one for In and NotIn, none for Exists and DoesNotExist.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    #[schemars(with = "Vec<String>", length(max = 32), inner(length(max = 63)))]
    pub values: Texts,
}

/// The relation between a label's value and the values of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The label exists and has one of the values.
    In,
    /// The label has none of the values, or does not exist.
    NotIn,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{
        collection::{btree_map, vec},
        prelude::*,
        sample::select,
    };
    use serde_json::json;

    #[test]
    fn a_selector_becomes_a_query_of_the_api_server() {
        let selector: LabelSelector = serde_json::from_value(json!({
            "matchLabels": {"dataiku.com/dku-apideployer-service-id": "fraud", "empty": ""},
            "matchExpressions": [
                {"key": "a", "operator": "In", "values": ["x", "y"]}, {"key": "b", "operator": "NotIn", "values": ["z"]},
                {"key": "c", "operator": "Exists"}, {"key": "d", "operator": "DoesNotExist"},
            ],
        }))
        .unwrap();
        let query = "dataiku.com/dku-apideployer-service-id=fraud,empty=,a in (x,y),b notin (z),c,!d";
        assert_eq!(selector.query().as_deref(), Ok(query));
    }

    /// Few keys and values, because labels and selectors should often meet.
    fn few_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
        btree_map("[ab]", "[xy]", 0..3)
    }

    fn requirement() -> impl Strategy<Value = LabelRequirement> {
        let operator = select(vec![Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist]);
        let parts = ("[ab]", operator, vec("[xy]", 0..3));
        parts.prop_map(|(key, operator, values)| LabelRequirement {
            key,
            operator,
            values: values.into_iter().collect(),
        })
    }

    proptest! {
        #[test]
        fn every_match_has_a_label_that_the_selector_needs(
            match_labels in few_labels(), match_expressions in vec(requirement(), 0..3), labels in few_labels(),
        ) {
            let selector = LabelSelector { match_labels, match_expressions };
            let needs = selector.needs_one_of();
            let has = |(key, value): &(&str, &str)| labels.get(*key).is_some_and(|it| it == value);
            prop_assert!(!selector.matches(&labels) || needs.is_empty() || needs.iter().any(has), "{needs:?}");
        }
    }

    #[test]
    fn a_selector_needs_its_named_values_but_no_bare_key() {
        let needs = |selector: serde_json::Value| {
            let selector: LabelSelector = serde_json::from_value(selector).unwrap();
            selector.needs_one_of().into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
        };
        let is_in = json!({"key": "a", "operator": "In", "values": ["x", "y"]});
        let exists = json!({"key": "b", "operator": "Exists"});
        assert_eq!(needs(json!({"matchLabels": {"c": "z"}, "matchExpressions": [is_in]})), ["c=z"]);
        assert_eq!(needs(json!({"matchExpressions": [exists, is_in]})), ["a=x", "a=y"]);
        assert_eq!(needs(json!({"matchExpressions": [exists]})), [""; 0]);
    }

    #[test]
    fn invalid_labels_are_refused_in_queries() {
        let labels = |labels: serde_json::Value| serde_json::from_value(json!({"matchLabels": labels})).unwrap();
        for selector in [
            labels(json!({"a": "x,b=y"})),
            labels(json!({"a=b,c": "x"})),
            labels(json!({"a/b/c": "x"})),
            labels(json!({"a": "-"})),
            serde_json::from_value(json!({"matchExpressions": [{"key": "a", "operator": "In"}]})).unwrap(),
        ] {
            let selector: LabelSelector = selector;
            assert!(selector.query().is_err(), "{selector:?}");
        }
    }
}

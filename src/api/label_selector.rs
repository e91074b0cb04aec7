//! Labels that something has to have, as everywhere in Kubernetes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A label selector, as everywhere in Kubernetes, with bounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must all be there with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32), with = "BTreeMap<String, LabelValue>")]
    pub match_labels: BTreeMap<String, String>,

    /// Requirements that must all be met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub match_expressions: Vec<LabelRequirement>,
}

impl LabelSelector {
    /// Whether it asks for nothing, so that it matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// Whether something with these labels is meant. An empty selector means everything.
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

    /// Labels, by key and value, of which whatever it matches has at least one; none if it may match without. By these
    /// a selector is found for something with labels, among many.
    #[must_use]
    pub fn needs_one_of(&self) -> Vec<(&str, &str)> {
        if let Some((key, value)) = self.match_labels.first_key_value() {
            return vec![(key, value)];
        }
        let listed = self.match_expressions.iter().find(|requirement| requirement.operator == Operator::In);
        let pairs = listed.into_iter().flat_map(|listed| listed.values.iter().map(|value| (&*listed.key, &**value)));
        pairs.collect()
    }

    /// The same as a query, for the API server to select by.
    ///
    /// # Errors
    /// With a sentence if it is none that the API server would take.
    pub fn query(&self) -> Result<String, String> {
        let mut parts = Vec::new();
        for (label, value) in &self.match_labels {
            parts.push(format!("{}={}", key(label)?, plain(value)?));
        }
        for LabelRequirement { key: label, operator, values } in &self.match_expressions {
            let label = key(label)?;
            let values = values.iter().map(|value| plain(value)).collect::<Result<Vec<_>, _>>()?.join(",");
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

/// A label's key, if it is one: at most one slash, and words.
fn key(label: &str) -> Result<&str, String> {
    let (prefix, name) = label.split_once('/').unwrap_or(("x", label));
    if is_word(prefix) && is_word(name) { Ok(label) } else { Err(format!("\"{label}\" is no key of a label")) }
}

/// A label's value, if it is one.
fn plain(value: &str) -> Result<&str, String> {
    if value.is_empty() || is_word(value) { Ok(value) } else { Err(format!("\"{value}\" is no value of a label")) }
}

fn is_word(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(ends) && text.ends_with(ends) && text.chars().all(|c| ends(c) || "-_.".contains(c))
}

/// The value of a label, as the schema bounds it.
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
    /// How the label's value relates to `values`.
    pub operator: Operator,
    /// Values; for In and NotIn at least one, for Exists and DoesNotExist none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a label's value relates to the values of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The label is there with one of the values.
    In,
    /// The label is not there with one of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
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
    fn a_selector_is_a_query_of_the_api_server_s() {
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

    /// Of few keys and values, so that they meet.
    fn few_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
        btree_map("[ab]", "[xy]", 0..3)
    }

    fn requirement() -> impl Strategy<Value = LabelRequirement> {
        let operator = select(vec![Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist]);
        let parts = ("[ab]", operator, vec("[xy]", 0..3));
        parts.prop_map(|(key, operator, values)| LabelRequirement { key, operator, values })
    }

    proptest! {
        #[test]
        fn whatever_matches_has_a_label_that_the_selector_needs(
            match_labels in few_labels(), match_expressions in vec(requirement(), 0..3), labels in few_labels(),
        ) {
            let selector = LabelSelector { match_labels, match_expressions };
            let needs = selector.needs_one_of();
            let has = |(key, value): &(&str, &str)| labels.get(*key).is_some_and(|it| it == value);
            prop_assert!(!selector.matches(&labels) || needs.is_empty() || needs.iter().any(has), "{needs:?}");
        }
    }

    #[test]
    fn a_selector_needs_what_it_names_and_nothing_if_it_only_says_what_is_there_or_not() {
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
    fn what_is_no_label_gets_into_no_query() {
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

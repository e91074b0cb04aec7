//! The namespaces of a shard, chosen by their labels: the text form, the match, and the proof that
//! two selectors have no namespace in common.

use crate::api::{LabelRequirement, LabelSelector, Operator, Texts};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

/// The label that the API server sets on every namespace to the name of the namespace (Kubernetes,
/// "Well-Known Labels, Annotations and Taints").
pub const NAME: &str = "kubernetes.io/metadata.name";

/// Requirements on the labels of a namespace, all of which it has to meet. Without any, every
/// namespace is chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamespaceSelector(LabelSelector);

impl NamespaceSelector {
    /// The selector of the namespaces with these names. Without names, it chooses every namespace.
    #[must_use]
    pub fn named(names: &[String]) -> Self {
        let requirement =
            LabelRequirement { key: NAME.to_owned(), operator: Operator::In, values: names.iter().collect() };
        let match_expressions = if names.is_empty() { vec![] } else { vec![requirement] };
        Self(LabelSelector { match_expressions, ..LabelSelector::default() })
    }

    /// Whether every namespace is chosen.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a namespace with these labels is chosen.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.matches(labels)
    }

    /// Whether no set of labels meets both selectors. The labels of a namespace are independent of
    /// each other, therefore this is so if the requirements of both on one label exclude each
    /// other.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        let of = |selector: &Self| selector.0.match_expressions.clone();
        !is_satisfiable(&[of(self), of(other)].concat())
    }
}

/// Whether labels exist that meet all requirements.
fn is_satisfiable(requirements: &[LabelRequirement]) -> bool {
    let mut by_key: BTreeMap<&str, Vec<&LabelRequirement>> = BTreeMap::new();
    for requirement in requirements {
        by_key.entry(&requirement.key).or_default().push(requirement);
    }
    by_key.iter().all(|(key, requirements)| {
        let has = |operators: &[Operator]| requirements.iter().any(|it| operators.contains(&it.operator));
        // The API server sets the label with the name on every namespace.
        let may_lack = *key != NAME && !has(&[Operator::In, Operator::Exists]);
        may_lack || (!has(&[Operator::DoesNotExist]) && may_have(requirements))
    })
}

/// Whether a label has a value that meets all requirements with values. Without a list of allowed
/// values, there are more values than any list excludes.
fn may_have(requirements: &[&LabelRequirement]) -> bool {
    let of = |operator| requirements.iter().filter(move |it| it.operator == operator);
    let Some(first) = of(Operator::In).next() else { return true };
    let is_allowed = |value: &str| of(Operator::In).all(|it| it.values.contains(value));
    let is_excluded = |value: &str| of(Operator::NotIn).any(|it| it.values.contains(value));
    first.values.iter().any(|value| is_allowed(value) && !is_excluded(value))
}

impl fmt::Display for NamespaceSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A selector that was parsed is valid, and names of namespaces are valid values.
        f.write_str(&self.0.query().unwrap_or_default())
    }
}

impl FromStr for NamespaceSelector {
    type Err = String;

    /// Reads the usual text form: `key`, `!key`, `key=value`, `key==value`, `key!=value`,
    /// `key in (a,b)` and `key notin (a,b)`, separated by commas. An empty text chooses every
    /// namespace.
    ///
    /// # Errors
    /// A sentence that quotes what is no requirement, or says that no namespace can meet all.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = split(text);
        let requirements = match parts.as_slice() {
            [only] if only.trim().is_empty() => vec![],
            parts => parts.iter().map(|part| requirement(part)).collect::<Result<Vec<_>, _>>()?,
        };
        if !is_satisfiable(&requirements) {
            return Err("no namespace can meet all requirements".to_owned());
        }
        let selector = LabelSelector { match_expressions: requirements, ..LabelSelector::default() };
        selector.query()?;
        Ok(Self(selector))
    }
}

/// The requirements of a text: commas within parentheses separate values.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

fn requirement(text: &str) -> Result<LabelRequirement, String> {
    let text = text.trim();
    let of = |key: &str, operator, values: Texts| LabelRequirement { key: key.trim().to_owned(), operator, values };
    let one = |value: &str| [value.trim()].into_iter().collect::<Texts>();
    let no = || format!("\"{text}\" is no requirement on a label");
    if let Some(key) = text.strip_prefix('!') {
        return Ok(of(key, Operator::DoesNotExist, Texts::default()));
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Ok(of(key, Operator::NotIn, one(value)));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(of(key, Operator::In, one(value)));
    }
    let Some((key, set)) = text.split_once(char::is_whitespace) else {
        return if text.is_empty() { Err(no()) } else { Ok(of(text, Operator::Exists, Texts::default())) };
    };
    let (operator, list) = match set.trim_start() {
        set if set.starts_with("notin") => (Operator::NotIn, &set["notin".len()..]),
        set if set.starts_with("in") => (Operator::In, &set["in".len()..]),
        _ => return Err(no()),
    };
    let list = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')')).ok_or_else(no)?;
    let values: BTreeSet<&str> = list.split(',').map(str::trim).collect();
    Ok(of(key, operator, values.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::select};

    fn read(text: &str) -> NamespaceSelector {
        text.parse().unwrap()
    }

    #[test]
    fn the_text_form_of_a_selector_is_read_and_written() {
        for (text, written) in [
            ("", ""),
            ("  ", ""),
            ("team", "team"),
            ("!team", "!team"),
            ("team=a", "team in (a)"),
            ("team==a", "team in (a)"),
            ("team != a", "team notin (a)"),
            ("team in (b, a,b)", "team in (a,b)"),
            ("example.com/team notin(a),!x , y", "example.com/team notin (a),!x,y"),
        ] {
            assert_eq!(read(text).to_string(), written, "{text}");
            assert_eq!(read(written), read(text), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_selector_is_refused() {
        for (text, part) in [
            ("a,,b", "\"\" is no requirement"),
            (",", "is no requirement"),
            ("a b", "\"a b\" is no requirement"),
            ("a in b", "\"a in b\" is no requirement"),
            ("a in (b", "\"a in (b\" is no requirement"),
            ("a/b/c", "is no key of a label"),
            ("a=b c", "\"b c\" is no value of a label"),
            ("=b", "is no key of a label"),
            ("team=", "names no values"),
            ("a=b,a=c", "no namespace can meet"),
            ("a,!a", "no namespace can meet"),
            ("!kubernetes.io/metadata.name", "no namespace can meet"),
        ] {
            let refused = text.parse::<NamespaceSelector>().unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
    }

    #[test]
    fn selectors_exclude_each_other_if_one_label_cannot_meet_both() {
        for (one, other, excluded) in [
            ("", "", false),
            ("", "team=a", false),
            ("team=a", "team=b", true),
            ("team=a", "team in (a,b)", false),
            ("team in (a,b)", "team in (c,d)", true),
            ("team in (a,b)", "team notin (a,b)", true),
            ("team in (a,b)", "team notin (a)", false),
            ("team in (a,b)", "team!=a,team!=b", true),
            ("team", "!team", true),
            ("team=a", "!team", true),
            ("team=a", "team", false),
            ("team!=a", "!team", false),
            ("team!=a", "team!=b", false),
            ("team=a", "zone=b", false),
            ("team=a,zone=x", "team=a,zone=y", true),
            ("team=a,zone=x", "zone=x", false),
            ("kubernetes.io/metadata.name in (a,b)", "kubernetes.io/metadata.name=c", true),
            ("kubernetes.io/metadata.name in (a,b)", "team=c", false),
            ("kubernetes.io/metadata.name in (a,b)", "team=c,kubernetes.io/metadata.name notin (a,b)", true),
        ] {
            assert_eq!(read(one).excludes(&read(other)), excluded, "{one} / {other}");
            assert_eq!(read(other).excludes(&read(one)), excluded, "{other} / {one}");
        }
    }

    #[test]
    fn names_of_namespaces_are_a_selector_by_their_label() {
        let of =
            |names: &[&str]| NamespaceSelector::named(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["a", "b"]), read("kubernetes.io/metadata.name in (a,b)"));
        assert!(of(&[]).is_everything() && !of(&["a"]).is_everything());
        assert!(of(&["a", "b"]).excludes(&of(&["c"])) && !of(&["a", "b"]).excludes(&of(&["b"])));
    }

    /// A few requirements on two labels with two values, because they should often meet.
    fn few() -> impl Strategy<Value = Vec<LabelRequirement>> {
        let operator = select(vec![Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist]);
        let one = ("[ab]", operator, vec("[xyz]", 1..3));
        let one = one.prop_map(|(key, operator, values)| LabelRequirement {
            key,
            operator,
            values: if matches!(operator, Operator::In | Operator::NotIn) {
                values.iter().collect()
            } else {
                Texts::default()
            },
        });
        vec(one, 0..3)
    }

    proptest! {
        #[test]
        fn selectors_exclude_each_other_exactly_if_no_labels_meet_both(one in few(), other in few()) {
            let of = |requirements: &[LabelRequirement]| NamespaceSelector(LabelSelector {
                match_expressions: requirements.to_vec(), ..LabelSelector::default()
            });
            let (one, other) = (of(&one), of(&other));
            // "w" stands for every value that no requirement names.
            let values = [None, Some("w"), Some("x"), Some("y"), Some("z")];
            let all = values.iter().flat_map(|a| values.iter().map(move |b| (a, b)));
            let meets_both = all.filter(|(a, b)| {
                let labels = [("a", a), ("b", b)].into_iter();
                let labels = labels.filter_map(|(key, value)| Some((key.to_owned(), value.as_ref()?.to_string()))).collect();
                one.matches(&labels) && other.matches(&labels)
            });
            prop_assert_eq!(one.excludes(&other), meets_both.count() == 0);
        }
    }
}

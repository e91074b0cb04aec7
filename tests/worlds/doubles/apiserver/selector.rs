//! Label and field selectors, in the text forms that clients send.
//!
//! Labels: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, joined by commas.
//! Fields: `path=value` and `path!=value` over the object itself, for the paths that the kind
//! offers.

use serde_json::Value;

use super::resource::ResourceKind;

/// Which objects a list or watch is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    namespace: Option<String>,
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Selector {
    /// `namespace` empty: all.
    pub(super) fn new(namespace: &str, labels: &str, fields: &str) -> Self {
        Self {
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            labels: requirements(labels),
            fields: requirements(fields),
        }
    }

    /// Whether it has no requirement but the namespace.
    pub(super) fn is_of_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// A field that objects of this kind cannot be selected by.
    pub(super) fn unsupported(&self, kind: &ResourceKind) -> Option<&str> {
        let is_known = |field: &str| {
            matches!(field, "metadata.name" | "metadata.namespace")
                || kind.selectable.iter().any(|known| known == field)
        };
        self.fields.iter().map(|required| required.key.as_str()).find(|field| !is_known(field))
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let here = self.namespace.as_deref();
        here.is_none_or(|namespace| metadata["namespace"] == namespace)
            && self.labels.iter().all(|required| {
                let label = metadata["labels"].get(&required.key);
                required.holds(label.and_then(Value::as_str))
            })
            && self.fields.iter().all(|required| {
                let pointer = format!("/{}", required.key.replace('.', "/"));
                let field = object.pointer(&pointer).and_then(Value::as_str);
                // For a field, absent and empty are the same.
                required.holds(Some(field.unwrap_or_default()))
            })
    }
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        let is_in = |values: &[String]| value.is_some_and(|value| values.iter().any(|v| v == value));
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::In(values) => is_in(values),
            Test::NotIn(values) => !is_in(values),
        }
    }
}

fn requirements(text: &str) -> Vec<Requirement> {
    let mut depth = 0_i32;
    let parts = text.split(move |character| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        character == ',' && depth == 0
    });
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    parts.map(requirement).collect()
}

fn requirement(text: &str) -> Requirement {
    let list = |values: &str| {
        let values = values.trim().trim_start_matches('(').trim_end_matches(')');
        values.split(',').map(|value| value.trim().to_owned()).collect()
    };
    let (key, required) = if let Some((key, values)) = text.split_once(" notin ") {
        (key, Test::NotIn(list(values)))
    } else if let Some((key, values)) = text.split_once(" in ") {
        (key, Test::In(list(values)))
    } else if let Some((key, value)) = text.split_once("!=") {
        (key, Test::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = text.split_once('=') {
        let value = value.trim_start_matches('=').trim().to_owned();
        (key, Test::In(vec![value]))
    } else if let Some(key) = text.strip_prefix('!') {
        (key, Test::Absent)
    } else {
        (text, Test::Exists)
    };
    Requirement { key: key.trim().to_owned(), test: required }
}

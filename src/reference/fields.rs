//! The fields and rules of a schema, in words.

use super::text::code;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

/// A field, as the reference shows it. Except for the path, the texts are Markdown or become
/// Markdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// The path of the field: `.` before a name, `[]` after a list, `*` for any key of a map.
    pub(super) path: String,
    /// The type and its limits.
    pub(super) type_: String,
    /// The value of a field that is left out, or `required`.
    pub(super) default: Option<String>,
    /// The doc comment without its sentence about the default.
    pub(super) meaning: String,
}

/// A validation rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// The path of the schema that holds the rule.
    pub(super) path: String,
    /// The message of the API server.
    pub(super) message: String,
    /// The rule in CEL.
    pub(super) cel: String,
}

/// Every field below a schema. The fields of a condition are left out, because they are the same
/// everywhere and stand in a table of their own.
pub(super) fn fields_of(schema: &JSONSchemaProps) -> Vec<Field> {
    let mut fields = vec![];
    walk(schema, "", &mut |path, schema, is_required| {
        fields.extend((!path.ends_with(['*', ']'])).then(|| field(path, schema, is_required)));
        !is_list_of_conditions(schema)
    });
    fields
}

/// The fields of a condition.
pub(super) fn fields_of_a_condition(crds: &[CustomResourceDefinition]) -> Vec<Field> {
    let mut fields = vec![];
    for schema in crds.iter().flat_map(schemas) {
        walk(schema, "", &mut |_, schema, _| {
            let condition = is_list_of_conditions(schema).then(|| item(schema)).flatten();
            if let Some(condition) = condition {
                fields = fields_of(condition);
            }
            true
        });
    }
    fields
}

/// Every rule of a schema and of the schemas below it.
pub(super) fn rules_of(schema: &JSONSchemaProps) -> Vec<Rule> {
    let mut rules = vec![];
    let mut collect = |path: &str, schema: &JSONSchemaProps| {
        for rule in schema.x_kubernetes_validations.iter().flatten() {
            let message = rule.message.clone().unwrap_or_default();
            rules.push(Rule { path: path.to_owned(), message, cel: rule.rule.clone() });
        }
    };
    collect("", schema);
    walk(schema, "", &mut |path, schema, _| {
        collect(path, schema);
        true
    });
    rules
}

fn schemas(crd: &CustomResourceDefinition) -> impl Iterator<Item = &JSONSchemaProps> {
    let schemas = crd.spec.versions.iter().filter_map(|version| version.schema.as_ref());
    schemas.filter_map(|schema| schema.open_api_v3_schema.as_ref())
}

/// Visits every schema below this one, with its path and whether it is required. The visitor
/// returns whether the walk continues below the visited schema.
fn walk(schema: &JSONSchemaProps, path: &str, visit: &mut dyn FnMut(&str, &JSONSchemaProps, bool) -> bool) {
    let mut step = |path: &str, below: &JSONSchemaProps, is_required| {
        if visit(path, below, is_required) {
            walk(below, path, visit);
        }
    };
    let dot = if path.is_empty() { "" } else { "." };
    for (name, property) in schema.properties.iter().flatten() {
        let is_required = schema.required.as_ref().is_some_and(|required| required.contains(name));
        step(&format!("{path}{dot}{name}"), property, is_required);
    }
    if let Some(item) = item(schema) {
        step(&format!("{path}[]"), item, false);
    }
    if let Some(value) = value(schema) {
        step(&format!("{path}{dot}*"), value, false);
    }
}

/// The schema of the items of a list.
fn item(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(item) => Some(item),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

/// The schema of the values of a map.
fn value(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.additional_properties.as_ref()? {
        JSONSchemaPropsOrBool::Schema(value) => Some(value),
        JSONSchemaPropsOrBool::Bool(_) => None,
    }
}

fn is_list_of_conditions(schema: &JSONSchemaProps) -> bool {
    let has = |name| item(schema).and_then(|item| item.properties.as_ref()?.get(name)).is_some();
    has("lastTransitionTime") && has("reason")
}

// ---- In words -----------------------------------------------------------------------------------

fn field(path: &str, schema: &JSONSchemaProps, is_required: bool) -> Field {
    let (meaning, said) = without_default(schema.description.as_deref().unwrap_or_default());
    let stated = schema.default.as_ref().map(|default| shown(&default.0));
    let default = if is_required { Some("required".to_owned()) } else { said.or(stated) };
    Field { path: path.to_owned(), type_: type_of(schema), default, meaning }
}

/// A description without its sentence `Default: ….`, and the text of that sentence.
fn without_default(description: &str) -> (String, Option<String>) {
    const MARK: &str = "Default: ";
    let text = description.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((before, from)) = text.split_once(MARK) else { return (text, None) };
    let (said, after) = from.split_once(". ").unwrap_or((from.trim_end_matches('.'), ""));
    (format!("{before}{after}").trim().to_owned(), Some(said.to_owned()))
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => code(text),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => code(&other.to_string()),
    }
}

fn type_of(schema: &JSONSchemaProps) -> String {
    if let Some(values) = &schema.enum_ {
        let values: Vec<String> = values.iter().map(|value| shown(&value.0)).collect();
        return match &values[..] {
            [some @ .., last] if !some.is_empty() => format!("{} or {last}", some.join(", ")),
            _ => values.concat(),
        };
    }
    match schema.type_.as_deref().unwrap_or_default() {
        "string" if schema.format.as_deref() == Some("date-time") => "time, RFC 3339".to_owned(),
        "string" => with_pattern("text", range(schema.min_length, schema.max_length, "characters"), schema),
        "boolean" => "`true` or `false`".to_owned(),
        "integer" => "whole number".to_owned(),
        "array" if is_list_of_conditions(schema) => {
            with("list of [conditions](#conditions)", range(schema.min_items, schema.max_items, ""))
        }
        "array" => {
            let list = with("list", range(schema.min_items, schema.max_items, ""));
            let once = if schema.x_kubernetes_list_type.as_deref() == Some("set") { ", no duplicates" } else { "" };
            format!("{list}{once}{}", of_each(item(schema)))
        }
        _ if value(schema).is_some() => {
            let map = with("map", range(schema.min_properties, schema.max_properties, "keys"));
            format!("{map}{}", of_each(value(schema)))
        }
        other => other.to_owned(),
    }
}

fn of_each(schema: Option<&JSONSchemaProps>) -> String {
    schema.map(|schema| format!("; each: {}", type_of(schema))).unwrap_or_default()
}

fn with(what: &str, range: Option<String>) -> String {
    range.map_or(what.to_owned(), |range| format!("{what}, {range}"))
}

fn with_pattern(what: &str, range: Option<String>, schema: &JSONSchemaProps) -> String {
    let text = with(what, range);
    schema.pattern.as_ref().map_or(text.clone(), |pattern| format!("{text}, {}", code(pattern)))
}

fn range(least: Option<i64>, most: Option<i64>, of_what: &str) -> Option<String> {
    let range = match (least, most) {
        (None | Some(0), None) => return None,
        (None | Some(0), Some(most)) => format!("at most {most}"),
        (Some(least), None) => format!("at least {least}"),
        (Some(least), Some(most)) => format!("{least} to {most}"),
    };
    Some(format!("{range} {of_what}").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;
    use serde_json::json;

    fn schema(schema: Value) -> JSONSchemaProps {
        serde_json::from_value(schema).unwrap()
    }

    #[test]
    fn limits_are_said_in_words() {
        let table = [
            (json!({"type": "string"}), "text"),
            (
                json!({"type": "string", "minLength": 2, "maxLength": 7, "pattern": "^a|b$"}),
                "text, 2 to 7 characters, `^a|b$`",
            ),
            (json!({"type": "string", "enum": ["In", "NotIn", "Exists"]}), "`In`, `NotIn` or `Exists`"),
            (
                json!({"type": "array", "maxItems": 3, "x-kubernetes-list-type": "set", "items": {"type": "boolean"}}),
                "list, at most 3, no duplicates; each: `true` or `false`",
            ),
            (
                json!({"type": "object", "maxProperties": 9, "additionalProperties": {"type": "string", "minLength": 1}}),
                "map, at most 9 keys; each: text, at least 1 characters",
            ),
        ];
        for (given, words) in table {
            assert_eq!(type_of(&schema(given)), words);
        }
    }

    #[test]
    fn the_default_is_separated_from_the_meaning() {
        for (text, meaning, default) in [
            ("A name. Default: the name `a.b`. Immutable.", "A name. Immutable.", Some("the name `a.b`")),
            ("A name.\nDefault: both.", "A name.", Some("both")),
            ("A name.", "A name.", None),
        ] {
            assert_eq!(without_default(text), (meaning.to_owned(), default.map(str::to_owned)));
        }
    }

    #[test]
    fn fields_of_lists_and_maps_have_paths_of_their_own() {
        let inner = json!({"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]});
        let schema = schema(json!({"type": "object", "properties": {
            "list": {"type": "array", "items": inner}, "map": {"type": "object", "additionalProperties": inner}}}));
        let fields = fields_of(&schema);
        let paths: Vec<&str> = fields.iter().map(|field| field.path.as_str()).collect();
        assert_eq!(paths, ["list", "list[].b", "map", "map.*.b"]);
        assert_eq!(fields[1].default.as_deref(), Some("required"));
    }

    /// Fails if a schema holds a keyword that the reference does not show.
    #[test]
    fn the_reference_knows_every_keyword_of_the_schemas() {
        let known = [
            "additionalProperties",
            "default",
            "description",
            "enum",
            "format",
            "items",
            "maxItems",
            "maxLength",
            "maxProperties",
            "minItems",
            "minLength",
            "nullable",
            "pattern",
            "properties",
            "required",
            "title",
            "type",
            "x-kubernetes-list-map-keys",
            "x-kubernetes-list-type",
            "x-kubernetes-validations",
        ];
        for crd in api::crds() {
            for root in schemas(&crd) {
                let mut described = 0;
                walk(root, "", &mut |path, below, _| {
                    let Value::Object(below) = serde_json::to_value(below).unwrap() else { panic!("{path}") };
                    for keyword in below.keys() {
                        assert!(known.contains(&keyword.as_str()), "{path}: {keyword} is new to the reference");
                    }
                    let has_name = !path.ends_with(['*', ']']);
                    assert!(!has_name || below.contains_key("description"), "{path} has no description");
                    described += 1;
                    true
                });
                assert!(described > 5);
            }
        }
    }
}

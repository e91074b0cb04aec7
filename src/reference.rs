//! Writes docs/reference.md from the contract. Pure.
//!
//! The page holds what the code holds. `fields` walks the schemas of the custom resource
//! definitions, `text` makes Markdown of its findings, and this module assembles the page.

mod fields;
mod text;

use crate::api::{
    self, ConditionType, Format, PROFILE_KEY, Present, Reason, SECRET_KEYS,
    names::{ANNOTATIONS, CONFIG_NAMES, LABELS, LEASE_NAMES, MOUNT_PATH, Name, OPERATOR_NAMES, POD_NAMES},
};
use fields::{Field, Rule, fields_of, fields_of_a_condition, rules_of};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
    SelectableField,
};
use text::{cell, code, prose, table};

const INTRODUCTION: &str = "\
<!-- Written by `keyturn reference` from src/api. To change it, change the code and run make generate. -->

# Reference

Every field, rule, condition, reason and name that users and admins may rely on. `kubectl explain awsconfig.spec` prints the
same text for each field. [behaviour.md](behaviour.md) describes how these work together, and when keyturn acts.

";

const CONDITIONS: &str = "\
## Conditions

While an object is not ready, `Ready` repeats the reason and message of the first condition that prevents it. A script can
wait with `kubectl wait --for=condition=Ready awsconfig/NAME`.

";

const REASONS: &str = "\
## Reasons

The list is closed, and the same in conditions, Events and metrics. The message beside a reason names the objects and the
action that was tried. `Issued` and `Ready` repeat the reason of `Accepted` if that condition prevents them.

";

const SECRET: &str = "\
## Secret

The keys of the Secret's data, by format (`spec.target.formats`). keyturn does not change any other key.

";

const LABELS_ARE: &str = "\
## Labels

";

const ANNOTATIONS_ARE: &str = "\
## Annotations

On the Secret. They are the authoritative record of the issued credential. The status repeats them.

";

const CONFIG_ANNOTATIONS: &str = "\
On an AwsConfig:

";

const OPERATOR_ANNOTATIONS: &str = "\
On a ConfigMap of keyturn's release:

";

const LEASE: &str = "\
On the Lease of keyturn's leader:

";

const PODS: &str = "\
## Pods

";

/// The whole page, as Markdown.
#[must_use]
pub fn markdown() -> String {
    let crds = api::crds();
    let kinds: Vec<String> = crds.iter().map(|crd| link(&crd.spec.names.kind)).collect();
    let sections = ["Conditions", "Reasons", "Secret", "Labels", "Annotations", "Pods"].map(link);
    let contents = format!("* {}\n* {}\n\n", kinds.join(" · "), sections.join(" · "));
    let mut page = [INTRODUCTION.to_owned(), contents].concat();
    page.extend(crds.iter().map(resource));
    page.extend([conditions(&crds), reasons(), secret()]);
    page.extend([LABELS_ARE, &names("label", LABELS), ANNOTATIONS_ARE, &names("annotation", ANNOTATIONS)]);
    page.extend([CONFIG_ANNOTATIONS, &names("annotation", CONFIG_NAMES)]);
    page.extend([OPERATOR_ANNOTATIONS, &names("annotation", OPERATOR_NAMES)]);
    page.extend([LEASE, &names("label or annotation", LEASE_NAMES)]);
    page.extend([PODS, &names("label or annotation", POD_NAMES)]);
    format!("{}\n", page.trim_end())
}

fn link(title: &str) -> String {
    format!("[{title}](#{})", title.to_lowercase())
}

// ---- Resources ----------------------------------------------------------------------------------

fn resource(crd: &CustomResourceDefinition) -> String {
    let names = &crd.spec.names;
    let versions = crd.spec.versions.iter().filter_map(|version| {
        let schema = version.schema.as_ref()?.open_api_v3_schema.as_ref()?;
        let part = |name| Some(part_of(name, &names.kind, schema.properties.as_ref()?.get(name)?));
        let parts = [
            format!("{}\n\n", prose(schema.description.as_deref().unwrap_or_default())),
            about(crd, version),
            part("spec").unwrap_or_default(),
            part("status").unwrap_or_default(),
            refused(schema, &names.kind),
            columns(version.additional_printer_columns.as_deref().unwrap_or_default(), &names.plural),
            selectors(version.selectable_fields.as_deref().unwrap_or_default()),
        ];
        Some(parts.concat())
    });
    format!("## {}\n\n{}", names.kind, versions.collect::<String>())
}

fn about(crd: &CustomResourceDefinition, version: &CustomResourceDefinitionVersion) -> String {
    let names = &crd.spec.names;
    let mut parts = vec![
        code(&format!("{}/{}", crd.spec.group, version.name)),
        if crd.spec.scope == "Namespaced" { "namespaced" } else { "cluster-scoped" }.to_owned(),
        format!("resource {}", code(&names.plural)),
    ];
    for (what, words) in [("short name", &names.short_names), ("category", &names.categories)] {
        parts.extend(words.iter().flatten().map(|word| format!("{what} {}", code(word))));
    }
    format!("{}.\n\n", parts.join(", "))
}

fn part_of(part: &str, kind: &str, schema: &JSONSchemaProps) -> String {
    let heading = format!("### {} of {kind}\n\n", code(part));
    let described = schema.description.as_deref().unwrap_or_default();
    let fields = fields_of(schema);
    let name = |field: &Field| code(&field.path);
    let table = if part == "spec" {
        let row = |field: &Field| {
            [name(field), field.type_.clone(), field.default.clone().unwrap_or("–".to_owned()), cell(&field.meaning)]
        };
        table(["field", "type and limits", "default", "meaning"], &fields.iter().map(row).collect::<Vec<_>>())
    } else {
        let row = |field: &Field| [name(field), field.type_.clone(), cell(&field.meaning)];
        table(["field", "type and limits", "meaning"], &fields.iter().map(row).collect::<Vec<_>>())
    };
    format!("{heading}{}\n\n{table}", prose(described))
}

fn refused(schema: &JSONSchemaProps, kind: &str) -> String {
    let rules = rules_of(schema);
    if rules.is_empty() {
        return String::new();
    }
    let item = |rule: &Rule| {
        let at = if rule.path.is_empty() { "the object".to_owned() } else { code(&rule.path) };
        format!("* {at}: {}\n\n  {}\n\n", prose(&rule.message), code(&rule.cel))
    };
    format!(
        "### Validation rules of {kind}\n\n\
         The API server refuses an object that violates one of the limits above or one of these rules. Each entry is the\n\
         message of the API server, followed by the rule in CEL.\n\n{}",
        rules.iter().map(item).collect::<String>()
    )
}

fn columns(columns: &[CustomResourceColumnDefinition], plural: &str) -> String {
    let row = |column: &CustomResourceColumnDefinition| {
        let path = column.json_path.trim_start_matches('.');
        let wide = if column.priority.unwrap_or_default() > 0 { "`-o wide`" } else { "always" };
        let meaning = column.description.as_deref().unwrap_or_default();
        [column.name.to_uppercase(), code(path), wide.to_owned(), cell(meaning)]
    };
    let rows: Vec<[String; 4]> = columns.iter().map(row).collect();
    format!("`kubectl get {plural}` shows:\n\n{}", table(["column", "field", "shown", "meaning"], &rows))
}

fn selectors(fields: &[SelectableField]) -> String {
    let paths: Vec<String> = fields.iter().map(|field| code(field.json_path.trim_start_matches('.'))).collect();
    if paths.is_empty() { String::new() } else { format!("`--field-selector` takes {}.\n\n", paths.join(", ")) }
}

// ---- Conditions and reasons ---------------------------------------------------------------------

fn conditions(crds: &[CustomResourceDefinition]) -> String {
    let row = |type_: ConditionType| [code(type_.as_str()), type_.kinds().to_owned(), cell(type_.meaning())];
    let types = table(["condition", "on", "true when"], &ConditionType::ALL.map(row));
    let row = |field: &Field| [code(&field.path), field.type_.clone(), cell(&field.meaning)];
    let fields: Vec<[String; 3]> = fields_of_a_condition(crds).iter().map(row).collect();
    format!(
        "{CONDITIONS}{types}The fields of a condition are the same as everywhere in Kubernetes:\n\n{}",
        table(["field", "type", "meaning"], &fields)
    )
}

fn reasons() -> String {
    let row = |reason: Reason| {
        let conditions: Vec<String> = reason.conditions().iter().map(|type_| code(type_.as_str())).collect();
        let on = if conditions.is_empty() { "Events and metrics only".to_owned() } else { conditions.join(", ") };
        [code(reason.as_str()), on, cell(reason.cause()), cell(reason.remedy())]
    };
    format!("{REASONS}{}", table(["reason", "on", "cause", "remedy"], &Reason::ALL.map(row)))
}

// ---- Names --------------------------------------------------------------------------------------

fn secret() -> String {
    let rows = SECRET_KEYS.into_iter().chain([PROFILE_KEY]).map(|key| {
        let format = match key.format {
            Format::Env => "Env",
            Format::Files => "Files",
            Format::Dataiku => "Dataiku",
            Format::DataRobot => "DataRobot",
        };
        let present = match key.present {
            Present::Always => "always".to_owned(),
            Present::Session => "for a session; always while the credential is withdrawn".to_owned(),
            Present::WithApiKey => "with `spec.dss.apiKey: Personal` or `spec.dss.apiKeySecretRef`".to_owned(),
            Present::WithCaBundle => "if the DssInstance has `caBundle`".to_owned(),
            Present::OnceInDataRobot => "with `spec.push.dataRobot`, once DataRobot has the credential".to_owned(),
            Present::WithDataRobotToken => "with `spec.push.dataRobot.deliverToken: true`".to_owned(),
            Present::ForEachProfile => "for each profile of `spec.profiles`".to_owned(),
            Present::IfSet(field) => format!("if {} is set", code(&format!("spec.{}", field.path()))),
        };
        [format.to_owned(), code(key.name), cell(key.holds), present]
    });
    let rows: Vec<[String; 4]> = rows.collect();
    let mount = format!("Pods mount the whole Secret at {}, without `subPath`.\n\n", code(MOUNT_PATH));
    format!("{SECRET}{}{mount}", table(["format", "key", "holds", "present"], &rows))
}

fn names(what: &str, names: &[Name]) -> String {
    let rows: Vec<[String; 2]> = names.iter().map(|name| [code(name.name), cell(name.meaning)]).collect();
    table([what, "meaning"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_reason_and_kind() {
        let page = markdown();
        for reason in Reason::ALL {
            assert!(page.contains(&format!("| `{reason}` |")), "{reason}");
        }
        for crd in api::crds() {
            assert!(page.contains(&format!("\n## {}\n", crd.spec.names.kind)));
        }
        for text in ["`session.tags`", "`namespaces.selector.matchExpressions[].operator`", "`failure.nextAttemptAt`"] {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn every_table_is_whole() {
        let page = markdown();
        let columns = |row: &str| row.replace("\\|", "").matches('|').count();
        let mut expected = None;
        for line in page.lines() {
            let row = line.starts_with('|').then(|| columns(line));
            assert!(row.is_none() || expected.is_none() || row == expected, "{line}");
            assert!(!line.contains("|  |"), "an empty cell: {line}");
            expected = row;
        }
    }
}

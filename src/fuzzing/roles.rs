//! ARNs of roles, and roles with variables: users write them, and administrators of DSS.

use super::promise;
use crate::api::{RoleArn, RoleTemplate, Variable, role_named};
use serde::Deserialize;
use std::{collections::BTreeMap, str::from_utf8};

/// An ARN is shown as it was written, and holds nothing that has a meaning elsewhere: no white
/// space, no control character, no wildcard, no variable.
///
/// # Errors
/// The promise that the text breaks.
pub(super) fn an_arn_is_shown_as_it_was_written(data: &[u8]) -> Result<(), String> {
    let Ok(text) = from_utf8(data) else { return Ok(()) };
    match text.parse::<RoleArn>() {
        Ok(arn) => is_sound(&arn, text),
        Err(error) => promise(error.to_string().chars().count() < 4_000, || "a long error".to_owned()),
    }
}

fn is_sound(arn: &RoleArn, text: &str) -> Result<(), String> {
    promise(arn.to_string() == text && arn.as_str() == text, || format!("{text} is shown as {arn}"))?;
    promise(arn.as_str().parse().as_ref() == Ok(arn), || format!("{text} is another ARN the second time"))?;
    let strange = text.chars().find(|c| !(c.is_ascii_alphanumeric() || ":/_+=,.@-".contains(*c)));
    promise(strange.is_none(), || format!("{text} holds {strange:?}"))?;
    promise(text.matches(':').count() == 5, || format!("{text} has another number of parts"))?;
    let tail = format!("/{}", arn.name());
    promise(text.ends_with(&tail) && (2..=65).contains(&tail.len()), || format!("{text} has the name {tail}"))?;
    let head = format!("arn:{}:iam::", arn.partition());
    promise(text.starts_with(&head) && arn.partition().starts_with("aws"), || format!("{text} is in {head}"))
}

/// A role with variables, and what DSS says about the person.
#[derive(Deserialize)]
struct Asked {
    role: String,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    #[serde(default)]
    login: String,
    account: Option<String>,
}

/// A filled-in template is the ARN of a role or an error that quotes nothing. A value is not
/// expanded a second time, and each property is one that the template asks for.
///
/// # Errors
/// The promise that the template breaks.
pub(super) fn a_template_becomes_a_role_or_nothing(data: &[u8]) -> Result<(), String> {
    let Ok(Asked { role, properties, login, account }) = serde_json::from_slice(data) else { return Ok(()) };
    let Ok(template) = RoleTemplate::read(&role) else {
        return promise(RoleTemplate::is_one(&role), || format!("{role} holds no variable and is refused"));
    };
    promise(template.to_string() == role, || format!("{role} is shown as {template}"))?;
    let value = |variable: &Variable| -> Result<String, String> {
        match variable {
            Variable::Login => Ok(login.clone()),
            Variable::AdminProperty(name) => {
                promise(template.properties().any(|asked| asked == name), || {
                    format!("{name} is asked for and not listed")
                })?;
                Ok(properties.get(name).cloned().unwrap_or_default())
            }
        }
    };
    let filled = template.fill(value)?;
    promise(filled == expanded(&role, &properties, &login), || format!("{role} becomes {filled}"))?;
    match role_named(&filled, "aws", account.as_deref()) {
        Ok(arn) => is_sound(&arn, arn.as_str()),
        Err(_) => Ok(()),
    }
}

/// The same in another way: each `${…}` of the text is replaced by its value, from left to right.
fn expanded(role: &str, properties: &BTreeMap<String, String>, login: &str) -> String {
    let (mut text, mut rest) = (String::new(), role);
    while let Some((before, from)) = rest.split_once("${") {
        let (variable, after) = from.split_once('}').unwrap_or((from, ""));
        text.push_str(before);
        text.push_str(match variable.strip_prefix("adminProperty:") {
            Some(name) => properties.get(name).map_or("", String::as_str),
            None => login,
        });
        rest = after;
    }
    text.push_str(rest);
    text
}

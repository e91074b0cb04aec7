//! The answers of the API, in all their documented shapes. Pure.

use super::elements::elements;
use crate::import::Wrong;
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// The place of an object: the file, and the line in which the object begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    file: String,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Everything that was read, by the numbers of the API.
#[derive(Debug, Default)]
pub struct Answers {
    pub(super) people: BTreeMap<u64, Person>,
    pub(super) configs: BTreeMap<u64, Config>,
    pub(super) roles: BTreeMap<u64, Role>,
}

/// A person (`GET /v4/people`).
#[derive(Debug)]
pub(super) struct Person {
    pub id: u64,
    pub email: String,
    pub is_disabled: bool,
    /// The number of the person's config.
    pub config: Option<u64>,
    pub at: Place,
}

/// An awsConfig (`GET /v4/awsConfigs`).
pub(super) struct Config {
    pub id: u64,
    /// `default`, `temporary` or `instance`.
    pub provider: String,
    pub default_bucket: Option<String>,
    pub extra_buckets: Vec<String>,
    pub external_id: Option<String>,
    /// The number of the awsRole in use.
    pub active_role: Option<u64>,
    /// The ARN of the role, in release 6.0.
    pub role: Option<String>,
    /// The number of the person. The API answers it in some releases only.
    pub person: Option<u64>,
    /// Whether the config is of the whole platform.
    pub is_system: bool,
    /// The key, which only a recorded request has. The API never answers it.
    pub key: Option<(String, String)>,
    pub at: Place,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("id", &self.id).field("at", &self.at).finish_non_exhaustive()
    }
}

/// An awsRole (`GET /v4/awsRoles`).
#[derive(Debug)]
pub(super) struct Role {
    pub id: u64,
    pub arn: String,
    pub config: u64,
    /// `api`, or `idp` for a role that an identity provider pushed.
    pub created_from: Option<String>,
    pub is_deleted: bool,
    pub at: Place,
}

impl Answers {
    /// Reads one file.
    ///
    /// # Errors
    /// [`Wrong`] with the file and the line, if it is no answer of the API.
    pub fn read(&mut self, file: &str, text: &str) -> Result<(), Wrong> {
        for (line, value) in elements(file, text)? {
            self.learn(&Object { value: &value, at: Place { file: file.to_owned(), line } })?;
        }
        Ok(())
    }

    fn learn(&mut self, object: &Object<'_>) -> Result<(), Wrong> {
        if object.text("email").is_some() {
            let person = object.person()?;
            self.people.insert(person.id, person);
        } else if object.text("credentialProvider").is_some() {
            let config = object.config()?;
            self.configs.insert(config.id, config);
        } else if object.text("role").is_some() {
            let role = object.role()?;
            self.roles.insert(role.id, role);
        } else {
            return Err(
                object.wrong("neither a person (email), nor an awsConfig (credentialProvider), nor an awsRole (role)")
            );
        }
        Ok(())
    }
}

/// An object of an answer, and its place.
struct Object<'a> {
    value: &'a Value,
    at: Place,
}

impl Object<'_> {
    fn wrong(&self, what: &str) -> Wrong {
        Wrong::new(format!("{}: {what}", self.at))
    }

    fn text(&self, field: &str) -> Option<String> {
        self.value[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn id(&self) -> Result<u64, Wrong> {
        number(&self.value["id"]).ok_or_else(|| self.wrong("the object has no number `id`"))
    }

    /// A link to another object: flat (`awsConfigId`), or nested (`awsConfig: {id}`).
    fn link(&self, name: &str) -> Option<u64> {
        number(&self.value[format!("{name}Id")]).or_else(|| number(&self.value[name]["id"]))
    }

    fn person(&self) -> Result<Person, Wrong> {
        Ok(Person {
            id: self.id()?,
            email: self.text("email").unwrap_or_default(),
            is_disabled: self.value["isDisabled"].as_bool() == Some(true),
            config: self.link("awsConfig"),
            at: self.at.clone(),
        })
    }

    fn config(&self) -> Result<Config, Wrong> {
        let provider = self.text("credentialProvider").unwrap_or_default();
        if !["default", "temporary", "instance"].contains(&provider.as_str()) {
            return Err(self.wrong(&format!("credentialProvider {provider} is none of default, temporary, instance")));
        }
        let extra = match &self.value["extraBuckets"] {
            Value::Array(buckets) => buckets.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            // The form of the UI: one text with commas.
            Value::String(text) => text.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect(),
            _ => vec![],
        };
        Ok(Config {
            id: self.id()?,
            provider,
            default_bucket: self.text("defaultBucket"),
            extra_buckets: extra,
            external_id: self.text("externalId"),
            active_role: number(&self.value["activeRoleId"]),
            role: self.text("role"),
            person: self.link("person"),
            is_system: self.text("mode").is_some_and(|mode| mode == "system"),
            key: self.text("key").zip(self.text("secret")),
            at: self.at.clone(),
        })
    }

    fn role(&self) -> Result<Role, Wrong> {
        let config = self.link("awsConfig").ok_or_else(|| self.wrong("the awsRole names no awsConfig"))?;
        let is_deleted = ["deletedAt", "deleted_at"].iter().any(|field| !self.value[*field].is_null());
        Ok(Role {
            id: self.id()?,
            arn: self.text("role").unwrap_or_default(),
            config,
            created_from: self.text("createdFrom"),
            is_deleted,
            at: self.at.clone(),
        })
    }
}

/// A number, also as a text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

//! The profiles of files of the AWS CLI, and the records of files with access keys. Pure.

use super::super::csv::records;
use crate::import::Wrong;
use std::{collections::BTreeMap, fmt};

/// The settings of one profile.
#[derive(Default)]
pub(super) struct Profile {
    pub name: String,
    /// The file and the line where it begins.
    pub at: String,
    settings: BTreeMap<String, String>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("name", &self.name).field("at", &self.at).finish_non_exhaustive()
    }
}

impl Profile {
    /// A setting that is not empty.
    pub fn get(&self, setting: &str) -> Option<&str> {
        self.settings.get(setting).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The ID and the secret of its key.
    pub fn key(&self) -> Option<(&str, &str)> {
        self.get("aws_access_key_id").zip(self.get("aws_secret_access_key"))
    }
}

/// All profiles, in the order of their names. A profile of several files has the settings of all.
#[derive(Debug, Default)]
pub struct Profiles(BTreeMap<String, Profile>);

impl Profiles {
    pub(super) fn all(&self) -> impl Iterator<Item = &Profile> {
        self.0.values()
    }

    /// Reads a file of the AWS CLI.
    ///
    /// # Errors
    /// [`Wrong`] with the file and the line, if a line is no setting.
    pub fn read(&mut self, file: &str, text: &str) -> Result<(), Wrong> {
        let mut name = None;
        for (index, line) in text.lines().enumerate() {
            let at = format!("{file}:{}", index + 1);
            let trimmed = line.trim();
            // An indented line belongs to a nested setting, such as those of s3.
            let is_nested = line.starts_with([' ', '\t']);
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) || is_nested {
                continue;
            }
            if let Some(section) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                name = named(section);
                if let Some(name) = &name {
                    let profile = Profile { name: name.clone(), at, ..Profile::default() };
                    self.0.entry(name.clone()).or_insert(profile);
                }
                continue;
            }
            let Some((setting, value)) = trimmed.split_once('=') else {
                // The line may hold a key, and is therefore not quoted.
                return Err(Wrong::new(format!("{at}: the line is neither [profile NAME] nor SETTING = VALUE")));
            };
            if let Some(profile) = name.as_ref().and_then(|name| self.0.get_mut(name)) {
                profile.settings.insert(setting.trim().to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        Ok(())
    }

    /// Reads a file with access keys: `Access key ID,Secret access key`, in older files after
    /// `User name`.
    ///
    /// # Errors
    /// [`Wrong`] if its first record does not name these columns.
    pub fn read_csv(&mut self, file: &str, text: &str) -> Result<(), Wrong> {
        let records = records(text);
        let header: Vec<String> =
            records.first().into_iter().flatten().map(|name| name.trim().to_ascii_lowercase()).collect();
        let column = |name: &str| header.iter().position(|other| other == name);
        let (Some(id), Some(secret)) = (column("access key id"), column("secret access key")) else {
            let columns = "Access key ID and Secret access key";
            return Err(Wrong::new(format!("{file}:1: the first record does not name the columns {columns}")));
        };
        let stem = std::path::Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or(file);
        for (index, record) in records.iter().enumerate().skip(1) {
            let field = |column: Option<usize>| column.and_then(|at| record.get(at)).map(|it| it.trim().to_owned());
            let user = field(column("user name")).filter(|user| !user.is_empty());
            let name = user.clone().unwrap_or_else(|| stem.to_owned());
            let profile = Profile { name: name.clone(), at: format!("{file}:{}", index + 1), ..Profile::default() };
            let profile = self.0.entry(name).or_insert(profile);
            for (setting, value) in [
                ("aws_access_key_id", field(Some(id))),
                ("aws_secret_access_key", field(Some(secret))),
                ("user name", user),
            ] {
                if let Some(value) = value {
                    profile.settings.insert(setting.to_owned(), value);
                }
            }
        }
        Ok(())
    }
}

/// The name of the profile of a section; `None` for a section of something else. Only the file
/// `config` has the word `profile`.
fn named(section: &str) -> Option<String> {
    let section = section.trim();
    match section.split_once(char::is_whitespace) {
        Some(("profile", name)) => Some(name.trim().trim_matches('"').to_owned()),
        Some(("sso-session" | "services", _)) => None,
        _ => Some(section.to_owned()),
    }
}

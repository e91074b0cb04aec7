//! What the operator asked of the API server, as the API server counted it.

use crate::{Result, ground::OPERATOR, report::share};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

/// The audit log from some point on.
pub struct Audit {
    log: PathBuf,
    from: u64,
}

/// Finished calls by verb and resource.
#[derive(Debug, Default)]
pub struct Calls {
    /// Of single objects, and creations: `patch secrets` and so on.
    pub of_objects: BTreeMap<String, usize>,
    /// Everything that is paid once and not per object: lists, watches, discovery.
    pub of_kinds: BTreeMap<String, usize>,
    /// Of both, those that were answered with an error.
    pub refused: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct ObjectRef {
    resource: Option<String>,
    subresource: Option<String>,
}

#[derive(Deserialize)]
struct ResponseStatus {
    code: Option<u16>,
}

impl Audit {
    /// Counts from now on.
    pub fn begin(log: &Path) -> Result<Self> {
        Ok(Self { log: log.to_owned(), from: std::fs::metadata(log)?.len() })
    }

    /// The operator's calls since then.
    pub fn calls(&self) -> Result<Calls> {
        let mut log = File::open(&self.log)?;
        log.seek(SeekFrom::Start(self.from))?;
        let mut calls = Calls::default();
        for line in BufReader::new(log).lines() {
            let Ok(line) = serde_json::from_str::<Line>(&line?) else { continue };
            if line.user.username == OPERATOR {
                calls.add(&line);
            }
        }
        Ok(calls)
    }
}

impl Calls {
    fn add(&mut self, line: &Line) {
        let resource = line.object_ref.as_ref().and_then(|object| {
            let resource = object.resource.as_deref()?;
            Some(object.subresource.as_ref().map_or(resource.to_owned(), |sub| format!("{resource}/{sub}")))
        });
        let name = format!("{} {}", line.verb, resource.as_deref().unwrap_or("(discovery)"));
        let of_kinds = resource.is_none() || matches!(line.verb.as_str(), "list" | "watch");
        let refused = line.response_status.as_ref().and_then(|status| status.code).is_some_and(|code| code >= 400);
        if refused {
            *self.refused.entry(name.clone()).or_default() += 1;
        }
        let calls = if of_kinds { &mut self.of_kinds } else { &mut self.of_objects };
        *calls.entry(name).or_default() += 1;
    }

    /// How often single objects were read.
    pub fn reads(&self) -> usize {
        self.sum(|name| name.starts_with("get "))
    }

    /// How often objects were written.
    pub fn writes(&self) -> usize {
        self.sum(|name| !name.starts_with("get "))
    }

    /// How many lists there were.
    pub fn lists(&self) -> usize {
        self.of_kinds.iter().filter(|(name, _)| name.starts_with("list ")).map(|(_, count)| count).sum()
    }

    fn sum(&self, fits: impl Fn(&str) -> bool) -> usize {
        self.of_objects.iter().filter(|(name, _)| fits(name)).map(|(_, count)| count).sum()
    }

    /// In words, with the calls of objects divided by `objects`.
    pub fn per(&self, objects: usize) -> String {
        let each = self.of_objects.iter().map(|(name, count)| format!("{name} {}", share(*count, objects)));
        let each: Vec<String> = each.collect();
        let refused = self.refused.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>();
        let refused = if refused.is_empty() { String::new() } else { format!("; refused: {}", refused.join(", ")) };
        format!("{}{refused}", if each.is_empty() { "none".to_owned() } else { each.join(", ") })
    }
}

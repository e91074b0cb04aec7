//! The operator's calls to the API server, counted by the API server.

use crate::{Result, ground::OPERATOR, numbers::share};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

/// The audit log from one point on.
pub struct Audit {
    log: PathBuf,
    from: u64,
}

/// Finished calls by verb and resource.
#[derive(Debug, Default)]
pub struct Calls {
    /// Calls about single objects, such as `patch secrets`, with creations.
    pub of_objects: BTreeMap<String, usize>,
    /// Calls that are made once and not per object: lists, watches, discovery.
    pub of_kinds: BTreeMap<String, usize>,
    /// The calls of both kinds that the API server answered with an error.
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
    /// Begins to count now.
    pub fn begin(log: &Path) -> Result<Self> {
        Ok(Self { log: log.to_owned(), from: std::fs::metadata(log)?.len() })
    }

    /// The operator's calls since [`Audit::begin`].
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

    /// The number of reads of single objects.
    pub fn reads(&self) -> usize {
        self.sum(|name| name.starts_with("get "))
    }

    /// The number of writes.
    pub fn writes(&self) -> usize {
        self.sum(|name| !name.starts_with("get "))
    }

    /// The number of calls about single objects of this name, such as `patch secrets`.
    pub fn count(&self, name: &str) -> usize {
        self.of_objects.get(name).copied().unwrap_or_default()
    }

    /// The number of lists.
    pub fn lists(&self) -> usize {
        self.of_kinds.iter().filter(|(name, _)| name.starts_with("list ")).map(|(_, count)| count).sum()
    }

    fn sum(&self, fits: impl Fn(&str) -> bool) -> usize {
        self.of_objects.iter().filter(|(name, _)| fits(name)).map(|(_, count)| count).sum()
    }

    /// A text for the report, with the calls about objects divided by `objects`.
    pub fn per(&self, objects: usize) -> String {
        let each = self.of_objects.iter().map(|(name, count)| format!("{name} {:.2}", share(*count, objects)));
        let each: Vec<String> = each.collect();
        let refused = self.refused.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>();
        let refused = if refused.is_empty() { String::new() } else { format!("; refused: {}", refused.join(", ")) };
        format!("{}{refused}", if each.is_empty() { "none".to_owned() } else { each.join(", ") })
    }
}

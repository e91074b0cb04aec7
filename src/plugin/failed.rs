//! The failure of a command, in one line.

use super::screen::harmless;
use crate::network::with_cause;
use std::fmt;

/// The exit code of wrong usage.
pub(super) const USAGE: u8 = 2;
/// The exit code of a time-out.
pub(super) const TIME_OUT: u8 = 3;

/// The failure of a command, in one line: what was tried, why it failed, what to do.
#[derive(Debug)]
pub struct Failed {
    /// The line.
    pub message: String,
    /// The exit code: 1, 2 for wrong usage, or 3 for a time-out.
    pub code: u8,
}

impl Failed {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: harmless(&message.into()), code: 1 }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { message: harmless(&message.into()), code: USAGE }
    }

    /// The failure of a call to the API server.
    pub(super) fn of_call(tried: &str, error: &kube::Error) -> Self {
        let why = match error {
            kube::Error::Api(status) if status.code == 403 => {
                format!("{}; a cluster admin can give you this right", status.message)
            }
            // A resource that the API server does not know has no object in its answer.
            kube::Error::Api(status) if status.code == 404 && status.details.as_ref().is_none_or(|it| it.name.is_empty()) => {
                "the API server does not know the resource; a cluster admin installs keyturn's custom resources with its \
                 chart"
                    .to_owned()
            }
            kube::Error::Api(status) => status.message.clone(),
            other => format!("{}; kubectl version says whether the API server answers", with_cause(other)),
        };
        Self::new(format!("{tried}: {why}"))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::{Status, response::StatusDetails};
    use serde_json::{from_value, json};

    #[test]
    fn a_refused_call_names_the_next_step() {
        let api = |code: u16, message: &str, name: &str| {
            let details: StatusDetails = from_value(json!({"name": name})).unwrap();
            let status = Status { code, message: message.to_owned(), details: Some(details), ..Status::default() };
            kube::Error::Api(status.boxed())
        };
        let rows = [
            ("no right", api(403, "alice cannot list", ""), "cannot do it: alice cannot list; a cluster admin"),
            ("no object", api(404, "awsconfigs \"a\" not found", "a"), "cannot do it: awsconfigs \"a\" not found"),
            ("no resource", api(404, "404 page not found", ""), "installs keyturn's custom resources"),
        ];
        for (row, error, part) in rows {
            let failed = Failed::of_call("cannot do it", &error);
            assert!(failed.message.contains(part) && failed.code == 1, "{row}: {failed}");
        }
    }
}

//! The causes of errors. The libraries of the clients wrap the cause that a person has to know.

use std::error::Error;

/// The text of the innermost error. The outer ones quote a URL, or say no more than "dispatch
/// failure".
#[must_use]
pub fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// An error with its innermost cause, if its text does not have that already.
#[must_use]
pub fn with_cause(error: &dyn Error) -> String {
    let (outer, inner) = (error.to_string(), innermost(error));
    if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
}

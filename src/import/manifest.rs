//! The manifests of an import: YAML documents with comments that say where each came from.

use super::grants::Grants;
use crate::import::Wrong;
use serde_json::Value;
use std::fmt::Write as _;

/// One object with its comments.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Lines before the object: where it came from, and what the user has to know.
    pub comments: Vec<String>,
    /// The object.
    pub object: Value,
}

impl Document {
    /// An object that came from there.
    pub fn new(from: impl Into<String>, object: Value) -> Self {
        Self { comments: vec![from.into()], object }
    }
}

/// The objects of an import, the grants that they need, and what has no equivalent.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The objects, in order.
    pub documents: Vec<Document>,
    /// The grants that they need.
    pub(super) grants: Grants,
    /// The things that were not imported, with the reasons.
    pub left_out: Vec<String>,
}

impl Manifests {
    /// Adds an object.
    pub fn add(&mut self, document: Document) {
        self.documents.push(document);
    }

    /// Records what is not imported, with the reason.
    pub fn leave_out(&mut self, what: impl Into<String>) {
        self.left_out.push(what.into());
    }

    /// The text of all documents.
    ///
    /// # Errors
    /// [`Wrong`] if an object cannot be written as YAML.
    pub fn written(&self, with_grants: bool) -> Result<String, Wrong> {
        let mut text = String::new();
        for line in &self.left_out {
            comment(&mut text, &format!("not imported: {line}"));
        }
        if self.documents.is_empty() && self.left_out.is_empty() {
            comment(&mut text, "nothing was found that can be imported");
        }
        let grants = if with_grants { self.grants.documents() } else { vec![] };
        if !with_grants && !self.grants.is_empty() {
            comment(
                &mut text,
                "these AwsConfigs need AwsRoleGrants, which a cluster admin writes (leave out --no-grants)",
            );
        }
        for document in self.documents.iter().chain(&grants) {
            text += &yaml(document)?;
        }
        Ok(text)
    }
}

/// One document of YAML, after its comments.
///
/// # Errors
/// [`Wrong`] if the object cannot be written.
pub fn yaml(document: &Document) -> Result<String, Wrong> {
    let mut text = "---\n".to_owned();
    for line in &document.comments {
        comment(&mut text, line);
    }
    let object = serde_saphyr::to_string(&document.object).map_err(|error| Wrong::new(error.to_string()))?;
    Ok(text + object.trim_end() + "\n")
}

/// Adds a comment. A text of another system may hold line ends, and no line of it may become YAML.
fn comment(text: &mut String, line: &str) {
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let _ = writeln!(text, "# {}", line.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_comment_never_becomes_yaml() {
        let mut manifests = Manifests::default();
        manifests.leave_out("a\nkind: Secret");
        manifests.add(Document::new("from x\r\n---", json!({"kind": "AwsConfig"})));
        assert_eq!(
            manifests.written(true).unwrap(),
            "# not imported: a kind: Secret\n---\n# from x  ---\nkind: AwsConfig\n"
        );
    }
}

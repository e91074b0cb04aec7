//! The wording of tests and comments: names of tests are short and have a noun as their subject,
//! comment lines are short, and the documents name only tests that exist.

use crate::architecture::sources;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folders whose tests have short names.
const SHORT_NAMES: &[&str] = &["tests/worlds", "src"];
/// The folders whose tests have no who or what clause as the subject of their name.
const NOUN_SUBJECTS: &[&str] = &["tests/worlds", "src"];
/// The folders whose comment lines are short.
const SHORT_COMMENTS: &[&str] = &["tests/worlds", "bench", "src"];

/// The characters that the name of a test may have.
const NAME_LIMIT: usize = 70;
/// The columns that a line with nothing but a comment may take.
const COMMENT_LIMIT: usize = 100;
/// The first words of a name whose subject is a clause.
const CLAUSES: [&str; 8] = ["who_", "whom_", "whose_", "whoever_", "what_", "whatever_", "whichever_", "it_"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files of these folders.
fn files(folders: &[&str]) -> Vec<(PathBuf, String)> {
    folders.iter().flat_map(|folder| sources(&root().join(folder))).collect()
}

/// The names of the tests in a text, also of those that a macro such as `proptest!` holds.
fn tests(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(name) = function(line).filter(|_| is_test) {
            names.push(name);
            is_test = false;
        }
    }
    names
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches("pub ").trim_start_matches("async ");
    let name = line.strip_prefix("fn ")?;
    name.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// The text of a line that holds nothing but a comment.
fn comment(line: &str) -> Option<&str> {
    let text = line.trim_start().strip_prefix("//")?;
    Some(text.trim_start_matches(['/', '!']).trim())
}

/// Whether a line holds a comment that is too long. The row of a table and a single word, such as
/// the address of a page, cannot be wrapped.
fn is_too_long(line: &str) -> bool {
    let can_be_wrapped = |text: &str| !text.starts_with('|') && text.contains(' ');
    line.chars().count() > COMMENT_LIMIT && comment(line).is_some_and(can_be_wrapped)
}

/// The paths of tests or of their modules in a document: words in backticks with `::` between
/// names, such as `simulated::roles::pruning_never_deletes_a_user_s_role`.
fn paths(document: &str) -> Vec<&str> {
    let is_segment = |text: &str| {
        let is_of_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        !text.is_empty() && text.chars().all(is_of_a_name)
    };
    let words = document.split('`').skip(1).step_by(2);
    words.filter(|word| word.contains("::") && word.split("::").all(is_segment)).collect()
}

/// Whether a path names a module of `dir`, or a function in one.
fn exists(dir: &Path, path: &str) -> bool {
    let file = |segments: &[&str]| dir.join(segments.join("/")).with_extension("rs");
    let segments: Vec<&str> = path.split("::").collect();
    let Some((name, module)) = segments.split_last() else { return false };
    let declares = |file: PathBuf| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().any(|line| function(line) == Some(name))
    };
    file(&segments).exists() || declares(file(module))
}

#[test]
fn names_of_tests_are_short() {
    let mut seen = 0;
    let mut long = Vec::new();
    for (path, text) in files(SHORT_NAMES) {
        for name in tests(&text) {
            seen += 1;
            if name.len() > NAME_LIMIT {
                long.push(format!("{}: {name} has {}", path.display(), name.len()));
            }
        }
    }
    assert!(seen > 300, "{seen} tests were found");
    assert!(long.is_empty(), "names of more than {NAME_LIMIT} characters:\n{}", long.join("\n"));
}

#[test]
fn names_of_tests_have_a_noun_as_their_subject() {
    let mut clauses = Vec::new();
    for (path, text) in files(NOUN_SUBJECTS) {
        let names = tests(&text).into_iter();
        let found = names.filter(|name| CLAUSES.iter().any(|clause| name.starts_with(clause)));
        clauses.extend(found.map(|name| format!("{}: {name}", path.display())));
    }
    assert!(clauses.is_empty(), "names that begin with a clause:\n{}", clauses.join("\n"));
}

#[test]
fn comment_lines_are_short() {
    let mut seen = 0;
    let mut long = Vec::new();
    for (path, text) in files(SHORT_COMMENTS) {
        for (number, line) in text.lines().enumerate() {
            seen += usize::from(comment(line).is_some());
            if is_too_long(line) {
                long.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(seen > 500, "{seen} lines of comments were found");
    assert!(long.is_empty(), "comments of more than {COMMENT_LIMIT} columns:\n{}", long.join("\n"));
}

#[test]
fn documents_name_only_tests_that_exist() {
    let worlds = root().join("tests/worlds");
    let mut seen = 0;
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for path in paths(&text) {
            let world = path.split("::").next().unwrap_or_default();
            if ["doubles", "node", "over_proxy", "over_tls", "own_identity", "real", "simulated"].contains(&world) {
                seen += 1;
                assert!(exists(&worlds, path), "{} names {path}, which is no test", file.display());
            }
        }
    }
    assert!(seen > 60, "{seen} names of tests were found");
}

#[test]
fn the_checks_of_wording_find_what_they_search_for() {
    let text = "
        #[test]
        fn a_sync_test() {}
        fn a_helper() {}
        #[tokio::test(start_paused = true)]
        #[ignore = \"needs the ground\"]
        async fn an_async_test() {}
        proptest! {
            #[test]
            fn a_property(a in 0..2) {}
        }";
    assert_eq!(tests(text), ["a_sync_test", "an_async_test", "a_property"]);

    let long = "a word ".repeat(20);
    let lines: [(&str, String, bool); 6] = [
        ("a comment", format!("// {long}"), true),
        ("the documentation of an item", format!("    /// {long}"), true),
        ("the head of a module", format!("//! {long}"), true),
        ("a short comment", "// a word".to_owned(), false),
        ("the row of a table", format!("//! | {long} |"), false),
        ("code", format!("let text = \"{long}\";"), false),
    ];
    for (case, line, expected) in lines {
        assert_eq!(is_too_long(&line), expected, "{case}");
    }

    let document = "`real::story`, `a::b::c_d`; `Times::Once`, `x`, `crate::{a, b}`";
    assert_eq!(paths(document), ["real::story", "a::b::c_d"]);
    let worlds = root().join("tests/worlds");
    assert!(exists(&worlds, "simulated::seeds"), "a module");
    assert!(exists(&worlds, "wording::comment_lines_are_short"), "a test");
    assert!(!exists(&worlds, "wording::comment_lines"), "no test");
}

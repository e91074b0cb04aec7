//! The table of rooms in `src/lib.rs` is true: who imports whom, and which modules are pure. Within
//! a room, too, the modules import each other one way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The rooms whose modules import each other one way, by the files that declare the modules.
const ONE_WAY: &[&str] = &["bench/cost/main.rs", "src/controller.rs"];

pub fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// What stands above the tests of a file, without comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether code holds a word, and not only as the end of another.
fn holds(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// The paths that follow `start` in a text. `use a::{b, c::{d, e}}` gives `b`, `c::d` and `c::e`
/// for the start `a::`. A start within a longer path or word is none.
fn paths_after(code: &str, start: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(start) {
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            expand("", &code[at + start.len()..], &mut found);
        }
    }
    found
}

/// Adds the paths of the tree of names that a text begins with. Returns the rest of the text.
fn expand<'a>(prefix: &str, text: &'a str, found: &mut BTreeSet<String>) -> &'a str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    let path = format!("{prefix}{path}");
    let Some(mut rest) = rest.strip_prefix('{') else {
        found.insert(path.trim_end_matches(':').to_owned());
        return rest;
    };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if rest.is_empty() || rest.starts_with('}') {
            return rest.strip_prefix('}').unwrap_or_default();
        }
        rest = expand(&path, rest, found);
        // `as x` and the star of a glob are skipped.
        rest = &rest[rest.find([',', '}']).unwrap_or(rest.len())..];
    }
}

/// The first and the last name of a path.
fn ends(path: &str) -> (&str, &str) {
    (path.split("::").next().unwrap_or_default(), path.rsplit("::").next().unwrap_or_default())
}

/// The rooms after `crate::` in a text, also in nested `use crate::{a, b::c}`.
fn rooms_named_in(code: &str) -> BTreeSet<String> {
    let rooms = paths_after(code, "crate::");
    rooms.iter().map(|path| ends(path).0.to_owned()).filter(|room| !room.is_empty()).collect()
}

/// The modules of a room and what each of them imports of the others.
struct Room {
    /// The room from the root of its crate, such as `controller::`.
    path: String,
    /// The modules by the names that the room gives to them and to their items.
    names: BTreeMap<String, String>,
    imports: BTreeMap<String, BTreeSet<String>>,
}

impl Room {
    /// The room whose modules are declared in this file. The modules are in the folder of the same
    /// name; those of a `main.rs` are beside it.
    fn of(file: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = root.join(file);
        let is_crate = file.ends_with("main.rs");
        let folder = if is_crate { file.parent().unwrap().to_owned() } else { file.with_extension("") };
        let inside = file.strip_prefix(src()).unwrap_or(Path::new("")).with_extension("");
        let path = inside.iter().flat_map(|part| [part.to_str().unwrap(), "::"]).collect();
        let modules = sources(&folder).into_iter().filter(|(path, _)| *path != file).map(|(path, text)| {
            let inside = path.strip_prefix(&folder).unwrap().with_extension("");
            (inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect(), text)
        });
        Self::new(path, &fs::read_to_string(&file).unwrap(), modules.collect())
    }

    /// A room that is declared in `root` and has these files, each with its path within the room.
    fn new(path: String, root: &str, files: Vec<(Vec<String>, String)>) -> Self {
        let mut names: BTreeMap<_, _> = files.iter().map(|(file, _)| (file[0].clone(), file[0].clone())).collect();
        for import in paths_after(&code(root), "use ") {
            let (module, item) = ends(&import);
            if names.get(module).is_some_and(|name| name == module) {
                names.insert(item.to_owned(), module.to_owned());
            }
        }
        let mut room = Self { path, names, imports: BTreeMap::new() };
        for (file, text) in files {
            let named = room.modules_named_in(&code(&text), file.len());
            let others = named.into_iter().filter(|module| *module != file[0]);
            room.imports.entry(file[0].clone()).or_default().extend(others);
        }
        room
    }

    /// The modules that a text names. The text is of a file that is `depth` modules below the room.
    fn modules_named_in(&self, code: &str, depth: usize) -> BTreeSet<String> {
        let mut paths = paths_after(code, &"super::".repeat(depth));
        paths.extend(
            paths_after(code, "crate::").iter().filter_map(|path| path.strip_prefix(&self.path)).map(str::to_owned),
        );
        paths.iter().filter_map(|path| self.names.get(ends(path).0)).cloned().collect()
    }
}

/// The names that a name imports, and what these import.
fn reached_from<'a>(name: &str, imports: &'a BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&'a str> {
    let imports_of = |name| imports.get(name).into_iter().flatten().map(String::as_str);
    let (mut reached, mut next) = (BTreeSet::new(), imports_of(name).collect::<Vec<_>>());
    while let Some(other) = next.pop() {
        if reached.insert(other) {
            next.extend(imports_of(other));
        }
    }
    reached
}

/// The members of a circle, if there is one.
fn circle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<BTreeSet<&str>> {
    let circle_of = |name: &String| {
        let reached = reached_from(name, imports).into_iter();
        reached.filter(|other| reached_from(other, imports).contains(name.as_str())).collect::<BTreeSet<_>>()
    };
    imports.keys().map(circle_of).find(|members| !members.is_empty())
}

/// The table of `src/lib.rs`: room to rooms that it may import.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(src().join("lib.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    rows.map(|row| {
        let (room, row) = row.split_once('`').unwrap();
        let allowed = row.rsplit('|').nth(1).unwrap();
        (room.to_owned(), allowed.split('`').skip(1).step_by(2).map(str::to_owned).collect())
    })
    .collect()
}

/// The rooms that `src/lib.rs` calls pure.
fn pure_rooms() -> Vec<String> {
    let text = fs::read_to_string(src().join("lib.rs")).unwrap();
    let (_, rest) = text.split_once("//! * Pure rooms: ").unwrap();
    let (rooms, _) = rest.split_once('.').unwrap();
    rooms.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_room_imports_only_what_the_table_allows() {
    let table = table();
    assert!(table.len() > 8, "the table was not found: {table:?}");
    let mut rooms = BTreeSet::new();
    for (path, text) in sources(&src()) {
        let inside = path.strip_prefix(src()).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["lib", "main", "bin"].contains(&room.as_str()) {
            continue;
        }
        let allowed =
            table.get(&room).unwrap_or_else(|| panic!("src/lib.rs has no row for the room of {}", inside.display()));
        for named in rooms_named_in(&code(&text)) {
            assert!(
                named == room || allowed.contains(&named),
                "{} imports {named}; {room} may import {allowed:?} (src/lib.rs)",
                inside.display()
            );
        }
        rooms.insert(room);
    }
    assert!(table.keys().all(|room| rooms.contains(room)), "a row has no room: {table:?}");
}

/// A room that grows beyond this is several rooms. The contract, which lists every field, may be
/// larger.
#[test]
fn no_room_is_larger_than_its_share_of_the_house() {
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for (path, text) in sources(&src()) {
        let inside = path.strip_prefix(src()).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        *lines.entry(room).or_default() += text.lines().count();
    }
    let all: usize = lines.values().sum();
    for (room, lines) in lines {
        let share = if room == "api" { 18 } else { 15 };
        assert!(lines * 100 <= all * share, "{room} has {lines} of {all} lines, more than {share} %");
    }
}

#[test]
fn the_arrows_between_rooms_go_one_way() {
    assert_eq!(circle(&table()), None, "these rooms import each other");
}

#[test]
fn the_arrows_between_the_modules_of_a_room_go_one_way() {
    for file in ONE_WAY {
        let imports = Room::of(file).imports;
        assert!(imports.values().any(|others| !others.is_empty()), "no import was found below {file}");
        assert_eq!(circle(&imports), None, "these modules below {file} import each other");
    }
}

#[test]
fn pure_rooms_hold_no_client_and_read_neither_clock_nor_environment() {
    let pure = pure_rooms();
    assert!(pure.len() > 5, "the line of pure rooms was not found: {pure:?}");
    let impure = [
        "kube::Client",
        "Api<",
        "Client,",
        "tokio::",
        "aws_sdk",
        "std::env",
        "Timestamp::now",
        "SystemTime",
        "Instant",
        "rand",
        "async fn",
    ];
    let mut seen = 0;
    for (path, text) in sources(&src()) {
        let inside = path.strip_prefix(src()).unwrap().with_extension("");
        if !pure.iter().any(|module| inside.starts_with(module)) {
            continue;
        }
        seen += 1;
        let code = code(&text);
        for word in impure {
            assert!(!holds(&code, word), "{} is in a pure room and holds {word:?}", inside.display());
        }
    }
    assert!(seen >= pure.len(), "rooms were not found");
}

/// The fields that the spans of a text declare.
fn fields_of_spans(code: &str) -> Vec<&str> {
    let declared =
        code.split("tracing::instrument(").skip(1).filter_map(|rest| rest.split_once(")]")).map(|(it, _)| it);
    let fields = declared.filter_map(|it| it.split_once("fields(")).map(|(_, fields)| fields);
    fields.flat_map(|fields| fields.split(',')).map(|field| field.split('=').next().unwrap().trim()).collect()
}

#[test]
fn no_span_has_a_field_that_json_takes_for_its_own_name() {
    let bad = "#[tracing::instrument(name = \"x\", skip_all, fields(namespace = a.b(), name = c(),))]";
    assert!(fields_of_spans(bad).contains(&"name"), "the reader sees it");
    for (path, text) in sources(&src()) {
        // The JSON of a span has `name` for the name of the span. Readers keep one of two.
        assert!(!fields_of_spans(&text).contains(&"name"), "{}: a span has a field `name`", path.display());
    }
}

#[test]
fn the_reader_of_imports_reads_nested_ones() {
    let rooms = rooms_named_in("use crate::{api::{A, B}, clock::Clock, cluster};\nfn f() { crate::secret::x() }");
    assert_eq!(rooms, ["api", "clock", "cluster", "secret"].map(str::to_owned).into());
}

#[test]
fn the_reader_of_a_room_finds_every_form_of_import_between_modules() {
    let root = "mod low;\nmod high;\npub use low::{Item, deep::Other};\nuse crate::low::Foreign;\nfn own() {}";
    let cases: [(&str, &[&str], &str, bool); 10] = [
        ("a module", &["high"], "use super::low;", true),
        ("an item of a module", &["high"], "fn f() { super::low::f() }", true),
        ("an item in a group", &["high"], "use super::{Other as Another, own};", true),
        ("an item that the room imports", &["high"], "fn f(item: &super::Item) {}", true),
        ("a path from the root of the crate", &["high"], "use crate::{api, room::{low::f, own}};", true),
        ("a file of a module", &["high", "part"], "use super::super::low::f;", true),
        ("an item of the room itself", &["high"], "use super::own;", false),
        ("a part of the module itself", &["high", "part"], "use super::low;", false),
        ("a module beside the room", &["high"], "use super::super::low; use crate::low;", false),
        ("tests", &["high"], "fn f() {}\n#[cfg(test)]\nmod tests { use super::low; }", false),
    ];
    for (case, file, text, expected) in cases {
        let file = file.iter().map(|&name| name.to_owned()).collect();
        let files = vec![(vec!["low".to_owned()], String::new()), (file, text.to_owned())];
        let room = Room::new("room::".to_owned(), root, files);
        assert_eq!(room.imports["high"].contains("low"), expected, "{case}");
    }
}

#[test]
fn a_circle_is_found_and_named() {
    let imports = |rows: &[(&str, &[&str])]| {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        rows.iter().map(|(name, others)| ((*name).to_owned(), owned(others))).collect::<BTreeMap<_, _>>()
    };
    let down = imports(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]);
    assert_eq!(circle(&down), None, "a diamond");
    let circular = imports(&[("a", &["b"]), ("b", &["c"]), ("c", &["d", "b"]), ("d", &[])]);
    assert_eq!(circle(&circular), Some(["b", "c"].into()), "a circle below");
}

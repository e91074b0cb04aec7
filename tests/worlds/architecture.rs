//! The table of rooms in `src/lib.rs` is true: who imports whom, and which modules are pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

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

/// The rooms after `crate::` in a text, also in nested `use crate::{a, b::c}`.
fn rooms_named_in(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            rooms.insert(word(rest));
            continue;
        };
        let (mut depth, mut item) = (0, String::new());
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    rooms.insert(word(item.trim()));
                    item.clear();
                    continue;
                }
                _ => {}
            }
            item.push(c);
        }
        rooms.insert(word(item.trim()));
    }
    rooms.remove("");
    rooms
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
    let line = text.lines().find_map(|line| line.strip_prefix("//! * Pure rooms: ")).unwrap();
    let (line, _) = line.split_once('.').unwrap();
    line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
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

#[test]
fn the_arrows_between_rooms_go_one_way() {
    let table = table();
    for (room, imports) in &table {
        let (mut reached, mut next) = (BTreeSet::new(), imports.iter().cloned().collect::<Vec<_>>());
        while let Some(other) = next.pop() {
            if reached.insert(other.clone()) {
                next.extend(table.get(&other).into_iter().flatten().cloned());
            }
        }
        assert!(!reached.contains(room), "{room} imports itself by way of {reached:?}");
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

#[test]
fn the_reader_of_imports_reads_nested_ones() {
    let rooms = rooms_named_in("use crate::{api::{A, B}, clock::Clock, cluster};\nfn f() { crate::secret::x() }");
    assert_eq!(rooms, ["api", "clock", "cluster", "secret"].map(str::to_owned).into());
}

//! The corpora of `fuzz/`, as they are and changed at random. The random changes know JSON, which
//! libFuzzer does not: they move whole values between inputs.

use super::*;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The number of changed inputs for each property, unless `KEYTURN_MUTATIONS` says another.
const MUTATIONS: u64 = 400;
/// Texts that have a meaning somewhere.
const WORDS: [&str; 16] = [
    "*",
    "**",
    "${person}",
    "${dssUserLogin}",
    "system:",
    "/",
    ":",
    ",",
    "=",
    "!x",
    "WITHDRAWN",
    "keyturn",
    "/var/run/secrets/keyturn",
    "dkuaps-0123456789-admin",
    "a\nb",
    "ä\u{0}",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The names in a folder, without the extension of Rust files.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// The inputs of a corpus with their paths, in the order of the paths.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder().join("corpus").join(name)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_input_of_the_corpora_keeps_its_promise() {
    for (name, property) in PROPERTIES {
        let inputs = corpus(name);
        assert!(inputs.len() > 2, "{name} has {} inputs", inputs.len());
        for (path, input) in inputs {
            assert_eq!(property(&input), Ok(()), "{}", path.display());
        }
    }
}

#[test]
fn every_property_has_a_fuzz_target_and_a_corpus() {
    let expected: BTreeSet<String> = PROPERTIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder().join("fuzz_targets")), expected);
    assert_eq!(names(&folder().join("corpus")), expected);
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for name in expected {
        let target = fs::read_to_string(folder().join("fuzz_targets").join(&name).with_extension("rs")).unwrap();
        assert!(target.contains(&format!("keeps_its_promise(\"{name}\"")), "{name}: {target}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in the manifest");
    }
}

#[test]
fn inputs_of_no_form_break_no_promise() {
    for (name, property) in PROPERTIES {
        for input in [&b""[..], b"{}", b"[]", b"null", b"\n\n", b"\xff\xfe", b"{\"a\":"] {
            assert_eq!(property(input), Ok(()), "{name}: {}", String::from_utf8_lossy(input));
        }
    }
}

#[test]
fn changed_inputs_break_no_promise() {
    #[expect(clippy::disallowed_methods, reason = "a search may be longer than a test")]
    let asked = std::env::var("KEYTURN_MUTATIONS").ok().and_then(|count| count.parse().ok());
    for (name, property) in PROPERTIES {
        let inputs: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, input)| input).collect();
        for seed in 0..asked.unwrap_or(MUTATIONS) {
            let input = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).changed(&inputs);
            assert_eq!(property(&input), Ok(()), "{name}: {}", String::from_utf8_lossy(&input));
        }
    }
}

/// A source of numbers that are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            self.0 ^= if left { self.0 << shift } else { self.0 >> shift };
        }
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// One of the inputs after one to four changes.
    fn changed(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.one(inputs).clone();
        for _ in 0..=self.below(4) {
            let start = input.windows(2).position(|two| two == b"\n\n").map_or(0, |at| at + 2);
            let parsed = serde_json::from_slice::<Value>(&input[start..]).ok().filter(|_| self.below(4) > 0);
            match parsed {
                Some(mut value) => {
                    self.change_value(&mut value, inputs);
                    input.truncate(start);
                    input.extend(value.to_string().into_bytes());
                }
                None => self.change_bytes(&mut input, inputs),
            }
        }
        input
    }

    /// Replaces a value by one of another input, by a simple one, or by a changed text.
    fn change_value(&mut self, value: &mut Value, inputs: &[Vec<u8>]) {
        let mut places = Vec::new();
        collect(value, String::new(), &mut places);
        let place = self.one(&places).clone();
        let donor: Value = serde_json::from_slice(self.one(inputs).as_slice()).unwrap_or_default();
        let mut donors = Vec::new();
        collect(&donor, String::new(), &mut donors);
        let simple = [json!(null), json!([]), json!({}), json!(""), json!(true), json!(7), json!(*self.one(&WORDS))];
        let changed = value.pointer(&place).and_then(Value::as_str).map(|text| {
            let mut text = text.as_bytes().to_vec();
            self.change_bytes(&mut text, &[]);
            json!(String::from_utf8_lossy(&text))
        });
        let new = match (self.below(3), changed) {
            (0, _) => self.one(&simple).clone(),
            (1, Some(changed)) => changed,
            _ => donor.pointer(self.one(&donors).as_str()).cloned().unwrap_or_default(),
        };
        match value.pointer_mut(&place) {
            Some(Value::Array(list)) if self.below(2) == 0 => list.push(new),
            Some(present) => *present = new,
            None => {}
        }
    }

    fn change_bytes(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(8)).min(input.len());
        let new = match self.below(4) {
            0 => vec![],
            1 => vec![u8::try_from(self.below(256)).unwrap()],
            2 if !inputs.is_empty() => {
                let other = self.one(inputs);
                other[self.below(other.len())..].iter().take(64).copied().collect()
            }
            _ => self.one(&WORDS).as_bytes().to_vec(),
        };
        drop(input.splice(at..end, new));
    }
}

/// The places (RFC 6901) of all values in a value.
fn collect(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(field, format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), places);
            }
        }
        Value::Array(list) => {
            for (at, element) in list.iter().enumerate() {
                collect(element, format!("{place}/{at}"), places);
            }
        }
        _ => {}
    }
    places.push(place);
}

//! Names and durations, made from those of another system. Pure.

use crate::api::SessionDuration;
use std::collections::BTreeSet;

/// The longest name of an `AwsConfig`, in characters (its schema).
const LONGEST: usize = 59;

/// The names that were given to objects of one kind.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A name of an object for `text` that no other object has: `alice@example.com` becomes
    /// `alice-example-com`.
    pub fn take(&mut self, text: &str) -> String {
        let base = label(text);
        let mut name = base.clone();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            let suffix = format!("-{number}");
            let kept: String = base.chars().take(LONGEST - suffix.len()).collect();
            name = kept.trim_end_matches('-').to_owned() + &suffix;
            number += 1;
        }
        name
    }
}

/// A name that is a DNS label (RFC 1123).
pub(super) fn label(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
        if name.len() == LONGEST {
            break;
        }
    }
    let name = name.trim_end_matches('-').to_owned();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// A number of seconds as keyturn writes durations, such as 1h30m. `None` if it is no whole number
/// of minutes from 15m to 12h, which keyturn refuses.
pub(super) fn duration(seconds: i64) -> Option<String> {
    if seconds % 60 != 0 || !(900..=43_200).contains(&seconds) {
        return None;
    }
    let minutes = u32::try_from(seconds / 60).ok()?;
    Some(SessionDuration::minutes(minutes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_another_system_becomes_that_of_an_object() {
        let rows = [
            ("alice@example.com", "alice-example-com"),
            ("  Ünïcode -- Bob ", "n-code-bob"),
            ("***", "unnamed"),
            ("a".repeat(80).as_str(), &"a".repeat(59)),
        ]
        .map(|(text, name)| (text.to_owned(), name.to_owned()));
        for (text, name) in rows {
            assert_eq!(label(&text), name);
        }
        let mut names = Names::default();
        assert_eq!([names.take("a b"), names.take("a-b"), names.take("a.b")], ["a-b", "a-b-2", "a-b-3"]);
    }

    #[test]
    fn seconds_become_hours_and_minutes() {
        let rows = [
            (900, Some("15m")),
            (3600, Some("1h")),
            (5400, Some("1h30m")),
            (43_200, Some("12h")),
            (60, None),
            (3601, None),
        ];
        for (seconds, expected) in rows {
            assert_eq!(duration(seconds).as_deref(), expected, "{seconds}");
        }
    }
}

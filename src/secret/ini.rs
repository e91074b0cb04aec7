//! The INI dialect of the AWS configuration files. The `ini` crate writes it without escapes,
//! because the dialect has none.
//!
//! `credential_process` is a command line, and every SDK has a parser of its own. A value that a
//! parser could take for something else (a new line, a section, a comment) is refused and not
//! quoted.

use super::Unrenderable;
use ini::{EscapePolicy, Ini, LineSeparator, WriteOption};

/// Keys and values of a profile, in the order of the file.
pub(super) type Profile<'a> = Vec<(&'static str, &'a str)>;

/// A file with these profiles, each under the name of its section. The schema bounds the names.
pub(super) fn file(profiles: &[(String, Profile<'_>)]) -> Result<Vec<u8>, Unrenderable> {
    let mut file = Ini::new();
    for (section, profile) in profiles {
        for (key, value) in profile {
            let command = *key == "credential_process";
            if value.chars().any(|c| c.is_control() || "[]#\"\\".contains(c) || (!command && "'; ".contains(c))) {
                return Err(Unrenderable { key });
            }
            file.with_section(Some(section.as_str())).set(*key, *value);
        }
    }
    let options =
        WriteOption { escape_policy: EscapePolicy::Nothing, line_separator: LineSeparator::CR, kv_separator: " = " };
    let mut bytes = Vec::new();
    file.write_to_opt(&mut bytes, options).map_err(|_| Unrenderable { key: "default" })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn default_profile(region: &str) -> Result<Vec<u8>, Unrenderable> {
        file(&[("default".to_owned(), vec![("region", region)])])
    }

    proptest! {
        #[test]
        fn written_values_are_read_back_unchanged(value in "\\PC{1,80}") {
            if let Ok(bytes) = default_profile(&value) {
                let text = String::from_utf8(bytes).unwrap();
                prop_assert_eq!(text, format!("[default]\nregion = {value}\n"));
            }
        }

        #[test]
        fn no_value_can_open_a_line_or_a_section(before in "[a-z]{0,5}", bad in "[\r\n\\[\\]#\"\\\\\0;' ]", after in "[a-z]{0,5}") {
            let value = format!("{before}{bad}{after}");
            prop_assert!(default_profile(&value).is_err());
        }
    }
}

//! The AWS dialect of INI: written by the `ini` crate without escapes, since the dialect has none.
//!
//! `credential_process` is a command line and every SDK has a parser of its own, so a value that any of them could
//! read as something else (a new line, a section, a comment) is refused rather than quoted.

use super::Unrenderable;
use ini::{EscapePolicy, Ini, LineSeparator, WriteOption};

/// Keys and values of a profile, in the order in which they are written.
pub(super) type Profile<'a> = Vec<(&'static str, &'a str)>;

/// A file whose only profile is `default`.
pub(super) fn default_profile(profile: &Profile<'_>) -> Result<Vec<u8>, Unrenderable> {
    let mut file = Ini::new();
    for (key, value) in profile {
        let command = *key == "credential_process";
        if value.chars().any(|c| c.is_control() || "[]#\"\\".contains(c) || (!command && "'; ".contains(c))) {
            return Err(Unrenderable { key });
        }
        file.with_section(Some("default")).set(*key, *value);
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

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again_as_exactly_that(value in "\\PC{1,80}") {
            let profile = vec![("region", value.as_str())];
            if let Ok(bytes) = default_profile(&profile) {
                let text = String::from_utf8(bytes).unwrap();
                prop_assert_eq!(text, format!("[default]\nregion = {value}\n"));
            }
        }

        #[test]
        fn no_value_can_open_a_line_or_a_section(before in "[a-z]{0,5}", bad in "[\r\n\\[\\]#\"\\\\\0;' ]", after in "[a-z]{0,5}") {
            let value = format!("{before}{bad}{after}");
            prop_assert!(default_profile(&vec![("region", value.as_str())]).is_err());
        }
    }
}

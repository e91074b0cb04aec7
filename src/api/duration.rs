//! Durations in hours and minutes, as users write them: `1h`, `90m`, `1h30m`.

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr};

/// Hours, minutes, or hours followed by minutes. The pattern refuses seconds on purpose, because no
/// schedule of a credential is that precise.
const PATTERN: &str = "^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$";

/// A duration in hours and minutes, kept as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionDuration(String);

/// A text that is not a duration in hours and minutes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration in hours and minutes, such as 1h, 90m or 1h30m")]
pub struct InvalidDuration(String);

impl SessionDuration {
    /// The duration in numbers.
    ///
    /// # Errors
    /// [`InvalidDuration`] if the text holds other units or is not positive, which the schema
    /// refuses.
    pub fn length(&self) -> Result<SignedDuration, InvalidDuration> {
        let invalid = || InvalidDuration(self.0.chars().take(40).collect());
        let parsed: SignedDuration = self.0.parse().map_err(|_| invalid())?;
        let only_hours_and_minutes = self.0.bytes().all(|b| b.is_ascii_digit() || b == b'h' || b == b'm');
        if only_hours_and_minutes && parsed.is_positive() { Ok(parsed) } else { Err(invalid()) }
    }
}

impl SessionDuration {
    /// A duration of so many minutes, at most 99 hours, spelled like a user would.
    #[must_use]
    pub fn minutes(minutes: u32) -> Self {
        Self(match (minutes / 60, minutes % 60) {
            (0, minutes) => format!("{minutes}m"),
            (hours, 0) => format!("{hours}h"),
            (hours, minutes) => format!("{hours}h{minutes}m"),
        })
    }
}

impl Default for SessionDuration {
    fn default() -> Self {
        Self("1h".to_owned())
    }
}

impl FromStr for SessionDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let duration = Self(text.to_owned());
        duration.length()?;
        Ok(duration)
    }
}

impl fmt::Display for SessionDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for SessionDuration {
    fn schema_name() -> Cow<'static, str> {
        "SessionDuration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 2, "maxLength": 7, "pattern": PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_minutes_are_read() {
        for (text, minutes) in [("15m", 15), ("1h", 60), ("1h30m", 90), ("90m", 90), ("12h", 720)] {
            assert_eq!(text.parse::<SessionDuration>().unwrap().length().unwrap(), SignedDuration::from_mins(minutes));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "1", "30s", "1h30s", "1day", "-1h", "1.5h", "PT1H", "0m", "1h ago", " 1h"] {
            assert!(text.parse::<SessionDuration>().is_err(), "{text:?}");
        }
    }
}

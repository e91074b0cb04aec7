//! The content of a cell of the table: a quantity with its unit, or a text. The table is for
//! people, and the JSON beside it holds the same in base units.

use crate::{
    numbers::{megabytes, share},
    process::Memory,
};
use serde_json::{Value, json};
use std::{fmt, time::Duration};

/// The content of a cell.
#[derive(Clone, Debug)]
pub enum Cell {
    /// There is nothing to compare with.
    Nothing,
    /// A text that no program needs to read.
    Text(String),
    /// A length of time.
    Time(Duration),
    /// So many in a second.
    Rate(f64),
    /// A number of bytes.
    Bytes(u64),
    /// A number of something for each object.
    Each(f64),
    /// The memory of a process.
    Memory(Memory),
}

impl Cell {
    /// A number of something, for each of `count` objects.
    pub fn each(number: usize, count: usize) -> Self {
        Self::Each(share(number, count))
    }

    /// The cell in seconds, bytes, or a number.
    pub fn json(&self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Text(text) => json!(text),
            Self::Time(time) => json!({"seconds": time.as_secs_f64()}),
            Self::Rate(rate) => json!({"per_second": rate}),
            Self::Bytes(bytes) => json!({"bytes": bytes}),
            Self::Each(number) => json!({"each": number}),
            Self::Memory(memory) => json!({
                "resident_bytes": memory.resident,
                "peak_bytes": memory.peak,
                "anonymous_bytes": memory.anonymous,
            }),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("–"),
            Self::Text(text) => f.write_str(text),
            Self::Time(time) => {
                let milliseconds = time.as_secs_f64() * 1000.0;
                let decimals = if milliseconds < 10.0 { 2 } else { 1 };
                write!(f, "{milliseconds:.decimals$} ms")
            }
            Self::Rate(rate) => write!(f, "{rate:.0}/s"),
            Self::Bytes(bytes) => f.write_str(&megabytes(*bytes)),
            Self::Each(number) => write!(f, "{number:.2}"),
            Self::Memory(memory) => {
                let [now, peak, heap] = [memory.resident, memory.peak, memory.anonymous].map(megabytes);
                write!(f, "{now} (peak {peak}, heap {heap})")
            }
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        if text == "–" { Self::Nothing } else { Self::Text(text.to_owned()) }
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Duration> for Cell {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl From<Memory> for Cell {
    fn from(memory: Memory) -> Self {
        Self::Memory(memory)
    }
}

//! The table, and what was promised and is not so.

use crate::Result;
use std::{
    io::{self, Write as _},
    time::Duration,
};

/// What was measured.
#[derive(Default)]
pub struct Report {
    rows: Vec<[String; 5]>,
    notes: Vec<String>,
    broken: Vec<String>,
}

impl Report {
    /// A row of the table. `mark` is the best that was measured of others (docs/performance.md).
    pub fn row(&mut self, measure: &str, keyturn: &str, floor: &str, ratio: Option<f64>, mark: &str) {
        let ratio = ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        self.rows.push([measure, keyturn, floor, &ratio, mark].map(str::to_owned));
    }

    /// A row for two short times.
    pub fn times_row(&mut self, measure: &str, times: [Duration; 2]) {
        self.ratio_row(measure, times, "–");
    }

    /// Two rows for the times of each: the median, whose ratio is promised, and what one in a hundred exceeds.
    pub fn median_and_p99(&mut self, measure: &str, times: [&mut [Duration]; 2], at_most: f64) {
        let [[median, p99], [floor_median, floor_p99]] = times.map(|times| [50, 99].map(|of| percentile(times, of)));
        self.promised_row(&format!("{measure}, p50"), [median, floor_median], at_most);
        self.times_row(&format!("{measure}, p99"), [p99, floor_p99]);
    }

    /// A row for two times whose ratio is promised not to be greater. A time by itself never fails the benchmark.
    pub fn promised_row(&mut self, measure: &str, times: [Duration; 2], at_most: f64) {
        let ratio = self.ratio_row(measure, times, &format!("at most {at_most:.2}"));
        if ratio.is_nan() || ratio > at_most {
            self.broken.push(format!("{measure}: {ratio:.2} times the floor, promised was at most {at_most:.2}"));
        }
    }

    /// Adds a row for two short times, and returns their ratio.
    fn ratio_row(&mut self, measure: &str, [keyturn, floor]: [Duration; 2], mark: &str) -> f64 {
        let ratio = keyturn.div_duration_f64(floor);
        self.row(measure, &fine_milliseconds(keyturn), &fine_milliseconds(floor), Some(ratio), mark);
        ratio
    }

    /// A line below the table.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// A count that is promised. Another one fails the benchmark.
    pub fn promise(&mut self, what: &str, promised: usize, counted: usize) {
        if counted != promised {
            self.broken.push(format!("{what}: {counted}, promised were {promised}"));
        }
    }

    /// Prints it. Returns whether every promise was kept.
    pub fn print(&self) -> Result<bool> {
        let mut out = io::stdout().lock();
        let head = ["measure", "keyturn", "floor", "ratio", "to beat"].map(str::to_owned);
        let width = |column: usize| {
            self.rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let rule = std::array::from_fn(|column| "-".repeat(width(column)));
        writeln!(out)?;
        for row in [&head, &rule].into_iter().chain(&self.rows) {
            let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
            writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "))?;
        }
        writeln!(out)?;
        for note in &self.notes {
            writeln!(out, "{note}")?;
        }
        for broken in &self.broken {
            writeln!(out, "BROKEN: {broken}")?;
        }
        Ok(self.broken.is_empty())
    }
}

/// A time in milliseconds, e.g. `74.1 ms`.
pub fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// A short time in milliseconds, e.g. `0.74 ms`.
pub fn fine_milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// The time that so many percent of them do not exceed.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get(last * percent / 100).copied().unwrap_or_default()
}

/// Bytes in megabytes, e.g. `23.5 MB`.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1_000_000.0)
}

/// How many in a second.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// A count for each object.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn share(number: usize, count: usize) -> String {
    format!("{:.2}", number as f64 / count as f64)
}

/// The share of each in a time for all of them.
pub fn mean(all: Duration, count: usize) -> Duration {
    all.checked_div(u32::try_from(count).unwrap_or(u32::MAX)).unwrap_or_default()
}

/// The share of one object in a time, in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn each(count: usize, time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0 / count as f64
}

/// Tells how far it has come.
pub fn progress(what: &str) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "bench: {what}");
}

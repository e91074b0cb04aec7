//! The table of measures, the notes below it, and the broken promises.

use crate::{
    Result,
    cell::Cell,
    figures::Figure,
    numbers::{megabytes, percentile},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    time::Duration,
};

/// A row of the table.
struct Row {
    measure: String,
    keyturn: Cell,
    floor: Cell,
    ratio: Option<f64>,
    mark: String,
}

impl Row {
    fn cells(&self) -> [String; 5] {
        let ratio = self.ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        [self.measure.clone(), self.keyturn.to_string(), self.floor.to_string(), ratio, self.mark.clone()]
    }

    fn json(&self) -> Value {
        json!({
            "measure": self.measure,
            "keyturn": self.keyturn.json(),
            "floor": self.floor.json(),
            "ratio": self.ratio,
            "mark": if self.mark == "–" { None } else { Some(&self.mark) },
        })
    }
}

/// The results of a run.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    figures: BTreeMap<Figure, f64>,
    notes: Vec<String>,
    broken: Vec<String>,
}

impl Report {
    /// Adds a row to the table. `mark` is the best result of other programs (docs/performance.md).
    pub fn row(
        &mut self,
        measure: &str,
        keyturn: impl Into<Cell>,
        floor: impl Into<Cell>,
        ratio: Option<f64>,
        mark: &str,
    ) {
        let (keyturn, floor) = (keyturn.into(), floor.into());
        self.rows.push(Row { measure: measure.to_owned(), keyturn, floor, ratio, mark: mark.to_owned() });
    }

    /// Records a figure that is followed over the number of objects, or compared with others.
    pub fn figure(&mut self, figure: Figure, value: f64) {
        self.figures.insert(figure, value);
    }

    /// The figures of the run.
    pub fn figures(&self) -> &BTreeMap<Figure, f64> {
        &self.figures
    }

    /// Adds a row for two times.
    pub fn times_row(&mut self, measure: &str, times: [Duration; 2]) {
        self.ratio_row(measure, times, "–");
    }

    /// Adds two rows for the times of keyturn and of the floor: the median, which must be at most
    /// `at_most` times the floor's, and the time that one in a hundred exceeds.
    pub fn median_and_p99(&mut self, measure: &str, times: [&mut [Duration]; 2], at_most: f64) {
        let [[median, p99], [floor_median, floor_p99]] = times.map(|times| [50, 99].map(|of| percentile(times, of)));
        self.promised_row(&format!("{measure}, p50"), [median, floor_median], at_most);
        self.times_row(&format!("{measure}, p99"), [p99, floor_p99]);
    }

    /// Adds a row for two times. A ratio above `at_most` is a broken promise. A time by itself
    /// never fails the bench.
    pub fn promised_row(&mut self, measure: &str, times: [Duration; 2], at_most: f64) {
        let ratio = self.ratio_row(measure, times, &format!("at most {at_most:.2}"));
        if ratio.is_nan() || ratio > at_most {
            self.broken.push(format!("{measure}: {ratio:.2} times the floor, promised was at most {at_most:.2}"));
        }
    }

    /// Adds a row for two times, and returns their ratio.
    fn ratio_row(&mut self, measure: &str, [keyturn, floor]: [Duration; 2], mark: &str) -> f64 {
        let ratio = keyturn.div_duration_f64(floor);
        self.row(measure, keyturn, floor, Some(ratio), mark);
        ratio
    }

    /// Adds a line below the table.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Checks a count that keyturn promises. Another count fails the bench.
    pub fn promise(&mut self, what: &str, promised: usize, counted: usize) {
        if counted != promised {
            self.broken.push(format!("{what}: {counted}, promised were {promised}"));
        }
    }

    /// Checks a number of bytes that keyturn promises not to exceed. More of them fail the bench.
    pub fn at_most(&mut self, what: &str, bytes: u64, most: u64) {
        if bytes > most {
            self.broken.push(format!("{what}: {} more, promised was at most {}", megabytes(bytes), megabytes(most)));
        }
    }

    /// The whole of it, in base units.
    pub fn json(&self, objects: usize) -> Value {
        let figures: BTreeMap<&str, f64> = self.figures.iter().map(|(figure, value)| (figure.key(), *value)).collect();
        json!({
            "objects": objects,
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "figures": figures,
            "notes": self.notes,
            "broken": self.broken,
        })
    }

    /// Prints the report. Returns whether keyturn kept every promise.
    pub fn print(&self) -> Result<bool> {
        let mut out = io::stdout().lock();
        let rows = self.rows.iter().map(Row::cells).collect::<Vec<_>>();
        table(&mut out, ["measure", "keyturn", "floor", "ratio", "to beat"], &rows)?;
        for note in &self.notes {
            writeln!(out, "{note}")?;
        }
        for broken in &self.broken {
            writeln!(out, "BROKEN: {broken}")?;
        }
        Ok(self.broken.is_empty())
    }
}

/// Prints a table as Markdown has it, with columns of one width.
pub fn table<const N: usize>(out: &mut impl io::Write, head: [&str; N], rows: &[[String; N]]) -> Result {
    let head = head.map(str::to_owned);
    let width =
        |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default();
    let rule = std::array::from_fn(|column| "-".repeat(width(column)));
    writeln!(out)?;
    for row in [&head, &rule].into_iter().chain(rows) {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
        writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "))?;
    }
    writeln!(out)?;
    Ok(())
}

/// Prints which step of the run begins.
pub fn progress(what: &str) {
    // A closed standard error is no failure, because somebody closed it on purpose.
    let _ = writeln!(io::stderr(), "bench: {what}");
}

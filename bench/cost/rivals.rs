//! The figures of other programs with the same purpose, where the work is the same. They were
//! measured on the same kind of control plane on two cores, beside a floor of that day
//! (docs/performance.md). A rate or a time is compared as a part of its own floor, because the
//! machines of two days differ.

use crate::{
    Result,
    figures::Figure,
    report::{Report, table},
};
use std::io;

/// The best of the others in one figure.
struct Best {
    figure: Figure,
    /// The number of objects, if the figure depends on it.
    objects: Option<usize>,
    value: f64,
    who: &'static str,
}

/// The floor of that day, per second: one AssumeRole, one server-side apply of a Secret of three
/// keys, one merge patch of a status, with 64 in flight.
const FLOOR_RATE: f64 = 368.0;
/// The floor of that day for one object, in milliseconds.
const FLOOR_TIME: f64 = 70.6;

const ASSUME_ROLE: &str = "aws-assume-role";
const IAM_CONTROLLER: &str = "kube-aws-iam-controller";
const ESO: &str = "External Secrets Operator, 64 workers, tuned";

const BEST: &[Best] = &[
    Best { figure: Figure::ColdReady, objects: Some(1_000), value: 90.0 / FLOOR_RATE, who: ESO },
    Best { figure: Figure::ColdReady, objects: Some(5_000), value: 82.0 / FLOOR_RATE, who: ESO },
    Best { figure: Figure::NewObject, objects: None, value: 76.0 / FLOOR_TIME, who: ASSUME_ROLE },
    Best { figure: Figure::Resident, objects: Some(1_000), value: 23.5, who: ASSUME_ROLE },
    Best { figure: Figure::Resident, objects: Some(5_000), value: 49.0, who: ASSUME_ROLE },
    Best { figure: Figure::StsPerRenewal, objects: None, value: 1.0, who: IAM_CONTROLLER },
    Best { figure: Figure::WritesPerRenewal, objects: None, value: 2.0, who: ASSUME_ROLE },
    Best { figure: Figure::ReadsPerRenewal, objects: None, value: 0.01, who: IAM_CONTROLLER },
];

/// Prints keyturn's figures beside the best of the others.
pub fn print(report: &Report, objects: usize) -> Result {
    let beside = BEST.iter().filter(|best| best.objects.is_none_or(|of| of == objects)).filter_map(|best| {
        let own = report.figures().get(&best.figure)?;
        Some([best.figure.label().to_owned(), format!("{own:.2}"), format!("{:.2}", best.value), best.who.to_owned()])
    });
    let rows: Vec<_> = beside.collect();
    if rows.is_empty() {
        return Ok(());
    }
    table(&mut io::stdout().lock(), ["measure", "keyturn", "best of others", "whose"], &rows)
}

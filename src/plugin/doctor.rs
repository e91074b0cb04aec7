//! `kubectl keyturn doctor`: whether keyturn is in order in the whole cluster, or in the namespaces
//! that the caller may read.

mod facts;
mod findings;
mod shards;
mod webhook;

use super::{Answer, Caller, Failed, Paint, screen::harmless};
use jiff::Timestamp;

/// A statement about one part of keyturn.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    mark: Mark,
    /// The part that was looked at.
    part: &'static str,
    /// The state of the part, and the next step.
    text: String,
}

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// It is in order.
    Fine,
    /// It is in order, and somebody may want to know something.
    Note,
    /// It is not in order.
    Bad,
    /// The caller may not look.
    Unknown,
}

impl Finding {
    fn new(mark: Mark, part: &'static str, text: impl Into<String>) -> Self {
        Self { mark, part, text: text.into() }
    }
}

/// Looks at everything that the caller may read.
///
/// # Errors
/// [`Failed`] if the API server does not answer.
pub(super) async fn doctor(caller: &Caller, now: Timestamp, paint: Paint) -> Result<Answer, Failed> {
    let facts = facts::gather(caller).await?;
    let mut found = findings::findings(&facts, now);
    if facts.serves("awsconfigs") {
        found.push(webhook::finding(caller, &facts).await?);
    }
    Ok(answer(&found, paint))
}

fn answer(found: &[Finding], paint: Paint) -> Answer {
    let lines = found.iter().map(|it| {
        let mark = match it.mark {
            Mark::Fine => '+',
            Mark::Note => '*',
            Mark::Bad => '-',
            Mark::Unknown => '?',
        };
        let line = format!("{mark} {}: {}\n", it.part, harmless(&it.text));
        match it.mark {
            Mark::Fine => line,
            Mark::Bad => paint.bad(&line),
            Mark::Note | Mark::Unknown => paint.unsure(&line),
        }
    });
    let bad = found.iter().filter(|it| it.mark == Mark::Bad).count();
    let unknown = found.iter().filter(|it| it.mark == Mark::Unknown).count();
    let verdict = match (bad, unknown) {
        (0, 0) => paint.good("keyturn is in order\n"),
        (0, unknown) => format!("nothing is wrong in what you may read; {unknown} parts you may not\n"),
        (bad, _) => paint.bad(&format!("not in order: {bad} of {}\n", found.len())),
    };
    Answer::of(lines.collect::<String>() + &verdict, bad == 0)
}

#[cfg(test)]
mod tests;

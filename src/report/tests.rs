//! The report of a reconcile, as tables. Each row is a reconcile of plain values.

mod conditions;
mod event_notes;
mod first_issue;
mod held;
pub(crate) mod moment;
mod next_reconcile;
mod profiles;
mod status;
mod verification;

/// Compares lines such as `Ready=False Suspended: the message`. An expected line names the part
/// before the colon in full. After the colon it names a part of the message, or nothing.
fn assert_lines(row: &str, lines: &[String], expected: &[&str]) {
    let is_as = |(line, expected): (&String, &&str)| {
        let (head, message) = line.split_once(": ").unwrap_or((line, ""));
        let (expected_head, part) = expected.split_once(": ").unwrap_or((expected, ""));
        head == expected_head && message.contains(part)
    };
    let same = lines.len() == expected.len() && lines.iter().zip(expected).all(is_as);
    assert!(same, "{row}: {lines:#?} and not {expected:#?}");
}

#[test]
#[should_panic(expected = "the row")]
fn a_line_with_another_message_is_noticed() {
    assert_lines("the row", &["Ready=False Suspended: a message".into()], &["Ready=False Suspended: another"]);
}

//! The Event of a first issue: each row is what the trail sees, and whether it writes the Event.

use super::moment::{Moment, at, fresh, live};
use crate::report::first_issue;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

fn is_told(moment: &Moment) -> bool {
    first_issue(&moment.seen, moment.now).is_some()
}

#[test]
fn the_trail_tells_a_first_issue_once_and_only_for_an_hour() {
    let told = |mut moment: Moment| {
        moment.seen.remembered.told = true;
        moment
    };
    let issued_before = |seconds: i64| {
        let time = live().now - SignedDuration::from_secs(seconds);
        live().recorded(|status| status.issued_at = Some(Time(time)))
    };
    let rows = vec![
        ("at once", fresh().issues().then("00:00:00"), true),
        ("after a restart", live(), true),
        ("before the issue", fresh(), false),
        ("told already", told(live()), false),
        ("almost an hour later", issued_before(3599), true),
        ("an hour later", issued_before(3600), false),
        ("after a renewal", live().at("00:45:00").issues().then("00:46:00"), false),
        ("after a withdrawal", live().without_grant().withdraws().then("00:16:00"), false),
        ("another credential in status", live().recorded(|it| it.access_key_id = Some("other".into())), false),
    ];
    for (row, moment, expected) in rows {
        assert_eq!(is_told(&moment), expected, "{row}");
    }
}

#[test]
fn the_event_has_one_name_in_every_attempt() {
    let name = |moment: &Moment| first_issue(&moment.seen, moment.now).unwrap().name;
    let other = live().recorded(|status| status.issued_at = Some(Time(at("00:00:01"))));
    assert_eq!(name(&live()), name(&live().at("00:20:00")), "at another time");
    assert_ne!(name(&live()), name(&other), "another issue");
}

//! The audit lines: each credential that STS issued is in exactly one, with no secret.

use super::{log::Log, world::World};
use crate::{
    doubles::{apiserver::Fault, rules::Times},
    fixtures::{alice, analysts, role},
};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn each_credential_is_in_one_audit_line_without_a_secret() {
    let log = Log::listen();
    let mut world = World::empty();
    world.apply(&analysts());
    world.start();
    world.apply(&alice());
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.pass_until_due("alice").await;
    world.settle().await;
    // The session that cannot be written at first is issued once.
    let refusal = world.api.fault(Times::UntilCleared, |r| r.is_on("secrets") && r.is_write(), Fault::status(500));
    world.change("alice", |spec| spec.role = Some(role("ds-lead")));
    world.pass(Duration::from_secs(120)).await;
    world.api.forgive(refusal);
    world.until("alice is ready again", |world| world.is_ready("alice")).await;
    world.settle().await;
    let config = world.config("alice").unwrap();
    world.stop().await;

    let text = log.end();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("keyturn::audit: credential issued")).collect();
    let issued = world.sts.issued();
    assert_eq!((issued.len(), lines.len()), (3, 3), "{lines:#?}");
    for ((session, line), (why, role)) in issued.iter().zip(&lines).zip([
        ("first", role("ds-analyst")),
        ("renewal", role("ds-analyst")),
        ("changed", role("ds-lead")),
    ]) {
        for part in [
            format!("access_key_id=\"{}\"", session.access_key_id),
            format!("why=\"{why}\""),
            format!("role=\"{role}\""),
            "person=\"alice\"".to_owned(),
            "grant=\"analysts\"".to_owned(),
            "external_id=\"prod/scoring\"".to_owned(),
            format!("uid=\"{}\"", config.metadata.uid.as_deref().unwrap()),
            format!("expires_at=\"{}\"", session.expiration),
            "resource_version=\"".to_owned(),
        ] {
            assert!(line.contains(&part), "{part} is missing: {line}");
        }
        assert!(!text.contains(&session.secret_access_key) && !text.contains(&session.session_token));
    }
    assert!(lines[0].contains("generation=1") && lines[2].contains("generation=2"), "{lines:#?}");
}

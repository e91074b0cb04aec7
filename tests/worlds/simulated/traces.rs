//! Traces: a reconcile is a tree of spans, with a span for each call.

use super::{dataiku, log::Log, world::World};
use crate::{
    doubles::{rules::Times, sts::Behaviour},
    fixtures::{alice, config, personal_key},
};
use opentelemetry_sdk::trace::SpanData;

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|attribute| attribute.key.as_str() == key).map(|attribute| attribute.value.to_string())
}

/// The calls below `root`, in their order: the name, the system, the object and the outcome.
fn calls(spans: &[SpanData], root: &SpanData) -> Vec<[String; 4]> {
    let id = root.span_context.span_id();
    let mut below: Vec<&SpanData> = spans.iter().filter(|span| span.parent_span_id == id).collect();
    below.sort_by_key(|span| span.start_time);
    assert!(below.iter().all(|span| span.span_context.trace_id() == root.span_context.trace_id()));
    let text = |span: &SpanData, key| attribute(span, key).unwrap_or_default();
    let call = |span: &&SpanData| {
        [span.name.to_string(), text(span, "peer.service"), text(span, "object"), text(span, "outcome")]
    };
    below.iter().map(call).collect()
}

/// The first reconcile with such a call.
fn reconcile_with<'a>(spans: &'a [SpanData], call: &str) -> &'a SpanData {
    let root = |span: &&SpanData| span.name == "reconcile" && calls(spans, span).iter().any(|[name, ..]| name == call);
    spans.iter().find(root).unwrap_or_else(|| panic!("no reconcile has the call {call}: {spans:#?}"))
}

#[tokio::test(start_paused = true)]
async fn the_first_issue_is_a_tree_of_spans() {
    let log = Log::listen();
    let world = World::with(&[alice()]).await;
    world.until("she is ready", |world| world.is_ready("alice")).await;
    let role = world.status("alice").active_role.unwrap().role;
    let (_, spans) = log.end_with_spans();
    let root = reconcile_with(&spans, "AssumeRole");
    for (key, value) in [("namespace", "scoring"), ("object", "alice"), ("generation", "1"), ("person", "alice")] {
        assert_eq!(attribute(root, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(attribute(root, "role").as_deref(), Some(role.as_str()));
    let calls = calls(&spans, root);
    let expected = [
        ["AssumeRole", "sts", &role, "success"],
        ["create Secret", "kubernetes", "scoring/alice-aws", "success"],
        ["write status of AwsConfig", "kubernetes", "scoring/alice", "success"],
    ];
    for call in expected {
        assert!(calls.iter().any(|made| made == &call), "{call:?} is not among {calls:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_says_how() {
    let log = Log::listen();
    let world = World::with(&[]).await;
    world.sts.behave(Times::UntilCleared, Behaviour::AccessDenied);
    world.apply(&alice());
    world.until("she is refused", |world| world.ready("alice") == "False/AssumeRoleDenied").await;
    let (_, spans) = log.end_with_spans();
    let calls = calls(&spans, reconcile_with(&spans, "AssumeRole"));
    let outcome = calls.iter().find(|[name, ..]| name == "AssumeRole").map(|[.., outcome]| outcome.as_str());
    assert_eq!(outcome, Some("AssumeRoleDenied"), "{calls:#?}");
    let failed = spans.iter().find(|span| span.name == "AssumeRole").unwrap();
    assert!(matches!(failed.status, opentelemetry::trace::Status::Error { .. }), "{failed:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_to_dss_has_its_route_and_no_name_in_it() {
    let log = Log::listen();
    let mut world = dataiku::world();
    world.start();
    world.apply(&config("alice", personal_key));
    world.until("she is ready", |world| world.is_ready("alice")).await;
    let (_, spans) = log.end_with_spans();
    let calls = calls(&spans, reconcile_with(&spans, "POST /admin/personal-api-keys"));
    let made = ["POST /admin/personal-api-keys", "DSS", "", "success"];
    assert!(calls.iter().any(|call| call == &made), "{calls:#?}");
}

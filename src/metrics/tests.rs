use super::*;
use crate::limit::{Lane, Snapshot, Weather};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command, time::Duration};

#[test]
fn requests_that_were_held_back_are_counted_by_scope() {
    let metrics = Metrics::new();
    for scope in ["object", "namespace", "all", "places", "namespace"] {
        metrics.held_back(scope);
    }
    let text = metrics.encode(&States::default()).unwrap();
    for (scope, count) in [("object", 1), ("namespace", 2), ("all", 1), ("places", 1)] {
        let line = format!("keyturn_requests_held_back_total{{scope=\"{scope}\"}} {count}\n");
        assert!(text.contains(&line), "{text}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages of an operator and of a webhook to which everything has happened.
fn pages() -> [String; 2] {
    let metrics = Metrics::with_objects();
    metrics.leads();
    metrics.pods_missed(1);
    metrics.repaired();
    metrics.withdrawn(Reason::NotGranted);
    metrics.held_back("namespace");
    metrics.pushed(Slot::DssSecrets, true);
    metrics.write_failed()("secrets");
    metrics.sts_answered()(Duration::from_millis(80), None);
    metrics.sts_answered()(Duration::from_millis(80), Some(Reason::Throttled));
    metrics.sts_waited()(Lane::Renewal, Duration::from_secs(2));
    metrics.sts_budget(&Snapshot {
        waiting: [1, 2, 0],
        too_late: 1,
        rate: 50.0,
        under_way: 1,
        weather: Weather::Throttling,
    });
    for provider in [CredentialProvider::Temporary, CredentialProvider::Connection] {
        metrics.issued(provider, Reason::Renewed);
        metrics.failed(provider, Reason::Throttled);
    }
    let mut states = States::default();
    for (state, reason) in [
        (State::Ready, Reason::Issued),
        (State::RenewalFailing, Reason::Throttled),
        (State::Expired, Reason::Expired),
        (State::NotReady, Reason::DssUnreachable),
    ] {
        states.count(state, reason);
    }
    states.held();
    states.remaining(600);
    states.persons(3);
    states.instance(DssState::Ready);
    states.object(ObjectState {
        namespace: "scoring".to_owned(),
        name: "alice".to_owned(),
        is_ready: true,
        expires_at: Some(3600),
        renew_at: Some(2700),
        issued_at: Some(0),
    });
    let webhook = WebhookMetrics::new();
    webhook.reviewed("injected", Duration::from_millis(2));
    webhook.ports().connection_refused("webhook")();
    [metrics.encode(&states).unwrap(), webhook.encode().unwrap()]
}

/// The names of the metrics of both pages, as series have them, with the kind. A histogram is named
/// without a suffix.
fn names(pages: &[String; 2]) -> Vec<(String, &str)> {
    let types = pages.iter().flat_map(|page| page.lines()).filter_map(|line| line.strip_prefix("# TYPE "));
    let named = types.filter_map(|line| line.split_once(' ')).map(|(name, kind)| match kind {
        "counter" => (format!("{name}_total"), kind),
        "info" => (format!("{name}_info"), kind),
        _ => (name.to_owned(), kind),
    });
    let mut named: Vec<_> = named.collect();
    named.sort_unstable();
    named.dedup();
    named
}

#[test]
fn the_metrics_in_the_documentation_are_those_of_the_code() {
    let docs = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows = rows.filter(|(name, _)| name.starts_with("keyturn_") || name.starts_with("process_"));
    let documented: Vec<(String, &str)> =
        rows.map(|(name, rest)| (name.to_owned(), rest.split(' ').next().unwrap_or_default())).collect();
    let pages = pages();
    let served = names(&pages);
    for metric in &served {
        assert!(documented.contains(metric), "docs/operations.md has no row about {metric:?}");
    }
    for metric in &documented {
        assert!(served.contains(metric), "docs/operations.md has a row about {metric:?}, which is not served");
    }
}

/// The title of a panel of the chart's dashboard, and one of its queries, with Grafana's variables
/// as somebody has them who looks at everything.
fn queries() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("charts/keyturn/files/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = target["expr"].as_str().unwrap();
            let text = text.replace("$__rate_interval", "5m").replace("$namespace", ".*");
            assert!(!text.contains('$'), "{title}: {text} has a variable that this test does not know");
            queries.push((title.to_owned(), text));
        }
    }
    assert!(queries.len() > 20, "{queries:?}");
    queries
}

#[test]
fn the_metrics_on_the_dashboard_are_those_of_the_code() {
    let pages = pages();
    let series: Vec<&str> =
        pages.iter().flat_map(|page| page.lines()).filter_map(|line| line.split(['{', ' ']).next()).collect();
    let queries = queries();
    for (title, text) in &queries {
        let is_of_a_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for metric in
            text.split(|c| !is_of_a_word(c)).filter(|word| word.starts_with("keyturn_") || word.starts_with("process_"))
        {
            assert!(series.contains(&metric), "{title}: keyturn serves no {metric}");
        }
    }
    for (name, kind) in names(&pages) {
        let name = if kind == "histogram" { format!("{name}_bucket{{") } else { format!("{name}{{") };
        assert!(queries.iter().any(|(_, text)| text.contains(&name)), "no panel shows {name}");
    }
}

#[test]
#[ignore = "needs promtool: make deps"]
fn every_query_of_the_dashboard_has_an_answer() {
    let mut input = Vec::new();
    for (pod, page) in ["keyturn-0", "keyturn-webhook-0"].into_iter().zip(pages()) {
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            // Prometheus renames a label that the target has, too.
            let labels = labels.replace("namespace=", "exported_namespace=");
            // Counters grow. Prometheus adds the labels of the target.
            let grows = ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end));
            let values = if grows { format!("0+{value}x60") } else { format!("{value}x60") };
            let series = format!("{name}{{namespace=\"keyturn-system\",pod=\"{pod}\",{labels}").replace(",}", "}");
            input.push(json!({"series": series, "values": values}));
        }
    }
    let question = |(title, text)| {
        // A comparison with itself leaves out an answer that is no number.
        let text = format!("(count(({text}) == ({text})) > bool 0) or vector(0)");
        json!({"name": title, "interval": "1m", "input_series": input, "promql_expr_test": [
            {"expr": text, "eval_time": "30m", "exp_samples": [{"labels": "{}", "value": 1}]},
        ]})
    };
    let tests: Vec<Value> = queries().into_iter().map(question).collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dashboard.yaml");
    fs::write(&file, json!({"tests": tests}).to_string()).unwrap();
    let fetched = root().join(".cache/prometheus/promtool");
    let promtool = if fetched.exists() { fetched } else { "promtool".into() };
    let ran = Command::new(promtool).args(["test", "rules"]).arg(&file).output();
    let ran = ran.expect("promtool runs; make deps fetches it");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
}

//! The dashboard of the chart, over a Prometheus that scrapes keyturn: it answers the query of each
//! panel, and those that have something to show in this run show it.
//!
//! `make dashboard` draws what the panels show into docs/dashboard.svg.

use super::{
    ground::{eventually, real_time, within},
    injection::{pod, serving_with},
    install::{Install, free_address},
};
use crate::doubles::sts::{Behaviour, Sts};
use plotters::prelude::*;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// The lifetime of a session, in seconds: a minute later everybody was renewed.
const LIFETIME: i64 = 90;
/// The range over which the panels take rates, in place of Grafana's `$__rate_interval`.
const RATE_INTERVAL: &str = "20s";
/// The panels that may have nothing to show: the run has no DSS, and hardly anybody waits for STS.
const MAY_BE_EMPTY: [&str; 6] = [
    "Requests that keyturn held back",
    "Time waited for a turn",
    "DssInstances by state",
    "AwsConfigs that wait for DSS, by reason",
    "Credentials of DSS connections",
    "Pushes into DSS",
];

/// A Prometheus. It ends when dropped.
struct Prometheus {
    url: String,
    process: Child,
    _dir: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Prometheus of `make deps`, or the one in `PATH`.
fn program() -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/prometheus/prometheus");
    if fetched.exists() { fetched } else { "prometheus".into() }
}

impl Prometheus {
    /// Starts a Prometheus that scrapes these pods each second: their names and the addresses of
    /// their admin servers.
    async fn start(namespace: &str, pods: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let targets = pods
            .iter()
            .map(|(pod, address)| json!({"targets": [address], "labels": {"namespace": namespace, "pod": pod}}));
        let config = json!({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "keyturn", "static_configs": targets.collect::<Vec<_>>()}],
        });
        let file = dir.path().join("prometheus.yml");
        // JSON is YAML, too.
        std::fs::write(&file, config.to_string()).unwrap();
        let address = free_address();
        let process = Command::new(program())
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus runs; make deps fetches it");
        let prometheus = Self { url: format!("http://{address}/api/v1"), process, _dir: dir };
        eventually("Prometheus scrapes keyturn", async || {
            let up = prometheus.ask("query", &[("query", "sum(up)")]).await?;
            let count = up[0]["value"][1].as_str().map(str::to_owned);
            if count.as_deref() == Some(pods.len().to_string().as_str()) { Ok(()) } else { Err(up.to_string()) }
        })
        .await;
        prometheus
    }

    /// The result of a query. Anything but a success is an error.
    async fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let url = reqwest::Url::parse_with_params(&format!("{}/{what}", self.url), parameters).unwrap();
        let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&answer.text().await.map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())?;
        if answer["status"] == "success" { Ok(answer["data"]["result"].clone()) } else { Err(answer.to_string()) }
    }
}

/// A panel of the dashboard: its title, and its queries without the variables of Grafana.
struct Panel {
    title: String,
    queries: Vec<String>,
}

fn panels() -> Vec<Panel> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/keyturn/files/dashboard.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    let query = |target: &Value| {
        let query = target["expr"].as_str().unwrap();
        query.replace("$namespace", ".*").replace("$__rate_interval", RATE_INTERVAL)
    };
    panels
        .map(|panel| Panel {
            title: panel["title"].as_str().unwrap().to_owned(),
            queries: panel["targets"].as_array().unwrap().iter().map(query).collect(),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground and prometheus: make test"]
async fn a_prometheus_that_scrapes_keyturn_answers_every_panel() {
    let install = Install::scoped().await;
    let sts = Sts::new(Arc::new(real_time));
    sts.always(Behaviour::Lifetime(LIFETIME));
    let listening = sts.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = listening.url();
    let environment = [
        ("AWS_ENDPOINT_URL_STS", &*url),
        ("AWS_ACCESS_KEY_ID", "AKIABASE"),
        ("AWS_SECRET_ACCESS_KEY", "base-secret"),
        ("KEYTURN_OBJECT_METRICS", "true"),
    ];
    let serving = serving_with(&install, install.start_with(&environment)).await;
    let pods = [("keyturn-0", &*serving.operator.admin), ("keyturn-webhook-0", &*serving.webhook.admin)];
    let prometheus = Prometheus::start(&install.system, &pods).await;
    let began = real_time();
    install.apply_grant(|spec| spec.persons = ["alice", "bob", "carol", "dora"].map(str::to_owned).into()).await;
    for name in ["alice", "bob", "carol", "mallory"] {
        install.apply_config(name, |_| {}).await;
    }
    install.until_ready_is("mallory", "False/NotGranted").await;
    install.until_ready_is("carol", "True/Issued").await;
    sts.once(Behaviour::AccessDenied);
    install.apply_config("dora", |_| {}).await;
    install.until_ready_is("dora", "False/AssumeRoleDenied").await;
    let asks = json!({"annotations": {"keyturn.dev/aws-config": "alice"}});
    let (created, said) = install.kubectl_create(&pod("app", &asks), &[]);
    assert!(created, "{said}");
    install.configs().patch("carol", &kube::api::PatchParams::default(), &suspend()).await.unwrap();
    within(Duration::from_secs(180), "a session is renewed", async || {
        let seen = prometheus.ask("query", &[("query", "sum(keyturn_sts_requests_total)")]).await?;
        let count: f64 = seen[0]["value"][1].as_str().and_then(|it| it.parse().ok()).unwrap_or_default();
        // Four people had first sessions, one of them after a denial.
        if count >= 6.0 { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;

    let (start, end) = (began.as_second().to_string(), real_time().as_second().to_string());
    let mut without_data = Vec::new();
    let mut drawn = Vec::new();
    for panel in panels() {
        let mut series = Vec::new();
        for query in &panel.queries {
            let parameters = [("query", query.as_str()), ("start", &start), ("end", &end), ("step", "1s")];
            let found = prometheus.ask("query_range", &parameters).await;
            let found = found.unwrap_or_else(|error| panic!("{}: {query}: {error}", panel.title));
            series.extend(found.as_array().unwrap().iter().map(Series::of));
        }
        series.retain(|series| !series.points.is_empty());
        if series.is_empty() {
            without_data.push(panel.title);
        } else {
            drawn.push((panel.title, series));
        }
    }
    without_data.retain(|title| !MAY_BE_EMPTY.contains(&title.as_str()));
    assert!(without_data.is_empty(), "these panels show nothing: {without_data:?}");
    if is_written() {
        draw(&drawn, Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/dashboard.svg")));
    }
}

/// Whether the picture in the documentation is to be written: `make dashboard`.
#[expect(clippy::disallowed_methods, reason = "the tests have settings of their own")]
fn is_written() -> bool {
    std::env::var_os("KEYTURN_WRITE_PAGES").is_some()
}

fn suspend() -> kube::api::Patch<Value> {
    kube::api::Patch::Merge(json!({"spec": {"suspend": true}}))
}

/// The result of a query for one set of labels.
struct Series {
    name: String,
    /// Seconds since the epoch, and values.
    points: Vec<(f64, f64)>,
}

impl Series {
    fn of(result: &Value) -> Self {
        let labels: BTreeMap<String, String> = serde_json::from_value(result["metric"].clone()).unwrap();
        let own = labels.iter().filter(|(key, _)| !["namespace", "exported_namespace", "__name__"].contains(&&***key));
        let name = own.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ");
        let number = |value: &Value| value.as_str().map_or_else(|| value.as_f64(), |text| text.parse().ok());
        let point = |pair: &Value| Some((number(&pair[0])?, number(&pair[1]).filter(|value| value.is_finite())?));
        Self { name, points: result["values"].as_array().unwrap().iter().filter_map(point).collect() }
    }
}

/// The panels in a row of the picture.
const COLUMNS: usize = 3;
/// The size of a panel in pixels.
const PANEL: (u32, u32) = (400, 210);

/// Draws the panels.
fn draw(panels: &[(String, Vec<Series>)], path: &Path) {
    let rows = panels.len().div_ceil(COLUMNS);
    let size = (PANEL.0 * u32::try_from(COLUMNS).unwrap(), PANEL.1 * u32::try_from(rows).unwrap());
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE).unwrap();
    for (area, (title, series)) in root.split_evenly((rows, COLUMNS)).iter().zip(panels) {
        let points = || series.iter().flat_map(|series| series.points.iter().copied());
        let begin = points().map(|(at, _)| at).fold(f64::INFINITY, f64::min);
        let end = points().map(|(at, _)| at).fold(begin + 1.0, f64::max);
        let top = points().map(|(_, value)| value).fold(0.0, f64::max).max(1e-3) * 1.1;
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 14))
            .margin(8)
            .x_label_area_size(20)
            .y_label_area_size(44)
            .build_cartesian_2d(0.0..end - begin, 0.0..top)
            .unwrap();
        chart
            .configure_mesh()
            .x_labels(4)
            .y_labels(4)
            .x_label_formatter(&|seconds| format!("{seconds:.0} s"))
            .light_line_style(TRANSPARENT)
            .draw()
            .unwrap();
        for (number, series) in series.iter().enumerate() {
            let color = Palette99::pick(number).to_rgba();
            let line = series.points.iter().map(|(at, value)| (at - begin, *value));
            let drawn = chart.draw_series(LineSeries::new(line, color.stroke_width(2))).unwrap();
            if !series.name.is_empty() {
                drawn
                    .label(&series.name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 10, y)], color.stroke_width(2)));
            }
        }
        if series.iter().any(|series| !series.name.is_empty()) && series.len() < 8 {
            chart.configure_series_labels().background_style(WHITE.mix(0.7)).draw().unwrap();
        }
    }
    root.present().unwrap();
}

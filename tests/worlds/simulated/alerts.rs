//! The alerts tell of an outage from beginning to end: the metrics of an operator while STS is away
//! for two hours, and the rules of the chart over them by Prometheus' own engine (`promtool`).

use super::world::World;
use crate::{
    doubles::sts::{Behaviour, Outcome},
    fixtures::config,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tokio::net::TcpListener;

/// The configs that have a credential when the outage begins.
const CONFIGS: i64 = 10;
/// The time between two scrapes.
const INTERVAL: Duration = Duration::from_secs(30);
const SECONDS: i64 = 30;
const MINUTE: i64 = 60;
/// The outage, in seconds after the start. It begins before the first renewal and ends long after
/// the last credential.
const BEGINS: i64 = 30 * MINUTE;
const ENDS: i64 = BEGINS + 120 * MINUTE;
/// A person's first request, during the outage.
const NEWCOMER: i64 = 70 * MINUTE;
/// STS fails in another way from here on.
const THROTTLED: i64 = 50 * MINUTE;
/// The operator is killed, and starts again. Nothing can be scraped in between.
const KILLED: i64 = 100 * MINUTE;
const BACK: i64 = 102 * MINUTE;
const LAST: i64 = ENDS + 40 * MINUTE;

/// The series of one scrape; `None` if nobody answered.
type Scrape = Option<BTreeMap<String, i64>>;

/// The history of the metrics.
struct History {
    /// One scrape for each [`INTERVAL`], the first at second 0.
    scrapes: Vec<Scrape>,
    /// The second of the first renewal that failed.
    first_failure: i64,
    /// The second of the first expiry.
    first_expiry: i64,
}

impl History {
    /// The sum of the counts in one of these states, by second.
    fn counts(&self, states: &[&str]) -> Vec<(i64, i64)> {
        let of_state = |series: &str| states.iter().any(|state| series.contains(&format!("{{state=\"{state}\"")));
        let sum = |scrape: &BTreeMap<String, i64>| {
            let counts =
                scrape.iter().filter(|(series, _)| series.starts_with("keyturn_credentials") && of_state(series));
            counts.map(|(_, count)| count).sum()
        };
        let scrapes = (0..).step_by(30).zip(&self.scrapes);
        scrapes.filter_map(|(second, scrape)| Some((second, sum(scrape.as_ref()?)))).collect()
    }

    /// The values of each series in the notation of promtool. A series that a scrape no longer
    /// shows is stale at once, as Prometheus marks it.
    fn series(&self) -> BTreeMap<String, String> {
        let names = self.scrapes.iter().flatten().flat_map(BTreeMap::keys);
        let values = |name: &String| {
            let mut is_there = false;
            let of_scrape = self.scrapes.iter().map(|scrape| {
                let value = scrape.as_ref().and_then(|scrape| scrape.get(name));
                let word = match value {
                    Some(value) => value.to_string(),
                    None if is_there => "stale".to_owned(),
                    None => "_".to_owned(),
                };
                is_there = value.is_some();
                word
            });
            of_scrape.collect::<Vec<_>>().join(" ")
        };
        names.map(|name| (name.clone(), values(name))).collect()
    }
}

/// The answer to `/metrics`, over a real connection. No simulated time passes meanwhile, because
/// tokio's paused clock stands still while a blocking task runs.
pub async fn metrics_at(admin: SocketAddr) -> String {
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: keyturn\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    asked.await.unwrap()
}

/// The gauges of the operator.
async fn scrape(admin: SocketAddr) -> BTreeMap<String, i64> {
    let answer = metrics_at(admin).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let gauges = [
        "keyturn_credentials{",
        "keyturn_credentials_remaining{",
        "keyturn_persons ",
        "keyturn_leader ",
        "keyturn_pods_missed ",
        "keyturn_withdrawals_held ",
    ];
    let lines = answer.lines().filter(|line| gauges.iter().any(|gauge| line.starts_with(gauge)));
    let parsed = lines.map(|line| line.rsplit_once(' ').unwrap());
    parsed.map(|(series, value)| (series.to_owned(), value.parse().unwrap())).collect()
}

async fn start(world: &mut World) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    world.start_on(world.operator(), Some(listener));
    address
}

/// Plays the outage.
async fn outage() -> History {
    let mut world = World::empty();
    world.apply(&crate::fixtures::analysts());
    let names: Vec<String> = (0..CONFIGS).map(|n| format!("person-{n}")).collect();
    for name in &names {
        world.apply(&config(name, |_| {}));
    }
    let mut admin = start(&mut world).await;
    world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
    let began_at = world.now();
    let expiries = names.iter().map(|name| world.status(name).expires_at.unwrap().0);
    let first_expiry = expiries.min().unwrap().duration_since(began_at).as_secs();

    let mut scrapes = Vec::new();
    for second in (0..=LAST).step_by(30) {
        let due = began_at + SignedDuration::from_secs(second);
        world.pass(Duration::try_from(due.duration_since(world.now())).unwrap_or_default()).await;
        match second {
            BEGINS => drop(world.sts.always(Behaviour::ConnectionFailure)),
            THROTTLED => {
                world.sts.behave_well();
                world.sts.always(Behaviour::Throttling);
            }
            NEWCOMER => world.apply(&config("newcomer", |_| {})),
            KILLED => world.kill().await,
            BACK => admin = start(&mut world).await,
            ENDS => world.sts.behave_well(),
            _ => {}
        }
        let is_up = !(KILLED..=BACK).contains(&second);
        scrapes.push(if is_up { Some(scrape(admin).await) } else { None });
    }
    let failed = |at: Timestamp| at.duration_since(began_at).as_secs();
    let calls = world.sts.calls();
    let first = calls.iter().find(|call| !matches!(call.outcome, Outcome::Issued { .. }));
    History { scrapes, first_failure: failed(first.expect("renewals fail").at), first_expiry }
}

#[tokio::test(start_paused = true)]
async fn the_metrics_count_every_config_once_through_an_outage() {
    let history = outage().await;
    assert_eq!(INTERVAL.as_secs(), SECONDS.unsigned_abs());
    for (second, all) in history.counts(&["ready", "renewal_failing", "expired", "not_ready"]) {
        let expected = if second > NEWCOMER { CONFIGS + 1 } else { CONFIGS };
        assert!(all == expected || second == NEWCOMER, "second {second}: {all}");
    }
    for (second, troubled) in history.counts(&["renewal_failing", "expired"]) {
        let fails = (history.first_failure + SECONDS..ENDS).contains(&second);
        let works = second < history.first_failure || second > ENDS + 2 * MINUTE;
        assert!(!fails || troubled > 0, "second {second}: the outage is not counted");
        assert!(!works || troubled == 0, "second {second}: {troubled}");
    }
    for (second, expired) in history.counts(&["expired"]) {
        let all_expired = (history.first_expiry + 5 * MINUTE..ENDS).contains(&second);
        assert!(!all_expired || expired == CONFIGS, "second {second}: {expired}");
    }
    assert!(history.first_failure < history.first_expiry && history.first_expiry < KILLED);
    let seen_at = |second: i64, series: &str| {
        let scrape = history.scrapes[usize::try_from(second / SECONDS).unwrap()].as_ref().unwrap();
        scrape[series]
    };
    let all = CONFIGS + 1;
    for (second, persons, sessions) in [(BEGINS, CONFIGS, CONFIGS), (ENDS - MINUTE, 0, 0), (LAST, all, all)] {
        assert_eq!(seen_at(second, "keyturn_persons"), persons, "second {second}");
        let left = |le: &str| seen_at(second, &format!("keyturn_credentials_remaining{{le=\"{le}\"}}"));
        // The world's sessions live for an hour.
        assert_eq!((left("3600") - left("0"), left("+Inf") - left("3600")), (sessions, 0), "second {second}");
    }
}

/// promtool of `make deps`, or the one in `PATH`.
fn promtool() -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/prometheus/promtool");
    if fetched.exists() { fetched } else { "promtool".into() }
}

/// The rules of the chart.
fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/keyturn/files/alerts.yaml")
}

#[tokio::test(start_paused = true)]
#[ignore = "needs promtool: make deps"]
async fn the_alerts_fire_from_the_first_failing_renewal_until_recovery() {
    let history = outage().await;
    // The alert, from when until when it is silent, and from when until when it fires, in seconds.
    let rows = [
        (
            "KeyturnRenewalFailing",
            0..history.first_failure,
            history.first_failure + 6 * MINUTE..ENDS,
            ENDS + 8 * MINUTE..LAST,
        ),
        (
            "KeyturnCredentialsExpired",
            0..history.first_expiry,
            history.first_expiry + 2 * MINUTE..ENDS,
            ENDS + 8 * MINUTE..LAST,
        ),
        ("KeyturnIssuingFails", 0..NEWCOMER, NEWCOMER + 12 * MINUTE..ENDS, ENDS + 8 * MINUTE..LAST),
        ("KeyturnDown", 0..LAST, 0..0, 0..0),
        ("KeyturnPodsMissed", 0..LAST, 0..0, 0..0),
        ("KeyturnWithdrawalsHeld", 0..LAST, 0..0, 0..0),
        ("KeyturnRenewalsTooLate", 0..LAST, 0..0, 0..0),
        ("KeyturnDssUnreachable", 0..LAST, 0..0, 0..0),
        ("KeyturnDssUnauthorized", 0..LAST, 0..0, 0..0),
    ];
    let mut questions = Vec::new();
    for (alert, silent, firing, over) in rows {
        for second in (0..LAST).step_by(30) {
            let expected = if firing.contains(&second) {
                1
            } else if silent.contains(&second) || over.contains(&second) {
                0
            } else {
                continue;
            };
            questions.push(json!({
                "expr": format!("count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}) or vector(0)"),
                "eval_time": format!("{second}s"),
                "exp_samples": [{"labels": "{}", "value": expected}],
            }));
        }
    }
    let series = |(series, values): (String, String)| json!({"series": series, "values": values});
    let input: Vec<Value> = history.series().into_iter().map(series).collect();
    let test = json!({
        "rule_files": [rules()],
        "evaluation_interval": "30s",
        "tests": [{
            "interval": "30s",
            "input_series": input,
            "promql_expr_test": questions,
            // By then every renewal has failed, and for the second reason.
            "alert_rule_test": [{
                "eval_time": "58m",
                "alertname": "KeyturnRenewalFailing",
                "exp_alerts": [{
                    "exp_labels": {"severity": "warning"},
                    "exp_annotations": {
                        "summary": "10 AwsConfigs have a credential that keyturn cannot renew",
                        "description":
                            "By reason: Throttled (10). kubectl get awsconfigs -A -o wide shows the objects.",
                    },
                }],
            }],
        }],
    });
    promtool_agrees(&test, &format!("first failure at {} s", history.first_failure));
}

#[test]
#[ignore = "needs promtool: make deps"]
fn alerts_about_one_gauge_fire_after_their_time_and_end() {
    // Two replicas show the same trouble from minute 10 to minute 40.
    let metrics = [
        ("keyturn_dss_instances", "state=\"unreachable\","),
        ("keyturn_dss_instances", "state=\"unauthorized\","),
        ("keyturn_sts_renewals_too_late", ""),
    ];
    let input = metrics.into_iter().flat_map(|(metric, labels)| {
        ["keyturn-0", "keyturn-1"].map(|replica| {
            let series = format!("{metric}{{{labels}pod=\"{replica}\"}}");
            json!({"series": series, "values": "_x10 1x30 stale _x30"})
        })
    });
    let rows = [
        ("KeyturnDssUnreachable", "20m", 0),
        ("KeyturnDssUnreachable", "26m", 1),
        ("KeyturnDssUnreachable", "50m", 0),
        ("KeyturnDssUnauthorized", "9m", 0),
        ("KeyturnDssUnauthorized", "12m", 1),
        ("KeyturnDssUnauthorized", "50m", 0),
        ("KeyturnRenewalsTooLate", "14m", 0),
        ("KeyturnRenewalsTooLate", "17m", 1),
        ("KeyturnRenewalsTooLate", "50m", 0),
    ];
    let question = |(alert, at, firing): (&str, &str, i32)| {
        json!({
            "expr": format!("count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}) or vector(0)"),
            "eval_time": at,
            "exp_samples": [{"labels": "{}", "value": firing}],
        })
    };
    let test = json!({
        "rule_files": [rules()],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": input.collect::<Vec<_>>(),
            "promql_expr_test": rows.map(question),
        }],
    });
    promtool_agrees(&test, "trouble of 30 min");
}

/// Gives a test of rules to promtool, which has to agree with it.
fn promtool_agrees(test: &Value, about: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("test.yaml");
    fs::write(&file, test.to_string()).unwrap();
    let ran = Command::new(promtool()).args(["test", "rules"]).arg(&file).output();
    let ran = ran.expect("promtool runs; make deps fetches it");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{about}: {said}");
}

#[test]
fn every_alert_has_a_section_in_the_runbooks() {
    let runbooks = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks.md")).unwrap();
    let rules = fs::read_to_string(rules()).unwrap();
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5);
    for alert in &alerts {
        assert!(runbooks.contains(&format!("\n## {alert}\n")), "docs/runbooks.md has no section {alert}");
    }
    let sections = runbooks.lines().filter_map(|line| line.strip_prefix("## Keyturn"));
    for section in sections {
        let alert = format!("Keyturn{section}");
        assert!(alerts.contains(&alert.as_str()), "docs/runbooks.md has a section about {alert}, which is no alert");
    }
}

#[test]
fn the_documentation_quotes_the_alerts() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let rules = fs::read_to_string(rules()).unwrap();
    assert!(
        docs.contains(&format!("```yaml\n{rules}```\n")),
        "docs/operations.md quotes another charts/keyturn/files/alerts.yaml"
    );
}

#[test]
fn every_metric_and_every_reason_of_the_alerts_exists() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let rules = fs::read_to_string(rules()).unwrap();
    let words = |text: &str| -> Vec<String> {
        let is_of_a_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        text.split(|c: char| !is_of_a_word(c)).map(str::to_owned).collect()
    };
    let metrics: Vec<String> = words(&rules).into_iter().filter(|word| word.starts_with("keyturn_")).collect();
    assert!(metrics.len() > 5);
    for metric in metrics {
        assert!(docs.contains(&format!("\n| `{metric}` |")), "{metric}");
    }
    let lists: Vec<&str> = rules.split("reason=~\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(!lists.is_empty());
    for reason in lists.into_iter().flat_map(|list| list.split('|')) {
        assert!(keyturn::api::Reason::named(reason).is_some(), "{reason}");
    }
}

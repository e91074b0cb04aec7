//! `kubectl keyturn status`: the configs in a table. Pure.

mod watch;

pub(super) use watch::watch;

use super::{Answer, Failed, Paint, cli::Output, table::table};
use crate::api::{AwsConfig, ConditionType, Trouble, find_condition};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use serde::Serialize;

/// The characters of the bar.
const BAR: i64 = 10;

/// One config in the list. The fields of JSON and YAML have these names.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub namespace: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    pub provider: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    pub ready: bool,
    /// Seconds until the credential expires; absent if there is none, or if it never expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<i64>,
    /// The part of the lifetime that is left, in tenths.
    #[serde(skip)]
    pub tenths_left: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

/// The rows about these configs, or about those of one person. Configs with trouble come first,
/// then those that are not ready, then the others by the time that is left.
pub(super) fn rows(configs: &[AwsConfig], person: Option<&str>, now: Timestamp) -> Vec<Row> {
    let wanted = |config: &&AwsConfig| person.is_none_or(|person| config.spec.person.as_deref() == Some(person));
    let mut rows: Vec<Row> = configs.iter().filter(wanted).map(|config| row(config, now)).collect();
    rows.sort_by_key(|row| {
        let left = row.seconds_left.unwrap_or(i64::MAX);
        (row.trouble.is_none(), row.ready, left, row.namespace.clone(), row.name.clone())
    });
    rows
}

fn row(config: &AwsConfig, now: Timestamp) -> Row {
    let status = config.status.clone().unwrap_or_default();
    let ready = find_condition(&status.conditions, ConditionType::Ready);
    let is_current = status.observed_generation == config.metadata.generation;
    let at = |time: &Option<Time>| time.as_ref().map(|Time(at)| *at);
    let left = at(&status.expires_at).map(|end| end.duration_since(now).max(SignedDuration::ZERO));
    let lifetime = at(&status.expires_at).zip(at(&status.issued_at)).map(|(end, begin)| end.duration_since(begin));
    let tenths = match (left, lifetime.map(|length| length.as_secs())) {
        (Some(left), Some(lifetime @ 1..)) => (left.as_secs().saturating_mul(BAR) / lifetime).min(BAR),
        _ => 0,
    };
    Row {
        namespace: config.namespace().unwrap_or_default(),
        name: config.name_any(),
        person: config.spec.person.clone(),
        provider: config.spec.credential_provider.as_str(),
        role: status.active_role.map(|active| active.role),
        ready: is_current && ready.is_some_and(|ready| ready.status == "True"),
        seconds_left: left.map(|left| left.as_secs()),
        tenths_left: tenths,
        renew_at: status.renew_at.map(|Time(at)| at.to_string()),
        trouble: status.trouble,
    }
}

/// The rows in the form that is asked for. Without a row, the table says where none was found.
pub(super) fn answer(rows: &[Row], output: Output, scope: &str, paint: Paint) -> Result<Answer, Failed> {
    let is_fine = rows.iter().all(|row| row.trouble.is_none());
    let text = match output {
        Output::Table if rows.is_empty() => format!("No AwsConfigs found in {scope}.\n"),
        Output::Table => printed(rows, paint),
        Output::Json => serde_json::to_string_pretty(rows).map_err(|error| Failed::new(error.to_string()))? + "\n",
        Output::Yaml => serde_saphyr::to_string(&rows).map_err(|error| Failed::new(error.to_string()))?,
    };
    Ok(Answer::of(text, is_fine))
}

fn printed(rows: &[Row], paint: Paint) -> String {
    let header = ["NAMESPACE", "NAME", "PERSON", "PROVIDER", "ROLE", "READY", "LEFT", "TROUBLE"];
    let cells = |row: &Row| {
        let left = row.seconds_left.map(|seconds| {
            let full = usize::try_from(row.tenths_left).unwrap_or_default();
            let empty = usize::try_from(BAR - row.tenths_left).unwrap_or_default();
            format!("{}{} {}", "#".repeat(full), ".".repeat(empty), in_words(seconds))
        });
        vec![
            row.namespace.clone(),
            row.name.clone(),
            row.person.clone().unwrap_or_default(),
            row.provider.to_owned(),
            row.role.clone().unwrap_or_default(),
            if row.ready { "True" } else { "False" }.to_owned(),
            left.unwrap_or_default(),
            row.trouble.as_ref().map(|trouble| trouble.word.clone()).unwrap_or_default(),
        ]
    };
    let text = table(&header, &rows.iter().map(cells).collect::<Vec<_>>());
    let mut lines = text.split_inclusive('\n');
    let header = lines.next().unwrap_or_default().to_owned();
    let painted = lines.zip(rows).map(|(line, row)| match (&row.trouble, row.ready) {
        (Some(_), _) => paint.bad(line),
        (None, false) => paint.unsure(line),
        (None, true) => line.to_owned(),
    });
    header + &painted.collect::<String>()
}

/// A time as `kubectl` prints ages.
pub(super) fn in_words(seconds: i64) -> String {
    match seconds {
        ..=0 => "expired".to_owned(),
        1..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        _ => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn config(name: &str, status: &serde_json::Value) -> AwsConfig {
        from_value(json!({
            "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig",
            "metadata": {"name": name, "namespace": "scoring", "generation": 1},
            "spec": {"person": name}, "status": status,
        }))
        .unwrap()
    }

    fn ready(expires_at: &str) -> serde_json::Value {
        let ready = json!({"type": "Ready", "status": "True", "reason": "Issued", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        json!({"observedGeneration": 1, "conditions": [ready], "issuedAt": "2026-01-01T00:00:00Z", "expiresAt": expires_at,
            "activeRole": {"name": "r", "role": "arn:aws:iam::123456789012:role/ds"}})
    }

    #[test]
    fn trouble_comes_first_and_the_bar_shows_the_time_left() {
        let trouble = json!({"trouble": {"word": "NotGranted", "message": "no AwsRoleGrant …"}});
        let configs = [
            config("alice", &ready("2026-01-01T01:00:00Z")),
            config("bob", &ready("2026-01-01T00:40:00Z")),
            config("carol", &trouble),
            config("dave", &json!({})),
        ];
        let now = "2026-01-01T00:30:00Z".parse().unwrap();
        let listed = rows(&configs, None, now);
        let said = answer(&listed, Output::Table, "namespace \"scoring\"", Paint::NONE).unwrap();
        assert!(!said.is_fine());
        assert_eq!(
            said.text,
            "NAMESPACE   NAME    PERSON   PROVIDER    ROLE                                READY   LEFT             TROUBLE\n\
             scoring     carol   carol    temporary   -                                   False   -                NotGranted\n\
             scoring     dave    dave     temporary   -                                   False   -                -\n\
             scoring     bob     bob      temporary   arn:aws:iam::123456789012:role/ds   True    ##........ 10m   -\n\
             scoring     alice   alice    temporary   arn:aws:iam::123456789012:role/ds   True    #####..... 30m   -\n"
        );
        let json = answer(&rows(&configs, Some("bob"), now), Output::Json, "", Paint::NONE).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json.text).unwrap();
        assert_eq!((json[0]["name"].as_str(), json[0]["secondsLeft"].as_i64()), (Some("bob"), Some(600)));
        let none = answer(&[], Output::Table, "namespace \"scoring\"", Paint::NONE).unwrap();
        assert_eq!(none, Answer::fine("No AwsConfigs found in namespace \"scoring\".\n".to_owned()));
    }

    #[test]
    fn a_time_is_written_as_kubectl_writes_ages() {
        let rows = [(-3, "expired"), (59, "59s"), (119, "119s"), (120, "2m"), (3600, "60m"), (45_000, "12h30m")];
        for (seconds, words) in rows {
            assert_eq!(in_words(seconds), words, "{seconds}");
        }
    }
}

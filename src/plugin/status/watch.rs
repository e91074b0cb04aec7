//! `kubectl keyturn status -w`: the list, shown again when it changes.

use super::{Row, answer, rows};
use crate::{
    api::AwsConfig,
    clock::Clock,
    network::{WATCH_SECONDS, with_cause},
    plugin::{
        Answer, Caller, Failed, Screen,
        cli::{Output, Status},
    },
};
use futures::TryStreamExt as _;
use kube::{
    ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use std::{collections::BTreeMap, pin::pin, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

/// The shortest time between two lists. Many objects may change at once.
const BETWEEN: Duration = Duration::from_millis(250);

/// The objects that a watch has shown.
#[derive(Default)]
struct Seen {
    /// By namespace and name; `None` until the first list is complete.
    configs: Option<BTreeMap<(String, String), AwsConfig>>,
    /// A list that is not complete yet.
    listing: BTreeMap<(String, String), AwsConfig>,
    /// The reason why the watch is interrupted, while it is.
    interrupted: Option<String>,
}

impl Seen {
    fn learn(&mut self, event: Event<AwsConfig>) {
        let key = |config: &AwsConfig| (config.namespace().unwrap_or_default(), config.name_any());
        self.interrupted = None;
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(config) => {
                self.listing.insert(key(&config), config);
            }
            Event::InitDone => self.configs = Some(std::mem::take(&mut self.listing)),
            Event::Apply(config) => {
                self.configs.get_or_insert_default().insert(key(&config), config);
            }
            Event::Delete(config) => {
                self.configs.get_or_insert_default().remove(&key(&config));
            }
        }
    }
}

/// Shows the list until nobody reads it any more, or the user ends the program.
///
/// # Errors
/// [`Failed`] if the API server refuses the watch, or the list is asked for in another form than a
/// table.
pub(in crate::plugin) async fn watch(
    caller: &Caller,
    asked: &Status,
    clock: &Clock,
    screen: &mut Screen<'_>,
) -> Result<Answer, Failed> {
    if asked.output != Output::Table {
        return Err(Failed::usage("--watch shows a table; leave out --output, or --watch"));
    }
    let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
    if let Some(selector) = &asked.selector {
        config = config.labels(selector);
    }
    if let Some(name) = &asked.name {
        config = config.fields(&format!("metadata.name={name}"));
    }
    let scope = caller.scope(asked.all_namespaces);
    let mut events = pin!(watcher(caller.api_of_configs(asked.all_namespaces), config).default_backoff());
    let mut ticks = interval(BETWEEN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen::default();
    let mut shown: Option<String> = None;
    loop {
        tokio::select! {
            event = events.try_next() => match event {
                Ok(Some(event)) => seen.learn(event),
                Ok(None) => return Ok(Answer::fine(String::new())),
                Err(error) => match refused(&error) {
                    Some(refused) => {
                        return Err(Failed::of_call(&format!("cannot watch the AwsConfigs of {scope}"), refused));
                    }
                    None => seen.interrupted = Some(with_cause(&error)),
                },
            },
            _ = ticks.tick() => {
                let Some(text) = picture(&seen, asked, clock, &scope, screen)? else { continue };
                // Away from a terminal, a list that differs only by the time left is no news.
                let news = if screen.is_terminal { text.clone() } else { without_times(&seen, asked, clock) };
                if shown.as_ref() == Some(&news) {
                    continue;
                }
                let written = match screen.is_terminal {
                    true => screen.show_alone(&text),
                    false if shown.is_some() => screen.show(&format!("\n{text}")),
                    false => screen.show(&text),
                };
                if written.is_err() {
                    return Ok(Answer::fine(String::new()));
                }
                shown = Some(news);
            }
        }
    }
}

/// The refusal that does not pass by itself; `None` for an error after which the watch goes on.
fn refused(error: &watcher::Error) -> Option<&kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => {
            matches!(error, kube::Error::Api(status) if (400..500).contains(&status.code) && ![410, 429].contains(&status.code))
                .then_some(error)
        }
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    }
}

fn listed(seen: &Seen, asked: &Status, clock: &Clock) -> Option<Vec<Row>> {
    let configs: Vec<AwsConfig> = seen.configs.as_ref()?.values().cloned().collect();
    Some(rows(&configs, asked.person.as_deref(), clock.now()))
}

/// The list as it is shown; `None` until it is complete.
fn picture(
    seen: &Seen,
    asked: &Status,
    clock: &Clock,
    scope: &str,
    screen: &Screen<'_>,
) -> Result<Option<String>, Failed> {
    let Some(rows) = listed(seen, asked, clock) else { return Ok(None) };
    let mut text = answer(&rows, Output::Table, scope, screen.paint)?.text;
    if let Some(why) = &seen.interrupted {
        text += &screen.paint.unsure(&format!("the list may be old, because the watch is interrupted: {why}\n"));
    }
    Ok(Some(text))
}

/// The list without the times, to be compared.
fn without_times(seen: &Seen, asked: &Status, clock: &Clock) -> String {
    let rows = listed(seen, asked, clock).unwrap_or_default();
    let facts = rows.iter().map(|row| {
        let Row { namespace, name, person, role, ready, renew_at, trouble, .. } = row;
        format!("{namespace} {name} {person:?} {role:?} {ready} {renew_at:?} {trouble:?}\n")
    });
    facts.collect::<String>() + seen.interrupted.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn config(name: &str) -> AwsConfig {
        let metadata = json!({"name": name, "namespace": "scoring"});
        from_value(json!({"metadata": metadata, "spec": {"person": name}})).unwrap()
    }

    #[test]
    fn a_list_is_shown_only_when_it_is_complete() {
        let mut seen = Seen::default();
        let names = |seen: &Seen| {
            let configs = seen.configs.as_ref();
            configs.map(|it| it.keys().map(|(_, name)| name.clone()).collect::<Vec<_>>())
        };
        let rows = [
            ("begun", Event::Init, None),
            ("half", Event::InitApply(config("alice")), None),
            ("complete", Event::InitDone, Some(vec!["alice"])),
            ("one more", Event::Apply(config("bob")), Some(vec!["alice", "bob"])),
            ("begun again", Event::Init, Some(vec!["alice", "bob"])),
            ("complete again", Event::InitDone, Some(vec![])),
        ];
        for (row, event, expected) in rows {
            seen.learn(event);
            let expected: Option<Vec<String>> = expected.map(|names| names.into_iter().map(str::to_owned).collect());
            assert_eq!(names(&seen), expected, "{row}");
        }
    }
}

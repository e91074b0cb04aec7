//! The age of a config: the time since somebody entitled last confirmed it. The API server decides
//! who may confirm (`charts/keyturn/templates/confirmation-policy.yaml`), because it knows the
//! users. This module reads the time.
//!
//! A creation counts as a confirmation, because only a user who may write the person's name creates
//! a config. A time in the future never counts, not even after it has come: nobody may confirm
//! ahead of time, for example before they leave. The API server has no clock in its rules,
//! therefore keyturn notes in status the future time that it sees.

use super::input::Observed;
use crate::{
    api::{AwsConfig, Reason, Statement, names::CONFIRMED},
    clock::whole_seconds,
    schedule,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

/// The confirmation of a config, and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The time of the last confirmation, or of the creation.
    since: Timestamp,
    /// The time at which a condition begins to warn.
    warn_at: Timestamp,
    /// The time at which keyturn withdraws the credential.
    ends_at: Timestamp,
    /// The reason why the annotation does not count.
    ignored: Option<Ignored>,
}

/// The reason why an annotation is no confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ignored {
    /// The text is no time.
    Unreadable,
    /// The time was in the future when keyturn first saw it.
    Early(Timestamp),
}

impl Confirmation {
    /// The confirmation of the config at the time `now`; `None` if its age has no limit.
    #[must_use]
    pub fn of(seen: &Observed, now: Timestamp) -> Option<Self> {
        let max_age = seen.max_age?;
        let config = &seen.config;
        let created = config.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |Time(at)| *at);
        let annotated = config.annotations().get(CONFIRMED).map(|text| read(config, text, now));
        let (since, ignored) = match annotated {
            Some(Ok(at)) => (created.max(at), None),
            Some(Err(why)) => (created, Some(why)),
            None => (created, None),
        };
        let ends_at = since.saturating_add(max_age).unwrap_or(Timestamp::MAX);
        let warn_at = ends_at.saturating_sub(schedule::CONFIRMATION_WARNING).unwrap_or(since);
        Some(Self { since, warn_at, ends_at, ignored })
    }

    /// Whether the confirmation has ended.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.ends_at <= now
    }

    /// The next time at which the warning begins or the confirmation ends; `None` after both.
    #[must_use]
    pub fn next_moment(&self, now: Timestamp) -> Option<Timestamp> {
        [self.warn_at, self.ends_at].into_iter().find(|at| *at > now)
    }

    /// The future time in the annotation, which never counts.
    #[must_use]
    pub fn early(&self) -> Option<Timestamp> {
        match self.ignored {
            Some(Ignored::Early(at)) => Some(at),
            Some(Ignored::Unreadable) | None => None,
        }
    }

    /// The statement that a confirmation is due, or that the present one does not count. `None` if
    /// nobody has to do anything.
    #[must_use]
    pub fn warning(&self, config: &AwsConfig, now: Timestamp) -> Option<Statement> {
        if self.warn_at > now && self.ignored.is_none() {
            return None;
        }
        let message = format!(
            "{}the last confirmation of this AwsConfig counts until {}, then keyturn withdraws the credential; {}",
            self.ignored_in_words(),
            whole_seconds(self.ends_at),
            how_to_confirm(config)
        );
        Some(Statement::new(Reason::NotConfirmed, message))
    }

    /// The statement that the confirmation has ended.
    pub(super) fn ended(&self, config: &AwsConfig) -> Statement {
        let message = format!(
            "{}ceilings.maxAge of keyturn's chart ended this AwsConfig at {}, because nobody who is entitled has confirmed it since {}; {}",
            self.ignored_in_words(),
            whole_seconds(self.ends_at),
            whole_seconds(self.since),
            how_to_confirm(config)
        );
        Statement::new(Reason::NotConfirmed, message)
    }

    fn ignored_in_words(&self) -> String {
        match self.ignored {
            None => String::new(),
            Some(Ignored::Unreadable) => {
                format!(
                    "the annotation {CONFIRMED} does not count, because it holds no time such as 2026-01-01T00:00:00Z; "
                )
            }
            Some(Ignored::Early(at)) => format!(
                "the annotation {CONFIRMED} does not count, now or later, because {} was in the future when it was written; ",
                whole_seconds(at)
            ),
        }
    }
}

/// The time of a confirmation. The view keeps no long text, and an empty one is unreadable too.
fn read(config: &AwsConfig, text: &str, now: Timestamp) -> Result<Timestamp, Ignored> {
    let at: Timestamp = text.parse().map_err(|_| Ignored::Unreadable)?;
    let latest = now.saturating_add(schedule::CONFIRMATION_TOLERANCE).unwrap_or(Timestamp::MAX);
    let noted = config.status.as_ref().and_then(|status| status.early_confirmation.as_ref());
    let is_noted = noted.is_some_and(|Time(noted)| *noted == whole_seconds(at));
    if at > latest || is_noted { Err(Ignored::Early(at)) } else { Ok(at) }
}

fn how_to_confirm(config: &AwsConfig) -> String {
    format!(
        "the person, or a user of ceilings.confirmers, confirms it: kubectl -n {} annotate --overwrite awsconfig {} \
         {CONFIRMED}=$(date -u +%FT%TZ)",
        config.namespace().unwrap_or_default(),
        config.name_any()
    )
}

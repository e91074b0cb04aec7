//! The report of the whole: one statement about all credentials that went, or were held back, at
//! about the same time.

use super::{AT_ONCE, Settings};
use crate::api::{Reason, Statement};
use jiff::{SignedDuration, Timestamp};
use std::{cmp::Reverse, collections::BTreeMap};

/// keyturn reports a wave of withdrawals when nothing has been added for so long.
const QUIET: SignedDuration = SignedDuration::from_secs(5);
/// The namespaces that a report names. More are counted.
const NAMED: usize = 5;

/// The fate of a credential that no grant allows any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// keyturn withdrew it.
    Withdrawn,
    /// keyturn holds the withdrawal back.
    Held,
}

/// The credentials that went or were held back, and have not been reported yet.
#[derive(Debug, Default)]
pub(super) struct Wave(Vec<(Timestamp, String, Fate)>);

/// All credentials of a wave, by their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// The credentials that keyturn withdrew.
    pub withdrawn: usize,
    /// The credentials that keyturn holds back.
    pub held: usize,
    /// Their number in each namespace.
    pub namespaces: BTreeMap<String, usize>,
}

impl Wave {
    pub(super) fn add(&mut self, namespace: &str, fate: Fate, now: Timestamp) {
        self.0.push((now, namespace.to_owned(), fate));
    }

    /// The whole, if it is over or lasts for long. A few withdrawals are no wave: they leave it
    /// after a minute.
    pub(super) fn tell(&mut self, many: usize, now: Timestamp) -> Option<Whole> {
        let since = |entry: Option<&(Timestamp, String, Fate)>| entry.map(|(at, ..)| now.duration_since(*at));
        let (begun, quiet) = (since(self.0.first())?, since(self.0.last())?);
        if quiet < QUIET && begun < AT_ONCE {
            return None;
        }
        let holds = self.0.iter().any(|(.., fate)| *fate == Fate::Held);
        if self.0.len() <= many && !holds {
            self.0.retain(|(at, ..)| now.duration_since(*at) < AT_ONCE);
            return None;
        }
        let mut whole = Whole::default();
        for (_, namespace, fate) in self.0.drain(..) {
            match fate {
                Fate::Withdrawn => whole.withdrawn += 1,
                Fate::Held => whole.held += 1,
            }
            *whole.namespaces.entry(namespace).or_default() += 1;
        }
        Some(whole)
    }
}

impl Whole {
    /// The statement of the Event.
    #[must_use]
    pub fn statement(&self, settings: &Settings) -> Statement {
        let Self { withdrawn, held, .. } = self;
        let namespaces = self.namespaces_in_words();
        let cause = "no AwsRoleGrant allows them any more, or their namespaces lost a label";
        let look = "kubectl get awsconfigs -A -o wide shows them";
        if *held == 0 {
            let message = format!(
                "{withdrawn} credentials were withdrawn at once, because {cause}: {namespaces}. If that was a mistake, restore \
                 the grants or labels, and keyturn issues again; {look}"
            );
            return Statement::new(Reason::ManyWithdrawn, message);
        }
        let message = format!(
            "{withdrawn} credentials were withdrawn, and the withdrawal of {held} is held back for at most 1h, because {cause}, and \
             {}: {namespaces}. If that was a mistake, restore the grants or labels; {look}. If they shall go, confirm all that is \
             held back now: {}",
            settings.limit_in_words(),
            settings.command()
        );
        Statement::new(Reason::WithdrawalHeld, message)
    }

    /// The namespaces with the most credentials first.
    fn namespaces_in_words(&self) -> String {
        let mut all: Vec<_> = self.namespaces.iter().collect();
        all.sort_by_key(|(_, count)| Reverse(**count));
        let named: Vec<String> = all.iter().take(NAMED).map(|(name, count)| format!("{name} ({count})")).collect();
        let more = all.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more namespaces") } else { String::new() };
        format!("{}{more}", named.join(", "))
    }
}

//! The decision: which workload of a namespace is restarted now, if any. Pure.
//!
//! A workload is *due* if it was created and last restarted before the credential of today stood in the Secret: then its
//! environment holds an earlier one. When that was, is read from its own annotation, so that neither another leader nor
//! a crash after the restart makes it happen twice.

use super::workload::{Rollout, Workload};
use crate::{
    api::{AwsConfig, Reason, Statement},
    decide::schedule,
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

/// How long after an issue a start may have seen the Secret as it was before: the credential is as old as STS says, and
/// the write came later. What started within is restarted, and nothing is restarted before.
const SETTLED: SignedDuration = SignedDuration::from_secs(30);
/// Over this part of a credential's lifetime restarts are spread, and over no more than the time after it.
const SPREAD: i32 = 10;
const SPREAD_AT_MOST: SignedDuration = SignedDuration::from_mins(10);
/// The least time between two restarts of a workload, unless its credential would end before.
const INTERVAL: SignedDuration = SignedDuration::from_mins(10);
/// So long before a credential ends neither the interval nor a workload's own trouble holds a restart back.
const RESERVE: SignedDuration = SignedDuration::from_mins(2);
/// For this part of a credential's lifetime a restart that has not finished holds up the others of the namespace, and
/// for no more than the time after it: one that hangs must not let everybody's credentials end.
const PATIENCE: i32 = 6;
const PATIENCE_AT_MOST: SignedDuration = SignedDuration::from_mins(10);

/// What an `AwsConfig` wants of its workloads.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Its UID.
    pub uid: String,
    /// Its name.
    pub config: String,
    /// When the credential in the Secret was issued.
    pub issued_at: Timestamp,
    /// When restarts for it begin.
    pub due_at: Timestamp,
    /// When what the workloads have in their environment ends, if it does.
    pub ends_at: Option<Timestamp>,
    /// How long a restart for it may hold up others.
    pub patience: SignedDuration,
}

/// What was found of one of its workloads.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// There it is.
    There(Workload),
    /// It cannot be restarted.
    Not(Statement),
}

/// A wish that is due, and what was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// The wish.
    pub wish: Wish,
    /// Its workloads.
    pub found: Vec<Found>,
}

/// A restart that may be done now.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What to restart.
    pub workload: Workload,
    /// Whose wish it is: a place in the list of the wishes that are due.
    pub whose: usize,
    /// Trigger, for people.
    pub why: String,
}

/// What is to be done in a namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The first of these that can be restarted is, and no other: in the order of what ends first.
    pub candidates: Vec<Candidate>,
    /// Of each wish that is due, how it stands.
    pub standings: Vec<Standing>,
    /// When to look again; never, if everything is as it should be.
    pub again_at: Option<Timestamp>,
}

/// How a wish stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Every workload has been restarted, and the restarts are over: there is nothing to look at until the next issue.
    Done,
    /// Something is still to be done, or under way.
    Open,
    /// Something stands in its way.
    Blocked(Statement),
}

/// What a config wants; nothing, if it names no workload, has no credential, or has the first that there was: what
/// waited for that has it, and what did not had none before.
#[must_use]
pub fn wish(config: &AwsConfig) -> Option<Wish> {
    let status = config.status.as_ref()?;
    let (issued_at, former) = (status.issued_at.as_ref()?.0, status.former.as_ref()?);
    if config.spec.restart.is_empty() || config.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let uid = config.uid().unwrap_or_default();
    let lifetime = status.expires_at.as_ref().map(|expires_at| expires_at.0.duration_since(issued_at));
    let ends_at = former.expires_at.as_ref().map(|expires_at| expires_at.0);
    let part = |part: i32, most: SignedDuration| lifetime.map_or(most, |lifetime| (lifetime / part).min(most));
    let settled_at = after(issued_at, SETTLED);
    // Whatever the spread, three quarters of the time that is left are for the restarts.
    let quarter = ends_at.map_or(SPREAD_AT_MOST, |ends_at| ends_at.duration_since(settled_at) / 4);
    let spread = part(SPREAD, SPREAD_AT_MOST).min(quarter).max(SignedDuration::ZERO);
    let due_at = after(settled_at, schedule::part_of(spread, &uid));
    Some(Wish {
        uid,
        config: config.name_any(),
        issued_at,
        due_at,
        ends_at,
        patience: part(PATIENCE, PATIENCE_AT_MOST),
    })
}

/// Decides about a namespace: all of its wishes that are due and not done, and what was found for each.
#[must_use]
pub fn decide(due: &[Due], now: Timestamp) -> Decision {
    let judged: Vec<Vec<Judged>> =
        due.iter().map(|due| due.found.iter().map(|found| due.wish.judge(found, now)).collect()).collect();
    let under_way = judged.iter().flatten().find_map(|judged| match judged {
        Judged::UnderWay(title) => Some(title.clone()),
        _ => None,
    });
    let (mut standings, mut again_at, mut ready) = (Vec::new(), None::<Timestamp>, Vec::new());
    let mut look_at = |at: Timestamp| again_at = Some(again_at.map_or(at, |again_at| again_at.min(at)));
    for (whose, (due, judged)) in due.iter().zip(&judged).enumerate() {
        let mut standing = Standing::Done;
        for (judged, found) in judged.iter().zip(&due.found) {
            match (judged, found) {
                (Judged::Fresh, _) => {}
                (Judged::UnderWay(_), Found::There(workload)) => {
                    look_at(poll(started_at(workload, now), now));
                    standing = standing.or(Standing::Open);
                }
                (Judged::Wait(until), _) => {
                    look_at(*until);
                    standing = standing.or(Standing::Open);
                }
                (Judged::Blocked(trouble), _) => {
                    look_at(seldom(due.wish.due_at, now));
                    standing = standing.or(Standing::Blocked(trouble.clone()));
                }
                (_, Found::There(workload)) => {
                    ready.push((workload, whose));
                    look_at(poll(due.wish.due_at, now));
                    standing = standing.or(due.wish.queued(workload, under_way.as_deref(), now));
                }
                (_, Found::Not(_)) => {}
            }
        }
        standings.push(standing);
    }
    if under_way.is_some() {
        ready.clear();
    }
    ready.sort_by_key(|(workload, whose)| {
        let wish = &due[*whose].wish;
        (wish.ends_at.unwrap_or(Timestamp::MAX), wish.due_at, wish.config.clone(), workload.title())
    });
    let candidates = ready.into_iter().map(|(workload, whose)| {
        let Wish { config, issued_at, .. } = &due[whose].wish;
        let why = format!(
            "{} is being restarted: it started before the credential of AwsConfig \"{config}\" was issued, at {issued_at}",
            workload.title()
        );
        Candidate { workload: workload.clone(), whose, why }
    });
    Decision { candidates: candidates.collect(), standings, again_at }
}

/// What one workload needs.
enum Judged {
    /// Nothing.
    Fresh,
    /// It has been restarted and the others wait for it.
    UnderWay(String),
    /// Nothing before this time.
    Wait(Timestamp),
    /// A restart.
    Ready,
    /// Somebody's help.
    Blocked(Statement),
}

impl Wish {
    fn judge(&self, found: &Found, now: Timestamp) -> Judged {
        let workload = match found {
            Found::There(workload) => workload,
            Found::Not(trouble) => return Judged::Blocked(trouble.clone()),
        };
        let (title, started_at) = (workload.title(), started_at(workload, now));
        let blocked = |what: &str| Judged::Blocked(Statement::new(Reason::RestartBlocked, format!("{title} {what}")));
        if started_at >= after(self.issued_at, SETTLED) {
            return match workload.rollout {
                Rollout::Rolling | Rollout::Unready if now < after(started_at, self.patience) => {
                    Judged::UnderWay(title)
                }
                Rollout::Rolling | Rollout::Unready => blocked(&format!(
                    "was restarted at {started_at} and has not finished; others no longer wait for it"
                )),
                _ => Judged::Fresh,
            };
        }
        let reserve = self.ends_at.map_or(Timestamp::MAX, |ends_at| before(ends_at, RESERVE));
        let spaced = restarted_at(workload, now).map_or(Timestamp::MIN, |at| after(at, INTERVAL));
        let not_before = spaced.min(reserve).max(self.due_at);
        let given_time = after(self.due_at, PATIENCE_AT_MOST).min(reserve).max(self.due_at);
        match workload.rollout {
            Rollout::OnDelete => blocked(
                "has the update strategy OnDelete: only deleting its pods restarts it, and they have an earlier credential",
            ),
            Rollout::Paused => blocked("is paused, and its pods have an earlier credential"),
            Rollout::Rolling if now >= given_time => {
                blocked("is being rolled out by somebody else and does not finish; until then it is not restarted")
            }
            Rollout::Rolling => Judged::Wait(poll(self.due_at, now).min(given_time)),
            // Its pods may be unready because what they have has ended: then a restart is what they need.
            Rollout::Unready if now < given_time => Judged::Wait(poll(self.due_at, now).min(given_time)),
            Rollout::Unready | Rollout::Finished if now < not_before => Judged::Wait(not_before),
            Rollout::Unready | Rollout::Finished => Judged::Ready,
        }
    }

    /// How a wish stands whose workload only has to wait for its turn.
    fn queued(&self, workload: &Workload, under_way: Option<&str>, now: Timestamp) -> Standing {
        match (under_way, self.ends_at) {
            (Some(other), Some(ends_at)) if now >= ends_at => {
                let title = workload.title();
                let message = format!("{title} still waits for the restart of {other}; what it has ended at {ends_at}");
                Standing::Blocked(Statement::new(Reason::RestartBlocked, message))
            }
            _ => Standing::Open,
        }
    }
}

impl Standing {
    /// The worse of the two; of two troubles the first.
    fn or(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Blocked(_), _) | (Self::Open, Self::Done | Self::Open) => self,
            _ => other,
        }
    }
}

/// Since when its pods are what they are, at the earliest.
fn started_at(workload: &Workload, now: Timestamp) -> Timestamp {
    restarted_at(workload, now).max(workload.created_at).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// When it was restarted last. A time that lies ahead is nobody's: it would keep a workload from ever being restarted. A
/// clock that is some minutes fast is let pass.
fn restarted_at(workload: &Workload, now: Timestamp) -> Option<Timestamp> {
    workload.restarted_at.filter(|at| *at <= after(now, INTERVAL))
}

/// When to look again at something that will end by itself: the longer it takes, the more seldom.
fn poll(since: Timestamp, now: Timestamp) -> Timestamp {
    after(now, (now.duration_since(since) / 4).clamp(SignedDuration::from_secs(5), SignedDuration::from_mins(1)))
}

/// When to look again at something that somebody has to mend.
fn seldom(since: Timestamp, now: Timestamp) -> Timestamp {
    after(now, (now.duration_since(since) / 4).clamp(SignedDuration::from_mins(1), SignedDuration::from_mins(10)))
}

fn after(at: Timestamp, time: SignedDuration) -> Timestamp {
    at.saturating_add(time).unwrap_or(Timestamp::MAX)
}

fn before(at: Timestamp, time: SignedDuration) -> Timestamp {
    at.saturating_sub(time).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;

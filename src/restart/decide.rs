//! The decision which workload of a namespace is restarted now, if any. Pure.
//!
//! A workload is *due* if it was created and last restarted before the present credential was in
//! the Secret. Its environment then holds an earlier credential. The time of the last restart comes
//! from the workload's own annotation. Therefore neither a new leader nor a crash after the restart
//! makes the restart happen twice.

use super::workload::{Rollout, Workload};
use crate::{
    api::{AwsConfig, RESTARTED_AT, Reason, Statement},
    schedule,
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

/// The time after an issue within which a starting pod may still have read the former Secret. The
/// time of the issue is the one that STS reports, and keyturn wrote the Secret later. A workload
/// that started within this time is restarted. No restart begins before this time is over.
const SETTLED: SignedDuration = SignedDuration::from_secs(30);
/// The restarts for an issue are spread over this fraction of the credential's lifetime (a tenth),
/// and over at most `SPREAD_AT_MOST`.
const SPREAD: i32 = 10;
const SPREAD_AT_MOST: SignedDuration = SignedDuration::from_mins(10);
/// The least time between two restarts of a workload, unless the workload's credential ends before.
pub(super) const INTERVAL: SignedDuration = SignedDuration::from_mins(10);
/// From this time before the end of a credential, neither the interval nor an unready workload
/// delays a restart.
const RESERVE: SignedDuration = SignedDuration::from_mins(2);
/// A restart that has not finished holds up the others of the namespace for this fraction of the
/// credential's lifetime (a sixth), and for at most `PATIENCE_AT_MOST`. A restart that hangs must
/// not let all credentials of the namespace end.
const PATIENCE: i32 = 6;
const PATIENCE_AT_MOST: SignedDuration = SignedDuration::from_mins(10);

/// The restarts that an `AwsConfig` asks for after an issue.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// The config's UID.
    pub uid: String,
    /// The config's name.
    pub config: String,
    /// The time when the credential in the Secret was issued.
    pub issued_at: Timestamp,
    /// The time when restarts for this issue begin.
    pub due_at: Timestamp,
    /// The time when the credential in the workloads' environment ends; `None` for a static key.
    pub ends_at: Option<Timestamp>,
    /// The time for which a restart for this issue may hold up others.
    pub patience: SignedDuration,
}

/// The result of reading one of its workloads.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The workload.
    There(Workload),
    /// The reason why it cannot be restarted.
    Not(Statement),
}

/// A wish that is due, and its workloads.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// The wish that is due.
    pub wish: Wish,
    /// The workloads that the config names.
    pub found: Vec<Found>,
}

/// A restart that may happen now.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The workload to restart.
    pub workload: Workload,
    /// The index of the wish in the list of due wishes.
    pub whose: usize,
    /// The reason for the restart, in a sentence for users.
    pub why: String,
}

/// The decision for a namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The workloads that may be restarted now. Those whose credential ends first come first. Only
    /// the first one that the API server lets keyturn restart is restarted.
    pub candidates: Vec<Candidate>,
    /// The standing of each due wish, in the order of the wishes.
    pub standings: Vec<Standing>,
    /// The time of the next reconcile; `None` if nothing is left to do.
    pub again_at: Option<Timestamp>,
}

/// The progress of a wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Every workload has been restarted and every rollout is over. Nothing is read until the next
    /// issue.
    Done,
    /// A restart is still to come, or under way.
    Open,
    /// Something prevents a restart.
    Blocked(Statement),
}

/// Returns the restarts that a config asks for. There are none if the config names no workload, has
/// no credential, is being deleted, or has its first credential. Pods that waited for the first
/// credential have it, and pods that did not wait had no credential before.
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
    // The spread leaves three quarters of the remaining time for the restarts themselves.
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

/// Decides for a namespace. `due` holds all wishes that are due and not finished, and the workloads
/// that were found for each.
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
                (Judged::TakenBack(until, trouble), _) => {
                    look_at(*until);
                    standing = standing.or(Standing::Blocked(trouble.clone()));
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

/// The judgement of one workload.
enum Judged {
    /// It needs nothing.
    Fresh,
    /// Its restart is under way, and the others wait for it.
    UnderWay(String),
    /// It must not be restarted before this time.
    Wait(Timestamp),
    /// It needs a restart.
    Ready,
    /// It is not restarted again before this time, because another writer has taken the last
    /// restart back.
    TakenBack(Timestamp, Statement),
    /// It cannot be restarted until somebody helps.
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
        if let Some(again_at) = taken_back_until(workload).filter(|again_at| *again_at > now) {
            let message = format!(
                "another writer took the restart of {title} back, which keyturn made at {}: it changed the annotation {RESTARTED_AT} \
                 of the pod template; let that writer (managedFields) ignore this annotation; keyturn restarts it again at {again_at}",
                workload.made_at.unwrap_or_default()
            );
            return Judged::TakenBack(again_at, Statement::new(Reason::RestartBlocked, message));
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
            // The pods may be unready because their credential has ended. Then they need the
            // restart.
            Rollout::Unready if now < given_time => Judged::Wait(poll(self.due_at, now).min(given_time)),
            Rollout::Unready | Rollout::Finished if now < not_before => Judged::Wait(not_before),
            Rollout::Unready | Rollout::Finished => Judged::Ready,
        }
    }

    /// The standing of a wish whose workload only waits for the restart of another.
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
    /// Returns the worse of the two standings. Of two troubles, the first one counts.
    fn or(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Blocked(_), _) | (Self::Open, Self::Done | Self::Open) => self,
            _ => other,
        }
    }
}

/// The earliest time from which the pods may have their present environment.
fn started_at(workload: &Workload, now: Timestamp) -> Timestamp {
    restarted_at(workload, now).max(workload.created_at).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The time of the last restart. A time in the future is ignored, because it would keep the
/// workload from ever being restarted. A time up to `INTERVAL` ahead counts, because a clock may be
/// fast by some minutes.
fn restarted_at(workload: &Workload, now: Timestamp) -> Option<Timestamp> {
    workload.restarted_at.filter(|at| *at <= after(now, INTERVAL))
}

/// The end of the interval after a restart that this process made and another writer took back;
/// `None` if nobody took it back.
fn taken_back_until(workload: &Workload) -> Option<Timestamp> {
    let made_at = workload.made_at?;
    let is_there = workload.restarted_at.is_some_and(|at| at >= made_at);
    (!is_there).then(|| after(made_at, INTERVAL))
}

/// The time of the next read of a rollout that ends by itself. The longer it takes, the rarer the
/// reads.
fn poll(since: Timestamp, now: Timestamp) -> Timestamp {
    after(now, (now.duration_since(since) / 4).clamp(SignedDuration::from_secs(5), SignedDuration::from_mins(1)))
}

/// The time of the next read of a trouble that somebody has to mend.
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

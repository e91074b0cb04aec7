//! The queue for calls to STS: who may call now, who waits, and for how long. These are functions
//! of values and an instant; they read no clock and make no call.

use super::{
    lanes::{Ask, Key, Lane, Lanes, Waiting},
    pace::{Heard, Pace, Weather},
    places::SHARE,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The time for which a turn is kept for an object that is to be reconciled for it.
const KEPT: Duration = Duration::from_secs(10);
/// The first and the longest wait of an object after a call that was throttled or got no answer, in
/// seconds. It ends when STS serves another object again.
const AGAIN: (u64, u64) = (1, 30);
/// The most calls under way while STS throttles all of them.
const THROTTLED_AT_ONCE: usize = 4;
/// The time over which the pace of answers is measured while STS throttles, in seconds.
const MEASURED: f64 = 60.0;
/// The longest wait that is estimated.
const LONGEST: Duration = Duration::from_secs(3600);

/// The bounds of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StsLimits {
    /// The full rate: calls in a second, from 1.
    pub per_second: u32,
    /// The most calls under way, from 1.
    pub under_way: usize,
}

impl StsLimits {
    /// The defaults of the command line. STS allows an account 600 requests a second in a Region
    /// (IAM User Guide, "IAM and AWS STS quotas"), and everything in the account shares them.
    /// keyturn takes a sixth, which renews 10,000 sessions in 100 s. It needs 5 a second for
    /// 10,000 sessions of an hour.
    ///
    /// 32 calls under way are 200 a second if STS takes 160 ms. With the 48 reconciles that wait
    /// for DSS at most, they are fewer than the reconciles that run at once.
    pub const DEFAULT: Self = Self { per_second: 100, under_way: 32 };
}

impl Default for StsLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The answer to a request for calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is its turn now. It has waited for so long.
    Now { waited: Duration },
    /// Others come first, for about so long.
    Later { about: Duration, weather: Weather },
}

/// An object whose turn has come. It is to be reconciled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// The UID of the object.
    pub key: Arc<str>,
    /// The namespace of the object.
    pub namespace: Arc<str>,
    /// The name of the object.
    pub name: Arc<str>,
}

/// The state of the queue, for metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    /// Those who wait, by lane in the order of [`Lane::ALL`].
    pub waiting: [usize; 3],
    /// Those of them whose credential will have expired before their turn, at the present pace.
    pub too_late: usize,
    /// The rate in force, in calls a second; 0 while STS cannot be reached.
    pub rate: f64,
    /// The calls under way, and the turns that are kept.
    pub under_way: usize,
    /// What the last answers say.
    pub weather: Weather,
}

/// A turn: calls that are taken from the pace, and places among those under way.
#[derive(Debug)]
struct Taken {
    waiting: Waiting,
    /// The end of the time for which the turn is kept; `None` once it is used.
    kept_until: Option<Instant>,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    limits: StsLimits,
    pace: Pace,
    lanes: Lanes,
    taken: HashMap<Key, Taken>,
    under_way: usize,
    by_namespace: HashMap<Arc<str>, usize>,
    /// The calls that STS answered, each of which counts less the older it is.
    answered: f64,
    answered_at: Instant,
}

impl Queue {
    pub(super) fn new(limits: StsLimits, now: Instant) -> Self {
        Self {
            limits,
            pace: Pace::new(limits.per_second, now),
            lanes: Lanes::default(),
            taken: HashMap::new(),
            under_way: 0,
            by_namespace: HashMap::new(),
            answered: 0.0,
            answered_at: now,
        }
    }

    /// Asks for calls. One that asks again keeps its place.
    pub(super) fn ask(&mut self, ask: Ask, now: Instant) -> (Turn, Vec<Called>) {
        let (key, lane) = (ask.key.clone(), ask.lane);
        if let Some(turn) = self.take_up(&key, now) {
            return (turn, vec![]);
        }
        self.lanes.add(ask, now);
        let mut called = self.serve(now);
        called.retain(|called| called.key != key);
        let turn = match self.take_up(&key, now) {
            Some(turn) => turn,
            None => Turn::Later { about: self.about(lane, now), weather: self.pace.weather() },
        };
        (turn, called)
    }

    /// Asks for calls that are made now or not at all: if nobody waits.
    pub(super) fn ask_idle(&mut self, ask: Ask, now: Instant) -> bool {
        let key = ask.key.clone();
        self.lanes.let_in(now);
        if self.lanes.is_any_ready() || self.pace.weather() != Weather::Fair || self.lanes.holds(&key) {
            return false;
        }
        self.lanes.add(ask, now);
        self.serve(now);
        let is_taken = self.take_up(&key, now).is_some();
        self.lanes.remove(&key);
        is_taken
    }

    /// The turn that is kept for this key begins.
    fn take_up(&mut self, key: &Key, now: Instant) -> Option<Turn> {
        let taken = self.taken.get_mut(key).filter(|taken| taken.kept_until.is_some_and(|until| until > now))?;
        taken.kept_until = None;
        Some(Turn::Now { waited: now.saturating_duration_since(taken.waiting.since) })
    }

    /// Whether a turn is kept for this key.
    pub(super) fn has_turn(&self, key: &str, now: Instant) -> bool {
        self.taken.get(key).and_then(|taken| taken.kept_until).is_some_and(|until| until > now)
    }

    pub(super) fn knows(&self, key: &str) -> bool {
        self.lanes.holds(key) || self.taken.contains_key(key)
    }

    /// One no longer wants its turn.
    pub(super) fn leave(&mut self, key: &Key, now: Instant) -> Vec<Called> {
        self.lanes.remove(key);
        if self.taken.get(key).is_some_and(|taken| taken.kept_until.is_some()) {
            self.give_up(key);
        }
        self.serve(now)
    }

    /// Learns the answer to a call that began at `began`.
    pub(super) fn learn(&mut self, heard: Heard, began: Instant, now: Instant) {
        if heard == Heard::Answered {
            self.answered = self.answered_lately(now) + 1.0;
            self.answered_at = now;
        }
        if self.pace.learn(heard, began, now) {
            self.lanes.let_in_all();
        }
    }

    /// Takes a call that is beyond those of the turn.
    pub(super) fn take_more(&mut self, calls: u32) {
        self.pace.take(calls);
    }

    /// A turn ends, with so many calls unused. If the last answers were none for this object alone,
    /// it waits for its next turn.
    pub(super) fn end(&mut self, key: &Key, unused: u32, is_to_wait: bool, now: Instant) -> Vec<Called> {
        let Some(Taken { waiting, .. }) = self.release(key) else { return vec![] };
        self.pace.give_back(unused);
        if is_to_wait {
            let (first, longest) = AGAIN;
            let wait = (first << waiting.failures.min(10)).min(longest);
            let failures = waiting.failures.saturating_add(1);
            self.lanes.put(Waiting { failures, not_before: Some(now + Duration::from_secs(wait)), ..waiting }, now);
        }
        self.serve(now)
    }

    /// Gives turns to those who come next, as far as the pace and the bound of calls under way
    /// allow. Returns the objects that are to be reconciled for their turn.
    pub(super) fn serve(&mut self, now: Instant) -> Vec<Called> {
        let late = |taken: &Taken| taken.kept_until.is_some_and(|until| until <= now);
        let late: Vec<Key> = self.taken.iter().filter(|(_, taken)| late(taken)).map(|(key, _)| key.clone()).collect();
        for key in &late {
            self.give_up(key);
        }
        self.lanes.let_in(now);
        let mut called = vec![];
        while !self.is_full() && self.pace.may_call(self.taken.len(), now) {
            let free = self.limits.under_way.saturating_sub(self.under_way);
            let by_namespace = &self.by_namespace;
            let may =
                |namespace: &str| by_namespace.get(namespace).copied().unwrap_or_default() < free * SHARE as usize;
            let Some(waiting) = self.lanes.next(may) else { break };
            let Ask { key, namespace, name, calls, .. } = waiting.ask.clone();
            self.pace.take(calls);
            let places = self.places(calls);
            self.under_way += places;
            *self.by_namespace.entry(namespace.clone()).or_default() += places;
            self.taken.insert(key.clone(), Taken { waiting, kept_until: Some(now + KEPT) });
            called.push(Called { key, namespace, name });
        }
        called
    }

    /// The time at which [`Queue::serve`] may have something to do.
    pub(super) fn next_at(&mut self, now: Instant) -> Option<Instant> {
        let kept = self.taken.values().filter_map(|taken| taken.kept_until).min();
        let is_probed = self.pace.weather() == Weather::OutOfReach && !self.taken.is_empty();
        let waits = self.lanes.is_any_ready() && !self.is_full() && !is_probed;
        // One that waits for a place of its namespace is served when a call ends.
        let call = waits.then(|| self.pace.next_call_at(now)).filter(|at| *at > now);
        [kept, call, self.lanes.next_let_in()].into_iter().flatten().min()
    }

    pub(super) fn snapshot(&mut self, now: Instant) -> Snapshot {
        Snapshot {
            waiting: Lane::ALL.map(|lane| self.lanes.count(lane)),
            too_late: self.too_late(now),
            rate: self.pace.rate(now),
            under_way: self.under_way,
            weather: self.pace.weather(),
        }
    }

    /// Whether nobody waits.
    pub(super) fn is_idle(&self) -> bool {
        Lane::ALL.iter().all(|lane| self.lanes.count(*lane) == 0)
    }

    pub(super) fn weather(&self) -> Weather {
        self.pace.weather()
    }

    /// The number of renewals that wait and will have expired before their turn, if all goes on as
    /// now. While STS cannot be reached, it is the number if STS came back now.
    fn too_late(&mut self, now: Instant) -> usize {
        let expiries = self.lanes.expiries();
        let pace = match self.pace.weather() {
            Weather::Fair => self.pace.rate(now),
            Weather::Throttling => (self.answered_lately(now) / MEASURED).max(0.01),
            Weather::OutOfReach => self.pace.most(),
        };
        let pace = pace * self.share_now(Lane::Renewal);
        // A renewal that is too late takes no turn from the next one.
        let mut served = 0.0;
        let mut late = 0;
        for at in expiries {
            if now + Duration::from_secs_f64((served + 1.0) / pace) > at {
                late += 1;
            } else {
                served += 1.0;
            }
        }
        late
    }

    /// The share that a lane has of the calls now.
    fn share_now(&self, lane: Lane) -> f64 {
        let others = Lane::ALL.into_iter().filter(|other| *other == lane || self.lanes.count(*other) > 0);
        lane.share() / others.map(Lane::share).sum::<f64>()
    }

    /// The wait of one that is the last of its lane, about.
    fn about(&mut self, lane: Lane, now: Instant) -> Duration {
        let rate = self.pace.rate(now) * self.share_now(lane);
        let waiting = u32::try_from(self.lanes.count(lane)).unwrap_or(u32::MAX);
        let seconds = f64::from(waiting) / rate.max(0.001);
        Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64()))
    }

    fn answered_lately(&self, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(self.answered_at).as_secs_f64();
        self.answered * (-seconds / MEASURED).exp()
    }

    /// A turn that nobody took up ends, and its calls are given back.
    fn give_up(&mut self, key: &Key) {
        if let Some(taken) = self.release(key) {
            self.pace.give_back(taken.waiting.ask.calls);
        }
    }

    fn release(&mut self, key: &Key) -> Option<Taken> {
        let taken = self.taken.remove(key)?;
        let places = self.places(taken.waiting.ask.calls);
        self.under_way = self.under_way.saturating_sub(places);
        if let Some(held) = self.by_namespace.get_mut(&taken.waiting.ask.namespace) {
            *held = held.saturating_sub(places);
            if *held == 0 {
                self.by_namespace.remove(&taken.waiting.ask.namespace);
            }
        }
        Some(taken)
    }

    /// Whether as many calls are under way as may be now.
    fn is_full(&self) -> bool {
        let most = self.limits.under_way;
        let most = if self.pace.weather() == Weather::Throttling { most.min(THROTTLED_AT_ONCE) } else { most };
        self.under_way >= most
    }

    /// The places that so many calls take among those under way. No object has more than half.
    fn places(&self, calls: u32) -> usize {
        (calls as usize).min(self.limits.under_way.div_ceil(2)).max(1)
    }
}

#[cfg(test)]
mod tests;

//! One budget for all calls to STS, whoever makes them. Nobody waits in it: one that does not have
//! its turn is told so, and its object is reconciled when its turn has come. A reconcile that waits
//! would hold one of the places of the controller, and its plan would be old when it goes on.

use super::{
    lanes::{Ask, Lane},
    pace::{Heard, Weather},
    queue::{Called, Queue, Snapshot, StsLimits, Turn},
};
use parking_lot::{Mutex, MutexGuard};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};

/// The time after which the log repeats that something goes on.
const REPEATED: Duration = Duration::from_secs(60);
/// The time after which a task asks for its turn again.
const TASK_ASKS: Duration = Duration::from_secs(1);
/// The time after which the queue is looked at for renewals that will be late.
const LOOKED_AT: Duration = Duration::from_secs(10);

/// A callback for each turn that begins: its lane, and the time that it was waited for.
pub type Waited = Arc<dyn Fn(Lane, Duration) + Send + Sync>;

/// The budget. Clones share it.
#[derive(Clone)]
pub struct StsBudget {
    limits: StsLimits,
    queue: Arc<Mutex<Queue>>,
    /// The objects whose turn has come and that have not been called yet.
    called: Arc<Mutex<Vec<Called>>>,
    changed: Arc<Notify>,
    waited: Waited,
}

impl std::fmt::Debug for StsBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StsBudget").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The refusal of a turn: others come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotYourTurn {
    /// The wait, about.
    pub about: Duration,
    /// What the last answers of STS say.
    pub weather: Weather,
}

/// The right to make calls to STS. It ends when it is dropped. Calls that were not made are given
/// back then.
#[derive(Debug)]
pub struct StsTurn {
    /// The budget, and the key of the one whose turn it is; `None` without a bound.
    of: Option<(StsBudget, Arc<str>)>,
    /// Whether an object has the turn, which waits again after calls in vain. A task and a trial
    /// have a schedule of their own.
    is_object: bool,
    state: Mutex<TurnState>,
}

#[derive(Debug, Default)]
struct TurnState {
    /// The calls of the turn that were not made yet.
    left: u32,
    /// Whether a call was throttled or got no answer.
    was_in_vain: bool,
    has_ended: bool,
}

impl StsBudget {
    /// A budget within these limits, with its full rate.
    #[must_use]
    pub fn new(limits: StsLimits, waited: Waited) -> Self {
        let queue = Arc::new(Mutex::new(Queue::new(limits, Instant::now())));
        Self { limits, queue, called: Arc::default(), changed: Arc::default(), waited }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> StsLimits {
        self.limits
    }

    /// Asks for a turn. One that asks again keeps its place.
    ///
    /// # Errors
    /// [`NotYourTurn`] if others come first. The object is called when its turn has come.
    pub fn ask(&self, ask: Ask) -> Result<StsTurn, NotYourTurn> {
        let (key, lane, calls) = (ask.key.clone(), ask.lane, ask.calls);
        let is_object = !ask.namespace.is_empty();
        let (turn, called) = self.queue().ask(ask, Instant::now());
        self.tell(called);
        match turn {
            Turn::Now { waited } => {
                (self.waited)(lane, waited);
                Ok(self.turn(key, calls, is_object))
            }
            Turn::Later { about, weather } => Err(NotYourTurn { about, weather }),
        }
    }

    /// Asks for a turn for something that nobody waits for. `None` if anybody waits.
    #[must_use]
    pub fn ask_idle(&self, ask: Ask) -> Option<StsTurn> {
        let (key, lane, calls) = (ask.key.clone(), ask.lane, ask.calls);
        let is_taken = self.queue().ask_idle(ask, Instant::now());
        self.tell(vec![]);
        is_taken.then(|| {
            (self.waited)(lane, Duration::ZERO);
            self.turn(key, calls, false)
        })
    }

    /// Waits for the turn of a task for one call. If this is dropped, nothing of it is left.
    pub async fn task(&self, name: &str) -> StsTurn {
        let ask = Ask {
            key: name.into(),
            namespace: "".into(),
            name: name.into(),
            attempt: String::new(),
            lane: Lane::Other,
            expires_at: None,
            calls: 1,
        };
        let _leaving = Leaving(self, ask.key.clone());
        loop {
            if let Ok(turn) = self.ask(ask.clone()) {
                return turn;
            }
            tokio::time::sleep(TASK_ASKS).await;
        }
    }

    /// Whether it is the turn of this object.
    #[must_use]
    pub fn has_turn(&self, key: &str) -> bool {
        self.queue().has_turn(key, Instant::now())
    }

    /// Whether this object waits for its turn, or has it.
    #[must_use]
    pub fn knows(&self, key: &str) -> bool {
        self.queue().knows(key)
    }

    /// An object no longer wants its turn.
    pub fn leave(&self, key: &str) {
        if !self.knows(key) {
            return;
        }
        let called = self.queue().leave(&key.into(), Instant::now());
        self.tell(called);
    }

    /// The state, for metrics.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.queue().snapshot(Instant::now())
    }

    /// Calls each object when its turn comes, and logs what STS does to all of them. `call` has the
    /// object reconciled, and returns `false` if there is no such object. Never ends.
    pub async fn run(self, call: impl Fn(&Called) -> bool) {
        let mut log = Log::default();
        loop {
            let now = Instant::now();
            let mut called = std::mem::take(&mut *self.called.lock());
            let (next, looked_at) = {
                let mut queue = self.queue();
                called.extend(queue.serve(now));
                if log.looks_again(queue.weather(), now) {
                    log.say(&queue.snapshot(now), now);
                }
                (queue.next_at(now), (!queue.is_idle()).then(|| now + LOOKED_AT))
            };
            for object in called.iter().filter(|called| !called.namespace.is_empty()) {
                if !call(object) {
                    self.leave(&object.key);
                }
            }
            let next = next.into_iter().chain(looked_at).min();
            let time = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time => {}
                () = self.changed.notified() => {}
            }
        }
    }

    fn turn(&self, key: Arc<str>, calls: u32, is_object: bool) -> StsTurn {
        let state = TurnState { left: calls, ..TurnState::default() };
        StsTurn { of: Some((self.clone(), key)), is_object, state: Mutex::new(state) }
    }

    /// Has these objects called, and the next time worked out anew.
    fn tell(&self, called: Vec<Called>) {
        self.called.lock().extend(called);
        self.changed.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }
}

impl StsTurn {
    /// A turn without a budget, for a person at a prompt.
    #[must_use]
    pub fn unbounded() -> Self {
        Self { of: None, is_object: false, state: Mutex::default() }
    }

    /// Begins a call. Returns the time, by which [`StsTurn::heard`] knows the call.
    #[must_use]
    pub fn begin(&self) -> Instant {
        let mut state = self.state.lock();
        match state.left.checked_sub(1) {
            Some(left) => state.left = left,
            None => self.of.iter().for_each(|(budget, _)| budget.queue().take_more(1)),
        }
        Instant::now()
    }

    /// Learns the answer to a call that began at `began`.
    pub fn heard(&self, heard: Heard, began: Instant) {
        self.state.lock().was_in_vain |= heard != Heard::Answered;
        if let Some((budget, _)) = &self.of {
            budget.queue().learn(heard, began, Instant::now());
        }
    }

    /// Ends the turn. If a call was throttled or got no answer, its object waits for its next turn.
    pub fn end(&self) {
        let Some((budget, key)) = &self.of else { return };
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.has_ended, true) {
            return;
        }
        let is_to_wait = self.is_object && state.was_in_vain;
        let called = budget.queue().end(key, state.left, is_to_wait, Instant::now());
        budget.tell(called);
    }
}

impl Drop for StsTurn {
    fn drop(&mut self) {
        self.end();
    }
}

/// A task that waits for its turn, and leaves if it is dropped.
struct Leaving<'a>(&'a StsBudget, Arc<str>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave(&self.1);
    }
}

/// What the log has said.
#[derive(Default)]
struct Log {
    looked: Option<(Weather, Instant)>,
    is_out_of_reach: bool,
    throttling_at: Option<Instant>,
    too_late_at: Option<Instant>,
}

impl Log {
    /// Whether the queue is to be looked at: once in a while, because that goes through all of it.
    fn looks_again(&self, weather: Weather, now: Instant) -> bool {
        let is_known =
            |(seen, at): (Weather, Instant)| seen == weather && now.saturating_duration_since(at) < LOOKED_AT;
        !self.looked.is_some_and(is_known)
    }

    fn say(&mut self, snapshot: &Snapshot, now: Instant) {
        self.looked = Some((snapshot.weather, now));
        let waiting: usize = snapshot.waiting.iter().sum();
        let is_due = |at: Option<Instant>| at.is_none_or(|at| now.saturating_duration_since(at) >= REPEATED);
        let is_out_of_reach = snapshot.weather == Weather::OutOfReach;
        if is_out_of_reach && !self.is_out_of_reach {
            tracing::warn!(waiting, "STS cannot be reached; one call at a time probes it, and all others wait");
        } else if !is_out_of_reach && self.is_out_of_reach {
            tracing::info!(waiting, "STS answers again; the rate of calls grows to its full value in 20 s");
        }
        self.is_out_of_reach = is_out_of_reach;
        if snapshot.weather == Weather::Throttling && is_due(self.throttling_at) {
            self.throttling_at = Some(now);
            tracing::warn!(waiting, rate = snapshot.rate, "STS throttles; keyturn calls it less often");
        }
        if snapshot.too_late > 0 && is_due(self.too_late_at) {
            self.too_late_at = Some(now);
            tracing::error!(
                too_late = snapshot.too_late,
                waiting,
                rate = snapshot.rate,
                "credentials will expire before STS serves their renewal, at the present pace; look for other programs that call STS in the \
                 account, and ask AWS for a higher quota"
            );
        } else if snapshot.too_late == 0 && self.too_late_at.take_if(|_| waiting == 0).is_some() {
            tracing::info!("every renewal has had its turn");
        }
    }
}

#[cfg(test)]
mod tests;

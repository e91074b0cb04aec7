//! The queue against a model of STS and of sessions that are renewed for ever. The time is the
//! model's own.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const STEP: Duration = Duration::from_millis(20);
/// The time that STS takes for an answer.
const LATENCY: Duration = Duration::from_millis(60);
/// The time-out of a call.
const TIMEOUT: Duration = Duration::from_secs(10);
/// No limit, as far as the command line goes.
const LIFTED: StsLimits = StsLimits { per_second: 10_000, ..StsLimits::DEFAULT };

fn ask(key: &str, namespace: &str, lane: Lane, expires_at: Option<Instant>) -> Ask {
    let (name, attempt) = (key.into(), String::new());
    Ask { key: key.into(), namespace: namespace.into(), name, attempt, lane, expires_at, calls: 1 }
}

/// Sessions of an hour, renewed by the queue.
struct Model {
    queue: Queue,
    now: Instant,
    namespaces: usize,
    expires_at: Vec<Instant>,
    due: BTreeSet<(Instant, usize)>,
    /// The sessions that are due and not renewed, by namespace.
    waiting: BTreeMap<usize, BTreeSet<(Instant, usize)>>,
    /// The calls under way: their end, and their begin.
    calls: BTreeSet<(Instant, usize, Instant)>,
    made: usize,
    served: usize,
    expired: BTreeSet<usize>,
    /// Those that expired in this step.
    gone: Vec<usize>,
    /// The most that came later in their namespace and were served before an earlier one.
    overtaken: usize,
}

impl Model {
    /// So many sessions. They become due evenly within 62 % of an hour, or all at once.
    fn new(limits: StsLimits, sessions: usize, namespaces: usize, is_spread: bool) -> Self {
        let now = Instant::now() + 100 * HOUR;
        let lifetime = HOUR.mul_f64(0.625);
        let age = |n: usize| {
            if is_spread { lifetime * u32::try_from(n).unwrap() / u32::try_from(sessions).unwrap() } else { lifetime }
        };
        let expires_at: Vec<Instant> = (0..sessions).map(|n| now + HOUR - age(n)).collect();
        let due = expires_at.iter().enumerate().map(|(n, at)| (*at - HOUR.mul_f64(0.375), n)).collect();
        Self {
            queue: Queue::new(limits, now),
            now,
            namespaces,
            expires_at,
            due,
            waiting: BTreeMap::new(),
            calls: BTreeSet::new(),
            made: 0,
            served: 0,
            expired: BTreeSet::new(),
            gone: vec![],
            overtaken: 0,
        }
    }

    fn is_drained(&self) -> bool {
        self.waiting.values().all(BTreeSet::is_empty)
    }

    /// Asks for a session: a renewal, or the first issue after it has expired.
    fn ask(&mut self, n: usize) {
        let namespace = format!("n{}", n % self.namespaces);
        let live = Some(self.expires_at[n]).filter(|at| *at > self.now);
        let lane = if live.is_some() { Lane::Renewal } else { Lane::First };
        let (turn, called) = self.queue.ask(ask(&n.to_string(), &namespace, lane, live), self.now);
        if let Turn::Now { .. } = turn {
            self.begin(n);
        }
        self.call(called);
    }

    fn call(&mut self, called: Vec<Called>) {
        for Called { key, .. } in called {
            self.ask(key.parse().unwrap());
        }
    }

    fn begin(&mut self, n: usize) {
        if self.expires_at[n] > self.now {
            let of_namespace = &self.waiting[&(n % self.namespaces)];
            let before = of_namespace.iter().take_while(|(at, _)| *at < self.expires_at[n]);
            let under_way: BTreeSet<usize> = self.calls.iter().map(|(_, n, _)| *n).collect();
            self.overtaken = self.overtaken.max(before.filter(|(_, n)| !under_way.contains(n)).count());
        }
        self.made += 1;
        self.calls.insert((self.now + LATENCY, n, self.now));
    }

    /// One step. `sts` says what the answer is, and how much later than usual it comes.
    fn step(&mut self, sts: &mut impl FnMut(Instant) -> (Heard, Duration)) {
        self.now += STEP;
        while let Some((_, n)) = self.due.first().copied().filter(|(at, _)| *at <= self.now) {
            self.due.pop_first();
            self.waiting.entry(n % self.namespaces).or_default().insert((self.expires_at[n], n));
            self.ask(n);
        }
        while let Some((end, n, began)) = self.calls.first().copied().filter(|(end, ..)| *end <= self.now) {
            self.calls.pop_first();
            let (heard, later) = sts(began);
            if end < began + LATENCY + later {
                self.calls.insert((began + LATENCY + later, n, began));
                continue;
            }
            self.queue.learn(heard, began, self.now);
            let is_in_vain = heard != Heard::Answered;
            if !is_in_vain {
                self.served += 1;
                self.waiting.get_mut(&(n % self.namespaces)).unwrap().remove(&(self.expires_at[n], n));
                self.expires_at[n] = self.now + HOUR;
                self.due.insert((self.now + HOUR.mul_f64(0.625), n));
            }
            let called = self.queue.end(&n.to_string().as_str().into(), 0, is_in_vain, self.now);
            self.call(called);
        }
        let called = self.queue.serve(self.now);
        self.call(called);
        for namespace in 0..self.namespaces {
            let Some(of) = self.waiting.get_mut(&namespace) else { continue };
            while let Some((_, n)) = of.first().copied().filter(|(at, _)| *at <= self.now) {
                of.pop_first();
                if !self.calls.iter().any(|(_, under_way, _)| *under_way == n) {
                    self.expired.insert(n);
                    self.gone.push(n);
                }
            }
        }
        while let Some(n) = self.gone.pop() {
            self.ask(n);
        }
    }

    fn run(&mut self, time: Duration, mut sts: impl FnMut(Instant) -> (Heard, Duration)) {
        let end = self.now + time;
        while self.now < end {
            self.step(&mut sts);
        }
    }

    /// The time until nothing waits any more.
    fn drain(&mut self) -> Duration {
        let begin = self.now;
        while !self.is_drained() && self.now < begin + HOUR {
            self.step(&mut |_| (Heard::Answered, Duration::ZERO));
        }
        self.now - begin
    }
}

#[test]
fn ten_minutes_without_sts_cost_no_session_of_10_000_and_two_minutes() {
    let at_once = (Heard::Unreachable, Duration::ZERO);
    let hangs = (Heard::Unreachable, TIMEOUT);
    for (row, limits, answer, most) in [
        ("refused connections", StsLimits::DEFAULT, at_once, 60),
        ("no answer", StsLimits::DEFAULT, hangs, 70),
        ("refused connections, without a limit", LIFTED, at_once, 15),
        ("no answer, without a limit", LIFTED, hangs, 25),
    ] {
        let mut model = Model::new(limits, 10_000, 20, true);
        model.run(60 * SECOND, |_| (Heard::Answered, Duration::ZERO));
        model.made = 0;
        model.run(600 * SECOND, |_| answer);
        let (made, waiting) = (model.made, model.queue.snapshot(model.now).waiting[1]);
        assert!(made <= 200, "{row}: {made} calls in ten minutes");
        assert!((2_500..=2_800).contains(&waiting), "{row}: {waiting} wait");
        let took = model.drain();
        println!("{row}: {made} calls while it is away, {waiting} drained in {took:?}");
        assert!(took <= SECOND * most, "{row}: {took:?}");
        assert!(model.expired.is_empty(), "{row}: {} expired", model.expired.len());
    }
}

#[test]
fn a_thousand_due_make_few_calls_to_an_sts_that_throttles_all() {
    for (row, limits, most) in [("the default rate", StsLimits::DEFAULT, 30), ("without a limit", LIFTED, 10)] {
        let mut model = Model::new(limits, 1_000, 1, false);
        model.run(20 * SECOND, |_| (Heard::Throttled, Duration::ZERO));
        let made = model.made;
        let took = model.drain();
        println!("{row}: {made} calls in 20 s, drained in {took:?}");
        assert!(made <= 150, "{row}: {made} calls in 20 s");
        assert!(took <= SECOND * most, "{row}: {took:?}");
    }
}

#[test]
fn an_sts_at_a_tenth_of_the_need_serves_first_what_expires_first() {
    for (row, namespaces) in [("one namespace", 1), ("20 namespaces", 20)] {
        let mut model = Model::new(StsLimits::DEFAULT, 10_000, namespaces, true);
        model.run(60 * SECOND, |_| (Heard::Answered, Duration::ZERO));
        // STS gives 0.44 calls a second, and 10 at once. 4.4 are needed.
        let mut given = (0.0_f64, model.now);
        let mut allowed = BTreeMap::new();
        let mut tenth = |began: Instant| {
            let heard = *allowed.entry(began).or_insert_with(|| {
                let (tokens, at) = given;
                let tokens = (tokens + began.saturating_duration_since(at).as_secs_f64() * 0.444).min(10.0);
                let is_served = tokens >= 1.0;
                given = (if is_served { tokens - 1.0 } else { tokens }, began.max(at));
                if is_served { Heard::Answered } else { Heard::Throttled }
            });
            (heard, Duration::ZERO)
        };
        (model.overtaken, model.made, model.served) = (0, 0, 0);
        model.run(HOUR / 2, &mut tenth);
        let waiting: BTreeSet<usize> = model.waiting.values().flatten().map(|(_, n)| *n).collect();
        let said = model.queue.snapshot(model.now).too_late;
        model.expired.clear();
        model.run(HOUR / 2, &mut tenth);
        let late = model.expired.intersection(&waiting).count();
        let (made, served, overtaken) = (model.made, model.served, model.overtaken);
        println!(
            "{row}: {made} calls, {served} served, {overtaken} overtaken; of {} that wait after 30 min {said} are said to be late, and {late} \
             are",
            waiting.len()
        );
        assert!(served >= 1_500, "{row}: {served} of 1,600 calls that STS gives");
        assert!(overtaken <= 8, "{row}: one came before {overtaken} that expire earlier");
        assert!(said.abs_diff(late) <= late / 10, "{row}: {said} are said to be late, and {late} are");
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_nobody_takes_up_is_given_back() {
    let now = Instant::now();
    let mut queue = Queue::new(StsLimits { per_second: 1, under_way: 1 }, now);
    assert!(matches!(queue.ask(ask("a", "n", Lane::First, None), now).0, Turn::Now { .. }));
    assert!(matches!(queue.ask(ask("b", "n", Lane::First, None), now).0, Turn::Later { .. }));
    assert!(matches!(queue.ask(ask("c", "n", Lane::First, None), now).0, Turn::Later { .. }));
    let called = queue.end(&"a".into(), 0, false, now);
    assert_eq!(called.iter().map(|called| called.key.as_ref()).collect::<Vec<_>>(), ["b"]);
    assert!(queue.has_turn("b", now) && !queue.has_turn("c", now));
    assert_eq!(queue.next_at(now), Some(now + KEPT));
    let called = queue.serve(now + KEPT);
    assert_eq!(called.iter().map(|called| called.key.as_ref()).collect::<Vec<_>>(), ["c"]);
    assert!(!queue.knows("b"), "b asks again if it still wants its turn");
    queue.leave(&"c".into(), now + KEPT);
    assert_eq!(queue.snapshot(now + KEPT).under_way, 0);
}

#[tokio::test(start_paused = true)]
async fn one_namespace_holds_three_quarters_of_the_calls_under_way() {
    let now = Instant::now();
    let mut queue = Queue::new(StsLimits::DEFAULT, now);
    let asks = |queue: &mut Queue, namespace: &str| {
        let keys = (0..100).map(|n| format!("{namespace}-{n}"));
        let turns = keys.map(|key| queue.ask(ask(&key, namespace, Lane::First, None), now).0);
        turns.filter(|turn| matches!(turn, Turn::Now { .. })).count()
    };
    assert_eq!((asks(&mut queue, "a"), asks(&mut queue, "b")), (24, 6));
}

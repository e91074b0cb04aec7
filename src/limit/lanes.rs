//! The order of those who wait for a call to STS: lanes with a share each, in a lane one namespace
//! after the other, in a namespace by the expiry of the credential.
//!
//! Lanes and namespaces are served by start-time fair queueing (Goyal, Vin and Cheng, "Start-time
//! Fair Queuing", 1996): each has a tag, the lowest tag comes next, and a tag grows by the calls
//! that were made divided by the weight. Nobody earns a claim by waiting for nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use tokio::time::Instant;

/// A lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// A credential that its AwsConfig does not have yet, or asks for in another form.
    First,
    /// A renewal that is due.
    Renewal,
    /// The operator's own questions.
    Other,
}

impl Lane {
    /// Every lane. Of equal tags, the earlier lane comes first.
    pub const ALL: [Self; 3] = [Self::First, Self::Renewal, Self::Other];

    /// The label of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Renewal => "renewal",
            Self::Other => "other",
        }
    }

    /// The share of the calls that a lane has while every lane waits. A lane that waits for nothing
    /// leaves its share to the others. First issues have most, because somebody waits for them. A
    /// renewal has 18 min or more left when it becomes due, and 40 % of the default rate renews
    /// more than 100,000 sessions in an hour.
    #[must_use]
    pub fn share(self) -> f64 {
        match self {
            Self::First => 0.5,
            Self::Renewal => 0.4,
            Self::Other => 0.1,
        }
    }
}

/// The key of one that waits: the UID of an object, or the name of a task.
pub(super) type Key = Arc<str>;

/// A request for calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The UID of the object, or the name of a task.
    pub key: Arc<str>,
    /// The namespace of the object.
    pub namespace: Arc<str>,
    /// The name of the object.
    pub name: Arc<str>,
    /// What is asked for, as a digest. Another attempt does not wait for the failure of this one.
    pub attempt: String,
    /// The lane.
    pub lane: Lane,
    /// The expiry of the credential that is to be renewed; `None` if there is none.
    pub expires_at: Option<Instant>,
    /// The number of calls, from 1.
    pub calls: u32,
}

/// One that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) ask: Ask,
    /// The begin of the wait.
    pub(super) since: Instant,
    /// The calls in a row that were throttled or got no answer.
    pub(super) failures: u32,
    /// It is not served before this time.
    pub(super) not_before: Option<Instant>,
    pub(super) number: u64,
}

/// The place of one in its namespace: by expiry, then in turn. A first issue has no expiry, and all
/// of them are in turn.
type Place = (Option<Instant>, u64, Key);

#[derive(Debug, Default)]
struct Served {
    tag: f64,
    waiting: BTreeSet<Place>,
}

#[derive(Debug, Default)]
struct OneLane {
    tag: f64,
    /// The tag of the namespace that was served last.
    latest: f64,
    namespaces: BTreeMap<Arc<str>, Served>,
}

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    waiting: HashMap<Key, Waiting>,
    of: [OneLane; 3],
    /// The tag of the lane that was served last.
    latest: f64,
    /// Those who are not served before a time.
    later: BTreeSet<(Instant, Key)>,
    counts: [usize; 3],
    number: u64,
}

impl Lanes {
    /// Adds one, or changes what it asks for. One that waits already keeps its begin and its
    /// number. Another attempt does not wait for the failures of the former one.
    pub(super) fn add(&mut self, ask: Ask, now: Instant) {
        let waiting = match self.remove(&ask.key.clone()) {
            Some(former) if former.ask.attempt == ask.attempt => Waiting { ask, ..former },
            Some(former) => Waiting { failures: 0, not_before: None, ask, ..former },
            None => {
                self.number += 1;
                Waiting { since: now, failures: 0, not_before: None, number: self.number, ask }
            }
        };
        self.put(waiting, now);
    }

    /// Puts one back that was served in vain. It keeps its begin and its number.
    pub(super) fn put(&mut self, waiting: Waiting, now: Instant) {
        let key = waiting.ask.key.clone();
        match waiting.not_before.filter(|at| *at > now) {
            Some(at) => drop(self.later.insert((at, key.clone()))),
            None => self.enter(&waiting),
        }
        self.counts[waiting.ask.lane as usize] += 1;
        self.waiting.insert(key, waiting);
    }

    /// Removes one, if it waits.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Waiting> {
        let waiting = self.waiting.remove(key)?;
        self.counts[waiting.ask.lane as usize] -= 1;
        if let Some(at) = waiting.not_before {
            self.later.remove(&(at, key.clone()));
        }
        let lane = &mut self.of[waiting.ask.lane as usize];
        if let Some(served) = lane.namespaces.get_mut(&waiting.ask.namespace) {
            served.waiting.remove(&place(&waiting));
            if served.waiting.is_empty() {
                lane.namespaces.remove(&waiting.ask.namespace);
            }
        }
        Some(waiting)
    }

    /// Lets those in whose time has come.
    pub(super) fn let_in(&mut self, now: Instant) {
        while let Some((at, key)) = self.later.first().cloned().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, key.clone()));
            self.let_in_one(&key);
        }
    }

    /// Lets everybody in, because STS serves again.
    pub(super) fn let_in_all(&mut self) {
        for (_, key) in std::mem::take(&mut self.later) {
            self.let_in_one(&key);
        }
    }

    /// Removes the one that comes next, of a namespace that may have another call under way.
    pub(super) fn next(&mut self, may: impl Fn(&str) -> bool) -> Option<Waiting> {
        let mut order: Vec<usize> = (0..self.of.len()).collect();
        order.sort_by(|a, b| self.of[*a].tag.total_cmp(&self.of[*b].tag));
        let found = order.into_iter().find_map(|lane| {
            let namespaces = self.of[lane].namespaces.iter().filter(|(namespace, _)| may(namespace));
            let (namespace, served) = namespaces.min_by(|(_, a), (_, b)| a.tag.total_cmp(&b.tag))?;
            let (.., key) = served.waiting.first()?;
            Some((lane, namespace.clone(), key.clone()))
        });
        let (at, namespace, key) = found?;
        let calls = f64::from(self.waiting.get(&key).map_or(1, |waiting| waiting.ask.calls));
        self.latest = self.of[at].tag;
        let lane = &mut self.of[at];
        lane.tag += calls / Lane::ALL[at].share();
        if let Some(served) = lane.namespaces.get_mut(&namespace) {
            lane.latest = served.tag;
            served.tag += calls;
        }
        self.remove(&key)
    }

    pub(super) fn holds(&self, key: &str) -> bool {
        self.waiting.contains_key(key)
    }

    /// Whether anybody could be served now.
    pub(super) fn is_any_ready(&self) -> bool {
        self.of.iter().any(|lane| !lane.namespaces.is_empty())
    }

    /// The time at which the next one is let in.
    pub(super) fn next_let_in(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    /// The number of those who wait in a lane, also of those who are not served yet.
    pub(super) fn count(&self, lane: Lane) -> usize {
        self.counts[lane as usize]
    }

    /// The expiries of the credentials whose renewal waits, earliest first.
    pub(super) fn expiries(&self) -> Vec<Instant> {
        let mut expiries: Vec<Instant> = self.waiting.values().filter_map(|waiting| waiting.ask.expires_at).collect();
        expiries.sort_unstable();
        expiries
    }

    fn let_in_one(&mut self, key: &Key) {
        let Some(waiting) = self.waiting.get_mut(key) else { return };
        waiting.not_before = None;
        let waiting = waiting.clone();
        self.enter(&waiting);
    }

    fn enter(&mut self, waiting: &Waiting) {
        let latest = self.latest;
        let lane = &mut self.of[waiting.ask.lane as usize];
        if lane.namespaces.is_empty() {
            lane.tag = lane.tag.max(latest);
        }
        let begin = lane.latest;
        let served = lane.namespaces.entry(waiting.ask.namespace.clone()).or_default();
        if served.waiting.is_empty() {
            served.tag = served.tag.max(begin);
        }
        served.waiting.insert(place(waiting));
    }
}

fn place(waiting: &Waiting) -> Place {
    (waiting.ask.expires_at, waiting.number, waiting.ask.key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ask(key: &str, namespace: &str, lane: Lane, expires_at: Option<Instant>) -> Ask {
        let (name, attempt) = (key.into(), String::new());
        Ask { key: key.into(), namespace: namespace.into(), name, attempt, lane, expires_at, calls: 1 }
    }

    fn order(lanes: &mut Lanes) -> Vec<String> {
        std::iter::from_fn(|| lanes.next(|_| true)).map(|next| next.ask.key.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn first_issues_come_before_renewals_and_each_lane_has_its_share() {
        let now = Instant::now();
        let mut lanes = Lanes::default();
        for n in 0..100 {
            lanes.add(ask(&format!("r{n}"), "a", Lane::Renewal, Some(now + Duration::from_secs(n))), now);
            lanes.add(ask(&format!("f{n}"), "a", Lane::First, None), now);
            lanes.add(ask(&format!("o{n}"), "a", Lane::Other, None), now);
        }
        let order = order(&mut lanes);
        let of = |prefix: &str| order[..50].iter().filter(|key| key.starts_with(prefix)).count();
        assert_eq!(order[0], "f0");
        assert_eq!((of("f"), of("r"), of("o")), (25, 20, 5));
        assert_eq!(order.len(), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn renewals_of_a_namespace_come_by_expiry_and_first_issues_in_turn() {
        let now = Instant::now();
        let mut lanes = Lanes::default();
        for (key, seconds) in [("late", 30), ("early", 10), ("middle", 20)] {
            lanes.add(ask(key, "a", Lane::Renewal, Some(now + Duration::from_secs(seconds))), now);
        }
        assert_eq!(order(&mut lanes), ["early", "middle", "late"]);
        for key in ["z", "a", "m"] {
            lanes.add(ask(key, "a", Lane::First, None), now);
        }
        lanes.add(ask("z", "a", Lane::First, None), now);
        assert_eq!(order(&mut lanes), ["z", "a", "m"], "one that asks again keeps its place");
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_with_one_waits_for_one_of_each_other_namespace() {
        let now = Instant::now();
        let mut lanes = Lanes::default();
        for n in 0..1000 {
            lanes.add(ask(&format!("big-{n}"), "big", Lane::First, None), now);
            lanes.add(ask(&format!("large-{n}"), "large", Lane::First, None), now);
        }
        for _ in 0..10 {
            lanes.next(|_| true);
        }
        lanes.add(ask("small", "small", Lane::First, None), now);
        let at = order(&mut lanes).iter().position(|key| key == "small").unwrap();
        assert!(at <= 2, "{at} came before it");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_failed_waits_for_its_time_or_until_sts_serves_again() {
        let now = Instant::now();
        let later = now + Duration::from_secs(8);
        let mut lanes = Lanes::default();
        for key in ["a", "b"] {
            lanes.add(ask(key, "a", Lane::First, None), now);
            let served = lanes.next(|_| true).unwrap();
            lanes.put(Waiting { failures: 1, not_before: Some(later), ..served }, now);
        }
        lanes.let_in(now);
        assert!(!lanes.is_any_ready() && lanes.next_let_in() == Some(later) && lanes.holds("a"));
        lanes.add(Ask { attempt: "another".into(), ..ask("b", "a", Lane::First, None) }, now);
        assert_eq!(order(&mut lanes), ["b"], "another attempt has not failed");
        lanes.let_in(later);
        assert!(lanes.is_any_ready());
        let served = lanes.next(|_| true).unwrap();
        lanes.put(Waiting { not_before: Some(later + Duration::from_secs(8)), ..served }, later);
        lanes.let_in_all();
        assert_eq!(order(&mut lanes), ["a"]);
        assert_eq!((lanes.count(Lane::First), lanes.next_let_in()), (0, None));
    }
}

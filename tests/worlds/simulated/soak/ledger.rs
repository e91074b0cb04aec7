//! The promises, and what has been seen of them.
//!
//! * No credential expires while a leader, the API server's writes and STS are to be had for a
//!   fifth of its lifetime, in one piece, after its renewal is due.
//! * Nobody who may have a credential is without one for long, and nobody else has one.
//! * No call to STS without a grant that allows it.
//! * Answered calls to STS: at most 1.05 for each session that was due, and for each session of a
//!   process that died before it wrote it.
//! * Nothing is left of what is deleted.

use super::{
    people::{People, Person, team_of},
    troubles::Trouble,
};
use crate::{
    doubles::{
        rules::Times,
        sts::{Behaviour, Call},
    },
    fixtures::{CLUSTER, SCORING},
    simulated::world::World,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

/// How late keyturn may know a change while watches are well.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(2);
/// The time after the end of a trouble in which watches may still show nothing: a dead watch is
/// noticed within 50 s.
const WATCHES_RECOVER: SignedDuration = SignedDuration::from_secs(60);
/// The time in one piece without trouble after which everybody has what they may have. The longest
/// wait after failures is ten minutes.
const RECOVERS: SignedDuration = SignedDuration::from_mins(12);
/// The parts of a lifetime, in thousandths, between which a renewal is due.
const DUE: (i64, i64) = (540, 700);
/// The lateness of the ledger itself: what happens between two checks is seen at the second.
const BETWEEN_CHECKS: SignedDuration = SignedDuration::from_mins(5);

/// When all was to be had.
#[derive(Default)]
struct Runs {
    past: Vec<(Timestamp, Timestamp)>,
    since: Option<Timestamp>,
}

impl Runs {
    fn set(&mut self, is_good: bool, now: Timestamp) {
        match (is_good, self.since) {
            (true, None) => self.since = Some(now),
            (false, Some(since)) => {
                self.past.push((since, now));
                self.since = None;
            }
            _ => {}
        }
    }

    /// The longest piece between two times in which all was to be had.
    fn longest(&self, from: Timestamp, to: Timestamp) -> SignedDuration {
        let now = self.since.map(|since| (since, to));
        let pieces = self.past.iter().copied().chain(now);
        let lengths = pieces.map(|(begin, end)| end.min(to).duration_since(begin.max(from)));
        lengths.max().unwrap_or_default().max(SignedDuration::ZERO)
    }

    fn forget_before(&mut self, time: Timestamp) {
        self.past.retain(|(_, end)| *end >= time);
    }
}

/// The numbers of calls to STS whose answer is no session that arrives.
pub type Lost = Arc<Mutex<BTreeSet<usize>>>;

/// The calls that the double of STS saw.
#[derive(Default)]
struct Calls {
    all: usize,
    ungranted: Vec<String>,
    watches_well_from: Timestamp,
}

/// A session in a Secret.
#[derive(Clone)]
struct Held {
    id: String,
    issued: Timestamp,
    expires: Timestamp,
    is_withdrawn: bool,
}

/// What is known of a person's Secret.
#[derive(Default)]
struct Seen {
    secret: Option<Arc<Value>>,
    held: Option<Held>,
    /// Since when the person should have a credential, or should have none.
    since: Option<(bool, Timestamp)>,
    /// When the person last had what they should have.
    right_at: Option<Timestamp>,
    said: bool,
}

/// The ledger.
pub struct Ledger {
    calls: Arc<Mutex<Calls>>,
    lost: Lost,
    /// All was to be had, without DSS and with it.
    runs: Runs,
    runs_with_dss: Runs,
    seen: BTreeMap<String, Seen>,
    due: usize,
    early: usize,
    unwritten: usize,
    /// The sessions that were in Secrets since the last death.
    written: BTreeSet<String>,
    counted: usize,
    checks: usize,
    broken: Vec<String>,
}

fn read(secret: &Value) -> Option<Held> {
    let of = |name: &str| secret["metadata"]["annotations"][format!("keyturn.dev/{name}")].as_str();
    Some(Held {
        id: of("access-key-id")?.to_owned(),
        issued: of("issued-at")?.parse().ok()?,
        expires: of("expires-at")?.parse().ok()?,
        is_withdrawn: of("withdrawn").is_some_and(|reason| !reason.is_empty()),
    })
}

fn part(held: &Held, thousandths: i64) -> Timestamp {
    let lifetime = held.expires.duration_since(held.issued);
    held.issued + SignedDuration::from_secs(lifetime.as_secs() * thousandths / 1000)
}

impl Ledger {
    pub fn open(world: &World, people: &People) -> Self {
        let calls = Arc::new(Mutex::new(Calls { watches_well_from: world.now(), ..Calls::default() }));
        let (of_calls, teams) = (calls.clone(), people.teams.clone());
        let look = move |call: &Call| {
            if call.action != "AssumeRole" {
                return false;
            }
            let mut calls = of_calls.lock().unwrap();
            calls.all += 1;
            let person = call.session_name.clone().unwrap_or_default();
            let team = teams.lock().unwrap()[team_of(&person)];
            let known_at = team.since.max(calls.watches_well_from) + ON_ITS_WAY;
            if !team.is_granted && call.at > known_at {
                calls.ungranted.push(format!("{}: {person} is not granted since {}", call.at, team.since));
            }
            false
        };
        world.sts.behave_if(Times::UntilCleared, look, Behaviour::AccessDenied);
        let mut ledger = Self {
            calls,
            lost: Arc::default(),
            runs: Runs::default(),
            runs_with_dss: Runs::default(),
            seen: BTreeMap::new(),
            due: 0,
            early: 0,
            unwritten: 0,
            written: BTreeSet::new(),
            counted: 0,
            checks: 0,
            broken: Vec::new(),
        };
        ledger.troubled(world, &[]);
        ledger
    }

    /// The calls to STS whose answer is no session that arrives.
    pub fn lost(&self) -> Lost {
        self.lost.clone()
    }

    /// Takes note of the troubles that there are from now on.
    pub fn troubled(&mut self, world: &World, troubles: &[Trouble]) {
        let now = world.now();
        let is_bad = troubles.iter().any(|trouble| trouble.is_bad);
        let is_dss_bad = troubles.iter().any(|trouble| trouble.is_of_dss);
        self.runs.set(!is_bad, now);
        self.runs_with_dss.set(!is_bad && !is_dss_bad, now);
        let hides = troubles.iter().any(|trouble| trouble.hides_changes);
        let mut calls = self.calls.lock().unwrap();
        if hides {
            calls.watches_well_from = Timestamp::MAX - SignedDuration::from_hours(1);
        } else if calls.watches_well_from > now + WATCHES_RECOVER {
            calls.watches_well_from = now + WATCHES_RECOVER;
        }
    }

    /// Counts the sessions that a process had from STS and did not write before it died.
    pub fn process_died(&mut self, world: &World, people: &People) {
        let issued = world.sts.issued();
        for session in issued.iter().filter(|session| session.number > self.counted) {
            let is_there = people.all.iter().any(|person| person.is_there && person.name == session.session_name);
            let secret = world.api.stored("Secret", SCORING, &format!("{}-aws", session.session_name));
            let held = secret.as_deref().and_then(read);
            // The IDs of sessions are numbered.
            let is_written = held.is_some_and(|held| held.id >= session.access_key_id);
            if is_there && !is_written && !self.written.contains(&session.access_key_id) {
                self.unwritten += 1;
            }
        }
        self.counted = issued.last().map_or(self.counted, |session| session.number);
        self.written.clear();
    }

    /// Checks what has to hold at every moment.
    pub fn check(&mut self, world: &World, people: &People) {
        let now = world.now();
        self.checks += 1;
        for person in &people.all {
            let secret = world.api.stored("Secret", SCORING, &format!("{}-aws", person.name));
            let may = people.may(person);
            let mut seen = self.seen.remove(&person.name).unwrap_or_default();
            self.check_person(world, person, may, secret, now, &mut seen);
            self.seen.insert(person.name.clone(), seen);
        }
        self.broken.append(&mut self.calls.lock().unwrap().ungranted);
    }

    fn check_person(
        &mut self,
        world: &World,
        person: &Person,
        may: bool,
        secret: Option<Arc<Value>>,
        now: Timestamp,
        seen: &mut Seen,
    ) {
        if seen.since.is_none_or(|(before, _)| before != may) {
            // The change took place between this check and the last one.
            seen.since = Some((may, now));
            seen.said = false;
        }
        let since = seen.since.map_or(now, |(_, since)| since);
        let runs = if person.has_dss { &self.runs_with_dss } else { &self.runs };
        let is_same = match (&secret, &seen.secret) {
            (Some(secret), Some(before)) => Arc::ptr_eq(secret, before),
            (None, None) => true,
            _ => false,
        };
        let before = seen.held.take();
        let held = if is_same { before.clone() } else { secret.as_deref().and_then(read) };
        if !is_same {
            let is_new = held.as_ref().filter(|new| before.as_ref().is_none_or(|before| before.id != new.id));
            if let Some(new) = is_new.filter(|new| !new.is_withdrawn) {
                let was_valid = before.as_ref().filter(|it| !it.is_withdrawn && it.expires > new.issued);
                let is_early = was_valid.is_some_and(|it| new.issued < part(it, DUE.0) && person.touched < it.issued);
                if is_early {
                    self.early += 1;
                } else {
                    self.due += 1;
                }
                self.written.insert(new.id.clone());
                if world.sts.session(&new.id).is_none_or(|session| session.session_name != person.name) {
                    self.broken.push(format!("{now}: {} has the session of another person: {}", person.name, new.id));
                }
            }
        }
        let is_valid = held.as_ref().is_some_and(|held| !held.is_withdrawn && held.expires > now);
        let expired = before.as_ref().or(held.as_ref()).filter(|it| !it.is_withdrawn && it.expires <= now);
        let is_expired_now = expired.is_some_and(|it| it.expires + BETWEEN_CHECKS > now);
        if let Some(it) = expired.filter(|_| may && is_expired_now && !seen.said) {
            let lifetime = it.expires.duration_since(it.issued);
            let due = part(it, DUE.1).max(since).max(person.touched);
            let longest = runs.longest(due, it.expires);
            // A renewal between two checks came in time if it was issued before the expiry.
            let came = held.as_ref().is_some_and(|held| held.id != it.id && held.issued <= it.expires);
            if !came && longest.as_secs() * 5 >= lifetime.as_secs() {
                let name = &person.name;
                self.broken.push(format!(
                    "{now}: {name} had no credential from {}: all was to be had for {longest:#} of {lifetime:#}",
                    it.expires
                ));
                seen.said = true;
            }
        }
        if may != is_valid && !seen.said {
            let from = since.max(person.touched).max(seen.right_at.unwrap_or(since));
            let longest = runs.longest(from, now);
            if longest > RECOVERS + BETWEEN_CHECKS {
                self.broken.push(format!(
                    "{now}: {} has a credential: {is_valid}; all was to be had for {longest:#}, ready: {}",
                    person.name,
                    world.ready(&person.name)
                ));
                seen.said = true;
            }
        } else if may == is_valid {
            seen.said = false;
            seen.right_at = Some(now);
        }
        (seen.secret, seen.held) = (secret, held);
    }

    /// Checks what has to hold after a time without trouble.
    pub fn check_at_rest(&mut self, world: &World, people: &People) {
        let now = world.now();
        for person in &people.all {
            let (may, name) = (people.may(person), &person.name);
            if person.touched + RECOVERS > now {
                continue;
            }
            if may && !(world.is_ready(name) && world.holds_a_valid_session(name)) {
                self.broken.push(format!("{now}: {name} may have a credential and is {}", world.ready(name)));
            }
            if person.is_there && !may && !world.ready(name).starts_with("False/") {
                self.broken.push(format!("{now}: {name} may have nothing and is {}", world.ready(name)));
            }
        }
    }

    /// Checks that nothing is left of what is deleted.
    pub fn check_leaks(&mut self, world: &World, people: &People) {
        let there: BTreeSet<&str> = people.all.iter().filter(|it| it.is_there).map(|it| it.name.as_str()).collect();
        let name_of = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let mut left = Vec::new();
        for config in world.api.list("awsconfigs") {
            let name = name_of(&config);
            if !there.contains(name.as_str()) || !config["metadata"]["deletionTimestamp"].is_null() {
                left.push(format!("AwsConfig {name}"));
            }
        }
        for secret in world.api.list("secrets").iter().filter(|secret| secret["metadata"]["namespace"] == SCORING) {
            if !there.contains(name_of(secret).trim_end_matches("-aws")) {
                left.push(format!("Secret {}", name_of(secret)));
            }
        }
        for role in world.api.list("awsroles") {
            if !role["spec"]["awsConfigRef"]["name"].as_str().is_some_and(|name| there.contains(name)) {
                left.push(format!("AwsRole {}", name_of(&role)));
            }
        }
        let mut owners = BTreeSet::new();
        for key in world.dss.personal_keys() {
            let label = key.label.strip_prefix(&format!("keyturn {CLUSTER}/{SCORING}/")).unwrap_or(&key.label);
            let owner = label.split(' ').next().unwrap_or_default().to_owned();
            if !there.contains(owner.as_str()) {
                left.push(format!("the API key {label:?}"));
            }
            owners.insert(owner);
        }
        let missing = people.all.iter().filter(|it| it.is_there && it.has_dss && !owners.contains(&it.name));
        left.extend(missing.map(|it| format!("no API key of {}", it.name)));
        self.broken.extend(left.into_iter().map(|left| format!("at the end there is {left}")));
    }

    /// Checks the number of calls to STS.
    pub fn check_calls(&mut self) {
        let (calls, lost) = (self.calls.lock().unwrap().all, self.lost.lock().unwrap().len());
        let (answered, due) = (calls - lost, self.due + self.unwritten);
        if answered * 100 > due * 105 {
            self.broken.push(format!("STS gave {answered} sessions, and {due} were due: {}", self.sums()));
        }
    }

    /// Forgets what no check needs any more, here and in the doubles.
    pub fn forget_the_past(&mut self, world: &World) {
        let long_ago = world.now() - SignedDuration::from_hours(26);
        self.runs.forget_before(long_ago);
        self.runs_with_dss.forget_before(long_ago);
        world.count_from_here();
        world.sts.forget_expired(SignedDuration::from_hours(26));
        world.api.forget_events();
    }

    pub fn is_kept(&self) -> bool {
        self.broken.is_empty()
    }

    pub fn broken(&self) -> &[String] {
        &self.broken
    }

    /// The sums, in words.
    pub fn sums(&self) -> String {
        let (calls, lost) = (self.calls.lock().unwrap().all, self.lost.lock().unwrap().len());
        format!(
            "{} checks; {calls} calls to STS, {} sessions due, {lost} answers lost, {} not written before a death, {} early",
            self.checks, self.due, self.unwritten, self.early
        )
    }
}

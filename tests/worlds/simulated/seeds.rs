//! Histories that nobody thought of: users, admins, failures, crashes and time, in any order. One seed is one
//! history; `KEYTURN_SEED=<n>` plays that one alone, `KEYTURN_HISTORIES=<n>` plays that many.

use super::world::World;
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        rules::Times,
        sts::Behaviour,
    },
    fixtures::{SCORING, config, grant, role},
};
use jiff::{SignedDuration, Timestamp};
use keyturn::api::AwsRoleGrantSpec;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

const NAMES: [&str; 3] = ["alice", "bob", "carol"];
const ROLES: [&str; 2] = ["ds-analyst", "ds-lead"];

/// How long a change may go unseen after a watch broke.
const UNSEEN: SignedDuration = SignedDuration::from_secs(3);

/// Small, and the same on every machine (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(sides).unwrap()).unwrap()
    }

    fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())]
    }
}

fn somebody_s_secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": format!("{name}-aws"), "namespace": SCORING}, "data": {"theirs": "eA=="}})
}

/// Whether a grant that stands now allows it: written anew, so that it does not share the operator's mistakes.
fn is_granted(grants: &[Value], person: &str, role: &str) -> bool {
    grants.iter().any(|grant| {
        let spec: AwsRoleGrantSpec = serde_json::from_value(grant["spec"].clone()).unwrap();
        let fits = |patterns: &[String], text: &str| {
            patterns.iter().any(|p| p == text || p.strip_suffix('*').is_some_and(|start| text.starts_with(start)))
        };
        fits(&spec.persons, person) && fits(&spec.roles, role)
    })
}

struct History {
    world: World,
    dice: Dice,
    told: Vec<String>,
    running: bool,
    /// Calls to STS that no grant allowed when they came, nor a moment before.
    unlawful: Arc<Mutex<Vec<String>>>,
    /// The grants as they were until then. A watch that broke is back after a second or three, and what changed
    /// meanwhile is not known sooner.
    former: Arc<Mutex<Vec<(Timestamp, Vec<Value>)>>>,
}

impl History {
    fn new(seed: u64) -> Self {
        let world = World::empty();
        let unlawful = Arc::<Mutex<Vec<String>>>::default();
        let former = Arc::<Mutex<Vec<(Timestamp, Vec<Value>)>>>::default();
        let (api, found, lately) = (world.api.clone(), unlawful.clone(), former.clone());
        let watch = move |call: &crate::doubles::sts::Call| {
            if call.action != "AssumeRole" {
                return false;
            }
            let (person, role) = (call.session_name.clone().unwrap(), call.role_arn.clone().unwrap());
            let since = call.at - UNSEEN;
            let was = |(until, grants): &(Timestamp, Vec<Value>)| *until >= since && is_granted(grants, &person, &role);
            let lawful =
                is_granted(&api.list("awsrolegrants"), &person, &role) || lately.lock().unwrap().iter().any(was);
            if !lawful {
                found.lock().unwrap().push(format!("{} {person} {role}", call.at));
            }
            false
        };
        world.sts.behave_if(Times::UntilCleared, watch, Behaviour::AccessDenied);
        Self { world, dice: Dice(seed), told: Vec::new(), running: false, unlawful, former }
    }

    async fn step(&mut self) {
        self.former.lock().unwrap().push((self.world.now(), self.world.api.list("awsrolegrants")));
        let (name, arn) = (self.dice.one_of(&NAMES), role(self.dice.one_of(&ROLES)));
        let exists = self.world.config(name).is_some();
        let secret = self.world.secret(name).is_some();
        let world = &self.world;
        let told = match self.dice.below(22) {
            0..=2 => {
                world.apply(&config(name, |spec| spec.role = Some(arn)));
                format!("{name} is applied")
            }
            3 if exists => {
                world.change(name, |spec| spec.suspend = !spec.suspend);
                format!("{name} is suspended or resumed")
            }
            4 if exists => {
                let region = self.dice.one_of(&["eu-west-1", "eu-west-2"]);
                world.change(name, |spec| spec.region = Some(region.into()));
                format!("{name} moves to {region}")
            }
            5 if exists => {
                let person = self.dice.one_of(&["alice", "bob", "dave"]);
                world.change(name, |spec| spec.person = Some(person.into()));
                format!("{name} is for {person}")
            }
            6 if exists => {
                world.api.delete("AwsConfig", SCORING, name);
                format!("{name} is deleted")
            }
            7 if exists => {
                world.change(name, |spec| spec.role = None);
                format!("{name} names no role")
            }
            8..=10 => {
                let person = self.dice.one_of(&["*", "alice", "b*"]);
                let which = self.dice.one_of(&["one", "two"]);
                world.apply(&grant(which, |spec| {
                    spec.persons = vec![person.into()];
                    spec.roles = vec![if person == "*" { role("ds-*") } else { arn.clone() }];
                }));
                format!("grant {which} for {person} and {arn}")
            }
            11 => {
                let which = self.dice.one_of(&["one", "two"]);
                world.api.delete("AwsRoleGrant", "", which);
                format!("grant {which} is deleted")
            }
            12 if secret => {
                world.api.delete("Secret", SCORING, &format!("{name}-aws"));
                format!("{name}'s Secret is deleted")
            }
            13 if secret && world.value(name, "theirs").is_empty() => {
                let edits: [fn(&mut Value); 5] = [
                    |s| s["data"]["AWS_SESSION_TOKEN"] = json!("eA=="),
                    |s| s["metadata"]["annotations"]["keyturn.dev/expires-at"] = json!("2030-01-01T00:00:00Z"),
                    |s| s["metadata"]["labels"] = json!({}),
                    |s| s["metadata"]["annotations"] = json!({}),
                    |s| s["data"]["beside"] = json!("eA=="),
                ];
                let edit = self.dice.below(edits.len());
                world.api.edit("Secret", SCORING, &format!("{name}-aws"), edits[edit]);
                format!("{name}'s Secret is edited ({edit})")
            }
            14 if !secret => {
                world.api.put(somebody_s_secret(name));
                format!("somebody's Secret stands under {name}'s name")
            }
            15 => {
                let trouble = self.dice.one_of(&[0, 1, 2]);
                let troubles = [Behaviour::AccessDenied, Behaviour::Throttling, Behaviour::ConnectionFailure];
                world.sts.behave(Times::N(1 + self.dice.below(4)), troubles[trouble].clone());
                format!("STS: {:?}", troubles[trouble])
            }
            16 => {
                let faults = [Fault::status(500), Fault::status(409), Fault::LoseAnswer, Fault::HangAfter];
                let fault = faults[self.dice.below(faults.len())].clone();
                let told = format!("the API server: {fault:?}");
                world.api.fault(Times::N(1 + self.dice.below(3)), Request::is_write, fault);
                told
            }
            17 => {
                let lag = Duration::from_millis(self.dice.one_of(&[0, 30, 700]));
                let resource = self.dice.one_of(&["secrets", "awsconfigs", "awsroles"]);
                world.api.lag(resource, lag);
                format!("{resource} are shown {lag:?} late")
            }
            18 => {
                world.api.compact();
                world.api.break_watches();
                "the watches break".to_owned()
            }
            19 if self.running => {
                self.running = false;
                self.world.kill().await;
                "the operator is killed".to_owned()
            }
            19 | 20 if !self.running => {
                self.running = true;
                self.world.start();
                "the operator starts".to_owned()
            }
            _ => {
                let seconds = self.dice.one_of(&[1, 1, 5, 60, 900, 5000]);
                self.world.pass(Duration::from_secs(seconds)).await;
                format!("{seconds} s pass")
            }
        };
        self.told.push(told);
        let moment = self.dice.one_of(&[0, 0, 1, 20, 400]);
        self.world.pass(Duration::from_millis(moment)).await;
    }

    /// A write takes a moment, so that time passes in whatever somebody does again and again.
    fn take_time(&self) {
        self.world.api.fault(Times::UntilCleared, Request::is_write, Fault::Delay(Duration::from_millis(2)));
        self.world.sts.always(Behaviour::Latency(Duration::from_millis(5)));
    }

    /// Everything works again, and there is time.
    async fn come_to_rest(&mut self) {
        self.world.api.behave_well();
        self.world.sts.behave_well();
        self.take_time();
        if !self.running {
            self.world.start();
        }
        // So that an empty list of grants is not taken for half a view.
        self.world.apply(&grant("of-nobody", |spec| spec.persons = vec!["nobody".into()]));
        self.world.pass(Duration::from_secs(16 * 60)).await;
    }

    fn assert_right(&self) {
        let world = &self.world;
        assert_eq!(*self.unlawful.lock().unwrap(), Vec::<String>::new(), "no grant allowed these calls");
        for name in NAMES {
            let secret = world.api.get("Secret", SCORING, &format!("{name}-aws"));
            if let Some(secret) = secret.as_ref().filter(|secret| !secret["data"]["theirs"].is_null()) {
                let mut theirs = secret.clone();
                theirs["metadata"].as_object_mut().unwrap().retain(|key, _| key == "name" || key == "namespace");
                assert_eq!(theirs, somebody_s_secret(name), "somebody's Secret is untouched");
                let ready = world.ready(name);
                assert!(!ready.starts_with("True"), "{name} is {ready} with a foreign Secret");
                continue;
            }
            let Some(config) = world.config(name) else {
                assert_eq!(secret, None, "{name} is gone and so is its Secret");
                continue;
            };
            let person = config.spec.person.clone().unwrap();
            let granted = |role: &String| is_granted(&world.api.list("awsrolegrants"), &person, role);
            let allowed = config.spec.role.clone().filter(granted).filter(|_| !config.spec.suspend);
            if let Some(role) = allowed {
                assert!(world.is_ready(name), "{name} is {}", world.ready(name));
                assert!(world.holds_a_valid_session(name), "{name}");
                let session = world.sts.session(&world.value(name, "AWS_ACCESS_KEY_ID")).unwrap();
                assert_eq!((session.session_name, session.role_arn), (person, role), "{name}");
                assert_eq!(Some(world.value(name, "AWS_REGION")), config.spec.region, "{name}");
                assert_eq!(world.status(name).access_key_id, Some(session.access_key_id), "{name}");
            } else {
                assert!(world.ready(name).starts_with("False/"), "{name} is {}", world.ready(name));
                assert!(secret.is_none() || world.is_withdrawn(name), "{name} has what it may not have");
            }
        }
    }
}

async fn play(seed: u64) {
    let mut history = History::new(seed);
    history.take_time();
    let steps = 10 + history.dice.below(40);
    for _ in 0..steps {
        history.step().await;
    }
    history.come_to_rest().await;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| history.assert_right()));
    if let Err(panic) = outcome {
        eprintln!("KEYTURN_SEED={seed}\n  {}\n{}", history.told.join("\n  "), history.world.picture());
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn whatever_happens_at_rest_everybody_has_exactly_what_the_grants_allow() {
    #[expect(clippy::disallowed_methods, reason = "which history is played is the tester's choice")]
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("KEYTURN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("KEYTURN_HISTORIES").unwrap_or(50),
    };
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(seed));
    }
}

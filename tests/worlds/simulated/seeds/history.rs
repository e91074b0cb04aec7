//! One history: the steps of users, admins and failures, one after the other.

pub mod dss;

use super::{
    datarobot::{self, change_datarobot},
    dice::Dice,
    profiles::change_profiles,
    pushes::change_push,
    rules::{allows, leads_through},
};
use crate::{
    doubles::{
        apiserver::{Failure, Fault, Request},
        rules::Times,
        sts::{Behaviour, Call},
    },
    fixtures::{SCORING, aws_role_for, config, delivers_key, grant, personal_key, role, role_of, uses},
    simulated::world::World,
};
use jiff::{SignedDuration, Timestamp};
use keyturn::api::{Ceilings, CredentialProvider, Effect, Mode, Namespaces, RoleRetention, Session};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// The configs, and the persons whom they are for at first.
pub const NAMES: [&str; 3] = ["alice", "bob", "carol"];
pub const ROLES: [&str; 3] = ["ds-analyst", "ds-lead", "ds-alice"];
const KEYS: [&str; 2] = ["AKIAIOSFODNN7EXAMPLE", "AKIAOTHEROTHEROTHER1"];

/// How late the operator may know a change: the time that the watch takes.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(1);
/// The same after watches have broken. They begin again after 0.8 s, then after twice as long each
/// time.
const BROKEN: SignedDuration = SignedDuration::from_secs(15);

/// A history that is being played.
pub struct History {
    pub world: World,
    pub dice: Dice,
    /// The steps so far, in words.
    pub steps: Vec<String>,
    running: bool,
    /// DSS as its admins believe it to be.
    pub dss: dss::Model,
    /// Whether the instance of DataRobot allows everybody.
    pub robot_allows: bool,
    /// Calls to STS that no grant allowed when they came or within `allowed_lag` before.
    pub ungranted_calls: Arc<Mutex<Vec<String>>>,
    /// The former grants, each with the time until which it was in force.
    former_grants: Arc<Mutex<Vec<(Timestamp, Vec<Value>)>>>,
    /// How late the operator may know a change.
    allowed_lag: Arc<Mutex<SignedDuration>>,
}

/// A foreign Secret under the name of a target.
pub fn foreign_secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": format!("{name}-aws"), "namespace": SCORING}, "data": {"theirs": "eA=="}})
}

/// The name of a user's Secret with their key.
pub fn key_of(name: &str) -> String {
    format!("{name}-key")
}

fn own_role(name: &str) -> String {
    format!("{name}-own")
}

fn hub() -> String {
    role_of("210987654321", "hub")
}

impl History {
    pub fn new(seed: u64) -> Self {
        let world = World::empty();
        let ungranted_calls = Arc::<Mutex<Vec<String>>>::default();
        let former_grants = Arc::<Mutex<Vec<(Timestamp, Vec<Value>)>>>::default();
        let allowed_lag = Arc::new(Mutex::new(ON_ITS_WAY));
        let (api, found, lately, patience) =
            (world.api.clone(), ungranted_calls.clone(), former_grants.clone(), allowed_lag.clone());
        let watch = move |call: &Call| {
            let since = call.at - *patience.lock().unwrap();
            let was = |(until, grants): &(Timestamp, Vec<Value>)| *until >= since && is_granted(grants, call);
            if !is_granted(&api.list("awsrolegrants"), call) && !lately.lock().unwrap().iter().any(was) {
                found.lock().unwrap().push(format!("{} {:?} {:?}", call.at, call.session_name, call.role_arn));
            }
            false
        };
        world.sts.behave_if(Times::UntilCleared, watch, Behaviour::AccessDenied);
        let dss = dss::found(&world);
        datarobot::found(&world);
        Self {
            world,
            dice: Dice(seed),
            steps: Vec::new(),
            running: false,
            dss,
            robot_allows: true,
            ungranted_calls,
            former_grants,
            allowed_lag,
        }
    }

    /// Begins with a credential and an API key for every config.
    pub async fn begin_with_credentials(&mut self) {
        self.world.apply(&grant("one", |spec| {
            spec.persons.push("system:*".to_owned());
            spec.providers = vec![CredentialProvider::Temporary, CredentialProvider::Default];
        }));
        for name in NAMES {
            self.world.apply(&config(name, personal_key));
        }
        self.running = true;
        self.world.start();
        self.world.pass(Duration::from_secs(60)).await;
        self.steps.push("everybody has a credential and an API key".to_owned());
    }

    /// Takes one random step.
    pub async fn step(&mut self) {
        self.former_grants.lock().unwrap().push((self.world.now(), self.world.api.list("awsrolegrants")));
        let step = match self.dice.below(16) {
            0..=2 => self.change_config(),
            3 => self.change_role(),
            4 => self.change_key(),
            5 if self.dice.below(4) == 0 => self.change_denial(),
            5 => self.change_grant(),
            6 => self.edit_by_hand(),
            7 => self.inject_failure(),
            8 => self.start_or_kill().await,
            9 => self.change_dss(),
            10..=11 => self.change_dss_request(),
            12 => change_profiles(self),
            13 => change_push(self),
            14 => change_datarobot(self),
            _ => {
                let seconds = self.dice.one_of(&[1, 1, 5, 60, 900, 5000]);
                self.world.pass(Duration::from_secs(seconds)).await;
                format!("{seconds} s pass")
            }
        };
        self.steps.push(step);
        let moment = self.dice.one_of(&[0, 0, 1, 20, 400]);
        self.world.pass(Duration::from_millis(moment)).await;
    }

    fn change_config(&mut self) -> String {
        let (name, arn) = (self.dice.one_of(&NAMES), role(self.dice.one_of(&ROLES)));
        let world = &self.world;
        if world.config(name).is_none() {
            world.apply(&config(name, |spec| spec.role = Some(arn)));
            return format!("{name} is applied");
        }
        match self.dice.below(12) {
            0..=1 => {
                world.change(name, |spec| {
                    spec.credential_provider = CredentialProvider::Temporary;
                    (spec.role, spec.active_role_ref, spec.key_secret_ref) = (Some(arn.clone()), None, None);
                });
                format!("{name} asks for {arn}")
            }
            2..=3 => {
                world.change(name, |spec| {
                    spec.credential_provider = CredentialProvider::Temporary;
                    spec.key_secret_ref = None;
                    uses(&own_role(name))(spec);
                });
                format!("{name} names a role of its own")
            }
            4 => {
                world.change(name, delivers_key(&key_of(name)));
                format!("{name} asks for its key")
            }
            5 => {
                world.change(name, |spec| spec.suspend = !spec.suspend);
                format!("{name} is suspended or resumed")
            }
            6 => {
                let region = self.dice.one_of(&["eu-west-1", "eu-west-2"]);
                world.change(name, |spec| spec.region = Some(region.into()));
                format!("{name} moves to {region}")
            }
            7 => {
                let person = self.dice.one_of(&["alice", "bob", "dave"]);
                world.change(name, |spec| (spec.mode, spec.person) = (Mode::User, Some(person.into())));
                format!("{name} is for {person}")
            }
            8 => {
                world.change(name, |spec| (spec.mode, spec.person) = (Mode::System, None));
                format!("{name} is the namespace's")
            }
            9 => {
                let is_session =
                    world.config(name).is_some_and(|c| c.spec.credential_provider == CredentialProvider::Temporary);
                let duration = self.dice.one_of(&["30m", "1h"]);
                let session = Session { duration: Some(duration.parse().unwrap()), ..Session::default() };
                world.change(name, |spec| spec.session = is_session.then_some(session));
                format!("{name} asks for {duration}")
            }
            10 => {
                let retention = self.dice.one_of(&[RoleRetention::Retain, RoleRetention::Prune]);
                world.change(name, |spec| spec.role_retention = retention);
                format!("{name}: {retention:?}")
            }
            _ => {
                world.api.delete("AwsConfig", SCORING, name);
                format!("{name} is deleted")
            }
        }
    }

    fn change_role(&mut self) -> String {
        let (name, arn) = (self.dice.one_of(&NAMES), role(self.dice.one_of(&ROLES)));
        let own = own_role(name);
        let exists = self.world.api.get("AwsRole", SCORING, &own).is_some();
        match self.dice.below(4) {
            0 if exists => {
                self.world.api.delete("AwsRole", SCORING, &own);
                format!("{own} is deleted")
            }
            1 if exists => {
                self.world.api.edit("AwsRole", SCORING, &own, |object| object["spec"]["role"] = json!(arn));
                format!("{own} is {arn} now")
            }
            _ => {
                // Config and person of an AwsRole are immutable.
                self.world.api.delete("AwsRole", SCORING, &own);
                let config = self.dice.one_of(&[name, name, name, "alice"]);
                let person = self.dice.one_of(&[Some(name), Some(name), None, Some("dave")]);
                self.world.apply(&aws_role_for(&own, config, person, &arn));
                format!("{own} of {config} for {person:?}: {arn}")
            }
        }
    }

    fn change_key(&mut self) -> String {
        let name = self.dice.one_of(&NAMES);
        let (is_offered, id) = (self.dice.below(4) > 0, self.dice.one_of(&[KEYS[0], KEYS[1], "no key"]));
        if self.dice.below(6) == 0 {
            self.world.api.delete("Secret", SCORING, &key_of(name));
            return format!("{name}'s key is deleted");
        }
        self.world.put_key(&key_of(name), is_offered, id, "LeakedNowhere+1");
        format!("{name}'s key is {id}, offered: {is_offered}")
    }

    fn change_grant(&mut self) -> String {
        let which = self.dice.one_of(&["one", "two"]);
        if self.dice.below(4) == 0 {
            self.world.api.delete("AwsRoleGrant", "", which);
            return format!("grant {which} is deleted");
        }
        let person = self.dice.one_of(&["*", "alice", "b*", "system:*"]);
        let except = self.dice.one_of(&[&[][..], &[], &["alice"], &["b*", "system:scoring"]]);
        let arn = self.dice.one_of(&["ds-*", "ds-*", "ds-analyst", "ds-${person}"]);
        let providers = self.dice.one_of(&[
            &[CredentialProvider::Temporary][..],
            &[CredentialProvider::Default],
            &[CredentialProvider::Temporary, CredentialProvider::Default],
        ]);
        let ceiling = self.dice.one_of(&[None, None, Some("30m")]);
        let via = self.dice.below(4) == 0;
        self.world.apply(&grant(which, |spec| {
            spec.persons = vec![person.into()];
            spec.except_persons = except.iter().map(|person| (*person).to_owned()).collect();
            spec.roles = vec![role(arn)];
            spec.providers = providers.to_vec();
            spec.via = if via { vec![hub()] } else { vec![] };
            spec.ceilings =
                ceiling.map(|most| Ceilings { max_duration: Some(most.parse().unwrap()), ..Ceilings::default() });
        }));
        format!("grant {which} for {person} but {except:?} and {arn}, {providers:?}, at most {ceiling:?}, via: {via}")
    }

    /// Creates, changes or deletes the grant that denies.
    fn change_denial(&mut self) -> String {
        if self.dice.below(3) == 0 {
            self.world.api.delete("AwsRoleGrant", "", "denial");
            return "the denial is deleted".to_owned();
        }
        let person = self.dice.one_of(&["*", "alice", "b*", "system:*"]);
        let except = self.dice.one_of(&[None, None, Some("bob")]);
        let arn = self.dice.one_of(&[None, None, Some("ds-analyst"), Some("ds-${person}")]);
        let namespace = self.dice.one_of(&[None, Some(SCORING), Some("elsewhere")]);
        self.world.apply(&grant("denial", |spec| {
            (spec.effect, spec.persons) = (Effect::Deny, vec![person.into()]);
            spec.except_persons = except.into_iter().map(str::to_owned).collect();
            spec.roles = arn.into_iter().map(role).collect();
            spec.namespaces = namespace.map(|name| Namespaces { names: vec![name.to_owned()], selector: None });
        }));
        format!("denied to {person} but {except:?}: {arn:?} in {namespace:?}")
    }

    fn edit_by_hand(&mut self) -> String {
        let name = self.dice.one_of(&NAMES);
        let secret = self.world.secret(name).is_some();
        let world = &self.world;
        match self.dice.below(4) {
            0 if secret => {
                world.api.delete("Secret", SCORING, &format!("{name}-aws"));
                format!("{name}'s Secret is deleted")
            }
            1 if secret && world.value(name, "theirs").is_empty() => {
                let edits: [fn(&mut Value); 5] = [
                    |s| s["data"]["AWS_ACCESS_KEY_ID"] = json!("eA=="),
                    |s| s["metadata"]["annotations"]["keyturn.dev/expires-at"] = json!("2030-01-01T00:00:00Z"),
                    |s| s["metadata"]["labels"] = json!({}),
                    |s| s["metadata"]["annotations"] = json!({}),
                    |s| s["data"]["beside"] = json!("eA=="),
                ];
                let edit = self.dice.below(edits.len());
                world.api.edit("Secret", SCORING, &format!("{name}-aws"), edits[edit]);
                format!("{name}'s Secret is edited ({edit})")
            }
            2 if !secret => {
                world.api.put(foreign_secret(name));
                format!("somebody's Secret stands under {name}'s name")
            }
            _ => {
                let generated = world.roles().into_iter().find(super::rules::is_generated);
                let Some(generated) = generated.and_then(|role| role.metadata.name) else {
                    return "nothing".to_owned();
                };
                if self.dice.below(2) == 0 {
                    world.api.delete("AwsRole", SCORING, &generated);
                } else {
                    world
                        .api
                        .edit("AwsRole", SCORING, &generated, |object| object["spec"]["role"] = json!(role("admin")));
                }
                format!("{generated} is edited or deleted")
            }
        }
    }

    fn inject_failure(&mut self) -> String {
        if self.dice.below(5) == 0 {
            return self.inject_dss_failure();
        }
        let world = &self.world;
        match self.dice.below(4) {
            0 => {
                let trouble = self.dice.below(3);
                let troubles = [Behaviour::AccessDenied, Behaviour::Throttling, Behaviour::ConnectionFailure];
                world.sts.behave(Times::N(1 + self.dice.below(4)), troubles[trouble].clone());
                format!("STS: {:?}", troubles[trouble])
            }
            1 => {
                let faults = [Fault::status(500), Fault::status(409), Fault::LoseAnswer, Fault::HangAfter];
                let fault = self.dice.one_of(&faults);
                let step = format!("the API server: {fault:?}");
                world.api.fault(Times::N(1 + self.dice.below(3)), Request::is_write, fault);
                step
            }
            2 => {
                let lag = Duration::from_millis(self.dice.one_of(&[0, 30, 700]));
                let resource = self.dice.one_of(&["secrets", "awsconfigs", "awsroles"]);
                world.api.lag(resource, lag);
                format!("{resource} are shown {lag:?} late")
            }
            _ => {
                *self.allowed_lag.lock().unwrap() = BROKEN;
                world.api.compact();
                world.api.break_watches();
                "the watches break".to_owned()
            }
        }
    }

    async fn start_or_kill(&mut self) -> String {
        self.running = !self.running;
        if self.running {
            self.world.start();
            return "the operator starts".to_owned();
        }
        self.world.kill().await;
        "the operator is killed".to_owned()
    }

    /// Delays each write, so that time passes in a loop of writes.
    pub fn delay_writes(&self) {
        self.world.api.fault(Times::UntilCleared, Request::is_write, Fault::Delay(Duration::from_millis(2)));
        self.world.sts.always(Behaviour::Latency(Duration::from_millis(5)));
    }

    /// Ends all failures but one: the API server refuses calls of one kind from now on, as a quota
    /// or a policy does. Waits long enough for everything to settle.
    pub async fn settle_under_a_refusal(&mut self) {
        type Fits = fn(&Request) -> bool;
        let refused: [(&str, Fits); 6] = [
            ("new Secrets", |r| r.is("create", "secrets")),
            ("all writes of Secrets", |r| r.is_on("secrets") && r.is_write()),
            ("reads of Secrets", |r| r.is("get", "secrets") && r.namespace == SCORING),
            ("new AwsRoles", |r| r.is("create", "awsroles")),
            ("all writes of AwsRoles", |r| r.is_on("awsroles") && r.is_write()),
            ("deletions of Secrets", |r| r.is("delete", "secrets")),
        ];
        let (what, fits) = self.dice.one_of(&refused);
        let faults = [
            Fault::Refuse(Failure::new(403, "exceeded quota: team")),
            Fault::Refuse(Failure::new(422, "ValidatingAdmissionPolicy 'teams' denied request")),
            Fault::status(500),
            Fault::Hang,
        ];
        let fault = self.dice.one_of(&faults);
        self.steps.push(format!("from now on the API server refuses {what}: {fault:?}"));
        self.end_failures();
        self.world.api.fault(Times::UntilCleared, fits, fault);
        self.world.pass(Duration::from_secs(16 * 60)).await;
    }

    /// Ends all failures and waits long enough for everything to settle.
    pub async fn settle(&mut self) {
        self.end_failures();
        self.world.pass(Duration::from_secs(16 * 60)).await;
    }

    fn end_failures(&mut self) {
        self.world.api.behave_well();
        self.world.sts.behave_well();
        self.world.dss.behave_well();
        self.world.datarobot.behave_well();
        self.delay_writes();
        if !self.running {
            self.world.start();
            self.running = true;
        }
        // One grant exists, so that an empty list of grants does not count as unsynced.
        self.world.apply(&grant("of-nobody", |spec| spec.persons = vec!["nobody".into()]));
    }
}

/// Whether one of these grants allows this call to STS, or has its role as a hop.
fn is_granted(grants: &[Value], call: &Call) -> bool {
    if call.action != "AssumeRole" {
        return true;
    }
    let (session, role) = (call.session_name.clone().unwrap(), call.role_arn.clone().unwrap());
    let subject = if session.contains(',') { format!("system:{SCORING}") } else { session };
    if role == hub() {
        return leads_through(grants, &subject, &role);
    }
    allows(grants, &subject, Some(&role), call.duration_seconds.unwrap())
}

//! The users and admins of a long history: what they have, and what they may have.

use crate::{
    doubles::dss::ADMIN_KEY,
    fixtures::{OPERATORS, SCORING, config, design, grant, personal_key, role},
    simulated::{dataiku::put_admin_key, seeds::dice::Dice, world::World},
};
use jiff::Timestamp;
use keyturn::api::Session;
use serde_json::json;
use std::sync::{Arc, Mutex};

const URL: &str = "https://dss.test";
const TEAMS: usize = 5;

/// A person, and their config of the same name.
pub struct Person {
    /// The name of the person and of the config.
    pub name: String,
    /// The team, whose grant allows the person.
    pub team: usize,
    /// Whether the config has an API key of DSS.
    pub has_dss: bool,
    /// Whether there is a config.
    pub is_there: bool,
    is_suspended: bool,
    /// When somebody last changed the config, its grant or its Secret.
    pub touched: Timestamp,
}

/// A team: whether its grant is there, and since when that has been so.
#[derive(Clone, Copy)]
pub struct Team {
    pub is_granted: bool,
    pub since: Timestamp,
}

/// All of them.
pub struct People {
    pub all: Vec<Person>,
    /// The grants, also for the double of STS.
    pub teams: Arc<Mutex<Vec<Team>>>,
}

/// The team of the person whom a session is named for.
pub fn team_of(person: &str) -> usize {
    person[1..2].parse().unwrap()
}

impl People {
    /// Founds DSS and the teams, and applies the configs.
    pub fn found(world: &World, configs: usize) -> Self {
        let now = world.now();
        world.api.namespace(OPERATORS, &[]);
        put_admin_key(world, ADMIN_KEY);
        world.apply(&design(URL));
        // One grant exists always. With none at all, keyturn withdraws nothing for an hour.
        world.apply(&grant("of-nobody", |spec| spec.persons = vec!["nobody".into()]));
        let teams = vec![Team { is_granted: true, since: now }; TEAMS];
        let mut people = Self { all: Vec::new(), teams: Arc::new(Mutex::new(teams)) };
        for team in 0..TEAMS {
            people.grant(world, team, true);
        }
        for number in 0..configs {
            let (team, has_dss) = (number % TEAMS, number % 10 == 3);
            let name = format!("t{team}-{number:03}");
            if has_dss {
                world.dss.add_user(&name, &[]);
            }
            people.all.push(Person { name, team, has_dss, is_there: false, is_suspended: false, touched: now });
            people.apply(world, number);
        }
        people
    }

    /// Whether a person should have a credential.
    pub fn may(&self, person: &Person) -> bool {
        person.is_there && !person.is_suspended && self.teams.lock().unwrap()[person.team].is_granted
    }

    fn apply(&mut self, world: &World, number: usize) {
        let person = &mut self.all[number];
        // Of ten configs, one has sessions of an hour.
        let hours = if number % 10 == 1 { "1h" } else { "12h" };
        let has_dss = person.has_dss;
        world.apply(&config(&person.name, |spec| {
            spec.session = Some(Session { duration: Some(hours.parse().unwrap()), ..Session::default() });
            if has_dss {
                personal_key(spec);
            }
        }));
        (person.is_there, person.is_suspended, person.touched) = (true, false, world.now());
    }

    fn grant(&mut self, world: &World, team: usize, is_granted: bool) {
        let name = format!("team-{team}");
        if is_granted {
            world.apply(&grant(&name, |spec| spec.persons = vec![format!("t{team}-*")]));
        } else {
            world.api.delete("AwsRoleGrant", "", &name);
        }
        self.teams.lock().unwrap()[team] = Team { is_granted, since: world.now() };
        let of_team = self.all.iter_mut().filter(|person| person.team == team);
        of_team.for_each(|person| person.touched = world.now());
    }

    /// Somebody does something.
    pub fn act(&mut self, world: &World, dice: &mut Dice) -> String {
        let (number, what) = (dice.below(self.all.len()), dice.below(9));
        if what == 0 {
            let team = dice.below(TEAMS);
            let is_granted = !self.teams.lock().unwrap()[team].is_granted;
            self.grant(world, team, is_granted);
            return format!("team {team} is granted: {is_granted}");
        }
        if !self.all[number].is_there {
            let name = &self.all[number].name;
            if world.api.stored("AwsConfig", SCORING, name).is_some() {
                return format!("{name} is still being deleted");
            }
            self.apply(world, number);
            return format!("{} is applied", self.all[number].name);
        }
        let person = &mut self.all[number];
        let name = person.name.clone();
        let secret = format!("{name}-aws");
        let has_secret = world.api.stored("Secret", SCORING, &secret).is_some();
        let roles = ["ds-analyst", "ds-lead", "ds-author"];
        let (lead, region) = (role(dice.one_of(&roles)), dice.one_of(&["eu-west-1", "eu-west-2"]));
        let step = match what {
            1 => {
                world.api.delete("AwsConfig", SCORING, &name);
                person.is_there = false;
                "is deleted".to_owned()
            }
            2 => {
                person.is_suspended = !person.is_suspended;
                let suspend = person.is_suspended;
                world.change(&name, |spec| spec.suspend = suspend);
                format!("is suspended: {suspend}")
            }
            3 => {
                world.change(&name, |spec| spec.role = Some(lead.clone()));
                format!("asks for {lead}")
            }
            4 if has_secret => {
                world.api.delete("Secret", SCORING, &secret);
                "loses its Secret".to_owned()
            }
            5 if has_secret => {
                world.api.edit("Secret", SCORING, &secret, |it| it["data"]["AWS_REGION"] = json!("eA=="));
                "has its Secret edited".to_owned()
            }
            6 if person.has_dss => {
                world.change(&name, |spec| {
                    if let Some(dss) = &mut spec.dss {
                        let before = dss.api_key_rotation.clone().unwrap_or_default();
                        dss.api_key_rotation = Some(if before == "a" { "b" } else { "a" }.to_owned());
                    }
                });
                "asks for another API key".to_owned()
            }
            _ => {
                world.change(&name, |spec| spec.region = Some(region.to_owned()));
                format!("moves to {region}")
            }
        };
        person.touched = world.now();
        format!("{name} {step}")
    }

    /// Everybody may have a credential, and half of the configs are deleted.
    pub fn allow_everything(&mut self, world: &World) {
        for team in 0..TEAMS {
            self.grant(world, team, true);
        }
        for number in 0..self.all.len() {
            let person = &mut self.all[number];
            if number % 2 == 0 {
                world.api.delete("AwsConfig", SCORING, &person.name);
                person.is_there = false;
            } else if person.is_there && person.is_suspended {
                world.change(&person.name, |spec| spec.suspend = false);
                person.is_suspended = false;
            }
            person.touched = world.now();
        }
    }
}

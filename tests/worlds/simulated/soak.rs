//! A long time of faults, at random and by a seed: the API server, STS and DSS fail in every way
//! that their doubles know, watches are late, silent, cut and repeated, processes die between any
//! two calls, replicas are cut off, and clocks are wrong. Users and admins go on working.
//!
//! The promises are checked all the time (`soak/ledger.rs`), not only at the end. `make test` plays
//! some days of a few configs. `make soak` plays a year of 200 configs:
//! `SOAK_SEED=<n>` plays another year, `SOAK_SEEDS=<n>` that many from there on, `SOAK_DAYS` and
//! `SOAK_CONFIGS` say how long and how many.

mod ledger;
mod nodes;
mod people;
mod troubles;

use super::{seeds::dice::Dice, world::World};
use jiff::SignedDuration;
use ledger::Ledger;
use nodes::Nodes;
use people::People;
use std::time::Duration;
use troubles::Trouble;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Within this time without trouble, every config is as it should be: the longest wait after a
/// failure is ten minutes.
const SETTLES: Duration = Duration::from_secs(20 * 60);

/// A history of faults.
struct Soak {
    world: World,
    dice: Dice,
    nodes: Nodes,
    people: People,
    ledger: Ledger,
    troubles: Vec<Trouble>,
    /// The steps so far, in words.
    steps: Vec<String>,
}

impl Soak {
    async fn begin(seed: u64, configs: usize) -> Self {
        let world = World::empty();
        world.api.keep_watches_open();
        let people = People::found(&world, configs);
        let ledger = Ledger::open(&world, &people);
        let mut soak = Self {
            nodes: Nodes::new(&world),
            dice: Dice(seed),
            world,
            people,
            ledger,
            troubles: Vec::new(),
            steps: Vec::new(),
        };
        soak.nodes.start_alone(&soak.world, &mut soak.dice);
        soak.quiet().await;
        soak
    }

    fn note(&mut self, step: &str) {
        self.steps.push(format!("{} {step}", self.world.now().strftime("%F %T")));
    }

    /// Lets time pass, and checks the promises every `every`. Ended processes are started again.
    async fn pass(&mut self, time: Duration, every: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(every);
            self.world.pass(step).await;
            left -= step;
            let died = self.nodes.start_the_dead(&self.world, &mut self.dice);
            for node in died {
                self.ledger.process_died(&self.world, &self.people);
                self.note(&format!("{node} has ended and starts again"));
            }
            self.ledger.check(&self.world, &self.people);
        }
        self.ledger.forget_the_past(&self.world);
    }

    /// Lets everything settle, and checks that everything is as it should be.
    async fn quiet(&mut self) {
        self.pass(SETTLES, MINUTE).await;
        self.ledger.check_at_rest(&self.world, &self.people);
    }

    /// Lets time pass in which users and admins work.
    async fn live(&mut self, time: Duration, every: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let part = left.min(Duration::from_secs(60 * (5 + self.dice.next() % 90)));
            self.pass(part, every).await;
            left -= part;
            let step = self.people.act(&self.world, &mut self.dice);
            self.note(&step);
        }
    }

    /// Some troubles at once, for minutes or, rarely, for hours.
    async fn trouble(&mut self) {
        let is_pair = self.dice.below(6) == 0;
        if is_pair {
            self.nodes.stop().await;
            self.nodes.start_pair(&self.world, &mut self.dice);
            self.note("two replicas from now on");
            self.pass(MINUTE, 10 * SECOND).await;
        }
        for _ in 0..=self.dice.below(3) {
            let trouble = Trouble::begin(self);
            let step = format!("trouble: {}", trouble.name);
            self.note(&step);
            self.troubles.push(trouble);
            self.ledger.troubled(&self.world, &self.troubles);
            let apart = Duration::from_secs(self.dice.next() % 120);
            self.pass(apart, 10 * SECOND).await;
        }
        let minutes = self.troubles.iter().map(|trouble| trouble.minutes).max().unwrap_or_default();
        let every = if is_pair || minutes < 15 { 10 * SECOND } else { MINUTE };
        self.live(MINUTE * minutes, every).await;
        while let Some(trouble) = self.troubles.pop() {
            trouble.end(self);
            self.ledger.troubled(&self.world, &self.troubles);
        }
        self.note("the troubles are over");
        self.quiet().await;
        if is_pair {
            self.nodes.stop().await;
            self.nodes.start_alone(&self.world, &mut self.dice);
            self.note("one replica from now on");
            self.quiet().await;
        }
    }

    async fn play(&mut self, days: i64) {
        let end = self.world.now() + SignedDuration::from_hours(24 * days);
        while self.world.now() < end && self.ledger.is_kept() {
            self.trouble().await;
            let quiet = Duration::from_secs(60 * (self.dice.next() % (8 * 60)));
            self.live(quiet, 5 * MINUTE).await;
        }
        self.people.allow_everything(&self.world);
        self.quiet().await;
        self.ledger.check_leaks(&self.world, &self.people);
        self.ledger.check_calls();
    }
}

fn play(seed: u64, configs: usize, days: i64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut soak = Soak::begin(seed, configs).await;
        soak.play(days).await;
        eprintln!("soak: SOAK_SEED={seed}, {days} days of {configs} configs: {}", soak.ledger.sums());
        let broken = soak.ledger.broken();
        let last = soak.steps.len().saturating_sub(40);
        assert!(
            broken.is_empty(),
            "SOAK_SEED={seed} SOAK_CONFIGS={configs} SOAK_DAYS={days}\n  {}\nbroken:\n  {}",
            soak.steps[last..].join("\n  "),
            broken.join("\n  ")
        );
    });
}

#[test]
fn days_and_years_of_faults_break_no_promise() {
    #[expect(clippy::disallowed_methods, reason = "which history is played is the tester's choice")]
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok()).unwrap_or(default)
    };
    let (first, configs, days) = (number("SOAK_SEED", 1), number("SOAK_CONFIGS", 12), number("SOAK_DAYS", 14));
    for seed in first..first + number("SOAK_SEEDS", 1) {
        play(seed, usize::try_from(configs).unwrap(), i64::try_from(days).unwrap());
    }
}

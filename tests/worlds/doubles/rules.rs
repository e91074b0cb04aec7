//! Rules: which of the calls to come are answered otherwise than they should be.
//!
//! A rule says which calls it is about, what happens to them, and how often. Rules are looked at
//! in the order in which they were added. Some effects only colour the answer (a delay, a shifted
//! clock): all of those that fit take place. Others *are* the answer (an error, a lost
//! connection): the first that fits takes place, and the rules after it keep their turns.

use std::sync::Arc;

/// How many calls a rule is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// The next call that fits, and no other.
    Once,
    /// That many of the next calls that fit.
    N(usize),
    /// Every call that fits, until the rule is taken away.
    UntilCleared,
}

/// What a rule does to a call.
pub trait Effect: Clone {
    /// Whether this is the answer (`true`), or only colours it (`false`).
    fn is_the_answer(&self) -> bool;
}

/// The name of a rule that was added, for taking it away again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(u64);

/// Says whether a rule is about a call.
pub type Fits<Call> = Arc<dyn Fn(&Call) -> bool + Send + Sync>;

struct Rule<Call, E> {
    id: RuleId,
    fits: Fits<Call>,
    left: Option<usize>,
    effect: E,
}

/// The rules in force, in the order in which they were added.
pub struct Rules<Call, E> {
    added: u64,
    rules: Vec<Rule<Call, E>>,
}

impl<Call, E> Default for Rules<Call, E> {
    fn default() -> Self {
        Self { added: 0, rules: Vec::new() }
    }
}

impl<Call, E: Effect> Rules<Call, E> {
    /// Adds a rule after all others.
    pub fn add(&mut self, times: Times, fits: Fits<Call>, effect: E) -> RuleId {
        self.added += 1;
        let id = RuleId(self.added);
        let left = match times {
            Times::Once => Some(1),
            Times::N(count) => Some(count),
            Times::UntilCleared => None,
        };
        self.rules.push(Rule { id, fits, left, effect });
        id
    }

    /// Takes a rule away. A rule that is used up is gone already; then nothing happens.
    pub fn remove(&mut self, id: RuleId) {
        self.rules.retain(|rule| rule.id != id);
    }

    /// Takes all rules away.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// Whether no rule is in force.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What happens to this call: any number of effects that colour the answer, and at most one
    /// that is the answer. The rules that took effect have one turn less.
    pub fn take(&mut self, call: &Call) -> Vec<E> {
        let mut effects: Vec<E> = Vec::new();
        let mut answered = false;
        for rule in &mut self.rules {
            let answers = rule.effect.is_the_answer();
            let spent = rule.left == Some(0);
            if spent || (answered && answers) || !(rule.fits)(call) {
                continue;
            }
            rule.left = rule.left.map(|left| left - 1);
            answered |= answers;
            effects.push(rule.effect.clone());
        }
        self.rules.retain(|rule| rule.left != Some(0));
        effects
    }
}

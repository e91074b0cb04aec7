//! Rules: a rule changes the answers of a double to some of its coming calls.
//!
//! A rule names the calls that it fits, the effect on them, and the number of times. Rules are
//! tried in the order in which they were added. Some effects only modify the answer (a delay, a
//! shifted clock): all rules of this kind that fit take effect. Other effects *are* the answer (an
//! error, a lost connection): the first rule that fits takes effect, and the rules after it keep
//! their remaining times.

use std::sync::Arc;

/// The number of calls for which a rule takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// The next call that fits, and no other.
    Once,
    /// That many of the next calls that fit.
    N(usize),
    /// Every call that fits, until the rule is removed.
    UntilCleared,
}

/// The effect of a rule on a call.
pub trait Effect: Clone {
    /// Whether the effect is the answer (`true`) or only modifies it (`false`).
    fn is_the_answer(&self) -> bool;
}

/// A handle for removing a rule again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(u64);

/// Whether a rule fits a call.
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

    /// Removes a rule. A used-up rule is already gone, and then nothing happens.
    pub fn remove(&mut self, id: RuleId) {
        self.rules.retain(|rule| rule.id != id);
    }

    /// Removes all rules.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// Whether no rule is in force.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The effects on this call: any number that modify the answer, and at most one that is the
    /// answer. Each rule that takes effect has one time less.
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

//! What is said of pods that asked for the Secret and have not got it.

use crate::{
    api::{ConditionType, Reason, condition, find_condition},
    decide::input::Observed,
    inject::{Missed, quoted},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The condition, if there are such pods. As long as nobody has looked since this replica leads, what was true before.
pub(super) fn pods_missed(seen: &Observed, before: &[Condition], now: Timestamp) -> Option<Condition> {
    let Some(missed) = &seen.remembered.missed else {
        return find_condition(before, ConditionType::PodsMissed).cloned();
    };
    let (reason, generation) = (Reason::NotInjected.as_str(), seen.config.metadata.generation);
    let told = || condition(ConditionType::PodsMissed, true, reason, &message(missed), generation, now);
    (missed.count > 0).then(told)
}

fn message(missed: &Missed) -> String {
    let asks = if missed.count == 1 { "pod asks for the Secret and has" } else { "pods ask for the Secret and have" };
    format!(
        "{} {asks} not got it: {}. Either the webhook was not reached at the creation, or the pod is older than what \
         selects it, or mounts something else there. Delete it, or roll its workload: kubectl rollout restart \
         deployment/NAME",
        missed.count,
        quoted(&missed.names, missed.count)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missed(count: usize, names: &[&str]) -> Missed {
        Missed { count, names: names.iter().map(|&name| name.to_owned()).collect() }
    }

    #[test]
    fn the_message_says_how_many_which_and_what_to_do() {
        let one = message(&missed(1, &["a"]));
        assert!(one.starts_with("1 pod asks for the Secret and has not got it: \"a\". Either"), "{one}");
        assert!(one.ends_with("Delete it, or roll its workload: kubectl rollout restart deployment/NAME"), "{one}");
        let many = message(&missed(9, &["b", "a"]));
        assert!(many.starts_with("9 pods ask for the Secret and have not got it: \"a\", \"b\" and 7 more. "), "{many}");
    }
}

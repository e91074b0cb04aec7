//! The turn of a reconcile to ask STS or DSS for something that is not a renewal that is due.

use super::Context;
use crate::{
    api::{AwsConfig, Reason},
    credentials::{IssueError, Retry},
    limit::{NotYet, Place, RateLimits, TooSoon, UsedUp},
};
use jiff::SignedDuration;
use kube::ResourceExt as _;

/// Takes a turn for this many requests. The reconcile keeps the place until it has its answers.
///
/// # Errors
/// [`IssueError`] if others come first. keyturn has asked nobody.
pub(super) fn take(context: &Context, config: &AwsConfig, requests: u32) -> Result<Place, IssueError> {
    let namespace = config.namespace().unwrap_or_default();
    context.turns.take(&namespace, requests).map_err(|not_yet| {
        context.metrics.held_back(scope(not_yet));
        explained(not_yet, &namespace, context.turns.limits())
    })
}

/// The label of the metric.
fn scope(not_yet: NotYet) -> &'static str {
    match not_yet {
        NotYet::Places => "places",
        NotYet::Rate(TooSoon { used_up: UsedUp::Namespace, .. }) => "namespace",
        NotYet::Rate(TooSoon { used_up: UsedUp::All, .. }) => "all",
    }
}

fn explained(not_yet: NotYet, namespace: &str, limits: RateLimits) -> IssueError {
    let NotYet::Rate(TooSoon { used_up, wait }) = not_yet else {
        let message =
            format!("other AwsConfigs of namespace \"{namespace}\" wait for STS or DSS; they will be asked in turn");
        return IssueError::new(Reason::HeldBack, Retry::Saturated, message);
    };
    let (rate, whose, remedy) = match used_up {
        UsedUp::Namespace => (
            limits.namespace,
            format!("namespace \"{namespace}\""),
            "look for a program that changes AwsConfigs of this namespace or their Secrets again and again, or ask a cluster admin to raise \
             limits.requests of the chart",
        ),
        UsedUp::All => (
            limits.all,
            "all namespaces together".to_owned(),
            "a cluster admin can raise limits.requests of the chart, within the quota of the AWS account",
        ),
    };
    let message = format!(
        "the rate of requests to STS and DSS for {whose} is used up ({} a second, {} at once); others come first, and this AwsConfig will \
         have its turn; if it waits for long, {remedy}",
        rate.per_second, rate.burst
    );
    let wait = SignedDuration::try_from(wait).unwrap_or_default();
    IssueError::new(Reason::HeldBack, Retry::HeldBack(wait), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_refusal_says_which_rate_is_used_up_and_what_to_do() {
        let wait = Duration::from_secs(3);
        let too_soon = |used_up| NotYet::Rate(TooSoon { used_up, wait });
        let held_back = Retry::HeldBack(SignedDuration::from_secs(3));
        for (not_yet, label, retry, parts) in [
            (NotYet::Places, "places", Retry::Saturated, ["\"scoring\"", "in turn"]),
            (
                too_soon(UsedUp::Namespace),
                "namespace",
                held_back,
                ["namespace \"scoring\" is used up (10 a second", "look for"],
            ),
            (
                too_soon(UsedUp::All),
                "all",
                held_back,
                ["all namespaces together is used up (100 a second", "limits.requests"],
            ),
        ] {
            let error = explained(not_yet, "scoring", RateLimits::default());
            assert_eq!((scope(not_yet), error.retry, error.why.reason), (label, retry, Reason::HeldBack));
            assert!(parts.iter().all(|part| error.why.message.contains(part)), "{label}: {}", error.why.message);
        }
    }
}

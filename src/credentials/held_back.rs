//! The refusal of keyturn itself to ask an outside system yet, in words.

use super::{IssueError, Retry, refusal::CHECK_THE_WAY};
use crate::{
    api::Reason,
    limit::{NotYet, NotYourTurn, RateLimits, StsLimits, TooSoon, UsedUp, Weather},
};
use jiff::SignedDuration;

/// The error of a reconcile of this namespace that did not get a turn to ask STS or DSS. The
/// message says which rate is used up, and what to do if the wait is long.
#[must_use]
pub fn held_back(not_yet: NotYet, namespace: &str, limits: RateLimits) -> IssueError {
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

/// The error of a reconcile that did not get a turn in the budget of STS. The message says why the
/// budget is short, and what to do if the wait is long.
#[must_use]
pub fn not_your_turn(not_yet: NotYourTurn, limits: StsLimits) -> IssueError {
    let (reason, message) = match not_yet.weather {
        Weather::Fair => (
            Reason::HeldBack,
            format!(
                "keyturn calls STS {} times a second at most, and others come first; this AwsConfig will have its turn; if it waits for \
                 long, a cluster admin can raise limits.stsPerSecond of the chart, within the quota of the AWS account",
                limits.per_second
            ),
        ),
        Weather::Throttling => (
            Reason::Throttled,
            "STS is throttling this account, and others come first; this AwsConfig will have its turn; if it stays so, look for other \
             programs that call STS there"
                .to_owned(),
        ),
        Weather::OutOfReach => (
            Reason::Unreachable,
            format!(
                "STS cannot be reached; keyturn tries it with one call at a time, and all AwsConfigs have their turn once it answers; \
                 {CHECK_THE_WAY}"
            ),
        ),
    };
    IssueError::new(reason, Retry::Queued(SignedDuration::try_from(not_yet.about).unwrap_or_default()), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_wait_for_sts_says_why_it_is_and_what_to_do() {
        for (weather, reason, parts) in [
            (Weather::Fair, Reason::HeldBack, ["100 times a second", "limits.stsPerSecond"]),
            (Weather::Throttling, Reason::Throttled, ["is throttling this account", "other programs"]),
            (Weather::OutOfReach, Reason::Unreachable, ["one call at a time", "network policies"]),
        ] {
            let error = not_your_turn(NotYourTurn { about: Duration::from_secs(3), weather }, StsLimits::default());
            let retry = Retry::Queued(SignedDuration::from_secs(3));
            assert_eq!((error.retry, error.why.reason), (retry, reason), "{weather:?}");
            assert!(parts.iter().all(|part| error.why.message.contains(part)), "{weather:?}: {}", error.why.message);
        }
    }

    #[test]
    fn each_refusal_says_which_rate_is_used_up_and_what_to_do() {
        let wait = Duration::from_secs(3);
        let too_soon = |used_up| NotYet::Rate(TooSoon { used_up, wait });
        let rate = Retry::HeldBack(SignedDuration::from_secs(3));
        for (not_yet, label, retry, parts) in [
            (NotYet::Places, "places", Retry::Saturated, ["\"scoring\"", "in turn"]),
            (
                too_soon(UsedUp::Namespace),
                "namespace",
                rate,
                ["namespace \"scoring\" is used up (10 a second", "look for"],
            ),
            (
                too_soon(UsedUp::All),
                "all",
                rate,
                ["all namespaces together is used up (100 a second", "limits.requests"],
            ),
        ] {
            let error = held_back(not_yet, "scoring", RateLimits::default());
            assert_eq!((error.retry, error.why.reason), (retry, Reason::HeldBack), "{label}");
            assert!(parts.iter().all(|part| error.why.message.contains(part)), "{label}: {}", error.why.message);
        }
    }
}

//! The trial of a credential that the Secret holds. It changes nothing in the cluster or in AWS,
//! and no failure of it fails the reconcile.

use crate::{
    act::Context,
    cluster::CallError,
    credentials::{Credentials, Retry, try_out},
    decide::{
        Due, Plan, Trial,
        input::Observed,
        target::{SecretData, Target},
        trial,
    },
    limit::{Ask, Budget, Lane, Refused},
    report::{Outcome, current_record},
    schedule,
    secret::Record,
    verify::Verdict,
};
use kube::ResourceExt as _;
use std::time::Duration;

/// AWS among the systems whose calls are limited. No `DssInstance` can have this name.
const AWS: &str = "AWS";
/// The longest time of a trial. The status of the config is written after it.
const A_TRIAL: Duration = Duration::from_secs(10);

/// The count of failures whose wait is that of a trial without a place: 4 to 8 s.
const SATURATED: i32 = 4;

/// The count of failures whose wait is that of a trial while others wait for STS: 16 to 32 s.
const BUSY: i32 = 6;

/// A credential that the Secret holds, in memory.
pub(super) struct InHand {
    pub(super) credentials: Credentials,
    /// Whether it was obtained a moment ago.
    pub(super) is_new: bool,
}

/// Tries the credential if that is due. Without the credential in memory, keyturn reads the Secret.
pub(super) async fn verify(
    context: &Context,
    budget: &Budget,
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    in_hand: Option<InHand>,
) -> Option<Trial> {
    let record = current_record(seen, outcome)?;
    let is_new = in_hand.as_ref().is_some_and(|it| it.is_new);
    let Due::Now(asked) = trial(seen, plan, record, is_new, context.clock.now())? else { return None };
    let waits = |wait| Some(Trial::Waits { digest: asked.digest.clone(), wait });
    let uid = seen.config.uid().unwrap_or_default();
    let ask = Ask {
        key: format!("{uid}/trial").into(),
        namespace: seen.config.namespace().unwrap_or_default().into(),
        name: seen.config.name_any().into(),
        attempt: String::new(),
        lane: Lane::Other,
        expires_at: None,
        calls: 1,
    };
    // Credentials come first, because somebody waits for them.
    let Some(sts_turn) = context.sts_budget.ask_idle(ask) else {
        return waits(schedule::transient_delay(&uid, BUSY));
    };
    let _place = match context.take_turn(&seen.config, asked.calls()) {
        Ok(place) => place,
        Err(error) => {
            return waits(if let Retry::HeldBack(wait) = error.retry { wait } else { schedule::PENDING });
        }
    };
    let trying = async {
        let credentials = match in_hand {
            Some(in_hand) => in_hand.credentials,
            None => match in_secret(context, seen, record).await {
                Ok(found) => found?,
                Err(error) => {
                    return Some(Verdict::unknown(format!(
                        "the credential cannot be tried: {error}; keyturn tries again"
                    )));
                }
            },
        };
        let answers = try_out(&context.sts, &context.s3, &credentials, &asked.question, &sts_turn).await;
        Some(asked.verdict(&answers))
    };
    let verdict = match context.limiter.run(AWS, A_TRIAL, budget, trying).await {
        Ok(verdict) => verdict?,
        Err(Refused::TimedOut(time)) => Verdict::unknown(format!(
            "AWS did not answer all requests within {} s; keyturn tries again",
            time.as_secs()
        )),
        // Others hang. The wait is spread, because many may come back.
        Err(Refused::Saturated) => {
            return waits(schedule::transient_delay(&uid, SATURATED));
        }
    };
    tracing::debug!(reason = %verdict.statement().reason, "tried the credential");
    Some(Trial::Made { digest: asked.digest, verdict })
}

/// The credential of this record in the Secret. `None` if the Secret holds something else by now;
/// a watch event then enqueues the config.
///
/// # Errors
/// [`CallError`] if the API server refused the read or did not answer.
pub(super) async fn in_secret(
    context: &Context,
    seen: &Observed,
    record: &Record,
) -> Result<Option<Credentials>, CallError> {
    let of = |target: &Target| {
        let Target::Ours(ours) = target else { return None };
        let SecretData::Read(read) = &ours.content else { return None };
        let is_this = read.is_as_written() && ours.record.as_ref() == Some(record);
        read.credentials.as_deref().cloned().filter(|_| is_this)
    };
    if let Some(credentials) = of(&seen.target) {
        return Ok(Some(credentials));
    }
    Ok(of(&context.read_target(seen).await?))
}

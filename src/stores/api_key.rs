//! Obtains the API key of DSS for the Secret, after DSS has confirmed the owner and the kind of it.
//!
//! Before keyturn creates a key, it adds two finalizers that say where the key may be. The
//! finalizer of the config ensures that keyturn deletes the key before the config disappears. The
//! other finalizer keeps the instance until its keys are deleted. Whatever happens after that,
//! keyturn finds the key again by its label.

use super::{Access, DssKeys, Entry, NotAsked, check, finalize::add_finalizers};
use crate::{
    api::{AwsConfig, Reason},
    cluster::CallError,
    credentials::IssueError,
    dss_keys::{ApiKeyOutcome, ApiKeyPlan, DssRequest, HeldKey},
};
use secrecy::SecretString;
use std::time::Duration;

/// Obtains the API key of a plan. If keyturn obtains none, the outcome has the error. keyturn waits
/// for DSS for at most `most`.
///
/// # Errors
/// [`CallError`] if keyturn could not write a finalizer. keyturn then created no key.
pub async fn obtain(
    access: Access<'_>,
    config: &AwsConfig,
    request: &DssRequest,
    plan: &ApiKeyPlan,
    most: Duration,
) -> Result<ApiKeyOutcome, CallError> {
    let with = |held: Option<HeldKey>| ApiKeyOutcome { held, ..ApiKeyOutcome::default() };
    Ok(match plan {
        ApiKeyPlan::None => ApiKeyOutcome::default(),
        ApiKeyPlan::Keep(held) => with(Some(held.clone())),
        ApiKeyPlan::Hold { former, .. } => with(former.clone()),
        ApiKeyPlan::Deliver { offered, former } => match check_within(access, request, &offered.key, most).await {
            Ok(()) => with(Some(offered.clone())),
            Err(error) => failed(former.as_ref(), error),
        },
        ApiKeyPlan::Create { former } => create(access, config, request, former.as_ref(), most).await?,
    })
}

async fn check_within(
    access: Access<'_>,
    request: &DssRequest,
    key: &SecretString,
    most: Duration,
) -> Result<(), IssueError> {
    let asking = async {
        let dss =
            access.dss_cache.dss(&request.instance).ok_or_else(|| IssueError::not_connected(&request.instance))?;
        check::check(&dss, request, key, None).await
    };
    access.within(&request.instance, "asking about the API key", most, asking).await?
}

async fn create(
    access: Access<'_>,
    config: &AwsConfig,
    request: &DssRequest,
    former: Option<&HeldKey>,
    most: Duration,
) -> Result<ApiKeyOutcome, CallError> {
    let Some(keys) = DssKeys::of(access, config, &request.instance) else {
        return Ok(failed(former, IssueError::not_connected(&request.instance)));
    };
    add_finalizers(access, config, &request.instance).await?;
    let what = format!("creating an API key for \"{}\"", request.login);
    let talk = reuse_or_create(access, request, keys, former);
    Ok(match access.within(&request.instance, &what, most, talk).await {
        Ok(outcome) => outcome,
        Err(not_asked) => {
            if matches!(not_asked, NotAsked::Late(_)) {
                // DSS may have created the key all the same.
                access.dss_cache.unsure_of_keys(&request.instance);
            }
            failed(former, not_asked.into())
        }
    })
}

async fn reuse_or_create(
    access: Access<'_>,
    request: &DssRequest,
    keys: DssKeys<'_>,
    mut former: Option<&HeldKey>,
) -> ApiKeyOutcome {
    if let Some(held) = former.filter(|held| request.is_answered_by(&held.record, None)) {
        match check::check(keys.dss(), request, &held.key, None).await {
            Ok(()) => {
                // The key belongs to this login. DSS has to list its ID too before keyturn may
                // delete it, because the ID comes from the Secret, which others can write.
                let entry = Entry { id: held.record.key.clone(), owner: request.login.clone() };
                if check::is_listed(keys.dss(), request, &entry.id).await.unwrap_or(false) {
                    access.dss_cache.created(&request.instance, keys.personal_key(&entry));
                }
                return ApiKeyOutcome { held: Some(held.clone()), ..ApiKeyOutcome::default() };
            }
            // DSS does not know the key, and nobody can use it any more. Or it is not known to be a
            // personal key, and others may have written it into the Secret.
            Err(error) if matches!(error.why.reason, Reason::DssDenied | Reason::DssKeyNotPersonal) => former = None,
            Err(error) => return failed(former, error),
        }
    }
    match created(request, keys).await {
        Ok(held) => ApiKeyOutcome { held: Some(held), ..ApiKeyOutcome::default() },
        Err(error) => failed(former, error),
    }
}

/// The outcome of an attempt that failed: the former key stays. It does not stay if DSS said that
/// the new key belongs to another user, or that the person is an administrator.
fn failed(former: Option<&HeldKey>, error: IssueError) -> ApiKeyOutcome {
    let former = former.filter(|_| !matches!(error.why.reason, Reason::DssUserMismatch | Reason::DssAdminKey));
    ApiKeyOutcome { held: former.cloned(), failed: Some(error), ..ApiKeyOutcome::default() }
}

async fn created(request: &DssRequest, keys: DssKeys<'_>) -> Result<HeldKey, IssueError> {
    let dss = keys.dss().clone();
    if keys.were_of_administrator() {
        // keyturn makes no key only to delete it again. If DSS does not answer the question, the
        // check of the new key asks it again.
        match check::is_no_administrators(&dss.as_user(&request.login), request).await {
            Err(error) if error.why.reason == Reason::DssAdminKey => return Err(error),
            _ => {}
        }
    }
    let made = keys.put(&request.login).await?;
    if let Err(error) = check::check(&dss, request, &made.secret, Some(&made.entry.id)).await {
        // DSS did not confirm that the key is this person's own. It is of no use to anybody.
        let _ = keys.delete(&made.entry).await;
        return Err(error);
    }
    Ok(HeldKey { record: request.record(made.entry.id, &made.secret), key: made.secret })
}

//! `kubectl keyturn renew`: the request for a new session, which is an annotation on the config.

use super::{Answer, Failed, failed::TIME_OUT};
use crate::api::{AwsConfig, names};
use jiff::Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams},
    runtime::wait::await_condition,
};
use serde_json::json;
use std::{fmt::Write as _, time::Duration};

/// Requests new sessions for these configs. With `wait`, waits until status records that keyturn
/// has issued them.
///
/// # Errors
/// [`Failed`] if the API server refuses a request, or if a session is not there in time. Earlier
/// requests stay.
pub(super) async fn renew(
    api: &Api<AwsConfig>,
    names: &[String],
    wait: Option<Duration>,
    now: Timestamp,
) -> Result<Answer, Failed> {
    let asked = now.to_string();
    let patch = Patch::Merge(json!({"metadata": {"annotations": {names::RENEW: asked}}}));
    let mut text = String::new();
    for name in names {
        let patched = api.patch(name, &PatchParams::default(), &patch).await;
        let config =
            patched.map_err(|error| Failed::of_call(&format!("cannot annotate AwsConfig \"{name}\""), &error))?;
        if config.spec.suspend {
            let _ = writeln!(text, "awsconfig.keyturn.dev/{name} is suspended: no session is issued");
        } else {
            let _ = writeln!(text, "awsconfig.keyturn.dev/{name}: a new session is requested");
        }
    }
    if let Some(wait) = wait {
        let renewed = |config: Option<&AwsConfig>| {
            let status = config.and_then(|config| config.status.as_ref());
            status.is_some_and(|status| status.renewed.as_deref() == Some(asked.as_str()))
        };
        let all = async {
            for name in names {
                await_condition(api.clone(), name, renewed)
                    .await
                    .map_err(|error| Failed::new(format!("cannot watch AwsConfig \"{name}\": {error}")))?;
            }
            Ok::<(), Failed>(())
        };
        tokio::time::timeout(wait, all).await.map_err(|_| Failed {
            message: format!(
                "no new session within {} s; kubectl keyturn why {} says what is in the way",
                wait.as_secs(),
                names.first().map(String::as_str).unwrap_or_default()
            ),
            code: TIME_OUT,
        })??;
        let _ = writeln!(text, "issued");
    }
    Ok(Answer::fine(text))
}

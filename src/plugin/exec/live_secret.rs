//! The Secret of a config, read anew for each request of an SDK.

use crate::{
    api::AwsConfig,
    decide::target::is_controlled_by,
    endpoint::{self, SOURCE},
    plugin::{
        Failed,
        env::{is_variable, target_of},
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

/// The longest time for a read. SDKs give up after some seconds, and ask again.
const PATIENCE: Duration = Duration::from_secs(3);
/// The time for which what was read last stands for a read that fails, because the API server may
/// be away for a moment.
const STANDS_FOR: SignedDuration = SignedDuration::from_mins(5);

/// The data of a Secret.
type Data = BTreeMap<String, ByteString>;

/// The Secret of a config.
pub(super) struct LiveSecret {
    api: Api<Secret>,
    config: AwsConfig,
    last: Mutex<Option<(Timestamp, Vec<u8>)>>,
}

impl LiveSecret {
    pub(super) fn of(api: Api<Secret>, config: AwsConfig) -> Self {
        Self { api, config, last: Mutex::default() }
    }

    /// Reads the Secret for the first time. Returns its variables beside the credential.
    ///
    /// # Errors
    /// [`Failed`] if the caller may not read it, or it holds no live credential.
    pub(super) async fn first(&self, now: Timestamp) -> Result<Vec<(String, String)>, Failed> {
        let (name, target) = (self.config.name_any(), self.config.target_name());
        let secret = target_of(&self.api, &self.config).await?;
        let contents = self.contents(&secret).ok_or_else(|| {
            Failed::new(format!(
                "Secret \"{target}\" holds no credential of AwsConfig \"{name}\"; kubectl keyturn why {name} says why"
            ))
        })?;
        let answer = endpoint::answer(Some(&contents), now);
        if answer.status != 200 {
            let said: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let message = said["message"].as_str().unwrap_or("it cannot be read").to_owned();
            return Err(Failed::new(format!(
                "Secret \"{target}\" holds no live credential: {message}; kubectl keyturn why {name} says why"
            )));
        }
        *self.last.lock() = Some((now, contents));
        Ok(others(&secret.data.unwrap_or_default()))
    }

    /// The answer to a request of an SDK.
    pub(super) async fn answer(&self, now: Timestamp) -> endpoint::Answer {
        let read = tokio::time::timeout(PATIENCE, self.api.get(&self.config.target_name())).await;
        match read {
            Ok(Ok(secret)) => {
                let contents = self.contents(&secret);
                *self.last.lock() = contents.clone().map(|contents| (now, contents));
                endpoint::answer(contents.as_deref(), now)
            }
            // Somebody deleted the Secret, or took the right to read it.
            Ok(Err(kube::Error::Api(status))) if [401, 403, 404].contains(&status.code) => {
                *self.last.lock() = None;
                endpoint::answer(None, now)
            }
            Ok(Err(_)) | Err(_) => {
                let last = self.last.lock().clone();
                let recent = last.filter(|(at, _)| now.duration_since(*at) <= STANDS_FOR);
                endpoint::answer(recent.as_ref().map(|(_, contents)| contents.as_slice()), now)
            }
        }
    }

    /// What an endpoint in a pod would read; `None` if the Secret is not this config's.
    fn contents(&self, secret: &Secret) -> Option<Vec<u8>> {
        let data = secret.data.as_ref().filter(|_| is_controlled_by(&secret.metadata, &self.config))?;
        match data.get(SOURCE) {
            Some(file) => Some(file.0.clone()),
            None => of_variables(data),
        }
    }
}

/// The same from the variables of a Secret that has no files.
fn of_variables(data: &Data) -> Option<Vec<u8>> {
    let text = |key: &str| data.get(key).and_then(|value| std::str::from_utf8(&value.0).ok());
    let id = text("AWS_ACCESS_KEY_ID")?;
    let contents = if id.starts_with(crate::secret::WITHDRAWN) {
        json!({"Version": id})
    } else {
        json!({
            "Version": 1, "AccessKeyId": id, "SecretAccessKey": text("AWS_SECRET_ACCESS_KEY")?,
            "SessionToken": text("AWS_SESSION_TOKEN").filter(|token| !token.is_empty()),
            "Expiration": text("AWS_CREDENTIAL_EXPIRATION").filter(|end| !end.is_empty()),
        })
    };
    Some(contents.to_string().into_bytes())
}

/// The variables that are no part of the credential: the region, buckets, settings of DSS.
fn others(data: &Data) -> Vec<(String, String)> {
    const CREDENTIAL: [&str; 4] =
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION"];
    let kept = data.iter().filter(|(key, _)| is_variable(key) && !CREDENTIAL.contains(&key.as_str()));
    kept.filter_map(|(key, value)| Some((key.clone(), String::from_utf8(value.0.clone()).ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn data(entries: &[(&str, &str)]) -> Data {
        entries.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
    }

    fn answered(data: &Data) -> (u16, Value) {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let answer = endpoint::answer(of_variables(data).as_deref(), now);
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    #[test]
    fn a_secret_with_variables_only_serves_the_endpoint_as_well() {
        let session = [
            ("AWS_ACCESS_KEY_ID", "ASIA"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "token"),
            ("AWS_CREDENTIAL_EXPIRATION", "2026-01-01T00:10:00Z"),
        ];
        let (status, body) = answered(&data(&session));
        assert_eq!(
            (status, body["Token"].as_str(), body["Expiration"].as_str()),
            (200, Some("token"), Some(session[3].1))
        );
        let (status, body) = answered(&data(&[("AWS_ACCESS_KEY_ID", "WITHDRAWN by keyturn: Suspended")]));
        assert_eq!((status, body["code"].as_str()), (404, Some("Withdrawn")), "{body}");
        assert_eq!(answered(&data(&[])).0, 503);
    }

    /// An API server that gives these answers, one after the other.
    fn answering(answers: Vec<(u16, Value)>) -> LiveSecret {
        let answers = std::sync::Arc::new(Mutex::new(std::collections::VecDeque::from(answers)));
        let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            let (code, body) = answers.lock().pop_front().unwrap();
            let response = http::Response::builder().status(code);
            let response = response.body(kube::client::Body::from(body.to_string().into_bytes())).unwrap();
            std::future::ready(Ok::<_, std::convert::Infallible>(response))
        });
        let config =
            json!({"metadata": {"name": "alice", "namespace": "scoring", "uid": "u"}, "spec": {"person": "alice"}});
        let client = kube::Client::new(service, "scoring");
        LiveSecret::of(Api::namespaced(client, "scoring"), serde_json::from_value(config).unwrap())
    }

    fn secret(uid: &str, key_id: &str) -> Value {
        let owner = json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig", "name": "alice", "uid": uid,
            "controller": true});
        let text = |text: &str| serde_json::to_value(ByteString(text.as_bytes().to_vec())).unwrap();
        json!({"metadata": {"name": "alice-aws", "ownerReferences": [owner]}, "data": {
            "AWS_ACCESS_KEY_ID": text(key_id), "AWS_SECRET_ACCESS_KEY": text("secret"), "AWS_SESSION_TOKEN": text("token"),
            "AWS_CREDENTIAL_EXPIRATION": text("2026-01-01T01:00:00Z"), "AWS_REGION": text("eu-west-1")}})
    }

    fn failed(code: u16) -> (u16, Value) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "code": code});
        (code, status)
    }

    #[tokio::test]
    async fn the_program_follows_the_secret_and_outlives_a_short_outage() {
        let at = |time: &str| -> Timestamp { time.parse().unwrap() };
        let answers = vec![
            (200, secret("u", "ASIA1")),
            (200, secret("u", "ASIA2")),
            failed(500),
            failed(500),
            (200, secret("u", "WITHDRAWN by keyturn: NotGranted")),
            (200, secret("u", "ASIA3")),
            failed(403),
            failed(500),
            (200, secret("another", "ASIA4")),
        ];
        let live = answering(answers);
        let variables = live.first(at("2026-01-01T00:00:00Z")).await.unwrap();
        assert_eq!(variables, [("AWS_REGION".to_owned(), "eu-west-1".to_owned())]);
        let rows = [
            ("renewed", "2026-01-01T00:01:00Z", 200, "ASIA2"),
            ("an outage", "2026-01-01T00:02:00Z", 200, "ASIA2"),
            ("a long outage", "2026-01-01T00:07:00Z", 503, "NotIssued"),
            ("withdrawn", "2026-01-01T00:08:00Z", 404, "NotGranted"),
            ("issued again", "2026-01-01T00:09:00Z", 200, "ASIA3"),
            ("the right is taken", "2026-01-01T00:10:00Z", 503, "NotIssued"),
            ("an outage after that", "2026-01-01T00:10:01Z", 503, "NotIssued"),
            ("another owner's Secret", "2026-01-01T00:11:00Z", 503, "NotIssued"),
        ];
        for (row, time, status, part) in rows {
            let answer = live.answer(at(time)).await;
            assert!(answer.status == status && answer.body.contains(part), "{row}: {} {}", answer.status, answer.body);
        }
    }

    #[tokio::test]
    async fn a_program_is_not_run_without_a_live_credential() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let rows = [
            ("withdrawn", (200, secret("u", "WITHDRAWN by keyturn: Suspended")), "holds no live credential: WITHDRAWN"),
            ("another owner's", (200, secret("another", "ASIA")), "holds no credential of AwsConfig"),
            ("no right", failed(403), "a cluster admin can give you this right"),
        ];
        for (row, answer, part) in rows {
            let failed = answering(vec![answer]).first(now).await.unwrap_err();
            assert!(failed.message.contains(part) && !failed.message.contains("secret\""), "{row}: {failed}");
        }
    }

    #[test]
    fn the_other_variables_of_a_secret_are_those_of_the_program() {
        let data = data(&[
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "ASIA"),
            ("config", "[default]"),
            ("DKU_DSS_URL", "u"),
        ]);
        let kept =
            [("AWS_REGION", "eu-west-1"), ("DKU_DSS_URL", "u")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(others(&data), kept);
    }
}

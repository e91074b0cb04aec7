//! ENDPOINT: the answers of the endpoint in a pod, for SDKs that cannot read the mounted Secret.
//! Pure: `serve` reads the files and owns the port.
//!
//! The endpoint speaks the container credentials protocol of ECS and of EKS Pod Identity
//! ("Container credential provider" in the AWS SDKs and Tools Reference Guide). An SDK sends `GET`
//! with a token in `Authorization`. The answer is a credential with its expiry, or an error with a
//! code and a message. An SDK that has the variables of this protocol searches no further after an
//! error.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::hint::black_box;

/// The key of the Secret that holds the whole credential. One file is read at once, therefore an
/// answer never mixes two sessions.
pub const SOURCE: &str = "credential-process.json";

/// The longest time for which an SDK keeps an answer. A key has no expiry of its own, and botocore
/// and the SDK for JavaScript refuse an answer without one. A session may be withdrawn before its
/// end. botocore asks again 15 minutes before the expiry and reports errors from 10 minutes before
/// it (`RefreshableCredentials`), and Java v2 asks 15 minutes before it, therefore these SDKs ask
/// every minute.
pub const KEPT_FOR: SignedDuration = SignedDuration::from_mins(16);

/// The beginning of the reason in the file of a withdrawn credential.
const WITHDRAWN: &str = "WITHDRAWN";

/// An answer of the protocol. It has no `Debug` output, because it may hold a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, as JSON.
    pub body: String,
}

/// The contents of [`SOURCE`]: version 1 of the contract of `credential_process`. In a withdrawn
/// Secret the version is a text that begins with `WITHDRAWN`, and there are no keys.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Process {
    version: Version,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    expiration: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Version {
    Number(u8),
    Text(String),
}

/// The body with a credential. `Token` is empty for a key, because botocore and the SDK for
/// JavaScript refuse a body without it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credential<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
}

/// The body of an error.
#[derive(Serialize)]
struct Refusal<'a> {
    code: &'a str,
    message: &'a str,
}

/// Returns the answer for these contents of [`SOURCE`], which are `None` while the file is missing.
///
/// The status of a withdrawn credential is 404, because SDKs retry it least often. The status of a
/// credential that may come back by itself is 503, because SDKs retry it.
#[must_use]
pub fn answer(contents: Option<&[u8]>, now: Timestamp) -> Answer {
    let Some(contents) = contents else {
        return refusal(503, "NotIssued", "keyturn has issued no credential yet: see the conditions of the AwsConfig");
    };
    let unreadable = || refusal(500, "Unreadable", "keyturn's Secret does not hold what keyturn writes: it was edited");
    let Ok(process) = serde_json::from_slice::<Process>(contents) else { return unreadable() };
    match (&process.version, &process.access_key_id, &process.secret_access_key) {
        (Version::Text(reason), ..) if reason.starts_with(WITHDRAWN) => refusal(404, "Withdrawn", reason),
        (Version::Number(1), Some(id), Some(secret)) => live(id, secret, &process, now),
        _ => unreadable(),
    }
}

fn live(id: &str, secret: &str, process: &Process, now: Timestamp) -> Answer {
    if let Some(end) = process.expiration.filter(|end| *end <= now) {
        let message =
            format!("the session of keyturn expired at {end} and was not renewed: see the conditions of the AwsConfig");
        return refusal(503, "Expired", &message);
    }
    let kept = now.checked_add(KEPT_FOR).unwrap_or(Timestamp::MAX);
    let kept = Timestamp::from_second(kept.as_second()).unwrap_or(kept);
    let expiration = process.expiration.map_or(kept, |end| end.min(kept)).to_string();
    let token = process.session_token.as_deref().unwrap_or_default();
    json(200, &Credential { access_key_id: id, secret_access_key: secret, token, expiration })
}

/// The answer to a request without the token of the pod.
#[must_use]
pub fn unauthorized() -> Answer {
    refusal(401, "Unauthorized", "the header Authorization does not hold the token of this pod's keyturn endpoint")
}

fn refusal(status: u16, code: &str, message: &str) -> Answer {
    json(status, &Refusal { code, message })
}

fn json(status: u16, body: &impl Serialize) -> Answer {
    Answer { status, body: serde_json::to_string(body).unwrap_or_default() }
}

/// Whether a request holds the token. The time that this takes does not depend on the place of the
/// first difference.
#[must_use]
pub fn is_the_token(sent: &[u8], token: &[u8]) -> bool {
    let difference = sent.iter().zip(token).fold(0, |difference, (a, b)| black_box(difference | (a ^ b)));
    sent.len() == token.len() && !token.is_empty() && difference == 0
}

/// Returns the Secret's file `config` with the profile `default` without `credential_process`. SDKs
/// prefer a profile with a credential to the endpoint, and still need the region.
///
/// The other profiles keep a command, because the endpoint gives every program the session of
/// `default`, and a program that asks for another profile must not get that. The command prints the
/// profile's file in the folder `secret`, whatever the profile was when the endpoint started.
#[must_use]
pub fn without_credential(config: &str, secret: &str) -> String {
    let mut profile = None;
    let line_of_ours = |line: &str| {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            profile = section.strip_prefix("profile ").map(str::to_owned);
        }
        let leads = line.split('=').next().unwrap_or_default().trim() == "credential_process";
        match (&profile, leads) {
            (_, false) => Some(format!("{line}\n")),
            (Some(name), true) => Some(format!("credential_process = cat {secret}/credential-process-{name}.json\n")),
            (None, true) => None,
        }
    };
    config.lines().filter_map(line_of_ours).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::Reason,
        credentials::Credentials,
        secret::{Main, ProfilePart, Rendering, render, render_all, render_withdrawn},
    };
    use serde_json::{Value, from_str, json};
    use std::collections::BTreeMap;

    fn rendering() -> Rendering {
        Rendering {
            formats: crate::api::Format::DEFAULT.to_vec(),
            region: Some("eu-west-1".into()),
            default_bucket: None,
            extra_buckets: vec![],
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            dss: None,
            data_robot: None,
        }
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00.25Z".parse().unwrap()
    }

    /// The answer for the Secret of a credential with this session token and expiry.
    fn answered(session_token: Option<&str>, end: Option<&str>) -> (u16, Value) {
        let credentials = Credentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "secret".into(),
            session_token: session_token.map(Into::into),
        };
        let content = render(&rendering(), &credentials, end.map(|end| end.parse().unwrap()), None).unwrap();
        let Answer { status, body } = answer(content.0.get(SOURCE).map(Vec::as_slice), now());
        (status, from_str(&body).unwrap())
    }

    #[test]
    fn a_live_credential_is_answered_with_its_expiry_or_an_earlier_one() {
        let kept = "2026-01-01T00:16:00Z";
        for (case, token, end, expiration) in [
            ("a session near its end", Some("token"), Some("2026-01-01T00:10:00Z"), "2026-01-01T00:10:00Z"),
            ("a long session", Some("token"), Some("2026-01-01T12:00:00Z"), kept),
            ("a key", None, None, kept),
        ] {
            let body = json!({
                "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "secret", "Token": token.unwrap_or_default(),
                "Expiration": expiration,
            });
            assert_eq!(answered(token, end), (200, body), "{case}");
        }
    }

    #[test]
    fn a_credential_that_cannot_be_used_is_an_error_with_its_reason() {
        let withdrawn = render_withdrawn(&rendering(), Reason::Suspended).unwrap();
        let withdrawn = withdrawn.0.get(SOURCE).map(Vec::as_slice);
        let half = br#"{"Version": 1, "AccessKeyId": "ASIAEXAMPLE"}"#;
        let other = br#"{"Version": 2, "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "secret"}"#;
        for (case, contents, status, code, said) in [
            ("withdrawn", withdrawn, 404, "Withdrawn", "WITHDRAWN by keyturn: Suspended"),
            ("not issued", None, 503, "NotIssued", "no credential yet"),
            ("no JSON", Some(&b"x"[..]), 500, "Unreadable", "edited"),
            ("a half", Some(half), 500, "Unreadable", "edited"),
            ("another version", Some(other), 500, "Unreadable", "edited"),
        ] {
            let answer = answer(contents, now());
            let body: Value = from_str(&answer.body).unwrap();
            assert_eq!((answer.status, body["code"].as_str()), (status, Some(code)), "{case}");
            assert!(body["message"].as_str().unwrap().contains(said), "{case}: {body}");
            assert!(!answer.body.contains("ASIAEXAMPLE"), "{case}: {body}");
        }
        let (status, body) = answered(Some("token"), Some("2026-01-01T00:00:00Z"));
        assert_eq!((status, body["code"].as_str()), (503, Some("Expired")), "{body}");
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        for (sent, token, is_it) in
            [("abc", "abc", true), ("abd", "abc", false), ("ab", "abc", false), ("abcd", "abc", false), ("", "", false)]
        {
            assert_eq!(is_the_token(sent.as_bytes(), token.as_bytes()), is_it, "{sent:?} {token:?}");
        }
    }

    #[test]
    fn the_profile_keeps_its_region_and_leads_to_no_credential() {
        let none = Credentials { access_key_id: "A".into(), secret_access_key: "s".into(), session_token: None };
        let content = render(&rendering(), &none, None, None).unwrap();
        let profile = without_credential(std::str::from_utf8(&content.0["config"]).unwrap(), "/secret");
        assert!(profile.contains("[default]") && profile.contains("eu-west-1"), "{profile}");
        assert!(!profile.contains("credential_process"), "{profile}");
        assert_eq!(without_credential("", "/secret"), "");
    }

    #[test]
    fn a_program_that_asks_for_a_profile_never_gets_the_default() {
        let lake = ProfilePart::withdrawn_for("lake", None, Reason::NotGranted);
        let content = render_all(&rendering(), Main::Withdrawn(Reason::Pending), &[lake]).unwrap();
        let config = without_credential(std::str::from_utf8(&content.0["config"]).unwrap(), "/secret");
        assert_eq!(
            config,
            "[default]\nregion = eu-west-1\n\n[profile lake]\nregion = eu-west-1\n\
             credential_process = cat /secret/credential-process-lake.json\n",
            "also if the profile was withdrawn when the endpoint started"
        );
    }
}

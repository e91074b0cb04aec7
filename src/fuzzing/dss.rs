//! Answers of DSS: DSS writes them, a proxy before it, or anybody who answers in its place.

use super::promise;
use crate::dss::{Dss, DssError, Lost, Scheme, Wire};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use serde_json::Value;
use std::{fmt::Debug, str::from_utf8, sync::Arc};

/// The admin key.
const KEY: &str = "dkuaps-0123456789-admin";
/// The fields of answers that hold a secret.
const SECRETS: [&str; 4] = ["key", "secretKey", "sessionToken", "value"];
/// The longest error, in characters.
const LONGEST: usize = 1_000;

/// A DSS that gives every call the same answer.
#[derive(Debug)]
struct Always(Response<Bytes>);

impl Wire for Always {
    fn send(&self, _: Request<String>, most: usize) -> BoxFuture<'_, Result<Response<Bytes>, Lost>> {
        let is_too_long = self.0.body().len() > most;
        let answer = if is_too_long { Err(Lost::TooLong) } else { Ok(self.0.clone()) };
        Box::pin(std::future::ready(answer))
    }
}

/// What came of a call, as a log would show it.
#[derive(Debug, PartialEq)]
enum Shown {
    Value(String),
    Error(String),
}

impl Shown {
    fn of<T: Debug>(outcome: Result<T, DssError>) -> Self {
        match outcome {
            Ok(value) => Self::Value(format!("{value:?}")),
            Err(error) => Self::Error(format!("{error} {error:?}")),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Value(text) | Self::Error(text) => text,
        }
    }
}

/// No error quotes the admin key, even if the answer does. An answer of success is never quoted in
/// an error. No `Debug` output shows a secret of an answer.
///
/// # Errors
/// The promise that the answer breaks.
pub(super) fn an_answer_shows_no_secret(data: &[u8]) -> Result<(), String> {
    let answer = answer(data);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let shown = runtime.block_on(calls(answer.clone()));
    for shown in &shown {
        let is_shown = [KEY, &STANDARD.encode(format!("{KEY}:"))].iter().any(|key| shown.text().contains(key));
        let may_be_shown = matches!(shown, Shown::Value(text) if !text.contains("dssVersion"));
        promise(!is_shown || may_be_shown, || format!("the admin key is shown: {shown:?}"))?;
        if let Shown::Error(text) = shown {
            let is_plain = text.chars().count() < 3 * LONGEST && !text.chars().any(char::is_control);
            promise(is_plain, || format!("a long error, or one of several lines: {text:?}"))?;
        }
    }
    if !answer.status().is_success() {
        return Ok(());
    }
    // The errors say the same of another answer that begins alike. An answer of white space alone
    // is not the same as no answer.
    let alike: &[u8] = match answer.body().iter().find(|byte| !byte.is_ascii_whitespace()) {
        None if answer.body().is_empty() => b"",
        None => b" ",
        Some(b'<') => b"<",
        Some(_) => b"?",
    };
    let alike = Bytes::from_static(alike);
    let others = runtime.block_on(calls(answer.clone().map(|_| alike)));
    for (shown, other) in shown.iter().zip(&others).filter(|(shown, _)| matches!(shown, Shown::Error(_))) {
        promise(shown == other, || format!("an error depends on the answer: {shown:?}"))?;
    }
    let Ok(whole) = serde_json::from_slice::<Value>(answer.body()) else { return Ok(()) };
    let masked = |value: &Value| answer.clone().map(|_| Bytes::from(value.to_string()));
    let before = runtime.block_on(calls(masked(&whole)));
    let after = runtime.block_on(calls(masked(&mask(whole))));
    for (before, after) in before.iter().zip(&after) {
        promise(before == after, || format!("a secret is shown: {before:?}, and masked {after:?}"))?;
    }
    Ok(())
}

/// The answer that the input describes: a status and headers, an empty line, and a body. An input
/// of another form is a body.
fn answer(data: &[u8]) -> Response<Bytes> {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let head = end.and_then(|end| from_utf8(&data[..end]).ok());
    let body = end.filter(|_| head.is_some()).map_or(data, |end| &data[end + 2..]);
    let mut lines = head.unwrap_or_default().lines();
    let status = lines.next().and_then(|line| line.parse().ok()).and_then(|code: u16| StatusCode::from_u16(code).ok());
    let mut answer = Response::new(Bytes::copy_from_slice(body));
    *answer.status_mut() = status.unwrap_or(StatusCode::OK);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// What comes of every call of the client.
async fn calls(answer: Response<Bytes>) -> Vec<Shown> {
    let wire = Arc::new(Always(answer));
    let Ok(dss) = Dss::new("https://dss.example.com/base", &KEY.into(), Scheme::Basic, wire) else { return vec![] };
    let alice = dss.as_user("alice");
    vec![
        Shown::of(dss.version().await.map(|version| format!("dssVersion {version:?}"))),
        Shown::of(dss.users().await),
        Shown::of(dss.user("alice").await),
        Shown::of(dss.may_administer("alice").await),
        Shown::of(alice.auth_info().await.map(|info| (info.login().map(str::to_owned), info.kind()))),
        Shown::of(alice.connection("s3", None).await),
        Shown::of(dss.personal_keys().await),
        Shown::of(dss.create_personal_key("alice", "label", "why").await),
        Shown::of(dss.delete_personal_key("1", "alice").await),
        Shown::of(dss.delete_own_key("1", "alice").await),
    ]
}

/// The answer with another text in place of each secret.
fn mask(value: Value) -> Value {
    match value {
        Value::Array(list) => list.into_iter().map(mask).collect(),
        Value::Object(fields) => {
            let masked = fields.into_iter().map(|(name, value)| {
                let value = match value {
                    Value::String(_) if SECRETS.contains(&name.as_str()) => Value::from("?"),
                    Value::Object(properties) if name == "adminProperties" => mask_texts(properties),
                    value => mask(value),
                };
                (name, value)
            });
            masked.collect()
        }
        value => value,
    }
}

/// Admin properties are for administrators of DSS only.
fn mask_texts(properties: serde_json::Map<String, Value>) -> Value {
    let mask = |value: Value| if value.is_string() { Value::from("?") } else { value };
    properties.into_iter().map(|(name, value)| (name, mask(value))).collect()
}

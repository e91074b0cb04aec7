//! One call: how it is sent, how its answer is read, and when it is retried.

use super::{
    Kind, RestError, Service,
    wire::{Lost, Received},
};
use crate::spans::{Described, traced};
use backon::{ExponentialBuilder, Retryable as _};
use http::{HeaderMap, Method, Request, StatusCode, header};
use jiff::fmt::rfc2822;
use secrecy::ExposeSecret;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use url::Url;

/// The longest time of one attempt, in seconds. A DSS needs several seconds for a listing of
/// thousands of users.
const TIMEOUT_SECONDS: u64 = 30;
/// The number of retries of a call that is idempotent. Other calls are not retried.
const RETRIES: usize = 2;
/// The longest `Retry-After` that a call waits for. A longer one ends the call, and the error
/// reports it.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const ANSWER: usize = 1 << 20;
/// The longest listing that is read, in bytes: enough for about 5,000 users of a DSS with their
/// settings.
pub const LISTING: usize = 16 << 20;
/// The longest quotation of the system's own error message, in characters.
const QUOTED: usize = 300;

/// The length of a part of a secret that no message may quote, in bytes.
const QUOTED_PART: usize = 8;

/// A call while it is assembled.
pub struct Call<'a> {
    service: &'a Service,
    method: Method,
    url: Url,
    route: String,
    is_a_step: bool,
    body: Option<String>,
    most: usize,
    retries: usize,
    hidden: Vec<String>,
}

/// An answer. A listing keeps its turn until the answer has been parsed, because both are in memory
/// until then.
struct Answered<'a> {
    received: Received,
    _turn: Option<SemaphorePermit<'a>>,
}

impl<'a> Call<'a> {
    /// Encodes every element of the path on its own. No name can reach another route. The names `.`
    /// and `..` stay steps of a path in any encoding; a call with one of them is not sent.
    #[must_use]
    pub fn new(service: &'a Service, method: Method, path: &[&str]) -> Self {
        let mut url = service.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let is_a_step = path.iter().any(|name| matches!(*name, "." | ".."));
        let retries = if method.is_idempotent() { RETRIES } else { 0 };
        Self {
            service,
            method,
            url,
            route: path.join("/"),
            is_a_step,
            body: None,
            most: ANSWER,
            retries,
            hidden: vec![],
        }
    }

    /// Adds a parameter to the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Sends this JSON as the body.
    #[must_use]
    pub fn body(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(body.to_string());
        self
    }

    /// Limits the answer to this many bytes.
    #[must_use]
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// Sends the call once, also if it is idempotent.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.retries = 0;
        self
    }

    /// Lets no error quote a part of these texts, which are in the body.
    #[must_use]
    pub fn hiding(mut self, texts: Vec<String>) -> Self {
        self.hidden = texts;
        self
    }

    /// Sends the call and parses the answer. Also returns how to make an error of what the answer
    /// says.
    ///
    /// # Errors
    /// The system cannot be reached or refuses the call; [`RestError::kind`] says which.
    pub async fn json_or_refusal<T: DeserializeOwned>(
        self,
    ) -> Result<(T, impl Fn(Kind, &str) -> RestError + use<'a, T>), RestError> {
        let answer = self.send().await?.received;
        let read = self.read(&answer)?;
        drop(answer);
        Ok((read, move |kind, said: &str| self.error(kind, self.one_line(said))))
    }

    /// Sends the call and parses the answer.
    ///
    /// # Errors
    /// The system cannot be reached or refuses the call; [`RestError::kind`] says which.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, RestError> {
        let answer = self.send().await?;
        self.read(&answer.received)
    }

    /// Sends the call and parses the answer. An answer that is not `whole` is unreadable.
    ///
    /// # Errors
    /// The system cannot be reached or refuses the call; [`RestError::kind`] says which.
    pub async fn json_if<T: DeserializeOwned>(self, whole: impl Fn(&T) -> bool) -> Result<T, RestError> {
        let answer = self.send().await?.received;
        let read = self.read(&answer)?;
        if whole(&read) { Ok(read) } else { Err(self.error(Kind::Unreadable, self.no_json(answer.status(), &answer))) }
    }

    /// Sends the call and parses the answer. `None` if the system answers "not found".
    ///
    /// # Errors
    /// The system cannot be reached or refuses the call; [`RestError::kind`] says which.
    pub async fn json_if_there<T: DeserializeOwned>(self) -> Result<Option<T>, RestError> {
        match self.json().await {
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Sends a call whose answer is empty, like that of a deletion, or JSON that does not matter.
    ///
    /// # Errors
    /// The system cannot be reached or refuses the call; [`RestError::kind`] says which.
    pub async fn done(self) -> Result<(), RestError> {
        let answer = self.send().await?.received;
        if answer.body().is_empty() { Ok(()) } else { self.read::<IgnoredAny>(&answer).map(drop) }
    }

    fn read<T: DeserializeOwned>(&self, answer: &Received) -> Result<T, RestError> {
        serde_json::from_slice(answer.body())
            // The parser's error is dropped, because it may quote the answer.
            .map_err(|_| self.error(Kind::Unreadable, self.no_json(answer.status(), answer)))
    }

    async fn send(&self) -> Result<Answered<'_>, RestError> {
        let backoff =
            ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_max_times(self.retries);
        let may_pass = |error: &RestError| {
            matches!(error.kind, Kind::Unreachable | Kind::Failed)
                && error.retry_after.is_none_or(|wait| wait <= LONGEST_WAIT)
        };
        (|| self.attempt())
            .retry(backoff)
            .sleep(tokio::time::sleep)
            .when(may_pass)
            .adjust(|error: &RestError, wait| wait.map(|wait| error.retry_after.unwrap_or(wait)))
            .await
    }

    async fn attempt(&self) -> Result<Answered<'_>, RestError> {
        traced(self.service.dialect.system, || self.described(), |error| error.kind, Box::pin(self.attempt_untraced()))
            .await
    }

    /// The call for a trace. Of the route it has the first two parts, because a later one may be
    /// the ID of an API key.
    fn described(&self) -> Described {
        let route: Vec<&str> = self.route.split('/').take(2).collect();
        Described { kind: format!("{} /{}", self.method, route.join("/")), object: None }
    }

    async fn attempt_untraced(&self) -> Result<Answered<'_>, RestError> {
        let request = self.request()?;
        // The time limit begins after the wait, because another system may be slow.
        let turn = if self.most > ANSWER { self.service.listings.acquire().await.ok() } else { None };
        let sent = self.service.wire.send(request, self.most);
        let answer = match tokio::time::timeout(Duration::from_secs(TIMEOUT_SECONDS), sent).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(Lost::Unreachable(why))) => return Err(self.error(Kind::Unreachable, why)),
            Ok(Err(Lost::TooLong)) => {
                let said = format!("the answer is longer than {} KiB, so it was not read", self.most >> 10);
                return Err(self.error(Kind::Unreadable, said));
            }
            Err(_) => {
                return Err(self.error(Kind::Unreachable, format!("no answer within {TIMEOUT_SECONDS} s")));
            }
        };
        self.understand(answer).map(|received| Answered { received, _turn: turn })
    }

    fn request(&self) -> Result<Request<String>, RestError> {
        if self.is_a_step {
            return Err(self.error(
                Kind::NotFound,
                format!("nothing can have that name, so {} was not asked", self.service.dialect.system),
            ));
        }
        let broken = || self.error(Kind::Refused, "the request cannot be written".to_owned());
        if !self.service.headers.contains_key(header::AUTHORIZATION) && !self.service.keys.is_empty() {
            return Err(broken());
        }
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.url.as_str())
            .header(header::ACCEPT, "application/json");
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.service.headers.clone());
        }
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(self.body.clone().unwrap_or_default()).map_err(|_| broken())
    }

    fn understand(&self, answer: Received) -> Result<Received, RestError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        if status.is_redirection() {
            let to = answer.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
            let to = to.and_then(|to| self.url.join(to).ok()).map(|to| format!(" to {}", origin(&to)));
            // The server that answers knows the key, and may quote it in the name of a host.
            let to = to.filter(|to| !self.service.quotes_key(to));
            let said = format!(
                "it redirects{}, where {} is not sent; is the URL that of {}?",
                to.unwrap_or_default(),
                self.service.dialect.key,
                self.service.dialect.system
            );
            return Err(self.error(Kind::Unreadable, said));
        }
        let said = (self.service.dialect.said)(answer.body());
        let kind = match (status, &said) {
            // Always transient, whether the system or a proxy sends it.
            (StatusCode::TOO_MANY_REQUESTS, _) => Kind::Unreachable,
            (status, None) if status.is_server_error() => Kind::Unreachable,
            (status, Some(_)) if status.is_server_error() => Kind::Failed,
            (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, None) => Kind::NoRoute,
            (_, None) => Kind::Unreadable,
            (StatusCode::UNAUTHORIZED, _) => Kind::Unauthenticated,
            (StatusCode::FORBIDDEN, _) => Kind::Denied,
            (StatusCode::NOT_FOUND, _) => Kind::NotFound,
            _ => Kind::Refused,
        };
        let words = said.map_or_else(|| self.no_json(status, &answer), |said| self.quoted(status, &said));
        let mut error = self.error(kind, words);
        error.retry_after = retry_after(answer.headers());
        Err(error)
    }

    fn quoted(&self, status: StatusCode, said: &str) -> String {
        format!("HTTP {}, {}", status.as_u16(), self.one_line(said))
    }

    /// The words of the system on one line, without the keys. They may quote the request, and with
    /// it the keys and the texts that are hidden. If they quote a part of a hidden text, nothing of
    /// them is left.
    fn one_line(&self, said: &str) -> String {
        let keys = self.service.keys.iter().map(ExposeSecret::expose_secret).filter(|key| !key.is_empty());
        let said = keys.fold(said.to_owned(), |said, key| said.replace(key, "…"));
        if self.hidden.iter().any(|hidden| quotes_a_part(&said, hidden)) {
            return "with a message that quotes what keyturn sent, and is not repeated here".to_owned();
        }
        let line: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTED).collect();
        line.trim().trim_end_matches('.').to_owned()
    }

    fn no_json(&self, status: StatusCode, answer: &Received) -> String {
        let what = match answer.body().iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => "nothing",
            Some(b'<') => "a web page",
            Some(_) => "something",
        };
        let host = self.url.host_str().unwrap_or_default();
        let system = self.service.dialect.system;
        format!("HTTP {}, with {what} that is no answer of the {system} API; what is at {host}?", status.as_u16())
    }

    fn error(&self, kind: Kind, said: String) -> RestError {
        let who = self.service.as_user.as_deref().map(|login| format!(" as \"{login}\"")).unwrap_or_default();
        let tried = format!("{} /{} at {}{who}", self.method, self.route, origin(&self.service.base));
        RestError { tried, kind, said, retry_after: None }
    }
}

/// Whether a text holds a part of a secret: eight bytes in a row, or all of a shorter one.
fn quotes_a_part(text: &str, secret: &str) -> bool {
    let secret = secret.as_bytes();
    let parts = secret.windows(QUOTED_PART.min(secret.len()).max(1));
    parts.into_iter().any(|part| text.as_bytes().windows(part.len()).any(|other| other == part))
}

/// Scheme, host and port of a URL, without the rest of it.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The duration of `Retry-After`, which holds seconds or a date (RFC 9110, 10.2.3). A date counts
/// from the answer's own `Date`, because then only the server's clock matters.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let said = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = said.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| rfc2822::parse(text).ok().map(|at| at.timestamp());
    let wait = date(said)?.duration_since(date(text(header::DATE)?)?);
    Some(Duration::try_from(wait).unwrap_or_default())
}

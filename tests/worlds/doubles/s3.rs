//! A double of S3 that knows the sessions of the double of STS. A caller with a session that has
//! not expired may list any bucket. Every other caller gets the error that S3 gives. The double
//! does not verify signatures of lists. A session's token has to belong to its key.
//!
//! It verifies the signature of a HEAD of a bucket, because keyturn signs that request itself.
//!
//! * `s3/head.rs`: HEAD of a bucket

mod head;

pub use head::Head;

use super::{
    sts::{InProcess, Sts},
    wire::{self, Clock, Listening},
};
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::SignedDuration;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

/// A call that S3 got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The listed bucket.
    pub bucket: String,
    /// The access key ID that signed the call.
    pub access_key_id: String,
    /// The code of the error, if the call was refused.
    pub refused: Option<&'static str>,
}

/// S3. Clones are the same S3.
#[derive(Clone)]
pub struct S3 {
    sts: Sts,
    clock: Clock,
    calls: Arc<Mutex<Vec<Call>>>,
    heads: Arc<Mutex<Vec<Head>>>,
    buckets: Arc<Mutex<BTreeMap<String, Bucket>>>,
    /// The secrets of access keys that are no session's.
    keys: Arc<Mutex<BTreeMap<String, String>>>,
}

/// What a test says of a bucket. Every bucket exists and is everybody's, if no test says otherwise.
#[derive(Clone, Debug, Default)]
struct Bucket {
    home: Option<String>,
    refusal: Option<u16>,
    is_silent: bool,
}

impl S3 {
    /// An S3 for the sessions of this STS.
    pub fn new(sts: Sts, clock: Clock) -> Self {
        Self { sts, clock, calls: Arc::default(), heads: Arc::default(), buckets: Arc::default(), keys: Arc::default() }
    }

    fn router(&self) -> Router {
        Router::new().route("/{bucket}", get(list).head(head::head)).with_state(self.clone())
    }

    /// An HTTP client that reaches this S3 without a socket, whatever the URL.
    pub fn http_client(&self) -> InProcess {
        InProcess::new(self.router())
    }

    /// Listens on TCP until the returned value is dropped. Port 0 takes a free one.
    pub async fn serve(&self, addr: SocketAddr) -> io::Result<Listening> {
        wire::serve(self.router(), addr).await
    }

    /// The calls for a bucket, in the order of arrival.
    pub fn calls(&self, bucket: &str) -> Vec<Call> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| call.bucket == bucket).cloned().collect()
    }

    /// The access keys by which a bucket was listed.
    pub fn keys(&self, bucket: &str) -> BTreeSet<String> {
        let listed = self.calls(bucket).into_iter().filter(|call| call.refused.is_none());
        listed.map(|call| call.access_key_id).collect()
    }

    /// The HEADs of all buckets, in the order of arrival.
    pub fn heads(&self) -> Vec<Head> {
        self.heads.lock().unwrap().clone()
    }

    /// Forgets all calls.
    pub fn clear(&self) {
        self.calls.lock().unwrap().clear();
        self.heads.lock().unwrap().clear();
    }

    /// Lets S3 answer every HEAD of a bucket with this status.
    pub fn refuse(&self, bucket: &str, status: u16) {
        self.buckets.lock().unwrap().entry(bucket.to_owned()).or_default().refusal = Some(status);
    }

    /// Lets a bucket be in this region.
    pub fn place(&self, bucket: &str, region: &str) {
        self.buckets.lock().unwrap().entry(bucket.to_owned()).or_default().home = Some(region.to_owned());
    }

    /// Lets S3 answer no HEAD of a bucket, or answer again.
    pub fn silence(&self, bucket: &str, is_silent: bool) {
        self.buckets.lock().unwrap().entry(bucket.to_owned()).or_default().is_silent = is_silent;
    }

    /// Lets S3 know an access key that is no session's.
    pub fn know_key(&self, access_key_id: &str, secret: &str) {
        self.keys.lock().unwrap().insert(access_key_id.to_owned(), secret.to_owned());
    }

    fn bucket(&self, name: &str) -> (Option<String>, Option<u16>, bool) {
        let bucket = self.buckets.lock().unwrap().get(name).cloned().unwrap_or_default();
        (bucket.home, bucket.refusal, bucket.is_silent)
    }

    fn record(&self, head: Head) {
        self.heads.lock().unwrap().push(head);
    }

    /// The secret access key and the session token of an access key; the token of a key is empty.
    fn secret_of(&self, access_key_id: &str) -> Option<(String, String)> {
        if let Some(session) = self.sts.session(access_key_id) {
            return Some((session.secret_access_key, session.session_token));
        }
        self.keys.lock().unwrap().get(access_key_id).map(|secret| (secret.clone(), String::new()))
    }

    fn check(&self, access_key_id: &str, token: &str) -> Option<&'static str> {
        let Some(session) = self.sts.session(access_key_id) else { return Some("InvalidAccessKeyId") };
        if session.session_token != token {
            return Some("InvalidToken");
        }
        // The time of the signature counts, so a call is not refused because of its time on the
        // wire.
        ((self.clock)() >= session.expiration + SignedDuration::from_secs(1)).then_some("ExpiredToken")
    }
}

async fn list(State(s3): State<S3>, Path(bucket): Path<String>, headers: HeaderMap) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signed = text(header::AUTHORIZATION.as_str());
    let access_key_id = signed.split_once("Credential=").and_then(|(_, rest)| rest.split_once('/'));
    let access_key_id = access_key_id.map(|(key, _)| key.to_owned()).unwrap_or_default();
    let refused = s3.check(&access_key_id, text("x-amz-security-token"));
    s3.calls.lock().unwrap().push(Call { bucket: bucket.clone(), access_key_id, refused });
    let (status, xml) = match refused {
        None => (
            StatusCode::OK,
            format!(
                "<ListBucketResult><Name>{bucket}</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
            ),
        ),
        Some(code) => {
            let status = if code == "InvalidAccessKeyId" { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
            (status, format!("<Error><Code>{code}</Code><Message>The provided token is no good.</Message></Error>"))
        }
    };
    (status, [(header::CONTENT_TYPE, "application/xml")], xml).into_response()
}

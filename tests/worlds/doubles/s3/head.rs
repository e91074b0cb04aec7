//! HEAD of a bucket, as S3 answers it: the signature first, then the region of the bucket, then
//! the policies.

use super::S3;
use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use sha2::{Digest as _, Sha256};

/// The longest difference between the time of a signature and the present.
const SIGNING_TOLERANCE: SignedDuration = SignedDuration::from_mins(15);
/// The length of a block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// A HEAD that S3 got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The bucket.
    pub bucket: String,
    /// The host that was called.
    pub host: String,
    /// The region that the signature is for.
    pub region: String,
    /// The access key ID that signed the call.
    pub access_key_id: String,
    /// The status that was answered.
    pub status: u16,
}

/// What a signature claims.
struct Claim {
    access_key_id: String,
    region: String,
    scope: String,
    headers: String,
    signature: String,
}

pub(super) async fn head(State(s3): State<S3>, Path(bucket): Path<String>, request: Request) -> Response {
    let host = request.uri().authority().map(ToString::to_string);
    let host = host.or_else(|| Some(text(request.headers(), header::HOST.as_str()).to_owned())).unwrap_or_default();
    let claim = Claim::of(request.headers());
    let (access_key_id, region) =
        claim.as_ref().map(|claim| (claim.access_key_id.clone(), claim.region.clone())).unwrap_or_default();
    let (home, refusal, is_silent) = s3.bucket(&bucket);
    let home = home.unwrap_or_else(|| region.clone());
    let status = match claim {
        None => StatusCode::FORBIDDEN,
        Some(claim) if !s3.is_signed(&claim, &request, &host) => StatusCode::FORBIDDEN,
        Some(_) if home != region => StatusCode::MOVED_PERMANENTLY,
        Some(_) => refusal.map_or(StatusCode::OK, |status| StatusCode::from_u16(status).unwrap()),
    };
    s3.record(Head { bucket, host, region, access_key_id, status: status.as_u16() });
    if is_silent {
        return std::future::pending().await;
    }
    Response::builder()
        .status(status)
        .header("x-amz-request-id", "4442587FB7D0A2F9")
        .header("x-amz-bucket-region", home)
        .body(Body::empty())
        .unwrap()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

impl Claim {
    /// `AWS4-HMAC-SHA256 Credential=<key>/<scope>, SignedHeaders=<names>, Signature=<hex>`.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let parts = text(headers, header::AUTHORIZATION.as_str()).strip_prefix("AWS4-HMAC-SHA256 ")?;
        let part = |name: &str| {
            let found = parts.split(',').find_map(|part| part.trim().strip_prefix(name));
            found.map(str::to_owned)
        };
        let credential = part("Credential=")?;
        let (access_key_id, scope) = credential.split_once('/')?;
        let region = scope.split('/').nth(1)?.to_owned();
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            region,
            scope: scope.to_owned(),
            headers: part("SignedHeaders=")?,
            signature: part("Signature=")?,
        })
    }
}

impl S3 {
    /// Whether the owner of the access key signed this request a moment ago. It follows the
    /// description of Signature Version 4 in the IAM user guide, and shares no code with the
    /// client.
    fn is_signed(&self, claim: &Claim, request: &Request, host: &str) -> bool {
        let headers = request.headers();
        let Some((secret, token)) = self.secret_of(&claim.access_key_id) else { return false };
        let date = text(headers, "x-amz-date");
        let signed_at = DateTime::strptime("%Y%m%dT%H%M%SZ", date).and_then(|at| at.to_zoned(TimeZone::UTC));
        let age = signed_at.map(|at| self.now().duration_since(at.timestamp()).abs());
        if age.is_ok_and(|age| age > SIGNING_TOLERANCE) || text(headers, "x-amz-security-token") != token {
            return false;
        }
        let needed = ["host", "x-amz-content-sha256", "x-amz-date"];
        if needed.iter().any(|name| !claim.headers.split(';').any(|signed| signed == *name)) {
            return false;
        }
        let value = |name: &str| if name == "host" { host } else { text(headers, name) };
        let lines = claim.headers.split(';').fold(String::new(), |lines, name| lines + name + ":" + value(name) + "\n");
        let payload = text(headers, "x-amz-content-sha256");
        let canonical = format!("HEAD\n{}\n\n{lines}\n{}\n{payload}", request.uri().path(), claim.headers);
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{}\n{:x}", claim.scope, Sha256::digest(canonical));
        let first = format!("AWS4{secret}").into_bytes();
        let key = claim.scope.split('/').fold(first, |key, part| hmac(&key, part));
        hex(&hmac(&key, &to_sign)) == claim.signature && payload == format!("{:x}", Sha256::digest(""))
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

#[test]
fn the_hmac_is_that_of_rfc_4231() {
    let hex = hex(&hmac(b"Jefe", "what do ya want for nothing?"));
    assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

//! HEAD of a bucket: the one request to S3 that shows whether a credential reaches a bucket. It
//! reads no object and costs no data.
//!
//! The request is signed with the credential that is tried, and never with keyturn's own. It goes
//! through the connector of the STS client: the same trust, the same proxy, and no redirects.

use super::{Credentials, refusal::quoted, sts::signer};
use crate::{clock::Clock, network::innermost};
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4::SigningParams,
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector as _, SharedHttpConnector},
    identity::Identity,
    orchestrator::HttpRequest,
};
use aws_smithy_types::body::SdkBody;
use http::{HeaderMap, Request};
use std::time::Duration;

/// The longest time that S3 may take to answer, in seconds.
const TIMEOUT_SECONDS: u64 = 5;
/// The longest name of a region, in characters, as the schema bounds it.
const REGION: usize = 32;
/// The header in which S3 names the region of a bucket (S3 API reference, `HeadBucket`).
const BUCKET_REGION: &str = "x-amz-bucket-region";
/// The beginning of the headers that S3 sends with every answer, such as `x-amz-request-id`.
const OF_AMAZON: &str = "x-amz-";

/// A client of S3. Clones share the connections.
#[derive(Clone)]
pub struct S3 {
    connector: SharedHttpConnector,
    endpoint: Option<String>,
    region: String,
    clock: Clock,
}

/// The answer of S3 about a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketAnswer {
    /// S3 lets the caller look at the bucket.
    Shown,
    /// S3 refuses with this HTTP status. 403 is a refusal by a policy, 404 a bucket that does not
    /// exist. The answer has no body, and so no code.
    Refused(u16),
    /// S3 has said nothing about the bucket, for this reason.
    NoAnswer(String),
}

/// One answer, before a redirect to another region is followed.
struct Received {
    status: u16,
    region: Option<String>,
    is_of_s3: bool,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("S3")
    }
}

impl S3 {
    /// Calls through `connector`. `region` is the one of requests that name none. `endpoint` is a
    /// URL in place of the regional ones of AWS, to which every request goes.
    #[must_use]
    pub fn new(connector: SharedHttpConnector, region: String, endpoint: Option<String>, clock: Clock) -> Self {
        Self { connector, endpoint, region, clock }
    }

    /// Looks at a bucket with these credentials. If S3 says that the bucket is in another region,
    /// a second request goes there, and no third one.
    pub async fn head(&self, credentials: &Credentials, bucket: &str, region: Option<&str>) -> BucketAnswer {
        let region = region.unwrap_or(&self.region);
        let received = match self.head_in(credentials, bucket, region).await {
            Ok(Received { status: 301 | 307 | 400, region: Some(home), .. }) if home != region => {
                self.head_in(credentials, bucket, &home).await
            }
            received => received,
        };
        match received {
            Ok(received) => received.read(),
            Err(why) => BucketAnswer::NoAnswer(why),
        }
    }

    async fn head_in(&self, credentials: &Credentials, bucket: &str, region: &str) -> Result<Received, String> {
        let url = match &self.endpoint {
            Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            // No credential leaves its partition, whatever region a user or S3 names.
            None if domain(region) != domain(&self.region) => {
                return Err(format!("region {region} is in another partition than {}", self.region));
            }
            None => format!("https://s3.{region}.{}/{bucket}", domain(region)),
        };
        let request =
            self.signed(credentials, &url, region).ok_or_else(|| format!("no request to {url} can be made"))?;
        let sent = tokio::time::timeout(Duration::from_secs(TIMEOUT_SECONDS), self.connector.call(request)).await;
        let answer = sent.map_err(|_| format!("S3 did not answer within {TIMEOUT_SECONDS} s"))?;
        let answer = answer.map_err(|error| format!("S3 could not be reached: {}", quoted(&innermost(&error))))?;
        let headers = answer.headers();
        Ok(Received {
            status: answer.status().as_u16(),
            region: headers.get(BUCKET_REGION).filter(|name| is_region(name)).map(str::to_owned),
            is_of_s3: headers.iter().any(|(name, _)| name.starts_with(OF_AMAZON)),
        })
    }

    /// Signs by Signature Version 4 as S3 wants it: the path is encoded once and not normalized,
    /// and the digest of the body is a header (S3 user guide, "Authenticating Requests"). `None`
    /// if the URL is none.
    fn signed(&self, credentials: &Credentials, url: &str, region: &str) -> Option<HttpRequest> {
        let identity: Identity = signer(credentials).into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("s3")
            .time(self.clock.now().into())
            .settings(settings);
        let parameters = parameters.build().ok()?.into();
        let signable = SignableRequest::new("HEAD", url, std::iter::empty(), SignableBody::Bytes(&[])).ok()?;
        let (instructions, _) = sign(signable, &parameters).ok()?.into_parts();
        let mut request = Request::head(url).body(SdkBody::empty()).ok()?;
        *request.headers_mut() = HeaderMap::new();
        instructions.apply_to_request_http1x(&mut request);
        request.try_into().ok()
    }
}

impl Received {
    /// Proxies and gateways answer with the same statuses, and know nothing of buckets. Therefore
    /// a refusal counts only with a header that S3 always sends.
    fn read(&self) -> BucketAnswer {
        let status = self.status;
        match status {
            200 if self.is_of_s3 => BucketAnswer::Shown,
            429 | 503 => BucketAnswer::NoAnswer(format!("S3 asks for fewer requests (HTTP {status})")),
            500.. => BucketAnswer::NoAnswer(format!("S3 has a problem of its own (HTTP {status})")),
            400..=499 if self.is_of_s3 => BucketAnswer::Refused(status),
            _ => BucketAnswer::NoAnswer(format!(
                "HTTP {status} is no answer of S3; is a proxy in the way, or is the endpoint that of another service?"
            )),
        }
    }
}

/// The domain of AWS's endpoints in a region (the partitions of the AWS SDKs).
fn domain(region: &str) -> &'static str {
    let domains = [
        ("cn-", "amazonaws.com.cn"),
        ("eusc-", "amazonaws.eu"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("us-isof-", "csp.hci.ic.gov"),
    ];
    domains.into_iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("amazonaws.com", |(_, domain)| domain)
}

/// Whether a text is the name of a region. The name becomes a part of a host, therefore nothing
/// else may be in it.
fn is_region(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=REGION).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_as_s3_s_by_its_headers() {
        let rows = [
            ("shown", 200, true, BucketAnswer::Shown),
            ("denied", 403, true, BucketAnswer::Refused(403)),
            ("no such bucket", 404, true, BucketAnswer::Refused(404)),
            ("an expired token", 400, true, BucketAnswer::Refused(400)),
        ];
        for (row, status, is_of_s3, expected) in rows {
            assert_eq!(Received { status, region: None, is_of_s3 }.read(), expected, "{row}");
        }
        let rows = [
            ("a login page", 200, false, "proxy"),
            ("a proxy that denies", 403, false, "proxy"),
            ("a proxy that wants a password", 407, false, "proxy"),
            ("a redirect without a region", 301, true, "no answer of S3"),
            ("too many requests", 503, true, "fewer requests"),
            ("a gateway without a server", 502, false, "HTTP 502"),
        ];
        for (row, status, is_of_s3, part) in rows {
            let answer = Received { status, region: None, is_of_s3 }.read();
            assert!(matches!(&answer, BucketAnswer::NoAnswer(why) if why.contains(part)), "{row}: {answer:?}");
        }
    }

    #[test]
    fn a_region_has_the_domain_of_its_partition() {
        let rows = [
            ("eu-west-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("us-iso-east-1", "c2s.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
            ("eusc-de-east-1", "amazonaws.eu"),
        ];
        for (region, expected) in rows {
            assert_eq!(domain(region), expected, "{region}");
        }
    }

    #[test]
    fn a_region_that_s3_names_cannot_lead_to_another_host() {
        for (text, expected) in
            [("eu-west-1", true), ("", false), ("evil.example/", false), ("a@b", false), ("EU", false)]
        {
            assert_eq!(is_region(text), expected, "{text}");
        }
        assert!(!is_region(&"a".repeat(33)));
    }
}

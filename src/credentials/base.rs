//! The operator's own AWS identity and its connection to STS.
//!
//! The AWS SDK's default chain finds the identity (environment, profile, web identity, container endpoint, instance
//! profile), loads it once and refreshes it. Its retries are off: a throttled call would be held for seconds inside
//! the SDK where nobody can see it, and how often to try is decided by the schedule. Its stalled-stream protection is
//! off too: it cuts slow answers at a time of its own, and every call has our time-out.

use aws_config::{BehaviorVersion, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use std::path::{Path, PathBuf};

/// A setting of the AWS environment that is wrong or missing.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// No region is configured.
    #[error("no AWS region: set AWS_REGION to the region whose STS endpoint should be called")]
    NoRegion,
    /// There is no certificate authority that an answer of AWS could be checked by.
    #[error(
        "no CA certificates, by which AWS is recognized: neither in the places of this system (as /etc/ssl/certs) nor where SSL_CERT_FILE or \
         SSL_CERT_DIR says. Use a base image that has them, mount them, or set AWS_CA_BUNDLE to a PEM file"
    )]
    NoAuthorities,
    /// The CA bundle cannot be read.
    #[error("AWS_CA_BUNDLE: {path} cannot be read: {source}")]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// Trigger.
        source: std::io::Error,
    },
    /// The CA bundle is none.
    #[error("AWS_CA_BUNDLE: {path} holds no usable PEM certificates: {reason}")]
    CaBundleInvalid {
        /// The file.
        path: PathBuf,
        /// Trigger.
        reason: String,
    },
}

/// A client of STS as the environment configures it. `ca_bundle` is `AWS_CA_BUNDLE`, which the Rust SDK itself
/// does not read, though the AWS SDKs' reference guide lists it.
///
/// # Errors
/// If there is no region, the CA bundle is unusable, or there is neither a bundle nor a certificate authority of the system's: then
/// every call of the SDK would fail for a reason that does not say so (in a debug build it panics). Missing credentials are no error here: they may come later.
pub async fn sts_client(ca_bundle: Option<&Path>) -> Result<aws_sdk_sts::Client, BaseError> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let has_authorities = !rustls_native_certs::load_native_certs().certs.is_empty();
    if let Some(path) = ca_bundle {
        let pem = std::fs::read(path).map_err(|source| BaseError::CaBundle { path: path.to_owned(), source })?;
        let invalid = |reason: String| BaseError::CaBundleInvalid { path: path.to_owned(), reason };
        if !pem.windows(10).any(|window| window == b"-----BEGIN") {
            return Err(invalid("no -----BEGIN line".to_owned()));
        }
        let trust = TrustStore::empty().with_native_roots(has_authorities).with_pem_certificate(pem);
        let tls = TlsContext::builder().with_trust_store(trust).build().map_err(|error| invalid(error.to_string()))?;
        let provider = Provider::Rustls(CryptoMode::AwsLc);
        loader = loader
            .http_client(aws_smithy_http_client::Builder::new().tls_provider(provider).tls_context(tls).build_https());
    } else if !has_authorities {
        return Err(BaseError::NoAuthorities);
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(BaseError::NoRegion);
    }
    Ok(aws_sdk_sts::Client::new(&config))
}

//! The operator's own AWS identity and its client of STS.
//!
//! The AWS SDK's default chain finds the identity (environment, profile, web identity, container
//! endpoint, instance profile), loads it once and refreshes it.
//!
//! Two features of the SDK are off:
//!
//! * Retries: the SDK would hold a throttled call for seconds, invisible to keyturn. The schedule
//!   decides when a call is retried.
//! * Stalled-stream protection: it cuts slow answers at a time of its own, and every call has
//!   keyturn's own time-out.

use aws_config::{BehaviorVersion, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use std::path::{Path, PathBuf};

/// An invalid or missing setting of the AWS environment.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// No region is configured.
    #[error("no AWS region: set AWS_REGION to the region whose STS endpoint should be called")]
    NoRegion,
    /// There is no certificate authority with which the SDK could verify AWS.
    #[error(
        "no CA certificates, by which AWS is recognized: neither in the places of this system (as /etc/ssl/certs) nor where SSL_CERT_FILE or \
         SSL_CERT_DIR says. Use a base image that has them, mount them, or set AWS_CA_BUNDLE to a PEM file"
    )]
    NoAuthorities,
    /// The CA bundle cannot be read.
    #[error("AWS_CA_BUNDLE: {path} cannot be read: {source}")]
    CaBundle {
        /// The file's path.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// The CA bundle holds no usable certificate.
    #[error("AWS_CA_BUNDLE: {path} holds no usable PEM certificates: {reason}")]
    CaBundleInvalid {
        /// The file's path.
        path: PathBuf,
        /// The reason why it cannot be used.
        reason: String,
    },
}

/// Makes a client of STS from the environment. `ca_bundle` is the value of `AWS_CA_BUNDLE`. The
/// Rust SDK does not read that variable itself, although the AWS SDKs' reference guide lists it.
///
/// # Errors
/// [`BaseError::NoRegion`] if no region is configured; [`BaseError::CaBundle`] or
/// [`BaseError::CaBundleInvalid`] if the CA bundle cannot be used; [`BaseError::NoAuthorities`] if
/// there is neither a bundle nor a certificate authority of the system. Without any authority every
/// call of the SDK would fail with an error that does not name the cause (in a debug build the SDK
/// panics). Missing credentials are not an error here, because they may come later.
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

//! The operator's own AWS identity and its client of STS.
//!
//! The AWS SDK's default chain finds the identity (environment, profile, web identity, container
//! endpoint, instance profile), loads it once and refreshes it.
//!
//! The SDK's own client and the one with a CA bundle would treat proxies differently. Therefore
//! keyturn builds one for both, with the proxy of the environment. Only https goes through the
//! proxy. The http of the container endpoint (EKS Pod Identity, ECS) and of the instance metadata
//! service does not, because a proxy would answer for its own machine.
//!
//! Two features of the SDK are off:
//!
//! * Retries: the SDK would hold a throttled call for seconds, invisible to keyturn. The schedule
//!   decides when a call is retried.
//! * Stalled-stream protection: it cuts slow answers at a time of its own, and every call has
//!   keyturn's own time-out.

use super::S3;
use crate::{clock::Clock, network::Proxies};
use aws_config::{BehaviorVersion, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig};
use aws_smithy_http_client::{
    Builder, Connector, ConnectorBuilder,
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{SharedHttpClient, SharedHttpConnector},
    runtime_components::RuntimeComponents,
};
use aws_types::{SdkConfig, region::Region, service_config::ServiceConfigKey};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::path::{Path, PathBuf};
use url::{Host, Url};

/// An invalid or missing setting of the AWS environment.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// No region is configured.
    #[error("no AWS region: set AWS_REGION to the region whose STS endpoint should be called")]
    NoRegion,
    /// The endpoint of STS or of S3 would send sessions in the clear.
    #[error(
        "the {service} endpoint {url} (AWS_ENDPOINT_URL_{service}, AWS_ENDPOINT_URL or endpoint_url of the profile) has to be an https URL, \
         because sessions are sent to it or come from it; http is for addresses of this machine only, such as http://127.0.0.1:4566"
    )]
    InsecureEndpoint {
        /// The service: STS or S3.
        service: &'static str,
        /// Its endpoint.
        url: String,
    },
    /// There is no certificate authority with which the SDK could verify AWS.
    #[error(
        "no CA certificates, by which AWS is recognized: neither in the places of this system (as /etc/ssl/certs) nor where SSL_CERT_FILE or \
         SSL_CERT_DIR says. Use a base image that has them, mount them, or set AWS_CA_BUNDLE to a PEM file"
    )]
    NoAuthorities,
    /// The SDK refuses the proxy.
    #[error(
        "HTTPS_PROXY is not the URL of a proxy that the AWS SDK can use; it has to be http://HOST:PORT or https://HOST:PORT"
    )]
    Proxy,
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

/// The clients of AWS.
pub struct Clients {
    /// The client of STS, with the operator's own identity.
    pub sts: aws_sdk_sts::Client,
    /// The client of S3, which has no identity of its own.
    pub s3: S3,
}

/// Makes the clients of AWS from the environment. `ca_bundle` is the value of `AWS_CA_BUNDLE`. The
/// Rust SDK does not read that variable itself, although the AWS SDKs' reference guide lists it.
/// `region` is the region if the environment names none.
///
/// # Errors
/// [`BaseError::NoRegion`] if no region is configured; [`BaseError::Proxy`] if the SDK cannot use
/// the proxy; [`BaseError::InsecureEndpoint`] if STS or S3 would
/// be called over HTTP on another machine; [`BaseError::CaBundle`] or
/// [`BaseError::CaBundleInvalid`] if the CA bundle cannot be used; [`BaseError::NoAuthorities`] if
/// there is neither a bundle nor a certificate authority of the system. Without any authority every
/// call of the SDK would fail with an error that does not name the cause (in a debug build the SDK
/// panics). Missing credentials are not an error here, because they may come later.
pub async fn clients(
    ca_bundle: Option<&Path>,
    proxies: &Proxies,
    region: Option<&str>,
    clock: &Clock,
) -> Result<Clients, BaseError> {
    let (tls, proxy) = (trust(ca_bundle)?, proxy_config(proxies)?);
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(http_client(tls.clone(), proxy.clone()));
    let mut config = loader.load().await;
    if let (None, Some(region)) = (config.region(), region) {
        config = config.into_builder().region(Region::new(region.to_owned())).build();
    }
    let region = config.region().ok_or(BaseError::NoRegion)?.to_string();
    let [sts_endpoint, s3_endpoint] = ["STS", "S3"].map(|service| secure_endpoint(&config, service));
    sts_endpoint?;
    let connector = SharedHttpConnector::new(connector(Connector::builder(), tls, proxy));
    let s3 = S3::new(connector, region, s3_endpoint?, clock.clone());
    Ok(Clients { sts: aws_sdk_sts::Client::new(&config), s3 })
}

/// The certificate authorities to trust: the system's, and those of the bundle.
fn trust(ca_bundle: Option<&Path>) -> Result<TlsContext, BaseError> {
    let has_authorities = !rustls_native_certs::load_native_certs().certs.is_empty();
    let trust = TrustStore::empty().with_native_roots(has_authorities);
    let Some(path) = ca_bundle else {
        let trust = has_authorities.then_some(trust).ok_or(BaseError::NoAuthorities)?;
        return TlsContext::builder().with_trust_store(trust).build().map_err(|_| BaseError::NoAuthorities);
    };
    let pem = std::fs::read(path).map_err(|source| BaseError::CaBundle { path: path.to_owned(), source })?;
    let invalid = |reason: String| BaseError::CaBundleInvalid { path: path.to_owned(), reason };
    if !pem.windows(10).any(|window| window == b"-----BEGIN") {
        return Err(invalid("no -----BEGIN line".to_owned()));
    }
    // The SDK reads the certificates at the first call, and panics if it cannot.
    let mut store = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        store.add(certificate).map_err(|error| invalid(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(invalid("no certificate".to_owned()));
    }
    let trust = trust.with_pem_certificate(pem);
    TlsContext::builder().with_trust_store(trust).build().map_err(|error| invalid(error.to_string()))
}

/// The proxy for https URLs.
fn proxy_config(proxies: &Proxies) -> Result<ProxyConfig, BaseError> {
    let Some(proxy) = proxies.https() else { return Ok(ProxyConfig::disabled()) };
    // The error of the SDK may quote the URL, which may hold a password.
    let config = ProxyConfig::https(proxy.url().clone()).map_err(|_| BaseError::Proxy)?;
    Ok(config.no_proxy(proxies.direct()))
}

/// The HTTP client of the SDK, for STS and for the sources of keyturn's own credentials.
fn http_client(tls: TlsContext, proxy: ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder();
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        self::connector(connector, tls.clone(), proxy.clone())
    })
}

/// A connector with keyturn's trust and proxy.
fn connector(connector: ConnectorBuilder, tls: TlsContext, proxy: ProxyConfig) -> Connector {
    connector.proxy_config(proxy).tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls).build()
}

/// The endpoint that the settings name for a service (`STS`, `S3`), as the SDK's own clients find
/// it: first the one of this service alone, then the one of all services. `None` for the endpoint
/// of the region, which is https.
fn secure_endpoint(config: &SdkConfig, service: &'static str) -> Result<Option<String>, BaseError> {
    let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let of_service = config.service_config().zip(key.ok()).and_then(|(settings, key)| settings.load_config(key));
    let endpoint = of_service.or_else(|| config.endpoint_url().map(str::to_owned));
    match endpoint {
        Some(url) if !is_private(&url) => Err(BaseError::InsecureEndpoint { service, url }),
        endpoint => Ok(endpoint),
    }
}

/// Whether nobody else can read what is sent to this URL.
fn is_private(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_a_usable_certificate_is_refused_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        for (case, pem) in [
            ("no certificate", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            ("no base64", "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n"),
            ("no certificate in base64", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ("an empty file", ""),
        ] {
            std::fs::write(&path, pem).unwrap();
            let refused = trust(Some(&path)).unwrap_err();
            assert!(matches!(refused, BaseError::CaBundleInvalid { .. }), "{case}: {refused}");
        }
    }

    #[test]
    fn an_endpoint_is_https_or_on_this_machine() {
        for (url, expected) in [
            ("https://sts.eu-west-1.amazonaws.com", true),
            ("https://vpce-0a1b2c.sts.eu-west-1.vpce.amazonaws.com:443/", true),
            ("http://127.0.0.1:4566", true),
            ("http://[::1]:4566", true),
            ("http://localhost:4566", true),
            ("http://sts.eu-west-1.amazonaws.com", false),
            ("http://10.0.0.7:4566", false),
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1@evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("HTTP://sts.eu-west-1.amazonaws.com", false),
            ("ftp://127.0.0.1", false),
            ("sts.eu-west-1.amazonaws.com", false),
            ("", false),
        ] {
            assert_eq!(is_private(url), expected, "{url}");
        }
    }
}

//! The webhook's TLS certificate. keyturn makes, publishes and replaces it without help.
//!
//! Each certificate has an authority of its own. The key of the authority is dropped at once, and
//! can never sign anything else. The certificate and its key are in a Secret that all replicas of
//! the webhook follow ([`follow()`]). The authority is in the webhook configuration, where the API
//! server reads it. The leader of the operator maintains both ([`keep()`]), and a pure function
//! decides on its next step ([`decide()`]). If cert-manager makes the certificate, keyturn
//! maintains nothing, and the rest is the same.
//!
//! A new certificate comes in three steps, because the API server has to trust every certificate in
//! use at any moment:
//!
//! 1. keyturn publishes the new authority beside the old one.
//! 2. keyturn writes the new certificate into the Secret.
//! 3. keyturn removes the old authority.
//!
//! If a process ends between two steps, the next process continues from there.

mod follow;
mod keep;

pub use follow::{Followed, configuration, follow};
pub use keep::{Kept, keep};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;

/// The data key of a TLS Secret that holds the certificate.
pub const CERTIFICATE: &str = "tls.crt";
/// The data key of a TLS Secret that holds the private key.
pub const PRIVATE_KEY: &str = "tls.key";
/// The data key of a TLS Secret that holds the authority's certificate.
pub const AUTHORITY: &str = "ca.crt";

/// The lifetime of a certificate, in days.
const VALID_DAYS: i64 = 90;
/// The age at which a certificate is replaced, in days.
const REPLACED_AFTER_DAYS: i64 = 60;
/// The age of a certificate at which the authority before it is no longer published, in days.
const FORGOTTEN_AFTER_DAYS: i64 = 2;

/// The largest number of published authorities beside which a new one is published. Nobody intends
/// more.
const AUTHORITIES: usize = 4;

/// A certificate with its authority and private key, in PEM.
#[derive(Debug)]
pub struct Made {
    /// The authority's certificate.
    pub authority: String,
    /// The certificate.
    pub certificate: String,
    /// The private key of the certificate.
    pub private_key: SecretString,
}

/// The reason why there is no certificate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCertificate {
    /// The Secret lacks this data key.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// The value of this data key is not what it should be.
    #[error("its {0} cannot be read")]
    Unreadable(&'static str),
    /// The certificate could not be made.
    #[error("it cannot be made: {0}")]
    NotMade(String),
}

/// The properties of the certificate in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The authority's certificate, DER.
    pub authority: Vec<u8>,
    /// The names and addresses of the certificate.
    pub names: Vec<String>,
    /// The beginning of its validity: one day before it was made.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is no usable certificate: make one, write it, publish its authority.
    Make,
    /// The certificate will expire: publish the authority of the next one beside its own, then
    /// write the next one.
    Replace,
    /// Publish the authority of this certificate, and no other.
    Publish,
    /// Nothing to do until this time.
    Wait(Timestamp),
}

/// The next step. `seen` is the certificate in the Secret, `names` are the names of the webhook,
/// and `published` are the authorities in the webhook configuration (DER).
#[must_use]
pub fn decide(seen: Option<&Seen>, names: &[String], published: &[Vec<u8>], now: Timestamp) -> Step {
    let Some(seen) = seen.filter(|seen| now < seen.not_after && names.iter().all(|name| seen.names.contains(name)))
    else {
        return Step::Make;
    };
    let after = |days: i64| seen.not_before.saturating_add((days * 24).hours()).unwrap_or(Timestamp::MAX);
    let (replaced_at, forgotten_at) = (after(1 + REPLACED_AFTER_DAYS), after(1 + FORGOTTEN_AFTER_DAYS));
    if !published.contains(&seen.authority) {
        return Step::Publish;
    }
    if now >= replaced_at {
        return Step::Replace;
    }
    match (published.len() > 1, now >= forgotten_at) {
        (true, true) => Step::Publish,
        (true, false) => Step::Wait(forgotten_at),
        (false, _) => Step::Wait(replaced_at),
    }
}

/// Makes a certificate for these names and addresses. It is valid from the day before `now`,
/// because clocks differ.
///
/// # Errors
/// The certificate cannot be made, e.g. because a name is invalid.
pub fn make(names: &[String], now: Timestamp) -> Result<Made, NoCertificate> {
    let not_made = |error: rcgen::Error| NoCertificate::NotMade(error.to_string());
    let day = |days: i64| {
        let date = now.saturating_add((days * 24).hours()).unwrap_or(now).to_zoned(TimeZone::UTC).date();
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let parameters = |name: &str, names: Vec<String>| {
        let mut parameters = CertificateParams::new(names)?;
        parameters.distinguished_name.push(DnType::CommonName, name);
        (parameters.not_before, parameters.not_after) = (day(-1), day(VALID_DAYS));
        Ok(parameters)
    };
    let mut authority = parameters("keyturn webhook authority", vec![]).map_err(not_made)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().map_err(not_made)?).map_err(not_made)?;

    let key = KeyPair::generate().map_err(not_made)?;
    let mut leaf = parameters("keyturn webhook", names.to_vec()).map_err(not_made)?;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let leaf = leaf.signed_by(&key, &authority).map_err(not_made)?;
    Ok(Made { authority: authority.pem(), certificate: leaf.pem(), private_key: key.serialize_pem().into() })
}

impl Made {
    /// The data of the certificate's Secret.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, Vec<u8>> {
        let parts = [
            (AUTHORITY, self.authority.as_str()),
            (CERTIFICATE, &self.certificate),
            (PRIVATE_KEY, self.private_key.expose_secret()),
        ];
        parts.into_iter().map(|(key, pem)| (key.to_owned(), pem.as_bytes().to_vec())).collect()
    }
}

impl Seen {
    /// Parses the certificate in a Secret with this data.
    ///
    /// # Errors
    /// A data key is missing or invalid. The error never quotes a value.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, NoCertificate> {
        let unreadable = || NoCertificate::Unreadable(CERTIFICATE);
        serving(data)?;
        let authority = certificates(data, AUTHORITY)?.swap_remove(0).to_vec();
        let leaf = certificates(data, CERTIFICATE)?.swap_remove(0);
        let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).map_err(|_| unreadable())?;
        let time = |seconds: i64| Timestamp::from_second(seconds).map_err(|_| unreadable());
        let alternatives = leaf.subject_alternative_name().map_err(|_| unreadable())?;
        let names = alternatives.iter().flat_map(|names| &names.value.general_names).filter_map(name_of).collect();
        Ok(Self {
            authority,
            names,
            not_before: time(leaf.validity().not_before.timestamp())?,
            not_after: time(leaf.validity().not_after.timestamp())?,
        })
    }
}

/// Certificate chain and private key of a Secret with this data.
///
/// # Errors
/// A data key is missing or invalid. The error never quotes a value.
pub fn serving(
    data: &BTreeMap<String, Vec<u8>>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), NoCertificate> {
    let key = data.get(PRIVATE_KEY).ok_or(NoCertificate::Missing(PRIVATE_KEY))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| NoCertificate::Unreadable(PRIVATE_KEY))?;
    Ok((certificates(data, CERTIFICATE)?, key))
}

/// The certificates of a bundle in PEM, as DER. Invalid ones are left out.
#[must_use]
pub fn bundled(pem: &[u8]) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(pem).flatten().map(|der| der.to_vec()).collect()
}

/// An authority beside the published ones, in PEM. The authority stands alone if the published ones
/// are invalid or too many.
fn beside(published: &[u8], authority: &str) -> Vec<u8> {
    match bundled(published).len() {
        1..=AUTHORITIES => [published, b"\n", authority.as_bytes()].concat(),
        _ => authority.as_bytes().to_vec(),
    }
}

/// All certificates of a PEM text; at least one.
fn certificates(
    data: &BTreeMap<String, Vec<u8>>,
    key: &'static str,
) -> Result<Vec<CertificateDer<'static>>, NoCertificate> {
    let pem = data.get(key).ok_or(NoCertificate::Missing(key))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(NoCertificate::Unreadable(key))
}

fn name_of(name: &x509_parser::extensions::GeneralName<'_>) -> Option<String> {
    use x509_parser::extensions::GeneralName;
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            bytes => <[u8; 16]>::try_from(bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;

//! The webhook's TLS: a certificate that is made, published and replaced without anybody's help.
//!
//! A certificate is signed by an authority of its own, whose key is forgotten at once: nothing else can ever be signed by
//! it. Certificate and key stand in a Secret that all replicas follow ([`follow()`]); the authority stands in the webhook
//! configuration, where the API server looks it up. The leader keeps both ([`keep()`]), and what it does next is decided
//! purely ([`decide()`]); only the first one another replica may make ([`Kept::make_the_first`]). Where cert-manager makes the certificate there is nothing to keep, and the rest is the same.
//!
//! A new certificate comes in three steps, so that there is no moment at which the API server trusts none of those in
//! use: its authority is published beside the old one, then it goes into the Secret, then the old authority goes. A
//! process that dies between two of them leaves a state from which the next one goes on.

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

/// The key of a TLS Secret that holds the certificate.
pub const CERTIFICATE: &str = "tls.crt";
/// The key of a TLS Secret that holds the private key.
pub const PRIVATE_KEY: &str = "tls.key";
/// The key of a TLS Secret that holds the authority's certificate.
pub const AUTHORITY: &str = "ca.crt";

/// How many days a certificate is valid.
const VALID_DAYS: i64 = 90;
/// After how many days it is replaced.
const REPLACED_AFTER_DAYS: i64 = 60;
/// After how many days the authority before it is no longer published.
const FORGOTTEN_AFTER_DAYS: i64 = 2;

/// So many authorities a new one is published beside. More are nobody's intention.
const AUTHORITIES: usize = 4;

/// A certificate with everything that belongs to it, in PEM.
#[derive(Debug)]
pub struct Made {
    /// The authority's certificate.
    pub authority: String,
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub private_key: SecretString,
}

/// Trigger there is no certificate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCertificate {
    /// The Secret lacks a key.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// What stands under the key is not what it should be.
    #[error("its {0} cannot be read")]
    Unreadable(&'static str),
    /// It could not be made.
    #[error("it cannot be made: {0}")]
    NotMade(String),
}

/// What a Secret says of its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The authority's certificate, DER.
    pub authority: Vec<u8>,
    /// The names and addresses that it is for.
    pub names: Vec<String>,
    /// From when it is valid: the day before it was made.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

/// What is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is none that could be served: make one, write it, publish its authority.
    Make,
    /// It will expire: publish the next one's authority beside its own, then write the next one.
    Replace,
    /// Publish its authority, and no other.
    Publish,
    /// Nothing until then.
    Wait(Timestamp),
}

/// What is done next about the certificate that was seen, if there is one, when the webhook has these names and these
/// authorities (DER) are published.
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

/// Makes a certificate for these names and addresses, valid from the day before `now`: clocks differ.
///
/// # Errors
/// If it cannot be made, e.g. because a name is none.
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
    /// The data of its Secret.
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
    /// What a Secret with this data says.
    ///
    /// # Errors
    /// If something is missing or is not what it should be; never with a word of it.
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
/// If something is missing or is not what it should be; never with a word of it.
pub fn serving(
    data: &BTreeMap<String, Vec<u8>>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), NoCertificate> {
    let key = data.get(PRIVATE_KEY).ok_or(NoCertificate::Missing(PRIVATE_KEY))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| NoCertificate::Unreadable(PRIVATE_KEY))?;
    Ok((certificates(data, CERTIFICATE)?, key))
}

/// The certificates of a bundle in PEM, DER each; what cannot be read is left out.
#[must_use]
pub fn bundled(pem: &[u8]) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(pem).flatten().map(|der| der.to_vec()).collect()
}

/// An authority beside those that are published, in PEM; alone, if they cannot be read or have become many.
fn beside(published: &[u8], authority: &str) -> Vec<u8> {
    match bundled(published).len() {
        1..=AUTHORITIES => [published, b"\n", authority.as_bytes()].concat(),
        _ => authority.as_bytes().to_vec(),
    }
}

/// At least one.
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

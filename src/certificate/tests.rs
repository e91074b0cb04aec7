use super::*;
use rustls::{RootCertStore, client::WebPkiServerVerifier, pki_types::UnixTime};
use std::{sync::Arc, time::Duration};

fn names() -> Vec<String> {
    vec!["keyturn-webhook.keyturn-system.svc".into(), "127.0.0.1".into(), "::1".into()]
}

fn at(day: i64) -> Timestamp {
    let start: Timestamp = "2026-11-22T15:04:05Z".parse().unwrap();
    start.checked_add((day * 24).hours()).unwrap()
}

fn seen(made: &Made) -> Seen {
    Seen::read(&made.data()).unwrap()
}

/// Whether a client that trusts this authority accepts the certificate for each of the names.
fn is_believed(made: &Made, authority: &str, now: Timestamp) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(bundled(authority.as_bytes()).remove(0).into()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
    let (chain, _) = serving(&made.data()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().unsigned_abs()));
    names().into_iter().all(|name| {
        let name = name.try_into().unwrap();
        rustls::client::danger::ServerCertVerifier::verify_server_cert(&*verifier, &chain[0], &[], &name, &[], now)
            .is_ok()
    })
}

#[test]
fn a_certificate_is_trusted_only_for_its_names_time_and_authority() {
    let (made, other) = (make(&names(), at(0)).unwrap(), make(&names(), at(0)).unwrap());
    for (day, believed) in [(-3, false), (0, true), (VALID_DAYS - 1, true), (VALID_DAYS + 1, false)] {
        assert_eq!(is_believed(&made, &made.authority, at(day)), believed, "day {day}");
    }
    assert!(!is_believed(&made, &other.authority, at(0)));
    let read = seen(&made);
    assert_eq!(read.names, names());
    assert!(read.not_before < at(0) && read.not_before > at(-3), "{read:?}");
}

#[test]
fn a_certificate_is_made_if_none_is_usable() {
    let made = make(&names(), at(0)).unwrap();
    let seen = seen(&made);
    let published = [seen.authority.clone()];
    assert_eq!(decide(None, &names(), &published, at(0)), Step::Make);
    assert_eq!(decide(Some(&seen), &names(), &published, at(VALID_DAYS + 1)), Step::Make, "it has expired");
    let more = [names(), vec!["another.svc".into()]].concat();
    assert_eq!(decide(Some(&seen), &more, &published, at(0)), Step::Make, "it is for other names");
}

#[test]
fn a_replacement_publishes_both_authorities_before_it_drops_one() {
    let old = seen(&make(&names(), at(0)).unwrap());
    let new = seen(&make(&names(), at(61)).unwrap());
    let (one, other) = (old.authority.clone(), new.authority.clone());
    let step = |seen: &Seen, published: &[&Vec<u8>], day| {
        let published: Vec<Vec<u8>> = published.iter().map(|&der| der.clone()).collect();
        decide(Some(seen), &names(), &published, at(day))
    };
    assert_eq!(step(&old, &[], 0), Step::Publish);
    assert!(matches!(step(&old, &[&one], 0), Step::Wait(until) if until > at(59) && until <= at(61)));
    assert_eq!(step(&old, &[&one], 61), Step::Replace);
    // A process that ended after the publication leaves the authority of a certificate that nobody
    // has.
    assert_eq!(step(&old, &[&one, &other], 61), Step::Replace);
    assert_eq!(step(&new, &[&one], 61), Step::Publish, "the Secret was written, and somebody took its authority out");
    assert!(matches!(step(&new, &[&one, &other], 61), Step::Wait(until) if until > at(62) && until <= at(64)));
    assert_eq!(step(&new, &[&one, &other], 64), Step::Publish);
    assert!(matches!(step(&new, &[&other], 64), Step::Wait(_)));
}

#[test]
fn invalid_data_is_named_and_not_quoted() {
    let whole = make(&names(), at(0)).unwrap().data();
    for key in [AUTHORITY, CERTIFICATE, PRIVATE_KEY] {
        let mut data = whole.clone();
        data.remove(key);
        assert_eq!(Seen::read(&data), Err(NoCertificate::Missing(key)));
        data.insert(key.to_owned(), b"hunter2".to_vec());
        let error = Seen::read(&data).unwrap_err();
        assert_eq!(error, NoCertificate::Unreadable(key));
        assert!(!error.to_string().contains("hunter2"));
    }
    assert!(make(&["not a name ü".into()], at(0)).is_err());
    assert!(!format!("{:?}", make(&names(), at(0)).unwrap()).contains("PRIVATE KEY"));
}

#[test]
fn a_new_authority_is_published_beside_those_in_use() {
    let (of_others, ours) = (make(&names(), at(0)).unwrap().authority, make(&names(), at(0)).unwrap().authority);
    let both = beside(of_others.trim_end().as_bytes(), &ours);
    assert_eq!(bundled(&both), [bundled(of_others.as_bytes()), bundled(ours.as_bytes())].concat());
    for alone in [String::new(), "no authority".to_owned(), of_others.repeat(5)] {
        assert_eq!(beside(alone.as_bytes(), &ours), ours.as_bytes(), "{alone}");
    }
}

//! The client of DSS over real sockets: the servers that it trusts, the hosts that get the admin
//! key, and how much of an answer it reads.

use crate::doubles::{
    dss::{ADMIN_KEY, Behaviour, Dss as Double},
    tls::{Vouched, in_front_of, vouched},
    wire::tokio_clock,
};
use keyturn::{
    dss::{Dss, DssError, Kind, Scheme, Tls, connect},
    network::Proxies,
};
use tokio::net::TcpListener;

fn client(url: &str, tls: &Tls) -> Dss {
    Dss::new(url, &ADMIN_KEY.into(), Scheme::default(), connect(tls, &Proxies::default()).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_trusted_certificate_never_sees_the_key() {
    let double = Double::new(tokio_clock("2026-01-01T00:00:00Z".parse().unwrap()));
    double.add_user("alice", &[]);
    let plain = double.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let Vouched { ca, server } = vouched("localhost");
    let url = format!("https://localhost:{}", in_front_of(plain.addr(), "127.0.0.1", server).await);

    let trusting = Tls { ca_bundle: Some(ca), insecure_skip_verify: false };
    assert_eq!(client(&url, &trusting).users().await.unwrap().len(), 1);
    let careless = Tls { ca_bundle: None, insecure_skip_verify: true };
    assert_eq!(client(&url, &careless).users().await.unwrap().len(), 1);

    double.clear();
    let other_bundle = Tls { ca_bundle: Some(vouched("localhost").ca), insecure_skip_verify: false };
    for (case, tls) in [("no bundle", Tls::default()), ("the bundle of another authority", other_bundle)] {
        let error = client(&url, &tls).users().await.unwrap_err();
        assert_eq!(error.kind, Kind::Unreachable, "{case}: {error}");
        assert!(error.to_string().to_lowercase().contains("certificate"), "{case} says why: {error}");
    }
    assert_eq!(double.count(), 0, "no request with the key arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_is_not_followed() {
    let [asked, elsewhere] = [0, 1].map(|_| Double::new(tokio_clock("2026-01-01T00:00:00Z".parse().unwrap())));
    let (listening, other) = (
        asked.serve(([127, 0, 0, 1], 0).into()).await.unwrap(),
        elsewhere.serve(([127, 0, 0, 1], 0).into()).await.unwrap(),
    );
    asked.once(Behaviour::RedirectTo(format!("{}/public/api/admin/users/", other.url())));
    let error = client(&listening.url(), &Tls::default()).users().await.unwrap_err();
    assert_eq!((error.kind, elsewhere.count()), (Kind::Unreadable, 0), "{error}");
    assert!(error.to_string().contains(&other.url()), "it says where to: {error}");

    asked.once(Behaviour::RedirectTo(format!("{}/public/api/admin/users/", listening.url())));
    assert!(client(&listening.url(), &Tls::default()).users().await.is_ok(), "on the same host it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_answer_is_read_up_to_the_limit() {
    let double = Double::new(tokio_clock("2026-01-01T00:00:00Z".parse().unwrap()));
    let listening = double.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    double.once(Behaviour::HugeBody(8 << 20));
    let error: DssError = client(&listening.url(), &Tls::default()).auth_info().await.unwrap_err();
    assert!(error.to_string().contains("longer than 1024 KiB"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_reported_with_its_reason() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client(&format!("http://{free}"), &Tls::default()).version().await.unwrap_err();
    assert!(error.kind == Kind::Unreachable && error.to_string().contains("refused"), "{error}");
}

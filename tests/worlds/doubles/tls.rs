//! TLS in front of a double, with a certificate authority of its own.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

/// A certificate authority and a server with a certificate of it.
pub struct Vouched {
    /// The certificate of the authority, in PEM.
    pub ca: String,
    /// The settings of the server.
    pub server: ServerConfig,
}

/// A server with a certificate for this name or address.
pub fn vouched(name: &str) -> Vouched {
    vouched_for(&[name])
}

/// A server with a certificate for these names and addresses.
pub fn vouched_for(names: &[&str]) -> Vouched {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
    Vouched { ca: authority.pem(), server }
}

/// Serves TLS on any port of `address` in front of a server without TLS, until the runtime ends.
/// Returns the port.
pub async fn in_front_of(plain: SocketAddr, address: &str, server: ServerConfig) -> u16 {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut secure) = acceptor.accept(stream).await else { return };
                let Ok(mut onward) = TcpStream::connect(plain).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut secure, &mut onward).await;
            });
        }
    });
    port
}

//! The TLS library of all clients and servers of the process.

/// Gives the process its TLS provider, if it has none yet. reqwest, kube and the server use the
/// provider of the process, and reqwest panics without one.
pub fn provide_tls() {
    // An error says that there is one already, from a former call.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

//! Doubles of the servers that keyturn talks to: the Kubernetes API server, AWS STS and S3,
//! Dataiku DSS, and DataRobot.
//!
//! The doubles fake the wire and not the types. The real `kube` client, the real AWS SDK and an
//! HTTP client talk to them, so the operator's requests and its reading of answers are tested too.
//! All doubles are `axum` routers that are called in the process, without a socket. All take their
//! time from tokio's clock and from a closure. Under a paused clock a simulated week therefore
//! takes moments, and the same history comes out each time.
//!
//! Every double records each call, and [`rules`] decide at run time which calls fail, and how. DSS
//! and DataRobot share the recording ([`server`]) and the ways to fail ([`behaviour`]).

#![allow(dead_code, reason = "a double offers what a test may need; not every test binary needs all of it")]
#![allow(unreachable_pub, reason = "`pub` marks what tests may use; a test binary itself exports nothing")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a double that finds itself in an impossible state should fail the test"
)]

pub mod apiserver;
#[cfg(test)]
mod asking;
pub mod behaviour;
pub mod datarobot;
pub mod dss;
mod page;
pub mod proxy;
pub mod rules;
pub mod s3;
pub mod server;
pub mod sts;
pub mod tls;
pub mod wire;

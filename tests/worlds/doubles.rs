//! Doubles of the servers that keyturn talks to: the Kubernetes API server, AWS STS and S3, and Dataiku DSS.
//!
//! They fake the wire and not the types: the real `kube` client, the real AWS SDK and an HTTP
//! client talk to them, so that what the operator sends and how it reads an answer is tested too.
//! All are `axum` routers that are called in the process, without a socket, and all take their
//! time from tokio's clock and from a closure. Under a paused clock a simulated week is therefore
//! over in moments, and the same history comes out each time.
//!
//! What they have in common: every call is recorded, and [`rules`] say at run time which calls
//! fail, and how.

#![allow(dead_code, reason = "a double offers what a test may need; not every test binary needs all of it")]
#![allow(unreachable_pub, reason = "`pub` marks what tests may use; a test binary itself exports nothing")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a double that finds itself in an impossible state should fail the test"
)]

pub mod apiserver;
pub mod dss;
pub mod rules;
pub mod s3;
pub mod sts;
pub mod wire;

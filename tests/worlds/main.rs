//! One test binary, three worlds.
//!
//! * [`simulated`]: the whole operator over an in-process API server and an STS double, under a
//!   paused clock. A history takes milliseconds; faults, races and crash points come on demand.
//! * [`real`]: the operator's binary as a process, with the chart's ServiceAccount and RBAC, on a
//!   real control plane and a real AWS API (`tests/cluster`).
//! * [`node`]: the operator's image, installed by the chart, and pods under a kubelet.
//!
//! [`samples`] is the table of what tutorials do, which [`real`] runs. [`own_identity`],
//! [`over_proxy`] and [`over_tls`] run the binary with doubles and without a cluster, and
//! [`endpoint_program`] runs the endpoint of a pod without any. [`collector`] shows the spans of
//! the operator to the OpenTelemetry Collector.
//!
//! All share the vocabulary of [`fixtures`]. Beside the worlds are the checks of files that have to
//! agree with the code ([`architecture`], [`generated`]), of the wording ([`wording`]), of a
//! release ([`release`]), and of the API server's double against the real one ([`conformance`]).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that finds what it cannot use has failed"
)]
#![allow(missing_docs, reason = "tests are documented by their names")]
#![allow(
    clippy::type_complexity,
    clippy::unnecessary_wraps,
    clippy::too_many_lines,
    reason = "tables of cases are read row by row"
)]
#![allow(clippy::format_push_string, clippy::print_stderr, reason = "what a failed test shows is written once")]

mod architecture;
mod collector;
mod conformance;
mod doubles;
mod endpoint_program;
mod fixtures;
mod generated;
mod gitops;
mod node;
mod over_proxy;
mod over_tls;
mod own_identity;
mod real;
mod release;
mod samples;
mod simulated;
mod wording;

/// A quarter of the simulated world's time goes into small allocations, mostly of JSON values. With
/// this allocator its tests take a third less time than with glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

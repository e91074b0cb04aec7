//! The node: the operator's own image, installed by the chart, and real pods under a real kubelet.
//!
//! These tests need root and the packages that `tests/cluster/ground node-check` names. `make test`
//! runs them where it can. They share one cluster. Each has a release, a namespace, an STS and an
//! S3 of its own.

mod cert_manager;
mod dataiku;
mod endpoint;
mod former;
mod helm_test;
mod loops;
mod quick_start;
mod release;
mod restart;
mod rotation;
mod trouble;

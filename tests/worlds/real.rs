//! The real world: the operator's binary, with the ServiceAccount and the rights that the chart
//! installed, on a real control plane and against a real AWS API.
//!
//! These tests need the result of `tests/cluster/ground build`, so plain `cargo test` leaves them
//! out. `make test` runs all of them, and `cargo test -- --include-ignored real::story` runs one.
//! Each has a namespace, an AWS account, an installed release and an operator of its own. A test
//! can therefore run alone, twice, and beside the others.

mod audit;
mod aws_admin;
mod aws_cli;
mod bad_input;
mod confirmation;
mod conformance;
mod dashboard;
mod dataiku;
pub mod datarobot;
mod datarobot_client;
pub mod datarobot_push;
pub mod dss;
mod dss_push;
mod field_selectors;
mod gitops;
pub mod ground;
mod iam;
mod injection;
pub mod install;
mod object_size;
mod operator_policies;
mod people;
mod person_policy;
mod plugin;
mod profiles;
mod refusals;
mod replicas;
mod restart;
mod rotation;
mod samples;
mod shards;
mod silent_watch;
mod start;
mod storm;
mod story;
mod targets;
mod traces;
mod upgrade;
mod withdrawals;

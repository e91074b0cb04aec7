//! keyturn: every person's AWS credentials as a Kubernetes Secret that is always fresh.
//!
//! # The architecture on one page
//!
//! A user applies an `AwsConfig`; a cluster admin's `AwsRoleGrant` allows it; the operator assumes the role through
//! STS and writes a Secret, again and again before the credential expires. Where a `DssInstance` is named, it asks that
//! Dataiku DSS which role a person has, or for the credential of a connection, and for an API key of that person.
//!
//! ```text
//!              changes                    one config                            values
//!  API server ────────▶ controller ──────────────────▶ reconcile: observe ─────────────▶ decide
//!      ▲                (what wakes whom)                 ▲    │                           │ plan
//!      │                                                  │    └── cluster (views)         ▼
//!      │ one write                                        │                     act ◀──────┘
//!      └────────────── cluster (calls) ◀──────────────────┼──────────────────────┤
//!                                                         │      secret (render) ┤
//!                       status, Events, next look ◀── report                     └──▶ credentials ──▶ STS, DSS
//! ```
//!
//! | room | what it knows | what it may import of ours |
//! | --- | --- | --- |
//! | [`api`] | the contract: resources, conditions, reasons, names | nothing |
//! | [`clock`] | the one source of time | nothing |
//! | [`digest`] | digests of several parts | nothing |
//! | [`dss`] | a client of Dataiku DSS; nothing of Kubernetes | nothing |
//! | [`dss_cache`] | what every DSS tells of users and API keys: read once for all | `dss` |
//! | [`metrics`] | what is counted | `api`, `credentials` |
//! | [`credentials`] | OBTAIN: what STS and DSS give, and why they refuse; nothing of Kubernetes | `api`, `clock`, `digest`, `dss` |
//! | [`secret`] | RENDER: what the Secret holds; pure | `api`, `clock`, `credentials`, `digest` |
//! | [`cluster`] | the API server: views that are never older than our own writes, calls bounded in time | `api` |
//! | [`limit`] | how many calls to an outside system are under way, and for how long | nothing |
//! | [`finalizers`] | the finalizers of keyturn: listed, added, removed | `api`, `cluster` |
//! | [`views`] | what the API server shows of each kind, and how it is found | `api`, `cluster`, `finalizers` |
//! | [`dss_keys`] | the second credential: the API key of DSS, its plan and its outcome; pure | `api`, `clock`, `credentials`, `digest`, `dss`, `secret` |
//! | [`decide`] | DECIDE: what is to be done about one config; pure | `api`, `clock`, `credentials`, `digest`, `dss`, `dss_keys`, `secret` |
//! | [`report`] | REPORT: status, Events, the next reconcile; pure | `api`, `clock`, `cluster`, `credentials`, `decide`, `dss_keys`, `secret` |
//! | [`stores`] | what keyturn keeps for a person outside the cluster: put, delete, find | `api`, `cluster`, `credentials`, `dss`, `dss_cache`, `dss_keys`, `finalizers`, `limit`, `views` |
//! | [`reconcile`] | observe, decide, act, report | `api`, `clock`, `cluster`, `credentials`, `decide`, `dss`, `dss_cache`, `dss_keys`, `finalizers`, `limit`, `metrics`, `report`, `secret`, `stores`, `views` |
//! | [`dss_instance`] | the reconcile of a `DssInstance` | `api`, `clock`, `cluster`, `credentials`, `decide`, `dss`, `dss_cache`, `dss_keys`, `finalizers`, `reconcile`, `views` |
//! | [`restart`] | RESTART: workloads that read only their environment, rolled after a renewal | `api`, `clock`, `cluster`, `decide`, `reconcile`, `report` |
//! | [`controller`] | which object is looked at when | `api`, `cluster`, `decide`, `dss_cache`, `dss_instance`, `reconcile`, `restart`, `views` |
//! | [`leader`] | which replica leads: who holds the Lease | `clock` |
//! | [`certificate`] | the webhook's TLS: made, published, replaced | `clock`, `cluster` |
//! | [`https`] | HTTPS for unknown clients, bounded in time and size | nothing |
//! | [`inject`] | INJECT: what is added to a pod, and which pods were missed; pure | `api` |
//! | [`webhook`] | the route over which the API server asks about pods | `https`, `inject`, `metrics` |
//! | [`server`] | `/livez`, `/readyz`, `/metrics` | `api`, `certificate`, `clock`, `metrics`, `views` |
//! | [`operator`] | the parts put together | `api`, `certificate`, `clock`, `cluster`, `controller`, `credentials`, `decide`, `dss_cache`, `dss_instance`, `https`, `inject`, `leader`, `metrics`, `reconcile`, `server`, `stores`, `views`, `webhook` |
//! | [`reference`](mod@reference) | docs/reference.md, written from the contract | `api` |
//! | [`telemetry`] | logs | nothing |
//! | [`cli`] | flags and environment | `telemetry` |
//!
//! A test (`tests/worlds/architecture.rs`) reads this table and holds the code to it.
//!
//! # What holds everywhere
//!
//! * Decisions are functions of values and `now`.
//! * Pure rooms: `api`, `decide`, `digest`, `dss_keys`, `inject`, `reference`, `report`, `secret`. They hold no client, read neither clock nor
//!   environment, and draw no random number.
//! * State that matters is in the cluster: what was issued stands in the Secret's annotations, the pace of failures in
//!   status. The process may be killed at any line.
//! * Every replica watches; only the one that leads looks at objects, calls STS or DSS, and writes.
//! * Fail closed on authority, open on renewal: without a grant there is no credential, and a valid credential is not
//!   taken away because its renewal failed.
//! * A secret is never in a log, an Event, a status, a metric, an error or a `Debug` output.

pub mod api;
pub mod certificate;
pub mod cli;
pub mod clock;
mod cluster;
mod controller;
pub mod credentials;
mod decide;
mod digest;
pub mod dss;
mod dss_cache;
mod dss_instance;
mod dss_keys;
mod finalizers;
pub mod https;
mod inject;
pub mod leader;
mod limit;
mod metrics;
pub mod operator;
mod reconcile;
pub mod reference;
mod report;
mod restart;
pub mod secret;
mod server;
mod stores;
pub mod telemetry;
mod views;
pub mod webhook;

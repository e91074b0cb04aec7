//! keyturn: every person's AWS credentials as a Kubernetes Secret that is always fresh.
//!
//! # The architecture on one page
//!
//! A user applies an `AwsConfig`. A cluster admin's `AwsRoleGrant` allows it. keyturn assumes the
//! role through STS and writes a Secret, again and again before the credential expires. If the
//! config names a `DssInstance`, keyturn asks that Dataiku DSS for the person's role, for the
//! credential of a connection, and for an API key.
//!
//! ```text
//!              changes                    one config                            values
//!  API server ────────▶ controller ──────────────────▶ reconcile: observe ─────────────▶ decide
//!      ▲             (what enqueues what)                 ▲    │                           │ plan
//!      │                                                  │    └── views (of cluster)      ▼
//!      │ one write                                        │                     act ◀──────┘
//!      └────────────── cluster (calls) ◀──────────────────┼──────────────────────┤
//!                                                         │      secret (render) ┤
//!                status, Events, next reconcile ◀── report   stores (DSS) ◀┴─▶ credentials ──▶ STS
//! ```
//!
//! | room | what it knows | what it may import of ours |
//! | --- | --- | --- |
//! | [`api`] | the contract: resources, conditions, reasons, names | nothing |
//! | [`clock`] | the one source of time | nothing |
//! | [`digest`] | digests of several parts | nothing |
//! | [`spans`] | the spans of calls to other systems, for traces | nothing |
//! | [`network`] | the ways out of the process: proxies, the connection to the API server | nothing |
//! | [`rest`] | calls to the HTTP API of an outside system, bounded in time and size; nothing of Kubernetes | `network`, `spans` |
//! | [`dss`] | a client of Dataiku DSS; nothing of Kubernetes | `network`, `rest` |
//! | [`dss_cache`] | what every DSS says of users and API keys: read once for all configs | `dss` |
//! | [`metrics`] | what is counted | `api`, `credentials`, `limit`, `process`, `push` |
//! | [`credentials`] | OBTAIN: what STS and DSS give, and why they refuse; nothing of Kubernetes | `api`, `clock`, `digest`, `dss`, `limit`, `network`, `rest`, `spans` |
//! | [`data_robot`] | a client of DataRobot, and the clients of every instance; nothing of Kubernetes | `credentials`, `rest` |
//! | [`secret`] | RENDER: what the Secret holds; pure | `api`, `clock`, `credentials`, `digest` |
//! | [`cluster`] | the API server: views that are never older than our own writes, calls bounded in time | `api`, `network`, `spans` |
//! | [`limit`] | how many calls to an outside system are under way, for how long, how often, and who comes first | nothing |
//! | [`finalizers`] | the finalizers of keyturn: listed, added, removed | `api`, `cluster` |
//! | [`views`] | what the API server shows of each kind, and how it is found | `api`, `cluster`, `digest`, `finalizers`, `push`, `shards` |
//! | [`schedule`] | when: the lengths of time between reconciles, fixed for each object; pure | `clock` |
//! | [`dss_keys`] | the second credential: the API key of DSS, its plan and its outcome; pure | `api`, `clock`, `credentials`, `digest`, `dss`, `secret` |
//! | [`grants`] | whether the grants allow or deny a request; pure | `api` |
//! | [`brake`] | withdrawals in number: which are held back, and the report of the whole; pure | `api`, `clock` |
//! | [`verify`] | VERIFY: what is tried of a delivered credential, and what AWS's answers mean; pure | `api`, `credentials`, `digest` |
//! | [`push`] | PUSH: the credential in places outside the cluster: what is to be done about each; pure | `api`, `credentials`, `digest`, `schedule`, `secret` |
//! | [`decide`] | DECIDE: what is to be done about one config; pure | `api`, `brake`, `clock`, `credentials`, `digest`, `dss`, `dss_keys`, `grants`, `push`, `schedule`, `secret`, `verify` |
//! | [`report`] | REPORT: status, Events, the next reconcile; pure | `api`, `brake`, `clock`, `cluster`, `credentials`, `decide`, `dss_keys`, `push`, `schedule`, `secret`, `verify` |
//! | [`stores`] | what keyturn keeps for a person outside the cluster: put, delete, find | `api`, `cluster`, `credentials`, `data_robot`, `dss`, `dss_cache`, `dss_keys`, `finalizers`, `limit`, `push`, `secret`, `views` |
//! | [`sources`] | the Secrets with keys that their owners offer: found, and read | `api`, `cluster`, `credentials`, `decide`, `secret`, `views` |
//! | [`memory`] | what this process remembers of each object; all of it may be lost | `api`, `credentials`, `decide`, `dss_keys`, `report`, `schedule`, `secret` |
//! | [`act`] | ACT: carries out a plan; the handles of a reconcile | `api`, `brake`, `clock`, `cluster`, `credentials`, `data_robot`, `decide`, `dss_cache`, `dss_keys`, `limit`, `memory`, `metrics`, `push`, `report`, `schedule`, `secret`, `stores`, `verify`, `views` |
//! | [`reconcile`] | one config: observe, decide, act, report | `act`, `api`, `brake`, `clock`, `cluster`, `credentials`, `decide`, `dss`, `dss_keys`, `finalizers`, `limit`, `push`, `report`, `schedule`, `sources`, `spans`, `stores`, `views` |
//! | [`instances`] | the reconciles of `DssInstance`s and `DataRobotInstance`s | `api`, `clock`, `cluster`, `credentials`, `data_robot`, `dss`, `dss_cache`, `dss_keys`, `finalizers`, `memory`, `schedule`, `shards`, `views` |
//! | [`restart`] | RESTART: rolls workloads that read only their environment after a renewal | `act`, `api`, `clock`, `cluster`, `report`, `schedule` |
//! | [`controller`] | which object is reconciled when | `act`, `api`, `clock`, `cluster`, `data_robot`, `decide`, `dss_cache`, `grants`, `memory`, `reconcile`, `restart`, `views` |
//! | [`shards`] | which namespaces each of several operators serves, and which may run beside each other; pure | `api` |
//! | [`leader`] | which replica leads: the holder of the Lease | `api`, `clock`, `shards` |
//! | [`certificate`] | the webhook's TLS: made, published, replaced | `clock`, `cluster` |
//! | [`https`] | HTTP and HTTPS for unknown clients, bounded in number, time and size | nothing |
//! | [`inject`] | INJECT: what is added to a pod, and which pods were missed; pure | `api` |
//! | [`process`] | the process: its memory, what it uses, and the signals that end it | nothing |
//! | [`endpoint`] | ENDPOINT: what the endpoint in a pod answers; pure | nothing |
//! | [`serve`] | `keyturn-endpoint` put together: SDKs in a pod ask it for the credential | `clock`, `endpoint`, `https` |
//! | [`server`] | `/livez`, `/readyz`, `/metrics` | `https`, `metrics` |
//! | [`webhook`] | `keyturn webhook` put together: the API server asks it about pods | `api`, `certificate`, `cluster`, `https`, `inject`, `metrics`, `server`, `views` |
//! | [`operator`] | `keyturn run` put together | `act`, `api`, `brake`, `certificate`, `clock`, `cluster`, `controller`, `credentials`, `data_robot`, `digest`, `dss_cache`, `inject`, `instances`, `leader`, `limit`, `memory`, `metrics`, `report`, `rest`, `schedule`, `server`, `shards`, `stores`, `views` |
//! | [`import`](mod@import) | IMPORT: manifests from what other systems say of people, roles and keys; pure | `api`, `secret` |
//! | [`plugin`] | `kubectl keyturn`: what a person at a prompt sees and asks | `api`, `brake`, `clock`, `credentials`, `decide`, `digest`, `dss`, `dss_keys`, `endpoint`, `finalizers`, `grants`, `import`, `inject`, `limit`, `network`, `secret`, `serve`, `shards`, `verify` |
//! | [`reference`](mod@reference) | docs/reference.md, written from the contract | `api` |
//! | [`telemetry`] | logs and traces | `api`, `network`, `rest`, `spans` |
//! | [`cli`] | flags and environment | `api`, `limit`, `shards`, `telemetry` |
//! | [`matrix`] | the injected pods and the Secrets for `tests/matrix`; not in the operator | `api`, `credentials`, `inject`, `secret` |
//! | [`fuzzing`] | what holds for every input that a stranger writes; not in the operator | `api`, `credentials`, `dss`, `grants`, `inject`, `secret` |
//!
//! A test (`tests/worlds/architecture.rs`) reads this table and holds the code to it.
//!
//! # What holds everywhere
//!
//! * Decisions are functions of values and `now`.
//! * Pure rooms: `api`, `brake`, `decide`, `digest`, `dss_keys`, `endpoint`, `grants`, `import`,
//!   `inject`, `push`, `reference`, `report`, `schedule`, `secret`, `shards`, `verify`. They hold
//!   no client, read neither clock nor environment, and draw no random number.
//! * State that matters is in the cluster: what was issued is in the Secret's annotations,
//!   durable failures are in status. The process may be killed at any line.
//! * Every replica watches. Only the leader reconciles, calls STS or DSS, and writes.
//! * Fail closed on authority, open on renewal: without a grant there is no credential, and
//!   keyturn does not withdraw a valid credential because its renewal failed.
//! * A secret is never in a log, an Event, a status, a metric, an error or a `Debug` output.

#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the map names every room, also those that are private; make doc documents them"
)]

mod act;
pub mod api;
pub mod brake;
pub mod certificate;
pub mod cli;
pub mod clock;
mod cluster;
mod controller;
pub mod credentials;
mod data_robot;
mod decide;
mod digest;
pub mod dss;
mod dss_cache;
mod dss_keys;
mod endpoint;
mod finalizers;
#[cfg(any(test, fuzzing, doc))]
pub mod fuzzing;
mod grants;
pub mod https;
mod import;
mod inject;
mod instances;
pub mod leader;
pub mod limit;
#[cfg(any(test, doc))]
mod matrix;
mod memory;
mod metrics;
pub mod network;
pub mod operator;
pub mod plugin;
pub mod process;
mod push;
mod reconcile;
pub mod reference;
mod report;
pub mod rest;
mod restart;
mod schedule;
pub mod secret;
pub mod serve;
mod server;
pub mod shards;
mod sources;
mod spans;
mod stores;
pub mod telemetry;
mod verify;
mod views;
pub mod webhook;

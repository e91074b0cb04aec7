//! The webhook: it answers the API server's reviews of pods. `keyturn webhook` runs it as processes
//! of their own, apart from the operator.
//!
//! A replica watches `AwsConfig`s and the Secret with its certificate. It holds neither an AWS
//! identity nor a credential of anybody, and writes nothing. The leader of the operator makes the
//! certificate ([`crate::certificate`]).

mod replica;
mod route;

pub use crate::inject::Settings;
pub use replica::Replica;
pub use route::{BODY_LIMIT, PATH, REQUIRED_PATH, Webhook};

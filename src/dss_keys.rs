//! The second credential: the API key of Dataiku DSS that goes into the Secret beside the AWS
//! credential. Pure.
//!
//! It has its own request, plan and outcome, beside those of the first credential, and neither
//! credential waits for the other. A renewal keeps the API key that the Secret holds, and an API
//! key that keyturn cannot obtain yet does not hold back an AWS credential. The only tie is an API
//! key that belongs to another user. If DSS says that, keyturn withdraws the whole Secret.

mod outcome;
mod place;
mod plan;
mod request;
mod status;
mod surplus;

pub use outcome::{ApiKeyOutcome, DeletedKey, HeldKey};
pub use place::{KeyPlace, key_label, key_label_prefix};
pub use plan::{ApiKeyPlan, Input, Needs};
pub use request::{ApiKeyRequest, DssRequest};
pub use status::Known;
pub use surplus::SurplusKeys;

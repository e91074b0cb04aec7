//! The second credential: the API key of Dataiku DSS that goes into the Secret beside the AWS credential. Pure.
//!
//! It has a request, a plan and an outcome of its own, beside those of the first credential, and neither waits for the
//! other: a renewal carries the key that is there, and a key that cannot be had yet does not hold a credential back.
//! The one tie is a key that DSS says is another user's: then keyturn withdraws the whole Secret.

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

//! RENDER: what the Secret holds. Pure: values in, values out.
//!
//! One [`Record`] (annotations) and one set of keys are written together, so no reader ever sees two sessions mixed,
//! and the annotations are the truth about what was issued: everything that has to survive a restart is on the Secret.
//!
//! ```text
//!   Credentials ─┐
//!   Rendering  ──┼─▶ render / render_withdrawn ─▶ Content ─▶ desired (the Secret to apply)
//!   Record     ──┘                                   ▲
//!   a Secret that was read ──▶ Record::read, is_intact, credentials_in
//! ```

mod content;
mod dataiku;
mod digest;
mod ini;
mod manifest;
mod record;

pub use content::{Content, Rendering, Unrenderable, WITHDRAWN, credentials_in, render, render_withdrawn};
pub use dataiku::{DssRendering, api_key_in};
pub use digest::is_intact;
pub use manifest::{desired, metadata_is_as_desired, shell};
pub use record::{ApiKeyRecord, Record};

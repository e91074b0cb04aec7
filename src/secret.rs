//! Renders the content of the Secret. Pure: values in, values out.
//!
//! keyturn writes one [`Record`] (annotations) and one set of keys together. A reader can never see
//! a mixture of two sessions. The annotations are the authoritative record of the issued
//! credential, because everything that has to survive a restart of keyturn is on the Secret.
//!
//! ```text
//!   Credentials ─┐
//!   Rendering  ──┼─▶ render_all ───────────────▶ Content ─▶ desired (the Secret to apply)
//!   Record     ──┤                                   ▲
//!   ProfilePart ─┘                                   │
//!   a Secret that was read ──▶ Record::read, is_intact, credentials_in
//! ```

mod content;
mod data_robot;
mod dataiku;
mod digest;
mod ini;
mod manifest;
mod profile;
mod record;
mod rendering;
mod source;

pub use content::{
    Content, Main, Rendering, Unrenderable, WITHDRAWN, credentials_in, render, render_all, render_withdrawn,
};
pub use data_robot::DataRobotRendering;
pub use dataiku::{DssRendering, api_key_in};
pub use digest::is_intact;
pub use manifest::{metadata_is_as_desired, patch, whole};
pub use profile::{ProfilePart, ProfileRecord, profile_credentials_in};
pub use record::{ApiKeyRecord, Record};
pub use source::{SeenKey, Source, is_offered};

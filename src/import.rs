//! IMPORT: manifests from what other systems say of people, roles and keys. Pure.
//!
//! The plugin (`crate::plugin`) reads the files and the cluster, and prints the manifests. Nothing
//! is applied, and no key is in a manifest unless the caller asks for it.

pub mod aws;
mod csv;
mod grants;
mod keys;
mod manifest;
mod names;
mod offered;
mod others;
pub mod trifacta;

pub use keys::keys;
pub use manifest::{Document, Manifests, yaml};
pub use others::{external_secrets, zalando};

/// The reason why something cannot be imported: the place, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(pub String);

impl Wrong {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

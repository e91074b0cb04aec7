//! The API server, as seen from here: what it shows us ([`Watched`]) and what we ask of it ([`Calls`]).
//!
//! Two promises live in this room. Every call is bounded in time and fails with one line that names the object. And
//! what is shown is never older than our own last write of it ([`OwnWrites`]): a controller that decides on a state from
//! before its own write issues twice.

mod calls;
mod index;
mod own_writes;
mod serving;
mod watched;
mod workloads;

pub use calls::{CallError, Calls, Failed, Preconditions, data_of};
pub use index::Index;
pub use own_writes::OwnWrites;
pub use serving::changes_of;
pub use watched::{Change, SyncState, Watched, follow};

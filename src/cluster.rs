//! The API server from keyturn's side: the objects that it shows ([`Watched`]) and the calls that
//! keyturn makes ([`Calls`]).
//!
//! This room keeps three promises:
//!
//! * Every call is bounded in time. The error of a failed call is one line that names the object.
//! * A watched object is never older than keyturn's own last write of it ([`OwnWrites`]). A
//!   controller that decides on a state from before its own write would issue a credential twice.
//! * A process that no longer leads writes nothing ([`Mandate`]).

mod call_error;
mod calls;
mod failing;
mod index;
mod mandate;
mod name;
mod own_writes;
mod served;
mod serving;
mod store;
mod watched;
mod workloads;

pub use call_error::{CallError, Failed};
pub use calls::{Calls, NOT_LEADING, Preconditions, data_of};
pub use failing::{Failing, Write};
pub use mandate::Mandate;
pub use name::{Name, Object};
pub use own_writes::OwnWrites;
pub use served::{StartError, check_served};
pub use serving::changes_of;
pub use store::Kept;
pub use watched::{Change, SyncState, Watched, follow, follow_in, scoped};

//! PUSH: the credential in places outside the cluster, beside the Secret. Pure; `stores` makes the
//! calls.
//!
//! ```text
//!   spec.push, status.push, record ─▶ Step ─▶ stores [client] ─▶ Tried ─▶ status.push
//! ```
//!
//! A place becomes keyturn's in two steps, so that keyturn never overwrites what somebody else
//! wrote and never forgets what it wrote. First keyturn looks whether the place is free, and status
//! records it. Only then keyturn writes the credential there. Later it replaces or removes only
//! what status records. A place whose entry others refer to by an ID keeps the entry while the
//! credential is withdrawn.

mod place;
mod step;
mod tries;

pub use place::{Place, Slot, System, all_recorded, recorded, set_recorded, token_not_offered, wanted_names};
pub use step::{InSecret, Input, REVOKED, Step, Wanted};
pub use tries::{Failed, Tried};

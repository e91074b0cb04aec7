//! The process: its memory, and the signals that end it.

#[cfg_attr(unix, path = "process/unix.rs")]
#[cfg_attr(not(unix), path = "process/windows.rs")]
mod system;

pub use system::{Signals, forbid_core_dumps, forbid_reads_of_memory};

//! The process: its memory, what it uses, and the signals that end it.

#[cfg_attr(unix, path = "process/unix.rs")]
#[cfg_attr(not(unix), path = "process/windows.rs")]
mod system;

pub use system::{Signals, forbid_core_dumps, forbid_reads_of_memory, usage};

/// The resources that the process uses. A value that the system does not say is absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// The time of processors that it used, in seconds.
    pub cpu_seconds: f64,
    /// The resident memory, in bytes.
    pub resident_bytes: Option<f64>,
    /// The open file descriptors.
    pub open_files: Option<f64>,
    /// The most file descriptors that it may open; absent without a limit.
    pub most_files: Option<f64>,
    /// The start, in seconds since 1970.
    pub started_at: Option<f64>,
}

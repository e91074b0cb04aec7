//! The process on Unix: its memory and its signals.

use rustix::process::{Resource, Rlimit, setrlimit};
use std::{error::Error, io};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Keeps the memory of the process, which holds sessions and API keys, out of core dumps. The
/// resource limit does not bound a dump that the kernel pipes to a program (core(5)), therefore the
/// process also is not dumpable (`PR_SET_DUMPABLE` in prctl(2)). Another process of the same user
/// then cannot read its memory either.
///
/// # Errors
/// An error if the kernel refuses one of the two.
pub fn forbid_core_dumps() -> Result<(), Box<dyn Error>> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(io::Error::from)
        .and_then(|()| forbid_reads_of_memory())
        .map_err(|error| format!("cannot turn off core dumps: {error}").into())
}

/// Keeps other processes of the same user from reading the memory of this one.
///
/// # Errors
/// [`io::Error`] if the kernel refuses it.
#[cfg(target_os = "linux")]
pub fn forbid_reads_of_memory() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Another system has no such call. The operator runs on Linux.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn forbid_reads_of_memory() -> io::Result<()> {
    Ok(())
}

/// The signals that end a process.
#[derive(Debug)]
pub struct Signals([Signal; 2]);

impl Signals {
    /// Handles the signals from now on.
    ///
    /// # Errors
    /// [`io::Error`] if a handler cannot be installed.
    pub fn handled() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]))
    }

    /// Waits for one of them.
    pub async fn any(&mut self) {
        let [terminated, interrupted] = &mut self.0;
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{DumpableBehavior, dumpable_behavior, getrlimit};

    #[test]
    fn a_core_dump_is_neither_written_to_a_file_nor_piped() {
        forbid_core_dumps().unwrap();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}

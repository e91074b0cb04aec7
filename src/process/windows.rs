//! The process on Windows, where only the plugin is used. The operator runs on Linux.

use super::Usage;
use std::{error::Error, io};
use tokio::signal::windows::{CtrlC, ctrl_c};

/// Windows writes no core dumps of its own accord.
///
/// # Errors
/// None.
pub fn forbid_core_dumps() -> Result<(), Box<dyn Error>> {
    Ok(())
}

/// Windows has no such call.
///
/// # Errors
/// None.
pub fn forbid_reads_of_memory() -> io::Result<()> {
    Ok(())
}

/// keyturn serves no metrics on Windows.
#[must_use]
pub fn usage() -> Option<Usage> {
    None
}

/// The interruption that ends a process.
#[derive(Debug)]
pub struct Signals(CtrlC);

impl Signals {
    /// Handles the interruption from now on.
    ///
    /// # Errors
    /// [`io::Error`] if a handler cannot be installed.
    pub fn handled() -> io::Result<Self> {
        Ok(Self(ctrl_c()?))
    }

    /// Waits for it.
    pub async fn any(&mut self) {
        let _ = self.0.recv().await;
    }
}

//! Interruptions on Windows, which has no signals.

use std::{convert::Infallible, io, process::ExitStatus};
use tokio::signal::windows::{CtrlBreak, CtrlC, ctrl_break, ctrl_c};

/// The interruptions that end the program and not the endpoint before it. The console sends them to
/// the program itself, too.
pub(super) struct Forwarded {
    interrupted: CtrlC,
    broken: CtrlBreak,
}

impl Forwarded {
    /// Handles the interruptions from now on.
    pub(super) fn handled() -> io::Result<Self> {
        Ok(Self { interrupted: ctrl_c()?, broken: ctrl_break()? })
    }

    /// Waits while the program runs. Never ends.
    pub(super) async fn forward_to(&mut self, _: Option<u32>) -> Infallible {
        loop {
            tokio::select! {
                _ = self.interrupted.recv() => {}
                _ = self.broken.recv() => {}
            }
        }
    }
}

/// No signal ends a program.
pub(super) fn number_of_signal(_: ExitStatus) -> Option<i32> {
    None
}

//! Signals on Unix.

use rustix::process::{Pid, Signal as Kill, kill_process};
use std::{convert::Infallible, io, os::unix::process::ExitStatusExt as _, process::ExitStatus};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end the program and not the endpoint before it. A terminal sends the first two
/// to the program itself, too.
pub(super) struct Forwarded {
    interrupted: Signal,
    quit: Signal,
    terminated: Signal,
    hung_up: Signal,
}

impl Forwarded {
    /// Handles the signals from now on.
    pub(super) fn handled() -> io::Result<Self> {
        Ok(Self {
            interrupted: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminated: signal(SignalKind::terminate())?,
            hung_up: signal(SignalKind::hangup())?,
        })
    }

    /// Sends the signals that a terminal does not send to the program with this ID. Never ends.
    pub(super) async fn forward_to(&mut self, id: Option<u32>) -> Infallible {
        let pid = id.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        loop {
            tokio::select! {
                _ = self.interrupted.recv() => {}
                _ = self.quit.recv() => {}
                _ = self.terminated.recv() => forward(pid, Kill::TERM),
                _ = self.hung_up.recv() => forward(pid, Kill::HUP),
            }
        }
    }
}

/// Sends a signal to the program. It may have ended meanwhile.
fn forward(pid: Option<Pid>, kill: Kill) {
    if let Some(pid) = pid {
        let _ = kill_process(pid, kill);
    }
}

/// The number of the signal that ended a program.
pub(super) fn number_of_signal(status: ExitStatus) -> Option<i32> {
    status.signal()
}

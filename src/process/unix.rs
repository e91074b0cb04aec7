//! The process on Unix: its memory and its signals.

use super::Usage;
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

/// The resources that this process uses, from /proc (proc(5)). `None` if the system does not say.
#[cfg(target_os = "linux")]
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "the metrics are of 64-bit floating point")]
pub fn usage() -> Option<Usage> {
    use procfs::{WithCurrentSystemInfo as _, process::Process};
    use rustix::process::getrlimit;
    let process = Process::myself().ok()?;
    let stat = process.stat().ok()?;
    let ticks = procfs::ticks_per_second() as f64;
    let booted = procfs::boot_time_secs().ok();
    Some(Usage {
        cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
        resident_bytes: Some(stat.rss_bytes().get() as f64),
        open_files: process.fd_count().ok().map(|count| count as f64),
        most_files: getrlimit(Resource::Nofile).current.map(|most| most as f64),
        started_at: booted.map(|booted| booted as f64 + stat.starttime as f64 / ticks),
    })
}

/// Another system has no /proc. The operator runs on Linux.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn usage() -> Option<Usage> {
    None
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

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_says_what_it_uses_although_nobody_may_read_its_memory() {
        forbid_reads_of_memory().unwrap();
        let _files: Vec<_> = (0..20).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        let memory = vec![1_u8; 64 << 20];
        let usage = usage().unwrap();
        assert!(usage.resident_bytes.unwrap() > 67_108_864.0 && memory[1] == 1, "{usage:?}");
        assert!(usage.open_files.unwrap() >= 20.0 && usage.open_files < usage.most_files, "{usage:?}");
        assert!(usage.cpu_seconds >= 0.0, "{usage:?}");
        let now = std::fs::metadata("/proc/self").unwrap().modified().unwrap();
        let started = std::time::UNIX_EPOCH + std::time::Duration::from_secs_f64(usage.started_at.unwrap());
        let away = now.duration_since(started).unwrap_or_else(|error| error.duration());
        assert!(away < std::time::Duration::from_secs(86_400), "{usage:?}");
    }

    #[test]
    fn a_core_dump_is_neither_written_to_a_file_nor_piped() {
        forbid_core_dumps().unwrap();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}

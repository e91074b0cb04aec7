//! The memory and the CPU time of a process, from Linux.

use crate::Result;
use std::time::Duration;

/// The unit in which Linux reports CPU time (`USER_HZ`), on every architecture that keyturn is
/// built for.
const TICK: Duration = Duration::from_millis(10);

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// The resident memory now (`VmRSS`).
    pub resident: u64,
    /// The largest resident memory since the start (`VmHWM`).
    pub peak: u64,
    /// The resident memory now that belongs to no file (`RssAnon`). The program itself is a file.
    pub anonymous: u64,
}

/// The memory of a process.
pub fn memory(pid: u32) -> Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kilobytes: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| format!("/proc/{pid}/status has no {name}"))
    };
    Ok(Memory { resident: value("VmRSS")?, peak: value("VmHWM")?, anonymous: value("RssAnon")? })
}

/// The CPU time that these processes have used together.
pub fn cpu(pids: impl IntoIterator<Item = u32>) -> Result<Duration> {
    let mut ticks = 0;
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in parentheses, may hold anything; user and system time are the 12th and 13th
        // field after it.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let times = after_name.split_whitespace().skip(11).take(2);
        ticks += times.map(|time| time.parse().unwrap_or(0)).sum::<u32>();
    }
    Ok(TICK * ticks)
}

//! Numbers made of other numbers, for the report.

use std::time::Duration;

/// A short time in milliseconds, e.g. `0.74 ms`.
pub fn fine_milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// The time that `percent` percent of these times do not exceed. Zero if there are none.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get(last * percent / 100).copied().unwrap_or_default()
}

/// The rate per second of `count` things in this time.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// The share of one in the time for `count`. Zero if there are none.
pub fn mean(all: Duration, count: usize) -> Duration {
    all.checked_div(u32::try_from(count).unwrap_or(u32::MAX)).unwrap_or_default()
}

/// The share of one object in a time, in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn each(count: usize, time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0 / count as f64
}

/// A number divided by the count of objects.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn share(number: usize, count: usize) -> f64 {
    number as f64 / count as f64
}

/// Bytes in megabytes, e.g. `23.5 MB`.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", in_megabytes(bytes))
}

/// Bytes in millions of bytes.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn in_megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

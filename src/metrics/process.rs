//! The metrics of the process, under the names that every exporter of Prometheus has for them
//! (Prometheus, "Writing client libraries", "Process metrics").

use crate::process::Usage;
use prometheus_client::{
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

/// A registry with what the process uses.
pub(super) fn registry(usage: &Usage) -> Registry {
    let mut registry = Registry::default();
    let gauge = ConstGauge::<f64>::new;
    registry.register(
        "process_cpu_seconds",
        "Time of processors that this process used, in seconds",
        ConstCounter::new(usage.cpu_seconds),
    );
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Resident memory, in bytes", usage.resident_bytes),
        ("process_open_fds", "Open file descriptors", usage.open_files),
        ("process_max_fds", "The most file descriptors that this process may open", usage.most_files),
        ("process_start_time_seconds", "The start of this process, in seconds since 1970", usage.started_at),
    ] {
        if let Some(value) = value {
            registry.register(name, help, gauge(value));
        }
    }
    registry
}

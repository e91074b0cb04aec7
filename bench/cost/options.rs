//! What is measured: `cargo bench --bench cost -- --only cold --objects 5000`.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Measures keyturn on a real control plane, beside a raw client that does the same work.
#[derive(Debug, Parser)]
#[command(name = "cost")]
pub struct Options {
    /// How many `AwsConfigs` exist when the operator starts.
    #[arg(long, default_value_t = 1000)]
    pub objects: usize,

    /// How many new objects are timed one at a time.
    #[arg(long, default_value_t = 50)]
    pub samples: usize,

    /// How many objects are renewed to count what a renewal costs.
    #[arg(long, default_value_t = 100)]
    pub rotating: usize,

    /// How many pods of each kind are created, one after the other and again at once.
    #[arg(long, default_value_t = 1000)]
    pub pods: usize,

    /// Only this part. The objects are made and issued in every case.
    #[arg(long)]
    pub only: Option<Part>,

    /// Another binary than the release build of this checkout.
    #[arg(long)]
    pub binary: Option<PathBuf>,

    /// More environment for the operator, e.g. `MALLOC_ARENA_MAX=1`. May be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    pub environment: Vec<(String, String)>,

    /// Be the webhook that does nothing, and measure nothing.
    #[arg(long, hide = true)]
    pub do_nothing: bool,

    /// How `cargo bench` calls every benchmark.
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// From `kubectl apply` to the Secret, one object at a time.
    Latency,
    /// The operator starts and everything has to be issued.
    Cold,
    /// What the webhook adds to the creation of a pod.
    Admission,
    /// Calls per renewal and per restart.
    Rotation,
    /// Resident memory: idle, full, restarted, and beside large Secrets of others.
    Memory,
}

impl Options {
    /// Whether this part is asked for.
    pub fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is needed")?;
    Ok((name.to_owned(), value.to_owned()))
}

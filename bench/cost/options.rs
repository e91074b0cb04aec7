//! The options: `cargo bench --bench cost -- --only cold --objects 5000`.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Measures keyturn on a real control plane, beside a raw client that does the same work.
#[derive(Clone, Debug, Parser)]
#[command(name = "cost")]
pub struct Options {
    /// How many `AwsConfigs` exist when the operator starts.
    #[arg(long, default_value_t = 1000)]
    pub objects: usize,

    /// How many new objects are created one at a time, and timed.
    #[arg(long, default_value_t = 500)]
    pub samples: usize,

    /// How many objects are renewed, to count the calls of a renewal.
    #[arg(long, default_value_t = 100)]
    pub rotating: usize,

    /// How many pods of each kind are created one after the other, and again many at once.
    #[arg(long, default_value_t = 1000)]
    pub pods: usize,

    /// Measure only these parts. The objects are created and issued in every case.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Part>,

    /// Measure these numbers of objects, each on a control plane of its own, instead of
    /// `--objects`.
    #[arg(long, value_delimiter = ',', conflicts_with = "objects")]
    pub sizes: Vec<usize>,

    /// Write the figures to this file as JSON, in base units.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Draw the figures over the sizes to this file as SVG.
    #[arg(long, value_name = "FILE", requires = "sizes")]
    pub svg: Option<PathBuf>,

    /// Measure this binary, and the program keyturn-endpoint beside it, instead of the release
    /// build of this checkout.
    #[arg(long)]
    pub binary: Option<PathBuf>,

    /// An additional variable for the operator, e.g. `MALLOC_ARENA_MAX=1`. May be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    pub environment: Vec<(String, String)>,

    /// Run the webhook that does nothing, and measure nothing.
    #[arg(long, hide = true)]
    pub do_nothing: bool,

    /// The flag that `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The time from `kubectl apply` to the Secret, one object at a time.
    Latency,
    /// The start of an operator that has to issue everything.
    Cold,
    /// The cost of the webhook in the creation of a pod.
    Admission,
    /// The calls per renewal and per restart.
    Rotation,
    /// The resident memory: idle, full, restarted, and beside large objects of others.
    Memory,
    /// The memory that a user without a grant can add with the largest objects.
    Large,
    /// The webhook while anybody floods its port.
    Flood,
    /// The plugin at a prompt: its start, and the list of the cluster.
    Prompt,
    /// The endpoint in a pod: its start, and its memory.
    Endpoint,
}

impl Options {
    /// Whether the options ask for this part.
    pub fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// The options of each run, one for each number of objects.
    pub fn runs(&self) -> Vec<Self> {
        let sizes = if self.sizes.is_empty() { &vec![self.objects] } else { &self.sizes };
        sizes.iter().map(|objects| Self { objects: *objects, ..self.clone() }).collect()
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is needed")?;
    Ok((name.to_owned(), value.to_owned()))
}

//! The `keyturn-endpoint` program: the endpoint in a pod. It parses the arguments, starts the
//! endpoint and sets the exit code. Everything else is in the library.
//!
//! It is a program of its own because each pod that asks for it has one. The kernel maps pages of a
//! program around each page that runs, therefore a large program takes more memory than a small one
//! that does the same. The linker leaves out what this program does not call: TLS, Kubernetes, AWS.

use keyturn::{
    cli::{self, Endpoint},
    clock::Clock,
    process::{Signals, forbid_core_dumps},
    serve, telemetry,
};
use std::{
    env,
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

fn main() -> ExitCode {
    let options = match cli::parse_endpoint(env::args_os()) {
        Ok(options) => options,
        Err(refused) => return refused.report(),
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "keyturn-endpoint: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the endpoint on one thread, because it has to be small.
#[tokio::main(flavor = "current_thread")]
async fn run(options: Endpoint) -> Result<(), Box<dyn Error>> {
    let endpoint = serve::Endpoint { port: options.port, secret: options.secret_dir, shared: options.shared_dir };
    if options.probe {
        return if endpoint.is_up() { Ok(()) } else { Err("the endpoint does not listen yet".into()) };
    }
    forbid_core_dumps()?;
    telemetry::start(telemetry::LogFormat::Json, "info");
    let mut signals = Signals::handled()?;
    let open = endpoint.open()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), port = endpoint.port, "started");
    tokio::select! {
        ended = open.run(Clock::system()) => ended.map_err(Into::into),
        // The pod's own containers have ended before this one is asked to end.
        () = signals.any() => Ok(()),
    }
}

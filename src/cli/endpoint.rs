//! The command line of `keyturn-endpoint`, the program of the endpoint in a pod. It has no
//! commands.

use super::Refused;
use crate::api::names::{ENDPOINT_PATH, ENDPOINT_PORT, MOUNT_PATH};
use clap::{CommandFactory as _, Parser};
use std::{ffi::OsString, path::PathBuf};

/// The name of the program.
const NAME: &str = "keyturn-endpoint";

/// Serves the credential of a mounted Secret to the SDKs in the same pod, on 127.0.0.1. The webhook
/// adds this program as a container to pods that ask for it.
#[derive(Debug, Parser)]
#[command(name = NAME, version)]
pub struct Endpoint {
    /// The port on 127.0.0.1.
    #[arg(long, env = "KEYTURN_ENDPOINT_PORT", default_value_t = ENDPOINT_PORT, value_parser = clap::value_parser!(u16).range(1024..))]
    pub port: u16,

    /// The folder at which the Secret is mounted.
    #[arg(long, env = "KEYTURN_SECRET_DIR", default_value = MOUNT_PATH)]
    pub secret_dir: PathBuf,

    /// The folder for the token, which the containers of the pod share.
    #[arg(long, env = "KEYTURN_SHARED_DIR", default_value = ENDPOINT_PATH)]
    pub shared_dir: PathBuf,

    /// Do not serve. Succeed if the endpoint of this pod listens, and fail otherwise.
    #[arg(long)]
    pub probe: bool,
}

/// The command line, as clap knows it.
#[must_use]
pub fn command() -> clap::Command {
    Endpoint::command()
}

/// Parses a command line.
///
/// # Errors
/// [`Refused`] if it is invalid, or asks for help or the version.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Endpoint, Refused> {
    Endpoint::try_parse_from(arguments).map_err(|error| Refused { error, program: NAME, command: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Endpoint, String> {
        parse([NAME].iter().chain(arguments).map(OsString::from)).map_err(|refused| refused.one_line())
    }

    #[test]
    fn a_wrong_setting_is_one_line_that_names_it() {
        for (arguments, named) in [
            (&["--port", "80"][..], "--port"),
            (&["--port=80"], "80 is not in 1024.."),
            (&["--port", "http"], "--port"),
            (&["--prob"], "'--prob' found; tip: a similar argument"),
            (&["serve", "--port=18197"], "'serve'"),
        ] {
            let line = parsed(arguments).unwrap_err();
            let is_line = !line.contains('\n') && line.ends_with("; see keyturn-endpoint --help");
            assert!(is_line && line.contains(named), "{arguments:?}: {line}");
        }
    }

    #[test]
    fn a_command_line_without_settings_is_that_of_an_injected_pod() {
        let Endpoint { port, secret_dir, shared_dir, probe } = parsed(&[]).unwrap();
        assert_eq!((port, probe), (ENDPOINT_PORT, false));
        assert_eq!((secret_dir, shared_dir), (MOUNT_PATH.into(), ENDPOINT_PATH.into()));
        assert!(parsed(&["--probe", "--port=20000"]).unwrap().probe);
    }
}

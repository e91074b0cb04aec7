//! The AWS CLI with a credential that a test names, for the doubles that call the ground's AWS.

use super::ground::Ground;
use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

/// The AWS CLI of the ground.
#[derive(Clone, Debug)]
pub struct AwsCli {
    program: PathBuf,
    endpoint: String,
}

impl AwsCli {
    /// The one of this ground, which needs an AWS.
    pub fn of(ground: &Ground) -> Self {
        let at = &ground.at;
        Self { program: at.bin.aws.clone().unwrap(), endpoint: at.aws.as_ref().unwrap().endpoint.clone() }
    }

    /// Runs a command with this access key ID, secret access key and session token, and gives it
    /// this standard input. Returns what the command writes. An error is what it complains about.
    pub fn run(
        &self,
        (id, secret, token): (&str, &str, Option<&str>),
        arguments: &[&str],
        input: &[u8],
    ) -> Result<Vec<u8>, String> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("AWS_ACCESS_KEY_ID", id)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .envs(token.map(|token| ("AWS_SESSION_TOKEN", token)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        // A command that fails early does not read its input.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }
}

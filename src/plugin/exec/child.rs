//! The program that is run: its environment, the signals that it gets, and its exit code.

use crate::{inject::OfProcess, plugin::Failed};
use std::{
    ffi::{OsStr, OsString},
    io::ErrorKind,
    process::ExitStatus,
};
use tokio::process::Command;

#[cfg_attr(unix, path = "child/unix.rs")]
#[cfg_attr(not(unix), path = "child/windows.rs")]
mod system;

use system::{Forwarded, number_of_signal};

/// The exit code of a shell for a program that does not exist (POSIX, "Exit Status for Commands").
const NOT_FOUND: u8 = 127;
/// The exit code of a shell for a program that cannot be run.
const NOT_EXECUTABLE: u8 = 126;
/// The number that a shell adds to that of a signal.
const SIGNALLED: i32 = 128;

/// Runs a program with this environment and these further variables. Returns its exit code.
///
/// # Errors
/// [`Failed`] if it cannot be started.
pub(super) async fn run(
    command: &[OsString],
    environment: &OfProcess,
    others: &[(String, String)],
) -> Result<u8, Failed> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failed::usage("name a program after --"));
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(others.iter().cloned());
    for name in &environment.removed {
        command.env_remove(name);
    }
    command.envs(environment.set.iter().cloned());
    let mut signals = Forwarded::handled().map_err(|error| Failed::new(format!("cannot handle signals: {error}")))?;
    let mut child = command.spawn().map_err(|error| not_started(program, &error))?;
    let id = child.id();
    tokio::select! {
        ended = child.wait() => match ended {
            Ok(status) => Ok(code(status)),
            Err(error) => Err(Failed::new(format!("cannot wait for {}: {error}", program.display()))),
        },
        never = signals.forward_to(id) => match never {},
    }
}

/// The exit code, as a shell has it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| number_of_signal(status).map(|signal| SIGNALLED + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn not_started(program: &OsStr, error: &std::io::Error) -> Failed {
    let code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    Failed { message: format!("cannot run {}: {error}", program.display()), code }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::of_process;

    async fn sh(script: &str) -> Result<u8, Failed> {
        let command = ["sh", "-c", script].map(OsString::from);
        let environment = of_process("http://127.0.0.1:1/v1/credentials", "token");
        run(&command, &environment, &[("AWS_REGION".to_owned(), "eu-west-1".to_owned())]).await
    }

    #[tokio::test]
    async fn the_exit_code_of_the_program_is_that_of_the_command() {
        for (row, script, code) in [
            ("fine", "exit 0", 0),
            ("its own", "exit 42", 42),
            ("a signal", "kill -TERM $$", 143),
            ("the region", "test \"$AWS_REGION\" = eu-west-1", 0),
            ("the token", "test \"$AWS_CONTAINER_AUTHORIZATION_TOKEN\" = token", 0),
            ("no key", "test -z \"${AWS_ACCESS_KEY_ID+set}\"", 0),
            ("an empty profile", "test -c \"$AWS_CONFIG_FILE\"", 0),
        ] {
            assert_eq!(sh(script).await.unwrap(), code, "{row}");
        }
    }

    #[tokio::test]
    async fn a_program_that_does_not_exist_has_the_code_of_a_shell() {
        let environment = of_process("http://127.0.0.1:1/", "token");
        let failed = run(&["/nowhere/program".into()], &environment, &[]).await.unwrap_err();
        assert!(failed.code == NOT_FOUND && failed.message.contains("cannot run /nowhere/program"), "{failed}");
        let failed = run(&["/etc/passwd".into()], &environment, &[]).await.unwrap_err();
        assert_eq!(failed.code, NOT_EXECUTABLE);
    }
}

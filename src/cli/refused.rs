//! A command line that starts no command: help, the version, or an error in one line.

use clap::error::ErrorKind;
use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// A command line that starts no command.
#[derive(Debug)]
pub struct Refused {
    /// The error, or the text of help or version.
    pub error: clap::Error,
    /// The name of the program.
    pub(super) program: &'static str,
    /// The command of the program, if the command line names one.
    pub(super) command: Option<String>,
}

impl Refused {
    /// Prints the help, the version or the error. Returns the exit code: 0 for help and version
    /// that were asked for, and 2 otherwise.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        // Without a command, clap's error is the help itself.
        if self.is_help() {
            let _ = self.error.print();
            return ExitCode::from(2);
        }
        if self.error.use_stderr() {
            let _ = writeln!(io::stderr(), "{}: {}", self.program, self.one_line());
            return ExitCode::from(2);
        }
        self.error.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
    }

    /// Whether the error is the help, because the command line names no command.
    #[must_use]
    pub fn is_help(&self) -> bool {
        self.error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    }

    /// The error in one line. It ends with the help to read.
    #[must_use]
    pub fn one_line(&self) -> String {
        let rendered = self.error.render().to_string();
        let is_over = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more information");
        let lines: Vec<&str> = rendered.lines().map(str::trim).take_while(|line| !is_over(line)).collect();
        // A paragraph of its own, such as a tip, is a part of its own.
        let parts = lines.split(|line| line.is_empty()).filter(|part| !part.is_empty());
        let said = parts.map(|part| part.join(" ")).collect::<Vec<_>>().join("; ");
        let said = said.trim().trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ");
        let command = self.command.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        format!("{said}; see {}{command} --help", self.program)
    }
}

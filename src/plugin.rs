//! `kubectl keyturn`: what a person at a prompt sees and asks. It works with the kubeconfig and the
//! rights of the caller, and with nothing else.
//!
//! ```text
//!   connect [client] ─▶ live [reads] ─▶ status, why, grants_table, policies [pure] ─▶ text
//!                                 └───▶ env, verify [read a Secret], renew [writes an annotation]
//! ```

mod cli;
mod connect;
mod env;
mod grants_table;
mod live;
mod policies;
mod renew;
mod status;
mod table;
mod verify;
mod why;

pub use cli::{Plugin, parse};

use crate::clock::Clock;
use cli::Command;
use connect::Caller;
use kube::Api;
use std::fmt;

/// The file name under which `kubectl` finds the plugin.
pub const FILE_NAME: &str = "kubectl-keyturn";

/// The answer to a command: the text for standard output, and whether what was asked about is in
/// order.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text, with a newline at its end.
    pub text: String,
    /// Whether it is in order. The exit code is then 0, and 1 otherwise.
    pub is_fine: bool,
}

impl Answer {
    fn fine(text: String) -> Self {
        Self { text, is_fine: true }
    }
}

/// The failure of a command, in one line: what was tried, why it failed, what to do.
#[derive(Debug)]
pub struct Failed {
    /// The line.
    pub message: String,
    /// The exit code: 1, or 3 for a time-out.
    pub code: u8,
}

impl Failed {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// The failure of a call to the API server.
    fn of_call(tried: &str, error: &kube::Error) -> Self {
        let why = match error {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        };
        Self::new(format!("{tried}: {why}"))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Carries out a command.
///
/// # Errors
/// [`Failed`] if there is no cluster, or the API server refuses a call that the command cannot do
/// without.
pub async fn run(plugin: &Plugin, clock: &Clock) -> Result<Answer, Failed> {
    let caller = Caller::connect(&plugin.connection).await?;
    match &plugin.command {
        Command::Status(asked) => {
            let configs = match &asked.name {
                Some(name) => vec![caller.config(name).await?],
                None => caller.configs(asked.all_namespaces, asked.selector.as_deref()).await?,
            };
            let rows = status::rows(&configs, asked.person.as_deref(), clock.now());
            status::answer(&rows, asked.output, &caller.scope(asked.all_namespaces))
        }
        Command::Why(asked) => {
            let live = live::Live::read(&caller, &asked.name).await?;
            Ok(why::answer(&live, clock.now()))
        }
        Command::Can(asked) => {
            let (grants, labels) = (caller.grants().await?, caller.namespace_labels().await?);
            grants_table::can(&grants, &labels, &caller.namespace, asked)
        }
        Command::WhoCan(asked) => Ok(grants_table::who_can(&caller.grants().await?, &asked.role)),
        Command::Roles(asked) => {
            let (grants, labels) = (caller.grants().await?, caller.namespace_labels().await?);
            Ok(grants_table::roles(&grants, &labels, &caller.namespace, asked.person.as_deref()))
        }
        Command::TrustPolicy(asked) => policies::trust_policy(&caller.config(&asked.name).await?, &asked.principal),
        Command::IamPolicy => policies::iam_policy(&caller.grants().await?),
        Command::Env(asked) => {
            let secrets = Api::namespaced(caller.client.clone(), &caller.namespace);
            env::env(&secrets, &caller.config(&asked.name).await?, asked.shell).await
        }
        Command::Verify(asked) => {
            let secrets = Api::namespaced(caller.client.clone(), &caller.namespace);
            let config = caller.config(&asked.name).await?;
            Box::pin(verify::verify(&secrets, &config, asked.aws_ca_bundle.as_deref(), clock)).await
        }
        Command::Renew(asked) => {
            let names = match &asked.selector {
                Some(selector) => {
                    caller.configs(false, Some(selector)).await?.iter().map(kube::ResourceExt::name_any).collect()
                }
                None => asked.names.clone(),
            };
            let api = Api::namespaced(caller.client.clone(), &caller.namespace);
            renew::renew(&api, &names, asked.wait.map(std::time::Duration::from_secs), clock.now()).await
        }
    }
}

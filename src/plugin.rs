//! `kubectl keyturn`: what a person at a prompt sees and asks. It works with the kubeconfig and the
//! rights of the caller, and with nothing else.
//!
//! ```text
//!   connect [client] ─┬─▶ live [reads] ─▶ why [pure: the operator's decision] ─┐
//!                     ├─▶ status, grants_table, policies, grant, doctor ────────┼─▶ screen
//!                     ├─▶ import [reads] ─▶ crate::import [pure] ───────────────┘
//!                     ├─▶ env, exec, verify [read a Secret]
//!                     └─▶ renew, migrate [patch configs], own_roles [creates and deletes a role]
//! ```

mod cli;
mod complete;
mod connect;
mod doctor;
mod env;
mod exec;
mod failed;
mod grant;
mod grants_table;
mod import;
mod live;
mod migrate;
mod operators;
mod own_roles;
mod policies;
mod renew;
mod screen;
mod status;
mod table;
mod verify;
mod version;
mod why;

pub use cli::{Command, Plugin, command, parse};
pub use complete::FILE_NAME as COMPLETION_FILE_NAME;
pub use connect::Caller;
pub use failed::Failed;
pub use screen::{Paint, Screen};

use crate::clock::Clock;
use kube::Api;

/// The file name under which `kubectl` finds the plugin.
pub const FILE_NAME: &str = "kubectl-keyturn";

/// The answer to a command: the text for standard output, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text, with a newline at its end.
    pub text: String,
    /// The exit code: 0 if what was asked about is in order, and 1 if it is not.
    pub code: u8,
}

impl Answer {
    fn fine(text: String) -> Self {
        Self { text, code: 0 }
    }

    fn of(text: String, is_fine: bool) -> Self {
        Self { text, code: u8::from(!is_fine) }
    }

    /// Whether what was asked about is in order.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.code == 0
    }
}

/// Carries out a command line.
///
/// # Errors
/// [`Failed`] if there is no cluster, or the API server refuses a call that the command cannot do
/// without.
pub async fn run(plugin: &Plugin, clock: &Clock, screen: &mut Screen<'_>) -> Result<Answer, Failed> {
    if let Some(answer) = without_cluster(plugin) {
        return answer;
    }
    if let Command::Complete(asked) = &plugin.command {
        return Ok(Answer::fine(complete::complete(&asked.words).await));
    }
    let caller = Caller::connect(&plugin.connection).await?;
    answer(&plugin.command, &caller, clock, screen).await
}

/// The answer to a command that needs no cluster; `None` for the others.
fn without_cluster(plugin: &Plugin) -> Option<Result<Answer, Failed>> {
    let namespace = plugin.connection.namespace.as_deref();
    match &plugin.command {
        Command::Version(asked) if asked.client => Some(Ok(Answer::fine(version::own()))),
        Command::Grant(asked) if asked.client => {
            Some(grant::manifest(asked, namespace.unwrap_or_default()).map(Answer::fine))
        }
        Command::Completion(asked) => Some(Ok(Answer::fine(complete::script(asked.shell).to_owned()))),
        Command::Import(asked) => import::of_files(&asked.from, namespace),
        _ => None,
    }
}

/// Carries out a command as this caller.
///
/// # Errors
/// As for [`run`].
pub async fn answer(
    command: &Command,
    caller: &Caller,
    clock: &Clock,
    screen: &mut Screen<'_>,
) -> Result<Answer, Failed> {
    match command {
        Command::Status(asked) if asked.watch => status::watch(caller, asked, clock, screen).await,
        Command::Status(asked) => {
            let configs = match &asked.name {
                Some(name) => vec![caller.config(name).await?],
                None => caller.configs(asked.all_namespaces, asked.selector.as_deref()).await?,
            };
            let rows = status::rows(&configs, asked.person.as_deref(), clock.now());
            status::answer(&rows, asked.output, &caller.scope(asked.all_namespaces), screen.paint)
        }
        Command::Why(asked) => {
            let live = live::Live::read(caller, &asked.name).await?;
            Ok(why::answer(&live, clock.now(), screen.paint))
        }
        Command::Can(asked) => match caller.grants_if_allowed().await? {
            Some(grants) => grants_table::can(&grants, &caller.namespace_labels().await?, &caller.namespace, asked),
            None => own_roles::can(caller, asked).await,
        },
        Command::WhoCan(asked) => Ok(grants_table::who_can(&caller.grants().await?, &asked.role)),
        Command::Roles(asked) => match caller.grants_if_allowed().await? {
            Some(grants) => {
                let labels = caller.namespace_labels().await?;
                Ok(grants_table::roles(&grants, &labels, &caller.namespace, asked.person.as_deref()))
            }
            None => own_roles::roles(caller, asked.person.as_deref()).await,
        },
        Command::Grant(asked) => grant::grant(caller, asked).await,
        Command::Uses(asked) => grant::uses(caller, asked).await,
        Command::TrustPolicy(asked) => policies::trust_policy(&caller.config(&asked.name).await?, &asked.principal),
        Command::IamPolicy => policies::iam_policy(&caller.grants().await?),
        Command::Env(asked) => {
            let secrets = Api::namespaced(caller.client.clone(), &caller.namespace);
            env::env(&secrets, &caller.config(&asked.name).await?, asked.shell).await
        }
        Command::Verify(asked) => {
            let secrets = Api::namespaced(caller.client.clone(), &caller.namespace);
            let config = caller.config(&asked.name).await?;
            // The clients of AWS make a large future.
            Box::pin(verify::verify(&secrets, &config, asked.aws_ca_bundle.as_deref(), clock)).await
        }
        Command::Exec(asked) => exec::exec(caller, asked, clock).await,
        Command::Doctor => doctor::doctor(caller, clock.now(), screen.paint).await,
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
        Command::Import(asked) => import::of_cluster(&asked.from, caller).await,
        Command::Migrate(asked) => migrate::migrate(caller, asked).await,
        Command::Version(_) => version::version(caller).await,
        Command::Completion(_) | Command::Complete(_) => Err(Failed::usage("this command asks no cluster")),
    }
}

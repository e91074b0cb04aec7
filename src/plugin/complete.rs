//! The completion of command lines, with names from the cluster.
//!
//! kubectl completes a plugin by the program `kubectl_complete-<plugin>`: it runs the program with
//! the words of the command line. The program prints lines of candidates, and at the end `:` with a
//! directive (`kubectl plugin`, and cobra's "Creating your own completions"). This is the same
//! program under another name. The scripts of `completion` ask in the same way for those who type
//! `kubectl-keyturn`.

mod scripts;
mod words;

pub(super) use scripts::script;

use super::{Caller, cli, connect::listed};
use crate::api::AwsConfig;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt, config::Kubeconfig};
use std::{collections::BTreeSet, path::Path, time::Duration};
use words::{Reading, Wanted, read};

/// The file name under which kubectl finds the completion.
pub const FILE_NAME: &str = "kubectl_complete-keyturn";

/// The longest time for an answer of the cluster. A person waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// No files are candidates, and the shell keeps the order (cobra's `ShellCompDirectiveNoFileComp`).
const NO_FILES: u8 = 4;
/// The shell completes files (cobra's `ShellCompDirectiveDefault`).
const FILES: u8 = 0;

/// The candidates for the last of these words, which may be empty, and the directive. Nothing is an
/// error: without a cluster there are no names.
pub(super) async fn complete(words: &[String]) -> String {
    let mut command = cli::command();
    command.build();
    let Reading { wanted, current, connection } = read(&command, words);
    let (candidates, directive) = match wanted {
        Wanted::These(candidates) => (candidates, NO_FILES),
        Wanted::Files => (vec![], FILES),
        Wanted::Nothing => (vec![], NO_FILES),
        Wanted::Contexts => (contexts(connection.kubeconfig.as_deref()), NO_FILES),
        Wanted::Namespaces | Wanted::Configs | Wanted::Persons => {
            let names = async {
                let caller = Caller::connect(&connection).await.ok()?;
                names(&caller, &wanted).await
            };
            let names = tokio::time::timeout(PATIENCE, names).await.ok().flatten();
            (names.unwrap_or_default().into_iter().map(|name| (name, String::new())).collect(), NO_FILES)
        }
    };
    let mut text = String::new();
    for (candidate, about) in candidates.iter().filter(|(candidate, _)| candidate.starts_with(&current)) {
        text += candidate;
        if !about.is_empty() {
            text.push('\t');
            text += about;
        }
        text.push('\n');
    }
    text + &format!(":{directive}\n")
}

async fn names(caller: &Caller, wanted: &Wanted) -> Option<BTreeSet<String>> {
    Some(match wanted {
        Wanted::Namespaces => {
            let found: Vec<Namespace> = listed(&Api::all(caller.client.clone()), None).await.ok()?;
            found.iter().map(ResourceExt::name_any).collect()
        }
        Wanted::Persons => {
            let found: Vec<AwsConfig> = caller.configs(false, None).await.ok()?;
            found.into_iter().filter_map(|config| config.spec.person).collect()
        }
        _ => caller.configs(false, None).await.ok()?.iter().map(ResourceExt::name_any).collect(),
    })
}

fn contexts(kubeconfig: Option<&Path>) -> Vec<(String, String)> {
    let read = kubeconfig.map_or_else(Kubeconfig::read, Kubeconfig::read_from::<&Path>);
    let contexts = read.map(|kubeconfig| kubeconfig.contexts).unwrap_or_default();
    contexts.into_iter().map(|context| (context.name, String::new())).collect()
}

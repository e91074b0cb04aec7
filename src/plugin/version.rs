//! `kubectl keyturn version`: the version of this program, and of keyturn in the cluster.

use super::{Answer, Caller, Failed, operators};
use crate::api::names;
use std::fmt::Write as _;

/// The version of this program, in one line.
pub(super) fn own() -> String {
    format!("kubectl keyturn {}, for {}/{}\n", env!("CARGO_PKG_VERSION"), names::GROUP, names::VERSION)
}

/// The versions of this program and of keyturn in the cluster.
///
/// # Errors
/// [`Failed`] if the API server does not answer.
pub(super) async fn version(caller: &Caller) -> Result<Answer, Failed> {
    let running = operators::running(&caller.client).await?;
    Ok(Answer::fine(own() + &of_cluster(running.as_deref())))
}

fn of_cluster(running: Option<&[operators::Running]>) -> String {
    let Some(running) = running else {
        return "in the cluster: you may not list Deployments; a cluster admin can tell\n".to_owned();
    };
    if running.is_empty() {
        return "in the cluster: no Deployment of keyturn's chart was found\n".to_owned();
    }
    let mut text = String::new();
    for it in running {
        let _ = writeln!(
            text,
            "{} {} in namespace {}: {} of {} replicas ready ({})",
            it.component, it.version, it.namespace, it.ready, it.wanted, it.image
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_in_the_cluster_is_that_of_its_deployments() {
        let operator = operators::Running {
            namespace: "keyturn-system".to_owned(),
            name: "keyturn".to_owned(),
            component: "operator".to_owned(),
            version: "0.1.0".to_owned(),
            image: "keyturn:0.1.0".to_owned(),
            ready: 2,
            wanted: 2,
            variables: vec![],
        };
        let rows = [
            ("no right", None, "you may not list Deployments"),
            ("none", Some(vec![]), "no Deployment of keyturn's chart was found"),
            (
                "one",
                Some(vec![operator]),
                "operator 0.1.0 in namespace keyturn-system: 2 of 2 replicas ready (keyturn:0.1.0)\n",
            ),
        ];
        for (row, running, part) in rows {
            assert!(of_cluster(running.as_deref()).contains(part), "{row}");
        }
        assert!(own().ends_with("for keyturn.dev/v1alpha1\n"), "{}", own());
    }
}

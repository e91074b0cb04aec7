//! kubectl finds the plugin by its name, and completes its command lines.

use super::{Install, Plugin};
use crate::real::ground::run;
use std::{os::unix::fs::symlink, process::Command};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn kubectl_finds_the_plugin_and_completes_names_of_the_cluster() {
    let install = Install::scoped().await;
    install.apply_config("alice", |_| {}).await;
    install.apply_config("albert", |_| {}).await;
    let plugin = Plugin::of(&install);
    symlink(env!("CARGO_BIN_EXE_keyturn"), install.dir.join("kubectl_complete-keyturn")).unwrap();
    let kubectl = |arguments: &[&str]| {
        let mut command = Command::new(&install.ground.at.bin.kubectl);
        command.args(arguments).env("PATH", plugin.program.parent().unwrap());
        run(command.env("KUBECONFIG", &install.ground.at.kubeconfig))
    };

    assert!(kubectl(&["keyturn", "version", "--client"]).starts_with("kubectl keyturn "));
    let namespace = install.namespace.as_str();
    let rows: [(&str, &[&str], &str); 4] = [
        ("all names", &["why", "-n", namespace, ""], "albert\nalice\n"),
        ("the beginning of one", &["why", "-n", namespace, "ali"], "alice\n"),
        ("persons", &["can", "-n", namespace, "--person", "alb"], "albert\n"),
        ("a command", &["doct"], "doctor\t"),
    ];
    for (row, words, begin) in rows {
        let said = kubectl(&[&["__complete", "keyturn"], words].concat());
        assert!(said.starts_with(begin), "{row}: {said}");
    }
}

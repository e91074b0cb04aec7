//! The output of the commands on the real control plane, held as snapshots: as an admin, as Alice
//! with her own rights, and as somebody without any. `INSTA_UPDATE=always` writes them anew.

use super::{Install, Plugin, WRITERS, operator_with_alice};

/// The commands, and what they print. Whatever differs between two runs is replaced by a word.
fn transcript(plugin: &Plugin<'_>, user: Option<&str>, groups: &[&str], commands: &[&[&str]]) -> String {
    let mut text = String::new();
    for arguments in commands {
        let (code, out, err) = plugin.says(user, groups, arguments);
        let code = code.unwrap_or(-1);
        text += &format!("$ kubectl keyturn {}\n{out}{err}(exit code {code})\n\n", arguments.join(" "));
    }
    let install = plugin.install;
    let mut text = text.replace(&install.account, "123456789012");
    let names = [(&install.system, "keyturn-system"), (&install.namespace, "scoring"), (&install.cluster, "prod")];
    for (own, word) in names {
        text = text.replace(own.as_str(), word);
    }
    let text: String = text.split_inclusive([' ', '\n']).map(lasting).collect();
    text.lines().map(|line| squeezed(line) + "\n").collect()
}

/// The line with the columns of a table two spaces apart, because their width depends on the names.
fn squeezed(line: &str) -> String {
    let begin = line.len() - line.trim_start().len();
    let (indent, rest) = line.split_at(begin);
    let columns: Vec<&str> = rest.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    format!("{indent}{}", columns.join("  "))
}

/// A word of the output, or what stands for it if it is another one in each run.
fn lasting(word: &str) -> String {
    let end = word.trim_end_matches([' ', '\n']).len();
    let (core, space) = word.split_at(end);
    let bare = core.trim_matches(['"', ',', '(', ')', '.', ':', '\'']);
    let is_time = bare.len() == 20 && bare.ends_with('Z') && bare.contains('T');
    let is_span = bare.len() > 1 && bare.trim_end_matches(['s', 'm', 'h', 'd']).chars().all(|c| c.is_ascii_digit());
    let is_key = bare.len() >= 16 && ["ASIA", "LSIA"].iter().any(|begin| bare.starts_with(begin));
    let is_bar = bare.len() > 3 && bare.chars().all(|c| matches!(c, '#' | '.'));
    let is_uid = bare.len() == 36 && bare.matches('-').count() == 4;
    let is_span = is_span && !bare.chars().all(|c| c.is_ascii_digit());
    match () {
        () if is_time => core.replace(bare, "TIME") + space,
        () if is_span => core.replace(bare, "SPAN") + space,
        () if is_key => core.replace(bare, "KEY") + space,
        () if is_bar || core.chars().all(|c| matches!(c, '#' | '.')) && core.len() > 3 => "BAR".to_owned() + space,
        () if is_uid => core.replace(bare, "UID") + space,
        () => word.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_answers_on_a_real_api_server_are_those_of_the_snapshots() {
    let install = Install::scoped().await;
    let operator = operator_with_alice(&install).await;
    install.apply_config("mallory", |spec| spec.role = Some(install.role("admin"))).await;
    install.until_ready_is("mallory", "False/NotGranted").await;
    let plugin = Plugin::of(&install);
    let (analyst, admin) = (install.role("ds-analyst"), install.role("admin"));
    let said = |user: Option<&str>, groups: &[&str], commands: &[&[&str]]| {
        tokio::task::block_in_place(|| transcript(&plugin, user, groups, commands))
    };

    let to_admin = said(
        None,
        &[],
        &[
            &["status"],
            &["why", "alice"],
            &["why", "mallory"],
            &["can", "--person", "alice", "--role", &analyst],
            &["can", "--person", "alice", "--role", &admin],
            &["roles", "--person", "alice"],
            &["trust-policy", "alice", "--principal", "arn:aws:iam::123456789012:role/keyturn"],
            &["migrate", "alice", "--role", &admin],
            &["exec", "mallory", "--", "true"],
            &["import", "keys", "nothing"],
        ],
    );
    let to_alice = said(
        Some("alice"),
        &[WRITERS],
        &[
            &["status"],
            &["why", "alice"],
            &["why", "mallory"],
            &["can", "--person", "alice", "--role", &analyst],
            &["can", "--person", "alice", "--role", &admin],
            &["can", "--person", "dave", "--role", &analyst],
            &["roles"],
            &["who-can", &analyst],
            &["env", "alice"],
            &["exec", "alice", "--", "true"],
            &["verify", "alice"],
        ],
    );
    let to_nobody = said(
        Some("nobody"),
        &[],
        &[
            &["status"],
            &["status", "-A"],
            &["why", "alice"],
            &["can", "--person", "alice", "--role", &analyst],
            &["who-can", &analyst],
            &["roles"],
            &["renew", "alice"],
            &["env", "alice"],
            &["verify", "alice"],
            &["grant", "mine", "--role", &analyst, "--person", "*"],
            &["migrate", "alice", "--role", &analyst],
            &["import", "keys", "mine"],
            &["trust-policy", "alice"],
        ],
    );
    operator.stop().await;
    insta::assert_snapshot!("admin", to_admin);
    insta::assert_snapshot!("alice", to_alice);
    insta::assert_snapshot!("nobody", to_nobody);
}

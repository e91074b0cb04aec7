//! The words that may come next in a command line. Pure.

use crate::plugin::cli::Connection;
use clap::{Arg, Command, ValueHint, builder::PossibleValue};

/// The candidates for the next word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// These words, each with what it is about.
    These(Vec<(String, String)>),
    /// The names of `AwsConfig`s of the namespace.
    Configs,
    Namespaces,
    /// Persons of the `AwsConfig`s of the namespace.
    Persons,
    Contexts,
    Files,
    /// Words that nobody can guess.
    Nothing,
}

/// A command line that was read.
pub(super) struct Reading {
    pub wanted: Wanted,
    /// The beginning of the next word.
    pub current: String,
    /// The cluster that the words before it name.
    pub connection: Connection,
}

/// Reads the words after the name of the program. The last one is the one to complete.
pub(super) fn read(root: &Command, words: &[String]) -> Reading {
    let (current, before) = words.split_last().map_or((String::new(), &[][..]), |(last, rest)| (last.clone(), rest));
    let mut connection = Connection::default();
    let mut command = root;
    let mut positions = 0;
    let mut expecting: Option<&Arg> = None;
    for word in before {
        if let Some(option) = expecting.take() {
            learn(&mut connection, option, word);
        } else if word == "--" {
            return Reading { wanted: Wanted::Files, current, connection };
        } else if let Some((name, value)) = word.split_once('=').filter(|_| word.starts_with("--")) {
            if let Some(option) = option(root, command, name) {
                learn(&mut connection, option, value);
            }
        } else if word.starts_with('-') {
            expecting = option(root, command, word).filter(|option| option.get_action().takes_values());
        } else if let Some(found) = command.find_subcommand(word) {
            (command, positions) = (found, 0);
        } else {
            positions += 1;
        }
    }
    let wanted = match expecting {
        Some(option) => of_argument(option),
        None if current.starts_with('-') => Wanted::These(options(root, command)),
        None if command.has_subcommands() => Wanted::These(subcommands(command)),
        None => positional(command, positions).map_or(Wanted::Nothing, of_argument),
    };
    Reading { wanted, current, connection }
}

/// The option of a command, or the global one, with this name.
fn option<'a>(root: &'a Command, command: &'a Command, word: &str) -> Option<&'a Arg> {
    let mut all = command.get_arguments().chain(root.get_arguments());
    match word.strip_prefix("--") {
        Some(long) => all.find(|arg| arg.get_long() == Some(long)),
        None => all.find(|arg| arg.get_short().is_some_and(|short| word.ends_with(short))),
    }
}

/// Records an option that names the cluster.
fn learn(connection: &mut Connection, option: &Arg, value: &str) {
    match option.get_id().as_str() {
        "namespace" => connection.namespace = Some(value.to_owned()),
        "context" => connection.context = Some(value.to_owned()),
        "kubeconfig" => connection.kubeconfig = Some(value.into()),
        "as_user" => connection.as_user = Some(value.to_owned()),
        "as_groups" => connection.as_groups.push(value.to_owned()),
        _ => {}
    }
}

/// The positional argument at a place; the last one if it takes several values.
fn positional(command: &Command, place: usize) -> Option<&Arg> {
    let all: Vec<&Arg> = command.get_positionals().filter(|arg| !arg.is_last_set()).collect();
    let takes_more = |arg: &&Arg| arg.get_num_args().is_some_and(|count| count.max_values() > 1);
    all.get(place).copied().or_else(|| all.last().copied().filter(takes_more))
}

fn of_argument(arg: &Arg) -> Wanted {
    let values = arg.get_possible_values();
    if !values.is_empty() {
        return Wanted::These(values.iter().filter(|value| !value.is_hide_set()).map(described).collect());
    }
    match arg.get_id().as_str() {
        "namespace" | "namespaces" => Wanted::Namespaces,
        "context" => Wanted::Contexts,
        "person" | "persons" | "except_persons" => Wanted::Persons,
        "name" | "names" => Wanted::Configs,
        _ if matches!(arg.get_value_hint(), ValueHint::AnyPath | ValueHint::FilePath) => Wanted::Files,
        _ => Wanted::Nothing,
    }
}

fn described(value: &PossibleValue) -> (String, String) {
    (value.get_name().to_owned(), value.get_help().map(ToString::to_string).unwrap_or_default())
}

fn subcommands(command: &Command) -> Vec<(String, String)> {
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    shown.map(|it| (it.get_name().to_owned(), first_sentence(it.get_about()))).collect()
}

fn options(root: &Command, command: &Command) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for arg in command.get_arguments().chain(root.get_arguments()).filter(|arg| !arg.is_hide_set()) {
        if let Some(long) = arg.get_long() {
            let name = format!("--{long}");
            if !all.iter().any(|(other, _)| *other == name) {
                all.push((name, first_sentence(arg.get_help())));
            }
        }
    }
    all
}

fn first_sentence(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.split(['.', ':', '\n']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::cli::command;

    fn reading(words: &[&str]) -> Reading {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let mut command = command();
        command.build();
        read(&command, &words)
    }

    fn wants(words: &[&str]) -> Wanted {
        reading(words).wanted
    }

    fn names(wanted: &Wanted) -> Vec<&str> {
        let Wanted::These(candidates) = wanted else { panic!("{wanted:?}") };
        candidates.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn the_next_word_is_completed_by_its_place() {
        let rows: [(&str, &[&str], Wanted); 12] = [
            ("the name of a config", &["why", ""], Wanted::Configs),
            ("a second name", &["renew", "alice", ""], Wanted::Configs),
            ("no second name", &["why", "alice", ""], Wanted::Nothing),
            ("after an option", &["-n", "scoring", "why", ""], Wanted::Configs),
            ("after an option with =", &["--namespace=scoring", "why", "a"], Wanted::Configs),
            ("a namespace", &["why", "alice", "-n", ""], Wanted::Namespaces),
            ("a context", &["status", "--context", ""], Wanted::Contexts),
            ("a person", &["can", "--person", ""], Wanted::Persons),
            ("a role", &["can", "--role", ""], Wanted::Nothing),
            ("files", &["import", "trifacta", ""], Wanted::Files),
            ("a kubeconfig", &["--kubeconfig", ""], Wanted::Files),
            ("a program", &["exec", "alice", "--", ""], Wanted::Files),
        ];
        for (row, words, wanted) in rows {
            assert_eq!(wants(words), wanted, "{row}");
        }
        assert_eq!(names(&wants(&["status", "-o", ""])), ["table", "json", "yaml"]);
        let commands = wants(&["w"]);
        assert!(names(&commands).contains(&"who-can") && !names(&commands).contains(&"__complete"), "{commands:?}");
        assert!(names(&wants(&["import", ""])).contains(&"external-secrets"));
        let options = wants(&["renew", "--"]);
        assert!(["--wait", "--context"].iter().all(|it| names(&options).contains(it)), "{options:?}");
    }

    #[test]
    fn the_words_before_name_the_cluster() {
        let Reading { connection, .. } = reading(&["--context", "prod", "-n", "scoring", "--as=bob", "why", ""]);
        let found = (connection.context.as_deref(), connection.namespace.as_deref(), connection.as_user.as_deref());
        assert_eq!(found, (Some("prod"), Some("scoring"), Some("bob")));
    }
}

//! `kubectl keyturn env`: the variables of a person's Secret, for a shell at a workstation. The
//! caller needs the right to read the Secret. Nothing is written to the disk.

use super::{Answer, Failed, cli::Shell};
use crate::{api::AwsConfig, decide::target::is_controlled_by, secret::WITHDRAWN};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, ResourceExt as _};
use std::{collections::BTreeMap, fmt::Write as _};

/// Reads the Secret of a config, and prints its variables.
///
/// # Errors
/// [`Failed`] if the caller may not read the Secret, or if it holds no credential that a shell can
/// use.
pub(super) async fn env(secrets: &Api<Secret>, config: &AwsConfig, shell: Shell) -> Result<Answer, Failed> {
    let found = secret_of(secrets, config).await?;
    variables(&config.name_any(), &found.data.unwrap_or_default(), shell).map(Answer::fine)
}

/// Reads the Secret that a config asks for, whosever it is.
///
/// # Errors
/// [`Failed`] if the caller may not read it.
pub(super) async fn target_of(secrets: &Api<Secret>, config: &AwsConfig) -> Result<Secret, Failed> {
    let (name, target) = (config.name_any(), config.target_name());
    let tried = format!("cannot read Secret \"{target}\" of AwsConfig \"{name}\"");
    secrets.get(&target).await.map_err(|error| Failed::of_call(&tried, &error))
}

/// Reads the Secret of a config.
///
/// # Errors
/// [`Failed`] if the caller may not read the Secret, or if it is another config's.
pub(super) async fn secret_of(secrets: &Api<Secret>, config: &AwsConfig) -> Result<Secret, Failed> {
    let (name, target) = (config.name_any(), config.target_name());
    let found = target_of(secrets, config).await?;
    if !is_controlled_by(&found.metadata, config) {
        return Err(Failed::new(format!("Secret \"{target}\" is not the one of AwsConfig \"{name}\"")));
    }
    Ok(found)
}

/// The failure of a command that needs a credential, and finds a withdrawn one.
pub(super) fn withdrawn(name: &str) -> Failed {
    Failed::new(format!("the credential of AwsConfig \"{name}\" is withdrawn; kubectl keyturn why {name} says why"))
}

/// Whether a data key of a Secret is the name of a variable. The keys that are files have a dot or
/// a lower-case letter in their names.
pub(super) fn is_variable(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn variables(name: &str, data: &BTreeMap<String, ByteString>, shell: Shell) -> Result<String, Failed> {
    let text = |key: &str| data.get(key).and_then(|value| std::str::from_utf8(&value.0).ok());
    let Some(key_id) = text("AWS_ACCESS_KEY_ID") else {
        let message =
            format!("the Secret of AwsConfig \"{name}\" has no variables; add Env to its spec.target.formats");
        return Err(Failed::new(message));
    };
    if key_id.starts_with(WITHDRAWN) {
        return Err(withdrawn(name));
    }
    let mut lines = String::new();
    for key in data.keys().filter(|key| is_variable(key)) {
        let Some(value) = text(key) else { continue };
        let _ = match shell {
            Shell::Sh => writeln!(lines, "export {key}='{}'", value.replace('\'', r"'\''")),
            Shell::Fish => writeln!(lines, "set -gx {key} '{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
            Shell::Powershell => writeln!(lines, "$Env:{key} = '{}'", value.replace('\'', "''")),
        };
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(entries: &[(&str, &str)]) -> BTreeMap<String, ByteString> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
    }

    #[test]
    fn each_shell_gets_the_variables_in_its_own_quotes() {
        let data = data(&[("AWS_ACCESS_KEY_ID", "ASIA"), ("AWS_EXTRA_BUCKETS", r"a'b\c"), ("config", "[default]")]);
        let rows = [
            (Shell::Sh, "export AWS_ACCESS_KEY_ID='ASIA'\nexport AWS_EXTRA_BUCKETS='a'\\''b\\c'\n"),
            (Shell::Fish, "set -gx AWS_ACCESS_KEY_ID 'ASIA'\nset -gx AWS_EXTRA_BUCKETS 'a\\'b\\\\c'\n"),
            (Shell::Powershell, "$Env:AWS_ACCESS_KEY_ID = 'ASIA'\n$Env:AWS_EXTRA_BUCKETS = 'a''b\\c'\n"),
        ];
        for (shell, lines) in rows {
            assert_eq!(variables("alice", &data, shell).unwrap(), lines, "{shell:?}");
        }
    }

    #[test]
    fn a_withdrawn_credential_or_none_is_an_error_with_the_next_step() {
        let rows = [
            ("withdrawn", data(&[("AWS_ACCESS_KEY_ID", "WITHDRAWN")]), "kubectl keyturn why alice"),
            ("no variables", data(&[("config", "[default]")]), "add Env to its spec.target.formats"),
        ];
        for (row, data, part) in rows {
            let error = variables("alice", &data, Shell::Sh).unwrap_err();
            assert!(error.message.contains(part), "{row}: {error}");
        }
    }
}

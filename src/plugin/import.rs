//! `kubectl keyturn import`: reads files, or objects of the cluster, and prints the manifests that
//! stand for them (`crate::import`).

mod cluster;

use super::{
    Answer, Caller, Failed,
    cli::{Import, ImportAws, ImportTrifacta, To},
};
use crate::{
    api::is_person,
    import::{Document, Manifests, Wrong, aws, trifacta, yaml},
};
use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
};

/// The mode of a file that only its owner may read.
const OWNER_ONLY: u32 = 0o600;

impl From<Wrong> for Failed {
    fn from(wrong: Wrong) -> Self {
        Self::new(wrong.0)
    }
}

/// The import of files, which needs no cluster; `None` for the objects of a cluster. The manifests
/// are for `namespace`.
pub(super) fn of_files(asked: &Import, namespace: Option<&str>) -> Option<Result<Answer, Failed>> {
    let namespace = || namespace.ok_or_else(|| Failed::usage("name the namespace of the manifests by -n"));
    match asked {
        Import::Trifacta(files) => Some(namespace().and_then(|namespace| of_trifacta(files, namespace))),
        Import::Aws(files) => Some(namespace().and_then(|namespace| of_aws(files, namespace))),
        Import::Keys(_) | Import::Zalando(_) | Import::ExternalSecrets(_) => None,
    }
}

/// The import of the objects of a cluster.
///
/// # Errors
/// [`Failed`] if the caller may not read them.
pub(super) async fn of_cluster(asked: &Import, caller: &Caller) -> Result<Answer, Failed> {
    match asked {
        Import::Keys(asked) => {
            person(asked.person.as_deref())?;
            written(&cluster::keys(caller, asked).await?, &asked.to)
        }
        Import::Zalando(asked) => written(&cluster::zalando(caller, asked).await?, &asked.to),
        Import::ExternalSecrets(asked) => written(&cluster::external_secrets(caller, asked).await?, &asked.to),
        Import::Trifacta(_) | Import::Aws(_) => Err(Failed::usage("this source is a file, and no cluster is asked")),
    }
}

fn of_trifacta(asked: &ImportTrifacta, namespace: &str) -> Result<Answer, Failed> {
    let mut answers = trifacta::Answers::default();
    for path in &asked.files {
        answers.read(&path.display().to_string(), &read(path)?)?;
    }
    written(&trifacta::manifests(&answers, namespace, asked.with_keys)?, &asked.to)
}

fn of_aws(asked: &ImportAws, namespace: &str) -> Result<Answer, Failed> {
    if asked.config.is_none() && asked.credentials.is_none() && asked.csv.is_empty() {
        return Err(Failed::usage("name a file by --config, --credentials or --csv"));
    }
    person(asked.person.as_deref())?;
    let mut profiles = aws::Profiles::default();
    for path in asked.config.iter().chain(&asked.credentials) {
        profiles.read(&path.display().to_string(), &read(path)?)?;
    }
    for path in &asked.csv {
        profiles.read_csv(&path.display().to_string(), &read(path)?)?;
    }
    let (manifests, keys) = aws::manifests(&profiles, namespace, asked.person.as_deref(), asked.keys_to.is_some());
    if let Some(path) = &asked.keys_to {
        write_keys(path, &keys)?;
    }
    written(&manifests, &asked.to)
}

fn person(named: Option<&str>) -> Result<(), Failed> {
    match named.filter(|person| !is_person(person)) {
        Some(person) => {
            Err(Failed::usage(format!("--person {person}: a person's name has 2 to 64 letters, digits and _+=.@-")))
        }
        None => Ok(()),
    }
}

fn read(path: &Path) -> Result<String, Failed> {
    fs::read_to_string(path).map_err(|error| Failed::new(format!("cannot read {}: {error}", path.display())))
}

fn written(manifests: &Manifests, asked: &To) -> Result<Answer, Failed> {
    Ok(Answer::fine(manifests.written(!asked.no_grants)?))
}

/// Writes Secrets with keys into a new file that only its owner may read. On Windows the rights of
/// the folder decide.
fn write_keys(path: &Path, keys: &[Document]) -> Result<(), Failed> {
    let text = keys.iter().map(yaml).collect::<Result<String, _>>()?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, OWNER_ONLY);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        let path = path.display();
        Failed::new(format!("cannot write the keys into a new file {path}: {error}; name a file that does not exist"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn keys_go_into_a_new_file_that_only_its_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.yaml");
        let keys = [Document::new("from x", json!({"kind": "Secret"}))];
        write_keys(&path, &keys).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, OWNER_ONLY);
        let failed = write_keys(&path, &keys).unwrap_err();
        assert!(failed.message.contains("name a file that does not exist"), "{failed}");
    }

    #[test]
    fn an_import_of_files_names_the_next_step_if_something_is_missing() {
        let to = || To { no_grants: false };
        let aws = |person: Option<&str>, csv: &[&str]| {
            Import::Aws(ImportAws {
                config: None,
                credentials: None,
                csv: csv.iter().map(Into::into).collect(),
                person: person.map(str::to_owned),
                keys_to: None,
                to: to(),
            })
        };
        let rows = [
            ("no namespace", aws(None, &["x.csv"]), None, 2, "name the namespace of the manifests by -n"),
            ("no file", aws(None, &[]), Some("scoring"), 2, "name a file by --config"),
            ("no person", aws(Some("a b"), &["x.csv"]), Some("scoring"), 2, "--person a b: "),
            ("not there", aws(None, &["/nowhere.csv"]), Some("scoring"), 1, "cannot read /nowhere.csv: "),
        ];
        for (row, asked, namespace, code, part) in rows {
            let failed = of_files(&asked, namespace).unwrap().unwrap_err();
            assert!(failed.code == code && failed.message.starts_with(part), "{row}: {failed}");
        }
    }
}

//! A pod as the API server stored it, and programs that run as in its first container: with the
//! variables, the mounted files and the home folder that the pod names. There is no node here, so
//! the folders of the mounts are below a folder of the test, and their path is replaced in the
//! values that name it. The endpoint of a pod is a process as well.

use crate::real::{ground::eventually, install::Install};
use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, Secret, Volume};
use keyturn::api::names::{ENDPOINT_PATH, MOUNT_PATH};
use kube::Api;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::{Child, Command};

/// The home folder in the pods.
pub const HOME: &str = "/home/alice";
/// The longest time that a sample may take.
const PATIENCE: Duration = Duration::from_secs(120);
const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples");

/// A pod that was created, and its folders on this machine.
pub struct Stored {
    root: PathBuf,
    variables: Vec<(String, String)>,
    /// The folders that are read only in the pod.
    mounts: Vec<PathBuf>,
    /// The endpoint, with that delivery.
    processes: Vec<Child>,
}

impl Stored {
    /// Creates the pod in the users' namespace under this name, as a user does.
    pub async fn create(install: &Install<'_>, mut object: Value, name: &str) -> Self {
        object["metadata"]["name"] = json!(name);
        let (created, said) = install.kubectl_create(&object, &[]);
        assert!(created && !said.contains("Warning"), "{name}: {said}");
        let pods: Api<Pod> = Api::namespaced(install.admin.clone(), &install.namespace);
        let spec = pods.get(name).await.unwrap().spec.unwrap();
        let root = install.dir.join(format!("pod-{name}"));
        fs::create_dir_all(root.join(&HOME[1..])).unwrap();
        let mut stored = Self { root, variables: vec![], mounts: vec![], processes: vec![] };
        let container = &spec.containers[0];
        for mount in container.volume_mounts.iter().flatten() {
            let volume = spec.volumes.iter().flatten().find(|volume| volume.name == mount.name).unwrap();
            if let Some(files) = files(install, volume).await {
                assert_eq!(mount.read_only, Some(true), "{name}: {}", mount.mount_path);
                stored.add(&mount.mount_path, files);
            }
        }
        for variable in container.env.iter().flatten() {
            if let Some(value) = value(install, variable).await {
                let value = value.replace(MOUNT_PATH, stored.mount_path().to_str().unwrap());
                stored.variables.push((variable.name.clone(), value));
            }
        }
        let own = spec.init_containers.iter().flatten().find(|container| container.name == "keyturn-endpoint");
        if let Some(own) = own {
            let endpoint = stored.serve(own).await;
            stored.processes.push(endpoint);
        }
        stored
    }

    /// Starts the endpoint of the pod, and waits until it listens.
    async fn serve(&mut self, container: &Container) -> Child {
        let arguments: Vec<&String> = container.args.iter().flatten().collect();
        let folder = self.root.join(ENDPOINT_PATH.trim_start_matches('/'));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(container.command, Some(vec!["/keyturn-endpoint".to_owned()]), "{container:?}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyturn-endpoint"));
        command.args(&arguments).env_clear().stderr(Stdio::null()).kill_on_drop(true);
        command.env("KEYTURN_SECRET_DIR", self.mount_path()).env("KEYTURN_SHARED_DIR", &folder);
        let child = command.spawn().unwrap();
        let port = arguments.iter().find_map(|argument| argument.strip_prefix("--port=")).unwrap();
        let address = format!("127.0.0.1:{port}");
        eventually("the endpoint listens", async || tokio::net::TcpStream::connect(&address).await).await;
        for file in fs::read_dir(&folder).unwrap() {
            fs::set_permissions(file.unwrap().path(), Permissions::from_mode(0o444)).unwrap();
        }
        self.close(folder);
        child
    }

    fn close(&mut self, folder: PathBuf) {
        fs::set_permissions(&folder, Permissions::from_mode(0o555)).unwrap();
        self.mounts.push(folder);
    }

    fn add(&mut self, path: &str, files: BTreeMap<String, String>) {
        let folder = self.root.join(path.trim_start_matches('/'));
        fs::create_dir_all(&folder).unwrap();
        let own = self.mount_path();
        for (name, content) in files {
            let file = folder.join(name);
            fs::write(&file, content.replace(MOUNT_PATH, own.to_str().unwrap())).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o444)).unwrap();
        }
        self.close(folder);
    }

    /// The folder with the whole Secret.
    pub fn mount_path(&self) -> PathBuf {
        self.root.join(MOUNT_PATH.trim_start_matches('/'))
    }

    /// The home folder.
    pub fn home(&self) -> PathBuf {
        self.root.join(&HOME[1..])
    }

    /// Runs a program of `tests/samples`. Returns whether it succeeded, and its whole output. A
    /// login does not have the variables of the container.
    pub async fn runs(
        &self,
        install: &Install<'_>,
        file: &str,
        arguments: Vec<String>,
        is_login: bool,
    ) -> (bool, String) {
        let python = install.ground.at.bin.python.as_ref().unwrap();
        let mut programs = python.parent().unwrap().to_str().unwrap().to_owned();
        if needs_cli_2(file) {
            programs = format!("{}:{programs}", cli_2().unwrap().display());
        }
        let is_python = Path::new(file).extension().is_some_and(|extension| extension == "py");
        let program = if is_python { python.as_path() } else { Path::new("/bin/sh") };
        let mut command = if rustix::process::geteuid().is_root() {
            // Root could write to a read-only file. In a pod the mount itself is read only.
            let mut command = Command::new("setpriv");
            command.arg("--bounding-set=-dac_override").arg(program);
            command
        } else {
            Command::new(program)
        };
        command.arg(format!("{SAMPLES}/{file}")).args(arguments).env_clear();
        if !is_login {
            command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        }
        let output = command
            .current_dir(self.home())
            .env("PATH", format!("{programs}:/usr/bin:/bin"))
            .env("HOME", self.home())
            .env("PYTHONPATH", format!("{SAMPLES}/stand-in"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("AWS_ENDPOINT_URL", &install.ground.at.aws.as_ref().unwrap().endpoint)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let Ok(output) = tokio::time::timeout(PATIENCE, output).await else {
            return (false, format!("it did not end within {PATIENCE:?}"));
        };
        let output = output.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    }
}

/// Whether a sample has commands of version 2 of the AWS CLI.
pub fn needs_cli_2(file: &str) -> bool {
    file.starts_with("aws-cli-2/")
}

/// The folder with version 2 of the AWS CLI, if `make deps` could fetch it.
pub fn cli_2() -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/aws-cli-2/bin");
    fetched.join("aws").exists().then_some(fetched)
}

impl Drop for Stored {
    /// Lets the folders be deleted.
    fn drop(&mut self) {
        for folder in &self.mounts {
            let _ = fs::set_permissions(folder, Permissions::from_mode(0o755));
        }
    }
}

async fn secret(install: &Install<'_>, name: &str) -> BTreeMap<String, String> {
    let data = install.secrets().get_opt(name).await.unwrap().and_then(|secret: Secret| secret.data);
    data.unwrap_or_default().into_iter().map(|(key, value)| (key, String::from_utf8(value.0).unwrap())).collect()
}

/// The files of a volume, if it has a Secret.
async fn files(install: &Install<'_>, volume: &Volume) -> Option<BTreeMap<String, String>> {
    let source = volume.secret.as_ref()?;
    let mut values = secret(install, source.secret_name.as_ref()?).await;
    Some(match &source.items {
        Some(items) => items.iter().filter_map(|item| Some((item.path.clone(), values.remove(&item.key)?))).collect(),
        None => values,
    })
}

async fn value(install: &Install<'_>, variable: &EnvVar) -> Option<String> {
    let Some(source) = variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref()) else {
        return Some(variable.value.clone().unwrap_or_default());
    };
    secret(install, &source.name).await.remove(&source.key)
}

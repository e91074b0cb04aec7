use super::*;
use aws_config::ecs::EcsCredentialsProvider;
use aws_sdk_sts::config::ProvideCredentials as _;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;

const LATER: &str = "2035-01-01T00:00:00Z";

/// A pod with an endpoint. The Secret is mounted as the kubelet mounts it: each file is a link into
/// the folder `..data`, which is itself a link that is replaced.
struct Pod {
    endpoint: Endpoint,
    token: String,
    folder: tempfile::TempDir,
    serving: tokio::task::JoinHandle<io::Result<()>>,
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn brings(folder: &Path, version: u32, contents: &Value) {
    let secret = folder.join("secret");
    let data = secret.join(format!("..{version}"));
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join(SOURCE), contents.to_string()).unwrap();
    fs::write(data.join("config"), "[default]\nregion = eu-west-1\ncredential_process = cat x\n").unwrap();
    symlink(&data, secret.join("..data_tmp")).unwrap();
    fs::rename(secret.join("..data_tmp"), secret.join("..data")).unwrap();
    for file in [SOURCE, "config"] {
        let _ = symlink(Path::new("..data").join(file), secret.join(file));
    }
}

fn session(id: &str) -> Value {
    json!({"Version": 1, "AccessKeyId": id, "SecretAccessKey": "secret", "SessionToken": "token", "Expiration": LATER})
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Pod {
    fn with(contents: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        brings(folder.path(), 1, contents);
        let shared = folder.path().join("shared");
        fs::create_dir(&shared).unwrap();
        let endpoint = Endpoint { port: free_port(), secret: folder.path().join("secret"), shared };
        let open = endpoint.open().unwrap();
        let serving = tokio::spawn(open.run(Clock::simulated("2026-01-01T00:00:00Z".parse().unwrap())));
        let token = fs::read_to_string(endpoint.shared.join(TOKEN_FILE)).unwrap();
        Self { endpoint, token, folder, serving }
    }

    fn url(&self) -> String {
        format!("http://{}{PATH}", self.endpoint.address())
    }

    async fn get(&self, token: Option<&str>) -> (u16, Value) {
        let mut request = reqwest::Client::builder().no_proxy().build().unwrap().get(self.url());
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    /// Asks as the AWS SDK for Rust does in a container. The SDK reads the environment of its
    /// process, therefore this starts a test of this program in a process of its own.
    async fn sdk(&self) -> String {
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "serve::tests::the_sdk_for_rust_takes_the_variables_of_its_process", "--nocapture"]);
        child.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.url());
        child.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", self.endpoint.shared.join(TOKEN_FILE));
        String::from_utf8_lossy(&child.output().await.unwrap().stderr).into_owned()
    }
}

/// The other half of [`Pod::sdk`]. Without the variables, the SDK says that it has no credential.
#[tokio::test]
async fn the_sdk_for_rust_takes_the_variables_of_its_process() {
    with_tls_provider();
    let said = match EcsCredentialsProvider::builder().build().provide_credentials().await {
        Ok(found) => format!("{} until {:?}", found.access_key_id(), found.expiry().map(|_| "an end")),
        Err(error) => format!("{error:?}"),
    };
    io::Write::write_all(&mut io::stderr(), said.as_bytes()).unwrap();
}

fn with_tls_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[tokio::test]
async fn the_sdk_for_rust_follows_a_renewal_and_a_withdrawal() {
    with_tls_provider();
    let pod = Pod::with(&session("ASIA1"));
    let found = pod.sdk().await;
    assert!(found.contains("ASIA1 until Some"), "{found}");
    brings(pod.folder.path(), 2, &session("ASIA2"));
    let found = pod.sdk().await;
    assert!(found.contains("ASIA2 until Some"), "{found}");
    brings(pod.folder.path(), 3, &json!({"Version": "WITHDRAWN by keyturn: Suspended"}));
    let error = pod.sdk().await;
    assert!(error.contains("StatusCode(404)") && !error.contains("until"), "{error}");
}

#[tokio::test]
async fn the_endpoint_answers_only_the_token_of_its_pod() {
    with_tls_provider();
    let pod = Pod::with(&session("ASIA1"));
    for (case, token, status) in [
        ("the token", Some(pod.token.as_str()), 200),
        ("none", None, 401),
        ("another", Some("0"), 401),
        ("a part", Some(&pod.token[1..]), 401),
    ] {
        let (seen, body) = pod.get(token).await;
        assert_eq!(seen, status, "{case}");
        assert_eq!(body.to_string().contains("secret"), status == 200, "{case}: {body}");
    }
}

#[tokio::test]
async fn the_files_are_there_before_the_port_and_a_restart_keeps_the_token() {
    with_tls_provider();
    let pod = Pod::with(&session("ASIA1"));
    assert!(pod.endpoint.is_up());
    let profile = fs::read_to_string(pod.endpoint.shared.join(CONFIG_FILE)).unwrap();
    assert_eq!(profile, "[default]\nregion = eu-west-1\n");
    let mode = fs::metadata(pod.endpoint.shared.join(TOKEN_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "containers of other users read it");

    let again = Endpoint { port: free_port(), ..pod.endpoint.clone() };
    assert!(!again.is_up());
    drop(again.open().unwrap());
    assert_eq!(fs::read_to_string(again.shared.join(TOKEN_FILE)).unwrap(), pod.token);
    fs::write(again.shared.join(TOKEN_FILE), "short").unwrap();
    drop(Endpoint { port: free_port(), ..again.clone() }.open().unwrap());
    let new = fs::read_to_string(again.shared.join(TOKEN_FILE)).unwrap();
    assert!(is_well_formed(&new) && new != pod.token, "{new}");
}

#[tokio::test]
async fn a_missing_secret_is_an_error_and_a_taken_port_is_said() {
    with_tls_provider();
    let pod = Pod::with(&session("ASIA1"));
    let taken = pod.endpoint.open().map(|_| ()).unwrap_err().to_string();
    assert!(taken.contains("keyturn.dev/endpoint-port"), "{taken}");
    fs::remove_file(pod.endpoint.secret.join("..data")).unwrap();
    let (status, body) = pod.get(Some(&pod.token)).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("NotIssued")));
}

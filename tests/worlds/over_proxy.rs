//! Proxies: which of keyturn's clients go through the proxy of the environment, and with whose
//! certificates. The operator is the binary as a process, because its variables are those of a
//! process; the API server and STS are doubles behind TLS.

use crate::{
    doubles::{
        apiserver::ApiServer,
        dss::{ADMIN_KEY, Dss as Double},
        proxy::Proxy,
        s3::S3,
        sts::Sts,
        tls::{Vouched, in_front_of, vouched, vouched_for},
        wire::{Listening, tokio_clock},
    },
    fixtures::{CLUSTER, SCORING, alice, analysts, config},
};
use axum::{Router, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use keyturn::{
    api::Verify,
    dss::{Dss, Kind, Scheme, Tls, connect},
    network::Proxies,
};
use std::{fs, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
};

/// The API server, STS, S3 and the source of the operator's own identity, each on this machine, and
/// a proxy that leads to them under other names.
struct Outside {
    api: ApiServer,
    s3: S3,
    proxy: Proxy,
    /// The ports of the API server, of STS and of S3, with TLS, and of the identity, without.
    ports: [u16; 4],
    files: TempDir,
    api_authority: String,
    _listening: [Listening; 3],
}

const API: &str = "api.cluster.test:443";
const STS: &str = "sts.eu-west-1.amazonaws.com:443";
const BUCKETS: &str = "s3.eu-west-1.amazonaws.com:443";

impl Outside {
    async fn with(password: Option<&str>) -> Self {
        let clock = tokio_clock(now());
        let api = ApiServer::new(clock.clone());
        api.namespace(SCORING, &[]);
        api.put(serde_json::to_value(analysts()).unwrap());
        api.put(serde_json::to_value(alice()).unwrap());
        let sts = Sts::new(clock.clone());
        let s3 = S3::new(sts.clone(), clock);
        let any = ([127, 0, 0, 1], 0).into();
        let listening = [api.serve(any).await.unwrap(), sts.serve(any).await.unwrap(), s3.serve(any).await.unwrap()];
        let files = TempDir::new().unwrap();
        let mut ports = [0; 4];
        let proxy = Proxy::start(password).await;
        let mut authorities = Vec::new();
        for (index, host) in [API, STS, BUCKETS].into_iter().enumerate() {
            let Vouched { ca, server } = vouched_for(&[host.split(':').next().unwrap(), "localhost", "127.0.0.1"]);
            ports[index] = in_front_of(listening[index].addr(), "127.0.0.1", server).await;
            proxy.route(host, ports[index]);
            authorities.push(ca);
        }
        fs::write(files.path().join("aws.pem"), authorities[1..].concat()).unwrap();
        ports[3] = identity().await;
        Self { api, s3, proxy, ports, files, api_authority: authorities.remove(0), _listening: listening }
    }

    /// Writes a kubeconfig for this URL of the API server. Returns its path.
    fn kubeconfig(&self, server: &str, proxy_url: Option<&str>) -> String {
        let authority = STANDARD.encode(&self.api_authority);
        let mut cluster = serde_json::json!({"server": server, "certificate-authority-data": authority});
        if let Some(url) = proxy_url {
            cluster["proxy-url"] = url.into();
        }
        let kubeconfig = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "a",
            "clusters": [{"name": "a", "cluster": cluster}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "users": [{"name": "a", "user": {"token": "t"}}],
        });
        let path = self.files.path().join("kubeconfig");
        fs::write(&path, kubeconfig.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Starts the operator with these variables and what it needs in each case.
    fn start(&self, kubeconfig: &str, variables: &[(&str, String)]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_keyturn"))
            .args(["run", "--cluster-name", CLUSTER, "--admin-addr", "127.0.0.1:0", "--log", "warn"])
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_CA_BUNDLE", self.files.path().join("aws.pem"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://127.0.0.1:{}/credentials", self.ports[3]))
            .envs(variables.iter().map(|(name, value)| (*name, value.as_str())))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Waits until alice's `Ready` has a reason that is no waiting.
    async fn reason(&self, case: &str) -> String {
        let ready = |api: &ApiServer| {
            let config = api.get("awsconfigs", SCORING, "alice").unwrap();
            let conditions = config["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready")?;
            let reason = ready["reason"].as_str()?.to_owned();
            (reason != "Pending").then_some(reason)
        };
        let waited = self.api.until(|api| ready(api).is_some());
        let asked = || self.proxy.asked();
        tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap_or_else(|_| {
            panic!("{case}: no answer: {:?}, proxy: {:?}", self.api.get("awsconfigs", SCORING, "alice"), asked())
        });
        ready(&self.api).unwrap()
    }
}

/// The time of the operator's process, which is the machine's.
#[expect(clippy::disallowed_methods, reason = "a process cannot have a simulated clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// The container endpoint that gives the operator its own identity, as EKS Pod Identity does.
async fn identity() -> u16 {
    let expiration = now() + Duration::from_secs(3600);
    let answer = serde_json::json!({
        "AccessKeyId": "AKIAOPERATOR00000000", "SecretAccessKey": "secret", "Token": "token",
        "Expiration": expiration.to_string(), "AccountId": "123456789012",
    });
    let router = Router::new().route("/credentials", get(move || async move { answer.to_string() }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_combination_of_settings_goes_through_the_proxy_as_users_expect() {
    /// What a case sets beside the proxy's URL (`PROXY`), the local ports (`API`, `STS`).
    struct Case {
        name: &'static str,
        server: &'static str,
        proxy_url: bool,
        variables: &'static [(&'static str, &'static str)],
        /// Whether the API server and STS are called through the proxy.
        through: [bool; 2],
        reason: &'static str,
        password: Option<&'static str>,
    }
    let usual = Case {
        name: "HTTPS_PROXY, KUBECONFIG, AWS_CA_BUNDLE",
        server: "https://api.cluster.test",
        proxy_url: false,
        variables: &[("HTTPS_PROXY", "PROXY")],
        through: [true, true],
        reason: "Issued",
        password: None,
    };
    let cases = [
        Case { name: "lower case", variables: &[("https_proxy", "PROXY")], ..usual },
        Case {
            name: "NO_PROXY with the proxy's own network",
            variables: &[("HTTPS_PROXY", "PROXY"), ("NO_PROXY", "127.0.0.0/8,10.0.0.0/8,.svc,localhost")],
            ..usual
        },
        Case { name: "a user and a password", password: Some("keyturn:hunter2"), ..usual },
        Case {
            name: "an API server on this machine",
            server: "https://localhost:API",
            through: [false, true],
            ..usual
        },
        Case {
            name: "NO_PROXY names STS, which cannot be reached without the proxy",
            variables: &[
                ("HTTPS_PROXY", "PROXY"),
                ("no_proxy", ".aws.test"),
                ("AWS_ENDPOINT_URL_STS", "https://sts.aws.test"),
            ],
            through: [true, false],
            reason: "Unreachable",
            ..usual
        },
        Case {
            name: "proxy-url of the kubeconfig, whatever NO_PROXY says",
            proxy_url: true,
            variables: &[("NO_PROXY", "*"), ("AWS_ENDPOINT_URL_STS", "https://localhost:STS")],
            through: [true, false],
            ..usual
        },
        Case {
            name: "HTTP_PROXY alone: neither https nor the source of the identity",
            server: "https://127.0.0.1:API",
            variables: &[("HTTP_PROXY", "PROXY"), ("AWS_ENDPOINT_URL_STS", "https://127.0.0.1:STS")],
            through: [false, false],
            ..usual
        },
        Case {
            name: "EKS Pod Identity is never asked through the proxy",
            variables: &[
                ("HTTPS_PROXY", "PROXY"),
                ("HTTP_PROXY", "PROXY"),
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
            ],
            through: [true, false],
            reason: "BaseCredentialsMissing",
            ..usual
        },
        usual,
    ];
    for case in cases {
        let outside = Outside::with(case.password).await;
        let filled = |text: &str| {
            let text = text.replace("PROXY", &outside.proxy.url());
            text.replace("API", &outside.ports[0].to_string()).replace("STS", &outside.ports[1].to_string())
        };
        let proxy_url = case.proxy_url.then(|| outside.proxy.url());
        let kubeconfig = outside.kubeconfig(&filled(case.server), proxy_url.as_deref());
        let variables: Vec<_> = case.variables.iter().map(|(name, value)| (*name, filled(value))).collect();
        let operator = outside.start(&kubeconfig, &variables);
        assert_eq!(outside.reason(case.name).await, case.reason, "{}", case.name);
        let asked = outside.proxy.asked();
        let through = [API, STS].map(|host| outside.proxy.count(host) > 0);
        assert_eq!(through, case.through, "{}: {asked:?}", case.name);
        assert!(asked.iter().all(|host| [API, STS].contains(&host.as_str())), "{}: {asked:?}", case.name);
        drop(operator);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_asked_for_through_the_proxy_and_with_the_bundle() {
    let direct = "https://127.0.0.1:BUCKETS";
    let table: [(&str, &[(&str, &str)], bool); 3] = [
        ("the endpoint of the region", &[("HTTPS_PROXY", "PROXY")], true),
        ("another endpoint", &[("HTTPS_PROXY", "PROXY"), ("AWS_ENDPOINT_URL_S3", direct)], false),
        (
            "a host in NO_PROXY",
            &[("HTTPS_PROXY", "PROXY"), ("NO_PROXY", ".s3.test"), ("AWS_ENDPOINT_URL_S3", direct)],
            false,
        ),
    ];
    for (case, variables, is_through) in table {
        let outside = Outside::with(Some("keyturn:hunter2")).await;
        let config = config("alice", |spec| spec.verify = Verify::Buckets);
        outside.api.put(serde_json::to_value(config).unwrap());
        let filled =
            |text: &str| text.replace("PROXY", &outside.proxy.url()).replace("BUCKETS", &outside.ports[2].to_string());
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, filled(value))).collect();
        let operator = outside.start(&outside.kubeconfig("https://api.cluster.test", None), &variables);
        assert_eq!(outside.reason(case).await, "Issued", "{case}");
        let found = outside.api.get("awsconfigs", SCORING, "alice").unwrap();
        let conditions = found["status"]["conditions"].as_array().unwrap();
        let verified = conditions.iter().find(|condition| condition["type"] == "Verified").unwrap();
        // The double refuses a wrong signature.
        assert_eq!(verified["status"], "True", "{case}: {verified}, {:?}", outside.s3.heads());
        assert_eq!(outside.proxy.count(BUCKETS) > 0, is_through, "{case}: {:?}", outside.proxy.asked());
        assert_eq!(outside.s3.heads().len(), 1, "{case}");
        drop(operator);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_cannot_be_used_ends_the_operator_with_one_line() {
    let outside = Outside::with(None).await;
    let kubeconfig = outside.kubeconfig("https://api.cluster.test", None);
    let proxy = outside.proxy.url();
    let table: [(&str, &[(&str, &str)], &[&str]); 5] = [
        (
            "an endpoint that others can read",
            &[("AWS_ENDPOINT_URL_S3", "http://s3.test")],
            &["the S3 endpoint", "https"],
        ),
        ("a SOCKS proxy", &[("HTTPS_PROXY", "socks5://u:hunter2@p:1080")], &["HTTPS_PROXY", "http://HOST:PORT"]),
        ("no URL", &[("http_proxy", "http://")], &["http_proxy"]),
        ("an entry that kube cannot read", &[("HTTPS_PROXY", &proxy), ("NO_PROXY", "a,,b")], &["NO_PROXY", ".svc"]),
        (
            "an API server that cannot be reached without the proxy",
            &[("HTTPS_PROXY", &proxy), ("NO_PROXY", "api.cluster.test")],
            &["API server"],
        ),
    ];
    for (case, variables, named) in table {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let ended = outside.start(&kubeconfig, &variables).wait_with_output();
        let output = tokio::time::timeout(Duration::from_secs(60), ended).await.expect(case).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && named.iter().all(|name| said.contains(name)), "{case}: {said}");
        assert!(!said.contains("hunter2") && !said.contains("disabled feature"), "{case}: {said}");
        assert_eq!(outside.proxy.asked(), [""; 0], "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dss_is_called_through_the_proxy_and_trusted_by_its_bundle() {
    let double = Double::new(tokio_clock("2026-01-01T00:00:00Z".parse().unwrap()));
    double.add_user("alice", &[]);
    let plain = double.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let Vouched { ca, server } = vouched("dss.corp.test");
    let secure = in_front_of(plain.addr(), "127.0.0.1", server).await;
    let trusting = Tls { ca_bundle: Some(ca), insecure_skip_verify: false };
    let other = Tls { ca_bundle: Some(vouched("dss.corp.test").ca), insecure_skip_verify: false };
    let (https, http) = ("https://dss.corp.test:11200", "http://dss.corp.test:11200");
    let table: [(&str, &str, &Tls, &[&str], bool, bool); 8] = [
        ("https", https, &trusting, &["HTTPS_PROXY"], true, true),
        ("https, lower case", https, &trusting, &["https_proxy"], true, true),
        ("https, every scheme", https, &trusting, &["ALL_PROXY"], true, true),
        ("https, another bundle", https, &other, &["HTTPS_PROXY"], true, false),
        ("https, a proxy for http", https, &trusting, &["HTTP_PROXY"], false, false),
        ("https, in NO_PROXY", https, &trusting, &["HTTPS_PROXY", "NO_PROXY"], false, false),
        ("http", http, &trusting, &["HTTP_PROXY"], true, true),
        ("http, in NO_PROXY", http, &trusting, &["HTTP_PROXY", "NO_PROXY"], false, false),
    ];
    for (case, url, tls, set, is_asked, answers) in table {
        let proxy = Proxy::start(Some("keyturn:hunter2")).await;
        proxy.route("dss.corp.test:11200", if url == http { plain.addr().port() } else { secure });
        let value = |name: &str| if name == "NO_PROXY" { "a, *.corp.test:11200".to_owned() } else { proxy.url() };
        let proxies = Proxies::new(|name| set.contains(&name).then(|| value(name))).unwrap();
        let wire = connect(tls, &proxies).unwrap();
        let dss = Dss::new(url, &ADMIN_KEY.into(), Scheme::default(), wire).unwrap();
        let users = dss.users().await;
        assert_eq!(proxy.count("dss.corp.test:11200") > 0, is_asked, "{case}");
        match users {
            Ok(users) => assert!(answers && users.len() == 1, "{case}"),
            Err(error) => {
                assert!(!answers && error.kind == Kind::Unreachable, "{case}: {error}");
                assert!(!error.to_string().contains("hunter2"), "{case}: {error}");
            }
        }
    }
}

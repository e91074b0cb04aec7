//! Pods that ask for a credential, as a real API server sends them to the webhook. There is no node
//! here: the tests check the pod that the API server stored.

use super::{
    ground::{Ground, eventually, within},
    install::{Install, Process, free_address},
    people::{People, refusal},
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    core::v1::{Namespace, Pod},
};
use keyturn::{
    api::AwsConfigSpec,
    certificate::bundled,
    webhook::{BODY_LIMIT, PATH, REQUIRED_PATH},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, from_value, json};
use std::{collections::BTreeSet, time::Duration};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_pod_gets_the_secret_of_the_config_it_names_or_is_selected_by() {
    let install = Install::scoped().await;
    let Serving { operator, webhook, .. } = serving(&install).await;
    install.apply_grant(|_| {}).await;
    install.apply_config("alice", |_| {}).await;
    install.apply_config("scorer", selecting("scorer")).await;
    for name in ["alice", "scorer"] {
        install.until_ready_is(name, "True/Issued").await;
    }

    let named = pod("named", &json!({"annotations": {"keyturn.dev/aws-config": "alice"}}));
    assert_eq!(create(&install, &named), "pod/named created\n", "and no warning");
    let selected = pod("selected", &json!({"labels": {"app": "scorer"}}));
    create(&install, &selected);
    create(&install, &pod("other", &json!({"labels": {"app": "web"}})));
    let off = json!({"labels": {"app": "scorer", "keyturn.dev/inject": "false"}});
    create(&install, &pod("off", &off));
    for (pod, secret) in
        [("named", Some("alice-aws")), ("selected", Some("scorer-aws")), ("other", None), ("off", None)]
    {
        assert_eq!(mounted(&get(&install, pod).await).as_deref(), secret, "{pod}");
    }
    let stored = get(&install, "named").await;
    for container in ["initContainers", "containers"] {
        let container = &json!(stored)["spec"][container][0];
        assert_eq!(variable(container, "AWS_CONFIG_FILE")["value"], "/var/run/secrets/keyturn/config");
        assert_eq!(variable(container, "AWS_REGION")["valueFrom"]["secretKeyRef"]["name"], "alice-aws");
    }

    let both = json!({"labels": {"app": "scorer"}, "annotations": {"keyturn.dev/aws-config": "alice"}});
    let warned = create(&install, &pod("both", &both));
    assert!(warned.contains("Warning: keyturn: the annotation") && warned.contains("not \"scorer\""), "{warned}");
    let early = create(&install, &pod("early", &json!({"annotations": {"keyturn.dev/aws-config": "carol"}})));
    assert!(
        early.contains("no AwsConfig \"carol\"") && early.contains("waits for its Secret \"carol-aws\""),
        "{early}"
    );

    a_container_for_debugging_gets_it_too(&install).await;
    the_pods_of_a_deployment_get_it(&install).await;
    the_choices_of_an_author_are_kept(&install).await;
    assert!(operator.stop().await.success());
    assert!(webhook.stop().await.success());
    the_webhook_asked_for_what_it_needs_only(&install).await;
    a_stopped_webhook_blocks_no_pod(&install).await;
    let operator = install.start().await;
    a_missed_pod_is_named_until_it_is_deleted(&install, &operator).await;
}

async fn a_container_for_debugging_gets_it_too(install: &Install<'_>) {
    let debug = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "none"}]}});
    let (parameters, patch) = (PatchParams::default(), Patch::Strategic(debug));
    pods(install).patch_ephemeral_containers("named", &parameters, &patch).await.unwrap();
    let container = json!(get(install, "named").await)["spec"]["ephemeralContainers"][0].clone();
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/var/run/secrets/keyturn", "{container}");
    assert_eq!(variable(&container, "AWS_CONFIG_FILE")["value"], "/var/run/secrets/keyturn/config");
}

async fn the_pods_of_a_deployment_get_it(install: &Install<'_>) {
    let labels = json!({"app": "scorer", "of": "deployment"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "none"}]}});
    let spec = json!({"replicas": 2, "selector": {"matchLabels": labels}, "template": template});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec});
    create(install, &deployment);
    eventually("both pods have it", async || {
        let list = ListParams::default().labels("of=deployment");
        let found = pods(install).list(&list).await.map_err(|error| error.to_string())?.items;
        let mounted: Vec<_> = found.iter().map(mounted).collect();
        if mounted == vec![Some("scorer-aws".to_owned()); 2] { Ok(()) } else { Err(format!("{mounted:?}")) }
    })
    .await;
}

async fn the_choices_of_an_author_are_kept(install: &Install<'_>) {
    let annotations = json!({
        "keyturn.dev/aws-config": "alice", "keyturn.dev/skip-containers": "first", "keyturn.dev/home": "/home/alice",
    });
    assert_eq!(create(install, &pod("chosen", &json!({"annotations": annotations}))), "pod/chosen created\n");
    let stored = json!(get(install, "chosen").await);
    let paths = |container: &str| {
        let mounts = stored["spec"][container][0]["volumeMounts"].as_array().cloned().unwrap_or_default();
        mounts.iter().filter_map(|mount| mount["mountPath"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    for path in ["/var/run/secrets/keyturn", "/home/alice/.aws"] {
        assert!(paths("containers").contains(&path.to_owned()), "{path}: {stored}");
        assert!(!paths("initContainers").contains(&path.to_owned()), "{path}: {stored}");
    }
    assert_eq!(stored["metadata"]["annotations"]["keyturn.dev/injected-secret"], "alice-aws");

    let mut closed = pod("closed", &json!({"annotations": {"keyturn.dev/aws-config": "alice"}}));
    closed["spec"]["volumes"] = json!([{"name": "mine", "secret": {"secretName": "mine"}}]);
    closed["spec"]["automountServiceAccountToken"] = json!(false);
    closed["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "mine", "mountPath": "/run/secrets"}]);
    let warned = create(install, &closed);
    assert!(
        warned.contains("Warning: keyturn: container \"app\" mounts a read-only volume at /run/secrets"),
        "{warned}"
    );
    let stored = json!(get(install, "closed").await);
    assert_eq!(stored["metadata"]["annotations"]["keyturn.dev/not-injected"], "app");
    assert_eq!(variable(&stored["spec"]["containers"][0], "AWS_CONFIG_FILE")["value"], "/dev/null");
    // A pod that cannot have the Secret counts as missed, and the test goes on with those of
    // others.
    pods(install).delete("closed", &DeleteParams::default().grace_period(0)).await.unwrap();
}

/// It has no right but to these requests, and was refused none.
async fn the_webhook_asked_for_what_it_needs_only(install: &Install<'_>) {
    let user = install.user_of(&install.webhook_name());
    let seen = eventually("all requests are in the audit log", async || {
        let requests = install.ground.audit(&user);
        let verbs = requests.iter().filter(|request| !request.resource.is_empty());
        let seen: BTreeSet<_> = verbs.map(|at| format!("{} {} {}", at.verb, at.resource, at.code)).collect();
        if seen.len() >= 4 { Ok(seen) } else { Err(seen) }
    })
    .await;
    let wanted = ["list awsconfigs 200", "list secrets 200", "watch awsconfigs 200", "watch secrets 200"];
    assert_eq!(seen, wanted.map(str::to_owned).into());
    for (verb, what, allowed) in [
        ("list", "secrets", "no"),
        ("get", "secrets/alice-aws", "no"),
        ("patch", "awsconfigs/alice", "no"),
        ("list", "awsconfigs", "yes"),
        ("list", "awsroles", "no"),
        ("list", "pods", "no"),
    ] {
        let mut ask = install.ground.kubectl();
        ask.args(["auth", "can-i", verb, what, "-n", &install.namespace, "--as", &user]);
        let (_, said) = tokio::task::block_in_place(|| super::ground::run_with_input(&mut ask, ""));
        assert!(said.trim_end().ends_with(allowed), "{verb} {what}: {said}");
    }
}

async fn a_stopped_webhook_blocks_no_pod(install: &Install<'_>) {
    create(install, &pod("late", &json!({"annotations": {"keyturn.dev/aws-config": "alice"}})));
    assert_eq!(mounted(&get(install, "late").await), None);
}

async fn a_missed_pod_is_named_until_it_is_deleted(install: &Install<'_>, operator: &Process) {
    let missed_pods = async |name: &str| {
        let conditions = install.configs().get(name).await.unwrap().status.unwrap().conditions;
        let condition = |type_: &str| conditions.iter().find(|condition| condition.type_ == type_).cloned();
        assert_eq!(condition("Ready").unwrap().status, "True", "{name}");
        condition("PodsMissed").map(|missed| format!("{}/{}: {}", missed.status, missed.reason, missed.message))
    };
    let seen =
        eventually("alice's config names it", async || missed_pods("alice").await.ok_or("nothing is reported")).await;
    assert!(seen.starts_with("True/NotInjected: 1 pod asks for the Secret and has not got it: \"late\". "), "{seen}");
    assert_eq!(missed_pods("scorer").await, None, "all of its pods have it");
    eventually("so does an Event, and the metric counts it", async || {
        let (events, metrics) = (install.events("alice").await, operator.get("metrics").await?);
        let events = events.iter().filter(|event| event.starts_with("NotInjected: 1 pod")).count();
        if events == 1 && metrics.contains("keyturn_pods_missed 1\n") { Ok(()) } else { Err(metrics) }
    })
    .await;

    pods(install).delete("late", &DeleteParams::default().grace_period(0)).await.unwrap();
    // A changed selector makes the operator search the namespace before the next five minutes are
    // over.
    install.apply_config("scorer", selecting("scorer-2")).await;
    within(Duration::from_secs(60), "nothing is reported any more", async || match missed_pods("alice").await {
        None => Ok(()),
        Some(missed) => Err(missed),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn two_hundred_pods_at_once_are_injected_beside_malformed_requests() {
    // On a busy machine an answer can take longer than the default of two seconds, and the API
    // server then goes on without it.
    let install = Install::of_some_namespaces(Ground::shared(), &["webhook.timeoutSeconds=10"]).await;
    let Serving { operator: _operator, webhook, at } = serving(&install).await;
    install.apply_grant(|_| {}).await;
    install.apply_config("scorer", selecting("scorer")).await;
    install.until_ready_is("scorer", "True/Issued").await;

    let before = reviews(&webhook, "injected").await;
    let nonsense = send_nonsense(at);
    let api = pods(&install);
    let creating: FuturesUnordered<_> = (0..200)
        .map(|number| {
            let api = api.clone();
            async move {
                let pod = pod(&format!("p{number}"), &json!({"labels": {"app": "scorer"}}));
                api.create(&PostParams::default(), &from_value(pod).unwrap()).await.unwrap()
            }
        })
        .collect();
    let created: Vec<Pod> = creating.collect().await;
    let missed = created.iter().filter(|pod| mounted(pod).as_deref() != Some("scorer-aws")).count();
    assert_eq!((created.len(), missed), (200, 0));
    nonsense.await;

    let after = [reviews(&webhook, "injected").await, reviews(&webhook, "malformed").await];
    assert_eq!(after, [before + 200, 4]);
    assert!(webhook.stop().await.success(), "it runs on, and ends when it is asked to");
}

/// The number of reviews with this outcome, according to the metrics.
async fn reviews(webhook: &Process, outcome: &str) -> u64 {
    let metrics = webhook.get("metrics").await.unwrap();
    let name = format!("keyturn_admission_reviews_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

/// Sends malformed requests. Each is refused with its own status and delays no other request.
async fn send_nonsense(address: String) {
    let client = reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
    let url = format!("https://{address}{PATH}");
    let post =
        |content_type: &str, body: Vec<u8>| client.post(&url).header("content-type", content_type).body(body).send();
    assert_eq!(post("application/json", b"{]".to_vec()).await.unwrap().status(), 400);
    assert_eq!(post("application/json", b"{\"request\": 1}".to_vec()).await.unwrap().status(), 400);
    assert_eq!(post("text/plain", b"{}".to_vec()).await.unwrap().status(), 415);
    // The webhook may close the connection while the client still writes.
    assert!(post("application/json", vec![b'a'; BODY_LIMIT + 1]).await.map_or(true, |answer| answer.status() == 413));
    assert_eq!(client.get(&url).send().await.unwrap().status(), 405);
    // A client without TLS and a silent client: the webhook ends both connections.
    for words in [&b"GET / HTTP/1.1\r\n\r\n"[..], b""] {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(words).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "a silent client is not waited for");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_lost_certificate_or_authority_is_restored() {
    let install = Install::scoped().await;
    let Serving { operator, webhook, .. } = serving(&install).await;
    install.apply_config("scorer", selecting("scorer")).await;
    let authority = async || {
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(install.admin.clone());
        let configuration = configurations.get(&install.fullname()).await.unwrap();
        let bundle = configuration.webhooks.unwrap()[0].client_config.ca_bundle.clone();
        bundle.map(|bundle| bundled(&bundle.0)).unwrap_or_default()
    };
    let first = authority().await;

    // Another writer applies the configuration without the authority.
    let gone = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]);
    patch_configuration(&install, &gone).await;
    eventually("the authority is published again", async || {
        let published = authority().await;
        if published == first { Ok(()) } else { Err(published.len()) }
    })
    .await;

    // The Secret loses its data.
    let secret = install.webhook_name();
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(install.admin.clone(), &install.system);
    let (parameters, empty) = (PatchParams::default(), Patch::Merge(json!({"data": null})));
    secrets.patch(&secret, &parameters, &empty).await.unwrap();
    eventually("another certificate is there, its authority beside the former one", async || {
        let published = authority().await;
        if published.len() == 2 && published.starts_with(&first) { Ok(()) } else { Err(published.len()) }
    })
    .await;
    eventually("and the API server believes it", async || {
        let name = format!("p{}", super::ground::number());
        create(&install, &pod(&name, &json!({"labels": {"app": "scorer"}})));
        mounted(&get(&install, &name).await).ok_or("not injected")
    })
    .await;
    let log = operator.log() + &webhook.log();
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn writing_a_selector_needs_the_right_to_patch_pods() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let alice = people.person("alice").await;
    let refused = alice.creates_with("alice", "alice", selecting("scorer")).await;
    let said = refusal(refused).message;
    assert!(said.contains("inject with podSelector") && said.contains("\"patch\" on pods"), "{said}");
    let delivery: fn(&mut AwsConfigSpec) =
        |spec| spec.inject = Some(from_value(json!({"delivery": "Endpoint"})).unwrap());
    alice.creates_with("delivery", "alice", delivery).await.expect("without a selector it is about no pod of others");
    let wider = json!({"inject": {"podSelector": {"matchLabels": {"app": "scorer"}}}});
    let said = refusal(alice.edits("delivery", wider).await).message;
    assert!(said.contains("\"patch\" on pods"), "{said}");

    // The right to create pods is not enough: a selector changes pods that exist in the templates
    // of others.
    let creator = people.person("creator").await;
    people.may_on_pods("creator", "create").await;
    people.may_on_pods("alice", "patch").await;
    eventually("she may now", async || {
        alice.creates_with("alice", "alice", selecting("scorer")).await.map_err(|error| error.to_string())
    })
    .await;
    let said = refusal(creator.creates_with("creator", "creator", selecting("scorer")).await).message;
    assert!(said.contains("\"patch\" on pods"), "{said}");
    let bob = people.person("bob").await;
    people.may_use("User", "bob", &["alice"], &install.namespace).await;
    bob.edits("alice", json!({"region": "eu-west-3"})).await.expect("what is there already is no change");
    let wider = json!({"inject": {"podSelector": {"matchLabels": {"app": "another"}}}});
    let said = refusal(bob.edits("alice", wider).await).message;
    assert!(said.contains("inject with podSelector"), "{said}");

    let nothing = json!({"inject": {"podSelector": {"matchLabels": null}}});
    let said = refusal(alice.edits("alice", nothing).await).message;
    assert!(said.contains("must not be empty"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_pod_that_requires_the_secret_never_starts_without_it() {
    let install = Install::scoped().await;
    let Serving { operator: _operator, webhook, .. } = serving(&install).await;
    let asking = |value: &str, name: &str| json!({"labels": {"keyturn.dev/inject": value}, "annotations": {"keyturn.dev/aws-config": name}});
    let refused = |name: &str, metadata: &Value, words: &str| {
        let (created, said) = install.kubectl_create(&pod(name, metadata), &[]);
        assert!(!created && said.contains(words), "{name}: {said}");
    };
    let reviewed = async || {
        let metrics = webhook.get("metrics").await.unwrap();
        let counts = metrics.lines().filter(|line| line.starts_with("keyturn_admission_reviews_total{"));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    // Each label leads to one review at most.
    for (name, value, reviews) in [("plain", "true", 1), ("pods-own", "required", 1), ("off", "false", 0)] {
        let before = reviewed().await;
        create(&install, &pod(name, &asking(value, "alice")));
        assert_eq!(reviewed().await - before, reviews, "{name}");
        let secret = mounted(&get(&install, name).await);
        assert_eq!(secret.as_deref(), (reviews == 1).then_some("alice-aws"), "{name}");
    }
    refused(
        "nameless",
        &json!({"labels": {"keyturn.dev/inject": "required"}}),
        "has no annotation keyturn.dev/aws-config",
    );
    refused("wrong", &asking("required", "A B"), "holds no name of an AwsConfig");

    let namespaces: Api<Namespace> = Api::all(install.admin.clone());
    let labelled = Patch::Merge(json!({"metadata": {"labels": {"keyturn.dev/inject": "required"}}}));
    namespaces.patch(&install.namespace, &PatchParams::default(), &labelled).await.unwrap();
    eventually("the label of the namespace counts", async || {
        let (created, said) = install.kubectl_create(&pod("wrong", &asking("true", "A B")), &["--dry-run=server"]);
        if created { Err(said) } else { Ok(()) }
    })
    .await;
    for (name, value, reviews) in [("of-namespace", "true", 1), ("both", "required", 1), ("still-off", "false", 0)] {
        let before = reviewed().await;
        create(&install, &pod(name, &asking(value, "alice")));
        assert_eq!(reviewed().await - before, reviews, "{name}");
    }
    create(&install, &pod("asks-nothing", &json!({})));

    assert!(webhook.stop().await.success());
    refused("without-keyturn", &asking("required", "alice"), "failed calling webhook \"required-pods.keyturn.dev\"");
    refused(
        "in-namespace",
        &asking("true", "alice"),
        "failed calling webhook \"pods-of-required-namespaces.keyturn.dev\"",
    );
    create(&install, &pod("opted-out", &asking("false", "alice")));
}

fn selecting(app: &str) -> impl FnOnce(&mut AwsConfigSpec) + use<> {
    let inject = from_value(json!({"podSelector": {"matchLabels": {"app": app}}})).unwrap();
    move |spec| spec.inject = Some(inject)
}

/// An operator, and a webhook that the API server reaches.
pub(super) struct Serving {
    pub(super) operator: Process,
    pub(super) webhook: Process,
    /// The address of the webhook.
    at: String,
}

/// Starts both.
pub(super) async fn serving(install: &Install<'_>) -> Serving {
    serving_with(install, install.start()).await
}

/// Starts the webhook beside an operator. There is no network for Services here, so the
/// configuration gets the webhook's address.
pub(super) async fn serving_with(install: &Install<'_>, operator: impl Future<Output = Process>) -> Serving {
    let at = free_address();
    // The webhook waits for the certificate that the operator makes.
    let webhook = install.spawn_webhook(&at).await;
    let operator = operator.await;
    let webhook = webhook.ready().await;
    for (number, path) in [PATH, REQUIRED_PATH, REQUIRED_PATH].into_iter().enumerate() {
        let (client_config, url) = (format!("/webhooks/{number}/clientConfig"), format!("https://{at}{path}"));
        patch_configuration(
            install,
            &json!([{"op": "remove", "path": format!("{client_config}/service")}, {"op": "add", "path": format!("{client_config}/url"), "value": url}]),
        )
        .await;
    }
    within(Duration::from_secs(30), "pods are sent to the webhook", async || {
        let name = format!("probe-{}", super::ground::number());
        let probe = pod(&name, &json!({"annotations": {"keyturn.dev/aws-config": "nobody"}}));
        // At first the namespace has no ServiceAccount, and then the webhook has no authority.
        let (created, said) = install.kubectl_create(&probe, &[]);
        if created { mounted(&get(install, &name).await).ok_or(said) } else { Err(said) }
    })
    .await;
    Serving { operator, webhook, at }
}

async fn patch_configuration(install: &Install<'_>, operations: &Value) {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(install.admin.clone());
    let patch: Patch<()> = Patch::Json(from_value(operations.clone()).unwrap());
    configurations.patch(&install.fullname(), &PatchParams::default(), &patch).await.unwrap();
}

pub(super) fn pod(name: &str, metadata: &Value) -> Value {
    let mut metadata = metadata.clone();
    metadata["name"] = json!(name);
    let (init, app) = (json!([{"name": "first", "image": "none"}]), json!([{"name": "app", "image": "none"}]));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"initContainers": init, "containers": app}})
}

/// Creates an object as a user does, and returns the output of kubectl.
pub(super) fn create(install: &Install<'_>, object: &Value) -> String {
    let (ok, said) = install.kubectl_create(object, &[]);
    assert!(ok, "{said}");
    said
}

fn pods(install: &Install<'_>) -> Api<Pod> {
    Api::namespaced(install.admin.clone(), &install.namespace)
}

pub(super) async fn get(install: &Install<'_>, name: &str) -> Pod {
    pods(install).get(name).await.unwrap()
}

/// The Secret that every container of the pod has at the mount path.
pub(super) fn mounted(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref().unwrap();
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let volumes: BTreeSet<Option<&str>> = containers
        .map(|container| {
            let mut mounts = container.volume_mounts.iter().flatten();
            Some(mounts.find(|mount| mount.mount_path == "/var/run/secrets/keyturn")?.name.as_str())
        })
        .collect();
    assert_eq!(volumes.len(), 1, "each container or none: {}", pod.name_any());
    let volume = volumes.into_iter().next().flatten()?;
    let volume = spec.volumes.iter().flatten().find(|other| other.name == volume).unwrap();
    volume.secret.as_ref().unwrap().secret_name.clone()
}

fn variable<'a>(container: &'a Value, name: &str) -> &'a Value {
    let variables = container["env"].as_array().unwrap_or_else(|| panic!("{container}"));
    variables.iter().find(|variable| variable["name"] == name).unwrap_or_else(|| panic!("no {name}: {container}"))
}

//! Many withdrawals at once, with the rights of the chart: the brake holds them back, the Event and
//! the messages have the command, and an admin confirms with it.

use super::{
    ground::{eventually, run},
    install::Install,
};
use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event, rbac::v1::Role};
use keyturn::api::AwsConfig;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use std::collections::BTreeSet;

const NAMES: [&str; 4] = ["anna", "bert", "carl", "dora"];
/// One may go within a minute.
const BRAKE: usize = 1;

/// The reason of `Ready` of each config.
fn reasons(configs: &[AwsConfig]) -> Vec<String> {
    let ready = |config: &AwsConfig| {
        let conditions = config.status.clone().unwrap_or_default().conditions;
        conditions
            .into_iter()
            .find(|condition| condition.type_ == "Ready")
            .map(|ready| ready.reason)
            .unwrap_or_default()
    };
    configs.iter().map(ready).collect()
}

fn count(configs: &[AwsConfig], reason: &str) -> usize {
    reasons(configs).into_iter().filter(|it| it == reason).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn an_admin_confirms_withdrawals_with_the_command_of_the_message() {
    let install = Install::scoped().await;
    install.set(&format!("withdrawalBrake={BRAKE}"));
    install.apply_grant(|_| {}).await;
    let mut operator = install.start().await;
    for name in NAMES {
        install.apply_config(name, |_| {}).await;
    }
    for name in NAMES {
        install.until_ready_is(name, "True/Issued").await;
    }
    let configs = install.configs();
    let list = async || configs.list(&ListParams::default()).await.unwrap().items;
    install.grants().delete(&install.namespace, &DeleteParams::default()).await.unwrap();
    let is_braked = |configs: &[AwsConfig]| {
        (count(configs, "NotGranted"), count(configs, "WithdrawalHeld")) == (BRAKE, NAMES.len() - BRAKE)
    };
    eventually("one goes and the rest is held back", async || {
        let configs = list().await;
        if is_braked(&configs) { Ok(()) } else { Err(reasons(&configs)) }
    })
    .await;

    // The Event is about the ConfigMap of the release, and has the command.
    let map = format!("{}-withdrawals", install.fullname());
    let maps: Api<ConfigMap> = Api::namespaced(install.admin.clone(), &install.system);
    let uid = maps.get(&map).await.unwrap().uid();
    let events: Api<Event> = Api::namespaced(install.admin.clone(), &install.system);
    let note = eventually("an Event says it of the whole", async || {
        let events = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let about = |event: &Event| {
            let regarding = event.regarding.clone().unwrap_or_default();
            (regarding.name.as_deref(), &regarding.uid) == (Some(&map), &uid)
                && event.reason.as_deref() == Some("WithdrawalHeld")
        };
        let found: Vec<String> = events.into_iter().filter(about).filter_map(|event| event.note).collect();
        found.first().cloned().ok_or_else(|| "none".to_owned())
    })
    .await;
    assert!(note.contains("the withdrawal of 3 is held back"), "{note}");
    let command = note.rsplit_once("now: ").unwrap().1.to_owned();
    for config in list().await.iter().filter(|config| config.status.as_ref().unwrap().withdrawal_held.is_some()) {
        let status = config.status.clone().unwrap();
        assert!(status.trouble.unwrap().message.contains(&command), "{config:?}");
    }

    // Another process holds back the same.
    operator.stop().await;
    let asked = || {
        let requests = install.ground.audit(&install.user());
        requests.iter().filter(|request| request.verb == "get" && request.resource == "configmaps").count()
    };
    let before = asked();
    operator = install.start().await;
    eventually(
        "the new process has read the confirmation",
        async || {
            if asked() > before { Ok(()) } else { Err(before) }
        },
    )
    .await;
    assert!(is_braked(&list().await), "{:?}", reasons(&list().await));

    // The shell runs the line as it is quoted, with the kubectl of the ground.
    let kubectl = install.ground.kubectl();
    let program = kubectl.get_program().to_string_lossy().into_owned();
    let arguments = kubectl.get_args().map(|it| it.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
    let line = command.replacen("kubectl", &format!("{program} {arguments}"), 1);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &line]);
    for (name, value) in kubectl.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    run(&mut shell);
    eventually("all go", async || {
        let configs = list().await;
        if count(&configs, "NotGranted") == NAMES.len() { Ok(()) } else { Err(reasons(&configs)) }
    })
    .await;
    for name in NAMES {
        assert_eq!(install.values(name).await["AWS_SECRET_ACCESS_KEY"], "WITHDRAWN", "{name}");
    }

    // The rights of the Role are those that were used.
    let requests = install.ground.audit(&install.user());
    let refused: Vec<_> = requests.iter().filter(|request| request.code == 403).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let used: BTreeSet<String> =
        requests.iter().map(|request| format!("{} {}", request.verb, request.resource)).collect();
    let roles: Api<Role> = Api::namespaced(install.admin.clone(), &install.system);
    for rule in roles.get(&map).await.unwrap().rules.unwrap() {
        for resource in rule.resources.iter().flatten() {
            assert!(rule.verbs.iter().all(|verb| used.contains(&format!("{verb} {resource}"))), "{rule:?}: {used:?}");
        }
    }
    assert!(operator.stop().await.success());
}

//! The samples that users come from ([`crate::samples`]), each with the real client in a pod as the
//! webhook or its author made it. One operator, one webhook and one namespace serve all of them.

mod own_key;
mod pod;

use self::pod::Stored;
use super::{
    aws_admin::{role_for, trusts_operator},
    datarobot::DataRobotServer,
    datarobot_push,
    dss::DssServer,
    ground::{eventually, run, run_with_input},
    injection::serving,
    install::{Install, free_address},
};
use crate::{
    doubles::{
        datarobot::TOKEN_MARKER,
        dss::{ADMINISTRATORS, Connection},
    },
    fixtures::personal_key,
    samples::{Pod, SECTIONS, Sample},
};
use futures::{StreamExt as _, stream};
use keyturn::api::{Allowance, AwsConfigSpec};
use serde_json::{Value, from_value, json};
use std::{collections::BTreeMap, fmt::Write as _, path::Path};

/// The programs that run at a time. Half of their time they wait.
const AT_ONCE: usize = 4;
const ROLE: &str = "ds-tutorial";
const FROM_PROPERTY: &str = "${adminProperty:associatedRole}";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn each_sample_does_in_a_pod_what_the_table_says() {
    let install = Install::scoped().await;
    let instance = tokio::task::block_in_place(|| account(&install));
    let server = dss(&install).await;
    let robot = datarobot(&install).await;
    install.apply_grant(|_| {}).await;
    let serving = serving(&install).await;
    configs(&install, &server).await;
    let pods = pods(&install).await;

    let cookie = server.dss.visits("bob");
    let known = |text: &str, mount: &Path| {
        let [bucket, other] = &install.aws.buckets[..] else { panic!("two buckets") };
        let names = [("{bucket}", bucket.as_str()), ("{other}", other), ("{account}", &install.account)];
        let names = names.into_iter().chain([("{instance}", instance.as_str()), ("{cookie}", &cookie)]);
        let names = names.chain([("{mount}", mount.to_str().unwrap())]);
        names.fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    };
    let check = async |sample: &Sample| {
        let pod = &pods[&sample.pod];
        let known = |text: &str| known(text, &pod.mount_path());
        let arguments = sample.arguments.iter().map(|argument| known(argument));
        let (succeeded, said) = pod.runs(&install, sample.file, arguments.collect(), sample.pod == Pod::Terminal).await;
        let wrong = sample.right.check(succeeded, &said, known).err()?;
        Some(format!("{} ({:?}, {:?}): {wrong}. Its output:\n{said}", sample.file, sample.arguments, sample.pod))
    };
    let has_cli_2 = pod::cli_2().is_some();
    if !has_cli_2 {
        eprintln!("left out: the samples of version 2 of the AWS CLI, which make deps fetches on Debian");
    }
    let samples = SECTIONS.iter().flat_map(|section| section.samples);
    let samples = samples.filter(|sample| has_cli_2 || !pod::needs_cli_2(sample.file));
    let wrong: Vec<Option<String>> = stream::iter(samples).map(check).buffer_unordered(AT_ONCE).collect().await;
    let wrong = wrong.into_iter().flatten().fold(String::new(), |mut all, one| {
        let _ = writeln!(all, "\n{one}");
        all
    });
    assert!(wrong.is_empty(), "samples with another result than the table says:\n{wrong}");

    nothing_is_left_of_what_was_refused(&server, &pods);
    own_key::a_key_is_rotated_by_hand(&install).await;
    assert!(serving.webhook.stop().await.success());
    let log = serving.operator.log();
    assert!(serving.operator.stop().await.success());
    assert!(!log.contains("dkuaps-Leaked"), "no API key is logged: {log}");
    assert!(!log.contains(TOKEN_MARKER), "no token is logged: {log}");
    drop(robot);
}

fn nothing_is_left_of_what_was_refused(server: &DssServer, pods: &BTreeMap<Pod, Stored>) {
    let property = server.dss.admin_property("alice", "associatedRole");
    assert_eq!(property.as_deref(), Some("ds-from-dss"), "an admin property is not its user's");
    let keys = server.dss.personal_keys();
    assert!(keys.iter().all(|key| ["alice", "dana"].contains(&key.user.as_str())), "{keys:?}");
    for pod in [Pod::Injected, Pod::Endpoint, Pod::ByHand] {
        assert!(!pods[&pod].home().join(".aws/credentials").exists(), "{pod:?}: aws configure left a key");
    }
}

/// The AWS account: a role for the samples, and a machine with an instance profile. Returns the ID
/// of the machine.
fn account(install: &Install<'_>) -> String {
    let bucket = format!("arn:aws:s3:::{}", install.aws.buckets[0]);
    let allows = |actions: &[&str], resource: &str| json!({"Effect": "Allow", "Action": actions, "Resource": resource});
    role_for(&install.account, ROLE, &trusts_operator(install, &["sts:AssumeRole"])).allows(
        install,
        &json!([
            allows(&["s3:ListAllMyBuckets", "ec2:DescribeInstances"], "*"),
            allows(&["s3:ListBucket"], &bucket),
            allows(&["s3:GetObject", "s3:PutObject"], &format!("{bucket}/*")),
        ]),
    );
    let ec2 = json!({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"});
    role_for(&install.account, "machine", &ec2).allows(install, &json!([allows(&["s3:ListBucket"], &bucket)]));
    let root = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        run(&mut install.aws_as_root(&install.account, &arguments))
    };
    root("iam create-instance-profile --instance-profile-name machine");
    root("iam add-role-to-instance-profile --instance-profile-name machine --role-name machine");
    let made = root(
        "ec2 run-instances --region eu-west-1 --image-id ami-0abcdef1234567890 --instance-type t3.micro \
         --iam-instance-profile Name=machine --output json",
    );
    let made: Value = serde_json::from_str(&made).unwrap();
    made["Instances"][0]["InstanceId"].as_str().unwrap().to_owned()
}

/// A DSS with a connection that alice may read and one that she may not. Dana is an administrator,
/// and may have an API key.
async fn dss(install: &Install<'_>) -> DssServer {
    let server = DssServer::start(install).await;
    server.dss.add_connection("s3", Connection::assume_role(FROM_PROPERTY).readable_by(&["analysts"]));
    server.dss.add_connection("payroll", Connection::assume_role(FROM_PROPERTY).readable_by(&["hr"]));
    server.dss.set_admin_property("alice", "associatedRole", Some("ds-from-dss"));
    server.dss.set_secret("alice", "pin", "1234");
    server.dss.add_user("dana", &[ADMINISTRATORS]);
    let lists = json!([{"Effect": "Allow", "Action": ["s3:ListAllMyBuckets"], "Resource": "*"}]);
    tokio::task::block_in_place(|| server.assumes_with(install, "ds-from-dss", &lists));
    let may_administer: Allowance = from_value(json!({
        "namespaces": {"names": [install.namespace]}, "persons": ["dana"], "adminKeys": true,
    }))
    .unwrap();
    server.apply(install, |spec| spec.allow.insert(0, may_administer)).await;
    server
}

/// A DataRobot in which alice has an account with a credential of her own, and a file to score in
/// both buckets.
async fn datarobot(install: &Install<'_>) -> DataRobotServer {
    let server = DataRobotServer::start(install.ground).await;
    datarobot_push::apply(install, &server, |spec| spec.allow[0].own_tokens = true).await;
    let token = server.datarobot.add_account("alice");
    server.datarobot.add_credential("alice", "mine", "basic", &[("user", "me"), ("password", "my password")]);
    datarobot_push::put_token(install, &install.namespace, "alice-datarobot", &token).await;
    for bucket in &install.aws.buckets {
        let to = format!("s3://{bucket}/in.csv");
        let mut put = install.aws_as_root(&install.account, &["s3", "cp", "-", &to]);
        let (ok, said) = run_with_input(&mut put, "amount,country\n10,FR\n");
        assert!(ok, "{said}");
    }
    server
}

async fn configs(install: &Install<'_>, server: &DssServer) {
    let with_key = |spec: &mut AwsConfigSpec| {
        personal_key(spec);
        spec.dss.as_mut().unwrap().instance.clone_from(&server.instance);
        spec.role = Some(install.role(ROLE));
    };
    let lake = json!([{"name": "lake", "role": install.role("ds-other")}]);
    install
        .apply_config("alice", |spec| {
            with_key(spec);
            spec.profiles = from_value(lake).unwrap();
            spec.inject = Some(from_value(json!({"home": pod::HOME})).unwrap());
            spec.target = Some(from_value(json!({"formats": ["Env", "Files", "DataRobot"]})).unwrap());
            let own = json!({"name": "alice-datarobot"});
            let data_robot = json!({"instance": datarobot_push::instance_of(install), "name": "alice-s3",
                "tokenSecretRef": own, "deliverToken": true});
            spec.push = Some(from_value(json!({"dataRobot": data_robot})).unwrap());
        })
        .await;
    install.apply_config("dana", with_key).await;
    install
        .apply_config("scoped", |spec| {
            spec.person = Some("alice".to_owned());
            spec.role = Some(install.role(ROLE));
            spec.session = Some(from_value(json!({"scope": "Buckets"})).unwrap());
        })
        .await;
    for name in ["alice", "dana", "scoped"] {
        install.until_ready_is(name, "True/Issued").await;
    }
    eventually("alice's Secret has the ID of DataRobot", async || {
        let names: Vec<String> = install.values("alice").await.into_keys().collect();
        if names.iter().any(|name| name == "DATAROBOT_CREDENTIAL_ID") { Ok(()) } else { Err(names) }
    })
    .await;
}

/// The pods, as the API server stored them.
async fn pods(install: &Install<'_>) -> BTreeMap<Pod, Stored> {
    let injected = |config: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": config, "annotations": {"keyturn.dev/aws-config": config}},
            "spec": {"containers": [{"name": "app", "image": "none"}]}})
    };
    let port = free_address().rsplit(':').next().unwrap().to_owned();
    let mut with_endpoint = injected("alice");
    with_endpoint["metadata"]["annotations"]["keyturn.dev/delivery"] = json!("endpoint");
    with_endpoint["metadata"]["annotations"]["keyturn.dev/endpoint-port"] = json!(port);
    let by_hand = include_str!("../../../examples/single-user/04-pod.yaml");
    let mut by_hand: Value = serde_saphyr::from_str(by_hand).unwrap();
    by_hand["metadata"]["namespace"] = json!(install.namespace);
    let mut all = BTreeMap::new();
    for (pod, object) in [
        (Pod::Injected, injected("alice")),
        (Pod::Endpoint, with_endpoint),
        (Pod::Terminal, injected("alice")),
        (Pod::ByHand, by_hand),
        (Pod::Scoped, injected("scoped")),
        (Pod::Admin, injected("dana")),
    ] {
        all.insert(pod, Stored::create(install, object, &format!("{pod:?}").to_lowercase()).await);
    }
    all
}

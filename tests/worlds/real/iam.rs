//! People and roles where the API server and IAM decide: scopes, tags, namespaces, hops, keys, and
//! configs that change hands.

use super::{
    aws_admin::{role_for, trusts_operator},
    ground::{Ground, eventually, run, run_with_input},
    install::Install,
};
use crate::fixtures::{delivers_key, grant, role_of};
use keyturn::api::{AwsConfigSpec, CredentialProvider, Mode, TagPatterns, Verify};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// The account of the hub.
const HUB_ACCOUNT: &str = "210987654321";

fn session(session: Value) -> impl FnOnce(&mut AwsConfigSpec) {
    move |spec| spec.session = serde_json::from_value(session).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn iam_and_s3_decide_as_the_config_asks() {
    let ground = Ground::own();
    let install = Install::cluster_wide(&ground).await;
    install.apply_grant(|spec| spec.tags = [("project".to_owned(), TagPatterns(vec!["fraud".into()]))].into()).await;
    let operator = install.start().await;

    s3_outside_the_scope_is_refused_whatever_the_role_allows(&install).await;
    session_tags_arrive(&install).await;
    what_aws_says_of_a_credential_is_in_its_condition(&install).await;
    another_namespace_s_external_id_is_refused_by_iam(&install).await;
    a_role_of_another_account_is_reached_through_its_hub(&install).await;
    a_namespace_s_shared_session_bears_its_name(&install).await;
    a_user_s_own_key_is_delivered_while_its_owner_offers_it(&install).await;
    a_config_handed_to_another_person_gets_another_credential(&install).await;

    assert!(operator.stop().await.success());
}

async fn s3_outside_the_scope_is_refused_whatever_the_role_allows(install: &Install<'_>) {
    let [own, other] = &install.aws.buckets[..] else { panic!("two buckets") };
    let ls = async |bucket: &str| install.aws("scoped", &["s3", "ls", &format!("s3://{bucket}")]).await;
    let allow_all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    for policy in [None, Some(allow_all)] {
        let scoped = json!({"scope": "Buckets", "policy": policy});
        install.apply_config("scoped", session(scoped.clone())).await;
        install.until_ready_is("scoped", "True/Issued").await;
        let (ok, said) = ls(own).await;
        assert!(ok && said.contains("hello.txt"), "within the scope: {said}");
        install
            .apply_config("scoped", |spec| {
                session(scoped)(spec);
                spec.default_bucket = Some(other.clone());
            })
            .await;
        install.until_ready_is("scoped", "True/Issued").await;
        let (ok, said) = ls(own).await;
        assert!(!ok && said.contains("AccessDenied"), "the role allows it, and the scope does not: {said}");
    }
}

async fn session_tags_arrive(install: &Install<'_>) {
    let bucket = &install.aws.buckets[1];
    let role =
        role_for(&install.account, "ds-tagged", &trusts_operator(install, &["sts:AssumeRole", "sts:TagSession"]));
    let condition = json!({"StringEquals": {"aws:PrincipalTag/project": "fraud"}});
    role.allows(
        install,
        &json!([{"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": format!("arn:aws:s3:::{bucket}"), "Condition": condition}]),
    );
    let ls = async || install.aws("tagged", &["s3", "ls", &format!("s3://{bucket}")]).await;
    let arn = install.role("ds-tagged");
    install.apply_config("tagged", |spec| spec.role = Some(arn.clone())).await;
    install.until_ready_is("tagged", "True/Issued").await;
    let (ok, said) = ls().await;
    assert!(!ok && said.contains("AccessDenied"), "without the tag: {said}");
    install
        .apply_config("tagged", |spec| {
            spec.role = Some(arn.clone());
            session(json!({"tags": {"project": "fraud"}}))(spec);
        })
        .await;
    install.until_ready_is("tagged", "True/Issued").await;
    let (ok, said) = ls().await;
    assert!(ok && said.contains("hello.txt"), "with it: {said}");

    // The trust policy of this role does not let the operator tag sessions.
    install.apply_config("tagged", session(json!({"tags": {"project": "fraud"}}))).await;
    let refused = install.until_ready_is("tagged", "False/AssumeRoleDenied").await;
    let message = refused.status.unwrap().conditions.into_iter().find(|c| c.type_ == "Ready").unwrap().message;
    assert!(message.contains("sts:TagSession (session.tags)"), "{message}");
}

async fn what_aws_says_of_a_credential_is_in_its_condition(install: &Install<'_>) {
    let [own, other] = &install.aws.buckets[..] else { panic!("two buckets") };
    let until_verified = async |wanted: &str| {
        eventually(&format!("verified is {wanted}"), async || {
            let config = install.configs().get("verified").await.map_err(|error| error.to_string())?;
            let is_current = config.status.as_ref().and_then(|status| status.observed_generation);
            let conditions = config.status.clone().unwrap_or_default().conditions;
            let found = conditions.into_iter().find(|condition| condition.type_ == "Verified");
            let found = found.filter(|_| is_current == config.metadata.generation).ok_or("no condition")?;
            let said = format!("{}/{}: {}", found.status, found.reason, found.message);
            if said.starts_with(wanted) { Ok(said) } else { Err(said) }
        })
        .await
    };
    install.apply_config("verified", |spec| spec.verify = Verify::Buckets).await;
    let said = until_verified("True/Verified").await;
    assert!(said.contains("assumed-role/ds-analyst/verified") && said.contains(own.as_str()), "{said}");

    let (theirs, missing) = (other.clone(), format!("{}-missing", install.namespace));
    install
        .apply_config("verified", |spec| {
            spec.verify = Verify::Buckets;
            spec.extra_buckets = [theirs, missing.clone()].iter().collect();
        })
        .await;
    let said = until_verified("False/BucketRefused").await;
    assert!(said.contains(&format!("\"{other}\" (S3 refuses it, HTTP 403)")), "{said}");
    assert!(said.contains(&format!("\"{missing}\" (")) && !said.contains(&format!("\"{own}\"")), "{said}");
    install.until_ready_is("verified", "True/Issued").await;
}

async fn another_namespace_s_external_id_is_refused_by_iam(install: &Install<'_>) {
    let elsewhere = format!("other-{}", install.namespace);
    run(install.ground.kubectl().args(["create", "namespace", &elsewhere]));
    install.apply_grant(|spec| spec.namespaces.as_mut().unwrap().names.push(elsewhere.clone())).await;
    let config = json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig",
        "metadata": {"name": "eve", "namespace": elsewhere},
        "spec": {"person": "eve", "role": install.role("ds-analyst")}});
    let mut kubectl = install.ground.kubectl();
    let (ok, said) = run_with_input(kubectl.args(["apply", "-f", "-"]), &config.to_string());
    assert!(ok, "{said}");
    let message = eventually("IAM refuses eve", async || {
        let mut kubectl = install.ground.kubectl();
        let path = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}: {.status.conditions[?(@.type=='Ready')].message}";
        let said = run(kubectl.args(["get", "awsconfig", "eve", "-n", &elsewhere, "-o", path]));
        if said.starts_with("AssumeRoleDenied") { Ok(said) } else { Err(said) }
    })
    .await;
    assert!(message.contains(&format!("external ID \"{}/{elsewhere}\"", install.cluster)), "{message}");
}

async fn a_role_of_another_account_is_reached_through_its_hub(install: &Install<'_>) {
    let hub_role = role_for(HUB_ACCOUNT, "hub", &trusts_operator(install, &["sts:AssumeRole"]));
    hub_role.allows(install, &json!([{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]));
    let hub = role_of(HUB_ACCOUNT, "hub");
    let trust = json!({"Effect": "Allow", "Principal": {"AWS": hub}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "theirs"}}});
    let far = role_for(&install.account, "far", &trust);
    let bucket = &install.aws.buckets[0];
    far.allows(
        install,
        &json!([{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": format!("arn:aws:s3:::{bucket}")}]),
    );
    let name = format!("{}-far", install.namespace);
    let granted = grant(&name, |spec| {
        spec.roles = vec![install.role("far")];
        spec.namespaces.as_mut().unwrap().names = vec![install.namespace.clone()];
        spec.via = vec![hub.clone()];
        spec.external_id = Some("theirs".into());
    });
    install.grants().patch(&name, &PatchParams::apply("cluster-admin"), &Patch::Apply(&granted)).await.unwrap();
    install.apply_config("far", |spec| spec.role = Some(install.role("far"))).await;
    install.until_ready_is("far", "True/Issued").await;
    let (ok, said) = install.aws("far", &["s3", "ls", &format!("s3://{bucket}")]).await;
    assert!(ok && said.contains("hello.txt"), "{said}");
    let (ok, said) = install.aws("far", &["sts", "get-caller-identity", "--query", "Arn"]).await;
    assert!(ok && said.contains("assumed-role/far/far"), "the person's name is carried through: {said}");
}

async fn a_namespace_s_shared_session_bears_its_name(install: &Install<'_>) {
    let system = |spec: &mut AwsConfigSpec| (spec.mode, spec.person) = (Mode::System, None);
    install.apply_config("batch", system).await;
    install.until_ready_is("batch", "False/NotGranted").await;
    let subject = format!("system:{}", install.namespace);
    install.apply_grant(|spec| spec.persons.push(subject.clone())).await;
    install.until_ready_is("batch", "True/Issued").await;
    assert_eq!(install.record("batch").await.unwrap().person, subject);
    let (ok, said) = install.aws("batch", &["sts", "get-caller-identity", "--query", "Arn"]).await;
    let expected: String = format!("{},batch", install.namespace);
    assert!(ok && said.contains(&format!("assumed-role/ds-analyst/{expected}")), "{said}");
}

async fn a_user_s_own_key_is_delivered_while_its_owner_offers_it(install: &Install<'_>) {
    let name = format!("{}-keys", install.namespace);
    let keys = grant(&name, |spec| {
        spec.namespaces.as_mut().unwrap().names = vec![install.namespace.clone()];
        spec.providers = vec![CredentialProvider::Default];
        spec.roles = vec![];
    });
    install.grants().patch(&name, &PatchParams::apply("cluster-admin"), &Patch::Apply(&keys)).await.unwrap();
    let from = |key: &str, secret: &str| {
        vec![
            format!("--from-literal=aws_access_key_id={key}"),
            format!("--from-literal=aws_secret_access_key={secret}"),
        ]
    };
    let kubectl = |arguments: &[&str], more: &[String]| {
        let mut kubectl = install.ground.kubectl();
        run(kubectl.args(arguments).args(more).args(["-n", &install.namespace]));
    };
    kubectl(
        &["create", "secret", "generic", "mine"],
        &from(&install.aws.access_key_id, &install.aws.secret_access_key),
    );
    install.apply_config("keyed", delivers_key("mine")).await;
    let refused = install.until_ready_is("keyed", "False/SecretNotOffered").await;
    assert!(format!("{:?}", refused.status).contains("kubectl label secret mine keyturn.dev/source=true"));

    kubectl(&["label", "secret", "mine", "keyturn.dev/source=true"], &[]);
    let keyed = install.until_ready_is("keyed", "True/Issued").await.status.unwrap();
    assert_eq!((keyed.expires_at, keyed.access_key_id), (None, Some(install.aws.access_key_id.clone())));
    let (ok, said) = install.aws("keyed", &["sts", "get-caller-identity", "--query", "Arn"]).await;
    assert!(ok && said.contains("user/keyturn"), "{said}");

    kubectl(&["label", "secret", "mine", "keyturn.dev/source-"], &[]);
    install.until_ready_is("keyed", "False/SecretNotOffered").await;
    let (ok, said) = install.aws("keyed", &["sts", "get-caller-identity"]).await;
    assert!(!ok && said.contains("WITHDRAWN by keyturn: SecretNotOffered"), "{said}");
    kubectl(&["label", "secret", "mine", "keyturn.dev/source=true"], &[]);
    install.until_ready_is("keyed", "True/Issued").await;

    // A change from the key to a session is one patch, and no part of the key is left.
    install.apply_config("keyed", |_| {}).await;
    install.until_ready_is("keyed", "True/Issued").await;
    let values = install.values("keyed").await;
    assert!(values["AWS_SESSION_TOKEN"].len() > 20 && values["AWS_ACCESS_KEY_ID"].starts_with("ASIA"));
}

async fn a_config_handed_to_another_person_gets_another_credential(install: &Install<'_>) {
    install.apply_config("alice", |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
    let alices = install.record("alice").await.unwrap();
    install.apply_config("alice", |spec| spec.person = Some("bob".into())).await;
    install.until_ready_is("alice", "True/Issued").await;
    let bobs = install.record("alice").await.unwrap();
    assert_eq!((bobs.person.as_str(), alices.person.as_str()), ("bob", "alice"));
    assert_ne!(bobs.access_key_id, alices.access_key_id);
    let events = install.events("alice").await;
    let until = alices.expires_at.unwrap().to_string();
    assert!(events.iter().any(|event| event.contains("was \"alice\"'s") && event.contains(&until)), "{events:?}");
}

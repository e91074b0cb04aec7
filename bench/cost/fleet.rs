//! The objects: namespaces, the grant, `AwsConfigs`, and when they are all Ready.

use crate::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::{
    ByteString,
    api::core::v1::{Namespace, Secret},
};
use keyturn::api::{AwsConfig, AwsConfigSpec, AwsRoleGrant, AwsRoleGrantSpec, Namespaces};
use kube::{
    Api, Client,
    api::{ListParams, ObjectMeta, PostParams},
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};

/// In how many namespaces the objects are.
const NAMESPACES: usize = 20;
/// Where new objects are timed one at a time.
pub const LATENCY: &str = "latency";
const ROLE: &str = "arn:aws:iam::123456789012:role/ds-analyst";
/// Longer than anything takes that is not broken.
const PATIENCE: Duration = Duration::from_mins(10);

/// What a person asks for. `person` is what tells the calls to STS apart.
pub fn spec(person: &str) -> Result<AwsConfigSpec> {
    let spec = json!({"person": person, "role": ROLE, "region": "eu-west-1", "defaultBucket": "team-a"});
    Ok(serde_json::from_value(spec)?)
}

/// `count` names spread over the namespaces.
pub fn places(group: &str, count: usize) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("team-{:02}", n % NAMESPACES), format!("{group}-{n:05}"))).collect()
}

/// Creates the namespaces of the fleet, these other ones, and the grant that allows everything in all of
/// them.
pub async fn prepare(client: &Client, others: &[&str]) -> Result {
    let mut namespaces: Vec<String> = (0..NAMESPACES).map(|n| format!("team-{n:02}")).collect();
    namespaces.extend([LATENCY].iter().chain(others).map(|&name| name.to_owned()));
    for name in &namespaces {
        namespace(client, name, BTreeMap::new()).await?;
    }
    let spec = AwsRoleGrantSpec {
        roles: vec!["arn:aws:iam::123456789012:role/ds-*".to_owned()],
        namespaces: Some(Namespaces { names: namespaces, selector: None }),
        persons: vec!["*".to_owned()],
        ..AwsRoleGrantSpec::default()
    };
    Api::all(client.clone()).create(&PostParams::default(), &AwsRoleGrant::new("bench", spec)).await?;
    Ok(())
}

/// Makes a namespace with these labels.
pub async fn namespace(client: &Client, name: &str, labels: BTreeMap<String, String>) -> Result {
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}

/// Applies one `AwsConfig`.
pub async fn apply(client: &Client, namespace: &str, name: &str, spec: AwsConfigSpec) -> Result {
    let api: Api<AwsConfig> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &AwsConfig::new(name, spec)).await?;
    Ok(())
}

/// Applies an `AwsConfig` of the same person in each place.
pub async fn apply_all(client: &Client, places: &[(String, String)], person: &str) -> Result {
    let applies =
        places.iter().map(|(namespace, name)| async move { apply(client, namespace, name, spec(person)?).await });
    stream::iter(applies).buffer_unordered(32).try_collect().await
}

/// Waits until `count` objects of a person are Ready. Asks rarely, because a list of thousands is work for the API
/// server as well: `issued` says when it is worth it.
pub async fn all_ready(client: &Client, person: &str, count: usize, issued: impl Fn() -> usize) -> Result {
    let begun = Instant::now();
    loop {
        if issued() >= count && ready(client, person).await? >= count {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let ready = ready(client, person).await?;
            return Err(format!("{ready} of {count} objects are Ready after {PATIENCE:?}").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn ready(client: &Client, person: &str) -> Result<usize> {
    // From the API server's cache: the benchmark should weigh on it as little as it can.
    let all = Api::<AwsConfig>::all(client.clone()).list(&ListParams::default().match_any()).await?;
    let ready = all.items.iter().filter(|config| {
        let conditions = config.status.iter().flat_map(|status| &status.conditions);
        config.spec.person.as_deref() == Some(person)
            && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    Ok(ready.count())
}

/// Secrets of 1 MB that have nothing to do with keyturn.
pub async fn large_secrets(client: &Client, count: usize) -> Result {
    let api: Api<Secret> = Api::namespaced(client.clone(), "default");
    let api = &api;
    let creations = (0..count).map(|n| async move {
        let mut secret = Secret::default();
        secret.metadata.name = Some(format!("large-{n}"));
        secret.data = Some([("data".to_owned(), ByteString(vec![b'x'; 1_000_000]))].into());
        api.create(&PostParams::default(), &secret).await?;
        Result::Ok(())
    });
    stream::iter(creations).buffer_unordered(4).try_collect().await
}

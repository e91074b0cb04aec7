//! The objects of the bench: the namespaces, the grant, the `AwsConfigs`, and a wait until all are
//! Ready.

use crate::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::{
    ByteString,
    api::core::v1::{Namespace, Secret},
};
use keyturn::api::{AwsConfig, AwsConfigSpec, AwsRoleGrant, AwsRoleGrantSpec, Namespaces};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};

/// How many namespaces the objects are spread over.
const NAMESPACES: usize = 20;
/// The namespace in which new objects are timed one at a time.
pub const LATENCY: &str = "latency";
const ROLE: &str = "arn:aws:iam::123456789012:role/ds-analyst";
/// How long to wait for the objects. A run that is in order never takes this long.
const PATIENCE: Duration = Duration::from_mins(10);

/// The request of a person. The calls to STS of several measures differ by `person`.
pub fn spec(person: &str) -> Result<AwsConfigSpec> {
    let spec = json!({"person": person, "role": ROLE, "region": "eu-west-1", "defaultBucket": "team-a"});
    Ok(serde_json::from_value(spec)?)
}

/// The namespaces and names of `count` objects, spread over the namespaces.
pub fn places(group: &str, count: usize) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("team-{:02}", n % NAMESPACES), format!("{group}-{n:05}"))).collect()
}

/// Creates the namespaces of the fleet, these other ones, and a grant that allows everything in all
/// of them.
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

/// Creates a namespace with these labels.
pub async fn namespace(client: &Client, name: &str, labels: BTreeMap<String, String>) -> Result {
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}

/// Creates one `AwsConfig`.
pub async fn apply(client: &Client, namespace: &str, name: &str, spec: AwsConfigSpec) -> Result {
    let api: Api<AwsConfig> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &AwsConfig::new(name, spec)).await?;
    Ok(())
}

/// Creates a suspended `AwsConfig` in each place, which costs no call to STS.
pub async fn suspended(client: &Client, places: &[(String, String)]) -> Result {
    let applies = places.iter().map(|(namespace, name)| async move {
        apply(client, namespace, name, AwsConfigSpec { suspend: true, ..spec("suspended")? }).await
    });
    stream::iter(applies).buffer_unordered(32).try_collect().await
}

/// Creates an `AwsConfig` of the same person in each place.
pub async fn apply_all(client: &Client, places: &[(String, String)], person: &str) -> Result {
    let applies =
        places.iter().map(|(namespace, name)| async move { apply(client, namespace, name, spec(person)?).await });
    stream::iter(applies).buffer_unordered(32).try_collect().await
}

/// Waits until `count` objects of a person are Ready. It lists the objects only when `issued` has
/// reached `count`, because a list of thousands is work for the API server as well.
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
    // From the API server's cache, because the bench should load the API server as little as it
    // can.
    let all = Api::<AwsConfig>::all(client.clone()).list(&ListParams::default().match_any()).await?;
    let ready = all.items.iter().filter(|config| {
        let conditions = config.status.iter().flat_map(|status| &status.conditions);
        config.spec.person.as_deref() == Some(person)
            && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    Ok(ready.count())
}

/// Creates Secrets of 1 MB that keyturn does not use.
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

/// The namespace of a user to whom no grant allows anything. Each of the configs there has this
/// many profiles.
fn ungranted(profiles: u32) -> String {
    format!("ungranted-{profiles}")
}

/// Creates `AwsConfigs` of the largest size that the API server takes, as a user does with
/// `kubectl apply`, and waits until keyturn has said something about each. Each has this many
/// profiles.
pub async fn large_configs(client: &Client, count: usize, profiles: u32) -> Result {
    let place = ungranted(profiles);
    namespace(client, &place, BTreeMap::new()).await?;
    let api: Api<AwsConfig> = Api::namespaced(client.clone(), &place);
    let role = format!("arn:aws:iam::123456789012:role/{}/analyst", "r".repeat(510));
    // Status says of each profile why it has no session, so many short ones take most.
    let profile =
        |at: u32| json!({"name": format!("p{at}"), "role": format!("arn:aws:iam::123456789012:role/lake-{at}")});
    let profiles: Vec<Value> = (0..profiles).map(profile).collect();
    // The chart's policy counts a profile twice, and 384 characters more.
    let (values, buckets) = if profiles.is_empty() { (14, 50) } else { (0, 4) };
    let values: Vec<String> = (0..values).map(|at| format!("{at:063}")).collect();
    let pods = (!values.is_empty()).then(|| json!({"podSelector": {"matchExpressions": selected(&values)}}));
    let buckets: Vec<String> = (0..buckets).map(|at| format!("{at:063}")).collect();
    let spec: AwsConfigSpec = serde_json::from_value(json!({
        "person": "mallory", "role": role,
        "defaultBucket": "b".repeat(63), "extraBuckets": buckets,
        "session": {"policy": "p".repeat(2_048)}, "profiles": profiles,
        "inject": pods,
    }))?;
    let labels: BTreeMap<String, String> = (0..64).map(|at| (format!("{at:063}"), "v".repeat(63))).collect();
    // The API server bounds all annotations of an object to 256 KiB.
    let applied = [("kubectl.kubernetes.io/last-applied-configuration".to_owned(), "x".repeat(250_000))];
    let api = &api;
    let creations = (0..count).map(|n| {
        let mut config = AwsConfig::new(&format!("large-{n}"), spec.clone());
        (config.metadata.labels, config.metadata.annotations) = (Some(labels.clone()), Some(applied.clone().into()));
        async move { api.create(&PostParams::default(), &config).await.map(|_| ()) }
    });
    stream::iter(creations).buffer_unordered(4).try_collect::<()>().await?;
    let begun = Instant::now();
    loop {
        match without_status(api).await? {
            0 => return Ok(()),
            unseen if begun.elapsed() > PATIENCE => {
                return Err(format!("{unseen} of {count} large AwsConfigs have no status").into());
            }
            _ => sleep(Duration::from_millis(500)).await,
        }
    }
}

/// The expressions of a selector with these values, which the schema bounds to 32 each.
fn selected(values: &[String]) -> Vec<Value> {
    let expression = |values: &[String]| json!({"key": "k", "operator": "In", "values": values});
    values.chunks(32).map(expression).collect()
}

/// How many of these have no status.
async fn without_status(api: &Api<AwsConfig>) -> Result<usize> {
    let (mut unseen, mut next) = (0, None);
    loop {
        let mut page = ListParams::default().limit(50);
        page.continue_token = next;
        let found = api.list(&page).await?;
        unseen += found.items.iter().filter(|config| config.status.is_none()).count();
        next = found.metadata.continue_.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(unseen);
        }
    }
}

/// Deletes what [`large_configs`] created.
pub async fn no_large_configs(client: &Client, profiles: u32) -> Result {
    let api: Api<AwsConfig> = Api::namespaced(client.clone(), &ungranted(profiles));
    api.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    Ok(())
}

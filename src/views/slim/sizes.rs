//! The memory that the largest objects of a user may take, with a figure.

use crate::{cluster::follow, views};
use futures::StreamExt as _;
use http::{Request, Response};
use kube::{Api, Client, client::Body, runtime::watcher};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

/// The number of configs.
const CONFIGS: usize = 500;
/// The bytes of all configs together that a store may keep.
const MOST: usize = 8_000_000;

/// Labels and annotations of 1.4 MB, as JSON. The API server bounds annotations to 256 KiB, and
/// labels only by the size of an object in etcd.
fn large_metadata() -> String {
    let entry = |at: usize, value: usize| format!("\"{}.example/{at:04}\":\"{}\"", "k".repeat(240), "v".repeat(value));
    let entries = |count: usize, value: usize| (0..count).map(|at| entry(at, value)).collect::<Vec<_>>().join(",");
    format!("\"labels\":{{{}}},\"annotations\":{{{}}}", entries(3_600, 63), entries(200, 900))
}

/// A spec with much that may be large. The chart's policy bounds selectors, tags, policies,
/// buckets, profiles and the metadata of the target to 6,144 characters together. Profiles count
/// twice, and 384 characters more for each.
fn large_spec() -> String {
    let values = |count: usize| (0..count).map(|at| format!("\"{at:063}\"")).collect::<Vec<_>>().join(",");
    let (role, buckets) = (format!("arn:aws:iam::123456789012:role/{}", "r".repeat(576)), values(50));
    let profile = |at: usize| format!(r#"{{"name":"{at:032}","role":"{}"}}"#, "r".repeat(640));
    let profiles = (0..2).map(profile).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"person":"mallory","role":"{role}","profiles":[{profiles}],"defaultBucket":"b","extraBuckets":[{buckets}],"session":{{"policy":"{}"}}}}"#,
        "p".repeat(2_048)
    )
}

/// The page of a list that begins at this config.
fn page((metadata, spec): &(String, String), from: usize, limit: usize) -> String {
    let to = (from + limit).min(CONFIGS);
    let next = if to < CONFIGS { to.to_string() } else { String::new() };
    let items = (from..to).map(|at| {
        format!(
            r#"{{"metadata":{{"name":"c{at}","namespace":"lab","uid":"{at}","resourceVersion":"1",{metadata}}},"spec":{spec}}}"#
        )
    });
    let items = items.collect::<Vec<_>>().join(",");
    format!(
        r#"{{"apiVersion":"keyturn.dev/v1alpha1","kind":"AwsConfigList","metadata":{{"resourceVersion":"1","continue":"{next}"}},"items":[{items}]}}"#
    )
}

/// A client of an API server that has these configs only, and the limits of the lists that were
/// asked for.
fn api_server() -> (Client, Arc<Mutex<Vec<usize>>>) {
    let (large, limits) = (Arc::new((large_metadata(), large_spec())), Arc::new(Mutex::new(Vec::new())));
    let asked = limits.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (large, asked) = (large.clone(), asked.clone());
        async move {
            let query = request.uri().query().unwrap_or_default();
            let parameter = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            if parameter("watch").is_some() {
                return std::future::pending().await;
            }
            let limit = parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(CONFIGS);
            asked.lock().unwrap().push(limit);
            let from = parameter("continue").and_then(|from| from.parse().ok()).unwrap_or_default();
            Ok::<_, Infallible>(Response::new(Body::from(page(&large, from, limit).into_bytes())))
        }
    });
    (Client::new(service, "lab"), limits)
}

#[tokio::test]
async fn five_hundred_of_the_largest_configs_take_little_memory() {
    let (client, limits) = api_server();
    let (grants, namespaces, instances) = (views::grants(), views::namespaces(), views::instances());
    let views = views::Views::new(grants, namespaces, instances, views::data_robots());
    let following = follow(Api::all(client), watcher::Config::default(), &views.configs);
    let _following = tokio::spawn(following.for_each(|_| std::future::ready(())));
    for list in ["the first list", "a list anew"] {
        views.configs.relist().await;
        let stored = views.configs.all().collect::<Vec<_>>();
        let bytes: usize = stored.iter().map(|config| serde_json::to_vec(&**config).unwrap().len()).sum();
        assert_eq!(stored.len(), CONFIGS, "{list}");
        assert!(bytes < MOST, "{list}: {bytes} bytes are kept");
    }
    let most = limits.lock().unwrap().iter().copied().max();
    assert_eq!(most, Some(20), "a page is in memory as a whole");
}

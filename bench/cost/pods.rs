//! Pods that the bench creates again and again. A pod that is created alone is a dry run, in which
//! the API server does everything except store the pod. Pods that are created many at once are
//! real, and are deleted afterwards.

use crate::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use keyturn::api::names::{MOUNT_PATH, POD_INJECTED};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// A namespace in which the bench creates a pod, and the results.
pub struct Place {
    /// How long the client waited for each creation that was made alone.
    pub alone: Vec<Duration>,
    /// How many pods were created many at once.
    pub crowded: usize,
    /// How long all of these took together.
    pub crowded_took: Duration,
    /// How many pods came back otherwise than they should.
    pub wrong: usize,
    /// The namespace.
    pub namespace: String,
    api: Api<Pod>,
    pod: Pod,
    /// The Secret that the webhook should mount, if any.
    pub secret: Option<String>,
}

/// A small pod with an init container and two containers.
pub fn pod(annotations: BTreeMap<String, String>) -> Result<Pod> {
    let container = |name: &str| {
        json!({"name": name, "image": "registry.example.com/team/app:1.4", "args": ["--port=8080"],
               "env": [{"name": "LOG_LEVEL", "value": "info"}],
               "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}})
    };
    let spec = json!({"initContainers": [container("first")], "containers": [container("app"), container("beside")]});
    let metadata = ObjectMeta {
        name: Some("measured".to_owned()),
        labels: Some([("app".to_owned(), "measured".to_owned())].into()),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    };
    Ok(Pod { metadata, spec: serde_json::from_value(spec)?, ..Pod::default() })
}

impl Place {
    /// A namespace in which this pod should get that Secret, or none.
    pub fn new(client: Client, namespace: &str, pod: Pod, secret: Option<&str>) -> Self {
        Self {
            alone: Vec::new(),
            crowded: 0,
            crowded_took: Duration::ZERO,
            wrong: 0,
            namespace: namespace.to_owned(),
            api: Api::namespaced(client, namespace),
            pod,
            secret: secret.map(str::to_owned),
        }
    }

    /// Creates the pod once. Returns whether it came back as it should.
    pub async fn create(&self) -> Result<bool> {
        Ok(is_as_it_should(&self.created().await?, self.secret.as_deref()))
    }

    /// Creates the pod once. Returns the pod that came back.
    pub async fn created(&self) -> Result<Pod> {
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        Ok(self.api.create(&dry_run, &self.pod).await?)
    }

    /// Creates the pod `count` times, one after the other.
    pub async fn one_by_one(&mut self, count: usize) -> Result {
        for _ in 0..count {
            let begun = Instant::now();
            let right = self.create().await?;
            self.alone.push(begun.elapsed());
            self.wrong += usize::from(!right);
        }
        Ok(())
    }

    /// Creates `count` pods with `in_flight` creations at once, and deletes them again.
    pub async fn at_once(&mut self, count: usize, in_flight: usize) -> Result {
        let mut pod = self.pod.clone();
        pod.metadata.generate_name = pod.metadata.name.take().map(|name| format!("{name}-"));
        let parameters = PostParams::default();
        let begun = Instant::now();
        let creations = (0..count).map(|_| self.api.create(&parameters, &pod));
        let created: Vec<Pod> = stream::iter(creations).buffer_unordered(in_flight).try_collect().await?;
        self.crowded_took += begun.elapsed();
        self.api.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
        self.crowded += count;
        self.wrong += created.iter().filter(|pod| !is_as_it_should(pod, self.secret.as_deref())).count();
        Ok(())
    }
}

/// Whether a pod is as it should be. With a Secret, it has keyturn's annotation, and each container
/// mounts the Secret. Without a Secret, it has neither.
fn is_as_it_should(pod: &Pod, secret: Option<&str>) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let mut volumes = spec.volumes.iter().flatten();
    let volume = volumes.find(|volume| {
        let mounted = volume.secret.as_ref().and_then(|source| source.secret_name.as_deref());
        secret.is_some() && mounted == secret
    });
    let has_it = volume.is_some_and(|volume| {
        let mut containers = spec.init_containers.iter().flatten().chain(&spec.containers);
        containers.all(|container| {
            let mut mounts = container.volume_mounts.iter().flatten();
            mounts.any(|mount| mount.mount_path == MOUNT_PATH && mount.name == volume.name)
        })
    });
    let marked = pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(POD_INJECTED));
    let asked = secret.is_some();
    marked == asked && has_it == asked
}

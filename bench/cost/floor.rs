//! The floor: a raw client that does only the calls of this work.
//!
//! For each object it makes one AssumeRole, one server-side apply of a Secret with exactly the
//! bytes that keyturn writes, and one merge patch of a status with keyturn's schema. It has no
//! watch and no queue, decides nothing, creates no `AwsRole` and no Event, and does not check
//! whether a foreign Secret exists. Its objects are of a copy of the CRD in another group, because
//! the operator must not see them.

use crate::Result;
use aws_sdk_sts::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::Secret, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use keyturn::{
    api::{AwsConfig, AwsConfigSpec, Format, names},
    credentials::{self, Issued, Request, SessionRequest},
    secret::{ApiKeyRecord, Record, Rendering, render, whole},
};
use kube::{
    Api, Client, CustomResourceExt as _,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};

const GROUP: &str = "bench.keyturn.dev";
const MANAGER: &str = "floor";

/// The raw client.
pub struct Floor {
    client: Client,
    sts: aws_sdk_sts::Client,
    resource: ApiResource,
    spec: AwsConfigSpec,
}

/// How long one object took.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// The time until the Secret was written.
    pub to_secret: Duration,
    /// The time until the status was written.
    pub whole: Duration,
}

impl Floor {
    /// Installs the copy of the CRD.
    pub async fn new(client: Client, sts_endpoint: &str, spec: AwsConfigSpec) -> Result<Self> {
        let mut crd = AwsConfig::crd();
        crd.metadata.name = Some(format!("{}.{GROUP}", crd.spec.names.plural));
        GROUP.clone_into(&mut crd.spec.group);
        let mut resource = AwsConfig::api_resource();
        GROUP.clone_into(&mut resource.group);
        resource.api_version = format!("{GROUP}/{}", resource.version);
        Api::<CustomResourceDefinition>::all(client.clone()).create(&PostParams::default(), &crd).await?;

        let credentials = Credentials::new("AKIABENCHBENCHBENCH0", "bench", None, None, "bench");
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(sts_endpoint)
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .build();
        let floor = Self { client, sts: aws_sdk_sts::Client::from_conf(config), resource, spec };
        floor.wait_until_served().await?;
        Ok(floor)
    }

    async fn wait_until_served(&self) -> Result {
        for _ in 0..200 {
            if self.objects("default").list(&kube::api::ListParams::default()).await.is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err("the floor's CRD is not served".into())
    }

    fn objects(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &self.resource)
    }

    /// Creates objects. No measure includes this.
    pub async fn create(&self, places: &[(String, String)]) -> Result {
        let creations = places.iter().map(|(namespace, name)| async move {
            let object = DynamicObject::new(name, &self.resource)
                .within(namespace)
                .data(json!({"spec": serde_json::to_value(&self.spec)?}));
            self.objects(namespace).create(&PostParams::default(), &object).await?;
            Result::Ok(())
        });
        stream::iter(creations).buffer_unordered(32).try_collect().await
    }

    /// Does the work for objects, at most `in_flight` at a time. Returns how long all of them took.
    pub async fn run(&self, places: &[(String, String)], in_flight: usize) -> Result<Duration> {
        let begun = Instant::now();
        let work = places.iter().map(|(namespace, name)| self.issue(namespace, name));
        let _: Vec<Took> = stream::iter(work).buffer_unordered(in_flight).try_collect().await?;
        Ok(begun.elapsed())
    }

    /// Does the work for one object.
    pub async fn issue(&self, namespace: &str, name: &str) -> Result<Took> {
        let begun = Instant::now();
        let request = SessionRequest {
            role: self.spec.role.as_deref().ok_or("no role")?.parse()?,
            session_name: self.spec.person.clone().unwrap_or_default(),
            external_id: format!("bench/{namespace}"),
            duration_seconds: 3600,
            extras: credentials::Extras::default(),
            via: credentials::Via::default(),
        };
        let issued = self.assume_role(&request).await?;
        let secret = self.secret(namespace, name, &request, &issued)?;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let apply = PatchParams::apply(MANAGER).force();
        let target = secret.metadata.name.clone().unwrap_or_default();
        let written = secrets.patch_metadata(&target, &apply, &Patch::Apply(&secret)).await?;
        let to_secret = begun.elapsed();
        let status = status(&request, &issued, &target, written.metadata.resource_version.as_deref());
        let merge = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.objects(namespace).patch_status(name, &merge, &Patch::Merge(status)).await?;
        Ok(Took { to_secret, whole: begun.elapsed() })
    }

    async fn assume_role(&self, request: &SessionRequest) -> Result<Issued> {
        let call = self.sts.assume_role().role_arn(request.role.as_str()).role_session_name(&request.session_name);
        let call = call.external_id(&request.external_id).duration_seconds(request.duration_seconds);
        let session = call.send().await?.credentials.ok_or("STS gave nothing")?;
        let expires_at = Timestamp::from_second(session.expiration.secs())?;
        Ok(Issued {
            credentials: credentials::Credentials {
                access_key_id: session.access_key_id,
                secret_access_key: session.secret_access_key.into(),
                session_token: Some(session.session_token.into()),
            },
            issued_at: expires_at - Duration::from_hours(1),
            expires_at: Some(expires_at),
        })
    }

    /// keyturn's Secret without its owner. The operator would see a Secret with the owner's label,
    /// and the garbage collector would delete a Secret with the owner's reference.
    fn secret(&self, namespace: &str, name: &str, request: &SessionRequest, issued: &Issued) -> Result<Secret> {
        let mut config = AwsConfig::new(name, self.spec.clone());
        config.metadata.namespace = Some(namespace.to_owned());
        let rendering = Rendering {
            formats: Format::DEFAULT.to_vec(),
            region: self.spec.region.clone(),
            default_bucket: self.spec.default_bucket.clone(),
            extra_buckets: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            dss: None,
            data_robot: None,
        };
        let content = render(&rendering, &issued.credentials, issued.expires_at, None)?;
        let record = Record::of(
            &Request::Session(Box::new(request.clone())),
            issued,
            &request.session_name,
            rendering.digest(),
            ApiKeyRecord::default(),
            &content,
        );
        let mut secret = whole(&config, &rendering, &record, content);
        secret.metadata.owner_references = None;
        secret.metadata.labels = Some([(format!("{GROUP}/floor"), name.to_owned())].into());
        Ok(secret)
    }
}

/// A status as keyturn writes it after an issue.
fn status(request: &SessionRequest, issued: &Issued, target: &str, version: Option<&str>) -> serde_json::Value {
    let at = issued.issued_at.to_string();
    let condition = |type_: &str, message: &str| {
        json!({"type": type_, "status": "True", "reason": "Issued", "message": message,
               "observedGeneration": 1, "lastTransitionTime": at})
    };
    let role = request.role.as_str();
    json!({"status": {
        "observedGeneration": 1,
        "conditions": [
            condition("Accepted", "the grant \"bench\" allows it"),
            condition("Issued", &format!("Secret \"{target}\" holds a session of {role}")),
            condition("Ready", &format!("Secret \"{target}\" holds a session of {role}")),
        ],
        "activeRole": {"name": format!("{target}-{}", names::MANAGER), "role": role},
        "externalId": request.external_id,
        "target": {"name": target, "resourceVersion": version},
        "accessKeyId": issued.credentials.access_key_id,
        "person": request.session_name,
        "issuedAt": at,
        "expiresAt": issued.expires_at,
        "renewAt": issued.expires_at,
    }})
}

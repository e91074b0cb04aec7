//! The objects of the cluster that are imported.

use crate::{
    import::{self, Manifests},
    plugin::{
        Caller, Failed,
        cli::{ImportKeys, ImportObjects},
        connect::listed,
    },
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};

/// The groups of the custom resource `AWSIAMRole`, the present one first
/// (zalando-incubator/kube-aws-iam-controller, `pkg/apis`).
const ZALANDO: [&str; 2] = ["zalando.org", "amazonaws.com"];
/// The group of the generators of external-secrets (`apis/generators/v1alpha1`).
const GENERATORS: &str = "generators.external-secrets.io";

/// The manifests for the keys of Secrets. The keys are read and not shown.
///
/// # Errors
/// [`Failed`] if the caller may not read the Secrets.
pub(super) async fn keys(caller: &Caller, asked: &ImportKeys) -> Result<Manifests, Failed> {
    let api: Api<Secret> = Api::namespaced(caller.client.clone(), &caller.namespace);
    let mut secrets = Vec::new();
    if asked.names.is_empty() {
        let tried = format!("cannot list the Secrets of namespace \"{}\"", caller.namespace);
        secrets = listed(&api, None).await.map_err(|error| Failed::of_call(&tried, &error))?;
    }
    for name in &asked.names {
        let tried = format!("cannot read Secret \"{name}\"");
        secrets.push(api.get(name).await.map_err(|error| Failed::of_call(&tried, &error))?);
    }
    Ok(import::keys(&secrets, &caller.namespace, asked.person.as_deref(), !asked.names.is_empty()))
}

/// The manifests for the `AWSIAMRole`s.
///
/// # Errors
/// [`Failed`] if the caller may not list them, or the cluster has no such resource.
pub(super) async fn zalando(caller: &Caller, asked: &ImportObjects) -> Result<Manifests, Failed> {
    for group in ZALANDO {
        let kind = GroupVersionKind::gvk(group, "v1", "AWSIAMRole");
        let resource = ApiResource::from_gvk_with_plural(&kind, "awsiamroles");
        if let Some(found) = objects(caller, asked, &resource).await? {
            return Ok(import::zalando(&found));
        }
    }
    Err(Failed::new("the cluster has no AWSIAMRoles: their custom resource is not installed"))
}

/// The manifests for the `STSSessionToken`s.
///
/// # Errors
/// [`Failed`] if the caller may not list them, or the cluster has no such resource.
pub(super) async fn external_secrets(caller: &Caller, asked: &ImportObjects) -> Result<Manifests, Failed> {
    let kind = GroupVersionKind::gvk(GENERATORS, "v1alpha1", "STSSessionToken");
    let resource = ApiResource::from_gvk_with_plural(&kind, "stssessiontokens");
    match objects(caller, asked, &resource).await? {
        Some(found) => Ok(import::external_secrets(&found)),
        None => {
            Err(Failed::new("the cluster has no STSSessionTokens: external-secrets' custom resource is not installed"))
        }
    }
}

/// The objects of a resource; `None` if the API server does not know it.
async fn objects(
    caller: &Caller,
    asked: &ImportObjects,
    resource: &ApiResource,
) -> Result<Option<Vec<DynamicObject>>, Failed> {
    let client = caller.client.clone();
    let api: Api<DynamicObject> = if asked.all_namespaces {
        Api::all_with(client, resource)
    } else {
        Api::namespaced_with(client, &caller.namespace, resource)
    };
    match listed(&api, None).await {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => {
            let tried = format!("cannot list the {}s of {}", resource.kind, caller.scope(asked.all_namespaces));
            Err(Failed::of_call(&tried, &error))
        }
    }
}

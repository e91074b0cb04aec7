//! Discovery: the server's version, its health, its resources.
//!
//! Clients ask before they use a group. An operator that starts before its CRDs are installed
//! learns that here.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::ApiServer;
use super::resource::ResourceKind;

/// The answer to a path that names no resource.
pub(super) fn answer(api: &ApiServer, path: &str) -> Response {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let found = match parts.as_slice() {
        ["livez" | "readyz" | "healthz"] => return "ok".into_response(),
        ["version"] => json!({
            "major": "1",
            "minor": "36",
            "gitVersion": "v1.36.3",
            "platform": "linux/amd64",
        }),
        ["api"] => json!({ "kind": "APIVersions", "versions": ["v1"] }),
        ["apis"] => json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": groups(api),
        }),
        ["api", "v1"] => resources(api, "", "v1").unwrap_or_default(),
        ["apis", group, version] => match resources(api, group, version) {
            Some(resources) => resources,
            None => return nothing_here(),
        },
        ["apis", group] => {
            let mut groups = groups(api).into_iter();
            match groups.find(|described| described["name"] == *group) {
                Some(group) => group,
                None => return nothing_here(),
            }
        }
        _ => return nothing_here(),
    };
    Json(found).into_response()
}

/// The router of the real server answers in plain text if it serves nothing at the path.
fn nothing_here() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

fn groups(api: &ApiServer) -> Vec<Value> {
    let mut groups: Vec<Value> = Vec::new();
    for kind in served(api) {
        let known = groups.iter().any(|group| group["name"] == kind.group);
        if known || kind.group.is_empty() {
            continue;
        }
        let version = json!({ "groupVersion": kind.api_version(), "version": kind.version });
        groups.push(json!({
            "kind": "APIGroup",
            "apiVersion": "v1",
            "name": kind.group,
            "versions": [version],
            "preferredVersion": version,
        }));
    }
    groups
}

fn resources(api: &ApiServer, group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    let mut group_version = None;
    for kind in served(api) {
        if kind.group != group || kind.version != version {
            continue;
        }
        group_version = Some(kind.api_version());
        let resource = |name: &str, verbs: &[&str]| {
            json!({
                "name": name,
                "singularName": kind.kind.to_lowercase(),
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": verbs,
            })
        };
        let verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];
        resources.push(resource(&kind.plural, &verbs));
        if kind.status {
            let status = format!("{}/status", kind.plural);
            resources.push(resource(&status, &["get", "patch", "update"]));
        }
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version?,
        "resources": resources,
    }))
}

fn served(api: &ApiServer) -> Vec<ResourceKind> {
    let kinds = api.kinds();
    let kinds = kinds.iter().filter(|kind| api.serves(&kind.group));
    kinds.map(|kind| ResourceKind::clone(kind)).collect()
}

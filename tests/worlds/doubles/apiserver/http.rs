//! From a request to the API server's answer.
//!
//! A request is logged when it arrives, passes the faults that fit it, takes effect in one step
//! under the lock, and is answered. A request that a fault delays continues even if the client has
//! given up, as a request on the wire does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::failure::Failure;
use super::fault::{Fault, Request};
use super::resource::{ResourceKind, Target};
use super::selector::Selector;
use super::store::text;
use super::watch::{Watching, metadata_of};
use super::write::Writing;
use super::{ApiServer, discovery};
use crate::doubles::wire::{ConnectionLost, http_date};

/// A watch without a time-out ends after this (the real server picks 30 to 60 minutes).
const WATCH_TIMEOUT: Duration = Duration::from_mins(30);

type Effect = Result<Response, Failure>;

pub(super) async fn answer(api: ApiServer, request: axum::extract::Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return ConnectionLost::answer();
    };
    let query = Query::<BTreeMap<String, String>>::from_request_parts(&mut parts, &()).await;
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let (request, target, faults) = {
        let mut state = api.lock();
        let target = Target::parse(&state.kinds, parts.uri.path());
        state.arrived += 1;
        let request = Request {
            number: state.arrived,
            at: (api.clock())(),
            body: parsed(&body.to_bytes()),
            ..logged(&parts, query, target.as_ref())
        };
        let faults = state.rules.take(&request);
        state.requests.push(request.clone());
        (request, target, faults)
    };
    api.tell_of_request();
    let number = request.number;
    let mut answer = if faults.is_empty() {
        act(&api, &request, target.as_ref(), false)
    } else {
        let api = api.clone();
        let under_way = tokio::spawn(faulty(api, request, target, faults));
        under_way.await.expect("the double panicked")
    };
    if answer.extensions().get::<ConnectionLost>().is_none() {
        api.finish_request(number, answer.status().as_u16());
    }
    let date = http_date(api.server_time());
    let date = HeaderValue::from_str(&date).expect("plain ASCII");
    answer.headers_mut().insert(header::DATE, date);
    answer
}

/// The answer where something goes wrong.
async fn faulty(api: ApiServer, request: Request, target: Option<Target>, faults: Vec<Fault>) -> Response {
    let mut instead = None;
    let mut after = Vec::new();
    for fault in faults {
        match fault {
            Fault::Delay(delay) => tokio::time::sleep(delay).await,
            Fault::Hold(hold) => hold.wait().await,
            Fault::Before(hook) => hook.run(&api),
            Fault::After(hook) => after.push(hook),
            other => instead = Some(other),
        }
    }
    match &instead {
        Some(Fault::Refuse(failure)) => return failure.clone().into_response(),
        Some(Fault::RefuseConnection) => return ConnectionLost::answer(),
        Some(Fault::Hang) => return std::future::pending().await,
        _ => {}
    }
    let hides_objects = matches!(instead, Some(Fault::EmptyList));
    let answer = act(&api, &request, target.as_ref(), hides_objects);
    for hook in after {
        hook.run(&api);
    }
    match instead {
        Some(Fault::LoseAnswer) => ConnectionLost::answer(),
        Some(Fault::HangAfter) => std::future::pending().await,
        Some(Fault::RefuseAfter(failure)) => failure.into_response(),
        _ => answer,
    }
}

/// The effect of a request, and its answer.
fn act(api: &ApiServer, request: &Request, target: Option<&Target>, hides_objects: bool) -> Response {
    let effect = match target {
        Some(target) if api.serves(&target.kind.group) => act_on(api, request, target, hides_objects),
        _ => Ok(discovery::answer(api, &request.path)),
    };
    if request.is_write() {
        api.tell();
    }
    effect.unwrap_or_else(IntoResponse::into_response)
}

fn act_on(api: &ApiServer, request: &Request, target: &Target, hides_objects: bool) -> Effect {
    let is_known = match target.subresource.as_str() {
        "" => true,
        "status" => target.kind.status,
        _ => false,
    };
    if !is_known {
        // For a custom resource the path is known, and what is missing there is the object.
        let is_custom = target.kind.custom;
        return Err(if is_custom { Failure::not_found(target) } else { Failure::no_such_resource() });
    }
    let asks = |name: &str| request.query.get(name).map_or("", String::as_str);
    let only_metadata = request.accept.contains("as=PartialObjectMetadata");
    let shown = |object: &Value| {
        if only_metadata { Json(&metadata_of(object)).into_response() } else { Json(object).into_response() }
    };
    let selector = || {
        let (labels, fields) = (asks("labelSelector"), asks("fieldSelector"));
        let selector = Selector::new(&target.namespace, labels, fields);
        match selector.unsupported(&target.kind) {
            Some(field) => Err(Failure::new(400, format!("field label not supported: {field}"))),
            None => Ok(selector),
        }
    };
    match request.verb {
        "get" => {
            let state = api.lock();
            let (id, namespace) = (target.kind.id(), &target.namespace);
            let stored = state.store.get(&id, namespace, &target.name);
            let stored = stored.ok_or_else(|| Failure::not_found(target))?;
            Ok(shown(&stored.object))
        }
        "list" => {
            let selector = selector()?;
            let wanted = |object: &Value| !hides_objects && selector.matches(object);
            let mut state = api.lock();
            let (page, from) = match asks("continue") {
                "" => {
                    let objects =
                        state.store.list(&target.kind.id()).filter(|object| wanted(object)).cloned().collect();
                    (Page { version: state.store.version(), objects }, 0)
                }
                token => state.pages.get(token)?,
            };
            let limit = asks("limit").parse().ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
            let to = page.objects.len().min(from.saturating_add(limit));
            let mut listed = list(&target.kind, only_metadata, page.version, &page.objects[from..to]);
            let left = page.objects.len() - to;
            if left > 0 {
                if selector.is_of_all() {
                    listed["metadata"]["remainingItemCount"] = json!(left);
                }
                listed["metadata"]["continue"] = json!(state.pages.keep(page, to));
            }
            Ok(Json(listed).into_response())
        }
        "watch" => {
            let watching = Watching {
                kind: Arc::clone(&target.kind),
                selector: selector()?,
                only_metadata,
                since: asks("resourceVersion").to_owned(),
                send_initial_events: asks("sendInitialEvents").parse().ok(),
                bookmarks: asks("allowWatchBookmarks") == "true",
                timeout: asks("timeoutSeconds").parse().map_or(WATCH_TIMEOUT, Duration::from_secs),
                hides_objects,
                user_agent: request.user_agent.clone(),
            };
            let content_type = [(header::CONTENT_TYPE, "application/json")];
            Ok((content_type, watching.start(api)).into_response())
        }
        "create" | "update" | "patch" | "delete" => {
            let (status, object) = write(api, request, target)?;
            Ok((status, shown(&object)).into_response())
        }
        _ => Err(Failure::new(405, "the server does not allow this method on the requested resource")),
    }
}

fn list(kind: &ResourceKind, only_metadata: bool, version: u64, objects: &[Arc<Value>]) -> Value {
    let shown = objects.iter().map(|object| {
        if only_metadata {
            return metadata_of(object);
        }
        let mut object = Value::clone(object);
        // The real server leaves them out, too, where it has a type for the objects.
        if let Some(fields) = object.as_object_mut().filter(|_| !kind.custom) {
            fields.retain(|field, _| field != "apiVersion" && field != "kind");
        }
        object
    });
    let items: Vec<Value> = shown.collect();
    let (api_version, kind) = if only_metadata {
        ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned())
    } else {
        (kind.api_version(), format!("{}List", kind.kind))
    };
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "resourceVersion": version.to_string() },
        "items": items,
    })
}

/// A list as it was when its first page was read.
#[derive(Clone)]
struct Page {
    version: u64,
    objects: Vec<Arc<Value>>,
}

/// The lists of which somebody has read the first page, by the tokens for the next one.
#[derive(Default)]
pub(super) struct Pages {
    kept: HashMap<u64, (Page, usize)>,
    tokens: u64,
}

impl Pages {
    /// Forgets all of them: their tokens are too old.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }

    fn keep(&mut self, page: Page, from: usize) -> String {
        self.tokens += 1;
        self.kept.insert(self.tokens, (page, from));
        self.tokens.to_string()
    }

    fn get(&self, token: &str) -> Result<(Page, usize), Failure> {
        let token: u64 = token.parse().map_err(|error| {
            Failure::new(400, format!("invalid continue token: continue key is not valid: {error}"))
        })?;
        let too_old = "The provided continue parameter is too old to display a consistent list result.";
        self.kept.get(&token).cloned().ok_or_else(|| Failure::new(410, too_old))
    }
}

fn write(api: &ApiServer, request: &Request, target: &Target) -> Result<(StatusCode, Arc<Value>), Failure> {
    let asks = |name: &str| request.query.get(name).map_or("", String::as_str);
    let body = request.body.clone().unwrap_or(Value::Null);
    if !body.is_object() && request.verb != "delete" {
        return Err(Failure::new(400, "the body of the request is no object"));
    }
    let now = api.server_time();
    let mut state = api.lock();
    let mut target = target.clone();
    if request.verb == "create" {
        target.name = text(&body, "name");
        if target.name.is_empty() && !text(&body, "generateName").is_empty() {
            target.name = format!("{}{:0>5}", text(&body, "generateName"), request.number);
        }
        if target.name.is_empty() {
            let why = "name or generateName is required";
            return Err(Failure::invalid(&target, why));
        }
    }
    let (id, namespace) = (target.kind.id(), &target.namespace);
    let existed = state.store.get(&id, namespace, &target.name).is_some();
    let mut writing = Writing {
        store: &mut state.store,
        target: &target,
        manager: manager(request),
        now,
        dry_run: asks("dryRun") == "All",
        is_admin: false,
    };
    let written = match request.verb {
        "create" => writing.create(body)?,
        "update" => writing.replace(body)?,
        "patch" if request.is_apply() => writing.apply(body, asks("force") == "true")?,
        "patch" if request.content_type.contains("merge-patch+json") => writing.merge(&body)?,
        "patch" => {
            let message = format!("{} is not supported by the double", request.content_type);
            return Err(Failure::new(415, message));
        }
        _ => {
            let (object, is_gone) = writing.delete(&body)?;
            let deleted = || {
                let mut details = json!({ "name": target.name, "kind": target.kind.plural });
                details["uid"] = object["metadata"]["uid"].clone();
                if !target.kind.group.is_empty() {
                    details["group"] = json!(target.kind.group);
                }
                json!({
                    "kind": "Status",
                    "apiVersion": "v1",
                    "metadata": {},
                    "status": "Success",
                    "details": details,
                })
            };
            return Ok((StatusCode::OK, if is_gone { Arc::new(deleted()) } else { object }));
        }
    };
    let status = if existed { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, written))
}

/// The manager of a write. Without a field manager it is the first part of the user agent, as on
/// the real server. Only an apply has to name one.
fn manager(request: &Request) -> String {
    if let Some(manager) = request.query.get("fieldManager") {
        return manager.clone();
    }
    if request.is_apply() {
        return String::new();
    }
    let agent = request.user_agent.as_deref().unwrap_or("unknown");
    agent.split('/').next().unwrap_or(agent).to_owned()
}

fn logged(parts: &Parts, query: BTreeMap<String, String>, target: Option<&Target>) -> Request {
    let header = |name: header::HeaderName| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let of_target = |part: fn(&Target) -> &String| target.map(part).cloned().unwrap_or_default();
    Request {
        number: 0,
        at: jiff::Timestamp::UNIX_EPOCH,
        verb: verb(&parts.method, &query, target),
        group: of_target(|target| &target.kind.group),
        resource: of_target(|target| &target.kind.plural),
        subresource: of_target(|target| &target.subresource),
        namespace: of_target(|target| &target.namespace),
        name: of_target(|target| &target.name),
        path: parts.uri.path().to_owned(),
        query,
        content_type: header(header::CONTENT_TYPE).unwrap_or_default(),
        accept: header(header::ACCEPT).unwrap_or_default(),
        user_agent: header(header::USER_AGENT),
        body: None,
        status: None,
    }
}

fn verb(method: &Method, query: &BTreeMap<String, String>, target: Option<&Target>) -> &'static str {
    let is_collection = target.is_some_and(|target| target.name.is_empty());
    let watches = matches!(query.get("watch").map(String::as_str), Some("true" | "1"));
    match (method.as_str(), is_collection) {
        ("GET", true) if watches => "watch",
        ("GET", true) => "list",
        ("GET", false) => "get",
        ("POST", true) => "create",
        ("PUT", false) => "update",
        ("PATCH", false) => "patch",
        ("DELETE", false) => "delete",
        _ => "other",
    }
}

fn parsed(body: &Bytes) -> Option<Value> {
    if body.is_empty() {
        return None;
    }
    let json = serde_json::from_slice(body).ok();
    json.or_else(|| serde_saphyr::from_str(std::str::from_utf8(body).ok()?).ok())
}

/// The server as an HTTP service that cannot fail: a lost connection is a marked answer.
pub(super) fn router(api: ApiServer) -> axum::Router {
    axum::Router::new().fallback(move |request: axum::extract::Request<Body>| {
        let api = api.clone();
        async move { answer(api, request).await }
    })
}

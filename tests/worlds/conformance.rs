//! What keyturn relies on in an API server, as cases that run against two servers.
//!
//! `doubles::apiserver::tests` runs each case against the double. `real::conformance` runs the same
//! case against the ground's kube-apiserver. A behaviour that only one of the two servers has fails
//! one of the two tests. Injected faults are the double's alone
//! (`doubles/apiserver/tests/failing.rs`).
//!
//! A case is an `async fn` over [`Server`] in one of the modules below, and a word in the list of
//! [`for_each_case!`]. A case without its word is dead code, which the compiler reports.

pub mod applying;
pub mod deleting;
pub mod listing;
pub mod owning;
pub mod refusing;
pub mod status;
pub mod watching;
pub mod writing;

use crate::{doubles::wire::Clock, fixtures};
use futures::{AsyncBufReadExt as _, Stream, StreamExt as _};
use k8s_openapi::ByteString;
use kube::{
    Client,
    api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, WatchParams},
    core::Request,
};
use serde_json::{Map, Value, json};
use std::{pin::Pin, time::Duration};

/// Calls `$run!` with the list of all cases, module by module.
macro_rules! for_each_case {
    ($run:ident) => {
        $run! {
            applying:
                an_apply_creates_and_the_same_again_changes_nothing
                what_a_manager_stops_applying_goes_and_what_others_own_stays
                what_two_managers_apply_goes_when_both_have_let_go
                created_fields_and_applied_fields_have_separate_owners
                without_force_a_value_of_another_owner_is_a_conflict
                the_same_value_is_shared_without_a_conflict
                by_force_a_value_changes_hands
                a_value_removed_by_another_comes_back_with_the_next_apply
                a_foreign_label_does_not_make_the_next_apply_a_write
                an_empty_map_that_is_applied_removes_no_value
                owner_references_and_finalizers_are_merged_by_key
                items_of_a_list_by_key_belong_to_those_who_apply_them
                an_authority_is_applied_beside_what_the_chart_wrote
                an_apply_by_uid_means_that_object_alone
                an_apply_by_version_is_refused_once_it_is_stale
                an_apply_may_answer_with_metadata_alone
                a_dry_run_changes_nothing;
            deleting:
                a_delete_may_say_which_object_it_means
                an_answer_says_whether_an_object_is_gone_or_waits
                finalizers_hold_an_object_until_the_last_one_is_removed
                an_object_that_is_being_deleted_takes_no_new_finalizer
                an_object_made_again_is_another_one
                the_garbage_collector_deletes_what_no_owner_keeps
                a_deleted_namespace_takes_what_is_in_it_along;
            listing:
                selectors_in_all_their_forms
                a_field_that_cannot_be_selected_is_a_bad_request
                pods_are_selected_by_their_phase
                a_list_is_at_least_as_new_as_the_write_before_it
                resource_version_zero_lists_what_a_cache_has
                pages_show_the_moment_of_the_first_one
                only_an_unselected_list_says_how_many_are_left
                a_page_of_metadata_has_no_data
                items_of_built_in_kinds_do_not_repeat_their_kind
                the_server_says_what_it_serves;
            owning:
                an_apply_owns_what_it_names
                a_create_owns_all_that_it_sets
                a_manager_without_a_name_is_the_client
                each_way_to_write_has_an_entry_of_its_own
                an_edit_takes_what_it_changes_and_leaves_the_rest
                an_owner_without_fields_is_forgotten;
            refusing:
                refusals_have_a_code_a_reason_and_a_message
                refusals_name_what_they_are_about
                an_absent_namespace_takes_no_object
                an_apply_needs_a_manager_and_no_managed_fields;
            status:
                spec_and_status_are_written_apart
                generations_count_specs_alone
                a_status_is_merged_and_null_removes
                an_identical_status_changes_nothing
                a_kind_without_the_subresource_has_no_such_path;
            watching:
                an_object_enters_and_leaves_the_selection
                a_deletion_with_a_finalizer_shows_twice
                what_changes_nothing_shows_nothing
                a_watch_without_a_version_begins_with_what_there_is
                a_streaming_list_ends_with_its_bookmark
                a_watch_ends_with_its_time_and_a_bookmark_before
                a_watch_may_be_of_metadata_alone
                a_watch_from_before_the_history_is_told_so
                kubes_reflector_ends_with_what_there_is;
            writing:
                a_create_fills_in_what_the_server_knows
                string_data_becomes_data_in_base64
                data_that_is_not_base64_is_refused
                a_replace_needs_the_version_that_is_there
                an_identical_replace_changes_nothing
                a_replace_without_a_version_depends_on_the_kind
                a_lease_that_is_absent_is_made_by_a_replace
                a_merge_patch_sets_replaces_and_removes
                finalizers_are_merged_if_the_version_is_the_one_seen
                the_type_of_a_secret_does_not_change
                an_immutable_secret_takes_no_other_data;
        }
    };
}
pub(crate) use for_each_case;

/// How long anything may take that happens after the answer: what controllers do, what a watch
/// shows.
const PATIENCE: Duration = Duration::from_mins(1);
/// The manager of a case that stands for keyturn.
const KEYTURN: &str = "keyturn";
/// The manager of a case that stands for anybody else.
const SOMEBODY: &str = "somebody";

/// An API server that a case runs against, with what differs between one and the other.
pub struct Server {
    /// Reaches it as an admin, under the user agent `keyturn`.
    pub client: Client,
    /// A namespace that no other case has.
    pub namespace: String,
    /// The time of the server.
    pub clock: Clock,
    /// Whether a watch may begin with a list. keyturn does not ask for that. Of the versions that
    /// keyturn promises, 1.33 alone refuses it (the feature gate `WatchList` in `kube_features.go`
    /// of k8s.io/apiserver).
    pub streams_lists: bool,
    /// Sees to it that the server has no history from before the version that it returns.
    pub forget: fn(&Self) -> String,
    /// For `forget`, if the server is the double.
    pub double: Option<crate::doubles::apiserver::ApiServer>,
}

type Answer = Result<Value, kube::Error>;
type Events = Pin<Box<dyn Stream<Item = Value>>>;

impl Server {
    // ---- one request ----

    /// Creates an object.
    async fn create(&self, manager: &str, object: &Value) -> Answer {
        let parameters = PostParams { field_manager: Some(manager.to_owned()), dry_run: false };
        self.ask(self.all(plural(object)).create(&parameters, bytes(object))).await
    }

    /// Replaces an object.
    async fn replace(&self, manager: &str, object: &Value) -> Answer {
        let parameters = PostParams { field_manager: Some(manager.to_owned()), dry_run: false };
        self.ask(self.all(plural(object)).replace(name(object), &parameters, bytes(object))).await
    }

    /// Applies an object by force, as keyturn does.
    async fn apply(&self, manager: &str, object: &Value) -> Answer {
        self.apply_with(&PatchParams::apply(manager).force(), object).await
    }

    /// Applies an object.
    async fn apply_with(&self, parameters: &PatchParams, object: &Value) -> Answer {
        self.ask(self.all(plural(object)).patch(name(object), parameters, &Patch::Apply(object))).await
    }

    /// Merges a patch into an object.
    async fn merge(&self, manager: &str, resource: &str, name: &str, patch: &Value) -> Answer {
        self.ask(self.all(resource).patch(name, &managed(manager), &Patch::Merge(patch))).await
    }

    /// Merges a patch into an object by its status subresource.
    async fn merge_status(&self, manager: &str, resource: &str, name: &str, patch: &Value) -> Answer {
        self.ask(self.all(resource).patch_subresource("status", name, &managed(manager), &Patch::Merge(patch))).await
    }

    /// Applies an object's status by force.
    async fn apply_status(&self, manager: &str, object: &Value) -> Answer {
        let parameters = PatchParams::apply(manager).force();
        let all = self.all(plural(object));
        self.ask(all.patch_subresource("status", name(object), &parameters, &Patch::Apply(object))).await
    }

    /// Deletes an object.
    async fn delete(&self, resource: &str, name: &str) -> Answer {
        self.delete_with(resource, name, &DeleteParams::default()).await
    }

    /// Deletes an object, with options.
    async fn delete_with(&self, resource: &str, name: &str, options: &DeleteParams) -> Answer {
        self.ask(self.all(resource).delete(name, options)).await
    }

    /// An object.
    async fn get(&self, resource: &str, name: &str) -> Answer {
        self.ask(self.all(resource).get(name, &GetParams::default())).await
    }

    /// A list.
    async fn list(&self, resource: &str, parameters: &ListParams) -> Answer {
        self.ask(self.all(resource).list(parameters)).await
    }

    /// A watch: its events as they are on the wire.
    async fn watch(&self, resource: &str, parameters: &WatchParams, version: &str) -> Events {
        self.events(self.all(resource).watch(parameters, version)).await
    }

    /// A watch of metadata alone.
    async fn watch_metadata(&self, resource: &str, parameters: &WatchParams, version: &str) -> Events {
        self.events(self.all(resource).watch_metadata(parameters, version)).await
    }

    async fn events(&self, request: Result<http::Request<Vec<u8>>, kube::core::request::Error>) -> Events {
        let lines = self.client.request_stream(request.unwrap()).await.unwrap().lines();
        Box::pin(lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()))
    }

    async fn ask(&self, request: Result<http::Request<Vec<u8>>, kube::core::request::Error>) -> Answer {
        self.client.request(request.unwrap()).await
    }

    /// The requests about a resource of this namespace, or about one that has none.
    fn all(&self, resource: &str) -> Request {
        Self::all_in(&self.namespace, resource)
    }

    /// The requests about a resource of a namespace.
    fn all_in(namespace: &str, resource: &str) -> Request {
        let group = match resource {
            "namespaces" | "secrets" | "pods" => "api/v1",
            "leases" => "apis/coordination.k8s.io/v1",
            "mutatingwebhookconfigurations" => "apis/admissionregistration.k8s.io/v1",
            _ => "apis/keyturn.dev/v1alpha1",
        };
        let is_of_the_cluster = matches!(resource, "namespaces" | "awsrolegrants" | "mutatingwebhookconfigurations");
        let namespace = if is_of_the_cluster { String::new() } else { format!("namespaces/{namespace}/") };
        Request::new(format!("/{group}/{namespace}{resource}"))
    }

    // ---- several ----

    /// Somebody changes an object by reading it and replacing it.
    async fn edit(&self, resource: &str, name: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut object = self.get(resource, name).await.unwrap();
        change(&mut object);
        self.replace(SOMEBODY, &object).await.unwrap()
    }

    /// Somebody gives an object a label, or takes it away.
    async fn label(&self, resource: &str, name: &str, label: &str, value: Option<&str>) -> Value {
        let patch = json!({ "metadata": { "labels": { label: value } } });
        self.merge(SOMEBODY, resource, name, &patch).await.unwrap()
    }

    /// Waits until an object is gone.
    async fn until_gone(&self, resource: &str, name: &str) {
        until(&format!("{name} is gone"), async || match self.get(resource, name).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    // ---- objects ----

    /// A Secret with this data and nothing else.
    fn secret(&self, name: &str, data: &[(&str, &str)]) -> Value {
        let data: Map<String, Value> = data.iter().map(|&(key, text)| (key.to_owned(), base64(text))).collect();
        let mut secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": self.metadata(name) });
        if !data.is_empty() {
            secret["data"] = Value::Object(data);
        }
        secret
    }

    /// The config of the person of this name.
    fn config(&self, name: &str) -> Value {
        let config = fixtures::config_in(&self.namespace, name, |_| {});
        serde_json::to_value(config).unwrap()
    }

    /// A lease that somebody holds.
    fn lease(&self, name: &str, holder: &str) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": self.metadata(name),
            "spec": { "holderIdentity": holder },
        })
    }

    /// A pod that no node runs.
    fn pod(&self, name: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": self.metadata(name),
            "spec": { "containers": [{ "name": "app", "image": "none" }] },
        })
    }

    fn metadata(&self, name: &str) -> Value {
        json!({ "name": name, "namespace": self.namespace })
    }
}

/// Asks again until there is an answer. On time-out it says what was seen last.
async fn until<T>(what: &str, ask: impl AsyncFn() -> Result<T, String>) -> T {
    let mut last = String::new();
    let asking = async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(seen) => last = seen,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, asking).await;
    answer.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}\nseen last: {last}"))
}

/// Lets the server's clock show another second: times in objects have whole seconds.
async fn pass_a_second() {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
}

fn managed(manager: &str) -> PatchParams {
    PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() }
}

fn bytes(object: &Value) -> Vec<u8> {
    serde_json::to_vec(object).unwrap()
}

fn plural(object: &Value) -> &'static str {
    match object["kind"].as_str() {
        Some("Namespace") => "namespaces",
        Some("Secret") => "secrets",
        Some("Pod") => "pods",
        Some("Lease") => "leases",
        Some("AwsConfig") => "awsconfigs",
        Some("MutatingWebhookConfiguration") => "mutatingwebhookconfigurations",
        Some("AwsRoleGrant") => "awsrolegrants",
        kind => panic!("the cases have no {kind:?}"),
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap()
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

fn base64(text: &str) -> Value {
    serde_json::to_value(ByteString(text.into())).unwrap()
}

/// The data of a Secret as words: `a=1 b=2`.
fn data(secret: &Value) -> String {
    let data = secret["data"].as_object().into_iter().flatten();
    let words = data.map(|(key, value)| {
        let ByteString(bytes) = serde_json::from_value(value.clone()).unwrap();
        format!("{key}={}", String::from_utf8(bytes).unwrap())
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A refusal as words: `404 NotFound: secrets "alice" not found`.
fn refusal(answer: Answer) -> String {
    match answer {
        Err(kube::Error::Api(status)) => format!("{} {}: {}", status.code, status.reason, status.message),
        other => panic!("no refusal: {other:?}"),
    }
}

/// The names of the objects of a list, in its order.
fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(name).collect()
}

/// The next event of a watch, as words: `ADDED alice`.
async fn next(events: &mut Events) -> String {
    word(&next_event(events).await)
}

/// The next event of a watch that tells something. The real server sends a bookmark about once a
/// minute to every watch that allows them, at a moment of its own. Such a bookmark tells only that
/// nothing was missed, and it may come between any two events.
async fn next_event(events: &mut Events) -> Value {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("an event comes");
        let event = event.expect("the watch goes on");
        if word(&event) != "BOOKMARK" {
            return event;
        }
    }
}

/// An event as words.
fn word(event: &Value) -> String {
    let object = &event["object"];
    let about = match event["type"].as_str() {
        Some("ERROR") => format!("{} {}", object["code"], object["reason"].as_str().unwrap_or_default()),
        Some("BOOKMARK") => {
            let annotation = &object["metadata"]["annotations"]["k8s.io/initial-events-end"];
            if annotation == "true" { "of the end of the list".to_owned() } else { String::new() }
        }
        _ => name(object).to_owned(),
    };
    format!("{} {about}", event["type"].as_str().unwrap()).trim_end().to_owned()
}

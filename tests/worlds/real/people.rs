//! People of a cluster who are not its admins. They act by impersonation, as members of a group
//! that the chart's own role lets write `AwsConfig`s and `AwsRole`s in an install's namespace.

use super::{
    ground::{eventually, number, run},
    install::{Install, Process},
};
use crate::fixtures;
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    rbac::v1::{Role, RoleBinding},
};
use keyturn::api::{AwsConfig, AwsConfigSpec, AwsRole};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
    core::Status,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{fmt::Debug, process::Command};

/// The group that may write `AwsConfig`s and `AwsRole`s in an install's namespace.
pub const WRITERS: &str = "writers";

/// The people of one install, with the chart's person policy in force.
pub struct People<'a> {
    pub install: &'a Install<'a>,
}

/// One of these people.
pub struct Person {
    pub name: String,
    client: Client,
    namespace: String,
    role: String,
}

/// Starts the operator of an install with a grant. Alice asks for the role `ds-analyst` by her own
/// rights, and has its credential afterwards.
pub async fn operator_with_alice(install: &Install<'_>) -> Process {
    let people = People::of(install).await;
    install.apply_grant(|_| {}).await;
    let operator = install.start().await;
    let role = Some(install.role("ds-analyst"));
    people.person("alice").await.creates_with("alice", "alice", |spec| spec.role = role).await.unwrap();
    install.until_ready_is("alice", "True/Issued").await;
    operator
}

impl<'a> People<'a> {
    /// Lets the group [`WRITERS`] write, and waits until the person policy is in force.
    pub async fn of(install: &'a Install<'a>) -> Self {
        let people = Self { install };
        let binding = json!({
            "metadata": {"name": WRITERS},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("{}-edit", install.fullname())},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": WRITERS}],
        });
        people.create::<RoleBinding>(&install.namespace, binding).await;
        people.until_is("nobody", "somebody", false).await;
        people
    }

    /// A person who may write and has no other right.
    pub async fn person(&self, name: &str) -> Person {
        self.member(name, &[]).await
    }

    /// The same, in further groups.
    pub async fn member(&self, name: &str, groups: &[&str]) -> Person {
        let groups = [&[WRITERS], groups].concat();
        let client = self.install.ground.client_as(name, &groups).await;
        let (namespace, role) = (self.install.namespace.clone(), self.install.role("ds-analyst"));
        Person { name: name.to_owned(), client, namespace, role }
    }

    /// Lets a subject (`User`, `Group`) use these persons in a namespace, and waits until the right
    /// is in force.
    pub async fn may_use(&self, kind: &str, subject: &str, persons: &[&str], namespace: &str) {
        let name = format!("use-{}", number());
        let rules = json!([{"apiGroups": ["keyturn.dev"], "resources": ["persons"], "resourceNames": persons, "verbs": ["use"]}]);
        self.bind(&name, &rules, kind, subject, namespace).await;
        let (user, groups) = if kind == "Group" { ("anyone", vec![subject.to_owned()]) } else { (subject, vec![]) };
        self.until_may_use(user, &groups, persons[0], namespace, true).await;
    }

    /// Gives a user this right (`create`, `patch`) on the pods of the namespace.
    pub async fn may_on_pods(&self, user: &str, verb: &str) {
        let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]);
        self.bind(&format!("pods-{}", number()), &rules, "User", user, &self.install.namespace).await;
    }

    /// Lets a user create the Secret of this name.
    pub async fn may_create_secret(&self, user: &str, name: &str) {
        let rules =
            json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["create"]}]);
        self.bind(&format!("secrets-{}", number()), &rules, "User", user, &self.install.namespace).await;
    }

    /// Lets a user patch these workloads of the namespace.
    pub async fn may_patch(&self, user: &str, resource: &str, names: &[String]) {
        let rules =
            json!([{"apiGroups": ["apps"], "resources": [resource], "resourceNames": names, "verbs": ["patch"]}]);
        self.bind(&format!("workloads-{}", number()), &rules, "User", user, &self.install.namespace).await;
    }

    async fn bind(&self, name: &str, rules: &Value, kind: &str, subject: &str, namespace: &str) {
        self.create::<Role>(namespace, json!({"metadata": {"name": name}, "rules": rules})).await;
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": subject}],
        });
        self.create::<RoleBinding>(namespace, binding).await;
    }

    /// Waits until a user may, or may not, use a person.
    pub async fn until_may_use(&self, user: &str, groups: &[String], person: &str, namespace: &str, wanted: bool) {
        let reviews: Api<SubjectAccessReview> = Api::all(self.install.admin.clone());
        let asked = ResourceAttributes {
            group: Some("keyturn.dev".to_owned()),
            resource: Some("persons".to_owned()),
            name: Some(person.to_owned()),
            namespace: Some(namespace.to_owned()),
            verb: Some("use".to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            groups: Some(groups.to_vec()),
            resource_attributes: Some(asked),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        eventually(&format!("{user} may use {person}: {wanted}"), async || {
            let answer = reviews.create(&PostParams::default(), &review).await.unwrap().status;
            if answer.as_ref().is_some_and(|answer| answer.allowed == wanted) { Ok(()) } else { Err(answer) }
        })
        .await;
    }

    /// Changes the chart's `personPolicy`, and waits until this user is, or is not, this person.
    pub async fn change_policy(&self, values: &Value, user: &str, person: &str, is: bool) {
        run(&mut self.upgrade(values));
        self.until_is(user, person, is).await;
    }

    /// The command that changes the chart's `personPolicy`.
    pub fn upgrade(&self, values: &Value) -> Command {
        let mut helm = self.install.upgrade();
        helm.args(["--set-json", &format!("personPolicy={values}")]);
        helm
    }

    /// Waits until a user may write a person's name, or until the policy refuses it. Nothing is
    /// written.
    async fn until_is(&self, user: &str, person: &str, is: bool) {
        let user = self.person(user).await;
        let probe = PostParams { dry_run: true, ..PostParams::default() };
        eventually(&format!("{} is {person}: {is}", user.name), async || {
            let asked = user.configs().create(&probe, &user.config("probe", person, |_| {})).await;
            match asked {
                Ok(_) if is => Ok(()),
                Err(kube::Error::Api(status)) if !is && status.message.contains("ValidatingAdmissionPolicy") => Ok(()),
                other => Err(format!("{:?}", other.map(|config| config.metadata))),
            }
        })
        .await;
    }

    /// Asserts that the policy refuses the attempt because of this person, that the message names
    /// the missing right and its remedy, and that nothing changes.
    pub async fn refused<T: Debug>(&self, person: &str, attempt: impl Future<Output = kube::Result<T>>) {
        let before = self.everything().await;
        let status = refusal(attempt.await);
        let namespace = &self.install.namespace;
        let missing = format!("in namespace \"{namespace}\": the verb \"use\" on persons.keyturn.dev \"{person}\"");
        let remedy = format!("resources [persons], resourceNames [{person}], verbs [use]");
        for words in ["ValidatingAdmissionPolicy", "may not", &missing, &remedy] {
            assert!(status.message.contains(words), "not in it: {words}\n{}", status.message);
        }
        assert_eq!(status.code, 403, "{status:?}");
        assert_eq!(self.everything().await, before, "nothing is changed");
    }

    async fn everything(&self) -> (Vec<AwsConfig>, Vec<AwsRole>) {
        let all = ListParams::default();
        let configs = self.install.configs().list(&all).await.unwrap().items;
        (configs, self.install.roles().list(&all).await.unwrap().items)
    }

    async fn create<K>(&self, namespace: &str, object: Value)
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.install.admin.clone(), namespace);
        api.create(&PostParams::default(), &K::deserialize(object).unwrap()).await.unwrap();
    }
}

/// The status with which the API server refused.
pub fn refusal<T: Debug>(answer: kube::Result<T>) -> Box<Status> {
    match answer {
        Err(kube::Error::Api(status)) => status,
        other => panic!("this was not refused: {other:?}"),
    }
}

impl Person {
    pub fn configs(&self) -> Api<AwsConfig> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn roles(&self) -> Api<AwsRole> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn config(&self, name: &str, person: &str, change: impl FnOnce(&mut AwsConfigSpec)) -> AwsConfig {
        fixtures::config_in(&self.namespace, name, |spec| {
            spec.person = Some(person.to_owned());
            spec.role = Some(self.role.clone());
            change(spec);
        })
    }

    /// Creates an `AwsConfig` for a person.
    pub async fn creates(&self, name: &str, person: &str) -> kube::Result<AwsConfig> {
        self.creates_with(name, person, |_| {}).await
    }

    /// The same, changed as the test needs it.
    pub async fn creates_with(
        &self,
        name: &str,
        person: &str,
        change: impl FnOnce(&mut AwsConfigSpec),
    ) -> kube::Result<AwsConfig> {
        self.configs().create(&PostParams::default(), &self.config(name, person, change)).await
    }

    /// Applies an `AwsConfig` by server-side apply, whether it exists or not.
    pub async fn applies(&self, name: &str, person: &str) -> kube::Result<AwsConfig> {
        let user = PatchParams::apply(&self.name.replace(':', "-")).force();
        self.configs().patch(name, &user, &Patch::Apply(&self.config(name, person, |_| {}))).await
    }

    /// Patches the spec of an `AwsConfig`.
    pub async fn edits(&self, name: &str, spec: Value) -> kube::Result<AwsConfig> {
        self.configs().patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await
    }

    /// Patches the metadata of an `AwsConfig`.
    pub async fn marks(&self, name: &str, metadata: Value) -> kube::Result<AwsConfig> {
        self.configs().patch(name, &PatchParams::default(), &Patch::Merge(json!({"metadata": metadata}))).await
    }

    /// Creates an `AwsRole` of the config `alice`, for a person or (`null`) for none.
    pub async fn creates_role(&self, name: &str, person: Value) -> kube::Result<AwsRole> {
        let role = json!({
            "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsRole", "metadata": {"name": name},
            "spec": {"awsConfigRef": {"name": "alice"}, "person": person, "role": self.role},
        });
        // A dynamic object, because keyturn's own type would leave `null` out.
        let roles: Api<kube::core::DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &kube::core::ApiResource::erase::<AwsRole>(&()));
        let created = roles.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await?;
        Ok(created.try_parse().unwrap())
    }

    /// Patches the spec of an `AwsRole`.
    pub async fn edits_role(&self, name: &str, spec: Value) -> kube::Result<AwsRole> {
        self.roles().patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await
    }
}

//! `kubectl keyturn can` and `roles` for a user who may not read grants. A grant names other
//! namespaces and persons, therefore no tenant may read it. The answer comes from the user's own
//! `AwsRole`s instead: keyturn says in the condition `Usable` of an `AwsRole` whether a grant
//! allows it to its `AwsConfig`, and nothing about anybody else.

use super::{Answer, Caller, Failed, cli::Can, connect::listed, failed::TIME_OUT, table::table};
use crate::{
    api::{
        AwsConfig, AwsConfigRef, AwsRole, AwsRoleSpec, ConditionType, CredentialProvider, Mode, RoleArn, find_condition,
    },
    digest::Digest,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{DeleteParams, PostParams},
    runtime::wait::await_condition,
};
use std::time::Duration;

/// The time for which keyturn's answer is waited for. It comes at once if keyturn runs.
const PATIENCE: Duration = Duration::from_secs(10);
/// The characters of a digest that tell the roles of one config apart.
const DISTINCT: usize = 8;

/// Whether keyturn says that an `AwsConfig` of the person could use a role. If no `AwsRole` of the
/// person names it, one is created, and deleted when keyturn has answered.
///
/// # Errors
/// [`Failed`] if the role is no ARN, if the person has no `AwsConfig` in the namespace, if the
/// caller may not create `AwsRole`s, or if keyturn does not answer in time.
pub(super) async fn can(caller: &Caller, asked: &Can) -> Result<Answer, Failed> {
    let role: RoleArn = asked.role.parse().map_err(|error| Failed::new(format!("--role: {error}")))?;
    let configs = caller.configs(false, None).await?;
    let Some(config) = configs.iter().find(|config| is_of(config, asked)) else {
        return Err(Failed::new(format!(
            "you may not list AwsRoleGrants, and namespace \"{}\" has no AwsConfig of {} with credentialProvider temporary \
             that keyturn could answer about; apply one, and its condition Accepted is the answer",
            caller.namespace,
            asked.person.as_ref().map_or("mode System".to_owned(), |person| format!("person \"{person}\""))
        )));
    };
    let api: Api<AwsRole> = Api::namespaced(caller.client.clone(), &caller.namespace);
    let found = listed(&api, None).await.map_err(|error| Failed::of_call("cannot list AwsRoles", &error))?;
    let of_config = |it: &&AwsRole| it.spec.aws_config_ref.name == config.name_any() && it.spec.role == role.as_str();
    if let Some(usable) = found.iter().find(of_config).and_then(usable) {
        return Ok(said(config, &role, usable));
    }
    let question = question(config, &role);
    let name = question.name_any();
    let created = api.create(&PostParams::default(), &question).await;
    created.map_err(|error| {
        Failed::of_call(&format!("cannot create AwsRole \"{name}\", by which keyturn is asked"), &error)
    })?;
    let answered =
        await_condition(api.clone(), &name, |role: Option<&AwsRole>| role.is_some_and(|it| usable(it).is_some()));
    let answered = tokio::time::timeout(PATIENCE, answered).await;
    let deleted = api.delete(&name, &DeleteParams::default()).await;
    let answer = match answered {
        Ok(Ok(Some(answered))) => usable(&answered).map(|usable| said(config, &role, usable)),
        _ => None,
    };
    deleted.map_err(|error| {
        Failed::of_call(&format!("cannot delete AwsRole \"{name}\", by which keyturn was asked; delete it"), &error)
    })?;
    answer.ok_or_else(|| Failed {
        message: format!(
            "keyturn did not answer within {} s; does it run, and does it serve namespace \"{}\"?",
            PATIENCE.as_secs(),
            caller.namespace
        ),
        code: TIME_OUT,
    })
}

fn is_of(config: &AwsConfig, asked: &Can) -> bool {
    let spec = &config.spec;
    let is_theirs =
        if asked.system { spec.mode == Mode::System } else { spec.mode == Mode::User && spec.person == asked.person };
    is_theirs && spec.credential_provider == CredentialProvider::Temporary
}

/// The `AwsRole` by which keyturn is asked. It goes with its config if the plugin cannot delete it.
fn question(config: &AwsConfig, role: &RoleArn) -> AwsRole {
    let digest = Digest::default().with(role.as_str()).short();
    let name = format!("{}-can-{}", config.name_any(), &digest[..DISTINCT]);
    let spec = AwsRoleSpec {
        aws_config_ref: AwsConfigRef { name: config.name_any() },
        person: config.spec.person.clone(),
        role: role.to_string(),
    };
    let mut question = AwsRole::new(&name, spec);
    question.metadata.owner_references = Some(vec![OwnerReference {
        api_version: AwsConfig::api_version(&()).into_owned(),
        kind: AwsConfig::kind(&()).into_owned(),
        name: config.name_any(),
        uid: config.uid().unwrap_or_default(),
        ..OwnerReference::default()
    }]);
    question
}

/// The answer of keyturn about the present spec of a role.
fn usable(role: &AwsRole) -> Option<&Condition> {
    let status = role.status.as_ref().filter(|status| status.observed_generation == role.metadata.generation)?;
    find_condition(&status.conditions, ConditionType::Usable)
}

fn said(config: &AwsConfig, role: &RoleArn, usable: &Condition) -> Answer {
    let is_usable = usable.status == "True";
    let word = if is_usable { "yes" } else { "no" };
    let name = config.name_any();
    Answer::of(format!("{word}: keyturn says of AwsConfig \"{name}\" and {role}: {}\n", usable.message), is_usable)
}

/// The roles that the `AwsRole`s of the namespace name, and what keyturn says of them.
///
/// # Errors
/// [`Failed`] if the caller may not list `AwsRole`s.
pub(super) async fn roles(caller: &Caller, person: Option<&str>) -> Result<Answer, Failed> {
    let api: Api<AwsRole> = Api::namespaced(caller.client.clone(), &caller.namespace);
    let mut found = listed(&api, None).await.map_err(|error| Failed::of_call("cannot list AwsRoles", &error))?;
    found.retain(|role| person.is_none() || role.spec.person.as_deref() == person);
    Ok(listing(&found, &caller.namespace))
}

fn listing(roles: &[AwsRole], namespace: &str) -> Answer {
    let about = "You may not list AwsRoleGrants. kubectl keyturn can asks keyturn about another role.\n";
    if roles.is_empty() {
        return Answer::of(format!("No AwsRole found in namespace \"{namespace}\". {about}"), false);
    }
    let row = |role: &AwsRole| {
        let usable = usable(role);
        let is_active = role.status.as_ref().and_then(|status| status.active) == Some(true);
        vec![
            role.spec.role.clone(),
            role.spec.aws_config_ref.name.clone(),
            role.spec.person.clone().unwrap_or_default(),
            if is_active { "yes" } else { "" }.to_owned(),
            usable.map(|usable| usable.status.clone()).unwrap_or_default(),
            usable.filter(|usable| usable.status != "True").map(|usable| usable.reason.clone()).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = roles.iter().map(row).collect();
    let is_any_usable = roles.iter().filter_map(usable).any(|usable| usable.status == "True");
    let listed = table(&["ROLE", "AWSCONFIG", "PERSON", "IN USE", "USABLE", "REASON"], &rows);
    Answer::of(listed + about, is_any_usable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn role(name: &str, usable: Option<(&str, &str)>) -> AwsRole {
        let conditions: Vec<Value> = usable
            .map(|(status, reason)| {
                json!({"type": "Usable", "status": status, "reason": reason, "message": "m",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"})
            })
            .into_iter()
            .collect();
        from_value(json!({
            "metadata": {"name": name, "generation": 1},
            "spec": {"awsConfigRef": {"name": "alice"}, "person": "alice", "role": format!("arn:aws:iam::123456789012:role/{name}")},
            "status": {"observedGeneration": 1, "conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn the_roles_of_a_tenant_are_listed_with_what_keyturn_says() {
        let roles =
            [role("ds", Some(("True", "Granted"))), role("admin", Some(("False", "NotGranted"))), role("new", None)];
        let said = listing(&roles, "scoring");
        assert_eq!(
            said.text,
            "ROLE                                   AWSCONFIG   PERSON   IN USE   USABLE   REASON\n\
             arn:aws:iam::123456789012:role/ds      alice       alice    -        True     -\n\
             arn:aws:iam::123456789012:role/admin   alice       alice    -        False    NotGranted\n\
             arn:aws:iam::123456789012:role/new     alice       alice    -        -        -\n\
             You may not list AwsRoleGrants. kubectl keyturn can asks keyturn about another role.\n"
        );
        assert!(said.is_fine() && !listing(&roles[1..], "scoring").is_fine() && !listing(&[], "scoring").is_fine());
    }

    #[test]
    fn a_question_to_keyturn_is_a_role_that_goes_with_its_config() {
        let config: AwsConfig =
            from_value(json!({"metadata": {"name": "alice", "uid": "u"}, "spec": {"person": "alice"}})).unwrap();
        let role: RoleArn = "arn:aws:iam::123456789012:role/ds".parse().unwrap();
        let asked = question(&config, &role);
        assert!(asked.name_any().starts_with("alice-can-"), "{}", asked.name_any());
        assert_eq!((asked.spec.person.as_deref(), asked.spec.role.as_str()), (Some("alice"), role.as_str()));
        assert_eq!(asked.owner_references()[0].uid, "u");
    }
}

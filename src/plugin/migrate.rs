//! `kubectl keyturn migrate`: `AwsConfig`s that deliver a key get a role instead, one patch each.
//! Nothing is changed until the API server has taken all patches as dry runs.

use super::{Answer, Caller, Failed, cli::Migrate};
use crate::api::{AwsConfig, CredentialProvider, PERSON_VARIABLE, RoleArn};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Changes the configs, or lets the API server check the changes.
///
/// # Errors
/// [`Failed`] if a role is no ARN, if there is no config to change, or if the API server refuses a
/// change. A refusal of a dry run changes nothing.
pub(super) async fn migrate(caller: &Caller, asked: &Migrate) -> Result<Answer, Failed> {
    let configs = if asked.names.is_empty() {
        caller.configs(false, asked.selector.as_deref()).await?
    } else {
        let mut configs = Vec::new();
        for name in &asked.names {
            configs.push(caller.config(name).await?);
        }
        configs
    };
    let steps = steps(&configs, asked)?;
    if steps.is_empty() {
        let scope = caller.scope(false);
        return Err(Failed::new(format!("no AwsConfig of {scope} that was asked for delivers a key")));
    }
    let api = caller.api_of_configs(false);
    for Step { name, patch, .. } in &steps {
        let parameters = PatchParams { dry_run: true, ..PatchParams::default() };
        let tried = format!("AwsConfig \"{name}\" cannot be changed, and nothing was");
        api.patch(name, &parameters, &Patch::Merge(patch)).await.map_err(|error| Failed::of_call(&tried, &error))?;
    }
    let mut text = String::new();
    for (done, Step { name, role, patch }) in steps.iter().enumerate() {
        if asked.apply {
            let tried = format!("AwsConfig \"{name}\" cannot be changed, after {done} others were");
            let patched = api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
            patched.map_err(|error| Failed::of_call(&tried, &error))?;
        }
        let _ = writeln!(text, "awsconfig.keyturn.dev/{name}: {role}{}", if asked.apply { "" } else { " (dry run)" });
    }
    text += if asked.apply {
        "keyturn replaces the keys when a grant allows the roles; kubectl keyturn status shows it. The Secrets with the keys are \
         left as they are: delete the keys in IAM once nobody uses them\n"
    } else {
        "nothing was changed; --apply changes it\n"
    };
    Ok(Answer::fine(text))
}

/// The change of one config.
#[derive(Debug, PartialEq)]
struct Step {
    name: String,
    role: String,
    patch: Value,
}

fn steps(configs: &[AwsConfig], asked: &Migrate) -> Result<Vec<Step>, Failed> {
    let with_keys = configs.iter().filter(|it| it.spec.credential_provider == CredentialProvider::Default);
    let step = |config: &AwsConfig| {
        let name = config.name_any();
        let person = config.spec.person.as_deref();
        if asked.role.contains(PERSON_VARIABLE) && person.is_none() {
            return Err(Failed::usage(format!(
                "--role: AwsConfig \"{name}\" is in mode System, and has no {PERSON_VARIABLE}"
            )));
        }
        let role = asked.role.replace(PERSON_VARIABLE, person.unwrap_or_default());
        role.parse::<RoleArn>().map_err(|error| Failed::usage(format!("--role: {error}")))?;
        let spec = json!({"credentialProvider": "temporary", "role": role, "keySecretRef": null});
        Ok(Step { name, role, patch: json!({"spec": spec}) })
    };
    with_keys.map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::from_value;

    fn config(name: &str, spec: &Value) -> AwsConfig {
        from_value(json!({"metadata": {"name": name, "namespace": "scoring"}, "spec": spec})).unwrap()
    }

    fn asked(role: &str) -> Migrate {
        Migrate { names: vec![], selector: None, role: role.to_owned(), apply: false }
    }

    #[test]
    fn only_configs_that_deliver_a_key_get_the_role_of_their_person() {
        let key =
            |person: &str| json!({"person": person, "credentialProvider": "default", "keySecretRef": {"name": "k"}});
        let configs =
            [config("alice", &key("alice")), config("bob", &json!({"person": "bob"})), config("carol", &key("carol"))];
        let roles: Vec<String> = steps(&configs, &asked("arn:aws:iam::123456789012:role/p-${person}"))
            .unwrap()
            .into_iter()
            .map(|it| it.role)
            .collect();
        assert_eq!(roles, ["alice", "carol"].map(|person| format!("arn:aws:iam::123456789012:role/p-{person}")));
        let system = [config(
            "shared",
            &json!({"mode": "System", "credentialProvider": "default", "keySecretRef": {"name": "k"}}),
        )];
        let rows =
            [("a name", &configs[..], "ds"), ("no person", &system[..], "arn:aws:iam::123456789012:role/p-${person}")];
        for (row, configs, role) in rows {
            assert_eq!(steps(configs, &asked(role)).unwrap_err().code, 2, "{row}");
        }
    }
}

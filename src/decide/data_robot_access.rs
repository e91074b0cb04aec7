//! The access of a config to DataRobot: whether the config may use the instance that it names, and
//! by whose token. Pure.

use crate::{
    api::{AwsConfig, DataRobotInstance, Reason, Statement, TokenSecretRef},
    grants,
    push::token_not_offered,
};
use kube::ResourceExt as _;
use std::{collections::BTreeMap, sync::Arc};

/// The DataRobot that a config names, as far as keyturn knows it.
#[derive(Clone, Debug)]
pub struct SeenDataRobot {
    /// The name that the config gives.
    pub name: String,
    /// The instance; `None` if no instance has that name.
    pub instance: Option<Arc<DataRobotInstance>>,
    /// The use that the instance allows the config; `None` if it allows none.
    pub allowed: Option<Allowed>,
    /// The Secret with a token of its own, if the config names one.
    pub own_token: Option<TokenSecretRef>,
    /// The version of that Secret, if its owner offers it.
    pub token_version: Option<String>,
}

/// The use of a DataRobot that an instance allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Whether the config may bring a token of its own.
    pub own_tokens: bool,
}

/// Why a config cannot use a DataRobot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDataRobot {
    /// No instance has the name.
    Missing,
    /// The instance is being deleted.
    BeingDeleted,
    /// The instance does not allow the namespace and the person.
    NotAllowed,
    /// The instance does not allow tokens of their own.
    OwnTokenNotAllowed,
    /// Neither the instance nor the config has a token.
    WithoutToken,
    /// There is no Secret with the token that its owner offers.
    TokenNotOffered,
}

/// The use that an instance allows a config; `None` if it allows none, or if the labels of the
/// namespace are not known. Of the entries that allow the namespace and the person, one has to
/// allow tokens of their own.
#[must_use]
pub fn allowed_to(
    config: &AwsConfig,
    instance: &DataRobotInstance,
    labels: Option<&BTreeMap<String, String>>,
) -> Option<Allowed> {
    let (namespace, labels, subject) = (config.namespace().unwrap_or_default(), labels?, config.subject()?);
    let mut about = instance.spec.allow.iter().filter(|entry| {
        grants::selects(&entry.namespaces, &namespace, labels)
            && entry.persons.iter().any(|pattern| grants::names(pattern, &subject))
    });
    let first = about.next()?;
    Some(Allowed { own_tokens: first.own_tokens || about.any(|entry| entry.own_tokens) })
}

impl SeenDataRobot {
    /// Whether the config may use the DataRobot.
    ///
    /// # Errors
    /// What is in the way.
    pub fn usable(&self) -> Result<(), NoDataRobot> {
        let instance = self.instance.as_ref().ok_or(NoDataRobot::Missing)?;
        if instance.metadata.deletion_timestamp.is_some() {
            return Err(NoDataRobot::BeingDeleted);
        }
        let allowed = self.allowed.ok_or(NoDataRobot::NotAllowed)?;
        match (&self.own_token, &self.token_version) {
            (Some(_), _) if !allowed.own_tokens => Err(NoDataRobot::OwnTokenNotAllowed),
            (Some(_), None) => Err(NoDataRobot::TokenNotOffered),
            (None, _) if instance.spec.token_secret_ref.is_none() => Err(NoDataRobot::WithoutToken),
            _ => Ok(()),
        }
    }
}

impl NoDataRobot {
    /// What is in the way, and what to do.
    #[must_use]
    pub fn statement(self, config: &AwsConfig, data_robot: &SeenDataRobot) -> Statement {
        let name = &data_robot.name;
        let (reason, message) = match self {
            Self::Missing => (
                Reason::DataRobotInstanceMissing,
                format!("there is no DataRobotInstance \"{name}\"; a cluster admin can create it"),
            ),
            Self::BeingDeleted => {
                (Reason::DataRobotInstanceMissing, format!("DataRobotInstance \"{name}\" is being deleted"))
            }
            Self::NotAllowed => {
                let (namespace, subject) = (config.namespace().unwrap_or_default(), config.subject());
                let message = format!(
                    "DataRobotInstance \"{name}\" does not allow namespace \"{namespace}\" to use it as {}; a cluster admin can add \
                     that to its spec.allow",
                    subject.as_ref().map(grants::described).unwrap_or_default()
                );
                (Reason::PushRefused, message)
            }
            Self::OwnTokenNotAllowed => (
                Reason::PushRefused,
                format!(
                    "DataRobotInstance \"{name}\" does not allow API tokens of AwsConfigs; a cluster admin can set ownTokens: true in the \
                     entry of its spec.allow that is about this namespace and person, or remove spec.push.dataRobot.tokenSecretRef"
                ),
            ),
            Self::WithoutToken => (
                Reason::DataRobotDenied,
                format!(
                    "DataRobotInstance \"{name}\" has no API token of its own; put one of yours into a Secret, and name that in \
                     spec.push.dataRobot.tokenSecretRef"
                ),
            ),
            Self::TokenNotOffered => {
                let token = data_robot.own_token.as_ref().map(|token| token.name.as_str());
                return token_not_offered(token.unwrap_or_default());
            }
        };
        Statement::new(reason, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn config(person: &Value) -> AwsConfig {
        let mut config: AwsConfig = from_value(json!({
            "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig",
            "metadata": {"name": "c", "namespace": "team-a"}, "spec": {"person": person},
        }))
        .unwrap();
        if person.is_null() {
            config.spec.mode = crate::api::Mode::System;
        }
        config
    }

    fn instance(allow: &Value) -> DataRobotInstance {
        let spec =
            json!({"url": "https://robot.test", "tokenSecretRef": {"namespace": "k", "name": "t"}, "allow": allow});
        DataRobotInstance::new("robot", from_value(spec).unwrap())
    }

    #[test]
    fn an_entry_has_to_allow_the_namespace_and_the_person() {
        let team_a = json!({"names": ["team-a"]});
        let own = |own_tokens| Some(Allowed { own_tokens });
        for (row, allow, person, allowed) in [
            ("nobody", json!([]), json!("alice"), None),
            ("both", json!([{"namespaces": team_a, "persons": ["al*"]}]), json!("alice"), own(false)),
            ("another person", json!([{"namespaces": team_a, "persons": ["bob"]}]), json!("alice"), None),
            ("another namespace", json!([{"namespaces": {"names": ["b"]}, "persons": ["*"]}]), json!("alice"), None),
            ("a namespace is no person", json!([{"namespaces": team_a, "persons": ["*"]}]), Value::Null, None),
            ("a namespace", json!([{"namespaces": team_a, "persons": ["system:team-a"]}]), Value::Null, own(false)),
            (
                "one of two entries allows tokens",
                json!([
                    {"namespaces": team_a, "persons": ["*"]},
                    {"namespaces": team_a, "persons": ["alice"], "ownTokens": true},
                ]),
                json!("alice"),
                own(true),
            ),
            (
                "the entry that allows tokens is about another person",
                json!([
                    {"namespaces": team_a, "persons": ["*"]},
                    {"namespaces": team_a, "persons": ["bob"], "ownTokens": true},
                ]),
                json!("alice"),
                own(false),
            ),
        ] {
            let labels = BTreeMap::new();
            assert_eq!(allowed_to(&config(&person), &instance(&allow), Some(&labels)), allowed, "{row}");
        }
        let allow = json!([{"namespaces": team_a, "persons": ["*"]}]);
        assert_eq!(allowed_to(&config(&json!("alice")), &instance(&allow), None), None, "labels are not known");
    }
}

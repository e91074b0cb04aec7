//! How the Secret of a config is to be rendered: what its spec and its DSS say.

use super::{DssRendering, Rendering};
use crate::api::{AwsConfig, DssInstance};
use std::collections::BTreeMap;

impl Rendering {
    /// The rendering that a config asks for. `instance` is the DSS that it names, if there is one.
    #[must_use]
    pub fn of(config: &AwsConfig, instance: Option<&DssInstance>) -> Self {
        let spec = &config.spec;
        let dss = spec.dss.as_ref().zip(instance).map(|(dss, instance)| DssRendering {
            url: instance.spec.url.clone(),
            project: dss.project.clone(),
            no_check_certificate: instance.spec.insecure_skip_verify,
            ca_bundle: instance.spec.ca_bundle.clone(),
            with_key: dss.wants_key(),
        });
        let target = spec.target.clone().unwrap_or_default();
        let plain = |map: BTreeMap<String, crate::api::TargetValue>| map.into_iter().map(|(k, v)| (k, v.0)).collect();
        Self {
            formats: spec.formats(),
            region: spec.region.clone(),
            default_bucket: spec.default_bucket.clone(),
            extra_buckets: spec.extra_buckets.iter().map(str::to_owned).collect(),
            labels: plain(target.labels),
            annotations: plain(target.annotations),
            dss,
            data_robot: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Format, SECRET_KEYS};
    use crate::{
        credentials::Credentials,
        secret::{DataRobotRendering, Main, render_all},
    };
    use serde_json::{Value, from_value, json};
    use std::collections::BTreeSet;

    /// `inject` gives pods the variables that the spec names, before the Secret exists.
    #[test]
    fn the_secret_holds_exactly_the_variables_that_its_spec_names() {
        let instance =
            json!({"url": "https://dss", "apiKeySecretRef": {"namespace": "keyturn", "name": "admin"}, "allow": []});
        let instance = DssInstance::new("design", from_value(instance).unwrap());
        let session = Credentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "key".into(),
            session_token: Some("token".into()),
        };
        let holds = |spec: Value| {
            let mut whole = json!({"person": "alice"});
            whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            let config = AwsConfig::new("alice", from_value(whole).unwrap());
            let api_key = config.spec.dss.as_ref().filter(|dss| dss.wants_key()).map(|_| "the-key".to_owned().into());
            let asked = config.spec.push.as_ref().and_then(|push| push.data_robot.as_ref());
            let data_robot = asked.map(|asked| DataRobotRendering {
                endpoint: "https://robot/api/v2".into(),
                credential_id: Some("1f".into()),
                token_version: asked.deliver_token.then(|| "7".into()),
            });
            let rendering = Rendering { data_robot, ..Rendering::of(&config, Some(&instance)) };
            let token = "mine".to_owned().into();
            let main = Main::Live {
                credentials: &session,
                expires_at: "2026-01-01T01:00:00Z".parse().ok(),
                api_key: api_key.as_ref(),
                data_robot_token: Some(&token),
            };
            let content = render_all(&rendering, main, &[]).unwrap();
            let named = SECRET_KEYS.iter().filter(|key| key.format == Format::Env && key.may_be_for(&config.spec));
            let named: BTreeSet<&str> = named.map(|key| key.name).collect();
            let variables = SECRET_KEYS.iter().filter(|key| key.format == Format::Env).map(|key| key.name);
            let held: BTreeSet<&str> = variables.filter(|name| content.0.contains_key(*name)).collect();
            assert_eq!(held, named, "{spec}");
        };
        holds(json!({}));
        holds(json!({"region": "eu-west-1", "target": {"formats": ["Files"]}}));
        holds(json!({"region": "eu-west-1", "defaultBucket": "a"}));
        holds(json!({"extraBuckets": ["b"], "dss": {"instance": "design", "apiKey": "Personal"}}));
        holds(json!({"dss": {"instance": "design", "project": "FRAUD", "apiKeySecretRef": {"name": "mine"}}}));
        holds(json!({"dss": {"instance": "design"}}));
        let push = |more: Value| {
            let mut data_robot = json!({"instance": "robot", "name": "alice"});
            data_robot.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"push": {"dataRobot": data_robot}})
        };
        holds(push(json!({})));
        holds(push(json!({"tokenSecretRef": {"name": "mine"}, "deliverToken": true})));
    }
}

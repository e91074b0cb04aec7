//! Objects of other operators that ask for credentials of AWS. Pure.

use super::{
    grants::object,
    manifest::{Document, Manifests},
    names::{Names, duration},
    offered::how_to_offer,
};
use crate::api::RoleArn;
use kube::{ResourceExt as _, core::DynamicObject};
use serde_json::{Value, json};

/// The session of a role in mode System: the other operators know no persons.
struct Session<'a> {
    from: String,
    namespace: String,
    name: String,
    role: &'a str,
    seconds: Option<i64>,
    comments: Vec<String>,
}

impl Session<'_> {
    fn add_to(self, manifests: &mut Manifests) {
        let Self { from, namespace, name, role, seconds, mut comments } = self;
        if let Err(error) = role.parse::<RoleArn>() {
            manifests.leave_out(format!("{from}: {error}"));
            return;
        }
        comments.insert(0, from);
        comments
            .push("everybody in the namespace shares the credential of mode System; better, name a person".to_owned());
        let mut spec = json!({"mode": "System", "role": role});
        match seconds.map(|seconds| (seconds, duration(seconds))) {
            // One hour is what keyturn asks for by itself.
            None | Some((3600, _)) => {}
            Some((_, Some(length))) => {
                spec["session"] = json!({"duration": length});
                if seconds.is_some_and(|seconds| seconds > 3600) {
                    comments.push("more than 1h takes an identity of keyturn that is no session of a role".to_owned());
                }
            }
            Some((seconds, None)) => {
                comments.push(format!("{seconds} s: keyturn takes whole minutes from 15m to 12h, and 1h by itself"));
            }
        }
        let object = object("AwsConfig", &json!({"name": name, "namespace": namespace}), &spec);
        manifests.add(Document { comments, object });
        manifests.grants.need_role(&namespace, role, &format!("system:{namespace}"));
    }
}

/// The manifests for `AWSIAMRole`s (`spec.roleReference`, `spec.roleSessionDuration` in seconds,
/// `status.roleARN`). Their Secret has the name of the object.
#[must_use]
pub fn zalando(found: &[DynamicObject]) -> Manifests {
    let (mut manifests, mut names) = (Manifests::default(), Names::default());
    for it in found {
        let (namespace, name) = (it.namespace().unwrap_or_default(), it.name_any());
        let text = |of: &str, field: &str| it.data[of][field].as_str().filter(|text| !text.is_empty());
        let reference = text("spec", "roleReference").unwrap_or_default();
        // A reference may be the bare name of a role. The status has its ARN then.
        let role = text("status", "roleARN").unwrap_or(reference);
        let session = Session {
            from: format!("from AWSIAMRole {namespace}/{name}"),
            name: names.take(&name),
            role,
            seconds: it.data["spec"]["roleSessionDuration"].as_i64(),
            comments: vec![format!(
                "pods mount Secret \"{name}\" of that controller; keyturn writes another one with a file `config` in the place of \
                 `credentials`: change the pods, and then delete the AWSIAMRole"
            )],
            namespace,
        };
        session.add_to(&mut manifests);
    }
    manifests
}

/// The manifests for `STSSessionToken`s (`spec.region`, `spec.role`, `spec.auth.secretRef`,
/// `spec.requestParameters`).
#[must_use]
pub fn external_secrets(found: &[DynamicObject]) -> Manifests {
    let (mut manifests, mut names) = (Manifests::default(), Names::default());
    for it in found {
        let (namespace, name) = (it.namespace().unwrap_or_default(), it.name_any());
        let from = format!("from STSSessionToken {namespace}/{name}");
        let spec = &it.data["spec"];
        if spec["requestParameters"]["serialNumber"].is_string() {
            manifests.leave_out(format!("{from}: it asks for MFA, which keyturn has not"));
            continue;
        }
        let comment =
            "ExternalSecrets that use this generator are replaced by the Secret of the AwsConfig: delete them afterwards".to_owned();
        if let Some(role) = spec["role"].as_str().filter(|role| !role.is_empty()) {
            let session = Session {
                from,
                name: names.take(&name),
                role,
                seconds: spec["requestParameters"]["sessionDuration"].as_i64(),
                comments: vec![comment],
                namespace,
            };
            session.add_to(&mut manifests);
            continue;
        }
        match key(spec) {
            Some(key) => {
                let mut comments = vec![from, comment];
                let secret = key["name"].as_str().unwrap_or_default();
                comments.push(how_to_offer(&namespace, secret));
                comments.push(
                    "keyturn delivers this key itself, and asks for no session with it; better, name a role".to_owned(),
                );
                let spec = json!({"mode": "System", "credentialProvider": "default", "keySecretRef": key});
                let metadata = json!({"name": names.take(&name), "namespace": namespace});
                manifests.grants.need_keys(&namespace, &format!("system:{namespace}"));
                manifests.add(Document { comments, object: object("AwsConfig", &metadata, &spec) });
            }
            None => manifests
                .leave_out(format!("{from}: it names neither a role nor one Secret of its namespace with a key")),
        }
    }
    manifests
}

/// The reference to the Secret with the key, if both parts are in one Secret of the namespace.
fn key(spec: &Value) -> Option<Value> {
    let secret_ref = &spec["auth"]["secretRef"];
    let (id, secret) = (&secret_ref["accessKeyIDSecretRef"], &secret_ref["secretAccessKeySecretRef"]);
    let (name, id_key, secret_key) = (id["name"].as_str()?, id["key"].as_str()?, secret["key"].as_str()?);
    let is_one = secret["name"].as_str() == Some(name) && id["namespace"].is_null() && secret["namespace"].is_null();
    is_one.then(|| json!({"name": name, "accessKeyIdKey": id_key, "secretAccessKeyKey": secret_key}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::from_value;

    fn found(objects: &[Value]) -> Vec<DynamicObject> {
        objects.iter().map(|it| from_value(it.clone()).unwrap()).collect()
    }

    fn specs(manifests: &Manifests) -> Vec<Value> {
        manifests.documents.iter().map(|it| it.object["spec"].clone()).collect()
    }

    const ROLE: &str = "arn:aws:iam::123456789012:role/app";

    #[test]
    fn an_awsiamrole_becomes_the_session_of_its_namespace() {
        let metadata = |name: &str| json!({"name": name, "namespace": "scoring"});
        let manifests = zalando(&found(&[
            json!({"metadata": metadata("app"), "spec": {"roleReference": "app", "roleSessionDuration": 7200},
                "status": {"roleARN": ROLE}}),
            json!({"metadata": metadata("plain"), "spec": {"roleReference": ROLE, "roleSessionDuration": 3600}}),
            json!({"metadata": metadata("bare"), "spec": {"roleReference": "bare", "roleSessionDuration": 3600}}),
        ]));
        assert_eq!(
            specs(&manifests),
            [
                json!({"mode": "System", "role": ROLE, "session": {"duration": "2h"}}),
                json!({"mode": "System", "role": ROLE})
            ]
        );
        let text = manifests.written(true).unwrap();
        for part in [
            "not imported: from AWSIAMRole scoring/bare: ",
            "pods mount Secret \"app\"",
            "- system:scoring",
            "more than 1h",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_generator_becomes_a_session_or_the_delivery_of_its_key() {
        let reference = |name: &str, key: &str| json!({"name": name, "key": key});
        let auth = |other: &str| json!({"secretRef": {"accessKeyIDSecretRef": reference("aws", "id"), "secretAccessKeySecretRef": reference(other, "key")}});
        let metadata = |name: &str| json!({"name": name, "namespace": "scoring"});
        let manifests = external_secrets(&found(&[
            json!({"metadata": metadata("role"), "spec": {"region": "eu-west-1", "role": ROLE, "auth": auth("aws")}}),
            json!({"metadata": metadata("key"), "spec": {"region": "eu-west-1", "auth": auth("aws")}}),
            json!({"metadata": metadata("two"), "spec": {"region": "eu-west-1", "auth": auth("other")}}),
            json!({"metadata": metadata("mfa"), "spec": {"requestParameters": {"serialNumber": "x"}}}),
        ]));
        assert_eq!(
            specs(&manifests),
            [
                json!({"mode": "System", "role": ROLE}),
                json!({"mode": "System", "credentialProvider": "default",
                    "keySecretRef": {"name": "aws", "accessKeyIdKey": "id", "secretAccessKeyKey": "key"}}),
            ]
        );
        assert_eq!(manifests.left_out.len(), 2, "{:?}", manifests.left_out);
    }
}

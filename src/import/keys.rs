//! Secrets of the cluster that hold a long-lived key of AWS.

use super::{
    grants::object,
    manifest::{Document, Manifests},
    names::Names,
    offered::how_to_offer,
};
use crate::{
    api::{is_person, names::AWS_CONFIG_LABEL},
    secret::is_offered,
};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use serde_json::json;

/// The names under which programs keep the ID and the secret of a key.
const PAIRS: [(&str, &str); 6] = [
    ("aws_access_key_id", "aws_secret_access_key"),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("accessKeyId", "secretAccessKey"),
    ("access-key-id", "secret-access-key"),
    ("access_key", "secret_key"),
    ("accesskey", "secretkey"),
];
/// The beginning of the ID of a long-lived key (IAM user guide, "IAM identifiers").
const LONG_LIVED: &str = "AKIA";

/// The manifests for the keys of Secrets of a namespace. The keys are not shown. Without `person`,
/// the name of each Secret is the person. `are_named` says that the user named these Secrets, and
/// wants to know of each that holds no key.
#[must_use]
pub fn keys(secrets: &[Secret], namespace: &str, person: Option<&str>, are_named: bool) -> Manifests {
    let (mut manifests, mut names) = (Manifests::default(), Names::default());
    for secret in secrets.iter().filter(|secret| !secret.labels().contains_key(AWS_CONFIG_LABEL)) {
        let name = secret.name_any();
        let from = format!("from Secret {namespace}/{name}");
        let text = |key: &str| secret.data.as_ref().and_then(|data| std::str::from_utf8(&data.get(key)?.0).ok());
        let Some((id_key, secret_key)) = PAIRS.into_iter().find(|(id, key)| text(id).is_some() && text(key).is_some())
        else {
            if are_named {
                manifests.leave_out(format!("{from}: it holds no key under a usual name"));
            }
            continue;
        };
        if !text(id_key).is_some_and(|id| id.trim().starts_with(LONG_LIVED)) {
            manifests.leave_out(format!(
                "{from}: {id_key} is not the ID of a long-lived key, which begins with {LONG_LIVED}"
            ));
            continue;
        }
        let subject = person.unwrap_or(&name).to_owned();
        if !is_person(&subject) {
            manifests.leave_out(format!("{from}: its name is no person's name; name the person by --person"));
            continue;
        }
        let mut comments = vec![from];
        if person.is_none() {
            comments.push("the person is the name of the Secret: correct it if somebody else has the key".to_owned());
        }
        if !is_offered(&secret.metadata) {
            comments.push(how_to_offer(namespace, &name));
        }
        let spec = json!({
            "person": subject, "credentialProvider": "default",
            "keySecretRef": {"name": name, "accessKeyIdKey": id_key, "secretAccessKeyKey": secret_key},
        });
        let metadata = json!({"name": names.take(&name), "namespace": namespace});
        manifests.add(Document { comments, object: object("AwsConfig", &metadata, &spec) });
        manifests.grants.need_keys(namespace, &subject);
    }
    manifests
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use serde_json::{Value, from_value};

    fn secret(name: &str, labels: &Value, data: &[(&str, &str)]) -> Secret {
        let mut secret: Secret = from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        secret.data = Some(data.collect());
        secret
    }

    #[test]
    fn secrets_with_keys_become_configs_and_no_key_is_shown() {
        let secrets = [
            secret(
                "alice",
                &json!({"keyturn.dev/source": "true"}),
                &[("accessKeyId", "AKIA1"), ("secretAccessKey", "hidden")],
            ),
            secret("bob", &json!({}), &[("aws_access_key_id", "AKIA2"), ("aws_secret_access_key", "hidden")]),
            secret("session", &json!({}), &[("AWS_ACCESS_KEY_ID", "ASIA3"), ("AWS_SECRET_ACCESS_KEY", "hidden")]),
            secret(
                "alice-aws",
                &json!({"keyturn.dev/aws-config": "alice"}),
                &[("AWS_ACCESS_KEY_ID", "AKIA1"), ("AWS_SECRET_ACCESS_KEY", "hidden")],
            ),
            secret("tls", &json!({}), &[("tls.key", "hidden")]),
        ];
        let manifests = keys(&secrets, "scoring", None, false);
        let text = manifests.written(true).unwrap();
        assert!(!text.contains("hidden") && !text.contains("AKIA1"), "{text}");
        let refs: Vec<_> = manifests.documents.iter().map(|it| it.object["spec"]["keySecretRef"].clone()).collect();
        assert_eq!(
            refs,
            [
                json!({"name": "alice", "accessKeyIdKey": "accessKeyId", "secretAccessKeyKey": "secretAccessKey"}),
                json!({"name": "bob", "accessKeyIdKey": "aws_access_key_id", "secretAccessKeyKey": "aws_secret_access_key"}),
            ]
        );
        assert_eq!(
            text.matches("its owner offers it by: kubectl -n scoring label secret bob keyturn.dev/source=true").count(),
            1
        );
        assert!(
            !text.contains("label secret alice ") && text.contains("not imported: from Secret scoring/session"),
            "{text}"
        );
    }
}

//! `spec.push`: the places outside the cluster in which keyturn keeps the credential as well, and
//! their part of status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The letters of the names that DSS gives to connections, plugins and their parameters.
const NAME_IN_DSS: &str = "^[A-Za-z0-9_. @-]+$";

/// Places outside the cluster in which keyturn keeps the credential as well: in the account of the
/// person's login in DSS, or in DataRobot. keyturn writes them after the Secret, at each issue. It
/// removes what it wrote when the credential is withdrawn, the place is taken out of the spec, or
/// this AwsConfig is deleted. The DssInstance has to allow it (push of an entry of its allow), or
/// the DataRobotInstance. The condition Pushed says what is in the way; the Secret never waits for
/// these places.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.dssSecrets) || has(self.dssConnection) || has(self.dssPlugin) || has(self.dataRobot)").message("push needs a place: dssSecrets, dssConnection, dssPlugin or dataRobot; without any, leave push out"))]
pub struct Push {
    /// User secrets of the login. Its code in DSS reads them, for example by
    /// `get_auth_info(with_secrets=True)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dss_secrets: Option<DssSecrets>,

    /// The login's own credential of a DSS connection, with the access key ID as the user and the
    /// secret access key as the password. Only for credentialProvider default, because such a
    /// credential has no place for a session token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dss_connection: Option<DssConnection>,

    /// The login's own credential of a preset of a DSS plugin, in the same form and with the same
    /// limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dss_plugin: Option<DssPlugin>,

    /// An S3 credential in DataRobot, for example for batch predictions. Its ID stays the same over
    /// renewals; the Secret holds it as DATAROBOT_CREDENTIAL_ID. While the credential is withdrawn,
    /// the entry stays and holds values that AWS refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_robot: Option<DataRobotCredential>,
}

/// User secrets in DSS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DssSecrets {
    /// The beginning of the names of the secrets. ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN
    /// and EXPIRATION follow it. A key has neither of the last two. keyturn does not touch secrets
    /// of these names that are not its own.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_.-]+$"))]
    pub prefix: String,
}

/// A connection in DSS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DssConnection {
    /// The name of the connection.
    #[schemars(length(min = 1, max = 256), regex(pattern = NAME_IN_DSS))]
    pub connection: String,
}

/// A parameter of a preset of a DSS plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DssPlugin {
    /// The ID of the plugin.
    #[schemars(length(min = 1, max = 128), regex(pattern = NAME_IN_DSS))]
    pub plugin: String,
    /// The ID of the parameter set that the preset belongs to.
    #[schemars(length(min = 1, max = 128), regex(pattern = NAME_IN_DSS))]
    pub param_set: String,
    /// The ID of the preset.
    #[schemars(length(min = 1, max = 128), regex(pattern = NAME_IN_DSS))]
    pub preset: String,
    /// The name of the parameter that holds the credential.
    #[schemars(length(min = 1, max = 128), regex(pattern = NAME_IN_DSS))]
    pub param: String,
}

/// An S3 credential in DataRobot.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.deliverToken || has(self.tokenSecretRef)").message("deliverToken needs tokenSecretRef: keyturn delivers no token but the person's own"))]
pub struct DataRobotCredential {
    /// The name of the DataRobotInstance. Its allow has to list this namespace and this person.
    #[schemars(length(min = 1, max = 53), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub instance: String,

    /// The name of the credential in DataRobot. It has no blank at its ends. The names of an
    /// account are unique. keyturn does not touch a credential of this name that is not its own.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9_.@-]([A-Za-z0-9_.@ -]*[A-Za-z0-9_.@-])?$"))]
    pub name: String,

    /// A Secret that holds an API token of DataRobot, the person's own. keyturn then keeps the
    /// credential in the account of this token instead of the instance's. The owner of the Secret
    /// has to label it `keyturn.dev/source: "true"`. keyturn never writes this Secret. The
    /// DataRobotInstance has to allow it (ownTokens).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<TokenSecretRef>,

    /// true: the Secret of this AwsConfig holds the token of tokenSecretRef as well, as
    /// DATAROBOT_API_TOKEN and in drconfig.yaml, beside the URL of DataRobot.
    #[serde(default)]
    pub deliver_token: bool,
}

/// A reference to one data key of a Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TokenSecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The data key under which the Secret holds the API token.
    #[serde(default = "api_token")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

fn api_token() -> String {
    "apiToken".to_owned()
}

impl DssPlugin {
    /// The key of the credential among the credentials of a user. Dataiku's client makes the same
    /// (`set_basic_plugin_credential` of `dataiku-api-client` 15.2.0): a JSON list without its
    /// brackets.
    #[must_use]
    pub fn credential_key(&self) -> String {
        let Self { plugin, param_set, preset, param } = self;
        // The schema allows no character that JSON escapes.
        ["PLUGIN", plugin, param_set, preset, param].map(|part| format!("\"{part}\"")).join(", ")
    }
}

/// The part of status about `spec.push`: what keyturn keeps in each place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushStatus {
    /// The user secrets. Absent while DSS holds none of this AwsConfig.
    pub dss_secrets: Option<Pushed>,
    /// The credential of the connection. Absent while DSS holds none of this AwsConfig.
    pub dss_connection: Option<Pushed>,
    /// The credential of the plugin's preset. Absent while DSS holds none of this AwsConfig.
    pub dss_plugin: Option<Pushed>,
    /// The S3 credential in DataRobot. Absent while DataRobot has no entry of this AwsConfig.
    pub data_robot: Option<Pushed>,
}

/// A place that is keyturn's, and what keyturn wrote there last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
    /// The DssInstance, or the DataRobotInstance.
    pub instance: String,
    /// The login of DSS whose account has the place. In DataRobot: the person or
    /// `system:<namespace>` that the credential is of.
    pub login: String,
    /// The prefix of the secrets, the key of the credential among those of the user, or the name of
    /// the credential in DataRobot.
    pub name: String,
    /// In DataRobot: the Secret with the API token by which keyturn wrote it. Absent for the token
    /// of the DataRobotInstance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<TokenSecretRef>,
    /// In DataRobot: the ID of the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<String>,
    /// The access key ID of the credential that is there. Absent while keyturn has only made sure
    /// that the place is free.
    pub access_key_id: Option<String>,
    /// Digest of the credential that is there, for comparison with the one in the Secret.
    pub digest: Option<String>,
    /// The time at which the credential that is there expires. Absent for a key.
    pub expires_at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AwsConfig, DataRobotInstance, names};
    use kube::CustomResourceExt as _;

    #[test]
    fn the_name_of_a_finalizer_has_room_for_the_name_of_an_instance() {
        // A finalizer is a qualified name: a prefix, a slash, and at most 63 characters
        // (ValidateFinalizerName of k8s.io/apimachinery).
        let crd = serde_json::to_value(AwsConfig::crd()).unwrap();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        let data_robot = &spec["push"]["properties"]["dataRobot"]["properties"]["instance"];
        let dss = &spec["dss"]["properties"]["instance"];
        for (prefix, instance) in [(names::DATA_ROBOT_FINALIZER, data_robot), (names::DSS_FINALIZER, dss)] {
            let room = 63 - prefix.split_once('/').unwrap().1.len();
            assert_eq!(instance["maxLength"], room, "{prefix}");
        }
        let of_kind = serde_json::to_string(&DataRobotInstance::crd()).unwrap();
        assert!(of_kind.contains("size(self.metadata.name) <= 53"), "{of_kind}");
    }

    #[test]
    fn the_key_of_a_plugin_credential_is_that_of_dataikus_client() {
        let plugin = DssPlugin {
            plugin: "s3-tools".to_owned(),
            param_set: "keys".to_owned(),
            preset: "main preset".to_owned(),
            param: "key".to_owned(),
        };
        // json.dumps(["PLUGIN", "s3-tools", "keys", "main preset", "key"])[1:-1]
        assert_eq!(plugin.credential_key(), r#""PLUGIN", "s3-tools", "keys", "main preset", "key""#);
    }
}

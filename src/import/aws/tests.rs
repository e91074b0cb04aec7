//! Profiles and console files, and the manifests that stand for them.

use super::*;
const CONFIG: &str = "
# the profiles of a workstation
[default]
region = eu-west-1

[profile analyst]
role_arn = arn:aws:iam::123456789012:role/ds-analyst
source_profile = default
role_session_name = alice@example.com
duration_seconds = 5400
external_id = xyz
mfa_serial = arn:aws:iam::123456789012:mfa/alice
region = eu-west-1
s3 =
  max_concurrent_requests = 20

[profile sso]
sso_session = corp

[sso-session corp]
sso_start_url = https://corp.example.com
";

const CREDENTIALS: &str = "
[default]
aws_access_key_id = AKIAIOSFODNN7EXAMPLE
aws_secret_access_key = not-to-be-shown
[session]
aws_access_key_id = ASIAIOSFODNN7EXAMPLE
aws_secret_access_key = not-to-be-shown
aws_session_token = t
";

fn profiles() -> Profiles {
    let mut profiles = Profiles::default();
    profiles.read("config", CONFIG).unwrap();
    profiles.read("credentials", CREDENTIALS).unwrap();
    profiles
}

#[test]
fn profiles_become_configs_and_their_keys_stay_out_of_the_output() {
    for (row, keys) in [("filled in by hand", false), ("in a file", true)] {
        let (manifests, secrets) = manifests(&profiles(), "scoring", Some("alice"), keys);
        let text = manifests.written(true).unwrap();
        assert!(!text.contains("not-to-be-shown"), "{row}: {text}");
        assert_eq!(text.contains(TO_FILL_IN), !keys, "{row}: {text}");
        let with_keys = serde_json::to_string(&secrets.iter().map(|it| &it.object).collect::<Vec<_>>()).unwrap();
        assert_eq!(with_keys.contains("not-to-be-shown"), keys, "{row}");
        let specs: Vec<&Value> = manifests
            .documents
            .iter()
            .filter(|it| it.object["kind"] == "AwsConfig")
            .map(|it| &it.object["spec"])
            .collect();
        assert_eq!(
            specs,
            [
                &json!({"person": "alice@example.com", "role": "arn:aws:iam::123456789012:role/ds-analyst", "region": "eu-west-1",
                    "session": {"duration": "1h30m"}}),
                &json!({"person": "alice", "credentialProvider": "default", "keySecretRef": {"name": "default-key"},
                    "region": "eu-west-1"}),
            ],
            "{row}"
        );
        for part in [
            "# not imported: from credentials:5 (profile session): its key is a temporary one",
            "# not imported: from config:17 (profile sso): sso_session: keyturn assumes roles by STS",
            "# from config:6 (profile analyst)\n# source_profile default: keyturn's own identity assumes the role",
            "# external_id xyz: keyturn sends <cluster>/scoring",
            "# mfa_serial: keyturn has no MFA",
            "kind: AwsRoleGrant",
        ] {
            assert!(text.contains(part), "{row}: {part:?} is not in\n{text}");
        }
    }
}

#[test]
fn a_file_of_the_console_has_the_user_or_none() {
    let rows = [
        ("new", "Access key ID,Secret access key\nAKIAIOSFODNN7EXAMPLE,s\n", "alice", "alice-accesskeys"),
        (
            "with a user",
            "User name,Password,Access key ID,Secret access key,Console login link\nbob,,AKIAIOSFODNN7EXAMPLE,s,https://x\n",
            "alice",
            "bob",
        ),
    ];
    for (row, text, person, name) in rows {
        let mut profiles = Profiles::default();
        profiles.read_csv("/tmp/alice_accessKeys.csv", text).unwrap();
        let (manifests, _) = manifests(&profiles, "scoring", Some("alice"), true);
        assert_eq!(manifests.documents[0].object["spec"]["person"], person, "{row}");
        assert_eq!(manifests.documents[0].object["metadata"]["name"], name, "{row}");
    }
    let failed = Profiles::default().read_csv("x.csv", "a,b\n").unwrap_err();
    assert!(failed.0.starts_with("x.csv:1: "), "{failed}");
}

#[test]
fn a_line_that_is_no_setting_is_named_and_not_quoted() {
    let failed = Profiles::default().read("credentials", "[default]\nAKIA secret\n").unwrap_err();
    assert!(failed.0.starts_with("credentials:2: ") && !failed.0.contains("AKIA"), "{failed}");
}

//! The content of the Secret, key by key.

use super::*;
use crate::api::{Field, Present, SECRET_KEYS};
use std::collections::BTreeSet;

fn rendering() -> Rendering {
    Rendering {
        formats: Format::DEFAULT.to_vec(),
        region: Some("eu-west-1".into()),
        default_bucket: Some("team-a".into()),
        extra_buckets: vec!["shared".into(), "more".into()],
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        dss: None,
        data_robot: None,
    }
}

fn session() -> Credentials {
    Credentials {
        access_key_id: "ASIAEXAMPLE".into(),
        secret_access_key: "key/with+slash".into(),
        session_token: Some("token+/==".into()),
    }
}

fn expiry() -> Option<Timestamp> {
    "2026-01-01T01:00:00Z".parse().ok()
}

fn text(content: &Content, key: &str) -> String {
    String::from_utf8(content.0[key].clone()).unwrap()
}

#[test]
fn a_live_session_stands_in_every_format() {
    let content = render(&rendering(), &session(), expiry(), None).unwrap();
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "key/with+slash"),
        ("AWS_SESSION_TOKEN", "token+/=="),
        ("AWS_CREDENTIAL_EXPIRATION", "2026-01-01T01:00:00Z"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_DEFAULT_BUCKET", "team-a"),
        ("AWS_EXTRA_BUCKETS", "shared,more"),
    ] {
        assert_eq!(text(&content, name), value, "{name}");
    }
    assert_eq!(
        text(&content, "config"),
        "[default]\nregion = eu-west-1\ncredential_process = cat /var/run/secrets/keyturn/credential-process.json\n"
    );
    assert_eq!(
        text(&content, "credentials"),
        "[default]\naws_access_key_id = ASIAEXAMPLE\naws_secret_access_key = key/with+slash\naws_session_token = token+/==\n"
    );
    let process: serde_json::Value = serde_json::from_slice(&content.0["credential-process.json"]).unwrap();
    assert_eq!(
        process,
        serde_json::json!({"Version": 1, "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "key/with+slash",
            "SessionToken": "token+/==", "Expiration": "2026-01-01T01:00:00Z"})
    );
}

#[test]
fn a_withdrawn_secret_keeps_every_key_and_no_value_of_the_session() {
    let live = render(&rendering(), &session(), expiry(), None).unwrap();
    let withdrawn = render_withdrawn(&rendering(), Reason::NotGranted).unwrap();
    assert!(live.0.keys().eq(withdrawn.0.keys()));
    for (key, value) in &withdrawn.0 {
        let value = String::from_utf8(value.clone()).unwrap();
        assert!(!value.contains("ASIAEXAMPLE") && !value.contains("slash") && !value.contains("token+"), "{key}");
    }
    assert_eq!(text(&withdrawn, "AWS_SECRET_ACCESS_KEY"), "WITHDRAWN");
    // botocore quotes an expiry that is no time, and no other variable.
    assert_eq!(text(&withdrawn, "AWS_CREDENTIAL_EXPIRATION"), "WITHDRAWN by keyturn: NotGranted");
    assert_eq!(text(&withdrawn, "AWS_ACCESS_KEY_ID"), "WITHDRAWN_by_keyturn_NotGranted");
    assert!(text(&withdrawn, "config").contains("NotGranted"));
    assert_eq!(text(&withdrawn, "AWS_REGION"), "eu-west-1");
    assert!(credentials_in(&withdrawn.0).is_none());
}

#[test]
fn a_withdrawn_access_key_id_is_one_that_sdks_can_send() {
    for reason in Reason::ALL {
        for formats in [vec![Format::Env], vec![Format::Files], vec![Format::Dataiku]] {
            let withdrawn = render_withdrawn(&Rendering { formats, ..rendering() }, reason).unwrap();
            assert!(credentials_in(&withdrawn.0).is_none(), "{reason}");
            let Some(id) = withdrawn.0.get("AWS_ACCESS_KEY_ID") else { continue };
            assert!((16..=128).contains(&id.len()), "{reason}");
            assert!(id.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'), "{reason}");
        }
    }
}

#[test]
fn a_session_is_found_in_any_format() {
    for formats in [vec![Format::Env], vec![Format::Files], Format::DEFAULT.to_vec()] {
        let content = render(&Rendering { formats, ..rendering() }, &session(), expiry(), None).unwrap();
        let found = credentials_in(&content.0).unwrap();
        assert_eq!(found.access_key_id, "ASIAEXAMPLE");
        assert_eq!(found.session_token.unwrap().expose_secret(), "token+/==");
        assert_eq!(found.secret_access_key.expose_secret(), "key/with+slash");
    }
}

#[test]
fn a_key_has_neither_token_nor_expiry_in_any_format() {
    let key = Credentials { session_token: None, ..session() };
    let content = render(&rendering(), &key, None, None).unwrap();
    for name in ["AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION"] {
        assert!(!content.0.contains_key(name), "{name}");
    }
    assert!(!text(&content, "credentials").contains("token"));
    let process: serde_json::Value = serde_json::from_slice(&content.0["credential-process.json"]).unwrap();
    let keys: Vec<&String> = process.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["AccessKeyId", "SecretAccessKey", "Version"]);
    assert!(credentials_in(&content.0).unwrap().session_token.is_none());
    let withdrawn = render_withdrawn(&rendering(), Reason::NotGranted).unwrap();
    assert!(content.0.keys().all(|key| withdrawn.0.contains_key(key)), "every key stays");
}

#[test]
fn the_keys_are_those_that_are_documented() {
    let bare = Rendering { region: None, default_bucket: None, extra_buckets: vec![], ..rendering() };
    let key = Credentials { session_token: None, ..session() };
    let rendered = |formats: &[Format], of: &Rendering, credentials: &Credentials, expires_at| {
        let content =
            render(&Rendering { formats: formats.to_vec(), ..of.clone() }, credentials, expires_at, None).unwrap();
        content.0.into_keys().collect::<BTreeSet<String>>()
    };
    let documented = |formats: &[Format], present: fn(Present) -> bool| {
        let keys = SECRET_KEYS.iter().filter(|key| formats.contains(&key.format) && present(key.present));
        keys.map(|key| key.name.to_owned()).collect::<BTreeSet<String>>()
    };
    for formats in [&[Format::Env][..], &[Format::Files], &Format::DEFAULT] {
        // The keys of DSS are tested in `dataiku.rs`.
        let of_aws = |present| match present {
            Present::IfSet(field) => !matches!(field, Field::Dss | Field::DssProject),
            present => matches!(present, Present::Always | Present::Session),
        };
        assert_eq!(rendered(formats, &rendering(), &session(), expiry()), documented(formats, of_aws));
        let without_fields = documented(formats, |present| matches!(present, Present::Always | Present::Session));
        assert_eq!(rendered(formats, &bare, &session(), expiry()), without_fields);
        assert_eq!(rendered(formats, &bare, &key, None), documented(formats, |present| present == Present::Always));
    }
}

#[test]
fn absent_settings_have_no_key() {
    let bare = Rendering {
        formats: vec![Format::Env],
        region: None,
        default_bucket: None,
        extra_buckets: vec![],
        ..rendering()
    };
    let content = render(&bare, &session(), expiry(), None).unwrap();
    let keys: Vec<&str> = content.0.keys().map(String::as_str).collect();
    assert_eq!(keys, ["AWS_ACCESS_KEY_ID", "AWS_CREDENTIAL_EXPIRATION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]);
}

#[test]
fn every_part_of_a_rendering_counts_in_its_digest() {
    let some = |text: &str| BTreeMap::from([(text.to_owned(), text.to_owned())]);
    let others = [
        Rendering { formats: vec![Format::Env], ..rendering() },
        Rendering { region: None, ..rendering() },
        Rendering { default_bucket: None, ..rendering() },
        Rendering { extra_buckets: vec!["shared".into()], ..rendering() },
        Rendering { labels: some("a"), ..rendering() },
        Rendering { annotations: some("a"), ..rendering() },
    ];
    let digests: std::collections::BTreeSet<String> =
        others.iter().chain([&rendering()]).map(Rendering::digest).collect();
    assert_eq!(digests.len(), others.len() + 1);
}

#[test]
fn debug_output_shows_keys_only() {
    let shown = format!("{:?}", render(&rendering(), &session(), expiry(), None).unwrap());
    assert!(shown.contains("AWS_SESSION_TOKEN") && !shown.contains("token+"), "{shown}");
}

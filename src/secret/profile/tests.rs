//! Profiles in the files and in the annotations of the Secret.

use super::*;
use crate::{
    api::{Format, PROFILE_KEY_PATTERN, names},
    credentials::SessionRequest,
    secret::{ApiKeyRecord, Content, Main, Record, Rendering, is_intact, render, render_all, render_withdrawn},
};

fn rendering() -> Rendering {
    Rendering {
        formats: Format::DEFAULT.to_vec(),
        region: Some("eu-west-1".into()),
        default_bucket: None,
        extra_buckets: vec![],
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        dss: None,
        data_robot: None,
    }
}

fn session(of: &str) -> Credentials {
    Credentials {
        access_key_id: format!("ASIA{of}"),
        secret_access_key: format!("secret-of-{of}").into(),
        session_token: Some(format!("token-of-{of}").into()),
    }
}

fn expiry() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn request() -> Request {
    Request::Session(Box::new(SessionRequest::example()))
}

fn issued(of: &str) -> Issued {
    let issued_at = "2026-01-01T00:00:00.75Z".parse().unwrap();
    Issued { credentials: session(of), issued_at, expires_at: Some(expiry()) }
}

fn live(name: &str) -> ProfilePart {
    ProfilePart { record: ProfileRecord::of(name, &request(), &issued(name)), credentials: Some(session(name)) }
}

fn main(credentials: &Credentials) -> Main<'_> {
    Main::Live { credentials, expires_at: Some(expiry()), api_key: None, data_robot_token: None }
}

fn text(content: &Content, key: &str) -> String {
    String::from_utf8(content.0[key].clone()).unwrap()
}

#[test]
fn each_profile_has_its_section_and_its_own_file() {
    let default = session("default");
    let content = render_all(&rendering(), main(&default), &[live("lake"), live("mart")]).unwrap();
    let section = |name: &str, file: &str| {
        format!("[{name}]\nregion = eu-west-1\ncredential_process = cat /var/run/secrets/keyturn/{file}\n")
    };
    let config = [
        section("default", "credential-process.json"),
        section("profile lake", "credential-process-lake.json"),
        section("profile mart", "credential-process-mart.json"),
    ];
    assert_eq!(text(&content, "config"), config.join("\n"));
    let keys = ["default", "lake", "mart"].map(|name| {
        format!(
            "[{name}]\naws_access_key_id = ASIA{name}\naws_secret_access_key = secret-of-{name}\n\
             aws_session_token = token-of-{name}\n"
        )
    });
    assert_eq!(text(&content, "credentials"), keys.join("\n"));
    assert_eq!(text(&content, "AWS_ACCESS_KEY_ID"), "ASIAdefault");
    for name in ["lake", "mart"] {
        let read = profile_credentials_in(&content.0, name).unwrap();
        assert_eq!(read.access_key_id, format!("ASIA{name}"));
        let file = text(&content, &profile_key(name));
        assert!(file.contains(&format!("token-of-{name}")) && file.contains("2026-01-01T01:00:00Z"), "{file}");
        assert!(!file.contains("default"), "{file}");
    }
}

#[test]
fn a_session_without_its_permission_is_withdrawn_alone() {
    let default = session("default");
    let denied = ProfilePart::withdrawn_for("lake", Some(&live("lake").record), Reason::Denied);
    for (case, main, gone, stays) in [
        ("of a profile", main(&default), "lake", ["default", "mart"]),
        ("of the config", Main::Withdrawn(Reason::NotGranted), "default", ["mart", "mart"]),
    ] {
        let lake = if gone == "lake" { denied.clone() } else { live("lake") };
        let content = render_all(&rendering(), main, &[lake, live("mart")]).unwrap();
        let all: String = content.0.keys().map(|key| text(&content, key)).collect();
        assert!(!all.contains(&format!("of-{gone}")) && !all.contains(&format!("ASIA{gone}")), "{case}: {all}");
        for name in stays {
            assert!(all.contains(&format!("token-of-{name}")), "{case}: {all}");
        }
        let reason = if gone == "lake" { "Denied" } else { "NotGranted" };
        let fails = format!("credential_process = sh -c 'echo WITHDRAWN by keyturn: {reason} >&2; exit 1'");
        assert_eq!(text(&content, "config").matches(&fails).count(), 1, "{case}");
        let file = if gone == "lake" { profile_key("lake") } else { "credential-process.json".to_owned() };
        assert!(text(&content, &file).contains(&format!("WITHDRAWN by keyturn: {reason}")), "{case}");
    }
    assert!(profile_credentials_in(&BTreeMap::new(), "lake").is_none());
}

#[test]
fn a_secret_without_profiles_is_the_same_as_before() {
    let default = session("default");
    let with = render_all(&rendering(), main(&default), &[]).unwrap();
    assert_eq!(with, render(&rendering(), &default, Some(expiry()), None).unwrap());
    let withdrawn = render_all(&rendering(), Main::Withdrawn(Reason::Suspended), &[]).unwrap();
    assert_eq!(withdrawn, render_withdrawn(&rendering(), Reason::Suspended).unwrap());
    let record = Record::of(&request(), &issued("default"), "alice", String::new(), ApiKeyRecord::default(), &with);
    assert!(!record.annotations().contains_key(names::PROFILES));
    assert_eq!(record.clone().with_profiles(vec![], &with), record);
}

/// A sealed record with a live and a withdrawn profile.
fn sealed() -> (Record, Content) {
    let default = session("default");
    let never = ProfilePart::withdrawn_for("mart", None, Reason::NotGranted);
    let parts = [live("lake"), never];
    let content = render_all(&rendering(), main(&default), &parts).unwrap();
    let record = Record::of(&request(), &issued("default"), "alice", String::new(), ApiKeyRecord::default(), &content);
    let records = parts.iter().map(|part| part.record.clone()).collect();
    (record.with_profiles(records, &content), content)
}

#[test]
fn a_record_with_profiles_is_read_as_it_was_written() {
    let (record, content) = sealed();
    let read = Record::read(&record.annotations()).unwrap();
    assert_eq!(read, record);
    assert!(is_intact(&read, &content.0));
    assert_eq!(read.profile("lake").unwrap().issued_at.unwrap().to_string(), "2026-01-01T00:00:00Z");
    let text = &record.annotations()[names::PROFILES];
    assert!(!text.contains("secret-of") && !text.contains("token-of"), "{text}");
}

#[test]
fn every_edit_of_the_profiles_in_a_record_is_noticed() {
    let (record, content) = sealed();
    let written = record.annotations()[names::PROFILES].clone();
    for (edit, text) in [
        ("removed", None),
        ("emptied", Some(String::new())),
        ("no profile", Some("[]".to_owned())),
        ("a space", Some(written.replace("\":", "\": "))),
        ("another role", Some(written.replace("analyst", "admin"))),
        ("another expiry", Some(written.replace("01:00:00", "09:00:00"))),
        ("the withdrawal", Some(written.replace(",\"withdrawn\":\"NotGranted\"", ""))),
        ("an unknown field", Some(written.replacen('{', "{\"more\":1,", 1))),
    ] {
        let mut annotations = record.annotations();
        annotations.remove(names::PROFILES);
        annotations.extend(text.map(|text| (names::PROFILES.to_owned(), text)));
        let read = Record::read(&annotations);
        assert!(read.is_none_or(|read| !is_intact(&read, &content.0)), "{edit}");
    }
    for name in ["lake", "mart"] {
        let mut edited = content.0.clone();
        edited.insert(profile_key(name), b"edited".to_vec());
        assert!(!is_intact(&record, &edited), "{name}");
    }
}

#[test]
fn a_profile_s_key_is_one_that_the_policy_allows() {
    // CEL's `matches` and this crate read the same syntax.
    let pattern = regex_lite_like(PROFILE_KEY_PATTERN);
    for (name, allowed) in [
        ("lake", true),
        ("l", true),
        ("data-lake-2", true),
        (&"a".repeat(32), true),
        (&"a".repeat(33), false),
        ("-lake", false),
        ("lake-", false),
        ("Lake", false),
        ("", false),
        ("a.b", false),
    ] {
        assert_eq!(pattern(&profile_key(name)), allowed, "{name}");
    }
}

/// The rule of [`PROFILE_KEY_PATTERN`], written a second time by hand.
fn regex_lite_like(pattern: &str) -> impl Fn(&str) -> bool {
    assert_eq!(pattern, "^credential-process-[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?[.]json$");
    |key: &str| {
        let Some(name) = key.strip_prefix("credential-process-").and_then(|rest| rest.strip_suffix(".json")) else {
            return false;
        };
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=32).contains(&name.len()) && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-')
    }
}

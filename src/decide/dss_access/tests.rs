//! The logins that an instance allows, and the roles that templates stand for, as tables.

use super::*;
use crate::api::AwsConfigSpec;
use serde_json::{Value, json};

const PROPERTY: &str = "${adminProperty:associatedRole}";
const ANALYST: &str = "arn:aws:iam::123456789012:role/analyst";

fn instance(change: impl FnOnce(&mut Value)) -> Arc<DssInstance> {
    let mut spec = json!({
        "url": "https://dss.example.com", "apiKeySecretRef": {"namespace": "keyturn-system", "name": "dss-admin"},
        "awsAccountId": "123456789012", "allow": [{"namespaces": {"names": ["scoring"]}, "persons": ["*"]}],
    });
    change(&mut spec);
    Arc::new(DssInstance::new("design", serde_json::from_value(spec).unwrap()))
}

fn config(role: &str) -> AwsConfig {
    let spec = json!({"person": "alice", "role": role, "dss": {"instance": "design"}});
    let mut config = AwsConfig::new("alice", serde_json::from_value::<AwsConfigSpec>(spec).unwrap());
    config.metadata.namespace = Some("scoring".to_owned());
    config
}

/// DSS knows alice as an analyst.
fn seen() -> SeenDss {
    let properties = [("associatedRole".to_owned(), "analyst".to_owned())].into();
    let user = User { login: "alice".to_owned(), enabled: true, admin_properties: Some(properties) };
    SeenDss {
        instance: Some(instance(|_| {})),
        instances_seen: true,
        login: Some("alice".to_owned()),
        admin_keys: false,
        push: false,
        user: SeenUser::There(Arc::new(user)),
        fresh: true,
        trouble: None,
    }
}

fn user(change: impl FnOnce(&mut User)) -> SeenUser {
    let SeenUser::There(user) = seen().user else { panic!("she is there") };
    let mut user = User::clone(&user);
    change(&mut user);
    SeenUser::There(Arc::new(user))
}

/// The role, or the reason and whether the refusal withdraws.
fn verdict(config: &AwsConfig, seen: &SeenDss) -> String {
    match role_of(config, Some(seen)) {
        Ok(role) => role.map(|role| role.to_string()).unwrap_or_default(),
        Err(Refusal { needs: Some(needs), .. }) => format!("{needs:?}"),
        Err(refusal) => format!("{} {}", refusal.why.reason, if refusal.withdraws { "withdraws" } else { "waits" }),
    }
}

#[test]
fn one_entry_has_to_allow_both_namespace_and_person() {
    let allow = |allow: Value| instance(|spec| spec["allow"] = allow);
    let names = |namespace: &str, persons: &[&str]| json!({"namespaces": {"names": [namespace]}, "persons": persons});
    let labelled = json!({"namespaces": {"selector": {"matchLabels": {"team": "ds"}}}, "persons": ["a*"]});
    let shared = json!({"namespaces": {"names": ["scoring"]}, "systemLogin": "svc"});
    let (alice, system) = (Subject::person("alice"), Subject::namespace("scoring"));
    for (what, allow, alices, systems) in [
        ("nobody by default", allow(json!([])), None, None),
        ("this person here", allow(json!([names("scoring", &["alice"])])), Some("alice"), None),
        ("elsewhere", allow(json!([names("other", &["*"])])), None, None),
        ("somebody else", allow(json!([names("scoring", &["bob"])])), None, None),
        ("no entry has both", allow(json!([names("scoring", &["bob"]), names("other", &["alice"])])), None, None),
        ("by label", allow(json!([labelled])), Some("alice"), None),
        ("everybody is no namespace", allow(json!([names("scoring", &["*"])])), Some("alice"), None),
        ("the namespace", allow(json!([shared])), None, Some("svc")),
    ] {
        let labels = BTreeMap::from([("team".to_owned(), "ds".to_owned())]);
        let login = |subject| allowed(&allow, "scoring", &labels, subject).map(|allowed| allowed.login);
        assert_eq!((login(&alice).as_deref(), login(&system).as_deref()), (alices, systems), "{what}");
    }
    let mapped = instance(|spec| spec["login"] = json!("corp\\${person}@x"));
    let allowed = allowed(&mapped, "scoring", &BTreeMap::new(), &alice).unwrap();
    assert_eq!(allowed, Allowed { login: "corp\\alice@x".to_owned(), admin_keys: false, push: false });
}

#[test]
fn an_admin_s_key_needs_the_entry_that_allows_the_login() {
    let entry = |person: &str, admin_keys: bool| json!({"namespaces": {"names": ["scoring"]}, "persons": [person], "adminKeys": admin_keys});
    let silent = json!({"namespaces": {"names": ["scoring"]}, "persons": ["alice"]});
    for (what, entries, expected) in [
        ("an entry that does not say it", json!([silent]), false),
        ("her entry", json!([entry("alice", true)]), true),
        ("somebody else's entry", json!([entry("bob", true), entry("alice", false)]), false),
        ("a later entry", json!([entry("alice", false), entry("*", true)]), false),
        ("the first entry that fits", json!([entry("bob", false), entry("*", true)]), true),
    ] {
        let instance = instance(|spec| spec["allow"] = entries);
        let allowed = allowed(&instance, "scoring", &BTreeMap::new(), &Subject::person("alice")).unwrap();
        assert_eq!(allowed.admin_keys, expected, "{what}");
    }
}

#[test]
fn each_state_of_knowledge_has_its_verdict() {
    let without = |name: &'static str| user(move |user| drop(user.admin_properties.as_mut().unwrap().remove(name)));
    let holds = |value: &'static str| {
        user(move |user| drop(user.admin_properties.as_mut().unwrap().insert("associatedRole".into(), value.into())))
    };
    let mut denied = DssError::not_connected("DssInstance \"design\"");
    denied.kind = crate::dss::Kind::Denied;
    let unread = SeenDss { user: SeenUser::Unread, ..seen() };
    for (what, seen, expected) in [
        ("she is there", seen(), ANALYST),
        ("no instance", SeenDss { instance: None, ..seen() }, "DssInstanceMissing withdraws"),
        ("none was ever seen", SeenDss { instance: None, instances_seen: false, ..seen() }, "DssInstanceMissing waits"),
        ("not allowed", SeenDss { login: None, ..seen() }, "NotGranted withdraws"),
        ("missing", SeenDss { user: SeenUser::Missing, ..seen() }, "DssUserMissing withdraws"),
        ("disabled", SeenDss { user: user(|user| user.enabled = false), ..seen() }, "DssUserMissing withdraws"),
        ("not listed", SeenDss { user: SeenUser::Unlisted, ..seen() }, "DssUser"),
        ("nothing read yet", unread.clone(), "Pending waits"),
        (
            "unreachable",
            SeenDss { trouble: Some(DssError::not_connected("DssInstance \"design\"")), ..unread.clone() },
            "DssUnreachable waits",
        ),
        ("the admin key is refused", SeenDss { trouble: Some(denied), ..unread }, "DssDenied waits"),
        ("known for too long", SeenDss { fresh: false, ..seen() }, "Pending waits"),
        ("no property", SeenDss { user: without("associatedRole"), ..seen() }, "DssPropertyMissing withdraws"),
        ("an empty one", SeenDss { user: holds(" "), ..seen() }, "DssPropertyMissing withdraws"),
        ("no role", SeenDss { user: holds("a b"), ..seen() }, "DssPropertyMissing withdraws"),
        (
            "an ARN",
            SeenDss { user: holds("arn:aws:iam::210987654321:role/x"), ..seen() },
            "arn:aws:iam::210987654321:role/x",
        ),
    ] {
        assert_eq!(verdict(&config(PROPERTY), &seen), expected, "{what}");
    }
    let going = Arc::new({
        let mut going = DssInstance::clone(&instance(|_| {}));
        going.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        going
    });
    let going = SeenDss { instance: Some(going), ..seen() };
    assert_eq!(verdict(&config(PROPERTY), &going), "DssInstanceMissing withdraws");
    assert_eq!(verdict(&config(ANALYST), &going), ANALYST, "a fixed ARN is no question to DSS");
    assert_eq!(
        verdict(&config("arn:aws:iam::123456789012:role/x-${dssUserLogin}"), &seen()),
        "arn:aws:iam::123456789012:role/x-alice"
    );
}

#[test]
fn only_listed_properties_may_be_asked_for() {
    let listing = |names: &[&str]| {
        let user = user(|user| {
            let properties = user.admin_properties.as_mut().unwrap();
            properties.insert("snowflake".into(), "Sentinel".into());
            properties.insert("team".into(), "analyst".into());
        });
        SeenDss { instance: Some(instance(|spec| spec["roleProperties"] = json!(names))), user, ..seen() }
    };
    let (snowflake, team) = ("${adminProperty:snowflake}", "${adminProperty:team}");
    let by_login = "arn:aws:iam::123456789012:role/x-${dssUserLogin}";
    for (row, template, seen, expected) in [
        ("the default", PROPERTY, listing(&["associatedRole"]), ANALYST),
        ("not listed", snowflake, listing(&["associatedRole"]), "NotGranted withdraws"),
        ("not listed, and the role of a template", team, listing(&["associatedRole"]), "NotGranted withdraws"),
        ("the default, which is not listed", PROPERTY, listing(&["team"]), "NotGranted withdraws"),
        ("listed", team, listing(&["associatedRole", "team"]), ANALYST),
        ("nothing is listed", PROPERTY, listing(&[]), "NotGranted withdraws"),
        ("the login is no property", by_login, listing(&[]), "arn:aws:iam::123456789012:role/x-alice"),
        ("one of two", "${adminProperty:team}${adminProperty:snowflake}", listing(&["team"]), "NotGranted withdraws"),
        ("not listed, and unread", snowflake, SeenDss { user: SeenUser::Unread, ..seen() }, "NotGranted withdraws"),
        ("not listed, and recorded before", snowflake, SeenDss { fresh: false, ..seen() }, "NotGranted withdraws"),
    ] {
        assert_eq!(verdict(&config(template), &seen), expected, "{row}");
    }
    let refusal = role_of(&config(snowflake), Some(&listing(&["associatedRole"]))).unwrap_err();
    let message = refusal.why.message;
    let parts =
        ["DssInstance \"design\"", "\"snowflake\"", "roleProperties: associatedRole", "a cluster admin can add it"];
    assert!(parts.iter().all(|part| message.contains(part)) && !message.contains("Sentinel"), "{message}");
}

#[test]
fn a_value_that_is_no_role_is_never_quoted() {
    let account: fn(&mut Value) = |_| {};
    let no_account: fn(&mut Value) = |spec| drop(spec.as_object_mut().unwrap().remove("awsAccountId"));
    let no_role =
        "${adminProperty:associatedRole} of user \"alice\" of DssInstance \"design\" does not hold the ARN of a role";
    let name = "holds the name of a role and not its ARN; awsAccountId of the DssInstance would complete it";
    for (row, value, change, said) in [
        ("a text", "Sentinel with blanks", account, no_role),
        ("a text, without an account", "Sentinel!", no_account, no_role),
        ("another ARN", "arn:aws:iam::123456789012:user/Sentinel", account, no_role),
        ("the beginning of an ARN", "arn:Sentinel", no_account, no_role),
        ("a name, without an account", "Sentinel", no_account, name),
    ] {
        let user = user(|user| {
            user.admin_properties.as_mut().unwrap().insert("associatedRole".into(), value.into());
        });
        let seen = SeenDss { instance: Some(instance(change)), user, ..seen() };
        let message = role_of(&config(PROPERTY), Some(&seen)).unwrap_err().why.message;
        assert!(message.contains(said) && !message.contains("Sentinel"), "{row}: {message}");
        assert!(!format!("{seen:?}").contains("Sentinel"), "{row}: in Debug output");
    }
}

#[test]
fn a_resolved_role_is_remembered_for_the_same_request_only() {
    let unread = SeenDss { user: SeenUser::Unread, ..seen() };
    let status = json!({"conditions": [], "dss": {"instance": "design", "login": "alice",
        "resolvedRole": {"from": PROPERTY, "role": ANALYST}}});
    let remembers = |role: &str, change: &dyn Fn(&mut Value)| {
        let (mut config, mut status) = (config(role), status.clone());
        change(&mut status);
        config.status = serde_json::from_value(status).unwrap();
        config
    };
    let same = remembers(PROPERTY, &|_| {});
    assert_eq!(verdict(&same, &unread), ANALYST);
    assert_eq!(verdict(&same, &SeenDss { fresh: false, ..unread.clone() }), "Pending waits", "not for ever");
    let both = instance(|spec| spec["roleProperties"] = json!(["associatedRole", "other"]));
    let unread = SeenDss { instance: Some(both), ..unread };
    for other in [
        remembers("${adminProperty:other}", &|_| {}),
        remembers(PROPERTY, &|status| status["dss"]["login"] = json!("bob")),
        remembers(PROPERTY, &|status| status["dss"]["instance"] = json!("other")),
    ] {
        assert_eq!(verdict(&other, &unread), "Pending waits");
    }
}

#[test]
fn users_are_fresh_for_max_stale_across_processes() {
    let at = |hour: i64| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(hour);
    let mut design = DssInstance::clone(&instance(|spec| spec["maxStale"] = json!("2h")));
    let is_fresh = |design: &DssInstance, read_at, now| is_fresh(design, read_at, false, now);
    assert!(!is_fresh(&design, None, at(0)), "nothing was ever read");
    assert!(is_fresh(&design, Some(at(0)), at(2)) && !is_fresh(&design, Some(at(0)), at(3)));
    design.status.get_or_insert_default().users_read_at = Some(Time(at(5)));
    assert!(is_fresh(&design, None, at(7)), "by a process before");
    assert!(is_fresh(&design, Some(at(6)), at(8)) && !is_fresh(&design, Some(at(0)), at(8)));
}

#[test]
fn users_read_seldom_are_fresh_until_the_next_read_is_late_or_fails() {
    let at = |hour: i64| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(hour);
    let seldom = instance(|spec| (spec["refresh"], spec["maxStale"]) = (json!("12h"), json!("1h")));
    assert!(is_fresh(&seldom, Some(at(0)), true, at(13)) && !is_fresh(&seldom, Some(at(0)), true, at(25)));
    assert!(!is_fresh(&seldom, Some(at(0)), false, at(2)), "DSS is down");
    assert!(!is_fresh(&seldom, None, true, at(2)), "this process has not read it yet");
}

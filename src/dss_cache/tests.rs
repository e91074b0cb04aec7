use super::*;
use crate::dss::PersonalKey;

fn dss_cache() -> DssCache {
    DssCache::new(Arc::new(|_| Err(InvalidTls::CaBundle)))
}

fn user(login: &str, role: Option<&str>) -> User {
    let properties = role.map(|role| [("role".to_owned(), role.to_owned())].into());
    User { login: login.to_owned(), enabled: true, admin_properties: properties }
}

fn names(changed: &BTreeSet<String>) -> Vec<&str> {
    changed.iter().map(String::as_str).collect()
}

#[test]
fn a_listing_returns_the_logins_whose_state_changed() {
    let known = dss_cache();
    let at = Timestamp::UNIX_EPOCH;
    let listing = |role| vec![user("alice", Some(role)), user("bob", Some("b"))];
    assert_eq!(names(&known.learn_users("d", at, listing("a"))), ["alice", "bob"], "the first is all new");
    assert_eq!(names(&known.learn_users("d", at, listing("a"))), [""; 0]);
    assert_eq!(names(&known.learn_users("d", at, listing("other"))), ["alice"]);
    assert_eq!(names(&known.learn_users("d", at, vec![user("bob", Some("b"))])), ["alice"], "who is missing now");
}

#[test]
fn a_missing_user_is_asked_for_once_by_name() {
    let known = dss_cache();
    assert_eq!(known.user("d", "alice"), SeenUser::Unread);
    let list = |users| known.learn_users("d", Timestamp::UNIX_EPOCH, users);
    list(vec![user("bob", None)]);
    assert_eq!(known.user("d", "alice"), SeenUser::Unlisted);
    assert_eq!(known.user("d", "bob"), SeenUser::Unlisted, "a listing without properties does not show enough");

    known.learn_user("d", "alice", Timestamp::UNIX_EPOCH, None);
    known.learn_user("d", "bob", Timestamp::UNIX_EPOCH, Some(user("bob", Some("b"))));
    assert_eq!(known.user("d", "alice"), SeenUser::Missing);
    assert!(matches!(known.user("d", "bob"), SeenUser::There(_)));

    list(vec![]);
    assert_eq!(known.user("d", "alice"), SeenUser::Missing, "once is enough");
    let later = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(61);
    assert_eq!(names(&known.learn_users("d", later, vec![user("bob", None)])), ["bob"], "it shows too little");
    assert_eq!(known.user("d", "alice"), SeenUser::Unlisted, "for an hour");
    assert_eq!(known.user("d", "bob"), SeenUser::Unlisted, "who was there may have gone");
    list(vec![user("alice", Some("a"))]);
    assert!(matches!(known.user("d", "alice"), SeenUser::There(_)), "a listing shows who has come");
    list(vec![]);
    assert_eq!(known.user("d", "alice"), SeenUser::Unlisted);
}

#[test]
fn keys_are_known_as_they_come_and_go() {
    let known = dss_cache();
    let key = |id: &str, label: &str| PersonalKey { id: id.into(), user: "alice".into(), label: label.into() };
    known.listing_keys("d");
    known.created("d", key("0", "ours"));
    assert_eq!(known.keys("d", "ours"), None, "not listed yet: there may be others");
    assert!(known.learn_keys("d", vec![key("1", "ours")]), "the listing began before");
    assert_eq!(known.keys("d", "ours").unwrap().len(), 2);
    assert!(!known.learn_keys("d", vec![key("1", "ours"), key("0", "ours")]));
    known.listing_keys("d");
    known.learn_keys("d", vec![key("1", "ours"), key("2", "theirs")]);
    known.created("d", key("3", "ours"));
    known.deleted("d", key("1", "ours"));
    assert_eq!(known.keys("d", "ours"), Some(vec![key("3", "ours")]));
}

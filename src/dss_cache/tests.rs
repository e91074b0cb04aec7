use super::*;
use crate::dss::{Lost, PersonalKey, Wire};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use std::time::Duration;

type Received = Response<Bytes>;

fn dss_cache() -> DssCache {
    DssCache::new(Arc::new(|_| Err(InvalidTls::CaBundle)))
}

fn user(login: &str, role: Option<&str>) -> User {
    let properties = role.map(|role| [("role".to_owned(), role.to_owned())].into());
    User { login: login.to_owned(), enabled: true, admin_properties: properties }
}

/// A wire whose answers take a second, and which counts how many are on their way.
#[derive(Debug, Default)]
struct Slow {
    now: Mutex<usize>,
    most: Mutex<usize>,
}

impl Wire for Slow {
    fn send(&self, _: Request<String>, _: usize) -> BoxFuture<'_, Result<Received, Lost>> {
        Box::pin(async {
            *self.now.lock() += 1;
            let now = *self.now.lock();
            let most = now.max(*self.most.lock());
            *self.most.lock() = most;
            tokio::time::sleep(Duration::from_secs(1)).await;
            *self.now.lock() -= 1;
            Ok(Response::new(Bytes::from_static(b"[]")))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn listings_of_several_dss_are_read_one_at_a_time() {
    let wire = Arc::new(Slow::default());
    let known = DssCache::new(Arc::new({
        let wire = wire.clone();
        move |_| Ok(wire.clone())
    }));
    let dss: Vec<Dss> = ["a", "b", "c"]
        .iter()
        .map(|name| known.reach(name, "https://dss", &"key".into(), Scheme::Basic, &Tls::default()).unwrap())
        .collect();
    let began = tokio::time::Instant::now();
    let (a, b, c) = tokio::join!(dss[0].users(), dss[1].personal_keys(), dss[2].users());
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!((*wire.most.lock(), began.elapsed().as_secs()), (1, 3), "one after the other");
    let (a, b) = tokio::join!(dss[0].version(), dss[1].version());
    assert!(a.is_err() && b.is_err(), "a list is no answer to that");
    assert_eq!(*wire.most.lock(), 2, "other calls wait for nobody");
}

#[test]
fn a_login_is_confirmed_for_the_present_client_only() {
    let known = DssCache::new(Arc::new(|_| Ok(Arc::new(Slow::default()))));
    let reach = |key: &str| known.reach("d", "https://dss", &key.into(), Scheme::Basic, &Tls::default()).unwrap();
    known.confirm("d", "alice");
    assert!(!known.is_confirmed("d", "alice"), "there is no client yet");
    let _ = reach("one");
    known.confirm("d", "alice");
    let _ = reach("one");
    assert!(known.is_confirmed("d", "alice") && !known.is_confirmed("d", "bob") && !known.is_confirmed("e", "alice"));
    let _ = reach("two");
    assert!(!known.is_confirmed("d", "alice"), "another admin key may not act as her");
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

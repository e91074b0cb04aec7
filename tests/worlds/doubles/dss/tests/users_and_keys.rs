//! Users and keys: reading them, and the rights to change them.

use serde_json::json;

use super::{acting_as, admin, dss, own_key, start, with_key};
use crate::doubles::dss::{ADMIN_KEY, ADMIN_KEY_ID, ADMIN_KEY_MARKER, ADMINISTRATORS, KEY_MARKER};

#[tokio::test(start_paused = true)]
async fn users_are_listed_with_settings_only_when_asked() {
    let dss = dss();
    for (query, shown) in [
        ("", false),
        ("?includeSettings=False", false),
        ("?includeSettings=True", true),
        ("?includeSettings=true", true),
    ] {
        let users = admin(&dss).get(&format!("/admin/users/{query}")).await.json();
        assert_eq!((&users[0]["login"], &users[1]["login"]), (&json!("alice"), &json!("bob")));
        assert_eq!(users[0].get("adminProperties").is_some(), shown, "{query}");
    }
    assert_eq!(admin(&dss).get("/admin/users/carol").await.error(), (404, "User not found: carol".to_owned()));
    assert_eq!(own_key(&dss, "bob").get("/admin/users/bob").await.error().0, 403);
    let public = own_key(&dss, "bob").get("/users/alice").await.json();
    assert_eq!((&public["groups"], public.get("adminProperties")), (&json!(["analysts"]), None));
}

#[tokio::test(start_paused = true)]
async fn a_user_is_replaced_by_an_admin_and_in_part_by_the_user() {
    let dss = dss();
    let mut alice = admin(&dss).get("/admin/users/alice").await.json();
    alice["adminProperties"]["associatedRole"] = json!("other");
    alice["secrets"] = json!([{ "name": "pin", "value": "1234", "secret": true }]);
    assert!(admin(&dss).put("/admin/users/alice", alice.clone()).await.json().is_object());
    alice["secrets"][0]["value"] = json!("e:AES:MTIzNA==");
    assert_eq!(admin(&dss).get("/admin/users/alice").await.json(), alice, "its value is encrypted");
    let info = acting_as(&dss, "alice").get("/auth/info?withSecrets=true").await.json();
    assert_eq!(info["secrets"], json!([{ "key": "pin", "value": "1234" }]));
    assert_eq!(admin(&dss).put("/admin/users/alice", json!({ "login": "bob" })).await.error().0, 400);
    assert_eq!(admin(&dss).put("/admin/users/carol", json!({ "login": "carol" })).await.error().0, 404);

    let own = own_key(&dss, "alice");
    let mut mine = own.get("/current-user").await.json();
    assert!(mine.get("adminProperties").is_none());
    mine["adminProperties"] = json!({ "associatedRole": "admin" });
    mine["userProperties"] = json!({ "colour": "red" });
    mine["groups"] = json!([ADMINISTRATORS]);
    assert_eq!(own.put("/current-user", mine).await.status, 204);
    alice["userProperties"] = json!({ "colour": "red" });
    assert_eq!(admin(&dss).get("/admin/users/alice").await.json(), alice, "nothing else was hers to change");
    assert_eq!(admin(&dss).get("/current-user").await.error().0, 403);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_some_users_changes_what_it_names_and_nothing_else() {
    let dss = dss();
    let before = admin(&dss).get("/admin/users/alice").await.json();
    let secret = json!({ "name": "pin", "value": "1234", "secret": true });
    let change = json!([{ "login": "alice", "secrets": [secret], "credentials": { "x": {} } }, { "login": "carol" }]);
    let said = admin(&dss).put("/admin/users/actions/bulk", change.clone()).await.json();
    assert_eq!((&said[0], &said[1]["status"]), (&json!({ "login": "alice", "status": "SUCCESS" }), &json!("FAILURE")));
    let mut after = admin(&dss).get("/admin/users/alice").await.json();
    assert_eq!(after["secrets"][0]["value"], "e:AES:MTIzNA==");
    after["secrets"] = before["secrets"].clone();
    assert_eq!(after, before, "credentials are not among the fields that the client documents");
    let refused = own_key(&dss, "alice").put("/admin/users/actions/bulk", change).await.error();
    assert_eq!(refused.0, 403, "only an administrator may");
}

#[tokio::test(start_paused = true)]
async fn a_personal_key_shows_its_value_once() {
    let dss = dss();
    let wanted = json!({ "user": "alice", "label": "keyturn", "description": "for a pod" });
    let created = admin(&dss).post("/admin/personal-api-keys/", wanted).await.json();
    let key = created["key"].as_str().unwrap();
    assert!(key.contains(KEY_MARKER) && !key.contains(ADMIN_KEY_MARKER) && ADMIN_KEY.contains(ADMIN_KEY_MARKER));
    assert_eq!(with_key(&dss, key).get("/auth/info").await.json()["associatedDSSUser"], "alice");

    let shown = json!({
        "id": created["id"], "user": "alice", "label": "keyturn", "description": "for a pod",
        "createdOn": start().as_millisecond(), "createdBy": ADMIN_KEY_ID,
    });
    assert_eq!(admin(&dss).get("/admin/personal-api-keys/").await.json(), json!([shown]));
    assert_eq!(acting_as(&dss, "alice").get("/personal-api-keys/").await.json(), json!([shown]));
    let path = format!("/personal-api-keys/{}", created["id"].as_str().unwrap());
    assert_eq!(with_key(&dss, key).get(&path).await.json(), shown);
    assert_eq!(with_key(&dss, key).put(&path, json!({ "label": "mine" })).await.status, 204);
    assert_eq!((dss.personal_keys()[0].label.as_str(), dss.keys_ever()), ("mine", 1));
}

#[tokio::test(start_paused = true)]
async fn keys_are_created_and_deleted_by_their_user_or_an_admin() {
    let dss = dss();
    let (alice, bob) = (own_key(&dss, "alice"), own_key(&dss, "bob"));
    let for_bob = json!({ "user": "bob", "label": "not hers to make" });
    assert_eq!(alice.post("/admin/personal-api-keys/", for_bob.clone()).await.error().0, 403);
    // The user's own route creates a key of that user, whatever the request names.
    assert_eq!(alice.post("/personal-api-keys/", for_bob.clone()).await.json()["user"], "alice");
    assert_eq!(acting_as(&dss, "bob").post("/personal-api-keys/", json!({})).await.json()["user"], "bob");
    assert_eq!(admin(&dss).post("/personal-api-keys/", for_bob).await.error().0, 403);
    let unknown = json!({ "user": "carol" });
    assert_eq!(admin(&dss).post("/admin/personal-api-keys/", unknown).await.error().0, 404);

    let of_alice = format!("/personal-api-keys/{}", dss.personal_keys()[0].id);
    assert_eq!(bob.get(&of_alice).await.error().0, 403);
    assert_eq!(bob.delete(&of_alice).await.error().0, 403);
    assert_eq!(acting_as(&dss, "bob").delete(&of_alice).await.error().0, 403);
    assert_eq!(admin(&dss).delete(&of_alice).await.status, 204);
    assert_eq!(admin(&dss).delete(&of_alice).await.error().0, 404);
    assert_eq!(alice.get("/auth/info").await.error().0, 401);
    let of_bob = format!("/personal-api-keys/{}", dss.personal_keys()[0].id);
    assert_eq!(bob.delete(&of_bob).await.status, 204);
    assert_eq!((dss.personal_keys().len(), dss.keys_ever()), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn an_admin_can_be_denied_the_keys_of_other_users() {
    let dss = dss();
    let id = dss.add_personal_key("alice", "hers").id;
    dss.keys_are_their_owners_only(true);
    let wanted = json!({ "user": "alice", "label": "keyturn" });
    assert_eq!(admin(&dss).post("/admin/personal-api-keys/", wanted).await.error().0, 403);
    assert_eq!(admin(&dss).delete(&format!("/personal-api-keys/{id}")).await.error().0, 403);
    assert_eq!(admin(&dss).get("/admin/personal-api-keys/").await.json()[0]["id"], id.as_str());
    assert_eq!(acting_as(&dss, "alice").delete(&format!("/personal-api-keys/{id}")).await.status, 204);
}

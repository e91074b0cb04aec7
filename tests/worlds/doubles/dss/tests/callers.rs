//! Authentication, acting as another user, and rights.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::{Asking, ROLE, acting_as, admin, dss, own_key, with_key};
use crate::doubles::dss::{ADMIN_KEY, ADMIN_KEY_ID, ADMINISTRATORS, NOBODY};

#[tokio::test(start_paused = true)]
async fn a_key_is_accepted_in_three_forms_under_two_base_paths() {
    let dss = dss();
    let shown = |text: String| BASE64_STANDARD.encode(text);
    let ways = [
        format!("Basic {}", shown(format!("{ADMIN_KEY}:"))),
        format!("Basic {}", shown(format!(":{ADMIN_KEY}"))),
        format!("Bearer {ADMIN_KEY}"),
    ];
    for authorization in ways {
        for base in ["/dip/publicapi", "/public/api"] {
            let asking = Asking { authorization: authorization.clone(), ..admin(&dss) };
            let answer = asking.send("GET", &format!("{base}/auth/info?withSecrets=False"), None).await.unwrap();
            assert_eq!(answer.json()["authIdentifier"], ADMIN_KEY_ID, "{authorization} {base}");
        }
    }
    let user_and_password =
        Asking { authorization: format!("Basic {}", shown(format!("alice:{ADMIN_KEY}"))), ..admin(&dss) };
    assert_eq!(user_and_password.get("/auth/info").await.error().0, 401);
    assert_eq!(with_key(&dss, "wrong").get("/auth/info").await.error(), (401, "Invalid API key".to_owned()));
    assert_eq!(with_key(&dss, "").get("/auth/info").await.error().0, 401);
    assert_eq!(dss.calls().last().unwrap().caller, NOBODY);
}

#[tokio::test(start_paused = true)]
async fn a_personal_key_acts_as_its_user_and_a_global_key_as_none() {
    let dss = dss();
    let alice = own_key(&dss, "alice").get("/auth/info?withSecrets=True").await.json();
    let expected = json!({
        "authSource": "PERSONAL_API_KEY", "via": [], "authIdentifier": "alice", "groups": ["analysts"],
        "userProfile": "DESIGNER", "associatedDSSUser": "alice", "userForImpersonation": "alice", "secrets": [],
    });
    assert_eq!(alice, expected);
    let global = admin(&dss).get("/auth/info").await.json();
    assert_eq!(global["authIdentifier"], ADMIN_KEY_ID);
    assert!(global.get("associatedDSSUser").is_none() && global.get("secrets").is_none());
    let acting = acting_as(&dss, "alice").get("/auth/info").await.json();
    assert_eq!((&acting["authIdentifier"], &acting["associatedDSSUser"]), (&json!("alice"), &json!("alice")));
}

#[tokio::test(start_paused = true)]
async fn a_global_key_names_its_user_and_keeps_its_own_rights() {
    let dss = dss();
    dss.add_global_key_for("global-1", "ordinary", "alice", false);
    dss.add_global_key_for("global-2", "mighty", "alice", true);
    for (key, id, users) in [("ordinary", "global-1", 403), ("mighty", "global-2", 200)] {
        let info = with_key(&dss, key).get("/auth/info").await.json();
        let expected = json!({
            "authSource": "CONFIGURABLE_API_KEY", "via": [], "authIdentifier": id, "groups": [],
            "associatedDSSUser": "alice", "userForImpersonation": "alice",
        });
        assert_eq!(info, expected);
        assert_eq!(with_key(&dss, key).get("/admin/users/").await.status, users, "{key}");
        assert_eq!(with_key(&dss, key).get("/current-user").await.error().0, 403, "{key} is no user");
    }
    dss.hides_kinds(true);
    assert!(own_key(&dss, "alice").get("/auth/info").await.json().get("authSource").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_visitor_is_known_by_the_headers_of_the_browser() {
    let dss = dss();
    dss.set_secret("bob", "pin", "1234");
    let (bob, carol) = (dss.visits("bob"), "dss_access_token=visit-9999".to_owned());
    let backend = own_key(&dss, "alice");
    let path = "/auth/info-from-browser-headers?withSecrets=";
    for (case, header, cookie, login) in [
        ("alone", "Cookie", bob.clone(), Some("bob")),
        ("beside another", "cookie", format!("a=b; {bob}"), Some("bob")),
        ("unknown", "Cookie", carol, None),
        ("in another header", "X-Cookie", bob.clone(), None),
        ("a part", "Cookie", bob[..bob.len() - 1].to_owned(), None),
    ] {
        let answer = backend.post(&format!("{path}False"), json!({"Host": "dss", header: cookie})).await;
        match login {
            Some(login) => assert_eq!(answer.json()["authIdentifier"], login, "{case}"),
            None => assert_eq!(answer.error().0, 401, "{case}"),
        }
    }
    let headers = json!({"Cookie": bob});
    let info = backend.post(&format!("{path}True"), headers.clone()).await.json();
    assert_eq!(info["secrets"], json!([{"key": "pin", "value": "1234"}]));
    assert_eq!(with_key(&dss, "wrong").post(path, headers.clone()).await.error().0, 401, "the backend needs a key");
    dss.set_enabled("bob", false);
    assert_eq!(backend.post(path, headers).await.error().0, 401);
}

#[tokio::test(start_paused = true)]
async fn only_an_admin_may_act_as_another_user_and_only_an_enabled_one() {
    let dss = dss();
    dss.add_global_key("reader", "reader-key", &["analysts"]);
    dss.add_global_key_for("bobs", "key-of-bob", "bob", false);
    for (key, asking) in [
        ("personal", own_key(&dss, "bob")),
        ("global", with_key(&dss, "reader-key")),
        ("global, with an associated user", with_key(&dss, "key-of-bob")),
    ] {
        let asking = Asking { proxy_user: Some("alice"), ..asking };
        for path in ["/auth/info", "/personal-api-keys/", "/connections/lake/info"] {
            assert_eq!(asking.get(path).await.error().0, 403, "a {key} key: {path}");
        }
    }
    dss.add_user("dana", &[ADMINISTRATORS]);
    let as_alice = Asking { proxy_user: Some("alice"), ..own_key(&dss, "dana") }.get("/auth/info").await.json();
    assert_eq!(as_alice["associatedDSSUser"], "alice", "a personal key of an admin may be everybody");
    assert_eq!(acting_as(&dss, "nobody").get("/auth/info").await.error().0, 404);
    dss.set_enabled("alice", false);
    assert_eq!(acting_as(&dss, "alice").get("/auth/info").await.error().0, 403);
    dss.set_enabled("alice", true);
    assert_eq!(acting_as(&dss, "alice").get("/auth/info").await.status, 200);
    // A caller that acts as a user has that user's rights and no more.
    assert_eq!(acting_as(&dss, "alice").get("/admin/users/").await.error().0, 403);
    dss.set_groups("alice", &[ADMINISTRATORS]);
    assert_eq!(acting_as(&dss, "alice").get("/admin/users/").await.status, 200);
    assert_eq!(dss.calls().last().unwrap().proxy_user.as_deref(), Some("alice"));
}

#[tokio::test(start_paused = true)]
async fn the_key_of_a_disabled_removed_or_renamed_user_is_rejected() {
    let dss = dss();
    let (alice, bob) = (own_key(&dss, "alice"), own_key(&dss, "bob"));
    dss.set_enabled("alice", false);
    assert_eq!(alice.get("/auth/info").await.error().0, 401);
    dss.set_enabled("alice", true);
    assert_eq!(alice.get("/auth/info").await.status, 200);
    dss.remove_user("bob");
    assert_eq!(bob.get("/auth/info").await.error().0, 401);
    dss.rename_user("alice", "alicia");
    assert_eq!(alice.get("/auth/info").await.error().0, 401);
    assert_eq!(acting_as(&dss, "alicia").get("/personal-api-keys/").await.json(), json!([]));
    let alicia = admin(&dss).get("/admin/users/alicia").await.json();
    assert_eq!(alicia["adminProperties"]["associatedRole"], ROLE);
    let callers: Vec<String> = dss.calls().into_iter().map(|call| call.caller).collect();
    assert_eq!(callers[0], dss.personal_keys()[0].id, "the log knows the key all the same");
}

#[tokio::test(start_paused = true)]
async fn the_admin_key_can_be_rotated_and_can_lose_its_rights() {
    let dss = dss();
    dss.rotate_admin_key("another");
    assert_eq!(admin(&dss).get("/admin/users/").await.error().0, 401);
    assert_eq!(with_key(&dss, "another").get("/admin/users/").await.status, 200);
    dss.revoke_admin_right();
    let another = with_key(&dss, "another");
    assert_eq!(another.get("/auth/info").await.status, 200);
    for path in ["/admin/users/", "/admin/users/alice", "/admin/personal-api-keys/"] {
        assert_eq!(another.get(path).await.error().0, 403, "{path}");
    }
    assert_eq!(Asking { proxy_user: Some("alice"), ..another }.get("/auth/info").await.error().0, 403);
    dss.restore_admin_right();
    assert_eq!(with_key(&dss, "another").get("/admin/users/").await.status, 200);
}

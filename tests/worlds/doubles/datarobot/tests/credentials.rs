//! What a credential is created with, what an update changes, and what deletes it.

use serde_json::{Value, json};

use super::{datarobot, id_of, session_of, start};
use crate::doubles::datarobot::Triplet;

fn triplet(key: &str, secret: &str, token: Option<&str>) -> Triplet {
    Triplet {
        access_key_id: key.to_owned(),
        secret_access_key: secret.to_owned(),
        session_token: token.map(str::to_owned),
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_shows_a_credential_without_its_values() {
    let (datarobot, svc) = datarobot();
    let body = session_of(1, json!({"name": "alice", "credentialType": "s3", "description": "of alice"}));
    let created = svc.post("/credentials/", body).await;
    let expected = json!({
        "credentialId": datarobot.credential("svc", "alice").unwrap().id,
        "name": "alice",
        "credentialType": "s3",
        "description": "of alice",
        "creationDate": start(),
    });
    assert_eq!((created.status, created.json()), (201, expected.clone()));
    let path = format!("/credentials/{}/", expected["credentialId"].as_str().unwrap());
    assert_eq!(svc.get(&path).await.json(), expected);
    datarobot.answers_updates_with_object(true);
    let updated = svc.patch(&path, session_of(2, json!({}))).await;
    assert_eq!((updated.status, updated.json()), (200, expected.clone()));
    for answer in [svc.get(&path).await, svc.get("/credentials/").await, created, updated] {
        for value in ["ASIA", "secret-", "token-"] {
            assert!(!answer.body.contains(value), "{value}: {}", answer.body);
        }
    }
    assert_eq!(id_of(&path).len(), 24);
}

#[tokio::test(start_paused = true)]
async fn a_creation_needs_the_fields_of_its_type_and_a_free_name() {
    let (datarobot, svc) = datarobot();
    let rows: [(&str, Value, u16); 12] = [
        ("an S3 credential", session_of(1, json!({"name": "s3", "credentialType": "s3"})), 201),
        ("an S3 credential without values", json!({"name": "empty", "credentialType": "s3"}), 201),
        ("a password", json!({"name": "db", "credentialType": "basic", "user": "u", "password": "p"}), 201),
        ("a token", json!({"name": "git", "credentialType": "oauth", "token": "t", "refreshToken": "r"}), 201),
        ("a name in use", json!({"name": "s3", "credentialType": "s3"}), 409),
        ("no name", json!({"credentialType": "s3"}), 422),
        ("an empty name", json!({"name": "", "credentialType": "s3"}), 422),
        ("no password", json!({"name": "x", "credentialType": "basic", "user": "u"}), 422),
        ("an unknown type", json!({"name": "x", "credentialType": "vault"}), 422),
        ("the field of another type", json!({"name": "x", "credentialType": "s3", "password": "p"}), 422),
        ("a null", json!({"name": "x", "credentialType": "s3", "description": null}), 422),
        ("no object", json!("x"), 400),
    ];
    for (row, body, status) in rows {
        let answer = svc.post("/credentials/", body).await;
        assert_eq!(answer.status, status, "{row}: {}", answer.body);
    }
    let kinds: Vec<String> = datarobot.credentials("svc").into_iter().map(|credential| credential.kind).collect();
    assert_eq!(kinds, ["s3", "s3", "basic", "oauth"]);
    let password = datarobot.credential("svc", "db").unwrap();
    assert_eq!((password.values["password"].as_str(), password.triplet()), ("p", None));
    assert_eq!(datarobot.credentials_ever(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_update_changes_what_it_names_and_keeps_the_id() {
    let (datarobot, svc) = datarobot();
    let path = svc.create("alice", 1).await;
    let updated = svc.patch(&path, session_of(2, json!({}))).await;
    assert_eq!((updated.status, updated.body.as_str()), (200, ""));
    let held = [triplet("ASIA1", "secret-1", Some("token-1")), triplet("ASIA2", "secret-2", Some("token-2"))];
    assert_eq!(datarobot.held("svc", id_of(&path)), held);

    // A part of a session is stored as it is.
    svc.patch(&path, json!({"awsAccessKeyId": "ASIA3"})).await;
    assert_eq!(datarobot.holds("svc", id_of(&path)), Some(triplet("ASIA3", "secret-2", Some("token-2"))));
    svc.patch(&path, json!({"awsSecretAccessKey": "secret-3", "awsSessionToken": "token-3"})).await;
    let held = datarobot.held("svc", id_of(&path));
    assert_eq!((held.len(), &held[3]), (4, &triplet("ASIA3", "secret-3", Some("token-3"))));
    assert_eq!((datarobot.credentials("svc").len(), datarobot.credentials_ever()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_name_without_a_description_clears_the_description() {
    let (datarobot, svc) = datarobot();
    let path = svc.create("alice", 1).await;
    for (row, body, name, description) in [
        ("a description", json!({"description": "hers"}), "alice", "hers"),
        ("a name and a description", json!({"name": "bob", "description": "his"}), "bob", "his"),
        ("values", session_of(2, json!({})), "bob", "his"),
        ("a name alone", json!({"name": "bob"}), "bob", ""),
    ] {
        assert_eq!(svc.patch(&path, body).await.status, 200, "{row}");
        let seen = svc.get(&path).await.json();
        assert_eq!((&seen["name"], &seen["description"]), (&json!(name), &json!(description)), "{row}");
    }
    assert_eq!(datarobot.holds("svc", id_of(&path)).unwrap().access_key_id, "ASIA2");
}

#[tokio::test(start_paused = true)]
async fn an_update_that_makes_no_sense_changes_nothing() {
    let (datarobot, svc) = datarobot();
    let path = svc.create("alice", 1).await;
    let password = datarobot.add_credential("svc", "db", "basic", &[("user", "u"), ("password", "p")]);
    let password = format!("/credentials/{password}/");
    let before = datarobot.credentials("svc");
    let rows: [(&str, &str, Value, u16); 7] = [
        ("no field", &path, json!({}), 422),
        ("an unknown field", &path, json!({"awsAccessKey": "ASIA2"}), 422),
        ("an empty value", &path, json!({"awsSessionToken": ""}), 422),
        ("a null", &path, json!({"awsSessionToken": null}), 422),
        ("an AWS key for a password", &password, session_of(2, json!({})), 422),
        ("a name in use", &path, session_of(2, json!({"name": "db"})), 409),
        ("an unknown ID", "/credentials/6a0000000000000000000099/", session_of(2, json!({})), 404),
    ];
    for (row, path, body, status) in rows {
        let answer = svc.patch(path, body).await;
        assert_eq!(answer.error().0, status, "{row}: {}", answer.body);
    }
    assert_eq!(datarobot.credentials("svc"), before);
}

#[tokio::test(start_paused = true)]
async fn a_credential_in_use_is_not_deleted() {
    let (datarobot, svc) = datarobot();
    let path = svc.create("alice", 1).await;
    datarobot.set_in_use("svc", id_of(&path), true);
    assert_eq!(svc.delete(&path).await.error().0, 409);
    datarobot.set_in_use("svc", id_of(&path), false);
    assert_eq!(svc.delete(&path).await.status, 204);
    assert_eq!((svc.delete(&path).await.status, svc.get(&path).await.status), (404, 404));
    let again = svc.create("alice", 2).await;
    assert_ne!(again, path, "a new credential has a new ID");
}

#[tokio::test(start_paused = true)]
async fn changes_by_hand_are_seen_by_every_caller() {
    let (datarobot, svc) = datarobot();
    let id = datarobot.add_credential("svc", "lake", "s3", &[("awsAccessKeyId", "AKIA"), ("awsSecretAccessKey", "s")]);
    assert_eq!(datarobot.holds("svc", &id), Some(triplet("AKIA", "s", None)));
    let path = format!("/credentials/{id}/");
    datarobot.change_credential("svc", &id, |credential| credential.name = "mine".to_owned());
    assert_eq!(svc.get(&path).await.json()["name"], "mine");
    datarobot.change_credential("svc", &id, |credential| {
        credential.values.insert("awsAccessKeyId".to_owned(), "AKIA2".to_owned());
    });
    assert_eq!(datarobot.held("svc", &id).len(), 2);
    datarobot.remove_credential("svc", &id);
    assert_eq!((svc.get(&path).await.status, datarobot.holds("svc", &id)), (404, None));
}

//! DataRobot's own Python client against the double of DataRobot: what the client reads of it, and
//! what the client says when it is refused. No operator runs.

use super::{
    aws_cli::AwsCli,
    datarobot::{ACCOUNT, DataRobotServer},
    ground::run_with_input,
    install::Install,
};
use crate::doubles::datarobot::{Behaviour, TOKEN_MARKER, Triplet};
use serde_json::{Value, json};

/// A session of the role that may read and write the release's first bucket.
fn session(install: &Install<'_>) -> Triplet {
    let external_id = format!("{}/{}", install.cluster, install.namespace);
    let role = install.role("ds-analyst");
    let arguments = ["sts", "assume-role", "--role-session-name", "user", "--output", "json", "--role-arn", &role];
    let arguments = [&arguments[..], &["--external-id", &external_id]].concat();
    let key = (&*install.aws.access_key_id, &*install.aws.secret_access_key, None);
    let said = AwsCli::of(install.ground).run(key, &arguments, b"").unwrap();
    let said: Value = serde_json::from_slice(&said).unwrap();
    let text = |name: &str| said["Credentials"][name].as_str().unwrap().to_owned();
    Triplet {
        access_key_id: text("AccessKeyId"),
        secret_access_key: text("SecretAccessKey"),
        session_token: Some(text("SessionToken")),
    }
}

/// The three values as arguments.
fn arguments(triplet: &Triplet) -> [&str; 3] {
    [&triplet.access_key_id, &triplet.secret_access_key, triplet.session_token.as_deref().unwrap()]
}

/// Names and types in a list.
fn names(saw: &Value) -> Vec<(&str, &str)> {
    let listed = saw["credentials"].as_array().unwrap_or_else(|| panic!("{saw}")).iter();
    listed.map(|each| (each["name"].as_str().unwrap(), each["type"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn datarobot_s_own_client_keeps_and_uses_credentials() {
    let install = Install::scoped().await;
    let server = DataRobotServer::start(install.ground).await;
    let first = session(&install);

    let [key, secret, token] = arguments(&first);
    let basic = ["--create-basic", "db", "me", "my password"];
    let oauth = ["--create-oauth", "git", "a token", "another"];
    let s3 = ["--create-s3", "lake", key, secret, token];
    let saw = server.user(None, &[&basic[..], &oauth, &s3].concat()).await;
    assert_eq!(saw["client"], "3.20.0", "{saw}");
    assert_eq!(names(&saw), [("db", "basic"), ("git", "oauth"), ("lake", "s3")], "{saw}");
    assert_eq!(saw["s3"]["description"], "");
    let id = saw["s3"]["id"].as_str().unwrap().to_owned();
    assert_eq!(server.datarobot.holds(ACCOUNT, &id), Some(first.clone()));
    let db = server.datarobot.credential(ACCOUNT, "db").unwrap();
    assert_eq!((db.values["user"].as_str(), db.values["password"].as_str()), ("me", "my password"));

    a_batch_prediction_has_the_rights_of_the_stored_session(&install, &server, &id).await;
    an_update_replaces_the_session_in_place(&install, &server, &id).await;
    a_list_is_read_page_by_page(&server).await;
    the_client_says_why_datarobot_refuses(&server, &id).await;
}

async fn a_batch_prediction_has_the_rights_of_the_stored_session(
    install: &Install<'_>,
    server: &DataRobotServer,
    id: &str,
) {
    let [allowed, other] = &install.aws.buckets[..] else { panic!("two buckets") };
    for bucket in [allowed, other] {
        let mut put = install.aws_as_root(&install.account, &["s3", "cp", "-", &format!("s3://{bucket}/in.csv")]);
        let (ok, said) = run_with_input(&mut put, "amount,country\n10,FR\n20,DE\n");
        assert!(ok, "{said}");
    }
    let place = |bucket: &str, key: &str| format!("s3://{bucket}/{key}");
    let (source, target) = (place(allowed, "in.csv"), place(allowed, "out.csv"));
    let saw = server.user(Some(id), &["--score", &source, &target]).await;
    assert_eq!(saw["score"]["status"], "COMPLETED", "{saw}");
    let mut get = install.aws_as_root(&install.account, &["s3", "cp", &target, "-"]);
    assert_eq!(run_with_input(&mut get, ""), (true, "prediction\n1\n1\n".to_owned()));

    let saw = server.user(Some(id), &["--score", &place(other, "in.csv"), &target]).await;
    assert_eq!(saw["score"]["status"], "ABORTED", "{saw}");
    let details = saw["score"]["details"].as_str().unwrap();
    assert!(details.contains("could not read") && details.contains("403"), "{details}");
}

async fn an_update_replaces_the_session_in_place(install: &Install<'_>, server: &DataRobotServer, id: &str) {
    let next = session(install);
    let [key, secret, token] = arguments(&next);
    let place = format!("s3://{}", install.aws.buckets[0]);
    let score = ["--score", &format!("{place}/in.csv"), &format!("{place}/out.csv")];
    let update = ["--update-s3", key, secret, token];
    let saw = server.user(Some(id), &[&update[..], &score].concat()).await;
    assert_eq!((&saw["updated"]["id"], &saw["credential"]["name"]), (&json!(id), &json!("lake")), "{saw}");
    assert_eq!(saw["score"]["status"], "COMPLETED", "{saw}");
    assert_eq!(server.datarobot.held(ACCOUNT, id).last(), Some(&next));
    assert_eq!(server.datarobot.held(ACCOUNT, id).len(), 2, "no mixture of two sessions in between");

    let saw =
        server.user(Some(id), &[&["--update-s3", "ASIAUNKNOWN000000000", secret, token][..], &score].concat()).await;
    assert_eq!(saw["score"]["status"], "ABORTED", "{saw}");
}

async fn a_list_is_read_page_by_page(server: &DataRobotServer) {
    server.datarobot.set_page(2);
    server.datarobot.clear();
    let saw = server.user(None, &[]).await;
    assert_eq!(names(&saw).len(), 3, "{saw}");
    assert_eq!(server.datarobot.count_where(|call| call.path == "/credentials/"), 2);
}

async fn the_client_says_why_datarobot_refuses(server: &DataRobotServer, id: &str) {
    let refused = |saw: &Value, step: &str| {
        let error = saw[step]["error"].as_str().unwrap_or_else(|| panic!("{step}: {saw}")).to_owned();
        (saw[step]["status"].as_u64().unwrap(), error)
    };
    let saw = server.user(None, &["--create-basic", "lake", "me", "my password"]).await;
    let (status, error) = refused(&saw, "basic");
    assert!(status == 409 && error.contains("already in use"), "{saw}");
    let unknown = "6a0000000000000000000099";
    let saw = server.user(Some(unknown), &["--score", "s3://a/b", "s3://a/c", "--delete"]).await;
    for (step, wanted, words) in [
        ("score", 422, "names a credential that does not exist"),
        ("credential", 404, "Not found"),
        ("deleted", 404, "Not found"),
    ] {
        let (status, error) = refused(&saw, step);
        assert!(status == wanted && error.contains(words), "{step}: {saw}");
    }
    server.datarobot.may_use_credentials(ACCOUNT, false);
    let saw = server.user(None, &[]).await;
    assert_eq!(refused(&saw, "credentials").0, 403, "{saw}");
    server.datarobot.may_use_credentials(ACCOUNT, true);

    // The client sends a request again that a page of a proxy with 503 answered.
    server.datarobot.once(Behaviour::Maintenance);
    server.datarobot.set_in_use(ACCOUNT, id, true);
    let saw = server.user(Some(id), &["--delete"]).await;
    assert_eq!(refused(&saw, "deleted").0, 409, "{saw}");
    server.datarobot.set_in_use(ACCOUNT, id, false);
    let saw = server.user(Some(id), &["--delete"]).await;
    assert_eq!(saw["deleted"], json!(null));
    assert_eq!(server.datarobot.credential(ACCOUNT, "lake"), None);

    // The client repeats a refused token in its error, which is why nobody may log that.
    let saw = server.user_with(&format!("{TOKEN_MARKER}-unknown"), None, &[]).await;
    let (status, error) = refused(&saw, "client");
    assert!(status == 401 && error.contains(TOKEN_MARKER), "{saw}");
}

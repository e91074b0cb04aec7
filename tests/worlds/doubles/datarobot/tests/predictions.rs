//! Batch predictions, and the S3 that they read with a stored credential.

use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Asking, datarobot, id_of, start};
use crate::doubles::datarobot::{Access, DataRobot, Operation, any_storage, storage_of};
use crate::doubles::sts::{Issued, Sts};
use crate::doubles::wire::tokio_clock;

/// The body with which the Python client creates a job.
fn job(credential: &str) -> Value {
    json!({
        "deploymentId": "5c6f7a9e9ca9b20017ff95a2",
        "intakeSettings": {"type": "s3", "url": "s3://lake/in.csv", "credentialId": credential},
        "outputSettings": {"type": "s3", "url": "s3://lake/out.csv", "credentialId": credential},
    })
}

/// Runs a job. Returns its status and its details.
async fn run(svc: &Asking, credential: &str) -> (String, String) {
    let created = svc.post("/batchPredictions/", job(credential)).await;
    assert_eq!((created.status, &created.json()["status"]), (202, &json!("INITIALIZING")), "{}", created.body);
    let location = created.headers["location"].to_str().unwrap().to_owned();
    let seen = svc.get(&location).await.json();
    assert_eq!(seen["links"]["self"], json!(location));
    let text = |field: &str| seen[field].as_str().unwrap().to_owned();
    (text("status"), text("statusDetails"))
}

#[tokio::test(start_paused = true)]
async fn a_job_reads_and_writes_with_the_stored_credential() {
    let (datarobot, svc) = datarobot();
    let asked: Arc<Mutex<Vec<Access>>> = Arc::default();
    let (seen, s3) = (asked.clone(), any_storage());
    datarobot.set_storage(Arc::new(move |access| {
        seen.lock().unwrap().push(access.clone());
        s3(access)
    }));
    let path = svc.create("alice", 1).await;
    assert_eq!(run(&svc, id_of(&path)).await.0, "COMPLETED");
    let asked = asked.lock().unwrap().clone();
    let triplet = datarobot.holds("svc", id_of(&path)).unwrap();
    let access =
        |url: &str, operation| Access { triplet: triplet.clone(), url: url.to_owned(), endpoint_url: None, operation };
    let predictions = Operation::Write(b"prediction\n1\n1\n".to_vec());
    assert_eq!(asked, [access("s3://lake/in.csv", Operation::Read), access("s3://lake/out.csv", predictions)]);
    assert_eq!(svc.delete(&path).await.status, 204, "a job that has ended uses no credential");
}

/// Stores the values in the credential.
fn store(datarobot: &DataRobot, id: &str, [key, secret, token]: [&str; 3]) {
    datarobot.change_credential("svc", id, |credential| {
        let fields = [("awsAccessKeyId", key), ("awsSecretAccessKey", secret), ("awsSessionToken", token)];
        credential.values = fields.map(|(field, value)| (field.to_owned(), value.to_owned())).into();
    });
}

/// The three values of a session.
fn values(session: &Issued) -> [&str; 3] {
    [&session.access_key_id, &session.secret_access_key, &session.session_token]
}

#[tokio::test(start_paused = true)]
async fn a_job_is_aborted_unless_all_values_are_of_one_session() {
    let (datarobot, svc) = datarobot();
    let clock = tokio_clock(start());
    let sts = Sts::new(clock.clone());
    datarobot.set_storage(storage_of(&sts, clock));
    let [first, second] = [1, 2].map(|_| sts.issue("arn:aws:iam::123456789012:role/analyst", "alice", 3600));
    let ([key, secret, token], [_, other_secret, other_token]) = (values(&first), values(&second));
    let id = datarobot.add_credential("svc", "alice", "s3", &[]);
    for (row, values, expected) in [
        ("a session", [key, secret, token], None),
        ("an unknown key", ["ASIAUNKNOWN", secret, token], Some("InvalidAccessKeyId")),
        ("the secret of another session", [key, other_secret, token], Some("SignatureDoesNotMatch")),
        ("the token of another session", [key, secret, other_token], Some("InvalidToken")),
    ] {
        store(&datarobot, &id, values);
        let (status, details) = run(&svc, &id).await;
        let wanted = expected.map_or("COMPLETED", |_| "ABORTED");
        assert_eq!(status, wanted, "{row}: {details}");
        assert!(details.contains(expected.unwrap_or("completed")), "{row}: {details}");
    }
    store(&datarobot, &id, [key, secret, token]);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(run(&svc, &id).await.1, "DataRobot could not read s3://lake/in.csv: ExpiredToken");
}

#[tokio::test(start_paused = true)]
async fn a_job_needs_an_s3_credential_of_its_own_account() {
    let (datarobot, svc) = datarobot();
    datarobot.add_account("other");
    let others = datarobot.add_credential("other", "lake", "s3", &[]);
    let password = datarobot.add_credential("svc", "db", "basic", &[("user", "u"), ("password", "p")]);
    let empty = datarobot.add_credential("svc", "empty", "s3", &[]);
    for (row, credential) in [("another account", &others), ("a password", &password), ("no ID", &"x".to_owned())] {
        assert_eq!(svc.post("/batchPredictions/", job(credential)).await.error().0, 422, "{row}");
    }
    assert_eq!(svc.post("/batchPredictions/", json!({"deploymentId": "d"})).await.error().0, 422);
    assert_eq!(svc.get("/batchPredictions/6b0000000000000000000099/").await.error().0, 404);
    let (status, details) = run(&svc, &empty).await;
    assert!(status == "ABORTED" && details.contains("no key or no secret"), "{status}: {details}");
}

#[tokio::test(start_paused = true)]
async fn a_credential_is_in_use_while_a_job_runs() {
    let (datarobot, svc) = datarobot();
    let path = svc.create("alice", 1).await;
    datarobot.set_storage(Arc::new(|_| Box::pin(std::future::pending())));
    let running = tokio::spawn({
        let (svc, id) = (svc.clone(), id_of(&path).to_owned());
        async move { svc.post("/batchPredictions/", job(&id)).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(svc.delete(&path).await.error().0, 409);
    running.abort();
}

//! Batch predictions: jobs that read a data set from S3 and write predictions to S3, with stored
//! credentials.
//!
//! The routes and the fields are those that `BatchPredictionJob.score()` of the Python client sends
//! and reads. The double needs no deployment, and predicts 1 for every row. A job is carried out
//! before its creation is answered. The answer shows it in its first state, as DataRobot's does,
//! and every read after that in its last.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Origin, Refusal};
use super::caller::Owner;
use super::storage::{Access, Operation};
use super::{DataRobot, Triplet};
use crate::doubles::page::with_header;

/// A job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    id: String,
    account: String,
    spec: Spec,
    created_at: Timestamp,
    status: Status,
    details: String,
    rows: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Initializing,
    Completed,
    Aborted,
}

/// The creation of a job. DataRobot has many more settings, which change nothing here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    deployment_id: String,
    intake_settings: Place,
    output_settings: Place,
}

/// A place in S3. DataRobot reads public buckets without a credential; the double does not.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    #[serde(rename = "type")]
    kind: String,
    url: String,
    credential_id: String,
    endpoint_url: Option<String>,
}

impl Place {
    fn shown(&self) -> Value {
        let mut place = json!({ "type": self.kind, "url": self.url, "credentialId": self.credential_id });
        if let Some(endpoint) = &self.endpoint_url {
            place["endpointUrl"] = json!(endpoint);
        }
        place
    }
}

impl Job {
    /// Whether the job is under way with this credential.
    pub(super) fn uses(&self, credential: &str) -> bool {
        let places = [&self.spec.intake_settings, &self.spec.output_settings];
        self.status == Status::Initializing && places.iter().any(|place| place.credential_id == credential)
    }

    fn path(&self) -> String {
        format!("/batchPredictions/{}/", self.id)
    }

    fn shown(&self, origin: &Origin) -> Value {
        let (status, done) = match self.status {
            Status::Initializing => ("INITIALIZING", 0.0),
            Status::Completed => ("COMPLETED", 100.0),
            Status::Aborted => ("ABORTED", 0.0),
        };
        json!({
            "id": self.id,
            "status": status,
            "statusDetails": self.details,
            "percentageCompleted": done,
            "elapsedTimeSec": 0,
            "created": self.created_at,
            "createdBy": { "username": self.account },
            "queued": false,
            "scoredRows": self.rows,
            "failedRows": 0,
            "skippedRows": 0,
            "jobIntakeSize": 0,
            "jobOutputSize": 0,
            "logs": [self.details],
            "links": { "self": origin.url(&self.path()) },
            "jobSpec": {
                "numConcurrent": 1,
                "deploymentId": self.spec.deployment_id,
                "intakeSettings": self.spec.intake_settings.shown(),
                "outputSettings": self.spec.output_settings.shown(),
            },
        })
    }
}

pub(super) fn routes() -> Router<DataRobot> {
    Router::new().route("/batchPredictions/", post(create)).route("/batchPredictions/{id}/", get(read))
}

async fn create(
    State(datarobot): State<DataRobot>,
    Owner(account): Owner,
    origin: Origin,
    body: Bytes,
) -> Result<Response, Refusal> {
    let sent: Value = serde_json::from_slice(&body).map_err(Refusal::not_json)?;
    let spec: Spec = serde_json::from_value(sent).map_err(|error| Refusal::invalid(error.to_string()))?;
    for (field, place) in [("intakeSettings", &spec.intake_settings), ("outputSettings", &spec.output_settings)] {
        let kind = datarobot.lock().kept(&account, &place.credential_id).map(|kept| kept.credential.kind.clone());
        match (place.kind.as_str(), kind.as_deref()) {
            ("s3", Some("s3")) => {}
            ("s3", Some(_)) => return Err(Refusal::field(field, "names a credential of another type")),
            ("s3", None) => return Err(Refusal::field(field, "names a credential that does not exist")),
            _ => return Err(Refusal::field(field, "is not in S3, the only place that the double knows")),
        }
    }
    let job = datarobot.begin(account, spec);
    let answer = (StatusCode::ACCEPTED, Json(job.shown(&origin))).into_response();
    let outcome = datarobot.predict(&job).await;
    datarobot.end(&job.id, outcome);
    Ok(with_header(answer, header::LOCATION, &origin.url(&job.path())))
}

async fn read(
    State(datarobot): State<DataRobot>,
    Owner(account): Owner,
    origin: Origin,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let state = datarobot.lock();
    let job = state.jobs.iter().find(|job| job.id == id && job.account == account);
    Ok(Json(job.ok_or_else(Refusal::not_found)?.shown(&origin)))
}

impl DataRobot {
    fn begin(&self, account: String, spec: Spec) -> Job {
        let created_at = (self.clock)();
        let mut state = self.lock();
        let id = format!("6b{:0>22x}", state.jobs.len() + 1);
        let (status, details) = (Status::Initializing, "The job is queued".to_owned());
        let job = Job { id, account, spec, created_at, status, details, rows: 0 };
        state.jobs.push(job.clone());
        job
    }

    /// Reads the data set and writes the predictions. Returns the number of rows.
    async fn predict(&self, job: &Job) -> Result<usize, String> {
        let data = self.access(job, &job.spec.intake_settings, Operation::Read).await?;
        let rows = String::from_utf8_lossy(&data).lines().count().saturating_sub(1);
        let predictions = format!("prediction\n{}", "1\n".repeat(rows));
        self.access(job, &job.spec.output_settings, Operation::Write(predictions.into_bytes())).await?;
        Ok(rows)
    }

    async fn access(&self, job: &Job, place: &Place, operation: Operation) -> Result<Vec<u8>, String> {
        let verb = if operation == Operation::Read { "read" } else { "write" };
        let failed = |why: &str| format!("DataRobot could not {verb} {}: {why}", place.url);
        let triplet = self.holds(&job.account, &place.credential_id);
        let triplet: Triplet = triplet.ok_or_else(|| failed("the credential has no key or no secret"))?;
        let (url, endpoint_url) = (place.url.clone(), place.endpoint_url.clone());
        let storage = self.lock().storage.clone();
        storage(Access { triplet, url, endpoint_url, operation }).await.map_err(|error| failed(&error))
    }

    fn end(&self, id: &str, outcome: Result<usize, String>) {
        let mut state = self.lock();
        let job = state.jobs.iter_mut().find(|job| job.id == id).expect("a job that has begun");
        (job.status, job.rows, job.details) = match outcome {
            Ok(rows) => (Status::Completed, rows, "The job has been completed".to_owned()),
            Err(why) => (Status::Aborted, 0, why),
        };
    }
}

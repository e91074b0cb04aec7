//! A DataRobot beside a release: the double, served on TCP. Its batch predictions read and write
//! the S3 of the ground's AWS with the stored credential, and its users run DataRobot's own client.

use super::{
    aws_cli::AwsCli,
    ground::{Ground, real_time, run},
};
use crate::doubles::{
    datarobot::{Access, DataRobot, Operation, Storage},
    wire::Listening,
};
use serde_json::Value;
use std::{path::PathBuf, process::Command, sync::Arc};

/// A running DataRobot with one account.
pub struct DataRobotServer {
    /// The double.
    pub datarobot: DataRobot,
    /// The token of the account [`ACCOUNT`].
    pub token: String,
    url: String,
    python: PathBuf,
    _listening: Listening,
}

/// The name of the account.
pub const ACCOUNT: &str = "svc";

impl DataRobotServer {
    /// Starts a DataRobot whose batch predictions use the AWS of this ground.
    pub async fn start(ground: &Ground) -> Self {
        Self::reached_at(ground, "127.0.0.1").await
    }

    /// The same, for an operator and users that reach this process by another address.
    pub async fn reached_at(ground: &Ground, host: &str) -> Self {
        let datarobot = DataRobot::new(Arc::new(real_time));
        datarobot.set_storage(storage(AwsCli::of(ground)));
        let listening = datarobot.serve(([0, 0, 0, 0], 0).into()).await.unwrap();
        let url = format!("http://{host}:{}", listening.addr().port());
        let token = datarobot.add_account(ACCOUNT);
        let python = ground.at.bin.python.clone().unwrap();
        Self { datarobot, token, url, python, _listening: listening }
    }

    /// The URL of the API, as `DATAROBOT_ENDPOINT` has it.
    pub fn endpoint(&self) -> String {
        format!("{}/api/v2", self.url)
    }

    /// Runs what a user runs ([`datarobot_user.py`](datarobot_user.py)) with the token of the
    /// account. Returns what the user saw.
    pub async fn user(&self, credential: Option<&str>, arguments: &[&str]) -> Value {
        self.user_with(&self.token, credential, arguments).await
    }

    /// The same with another token.
    pub async fn user_with(&self, token: &str, credential: Option<&str>, arguments: &[&str]) -> Value {
        let mut command = Command::new(&self.python);
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/worlds/real/datarobot_user.py"))
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/nowhere")
            .env("DATAROBOT_ENDPOINT", self.endpoint())
            .env("DATAROBOT_API_TOKEN", token)
            .envs(credential.map(|id| ("DATAROBOT_CREDENTIAL_ID", id)));
        let said = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }
}

/// The S3 of the ground's AWS.
fn storage(aws: AwsCli) -> Storage {
    Arc::new(move |access| {
        let aws = aws.clone();
        Box::pin(async move { tokio::task::spawn_blocking(move || answer(&aws, &access)).await.unwrap() })
    })
}

fn answer(aws: &AwsCli, access: &Access) -> Result<Vec<u8>, String> {
    let triplet = &access.triplet;
    let key = (&*triplet.access_key_id, &*triplet.secret_access_key, triplet.session_token.as_deref());
    let (from_to, input): ([&str; 2], &[u8]) = match &access.operation {
        Operation::Read => ([&access.url, "-"], b""),
        Operation::Write(object) => (["-", &access.url], object),
    };
    let mut arguments = vec!["s3", "cp"];
    arguments.extend(from_to);
    arguments.extend(access.endpoint_url.iter().flat_map(|url| ["--endpoint-url", url]));
    aws.run(key, &arguments, input)
}

//! `kubectl keyturn exec`: a program with the credential of a person, at a workstation.
//!
//! The program asks an endpoint on loopback for the credential, as in a pod (`crate::endpoint`).
//! The plugin answers each request with the Secret as the API server has it then, so that renewals
//! and withdrawals reach the program. Nothing is written to the disk. The right to read the Secret
//! is the caller's own.

mod child;
mod live_secret;

use super::{Answer, Caller, Failed, cli::Exec};
use crate::{
    clock::Clock,
    inject::of_process,
    serve::{Answers, PATH, answer_on, random_token},
};
use kube::{Api, ResourceExt as _};
use live_secret::LiveSecret;
use std::{
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
};

/// Runs the program until it ends. Returns its exit code.
///
/// # Errors
/// [`Failed`] if the Secret cannot be read or holds no credential, or the program cannot be
/// started.
pub(super) async fn exec(caller: &Caller, asked: &Exec, clock: &Clock) -> Result<Answer, Failed> {
    let config = caller.config(&asked.name).await?;
    let secret = Arc::new(LiveSecret::of(Api::namespaced(caller.client.clone(), &caller.namespace), config.clone()));
    let others = secret.first(clock.now()).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .map_err(|error| Failed::new(format!("cannot listen on 127.0.0.1: {error}")))?;
    let address = listener.local_addr().map_err(|error| Failed::new(format!("cannot listen on 127.0.0.1: {error}")))?;
    let token = random_token().map_err(|error| Failed::new(error.to_string()))?;
    let environment = of_process(&format!("http://{address}{PATH}"), &token);
    let clock = clock.clone();
    let answers: Answers = Arc::new(move || {
        let (secret, now) = (secret.clone(), clock.now());
        Box::pin(async move { secret.answer(now).await })
    });
    let name = config.name_any();
    tokio::select! {
        // The listener comes first, so that the program finds it.
        biased;
        ended = answer_on(listener, token.into(), answers) => {
            let why = ended.err().map(|error| error.to_string()).unwrap_or_default();
            Err(Failed::new(format!("the endpoint of AwsConfig \"{name}\" ended: {why}")))
        }
        ended = child::run(&asked.command, &environment, &others) => {
            ended.map(|code| Answer { text: String::new(), code })
        }
    }
}

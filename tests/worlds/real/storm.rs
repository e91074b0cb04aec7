//! `kill -9` of the operator, of the API server and of etcd while everything is being renewed.
//!
//! It is a part of `make soak`, not of `make test`. `STORM_CONFIGS` says of how many configs it is.

use super::{
    ground::{Ground, PATIENCE, real_time, run, within},
    install::{Install, Process},
};
use crate::doubles::{
    rules::Times,
    sts::{Behaviour, Issued, Sts},
};
use futures::{StreamExt as _, stream};
use keyturn::secret::Record;
use kube::{ResourceExt as _, api::ListParams};
use std::{collections::BTreeMap, process::Command, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The number of calls to STS that keyturn makes at once.
const IN_FLIGHT: usize = 32;
/// The number of renewals after which the next process dies.
const APART: usize = 10;

/// An operator that is started again when it has ended.
struct Supervised<'a> {
    install: &'a Install<'a>,
    environment: Vec<(&'static str, String)>,
    process: Process,
    ends: usize,
}

impl<'a> Supervised<'a> {
    async fn start(install: &'a Install<'a>, environment: Vec<(&'static str, String)>) -> Self {
        let process = Self::spawn(install, &environment).await.ready().await;
        Self { install, environment, process, ends: 0 }
    }

    async fn spawn(install: &Install<'_>, environment: &[(&'static str, String)]) -> Process {
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        install.spawn(&environment).await
    }

    /// Starts the operator again if it has ended and the API server answers.
    async fn look(&mut self) {
        let has_ended = self.process.child.try_wait().unwrap().is_some();
        if has_ended && self.install.admin.apiserver_version().await.is_ok() {
            self.ends += 1;
            self.process = Self::spawn(self.install, &self.environment).await;
        }
    }

    /// Waits until the API server answers, and etcd behind it.
    async fn until_the_api_server_answers(&self) {
        let one = ListParams::default().limit(1);
        within(PATIENCE, "the API server answers", async || self.install.configs().list(&one).await.map(drop)).await;
    }

    /// Waits until STS has issued that many sessions.
    async fn until_issued(&mut self, sts: &Sts, count: usize, what: &str) {
        let begun = Instant::now();
        while sts.issued().len() < count {
            assert!(
                begun.elapsed() < 3 * PATIENCE,
                "{what}: {} of {count}\n{}",
                sts.issued().len(),
                self.process.log()
            );
            self.look().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn kill(pid: u32) {
    run(Command::new("kill").args(["-KILL", &pid.to_string()]));
}

/// The sessions of each person, in the order of issue.
fn by_person(sts: &Sts) -> BTreeMap<String, Vec<Issued>> {
    let mut sessions = BTreeMap::<String, Vec<Issued>>::new();
    for session in sts.issued() {
        sessions.entry(session.session_name.clone()).or_default().push(session);
    }
    sessions
}

/// Waits until every config is as it should be.
async fn until_calm(supervised: &mut Supervised<'_>, configs: usize) {
    let install = supervised.install;
    let begun = Instant::now();
    loop {
        supervised.look().await;
        let seen = unsettled(install, configs).await;
        if seen.as_ref().is_ok_and(Vec::is_empty) {
            return;
        }
        assert!(begun.elapsed() < 4 * PATIENCE, "not settled: {seen:#?}\n{}", supervised.process.log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The configs that do not have the same session in Secret and status, or whose renewal is overdue:
/// it is due before 70 % of the lifetime have passed.
async fn unsettled(install: &Install<'_>, configs: usize) -> Result<Vec<String>, kube::Error> {
    let all = ListParams::default();
    let secrets = install.secrets().list(&all).await?.items;
    let records: BTreeMap<String, Record> = secrets
        .iter()
        .filter_map(|secret| Some((secret.name_any(), Record::read(secret.metadata.annotations.as_ref()?)?)))
        .collect();
    let listed = install.configs().list(&all).await?.items;
    let mut unsettled: Vec<String> = (listed.len()..configs).map(|n| format!("no config {n}")).collect();
    for config in listed {
        let (name, status) = (config.name_any(), config.status.unwrap_or_default());
        let record = records.get(&format!("{name}-aws"));
        let is_ready = status.conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True");
        let is_right = record.is_some_and(|record| {
            let lifetime = record.expires_at.map_or(0, |end| end.duration_since(record.issued_at).as_secs());
            let age = real_time().duration_since(record.issued_at).as_secs();
            age * 10 < lifetime * 8 && status.access_key_id.as_ref() == Some(&record.access_key_id)
        });
        if !(is_ready && is_right) {
            unsettled.push(format!("{name}: {record:?}, {:?}", status.access_key_id));
        }
    }
    Ok(unsettled)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_storm_of_renewals_survives_the_death_of_every_process() {
    #[expect(clippy::disallowed_methods, reason = "the size of the storm is the tester's choice")]
    let configs = std::env::var("STORM_CONFIGS").ok().and_then(|it| it.parse().ok()).unwrap_or(100_usize);
    let ground = Ground::durable();
    let install = Install::of_some_namespaces(&ground, &[]).await;
    let sts = Sts::new(Arc::new(real_time));
    // The renewals of all configs take 20 s at this rate.
    let rate = configs.div_ceil(20).to_string();
    // A renewal is due before 70 % have passed. The rest is longer than all deaths together keep
    // keyturn from its work: 15 s without a leader, and up to 30 s without an API server.
    let seconds = 150 + i64::try_from(configs / 10).unwrap();
    let lifetime = sts.behave(Times::UntilCleared, Behaviour::Lifetime(seconds));
    let listening = sts.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let environment = vec![
        ("AWS_ENDPOINT_URL_STS", listening.url()),
        ("AWS_ACCESS_KEY_ID", "AKIABASE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "base-secret".to_owned()),
        ("KEYTURN_STS_PER_SECOND", rate),
        ("KEYTURN_REQUESTS_PER_SECOND", "1000".to_owned()),
        ("KEYTURN_REQUESTS_BURST", "10000".to_owned()),
        ("KEYTURN_NAMESPACE_REQUESTS_PER_SECOND", "1000".to_owned()),
        ("KEYTURN_NAMESPACE_REQUESTS_BURST", "10000".to_owned()),
    ];
    let mut operator = Supervised::start(&install, environment).await;
    install.apply_grant(|_| {}).await;
    let applied = stream::iter(0..configs).map(|n| {
        let install = &install;
        async move { install.apply_config(&format!("p{n:04}"), |_| {}).await }
    });
    applied.buffer_unordered(8).for_each(std::future::ready).await;
    operator.until_issued(&sts, configs, "the first sessions").await;

    let begun = Instant::now();
    let mut issued = sts.issued().len();
    let deaths: [(&str, Option<u32>); 3] = [
        ("the operator", None),
        ("the API server", ground.at.pids.get("kube-apiserver").copied()),
        ("etcd", ground.at.pids.get("etcd").copied()),
    ];
    for (who, pid) in deaths {
        operator.until_issued(&sts, issued + APART, &format!("renewals before the death of {who}")).await;
        kill(pid.unwrap_or_else(|| operator.process.child.id()));
        eprintln!(
            "{who} is killed {:?} after the first issue, and {} sessions later",
            begun.elapsed(),
            sts.issued().len()
        );
        operator.until_the_api_server_answers().await;
        issued = sts.issued().len();
    }
    operator.until_issued(&sts, issued + APART, "renewals after the last death").await;
    sts.forgive(lifetime);
    until_calm(&mut operator, configs).await;

    let sessions = by_person(&sts);
    assert_eq!(sessions.len(), configs);
    let mut in_vain = 0;
    for (person, sessions) in &sessions {
        for pair in sessions.windows(2) {
            let (before, next) = (&pair[0], &pair[1]);
            let seconds = before.expiration.duration_since(before.at).as_secs();
            in_vain += usize::from(next.at.duration_since(before.at).as_secs() * 100 < seconds * 53);
            let (end, at) = (before.expiration, next.at);
            assert!(at < end, "{person} was without a credential from {end} to {at}");
        }
    }
    let (issued, ends) = (sts.issued().len(), operator.ends);
    eprintln!(
        "{configs} configs, {issued} sessions, {in_vain} in vain, {ends} ends of the operator, {:?}",
        begun.elapsed()
    );
    assert!(in_vain <= IN_FLIGHT * ends, "{in_vain} sessions were issued again, and the operator ended {ends} times");
    for secret in install.secrets().list(&ListParams::default()).await.unwrap() {
        let data = secret.data.clone().unwrap_or_default();
        let value = |key: &str| data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned());
        let session = sts.session(&value("AWS_ACCESS_KEY_ID").unwrap_or_default()).expect("STS issued it");
        assert_eq!(value("AWS_SESSION_TOKEN").as_ref(), Some(&session.session_token), "{}", secret.name_any());
        assert_eq!(secret.name_any(), format!("{}-aws", session.session_name));
    }
    // The AwsRoles trail behind.
    within(PATIENCE, "each config has its AwsRole", async || {
        let roles = install.roles().list(&ListParams::default()).await.unwrap().items.len();
        if roles == configs { Ok(()) } else { Err(roles) }
    })
    .await;
}

//! The findings of `doctor` about what was read. Pure.

use super::{Finding, Mark, facts::Facts, shards};
use crate::{
    api::{AwsConfig, ConditionType, Reason, find_condition},
    plugin::operators::Running,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::coordination::v1::Lease,
    apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time},
};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

/// The resources that the API server has to serve.
const RESOURCES: [&str; 5] = ["awsconfigs", "awsroles", "awsrolegrants", "dssinstances", "datarobotinstances"];
/// A Lease that was not renewed for this long has no holder who works (`src/leader.rs`: another
/// replica takes it after 15 s).
const LEASE_IS_OLD: SignedDuration = SignedDuration::from_secs(20);
/// A session that ends within this time has missed its renewal, which comes after 70 % of its
/// lifetime at the latest.
const SOON: SignedDuration = SignedDuration::from_mins(5);
/// The objects that a finding names.
const NAMED: usize = 5;
/// The reasons that are about keyturn itself and not about one config.
const OF_KEYTURN: [Reason; 6] = [
    Reason::BaseCredentialsMissing,
    Reason::RegionDisabled,
    Reason::ClockSkewed,
    Reason::Throttled,
    Reason::Unreachable,
    Reason::ApiCallFailed,
];

/// The findings about everything but the webhook.
pub(super) fn findings(facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let mut found = vec![resources(facts)];
    found.extend(operators(facts));
    found.extend(leases(facts, now));
    if let Some(configs) = &facts.configs {
        found.extend(shards::findings(facts, configs));
        found.extend(of_keyturn(configs));
        found.push(trouble(configs, &facts.scope));
        found.push(expiring(configs, now));
        found.push(pods(configs));
        found.extend(held(configs));
        found.extend(pushes(configs));
        found.push(orphans(facts, configs));
    } else if facts.serves("awsconfigs") {
        found.push(Finding::new(Mark::Unknown, "AwsConfigs", "you may list them in no namespace that was asked"));
    }
    found.extend(grants(facts));
    found.extend(instances(facts));
    found
}

fn resources(facts: &Facts) -> Finding {
    let missing: Vec<&str> = RESOURCES.into_iter().filter(|plural| !facts.serves(plural)).collect();
    if missing.is_empty() {
        return Finding::new(Mark::Fine, "custom resources", "all are served");
    }
    let text =
        format!("the API server does not serve {}; a cluster admin installs or upgrades the chart", missing.join(", "));
    Finding::new(Mark::Bad, "custom resources", text)
}

fn operators(facts: &Facts) -> Vec<Finding> {
    let Some(running) = &facts.running else {
        return vec![Finding::new(Mark::Unknown, "operator", "you may not list Deployments")];
    };
    if !running.iter().any(Running::is_operator) {
        let text = "no Deployment of keyturn's chart was found; install it, or ignore this if keyturn is installed in another way";
        return vec![Finding::new(Mark::Bad, "operator", text)];
    }
    let of = |it: &Running| {
        let part = if it.is_operator() { "operator" } else { "webhook's pods" };
        let place = format!("Deployment {}/{}", it.namespace, it.name);
        if it.ready < it.wanted {
            let text = format!(
                "{} of {} replicas of {place} are ready; kubectl -n {} describe deployment {} says why",
                it.ready, it.wanted, it.namespace, it.name
            );
            return Finding::new(if it.ready == 0 { Mark::Bad } else { Mark::Note }, part, text);
        }
        let own = env!("CARGO_PKG_VERSION");
        if it.version != own {
            let text =
                format!("{place} runs version {}, and this program is {own}: their answers may differ", it.version);
            return Finding::new(Mark::Note, part, text);
        }
        Finding::new(Mark::Fine, part, format!("{place} has {} ready replicas of version {own}", it.ready))
    };
    running.iter().map(of).collect()
}

fn leases(facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let of = |(operator, lease): &(Running, Option<Lease>)| {
        let place = format!("namespace {}", operator.namespace);
        let Some(lease) = lease else {
            return Finding::new(Mark::Unknown, "lease", format!("you may not read it in {place}"));
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
        let renewed = spec.renew_time.map(|MicroTime(at)| at);
        match (holder, renewed) {
            (Some(holder), Some(at)) if now.duration_since(at) <= LEASE_IS_OLD => {
                Finding::new(Mark::Fine, "lease", format!("{holder} leads in {place}"))
            }
            (Some(holder), Some(at)) => Finding::new(
                Mark::Bad,
                "lease",
                format!(
                    "{holder} has not renewed the lease in {place} since {at}, and nobody has taken it; look at the operator's \
                     pods, or correct this machine's clock if it is wrong"
                ),
            ),
            _ => Finding::new(
                Mark::Bad,
                "lease",
                format!("nobody leads in {place}; look at the operator's pods and their log"),
            ),
        }
    };
    facts.leases.iter().map(of).collect()
}

/// The condition that says why a config does not have what it asks for, or cannot keep it.
fn obstacle(config: &AwsConfig) -> Option<&Condition> {
    let conditions = &config.status.as_ref()?.conditions;
    let unready = find_condition(conditions, ConditionType::Ready).filter(|it| it.status == "False");
    unready.or_else(|| find_condition(conditions, ConditionType::RenewalFailing).filter(|it| it.status == "True"))
}

/// What stands in the way of keyturn itself, as the conditions of configs say.
fn of_keyturn(configs: &[AwsConfig]) -> Vec<Finding> {
    let mut found = Vec::new();
    for reason in OF_KEYTURN {
        let about: Vec<&AwsConfig> =
            configs.iter().filter(|config| obstacle(config).is_some_and(|it| it.reason == reason.as_str())).collect();
        if let Some(first) = about.first() {
            let message = obstacle(first).map(|it| it.message.clone()).unwrap_or_default();
            let text = format!("{reason} at {}: {message}. {}", named(about.iter().copied()), reason.remedy());
            found.push(Finding::new(Mark::Bad, "AWS", text));
        }
    }
    let has_session = configs.iter().any(|it| it.status.as_ref().is_some_and(|status| status.issued_at.is_some()));
    if found.is_empty() && has_session {
        found.push(Finding::new(
            Mark::Fine,
            "AWS",
            "keyturn's identity, its clock and STS are in order, as the conditions say",
        ));
    }
    found
}

fn trouble(configs: &[AwsConfig], scope: &str) -> Finding {
    let is_of_keyturn = |word: &str| OF_KEYTURN.iter().any(|reason| reason.as_str() == word);
    let mut by_word: BTreeMap<&str, Vec<&AwsConfig>> = BTreeMap::new();
    for config in configs {
        let trouble = config.status.as_ref().and_then(|status| status.trouble.as_ref());
        if let Some(trouble) = trouble.filter(|it| !is_of_keyturn(&it.word) && it.word != "PodsMissed") {
            by_word.entry(&trouble.word).or_default().push(config);
        }
    }
    let silent: Vec<&AwsConfig> = configs.iter().filter(|it| it.seen_status().is_none()).collect();
    if !silent.is_empty() {
        by_word.entry("no status").or_default().extend(silent);
    }
    if by_word.is_empty() {
        return Finding::new(Mark::Fine, "AwsConfigs", format!("{} in {scope}, none in trouble", configs.len()));
    }
    let words = by_word.iter().map(|(word, about)| format!("{word}: {}", named(about.iter().copied())));
    let text = format!(
        "of {} in {scope}: {}; kubectl keyturn why NAME says what to do",
        configs.len(),
        words.collect::<Vec<_>>().join("; ")
    );
    Finding::new(Mark::Bad, "AwsConfigs", text)
}

fn expiring(configs: &[AwsConfig], now: Timestamp) -> Finding {
    let ends = |config: &AwsConfig| config.status.as_ref()?.expires_at.as_ref().map(|Time(at)| *at);
    let soon: Vec<&AwsConfig> =
        configs.iter().filter(|it| ends(it).is_some_and(|at| at.duration_since(now) < SOON)).collect();
    if soon.is_empty() {
        return Finding::new(Mark::Fine, "sessions", "none ends within 5 min");
    }
    let text = format!("end within 5 min, or have ended, without a renewal: {}", named(soon.iter().copied()));
    Finding::new(Mark::Bad, "sessions", text)
}

fn pods(configs: &[AwsConfig]) -> Finding {
    let missed = |config: &&AwsConfig| {
        let conditions = config.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        find_condition(conditions, ConditionType::PodsMissed).is_some_and(|it| it.status == "True")
    };
    let about: Vec<&AwsConfig> = configs.iter().filter(missed).collect();
    if about.is_empty() {
        return Finding::new(Mark::Fine, "pods", "no pod was missed by the webhook");
    }
    let text = format!(
        "pods ask for these AwsConfigs and do not have the Secret: {}; kubectl keyturn why NAME names the pods",
        named(about.iter().copied())
    );
    Finding::new(Mark::Bad, "pods", text)
}

fn held(configs: &[AwsConfig]) -> Option<Finding> {
    let held = configs.iter().filter(|it| it.status.as_ref().is_some_and(|status| status.withdrawal_held.is_some()));
    let about: Vec<&AwsConfig> = held.collect();
    let first = about.first()?;
    let message = obstacle(first).map(|it| it.message.clone()).unwrap_or_default();
    Some(Finding::new(Mark::Bad, "withdrawals", format!("held back: {}: {message}", named(about.iter().copied()))))
}

/// What stands in the way of `spec.push`, also where something else is the more urgent trouble.
fn pushes(configs: &[AwsConfig]) -> Option<Finding> {
    let refused = |config: &AwsConfig| {
        let pushed = find_condition(&config.status.as_ref()?.conditions, ConditionType::Pushed)?;
        (pushed.status == "False").then(|| (pushed.reason.clone(), pushed.message.clone()))
    };
    let mut by_reason: BTreeMap<String, (String, Vec<&AwsConfig>)> = BTreeMap::new();
    for config in configs {
        let Some((reason, message)) = refused(config) else { continue };
        by_reason.entry(reason).or_insert_with(|| (message, vec![])).1.push(config);
    }
    let texts = by_reason
        .iter()
        .map(|(reason, (message, about))| format!("{reason} at {}: {message}", named(about.iter().copied())));
    let texts: Vec<String> = texts.collect();
    (!texts.is_empty()).then(|| Finding::new(Mark::Bad, "pushes", texts.join("; ")))
}

/// What belongs to a config that does not exist.
fn orphans(facts: &Facts, configs: &[AwsConfig]) -> Finding {
    let uids: BTreeSet<String> = configs.iter().filter_map(ResourceExt::uid).collect();
    let names: BTreeSet<(String, String)> =
        configs.iter().map(|it| (it.namespace().unwrap_or_default(), it.name_any())).collect();
    let mut found = Vec::new();
    for secret in facts.secrets.iter().flatten() {
        let is_owned = secret.owner_references().iter().any(|owner| uids.contains(&owner.uid));
        if !is_owned && secret.metadata.deletion_timestamp.is_none() {
            found.push(format!("Secret {}/{}", secret.namespace().unwrap_or_default(), secret.name_any()));
        }
    }
    for role in facts.roles.iter().flatten() {
        let namespace = role.namespace().unwrap_or_default();
        if !names.contains(&(namespace.clone(), role.spec.aws_config_ref.name.clone())) {
            found.push(format!("AwsRole {namespace}/{}", role.name_any()));
        }
    }
    match (found.is_empty(), &facts.secrets) {
        (true, None) => Finding::new(Mark::Unknown, "orphans", "you may not list Secrets"),
        (true, Some(_)) => Finding::new(Mark::Fine, "orphans", "every Secret and AwsRole of keyturn has its AwsConfig"),
        (false, _) => {
            let text = format!(
                "no AwsConfig has these, and keyturn leaves them alone: {}; delete them if nobody needs them",
                shortened(&found)
            );
            Finding::new(Mark::Bad, "orphans", text)
        }
    }
}

fn grants(facts: &Facts) -> Option<Finding> {
    let Some(grants) = &facts.grants else {
        return facts
            .serves("awsrolegrants")
            .then(|| Finding::new(Mark::Unknown, "grants", "you may not list AwsRoleGrants"));
    };
    let wrong = grants.iter().filter_map(|grant| {
        let conditions = &grant.status.as_ref()?.conditions;
        let unready = find_condition(conditions, ConditionType::Ready).filter(|it| it.status == "False")?;
        Some(format!("\"{}\": {}", grant.name_any(), unready.message))
    });
    let wrong: Vec<String> = wrong.collect();
    Some(match (grants.is_empty(), wrong.is_empty()) {
        (true, _) => Finding::new(
            Mark::Note,
            "grants",
            "there is none, so that keyturn issues nothing; kubectl keyturn grant writes one",
        ),
        (false, true) => Finding::new(Mark::Fine, "grants", format!("{} in order", grants.len())),
        (false, false) => Finding::new(Mark::Bad, "grants", shortened(&wrong)),
    })
}

fn instances(facts: &Facts) -> impl Iterator<Item = Finding> {
    let of_dss = facts.instances.iter().flatten();
    let of_dss = of_dss.map(|it| (it.name_any(), it.status.as_ref().map(|status| status.conditions.as_slice())));
    let of_data_robot = facts.data_robots.iter().flatten();
    let of_data_robot =
        of_data_robot.map(|it| (it.name_any(), it.status.as_ref().map(|status| status.conditions.as_slice())));
    [of_system("DSS", of_dss.collect()), of_system("DataRobot", of_data_robot.collect())].into_iter().flatten()
}

/// The finding about the instances of one system, of which the names and the conditions are given.
fn of_system(system: &'static str, instances: Vec<(String, Option<&[Condition]>)>) -> Option<Finding> {
    let count = instances.len();
    let wrong = instances.into_iter().filter_map(|(name, conditions)| {
        let ready = find_condition(conditions.unwrap_or_default(), ConditionType::Ready);
        match ready {
            Some(ready) if ready.status == "True" => None,
            Some(ready) => Some(format!("\"{name}\": {}: {}", ready.reason, ready.message)),
            None => Some(format!("\"{name}\": the operator has not said anything yet")),
        }
    });
    let wrong: Vec<String> = wrong.collect();
    match (count, wrong.is_empty()) {
        (0, _) => None,
        (_, true) => Some(Finding::new(Mark::Fine, system, format!("{count} in order"))),
        (_, false) => Some(Finding::new(Mark::Bad, system, shortened(&wrong))),
    }
}

fn named<'a>(configs: impl Iterator<Item = &'a AwsConfig>) -> String {
    let names: Vec<String> =
        configs.map(|it| format!("{}/{}", it.namespace().unwrap_or_default(), it.name_any())).collect();
    shortened(&names)
}

/// The first of these, and the number of the others.
fn shortened(all: &[String]) -> String {
    let shown = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => shown,
        others => format!("{shown} and {others} more"),
    }
}

use super::*;
use crate::api::WorkloadKind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use serde_json::json;

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn at(minutes: i64) -> Timestamp {
    start() + SignedDuration::from_mins(minutes)
}

/// A config whose credential lives an hour and replaced another at `start`. The former credential
/// then had 20 minutes left.
fn config(name: &str) -> AwsConfig {
    let spec = json!({"person": name, "restart": [{"kind": "Deployment", "name": name}]});
    let mut config = AwsConfig::new(name, serde_json::from_value(spec).unwrap());
    config.metadata.uid = Some(name.to_owned());
    config.status = Some(
        serde_json::from_value(json!({
            "issuedAt": start().to_string(), "expiresAt": at(60).to_string(),
            "former": {"issuedAt": at(-40).to_string(), "expiresAt": at(20).to_string()},
        }))
        .unwrap(),
    );
    config
}

fn changed(change: impl FnOnce(&mut AwsConfig)) -> Option<Wish> {
    let mut config = config("alice");
    change(&mut config);
    wish(&config)
}

/// A Deployment that was created a day ago and whose rollout is over.
fn old(name: &str) -> Workload {
    Workload {
        kind: WorkloadKind::Deployment,
        name: name.to_owned(),
        uid: Some(format!("uid of {name}")),
        version: Some("1".to_owned()),
        created_at: Some(at(-24 * 60)),
        restarted_at: None,
        made_at: None,
        rollout: Rollout::Finished,
    }
}

fn due(name: &str, workload: Workload) -> Due {
    Due { wish: wish(&config(name)).unwrap(), found: vec![Found::There(workload)] }
}

fn restarted(decision: &Decision) -> Option<&str> {
    decision.candidates.first().map(|candidate| candidate.workload.name.as_str())
}

fn trouble(decision: &Decision) -> Option<(Reason, &str)> {
    match &decision.standings[0] {
        Standing::Blocked(trouble) => Some((trouble.reason, trouble.message.as_str())),
        _ => None,
    }
}

#[test]
fn restarts_begin_half_a_minute_after_an_issue_and_are_spread() {
    let wishes: Vec<Wish> = (0..500).map(|n| wish(&config(&n.to_string())).unwrap()).collect();
    let waits: Vec<i64> = wishes.iter().map(|wish| wish.due_at.duration_since(start()).as_secs()).collect();
    assert!(waits.iter().all(|wait| (30..=30 + 292).contains(wait)), "a quarter of 19:30 is less than a tenth of 1h");
    assert!(waits.iter().any(|wait| *wait < 60) && waits.iter().any(|wait| *wait > 280));
    assert_eq!(wishes[0].patience, SignedDuration::from_mins(10));
    let short = changed(|config| config.status.as_mut().unwrap().expires_at = Some(Time(at(15)))).unwrap();
    assert_eq!(short.patience, SignedDuration::from_secs(150));
    let late = changed(|config| {
        config.status.as_mut().unwrap().former.as_mut().unwrap().expires_at = Some(Time(at(-1)));
    });
    assert_eq!(late.unwrap().due_at, start() + SETTLED, "no spread where everything is late");
}

#[test]
fn a_config_without_workloads_or_a_former_credential_asks_for_nothing() {
    assert!(changed(|_| {}).is_some());
    assert_eq!(changed(|config| config.spec.restart.clear()), None);
    assert_eq!(changed(|config| config.status.as_mut().unwrap().issued_at = None), None, "withdrawn");
    assert_eq!(changed(|config| config.status.as_mut().unwrap().former = None), None, "the first");
    assert_eq!(changed(|config| config.metadata.deletion_timestamp = Some(Time(start()))), None);
}

#[test]
fn a_restart_that_was_taken_back_is_repeated_after_the_interval() {
    let workload = |restarted_at| Workload { made_at: Some(at(6)), restarted_at, ..old("a") };
    let soon = decide(&[due("a", workload(None))], at(7));
    assert_eq!((restarted(&soon), soon.again_at), (None, Some(at(16))));
    let (reason, message) = trouble(&soon).unwrap();
    assert_eq!(reason, Reason::RestartBlocked);
    assert!(
        message.contains("took the restart of Deployment \"a\" back") && message.contains("managedFields"),
        "{message}"
    );
    assert_eq!(restarted(&decide(&[due("a", workload(None))], at(16))), Some("a"));
    let former = decide(&[due("a", workload(Some(at(-60))))], at(7));
    assert!(trouble(&former).is_some(), "an earlier restart is put in its place");
    let ours = decide(&[due("a", workload(Some(at(6))))], at(7));
    assert_eq!((restarted(&ours), trouble(&ours)), (None, None), "nobody took it back");
}

#[test]
fn a_workload_is_restarted_only_if_it_started_before_the_issue() {
    let restarted_at = |seconds: i64| {
        let mut workload = old("alice");
        workload.restarted_at = Some(start() + SignedDuration::from_secs(seconds));
        decide(&[due("alice", workload)], at(12))
    };
    assert_eq!(restarted(&decide(&[due("alice", old("alice"))], at(12))), Some("alice"));
    assert_eq!(restarted(&restarted_at(-1)), Some("alice"));
    assert_eq!(restarted(&restarted_at(29)), Some("alice"), "it may have read the Secret before it was written");
    let fresh = restarted_at(30);
    assert_eq!((restarted(&fresh), &fresh.standings[0], fresh.again_at), (None, &Standing::Done, None));
    assert_eq!(restarted(&restarted_at(365 * 86_400)), Some("alice"), "a time that lies ahead is nobody's");
    let mut young = old("alice");
    young.created_at = Some(at(1));
    assert_eq!(restarted(&decide(&[due("alice", young)], at(12))), None);
}

#[test]
fn restarts_happen_one_at_a_time_and_the_earliest_end_comes_first() {
    let mut hurried = due("bob", old("bob"));
    hurried.wish.ends_at = Some(at(15));
    let both = [due("alice", old("alice")), hurried.clone()];
    assert_eq!(restarted(&decide(&both, at(6))), Some("bob"));

    let mut begun = old("bob");
    (begun.restarted_at, begun.rollout) = (Some(at(6)), Rollout::Rolling);
    let under_way = [both[0].clone(), Due { found: vec![Found::There(begun)], ..hurried.clone() }];
    for minutes in [6, 10, 15] {
        let decision = decide(&under_way, at(minutes));
        assert_eq!(restarted(&decision), None, "after {minutes} minutes");
        assert!(decision.again_at.unwrap() <= at(minutes + 1));
    }
    // A restart that hangs is reported, and the others no longer wait for it.
    let decision = decide(&under_way, at(16));
    assert_eq!(restarted(&decision), Some("alice"));
    let Standing::Blocked(trouble) = &decision.standings[1] else { panic!("{decision:?}") };
    assert!(trouble.message.contains("was restarted at 2026-01-01T00:06:00Z and has not finished"), "{trouble:?}");
}

#[test]
fn restarts_are_ten_minutes_apart_unless_the_credential_ends_before() {
    let mut workload = old("alice");
    workload.restarted_at = Some(at(-2));
    let mut wish = due("alice", workload);
    assert_eq!(restarted(&decide(&[wish.clone()], at(7))), None);
    assert_eq!(decide(&[wish.clone()], at(7)).again_at, Some(at(8)));
    assert_eq!(restarted(&decide(&[wish.clone()], at(8))), Some("alice"));
    wish.wish.ends_at = Some(at(8));
    assert_eq!(restarted(&decide(&[wish], at(6))), Some("alice"), "two minutes before the end");
}

#[test]
fn a_paused_or_manually_rolled_workload_is_reported_and_left_alone() {
    let with = |rollout, minutes| {
        let mut workload = old("alice");
        workload.rollout = rollout;
        decide(&[due("alice", workload)], at(minutes))
    };
    for (rollout, words) in [(Rollout::Paused, "is paused"), (Rollout::OnDelete, "update strategy OnDelete")] {
        let decision = with(rollout, 6);
        let (reason, message) = trouble(&decision).unwrap();
        assert!(reason == Reason::RestartBlocked && message.contains(words), "{message}");
        assert!(decision.candidates.is_empty() && decision.again_at.is_some());
    }
    let rolling = with(Rollout::Rolling, 6);
    assert!(rolling.candidates.is_empty() && trouble(&rolling).is_none(), "it will end");
    let hanging = with(Rollout::Rolling, 19);
    assert!(hanging.candidates.is_empty() && trouble(&hanging).is_some(), "it does not");
}

#[test]
fn an_unavailable_workload_is_restarted_after_a_wait() {
    let mut workload = old("alice");
    workload.rollout = Rollout::Unready;
    assert_eq!(restarted(&decide(&[due("alice", workload.clone())], at(6))), None);
    assert_eq!(restarted(&decide(&[due("alice", workload)], at(18))), Some("alice"));
}

#[test]
fn a_missing_workload_is_reported_and_holds_up_no_other() {
    let mut missing = due("alice", old("alice"));
    missing.found = vec![Found::Not(Statement::new(Reason::WorkloadMissing, "there is no Deployment \"alice\""))];
    let decision = decide(&[missing, due("bob", old("bob"))], at(6));
    assert_eq!(trouble(&decision), Some((Reason::WorkloadMissing, "there is no Deployment \"alice\"")));
    assert_eq!(restarted(&decision), Some("bob"));
}

/// A namespace in which every restart takes `rolls` seconds. The test reconciles it whenever the
/// decision asks for it.
struct Namespace {
    wishes: Vec<Wish>,
    workloads: Vec<Workload>,
    rolls: i64,
    restarts: Vec<(usize, Timestamp)>,
}

impl Namespace {
    fn new(count: usize, rolls: i64, odd: &[Rollout]) -> Self {
        let names = || (0..count).map(|n| format!("config-{n}"));
        let mut workloads: Vec<Workload> = names().map(|name| old(&name)).collect();
        for (workload, rollout) in workloads.iter_mut().zip(odd) {
            workload.rollout = *rollout;
        }
        let wishes = names().map(|name| wish(&config(&name)).unwrap()).collect();
        Self { wishes, workloads, rolls, restarts: vec![] }
    }

    /// The number of restarts that are under way.
    fn under_way(&self) -> usize {
        self.workloads.iter().filter(|workload| workload.rollout == Rollout::Rolling).count()
    }

    fn look(&mut self, now: Timestamp) -> Timestamp {
        for workload in &mut self.workloads {
            let ends_at = workload.restarted_at.map(|at| at + SignedDuration::from_secs(self.rolls));
            if ends_at.is_some_and(|ends_at| ends_at <= now) {
                workload.rollout = Rollout::Finished;
            }
        }
        let pairs = self.wishes.iter().zip(&self.workloads);
        let dues: Vec<Due> = pairs
            .filter(|(wish, _)| wish.due_at <= now)
            .map(|(wish, workload)| Due { wish: wish.clone(), found: vec![Found::There(workload.clone())] })
            .collect();
        let Decision { candidates, again_at, .. } = decide(&dues, now);
        let later = self.wishes.iter().map(|wish| wish.due_at).filter(|at| *at > now).min();
        let mut next = later.into_iter().chain(again_at).min().unwrap_or(Timestamp::MAX);
        if let Some(Candidate { workload, .. }) = candidates.first() {
            let place = self.workloads.iter().position(|other| other.name == workload.name).unwrap();
            let restarted = &mut self.workloads[place];
            assert!(!matches!(restarted.rollout, Rollout::Paused | Rollout::Rolling | Rollout::OnDelete));
            (restarted.restarted_at, restarted.rollout) = (Some(now), Rollout::Rolling);
            self.restarts.push((place, now));
            next = next.min(now + SignedDuration::from_secs(5));
        }
        next
    }
}

fn rollouts() -> impl Strategy<Value = Rollout> {
    prop_oneof![Just(Rollout::Finished), Just(Rollout::Unready), Just(Rollout::Paused), Just(Rollout::OnDelete),]
}

proptest! {
    #[test]
    fn never_two_at_once_nor_twice_and_each_before_its_end_if_there_is_time(
        odd in prop::collection::vec(rollouts(), 0..8), rolls in 1_i64..60,
    ) {
        let mut namespace = Namespace::new(8, rolls, &odd);
        let mut now = start();
        while now < at(60) {
            let next = namespace.look(now);
            prop_assert!(namespace.under_way() <= 1, "two at once at {now}");
            prop_assert!(next > now, "no time passes at {now}");
            now = next;
        }
        for (place, workload) in namespace.workloads.iter().enumerate() {
            let rollout = odd.get(place).copied().unwrap_or(Rollout::Finished);
            let restarts: Vec<Timestamp> =
                namespace.restarts.iter().filter(|(whose, _)| *whose == place).map(|(_, at)| *at).collect();
            if matches!(rollout, Rollout::Paused | Rollout::OnDelete) {
                prop_assert!(restarts.is_empty(), "{workload:?}");
            } else {
                prop_assert_eq!(restarts.len(), 1, "{:?}", workload);
                prop_assert!(restarts[0] >= namespace.wishes[place].due_at && restarts[0] < at(20), "{:?}", restarts);
            }
        }
    }
}

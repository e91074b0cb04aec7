//! The troubles, each with its end.

use super::Soak;
use crate::{
    doubles::{
        apiserver::{Failure, Fault, Request},
        behaviour::Behaviour as OfDss,
        rules::{RuleId, Times},
        sts::{Behaviour, Call},
    },
    simulated::seeds::dice::Dice,
};
use jiff::SignedDuration;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// The resources whose watches may be late.
const WATCHED: [&str; 5] = ["awsconfigs", "awsroles", "awsrolegrants", "secrets", "namespaces"];

type FitsRequest = fn(&Request) -> bool;

/// Something that is wrong for some time.
pub struct Trouble {
    /// What it is, in words.
    pub name: String,
    /// How long it lasts.
    pub minutes: u32,
    /// Whether a leader, the API server or STS is not to be had meanwhile.
    pub is_bad: bool,
    /// Whether DSS is not to be had meanwhile.
    pub is_of_dss: bool,
    /// Whether changes may be hidden from keyturn meanwhile.
    pub hides_changes: bool,
    rules: Rules,
}

#[derive(Default)]
struct Rules {
    sts: Vec<RuleId>,
    api: Vec<RuleId>,
    dss: Vec<RuleId>,
}

/// A part of all calls, of ten.
fn of_ten(dice: &mut Dice) -> usize {
    dice.one_of(&[1, 3, 5, 10, 10])
}

/// Whether a call is one of that many of ten, by dice of its own.
fn hits(dice: &mut Dice, of_ten: usize) -> impl Fn() -> bool + Send + Sync + 'static {
    let dice = Mutex::new(Dice(dice.next()));
    move || dice.lock().unwrap().below(10) < of_ten
}

impl Trouble {
    fn new(name: String, minutes: u32) -> Self {
        let rules = Rules::default();
        Self { name, minutes, is_bad: false, is_of_dss: false, hides_changes: false, rules }
    }

    /// Begins a trouble.
    pub fn begin(soak: &mut Soak) -> Self {
        let minutes = u32::try_from(2 + soak.dice.below(40)).unwrap();
        match soak.dice.below(16) {
            0..=3 => sts_fails(soak, minutes),
            4 => sts_is_away(soak),
            5..=7 => api_server_fails(soak, minutes),
            8 => dss_fails(soak, minutes),
            9..=10 => watches_fail(soak, minutes),
            11..=12 => process_dies(soak),
            13 => clock_goes_wrong(soak, minutes),
            _ => replica_is_cut_off(soak),
        }
    }

    /// Ends it.
    pub fn end(self, soak: &mut Soak) {
        for rule in self.rules.sts {
            soak.world.sts.forgive(rule);
        }
        for rule in self.rules.api {
            soak.world.api.forgive(rule);
        }
        for rule in self.rules.dss {
            soak.world.dss.forgive(rule);
        }
        for resource in WATCHED {
            soak.world.api.lag(resource, Duration::ZERO);
        }
        soak.world.api.repeat_events(false);
        soak.nodes.start_all(&soak.world, &mut soak.dice);
    }
}

/// Gives calls to STS a behaviour by which no session arrives, and counts them.
fn spoil_sts(soak: &mut Soak, of_ten: usize, behaviour: Behaviour) -> RuleId {
    let (hits, lost) = (hits(&mut soak.dice, of_ten), soak.ledger.lost());
    let fits = move |call: &Call| {
        let is_hit = call.action == "AssumeRole" && hits();
        if is_hit {
            lost.lock().unwrap().insert(call.number);
        }
        is_hit
    };
    soak.world.sts.behave_if(Times::UntilCleared, fits, behaviour)
}

fn sts_fails(soak: &mut Soak, minutes: u32) -> Trouble {
    let behaviours = [
        Behaviour::AccessDenied,
        Behaviour::Throttling,
        Behaviour::RegionDisabled,
        Behaviour::ExpiredToken,
        Behaviour::ExpiredTokenException,
        Behaviour::InvalidClientTokenId,
        Behaviour::SignatureDoesNotMatch,
        Behaviour::DurationTooLong,
        Behaviour::PackedPolicyTooLarge,
        Behaviour::MalformedPolicyDocument,
        Behaviour::InternalFailure,
        Behaviour::ServiceUnavailable,
        Behaviour::BrokenXml,
        Behaviour::EmptyAnswer,
        Behaviour::ProxyErrorPage,
        Behaviour::ConnectionFailure,
        Behaviour::Hang,
        // Longer than keyturn waits.
        Behaviour::Latency(Duration::from_secs(12)),
    ];
    let behaviour = soak.dice.one_of(&behaviours);
    let part = of_ten(&mut soak.dice);
    let mut trouble = Trouble::new(format!("STS: {behaviour:?} for {part} of 10 calls, {minutes} min"), minutes);
    trouble.is_bad = true;
    trouble.rules.sts.push(spoil_sts(soak, part, behaviour));
    trouble
}

fn sts_is_away(soak: &mut Soak) -> Trouble {
    let behaviour = soak.dice.one_of(&[Behaviour::ConnectionFailure, Behaviour::Hang]);
    let mut trouble = Trouble::new(format!("STS is away for three hours: {behaviour:?}"), 180);
    trouble.is_bad = true;
    trouble.rules.sts.push(spoil_sts(soak, 10, behaviour));
    trouble
}

fn api_server_fails(soak: &mut Soak, minutes: u32) -> Trouble {
    let seconds = |seconds: u64| Duration::from_millis(seconds * 1000 + 300);
    let faults = [
        Fault::Refuse(Failure::new(422, "ValidatingAdmissionPolicy 'teams' denied request")),
        Fault::RefuseConnection,
        Fault::LoseAnswer,
        Fault::RefuseAfter(Failure::new(504, "gateway time-out (by a test)")),
        Fault::Hang,
        Fault::HangAfter,
        Fault::Delay(seconds(0)),
        Fault::Delay(seconds(8)),
        Fault::Delay(seconds(20)),
        Fault::too_many_requests(2),
    ];
    let statuses = [400, 401, 403, 404, 405, 409, 410, 413, 415, 429, 500, 502, 503, 504];
    let fault = match soak.dice.below(faults.len() + 4) {
        which if which < faults.len() => faults[which].clone(),
        _ => Fault::status(soak.dice.one_of(&statuses)),
    };
    let kinds: [(&str, FitsRequest); 6] = [
        ("all requests", |_| true),
        ("all writes", Request::is_write),
        ("writes of Secrets", |request| request.is_write() && request.is_on("secrets")),
        ("writes of statuses", |request| request.is_write() && request.subresource == "status"),
        ("reads", |request| matches!(request.verb, "get" | "list")),
        ("watches", |request| request.verb == "watch"),
    ];
    let (what, fits) = soak.dice.one_of(&kinds);
    let part = of_ten(&mut soak.dice);
    let name = format!("the API server: {fault:?} for {part} of 10 of {what}, {minutes} min");
    let mut trouble = Trouble::new(name, minutes);
    (trouble.is_bad, trouble.hides_changes) = (true, true);
    let hits = hits(&mut soak.dice, part);
    let fits = move |request: &Request| fits(request) && hits();
    trouble.rules.api.push(soak.world.api.fault(Times::UntilCleared, fits, fault));
    trouble
}

fn dss_fails(soak: &mut Soak, minutes: u32) -> Trouble {
    let behaviours = [
        OfDss::ServerError,
        OfDss::BadGateway,
        OfDss::Maintenance,
        OfDss::LoginPage,
        OfDss::RedirectToLogin,
        OfDss::TooManyRequests { retry_after_seconds: 5 },
        OfDss::ConnectionFailure,
        OfDss::Hang,
        OfDss::HangAfter,
        OfDss::Garbled,
        OfDss::AnswerLost,
        OfDss::Latency(Duration::from_secs(3)),
    ];
    let behaviour = soak.dice.one_of(&behaviours);
    let part = of_ten(&mut soak.dice);
    let mut trouble = Trouble::new(format!("DSS: {behaviour:?} for {part} of 10 calls, {minutes} min"), minutes);
    trouble.is_of_dss = true;
    let hits = hits(&mut soak.dice, part);
    trouble.rules.dss.push(soak.world.dss.behave_if(Times::UntilCleared, move |_| hits(), behaviour));
    trouble
}

fn watches_fail(soak: &mut Soak, minutes: u32) -> Trouble {
    let api = &soak.world.api;
    let mut trouble = Trouble::new(String::new(), minutes);
    trouble.hides_changes = true;
    trouble.name = match soak.dice.below(6) {
        0 => {
            api.silence_watches();
            "all watches are silent".to_owned()
        }
        1 => {
            api.break_watches();
            "all watches break".to_owned()
        }
        2 => {
            api.compact();
            api.break_watches();
            "all watches break, and the history is forgotten".to_owned()
        }
        3 => {
            api.end_watches();
            "all watches end".to_owned()
        }
        4 => {
            api.repeat_events(true);
            format!("changes are shown twice, {minutes} min")
        }
        _ => {
            let late = Duration::from_secs(soak.dice.one_of(&[1, 20, 200]));
            let resource = soak.dice.one_of(&WATCHED);
            api.lag(resource, late);
            format!("{resource} are shown {late:?} late, {minutes} min")
        }
    };
    trouble
}

/// A process dies at one of its next calls: before the effect, after it, or while STS answers.
fn process_dies(soak: &mut Soak) -> Trouble {
    let minutes = 10;
    let (killer, names) = (soak.nodes.killer(), soak.nodes.names());
    let nth = soak.dice.below(12);
    let mut trouble = Trouble::new(String::new(), minutes);
    (trouble.is_bad, trouble.hides_changes) = (true, true);
    if soak.dice.below(3) == 0 {
        let (calls, sts_killer) = (Mutex::new(0), killer.clone());
        let lost = soak.ledger.lost();
        let fits = move |call: &Call| {
            let mut calls = calls.lock().unwrap();
            *calls += usize::from(call.action == "AssumeRole");
            if *calls == nth / 3 + 1 {
                for name in names {
                    sts_killer.kill(name);
                }
                lost.lock().unwrap().insert(call.number);
                *calls += 1;
            }
            false
        };
        trouble.name = format!("every process dies at call {} to STS", nth / 3 + 1);
        trouble.rules.sts.push(soak.world.sts.behave_if(Times::UntilCleared, fits, Behaviour::AccessDenied));
        return trouble;
    }
    let is_after = soak.dice.below(2) == 0;
    let seen = Arc::new(Mutex::new((0, String::new())));
    let victim = seen.clone();
    let hook = move |_: &_| killer.kill(&victim.lock().unwrap().1);
    let fits = move |request: &Request| {
        let mut seen = seen.lock().unwrap();
        let counts = request.is_write() && request.resource != "leases";
        seen.0 += usize::from(counts);
        if counts && seen.0 == nth + 1 {
            seen.1 = request.user_agent.clone().unwrap_or_default();
            return true;
        }
        false
    };
    let when = if is_after { "after" } else { "before" };
    trouble.name = format!("a process dies {when} the effect of write {}", nth + 1);
    let fault = if is_after { Fault::after(hook) } else { Fault::before(hook) };
    trouble.rules.api.push(soak.world.api.fault(Times::Once, fits, fault));
    trouble
}

fn clock_goes_wrong(soak: &mut Soak, minutes: u32) -> Trouble {
    let name = soak.dice.one_of(soak.nodes.names());
    let clock = soak.nodes.clock(name);
    let how = if soak.dice.below(3) == 0 {
        clock.stand_still();
        "stands still".to_owned()
    } else {
        let ahead = soak.dice.one_of(&[-600, 600, -90_000, 90_000]);
        clock.set_ahead(SignedDuration::from_secs(ahead));
        format!("jumps to {ahead} s ahead")
    };
    Trouble::new(format!("the clock of node {name} {how}"), minutes)
}

/// One replica reaches the API server no more.
fn replica_is_cut_off(soak: &mut Soak) -> Trouble {
    let name = soak.dice.one_of(soak.nodes.names());
    let (seconds, is_silent) = (soak.dice.one_of(&[5_u32, 20, 120, 600]), soak.dice.below(2) == 0);
    let mut trouble = Trouble::new(format!("{name} is cut off, silently: {is_silent}"), seconds.div_ceil(60));
    (trouble.is_bad, trouble.hides_changes) = (true, true);
    let api = &soak.world.api;
    let fault = if is_silent {
        api.silence_watches_of(name);
        Fault::Hang
    } else {
        api.break_watches_of(name);
        Fault::RefuseConnection
    };
    let is_its = move |request: &Request| request.user_agent.as_deref() == Some(name);
    trouble.rules.api.push(api.fault(Times::UntilCleared, is_its, fault));
    trouble
}

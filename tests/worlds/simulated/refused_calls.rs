//! The calls that the operator makes to the API server, each with every class of answer that lasts:
//! what stands in the way is in a condition of the object that it concerns, and heals.

use super::{dataiku, world::World};
use crate::{
    doubles::{
        apiserver::{Failure, Fault, Request},
        rules::Times,
    },
    fixtures::{OPERATORS, SCORING, alice, config, delivers_key, grant, personal_key, role_from_dss},
};
use keyturn::api::CredentialProvider;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Every class of answer.
fn answers() -> Vec<(&'static str, Fault)> {
    vec![
        ("403", Fault::Refuse(Failure::new(403, "exceeded quota: team"))),
        ("404", Fault::status(404)),
        ("409", Fault::status(409)),
        ("413", Fault::status(413)),
        ("422", Fault::Refuse(Failure::new(422, "ValidatingAdmissionPolicy 'teams' denied request"))),
        ("429 with Retry-After", Fault::too_many_requests(1)),
        ("429", Fault::status(429)),
        ("500", Fault::status(500)),
        ("no answer, no effect", Fault::Hang),
        ("no answer, but the effect", Fault::HangAfter),
        ("no connection", Fault::RefuseConnection),
        ("a lost answer", Fault::LoseAnswer),
    ]
}

type Fits = fn(&Request) -> bool;

/// Whether this condition says that a call to the API server fails, and how it goes on.
fn says(world: &World, type_: &str) -> bool {
    world.condition("alice", type_).is_some_and(|(_, reason, message)| {
        reason == "ApiCallFailed" && message.contains("keyturn tries again") && message.contains("scoring/")
    })
}

/// Whether alice has everything that she asks for, and nothing is overdue.
fn is_whole(world: &World) -> bool {
    let renew_at = world.status("alice").renew_at;
    let is_due = renew_at.is_some_and(|at| at.0 <= world.now());
    let complains = ["RenewalFailing", "AwsRoleFailing"].iter().any(|type_| world.condition("alice", type_).is_some());
    let has_role = world.config("alice").is_some_and(|config| config.spec.role.is_none()) || world.roles().len() == 1;
    world.is_ready("alice")
        && !world.value("alice", "AWS_ACCESS_KEY_ID").is_empty()
        && !is_due
        && !complains
        && has_role
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_first_issue_that_is_refused_is_in_a_condition() {
    let calls: [(&str, Fits, &str); 4] = [
        ("create the Secret", |r| r.is("create", "secrets"), "Ready"),
        ("look for a Secret", |r| r.is("get", "secrets"), "Ready"),
        ("create the AwsRole", |r| r.is("create", "awsroles"), "AwsRoleFailing"),
        ("write the AwsRole", |r| r.is_on("awsroles") && r.is_write(), "AwsRoleFailing"),
    ];
    for (call, fits, type_) in calls {
        for (answer, fault) in answers() {
            let case = format!("{call}: {answer}");
            let world = World::started();
            let rule = world.api.fault(Times::UntilCleared, fits, fault);
            world.apply(&alice());
            world.pass(5 * MINUTE).await;
            // The API server may have made the object, and 404 may mean that there is none.
            assert!(says(&world, type_) || is_whole(&world), "{case}: {}", world.picture());
            let is_certain = !answer.starts_with("404") && !answer.contains("effect") && !answer.contains("lost");
            assert!(!is_certain || says(&world, type_), "{case}: {}", world.picture());
            assert!(world.sts.count() <= 1, "{case}: {}", world.picture());
            let writes = world.api.count("patch", "awsconfigs/status");
            world.pass(3 * MINUTE).await;
            assert!(world.api.count("patch", "awsconfigs/status") <= writes + 1, "{case}: it is said once");
            world.api.forgive(rule);
            world.until("alice has everything", is_whole).await;
            assert_eq!(world.sts.count(), 1, "{case}: {}", world.picture());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_renewal_that_is_refused_is_in_a_condition() {
    for (answer, fault) in answers() {
        let world = World::with(&[alice()]).await;
        let rule = world.api.fault(Times::UntilCleared, |r| r.is_on("secrets") && r.is_write(), fault);
        world.pass_until_due("alice").await;
        world.pass(5 * MINUTE).await;
        assert!(world.is_ready("alice"), "{answer}: it is valid: {}", world.picture());
        assert!(says(&world, "RenewalFailing") || is_whole(&world), "{answer}: {}", world.picture());
        world.api.forgive(rule);
        world.until("alice has everything", is_whole).await;
        assert!(world.sts.count() <= 2, "{answer}: {}", world.picture());
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_read_is_in_a_condition_and_the_old_one_stays() {
    for (answer, fault) in answers().into_iter().filter(|(answer, _)| *answer != "404") {
        let world = World::started();
        world.apply(&grant("keys", |spec| spec.providers = vec![CredentialProvider::Default]));
        world.put_key("mine", true, "AKIAIOSFODNN7EXAMPLE", "first");
        let reads_key = |r: &Request| r.is("get", "secrets") && r.name == "mine";
        let rule = world.api.fault(Times::UntilCleared, reads_key, fault.clone());
        world.apply(&config("alice", delivers_key("mine")));
        world.pass(5 * MINUTE).await;
        assert!(says(&world, "Ready"), "{answer}: {}", world.picture());
        world.api.forgive(rule);
        world.until("alice has everything", is_whole).await;

        world.api.fault(Times::UntilCleared, reads_key, fault);
        world.put_key("mine", true, "AKIAOTHEROTHEROTHER1", "second");
        world.pass(5 * MINUTE).await;
        assert!(world.is_ready("alice") && says(&world, "RenewalFailing"), "{answer}: {}", world.picture());
        assert_eq!(world.value("alice", "AWS_SECRET_ACCESS_KEY"), "first", "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_deleted_is_in_a_condition_of_its_config() {
    for (answer, fault) in answers() {
        let mut world = dataiku::world();
        world.start();
        world.apply(&config("alice", personal_key));
        world.until("alice is ready", |world| world.is_ready("alice")).await;
        let rule = world.api.fault(Times::UntilCleared, |r| r.is("delete", "secrets"), fault);
        world.api.delete("AwsConfig", SCORING, "alice");
        world.pass(5 * MINUTE).await;
        let told = says(&world, "Ready")
            && world.condition("alice", "Ready").is_some_and(|(_, _, message)| message.contains("being deleted"));
        let is_done = world.config("alice").is_none() && world.secret("alice").is_none();
        assert!(told || is_done || answer == "404", "{answer}: {}", world.picture());
        world.api.forgive(rule);
        world.until("it is deleted", |world| world.config("alice").is_none()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_admin_key_that_cannot_be_read_is_in_a_condition_of_the_instance() {
    for (answer, fault) in answers().into_iter().filter(|(answer, _)| *answer != "404") {
        let mut world = dataiku::world();
        let reads_key = |r: &Request| r.is("get", "secrets") && r.namespace == OPERATORS;
        let rule = world.api.fault(Times::UntilCleared, reads_key, fault);
        world.start();
        world.apply(&config("alice", role_from_dss("arn:aws:iam::123456789012:role/${adminProperty:associatedRole}")));
        world.pass(5 * MINUTE).await;
        let (_, reason, message) = world.condition("alice", "Ready").unwrap();
        assert!(reason == "DssUnreachable" && message.contains("see its conditions"), "{answer}: {reason}: {message}");
        let conditions =
            |world: &World| format!("{:?}", world.instance("design").unwrap().status.map(|it| it.conditions));
        assert!(conditions(&world).contains("get Secret"), "{answer}: {}", conditions(&world));
        world.api.forgive(rule);
        world.until("the instance is in order", |world| !conditions(world).contains("get Secret")).await;
        world.until("alice is ready", |world| world.is_ready("alice")).await;
    }
}

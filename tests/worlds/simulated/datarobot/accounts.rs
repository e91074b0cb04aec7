//! Accounts of DataRobot, and the tokens that lead to them.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_secret_that_keyturn_writes_is_no_source_of_a_token() {
    let mut world = world();
    world.apply(&robot("prod", URL, |spec| spec.allow[0].own_tokens = true));
    world.start();
    world.apply(&config("alice", |spec| {
        pushes_to_datarobot(NAME)(spec);
        let place = spec.push.as_mut().unwrap().data_robot.as_mut().unwrap();
        let token = json!({"name": "alice-aws", "key": "AWS_SECRET_ACCESS_KEY"});
        (place.token_secret_ref, place.deliver_token) = (serde_json::from_value(token).unwrap(), true);
    }));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world.api.edit("Secret", SCORING, "alice-aws", |secret| {
        secret["metadata"]["labels"][names::SOURCE] = json!(names::SOURCE_OFFERED);
    });
    world.pass(Duration::from_secs(30)).await;
    world.count_from_here();
    world.pass(Duration::from_mins(2)).await;
    assert_eq!(world.cost().writes, 0, "{}", world.picture());
    assert_eq!(pushed(&world, "alice"), "False/SecretNotOffered");
}

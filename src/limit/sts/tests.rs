use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

const SECOND: Duration = Duration::from_secs(1);

fn budget(per_second: u32, under_way: usize) -> StsBudget {
    StsBudget::new(StsLimits { per_second, under_way }, Arc::new(|_, _| ()))
}

fn ask(key: &str) -> Ask {
    Ask {
        key: key.into(),
        namespace: "scoring".into(),
        name: key.into(),
        attempt: String::new(),
        lane: Lane::First,
        expires_at: None,
        calls: 1,
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_is_called_when_its_turn_has_come() {
    let budget = budget(1, 1);
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let running = tokio::spawn(budget.clone().run(move |called| {
        assert_eq!(called.key.as_ref(), "b");
        seen.fetch_add(1, Ordering::Relaxed);
        true
    }));
    let first = budget.ask(ask("a")).unwrap();
    assert!(budget.ask(ask("b")).is_err());
    tokio::time::sleep(SECOND).await;
    assert_eq!(calls.load(Ordering::Relaxed), 0, "one call under way is the bound");
    drop(first);
    tokio::time::sleep(SECOND).await;
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert!(budget.has_turn("b") && budget.ask(ask("b")).is_ok());
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_gives_its_turn_to_the_next_one() {
    let budget = budget(1, 1);
    let running = tokio::spawn(budget.clone().run(|called| called.key.as_ref() != "gone"));
    let first = budget.ask(ask("a")).unwrap();
    assert!(budget.ask(ask("gone")).is_err() && budget.ask(ask("c")).is_err());
    drop(first);
    tokio::time::sleep(SECOND).await;
    assert!(!budget.knows("gone") && budget.has_turn("c"));
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_task_that_waits_leaves_no_trace() {
    let budget = budget(1, 1);
    let first = budget.ask(ask("a")).unwrap();
    assert!(tokio::time::timeout(3 * SECOND, budget.task("identity")).await.is_err());
    assert!(!budget.knows("identity"));
    drop(first);
    let turn = budget.task("identity").await;
    assert_eq!(budget.snapshot().under_way, 1);
    let began = turn.begin();
    turn.heard(Heard::Unreachable, began);
    drop(turn);
    assert!(!budget.knows("identity"), "a task asks again when it wants to");
    assert_eq!((budget.snapshot().under_way, budget.snapshot().waiting), (0, [0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn a_turn_in_vain_waits_again_and_one_without_calls_costs_nothing() {
    let budget = budget(1, 4);
    for _ in 0..10 {
        drop(budget.ask(ask("a")).unwrap());
    }
    let turn = budget.ask(ask("a")).unwrap();
    let began = turn.begin();
    turn.heard(Heard::Throttled, began);
    turn.end();
    drop(turn);
    assert!(budget.knows("a") && !budget.has_turn("a"));
    assert_eq!(budget.snapshot().weather, Weather::Throttling);
    budget.leave("a");
    assert!(!budget.knows("a"));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_waits_for_is_not_asked_while_anybody_waits() {
    let budget = budget(1, 1);
    drop(budget.ask_idle(ask("trial")).unwrap());
    let first = budget.ask(ask("a")).unwrap();
    assert!(budget.ask_idle(ask("trial")).is_none() && !budget.knows("trial"));
    assert!(budget.ask(ask("b")).is_err());
    drop(first);
    assert!(budget.ask_idle(ask("trial")).is_none(), "it is b's turn");
    assert!(budget.has_turn("b"));
}

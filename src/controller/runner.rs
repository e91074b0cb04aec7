//! Runs the reconciles of the objects that are queued or whose requeue is due. It is what the
//! `Controller` of `kube` does, over the scheduler of `kube`, without a store of whole objects: a
//! queue holds the names of objects only.

use super::enqueuer::Queue;
use crate::cluster::Name;
use futures::{StreamExt as _, channel::mpsc::unbounded, future::poll_fn, stream};
use kube::runtime::scheduler::{ScheduleRequest, scheduler};
use std::{collections::HashSet, panic::resume_unwind, pin::pin, time::Duration};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};
use tracing::Instrument as _;

/// Reconciles the objects of a queue until `shutdown`, then waits for the reconciles that have
/// begun. At most `concurrency` reconciles run at the same time, and never two of one object. Of
/// several requests for one object the earliest counts.
///
/// `every` returns the names of all objects, for a request for all. `reconcile` returns the time
/// until the next reconcile of the object; `None` if only a change brings one. Each reconcile is a
/// task of its own, so that all cores take part. The tasks end when the run is dropped.
pub(super) async fn run<Reconcile>(
    queue: Queue,
    every: impl Fn() -> Vec<Name>,
    concurrency: usize,
    shutdown: impl Future<Output = ()>,
    reconcile: impl Fn(Name) -> Reconcile,
) where
    Reconcile: Future<Output = Option<Duration>> + Send + 'static,
{
    let now = |name| ScheduleRequest { message: name, run_at: Instant::now() };
    let (requeue, requeued) = unbounded();
    let one = queue.one.map(|name| vec![name]);
    let every = queue.every.map(|()| every());
    let asked = stream::select(one, every).flat_map(stream::iter).map(now);
    let mut scheduler = pin!(scheduler(stream::select(asked, requeued).take_until(shutdown)));
    let (mut running, mut names) = (JoinSet::new(), HashSet::new());
    loop {
        // At the limit the scheduler only takes requests in.
        let has_room = running.len() < concurrency;
        let next = poll_fn(|context| {
            if has_room {
                scheduler.as_mut().hold_unless(|name| !names.contains(name)).poll_next_unpin(context)
            } else {
                scheduler.as_mut().hold().poll_next_unpin(context)
            }
        });
        tokio::select! {
            Some(done) = running.join_next() => {
                let (name, wait): (Name, Option<Duration>) = finished(done);
                names.remove(&name);
                // An instant that cannot be counted is never.
                if let Some(run_at) = wait.and_then(|wait| Instant::now().checked_add(wait)) {
                    // The scheduler has the other end.
                    let _ = requeue.unbounded_send(ScheduleRequest { message: name, run_at });
                }
            }
            next = next => {
                let Some(name) = next else { break };
                names.insert(name.clone());
                let reconciled = reconcile(name.clone());
                running.spawn(async move { (name, reconciled.await) }.in_current_span());
            }
        }
    }
    while let Some(done) = running.join_next().await {
        finished(done);
    }
}

/// The result of a task. No task is cancelled while the run lives. A panic goes on.
fn finished<T>(done: Result<T, JoinError>) -> T {
    done.unwrap_or_else(|failed| resume_unwind(failed.into_panic()))
}

#[cfg(test)]
mod tests {
    use super::super::enqueuer::{QueueSender, queue};
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;
    use tokio::{
        sync::{Notify, oneshot},
        time::sleep,
    };

    /// The record of a run: the objects in the order of their reconciles, and the most that ran at
    /// the same time.
    #[derive(Default)]
    struct Seen {
        begun: Vec<String>,
        running: Vec<String>,
        most: usize,
    }

    /// Runs a queue whose reconciles take a second, and requeue `a` once, after a minute.
    fn runs(concurrency: usize) -> (QueueSender, Arc<Mutex<Seen>>, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let (sender, queue) = queue();
        let (stop, stopped) = oneshot::channel();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        let reconcile = move |name: Name| {
            let seen = shared.clone();
            async move {
                let name = name.name().to_owned();
                {
                    let mut seen = seen.lock();
                    assert!(!seen.running.contains(&name), "two reconciles of {name} at the same time");
                    seen.begun.push(name.clone());
                    seen.running.push(name.clone());
                    seen.most = seen.most.max(seen.running.len());
                }
                sleep(Duration::from_secs(1)).await;
                let mut seen = seen.lock();
                seen.running.retain(|running| *running != name);
                let is_first = seen.begun.iter().filter(|begun| **begun == name).count() == 1;
                (name == "a" && is_first).then_some(Duration::from_secs(60))
            }
        };
        let every = || ["a", "b", "c"].map(|name| Name::new("lab", name)).into();
        let shutdown = async move { drop(stopped.await) };
        (sender, seen, stop, tokio::spawn(run(queue, every, concurrency, shutdown, reconcile)))
    }

    fn sorted(seen: &Mutex<Seen>) -> Vec<String> {
        let mut begun = seen.lock().begun.clone();
        begun.sort();
        begun
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_for_all_reconciles_each_object_within_the_limit() {
        let (queue, seen, _stop, _running) = runs(2);
        queue.all();
        queue.all();
        sleep(Duration::from_secs(10)).await;
        assert_eq!((sorted(&seen), seen.lock().most), (["a", "b", "c"].map(str::to_owned).into(), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_during_a_reconcile_brings_one_more_after_it() {
        let (queue, seen, _stop, _running) = runs(9);
        queue.enqueue(Name::new("lab", "b"));
        sleep(Duration::from_millis(500)).await;
        (0..5).for_each(|_| queue.enqueue(Name::new("lab", "b")));
        sleep(Duration::from_secs(10)).await;
        assert_eq!(seen.lock().begun, ["b", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_requeue_comes_in_its_time_and_a_change_comes_before_it() {
        let (queue, seen, _stop, _running) = runs(9);
        queue.enqueue(Name::new("lab", "a"));
        sleep(Duration::from_secs(59)).await;
        assert_eq!(seen.lock().begun, ["a"]);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(seen.lock().begun, ["a", "a"]);

        let (queue, seen, _stop, _running) = runs(9);
        queue.enqueue(Name::new("lab", "a"));
        sleep(Duration::from_secs(5)).await;
        queue.enqueue(Name::new("lab", "a"));
        sleep(Duration::from_secs(300)).await;
        assert_eq!(seen.lock().begun, ["a", "a"], "the earlier request counts, and the later one is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_lets_what_has_begun_finish_and_begins_nothing() {
        let (queue, seen, stop, running) = runs(1);
        queue.all();
        sleep(Duration::from_millis(500)).await;
        stop.send(()).unwrap();
        running.await.unwrap();
        let seen = seen.lock();
        assert_eq!((seen.begun.len(), seen.running.len()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reconcile_that_waits_for_another_task_goes_on() {
        let (sender, queue) = queue();
        let (notify, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (waits, tells) = (notify.clone(), done.clone());
        let reconcile = move |_| {
            let (waits, tells) = (waits.clone(), tells.clone());
            async move {
                waits.notified().await;
                tells.notify_one();
                None
            }
        };
        tokio::spawn(run(queue, Vec::new, 1, std::future::pending(), reconcile));
        sender.enqueue(Name::new("lab", "a"));
        sleep(Duration::from_secs(1)).await;
        notify.notify_one();
        tokio::time::timeout(Duration::from_secs(1), done.notified()).await.unwrap();
    }
}

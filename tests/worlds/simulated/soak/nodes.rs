//! The operator's processes, each on a node with a clock of its own. A process that ends is started
//! again after a while, as the kubelet does.

use crate::{
    fixtures::OPERATORS,
    simulated::{node_clock::NodeClock, seeds::dice::Dice, world::World},
};
use jiff::{SignedDuration, Timestamp};
use keyturn::{
    leader::{LeaseName, Lost},
    operator::Operator,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    task::{AbortHandle, JoinHandle},
};

/// The names of the nodes, which are the user agents of their processes.
const NAMES: [&str; 2] = ["first", "second"];
/// The time after which a process that could not start is started again.
const RESTART: Duration = Duration::from_secs(5);

/// The nodes.
pub struct Nodes {
    both: [Node; 2],
    is_pair: bool,
    killer: Killer,
}

struct Node {
    name: &'static str,
    clock: NodeClock,
    running: Option<(JoinHandle<Result<(), Lost>>, oneshot::Sender<()>)>,
    starts_at: Option<Timestamp>,
}

/// Kills the process of a node at the line at which it is.
#[derive(Clone, Default)]
pub struct Killer(Arc<Mutex<Vec<(&'static str, AbortHandle)>>>);

impl Killer {
    /// Kills the process of this node.
    pub fn kill(&self, name: &str) {
        for (node, handle) in self.0.lock().unwrap().iter() {
            if *node == name {
                handle.abort();
            }
        }
    }
}

impl Nodes {
    pub fn new(world: &World) -> Self {
        let node = |name| Node { name, clock: world.another_node_clock(), running: None, starts_at: None };
        Self { both: NAMES.map(node), is_pair: false, killer: Killer::default() }
    }

    pub fn killer(&self) -> Killer {
        self.killer.clone()
    }

    /// The names of the nodes whose processes run or are to run.
    pub fn names(&self) -> &'static [&'static str] {
        if self.is_pair { &NAMES } else { &NAMES[..1] }
    }

    pub fn clock(&self, name: &str) -> &NodeClock {
        &self.both.iter().find(|node| node.name == name).unwrap().clock
    }

    pub fn start_alone(&mut self, world: &World, dice: &mut Dice) {
        self.is_pair = false;
        self.start(0, world, dice);
    }

    pub fn start_pair(&mut self, world: &World, dice: &mut Dice) {
        self.is_pair = true;
        self.start(0, world, dice);
        self.start(1, world, dice);
    }

    fn start(&mut self, number: usize, world: &World, dice: &mut Dice) {
        let node = &mut self.both[number];
        let minutes = dice.one_of(&[0, 0, 0, 10, -10, 3, -3]);
        node.clock.set_right();
        node.clock.set_ahead(SignedDuration::from_mins(minutes));
        let (stop, stopped) = oneshot::channel();
        let lease = LeaseName { namespace: OPERATORS.to_owned(), name: "keyturn".to_owned() };
        let operator = Operator {
            client: world.api.client_with_time_out(node.name),
            instance: node.name.to_owned(),
            lease: self.is_pair.then_some(lease),
            ..world.operator_on(&node.clock)
        };
        let task = tokio::spawn(async move {
            // A process that cannot start ends, and the kubelet starts another.
            while operator.check().await.is_err() {
                tokio::time::sleep(RESTART).await;
            }
            let shutdown = async move {
                let _ = stopped.await;
            };
            operator.run(None, shutdown).await
        });
        let mut handles = self.killer.0.lock().unwrap();
        handles.retain(|(name, _)| *name != node.name);
        handles.push((node.name, task.abort_handle()));
        node.running = Some((task, stop));
        node.starts_at = None;
    }

    /// Starts processes that have ended, each some time after its end. Returns the nodes whose
    /// processes have ended since the last call.
    pub fn start_the_dead(&mut self, world: &World, dice: &mut Dice) -> Vec<&'static str> {
        let mut died = Vec::new();
        for number in 0..self.names().len() {
            let node = &mut self.both[number];
            if node.running.as_ref().is_some_and(|(task, _)| task.is_finished()) {
                node.running = None;
                let seconds = i64::try_from(dice.next() % 90).unwrap();
                node.starts_at = Some(world.now() + SignedDuration::from_secs(seconds));
                died.push(node.name);
            }
            if node.starts_at.is_some_and(|at| at <= world.now()) {
                self.start(number, world, dice);
            }
        }
        died
    }

    /// Starts every process that has ended.
    pub fn start_all(&mut self, world: &World, dice: &mut Dice) {
        for number in 0..self.names().len() {
            if self.both[number].starts_at.is_some() {
                self.start(number, world, dice);
            }
        }
    }

    /// Stops all processes and waits until they have ended.
    pub async fn stop(&mut self) {
        for node in &mut self.both {
            node.starts_at = None;
            if let Some((task, stop)) = node.running.take() {
                let _ = stop.send(());
                let ended = tokio::time::timeout(Duration::from_secs(60), task).await.expect("the operator stops");
                if let Err(error) = ended {
                    assert!(error.is_cancelled(), "the operator does not panic: {error}");
                }
            }
        }
    }
}

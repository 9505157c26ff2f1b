//! Faults: setup → inject → observe that it took effect → recover → observe that it is gone.

use crate::{Cluster, Database, Network, NodeError};
use histories::Value;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::time::Duration;

/// What faults act on.
#[derive(Clone)]
pub struct Context {
    /// The nodes.
    pub cluster: Cluster,
    /// Their processes.
    pub database: Arc<dyn Database>,
    /// Their packets.
    pub network: Arc<dyn Network>,
}

/// One class of faults: `partition`, `kill`, `pause`. Healing is idempotent and runs on every exit path.
pub trait Fault: Send {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Prepares the nodes. Called only if this fault was asked for.
    fn setup(&mut self, context: &Context) -> Result<(), NodeError>;

    /// Chooses targets by `rng` (the same draws whatever the cluster answers) and hurts them. `after` is the state observed
    /// from outside once it was done.
    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError>;

    /// Undoes it and observes that it is gone. No harm if nothing is active.
    fn recover(&mut self, context: &Context) -> Result<Report, NodeError>;
}

/// What was done and what was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The nodes hurt (or healed), by index.
    pub nodes: Vec<usize>,
    /// In words: `n1 n3 | n2 n4 n5`, `n2 hears nobody`, `killed n4`.
    pub what: String,
    /// Whether it was seen, from outside what did it, to have taken effect (or to be gone).
    pub observed: bool,
    /// What was seen, in words; why not, if not.
    pub seen: String,
    /// Further facts for the history: the grudge by node names, ...
    pub facts: Vec<(String, Value)>,
}

/// Start or end of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Inject.
    Start,
    /// Recover.
    Stop,
}

/// One step of the nemesis's schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Which fault: an index into the nemesis's list.
    pub fault: usize,
    /// Start or end.
    pub phase: Phase,
    /// When, since the start of the run.
    pub at: Duration,
}

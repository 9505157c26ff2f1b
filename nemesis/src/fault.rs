//! Faults: setup → inject → observe that it took effect → recover → observe that it is gone.

use crate::report::Report;
use crate::{Cluster, Database, Network, Node, NodeError, ProcessState};
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

    /// In how many ways it hurts, each of which has its turn before any comes again.
    fn ways(&self) -> usize {
        1
    }

    /// Says what the database has to be set up with. Called before it is set up, only if this fault was asked for.
    fn prepare(&mut self, _context: &Context) -> Result<(), NodeError> {
        Ok(())
    }

    /// Prepares the nodes. Called only if this fault was asked for.
    fn setup(&mut self, context: &Context) -> Result<(), NodeError>;

    /// Chooses targets by `rng` (the same draws whatever the cluster answers) and hurts them. `after` is the state observed
    /// from outside once it was done.
    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError>;

    /// Undoes it and observes that it is gone. No harm if nothing is active.
    fn recover(&mut self, context: &Context) -> Result<Report, NodeError>;
}

impl Context {
    /// Reaches every node again whose connection was lost, except those whose hosts are off.
    pub(crate) fn reach_all(&self) {
        let on: Vec<usize> = self.without_off((0..self.cluster.len()).collect()).0;
        for error in self.errors_on(&on, |node| self.network.reach(node)) {
            tracing::warn!(%error, "reaching a node again");
        }
    }

    /// The nodes whose hosts are off, asked now: nothing can be done to them. None where nobody holds power switches.
    pub(crate) fn off(&self) -> Vec<usize> {
        let Some(hosts) = self.database.hosts() else { return Vec::new() };
        let all: Vec<usize> = (0..self.cluster.len()).collect();
        let answers = self.cluster.on(&all, |node| hosts.answers(node));
        all.into_iter().filter(|&node| !answers[node]).collect()
    }

    /// Leaves out nodes whose hosts are off, and says so: ` (not n2, its host is off)`.
    pub(crate) fn without_off(&self, nodes: Vec<usize>) -> (Vec<usize>, String) {
        let off = self.off();
        let (off, on): (Vec<usize>, Vec<usize>) = nodes.into_iter().partition(|node| off.contains(node));
        let note = if off.is_empty() { String::new() } else { format!(" (not {}, off)", self.cluster.names(&off)) };
        (on, note)
    }

    /// Leaves out nodes without a process, and says so.
    pub(crate) fn without_down(&self, nodes: Vec<usize>) -> (Vec<usize>, String) {
        let states = self.cluster.on(&nodes, |node| self.database.state(node));
        let is_down = |state| matches!(state, Ok(ProcessState::Down));
        let (down, up): (Vec<_>, Vec<_>) =
            nodes.into_iter().zip(states).map(|(node, state)| (node, is_down(state))).partition(|(_, down)| *down);
        let of = |nodes: Vec<(usize, bool)>| nodes.into_iter().map(|(node, _)| node).collect::<Vec<usize>>();
        let (down, up) = (of(down), of(up));
        let note = if down.is_empty() { String::new() } else { format!(" (not {}, down already)", self.cluster.names(&down)) };
        (up, note)
    }

    /// Does something on several nodes at once and returns the errors.
    pub(crate) fn errors_on(&self, nodes: &[usize], act: impl Fn(&Node) -> Result<(), NodeError> + Sync) -> Vec<NodeError> {
        self.cluster.on(nodes, act).into_iter().filter_map(Result::err).collect()
    }
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

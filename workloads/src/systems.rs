//! Who is asked: a database, its clients, its processes and its network.
//!
//! # Adding a system
//!
//! One file (or a directory beside it) named after the store. [`crate::systems::etcd`] is the example for a store on nodes reached by
//! agents, [`crate::systems::demo`] for one on this machine. It takes four things:
//!
//! 1. **A client**, a [`Client`]: one attempt per op, no retry, no sleep, no deadline of its own (the interpreter drops the
//!    future), and no driver that retries or reconnects in silence. It understands the functions of the workloads it
//!    [offers](System::offers) (`read`, `write`, `cas`: see each workload) and refuses others with `fail`.
//! 2. **A table of errors**, as data with tests, like [`crate::systems::etcd::errors`]. `fail` is only for what *provably* did not
//!    happen and never will: refused before sending, or a code of the store's own that its source shows to be given instead
//!    of the effect (look for codes that are given *after* it). Reads change nothing, so any error of one is `fail`. All else,
//!    and whatever is not in the table, is `info`. A cas that found another value is `fail` with [`OpError::MISMATCH`].
//! 3. **A database**, a [`Database`]: its own data directory and ports, teardown that works on a node where a run was killed
//!    half-way, readiness seen from the outside, errors that name the node, what is missing and how to get it, and the end of
//!    the server's log where the server is to blame.
//! 4. **A struct of options** that derives `clap::Args` and `serde::Deserialize`, an implementation of [`System`], which puts
//!    all together, and one of [`SystemKind`], which is a row of the table [`SYSTEMS`]. Options that change what the store
//!    promises (`--read serializable`) belong into [`System::describe`], so that the report shows them.
//!
//! Test the client twice: against the real store (skipped loudly where it is not installed) killed, stopped and refusing, and
//! against a scripted server that cuts its answers short. A missing value is `nil`; a value that cannot be read back is an
//! error, never a guess.
//!
//! [`OpError::MISMATCH`]: crate::OpError::MISMATCH

pub mod demo;
pub mod etcd;

use crate::client::Client;
use checker::Consistency;
use clap::{ArgMatches, Command};
use nemesis::{Agents, Cluster, Database, Network, Node, NodeError};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// The systems that come with Rashomon, in the order in which help lists them.
pub const SYSTEMS: &[&dyn SystemKind] = &[&demo::kind::Kind, &etcd::kind::Kind];

/// What was found beside the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What no store should show, whatever its clients were told.
    pub found: Vec<Finding>,
    /// What was looked at without a finding, and what could not be looked at and why, in sentences.
    pub notes: Vec<String>,
}

/// Something that no store should show. It stands beside the verdict on the history, and is no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind it is, short and stable: `replicas-differ`.
    pub id: &'static str,
    /// What was found, in a sentence.
    pub text: String,
}

/// A store under test.
pub trait System: Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Its processes.
    fn database(&self) -> Arc<dyn Database>;

    /// The network between its nodes.
    fn network(&self) -> Arc<dyn Network>;

    /// Whether clients can ask for `f`. A workload that needs more is refused before anything starts.
    fn offers(&self, f: &str) -> bool;

    /// A client for one process on one node, not yet open.
    fn client(&self, node: &Node) -> Box<dyn Client>;

    /// Whether results are `[value revision]`, so that they can be judged by the model `etcd-kv`.
    fn tells_revisions(&self) -> bool {
        false
    }

    /// What its nodes say of themselves when everything is over, while they still run: whether they hold the same. From a plain
    /// thread only.
    fn findings(&self, _cluster: &Cluster) -> Findings {
        Findings::default()
    }

    /// Why it cannot be hurt in this way (the name of a class of faults), if it cannot.
    fn lacks(&self, _fault: &str) -> Option<String> {
        None
    }

    /// Its options in words for the report: `replication: quorum`.
    fn describe(&self) -> Vec<(String, String)>;
}

/// A row of the table of systems: what is known of a store before any of it runs.
pub trait SystemKind: Sync {
    /// Its name on the command line, and in the names of runs: `etcd`.
    fn name(&self) -> &'static str;

    /// What it is, in a line of help.
    fn about(&self) -> &'static str;

    /// Where its nodes are.
    fn place(&self) -> Place;

    /// Adds its options to a command line.
    fn augment(&self, command: Command) -> Command;

    /// Makes it from its options. Nothing of it is started.
    ///
    /// # Errors
    /// Options that make no sense; nodes that cannot be looked up; what the system of this machine refuses.
    fn make(&self, options: &ArgMatches, site: &Site<'_>) -> Result<Made, MakeError>;

    /// What its documentation promises under its default options, workload by workload.
    fn promises(&self) -> &'static [Promise];

    /// The command by which a node tells whether it has the store, and which version.
    fn version_command(&self) -> Option<&'static [&'static str]> {
        None
    }
}

/// Where the nodes of a system are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine, made for the run: so many.
    Here {
        /// If nobody says how many.
        usual: usize,
        /// How many there can be.
        possible: RangeInclusive<usize>,
    },
    /// On hosts that agents reach.
    Hosts,
}

/// Where a system is to be made.
pub struct Site<'a> {
    /// Its nodes: on this machine named after their numbers, else hosts.
    pub nodes: Nodes<'a>,
    /// The seed of the run.
    pub seed: u64,
    /// What the run is judged against.
    pub consistency: Consistency,
}

/// The nodes of a system that is to be made.
pub enum Nodes<'a> {
    /// So many on this machine.
    Here {
        /// How many.
        count: usize,
        /// The directory that gets what they store and log. It belongs to this run alone.
        dir: &'a Path,
        /// The running program, whose commands its nodes may be.
        program: &'a Path,
    },
    /// Hosts.
    Hosts {
        /// All of them.
        cluster: &'a Cluster,
        /// The agents on them.
        agents: &'a Agents,
        /// The lab that they belong to, by name.
        lab: Option<&'a str>,
    },
}

/// A system that was made.
pub struct Made {
    /// The system.
    pub system: Arc<dyn System>,
    /// The nodes that it is on.
    pub cluster: Cluster,
}

/// Why a system could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MakeError {
    /// The options make no sense, and why.
    #[error("{0}")]
    Usage(String),
    /// Nodes cannot be looked up or used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n       "))]
    Nodes(Vec<NodeError>),
    /// The system of this machine refused something.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What a store promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// For this workload, by name.
    pub workload: &'static str,
    /// The strongest model that is promised.
    pub consistency: Consistency,
    /// The words of its documentation, or where its design is explained.
    pub words: &'static str,
    /// Where they stand.
    pub source: &'static str,
}

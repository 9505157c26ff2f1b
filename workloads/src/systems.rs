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
//! 4. **A struct of options** and an implementation of [`System`], which puts them together. Options that change what the
//!    store promises (`--read serializable`) belong into [`System::describe`], so that the report shows them.
//!
//! Test the client twice: against the real store (skipped loudly where it is not installed) killed, stopped and refusing, and
//! against a scripted server that cuts its answers short. A missing value is `nil`; a value that cannot be read back is an
//! error, never a guess.
//!
//! [`OpError::MISMATCH`]: crate::OpError::MISMATCH

pub mod demo;
pub mod etcd;

use crate::client::Client;
use nemesis::{Cluster, Database, Network, Node};
use std::sync::Arc;

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

//! Who is asked: a database, its clients, its processes and its network.

use crate::client::Client;
use nemesis::{Database, Network, Node};
use std::sync::Arc;

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

    /// Its options in words for the report: `replication: quorum`.
    fn describe(&self) -> Vec<(String, String)>;
}

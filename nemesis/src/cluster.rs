//! The nodes of a test.

use std::sync::Arc;
use thiserror::Error;

/// Something that did not work on a node. Its text names the node, what was tried and what to do.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{node}: {message}")]
pub struct NodeError {
    /// The node's name.
    pub node: String,
    /// What was tried, what happened, and what to do next.
    pub message: String,
}

impl NodeError {
    /// An error about a node.
    pub fn new(node: &str, message: impl Into<String>) -> NodeError {
        NodeError { node: node.into(), message: message.into() }
    }
}

/// One host that runs the database.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its place in the cluster, from 0. Thread i of a test talks to node `i mod n`.
    pub index: usize,
    /// Its name: `n1`.
    pub name: String,
    /// The address that clients and other nodes use: a name or an IP address, without a port.
    pub address: String,
}

/// All nodes of a test, in order.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// The nodes; `nodes[i].index == i`.
    pub nodes: Arc<[Node]>,
}

impl Cluster {
    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The names of some nodes, with blanks between them.
    pub fn names(&self, nodes: &[usize]) -> String {
        nodes.iter().map(|&i| self.nodes[i].name.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Does the same on several nodes at once, each on a thread of its own, and returns the results in the order of `nodes`.
    pub fn on<T: Send>(&self, nodes: &[usize], act: impl Fn(&Node) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let act = &act;
            let threads: Vec<_> = nodes.iter().map(|&i| scope.spawn(move || act(&self.nodes[i]))).collect();
            threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }

    /// [`Cluster::on`] every node; the first error wins, after all have ended.
    pub fn on_all<T: Send>(&self, act: impl Fn(&Node) -> Result<T, NodeError> + Sync) -> Result<Vec<T>, NodeError> {
        let all: Vec<usize> = (0..self.len()).collect();
        self.on(&all, act).into_iter().collect()
    }
}

/// The number of nodes that are a majority of `n`.
pub fn majority(n: usize) -> usize {
    n / 2 + 1
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Nodes n1..nN at closed addresses of this machine.
    pub(crate) fn cluster(n: usize) -> Cluster {
        let node = |index: usize| Node { index, name: format!("n{}", index + 1), address: "127.0.0.1".into() };
        Cluster { nodes: (0..n).map(node).collect() }
    }
}

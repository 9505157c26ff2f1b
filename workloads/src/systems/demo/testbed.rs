//! What the parts of one demo share: its options, its directories, its ports and its processes.

use super::DemoOptions;
use super::ports::Ports;
use super::processes::Processes;
use nemesis::Node;
use std::path::PathBuf;

/// One demo cluster on this machine.
#[derive(Debug)]
pub(super) struct TestBed {
    pub(super) options: DemoOptions,
    pub(super) ports: Ports,
    pub(super) processes: Processes,
}

impl TestBed {
    /// What a node's process says for people. It stays when the node is torn down.
    pub(super) fn log(&self, node: &Node) -> PathBuf {
        self.options.dir.join(&node.name).join("node.log")
    }

    /// What a node knows, and its switches.
    pub(super) fn data(&self, node: &Node) -> PathBuf {
        self.options.dir.join(&node.name).join("data")
    }

    pub(super) fn switches(&self, node: &Node) -> PathBuf {
        self.data(node).join("switches")
    }

    pub(super) fn port(&self, node: &Node) -> u16 {
        self.ports.number(node.index)
    }
}

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
    /// Everything that belongs to a node: its log of records, its switches, what it says for people.
    pub(super) fn directory(&self, node: &Node) -> PathBuf {
        self.options.dir.join(&node.name)
    }

    pub(super) fn switches(&self, node: &Node) -> PathBuf {
        self.directory(node).join("switches")
    }

    pub(super) fn port(&self, node: &Node) -> u16 {
        self.ports.number(node.index)
    }
}

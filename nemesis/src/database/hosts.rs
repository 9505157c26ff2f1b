//! The power switches of hosts.

use crate::{Node, NodeError};

/// The hosts that nodes are on, where their power may be cut: those of a lab.
pub trait Hosts: Send + Sync {
    /// Cuts the power: every process of the host is gone at once, its disk stays. No harm if it is off.
    fn crash(&self, node: &Node) -> Result<(), NodeError>;

    /// Boots it and waits until the database can be reached and started on it again. No harm if it runs.
    fn boot(&self, node: &Node) -> Result<(), NodeError>;

    /// Whether it answers on the network, tried now.
    fn answers(&self, node: &Node) -> bool;
}

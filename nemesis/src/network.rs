//! The network between the nodes, as far as the nemesis may cut it.

use crate::agent::protocol::traffic::{Echoes, Measured, Shape};
use crate::{Node, NodeError};

/// Cuts and probes links between nodes. Never touches the control node's traffic.
pub trait Network: Send + Sync {
    /// Makes `node` drop all it receives from the nodes `from`, and from no other: replaces what was there before. An empty
    /// set removes every trace of it.
    fn drop_from(&self, node: &Node, from: &[&Node]) -> Result<(), NodeError>;

    /// Reaches `node` again if the connection to it was lost. What was done to it until then is undone by the node itself. Returns at once
    /// if nothing is lost.
    fn reach(&self, _node: &Node) -> Result<(), NodeError> {
        Ok(())
    }

    /// Checks that `node` has what it takes to drop packets, and leaves it as it was. No other node is cut off meanwhile.
    fn can_drop(&self, node: &Node) -> Result<(), NodeError>;

    /// Makes the packets that `node` sends to the nodes `to`, and to no other, suffer as `shape` says: replaces what was there
    /// before. An empty set removes every trace of it. `seed` decides which packets are hurt.
    fn shape(&self, node: &Node, _to: &[&Node], _shape: &Shape, _seed: u64) -> Result<(), NodeError> {
        Err(NodeError::new(&node.name, "the packets of this system cannot be hurt"))
    }

    /// Checks that `node` has what it takes to shape packets, and leaves it as it was.
    fn can_shape(&self, node: &Node) -> Result<(), NodeError> {
        Err(NodeError::new(&node.name, "the packets of this system cannot be hurt"))
    }

    /// What becomes of datagrams that `from` sends and `to` sends back, tried now.
    fn measure(&self, from: &Node, _to: &Node, _echoes: &Echoes) -> Result<Measured, NodeError> {
        Err(NodeError::new(&from.name, "the packets of this system cannot be measured"))
    }

    /// Whether a message sent by `from` is heard by `to`, tried now: one direction only, so that one-way cuts are seen as such.
    fn probe(&self, from: &Node, to: &Node) -> Result<bool, NodeError>;
}

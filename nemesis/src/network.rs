//! The network between the nodes, as far as the nemesis may cut it.

use crate::{Node, NodeError};

/// Cuts and probes links between nodes. Never touches the control node's traffic.
pub trait Network: Send + Sync {
    /// Makes `node` drop all it receives from the nodes `from`, and from no other: replaces what was there before. An empty
    /// set removes every trace of it.
    fn drop_from(&self, node: &Node, from: &[&Node]) -> Result<(), NodeError>;

    /// Checks that `node` has what it takes to drop packets, and leaves it as it was. No other node is cut off meanwhile.
    fn can_drop(&self, node: &Node) -> Result<(), NodeError>;

    /// Whether a message sent by `from` is heard by `to`, tried now: one direction only, so that one-way cuts are seen as such.
    fn probe(&self, from: &Node, to: &Node) -> Result<bool, NodeError>;
}

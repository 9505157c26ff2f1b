//! The clocks that a database sees.

use crate::agent::protocol::clock::{Reading, Skew};
use crate::{Node, NodeError};

/// The clocks that the database's processes see, node by node.
pub trait Clocks: Send + Sync {
    /// An error if they cannot be changed on this node, with the reason, as far as can be told without changing anything.
    fn can_skew(&self, node: &Node) -> Result<(), NodeError>;

    /// Makes them wrong in this way and no longer in the way before.
    fn skew(&self, node: &Node, skew: &Skew) -> Result<(), NodeError>;

    /// Reads them. They must have been skewed before; [`Skew::None`] will do.
    fn read(&self, node: &Node) -> Result<Vec<Reading>, NodeError>;

    /// Makes them their own again, without a trace. No harm if they are, or if there is no process.
    fn restore(&self, node: &Node) -> Result<(), NodeError>;
}

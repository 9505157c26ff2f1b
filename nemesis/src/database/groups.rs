//! The control groups of the processes of a database.

use crate::agent::protocol::group::{Resource, Usage};
use crate::{Node, NodeError};

/// The control groups of the database's processes, node by node.
pub trait Groups: Send + Sync {
    /// Whether they can be made on this node; an error says why not.
    fn can_provide(&self, node: &Node) -> Result<(), NodeError>;

    /// From the next start on the processes are in groups of their own.
    fn provide(&self);

    /// Limits them to this share, in thousandths, of the memory in use or of one processor.
    fn squeeze(&self, node: &Node, resource: Resource, thousandths: u32) -> Result<(), NodeError>;

    /// Takes the limit away and starts the database if it ended because of it. No harm if there is none.
    fn release(&self, node: &Node, resource: Resource) -> Result<(), NodeError>;

    /// What the kernel counts, read by a program of the node that has nothing to do with what limits.
    fn usage(&self, node: &Node, resource: Resource) -> Result<Usage, NodeError>;
}

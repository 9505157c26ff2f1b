//! The disks that the data of a database lies on.

use crate::agent::protocol::disk::DiskHarm;
use crate::{Node, NodeError};

/// The disks that the database's data lies on, node by node.
pub trait Disks: Send + Sync {
    /// Whether the data can be put on a disk of its own on this node; an error says why not.
    fn can_provide(&self, node: &Node) -> Result<(), NodeError>;

    /// From the next setup on the data is put on a disk of its own.
    fn provide(&self);

    /// Hurts the disk, which must be one of its own.
    fn hurt(&self, node: &Node, harm: DiskHarm) -> Result<(), NodeError>;

    /// Puts it right and starts the database if it ended because of it. No harm if nothing was done to it.
    fn heal(&self, node: &Node) -> Result<(), NodeError>;

    /// Looks at it by programs of the node that have nothing to do with what hurts it.
    fn look(&self, node: &Node) -> Result<DiskLook, NodeError>;

    /// Writes two small files, the first to be synced and the second not.
    fn plant(&self, node: &Node) -> Result<(), NodeError>;

    /// Which of the two there are, and removes them.
    fn reap(&self, node: &Node) -> Result<[bool; 2], NodeError>;
}

/// A disk as a program of the node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskLook {
    /// Whether it is mounted.
    pub mounted: bool,
    /// What came of an attempt to write to it: `None` if it was done, the words of the error if not.
    pub refused: Option<String>,
}

//! The commands of operators.

use crate::{Cluster, Node, NodeError, Report};

/// What operators can have a database do while it serves. Each looks from outside whether it was done, and says in its report what it
/// saw; one that makes no sense at the moment (the node is down, nobody leads) is a report of nothing done, with the reason.
pub trait Admin: Send + Sync {
    /// Has this node throw away old versions of the data.
    fn compact(&self, cluster: &Cluster, node: &Node) -> Result<Report, NodeError>;

    /// Has this node give back the room that removed data has left.
    fn defragment(&self, cluster: &Cluster, node: &Node) -> Result<Report, NodeError>;

    /// Has this node lead; if it does already, another one.
    fn move_leader(&self, cluster: &Cluster, to: &Node) -> Result<Report, NodeError>;
}

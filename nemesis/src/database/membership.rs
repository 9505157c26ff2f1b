//! Who belongs to the cluster of a database.

use crate::{Cluster, Node, NodeError};
use std::time::Duration;

/// Who belongs to the cluster of a database that can change that while it serves. Members are told by node.
pub trait Membership: Send + Sync {
    /// Whether this node answers clients as a full member, tried now; the reason if not.
    fn serves(&self, node: &Node) -> Result<(), NodeError>;

    /// The members with a vote, ascending, as the node that is asked knows them now. An error if it cannot know for sure.
    fn voters(&self, cluster: &Cluster, asked: &Node) -> Result<Vec<usize>, NodeError>;

    /// Has the others remove a node, then ends its process and removes its data. Nothing of it is touched before it is certain that
    /// it has left.
    fn remove(&self, cluster: &Cluster, node: &Node) -> Result<(), NodeError>;

    /// Has the others let a node in, starts it with empty data, and waits until it serves with a vote. Goes on where an earlier
    /// attempt has ended; no harm if the node never left.
    fn add(&self, cluster: &Cluster, node: &Node, within: Duration) -> Result<(), NodeError>;
}

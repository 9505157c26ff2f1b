//! The network between the nodes, cut and probed by their agents.

use super::Agents;
use crate::{Cluster, Network, Node, NodeError};

/// A [`Network`] that acts through the agents: packets are dropped by the node that would receive them.
pub struct AgentNetwork {
    agents: Agents,
}

impl AgentNetwork {
    /// The network between the nodes of these agents.
    pub fn new(_cluster: &Cluster, agents: Agents) -> Result<AgentNetwork, Vec<NodeError>> {
        Ok(AgentNetwork { agents })
    }
}

impl Network for AgentNetwork {
    fn drop_from(&self, node: &Node, _from: &[&Node]) -> Result<(), NodeError> {
        self.agents.of(node).drop_from(&[])
    }

    fn probe(&self, from: &Node, _to: &Node) -> Result<bool, NodeError> {
        Err(NodeError::new(&from.name, "not yet"))
    }
}

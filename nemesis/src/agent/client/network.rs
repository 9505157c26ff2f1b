//! The network between the nodes, cut and probed by their agents.

use crate::agent::Agents;
use crate::agent::protocol::traffic::{Echoes, Measured, Shape};
use crate::{Cluster, Network, Node, NodeError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// How long a probe that was sent may take to be heard.
const HEARD_WITHIN: Duration = Duration::from_millis(300);

/// Addresses kept for documentation (RFC 5737, RFC 3849): no node has one, so that dropping what comes from them hurts nobody.
const NOBODY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// A [`Network`] that acts through the agents: packets are dropped by the node that would receive them, by all addresses, IPv4 and
/// IPv6, that the sender has. Addresses that several nodes have (those of bridges for containers) tell nobody apart: they are
/// left alone. So is everything that is forwarded to containers and not received by the node itself.
pub struct AgentNetwork {
    agents: Agents,
    /// By node: its addresses as the control node knows them.
    known_as: Vec<Vec<IpAddr>>,
}

impl AgentNetwork {
    /// The network between the nodes of these agents. The names of the nodes are looked up here, on the control node.
    pub fn new(cluster: &Cluster, agents: Agents) -> Result<AgentNetwork, Vec<NodeError>> {
        let (mut known_as, mut errors) = (Vec::new(), Vec::new());
        for node in cluster.nodes.iter() {
            match resolve(&node.address) {
                Ok(addresses) => known_as.push(addresses),
                Err(why) => errors.push(NodeError::new(&node.name, why)),
            }
        }
        if errors.is_empty() { Ok(AgentNetwork { agents, known_as }) } else { Err(errors) }
    }

    /// The addresses by which a node is known to others and nobody else is.
    fn addresses(&self, node: usize) -> Vec<IpAddr> {
        let all: Vec<Vec<IpAddr>> = self.agents.all().iter().map(|agent| agent.about().addresses).collect();
        distinct(node, &self.known_as, &all)
    }

    /// All addresses of some nodes; an error for a node that has none of its own.
    fn addresses_of(&self, nodes: &[&Node]) -> Result<Vec<IpAddr>, NodeError> {
        let mut addresses = Vec::new();
        for node in nodes {
            let own = self.addresses(node.index);
            if own.is_empty() {
                return Err(NodeError::new(
                    &node.name,
                    format!(
                        "its address {} tells it apart from no other node: give its address in the network that the nodes share",
                        node.address
                    ),
                ));
            }
            addresses.extend(own);
        }
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }

    /// Addresses that no node has, of the families that nodes have.
    fn nobody(&self) -> &'static [IpAddr] {
        let two_families = (0..self.known_as.len()).any(|node| self.addresses(node).iter().any(IpAddr::is_ipv6));
        if two_families { &NOBODY } else { &NOBODY[..1] }
    }
}

impl Network for AgentNetwork {
    fn drop_from(&self, node: &Node, from: &[&Node]) -> Result<(), NodeError> {
        self.agents.of(node).drop_from(&self.addresses_of(from)?)
    }

    fn reach(&self, node: &Node) -> Result<(), NodeError> {
        if self.agents.of(node).is_alive() { Ok(()) } else { self.agents.reconnect(node) }
    }

    fn shape(&self, node: &Node, to: &[&Node], shape: &Shape, seed: u64) -> Result<(), NodeError> {
        self.agents.of(node).shape(&self.addresses_of(to)?, shape, seed)
    }

    /// Tried with addresses that nobody has: nothing else tells whether the kernel can.
    fn can_shape(&self, node: &Node) -> Result<(), NodeError> {
        let agent = self.agents.of(node);
        let tried = agent.shape(self.nobody(), &Shape { loss: 1000, ..Shape::default() }, 0);
        tried.and(agent.shape(&[], &Shape::default(), 0))
    }

    fn measure(&self, from: &Node, to: &Node, echoes: &Echoes) -> Result<Measured, NodeError> {
        let address = *self.addresses(to.index).first().ok_or_else(|| NodeError::new(&to.name, "it has no address to probe"))?;
        let to = SocketAddr::new(address, self.agents.of(to).about().probe_port);
        self.agents.of(from).echo(to, RandomState::new().build_hasher().finish(), echoes)
    }

    fn can_drop(&self, node: &Node) -> Result<(), NodeError> {
        let agent = self.agents.of(node);
        agent.drop_from(self.nobody()).and_then(|()| agent.drop_from(&[]))
    }

    /// Heard by IPv4 or by IPv6, where a node has both: a cut of one of them alone is none.
    fn probe(&self, from: &Node, to: &Node) -> Result<bool, NodeError> {
        let (sender, receiver) = (self.agents.of(from), self.agents.of(to));
        let addresses = one_of_each_family(&self.addresses(to.index));
        if addresses.is_empty() {
            return Err(NodeError::new(&to.name, "it has no address to probe"));
        }
        let nonce = RandomState::new().build_hasher().finish();
        let port = receiver.about().probe_port;
        std::thread::scope(|scope| {
            let send = |address: IpAddr| scope.spawn(move || sender.probe_send(SocketAddr::new(address, port), nonce));
            let sent: Vec<_> = addresses.into_iter().map(send).collect();
            let heard = receiver.probe_heard(nonce, HEARD_WITHIN);
            let sent: Vec<_> = sent.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect();
            // A family that this pair of nodes has no route for is no way to be heard by.
            let first = sent.into_iter().reduce(Result::or);
            first.unwrap_or(Ok(())).and(heard)
        })
    }
}

/// The first address of each family, in order of appearance.
fn one_of_each_family(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first = |v6: bool| addresses.iter().find(move |address| address.is_ipv6() == v6);
    let mut found: Vec<IpAddr> = first(false).into_iter().chain(first(true)).copied().collect();
    found.sort_by_key(|address| addresses.iter().position(|other| other == address));
    found
}

fn resolve(address: &str) -> Result<Vec<IpAddr>, String> {
    let found = (address, 0).to_socket_addrs().map_err(|e| format!("cannot find its address {address}: {e}; is its name right?"))?;
    Ok(found.map(|address| address.ip().to_canonical()).collect())
}

/// The addresses of one node, those that it has itself and is known by first, without loopback ones and those of several nodes.
fn distinct(node: usize, known_as: &[Vec<IpAddr>], own: &[Vec<IpAddr>]) -> Vec<IpAddr> {
    let holders = |address: &IpAddr| (0..own.len()).filter(|&i| own[i].contains(address) || known_as[i].contains(address)).count();
    let both = known_as[node].iter().filter(|address| own[node].contains(address));
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in both.chain(&own[node]).chain(&known_as[node]) {
        if !address.is_loopback() && holders(address) == 1 && !addresses.contains(address) {
            addresses.push(*address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_node_is_cut_by_all_addresses_that_are_its_own() {
        let known_as = [ips(&["10.0.0.1"]), ips(&["10.0.0.2"]), ips(&["127.0.0.1"])];
        let own = [ips(&["10.0.0.1", "172.17.0.1", "fd00::1"]), ips(&["172.17.0.1", "10.0.0.2"]), ips(&["172.17.0.1"])];
        assert_eq!(distinct(0, &known_as, &own), ips(&["10.0.0.1", "fd00::1"]));
        assert_eq!(distinct(1, &known_as, &own), ips(&["10.0.0.2"]));
        assert_eq!(distinct(2, &known_as, &own), ips(&[]), "neither loopback nor a bridge that all have");
    }

    #[test]
    fn probes_go_to_one_address_of_each_family() {
        assert_eq!(one_of_each_family(&ips(&["fd00::1", "10.0.0.1", "10.0.0.2", "fd00::2"])), ips(&["fd00::1", "10.0.0.1"]));
        assert_eq!(one_of_each_family(&ips(&["10.0.0.1"])), ips(&["10.0.0.1"]));
        assert!(one_of_each_family(&[]).is_empty());
    }

    #[test]
    fn what_the_control_node_knows_by_another_address_is_cut_by_both() {
        let known_as = [ips(&["203.0.113.7"]), ips(&["203.0.113.8"])];
        let own = [ips(&["10.0.0.1"]), ips(&["10.0.0.2"])];
        assert_eq!(distinct(0, &known_as, &own), ips(&["10.0.0.1", "203.0.113.7"]));
    }
}

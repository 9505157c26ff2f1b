//! The system `etcd`: a cluster of etcd servers, asked through their JSON gateway.
//!
//! [`client`] asks, [`errors`] says what its errors mean. The servers run below the agents' directories on the nodes, with data
//! and ports of their own, whatever else of etcd there is: `server` says how, `database` starts and hurts them, `status` asks
//! them who leads, `members` lets them leave and come back, `admin` has them do what operators want,
//! `wal` knows where their logs can be damaged.

pub mod client;
pub mod errors;

mod admin;
mod database;
mod gateway;
mod hashes;
pub mod kind;
mod members;
mod server;
mod status;
mod wal;

pub use client::EtcdClient;

use crate::client::Client;
use crate::server::ProgramDatabase;
use crate::systems::{Findings, System};
use database::{EtcdDatabase, EtcdServer};
use nemesis::{AgentNetwork, Agents, Cluster, Database, Network, Node, NodeError};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// How a read is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// After asking the leader whether it still leads: linearizable
    #[default]
    Linearizable,
    /// By the node that is asked, from what it has, which may be old: not linearizable, and not meant to be
    Serializable,
}

impl Consistency {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Consistency::Linearizable => "linearizable",
            Consistency::Serializable => "serializable",
        }
    }
}

/// The command that tells the version of a node's own etcd.
pub const VERSION: &[&str] = &["etcd", "--version"];

/// The choices of this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdOptions {
    /// How reads are served.
    pub read: Consistency,
    /// Whether results are recorded with their revisions, and judged by them.
    pub revisions: bool,
    /// The port that clients use.
    pub client_port: u16,
    /// The port that the servers use among themselves.
    pub peer_port: u16,
    /// A local etcd binary to be uploaded; the nodes' own `etcd` if `None`.
    pub binary: Option<PathBuf>,
    /// The lab whose hosts the nodes are, by name: only then whole hosts can be crashed.
    pub lab: Option<String>,
}

impl Default for EtcdOptions {
    fn default() -> EtcdOptions {
        EtcdOptions { read: Consistency::default(), revisions: true, client_port: 2379, peer_port: 2380, binary: None, lab: None }
    }
}

/// `address:port` as it stands in a URL: an IPv6 address in brackets.
fn authority(address: IpAddr, port: u16) -> String {
    SocketAddr::new(address, port).to_string()
}

/// A cluster of etcd servers on nodes that are reached by agents.
pub struct Etcd {
    options: EtcdOptions,
    database: Arc<EtcdDatabase>,
    network: Arc<AgentNetwork>,
}

impl Etcd {
    /// The cluster on these nodes, whose agents these are. Nothing is started yet.
    ///
    /// # Errors
    /// For each node whose address cannot be looked up.
    pub fn new(options: EtcdOptions, cluster: &Cluster, agents: &Agents) -> Result<Etcd, Vec<NodeError>> {
        let server = EtcdServer::new(options.clone(), cluster)?;
        let database = Arc::new(ProgramDatabase::new(server, agents.clone(), options.lab.as_deref()));
        let network = Arc::new(AgentNetwork::new(cluster, agents.clone())?);
        Ok(Etcd { options, database, network })
    }
}

impl System for Etcd {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn database(&self) -> Arc<dyn Database> {
        self.database.clone()
    }

    fn network(&self) -> Arc<dyn Network> {
        self.network.clone()
    }

    fn offers(&self, f: &str) -> bool {
        ["read", "write", "cas"].contains(&f)
    }

    fn client(&self, node: &Node) -> Box<dyn Client> {
        Box::new(EtcdClient::new(self.database.server.address(node), self.options.client_port, self.options.read, self.options.revisions))
    }

    fn tells_revisions(&self) -> bool {
        self.options.revisions
    }

    fn findings(&self, cluster: &Cluster) -> Findings {
        self.database.compare_replicas(cluster)
    }

    fn lacks(&self, fault: &str) -> Option<String> {
        (fault == "crash" && self.options.lab.is_none()).then(|| nemesis::faults::crash::ONLY_IN_A_LAB.into())
    }

    fn describe(&self) -> Vec<(String, String)> {
        server::describe(&self.options)
    }
}

//! The demo store: a small replicated key-value store of our own, to see a test work and to learn what the checker can tell
//! apart, with nothing to install.
//!
//! It runs as separate operating-system processes on 127.0.0.1 that keep their data on disk and talk over TCP. How the data
//! is replicated is one small module per textbook scheme under [`scheme`], each with its promise and the reason why it holds,
//! or does not. Some schemes are wrong on purpose; those that claim something are meant to keep it under every fault.
//!
//! Start reading at [`scheme`] and [`scheme::quorum`]. [`node`] is the process around a scheme; [`log`], [`link`] and
//! [`switches`] are its disk, its network and the nemesis's hand on it; [`protocol`] is what goes over the wire. On the
//! harness's side, [`Demo`] starts and hurts the nodes ([`database`], [`network`], [`processes`], [`ports`]) and
//! [`client`] asks them.

pub mod client;
mod control;
pub mod database;
pub mod kind;
pub mod link;
pub mod log;
pub mod network;
pub mod node;
pub mod ports;
pub mod processes;
pub mod protocol;
pub mod scheme;
#[cfg(test)]
mod simulation;
pub mod switches;
mod testbed;

pub use scheme::Replication;

use crate::client::Client;
use crate::systems::System;
use client::DemoClient;
use database::DemoDatabase;
use nemesis::{Cluster, Database, Network, Node};
use network::DemoNetwork;
use ports::Ports;
use processes::Processes;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use switches::Switches;
use testbed::TestBed;

/// What makes a demo cluster.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// The number of nodes; they are named `n1`, `n2`, ...
    pub nodes: usize,
    /// How they replicate.
    pub replication: Replication,
    /// The directory that gets one directory per node, with its data and its log for people: `n1/data`, `n1/node.log`. The logs
    /// stay when the nodes are torn down. It belongs to this demo alone.
    pub dir: PathBuf,
    /// The delays of the links follow from this.
    pub seed: u64,
    /// The program whose subcommand `demo-node` is [`node::run`]: usually the running one.
    pub binary: PathBuf,
}

/// A demo cluster on this machine. When the last handle on it is gone, so are its processes.
#[derive(Clone, Debug)]
pub struct Demo {
    bed: Arc<TestBed>,
    cluster: Cluster,
}

impl Demo {
    /// Reserves ports. Nothing runs yet.
    ///
    /// # Errors
    /// A number of nodes that makes no cluster, or too few free ports.
    pub fn new(options: DemoOptions) -> io::Result<Demo> {
        if !(1..=scheme::NODES_MAX).contains(&options.nodes) {
            let message = format!("a demo of {} nodes: it can have 1 to {}", options.nodes, scheme::NODES_MAX);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let node = |index| Node { index, name: format!("n{}", index + 1), address: "127.0.0.1".into() };
        let cluster = Cluster { nodes: (0..options.nodes).map(node).collect() };
        let bed = TestBed { ports: Ports::reserve(options.nodes)?, processes: Processes::new(options.nodes)?, options };
        Ok(Demo { bed: Arc::new(bed), cluster })
    }

    /// Its nodes.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Sets a node's wall clock so many milliseconds ahead of this machine's, or behind. It stays so through kills, until it is
    /// set again.
    ///
    /// # Errors
    /// The node has no switches to be set.
    pub fn set_clock_ahead(&self, node: &Node, ms: i64) -> io::Result<()> {
        let path = self.bed.switches(node);
        Switches { clock_ahead_ms: ms, ..Switches::read(&path)? }.write(&path)
    }

    /// Makes everything that a node receives from some others so many milliseconds later; from no others: as it was.
    ///
    /// # Errors
    /// The node has no switches to be set.
    pub fn set_delay(&self, node: &Node, from: &[&Node], ms: u64) -> io::Result<()> {
        let path = self.bed.switches(node);
        let delay_from_ms = from.iter().map(|from| (from.index, ms)).collect();
        Switches { delay_from_ms, ..Switches::read(&path)? }.write(&path)
    }
}

impl System for Demo {
    fn name(&self) -> &'static str {
        "demo"
    }

    fn database(&self) -> Arc<dyn Database> {
        Arc::new(DemoDatabase::new(self.bed.clone()))
    }

    fn network(&self) -> Arc<dyn Network> {
        Arc::new(DemoNetwork::new(self.bed.clone()))
    }

    fn offers(&self, f: &str) -> bool {
        self.bed.options.replication.offers(f)
    }

    fn client(&self, node: &Node) -> Box<dyn Client> {
        Box::new(DemoClient::new(self.bed.port(node)))
    }

    fn lacks(&self, fault: &str) -> Option<String> {
        let why = "the demo's nodes are processes of this machine";
        match fault {
            "membership" => Some("the members of a demo are fixed".into()),
            "admin" => Some("the demo has no commands of operators".into()),
            "crash" => Some(format!("{why}: they have no hosts of their own")),
            "clock" => Some(format!("{why}: their clocks are not changed")),
            "memory" | "cpu" => Some(format!("{why}: they are in no control groups of their own")),
            "disk" => Some(format!("{why}: their disk is that of the machine")),
            "packet" => Some(format!("{why}: their packets are those of the loopback interface, which everybody uses")),
            _ => None,
        }
    }

    fn describe(&self) -> Vec<(String, String)> {
        let replication = self.bed.options.replication;
        vec![("replication".into(), format!("{}: {}", replication.name(), replication.describe()))]
    }
}

//! The system `etcd`: a cluster of etcd servers, asked through their JSON gateway.
//!
//! [`client`] asks, [`errors`] says what its errors mean.

pub mod client;
pub mod errors;

pub use client::EtcdClient;

use std::net::Ipv6Addr;
use std::path::PathBuf;

/// How a read is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// After asking the leader whether it still leads: linearizable.
    #[default]
    Linearizable,
    /// By the node that is asked, from what it has: not linearizable, and not meant to be.
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

/// The choices of this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdOptions {
    /// How reads are served.
    pub read: Consistency,
    /// The port that clients use.
    pub client_port: u16,
    /// The port that the servers use among themselves.
    pub peer_port: u16,
    /// A local etcd binary to be uploaded; the nodes' own `etcd` if `None`.
    pub binary: Option<PathBuf>,
}

impl Default for EtcdOptions {
    fn default() -> EtcdOptions {
        EtcdOptions { read: Consistency::default(), client_port: 2379, peer_port: 2380, binary: None }
    }
}

/// `address:port` as it stands in a URL: an IPv6 address in brackets.
fn authority(address: &str, port: u16) -> String {
    if address.parse::<Ipv6Addr>().is_ok() { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

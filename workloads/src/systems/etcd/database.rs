//! etcd as a database under test: what of its servers is etcd's own.

use super::server::{self, BINARY, DATA, DIRECTORY, DISK_BYTES, DISK_IMAGE, LOG, LOGS, Member, NAME, Standing};
use super::{EtcdOptions, authority, status, wal};
use crate::server::{Paths, ProgramDatabase, Server};
use nemesis::{Admin, Agent, Cluster, Command, DataFiles, Membership, Node, NodeError, Program};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// The servers of a cluster as a database.
pub(super) type EtcdDatabase = ProgramDatabase<EtcdServer>;

/// The servers of a cluster.
pub(super) struct EtcdServer {
    options: EtcdOptions,
    members: Vec<Member>,
    /// Where each node stands in the cluster.
    standings: Mutex<Vec<Standing>>,
}

impl EtcdServer {
    /// The servers on the nodes of `cluster`.
    pub(super) fn new(options: EtcdOptions, cluster: &Cluster) -> Result<EtcdServer, Vec<NodeError>> {
        let members = Member::all(cluster)?;
        let standings = Mutex::new(vec![Standing::Founder; members.len()]);
        Ok(EtcdServer { options, members, standings })
    }

    pub(super) fn standing(&self, node: &Node) -> Standing {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)[node.index].clone()
    }

    pub(super) fn set_standing(&self, node: &Node, standing: Standing) {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)[node.index] = standing;
    }

    /// Where the other servers find this one: what it is told by in lists of members.
    pub(super) fn peer_url(&self, node: &Node) -> String {
        server::url(self.address(node), self.options.peer_port)
    }

    /// Where clients find this node's server.
    pub(super) fn client_authority(&self, node: &Node) -> String {
        authority(self.address(node), self.options.client_port)
    }

    /// The port that the servers use among themselves.
    pub(super) fn peer_port(&self) -> u16 {
        self.options.peer_port
    }

    /// The address that a node's name was looked up to, once for the whole run.
    pub(super) fn address(&self, node: &Node) -> IpAddr {
        self.members[node.index].address
    }

    /// Where clients find each of these nodes.
    fn authorities(&self, cluster: &Cluster) -> Vec<String> {
        cluster.nodes.iter().map(|node| self.client_authority(node)).collect()
    }
}

impl Server for EtcdServer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn paths(&self) -> Paths {
        Paths { home: DIRECTORY, data: DATA, disk_image: DISK_IMAGE, disk_bytes: DISK_BYTES, log: LOG }
    }

    fn install(&self, agent: &Agent) -> Result<(), NodeError> {
        self.options.binary.as_ref().map_or(Ok(()), |binary| agent.upload(binary, BINARY, 0o755))
    }

    fn version_command(&self, agent: &Agent) -> Command {
        let uploaded = self.options.binary.as_ref().map(|_| format!("{}/{BINARY}", agent.directory()));
        Command::new([uploaded.unwrap_or_else(|| NAME.into()), "--version".into()])
    }

    fn version_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.lines().find_map(|line| line.strip_prefix("etcd Version: "))
    }

    fn binary_hint(&self) -> &'static str {
        if self.options.binary.is_some() {
            "is the binary given by --etcd-binary made for this node's system and architecture?"
        } else {
            "Debian and Ubuntu have it in the package etcd-server; or give a binary to upload by --etcd-binary"
        }
    }

    /// As a founder of the cluster, or as one that joins it.
    fn program(&self, agent: &Agent, node: &Node) -> Program {
        let founds = self.standing(node) == Standing::Founder;
        server::program(&self.options, &self.members, node.index, founds, &agent.directory(), &agent.about().addresses)
    }

    fn may_start(&self, node: &Node) -> bool {
        self.standing(node) != Standing::Out
    }

    fn begins(&self, node: &Node) {
        self.set_standing(node, Standing::Founder);
    }

    /// All servers are healthy and follow one leader.
    fn readiness(&self, cluster: &Cluster) -> Result<(), (usize, String)> {
        let authorities = self.authorities(cluster);
        for (i, health) in status::healthy(&authorities).into_iter().enumerate() {
            health.map_err(|why| (i, why))?;
        }
        let mut leader = None;
        for (i, said) in status::ask(&authorities).into_iter().enumerate() {
            let said = said.map_err(|why| (i, why))?;
            let followed = said.leader.ok_or((i, "it knows no leader".to_owned()))?;
            if *leader.get_or_insert_with(|| followed.clone()) != followed {
                return Err((i, "it follows another leader than the others".into()));
            }
        }
        Ok(())
    }

    fn leaders(&self, cluster: &Cluster) -> Vec<usize> {
        status::leaders(&self.authorities(cluster))
    }

    fn data_files(&self) -> Vec<DataFiles> {
        vec![DataFiles { what: "write-ahead log", directory: LOGS.into(), suffix: ".wal".into(), payloads: Some(wal::payloads) }]
    }

    fn membership(database: &EtcdDatabase) -> Option<&dyn Membership> {
        Some(database)
    }

    fn admin(database: &EtcdDatabase) -> Option<&dyn Admin> {
        Some(database)
    }
}

//! etcd as a database under test: one server per node, started and hurt through the node's agent.

use super::server::{self, BINARY, DATA, DIRECTORY, DISK_BYTES, DISK_IMAGE, LOG, LOGS, Member, NAME, Standing};
use super::{EtcdOptions, authority, status, wal};
use nemesis::faults::crash::LabHosts;
use nemesis::{
    Admin, Agent, AgentClocks, AgentDisks, AgentFiles, AgentGroups, Agents, Clocks, Cluster, Command, DataFiles, Database, Disks, Ending,
    Files, Groups, Hosts, Membership, Node, NodeError, Own, ProcessState, SystemClocks,
};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a cluster that comes up is looked at.
const POLL: Duration = Duration::from_millis(100);
/// What of a server's log goes into an error message.
const LAST_LINES: u32 = 6;

/// The servers of a cluster.
pub(super) struct EtcdDatabase {
    options: EtcdOptions,
    members: Vec<Member>,
    clocks: AgentClocks,
    system_clocks: SystemClocks,
    disks: AgentDisks,
    groups: AgentGroups,
    files: AgentFiles,
    agents: Agents,
    hosts: Option<LabHosts>,
    /// Where each node stands in the cluster.
    standings: Mutex<Vec<Standing>>,
}

impl EtcdDatabase {
    /// The servers on the nodes of `cluster`, whose agents these are.
    pub(super) fn new(options: EtcdOptions, cluster: &Cluster, agents: Agents) -> Result<EtcdDatabase, Vec<NodeError>> {
        let hosts = options.lab.as_ref().map(|lab| LabHosts::new(lab, NAME, agents.clone()));
        let (members, clocks) = (Member::all(cluster)?, AgentClocks::new(agents.clone(), NAME));
        let system_clocks = SystemClocks::new(agents.clone());
        let disks = AgentDisks::new(agents.clone(), NAME, DATA, DISK_BYTES);
        let groups = AgentGroups::new(agents.clone(), NAME);
        let logs = DataFiles { what: "write-ahead log", directory: LOGS.into(), suffix: ".wal".into(), payloads: Some(wal::payloads) };
        let files = AgentFiles::new(agents.clone(), NAME, vec![logs]);
        let standings = Mutex::new(vec![Standing::Founder; members.len()]);
        Ok(EtcdDatabase { options, members, clocks, system_clocks, disks, groups, files, agents, hosts, standings })
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

    /// Starts the server, as a founder of the cluster or as one that joins it.
    pub(super) fn start_server(&self, node: &Node) -> Result<(), NodeError> {
        let agent = self.agent(node);
        let founds = self.standing(node) == Standing::Founder;
        let mut program = server::program(&self.options, &self.members, node.index, founds, &agent.directory(), &agent.about().addresses);
        program.own = Own { disk: self.disks.wanted(), groups: self.groups.wanted(node) };
        agent.start(&program)
    }

    /// Removes the server's data, with the disk that it is on if it has one. The server must have been stopped.
    pub(super) fn remove_data(&self, node: &Node) -> Result<(), NodeError> {
        self.agent(node).remove_tree(DATA)?;
        self.agent(node).remove_tree(DISK_IMAGE)
    }

    /// The port that the servers use among themselves.
    pub(super) fn peer_port(&self) -> u16 {
        self.options.peer_port
    }

    pub(super) fn agent(&self, node: &Node) -> &Agent {
        self.agents.of(node)
    }

    /// The address that a node's name was looked up to, once for the whole run.
    pub(super) fn address(&self, node: &Node) -> IpAddr {
        self.members[node.index].address
    }

    /// Where clients find each of these nodes.
    fn authorities(&self, cluster: &Cluster) -> Vec<String> {
        cluster.nodes.iter().map(|node| self.client_authority(node)).collect()
    }

    /// Puts the binary in place, if one was given, and asks it for its version: it is there, and runs on this node.
    fn install(&self, node: &Node) -> Result<(), NodeError> {
        if let Some(binary) = &self.options.binary {
            self.agent(node).upload(binary, BINARY, 0o755)?;
        }
        self.version(node).map(|_| ())
    }

    /// The binary's name or path on the node.
    fn binary(&self, node: &Node) -> String {
        if self.options.binary.is_some() { format!("{}/{BINARY}", self.agent(node).directory()) } else { NAME.into() }
    }

    /// What to do about a binary that does not run.
    fn binary_hint(&self) -> &'static str {
        if self.options.binary.is_some() {
            "is the binary given by --etcd-binary made for this node's system and architecture?"
        } else {
            "Debian and Ubuntu have it in the package etcd-server; or give a binary to upload by --etcd-binary"
        }
    }

    /// The path of the server's log.
    fn log(&self, node: &Node) -> String {
        format!("{}/{LOG}", self.agent(node).directory())
    }

    /// The end of the server's log, for an error that it explains.
    fn last_words(&self, node: &Node) -> String {
        let log = self.log(node);
        let tail = Command::new(["tail", "-n", &LAST_LINES.to_string(), &log]);
        match self.agent(node).run_ok(&tail) {
            Ok(output) if !output.text().is_empty() => format!("the end of its log ({log}):\n{}", output.text()),
            Ok(_) => format!("its log ({log}) is empty"),
            Err(error) => format!("its log ({log}) cannot be read: {}", error.message),
        }
    }

    /// Whether all servers are healthy and follow one leader; if not, the first node that is not, and why.
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

    /// An error for a node whose server has ended, if there is one: no use in waiting for it.
    fn ended(&self, node: &Node) -> Result<(), NodeError> {
        match self.state(node)? {
            ProcessState::Down => Err(NodeError::new(&node.name, format!("etcd ended at once; {}", self.last_words(node)))),
            ProcessState::Running | ProcessState::Paused => Ok(()),
        }
    }
}

impl Database for EtcdDatabase {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn version(&self, node: &Node) -> Result<String, NodeError> {
        let command = Command::new([self.binary(node), "--version".into()]);
        let fail = |why: &str| NodeError::new(&node.name, format!("cannot run `{command}`: {why}; {}", self.binary_hint()));
        // An agent that lives and answers with an error has tried: it is the node that cannot.
        let output = self.agent(node).run(&command).map_err(|e| if self.agent(node).is_alive() { fail(&e.message) } else { e })?;
        if !output.success() {
            return Err(fail(&output.complaint()));
        }
        let text = output.text();
        let version = text.lines().find_map(|line| line.strip_prefix("etcd Version: "));
        version.map(str::to_owned).ok_or_else(|| fail(&format!("it says `{text}`")))
    }

    fn setup(&self, _cluster: &Cluster, node: &Node) -> Result<(), NodeError> {
        self.install(node)?;
        self.agent(node).stop(NAME)?;
        self.remove_data(node)?;
        self.set_standing(node, Standing::Founder);
        self.start(node)
    }

    fn await_ready(&self, cluster: &Cluster, within: Duration) -> Result<(), NodeError> {
        let deadline = Instant::now() + within;
        loop {
            let Err((unready, why)) = self.readiness(cluster) else { return Ok(()) };
            cluster.on_all(|node| self.ended(node))?;
            if Instant::now() >= deadline {
                let node = &cluster.nodes[unready];
                let message = format!("etcd is not ready after {within:?}: {why}; {}", self.last_words(node));
                return Err(NodeError::new(&node.name, message));
            }
            std::thread::sleep(POLL);
        }
    }

    fn teardown(&self, node: &Node) -> Result<(), NodeError> {
        self.agent(node).stop(NAME)?;
        self.agent(node).remove_tree(DIRECTORY)
    }

    /// A node that has left the cluster has nothing to be started: with its old name and no data it would be a danger to the others.
    fn start(&self, node: &Node) -> Result<(), NodeError> {
        if self.standing(node) == Standing::Out { Ok(()) } else { self.start_server(node) }
    }

    fn kill(&self, node: &Node) -> Result<(), NodeError> {
        self.agent(node).kill(NAME)
    }

    fn terminate(&self, node: &Node) -> Result<(), NodeError> {
        self.agent(node).terminate(NAME)
    }

    fn incarnation(&self, node: &Node) -> Result<Option<String>, NodeError> {
        self.agent(node).incarnation(NAME)
    }

    fn hosts(&self) -> Option<&dyn Hosts> {
        self.hosts.as_ref().map(|hosts| hosts as &dyn Hosts)
    }

    fn pause(&self, node: &Node) -> Result<(), NodeError> {
        self.agent(node).pause(NAME)
    }

    fn resume(&self, node: &Node) -> Result<(), NodeError> {
        self.agent(node).resume(NAME)
    }

    fn state(&self, node: &Node) -> Result<ProcessState, NodeError> {
        self.agent(node).state(NAME)
    }

    fn endings(&self, node: &Node) -> Result<Vec<Ending>, NodeError> {
        self.agent(node).endings(NAME)
    }

    fn clocks(&self) -> Option<&dyn Clocks> {
        Some(&self.clocks)
    }

    fn system_clocks(&self) -> Option<&dyn Clocks> {
        Some(&self.system_clocks)
    }

    fn membership(&self) -> Option<&dyn Membership> {
        Some(self)
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }

    fn groups(&self) -> Option<&dyn Groups> {
        Some(&self.groups)
    }

    fn files(&self) -> Option<&dyn Files> {
        Some(&self.files)
    }

    fn disks(&self) -> Option<&dyn Disks> {
        Some(&self.disks)
    }

    fn primaries(&self, cluster: &Cluster) -> Vec<usize> {
        status::leaders(&self.authorities(cluster))
    }

    fn fetch_logs(&self, node: &Node, into: &Path) -> Result<Vec<PathBuf>, NodeError> {
        std::fs::create_dir_all(into)
            .map_err(|e| NodeError::new(&node.name, format!("cannot make {} for its log: {e}", into.display())))?;
        let to = into.join("etcd.log");
        self.agent(node).fetch(LOG, &to)?;
        Ok(vec![to])
    }

    fn fetch_data(&self, node: &Node, to: &Path, bytes_max: u64) -> Result<bool, NodeError> {
        let agent = self.agent(node);
        let cores = agent.endings(NAME)?.into_iter().filter_map(|ending| ending.core);
        let paths: Vec<String> = std::iter::once(DATA.to_owned()).chain(cores).collect();
        if agent.state(NAME)? != ProcessState::Down {
            agent.kill(NAME)?;
        }
        agent.fetch_packed(&paths, to, bytes_max)
    }
}

//! Databases that are programs on nodes: what all of them share is done by the agents, and a [`Server`] says the rest.
//!
//! # What a server says
//!
//! Its name, its version, where its files are, how it is started on a node, whether the cluster is ready and who leads. Everything
//! that a nemesis does to a process (kill, pause, clocks, disks, memory, damage to files) follows from these.

use nemesis::faults::crash::LabHosts;
use nemesis::{
    Access, Admin, Agent, AgentClocks, AgentDisks, AgentFiles, AgentGroups, AgentOptions, Agents, Clocks, Cluster, Command, DataFiles,
    Database, Disks, Ending, Files, Groups, Hosts, Membership, Network, Node, NodeError, Own, ProcessState, Program, SystemClocks,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a cluster that comes up is looked at.
const POLL: Duration = Duration::from_millis(100);

/// What of a server's log goes into an error message.
const LAST_LINES: u32 = 6;

/// Nodes on this machine, `n1`, `n2`, ..., with an agent and a directory below `dir` for each. `program` is the running program, whose
/// command `agent` is the agent.
///
/// # Errors
/// Agents that cannot be started, each with the reason.
pub fn on_this_machine(count: usize, dir: &Path, program: &Path) -> Result<(Cluster, Agents), Vec<NodeError>> {
    let node = |index: usize| Node { index, name: format!("n{}", index + 1), address: "127.0.0.1".into() };
    let cluster = Cluster { nodes: (0..count).map(node).collect() };
    let directory = dir.join("nodes").display().to_string();
    let options = AgentOptions { directory: Some(directory.clone()), ..AgentOptions::new(directory, program) };
    let agents = Agents::connect(&cluster, &Access::Local, &options)?;
    Ok((cluster, agents))
}

/// The network between nodes of one machine: nothing on it can be cut.
#[derive(Clone, Copy, Debug)]
pub struct OneMachine;

impl OneMachine {
    /// Why faults of the network are refused.
    pub const LACKS: &str = "its nodes are processes of this machine, between which no packet can be cut";
}

impl Network for OneMachine {
    fn drop_from(&self, node: &Node, from: &[&Node]) -> Result<(), NodeError> {
        if from.is_empty() { Ok(()) } else { self.can_drop(node) }
    }

    fn can_drop(&self, node: &Node) -> Result<(), NodeError> {
        Err(NodeError::new(&node.name, OneMachine::LACKS))
    }

    fn probe(&self, _: &Node, _: &Node) -> Result<bool, NodeError> {
        Ok(true)
    }
}

/// Where the files of a server are, relative to the agent's directory on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The directory that holds all of it.
    pub home: &'static str,
    /// Its data.
    pub data: &'static str,
    /// The file system that is mounted on the data's directory where a fault needs one.
    pub disk_image: &'static str,
    /// The size of that file system in bytes: what the server needs for a run.
    pub disk_bytes: u64,
    /// Its log.
    pub log: &'static str,
}

/// A database's server as a program on a node.
pub trait Server: Send + Sync + Sized {
    /// The name of the database, and of its program for the agents.
    fn name(&self) -> &'static str;

    /// Where its files are.
    fn paths(&self) -> Paths;

    /// Puts its binary in place, where the node does not bring it.
    ///
    /// # Errors
    /// What is missing, and how to get it.
    fn install(&self, _agent: &Agent) -> Result<(), NodeError> {
        Ok(())
    }

    /// The command that tells its version on a node.
    fn version_command(&self, agent: &Agent) -> Command;

    /// The version in what that command printed.
    fn version_in<'a>(&self, text: &'a str) -> Option<&'a str>;

    /// What to do about a binary that does not run.
    fn binary_hint(&self) -> &'static str;

    /// How it is started on a node. Its [`Program::own`] is filled in by the database.
    fn program(&self, agent: &Agent, node: &Node) -> Program;

    /// Whether it may be started on a node: not where it has left the cluster.
    fn may_start(&self, _node: &Node) -> bool {
        true
    }

    /// Called when a node is set up with empty data, before its server is started.
    fn begins(&self, _node: &Node) {}

    /// Whether the whole cluster answers clients; if not, the first node that does not, by its place in the cluster, and why.
    ///
    /// # Errors
    /// The node and the reason.
    fn readiness(&self, cluster: &Cluster) -> Result<(), (usize, String)>;

    /// Whether there is such a thing as a node that leads.
    fn has_leaders(&self) -> bool {
        true
    }

    /// The nodes that say they lead, asked now.
    fn leaders(&self, cluster: &Cluster) -> Vec<usize>;

    /// The files of its data that it must not lose.
    fn data_files(&self) -> Vec<DataFiles> {
        Vec::new()
    }

    /// Who belongs to the cluster, if that can change while it serves.
    fn membership(_database: &ProgramDatabase<Self>) -> Option<&dyn Membership> {
        None
    }

    /// The commands of operators, if there are any.
    fn admin(_database: &ProgramDatabase<Self>) -> Option<&dyn Admin> {
        None
    }
}

/// A database whose servers are started by agents.
pub struct ProgramDatabase<S> {
    /// What is its own.
    pub server: S,
    agents: Agents,
    clocks: AgentClocks,
    system_clocks: SystemClocks,
    disks: AgentDisks,
    groups: AgentGroups,
    files: AgentFiles,
    hosts: Option<LabHosts>,
}

impl<S: Server> ProgramDatabase<S> {
    /// The database on the nodes whose agents these are; `lab` is the lab that they belong to, if they do.
    pub fn new(server: S, agents: Agents, lab: Option<&str>) -> ProgramDatabase<S> {
        let (name, paths) = (server.name(), server.paths());
        ProgramDatabase {
            clocks: AgentClocks::new(agents.clone(), name),
            system_clocks: SystemClocks::new(agents.clone()),
            disks: AgentDisks::new(agents.clone(), name, paths.data, paths.disk_bytes),
            groups: AgentGroups::new(agents.clone(), name),
            files: AgentFiles::new(agents.clone(), name, server.data_files()),
            hosts: lab.map(|lab| LabHosts::new(lab, name, agents.clone())),
            server,
            agents,
        }
    }

    /// The agent on a node.
    pub fn agent(&self, node: &Node) -> &Agent {
        self.agents.of(node)
    }

    /// Starts the server, whether it [may](Server::may_start) or not.
    ///
    /// # Errors
    /// The agent cannot be reached, or the program does not start.
    pub fn start_server(&self, node: &Node) -> Result<(), NodeError> {
        let agent = self.agent(node);
        let own = Own { disk: self.disks.wanted(), groups: self.groups.wanted(node) };
        agent.start(&Program { own, ..self.server.program(agent, node) })
    }

    /// Removes the server's data, with the disk that it is on if it has one. The server must have been stopped.
    ///
    /// # Errors
    /// The agent cannot be reached, or the data cannot be removed.
    pub fn remove_data(&self, node: &Node) -> Result<(), NodeError> {
        let paths = self.server.paths();
        self.agent(node).remove_tree(paths.data)?;
        self.agent(node).remove_tree(paths.disk_image)
    }

    /// The end of the server's log, for an error that it explains.
    fn last_words(&self, node: &Node) -> String {
        let log = format!("{}/{}", self.agent(node).directory(), self.server.paths().log);
        let tail = Command::new(["tail", "-n", &LAST_LINES.to_string(), &log]);
        match self.agent(node).run_ok(&tail) {
            Ok(output) if !output.text().is_empty() => format!("the end of its log ({log}):\n{}", output.text()),
            Ok(_) => format!("its log ({log}) is empty"),
            Err(error) => format!("its log ({log}) cannot be read: {}", error.message),
        }
    }

    /// An error for a node whose server has ended, if there is one: no use in waiting for it.
    fn ended(&self, node: &Node) -> Result<(), NodeError> {
        let name = self.server.name();
        match self.state(node)? {
            ProcessState::Down => Err(NodeError::new(&node.name, format!("{name} ended at once; {}", self.last_words(node)))),
            ProcessState::Running | ProcessState::Paused => Ok(()),
        }
    }
}

impl<S: Server> Database for ProgramDatabase<S> {
    fn name(&self) -> &'static str {
        self.server.name()
    }

    fn version(&self, node: &Node) -> Result<String, NodeError> {
        let agent = self.agent(node);
        let command = self.server.version_command(agent);
        let fail = |why: &str| NodeError::new(&node.name, format!("cannot run `{command}`: {why}; {}", self.server.binary_hint()));
        // An agent that lives and answers with an error has tried: it is the node that cannot.
        let output = agent.run(&command).map_err(|error| if agent.is_alive() { fail(&error.message) } else { error })?;
        if !output.success() {
            return Err(fail(&output.complaint()));
        }
        let text = output.text();
        self.server.version_in(&text).map(str::to_owned).ok_or_else(|| fail(&format!("it says `{text}`")))
    }

    /// The binary is asked for its version: it is there, and runs on this node.
    fn setup(&self, _cluster: &Cluster, node: &Node) -> Result<(), NodeError> {
        self.server.install(self.agent(node))?;
        self.version(node)?;
        self.agent(node).stop(self.server.name())?;
        self.remove_data(node)?;
        self.server.begins(node);
        self.start(node)
    }

    fn await_ready(&self, cluster: &Cluster, within: Duration) -> Result<(), NodeError> {
        let deadline = Instant::now() + within;
        loop {
            let Err((unready, why)) = self.server.readiness(cluster) else { return Ok(()) };
            cluster.on_all(|node| self.ended(node))?;
            if Instant::now() >= deadline {
                let (node, name) = (&cluster.nodes[unready], self.server.name());
                let message = format!("{name} is not ready after {within:?}: {why}; {}", self.last_words(node));
                return Err(NodeError::new(&node.name, message));
            }
            std::thread::sleep(POLL);
        }
    }

    fn teardown(&self, node: &Node) -> Result<(), NodeError> {
        self.agent(node).stop(self.server.name())?;
        self.agent(node).remove_tree(self.server.paths().home)
    }

    /// A node that has left the cluster has nothing to be started: with its old name and no data it would be a danger to the others.
    fn start(&self, node: &Node) -> Result<(), NodeError> {
        if self.server.may_start(node) { self.start_server(node) } else { Ok(()) }
    }

    fn kill(&self, node: &Node) -> Result<(), NodeError> {
        self.agent(node).kill(self.server.name())
    }

    fn terminate(&self, node: &Node) -> Result<(), NodeError> {
        self.agent(node).terminate(self.server.name())
    }

    fn incarnation(&self, node: &Node) -> Result<Option<String>, NodeError> {
        self.agent(node).incarnation(self.server.name())
    }

    fn hosts(&self) -> Option<&dyn Hosts> {
        self.hosts.as_ref().map(|hosts| hosts as &dyn Hosts)
    }

    fn pause(&self, node: &Node) -> Result<(), NodeError> {
        self.agent(node).pause(self.server.name())
    }

    fn resume(&self, node: &Node) -> Result<(), NodeError> {
        self.agent(node).resume(self.server.name())
    }

    fn state(&self, node: &Node) -> Result<ProcessState, NodeError> {
        self.agent(node).state(self.server.name())
    }

    fn endings(&self, node: &Node) -> Result<Vec<Ending>, NodeError> {
        self.agent(node).endings(self.server.name())
    }

    fn clocks(&self) -> Option<&dyn Clocks> {
        Some(&self.clocks)
    }

    fn system_clocks(&self) -> Option<&dyn Clocks> {
        Some(&self.system_clocks)
    }

    fn membership(&self) -> Option<&dyn Membership> {
        S::membership(self)
    }

    fn admin(&self) -> Option<&dyn Admin> {
        S::admin(self)
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

    fn has_primaries(&self) -> bool {
        self.server.has_leaders()
    }

    fn primaries(&self, cluster: &Cluster) -> Vec<usize> {
        self.server.leaders(cluster)
    }

    fn fetch_logs(&self, node: &Node, into: &Path) -> Result<Vec<PathBuf>, NodeError> {
        std::fs::create_dir_all(into)
            .map_err(|e| NodeError::new(&node.name, format!("cannot make {} for its log: {e}", into.display())))?;
        let to = into.join(format!("{}.log", self.server.name()));
        self.agent(node).fetch(self.server.paths().log, &to)?;
        Ok(vec![to])
    }

    fn fetch_data(&self, node: &Node, to: &Path, bytes_max: u64) -> Result<bool, NodeError> {
        let (agent, name) = (self.agent(node), self.server.name());
        let cores = agent.endings(name)?.into_iter().filter_map(|ending| ending.core);
        let paths: Vec<String> = std::iter::once(self.server.paths().data.to_owned()).chain(cores).collect();
        if agent.state(name)? != ProcessState::Down {
            agent.kill(name)?;
        }
        agent.fetch_packed(&paths, to, bytes_max)
    }
}

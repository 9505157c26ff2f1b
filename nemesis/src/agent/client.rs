//! The control side: what the harness holds of the agents on the nodes.

mod connection;
pub mod install;
pub(super) mod network;
pub(super) mod powers;
pub mod system_clocks;

use super::protocol::clock::{Reading, Skew, SystemReading};
use super::protocol::damage::{Change, Plan};
use super::protocol::disk::DiskHarm;
use super::protocol::group::{self, Resource, Usage};
use super::protocol::snapshot::Snapshot;
use super::protocol::touch::Touch;
use super::protocol::traffic::{Echoes, Measured, Shape};
use super::protocol::{About, CHUNK_BYTES_MAX, Reply, Request, Undone};
use crate::command::{Command, Output, Program};
use crate::remote::Access;
use crate::{Cluster, Ending, Node, NodeError, ProcessState};
use connection::Line;
use install::Binary;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a request may take that ought to be answered at once.
const SHORT: Duration = Duration::from_secs(20);

/// How long what concerns disks may take: they may have much to write.
const DISKS: Duration = Duration::from_mins(1);

/// How long time daemons may take to end or to begin.
const DAEMONS: Duration = Duration::from_mins(1);

/// How long a node that was reached before may take to let us in again, without the wait for the agent before.
const RECONNECT_WITHIN: Duration = Duration::from_secs(8);

/// How long a node may take to be looked at.
const SNAPSHOT_WITHIN: Duration = Duration::from_mins(2);

/// How long the data of a database may take to be copied into one file.
const PACKED_WITHIN: Duration = Duration::from_mins(2);

/// How agents are started.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// What this run is called, in words for people: another run that finds the node taken reads it.
    pub run: String,
    /// The program to upload and run: usually the running one, `std::env::current_exe()`.
    pub binary: PathBuf,
    /// How long an agent waits for a heartbeat before it undoes everything and exits.
    pub dead_man: Duration,
    /// How long connecting, logging in and starting the agent may take, without the upload.
    pub connect_within: Duration,
    /// The directory on the nodes; `/var/lib/rashomon` for root and `~/.rashomon` for others if `None`.
    pub directory: Option<String>,
    /// The UDP port of the nodes on which probes between them are heard; any free one if 0.
    pub probe_port: u16,
    /// How long a new agent waits for another run to leave the node; 3 s if `None`.
    pub lock_within: Option<Duration>,
    /// Whether [`heal`] also ends the programs that a run started and removes its files.
    pub teardown: bool,
}

impl AgentOptions {
    /// The usual options: 5 s without a heartbeat, 20 s to connect.
    pub fn new(run: impl Into<String>, binary: impl Into<PathBuf>) -> AgentOptions {
        AgentOptions {
            run: run.into(),
            binary: binary.into(),
            dead_man: Duration::from_secs(5),
            connect_within: Duration::from_secs(20),
            directory: None,
            probe_port: 0,
            lock_within: None,
            teardown: false,
        }
    }

    /// The agent's directory on a node, if somebody says so. Nodes that are all this machine get one each.
    fn directory_of(&self, node: &Node, access: &Access) -> Option<PathBuf> {
        let directory = self.directory.as_ref().map(PathBuf::from);
        match access {
            Access::Ssh(_) => directory,
            Access::Local => Some(directory.unwrap_or_else(|| std::env::temp_dir().join("rashomon")).join(&node.name)),
        }
    }
}

/// The agents of all nodes.
#[derive(Clone)]
pub struct Agents {
    agents: Arc<[Agent]>,
}

impl Agents {
    /// Connects to all nodes at once, uploads the program where it is missing and starts it. If any node fails, the others are
    /// let go again and every error is returned.
    pub fn connect(cluster: &Cluster, access: &Access, options: &AgentOptions) -> Result<Agents, Vec<NodeError>> {
        let mut agents = Vec::new();
        let mut errors = Vec::new();
        for result in Agents::connect_each(cluster, access, options) {
            match result {
                Ok(agent) => agents.push(agent),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Agents { agents: agents.into() }) } else { Err(errors) }
    }

    /// The same, node by node: those that cannot be reached do not keep the others.
    pub fn connect_each(cluster: &Cluster, access: &Access, options: &AgentOptions) -> Vec<Result<Agent, NodeError>> {
        let all: Vec<usize> = (0..cluster.len()).collect();
        match read_binary(options) {
            Ok(binary) => cluster.on(&all, |node| Agent::connect(node, access, options, &binary)),
            Err(error) => all.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// The agent of a node.
    pub fn of(&self, node: &Node) -> &Agent {
        &self.agents[node.index]
    }

    /// The boots of the kernels of the control node and of all nodes but this one: a kernel that is among them has other inhabitants.
    pub fn other_boots(&self, node: &Node) -> Vec<String> {
        let others = self.agents.iter().filter(|agent| agent.node().index != node.index).map(|agent| agent.about().boot);
        std::iter::once(crate::machine::boot_id()).chain(others).collect()
    }

    /// All of them, in the order of the nodes.
    pub fn all(&self) -> &[Agent] {
        &self.agents
    }

    /// Starts a new agent on a node whose agent or connection died. Every handle of this node's agent uses the new one. The
    /// new agent first undoes what an agent that was killed left behind; [`About::undone`] lists it.
    pub fn reconnect(&self, node: &Node) -> Result<(), NodeError> {
        self.of(node).reconnect()
    }

    /// Undoes every fault on every node, ends the agents and returns what was undone, by node. The handles answer with errors
    /// from then on.
    pub fn close(&self) -> Vec<Result<Vec<Undone>, NodeError>> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = self.agents.iter().map(|agent| scope.spawn(|| agent.close())).collect();
            threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }
}

/// Undoes what is left of a run whose agents were killed, on every node, and returns what was undone, by node. Refused for a
/// node on which another run is at work. Touches nothing that is not ours.
pub fn heal(cluster: &Cluster, access: &Access, options: &AgentOptions) -> Vec<Result<Vec<Undone>, NodeError>> {
    let all: Vec<usize> = (0..cluster.len()).collect();
    match read_binary(options) {
        Ok(binary) => cluster.on(&all, |node| Line::heal(node, access, options, &binary)),
        Err(error) => all.iter().map(|_| Err(error.clone())).collect(),
    }
}

fn read_binary(options: &AgentOptions) -> Result<Arc<Binary>, NodeError> {
    Binary::read(&options.binary).map(Arc::new).map_err(|why| NodeError::new("control node", why))
}

/// A handle of the agent on one node. Its methods block; they may be called from several threads at once, never from an async
/// worker.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    access: Access,
    options: AgentOptions,
    binary: Arc<Binary>,
    line: Mutex<Arc<Line>>,
    reconnecting: Mutex<()>,
}

impl Agent {
    fn connect(node: &Node, access: &Access, options: &AgentOptions, binary: &Arc<Binary>) -> Result<Agent, NodeError> {
        let line = Mutex::new(Arc::new(Line::connect(node, access, options, binary)?));
        let (node, access, options, binary) = (node.clone(), access.clone(), options.clone(), binary.clone());
        Ok(Agent { inner: Arc::new(Inner { node, access, options, binary, line, reconnecting: Mutex::new(()) }) })
    }

    fn line(&self) -> Arc<Line> {
        self.inner.line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reconnect(&self) -> Result<(), NodeError> {
        let _one_at_a_time = self.inner.reconnecting.lock().unwrap_or_else(PoisonError::into_inner);
        self.line().hang_up();
        let Inner { node, access, options, binary, .. } = &*self.inner;
        // The old agent may still wait for a heartbeat before it undoes its faults and leaves.
        let patient = AgentOptions {
            lock_within: Some(2 * options.dead_man + Duration::from_secs(2)),
            connect_within: options.connect_within.min(RECONNECT_WITHIN),
            ..options.clone()
        };
        let line = Line::connect(node, access, &patient, binary)?;
        *self.inner.line.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(line);
        Ok(())
    }

    fn ask(&self, request: Request, within: Duration) -> Result<Reply, NodeError> {
        self.line().ask(request, within).map_err(|message| NodeError::new(&self.inner.node.name, message))
    }

    fn done(&self, request: Request) -> Result<(), NodeError> {
        self.ask(request, SHORT).map(|_| ())
    }

    fn error(&self, message: impl Into<String>) -> NodeError {
        NodeError::new(&self.inner.node.name, message)
    }

    fn unexpected(&self, reply: &Reply) -> NodeError {
        self.error(format!("the agent gave an answer to another question: {reply:?}"))
    }

    /// The node it is on.
    pub fn node(&self) -> &Node {
        &self.inner.node
    }

    /// What the agent said of its node when it started.
    pub fn about(&self) -> About {
        self.line().about().clone()
    }

    /// The agent's directory on the node, an absolute path. Everything that is written lies below; relative paths start here.
    pub fn directory(&self) -> String {
        self.line().about().directory.clone()
    }

    /// Whether the agent and the connection to it are alive, as far as is known.
    pub fn is_alive(&self) -> bool {
        self.line().is_alive()
    }

    /// Runs a command to its end. A command that fails is not an error: look at the [`Output`], or use [`Agent::run_ok`].
    pub fn run(&self, command: &Command) -> Result<Output, NodeError> {
        match self.ask(Request::Run(command.clone()), command.timeout + SHORT)? {
            Reply::Output(output) => Ok(output),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Runs a command; an error with the command and what it said unless it ends with status 0.
    pub fn run_ok(&self, command: &Command) -> Result<Output, NodeError> {
        let output = self.run(command)?;
        if output.success() { Ok(output) } else { Err(self.error(format!("`{command}` failed: {}", output.complaint()))) }
    }

    /// Writes a file below the agent's directory, making the directories above it. Readers see the old file or the whole new
    /// one.
    pub fn write_file(&self, path: &str, content: &[u8], mode: u32) -> Result<(), NodeError> {
        self.write_from(path, &mut &content[..], mode)
    }

    /// Uploads a local file to a path below the agent's directory.
    pub fn upload(&self, local: &Path, path: &str, mode: u32) -> Result<(), NodeError> {
        let mut file = File::open(local).map_err(|e| self.error(format!("cannot read {} to upload it: {e}", local.display())))?;
        self.write_from(path, &mut file, mode)
    }

    fn write_from(&self, path: &str, content: &mut dyn Read, mode: u32) -> Result<(), NodeError> {
        let mut offset = 0;
        loop {
            let mut data = Vec::new();
            let chunk = content.take(CHUNK_BYTES_MAX as u64).read_to_end(&mut data);
            let length = chunk.map_err(|e| self.error(format!("cannot read what goes to {path}: {e}")))? as u64;
            if length > 0 || offset == 0 {
                self.done(Request::Write { path: path.into(), offset, data })?;
            }
            offset += length;
            if length < CHUNK_BYTES_MAX as u64 {
                return self.done(Request::Finish { path: path.into(), size: offset, mode });
            }
        }
    }

    /// Reads a file of up to `bytes_max` bytes; a longer one is an error.
    pub fn read_file(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, NodeError> {
        let mut content = Vec::new();
        self.read_into(path, &mut content, bytes_max as u64)?;
        Ok(content)
    }

    /// Reads a file up to where nothing was written to it yet (a piece of zeros as long as a message), and no more than `bytes_max`.
    pub fn read_written(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, NodeError> {
        let mut content = Vec::new();
        loop {
            let (data, end) = self.read_chunk(path, content.len() as u64)?;
            if data.iter().all(|&byte| byte == 0) {
                return Ok(content);
            }
            content.extend(data);
            if end || content.len() as u64 >= bytes_max {
                return Ok(content);
            }
        }
    }

    fn read_chunk(&self, path: &str, offset: u64) -> Result<(Vec<u8>, bool), NodeError> {
        match self.ask(Request::Read { path: path.into(), offset }, SHORT)? {
            Reply::Chunk { data, end } => Ok((data, end)),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Copies a file of the node to a local file.
    pub fn fetch(&self, path: &str, local: &Path) -> Result<(), NodeError> {
        // Through a link that somebody has put there nothing is written.
        let options = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(libc::O_NOFOLLOW).clone();
        let mut file = options.open(local).map_err(|e| self.error(format!("cannot write {}: {e}", local.display())))?;
        self.read_into(path, &mut file, u64::MAX)
    }

    /// Copies what is there of files and directories into one compressed local file, of at most `bytes_max` bytes. Returns whether there
    /// was anything; no file is made of nothing.
    pub fn fetch_packed(&self, paths: &[String], local: &Path, bytes_max: u64) -> Result<bool, NodeError> {
        const PACKED: &str = "packed.tar.zst";
        let asked = Request::Pack { paths: paths.to_vec(), to: PACKED.into(), bytes_max };
        let fetched = match self.ask(asked, PACKED_WITHIN)? {
            Reply::Packed(0) => return Ok(false),
            Reply::Packed(_) => self.fetch(PACKED, local),
            other => Err(self.unexpected(&other)),
        };
        self.remove_tree(PACKED)?;
        fetched.map(|()| true)
    }

    fn read_into(&self, path: &str, to: &mut dyn Write, bytes_max: u64) -> Result<(), NodeError> {
        let mut offset = 0;
        loop {
            let (data, end) = self.read_chunk(path, offset)?;
            offset += data.len() as u64;
            if offset > bytes_max {
                return Err(self.error(format!("{path} is longer than {bytes_max} bytes")));
            }
            to.write_all(&data).map_err(|e| self.error(format!("cannot keep the content of {path}: {e}")))?;
            if end || data.is_empty() {
                return Ok(());
            }
        }
    }

    /// Removes a file or a directory with all below it. It must lie below the agent's directory. No harm if it is not there.
    pub fn remove_tree(&self, path: &str) -> Result<(), NodeError> {
        self.done(Request::RemoveTree { path: path.into() })
    }

    /// Starts a program in a session of its own. No harm if one of this name runs. Ends the fault of a [`Agent::kill`].
    pub fn start(&self, program: &Program) -> Result<(), NodeError> {
        self.done(Request::Start(program.clone()))
    }

    /// Kills a program and all its processes for good and waits until they are gone: the end of a test. Ends every fault on it.
    pub fn stop(&self, name: &str) -> Result<(), NodeError> {
        self.done(Request::Stop { name: name.into() })
    }

    /// Kills a program and all its processes with SIGKILL and waits until they are gone, as a fault: if it has not been started
    /// again when the agent undoes its faults, the agent does.
    pub fn kill(&self, name: &str) -> Result<(), NodeError> {
        self.done(Request::Kill { name: name.into() })
    }

    /// Ends a program by SIGTERM and waits until it is gone, as a fault, undone like [`Agent::kill`].
    pub fn terminate(&self, name: &str) -> Result<(), NodeError> {
        self.done(Request::Terminate { name: name.into() })
    }

    /// What tells a program's process from the one after a restart; `None` if it is down.
    pub fn incarnation(&self, name: &str) -> Result<Option<String>, NodeError> {
        match self.ask(Request::Incarnation { name: name.into() }, SHORT)? {
            Reply::Incarnation(incarnation) => Ok(incarnation),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Notes on the node's disk that its host is about to lose its power, so that the agent after the crash starts the program.
    pub fn expect_crash(&self, name: &str) -> Result<(), NodeError> {
        self.done(Request::ExpectCrash { name: name.into() })
    }

    /// Ends the connection without a word: whoever asks is told at once that it is gone. [`Agents::reconnect`] makes a new one.
    pub fn hang_up(&self) {
        self.line().hang_up();
    }

    /// Stops all processes of a program by SIGSTOP, as a fault. An error if it does not run.
    pub fn pause(&self, name: &str) -> Result<(), NodeError> {
        self.done(Request::Pause { name: name.into() })
    }

    /// Lets a paused program run on. No harm if it is not paused.
    pub fn resume(&self, name: &str) -> Result<(), NodeError> {
        self.done(Request::Resume { name: name.into() })
    }

    /// Makes the clock of a program's processes wrong in this way, as a fault, and no longer in the way before. An error if it does
    /// not run. Processes that it forks later have the same clock.
    pub fn skew(&self, name: &str, skew: &Skew) -> Result<(), NodeError> {
        self.done(Request::Skew { name: name.into(), skew: *skew })
    }

    /// Reads the clock of each process of a program as the process does, beside the node's own. An error unless it was skewed since
    /// it was started ([`Skew::None`] will do).
    pub fn read_clock(&self, name: &str) -> Result<Vec<Reading>, NodeError> {
        match self.ask(Request::ReadClock { name: name.into() }, SHORT)? {
            Reply::Clock(readings) => Ok(readings),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Ends the fault of [`Agent::skew`] and leaves no trace of it. No harm if there is none, or if the program is down.
    pub fn restore_clock(&self, name: &str) -> Result<(), NodeError> {
        self.done(Request::RestoreClock { name: name.into() })
    }

    /// Sees whether the node's own clock may be set, and returns what keeps it right; an error says why not. Nothing is done to it.
    /// `others`: see [`Agents::other_boots`].
    pub fn try_system_clock(&self, others: &[String]) -> Result<Vec<String>, NodeError> {
        match self.ask(Request::TrySystemClock { others: others.to_vec() }, SHORT)? {
            Reply::TimeDaemons(names) => Ok(names),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Stops what keeps the node's own clock right and makes it wrong in this way, as a fault, and no longer in the way before.
    pub fn skew_system_clock(&self, skew: &Skew, others: &[String]) -> Result<(), NodeError> {
        self.ask(Request::SkewSystemClock { skew: *skew, others: others.to_vec() }, DAEMONS).map(drop)
    }

    /// Reads how far the node's own clock is off. An error unless it was skewed ([`Skew::None`] will do).
    pub fn read_system_clock(&self) -> Result<SystemReading, NodeError> {
        match self.ask(Request::ReadSystemClock, SHORT)? {
            Reply::SystemClock(reading) => Ok(reading),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Ends the fault of [`Agent::skew_system_clock`]: sets the clock right and starts what keeps it so. No harm if there is none.
    pub fn restore_system_clock(&self) -> Result<(), NodeError> {
        self.ask(Request::RestoreSystemClock, DAEMONS).map(drop)
    }

    /// Tries whether programs can have disks of their own of this size on the node; an error says why not.
    pub fn try_disk(&self, bytes: u64) -> Result<(), NodeError> {
        self.ask(Request::TryDisk { bytes }, DISKS).map(|_| ())
    }

    /// Hurts the disk that a program has for itself, as a fault. [`DiskHarm::PowerLoss`] kills the program.
    pub fn hurt_disk(&self, name: &str, harm: DiskHarm) -> Result<(), NodeError> {
        self.ask(Request::HurtDisk { name: name.into(), harm }, DISKS).map(|_| ())
    }

    /// Ends the fault of [`Agent::hurt_disk`]; starts the program if it ended because of it. No harm if there is none.
    pub fn heal_disk(&self, name: &str) -> Result<(), NodeError> {
        self.ask(Request::HealDisk { name: name.into() }, DISKS).map(|_| ())
    }

    /// Tries whether programs can be put into control groups on the node; an error says why not.
    pub fn try_groups(&self, name: &str) -> Result<(), NodeError> {
        self.done(Request::TryGroups { name: name.into() })
    }

    /// Gives a program that is in groups of its own less than it wants, as a fault: this share, in thousandths, of the memory in use
    /// or of one processor.
    pub fn squeeze(&self, name: &str, resource: Resource, thousandths: u32) -> Result<(), NodeError> {
        self.done(Request::Squeeze { name: name.into(), resource, thousandths })
    }

    /// Ends the fault of [`Agent::squeeze`]; starts the program if it ended because of it. No harm if there is none.
    pub fn release(&self, name: &str, resource: Resource) -> Result<(), NodeError> {
        self.done(Request::Release { name: name.into(), resource })
    }

    /// What the kernel tells of a control group, read by a program of the node.
    pub fn usage(&self, group: &str, resource: Resource) -> Result<Usage, NodeError> {
        let paths = match self.ask(Request::UsageFiles { name: group.into(), resource }, SHORT)? {
            Reply::Paths(paths) => paths,
            other => return Err(self.unexpected(&other)),
        };
        let [limit, used, reached] = paths.map(|path| self.run_ok(&Command::new(["cat".to_owned(), path])).map(|output| output.text()));
        Ok(group::read_usage(resource, &limit?, &used?, &reached?))
    }

    /// Kills a program, as a fault, and says how its files would be damaged: nothing is changed yet.
    pub fn plan_damage(&self, name: &str, plan: &Plan) -> Result<Vec<Change>, NodeError> {
        match self.ask(Request::PlanDamage { name: name.into(), plan: plan.clone() }, DISKS)? {
            Reply::Changes(changes) => Ok(changes),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Damages a program's files as planned, as a fault, and starts it on them; that it does not run then is no error.
    pub fn damage(&self, name: &str, changes: &[Change]) -> Result<(), NodeError> {
        self.ask(Request::Damage { name: name.into(), changes: changes.to_vec() }, DISKS).map(|_| ())
    }

    /// Ends the fault of [`Agent::damage`]: kills the program, puts back what was there where nobody has written since, starts it. No
    /// harm if nothing is damaged.
    pub fn repair(&self, name: &str) -> Result<(), NodeError> {
        self.ask(Request::Repair { name: name.into() }, DISKS).map(|_| ())
    }

    /// Looks at a program's processes.
    pub fn state(&self, name: &str) -> Result<ProcessState, NodeError> {
        match self.ask(Request::State { name: name.into() }, SHORT)? {
            Reply::State(state) => Ok(state),
            other => Err(self.unexpected(&other)),
        }
    }

    /// How a program ended since this agent is there, each time that nobody of ours had ended it.
    pub fn endings(&self, name: &str) -> Result<Vec<Ending>, NodeError> {
        match self.ask(Request::Endings { name: name.into() }, SHORT)? {
            Reply::Endings(endings) => Ok(endings),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Drops all packets from these addresses and from no others: replaces what was dropped before. None removes every trace.
    pub fn drop_from(&self, addresses: &[IpAddr]) -> Result<(), NodeError> {
        self.done(Request::DropFrom { addresses: addresses.to_vec() })
    }

    /// Shapes all packets to these addresses and to no others: replaces what there was before. None removes every trace.
    pub fn shape(&self, addresses: &[IpAddr], shape: &Shape, seed: u64) -> Result<(), NodeError> {
        self.done(Request::Shape { addresses: addresses.to_vec(), shape: *shape, seed })
    }

    fn echo(&self, to: SocketAddr, nonce: u64, echoes: &Echoes) -> Result<Measured, NodeError> {
        let longest = echoes.every * echoes.count + echoes.within;
        match self.ask(Request::Echo { to, nonce, echoes: *echoes }, longest + SHORT)? {
            Reply::Echoed(measured) => Ok(measured),
            other => Err(self.unexpected(&other)),
        }
    }

    fn probe_send(&self, to: SocketAddr, nonce: u64) -> Result<(), NodeError> {
        self.done(Request::ProbeSend { to, nonce })
    }

    fn probe_heard(&self, nonce: u64, within: Duration) -> Result<bool, NodeError> {
        match self.ask(Request::ProbeHeard { nonce, within }, within + SHORT)? {
            Reply::Heard(heard) => Ok(heard),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Looks at everything on the node that a run may touch, or damage. The node is only looked at.
    pub fn snapshot(&self) -> Result<Snapshot, NodeError> {
        match self.ask(Request::Snapshot, SNAPSHOT_WITHIN)? {
            Reply::Snapshot(snapshot) => Ok(snapshot),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The node's own clock, in nanoseconds since 1970, read while the answer was on its way.
    pub fn time_ns(&self) -> Result<i64, NodeError> {
        match self.ask(Request::Time, SHORT)? {
            Reply::Time(ns) => Ok(ns),
            other => Err(self.unexpected(&other)),
        }
    }

    /// A run begins: the list of what was touched begins anew.
    pub fn begin_footprint(&self) -> Result<(), NodeError> {
        self.done(Request::BeginFootprint)
    }

    /// What was touched on the node since the run began, by this agent and those before it.
    pub fn footprint(&self) -> Result<Vec<Touch>, NodeError> {
        match self.ask(Request::Footprint, SHORT)? {
            Reply::Footprint(touches) => Ok(touches),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Undoes every fault on the node now and returns what there was.
    pub fn heal(&self) -> Result<Vec<Undone>, NodeError> {
        match self.ask(Request::Heal, SHORT)? {
            Reply::Undone(undone) => Ok(undone),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Undoes every fault, ends the agent and returns what was undone.
    pub fn close(&self) -> Result<Vec<Undone>, NodeError> {
        let reply = self.ask(Request::Bye, SHORT);
        self.line().hang_up();
        match reply? {
            Reply::Undone(undone) => Ok(undone),
            other => Err(self.unexpected(&other)),
        }
    }
}

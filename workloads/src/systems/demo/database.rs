//! The demo store as a database under test: one local process per node.

use super::control;
use super::node::NodeOptions;
use super::protocol::{Answer, Call, Request, Status};
use super::testbed::TestBed;
use nemesis::{Cluster, Database, Ending, Node, NodeError, ProcessState, pack};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a process may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How often something that must come true soon is looked at.
const POLL: Duration = Duration::from_millis(5);

/// The processes of a demo.
#[derive(Debug)]
pub struct DemoDatabase {
    bed: Arc<TestBed>,
}

impl DemoDatabase {
    pub(super) fn new(bed: Arc<TestBed>) -> DemoDatabase {
        DemoDatabase { bed }
    }

    fn command(&self, node: &Node) -> io::Result<Command> {
        let log = File::options().create(true).append(true).open(self.bed.log(node))?;
        let options = NodeOptions {
            index: node.index,
            ports: self.bed.ports.numbers(),
            data: self.bed.data(node),
            replication: self.bed.options.replication,
            seed: self.bed.options.seed,
        };
        let mut command = Command::new(&self.bed.options.binary);
        command.arg("demo-node").args(options.arguments());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    fn status(&self, node: &Node) -> io::Result<Status> {
        control::ask(self.bed.port(node), &Request::Status)
    }

    /// The end of a node's log, for an error that it explains.
    fn last_words(&self, node: &Node) -> String {
        let log = std::fs::read_to_string(self.bed.log(node)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("; ")
    }

    /// Whether a node answers, is connected to all others, and carries out a read.
    fn ready(&self, cluster: &Cluster, node: &Node) -> Result<(), String> {
        let status = self.status(node).map_err(|error| error.to_string())?;
        if status.links + 1 < cluster.len() {
            return Err(format!("connected to {} of {} others", status.links, cluster.len() - 1));
        }
        match control::ask(self.bed.port(node), &Request::Call(Call::Read { key: -1 })) {
            Ok(Answer::Ok(_)) => Ok(()),
            Ok(Answer::Fail(refusal) | Answer::Info(refusal)) => Err(format!("answers a read with {}", refusal.name())),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Database for DemoDatabase {
    fn name(&self) -> &'static str {
        "demo"
    }

    fn version(&self, node: &Node) -> Result<String, NodeError> {
        let status = self.status(node).map_err(|error| NodeError::new(&node.name, format!("cannot ask for its version: {error}")))?;
        Ok(status.version)
    }

    fn setup(&self, _: &Cluster, node: &Node) -> Result<(), NodeError> {
        let data = self.bed.data(node);
        std::fs::create_dir_all(&data)
            .and_then(|()| File::create(self.bed.log(node)))
            .map_err(|error| NodeError::new(&node.name, format!("cannot make {} and a log beside it: {error}", data.display())))?;
        self.start(node)
    }

    fn await_ready(&self, cluster: &Cluster, within: Duration) -> Result<(), NodeError> {
        let deadline = Instant::now() + within;
        cluster.on_all(|node| {
            loop {
                match self.ready(cluster, node) {
                    Ok(()) => return Ok(()),
                    Err(why) if Instant::now() >= deadline => {
                        let message = format!("not ready within {within:?}: {why}; its log ends: {}", self.last_words(node));
                        return Err(NodeError::new(&node.name, message));
                    }
                    Err(_) => std::thread::sleep(POLL),
                }
            }
        })?;
        Ok(())
    }

    fn teardown(&self, node: &Node) -> Result<(), NodeError> {
        self.kill(node)?;
        let data = self.bed.data(node);
        match std::fs::remove_dir_all(&data) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(NodeError::new(&node.name, format!("cannot remove {}: {error}", data.display())))
            }
            _ => Ok(()),
        }
    }

    fn start(&self, node: &Node) -> Result<(), NodeError> {
        let fail = |message: String| NodeError::new(&node.name, message);
        let command = self.command(node).map_err(|error| fail(format!("cannot prepare its process: {error}")))?;
        let binary = self.bed.options.binary.display();
        self.bed.processes.start(node.index, command).map_err(|error| fail(format!("cannot start {binary}: {error}")))?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match (self.state(node)?, self.status(node)) {
                // One that a pause has caught runs as well as it can.
                (ProcessState::Paused, _) | (ProcessState::Running, Ok(_)) => return Ok(()),
                (ProcessState::Down, _) => return Err(fail(format!("its process ended at once: {}", self.last_words(node)))),
                (ProcessState::Running, Err(error)) if Instant::now() >= deadline => {
                    return Err(fail(format!("its process does not answer: {error}; its log ends: {}", self.last_words(node))));
                }
                (ProcessState::Running, Err(_)) => std::thread::sleep(POLL),
            }
        }
    }

    fn kill(&self, node: &Node) -> Result<(), NodeError> {
        self.bed.processes.kill(node.index).map_err(|error| NodeError::new(&node.name, format!("cannot kill its process: {error}")))
    }

    fn terminate(&self, node: &Node) -> Result<(), NodeError> {
        let fail = |error: io::Error| NodeError::new(&node.name, format!("cannot end its process: {error}"));
        self.bed.processes.terminate(node.index).map_err(fail)?;
        let deadline = Instant::now() + START_TIMEOUT;
        while self.state(node)? != ProcessState::Down {
            if Instant::now() >= deadline {
                return Err(NodeError::new(&node.name, format!("its process has not ended within {START_TIMEOUT:?} of SIGTERM")));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn incarnation(&self, node: &Node) -> Result<Option<String>, NodeError> {
        let pid = self.bed.processes.pid(node.index);
        let pid = pid.map_err(|error| NodeError::new(&node.name, format!("cannot look at its process: {error}")))?;
        Ok(pid.map(|pid| format!("process {pid}")))
    }

    fn pause(&self, node: &Node) -> Result<(), NodeError> {
        let paused = self.bed.processes.pause(node.index);
        paused.map_err(|error| NodeError::new(&node.name, format!("cannot pause its process: {error}")))
    }

    fn resume(&self, node: &Node) -> Result<(), NodeError> {
        let resumed = self.bed.processes.signal(node.index, libc::SIGCONT);
        resumed.map_err(|error| NodeError::new(&node.name, format!("cannot resume its process: {error}")))
    }

    fn state(&self, node: &Node) -> Result<ProcessState, NodeError> {
        let state = self.bed.processes.state(node.index);
        state.map_err(|error| NodeError::new(&node.name, format!("cannot look at its process: {error}")))
    }

    fn endings(&self, node: &Node) -> Result<Vec<Ending>, NodeError> {
        let endings = self.bed.processes.endings(node.index);
        let endings = endings.map_err(|error| NodeError::new(&node.name, format!("cannot look at its process: {error}")))?;
        let ending = |(ago, status): (Duration, ExitStatus)| Ending {
            ago,
            how: status.to_string(),
            out_of_memory: false,
            log: self.last_words(node),
            // Wherever the user has them put.
            core: None,
        };
        Ok(endings.into_iter().map(ending).collect())
    }

    fn has_primaries(&self) -> bool {
        self.bed.options.replication.has_primary()
    }

    fn primaries(&self, cluster: &Cluster) -> Vec<usize> {
        let all: Vec<usize> = (0..cluster.len()).collect();
        let leads = cluster.on(&all, |node| self.status(node).is_ok_and(|status| status.leads));
        all.into_iter().filter(|&node| leads[node]).collect()
    }

    fn fetch_logs(&self, node: &Node, into: &Path) -> Result<Vec<PathBuf>, NodeError> {
        let (from, to) = (self.bed.log(node), into.join("node.log"));
        if !from.exists() {
            return Ok(Vec::new());
        }
        // Copying a file onto itself would empty it.
        if to.exists() && from.canonicalize().ok() == to.canonicalize().ok() {
            return Ok(vec![to]);
        }
        let copied = std::fs::create_dir_all(into).and_then(|()| std::fs::copy(&from, &to));
        copied.map_err(|error| NodeError::new(&node.name, format!("cannot copy {} to {}: {error}", from.display(), to.display())))?;
        Ok(vec![to])
    }

    fn fetch_data(&self, node: &Node, to: &Path, bytes_max: u64) -> Result<bool, NodeError> {
        self.kill(node)?;
        let data = self.bed.data(node);
        let packed = pack::pack(data.parent().unwrap_or(Path::new("/")), &[&data], to, bytes_max);
        Ok(packed.map_err(|error| NodeError::new(&node.name, format!("cannot copy {}: {error}", data.display())))? > 0)
    }
}

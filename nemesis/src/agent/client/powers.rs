//! What the agents lend to a database: clocks, control groups, disks and files of a program that they start.

use crate::agent::Agents;
use crate::agent::protocol::clock::{Reading, Skew};
use crate::agent::protocol::damage::{Change, Pieces, Plan};
use crate::agent::protocol::disk::DiskHarm;
use crate::agent::protocol::group::{Resource, Usage};
use crate::command::{Command, DataDisk, Output};
use crate::database::{Clocks, DataFiles, DiskLook, Disks, Files, Found, Groups};
use crate::{Node, NodeError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};

/// What is written to see whether something can be.
const PROBE: &str = ".rashomon-probe";

/// Two files from before a power cut: one that was synced, and one that was not.
const SYNCED: &str = ".rashomon-synced";

const UNSYNCED: &str = ".rashomon-unsynced";

/// How much of a file is read to find out where damage would be noticed; what lies behind is left alone.
const READ_BYTES_MAX: u64 = 8 << 20;

/// The clocks of a program that was started by the nodes' agents.
pub struct AgentClocks {
    agents: Agents,
    program: &'static str,
}

impl AgentClocks {
    /// Those of the program of this name.
    pub fn new(agents: Agents, program: &'static str) -> AgentClocks {
        AgentClocks { agents, program }
    }
}

impl Clocks for AgentClocks {
    fn can_skew(&self, _: &Node) -> Result<(), NodeError> {
        // Only on the processes can it be tried.
        Ok(())
    }

    fn skew(&self, node: &Node, skew: &Skew) -> Result<(), NodeError> {
        self.agents.of(node).skew(self.program, skew)
    }

    fn read(&self, node: &Node) -> Result<Vec<Reading>, NodeError> {
        self.agents.of(node).read_clock(self.program)
    }

    fn restore(&self, node: &Node) -> Result<(), NodeError> {
        self.agents.of(node).restore_clock(self.program)
    }
}

/// The control groups of a program that is started by the nodes' agents.
pub struct AgentGroups {
    agents: Agents,
    program: &'static str,
    /// Tells the groups of this run from those of others: several nodes may share a kernel.
    nonce: u64,
    wanted: AtomicBool,
}

impl AgentGroups {
    /// Those of the program of this name.
    pub fn new(agents: Agents, program: &'static str) -> AgentGroups {
        AgentGroups { agents, program, nonce: RandomState::new().build_hasher().finish(), wanted: AtomicBool::new(false) }
    }

    /// The groups that the program is to be started in on this node, if a fault needs some.
    pub fn wanted(&self, node: &Node) -> Option<String> {
        self.wanted.load(Ordering::Relaxed).then(|| self.name(node))
    }

    fn name(&self, node: &Node) -> String {
        format!("rashomon-{:016x}-{}", self.nonce, node.index)
    }
}

impl Groups for AgentGroups {
    fn can_provide(&self, node: &Node) -> Result<(), NodeError> {
        self.agents.of(node).try_groups(&self.name(node))
    }

    fn provide(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    fn squeeze(&self, node: &Node, resource: Resource, thousandths: u32) -> Result<(), NodeError> {
        self.agents.of(node).squeeze(self.program, resource, thousandths)
    }

    fn release(&self, node: &Node, resource: Resource) -> Result<(), NodeError> {
        self.agents.of(node).release(self.program, resource)
    }

    fn usage(&self, node: &Node, resource: Resource) -> Result<Usage, NodeError> {
        self.agents.of(node).usage(&self.name(node), resource)
    }
}

/// The disks of a program that is started by the nodes' agents.
pub struct AgentDisks {
    agents: Agents,
    program: &'static str,
    disk: DataDisk,
    wanted: AtomicBool,
}

impl AgentDisks {
    /// Disks of this size for the program of this name, mounted at this path below the agents' directories.
    pub fn new(agents: Agents, program: &'static str, at: &str, bytes: u64) -> AgentDisks {
        AgentDisks { agents, program, disk: DataDisk { at: at.into(), bytes }, wanted: AtomicBool::new(false) }
    }

    /// The disk that the program is to be started with, if a fault needs one.
    pub fn wanted(&self) -> Option<DataDisk> {
        self.wanted.load(Ordering::Relaxed).then(|| self.disk.clone())
    }

    fn path(&self, node: &Node, file: &str) -> String {
        format!("{}/{}/{file}", self.agents.of(node).directory(), self.disk.at)
    }

    fn write(&self, node: &Node, file: &str, sync: bool) -> Result<Output, NodeError> {
        let mut argv =
            vec!["dd".to_owned(), "if=/dev/zero".into(), format!("of={}", self.path(node, file)), "bs=4096".into(), "count=1".into()];
        argv.extend(sync.then(|| "conv=fsync".to_owned()));
        self.agents.of(node).run(&Command::new(argv))
    }
}

impl Disks for AgentDisks {
    fn can_provide(&self, node: &Node) -> Result<(), NodeError> {
        self.agents.of(node).try_disk(self.disk.bytes)
    }

    fn provide(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    fn hurt(&self, node: &Node, harm: DiskHarm) -> Result<(), NodeError> {
        self.agents.of(node).hurt_disk(self.program, harm)
    }

    fn heal(&self, node: &Node) -> Result<(), NodeError> {
        self.agents.of(node).heal_disk(self.program)
    }

    fn look(&self, node: &Node) -> Result<DiskLook, NodeError> {
        let agent = self.agents.of(node);
        let place = format!(" {}/{} ", agent.directory(), self.disk.at);
        let mounts = agent.run_ok(&Command::new(["cat", "/proc/self/mountinfo"]))?.text();
        if !mounts.lines().any(|line| line.contains(&place)) {
            return Ok(DiskLook { mounted: false, refused: Some("it is not mounted".into()) });
        }
        let written = self.write(node, PROBE, true)?;
        agent.run(&Command::new(["rm", "-f", &self.path(node, PROBE)]))?;
        let words = |output: &Output| {
            String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().rsplit(": ").next().unwrap_or_default().to_owned()
        };
        Ok(DiskLook { mounted: true, refused: (!written.success()).then(|| words(&written)) })
    }

    fn plant(&self, node: &Node) -> Result<(), NodeError> {
        for (file, sync) in [(SYNCED, true), (UNSYNCED, false)] {
            let written = self.write(node, file, sync)?;
            if !written.success() {
                return Err(NodeError::new(
                    &node.name,
                    format!("cannot write to the disk before its power is cut: {}", written.complaint()),
                ));
            }
        }
        Ok(())
    }

    /// A file without its content is as good as none.
    fn reap(&self, node: &Node) -> Result<[bool; 2], NodeError> {
        let agent = self.agents.of(node);
        let [synced, unsynced] = [self.path(node, SYNCED), self.path(node, UNSYNCED)];
        let there = |path: &str| agent.run(&Command::new(["test", "-s", path])).map(|output| output.success());
        let found = [there(&synced)?, there(&unsynced)?];
        agent.run_ok(&Command::new(["rm", "-f", &synced, &unsynced]))?;
        Ok(found)
    }
}

/// The files of a program that is started by the nodes' agents.
pub struct AgentFiles {
    agents: Agents,
    program: &'static str,
    kinds: Vec<DataFiles>,
}

impl AgentFiles {
    /// These files of the program of this name.
    pub fn new(agents: Agents, program: &'static str, kinds: Vec<DataFiles>) -> AgentFiles {
        AgentFiles { agents, program, kinds }
    }
}

impl Files for AgentFiles {
    fn kinds(&self) -> &[DataFiles] {
        &self.kinds
    }

    fn payloads(&self, node: &Node, kind: &DataFiles) -> Result<Pieces, NodeError> {
        let Some(payloads) = kind.payloads else { return Err(NodeError::new(&node.name, crate::database::nobody_knows(kind.what))) };
        let agent = self.agents.of(node);
        let names = agent.run_ok(&Command::new(["ls", &format!("{}/{}", agent.directory(), kind.directory)]))?.text();
        let mut pieces = Pieces::new();
        for name in names.lines().filter(|name| name.ends_with(&kind.suffix)) {
            let written = agent.read_written(&format!("{}/{name}", kind.directory), READ_BYTES_MAX)?;
            pieces.insert(name.into(), payloads(&written));
        }
        Ok(pieces)
    }

    fn plan(&self, node: &Node, plan: &Plan) -> Result<Vec<Change>, NodeError> {
        self.agents.of(node).plan_damage(self.program, plan)
    }

    fn damage(&self, node: &Node, changes: &[Change]) -> Result<(), NodeError> {
        self.agents.of(node).damage(self.program, changes)
    }

    fn repair(&self, node: &Node) -> Result<(), NodeError> {
        self.agents.of(node).repair(self.program)
    }

    fn look(&self, node: &Node, change: &Change) -> Result<Found, NodeError> {
        let agent = self.agents.of(node);
        if change.new.is_empty() {
            let length = agent.run_ok(&Command::new(["stat", "-c", "%s", &change.path]))?.text();
            let end = change.offset + change.old.len() as u64;
            return Ok(match length.trim().parse::<u64>() {
                Ok(length) if length == change.offset => Found::New,
                Ok(length) if length == end => Found::Old,
                _ => Found::Other,
            });
        }
        let (from, count) = (change.offset.to_string(), change.new.len().to_string());
        let dump = agent.run_ok(&Command::new(["od", "-An", "-v", "-tx1", "-j", &from, "-N", &count, &change.path]))?.text();
        let there: Vec<u8> = dump.split_ascii_whitespace().filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
        Ok(match there {
            there if there == change.new => Found::New,
            there if there == change.old => Found::Old,
            _ => Found::Other,
        })
    }
}

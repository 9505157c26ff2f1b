//! The disk that the data lies on is full, read-only, or loses its power.
//!
//! Where that is asked for, the data is put on a small file system of its own, in a file of the node, before the database is set up:
//! the node's own disks are not touched. See [`crate::agent::disk`].

use crate::agent::Agents;
use crate::agent::disk::DiskHarm;
use crate::command::{Command, DataDisk, Output};
use crate::fault::{Context, Report};
use crate::observe::look_until;
use crate::{Node, NodeError, ProcessState};
use std::sync::atomic::{AtomicBool, Ordering};

/// What is written to see whether something can be.
const PROBE: &str = ".rashomon-probe";

/// Two files from before a power cut: one that was synced, and one that was not.
const SYNCED: &str = ".rashomon-synced";
const UNSYNCED: &str = ".rashomon-unsynced";

/// The disks that the database's data lies on, node by node.
pub trait Disks: Send + Sync {
    /// Whether the data can be put on a disk of its own on this node; an error says why not.
    fn can_provide(&self, node: &Node) -> Result<(), NodeError>;

    /// From the next setup on the data is put on a disk of its own.
    fn provide(&self);

    /// Hurts the disk, which must be one of its own.
    fn hurt(&self, node: &Node, harm: DiskHarm) -> Result<(), NodeError>;

    /// Puts it right and starts the database if it ended because of it. No harm if nothing was done to it.
    fn heal(&self, node: &Node) -> Result<(), NodeError>;

    /// Looks at it by programs of the node that have nothing to do with what hurts it.
    fn look(&self, node: &Node) -> Result<DiskLook, NodeError>;

    /// Writes two small files, the first to be synced and the second not.
    fn plant(&self, node: &Node) -> Result<(), NodeError>;

    /// Which of the two there are, and removes them.
    fn reap(&self, node: &Node) -> Result<[bool; 2], NodeError>;
}

/// A disk as a program of the node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskLook {
    /// Whether it is mounted.
    pub mounted: bool,
    /// What came of an attempt to write to it: `None` if it was done, the words of the error if not.
    pub refused: Option<String>,
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

/// The disks of the database; an error if it has none that can be hurt.
pub(super) fn disks(context: &Context) -> Result<&dyn Disks, NodeError> {
    let name = context.database.name();
    context.database.disks().ok_or_else(|| NodeError::new("control node", format!("the disks of {name} cannot be hurt")))
}

/// An error unless the database can write to its disk on every node.
pub(super) fn all_right(context: &Context) -> Result<(), NodeError> {
    let disks = disks(context)?;
    let all: Vec<usize> = (0..context.cluster.len()).collect();
    let seen = look_until(context, &all, |node| disks.look(node).map(|look| told(node, &look, None)));
    if seen.observed { Ok(()) } else { Err(NodeError::new("disk", format!("a disk is hurt before any fault: {}", seen.what))) }
}

/// Hurts the disks of some nodes, each looked at before and after.
pub(super) fn inject(context: &Context, harm: DiskHarm, nodes: &[usize], note: &str) -> Result<Report, NodeError> {
    let disks = disks(context)?;
    let names = context.cluster.names(nodes);
    let what = match harm {
        DiskHarm::Full => format!("the disk of {names} is full{note}"),
        DiskHarm::ReadOnly => format!("the disk of {names} is read-only, its process started on it{note}"),
        DiskHarm::PowerLoss => format!("the power of the disk of {names} is cut, what was not synced is lost{note}"),
    };
    let mut report = Report::of(nodes.to_vec(), what);
    let errors = context.errors_on(nodes, |node| {
        let before = disks.look(node)?;
        if let Some(refused) = before.refused {
            return Err(NodeError::new(&node.name, format!("its disk was hurt before: {refused}")));
        }
        if harm == DiskHarm::PowerLoss {
            disks.plant(node)?;
        }
        disks.hurt(node, harm)
    });
    report.seen(look_until(context, nodes, |node| {
        let look = disks.look(node)?;
        let (good, mut said) = told(node, &look, Some(harm));
        if harm != DiskHarm::PowerLoss {
            if !good && harm == DiskHarm::Full {
                // The database may have removed something meanwhile.
                disks.hurt(node, harm)?;
            }
            return Ok((good, said));
        }
        let down = context.database.state(node)? == ProcessState::Down;
        said += if down { " and its process is down" } else { " and its process runs" };
        Ok((good && down, said))
    }));
    report.failed(&errors);
    Ok(report)
}

/// Puts the disks of some nodes right.
pub(super) fn recover(context: &Context, harm: DiskHarm, nodes: &[usize]) -> Result<Report, NodeError> {
    let disks = disks(context)?;
    let mut report = Report::of(nodes.to_vec(), format!("the disk of {} is right", context.cluster.names(nodes)));
    let errors = context.errors_on(nodes, |node| disks.heal(node));
    report.seen(look_until(context, nodes, |node| {
        let look = disks.look(node)?;
        // Its server was taken out of the cluster meanwhile, and the disk with it.
        let taken_out = !look.mounted && context.database.state(node)? == ProcessState::Down;
        Ok(if taken_out { (true, format!("{} has none now", node.name)) } else { told(node, &look, None) })
    }));
    if report.observed && harm == DiskHarm::PowerLoss {
        let found = context.cluster.on(nodes, |node| disks.reap(node).map(|found| survived(node, found)));
        let told: Vec<String> = found.into_iter().map(|told| told.unwrap_or_else(|error| error.to_string())).collect();
        report.seen = format!("{}, {}", report.seen, told.join(", "));
    }
    report.failed(&errors);
    Ok(report)
}

/// Whether a disk looks as it should with this harm done to it, or none; and what was seen.
fn told(node: &Node, look: &DiskLook, harm: Option<DiskHarm>) -> (bool, String) {
    let said = match &look.refused {
        None => format!("{} writes", node.name),
        Some(words) => format!("{} cannot write: {words}", node.name),
    };
    let good = match (harm, &look.refused) {
        (None, refused) => refused.is_none(),
        (Some(DiskHarm::Full), Some(words)) => words.contains("No space left"),
        (Some(DiskHarm::ReadOnly), Some(words)) => words.contains("Read-only"),
        (Some(DiskHarm::PowerLoss), Some(_)) => !look.mounted,
        (Some(_), None) => false,
    };
    (good, said)
}

/// What a cut of the power has left of the two files from before.
fn survived(node: &Node, [synced, unsynced]: [bool; 2]) -> String {
    let word = |there: bool| if there { "there" } else { "gone" };
    format!("on {} what was synced is {} and what was not is {}", node.name, word(synced), word(unsynced))
}

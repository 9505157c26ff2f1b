//! The database under test, seen from the outside: processes on nodes.

use crate::{Clocks, Cluster, Disks, Files, Groups, Node, NodeError, Report};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a database's process does, as seen by looking at it (not by remembering what was done to it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// It runs.
    Running,
    /// It is stopped by a signal.
    Paused,
    /// There is none.
    Down,
}

/// How a database's process ended that nobody of ours had ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// How long ago, when it was asked for.
    pub ago: Duration,
    /// Its exit code, or the signal that ended it, and whether its core was dumped: `exit status: 2`.
    pub how: String,
    /// Whether the kernel ended it because memory was short, as far as the kernel's log says.
    pub out_of_memory: bool,
    /// The end of its log at that time.
    pub log: String,
    /// The file on the node that its core was dumped to, if it was.
    #[serde(default)]
    pub core: Option<String>,
}

/// Where damage to a file is certain to be noticed, found by what the file holds so far: from a byte to before a byte.
pub type Payloads = fn(&[u8]) -> Vec<(u64, u64)>;

/// Files of a database's data that belong together.
#[derive(Clone, Debug)]
pub struct DataFiles {
    /// What they are, in words: `write-ahead log`.
    pub what: &'static str,
    /// The directory they lie in, below the agent's.
    pub directory: String,
    /// How their names end.
    pub suffix: String,
    /// Where the database is certain to notice damage when it starts, and refuses to: it takes it neither for truth nor for the trace of
    /// its own crash. What stands there must stay where it is while the database runs. `None` if nobody knows.
    pub payloads: Option<Payloads>,
}

/// The hosts that nodes are on, where their power may be cut: those of a lab.
pub trait Hosts: Send + Sync {
    /// Cuts the power: every process of the host is gone at once, its disk stays. No harm if it is off.
    fn crash(&self, node: &Node) -> Result<(), NodeError>;

    /// Boots it and waits until the database can be reached and started on it again. No harm if it runs.
    fn boot(&self, node: &Node) -> Result<(), NodeError>;

    /// Whether it answers on the network, tried now.
    fn answers(&self, node: &Node) -> bool;
}

/// Who belongs to the cluster of a database that can change that while it serves. Members are told by node.
pub trait Membership: Send + Sync {
    /// Whether this node answers clients as a full member, tried now; the reason if not.
    fn serves(&self, node: &Node) -> Result<(), NodeError>;

    /// The members with a vote, ascending, as the node that is asked knows them now. An error if it cannot know for sure.
    fn voters(&self, cluster: &Cluster, asked: &Node) -> Result<Vec<usize>, NodeError>;

    /// Has the others remove a node, then ends its process and removes its data. Nothing of it is touched before it is certain that
    /// it has left.
    fn remove(&self, cluster: &Cluster, node: &Node) -> Result<(), NodeError>;

    /// Has the others let a node in, starts it with empty data, and waits until it serves with a vote. Goes on where an earlier
    /// attempt has ended; no harm if the node never left.
    fn add(&self, cluster: &Cluster, node: &Node, within: Duration) -> Result<(), NodeError>;
}

/// What operators can have a database do while it serves. Each looks from outside whether it was done, and says in its report what it
/// saw; one that makes no sense at the moment (the node is down, nobody leads) is a report of nothing done, with the reason.
pub trait Admin: Send + Sync {
    /// Has this node throw away old versions of the data.
    fn compact(&self, cluster: &Cluster, node: &Node) -> Result<Report, NodeError>;

    /// Has this node give back the room that removed data has left.
    fn defragment(&self, cluster: &Cluster, node: &Node) -> Result<Report, NodeError>;

    /// Has this node lead; if it does already, another one.
    fn move_leader(&self, cluster: &Cluster, to: &Node) -> Result<Report, NodeError>;
}

/// How to install, start, hurt and look at a database. Called from plain threads, several nodes at once; every method may be
/// repeated without harm.
pub trait Database: Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Its version, as a node reports it.
    fn version(&self, node: &Node) -> Result<String, NodeError>;

    /// Installs and starts it with empty data. [`Database::teardown`] was called before.
    fn setup(&self, cluster: &Cluster, node: &Node) -> Result<(), NodeError>;

    /// Waits until the whole cluster answers clients.
    fn await_ready(&self, cluster: &Cluster, within: Duration) -> Result<(), NodeError>;

    /// Stops it and removes its data. Must work on a node that never ran it and on one where a run was killed half-way.
    fn teardown(&self, node: &Node) -> Result<(), NodeError>;

    /// Starts its process on the data it has. No harm if it runs.
    fn start(&self, node: &Node) -> Result<(), NodeError>;

    /// Kills its process group with SIGKILL and waits until it is gone.
    fn kill(&self, node: &Node) -> Result<(), NodeError>;

    /// Asks it to end, by SIGTERM, and waits until it is gone.
    fn terminate(&self, node: &Node) -> Result<(), NodeError>;

    /// What tells its process from the one after a restart; `None` if there is none.
    fn incarnation(&self, node: &Node) -> Result<Option<String>, NodeError>;

    /// The power switches of the nodes' hosts, if anybody may use them.
    fn hosts(&self) -> Option<&dyn Hosts> {
        None
    }

    /// SIGSTOP.
    fn pause(&self, node: &Node) -> Result<(), NodeError>;

    /// SIGCONT.
    fn resume(&self, node: &Node) -> Result<(), NodeError>;

    /// Looks at its process.
    fn state(&self, node: &Node) -> Result<ProcessState, NodeError>;

    /// How its process ended since the set-up, each time that nobody of ours had ended it: neither [`Database::kill`] nor another
    /// method of this trait. Empty if nobody watches.
    fn endings(&self, _node: &Node) -> Result<Vec<Ending>, NodeError> {
        Ok(Vec::new())
    }

    /// The clocks that its processes see, if they can be changed.
    fn clocks(&self) -> Option<&dyn Clocks> {
        None
    }

    /// The clocks of its nodes, if somebody can set those that are theirs alone.
    fn system_clocks(&self) -> Option<&dyn Clocks> {
        None
    }

    /// Who belongs to the cluster, if that can change while it serves.
    fn membership(&self) -> Option<&dyn Membership> {
        None
    }

    /// The commands of operators, if there are any.
    fn admin(&self) -> Option<&dyn Admin> {
        None
    }

    /// The control groups of its processes, if they can be in some.
    fn groups(&self) -> Option<&dyn Groups> {
        None
    }

    /// The files of its data, if somebody knows which they are.
    fn files(&self) -> Option<&dyn Files> {
        None
    }

    /// The disks that its data lies on, if they can be hurt.
    fn disks(&self) -> Option<&dyn Disks> {
        None
    }

    /// Whether there is such a thing as a node that leads. If not, nobody waits for one.
    fn has_primaries(&self) -> bool {
        true
    }

    /// The nodes that say they lead, asked now; empty if none does or the database has no leader.
    fn primaries(&self, cluster: &Cluster) -> Vec<usize>;

    /// Copies the node's logs into a local directory and returns their local paths.
    fn fetch_logs(&self, node: &Node, into: &Path) -> Result<Vec<PathBuf>, NodeError>;

    /// Kills its process, and copies its data and the cores that it has left into one compressed local file (see [`pack`](crate::pack)) of
    /// at most `bytes_max` bytes. Returns whether there was anything; no file is made of nothing. Called before [`Database::teardown`].
    fn fetch_data(&self, _node: &Node, _to: &Path, _bytes_max: u64) -> Result<bool, NodeError> {
        Ok(false)
    }
}

//! The database under test, seen from the outside: processes on nodes.

mod admin;
mod clocks;
mod disks;
mod files;
mod groups;
mod hosts;
mod membership;

use crate::command::{Ending, ProcessState};
use crate::{Cluster, Node, NodeError};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use admin::Admin;
pub use clocks::Clocks;
pub use disks::{DiskLook, Disks};
pub(crate) use files::nobody_knows;
pub use files::{DataFiles, Files, Found, Payloads};
pub use groups::Groups;
pub use hosts::Hosts;
pub use membership::Membership;

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

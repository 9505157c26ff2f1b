//! The files of a database.

use crate::agent::protocol::damage::{Change, Pieces, Plan};
use crate::{Node, NodeError};

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

/// The database's files, node by node.
pub trait Files: Send + Sync {
    /// Which files of its data hold what it must not lose.
    fn kinds(&self) -> &[DataFiles];

    /// Where damage to these files is certain to be noticed, as they are now; the database may run.
    fn payloads(&self, node: &Node, kind: &DataFiles) -> Result<Pieces, NodeError>;

    /// Kills the database and says how its files would be damaged.
    fn plan(&self, node: &Node, plan: &Plan) -> Result<Vec<Change>, NodeError>;

    /// Damages them as planned and starts the database on them. That it does not run then is no error.
    fn damage(&self, node: &Node, changes: &[Change]) -> Result<(), NodeError>;

    /// Puts back what was there, where nobody has written since, and starts the database. No harm if nothing is damaged.
    fn repair(&self, node: &Node) -> Result<(), NodeError>;

    /// What stands where a change was planned, read by a program of the node: as many bytes as the change knows, or the length of the
    /// file if it is one that cuts it off.
    fn look(&self, node: &Node, change: &Change) -> Result<Found, NodeError>;
}

/// What stands where a change was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// What was there before.
    Old,
    /// What the damage is.
    New,
    /// Neither.
    Other,
}

/// That damage to these files cannot be certain to be noticed, and what can be asked for instead.
pub(crate) fn nobody_knows(whose: &str) -> String {
    format!("nobody knows where {whose} is certain to notice damage: say bitflip-anywhere, copy-anywhere or truncate-anywhere")
}

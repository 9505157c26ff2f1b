//! How files are damaged.

use crate::command::bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How files are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// A bit of some bytes is flipped.
    Bitflip {
        /// Of how many bytes, in a thousand million.
        per_billion: u64,
    },
    /// Some chunks are replaced by others of the same file.
    Copy {
        /// How many, in a thousand million.
        per_billion: u64,
    },
    /// Some bytes at the end are cut off.
    Truncate {
        /// At most so many, and at least one.
        bytes_max: u64,
    },
}

/// Which files are damaged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The directory they lie in, below the agent's.
    pub directory: String,
    /// How their names end.
    pub suffix: String,
    /// What happens to them.
    pub harm: Harm,
    /// Decides where.
    pub seed: u64,
    /// Only every so-manieth chunk, beginning with this one: `(2, 5)` are the chunks 2, 7, 12, ...
    pub stripe: Option<(u64, u64)>,
    /// Only here, and no end is cut off but what was set aside and not yet written to. Anywhere if `None`.
    pub pieces: Option<Pieces>,
}

/// Parts of files, by the files' names: from a byte to before a byte.
pub type Pieces = BTreeMap<String, Vec<(u64, u64)>>;

/// A change of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The file, an absolute path.
    pub path: String,
    /// Where.
    pub offset: u64,
    /// What was there.
    #[serde(with = "bytes")]
    pub old: Vec<u8>,
    /// What takes its place; nothing if the file ends here from now on.
    #[serde(with = "bytes")]
    pub new: Vec<u8>,
}

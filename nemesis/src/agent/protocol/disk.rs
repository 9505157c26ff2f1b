//! What can be done to a disk.

use serde::{Deserialize, Serialize};

/// What can be done to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskHarm {
    /// Nothing more fits on it.
    Full,
    /// It is mounted to be read only, and the program is started on it anew: it may find that it cannot run so.
    ReadOnly,
    /// Its power is cut, and the program's: what was not synced is lost.
    PowerLoss,
}

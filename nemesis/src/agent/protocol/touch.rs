//! What was touched on a node.

use serde::{Deserialize, Serialize};

/// One thing that was touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// `file`, `process`, `firewall`, `qdisc`, `clock`, `command`, ...
    pub kind: String,
    /// What, in words.
    pub what: String,
}

impl Touch {
    pub(in crate::agent) fn new(kind: &str, what: impl Into<String>) -> Touch {
        Touch { kind: kind.into(), what: what.into() }
    }
}

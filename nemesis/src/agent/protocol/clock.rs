//! How clocks are made wrong, and what is read of them.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a program's clock is to be wrong. Only what it takes for the time of day is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skew {
    /// Not at all.
    None,
    /// Ahead by this much, or behind.
    Bump {
        /// Nanoseconds.
        offset_ns: i64,
    },
    /// Ahead or behind and right by turns.
    Strobe {
        /// Nanoseconds.
        offset_ns: i64,
        /// How long it is the one, and then the other.
        period: Duration,
        /// After this time it is right for good.
        lasts: Duration,
    },
    /// Ever further ahead, or behind, from now on.
    Drift {
        /// How many nanoseconds it gains a second; it loses them if negative.
        per_billion: i64,
    },
}

/// A process's clock, compared with that of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The process.
    pub pid: i32,
    /// When, by the node's own clock: nanoseconds since 1970.
    pub at_ns: i64,
    /// How far the process's `CLOCK_REALTIME` was ahead of the node's.
    pub offset_ns: i64,
    /// How far that may be off: half the time that the reading took.
    pub error_ns: i64,
}

/// The node's own clock at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemReading {
    /// What it says, in nanoseconds since 1970.
    pub real_ns: i64,
    /// How far that is ahead of what it would say if nobody had touched it, by clocks of the node that were not.
    pub ahead_ns: i64,
    /// How far that may be off.
    pub error_ns: i64,
}

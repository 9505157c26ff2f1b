//! What a node was like at one moment.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A thing that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// `nft list ruleset`, each rule with its table and chain.
    Nft,
    /// `iptables-save`.
    Iptables,
    /// `ip6tables-save`.
    Ip6tables,
    /// Qdiscs, classes and filters of every device.
    Qdiscs,
    /// What is mounted where, and how.
    Mounts,
    /// Processes that are ours (their program, an argument or their folder lies below the agent's directory, or they are marked),
    /// and everybody's that are stopped by a signal.
    Processes,
    /// The programs that set the clock, if any runs.
    TimeDaemon,
    /// The rate of the clock, if no program sets it: one that does changes it by itself.
    ClockRate,
    /// The files below the agent's directory: mode, owner, size and a hash of the content.
    Files,
    /// Control groups that this run made.
    Cgroups,
}

impl Topic {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Topic::Nft => "firewall (nft)",
            Topic::Iptables => "firewall (iptables)",
            Topic::Ip6tables => "firewall (ip6tables)",
            Topic::Qdiscs => "qdiscs",
            Topic::Mounts => "mounts",
            Topic::Processes => "processes",
            Topic::TimeDaemon => "time daemon",
            Topic::ClockRate => "rate of the clock",
            Topic::Files => "files",
            Topic::Cgroups => "control groups",
        }
    }
}

/// What a node was like at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The agent's directory.
    pub directory: String,
    /// Lines, in the order in which they were found.
    pub topics: BTreeMap<Topic, Vec<String>>,
}

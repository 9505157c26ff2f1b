//! What a control group limits, and what it says of its program.

use serde::{Deserialize, Serialize};

/// What a group limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Memory: anonymous, and the kernel's cache of the files that the program used first.
    Memory,
    /// Processor time.
    Cpu,
}

impl Resource {
    pub(in crate::agent) fn controller(self) -> &'static str {
        match self {
            Resource::Memory => "memory",
            Resource::Cpu => "cpu",
        }
    }
}

/// What a group says of its program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The limit: bytes, or microseconds of each 100 000. `None` if there is none.
    pub limit: Option<u64>,
    /// Bytes in use, or microseconds used so far.
    pub used: u64,
    /// How often the limit was reached so far.
    pub reached: u64,
}

/// Reads the contents of the three files of a group.
pub(crate) fn read_usage(resource: Resource, limit: &str, used: &str, reached: &str) -> Usage {
    let first = |text: &str| text.split_ascii_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    let named = |text: &str, names: &[&str]| {
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.filter(|(name, _)| names.contains(name)).filter_map(|(_, value)| value.trim().parse::<u64>().ok()).sum()
    };
    match resource {
        Resource::Memory => Usage {
            // Version 1 says with the largest number of pages that there is none.
            limit: first(limit).filter(|&bytes| bytes < 1 << 60),
            used: first(used).unwrap_or(0),
            // `max` counts those who wanted more; a limit that is set below what is in use ends somebody, and only `oom` counts that.
            reached: first(reached).unwrap_or_else(|| named(reached, &["max", "oom"])),
        },
        Resource::Cpu => Usage { limit: first(limit), used: named(used, &["usage_usec"]), reached: named(reached, &["nr_throttled"]) },
    }
}

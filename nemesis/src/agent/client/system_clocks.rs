//! The clocks of whole nodes, where a node has one for itself.
//!
//! What a node says of its clock is looked at from outside, too: the control node's own clock has measured how long it was since the
//! node's was right, and so knows what it should say by now.

use crate::agent::Agents;
use crate::agent::protocol::clock::Reading;
use crate::agent::protocol::clock::Skew;
use crate::agent::protocol::clock::SystemReading;
use crate::database::Clocks;
use crate::machine::now_ns;
use crate::{Node, NodeError};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How fast the clocks of two machines may part that nobody touches, in millionths: more than quartzes do, but what a time daemon may
/// make of one.
const PART_PER_MILLION: i64 = 500;

/// How often a node is asked, for the shortest way.
const READINGS: usize = 3;

/// The system clocks of the nodes, set by their agents.
pub struct SystemClocks {
    agents: Agents,
    /// When each node's clock was last seen right, by the control node's clock.
    right: Mutex<BTreeMap<usize, Seen>>,
}

/// A node's clock, seen from the control node.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The middle of the way there and back, and half of it.
    at: Instant,
    error_ns: i64,
    /// What the node's clock said.
    real_ns: i64,
}

impl Seen {
    /// How far a clock is ahead of what it would say if it had gone on as it did then, and how far that may be off.
    fn ahead_ns(&self, now: &Seen) -> (i64, i64) {
        let elapsed_ns = nanos(now.at.saturating_duration_since(self.at));
        let ahead_ns = (now.real_ns - self.real_ns) - elapsed_ns;
        (ahead_ns, self.error_ns + now.error_ns + elapsed_ns / (1_000_000 / PART_PER_MILLION))
    }
}

impl SystemClocks {
    /// Those of all nodes of these agents.
    pub fn new(agents: Agents) -> SystemClocks {
        SystemClocks { agents, right: Mutex::new(BTreeMap::new()) }
    }

    fn right(&self) -> MutexGuard<'_, BTreeMap<usize, Seen>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a node several times; what came by the shortest way.
    fn look(&self, node: &Node) -> Result<(Seen, SystemReading), NodeError> {
        let mut best: Option<(Seen, SystemReading)> = None;
        for _ in 0..READINGS {
            let begin = Instant::now();
            let told = self.agents.of(node).read_system_clock()?;
            let half = begin.elapsed() / 2;
            let seen = Seen { at: begin + half, error_ns: nanos(half), real_ns: told.real_ns };
            if best.as_ref().is_none_or(|(best, _)| seen.error_ns < best.error_ns) {
                best = Some((seen, told));
            }
        }
        best.ok_or_else(|| NodeError::new(&node.name, "its clock was not read"))
    }
}

impl Clocks for SystemClocks {
    fn can_skew(&self, node: &Node) -> Result<(), NodeError> {
        self.agents.of(node).try_system_clock(&self.agents.other_boots(node)).map(drop)
    }

    fn skew(&self, node: &Node, skew: &Skew) -> Result<(), NodeError> {
        self.agents.of(node).skew_system_clock(skew, &self.agents.other_boots(node))?;
        // Where it should be right it is remembered; what was remembered before is older, and so says more.
        if *skew == Skew::None && !self.right().contains_key(&node.index) {
            let (seen, told) = self.look(node)?;
            self.right().insert(node.index, Seen { real_ns: seen.real_ns - told.ahead_ns, ..seen });
        }
        Ok(())
    }

    fn read(&self, node: &Node) -> Result<Vec<Reading>, NodeError> {
        let (seen, told) = self.look(node)?;
        let right = self.right().get(&node.index).copied();
        let right = right.ok_or_else(|| NodeError::new(&node.name, "nobody has seen its clock right yet"))?;
        let (offset_ns, error_ns) = agreed(&told, right.ahead_ns(&seen));
        Ok(vec![Reading { pid: 0, at_ns: now_ns(), offset_ns, error_ns }])
    }

    fn restore(&self, node: &Node) -> Result<(), NodeError> {
        self.agents.of(node).restore_system_clock()?;
        self.right().remove(&node.index);
        Ok(())
    }
}

/// What the node says, which is exact, unless it does not fit what is seen from outside, which counts then.
fn agreed(told: &SystemReading, (ahead_ns, error_ns): (i64, i64)) -> (i64, i64) {
    if (told.ahead_ns - ahead_ns).abs() <= told.error_ns + error_ns { (told.ahead_ns, told.error_ns) } else { (ahead_ns, error_ns) }
}

fn nanos(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_a_node_says_counts_only_if_it_is_seen_from_outside() {
        let at = Instant::now();
        let right = Seen { at, error_ns: 400_000, real_ns: 1_000 };
        let later = |real_ns| Seen { at: at + Duration::from_secs(20), error_ns: 600_000, real_ns };
        // Half a thousandth of 20 s, and both ways.
        let (ahead_ns, error_ns) = right.ahead_ns(&later(25_000_001_000));
        assert_eq!((ahead_ns, error_ns), (5_000_000_000, 11_000_000));
        let told = |ahead_ns| SystemReading { real_ns: 0, ahead_ns, error_ns: 300 };
        assert_eq!(agreed(&told(5_001_000_000), (ahead_ns, error_ns)), (5_001_000_000, 300));
        assert_eq!(agreed(&told(0), (ahead_ns, error_ns)), (ahead_ns, error_ns));
        assert_eq!(agreed(&told(5_000_000_000), right.ahead_ns(&later(20_000_001_000))), (0, 11_000_000));
    }
}

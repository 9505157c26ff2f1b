//! Whether a run left its nodes as they were: each node is looked at before and after, and what differs is told apart into what the
//! run left and what somebody else changed.

use crate::agent::protocol::snapshot::{Snapshot, Topic};
use crate::{Agent, NodeError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How often a clock is read: the reading whose way was the shortest counts.
const CLOCK_READINGS: usize = 5;

/// How far clocks may move against each other while nobody touches them: what two quartzes differ by, with room.
const DRIFT_PER_MILLION: i128 = 100;

/// What is forgiven besides: a time daemon may move a clock by some milliseconds at any moment.
const CLOCK_TOLERANCE_NS: i128 = 10_000_000;

/// How many lines of one kind are told one by one.
const TOLD_MAX: usize = 8;

/// The node's clock beside the control node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offset {
    /// When it was read, in nanoseconds since 1970 of the control node's clock.
    pub at_ns: i64,
    /// By how much the node's clock is ahead.
    pub offset_ns: i64,
    /// By how much that may be wrong: half of the round trip.
    pub error_ns: i64,
}

/// A node at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Its clock.
    pub clock: Offset,
    /// All else.
    pub snapshot: Snapshot,
}

impl Picture {
    /// Looks at the node of this agent.
    pub fn take(agent: &Agent) -> Result<Picture, NodeError> {
        let snapshot = agent.snapshot()?;
        let mut clock = read_clock(agent)?;
        for _ in 1..CLOCK_READINGS {
            let again = read_clock(agent)?;
            if again.error_ns < clock.error_ns {
                clock = again;
            }
        }
        Ok(Picture { clock, snapshot })
    }

    /// What is different in a later picture of the same node.
    pub fn differences(&self, later: &Picture) -> Vec<Difference> {
        let mut found: Vec<Difference> = clock_difference(&self.clock, &later.clock).into_iter().collect();
        for (topic, after) in &later.snapshot.topics {
            // What nobody looked at then may have been anything.
            let Some(before) = self.snapshot.topics.get(topic) else { continue };
            found.extend(line_differences(*topic, before, after, &self.snapshot.directory));
        }
        found
    }
}

fn read_clock(agent: &Agent) -> Result<Offset, NodeError> {
    let before = crate::machine::now_ns();
    let there = agent.time_ns()?;
    let after = crate::machine::now_ns();
    let error_ns = (after - before).max(0) / 2 + 1;
    Ok(Offset { at_ns: before, offset_ns: there.saturating_sub(before + (after - before) / 2), error_ns })
}

/// Something that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// In words: `firewall (nft): new: table inet rashomon`.
    pub what: String,
    /// Whether a run left it. If not, somebody else changed the node meanwhile, or a run damaged what is not its own.
    pub left: bool,
    /// How to remove it.
    pub remedy: &'static str,
}

fn clock_difference(before: &Offset, after: &Offset) -> Option<Difference> {
    let moved = i128::from(after.offset_ns) - i128::from(before.offset_ns);
    let elapsed = i128::from(after.at_ns) - i128::from(before.at_ns);
    let forgiven = i128::from(before.error_ns) + i128::from(after.error_ns) + CLOCK_TOLERANCE_NS;
    let forgiven = forgiven + elapsed.abs() * DRIFT_PER_MILLION / 1_000_000;
    (moved.abs() > forgiven).then(|| Difference {
        what: format!(
            "clock: {:.1} ms ahead of the control node's, {:.1} ms before (give or take {:.1} ms)",
            after.offset_ns as f64 / 1e6,
            before.offset_ns as f64 / 1e6,
            forgiven as f64 / 1e6
        ),
        left: false,
        remedy: "restart the node's time daemon, or set the clock by hand",
    })
}

/// What is new, what is gone, and whether the same lines stand in another order.
fn line_differences(topic: Topic, before: &[String], after: &[String], directory: &str) -> Vec<Difference> {
    if before == after {
        return Vec::new();
    }
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for line in after {
        *counts.entry(line).or_default() += 1;
    }
    for line in before {
        *counts.entry(line).or_default() -= 1;
    }
    let mut found = told(topic, "new", &changed(after, &counts, 1), |line| is_ours(topic, line, directory));
    // What was ours before this run and is gone now is none of its leavings.
    found.extend(told(topic, "gone", &changed(before, &counts, -1), |_| false));
    if found.is_empty() {
        found.push(Difference {
            what: format!("{}: in another order than before", topic.words()),
            left: false,
            remedy: remedy(topic, false),
        });
    }
    found
}

/// The lines that are there more often than before (sign 1), or less often (-1): each once, in their order.
fn changed<'a>(lines: &'a [String], counts: &BTreeMap<&str, i64>, sign: i64) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    lines.iter().map(String::as_str).filter(|line| counts[line] * sign > 0 && seen.insert(*line)).collect()
}

fn told(topic: Topic, how: &str, lines: &[&str], is_left: impl Fn(&str) -> bool) -> Vec<Difference> {
    let difference =
        |text: &str, left: bool| Difference { what: format!("{}: {how}: {text}", topic.words()), left, remedy: remedy(topic, left) };
    let mut found: Vec<Difference> = lines.iter().take(TOLD_MAX).map(|line| difference(line, is_left(line))).collect();
    if let Some(rest) = lines.get(TOLD_MAX..).filter(|rest| !rest.is_empty()) {
        found.push(difference(&format!("and {} more", rest.len()), rest.iter().any(|line| is_left(line))));
    }
    found
}

/// Whether a line that was not there before the run tells of something of ours.
fn is_ours(topic: Topic, line: &str, directory: &str) -> bool {
    match topic {
        Topic::Nft | Topic::Iptables | Topic::Ip6tables => line.to_ascii_lowercase().contains("rashomon"),
        Topic::Qdiscs => ["5253:", "5254:"].iter().any(|handle| line.contains(handle)),
        Topic::Mounts => line.contains(directory),
        Topic::Processes | Topic::Files | Topic::Cgroups | Topic::ClockRate => true,
        Topic::TimeDaemon => false,
    }
}

fn remedy(topic: Topic, left: bool) -> &'static str {
    match (topic, left) {
        (Topic::ClockRate, _) => "`rashomon heal`, or `adjtimex --tick 10000 --frequency 0`",
        (_, true) => "`rashomon heal --teardown` with the same nodes removes it",
        (Topic::TimeDaemon, _) => "start it again, if nobody else ended it on purpose",
        _ => "not by a name of ours: somebody else changed the node meanwhile, or a fault damaged what is not its own",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(topics: &[(Topic, &[&str])], clock: Offset) -> Picture {
        let topics = topics.iter().map(|(topic, lines)| (*topic, lines.iter().map(|&line| line.to_owned()).collect())).collect();
        Picture { clock, snapshot: Snapshot { directory: "/var/lib/rashomon".into(), topics } }
    }

    const CLOCK: Offset = Offset { at_ns: 0, offset_ns: 5_000_000, error_ns: 200_000 };

    fn told(before: &[(Topic, &[&str])], after: &[(Topic, &[&str])]) -> Vec<(String, bool)> {
        let found = picture(before, CLOCK).differences(&picture(after, CLOCK));
        found.into_iter().map(|difference| (difference.what, difference.left)).collect()
    }

    #[test]
    fn what_is_left_is_told_apart_from_what_others_changed() {
        let before: &[(Topic, &[&str])] = &[(Topic::Nft, &["table inet foreign", "a"]), (Topic::Files, &["x: 1"])];
        assert_eq!(told(before, before), []);
        let after: &[(Topic, &[&str])] = &[(Topic::Nft, &["table inet foreign", "table inet rashomon"]), (Topic::Files, &["x: 1", "y: 2"])];
        assert_eq!(
            told(before, after),
            [
                ("firewall (nft): new: table inet rashomon".into(), true),
                ("firewall (nft): gone: a".into(), false),
                ("files: new: y: 2".into(), true)
            ]
        );
    }

    #[test]
    fn order_and_number_of_equal_lines_count() {
        let rules = |lines: &'static [&'static str]| [(Topic::Iptables, lines)];
        assert_eq!(told(&rules(&["a", "b"]), &rules(&["b", "a"]))[0].0, "firewall (iptables): in another order than before");
        assert_eq!(told(&rules(&["a"]), &rules(&["a", "a"])), [("firewall (iptables): new: a".into(), false)]);
        assert_eq!(told(&rules(&["a", "a"]), &rules(&["a"])), [("firewall (iptables): gone: a".into(), false)]);
        assert_eq!(
            told(&rules(&[]), &rules(&["1", "2", "3", "4", "5", "6", "7", "8", "9", "RASHOMON"])).last().unwrap(),
            &("firewall (iptables): new: and 2 more".into(), true)
        );
    }

    #[test]
    fn a_clock_may_be_off_by_the_error_of_its_readings_and_no_more() {
        let moved = |offset_ns: i64, at_ns: i64| clock_difference(&CLOCK, &Offset { at_ns, offset_ns, error_ns: 300_000 }).is_some();
        assert!(!moved(CLOCK.offset_ns + 10_400_000, 0) && moved(CLOCK.offset_ns + 10_600_000, 0));
        assert!(moved(CLOCK.offset_ns - 3_600_000_000_000, 60_000_000_000));
        // Ten minutes of drift.
        assert!(!moved(CLOCK.offset_ns + 60_000_000, 600_000_000_000));
        assert!(clock_difference(&CLOCK, &Offset { offset_ns: i64::MIN, ..CLOCK }).is_some());
    }
}

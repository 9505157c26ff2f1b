//! What was found beside the history: `findings.json` of a run.
//!
//! The verdict on the history stands, with its certificate, whatever is found beside it; a finding has its own line everywhere, and its
//! own weight in the exit code.

use crate::timeline::FaultWindow;
use crate::ui::format;
use nemesis::{Ending, spec};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The id of findings about processes that ended by themselves.
pub const NODE_ENDED: &str = "node-ended";

/// What was found beside the history of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// What no store should show, whatever its clients were told.
    pub found: Vec<Finding>,
    /// What was looked at without a finding, and what could not be looked at and why, in sentences.
    pub notes: Vec<String>,
}

/// Something that no store should show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind it is, short and stable: `replicas-differ`.
    pub id: String,
    /// What was found, in a sentence.
    pub text: String,
    /// The node that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When it was, in nanoseconds of the run's clock, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ns: Option<i64>,
}

/// How long after a fault a process may still end because of it.
const AFTERMATH_NS: i64 = 5_000_000_000;

impl Finding {
    /// A process of the database `program` that ended on a node although nobody of ours had ended it. `now_ns`: the run's clock.
    pub fn ended(program: &str, node: &str, ending: &Ending, now_ns: u64) -> Finding {
        let at_ns = i64::try_from(now_ns).unwrap_or(i64::MAX).saturating_sub(i64::try_from(ending.ago.as_nanos()).unwrap_or(i64::MAX));
        let when = if at_ns < 0 {
            "before the first client asked".to_owned()
        } else {
            format!("at {}", format::duration(Duration::from_millis(at_ns.unsigned_abs() / 1_000_000)))
        };
        let memory = if ending.out_of_memory { ", for want of memory" } else { "" };
        let log = if ending.log.is_empty() { String::new() } else { format!("; its log ends: {}", ending.log) };
        let core = ending.core.as_ref().map_or_else(String::new, |core| format!("; its core was in {core}"));
        let text = format!("{program} on {node} ended {when}, though no fault had ended it ({}{memory}){core}{log}", ending.how);
        Finding { id: NODE_ENDED.into(), text, node: Some(node.into()), at_ns: Some(at_ns) }
    }

    /// The fault because of which this may have come about, if there is one.
    fn fault<'a>(&self, windows: &'a [FaultWindow]) -> Option<&'a FaultWindow> {
        let (NODE_ENDED, Some(node), Some(at)) = (self.id.as_str(), &self.node, self.at_ns) else { return None };
        let lasted = |window: &FaultWindow| window.from_ns <= at && window.to_ns.is_none_or(|to| at <= to.saturating_add(AFTERMATH_NS));
        windows.iter().find(|window| spec::may_end(&window.fault) && window.nodes.contains(node) && lasted(window))
    }
}

impl Findings {
    /// These findings, with those that a fault explains among the notes: on a full disk a process may end by itself.
    #[must_use]
    pub fn explained(self, windows: &[FaultWindow]) -> Findings {
        let Findings { found, mut notes } = self;
        let (by_fault, found): (Vec<Finding>, Vec<Finding>) = found.into_iter().partition(|finding| finding.fault(windows).is_some());
        let fault = |finding: &Finding| finding.fault(windows).map(|window| format!("{} ({})", window.fault, window.what));
        notes.extend(by_fault.iter().filter_map(|finding| Some(format!("under the fault {}: {}", fault(finding)?, finding.text))));
        Findings { found, notes }
    }
}

impl From<workloads::Findings> for Findings {
    fn from(findings: workloads::Findings) -> Findings {
        let found = findings.found.into_iter().map(|finding| Finding { id: finding.id.into(), text: finding.text, ..Finding::default() });
        Findings { found: found.collect(), notes: findings.notes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(fault: &str, node: &str, from_ns: i64, to_ns: Option<i64>) -> FaultWindow {
        FaultWindow {
            fault: fault.into(),
            what: "disk of n1 is full".into(),
            nodes: vec![node.into()],
            from_ns,
            injected_ns: Some(from_ns),
            to_ns,
            observed: true,
            ..FaultWindow::default()
        }
    }

    #[test]
    fn an_end_is_a_finding_unless_a_fault_on_that_node_explains_it() {
        let ending = Ending {
            ago: Duration::from_secs(2),
            how: "exit status: 2".into(),
            out_of_memory: false,
            log: "panic: no room".into(),
            core: None,
        };
        let found = Findings { found: vec![Finding::ended("etcd", "n1", &ending, 5_200_000_000)], notes: Vec::new() };
        assert_eq!(found.found[0].at_ns, Some(3_200_000_000));
        let text = "etcd on n1 ended at 3.2 s, though no fault had ended it (exit status: 2); its log ends: panic: no room";
        assert_eq!(found.found[0].text, text);
        for (windows, is_found) in [
            (vec![], true),
            (vec![window("disk", "n1", 1_000_000_000, None)], false),
            (vec![window("disk", "n1", 1_000_000_000, Some(2_000_000_000))], false),
            (vec![window("disk", "n2", 1_000_000_000, None)], true),
            (vec![window("disk", "n1", 4_000_000_000, None)], true),
            (vec![window("partition", "n1", 1_000_000_000, None)], true),
            (vec![window("kill", "n1", 1_000_000_000, None)], true),
        ] {
            let explained = found.clone().explained(&windows);
            assert_eq!((explained.found.len(), explained.notes.len()), if is_found { (1, 0) } else { (0, 1) }, "{windows:?}");
        }
        let early = Finding::ended("etcd", "n1", &ending, 0);
        assert!(early.text.contains("ended before the first client asked"), "{}", early.text);
    }
}

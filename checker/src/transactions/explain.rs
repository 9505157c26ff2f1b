//! Contradictions in words, in the shape in which Elle tells them.

use super::anomaly::{Anomaly, Cycle};
use super::cycle::{Link, shape};
use super::graph::Why;
use super::isolation::{Isolation, Keeps};
use super::problem::{Finding, NONE, Problem};
use super::reading::{Holds, Micro, Transactions};
use crate::certify::transactions::{Claim, Impossible};
use crate::verdict::{Counterexample, Edge, EdgeKind, Others, Pattern, Step, StepKind, Words};
use histories::{History, OpId, ValueId};

/// So many elements of a list are shown, the last ones.
const ELEMENTS_SHOWN: usize = 8;

fn kind(why: Why) -> EdgeKind {
    match why {
        Why::Reads => EdgeKind::ReadsFrom,
        Why::Overwrites => EdgeKind::VersionOrder,
        Why::Replaced => EdgeKind::Replaced,
        Why::Session | Why::Within => EdgeKind::SessionOrder,
        Why::RealTime => EdgeKind::RealTime,
        Why::Forced => EdgeKind::Forced,
    }
}

/// What a cycle claims, for the certifier.
pub(super) fn claims(all: &Transactions, problem: &Problem, links: &[Link]) -> Vec<Claim> {
    let op = |node: u32| problem.op[node as usize];
    let claim = |link: &Link| Claim {
        from: op(link.from),
        to: op(link.to),
        kind: kind(link.why),
        key: all.keys.get(link.key as usize).copied(),
        reader: (link.reader != NONE).then(|| op(link.reader)),
    };
    links.iter().map(claim).collect()
}

/// What an anomaly without a cycle claims, for the certifier.
pub(super) fn of_finding(all: &Transactions, finding: &Finding) -> Impossible {
    let key = all.keys[finding.key as usize];
    Impossible { anomaly: finding.anomaly, key, value: finding.value, ops: finding.ops.clone() }
}

fn text(text: impl Into<String>) -> Words {
    Words::Text(text.into())
}

fn sorted(ops: impl IntoIterator<Item = OpId>) -> Vec<OpId> {
    let mut ops: Vec<OpId> = ops.into_iter().collect();
    ops.sort_unstable();
    ops.dedup();
    ops
}

/// No order of these transactions, as a search found.
pub(super) fn no_order(history: &History, all: &Transactions, problem: &Problem, nodes: &[u32]) -> Counterexample {
    let teller = Teller { history, all, problem, named: nodes.to_vec() };
    let mut keys: Vec<u32> = nodes.iter().flat_map(|&node| problem.writes(node)).copied().collect();
    keys.sort_unstable();
    let mut sentence = vec![text(format!("{}: let ", Anomaly::NoOrder.name()))];
    sentence.extend(teller.let_be(&keys));
    sentence.push(text("; then no order of these explains what each read, whatever the order of versions"));
    let core = sorted(nodes.iter().map(|&node| problem.op[node as usize]));
    Counterexample {
        needed: core.clone(),
        stuck: core.last().copied(),
        core,
        others: Others::AsRecorded,
        sentence,
        pattern: Some(Pattern::Anomaly(Anomaly::NoOrder)),
        ..Counterexample::default()
    }
}

/// An anomaly that needs no cycle.
pub(super) fn finding(history: &History, all: &Transactions, finding: &Finding) -> Counterexample {
    let shown = |value: ValueId| history.values.display(value);
    let (key, value) = (shown(all.keys[finding.key as usize]), elided(history, finding.value));
    let names = |at: usize| Words::Who(finding.ops.get(at).copied().unwrap_or(finding.ops[0]));
    let mut sentence = vec![text(format!("{}: a transaction of ", finding.anomaly.name())), names(0)];
    let rest = match finding.anomaly {
        Anomaly::GarbageRead => format!(" observed {value} in key {key}, which nobody wrote"),
        Anomaly::DuplicateElements => format!(" observed key {key} with {value} in it twice"),
        Anomaly::Internal => format!(" read {value} of key {key}, which does not show what it had written there itself"),
        Anomaly::Repeated => format!(" read key {key} again and found {value}, another version than before"),
        Anomaly::FutureRead => format!(" read {value} of key {key} before it wrote that itself"),
        Anomaly::CyclicVersions => format!(" observed {value} of key {key} without what its transaction had appended before it"),
        Anomaly::LostUpdate => format!(" read {value} of key {key} and replaced it, as another transaction did that read the same version"),
        Anomaly::DirtyUpdate => format!(" observed {value} of key {key}, which was committed, on top of what an aborted transaction wrote"),
        Anomaly::IncompatibleOrder => format!(" read {value} of key {key}, which is no beginning of the longest list that was read of it"),
        Anomaly::G1a => format!(" observed {value} of key {key}, whose transaction aborted"),
        Anomaly::G1b => format!(" observed {value} of key {key}, which its transaction replaced before it ended"),
        Anomaly::Cycle(_) | Anomaly::NonmonotonicRead | Anomaly::FracturedRead | Anomaly::CausalityViolation | Anomaly::NoOrder => {
            String::new()
        }
    };
    sentence.push(text(rest));
    let core = sorted(finding.ops.iter().copied());
    Counterexample {
        needed: core.clone(),
        core,
        others: Others::AsRecorded,
        stuck: finding.ops.first().copied(),
        sentence,
        pattern: Some(Pattern::Anomaly(finding.anomaly)),
        ..Counterexample::default()
    }
}

/// A value, of a long list only its end.
fn elided(history: &History, value: ValueId) -> String {
    match history.values.elements(value) {
        Some(list) if list.len() > ELEMENTS_SHOWN => {
            let last = list[list.len() - ELEMENTS_SHOWN..].iter().map(|&value| history.values.display(value));
            format!("[... {}]", last.collect::<Vec<_>>().join(" "))
        }
        _ => history.values.display(value),
    }
}

fn anomaly(level: Isolation, links: &[Link]) -> Anomaly {
    let is_forced = links.iter().any(|link| matches!(link.why, Why::Forced | Why::Replaced));
    match level {
        Isolation::StrongSessionReadCommitted if is_forced => Anomaly::NonmonotonicRead,
        Isolation::ReadAtomic if is_forced => Anomaly::FracturedRead,
        Isolation::TransactionalCausal if is_forced => Anomaly::CausalityViolation,
        _ => {
            let has = |why: Why| links.iter().any(|link| link.why == why);
            let order = match (has(Why::RealTime), has(Why::Session)) {
                (true, _) => Keeps::RealTime,
                (false, true) => Keeps::Sessions,
                (false, false) => Keeps::Data,
            };
            Anomaly::Cycle(Cycle { shape: shape(links), order })
        }
    }
}

struct Teller<'a> {
    history: &'a History,
    all: &'a Transactions,
    problem: &'a Problem,
    /// The nodes in the order in which they are named.
    named: Vec<u32>,
}

/// A cycle.
pub(super) fn cycle(history: &History, all: &Transactions, problem: &Problem, level: Isolation, links: &[Link]) -> Counterexample {
    let mut named: Vec<u32> = Vec::new();
    for node in links.iter().flat_map(|link| [link.from, link.reader]) {
        if node != NONE && !named.contains(&node) {
            named.push(node);
        }
    }
    let teller = Teller { history, all, problem, named };
    let anomaly = anomaly(level, links);
    let op = |node: u32| problem.op[node as usize];
    let core = sorted(teller.named.iter().map(|&node| op(node)));
    let edge = |link: &Link| Edge {
        from: op(link.from),
        to: op(link.to),
        kind: kind(link.why),
        reader: (link.reader != NONE).then(|| op(link.reader)),
    };
    Counterexample {
        needed: core.clone(),
        core,
        others: Others::AsRecorded,
        stuck: links.first().map(|link| op(link.from)),
        sentence: teller.sentence(anomaly, links),
        steps: (0..links.len()).map(|at| teller.step(links, at)).collect(),
        pattern: Some(Pattern::Anomaly(anomaly)),
        cycle: links.iter().map(edge).collect(),
        ..Counterexample::default()
    }
}

impl Teller<'_> {
    fn name(&self, node: u32) -> String {
        format!("T{}", self.named.iter().position(|&named| named == node).map_or(0, |at| at + 1))
    }

    /// `G1c: let T1 = process 3's [append 7 3], T2 = ...; then T1 < T2 < T1`.
    fn sentence(&self, anomaly: Anomaly, links: &[Link]) -> Vec<Words> {
        let mut words = vec![text(format!("{}: let ", anomaly.name()))];
        let mut keys: Vec<u32> = links.iter().map(|link| link.key).collect();
        keys.sort_unstable();
        words.extend(self.let_be(&keys));
        let chain = links.iter().map(|link| link.from).chain(links.first().map(|link| link.from));
        words.push(text(format!("; then {}", chain.map(|node| self.name(node)).collect::<Vec<_>>().join(" < "))));
        words
    }

    /// `T1 be {[append 7 3]} of process 3, T2 be ...`.
    fn let_be(&self, keys: &[u32]) -> Vec<Words> {
        let mut words = Vec::new();
        for (at, &node) in self.named.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            words.push(text(format!("{comma}{} be {} of ", self.name(node), self.parts(node, keys))));
            words.push(Words::Who(self.problem.op[node as usize]));
        }
        words
    }

    /// What a transaction did to the keys that matter.
    fn parts(&self, node: u32, keys: &[u32]) -> String {
        let micros = self.micros(node);
        let write = if self.all.holds == Holds::Lists { "append" } else { "w" };
        let shown = micros.iter().filter(|micro| keys.contains(&micro.key)).map(|micro| {
            let key = self.history.values.display(self.all.keys[micro.key as usize]);
            format!("[{} {key} {}]", if micro.is_write { write } else { "r" }, elided(self.history, micro.value))
        });
        let shown: Vec<String> = shown.collect();
        let more = if shown.len() < micros.len() { " ..." } else { "" };
        format!("{{{}{more}}}", shown.join(" "))
    }

    fn micros(&self, node: u32) -> &[Micro] {
        // Transactions are in the order of their ops.
        let op = self.problem.op[node as usize];
        self.all.op.binary_search(&op).map_or(&[], |at| self.all.micros(at as u32))
    }

    /// The last value that a node wrote of a key.
    fn written(&self, node: u32, key: u32) -> String {
        let last = self.micros(node).iter().rfind(|micro| micro.is_write && micro.key == key);
        last.map_or_else(|| "a value".into(), |micro| self.history.values.display(micro.value))
    }

    fn step(&self, links: &[Link], at: usize) -> Step {
        let link = links[at];
        let (from, to) = (self.name(link.from), self.name(link.to));
        let key = self.all.keys.get(link.key as usize).map_or_else(String::new, |&key| self.history.values.display(key));
        let is_list = self.all.holds == Holds::Lists;
        let (write, onto) = if is_list { ("append", "to") } else { ("write", "to") };
        let because = match link.why {
            Why::Reads => format!("{to} observed {from}'s {write} of {} {onto} key {key}", self.written(link.from, link.key)),
            Why::Overwrites if is_list => {
                let (first, second) = (self.written(link.from, link.key), self.written(link.to, link.key));
                format!("{to} appended {second} to key {key} after {from} appended {first}")
            }
            Why::Overwrites => format!("{to} read {from}'s write of {} to key {key}, and replaced it", self.written(link.from, link.key)),
            Why::Replaced => format!("{from} did not observe {to}'s {write} of {} {onto} key {key}", self.written(link.to, link.key)),
            Why::Session => format!("their process executed {from} before {to}"),
            Why::RealTime => format!("{from} completed before {to} was invoked"),
            Why::Within => String::new(),
            Why::Forced => {
                let reader = self.name(link.reader);
                let (seen, missed) = (self.written(link.to, link.key), self.written(link.from, link.key));
                format!("{reader} comes after {from}, and observed {to}'s {seen} in key {key} rather than {from}'s {missed}")
            }
        };
        let is_last = at + 1 == links.len();
        let head = if is_last {
            format!("however {from} < {to}, because {because}: a contradiction")
        } else {
            format!("{from} < {to}, because {because}")
        };
        let kind = match link.why {
            Why::RealTime => StepKind::RealTime,
            Why::Reads => StepKind::Value,
            _ => StepKind::Contradiction,
        };
        let op = |node: u32| self.problem.op[node as usize];
        Step { words: vec![text(head)], because: Vec::new(), from: op(link.from), to: op(link.to), kind }
    }
}

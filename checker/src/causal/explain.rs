//! Contradictions in words.

use super::execution::{Execution, Impossible};
use crate::causal::minimize::{Contradiction, Link};
use crate::verdict::{Counterexample, Edge, EdgeKind, Pattern, Step, StepKind, Words};
use histories::{History, OpId, ValueId};

fn text(text: &str) -> Words {
    Words::Text(text.into())
}

/// `66 of key 3`, or `66` where there are no keys.
fn value_of_key(history: &History, key: ValueId, value: ValueId) -> Vec<Words> {
    let value = Words::Value(history.values.display(value));
    if key.is_nil() { vec![value] } else { vec![value, text(" of key "), Words::Value(history.values.display(key))] }
}

/// One op that no order explains.
pub(super) fn impossible(history: &History, found: &Impossible) -> Counterexample {
    let read = found.reader();
    let told = |pattern, key, value, end: Vec<Words>| {
        let start = vec![Words::Who(read), text(" read ")];
        (pattern, [start, value_of_key(history, key, value), end].concat())
    };
    let mut core = vec![read];
    let (pattern, sentence) = match *found {
        Impossible::ThinAir { key, value, failed: None, .. } => told(Pattern::ThinAirRead, key, value, vec![text(", which nobody wrote.")]),
        Impossible::ThinAir { key, value, failed: Some(failed), .. } => {
            core.push(failed);
            let end = vec![
                text(", which only "),
                Words::Op(failed),
                text(" of "),
                Words::Who(failed),
                text(" would have written, which had failed."),
            ];
            told(Pattern::ThinAirRead, key, value, end)
        }
        Impossible::Intermediate { writer, key, value, .. } => {
            core.push(writer);
            let end = vec![text(", which "), Words::Who(writer), text(" replaced in the same transaction that wrote it.")];
            told(Pattern::IntermediateRead, key, value, end)
        }
        Impossible::OwnWrite { key, value, .. } => {
            told(Pattern::OwnWriteMissed, key, value, vec![text(", although the same transaction had written another value before.")])
        }
        Impossible::Future { key, value, .. } => {
            told(Pattern::OwnWriteMissed, key, value, vec![text(", which only the same transaction writes, and only later.")])
        }
        Impossible::TwoValues { key, value, .. } => {
            told(Pattern::TwoValuesRead, key, value, vec![text(", and another value of the same key in one transaction.")])
        }
    };
    core.sort_unstable();
    Counterexample {
        core,
        needed: vec![read],
        minimal: true,
        stuck: Some(read),
        sentence,
        pattern: Some(pattern),
        ..Counterexample::default()
    }
}

/// A cycle of what would have to come before what. `nodes` are those of the execution that the contradiction speaks of.
pub(super) fn contradiction(history: &History, execution: &Execution, nodes: &[u32], found: &Contradiction) -> Counterexample {
    let op = |node: u32| execution.ops[nodes[node as usize] as usize];
    let edge = |link: &Link| Edge { from: op(link.from), to: op(link.to), kind: link.kind, reader: link.reader.map(op) };
    let cycle: Vec<Edge> = found.cycle.iter().map(edge).collect();
    let mut core: Vec<OpId> = nodes.iter().map(|&node| execution.ops[node as usize]).collect();
    core.sort_unstable();
    let turn = cycle.iter().find(|edge| matches!(edge.kind, EdgeKind::Forced | EdgeKind::InitialRead | EdgeKind::Replaced));
    let stuck = turn.or(cycle.first()).map(|edge| edge.reader.unwrap_or(edge.to));
    // The session of a view is named by one of its ops in the core.
    let viewer = found.session.and_then(|session| {
        let part = execution.restricted(nodes);
        part.nodes(session as usize).next().map(op)
    });
    Counterexample {
        sentence: sentence(found.pattern, &cycle, viewer),
        steps: cycle.iter().map(|edge| step(history, edge)).collect(),
        needed: core.clone(),
        core,
        stuck,
        pattern: Some(found.pattern),
        cycle,
        ..Counterexample::default()
    }
}

fn named(op: OpId) -> [Words; 3] {
    [Words::Op(op), text(" of "), Words::Who(op)]
}

fn sentence(pattern: Pattern, cycle: &[Edge], viewer: Option<OpId>) -> Vec<Words> {
    let forced = cycle.iter().find(|edge| edge.kind == EdgeKind::Forced).and_then(|edge| Some((edge, edge.reader?)));
    let initial = cycle.iter().find(|edge| edge.kind == EdgeKind::InitialRead);
    let mut words = Vec::new();
    match (pattern, forced, initial) {
        (Pattern::CyclicSc, ..) => {
            words.push(text("no one order of all processes explains the reads: "));
            listed(&mut words, cycle);
            words.push(text(" would each have to come before themselves."));
        }
        (Pattern::WriteCoInitRead | Pattern::WriteHbInitRead | Pattern::CyclicView, _, Some(edge)) => {
            words.push(Words::Who(edge.from));
            words.extend([text(" read an initial value ("), Words::Op(edge.from), text("), although ")]);
            words.extend(named(edge.to));
            words.push(text(" comes before that and replaced it."));
        }
        (Pattern::WriteCoRead, Some((edge, reader)), _) => {
            words.push(Words::Who(reader));
            words.extend([text(" read what "), Words::Op(edge.to), text(" of "), Words::Who(edge.to), text(" had written, although ")]);
            words.extend(named(edge.from));
            words.push(text(" comes after that and before the read, and replaced it."));
        }
        (Pattern::CyclicCo, ..) => {
            let first = cycle.first().map_or(OpId(0), |edge| edge.from);
            words.extend(named(first));
            words.push(text(" comes causally before itself: somebody read a value before it can have been written."));
        }
        (Pattern::CyclicCf, ..) => {
            words.push(text("no single order of all writes explains the reads: "));
            listed(&mut words, cycle);
            words.push(text(" would each have to come before themselves."));
        }
        (Pattern::CyclicReads, Some((_, reader)), _) => {
            words.push(Words::Who(reader));
            words.extend([
                text(" read in one transaction ("),
                Words::Op(reader),
                text(") what no order of the writes before it leaves there at once."),
            ]);
        }
        _ => {
            words.push(text("no order of all writes explains what "));
            words.push(viewer.map_or_else(|| text("one process"), Words::Who));
            words.push(text(" read: "));
            listed(&mut words, cycle);
            words.push(text(" would each have to come before themselves."));
        }
    }
    words
}

/// The ops of a cycle.
fn listed(words: &mut Vec<Words>, cycle: &[Edge]) {
    for (i, edge) in cycle.iter().enumerate() {
        if i > 0 {
            words.push(text(if i + 1 == cycle.len() { " and " } else { ", " }));
        }
        words.extend(named(edge.from));
    }
}

fn step(history: &History, edge: &Edge) -> Step {
    let (mut words, mut because) = (named(edge.from).to_vec(), Vec::new());
    let kind = match edge.kind {
        EdgeKind::SessionOrder => {
            words.push(text(" comes before "));
            words.extend([Words::Op(edge.to), text(" of the same session.")]);
            if history.has_real_time() { StepKind::RealTime } else { StepKind::Contradiction }
        }
        EdgeKind::ReadsFrom => {
            words = named(edge.to).to_vec();
            words.push(text(" read what "));
            words.extend(named(edge.from));
            words.push(text(" wrote."));
            StepKind::Value
        }
        EdgeKind::VersionOrder | EdgeKind::RealTime => {
            words.push(text(" comes before "));
            words.extend(named(edge.to));
            words.push(text("."));
            StepKind::RealTime
        }
        EdgeKind::Saw => {
            words.push(text(" comes before "));
            words.extend(named(edge.to));
            words.push(text("."));
            because = vec![text("It had been read before, in the session of the latter")];
            because.extend(edge.reader.into_iter().flat_map(|reader| [text(" ("), Words::Op(reader), text(")")]));
            because.push(text("."));
            StepKind::Contradiction
        }
        EdgeKind::Forced => {
            words.push(text(" comes before "));
            words.extend(named(edge.to));
            words.push(text("."));
            because = vec![text("Both write a key of which ")];
            because.extend(edge.reader.into_iter().flat_map(named));
            because.push(text(" read what the latter wrote, and the former comes before that read."));
            StepKind::Contradiction
        }
        EdgeKind::Replaced => {
            words.push(text(" comes before "));
            words.extend(named(edge.to));
            words.push(text("."));
            because = vec![text("It read a value that the latter replaced.")];
            StepKind::Contradiction
        }
        EdgeKind::InitialRead => {
            words.push(text(" would have to come before "));
            words.extend(named(edge.to));
            words.push(text("."));
            because = vec![text("It read the initial value of a key that the latter writes.")];
            StepKind::Contradiction
        }
    };
    Step { words, because, from: edge.from, to: edge.to, kind }
}

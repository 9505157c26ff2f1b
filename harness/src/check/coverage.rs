//! Coverage decides validity: a run in which nothing succeeded, or no fault took effect, has not shown that a store keeps its
//! word. Its answer is `unknown`, with the reason; an invalid one stays invalid.

use crate::run::{Availability, Coverage, FaultCoverage, TestFacts};
use crate::timeline::{FaultWindow, Phase, PhaseSpan};
use crate::ui::format::many;
use histories::keyed::Keys;
use histories::{History, Outcome};
use std::collections::BTreeSet;

/// What a run put to the test.
pub fn of_run(history: &History, test: &TestFacts, windows: &[FaultWindow], phases: &[PhaseSpan]) -> Coverage {
    let end_ns = (0..history.len() as u32).rev().find_map(|event| history.time(event)).unwrap_or(0);
    let faults: Vec<FaultCoverage> = test.nemesis.iter().map(|fault| of_fault(fault, windows, end_ns)).collect();
    let final_reads = test.judged.final_reads.then(|| final_reads(history, phases));
    let mut gaps = Vec::new();
    for f in &test.judged.must_succeed {
        let ok = history.ops().iter().any(|&op| history.outcome(op) == Outcome::Ok && history.name(history.op_function(op)) == f);
        if !ok {
            gaps.push(format!("no {f} ended ok, so this run says nothing about it"));
        }
    }
    if final_reads == Some(0) {
        gaps.push("no final read ended ok after the faults were healed, so lost writes would have gone unseen".into());
    }
    gaps.extend(faults.iter().filter(|fault| fault.observed == 0).map(|fault| unseen(fault, windows)));
    let mut notes = Vec::new();
    let availability = availability(history, phases, end_ns);
    match availability {
        Some(share) if share.percent() < ANSWERED_PERCENT_MIN => gaps.push(rarely_answered(share)),
        Some(share) if share.percent() < ANSWERED_PERCENT_USUAL => notes.push(rarely_answered(share)),
        _ => {}
    }
    let missing = final_reads.and_then(|_| final_reads_missing(history, test, phases)).filter(|&missing| missing > 0);
    notes.extend(missing.map(|missing| {
        format!(
            "{} were left out or not answered: not every key was read at every node (--final-reads and --recovery-time say how many are tried)",
            many(missing, "final read")
        )
    }));
    let ops_during_faults = ops_during(history, windows, end_ns);
    Coverage { gaps, notes, availability, final_reads, final_reads_missing: missing, ops_during_faults, faults }
}

fn unseen(fault: &FaultCoverage, windows: &[FaultWindow]) -> String {
    let name = &fault.fault;
    if fault.injected == 0 {
        return format!("the fault {name} was asked for and never injected: the run was too short for it, or was cut off");
    }
    let why = windows.iter().find(|w| &w.fault == name).map(|w| w.seen.as_str()).unwrap_or_default();
    format!("the fault {name} was injected {} and never seen to take effect: {why}", times(fault.injected))
}

/// Below this share of answered tenths of a second a run has shown too little; below the other, a reader should know.
const ANSWERED_PERCENT_MIN: usize = 20;
const ANSWERED_PERCENT_USUAL: usize = 50;

fn rarely_answered(share: Availability) -> String {
    format!(
        "an operation succeeded in only {} % of the time that clients asked ({} of {} tenths of a second): a store that answers nobody \
         breaks no promise; shorter faults (--nemesis-down) and longer pauses between them (--nemesis-up), or fewer faults, show more",
        share.percent(),
        share.answered,
        share.asked
    )
}

/// A slice of the main phase, in nanoseconds.
const SLICE_NS: i64 = 100_000_000;

/// Fewer slices say nothing.
const SLICES_MIN: i64 = 10;

/// How much of the main phase was of use: of the slices in which an op was in flight (with few ops a second there are others), those in
/// which one ended `ok`.
fn availability(history: &History, phases: &[PhaseSpan], end_ns: i64) -> Option<Availability> {
    let main = phases.iter().find(|span| span.phase == Phase::Main)?;
    let slices = (main.to_ns.unwrap_or(end_ns) - main.from_ns) / SLICE_NS;
    if slices < SLICES_MIN {
        return None;
    }
    let slice = |time: i64| (time - main.from_ns).div_euclid(SLICE_NS);
    let mut answered = vec![false; slices as usize];
    // How many more ops are in flight than in the slice before.
    let mut begun = vec![0i64; slices as usize + 1];
    for &op in history.ops() {
        let start = history.time(history.first_event(op)).map(slice);
        let end = if op.complete == histories::history::NO_EVENT { None } else { history.time(op.complete).map(slice) };
        let Some(start) = start.filter(|start| (0..slices).contains(start)) else { continue };
        begun[start as usize] += 1;
        begun[(end.unwrap_or(slices) + 1).clamp(start + 1, slices) as usize] -= 1;
        if let Some(end) = end.filter(|end| history.outcome(op) == Outcome::Ok && (0..slices).contains(end)) {
            answered[end as usize] = true;
        }
    }
    let in_flight = begun.iter().scan(0, |sum, change| {
        *sum += change;
        Some(*sum)
    });
    let asked = in_flight.zip(&answered).filter(|(in_flight, _)| *in_flight > 0).count();
    Some(Availability { answered: answered.iter().filter(|answered| **answered).count(), asked }).filter(|share| share.asked > 0)
}

fn times(n: usize) -> String {
    if n == 1 { "once".into() } else { many(n, "time") }
}

fn of_fault(fault: &str, windows: &[FaultWindow], end_ns: i64) -> FaultCoverage {
    let mine: Vec<&FaultWindow> = windows.iter().filter(|w| w.fault == fault).collect();
    let observed: Vec<&&FaultWindow> = mine.iter().filter(|w| w.observed).collect();
    let active_ns: i64 = observed.iter().map(|w| (w.to_ns.unwrap_or(end_ns) - w.injected_ns.unwrap_or(w.from_ns)).max(0)).sum();
    let nodes: BTreeSet<&String> = observed.iter().flat_map(|w| &w.nodes).collect();
    FaultCoverage {
        fault: fault.into(),
        injected: mine.len(),
        observed: observed.len(),
        active_ms: u64::try_from(active_ns / 1_000_000).unwrap_or(0),
        nodes: nodes.into_iter().cloned().collect(),
    }
}

/// Of every key at every node, those that no final read that ended `ok` read. `None` where there are no keys.
fn final_reads_missing(history: &History, test: &TestFacts, phases: &[PhaseSpan]) -> Option<usize> {
    let keys = Keys::split(history, Some(test.judged.keyed?));
    let from = phases.iter().find(|span| span.phase == Phase::FinalReads).map(|span| span.from_ns)?;
    let mut read = 0;
    for group in keys.groups().iter().filter(|group| group.key.is_some()) {
        let ok = group.ops.iter().map(|&id| history.op(id)).filter(|&op| history.outcome(op) == Outcome::Ok);
        let last = ok.filter(|&op| history.time(history.first_event(op)).is_some_and(|time| time >= from));
        read += last.filter_map(|op| history.node(history.op_process(op))).collect::<BTreeSet<_>>().len();
    }
    let all = keys.groups().iter().filter(|group| group.key.is_some()).count() * test.nodes.len();
    Some(all.saturating_sub(read))
}

fn final_reads(history: &History, phases: &[PhaseSpan]) -> usize {
    let Some(from) = phases.iter().find(|span| span.phase == Phase::FinalReads).map(|span| span.from_ns) else { return 0 };
    let invoked_after = |op: &&histories::Op| history.time(history.first_event(**op)).is_some_and(|time| time >= from);
    history.ops().iter().filter(invoked_after).filter(|&&op| history.outcome(op) == Outcome::Ok).count()
}

/// Ops in flight while a fault that was seen to take effect was active.
fn ops_during(history: &History, windows: &[FaultWindow], end_ns: i64) -> usize {
    let mut spans: Vec<(i64, i64)> =
        windows.iter().filter(|w| w.observed).map(|w| (w.injected_ns.unwrap_or(w.from_ns), w.to_ns.unwrap_or(end_ns))).collect();
    spans.sort_unstable();
    // Merged, the spans are disjoint and ascending in both ends: the first that ends after an op's start decides.
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for (from, to) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    let touches = |op: &&histories::Op| {
        let start = history.time(history.first_event(**op));
        let end = if op.complete == histories::history::NO_EVENT { Some(end_ns) } else { history.time(op.complete) };
        let (Some(start), Some(end)) = (start, end) else { return false };
        let next = merged.partition_point(|span| span.1 < start);
        merged.get(next).is_some_and(|span| span.0 <= end)
    };
    history.ops().iter().filter(touches).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Judged, NodeFacts};
    use histories::{Builder, Kind, Value};

    fn test() -> TestFacts {
        TestFacts {
            format: crate::run::RUN_FORMAT,
            rashomon: "0".into(),
            database: "demo".into(),
            database_version: String::new(),
            workload: "register".into(),
            nodes: vec![NodeFacts { name: "n1".into(), address: String::new() }],
            concurrency: 1,
            seed: 0,
            command: vec![],
            started: String::new(),
            setup_ms: 0,
            time_limit_ms: 0,
            op_timeout_ms: 0,
            nemesis: vec!["partition".into()],
            options: vec![],
            judged: Judged { must_succeed: vec!["read".into(), "write".into()], final_reads: true, ..Judged::default() },
        }
    }

    fn window(observed: bool) -> FaultWindow {
        FaultWindow {
            fault: "partition".into(),
            what: "n1 | n2".into(),
            nodes: vec!["n1".into()],
            from_ns: 10,
            injected_ns: Some(12),
            to_ns: Some(20),
            observed,
            seen: "n1 still hears n2".into(),
            recovered: Some(true),
            groups: vec![],
            clocks: Vec::new(),
            leaders: None,
            facts: vec![],
        }
    }

    /// Ops of one process each: function, outcome, start, end.
    fn history(ops: &[(&str, Kind, i64, i64)]) -> History {
        let mut b = Builder::new();
        for (process, (f, kind, start, end)) in ops.iter().enumerate() {
            b.event(process as i64, Kind::Invoke, f, &Value::Nil, *start);
            b.event(process as i64, *kind, f, &Value::Nil, *end);
        }
        b.finish()
    }

    #[test]
    fn a_full_run_has_no_gaps() {
        let h =
            history(&[("read", Kind::Ok, 0, 9), ("write", Kind::Ok, 11, 13), ("write", Kind::Fail, 15, 16), ("read", Kind::Ok, 30, 31)]);
        let phases = [PhaseSpan { phase: Phase::FinalReads, from_ns: 30, to_ns: None }];
        let coverage = of_run(&h, &test(), &[window(true)], &phases);
        assert_eq!(coverage.gaps, Vec::<String>::new());
        assert_eq!((coverage.final_reads, coverage.ops_during_faults), (Some(1), 2));
        assert_eq!((coverage.faults[0].injected, coverage.faults[0].observed), (1, 1));
    }

    /// One op after another, in so many of 100 slices each.
    fn answered_in(ok: i64, refused: i64) -> Coverage {
        let ops: Vec<(&str, Kind, i64, i64)> = (0..100)
            .filter(|slice| slice % 100 < ok + refused)
            .map(|slice| {
                let at = slice * SLICE_NS + 5;
                ("read", if slice < ok { Kind::Ok } else { Kind::Fail }, at, at + 1000)
            })
            .collect();
        let phases = [PhaseSpan { phase: Phase::Main, from_ns: 0, to_ns: Some(100 * SLICE_NS) }];
        let test = TestFacts { nemesis: vec![], judged: Judged::default(), ..test() };
        of_run(&history(&ops), &test, &[], &phases)
    }

    #[test]
    fn a_run_that_was_rarely_answered_has_shown_little() {
        let often = answered_in(50, 50);
        assert_eq!((often.availability, often.gaps.len(), often.notes.len()), (Some(Availability { answered: 50, asked: 100 }), 0, 0));
        let less = answered_in(49, 51);
        assert!(less.gaps.is_empty() && less.notes[0].contains("49 %"), "{less:?}");
        assert!(answered_in(20, 80).gaps.is_empty());
        let rarely = answered_in(19, 81);
        assert!(rarely.gaps[0].contains("19 %") && rarely.gaps[0].contains("--nemesis-up") && rarely.notes.is_empty(), "{rarely:?}");
    }

    #[test]
    fn time_in_which_nobody_asked_does_not_count_and_an_op_without_an_end_does() {
        assert_eq!(answered_in(5, 0).availability, Some(Availability { answered: 5, asked: 5 }));
        let open = history(&[("read", Kind::Ok, 0, 9), ("write", Kind::Info, 50 * SLICE_NS + 1, 60 * SLICE_NS)]);
        let phases = |to| [PhaseSpan { phase: Phase::Main, from_ns: 0, to_ns: Some(to) }];
        let share = |to| of_run(&open, &test(), &[], &phases(to)).availability;
        assert_eq!(share(100 * SLICE_NS), Some(Availability { answered: 1, asked: 12 }));
        assert_eq!(share(5 * SLICE_NS), None, "too short to say");
    }

    #[test]
    fn every_key_is_to_be_read_at_every_node() {
        let mut b = Builder::new();
        let pair = |key: i64| Value::pair(key, Value::Nil);
        for (process, key, time) in [(0, 1, 0), (1, 2, 0), (0, 1, 50), (1, 1, 60)] {
            let client = b.values().insert(&Value::Int(process));
            b.node(client, ["n1", "n2"][process as usize]);
            b.event(process, Kind::Invoke, "read", &pair(key), time);
            b.event(process, Kind::Ok, "read", &pair(key), time + 1);
        }
        let nodes = ["n1", "n2"].map(|name| NodeFacts { name: name.into(), address: String::new() }).to_vec();
        let judged = Judged { keyed: Some(true), final_reads: true, ..Judged::default() };
        let test = TestFacts { nodes, nemesis: vec![], judged, ..test() };
        let phases = [PhaseSpan { phase: Phase::FinalReads, from_ns: 40, to_ns: None }];
        let coverage = of_run(&b.finish(), &test, &[], &phases);
        assert_eq!((coverage.final_reads, coverage.final_reads_missing), (Some(2), Some(2)), "key 2, at both nodes");
        assert!(coverage.notes[0].contains("2 final reads were left out"), "{:?}", coverage.notes);
    }

    #[test]
    fn every_gap_is_named() {
        let h = history(&[("read", Kind::Ok, 0, 9), ("write", Kind::Info, 11, 13)]);
        let coverage = of_run(&h, &test(), &[window(false)], &[]);
        assert_eq!(coverage.gaps.len(), 3, "{:?}", coverage.gaps);
        assert!(coverage.gaps[0].contains("no write"));
        assert!(coverage.gaps[1].contains("final read"));
        assert!(coverage.gaps[2].contains("injected once") && coverage.gaps[2].contains("still hears"));
        assert!(of_run(&h, &test(), &[], &[]).gaps[2].contains("never injected"));
    }
}

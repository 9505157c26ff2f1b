//! Coverage decides validity: a run in which nothing succeeded, or no fault took effect, has not shown that a store keeps its
//! word. Its answer is `unknown`, with the reason; an invalid one stays invalid.

use crate::run::{Coverage, FaultCoverage, FaultWindow, Phase, PhaseSpan, TestFacts};
use crate::words::many;
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
    Coverage { gaps, final_reads, ops_during_faults: ops_during(history, windows, end_ns), faults }
}

fn unseen(fault: &FaultCoverage, windows: &[FaultWindow]) -> String {
    let name = &fault.fault;
    if fault.injected == 0 {
        return format!("the fault {name} was asked for and never injected: the run was too short for it, or was cut off");
    }
    let why = windows.iter().find(|w| &w.fault == name).map(|w| w.seen.as_str()).unwrap_or_default();
    format!("the fault {name} was injected {} and never seen to take effect: {why}", times(fault.injected))
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

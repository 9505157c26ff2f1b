//! Decides generated histories under the models weaker than linearizable, and prints how long it took:
//! `cargo bench -p rashomon-checker --bench weaker`.
//!
//! Reads and writes of unique values, 10 sessions, 100 keys. Each is decided as it is (which keeps every model) and with a few
//! ops more, near its end and on keys of their own, that break the model. Times are of the check alone, on the history in
//! memory, certification included; memory is by how much the process grew beyond the history. An argument keeps the rows that contain it.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "the table is what it is for")]

use histories::generate::{self, Distinct, Model, Plan};
use histories::{Builder, History, Kind, Value};
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Budget, Consistency, Options, check};
use std::time::Instant;

const SESSIONS: u32 = 10;

fn plain(ops: u32) -> History {
    generate::history(&Plan { concurrency: SESSIONS, keys: 100, values: Distinct::Unique, seed: 1, ..Plan::new(Model::Register, ops) })
        .unwrap()
        .0
}

/// Ops that break a model and all that are stronger, by process: writes, and reads of a value; 0 is what a key holds at first.
fn breaks(consistency: Consistency) -> &'static [(i64, &'static str, &'static str, i64)] {
    match consistency {
        Consistency::Sequential => &[(0, "write", "x", 1), (1, "write", "y", 1), (0, "read", "y", 0), (1, "read", "x", 0)],
        Consistency::CausalConvergence => &[(0, "write", "x", 1), (1, "write", "x", 2), (0, "read", "x", 2), (1, "read", "x", 1)],
        Consistency::Causal | Consistency::CausalMemory => {
            &[(0, "write", "x", 1), (1, "read", "x", 1), (1, "write", "y", 1), (2, "read", "y", 1), (2, "read", "x", 0)]
        }
        Consistency::ReadYourWrites => &[(0, "write", "x", 1), (0, "read", "x", 0)],
        Consistency::WritesFollowReads => &[(0, "read", "x", 1), (1, "read", "y", 1), (0, "write", "y", 1), (1, "write", "x", 1)],
        _ => &[(0, "write", "x", 1), (1, "write", "x", 2), (2, "read", "x", 1), (2, "read", "x", 2), (2, "read", "x", 1)],
    }
}

/// The history with some ops more at nine tenths of its length, each when its process has none in flight.
fn broken(history: &History, consistency: Consistency) -> History {
    let mut builder = Builder::new();
    let mut planted = breaks(consistency).iter().peekable();
    let mut is_open = [false; SESSIONS as usize];
    for event in 0..history.len() as u32 {
        let row = history.row(event);
        let Value::Int(process) = history.values.get(row.process) else { panic!("a process without a number") };
        builder.event(process, row.kind, row.f, &history.values.get(row.value), 0);
        is_open[process as usize % SESSIONS as usize] = row.kind == Kind::Invoke;
        if event as usize >= history.len() / 10 * 9
            && let Some(&(process, f, key, value)) = planted.next_if(|op| !is_open[op.0 as usize])
        {
            builder.event(process, Kind::Invoke, f, &Value::pair(key, if f == "read" { Value::Nil } else { value.into() }), 0);
            builder.event(process, Kind::Ok, f, &Value::pair(key, value), 0);
        }
    }
    builder.finish()
}

/// A line of `/proc/self/status`, in MB; 0 where there is none.
fn status_mb(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// The processor time that the process has used, in seconds; 0 where it is not told.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Time in seconds, that of the processors, and growth in MB of one check.
fn timed(history: &History, consistency: Consistency, expected: Summary) -> (f64, f64, u64) {
    let options = Options { keyed: Some(true), initial: Some(Value::Int(0)), ..Options::from("register") };
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = status_mb("VmRSS");
    let (start, processor) = (Instant::now(), processor_seconds());
    let verdict = check(history, consistency, &options, &Budget::unlimited()).unwrap();
    let (took, processor) = (start.elapsed().as_secs_f64(), processor_seconds() - processor);
    assert_eq!(verdict.answer, expected, "{} {:?}", consistency.name(), verdict.keys[0].answer.summary());
    (took, processor, status_mb("VmHWM").saturating_sub(before))
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    println!(
        "| model | ops | decided in | processor time | memory, MB | broken near the end | processor time |\n|---|---|---|---|---|---|---|"
    );
    for ops in [100_000, 1_000_000] {
        let history = plain(ops);
        // The one has a table of its own; of final reads these histories have none.
        let others = [Consistency::Linearizable, Consistency::Eventual];
        for consistency in Consistency::ALL.into_iter().filter(|consistency| !others.contains(consistency)) {
            let name = consistency.name();
            let row = format!("{name} {ops}");
            // Nothing that single reads and writes can do breaks monotonic writes.
            let can_break = consistency != Consistency::MonotonicWrites;
            if !wanted.is_empty() && !wanted.iter().any(|wanted| row.contains(wanted)) {
                continue;
            }
            let (took, processor, memory) = timed(&history, consistency, Summary::Valid);
            let found = can_break.then(|| timed(&broken(&history, consistency), consistency, Summary::Invalid));
            let found = found.map_or_else(|| "– | –".into(), |(took, processor, _)| format!("{took:.2} s | {processor:.2} s"));
            println!("| {name} | {ops} | {took:.2} s | {processor:.2} s | {memory} | {found} |");
        }
    }
}

//! What reading the clock costs a process whose vDSO is rewritten, and what rewriting, setting, reading and restoring cost us.
//!
//! `cargo bench -p rashomon-nemesis --bench clock`. Best of many short rounds: what others do on the machine only makes it slower.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints")]

use rashomon_nemesis::agent::node::vdso::{Rewritten, Setting};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: u32 = 500;
const CALLS: u32 = 2_000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let (source, binary) = (folder.path().join("ask.c"), folder.path().join("ask"));
    std::fs::write(&source, include_str!("../tests/clock/ask.c")).unwrap();
    assert!(Command::new("cc").args(["-O2", "-o"]).arg(&binary).arg(&source).status().unwrap().success());
    let mut child = Command::new(&binary).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let pid = i32::try_from(child.id()).unwrap();

    let own = best(&mut child, &mut output);
    let mut costs = [Duration::MAX; 4];
    let mut least = |which: usize, since: Instant| costs[which] = costs[which].min(since.elapsed());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let rewritten = Rewritten::install(pid).unwrap();
        least(0, start);
        let start = Instant::now();
        rewritten.set(&Setting::ahead(1)).unwrap();
        least(1, start);
        let start = Instant::now();
        rewritten.read().unwrap();
        least(2, start);
        let start = Instant::now();
        rewritten.restore().unwrap();
        least(3, start);
    }
    let rewritten = Rewritten::install(pid).unwrap();
    rewritten.set(&Setting::drifting(0, 1)).unwrap();
    let changed = best(&mut child, &mut output);
    child.kill().unwrap();
    child.wait().unwrap();

    println!("a call, ns          its own vDSO   rewritten");
    for (name, which) in [("CLOCK_REALTIME", 0), ("CLOCK_MONOTONIC", 1), ("the system call", 2)] {
        println!("{name:<18} {:>13} {:>11}", own[which], changed[which]);
    }
    for (name, cost) in ["rewrite", "set", "read", "restore"].into_iter().zip(costs) {
        println!("{name:<18} {:>10.1} µs", cost.as_secs_f64() * 1e6);
    }
}

/// The least that a call of each kind took.
fn best(child: &mut Child, output: &mut impl BufRead) -> [u64; 3] {
    let mut best = [u64::MAX; 3];
    for _ in 0..ROUNDS {
        writeln!(child.stdin.as_mut().unwrap(), "b {CALLS}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        for (least, took) in best.iter_mut().zip(line.split_whitespace()) {
            *least = (*least).min(took.parse().unwrap());
        }
    }
    best
}

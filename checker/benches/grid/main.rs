//! Decides a grid of generated histories and prints how long it took: `cargo bench -p rashomon-checker --bench grid`; then what
//! each rule of the engine buys.
//!
//! Each row is decided twice: as it is, and with one lie near the end. Times are of the check alone, certification included;
//! memory is the check's own account of it. Arguments keep the rows that contain all of them, and leave the rules out;
//! `rules` is for those alone.

#![allow(clippy::print_stdout, reason = "the tables are what it is for")]

mod rows;
mod rules;
mod whole_reads;

use histories::History;
use rashomon_checker::budget::Stop;
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Budget, Options, Rules, check_linearizable};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What a check may take.
struct Limits {
    time: Duration,
    bytes: Option<u64>,
}

/// Seconds of processor time that this process has used, all threads together; 0 where there is no `/proc`.
fn processor_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses: state is field 3, user time 14, system time 15.
    let fields: Vec<f64> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(|f| f.parse().unwrap_or(0.0)).collect();
    fields.iter().skip(11).take(2).sum::<f64>() / TICKS_PER_SECOND
}

struct Outcome {
    answer: Summary,
    took: Duration,
    processor_seconds: f64,
    bytes: u64,
    algorithm: &'static str,
}

fn decide(model: &str, history: &History, rules: Rules, limits: &Limits) -> Outcome {
    let options = Options { model: model.into(), rules, ..Options::default() };
    let mut budget = Budget::unlimited();
    budget.bytes = limits.bytes;
    let (done, ended) = channel::<()>();
    let (start, processor_before) = (Instant::now(), processor_seconds());
    let (verdict, took) = std::thread::scope(|scope| {
        let watched = &budget;
        scope.spawn(move || {
            if ended.recv_timeout(limits.time) == Err(RecvTimeoutError::Timeout) {
                watched.stop(Stop::Deadline);
            }
        });
        let verdict = check_linearizable(history, &options, &budget);
        let took = start.elapsed();
        drop(done);
        (verdict, took)
    });
    let verdict = verdict.expect("generated histories fit their models");
    Outcome {
        answer: verdict.answer,
        took,
        processor_seconds: processor_seconds() - processor_before,
        bytes: budget.peak_bytes(),
        algorithm: verdict.keys.first().map_or("", |key| key.algorithm),
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if wanted == ["rules"] {
        return rules::print();
    }
    println!(
        "{:<34} {:>8} {:>7} {:>4}   {:>9} {:>6} {:>7} {:>8}   {:>9} {:>6} {:>7} {:>8}  by",
        "history", "ops", "clients", "info", "valid in", "cpu", "MB", "", "lie in", "cpu", "MB", ""
    );
    let limits = Limits { time: Duration::from_mins(1), bytes: None };
    for row in rows::GRID {
        let title = row.title();
        if !wanted.iter().all(|word| title.contains(word.as_str())) {
            continue;
        }
        let [honest, lie] = [false, true].map(|lies| decide(row.model(), &row.history(lies), Rules::default(), &limits));
        let told = |outcome: &Outcome| {
            let (seconds, megabytes) = (outcome.took.as_secs_f64(), outcome.bytes as f64 / 1e6);
            format!("{seconds:>7.3} s {:>6.2} {megabytes:>7.1} {:>8}", outcome.processor_seconds, outcome.answer.name())
        };
        println!("{title}   {}   {}  {}", told(&honest), told(&lie), honest.algorithm);
    }
    if wanted.is_empty() {
        rules::print();
    }
}

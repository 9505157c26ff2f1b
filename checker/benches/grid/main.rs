//! Decides a grid of generated histories and prints how long it took: `cargo bench -p rashomon-checker --bench grid`.
//!
//! Each row is decided twice: as it is, and with one read near the end that lies. Times are of the check alone, certification
//! included; memory is the search's own account of it. An argument keeps the rows that contain it.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use histories::generate::{self, Anomaly, Distinct, Model, Plan};
use rashomon_checker::budget::Stop;
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Budget, Options, check_linearizable};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const TIME_LIMIT: Duration = Duration::from_mins(1);

/// A kind of history. Keys of 1 are no keys.
struct Row {
    name: &'static str,
    model: Model,
    keys: u32,
    ops: u32,
    clients: u32,
    values: Distinct,
    info: f64,
}

const fn row(name: &'static str, (model, keys): (Model, u32), ops: u32, clients: u32, values: u32, info: f64) -> Row {
    let values = if values == 0 { Distinct::Unique } else { Distinct::Few(values) };
    Row { name, model, keys, ops, clients, values, info }
}

impl Row {
    /// Among few values an old one is there again soon: only one that never was is sure to be a lie.
    fn lie(&self) -> Anomaly {
        if self.values == Distinct::Unique { Anomaly::StaleRead } else { Anomaly::Phantom }
    }

    fn plan(&self, anomaly: Option<Anomaly>) -> Plan {
        let Row { keys, values, info, .. } = *self;
        Plan { concurrency: self.clients, keys, values, info, anomaly, seed: 1, ..Plan::new(self.model, self.ops) }
    }
}

const REGISTER: (Model, u32) = (Model::Register, 1);
const CAS: (Model, u32) = (Model::CasRegister, 1);
const fn kv(keys: u32) -> (Model, u32) {
    (Model::Kv, keys)
}

const M: u32 = 1_000_000;
const K: u32 = 1_000;

const GRID: &[Row] = &[
    row("register, unique values", REGISTER, M, 10, 0, 0.0),
    row("register, unique values", REGISTER, M, 100, 0, 0.0),
    row("register, unique values", REGISTER, M, 10, 0, 0.1),
    row("register, unique values", REGISTER, M, 100, 0, 0.1),
    row("register, 5 values", REGISTER, M, 5, 5, 0.0),
    row("register, 5 values", REGISTER, M, 10, 5, 0.0),
    row("register, 5 values", REGISTER, 10 * K, 20, 5, 0.0),
    row("register, 5 values", REGISTER, 10 * K, 50, 5, 0.0),
    row("register, 5 values", REGISTER, 10 * K, 100, 5, 0.0),
    row("register, 5 values", REGISTER, 100 * K, 10, 5, 0.01),
    row("cas-register, 5 values", CAS, M, 5, 5, 0.0),
    row("cas-register, 5 values", CAS, M, 10, 5, 0.0),
    row("cas-register, 5 values", CAS, 10 * K, 20, 5, 0.0),
    row("cas-register, 5 values", CAS, 10 * K, 20, 5, 0.01),
    row("cas-register, 5 values", CAS, 10 * K, 20, 5, 0.1),
    row("cas-register, unique values", CAS, 100 * K, 20, 0, 0.01),
    row("kv, 100 keys, 5 values", kv(100), M, 20, 5, 0.0),
    row("kv, 100 keys, 5 values", kv(100), M, 100, 5, 0.01),
    row("kv, 10,000 keys, 5 values", kv(10 * K), 10 * M, 100, 5, 0.001),
];

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

fn decide(plan: &Plan) -> Outcome {
    let (history, _) = generate::history(plan).expect("the grid's plans make sense");
    let options = Options { model: plan.model.name().into(), ..Options::default() };
    let budget = Budget::unlimited();
    let (done, ended) = channel::<()>();
    let (start, processor_before) = (Instant::now(), processor_seconds());
    let verdict = std::thread::scope(|scope| {
        let watched = &budget;
        scope.spawn(move || {
            if ended.recv_timeout(TIME_LIMIT) == Err(RecvTimeoutError::Timeout) {
                watched.stop(Stop::Deadline);
            }
        });
        let verdict = check_linearizable(&history, &options, &budget);
        drop(done);
        verdict
    });
    let verdict = verdict.expect("generated histories fit their models");
    Outcome {
        answer: verdict.answer,
        took: start.elapsed(),
        processor_seconds: processor_seconds() - processor_before,
        bytes: budget.peak_bytes(),
        algorithm: verdict.keys.first().map_or("", |key| key.algorithm),
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    println!(
        "{:<30} {:>8} {:>7} {:>4}   {:>9} {:>6} {:>7} {:>8}   {:>9} {:>6} {:>8}  by",
        "history", "ops", "clients", "info", "valid in", "cpu", "MB", "", "lie in", "cpu", ""
    );
    for row in GRID {
        let title = format!("{:<30} {:>8} {:>7} {:>3}%", row.name, row.ops, row.clients, row.info * 100.0);
        if !wanted.iter().all(|word| title.contains(word.as_str())) {
            continue;
        }
        let honest = decide(&row.plan(None));
        let lie = decide(&row.plan(Some(row.lie())));
        println!(
            "{title}   {:>7.3} s {:>6.2} {:>7.1} {:>8}   {:>7.3} s {:>6.2} {:>8}  {}",
            honest.took.as_secs_f64(),
            honest.processor_seconds,
            honest.bytes as f64 / 1e6,
            honest.answer.name(),
            lie.took.as_secs_f64(),
            lie.processor_seconds,
            lie.answer.name(),
            honest.algorithm,
        );
    }
}

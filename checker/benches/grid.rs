//! Decides a grid of generated histories and prints how long it took: `cargo bench -p rashomon-checker --bench grid`.
//!
//! Each row is decided twice: as it is, and with one read near the end that lies. Times are of the check alone, certification
//! included; memory is the search's own account of it. An argument keeps the rows that contain it.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

mod generate;

use generate::{Recipe, Workload, generate};
use rashomon_checker::budget::Stop;
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Budget, Options, check_linearizable};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const TIME_LIMIT: Duration = Duration::from_secs(60);

struct Row {
    name: &'static str,
    recipe: Recipe,
}

const fn row(name: &'static str, workload: Workload, ops: usize, clients: usize, values: i64, info: f64) -> Row {
    Row { name, recipe: Recipe { workload, ops, clients, values, info, lie: false, seed: 1 } }
}

const M: usize = 1_000_000;
const K: usize = 1_000;

const GRID: &[Row] = &[
    row("register, unique values", Workload::Register, M, 10, 0, 0.0),
    row("register, unique values", Workload::Register, M, 100, 0, 0.0),
    row("register, unique values", Workload::Register, M, 10, 0, 0.1),
    row("register, unique values", Workload::Register, M, 100, 0, 0.1),
    row("register, 5 values", Workload::Register, M, 5, 5, 0.0),
    row("register, 5 values", Workload::Register, M, 10, 5, 0.0),
    row("register, 5 values", Workload::Register, 10 * K, 20, 5, 0.0),
    row("register, 5 values", Workload::Register, 10 * K, 50, 5, 0.0),
    row("register, 5 values", Workload::Register, 10 * K, 100, 5, 0.0),
    row("register, 5 values", Workload::Register, 100 * K, 10, 5, 0.01),
    row("cas-register, 5 values", Workload::Cas, M, 5, 5, 0.0),
    row("cas-register, 5 values", Workload::Cas, M, 10, 5, 0.0),
    row("cas-register, 5 values", Workload::Cas, 10 * K, 20, 5, 0.0),
    row("cas-register, 5 values", Workload::Cas, 10 * K, 20, 5, 0.01),
    row("cas-register, 5 values", Workload::Cas, 10 * K, 20, 5, 0.1),
    row("cas-register, unique values", Workload::Cas, 100 * K, 20, 0, 0.01),
    row("kv, 100 keys, 5 values", Workload::Kv(100), M, 20, 5, 0.0),
    row("kv, 100 keys, 5 values", Workload::Kv(100), M, 100, 5, 0.01),
    row("kv, 10,000 keys, 5 values", Workload::Kv(10 * K), 10 * M, 100, 5, 0.001),
];

fn model(workload: Workload) -> &'static str {
    match workload {
        Workload::Register => "register",
        Workload::Cas => "cas-register",
        Workload::Kv(_) => "kv",
    }
}

/// The verdict, the time, the peak of the search's memory and the procedure.
fn decide(recipe: &Recipe) -> (Summary, Duration, u64, &'static str) {
    let history = generate(recipe);
    let options = Options { model: model(recipe.workload).into(), ..Options::default() };
    let budget = Budget::unlimited();
    let (done, ended) = channel::<()>();
    let start = Instant::now();
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
    (verdict.answer, start.elapsed(), budget.peak_bytes(), verdict.keys.first().map_or("", |key| key.algorithm))
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    println!(
        "{:<30} {:>10} {:>7} {:>5}   {:>9} {:>8} {:>8}   {:>9} {:>8}  by",
        "history", "ops", "clients", "info", "valid in", "", "MB", "invalid in", ""
    );
    for Row { name, recipe } in GRID {
        let title = format!("{name:<30} {:>10} {:>7} {:>4}%", recipe.ops, recipe.clients, recipe.info * 100.0);
        if !wanted.iter().all(|word| title.contains(word.as_str())) {
            continue;
        }
        let (answer, took, bytes, algorithm) = decide(recipe);
        let (lie, lie_took, ..) = decide(&Recipe { lie: true, ..*recipe });
        println!(
            "{title}   {:>7.3} s {:>8} {:>8.1}   {:>8.3} s {:>8}  {algorithm}",
            took.as_secs_f64(),
            answer.name(),
            bytes as f64 / 1e6,
            lie_took.as_secs_f64(),
            lie.name()
        );
    }
}

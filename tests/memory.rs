//! `--memory-limit`, against what the whole process takes: more than what it asks its allocator for, which the checker's own test counts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test, which tells how much was taken")]
#![allow(unsafe_code, reason = "only the kernel knows the peak of a process that has ended")]

use std::path::Path;
use std::process::{Command, Stdio};

const RASHOMON: &str = env!("CARGO_BIN_EXE_rashomon");

/// What it exits with: undecided.
const UNKNOWN: i32 = 2;

/// Checks a history under a limit that it exceeds, and returns the most bytes that the process held.
#[allow(clippy::zombie_processes, reason = "wait4 waits, and says more")]
fn peak(history: &Path, limit: &str) -> u64 {
    let mut command = Command::new(RASHOMON);
    command.args(["check", "--model", "cas-register", "--memory-limit", limit]).arg(history);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut status = 0;
    // SAFETY: both places are ours, and of the types that are asked for; nobody else waits for the child.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage), child.id() as libc::pid_t);
        usage
    };
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == UNKNOWN, "at a limit of {limit}: {status:x}");
    usage.ru_maxrss as u64 * 1024
}

/// Names the history and the limit that this process is to measure.
const TASK: &str = "RASHOMON_TEST_PEAK_OF";

/// Not a test by itself: a process that measures, and has no memory of other tests. The kernel counts what a process held before it
/// became another program.
#[test]
fn measure_what_was_told() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (limit, history) = task.split_once(' ').unwrap();
    println!("PEAK {}", peak(Path::new(history), limit));
}

/// What [`peak`] says in a process of its own.
fn peak_alone(history: &Path, limit: &str) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "memory::measure_what_was_told", "--nocapture"]).env(TASK, format!("{limit} {}", history.display()));
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let peak = told.lines().find_map(|line| line.split_once("PEAK ")).map(|(_, peak)| peak.trim().parse().unwrap());
    peak.unwrap_or_else(|| panic!("{told}{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_process_takes_no_more_than_it_may_besides_the_history() {
    let directory = tempfile::tempdir().unwrap();
    let history = directory.path().join("hard.jsonl");
    // Nearly every order is possible until the lie at the end.
    let plan = "generate --model cas-register --values 5 --ops 5000 --concurrency 100 --info 0.2 --seed 1 --anomaly stale-read -o";
    assert!(Command::new(RASHOMON).args(plan.split(' ')).arg(&history).output().unwrap().status.success());
    let parsed = peak_alone(&history, "1kB");
    // What the system's allocator keeps back of what was freed depends on which thread frees when: on a busy machine a process sometimes
    // holds a third more than usual. One that always did would be found.
    let mut peaks = (0..4).map(|_| peak_alone(&history, "64MB").saturating_sub(parsed));
    let more = peaks.find(|more| *more < 80_000_000).unwrap_or(u64::MAX);
    println!("{parsed} bytes with the history alone, {more} more");
    // Less than it may take would mean that this history does not show the limit.
    assert!((40_000_000..80_000_000).contains(&more), "{more} bytes besides the {parsed} that the history takes");
}

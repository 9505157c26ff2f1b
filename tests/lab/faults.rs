//! Each class of faults on real hosts: injected, seen to take effect, seen to be gone; and gone when whoever injected it is.

use crate::bed::*;
use crate::support::*;
use std::time::Instant;

/// Whether this fault is active by what is recorded so far: injected and not yet ended.
fn is_active(history: &str, fault: &str) -> bool {
    let count = |event: &str| history.matches(&format!("\"f\":\"{event}-{fault}\",\"value\":{{")).count();
    count("start") > count("stop")
}

/// A run with these faults is valid, each item was seen to take effect, and nothing is left.
fn run_and_look(bed: &Bed, faults: &[&str], time_limit: &str, interval: &str) -> String {
    let args = ["--nemesis", &faults.join(","), "--time-limit", time_limit, "--nemesis-interval", interval, "--seed", "5"];
    let output = finish(bed.test(&args), RUN_PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let results = bed.results();
    for fault in faults {
        let class = fault.split([':', '@']).next().unwrap();
        assert!(observed(&results, class) > 0, "{fault}: {}", results["coverage"]);
    }
    bed.assert_clean();
    bed.history()
}

#[test]
fn grudges_that_overlap_are_cut_and_healed_by_both_families() {
    let Some(bed) = Bed::new(5) else { return };
    // A second family of addresses: what is cut by IPv4 alone would be heard by IPv6.
    for (i, host) in bed.each_host().enumerate() {
        bed.lab.ssh(
            &host,
            &format!("ip -6 addr add fd77::{}/64 dev $(ip -o -4 addr show scope global | awk '{{print $2; exit}}') nodad", i + 1),
        );
    }
    let history = run_and_look(&bed, &["partition:bridge", "partition:majorities-ring", "partition:one-way@primary"], "16s", "1s");
    for words in ["hears all", "ring n", "does not hear"] {
        assert!(history.contains(words), "{words} was never drawn");
    }
}

#[test]
fn processes_are_stopped_restarted_and_hosts_crashed() {
    let Some(bed) = Bed::new(5) else { return };
    let history = run_and_look(&bed, &["stop:one", "restart:minority", "crash:one"], "25s", "3s");
    for words in ["stopped n", "restarted n", "crashed n", "booted n", "runs anew", "does not answer"] {
        assert!(history.contains(words), "{words}: {history}");
    }
}

#[test]
fn a_host_that_crashed_is_booted_by_heal_when_the_harness_is_gone() {
    let Some(bed) = Bed::new(3) else { return };
    let harness =
        Background::start(bed.test(&["--nemesis", "crash:one", "--nemesis-interval", "20s", "--time-limit", "3m", "--seed", "2"]));
    eventually("a crash", RUN_PATIENCE, || is_active(&bed.history(), "crash"));
    signal(harness.pid(), "KILL");
    drop(harness);
    let status = || finish(bed.lab.command("status", &[]), PATIENCE);
    assert!(text(&status()).contains("crashed"), "{}", text(&status()));
    let output = finish(bed.lab.rashomon(&["heal", &format!("--lab={}", bed.lab.name)]), PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("undone: it had crashed") && text(&output).contains("undone: etcd was killed"), "{}", text(&output));
    assert!(!text(&status()).contains("crashed"));
    // The next run takes the nodes as if nothing had been.
    let output = finish(bed.test(&["--nemesis", "none", "--time-limit", "2s"]), RUN_PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    bed.assert_clean();
}

#[test]
fn a_crash_is_refused_where_there_is_no_lab() {
    let Some(bed) = Bed::new(3) else { return };
    let own = |name: &str| bed.lab.own_folder().join(name);
    let mut command = bed.test_by_address(&bed.addresses(), &own("key"), &own("known_hosts"));
    command.args(["--nemesis", "crash"]);
    let started = Instant::now();
    let said = fail(command, 254);
    assert!(said.contains("crash: only the hosts of a lab"), "{said} after {:?}", started.elapsed());
}

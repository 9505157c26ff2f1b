//! Each class of faults on real hosts: injected, seen to take effect, seen to be gone; and gone when whoever injected it is.

use super::bed::*;
use super::support::*;
use std::fs;
use std::time::{Duration, Instant};

/// Whether this fault is active by what is recorded so far: injected and not yet ended.
fn is_active(history: &str, fault: &str) -> bool {
    let count = |event: &str| history.matches(&format!("\"f\":\"{event}-{fault}\",\"value\":{{")).count();
    count("start") > count("stop")
}

/// A run with these faults is valid, each item was seen to take effect, and nothing is left.
fn run_and_look(bed: &Bed, faults: &[&str], time_limit: &str, interval: &str) -> String {
    let args = ["--nemesis", &faults.join(","), "--time-limit", time_limit, "--nemesis-interval", interval, "--seed", "5"];
    let output = finish(bed.test(&args), RUN_PATIENCE);
    bed.assert_valid(&output);
    let results = bed.results();
    for fault in faults {
        let class = fault.split([':', '@']).next().unwrap();
        assert!(observed(&results, class) > 0, "{fault}: {}", results["coverage"]);
    }
    bed.assert_clean();
    bed.history()
}

/// A valid run in which one fault follows the other, each for so many seconds, with a second between them; its history.
fn run_script(bed: &Bed, faults: &[String], seconds: usize) -> String {
    let entry = |(number, fault): (usize, &String)| {
        let at = 1 + number * (seconds + 1);
        format!("[[schedule]]\nat = \"{at}s\"\nfault = \"{fault}\"\nfor = \"{seconds}s\"\n")
    };
    let script = bed.store.path().join("faults.toml");
    fs::write(&script, faults.iter().enumerate().map(entry).collect::<String>()).unwrap();
    let limit = format!("{}s", 2 + faults.len() * (seconds + 1));
    let output = finish(bed.test(&["--schedule", &script.to_string_lossy(), "--time-limit", &limit, "--seed", "3"]), RUN_PATIENCE);
    bed.assert_valid(&output);
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
    let history = run_and_look(&bed, &["partition:bridge", "partition:majorities-ring", "partition:one-way@primary"], "30s", "1s");
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
fn a_host_that_crashed_is_booted_by_its_lab_when_the_harness_is_gone() {
    let Some(bed) = Bed::new(3) else { return };
    let harness =
        Background::start(bed.test(&["--nemesis", "crash:one", "--nemesis-interval", "20s", "--time-limit", "3m", "--seed", "2"]));
    eventually("a crash", RUN_PATIENCE, || is_active(&bed.history(), "crash"));
    let status = || text(&finish(bed.lab.command("status", &[]), PATIENCE));
    assert!(status().contains("crashed"), "{}", status());
    signal(harness.pid(), "KILL");
    drop(harness);
    eventually("the lab boots the host", HEAL_WITHIN, || !status().contains("crashed"));
    // What ran on it is started by whoever comes next.
    let output = finish(bed.lab.rashomon(&["heal", &format!("--lab={}", bed.lab.name)]), PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("undone: etcd was killed"), "{}", text(&output));
    // One that a person crashed stays off, until a person says otherwise.
    bed.lab.run("crash", &["n2"]);
    std::thread::sleep(Duration::from_secs(2));
    assert!(status().contains("crashed"), "{}", status());
    let output = finish(bed.lab.rashomon(&["heal", &format!("--lab={}", bed.lab.name)]), PATIENCE);
    assert!(output.status.success() && text(&output).contains("undone: it had crashed"), "{}", text(&output));
    // The next run takes the nodes as if nothing had been.
    let output = finish(bed.test(&["--nemesis", "none", "--time-limit", "2s"]), RUN_PATIENCE);
    bed.assert_valid(&output);
    bed.assert_clean();
}

#[test]
fn a_partition_takes_effect_among_the_others_while_a_host_is_off() {
    let Some(bed) = Bed::new(5) else { return };
    // The crash lasts; partitions come and go meanwhile, and leave time to answer.
    let script = bed.store.path().join("faults.toml");
    let entries = [("crash:n5", 1, 14), ("partition:n1+n2", 5, 2), ("partition:n1+n2", 11, 2)];
    let entry = |(fault, at, lasts)| format!("[[schedule]]\nat = \"{at}s\"\nfault = \"{fault}\"\nfor = \"{lasts}s\"\n");
    fs::write(&script, entries.map(entry).concat()).unwrap();
    let args = ["--schedule", &script.to_string_lossy(), "--time-limit", "20s", "--seed", "4"];
    let output = finish(bed.test(&args), RUN_PATIENCE);
    bed.assert_valid(&output);
    let history = bed.history();
    let while_off = history.lines().filter(|line| line.contains("\"f\":\"start-partition\"") && line.contains("(not n5, off)"));
    let while_off: Vec<&str> = while_off.collect();
    assert!(!while_off.is_empty(), "no partition fell into a crash: {history}");
    assert!(while_off.iter().all(|line| line.contains("\"observed\":true")), "{while_off:?}");
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

#[test]
fn packets_are_hurt_in_every_way_and_pass_as_before() {
    let Some(bed) = Bed::new(3) else { return };
    let rules = |host: &str| bed.lab.ssh(host, "{ iptables-save; ip6tables-save; } | grep -v '^#'; nft list ruleset; tc qdisc show");
    // The tools of iptables make their tables when they look for the first time: look twice.
    let before: Vec<String> = bed.each_host().map(|host| [rules(&host), rules(&host)][1].clone()).collect();
    // Twice each: a pause of the machine may hide one of them from whoever looks.
    let harms = ["delay=80ms", "jitter", "loss", "duplicate", "reorder", "corrupt", "rate", "flaky"];
    let twice: Vec<String> = [harms, harms].concat().iter().map(|harm| format!("packet:{harm}")).collect();
    let history = run_script(&bed, &twice, 2);
    let starts: Vec<&str> = history.lines().filter(|line| line.contains("\"f\":\"start-packet\",\"value\":{")).collect();
    assert_eq!(starts.len(), twice.len(), "{starts:#?}");
    for (number, harm) in harms.iter().enumerate() {
        let seen = [starts[number], starts[number + harms.len()]].iter().filter(|line| line.contains("\"observed\":true")).count();
        report(&format!("{harm}: seen {seen} times"));
        assert!(seen > 0, "{harm}: {starts:#?}");
    }
    bed.assert_clean();
    for (host, before) in bed.each_host().zip(before) {
        assert_eq!(rules(&host), before, "rules of {host}");
    }
}

#[test]
fn disks_are_full_fail_and_lose_power() {
    let Some(bed) = Bed::new(3) else { return };
    let harms = [("full", "cannot write: No space left"), ("read-only", "cannot write: Read-only"), ("power-loss", "its process is down")];
    let history = run_script(&bed, &harms.map(|(harm, _)| format!("disk:{harm}")), 3);
    let events = |event: &str| -> Vec<String> {
        let event = format!("\"f\":\"{event}-disk\",\"value\":{{");
        history.lines().filter(|line| line.contains(&event)).map(str::to_owned).collect()
    };
    let (starts, stops) = (events("start"), events("stop"));
    assert_eq!((starts.len(), stops.len()), (harms.len(), harms.len()), "{history}");
    for (at, (harm, shows)) in harms.into_iter().enumerate() {
        assert!(starts[at].contains(shows) && starts[at].contains("\"observed\":true"), "{harm}: {}", starts[at]);
        assert!(stops[at].contains("\"observed\":true"), "{harm}: {}", stops[at]);
    }
    assert!(history.contains("what was synced is there and what was not is gone"), "{history}");
    assert!(!history.contains("what was synced is gone"), "{history}");
    bed.assert_clean();
}

#[test]
fn files_are_cut_off_and_put_back() {
    let Some(bed) = Bed::new(3) else { return };
    // Of etcd's log the end is set aside and not yet written to: its loss is none.
    let history = run_and_look(&bed, &["disk:truncate=100000"], "8s", "2s");
    let stops: Vec<&str> = history.lines().filter(|line| line.contains("\"f\":\"stop-disk\",\"value\":{")).collect();
    assert!(stops.iter().all(|line| line.contains("\"observed\":true")), "{stops:#?}");
    assert!(stops.iter().any(|line| line.contains("1 of 1 hold again what they held")), "{stops:#?}");
}

#[test]
fn damaged_records_are_noticed_and_put_back() {
    let Some(bed) = Bed::new(3) else { return };
    let history = run_and_look(&bed, &["disk:bitflip@one", "disk:copy@one"], "15s", "1500ms");
    for words in ["flipped bits in", "copied chunks over others in"] {
        assert!(history.contains(words), "{words}: {history}");
    }
    let stops: Vec<&str> = history.lines().filter(|line| line.contains("\"f\":\"stop-disk\",\"value\":{")).collect();
    assert!(stops.iter().all(|line| line.contains("hold again what they held, 0 were written anew")), "{stops:#?}");
    // Each time the server refused to start, and never took the damage for the trace of its own crash.
    let logs: String = bed.each_host().map(|host| fs::read_to_string(bed.run_folder().join(format!("{host}/etcd.log"))).unwrap()).collect();
    let refused = logs.matches("walpb: crc mismatch").count();
    assert!(refused > 0 && !logs.contains("repaired WAL"), "{refused} refusals");
    report(&format!("{refused} times etcd refused to start on a damaged log, {} times it was put right", stops.len()));
}

#[test]
fn processes_are_squeezed_and_let_go() {
    let Some(bed) = Bed::new(3) else { return };
    let history = run_and_look(&bed, &["memory", "memory:50%", "cpu", "cpu:10%@minority"], "14s", "2s");
    for words in ["may use", "and was held back", "is free"] {
        assert!(history.contains(words), "{words}: {history}");
    }
    let left = succeed(with_args(
        bare("find"),
        &["/sys/fs/cgroup", "-maxdepth", "2", "-name", "rashomon-*", "-newer", &bed.store.path().to_string_lossy()],
    ));
    assert_eq!(left, "", "control groups are left");
}

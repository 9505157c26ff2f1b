//! Whole tests of a real etcd cluster on a lab's hosts: judged rightly, healed whatever happens, refused with a reason.

use super::bed::*;
use super::support::*;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Instant;

#[test]
fn etcd_keeps_its_word_under_faults_and_nothing_is_left() {
    let Some(bed) = Bed::new(5) else { return };
    // Rules of somebody else, before, during and after.
    let foreign = "table inet foreign { chain in { type filter hook input priority 0; policy accept; tcp dport 9 drop; }; }";
    for host in bed.each_host() {
        bed.lab.ssh(&host, &format!("echo '{foreign}' | nft -f -; iptables -A OUTPUT -p tcp --dport 9 -j DROP"));
    }
    let rules = |host: &str| bed.lab.ssh(host, "nft list ruleset; { iptables-save; ip6tables-save; } | grep -v '^#'");
    let before: Vec<String> = bed.each_host().map(|host| rules(&host)).collect();

    let times = ["--nemesis-down", "600ms", "--nemesis-up", "2s", "--time-limit", "15s"];
    let output = finish(bed.test(&[&["--nemesis", "partition,kill,pause"][..], &times].concat()), RUN_PATIENCE);
    bed.assert_valid(&output);
    let results = bed.results();
    for fault in ["partition", "kill", "pause"] {
        assert!(observed(&results, fault) > 0, "{fault}: {}", results["coverage"]);
    }
    assert!(results["coverage"]["ops_during_faults"].as_u64().unwrap() > 0);
    assert_eq!((&results["model"], &results["findings"]), (&"etcd-kv".into(), &Value::Array(Vec::new())));
    assert!(results["looked_at"][0].as_str().unwrap().starts_with("5 of 5 members hold the same at revision "), "{}", results["looked_at"]);
    assert_eq!(results["coverage"]["final_reads_missing"], Value::Null);
    let share = &results["coverage"]["availability"];
    report(&format!("a run of etcd under faults was answered in {} of {} tenths of a second", share["answered"], share["asked"]));
    assert!(bed.run_folder().join("report.html").exists());
    for host in bed.each_host() {
        assert!(fs::metadata(bed.run_folder().join(&host).join("etcd.log")).unwrap().len() > 0, "no log of {host}");
    }
    bed.assert_clean();
    assert_eq!(bed.each_host().map(|host| rules(&host)).collect::<Vec<_>>(), before, "rules of somebody else were touched");
}

#[test]
fn serializable_reads_are_stale_and_found() {
    let Some(bed) = Bed::new(5) else { return };
    let output = finish(bed.test(&["--read", "serializable", "--nemesis", "partition", "--time-limit", "8s"]), RUN_PATIENCE);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let results = bed.results();
    assert_eq!(results["verdict"], "invalid");
    let read = &results["counterexample"]["blocked"];
    assert_eq!((&read["f"], &read["outcome"]), (&"read".into(), &"ok".into()), "{read}");
    assert!(read["node"].as_str().unwrap().starts_with('n') && read["process"].is_number(), "{read}");
    bed.assert_clean();
}

#[test]
fn a_killed_harness_leaves_healing_to_the_agents() {
    let Some(bed) = Bed::new(5) else { return };
    let args = ["--nemesis", "partition,pause", "--nemesis-interval", "8s", "--time-limit", "2m", "--seed", "3"];
    let harness = Background::start(bed.test(&args));
    let active = |history: &str| {
        let count = |event: &str| history.matches(&format!("\"f\":\"{event}\",\"value\":{{")).count();
        count("start-partition") > count("stop-partition") && count("start-pause") > count("stop-pause")
    };
    let hurt = |host: &str| bed.lab.ssh(host, "nft list tables | grep rashomon; ps -eo stat=,comm= | grep ^T; true");
    // The same look that later finds nothing has to find something now.
    eventually("a partition and a pause at the same time", RUN_PATIENCE, || {
        active(&bed.history()) && {
            let seen: String = bed.each_host().map(|host| hurt(&host)).collect();
            seen.contains("table inet rashomon") && seen.contains("etcd") && active(&bed.history())
        }
    });
    signal(harness.pid(), "KILL");
    let killed = Instant::now();
    for host in bed.each_host() {
        eventually("healed", HEAL_WITHIN.saturating_sub(killed.elapsed()), || hurt(&host).is_empty());
    }
    let healed = killed.elapsed();
    assert!(healed < HEAL_WITHIN, "healed after {healed:?} only");
    report(&format!("all nodes seen healed {healed:.1?} after the harness was killed"));
    drop(harness);

    let run = bed.run_folder().to_string_lossy().into_owned();
    let output = finish(bed.lab.rashomon(&["analyze", &run]), RUN_PATIENCE);
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}", text(&output));
    let results = bed.results();
    assert_eq!(results["checker"], "valid", "what was recorded until then");
    assert!(results["ops"].as_u64().unwrap() > 100, "{}", results["ops"]);

    // The nodes are free for the next run, which removes what was left running.
    let output = finish(bed.test(&["--nemesis", "none", "--time-limit", "2s"]), RUN_PATIENCE);
    bed.assert_valid(&output);
    bed.assert_clean();
}

#[test]
fn ctrl_c_heals_seals_and_judges() {
    let Some(bed) = Bed::new(3) else { return };
    let mut harness = Background::start(bed.test(&["--nemesis", "partition", "--nemesis-interval", "2s", "--time-limit", "2m"]));
    eventually("a partition", RUN_PATIENCE, || bed.history().contains("\"f\":\"start-partition\",\"value\":{"));
    signal(harness.pid(), "INT");
    let code = end_of(&mut harness);
    let results = bed.results();
    assert_eq!(code, if results["verdict"] == "valid" { 0 } else { 2 }, "{}", results["reason"]);
    assert_eq!(results["checker"], "valid");
    assert!(results["coverage"]["final_reads"].as_u64().unwrap() > 0, "{}", results["coverage"]);
    bed.assert_clean();
}

#[test]
fn a_server_that_dies_by_itself_is_found_and_the_others_are_read() {
    let Some(bed) = Bed::new(3) else { return };
    let mut harness = Background::start(bed.test(&["--nemesis", "none", "--time-limit", "6s"]));
    eventually("ops are recorded", RUN_PATIENCE, || bed.history().contains("\"type\":\"ok\""));
    bed.lab.ssh("n2", "pkill -KILL -x etcd");
    let code = end_of(&mut harness);
    let results = bed.results();
    assert_eq!((code, &results["checker"]), (1, &Value::from("valid")), "{results}");
    let found = results["findings"].as_array().unwrap();
    assert!(found.len() == 1 && found[0]["id"] == "node-ended" && found[0]["node"] == "n2", "{found:?}");
    let text = found[0]["text"].as_str().unwrap();
    assert!(text.contains("etcd on n2") && text.contains("SIGKILL") && text.contains("its log ends"), "{text}");
    assert!(results["coverage"]["final_reads"].as_u64().unwrap() > 0, "{}", results["coverage"]);
    // What each stored is there to be looked at, though nothing of it is on the nodes any more.
    for node in ["n1", "n2", "n3"] {
        let data = bed.run_folder().join(node).join("data.tar.zst");
        assert!(std::fs::metadata(&data).is_ok_and(|data| data.len() > 1000), "{}", data.display());
    }
    bed.assert_clean();
}

#[test]
fn a_second_run_on_the_same_nodes_is_refused() {
    let Some(bed) = Bed::new(3) else { return };
    let mut first = Background::start(bed.test(&["--nemesis", "none", "--time-limit", "5m", "--accept-partial"]));
    eventually("ops are recorded", RUN_PATIENCE, || bed.history().contains("\"type\":\"ok\""));
    let first_run = bed.run_folder();
    let elsewhere = tempfile::tempdir().unwrap();
    let said = fail(bed.test_into(elsewhere.path(), &["--nemesis", "none", "--time-limit", "2s"]), 255);
    assert!(said.contains("n1") && said.contains(&*first_run.file_name().unwrap().to_string_lossy()), "who has the nodes? {said}");

    assert_eq!(first.0.try_wait().unwrap(), None, "the first run is over");
    signal(first.pid(), "INT");
    let code = end_of(&mut first);
    let results: Value = serde_json::from_slice(&fs::read(first_run.join("results.json")).unwrap()).unwrap();
    assert!([0, 2].contains(&code) && results["checker"] == "valid", "the second run disturbed the first: {}", results["reason"]);
    assert_eq!(results["errors"].as_array().unwrap().iter().filter(|e| e["kind"] != "mismatch").count(), 0, "{}", results["errors"]);
    bed.assert_clean();
}

#[test]
fn nodes_that_cannot_be_used_are_named_with_the_reason() {
    let Some(bed) = Bed::new(3) else { return };
    let own = |name: &str| bed.lab.own_folder().join(name);
    let first = format!("{}.1", bed.lab.subnet);
    let keys = tempfile::tempdir().unwrap();
    let other = keys.path().join("other");
    succeed(with_args(bare("ssh-keygen"), &["-q", "-t", "ed25519", "-N", "", "-f", &other.to_string_lossy()]));
    let nothing = keys.path().join("known_hosts");
    fs::write(&nothing, "").unwrap();

    let said = fail(bed.test_by_address(&bed.addresses(), &other, &own("known_hosts")), 255);
    assert!(said.contains(&first) && said.contains("other"), "a refused key: {said}");

    let said = fail(bed.test_by_address(&bed.addresses(), &own("key"), &nothing), 255);
    assert!(said.contains(&first) && said.contains("known_hosts"), "an unknown host key: {said}");

    let nowhere = format!("{}.77", bed.lab.subnet);
    let nodes = format!("{},{nowhere}", bed.addresses());
    let said = fail(bed.test_by_address(&nodes, &own("key"), &own("known_hosts")), 255);
    assert!(said.contains(&nowhere) && !said.contains(&format!("{first}:")), "an unreachable node: {said}");

    // And the same command with the right key does run. Without faults: what is drawn for a few seconds need not take effect.
    let output =
        finish(with_args(bed.test_by_address(&bed.addresses(), &own("key"), &own("known_hosts")), &["--nemesis", "none"]), RUN_PATIENCE);
    bed.assert_valid(&output);
    bed.assert_clean();
}

#[test]
fn a_missing_firewall_is_found_before_the_run() {
    let Some(bed) = Bed::new(3) else { return };
    remove_programs(&bed, "n2", "/usr/sbin", "nft *tables*");
    let said = fail(bed.test(&["--nemesis", "partition", "--time-limit", "5s"]), 255);
    assert!(said.contains("n2") && said.contains("nft") && said.contains("iptables"), "{said}");
    assert!(!bed.history().contains("\"type\":\"ok\""), "clients ran although the fault cannot be injected");
    // What does not need it runs.
    let times = ["--nemesis-down", "300ms", "--nemesis-up", "1s", "--time-limit", "6s"];
    let output = finish(bed.test(&[&["--nemesis", "pause"][..], &times].concat()), RUN_PATIENCE);
    bed.assert_valid(&output);
    bed.assert_clean();
}

#[test]
fn a_missing_database_is_named() {
    let Some(bed) = Bed::new(3) else { return };
    remove_programs(&bed, "n3", "/usr/bin", "etcd");
    let said = fail(bed.test(&["--time-limit", "5s"]), 255);
    assert!(said.contains("n3") && said.contains("etcd") && said.contains("--etcd-binary"), "{said}");
    bed.assert_clean();
    // An uploaded one is used instead.
    let output = finish(bed.test(&["--etcd-binary", "/usr/bin/etcd", "--nemesis", "none", "--time-limit", "2s"]), RUN_PATIENCE);
    bed.assert_valid(&output);
    bed.assert_clean();

    let said = fail(bed.test(&["--etcd-binary", "/no/such/etcd"]), 254);
    assert!(said.contains("/no/such/etcd"), "{said}");
}

#[test]
fn a_database_that_does_not_come_up_is_an_error_with_its_own_words() {
    let Some(bed) = Bed::new(3) else { return };
    let started = Instant::now();
    let said = fail(bed.test(&["--etcd-binary", "/bin/false", "--time-limit", "5s"]), 255);
    assert!(said.contains("n1") && said.contains("etcd"), "{said}");
    assert!(started.elapsed() < RUN_PATIENCE);
    bed.assert_clean();

    // Somebody else has its port on one node.
    let listener = "setsid python3 -m http.server 2379 </dev/null >/dev/null 2>&1 & \
                    for i in $(seq 50); do ss -Htln | grep -q :2379 && exit 0; sleep 0.1; done; exit 1";
    if Path::new("/usr/bin/python3").exists() {
        bed.lab.ssh("n2", listener);
        let said = fail(bed.test(&["--time-limit", "5s", "--recovery-time", "10s"]), 255);
        assert!(said.contains("n2") && said.contains("2379"), "{said}");
        bed.lab.ssh("n2", "fuser -k 2379/tcp 2>/dev/null || pkill -f http.server; true");
        bed.assert_clean();
    }
}

#[test]
fn a_full_disk_here_is_an_error_and_the_nodes_are_left_clean() {
    let Some(bed) = Bed::new(3) else { return };
    // The store is on a small disk in a mount namespace of its own.
    let script = "mount -t tmpfs -o size=256k none /mnt && exec \"$0\" test etcd \"--lab=$1\" --store /mnt/store --nemesis partition --time-limit 30s";
    let args = ["--mount", "--propagation", "private", "sh", "-c", script, RASHOMON, &bed.lab.name];
    let mut command = with_args(bare("unshare"), &args);
    command.env("RASHOMON_LAB_DIR", &bed.lab.folder);
    let output = finish(command, RUN_PATIENCE);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(255), "{said}");
    assert!(said.contains("the disk is full") && said.contains("/mnt/store"), "{said}");
    bed.assert_clean();
}

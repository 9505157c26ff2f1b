//! What operators do to a cluster while it serves, on real hosts: members that leave and come back, compaction, defragmenting, a leader
//! that moves.

use super::bed::*;
use super::support::*;

/// The lines of the nemesis at which a fault of this class was seen to take effect, or to be gone.
fn seen(history: &str, event: &str) -> Vec<String> {
    let event = format!("\"f\":\"{event}\",\"value\":{{");
    history.lines().filter(|line| line.contains(&event) && line.contains("\"observed\":true")).map(str::to_owned).collect()
}

/// What the server on a host answers, asked on that host with what every host has.
fn ask(bed: &Bed, host: u8, path: &str, body: &str) -> String {
    let address = format!("{}.{host}", bed.lab.subnet);
    let request = format!("POST {path} HTTP/1.0\\r\\nContent-Length: {}\\r\\n\\r\\n{body}", body.len());
    bed.lab.ssh(&format!("n{host}"), &format!("exec 3<>/dev/tcp/{address}/2379; printf '{request}' >&3; cat <&3"))
}

#[test]
fn members_leave_and_come_back_with_empty_data() {
    let Some(bed) = Bed::new(5) else { return };
    // etcd changes no members until each has been connected to all others for 5 s: on a busy machine two changes may take long.
    let args = ["--nemesis", "membership:one,membership:primary", "--time-limit", "40s", "--nemesis-interval", "1s", "--seed", "4"];
    let output = finish(bed.test(&args), RUN_PATIENCE);
    bed.assert_valid(&output);
    let history = bed.history();
    let told = history.lines().filter(|line| line.contains("-membership")).collect::<Vec<_>>().join("\n");
    assert!(observed(&bed.results(), "membership") >= 2, "{}\n{told}", bed.results()["coverage"]);
    let (gone, back) = (seen(&history, "start-membership"), seen(&history, "stop-membership"));
    assert!(gone.iter().all(|line| line.contains("do not count")) && !back.is_empty(), "{gone:?} {back:?}");
    report(&format!("members removed {} times, back {} times", gone.len(), back.len()));
    // Final reads end ok on every node, so each is a full member again.
    let finals = history.rsplit_once("final-reads").unwrap().1;
    for host in bed.each_host() {
        let node = format!("\"node\":\"{host}\"");
        assert!(finals.lines().any(|line| line.contains("\"ok\"") && line.contains(&node)), "{host} answers no final read");
    }
    bed.assert_clean();
}

#[test]
fn no_member_leaves_while_another_is_down() {
    let Some(bed) = Bed::new(3) else { return };
    // Killed for almost the whole run: whoever is to leave then has to stay.
    let script = bed.store.path().join("faults.toml");
    let entry = |at: u32, fault: &str, seconds: u32| format!("[[schedule]]\nat = \"{at}s\"\nfault = \"{fault}\"\nfor = \"{seconds}s\"\n");
    std::fs::write(&script, entry(1, "kill:n3", 12) + &entry(5, "membership:n1", 4)).unwrap();
    let output = finish(bed.test(&["--schedule", &script.to_string_lossy(), "--time-limit", "15s", "--seed", "9"]), RUN_PATIENCE);
    let history = bed.history();
    let kept = history.lines().filter(|line| line.contains("is not removed: the others might lose their majority")).count();
    assert!(kept > 0, "nobody had to stay: {}\n{history}", text(&output));
    assert_eq!(bed.results()["checker"], "valid", "{}", text(&output));
    bed.assert_clean();
}

#[test]
fn a_member_that_was_out_when_the_harness_was_killed_is_no_trouble_to_the_next_run() {
    let Some(bed) = Bed::new(3) else { return };
    let args = ["--nemesis", "membership:n2", "--nemesis-interval", "20s", "--time-limit", "3m", "--seed", "2"];
    let harness = Background::start(bed.test(&args));
    eventually("a member has left", RUN_PATIENCE, || !seen(&bed.history(), "start-membership").is_empty());
    signal(harness.pid(), "KILL");
    drop(harness);
    // The others are two members now, and serve; nothing has to be undone on a node.
    let output = finish(bed.lab.rashomon(&["heal", &format!("--lab={}", bed.lab.name)]), PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(ask(&bed, 1, "/v3/cluster/member/list", "{}").matches("\"ID\"").count(), 2);
    assert!(ask(&bed, 3, "/v3/kv/put", r#"{"key":"YQ==","value":"Yg=="}"#).contains("revision"));
    let output = finish(bed.test(&["--nemesis", "none", "--time-limit", "2s"]), RUN_PATIENCE);
    bed.assert_valid(&output);
    bed.assert_clean();
}

#[test]
fn compaction_defragmenting_and_a_leader_that_moves_change_no_answer() {
    let Some(bed) = Bed::new(5) else { return };
    let args = ["--nemesis", "admin:compact,admin:defragment,admin:move-leader", "--time-limit", "12s", "--nemesis-interval", "400ms"];
    let output = finish(bed.test(&[&args[..], &["--seed", "6"]].concat()), RUN_PATIENCE);
    bed.assert_valid(&output);
    let seen = seen(&bed.history(), "start-admin");
    for words in ["and is compacted on", "in a new file", "led before"] {
        assert!(seen.iter().any(|line| line.contains(words)), "{words} was never seen: {seen:#?}");
    }
    report(&format!("{} commands of operators seen", seen.len()));
    bed.assert_clean();
}

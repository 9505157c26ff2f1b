//! The demo from end to end: every scheme with the verdict that it deserves, runs that are interrupted, and runs that are
//! killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_mins(1);

struct Store {
    directory: tempfile::TempDir,
}

impl Store {
    fn new() -> Store {
        Store { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn rashomon(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rashomon"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// A demo run in this store, with faults that come and go quickly.
    fn demo(&self, args: &[&str]) -> Command {
        let mut command = self.rashomon(&["test", "demo", "--nemesis-interval", "500ms"]);
        command.args(args);
        command
    }

    fn latest(&self) -> PathBuf {
        self.path().join("store/latest").canonicalize().unwrap()
    }

    fn results(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.latest().join("results.json")).unwrap()).unwrap()
    }

    /// Whether the main phase has gone on until the history has so many events.
    fn await_events(&self, events: usize) {
        let deadline = Instant::now() + PATIENCE;
        let recorded = || {
            let history = std::fs::read(self.path().join("store/latest/history.jsonl")).unwrap_or_default();
            history.split(|&byte| byte == b'\n').count() - 1
        };
        while recorded() < events {
            assert!(Instant::now() < deadline, "only {} events", recorded());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The nodes of this store's runs that are alive.
    fn nodes(&self) -> Vec<String> {
        let needle = self.path().to_str().unwrap();
        let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        entries
            .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(needle) && line.contains("demo-node"))
            .collect()
    }

    fn await_no_nodes(&self, within: Duration) {
        let deadline = Instant::now() + within;
        while !self.nodes().is_empty() {
            assert!(Instant::now() < deadline, "these are left: {:#?}", self.nodes());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

/// A run that is to be disturbed; killed if the test fails before it ends.
struct Running {
    child: Option<Child>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        Running { child: Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()) }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Kills this many of its nodes, the last to be started first.
    fn kill_nodes(&self, many: usize) {
        let parent = self.child.as_ref().unwrap().id().to_string();
        let nodes = Command::new("pgrep").args(["-P", &parent, "-f", "demo-node"]).output().unwrap();
        let nodes = String::from_utf8(nodes.stdout).unwrap();
        for node in nodes.lines().rev().take(many) {
            assert!(Command::new("kill").args(["-KILL", node]).status().unwrap().success());
        }
    }

    /// Waits for the end. Its output is short: the pipes hold it.
    fn end(mut self) -> Output {
        let mut child = self.child.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() >= deadline {
                let _ = child.kill();
                panic!("it did not end within {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
        child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        Output { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn quorum_keeps_its_word() {
    let store = Store::new();
    let output = store.demo(&["--time-limit", "5s", "--seed", "11"]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", told(&output));
    let results = store.results();
    assert_eq!(results["verdict"], "valid");
    for fault in results["coverage"]["faults"].as_array().unwrap() {
        assert!(fault["observed"].as_u64().unwrap() > 0, "{fault}");
    }
    assert!(results["coverage"]["final_reads"].as_u64().unwrap() > 0, "{results}");
    for file in ["test.json", "history.jsonl", "results.json", "report.html", "log.jsonl", "n1/node.log"] {
        assert!(store.latest().join(file).metadata().unwrap().len() > 0, "{file}");
    }
    assert_eq!(store.nodes(), Vec::<String>::new());
}

/// Runs a scheme that does not keep its word with one seed after the other until it is caught: it must never be called valid
/// where a verdict was reached on a contradiction, and three runs are more than enough to find one.
fn is_caught(scheme: &str) {
    let store = Store::new();
    for seed in ["21", "22", "23"] {
        let output = store.demo(&["--time-limit", "5s", "--replication", scheme, "--seed", seed]).output().unwrap();
        if code(&output) != 1 {
            assert!([0, 2].contains(&code(&output)), "{}", told(&output));
            continue;
        }
        let told = told(&output);
        assert!(told.contains("INVALID") && told.contains("process") && told.contains(" on n") && told.contains("--seed"), "{told}");
        let proof = &store.results()["counterexample"];
        let core = proof["core"].as_array().unwrap();
        assert!(core.len() >= 2 && core.iter().any(|op| op["f"] == "read"), "{proof}");
        return;
    }
    panic!("{scheme} was not caught in three runs");
}

#[test]
fn quorum_without_repair_is_caught() {
    is_caught("quorum-no-repair");
}

#[test]
fn async_primary_is_caught() {
    is_caught("async-primary");
}

#[test]
fn the_first_log_line_and_test_json_repeat_the_run() {
    let store = Store::new();
    let output = store.demo(&["--time-limit", "3s", "--nemesis", "none"]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", told(&output));
    let test: Value = serde_json::from_slice(&std::fs::read(store.latest().join("test.json")).unwrap()).unwrap();
    let log = std::fs::read_to_string(store.latest().join("log.jsonl")).unwrap();
    let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let command: Vec<&str> = test["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(first["command"], command.join(" "));
    assert_eq!(command[command.len() - 2], "--seed");
    assert_eq!(first["seed"].as_str().unwrap(), command[command.len() - 1]);
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_run_that_is_watched_ends_at_the_first_violation() {
    let store = Store::new();
    let begun = std::time::Instant::now();
    let output = store.demo(&["--time-limit", "60s", "--replication", "async-primary", "--fail-fast"]).output().unwrap();
    assert_eq!(code(&output), 1, "{}", told(&output));
    assert!(told(&output).contains("so far INVALID: key "), "{}", told(&output));
    assert!(begun.elapsed() < Duration::from_secs(40), "it went on for {:?}", begun.elapsed());
    assert_eq!(store.nodes(), Vec::<String>::new());

    let output = store.demo(&["--time-limit", "3s", "--live", "--nemesis", "none"]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert!(told(&output).contains("so far ") && told(&output).contains(" valid"), "{}", told(&output));
}

#[test]
fn ctrl_c_ends_a_run_in_order_and_judges_it() {
    let store = Store::new();
    let run = Running::start(store.demo(&["--time-limit", "50s", "--seed", "31"]));
    store.await_events(500);
    run.signal("-INT");
    let output = run.end();
    let results = store.results();
    assert_eq!(code(&output), 2, "{}", told(&output));
    assert_eq!(results["checker"], "valid");
    assert!(results["coverage"]["final_reads"].as_u64().unwrap() > 0 && !told(&output).contains("no final read"), "{}", told(&output));
    assert_eq!(store.nodes(), Vec::<String>::new());
    let history = std::fs::read_to_string(store.latest().join("history.jsonl")).unwrap();
    assert!(history.ends_with('\n') && history.contains("\"heal\""), "the history was sealed");
}

/// The sign and the word of a verdict, and what stands behind them in the first line.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[test]
fn a_run_that_was_cut_short_is_unknown_and_says_by_what() {
    let runs = [("-INT", "Ctrl-C"), ("-TERM", "SIGTERM"), ("-HUP", "SIGHUP")].map(|(signal, by)| {
        let store = Store::new();
        let run = Running::start(store.demo(&["--time-limit", "50s", "--nemesis", "none", "--concurrency", "n", "--rate", "500"]));
        (store, run, signal, by)
    });
    for (store, run, signal, by) in runs {
        store.await_events(100);
        run.signal(signal);
        let output = run.end();
        let cut = |text: &str| {
            text.contains("cut short after ") && text.contains(&format!(" of 50 s by {by}; the recorded part is linearizable"))
        };
        assert_eq!(code(&output), 2, "{}", told(&output));
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(first_line(&stdout).contains("UNKNOWN") && cut(first_line(&stdout)), "{stdout}");
        let results = std::fs::read_to_string(store.latest().join("results.json")).unwrap();
        assert!(results.lines().nth(1).is_some_and(|line| line.contains("unknown: ") && cut(line)), "{results}");
        let page = std::fs::read_to_string(store.latest().join("report.html")).unwrap();
        let heading = page.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap();
        assert!(heading.contains("UNKNOWN") && cut(heading), "{heading}");
        // Whoever knows that it was cut short may take the recorded part for the whole: also of the history alone.
        for command in [&["analyze"][..], &["check", "store/latest/history.jsonl"]] {
            assert_eq!(code(&store.rashomon(command).output().unwrap()), 2, "{command:?}");
            let output = store.rashomon(&[command, &["--accept-partial"]].concat()).output().unwrap();
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(code(&output) == 0 && first_line(&told).contains("cut short after"), "{command:?}: {told}");
        }
    }
}

#[test]
fn a_node_that_dies_by_itself_is_a_finding_and_the_others_are_read() {
    let store = Store::new();
    let run = Running::start(store.demo(&["--time-limit", "4s", "--nemesis", "none", "--concurrency", "n", "--rate", "500"]));
    store.await_events(200);
    run.kill_nodes(1);
    let output = run.end();
    let results = store.results();
    assert_eq!((code(&output), &results["checker"]), (1, &Value::from("valid")), "{}", told(&output));
    let found = results["findings"].as_array().unwrap();
    assert!(found.len() == 1 && found[0]["id"] == "node-ended", "{found:?}");
    assert!(told(&output).contains("FOUND BESIDE THE HISTORY (node-ended)") && told(&output).contains("SIGKILL"), "{}", told(&output));
    assert!(results["coverage"]["final_reads"].as_u64().unwrap() > 0, "{}", results["coverage"]);
    // What the nodes stored stays, and the dead one's most of all.
    for node in ["n1", "n2", "n3"] {
        let data = std::fs::metadata(store.latest().join(node).join("data.tar.zst"));
        assert!(data.is_ok_and(|data| data.len() > 0), "{node}");
    }
    assert!(told(&output).contains("*/data.tar.zst"), "{}", told(&output));
    // Whoever judges it again finds the same.
    let again = store.rashomon(&["analyze"]).output().unwrap();
    assert_eq!(code(&again), 1, "{}", told(&again));
}

#[test]
fn where_all_nodes_died_none_is_said_to_answer() {
    let store = Store::new();
    let run = Running::start(store.demo(&["--time-limit", "4s", "--nemesis", "none", "--rate", "500"]));
    store.await_events(200);
    run.kill_nodes(usize::MAX);
    let output = run.end();
    let results = store.results();
    let told = told(&output);
    assert_eq!((code(&output), &results["verdict"]), (1, &Value::from("unknown")), "{told}");
    assert!(told.contains("no node is left to be read") && !told.contains("answers again"), "{told}");
    assert_eq!((results["findings"].as_array().unwrap().len(), &results["coverage"]["final_reads"]), (5, &Value::from(0)), "{told}");
}

#[test]
fn the_second_ctrl_c_heals_and_goes() {
    let store = Store::new();
    let run = Running::start(store.demo(&["--time-limit", "50s", "--seed", "32"]));
    store.await_events(200);
    run.signal("-INT");
    run.signal("-TERM");
    let output = run.end();
    assert_eq!(code(&output), 2, "{}", told(&output));
    assert!(!told(&output).contains("left"), "{}", told(&output));
    assert_eq!(store.nodes(), Vec::<String>::new());
}

#[test]
fn a_killed_harness_leaves_no_node_and_a_history_that_can_be_judged() {
    let store = Store::new();
    let run = Running::start(store.demo(&["--time-limit", "50s", "--seed", "33"]));
    store.await_events(1000);
    run.signal("-KILL");
    assert_eq!(run.end().status.code(), None);
    store.await_no_nodes(Duration::from_secs(10));

    let output = store.rashomon(&["analyze"]).output().unwrap();
    assert_eq!(code(&output), 2, "{}", told(&output));
    assert_eq!(store.results()["checker"], "valid", "{}", told(&output));
    assert!(told(&output).contains("of 50 s, where the recording ends"), "{}", told(&output));

    // The disk may hold half of the last line.
    let path = store.latest().join("history.jsonl");
    let mut history = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    history.write_all(b"{\"index\":123456,\"time\":99,\"proc").unwrap();
    drop(history);
    let output = store.rashomon(&["analyze"]).output().unwrap();
    assert_eq!(code(&output), 2, "{}", told(&output));
    assert!(told(&output).contains("cut off"), "{}", told(&output));
}

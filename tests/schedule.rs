//! Schedules of faults: by a file, as a shifting mix, and once more by `replay`; on the demo, which needs nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Runs the program to its end. Every run has a deadline of its own.
fn rashomon(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rashomon"));
    command.args(args).current_dir(folder).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn latest(folder: &Path) -> PathBuf {
    folder.join("store/latest").canonicalize().unwrap()
}

/// What the nemesis did in a run: the event, and for injections what was done to whom.
fn done(run: &Path) -> Vec<(String, Value, Value)> {
    let history = std::fs::read_to_string(run.join("history.jsonl")).unwrap();
    let events = history.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let reports = events.filter(|event| event["process"] == "nemesis" && event["value"]["what"].is_string());
    reports
        .map(|event| (event["f"].as_str().unwrap().to_owned(), event["value"]["what"].clone(), event["value"]["nodes"].clone()))
        .collect()
}

/// When each injection was seen, in seconds.
fn times(run: &Path, event: &str) -> Vec<f64> {
    let history = std::fs::read_to_string(run.join("history.jsonl")).unwrap();
    let events = history.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let begins = events.filter(|e| e["process"] == "nemesis" && e["f"] == event && e["value"].is_null());
    begins.map(|event| event["time"].as_f64().unwrap() / 1e9).collect()
}

const SCRIPT: &str = "
[[schedule]]
at = \"500ms\"
fault = \"partition:random-halves\"
for = \"700ms\"

[[schedule]]
at = \"1s\"
fault = \"kill:minority\"
for = \"1s\"

[[schedule]]
at = \"2s\"
fault = \"partition:one\"
";

#[test]
fn a_script_is_followed_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("faults.toml");
    std::fs::write(&script, SCRIPT).unwrap();
    let output = rashomon(folder.path(), &["test", "demo", "--schedule", "faults.toml", "--time-limit", "3s", "--seed", "7"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let first = latest(folder.path());
    let faults = done(&first);
    let names: Vec<&str> = faults.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["start-partition", "start-kill", "stop-partition", "stop-kill", "start-partition", "stop-partition"], "{faults:?}");
    for (at, not_before) in times(&first, "start-partition").into_iter().zip([0.5, 2.0]) {
        assert!(at >= not_before, "{at}");
    }

    // What the run was made from is beside it: the original may go.
    std::fs::remove_file(&script).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let output = rashomon(elsewhere.path(), &["replay", first.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let second = latest(folder.path());
    assert_ne!(first, second, "the new run is in the same store");
    assert_eq!(done(&second), faults);
}

#[test]
fn drawn_faults_are_the_same_when_they_are_replayed() {
    for mix in ["flip-flop", "shifting", "rounds"] {
        let folder = tempfile::tempdir().unwrap();
        let faults = "partition:random-halves,partition:one,kill:minority,pause:random";
        let options = ["--nemesis", faults, "--nemesis-mix", mix, "--nemesis-interval", "600ms", "--time-limit", "4s"];
        let output = rashomon(folder.path(), &[&["test", "demo"], &options[..]].concat());
        assert!(matches!(output.status.code(), Some(0 | 2)), "{}", told(&output));
        let first = latest(folder.path());
        let output = rashomon(folder.path(), &["replay", first.to_str().unwrap()]);
        assert!(matches!(output.status.code(), Some(0 | 2)), "{}", told(&output));
        let second = latest(folder.path());
        assert_ne!(first, second);
        // A process that is down already cannot be paused: that depends on how fast things went, and so does the last fault.
        let drawn = |run: &Path| -> Vec<(String, String)> {
            let starts = done(run).into_iter().filter(|(name, ..)| name.starts_with("start-") && name != "start-pause");
            starts.map(|(name, what, _)| (name, what.as_str().unwrap().split(" (").next().unwrap().to_owned())).collect()
        };
        let (first, second) = (drawn(&first), drawn(&second));
        // Each is done when the one before is: a busy machine gets less far.
        let common = first.len().min(second.len());
        assert!(common >= 1, "{first:?} {second:?}");
        assert_eq!(first[..common], second[..common], "{mix}");
    }
}

#[test]
fn a_schedule_that_makes_no_sense_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |text: &str, words: &str| {
        std::fs::write(folder.path().join("f.toml"), text).unwrap();
        let output = rashomon(folder.path(), &["test", "demo", "--schedule", "f.toml", "--time-limit", "2s"]);
        assert_eq!(output.status.code(), Some(254), "{}", told(&output));
        assert!(told(&output).contains(words), "{}", told(&output));
    };
    refused("[[schedule]]\nat = \"1s\"\nfault = \"kill\"\nlasts = \"1s\"\n", "f.toml:4:1: unknown field `lasts`");
    refused("[[schedule]]\nat = \"1m\"\nfault = \"kill\"\n", "f.toml:2:6: the run is over by then");
    refused("[[schedule]]\nat = \"1s\"\nfault = \"crash\"\n", "f.toml:3:9: crash: the demo's nodes are processes");
    let both = rashomon(folder.path(), &["test", "demo", "--schedule", "f.toml", "--nemesis", "kill"]);
    assert_eq!(both.status.code(), Some(254), "{}", told(&both));
    let missing = rashomon(folder.path(), &["test", "demo", "--schedule", "nothing.toml"]);
    assert!(missing.status.code() == Some(254) && told(&missing).contains("cannot read the schedule nothing.toml"), "{}", told(&missing));
    let missing = rashomon(folder.path(), &["replay", "nothing"]);
    assert!(missing.status.code() == Some(255) && told(&missing).contains("is no run's directory"), "{}", told(&missing));
}

#[test]
fn what_the_demo_cannot_do_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (fault, why) in [("membership", "the members of a demo are fixed"), ("admin:compact", "the demo has no commands of operators")] {
        let output = rashomon(folder.path(), &["test", "demo", "--nemesis", fault]);
        assert!(output.status.code() == Some(254) && told(&output).contains(&format!("--nemesis {fault}: {why}")), "{}", told(&output));
    }
}

#[test]
fn the_help_names_every_class_of_faults() {
    let help = told(&rashomon(Path::new("."), &["test", "-h"]));
    for class in nemesis::spec::CLASSES {
        assert!(help.contains(class.name), "{}: {help}", class.name);
    }
}

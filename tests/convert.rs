//! `rashomon convert`, from file to file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

const HISTORY: &str = "{:index 0, :type :invoke, :process 0, :f :write, :value [:x 1]}\n\
                       {:index 1, :type :info, :process :nemesis, :f :start, :value #{\"n1\"}}\n\
                       {:index 2, :type :ok, :process 0, :f :write, :value [:x 1]}\n";

fn convert(directory: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rashomon")).arg("convert").args(args).current_dir(directory).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn there_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("in.edn"), HISTORY).unwrap();
    for args in [["in.edn", "middle.jsonl.zst"], ["middle.jsonl.zst", "out.edn"]] {
        let output = convert(directory.path(), &args);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert!(told(&output).contains("3 events"), "{}", told(&output));
    }
    assert_eq!(std::fs::read_to_string(path("out.edn")).unwrap(), HISTORY);
    let printed = convert(directory.path(), &["in.edn", "-", "--to", "json"]);
    assert!(told(&printed).contains("lost in json: the kinds of values that JSON lacks"), "{}", told(&printed));
    let parsed: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(parsed[1]["value"][0], "n1");
}

#[test]
fn what_a_format_cannot_hold_is_told() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("in.edn"), HISTORY).unwrap();
    let output = convert(directory.path(), &["in.edn", "ops.json", "--to", "intervals"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let told = told(&output);
    let lost: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("lost in intervals: ")).collect();
    assert_eq!(lost.len(), 2, "{told}");
    assert!(lost[0].contains("kinds of values that JSON lacks") && lost[1] == "1 events of the nemesis", "{told}");
    let written = std::fs::read(directory.path().join("ops.json")).unwrap();
    let parsed: serde_json::Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(parsed.as_array().unwrap().len(), 1);
    assert_eq!(parsed[0]["Input"]["value"], serde_json::json!(["x", 1]));
}

#[test]
fn refusals() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("in.edn"), HISTORY).unwrap();
    std::fs::write(directory.path().join("bad.edn"), "{:type :invoke\n :value [1}").unwrap();
    for (args, code, error) in [
        (&["in.edn", "in.edn"][..], 254, "in.edn exists; write over it with --force"),
        (&["in.edn", "out"], 254, "name the format to write with --to"),
        (&["in.edn", "out", "--to", "plume"], 254, "is only read"),
        (&["bad.edn", "out.jsonl"], 255, "bad.edn:2:11: '}' inside a vector"),
        (&["none.edn", "out.jsonl"], 255, "none.edn: cannot read it"),
        (&["in.edn", "none/out.jsonl"], 255, "none/out.jsonl: cannot write it"),
    ] {
        let output = convert(directory.path(), args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
        assert!(told(&output).contains(error), "{args:?}: {}", told(&output));
        assert!(!directory.path().join("out.jsonl").exists(), "{args:?}");
    }
}

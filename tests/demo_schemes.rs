//! `rashomon demo`: every replication scheme comes out as it should.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use serde_json::Value;
use std::process::{Command, Output, Stdio};

fn demo(args: &[&str], store: &std::path::Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rashomon"));
    command.arg("demo").args(args).current_dir(store).stdin(Stdio::null());
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_row_has_its_history_and_can_be_judged_again() {
    let store = tempfile::tempdir().unwrap();
    let output = demo(&["total-order", "--seed", "3"], store.path());
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1 of 1 scheme came out as expected") && text.contains("rashomon demo total-order --seed 3"), "{text}");
    let dir = std::fs::read_dir(store.path().join("store/demo")).unwrap().next().unwrap().unwrap().path();
    let mut check = Command::new(env!("CARGO_BIN_EXE_rashomon"));
    let check = check.arg("check").arg(dir.join("total-order.jsonl")).args(["--nil-read", "missing"]).output().unwrap();
    assert_eq!(check.status.code(), Some(1), "{}", told(&check));
}

#[test]
fn an_unknown_scheme_is_met_with_the_list() {
    let store = tempfile::tempdir().unwrap();
    let output = demo(&["raid"], store.path());
    assert_eq!(output.status.code(), Some(254), "{}", told(&output));
    let text = told(&output);
    assert!(text.contains("no scheme `raid`") && text.contains("causal-broadcast") && text.contains("--all"), "{text}");
    assert!(!store.path().join("store").exists(), "nothing was done");
    for nonsense in [&[][..], &["--all", "quorum"], &["--all", "--seed", "seven"]] {
        assert_eq!(demo(nonsense, store.path()).status.code(), Some(254), "{nonsense:?}");
    }
}

#[test]
fn every_scheme_comes_out_as_expected() {
    let store = tempfile::tempdir().unwrap();
    let output = demo(&["--all", "--json"], store.path());
    let rows: Vec<Value> = String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() >= 17, "{}", told(&output));
    for row in &rows {
        assert!(row["matches"] == true && row["found"] == row["expected"] && row["error"].is_null(), "{row:#}");
    }
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

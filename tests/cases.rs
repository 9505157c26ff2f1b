//! Small histories as data: the folder is the expected verdict, the first line may hold options.
//!
//! To add a case, add a file below `tests/cases/valid`, `invalid`, `unknown`, `malformed` (no history) or `refused` (options
//! that do not fit the file).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn check(path: &Path) -> Output {
    let text = std::fs::read_to_string(path).expect("a case is text");
    let options = text.lines().next().and_then(|line| line.strip_prefix("; options:")).unwrap_or("");
    Command::new(env!("CARGO_BIN_EXE_rashomon"))
        .args(["check", "--json"])
        .args(options.split_whitespace())
        .arg(path)
        .output()
        .expect("the binary runs")
}

fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let mut found: Vec<PathBuf> = std::fs::read_dir(&folder).expect("folder").map(|e| e.expect("entry").path()).collect();
    found.sort();
    assert!(!found.is_empty(), "{} holds no case", folder.display());
    found
}

#[track_caller]
fn all_are(verdict: &str, exit_code: i32) {
    for path in cases(verdict) {
        let out = check(&path);
        let shown = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(exit_code), "{}: {shown}", path.display());
        let line: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{}: {e}: {shown}", path.display()));
        assert_eq!(line["verdict"], verdict, "{}: {shown}", path.display());
        assert_eq!(line["counterexample"].is_null(), verdict != "invalid", "{}: {shown}", path.display());
        if verdict == "unknown" {
            assert!(line["reason"].as_str().is_some_and(|r| r.len() > 10), "{}: unknown needs its reason: {shown}", path.display());
        }
    }
}

#[test]
fn valid() {
    all_are("valid", 0);
}

#[test]
fn invalid() {
    all_are("invalid", 1);
}

#[test]
fn unknown() {
    all_are("unknown", 2);
}

/// Files that are no histories end with 255, options that do not fit the file with 254; both name the place or what to do.
#[track_caller]
fn all_are_refused(folder: &str, exit_code: i32) {
    for path in cases(folder) {
        let out = check(&path);
        let errors = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(exit_code), "{}: {errors}", path.display());
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        assert!(errors.contains(&name) || errors.contains("model"), "{}: the error names no place: {errors}", path.display());
        if let Ok(line) = serde_json::from_slice::<serde_json::Value>(&out.stdout) {
            assert!(line["verdict"].is_null() && line["reason"].is_string(), "{}: a refused file has no verdict: {line}", path.display());
        }
    }
}

#[test]
fn malformed() {
    all_are_refused("malformed", 255);
}

#[test]
fn refused() {
    all_are_refused("refused", 254);
}

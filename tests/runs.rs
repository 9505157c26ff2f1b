//! Run directories of earlier versions: they are read for ever, and their tests can be run again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn rashomon(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rashomon")).args(args).current_dir(folder).env("NO_COLOR", "1").output().expect("it runs")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The stored runs, each copied to where it may be written to.
fn stored(into: &Path) -> Vec<PathBuf> {
    let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runs");
    let mut copies = Vec::new();
    for run in std::fs::read_dir(runs).expect("tests/runs") {
        let run = run.expect("entry").path();
        let copy = into.join("store").join(run.file_name().expect("name")).join("20261130-195925");
        std::fs::create_dir_all(&copy).expect("folder");
        for file in std::fs::read_dir(&run).expect("run") {
            let file = file.expect("entry").path();
            std::fs::copy(&file, copy.join(file.file_name().expect("name"))).expect("copied");
        }
        copies.push(copy);
    }
    copies
}

#[test]
fn runs_of_earlier_versions_are_judged_and_run_again() {
    let folder = tempfile::tempdir().expect("folder");
    let runs = stored(folder.path());
    assert!(!runs.is_empty());
    for run in &runs {
        let path = run.display().to_string();
        let judged = rashomon(folder.path(), &["analyze", &path]);
        assert_eq!(judged.status.code(), Some(0), "{path}: {}", text(&judged));
        let again = rashomon(folder.path(), &["replay", &path]);
        // What comes of it is the demo's; that its words are understood is ours.
        assert!(again.status.code().is_some_and(|code| code < 100), "{path}: {}", text(&again));
        assert!(text(&again).contains("repeat"), "{path}: {}", text(&again));
    }
}

#[test]
fn a_run_of_a_later_version_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let run = stored(folder.path()).remove(0);
    let test = run.join("test.json");
    let facts = std::fs::read_to_string(&test).expect("test.json");
    std::fs::write(&test, facts.replacen('{', "{ \"format\": 99,", 1)).expect("written");
    let judged = rashomon(folder.path(), &["analyze", &run.display().to_string()]);
    assert!(judged.status.code() == Some(255) && text(&judged).contains("newer than this one"), "{}", text(&judged));
}

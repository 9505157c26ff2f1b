//! What `rashomon lint` finds, as data: a history below `tests/lint`, and beside it `NAME.expected` with a line per finding:
//! severity, rule, count, and the lines of the first places.
//!
//! To add a case, add these two files. The first line of a history in EDN may hold options: `; options: --keyed yes`.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn lint(path: &Path, options: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rashomon"));
    command.args(["lint", "--json"]).args(options.split_whitespace()).arg(path);
    command.output().expect("the binary runs")
}

/// The histories, each with what is expected.
fn cases() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint");
    let files: BTreeSet<PathBuf> = std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()).collect();
    let (expected, histories): (Vec<PathBuf>, Vec<PathBuf>) =
        files.into_iter().partition(|path| path.extension().is_some_and(|extension| extension == "expected"));
    assert_eq!(expected.len(), histories.len(), "every history has its expectation");
    let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    histories.into_iter().map(|path| (path.clone(), text(&path.with_extension("expected")))).collect()
}

/// The findings of an object of `lint --json`, one per line.
fn told(object: &Value) -> String {
    let mut text = String::new();
    for finding in object["findings"].as_array().expect("findings") {
        let field = |name: &str| finding[name].as_str().expect("text");
        let _ = write!(text, "{} {} {}", field("severity"), field("id"), finding["count"]);
        let places = finding["places"].as_array().expect("places");
        let lines: Vec<String> = places.iter().map(|place| place["line"].to_string()).collect();
        let _ = writeln!(text, "{}{}", if lines.is_empty() { "" } else { " at " }, lines.join(", "));
        assert!(!field("sentence").is_empty() && !field("advice").is_empty(), "{finding}");
        assert!(finding["causes"].as_array().is_some_and(|causes| !causes.is_empty()), "{finding}");
    }
    text
}

#[test]
fn findings_are_the_expected_ones() {
    let mut wrong = String::new();
    for (path, expected) in cases() {
        let text = std::fs::read_to_string(&path).expect("a case is text");
        let options = text.lines().next().and_then(|line| line.strip_prefix("; options:")).unwrap_or("");
        let output = lint(&path, options);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let object: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{}: {e}: {stderr}", path.display()));
        let found = told(&object);
        let is_wrong = expected.lines().any(|line| !line.starts_with("note "));
        if found != expected || output.status.code() != Some(i32::from(is_wrong)) {
            let _ = write!(wrong, "{}: exit {:?}\nfound:\n{found}expected:\n{expected}\n", path.display(), output.status.code());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_rule_has_a_case() {
    let expected: String = cases().into_iter().map(|case| case.1).collect();
    let missing: Vec<&str> =
        histories::lint::Rule::ALL.iter().map(|rule| rule.id()).filter(|id| !expected.contains(&format!(" {id} "))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_the_others() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = ["cases/malformed/unclosed-map.edn", "lint/clean.edn"].map(|file| folder.join(file));
    let output = Command::new(env!("CARGO_BIN_EXE_rashomon")).args(["lint", "--json"]).args(&files).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(255));
    let text = String::from_utf8_lossy(&output.stdout);
    let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("an object per file")).collect();
    assert!(objects[0]["findings"].is_null() && objects[0]["reason"].as_str().is_some_and(|why| why.contains("unclosed-map.edn:2:54")));
    assert_eq!(objects[1]["findings"], serde_json::json!([]));
}

#[test]
fn check_tells_warnings_and_keeps_its_verdict() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint/reads-return-nothing.edn");
    let output = Command::new(env!("CARGO_BIN_EXE_rashomon")).args(["check", "--json"]).arg(&path).output().expect("the binary runs");
    let object: Value = serde_json::from_slice(&output.stdout).expect("an object");
    assert_eq!((object["verdict"].as_str(), output.status.code()), (Some("valid"), Some(0)));
    let notes = object["notes"].to_string();
    assert!(notes.contains("reads-return-nothing") && notes.contains("rashomon lint "), "{notes}");
}

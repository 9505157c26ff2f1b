//! Reads every file of a corpus of recorded histories and compares what was read with what its index says.
//!
//! `RASHOMON_CORPUS` names the directory; its `index.tsv` has a line per file.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and says so when it does not run")]

use histories::history::NO_EVENT;
use histories::lint::{Assume, Rule, Severity, lint, refusal};
use histories::stat::Stat;
use histories::{Format, History, Keys, Kind, Outcome, jsonl, read_bytes, read_path, write};
use std::collections::HashMap;
use std::path::PathBuf;

struct Entry {
    fields: HashMap<String, String>,
}

impl Entry {
    fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn count(&self, name: &str) -> Option<usize> {
        self.get(name).parse().ok()
    }
}

fn corpus() -> Option<PathBuf> {
    let Some(directory) = std::env::var_os("RASHOMON_CORPUS") else {
        let required = std::env::var("RASHOMON_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|part| part == "corpus"), "RASHOMON_REQUIRE asks for it, and RASHOMON_CORPUS names no directory");
        eprintln!("not run: RASHOMON_CORPUS names no directory");
        return None;
    };
    Some(directory.into())
}

fn index(directory: &std::path::Path) -> Vec<Entry> {
    let text = std::fs::read_to_string(directory.join("index.tsv")).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    lines.map(|line| Entry { fields: header.iter().cloned().zip(line).collect() }).collect()
}

/// The index counts `info` events of clients, not ops of unknown outcome.
fn infos(history: &History) -> usize {
    (0..history.len() as u32).filter(|&e| history.kind(e) == Kind::Info && history.is_client(history.process(e))).count()
}

#[test]
fn counts_are_those_of_the_index() {
    let Some(directory) = corpus() else { return };
    let entries = index(&directory);
    assert!(entries.len() > 200, "the index of the corpus holds {} files", entries.len());
    let mut wrong = Vec::new();
    let mut compared = 0;
    for entry in &entries {
        let file = entry.get("file");
        let history = match read_path(directory.join(file), None) {
            Ok(history) => history,
            Err(error) => {
                wrong.push(format!("{error}"));
                continue;
            }
        };
        let is_text = entry.get("format").ends_with("-text");
        let processes = (0..history.process_count() as u32).filter(|&p| history.is_client(histories::Process(p))).count();
        let events = if is_text { None } else { Some(history.len()) };
        let found = [
            ("ops", Some(history.ops().len())),
            ("events", events),
            ("processes", Some(processes)),
            ("info", Some(infos(&history))),
            ("nemesis", Some(history.nemesis_events().count())),
            // Without processes, which ops overlap is anybody's guess.
            ("max_conc_crashed_open", history.has_processes().then(|| Stat::of(&history, None).concurrency_with_crashed)),
        ];
        for (name, found) in found {
            let (Some(stated), Some(found)) = (entry.count(name), found) else { continue };
            compared += 1;
            if stated != found {
                wrong.push(format!("{file} ({}, {}): {name} {found}, the index says {stated}", entry.get("format"), history.meta.format));
            }
        }
    }
    assert!(compared > 4 * entries.len(), "the index states only {compared} counts of {} files", entries.len());
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn our_own_format_holds_every_history() {
    let Some(directory) = corpus() else { return };
    for entry in index(&directory) {
        let history = read_path(directory.join(entry.get("file")), None).unwrap();
        let mut written = Vec::new();
        jsonl::write_history(&mut written, &history).unwrap();
        let again = read_bytes(&written, None).unwrap_or_else(|error| panic!("{}: {error}", entry.get("file")));
        assert_eq!(again.meta.format, "jsonl");
        assert_eq!(history.difference(&again), None, "{}", entry.get("file"));
        assert_eq!(history.ops(), again.ops(), "{}", entry.get("file"));
    }
}

#[test]
fn edn_holds_every_history_but_whether_it_is_keyed() {
    let Some(directory) = corpus() else { return };
    for entry in index(&directory) {
        let history = read_path(directory.join(entry.get("file")), None).unwrap();
        let mut written = Vec::new();
        write(&mut written, &history, Format::Edn).unwrap();
        let mut again = read_bytes(&written, Some(Format::Edn)).unwrap_or_else(|error| panic!("{}: {error}", entry.get("file")));
        again.meta.keyed = history.meta.keyed;
        assert_eq!(history.difference(&again), None, "{}", entry.get("file"));
    }
}

#[test]
fn plain_json_settles() {
    let Some(directory) = corpus() else { return };
    for entry in index(&directory) {
        let history = read_path(directory.join(entry.get("file")), None).unwrap();
        let mut first = Vec::new();
        write(&mut first, &history, Format::Json).unwrap();
        let again = read_bytes(&first, None).unwrap_or_else(|error| panic!("{}: {error}", entry.get("file")));
        assert_eq!(again.meta.format, if history.is_empty() { "edn" } else { "json" });
        assert_eq!(again.len(), history.len(), "{}", entry.get("file"));
        let mut second = Vec::new();
        write(&mut second, &again, Format::Json).unwrap();
        assert!(first == second, "{}", entry.get("file"));
    }
}

/// What operations as JSON hold of a history: of every client op its process, its function and its outcome, in the order of
/// all calls and returns. An op of unknown outcome has no return that means anything.
fn calls_and_returns(history: &History) -> Vec<String> {
    let mut told = Vec::new();
    for &op in history.ops().iter().filter(|op| op.invoke != NO_EVENT) {
        let process = history.values.display(history.process_name(history.op_process(op)));
        let shown = |what: &str| format!("{process} {} {what}", history.name(history.op_function(op)).to_lowercase());
        told.push((op.invoke, shown("invoke")));
        if history.outcome(op) != Outcome::Info {
            told.push((op.complete, shown(history.kind(op.complete).name())));
        }
    }
    told.sort();
    told.into_iter().map(|(_, told)| told).collect()
}

#[test]
fn operations_as_json_hold_every_client_op() {
    let Some(directory) = corpus() else { return };
    let mut held = 0;
    for entry in index(&directory) {
        let history = read_path(directory.join(entry.get("file")), None).unwrap();
        let mut written = Vec::new();
        write(&mut written, &history, Format::Intervals).unwrap();
        let again = read_bytes(&written, Some(Format::Intervals)).unwrap_or_else(|error| panic!("{}: {error}", entry.get("file")));
        // Without processes, which completion belongs to which call is a guess that depends on the order of the ops.
        if history.has_processes() {
            assert_eq!(calls_and_returns(&history), calls_and_returns(&again), "{}", entry.get("file"));
            held += again.ops().len();
        }
        let (mut second, mut third) = (Vec::new(), Vec::new());
        write(&mut second, &again, Format::Intervals).unwrap();
        let settled = read_bytes(&second, Some(Format::Intervals)).unwrap();
        write(&mut third, &settled, Format::Intervals).unwrap();
        assert!(second == third, "{}", entry.get("file"));
    }
    assert!(held > 50_000, "{held} ops");
}

#[test]
fn keys_are_guessed() {
    let Some(directory) = corpus() else { return };
    for entry in index(&directory) {
        let (file, model) = (entry.get("file"), entry.get("model"));
        let history = read_path(directory.join(file), None).unwrap();
        let keys = Keys::split(&history, None);
        match model {
            "cas-register" | "register" | "list-append" | "rw-register" | "bank" | "set" => {
                assert!(!keys.is_keyed(), "{file}: {}", keys.reason());
            }
            "kv" | "cas-register (independent [k v])" => {
                assert!(keys.is_keyed(), "{file}: {}", keys.reason());
                assert_eq!(Some(keys.groups().len()), entry.count("keys"), "{file}");
                assert_eq!(keys.without_key(), [], "{file}");
            }
            _ => {}
        }
        let ops: usize = keys.groups().iter().map(|group| group.ops.len()).sum();
        assert_eq!(ops, history.ops().len(), "{file}");
    }
}

#[test]
fn lint_finds_no_error_where_the_verdict_is_known() {
    let Some(directory) = corpus() else { return };
    for entry in index(&directory) {
        let (file, verdict) = (entry.get("file"), entry.get("verdict"));
        let history = read_path(directory.join(file), None).unwrap();
        let findings = lint(&history, &Assume::default());
        let errors: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
        assert!(verdict == "unknown" || errors.is_empty(), "{file}: {errors:?}");
        assert_eq!(errors.is_empty(), refusal(&history).is_none(), "{file}");
        // Of the values, a known valid history breaks no rule, but for one file: its source calls it valid although it reads a
        // value that nobody wrote.
        let about_values = [Rule::ReadOfUnwrittenValue, Rule::ReadOfFailedWrite, Rule::ReadBeforeWritten];
        let found: Vec<_> = findings.iter().filter(|finding| about_values.contains(&finding.rule)).collect();
        assert!(verdict != "valid" || found.is_empty() || file.contains("elle/rw-register."), "{file}: {found:?}");
    }
}

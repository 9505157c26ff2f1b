//! Decides every recorded history of a corpus whose verdict its source states, and compares.
//!
//! `RASHOMON_CORPUS` names the directory; its `index.tsv` has a line per file: format, model, property, expected verdict, and
//! the initial value where the source's own tests use one.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and says so when it does not run")]

use checker::verdict::Summary;
use checker::{Answer, Budget, Options, Reason, Verdict, check_linearizable};
use histories::{Value, read_path};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What one file may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

struct Case {
    file: String,
    options: Options,
    expected: Summary,
}

fn corpus() -> Option<PathBuf> {
    if let Some(directory) = std::env::var_os("RASHOMON_CORPUS") {
        return Some(directory.into());
    }
    let required = std::env::var("RASHOMON_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|part| part == "corpus"), "RASHOMON_CORPUS names no directory");
    eprintln!("not run: RASHOMON_CORPUS names no directory");
    None
}

/// The linearizability cases of the index. Files whose source states no verdict are no cases.
fn cases(directory: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(directory.join("index.tsv")).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let mut cases = Vec::new();
    for line in lines {
        let fields: HashMap<&str, &str> = header.iter().copied().zip(line).collect();
        let expected = match fields["verdict"] {
            "valid" => Summary::Valid,
            "invalid" => Summary::Invalid,
            _ => continue,
        };
        // `cas-register (independent [k v])` is a cas-register too.
        let model = fields["model"].split(' ').next().unwrap();
        if fields["property"] != "linearizable" || !checker::MODELS.iter().any(|known| known.0 == model) {
            continue;
        }
        // `initial=0`; nil and the empty string, which others start with, are the defaults.
        let initial = fields["notes"].split_once("initial=").and_then(|(_, rest)| rest.split([' ', ';']).next()?.parse().ok());
        // A multi-register's is a map: `initial {:x 0 :y 0}`.
        let map = fields["notes"].split_once("initial {").and_then(|(_, rest)| rest.split_once('}'));
        let map = map.and_then(|(map, _)| histories::read_value(&format!("{{{map}}}")).ok());
        let initial = initial.map(Value::Int).or(map);
        cases.push(Case { file: fields["file"].into(), options: Options { model: model.into(), initial, ..Options::default() }, expected });
    }
    cases
}

/// Decides a file, and stops at the time limit.
fn decide(path: &Path, options: &Options) -> (Verdict, Duration) {
    let history = read_path(path, None).unwrap_or_else(|error| panic!("{error}"));
    let budget = Budget::unlimited();
    let (done, ended) = channel::<()>();
    let start = Instant::now();
    let verdict = std::thread::scope(|scope| {
        let watched = &budget;
        scope.spawn(move || {
            if ended.recv_timeout(TIME_LIMIT) == Err(RecvTimeoutError::Timeout) {
                watched.stop(checker::budget::Stop::Deadline);
            }
        });
        let verdict = check_linearizable(&history, options, &budget);
        drop(done);
        verdict
    });
    (verdict.unwrap_or_else(|error| panic!("{}: {error}", path.display())), start.elapsed())
}

fn reasons(verdict: &Verdict) -> Vec<&Reason> {
    let of_keys = verdict.keys.iter().filter_map(|key| if let Answer::Unknown(reason) = &key.answer { Some(reason) } else { None });
    verdict.reason.iter().chain(of_keys).collect()
}

#[test]
fn recorded_histories_have_their_verdicts() {
    let Some(directory) = corpus() else { return };
    let cases = cases(&directory);
    assert!(cases.len() > 100, "the index of the corpus has {} cases", cases.len());
    let mut wrong = Vec::new();
    let mut undecided = Vec::new();
    for Case { file, options, expected } in &cases {
        let (verdict, took) = decide(&directory.join(file), options);
        if verdict.answer == Summary::Unknown {
            undecided.push(format!("{file}: {:?} after {took:.1?}", reasons(&verdict)));
        } else if verdict.answer != *expected {
            wrong.push(format!("{file}: {} instead of {}", verdict.answer.name(), expected.name()));
        }
        for key in &verdict.keys {
            if let Answer::Invalid(counterexample) = &key.answer
                && !counterexample.minimal
            {
                wrong.push(format!("{file}: the counter-example is not minimal"));
            }
        }
        assert!(took < TIME_LIMIT + Duration::from_secs(1), "{file}: took {took:?}");
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(undecided.is_empty(), "{} of {} are undecided:\n{}", undecided.len(), cases.len(), undecided.join("\n"));
}

/// What `check` says of files without any op that says something it says with `--allow-empty` only. These, and no others, are such files.
#[test]
fn the_recorded_histories_that_say_nothing_are_known() {
    let Some(directory) = corpus() else { return };
    let text = std::fs::read_to_string(directory.join("index.tsv")).unwrap();
    let files = text.lines().skip(1).map(|line| line.split('\t').next().unwrap());
    let says_nothing = |file: &str| {
        let history = read_path(directory.join(file), None).unwrap_or_else(|error| panic!("{error}"));
        let keyed = histories::Keys::split(&history, None).is_keyed();
        harness::check::evidence::lack(&history, keyed, None).is_some()
    };
    let found: Vec<&str> = files.filter(|file| says_nothing(file)).collect();
    let known = [
        "etcd_095.log",
        "mongodb-v0-ack-rollback-11.edn",
        "20170920T114352.000Z/history.edn",
        // Reads of nil only.
        "20170920T131158.000Z/history.edn",
        "20170920T132726.000Z/history.edn",
    ];
    assert_eq!(found.len(), known.len(), "{found:#?}");
    for (file, known) in found.iter().zip(known) {
        assert!(file.ends_with(known), "{found:#?}");
    }
}

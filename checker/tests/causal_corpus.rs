//! Recorded and hand-made histories whose causal verdict their source states.
//!
//! `RASHOMON_CORPUS` names the directory; its `index.tsv` has a line per file: model, property, verdict.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and says so when it does not run")]

use histories::{Value, read_path};
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Answer, Budget, Consistency, Options, check};
use std::path::PathBuf;

fn corpus() -> Option<PathBuf> {
    if let Some(directory) = std::env::var_os("RASHOMON_CORPUS") {
        return Some(directory.into());
    }
    let required = std::env::var("RASHOMON_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|part| part == "corpus"), "RASHOMON_CORPUS names no directory");
    eprintln!("not run: RASHOMON_CORPUS names no directory");
    None
}

/// The files of the index with a property that begins like this: the file, the model and the verdict.
fn cases(directory: &std::path::Path, property: &str) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(directory.join("index.tsv")).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let column = |name: &str| header.iter().position(|field| *field == name).unwrap();
    let (file, model, stated, verdict) = (column("file"), column("model"), column("property"), column("verdict"));
    let wanted = lines.filter(|line| line[stated].starts_with(property));
    wanted.map(|line| (line[file].into(), line[model].into(), line[verdict].into())).collect()
}

/// The sources mean transactional causal consistency, in which everybody shares one order of the writes: `CCv` of
/// transactions.
#[test]
fn sessions_have_their_verdicts() {
    let Some(directory) = corpus() else { return };
    let cases: Vec<_> = cases(&directory, "causal").into_iter().filter(|case| case.1.starts_with("rw-register")).collect();
    assert!(cases.len() >= 14, "the index of the corpus has {} cases", cases.len());
    let mut wrong = Vec::new();
    for (file, _, expected) in cases {
        let history = read_path(directory.join(&file), None).unwrap();
        let verdict = check(&history, Consistency::CausalConvergence, &Options::default(), &Budget::unlimited()).unwrap();
        let answer = verdict.keys.first().map(|key| &key.answer);
        if verdict.answer.name() != expected {
            wrong.push(format!("{file}: {} instead of {expected}: {:?} {answer:?}", verdict.answer.name(), verdict.reason));
        }
        if let Some(Answer::Invalid(proof)) = answer
            && !proof.minimal
        {
            wrong.push(format!("{file}: the counter-example is not minimal"));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Jepsen's register for causal consistency: counts up from 0 and is 0 at first. Its bad example differs from its good one
/// only in that its values are `[key value]` pairs, which its own checker took for values; read as pairs it keeps every model.
#[test]
fn registers_that_count_up_are_causal() {
    let Some(directory) = corpus() else { return };
    let cases: Vec<_> = cases(&directory, "causal").into_iter().filter(|case| case.1 == "causal-register").collect();
    assert_eq!(cases.len(), 3);
    for (file, ..) in cases {
        let history = read_path(directory.join(&file), None).unwrap();
        let options = Options { initial: Some(Value::Int(0)), ..Options::from("register") };
        for consistency in Consistency::ALL.into_iter().filter(|model| model.is_ordered()) {
            let verdict = check(&history, consistency, &options, &Budget::unlimited()).unwrap();
            assert_eq!(verdict.answer, Summary::Valid, "{file} {consistency:?}: {:?} {:?}", verdict.reason, verdict.keys);
        }
    }
}

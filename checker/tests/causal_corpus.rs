//! Recorded and hand-made histories whose causal verdict their source states.
//!
//! `RASHOMON_CORPUS` names the directory; its `index.tsv` has a line per file: model, property, verdict.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and says so when it does not run")]

use histories::{Value, read_path};
use rashomon_checker::verdict::{Pattern, Summary};
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
/// only in that its values are `[key value]` pairs, which its own checker took for values; read as pairs it keeps every model,
/// and read as values it is as bad as its index says: nobody wrote `[3 0]`.
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
        if file.ends_with("bad-causal.edn") {
            let whole = Options { keyed: Some(false), ..options };
            let verdict = check(&history, Consistency::Causal, &whole, &Budget::unlimited()).unwrap();
            let Answer::Invalid(proof) = &verdict.keys[0].answer else { panic!("{file}: {:?}", verdict.keys) };
            assert_eq!(proof.pattern, Some(Pattern::ThinAirRead), "{file}");
        }
    }
}

/// Sequential consistency of transactions is serializability that keeps the order of each session: so what is not
/// serializable, or keeps not even snapshot isolation, does not keep it, and what is strictly serializable does. Single
/// registers that are linearizable are sequentially consistent.
#[test]
fn what_other_models_say_of_sequential_consistency() {
    let Some(directory) = corpus() else { return };
    let mut judged = 0;
    let mut wrong = Vec::new();
    for (property, verdict, expected) in [
        ("serializable", "invalid", Summary::Invalid),
        ("snapshot-isolation", "invalid", Summary::Invalid),
        ("strict-serializable", "valid", Summary::Valid),
        ("linearizable", "valid", Summary::Valid),
        ("causal", "invalid", Summary::Invalid),
    ] {
        for (file, model, _) in cases(&directory, property).into_iter().filter(|case| case.2 == verdict) {
            let model = match model.as_str() {
                model if model.starts_with("rw-register") => "",
                "register" | "kv" | "multi-register" => &*model,
                "cas-register" => "cas-register",
                _ => continue,
            };
            let history = read_path(directory.join(&file), None).unwrap();
            // Elle's example reads a value that nobody wrote, which its model of registers lets pass.
            if file.contains("elle-cli/histories/elle/rw-register") || !history.has_processes() {
                continue;
            }
            let mut budget = Budget::unlimited();
            budget.steps = Some(5_000_000);
            let found = check(&history, Consistency::Sequential, &Options::from(model), &budget);
            let told = found.as_ref().map(|verdict| (verdict.answer, &verdict.reason));
            judged += 1;
            if told.as_ref().map(|told| told.0) != Ok(expected) {
                wrong.push(format!("{file}: {told:?} instead of {expected:?}"));
            }
        }
    }
    assert!(judged > 100, "{judged} files");
    assert!(wrong.is_empty(), "{} of {judged} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

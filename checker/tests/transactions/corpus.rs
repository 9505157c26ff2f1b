//! Recorded and hand-made histories of transactions whose level their source states.
//!
//! `RASHOMON_CORPUS` names the directory; its `index.tsv` has a line per file: model, property, verdict.
#![allow(clippy::print_stderr, reason = "says so when it does not run")]

use super::judge;
use histories::read_path;
use rashomon_checker::Isolation;
use std::path::{Path, PathBuf};

/// Their verdicts need more than the file says, or the file contradicts them: one reads what nobody wrote, the others come from
/// a log beside them.
const OTHERWISE: [(&str, &str); 8] = [
    ("elle/rw-register.edn", "invalid"),
    ("elle/rw-register.json", "invalid"),
    ("rw-register-test/dirty-read.edn", ""),
    ("rw-register-test/g1a.edn", ""),
    ("rw-register-test/g1c.edn", ""),
    ("rw-register-test/long-fork.edn", ""),
    ("rw-register-test/non-repeatable-read.edn", ""),
    ("rw-register-test/write-skew.edn", ""),
];

fn corpus() -> Option<PathBuf> {
    if let Some(directory) = std::env::var_os("RASHOMON_CORPUS") {
        return Some(directory.into());
    }
    let required = std::env::var("RASHOMON_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|part| part == "corpus"), "RASHOMON_CORPUS names no directory");
    eprintln!("not run: RASHOMON_CORPUS names no directory");
    None
}

/// Files of transactions with a stated level: the file, the property and the verdict.
fn cases(directory: &Path) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(directory.join("index.tsv")).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let column = |name: &str| header.iter().position(|field| *field == name).unwrap();
    let (file, model, stated, verdict) = (column("file"), column("model"), column("property"), column("verdict"));
    let is_wanted = |line: &&Vec<&str>| line[model].starts_with("list-append") || line[model].starts_with("rw-register");
    let lines: Vec<Vec<&str>> = lines.collect();
    lines.iter().filter(is_wanted).map(|line| (line[file].into(), line[stated].into(), line[verdict].into())).collect()
}

/// AWDIT's folders are named after the strongest that their files keep of read committed, read atomic and causal, with the order
/// of sessions.
fn by_folder(file: &str) -> Option<[(Isolation, bool); 3]> {
    let folder = file.split("AWDIT/histories/tests/").nth(1)?.split('/').next()?;
    let kept = ["read-committed", "read-atomic", "causal"].iter().position(|name| *name == folder).map_or(0, |place| place + 1);
    let levels = [Isolation::StrongSessionReadCommitted, Isolation::ReadAtomic, Isolation::TransactionalCausal];
    Some([0, 1, 2].map(|place| (levels[place], place < kept)))
}

#[test]
fn stated_levels_are_found() {
    let Some(directory) = corpus() else { return };
    let mut wrong = Vec::new();
    let mut judged = 0;
    for (file, stated, verdict) in cases(&directory) {
        let history = read_path(directory.join(&file), None).unwrap();
        let mut expect = |level: Isolation, expected: &str| {
            let said = judge(&history, level);
            judged += 1;
            if said.answer.name() != expected {
                let why = said.keys.first().map(|key| format!("{:?}", key.answer).chars().take(400).collect::<String>());
                wrong.push(format!("{file}: {} {} instead of {expected}: {:?} {why:?}", level.name(), said.answer.name(), said.reason));
            }
        };
        for (level, is_kept) in by_folder(&file).into_iter().flatten() {
            expect(level, if is_kept { "valid" } else { "invalid" });
        }
        let otherwise = OTHERWISE.iter().find(|(name, _)| file.ends_with(name)).map(|(_, verdict)| *verdict);
        let level = if stated.starts_with("causal") { Ok(Isolation::TransactionalCausal) } else { stated.parse::<Isolation>() };
        match (level, otherwise.unwrap_or(&verdict)) {
            (Ok(level), expected @ ("valid" | "invalid")) => expect(level, expected),
            (Ok(level), _) => drop(judge(&history, level)),
            (Err(_), _) => {}
        }
    }
    assert!(judged > 50, "{judged} judged");
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

//! The invariants of the house, as assertions over cargo's metadata and the sources.
//!
//! A crate's `//!` page says what it does not know; this file holds it to that.

mod layers;
mod recursion;
mod source;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const OURS: [&str; 5] = ["rashomon-histories", "rashomon-checker", "rashomon-nemesis", "rashomon-workloads", "rashomon-harness"];

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo metadata")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The normal and build dependencies of a crate of ours (what ends up in the binary).
fn dependencies(krate: &str) -> BTreeSet<String> {
    let metadata = metadata();
    let package = metadata.packages.iter().find(|p| p.name.as_str() == krate).expect(krate);
    package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development).map(|d| d.name.clone()).collect()
}

/// All Rust sources below a folder, without their tests: tests may do what the code may not.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && path.file_stem().is_none_or(|s| s != "tests") {
                let source = source::read(&path);
                found.push((source.path, source.text));
            }
        }
    }
    found.sort();
    found
}

/// Lines of code (not of comments) that contain one of the words, as `file:line: text`.
fn uses(folder: &str, words: &[&str], except: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, code) in sources(folder) {
        let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
        if except.iter().any(|e| name.ends_with(e)) {
            continue;
        }
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            if words.iter().any(|w| mentions(line, w)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

/// Whether a line contains the word, and not only as the beginning of a longer one (`.await` in `.await_go()`).
fn mentions(line: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| !word.ends_with(is_letter) || !line[at + word.len()..].starts_with(is_letter))
}

#[track_caller]
fn assert_none(found: &[String], why: &str) {
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[track_caller]
fn assert_knows_only(krate: &str, allowed: &[&str]) {
    let known: Vec<String> = dependencies(krate).into_iter().filter(|d| OURS.contains(&d.as_str())).collect();
    let foreign: Vec<&String> = known.iter().filter(|d| !allowed.contains(&d.as_str())).collect();
    assert!(foreign.is_empty(), "{krate} must not know {foreign:?}");
}

#[test]
fn rooms_know_only_what_they_may() {
    assert_knows_only("rashomon-histories", &[]);
    assert_knows_only("rashomon-checker", &["rashomon-histories"]);
    assert_knows_only("rashomon-nemesis", &["rashomon-histories"]);
    assert_knows_only("rashomon-workloads", &["rashomon-histories", "rashomon-checker", "rashomon-nemesis"]);
}

#[test]
fn one_module_of_histories_opens_files() {
    let files = ["std::fs", "File::open", "File::create", "fs::read"];
    assert_none(&uses("histories/src", &files, &["/file.rs"]), "only histories/src/file.rs opens files");
    let world = ["std::net", "std::process", "std::env", "SystemTime", "Instant::now"];
    assert_none(&uses("histories/src", &world, &[]), "histories knows no network, process, environment or clock");
}

#[test]
fn the_checker_is_pure() {
    let world = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::time",
        "Instant",
        "SystemTime",
        "async ",
        ".await",
        "rand::",
        "thread_rng",
    ];
    assert_none(&uses("checker/src", &world, &["/limited.rs"]), "the checker touches no file, network, clock, environment or randomness");
    let dependencies = dependencies("rashomon-checker");
    for foreign in ["tokio", "reqwest", "rand", "rand_chacha", "ssh2", "libc", "tracing"] {
        assert!(!dependencies.contains(foreign), "the checker must not depend on {foreign}");
    }
}

#[test]
fn ssh2_is_named_in_one_module() {
    for folder in ["histories/src", "checker/src", "workloads/src", "harness/src"] {
        assert_none(&uses(folder, &["ssh2::"], &[]), "ssh2 is for nemesis/src/remote/ssh.rs alone");
    }
    assert_none(&uses("nemesis/src", &["ssh2::"], &["remote/ssh.rs"]), "ssh2 is for nemesis/src/remote/ssh.rs alone");
}

#[test]
fn only_the_harness_prints_and_listens_to_signals() {
    for folder in ["histories/src", "checker/src", "nemesis/src", "workloads/src"] {
        assert_none(&uses(folder, &["println!(", "eprintln!(", "print!(", "eprint!(", "dbg!("], &[]), "only the harness prints");
        assert_none(&uses(folder, &["indicatif", "tracing_subscriber"], &[]), "only the harness knows the terminal");
        // The options of systems and workloads are words of the command line, and of files.
        let options: &[&str] = if folder == "workloads/src" { &[] } else { &["clap::"] };
        assert_none(&uses(folder, options, &[]), "only systems and workloads have options");
    }
}

#[test]
fn the_nemesis_blocks_on_purpose() {
    assert_none(&uses("nemesis/src", &["async ", ".await", "tokio"], &[]), "the nemesis uses plain threads");
}

#[test]
fn clients_make_one_attempt() {
    let patience = ["time::sleep", "time::timeout", "thread::sleep"];
    for (path, _) in sources("workloads/src").iter().filter(|(p, _)| p.ends_with("client.rs")) {
        let name = path.strip_prefix(root()).expect("inside").to_string_lossy().into_owned();
        let folder = Path::new(&name).parent().expect("folder").to_string_lossy().into_owned();
        let found: Vec<String> = uses(&folder, &patience, &[]).into_iter().filter(|l| l.starts_with(&name)).collect();
        assert_none(&found, "a client never retries, never sleeps, sets no deadline of its own");
    }
    assert!(!uses("workloads/src", &["retry::never()"], &[]).is_empty(), "reqwest retries by default: it must be told not to");
}

#[test]
fn every_crate_is_linted_alike() {
    for package in metadata().packages {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} does not take the workspace's lints", package.name);
        assert_eq!(package.license.as_deref(), Some("MIT OR Apache-2.0"), "{}", package.name);
        assert!(package.rust_version.is_some(), "{} states no rust-version", package.name);
    }
    let root_manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("manifest");
    for lint in ["iter_over_hash_type", "unwrap_used", "print_stdout", "missing_docs", "unsafe_code"] {
        assert!(root_manifest.contains(lint), "the workspace no longer lints {lint}");
    }
}

/// All Rust sources below some folders, tests too, in one string.
fn all_code(folders: &[PathBuf]) -> String {
    let mut code = String::new();
    let mut folders: Vec<PathBuf> = folders.iter().filter(|folder| folder.exists()).cloned().collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                code.push_str(&std::fs::read_to_string(&path).expect("source"));
            }
        }
    }
    code
}

/// Whether code names a crate: in a path, or in a `use` or an attribute.
fn names(code: &str, krate: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
    code.match_indices(krate).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + krate.len()..]);
        !letter(before.chars().next_back()) && (after.starts_with("::") || before.ends_with("use ") && after.starts_with([';', ' ']))
    })
}

#[test]
fn every_dependency_is_used() {
    let mut unused = Vec::new();
    for package in metadata().packages {
        let folder = PathBuf::from(package.manifest_path.parent().expect("folder"));
        let is_root = folder == root();
        let product = if is_root { all_code(&[root().join("harness")]) } else { all_code(&[folder.join("src")]) };
        let tests = all_code(&["src", "tests", "benches", "examples"].map(|name| folder.join(name)));
        for dependency in &package.dependencies {
            let name = dependency.rename.as_ref().unwrap_or(&dependency.name).replace('-', "_");
            let code = if dependency.kind == DependencyKind::Development { &tests } else { &product };
            if !names(code, &name) {
                unused.push(format!("{} does not use {name}", package.name));
            }
        }
    }
    assert_none(&unused, "dependencies that nothing uses");
    assert!(names("use serde;", "serde") && names("a(serde::X)", "serde") && names("#[serde::x]", "serde"));
    assert!(!names("my_serde::X", "serde") && !names("x::serde::X", "serde") && !names("serde_json::X", "serde"));
}

/// Licences that ask for no more than their own text beside the binary; or, MPL-2.0, for the source of changes to its own files.
const LICENCES: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "MPL-2.0",
];

/// Crates that were given up, or have flaws that nobody mends, by the `RustSec` database: what can be known without it at hand.
const GIVEN_UP: [&str; 9] = ["ansi_term", "atty", "bincode", "dotenv", "failure", "instant", "paste", "serde_yaml", "varisat"];

#[test]
fn what_others_wrote_may_be_used_and_is_kept_up() {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let options = ["--locked", "--offline", "--filter-platform", &host].map(String::from);
    let metadata = MetadataCommand::new().other_options(options).exec().expect("cargo metadata");
    assert!(metadata.packages.len() > 100, "{} packages only", metadata.packages.len());
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let licence = package.license.clone().unwrap_or_default().replace('/', " OR ").replace(['(', ')'], "");
        // Of alternatives one is enough, of what comes together all are needed.
        let may = licence.split(" OR ").any(|one| one.split(" AND ").all(|part| LICENCES.contains(&part.trim())));
        if !may {
            wrong.push(format!("{}: licence {licence:?}", package.name));
        }
        if GIVEN_UP.contains(&package.name.as_str()) {
            wrong.push(format!("{} is no longer kept up", package.name));
        }
    }
    assert_none(&wrong, "what others wrote");
}

/// Cargo finds programs of tests by itself only where nothing says which there are: a file that no program includes would be lost.
#[test]
fn every_file_of_tests_is_part_of_a_program() {
    for folder in [".", "histories", "checker", "nemesis", "workloads"] {
        let tests = root().join(folder).join("tests");
        let main = std::fs::read_to_string(tests.join("main.rs")).expect("main.rs");
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("manifest");
        for entry in std::fs::read_dir(&tests).expect("tests") {
            let path = entry.expect("entry").path();
            let name = path.file_stem().expect("name").to_string_lossy().into_owned();
            let is_part = name == "main"
                || main.lines().any(|line| line == format!("mod {name};"))
                || manifest.contains(&format!("path = \"tests/{name}.rs\""));
            assert!(path.extension().is_none_or(|e| e != "rs") || is_part, "{} is in no program of tests", path.display());
        }
    }
}

#[test]
fn every_crate_has_a_front_page() {
    for krate in ["histories", "checker", "nemesis", "workloads", "harness"] {
        let text = std::fs::read_to_string(root().join(krate).join("src/lib.rs")).expect("lib.rs");
        assert!(text.starts_with("//!"), "{krate}/src/lib.rs does not begin with its page");
        assert!(text.contains("Start reading"), "{krate}/src/lib.rs does not say where to start reading");
        assert!(text.contains("know"), "{krate}/src/lib.rs does not say what the crate does not know");
    }
}

#[test]
fn verdicts_compose_as_exit_codes_do() {
    use checker::verdict::Summary;
    assert!(Summary::Valid < Summary::Unknown && Summary::Unknown < Summary::Invalid);
}

#[test]
fn the_top_level_is_as_laid_out() {
    let expected: BTreeSet<&str> = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "checker",
        "harness",
        "nemesis",
        "workloads",
        "histories",
        "tests",
    ]
    .into();
    let may: BTreeSet<&str> = [".ci", ".git", ".gitignore", ".cargo", "rustfmt.toml", "clippy.toml", "target", "store"].into();
    for entry in std::fs::read_dir(root()).expect("root") {
        let name = entry.expect("entry").file_name().to_string_lossy().into_owned();
        assert!(expected.contains(name.as_str()) || may.contains(name.as_str()), "{name} does not belong at the top level");
    }
    for name in expected {
        assert!(root().join(name).exists(), "{name} is missing at the top level");
    }
}

//! A store of one's own, and a model of one's own, built as a stranger would: from a crate outside this workspace.

use cargo_metadata::MetadataCommand;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Makes a crate outside the workspace whose main file is an example of ours, builds it, and gives its program.
///
/// What others wrote is not compiled again: the lock is ours, and so are the profiles and the features, for which everything that our tests
/// need is a dependency, too. Our own crates are, without optimisation.
fn outside(folder: &Path, name: &str, example: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("manifest");
    let profiles = manifest[manifest.find("[profile.").expect("profiles")..].split("\n[");
    let profiles = profiles.filter(|section| !section.contains("package.rashomon-")).collect::<Vec<_>>().join("\n[");
    let package = format!("[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    let text = format!("{package}\n[dependencies]\n{}\n[workspace]\n\n{profiles}", dependencies(root));
    std::fs::create_dir_all(folder.join("src")).expect("folder");
    std::fs::write(folder.join("Cargo.toml"), text).expect("manifest");
    std::fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).expect("lock");
    std::fs::copy(root.join(example), folder.join("src/main.rs")).expect("example");
    // Where this program was built, whoever has chosen that.
    let target = Path::new(env!("CARGO_BIN_EXE_rashomon")).ancestors().nth(2).expect("target");
    let mut cargo = Command::new(env!("CARGO"));
    let built = cargo
        .args(["build", "--offline", "--quiet"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RUSTC_BOOTSTRAP")
        .output()
        .expect("cargo");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    target.join("debug").join(name)
}

/// Our crates, and all that they and their tests depend on, with the features that these ask for.
fn dependencies(root: &Path) -> String {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec().expect("cargo metadata");
    let mut asked: BTreeMap<String, (String, BTreeSet<String>, bool)> = BTreeMap::new();
    let mut ours: Vec<String> = Vec::new();
    for package in &metadata.packages {
        let folder = package.manifest_path.parent().expect("folder");
        if folder != root {
            ours.push(format!("{} = {{ path = {:?} }}\n", package.name, folder.as_str()));
        }
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_none()) {
            let row = asked.entry(dependency.name.clone()).or_insert_with(|| (dependency.req.to_string(), BTreeSet::new(), false));
            row.1.extend(dependency.features.iter().cloned());
            row.2 |= dependency.uses_default_features;
        }
    }
    let line = |(name, (req, features, default)): (&String, &(String, BTreeSet<String>, bool))| {
        let features: Vec<_> = features.iter().collect();
        format!("{name} = {{ version = {req:?}, features = {features:?}, default-features = {default} }}\n")
    };
    ours.into_iter().chain(asked.iter().map(line)).collect()
}

#[test]
fn a_store_of_ones_own_is_tested_from_outside() {
    if !Path::new("/usr/bin/redis-server").exists() {
        assert!(!crate::lab::support::is_required("redis"), "redis-server is not installed, but RASHOMON_REQUIRE asks for it");
        crate::lab::bed::report("NOT RUN: a_store_of_ones_own_is_tested_from_outside: not installed: redis-server");
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let program = outside(folder.path(), "my-store", "harness/examples/my_store.rs");
    let run = |args: &[&str]| -> Output {
        Command::new(&program).arg("test").args(args).current_dir(folder.path()).env("NO_COLOR", "1").output().expect("it runs")
    };
    let text = |output: &Output| format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));

    let list = run(&["--list"]);
    assert!(text(&list).contains("redis  One Redis server") && text(&list).contains("demo"), "{}", text(&list));
    // A port that was free a moment ago: nobody else here listens at random ones.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("port").port().to_string();
    let kept = run(&["redis", "--redis-port", &port, "--nemesis", "kill:all for=200ms every=1s", "--time-limit", "4s", "--rate", "400"]);
    assert_eq!(kept.status.code(), Some(0), "{}", text(&kept));
    let lost = run(&[
        "redis",
        "--redis-port",
        &port,
        "--nemesis",
        "kill:all for=200ms every=1s",
        "--time-limit",
        "4s",
        "--rate",
        "400",
        "--no-log",
    ]);
    assert_eq!(lost.status.code(), Some(1), "{}", text(&lost));
    let refused = run(&["redis", "--nemesis", "partition"]);
    assert!(text(&refused).contains("between which no packet can be cut"), "{}", text(&refused));
}

#[test]
fn a_model_of_ones_own_is_built_from_outside() {
    let folder = tempfile::tempdir().expect("folder");
    let program = outside(folder.path(), "my-model", "checker/examples/own_model.rs");
    let output = Command::new(&program).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

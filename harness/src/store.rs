//! The store: a directory of runs, `store/<test>/<time>/`, and the links `latest`.
//!
//! | file | what it is |
//! |---|---|
//! | `test.json` | everything needed to repeat the run and to judge it again |
//! | `history.jsonl` | every event, appended while the run goes on |
//! | `log.jsonl` | what the harness did; its first line is the command line that repeats the run |
//! | `schedule.toml` | the schedule of the faults, if it was given by a file |
//! | `findings.json` | what was found beside the history |
//! | `results.json` | the verdict, per key, with coverage and counts |
//! | `report.html` | the same for people |
//! | `before.json` | what the nodes were like before the run: `rashomon verify-clean` compares |
//! | `footprint.json` | everything that the run touched on each node |
//! | `n1/`, `n2/`, ... | the nodes' logs |

use crate::clean::{Footprints, Pictures};
use crate::findings::Findings;
use crate::run::{NodeLog, TestFacts};
use anyhow::{Context, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The directory of one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

/// How many runs may begin in the same second.
const SAME_SECOND_MAX: u32 = 1000;

impl RunDir {
    /// Makes a new directory for a run of `test` that begins at `time` (`20261114-091240`), and points `latest` at it.
    pub fn create(store: &Path, test: &str, time: &str) -> anyhow::Result<RunDir> {
        let parent = store.join(test);
        let advice = "; choose another place with --store";
        fs::create_dir_all(&parent).with_context(|| format!("cannot make the directory {}{advice}", parent.display()))?;
        for attempt in 0..SAME_SECOND_MAX {
            let name = if attempt == 0 { time.to_owned() } else { format!("{time}-{attempt}") };
            let path = parent.join(&name);
            match fs::create_dir(&path) {
                Ok(()) => {
                    // The links are a convenience: a file system without them is no reason to refuse a run.
                    let _ = point(&parent, &name);
                    let _ = point(store, &format!("{test}/{name}"));
                    return Ok(RunDir { path });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("cannot make the directory {}{advice}", path.display())),
            }
        }
        bail!("{} holds {SAME_SECOND_MAX} runs of this second already", parent.display())
    }

    /// A run that is there.
    pub fn open(path: &Path) -> anyhow::Result<RunDir> {
        let run = RunDir { path: path.into() };
        if !run.test_file().is_file() {
            bail!(
                "{} is no run's directory: it has no test.json. Runs are in store/<test>/<time>, the last one in store/latest",
                path.display()
            );
        }
        Ok(run)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Facts about the test.
    pub fn test_file(&self) -> PathBuf {
        self.path.join("test.json")
    }

    /// The history.
    pub fn history(&self) -> PathBuf {
        self.path.join("history.jsonl")
    }

    /// The schedule of the faults, as it was given by a file.
    pub fn schedule(&self) -> PathBuf {
        self.path.join("schedule.toml")
    }

    /// The store that it is in, if it lies where runs do: `STORE/TEST/TIME`.
    pub fn store(&self) -> Option<PathBuf> {
        let path = fs::canonicalize(&self.path).ok()?;
        Some(path.parent()?.parent()?.to_path_buf())
    }

    /// The harness's log.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }

    /// The verdict for machines.
    pub fn results(&self) -> PathBuf {
        self.path.join("results.json")
    }

    /// The verdict for people.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Where a node's logs go.
    pub fn node(&self, name: &str) -> PathBuf {
        self.path.join(file_name(name))
    }

    /// Writes what the nodes were like before the run.
    pub fn write_before(&self, pictures: &Pictures) -> anyhow::Result<()> {
        write_json(&self.path.join("before.json"), pictures)
    }

    /// Reads what the nodes were like before the run.
    pub fn read_before(&self) -> anyhow::Result<Pictures> {
        read_json(&self.path.join("before.json"))
    }

    /// Writes what the run touched.
    pub fn write_footprints(&self, footprints: &Footprints) -> anyhow::Result<()> {
        write_json(&self.path.join("footprint.json"), footprints)
    }

    /// Reads what the run touched; `None` if nobody lived to write it.
    pub fn read_footprints(&self) -> anyhow::Result<Option<Footprints>> {
        let path = self.path.join("footprint.json");
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Writes what was found beside the history.
    pub fn write_findings(&self, findings: &Findings) -> anyhow::Result<()> {
        write_json(&self.path.join("findings.json"), findings)
    }

    /// Reads what was found beside the history: nothing, if nobody lived to look.
    pub fn read_findings(&self) -> anyhow::Result<Findings> {
        let path = self.path.join("findings.json");
        if path.exists() { read_json(&path) } else { Ok(Findings::default()) }
    }

    /// Writes the facts about the test.
    pub fn write_test(&self, facts: &TestFacts) -> anyhow::Result<()> {
        write_json(&self.test_file(), facts)
    }

    /// Reads the facts about the test.
    pub fn read_test(&self) -> anyhow::Result<TestFacts> {
        read_json(&self.test_file())
    }

    /// The nodes' logs that are there, by node and name.
    pub fn node_logs(&self, nodes: &[String]) -> Vec<NodeLog> {
        let mut logs = Vec::new();
        for node in nodes {
            let Ok(entries) = fs::read_dir(self.node(node)) else { continue };
            let mut files: Vec<(PathBuf, u64)> = entries
                .filter_map(Result::ok)
                .filter_map(|entry| Some((entry.path(), entry.metadata().ok().filter(fs::Metadata::is_file)?.len())))
                .collect();
            files.sort();
            let relative = |path: PathBuf| path.strip_prefix(&self.path).map(Path::to_path_buf).unwrap_or(path);
            logs.extend(files.into_iter().map(|(path, bytes)| NodeLog { node: node.clone(), path: relative(path), bytes }));
        }
        logs
    }
}

/// Writes a file whole or not at all: a reader never sees half of it.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let written = || -> io::Result<()> {
        let draft = sibling(path);
        let mut file = File::create(&draft)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| drop(fs::remove_file(&draft)))?;
        fs::rename(&draft, path)
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

fn sibling(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// Makes `directory/latest` a link to `target`, in one step.
fn point(directory: &Path, target: &str) -> io::Result<()> {
    let draft = directory.join(format!(".latest-{}", std::process::id()));
    let _ = fs::remove_file(&draft);
    std::os::unix::fs::symlink(target, &draft)?;
    fs::rename(&draft, directory.join("latest"))
}

fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    write(path, text.as_bytes())
}

fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what this version of Rashomon writes", path.display()))
}

/// A node's name as a file name: addresses may hold anything.
fn file_name(node: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = node.chars().map(plain).collect();
    if name.trim_start_matches('.').is_empty() { format!("node{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_the_same_second_get_directories_of_their_own() {
        let store = tempfile::tempdir().unwrap();
        let first = RunDir::create(store.path(), "demo-register", "20261114-091240").unwrap();
        let second = RunDir::create(store.path(), "demo-register", "20261114-091240").unwrap();
        assert_ne!(first.path(), second.path());
        for latest in [store.path().join("latest"), store.path().join("demo-register/latest")] {
            assert_eq!(latest.canonicalize().unwrap(), second.path().canonicalize().unwrap());
        }
    }

    #[test]
    fn a_directory_without_a_test_is_no_run() {
        let store = tempfile::tempdir().unwrap();
        let error = RunDir::open(store.path()).unwrap_err().to_string();
        assert!(error.contains("no test.json") && error.contains("store/latest"), "{error}");
    }

    #[test]
    fn nodes_cannot_leave_the_directory() {
        assert_eq!(file_name("../../etc"), ".._.._etc");
        assert_eq!(file_name(".."), "node..");
        assert_eq!(file_name("[fe80::1]"), "_fe80__1_");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = write(Path::new("/nonexistent/results.json"), b"{}").unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/results.json"), "{error:#}");
    }
}

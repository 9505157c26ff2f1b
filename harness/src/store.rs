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
//! | `n1/`, `n2/`, ... | the nodes' logs, and what they stored: `data.tar.zst` |

use crate::findings::Findings;
use crate::run::{Footprints, NodeFile, Pictures, RUN_FORMAT, TestFacts};
use crate::ui::format;
use anyhow::{Context, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::Builder;

/// The directory of one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
    /// The directories above it that were made for it, the outer one first.
    made: Vec<PathBuf>,
}

/// How many runs may begin in the same second.
const SAME_SECOND_MAX: u32 = 1000;

impl RunDir {
    /// Makes a new directory for a run of `test` that begins at `time` (`20261114-091240`). The links `latest` stay where they point
    /// until [`RunDir::announce`].
    pub fn create(store: &Path, test: &str, time: &str) -> anyhow::Result<RunDir> {
        let parent = store.join(test);
        let made = [store, &parent].map(Path::to_path_buf).into_iter().filter(|folder| !folder.exists()).collect();
        let advice = "; choose another place with --store";
        fs::create_dir_all(&parent).with_context(|| format!("cannot make the directory {}{advice}", format::path(&parent)))?;
        for attempt in 0..SAME_SECOND_MAX {
            let name = if attempt == 0 { time.to_owned() } else { format!("{time}-{attempt}") };
            let path = parent.join(&name);
            match fs::create_dir(&path) {
                Ok(()) => return Ok(RunDir { path, made }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("cannot make the directory {}{advice}", format::path(&path))),
            }
        }
        bail!("{} holds {SAME_SECOND_MAX} runs of this second already", format::path(&parent))
    }

    /// Points `latest` at it, in its test's directory and in the store.
    pub fn announce(&self) {
        let Some((parent, name)) = self.path.parent().zip(self.path.file_name()) else { return };
        let Some((store, test)) = parent.parent().zip(parent.file_name()) else { return };
        // The links are a convenience: a file system without them is no reason to refuse a run.
        let _ = point(parent, Path::new(name));
        let _ = point(store, &Path::new(test).join(name));
    }

    /// Removes the directory of a run that has not begun, and the directories above it that were made for it.
    pub fn withdraw(self) {
        // What cannot be removed is an empty directory too many: no reason to hide why the run has not begun.
        let _ = fs::remove_dir_all(&self.path);
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }

    /// A run that is there.
    pub fn open(path: &Path) -> anyhow::Result<RunDir> {
        let run = RunDir { path: path.into(), made: Vec::new() };
        if !run.test_file().is_file() {
            bail!(
                "{} is no run's directory: it has no test.json. Runs are in store/<test>/<time>, the last one in store/latest",
                format::path(path)
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

    /// Where goes what a node stored.
    pub fn node_data(&self, name: &str) -> PathBuf {
        self.node(name).join(format!("data{}", nemesis::pack::SUFFIX))
    }

    /// Writes what the nodes were like before the run.
    pub fn write_before(&self, pictures: &Pictures) -> anyhow::Result<()> {
        write_json(&self.path.join("before.json"), pictures, Readers::Owner)
    }

    /// Reads what the nodes were like before the run.
    pub fn read_before(&self) -> anyhow::Result<Pictures> {
        read_json(&self.path.join("before.json"))
    }

    /// Writes what the run touched.
    pub fn write_footprints(&self, footprints: &Footprints) -> anyhow::Result<()> {
        write_json(&self.path.join("footprint.json"), footprints, Readers::Owner)
    }

    /// Reads what the run touched; `None` if nobody lived to write it.
    pub fn read_footprints(&self) -> anyhow::Result<Option<Footprints>> {
        let path = self.path.join("footprint.json");
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Writes what was found beside the history.
    pub fn write_findings(&self, findings: &Findings) -> anyhow::Result<()> {
        write_json(&self.path.join("findings.json"), findings, Readers::Owner)
    }

    /// Reads what was found beside the history: nothing, if nobody lived to look.
    pub fn read_findings(&self) -> anyhow::Result<Findings> {
        let path = self.path.join("findings.json");
        if path.exists() { read_json(&path) } else { Ok(Findings::default()) }
    }

    /// Writes the facts about the test.
    pub fn write_test(&self, facts: &TestFacts) -> anyhow::Result<()> {
        write_json(&self.test_file(), facts, Readers::Umask)
    }

    /// Reads the facts about the test.
    pub fn read_test(&self) -> anyhow::Result<TestFacts> {
        let facts: TestFacts = read_json(&self.test_file())?;
        if facts.format > RUN_FORMAT {
            let (path, by) = (self.test_file(), &facts.rashomon);
            bail!("{}: the run was made by Rashomon {by}, which is newer than this one; use that", format::path(&path));
        }
        Ok(facts)
    }

    /// What was copied from the nodes, by node and name.
    pub fn node_files(&self, nodes: &[String]) -> Vec<NodeFile> {
        let mut found = Vec::new();
        for node in nodes {
            let Ok(entries) = fs::read_dir(self.node(node)) else { continue };
            let mut files: Vec<(PathBuf, u64)> = entries
                .filter_map(Result::ok)
                .filter_map(|entry| Some((entry.path(), entry.metadata().ok().filter(fs::Metadata::is_file)?.len())))
                .collect();
            files.sort();
            let relative = |path: PathBuf| path.strip_prefix(&self.path).map(Path::to_path_buf).unwrap_or(path);
            found.extend(files.into_iter().map(|(path, bytes)| NodeFile { node: node.clone(), path: relative(path), bytes }));
        }
        found
    }
}

/// Who may read a file of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Whoever the user's umask lets.
    Umask,
    /// The owner alone: the file holds rules of firewalls, processes and mounts of nodes.
    Owner,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Readers::Umask => 0o666,
            Readers::Owner => 0o600,
        }
    }
}

/// Writes a file whole or not at all: a reader never sees half of it. The draft is made under a name that nobody can foresee, and never
/// through a link that somebody has put there.
///
/// # Errors
/// What the system says, with the file's name.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_for(path, bytes, Readers::Umask)
}

fn write_for(path: &Path, bytes: &[u8], readers: Readers) -> anyhow::Result<()> {
    let written = || -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        let mut draft =
            Builder::new().prefix(&name).suffix(".new").permissions(Permissions::from_mode(readers.mode())).tempfile_in(folder)?;
        draft.write_all(bytes)?;
        draft.as_file().sync_all()?;
        draft.persist(path).map(drop).map_err(|error| error.error)
    };
    written().with_context(|| format!("cannot write {}", format::path(path)))
}

/// Makes the folders that a file is to lie in.
///
/// # Errors
/// What the system says, with the folder's name.
pub fn make_parents(path: &Path) -> anyhow::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    fs::create_dir_all(folder).with_context(|| format!("cannot make the directory {} for {}", format::path(folder), format::path(path)))
}

/// Makes a file that is not there yet. Through a link that somebody has put there nothing is written.
pub(crate) fn create_new(path: &Path, readers: Readers) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(readers.mode()).open(path)
}

/// Makes `directory/latest` a link to `target`, in one step.
fn point(directory: &Path, target: &Path) -> io::Result<()> {
    let draft = directory.join(format!(".latest-{}", std::process::id()));
    let _ = fs::remove_file(&draft);
    std::os::unix::fs::symlink(target, &draft)?;
    fs::rename(&draft, directory.join("latest"))
}

fn write_json(path: &Path, value: &impl Serialize, readers: Readers) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    write_for(path, text.as_bytes(), readers)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", format::path(path)))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what this version of Rashomon writes", format::path(path)))
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
    fn a_run_that_has_not_begun_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("new/store");
        let create = || RunDir::create(&store, "demo-register", "20261114-091240").unwrap();
        create().withdraw();
        assert!(!store.exists(), "it was made for that run");
        let first = create();
        first.announce();
        let latest = || store.join("latest").canonicalize().unwrap();
        assert_eq!(latest(), first.path().canonicalize().unwrap());
        let second = create();
        assert_eq!(latest(), first.path().canonicalize().unwrap(), "nobody has announced the second");
        second.withdraw();
        assert!(first.path().is_dir());
    }

    #[test]
    fn drafts_follow_no_link_and_secrets_are_their_owners() {
        let folder = tempfile::tempdir().unwrap();
        let (precious, path) = (folder.path().join("precious"), folder.path().join("results.json"));
        fs::write(&precious, "precious").unwrap();
        for planted in ["results.json.new", "results.json"] {
            std::os::unix::fs::symlink(&precious, folder.path().join(planted)).unwrap();
        }
        write(&path, b"{}").unwrap();
        assert_eq!((fs::read_to_string(&precious).unwrap().as_str(), fs::read_to_string(&path).unwrap().as_str()), ("precious", "{}"));
        assert!(create_new(&folder.path().join("results.json.new"), Readers::Umask).is_err());
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
        write_for(&path, b"{}", Readers::Owner).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(fs::read_dir(folder.path()).unwrap().count() == 3, "no draft is left");
        assert!(write(&folder.path().join("no/page.html"), b"").is_err());
        make_parents(&folder.path().join("a/b/page.html")).unwrap();
        assert!(folder.path().join("a/b").is_dir());
    }

    #[test]
    fn runs_of_the_same_second_get_directories_of_their_own() {
        let store = tempfile::tempdir().unwrap();
        let first = RunDir::create(store.path(), "demo-register", "20261114-091240").unwrap();
        let second = RunDir::create(store.path(), "demo-register", "20261114-091240").unwrap();
        assert_ne!(first.path(), second.path());
        first.announce();
        second.announce();
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

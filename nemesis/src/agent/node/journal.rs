//! What the agent has to undo, on the node's disk before it is done.
//!
//! The file has one JSON object per line: `{"begin":{"id":1,"entry":...}}` before a fault, `{"end":{"id":1}}` after it was undone;
//! each line is synced before the next step. It is emptied whenever nothing is left to undo. A line torn by a crash stands at
//! the end and belongs to a fault that was not applied: it is skipped. Room for it is reserved, so that a disk that fills up later takes
//! its lines all the same. The file is for its owner only: how to start a program may
//! hold secrets.

use super::cgroup::Squeezed;
use super::clock::Skewed;
use super::damage::Damaged;
use super::disk::HurtDisk;
use super::firewall::Cut;
use super::packets::Shaped;
use super::process::{Killed, Paused};
use super::system_clock::Before;
use super::time_daemon::Stopped;
use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The most that is read of a journal: one of ours is never longer than a few kilobytes.
const BYTES_MAX: u64 = 16 << 20;

/// The room on the disk that is reserved: more than a run's worst moment needs.
const RESERVED_BYTES: u64 = 64 << 10;

/// A fault and how to undo it. A new fault adds a variant here, and a file with what it holds and how to undo that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// Packets are dropped.
    Cut(Cut),
    /// Packets are held back, lost or mangled.
    Shaped(Shaped),
    /// A program was killed.
    Killed(Killed),
    /// A program is stopped by a signal.
    Paused(Paused),
    /// A program's clock is not its own.
    Skewed(Skewed),
    /// The programs that keep the node's clock right are stopped.
    TimeDaemonStopped(Stopped),
    /// The node's own clock is not right.
    SystemClock(Before),
    /// A program's disk is full, read-only or without power.
    HurtDisk(HurtDisk),
    /// A program's files are damaged.
    Damaged(Damaged),
    /// A program is given less memory or processor time than it wants.
    Squeezed(Squeezed),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Begin { id: u64, entry: Entry },
    End { id: u64 },
}

/// The journal of one agent's directory. Whoever opens it holds the directory's lock.
pub struct Journal {
    path: PathBuf,
    file: File,
    open: BTreeMap<u64, Entry>,
    next: u64,
    unreadable: usize,
    /// Whether the file ends within a line.
    torn: bool,
}

impl Journal {
    /// Opens the journal in a directory, or begins one.
    pub fn open(directory: &Path) -> Result<Journal, String> {
        let path = directory.join("journal");
        let fail = |e: io::Error| format!("cannot open the journal {}: {e}", path.display());
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        if length > BYTES_MAX {
            return Err(format!("{} is {length} bytes long and no journal of ours: move it away", path.display()));
        }
        // The directory's entry for the file must be on the disk too before the first fault relies on it.
        File::open(directory).and_then(|d| d.sync_all()).map_err(fail)?;
        let mut text = Vec::new();
        File::open(&path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text)).map_err(fail)?;
        let mut journal =
            Journal { path, file, open: BTreeMap::new(), next: 1, unreadable: 0, torn: text.last().is_some_and(|&b| b != b'\n') };
        journal.replay(&text);
        journal.reserve();
        Ok(journal)
    }

    fn replay(&mut self, text: &[u8]) {
        let complete = text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        for line in text[..complete].split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(Line::Begin { id, entry }) => {
                    self.open.insert(id, entry);
                    self.next = self.next.max(id.saturating_add(1));
                }
                Ok(Line::End { id }) => drop(self.open.remove(&id)),
                Err(_) => self.unreadable += 1,
            }
        }
    }

    /// What is not undone yet, the latest first: the order in which to undo it.
    pub fn open_entries(&self) -> Vec<(u64, Entry)> {
        self.open.iter().rev().map(|(&id, entry)| (id, entry.clone())).collect()
    }

    /// Notes a fault, on the disk when this returns. A fault noted already is not noted twice.
    pub fn begin(&mut self, entry: &Entry) -> Result<(), String> {
        if self.open.values().any(|open| open == entry) {
            return Ok(());
        }
        let id = self.next;
        self.append(&Line::Begin { id, entry: entry.clone() })?;
        self.next += 1;
        self.open.insert(id, entry.clone());
        Ok(())
    }

    /// Notes that a fault was undone.
    pub fn end(&mut self, id: u64) -> Result<(), String> {
        if self.open.remove(&id).is_none() {
            return Ok(());
        }
        if self.open.is_empty() { self.clear() } else { self.append(&Line::End { id }) }
    }

    /// Notes that some faults were undone.
    pub fn end_all(&mut self, which: impl Fn(&Entry) -> bool) -> Result<(), String> {
        let ids: Vec<u64> = self.open.iter().filter(|(_, entry)| which(entry)).map(|(&id, _)| id).collect();
        ids.into_iter().try_for_each(|id| self.end(id))
    }

    /// Moves a journal aside in which lines could not be read, once all others are undone, and says so. Nothing if there are
    /// none.
    pub fn set_unreadable_aside(&mut self) -> Option<String> {
        if self.unreadable == 0 || !self.open.is_empty() {
            return None;
        }
        let aside = self.path.with_extension("unreadable");
        let lines = std::mem::take(&mut self.unreadable);
        match fs::copy(&self.path, &aside).map_err(|e| e.to_string()).and_then(|_| self.clear()) {
            Ok(()) => {
                Some(format!("{lines} line(s) of the journal could not be read; see {} and undo what they name by hand", aside.display()))
            }
            Err(error) => Some(format!("{lines} line(s) of the journal {} could not be read, nor set aside: {error}", self.path.display())),
        }
    }

    fn append(&mut self, line: &Line) -> Result<(), String> {
        let mut bytes = Vec::new();
        if self.torn {
            bytes.push(b'\n');
        }
        serde_json::to_writer(&mut bytes, line).map_err(|e| format!("cannot note a fault: {e}"))?;
        bytes.push(b'\n');
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        // Whatever a failed write left behind, the next line starts on its own.
        self.torn = written.is_err();
        written.map_err(|e| format!("cannot write the journal {}, so no fault is injected: {e}", self.path.display()))
    }

    fn clear(&mut self) -> Result<(), String> {
        self.torn = false;
        self.file
            .set_len(0)
            .and_then(|()| self.file.sync_data())
            .map_err(|e| format!("cannot empty the journal {}: {e}", self.path.display()))?;
        self.reserve();
        Ok(())
    }

    /// Takes room on the disk without making the file longer. Where that cannot be done, a full disk refuses faults, and nothing else.
    fn reserve(&self) {
        let _ = fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, RESERVED_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paused(name: &str) -> Entry {
        Entry::Paused(Paused { name: name.into() })
    }

    fn entries(journal: &Journal) -> Vec<Entry> {
        journal.open_entries().into_iter().map(|(_, entry)| entry).collect()
    }

    #[test]
    fn what_was_begun_and_not_ended_is_there_after_a_crash_latest_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        for name in ["a", "b", "c", "b"] {
            journal.begin(&paused(name)).unwrap();
        }
        journal.end_all(|entry| *entry == paused("b")).unwrap();
        drop(journal);
        let mut journal = Journal::open(dir.path()).unwrap();
        assert_eq!(entries(&journal), [paused("c"), paused("a")]);
        journal.begin(&paused("d")).unwrap();
        assert_eq!(entries(&Journal::open(dir.path()).unwrap()), [paused("d"), paused("c"), paused("a")]);
        journal.end_all(|_| true).unwrap();
        assert_eq!(fs::read(dir.path().join("journal")).unwrap(), b"");
        assert_eq!(journal.set_unreadable_aside(), None);
    }

    #[test]
    fn every_prefix_of_a_journal_gives_its_complete_lines() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        for name in ["a", "b", "c"] {
            journal.begin(&paused(name)).unwrap();
        }
        let whole = fs::read(dir.path().join("journal")).unwrap();
        for cut in 0..=whole.len() {
            fs::write(dir.path().join("journal"), &whole[..cut]).unwrap();
            let mut journal = Journal::open(dir.path()).unwrap();
            let lines = String::from_utf8_lossy(&whole[..cut]).matches('\n').count();
            assert_eq!(journal.open_entries().len(), lines, "cut at {cut}");
            // And it goes on from there, beside the torn line.
            journal.begin(&paused("next")).unwrap();
            let again = Journal::open(dir.path()).unwrap();
            assert_eq!(entries(&again)[0], paused("next"), "cut at {cut}");
            assert_eq!(again.open_entries().len(), lines + 1, "cut at {cut}");
        }
    }

    #[test]
    fn garbage_is_set_aside_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        journal.begin(&paused("a")).unwrap();
        drop(journal);
        let path = dir.path().join("journal");
        let mut text = b"\xff\xfe not ours\n{\"begin\":{\"id\":9,\"entry\":{\"of-the-future\":1}}}\n".to_vec();
        text.extend(fs::read(&path).unwrap());
        fs::write(&path, text).unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        assert_eq!(entries(&journal), [paused("a")]);
        assert_eq!(journal.set_unreadable_aside(), None, "not before the rest is undone");
        journal.open.clear();
        let said = journal.set_unreadable_aside().unwrap();
        assert!(said.contains("2 line(s)") && said.contains("journal.unreadable"), "{said}");
        assert!(dir.path().join("journal.unreadable").exists());
        assert_eq!(journal.set_unreadable_aside(), None);
    }

    #[test]
    fn a_full_disk_refuses_the_fault() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        let roomy = std::mem::replace(&mut journal.file, OpenOptions::new().append(true).open("/dev/full").unwrap());
        let error = journal.begin(&paused("a")).unwrap_err();
        assert!(error.contains("No space left") && error.contains("no fault is injected"), "{error}");
        assert_eq!(entries(&journal), []);
        // Half a line may have reached the disk: the next one must not be lost with it.
        journal.file = roomy;
        journal.file.write_all(b"{\"begin\":{\"id\":1,").unwrap();
        journal.begin(&paused("b")).unwrap();
        assert_eq!(entries(&Journal::open(dir.path()).unwrap()), [paused("b")]);
    }
}

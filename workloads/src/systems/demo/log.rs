//! A node's log on disk: what it has recorded, in order, one line each.
//!
//! A line is a checksum of sixteen hex digits, a space and JSON: `cat` shows what a node knows. Lines are appended in batches
//! and forced to disk ([`Log::commit`]) before anything that rests on them leaves the node. A kill in the middle of an append
//! leaves a torn last line, which was never acknowledged and is cut off by the next [`Log::open`]. Damage anywhere else is
//! refused: a node that forgot what it had promised would make its cluster lie.
//!
//! The first line of every life says which one it is.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};

/// A log is rewritten with the fewest lines that say the same once it is this long, and twice as long as after the last time.
const REWRITE_BYTES_MIN: u64 = 64 << 20;

/// An open log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    boot: u64,
    pending: Vec<u8>,
    bytes: u64,
    rewrite_at: u64,
}

/// What a log held when it was opened.
#[derive(Debug)]
pub struct Recovered<R> {
    /// The log, ready for the records of this life.
    pub log: Log,
    /// The records of all earlier lives, in order.
    pub records: Vec<R>,
    /// The bytes of the torn last line that were cut off.
    pub torn_bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line<R> {
    /// A life begins.
    Boot(u64),
    /// A record of the scheme.
    Record(R),
}

impl Log {
    /// Opens a log, or makes it, and begins a new life: its number is on disk when this returns.
    ///
    /// # Errors
    /// Those of the disk, and `InvalidData` for a damaged line that is not a torn end; the text says where.
    pub fn open<R: Serialize + DeserializeOwned>(path: &Path) -> io::Result<Recovered<R>> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let (lines, bytes) = read(path, &file)?;
        let torn_bytes = file.metadata()?.len() - bytes;
        file.set_len(bytes)?;
        file.seek(io::SeekFrom::End(0))?;
        let mut boot = 1;
        let mut records = Vec::new();
        for line in lines {
            match line {
                Line::Boot(earlier) => boot = earlier + 1,
                Line::Record(record) => records.push(record),
            }
        }
        let mut log = Log { path: path.into(), file, boot, pending: Vec::new(), bytes, rewrite_at: REWRITE_BYTES_MIN };
        log.push(&Line::<R>::Boot(boot))?;
        log.commit()?;
        sync_directory(path)?;
        Ok(Recovered { log, records, torn_bytes })
    }

    /// The number of this life: 1 in the first.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Adds a record to the batch that the next [`Log::commit`] forces to disk.
    pub fn append<R: Serialize>(&mut self, record: R) -> io::Result<()> {
        self.push(&Line::Record(record))
    }

    /// Forces what was appended to disk. After an error nobody knows what is there: the node must end.
    pub fn commit(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.file.write_all(&self.pending)?;
        self.file.sync_data()?;
        self.bytes += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Whether the log is so long that it should be rewritten.
    pub fn wants_rewrite(&self) -> bool {
        self.bytes >= self.rewrite_at
    }

    /// Replaces all lines by those of `records`. A kill at any moment leaves the old log or the new one.
    pub fn rewrite<R: Serialize>(&mut self, records: impl IntoIterator<Item = R>) -> io::Result<()> {
        let path = self.path.with_extension("new");
        let mut new = Log {
            path: self.path.clone(),
            file: OpenOptions::new().append(true).create(true).open(&path)?,
            boot: self.boot,
            pending: Vec::new(),
            bytes: 0,
            rewrite_at: 0,
        };
        new.file.set_len(0)?;
        new.push(&Line::<R>::Boot(self.boot))?;
        for record in records {
            new.append(record)?;
        }
        new.commit()?;
        std::fs::rename(&path, &self.path)?;
        sync_directory(&self.path)?;
        new.rewrite_at = (new.bytes * 2).max(REWRITE_BYTES_MIN);
        *self = new;
        Ok(())
    }

    fn push<R: Serialize>(&mut self, line: &Line<R>) -> io::Result<()> {
        let json = serde_json::to_vec(line)?;
        write!(self.pending, "{:016x} ", checksum(&json))?;
        self.pending.extend_from_slice(&json);
        self.pending.push(b'\n');
        Ok(())
    }
}

/// All whole lines of a log and their length in bytes. What follows them is a torn end.
fn read<R: DeserializeOwned>(path: &Path, file: &File) -> io::Result<(Vec<Line<R>>, u64)> {
    let mut reader = BufReader::new(file);
    let mut lines = Vec::new();
    let mut bytes = 0;
    let mut text = Vec::new();
    loop {
        text.clear();
        let read = reader.read_until(b'\n', &mut text)?;
        match parse(&text) {
            Some(line) => lines.push(line),
            // No line break: the file ends here, with what was being written when the node died, or with nothing.
            None if text.last() != Some(&b'\n') => return Ok((lines, bytes)),
            None => {
                let damage = format!(
                    "{}: line {} is damaged, and not because it was never finished: restore the file, or remove it to start the node empty",
                    path.display(),
                    lines.len() + 1
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, damage));
            }
        }
        bytes += read as u64;
    }
}

fn parse<R: DeserializeOwned>(text: &[u8]) -> Option<Line<R>> {
    let text = text.strip_suffix(b"\n")?;
    let (sum, json) = text.split_at_checked(17)?;
    let sum = u64::from_str_radix(std::str::from_utf8(sum).ok()?.strip_suffix(' ')?, 16).ok()?;
    if sum == checksum(json) { serde_json::from_slice(json).ok() } else { None }
}

/// FNV-1a, 64 bits.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Forces the name of a file to disk.
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Recovered<String> {
        Log::open(path).unwrap()
    }

    fn keep(log: &mut Log, record: &str) {
        log.append(record).unwrap();
        log.commit().unwrap();
    }

    #[test]
    fn every_life_has_a_greater_number_and_all_records() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        for life in 1..=3 {
            let mut recovered = open(&path);
            assert_eq!(recovered.log.boot(), life);
            assert_eq!(recovered.records.len() as u64, life - 1);
            assert_eq!(recovered.torn_bytes, 0);
            keep(&mut recovered.log, &format!("record of life {life}"));
        }
    }

    #[test]
    fn a_log_torn_anywhere_keeps_all_whole_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = open(&path).log;
        keep(&mut log, "first");
        let whole = log.bytes as usize;
        keep(&mut log, "second, with a line break: \n");
        let bytes = std::fs::read(&path).unwrap();
        for end in whole..bytes.len() {
            std::fs::write(&path, &bytes[..end]).unwrap();
            let recovered = open(&path);
            assert_eq!(recovered.records, ["first"], "torn at {end}");
            assert_eq!(recovered.torn_bytes as usize, end - whole);
            assert_eq!(recovered.log.boot(), 2);
            // The next life finds what the one after the tear wrote.
            let mut log = recovered.log;
            keep(&mut log, "third");
            assert_eq!(open(&path).records, ["first", "third"]);
        }
    }

    #[test]
    fn damage_before_the_end_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = open(&path).log;
        keep(&mut log, "first");
        keep(&mut log, "second");
        let bytes = std::fs::read(&path).unwrap();
        // Without its line break the last line looks unfinished; all other bytes are watched over.
        for at in 0..bytes.len() - 1 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            let error = Log::open::<String>(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        }
    }

    #[test]
    fn a_rewritten_log_says_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = open(&path).log;
        for i in 0..100 {
            keep(&mut log, &format!("{i}"));
        }
        let long = log.bytes;
        log.rewrite(["99"]).unwrap();
        assert!(log.bytes < long / 10);
        assert_eq!(log.bytes, std::fs::metadata(&path).unwrap().len());
        keep(&mut log, "100");
        let recovered = open(&path);
        assert_eq!(recovered.records, ["99", "100"]);
        assert_eq!(recovered.log.boot(), 2);
    }
}

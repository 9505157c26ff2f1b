//! Files on the node. What is written or removed lies below the agent's directory, and is none of the agent's own.

use crate::agent::protocol::{CHUNK_BYTES_MAX, Reply};
use crate::pack::pack;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// The file that lists what was touched.
pub(super) const FOOTPRINT: &str = "footprint";

/// What is the agent's own in its directory.
const OWN: [&str; 7] = ["bin", FOOTPRINT, "journal", "journal.unreadable", "lock", "lock.holder", "processes"];

/// The agent's directory: absolute, without symbolic links.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Makes it if need be.
    pub(super) fn make(root: &Path) -> Result<Directory, String> {
        let fail = |e: io::Error| format!("cannot use the directory {}: {e}; give another", root.display());
        fs::create_dir_all(root).map_err(fail)?;
        Ok(Directory { root: root.canonicalize().map_err(fail)? })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The place of something to read: anywhere.
    pub(super) fn any(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The place of something to write or remove: below the directory, not outside by `..` or a symbolic link, and not the
    /// agent's own.
    pub(super) fn below(&self, path: &str) -> Result<PathBuf, String> {
        let refuse = |why: &str| format!("refused to write or remove {path:?}: {why}");
        let place = self.root.join(path);
        let relative = place.strip_prefix(&self.root).map_err(|_| refuse(&format!("it is not below {}", self.root.display())))?;
        let mut names = relative.components().peekable();
        let Some(Component::Normal(first)) = names.peek().copied() else { return Err(refuse("it is the agent's directory itself")) };
        if OWN.iter().any(|own| *own == first) {
            return Err(refuse("it is the agent's own"));
        }
        if names.any(|name| !matches!(name, Component::Normal(_))) {
            return Err(refuse("`..` is not allowed"));
        }
        // Every directory above it that exists must be a real one.
        let mut above = self.root.clone();
        for name in relative.parent().into_iter().flat_map(Path::components) {
            above.push(name);
            if above.is_symlink() {
                return Err(refuse(&format!("{} is a symbolic link", above.display())));
            }
        }
        Ok(place)
    }

    /// Writes a part of a new file, beside its place.
    pub(super) fn write(&self, path: &str, offset: u64, data: &[u8]) -> Result<(), String> {
        let place = self.below(path)?;
        let fail = |e: io::Error| format!("cannot write {}: {e}", place.display());
        if let Some(above) = place.parent() {
            fs::create_dir_all(above).map_err(fail)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create(offset == 0).truncate(offset == 0).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let mut file = options.open(part(&place)).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        if length != offset {
            return Err(format!("cannot go on writing {} at {offset}: there are {length} bytes", place.display()));
        }
        file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(data)).map_err(fail)
    }

    /// Puts what was written in its place.
    pub(super) fn finish(&self, path: &str, size: u64, mode: u32) -> Result<(), String> {
        let place = self.below(path)?;
        let fail = |e: io::Error| format!("cannot finish {}: {e}", place.display());
        let part = part(&place);
        let length = fs::symlink_metadata(&part).map_err(fail)?.len();
        if length != size {
            return Err(format!("{} has {length} bytes instead of {size}", place.display()));
        }
        fs::set_permissions(&part, fs::Permissions::from_mode(mode & 0o7777)).map_err(fail)?;
        fs::rename(&part, &place).map_err(fail)
    }

    /// Reads a part of a file.
    pub(super) fn read(&self, path: &str, offset: u64) -> Result<Reply, String> {
        let place = self.any(path);
        let fail = |e: io::Error| format!("cannot read {}: {e}", place.display());
        let mut file = File::open(&place).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            return Err(format!("cannot read {}: it is no regular file", place.display()));
        }
        file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        let mut data = Vec::new();
        // One byte more than fits tells whether the file goes on.
        file.take(CHUNK_BYTES_MAX as u64 + 1).read_to_end(&mut data).map_err(fail)?;
        let end = data.len() <= CHUNK_BYTES_MAX;
        data.truncate(CHUNK_BYTES_MAX);
        Ok(Reply::Chunk { data, end })
    }

    /// Copies what is there of files and directories into one compressed file. Returns how many there were.
    pub(super) fn pack(&self, paths: &[String], to: &str, bytes_max: u64) -> Result<u64, String> {
        let place = self.below(to)?;
        self.remove(to)?;
        pack(&self.root, paths, &place, bytes_max).map_err(|e| format!("cannot copy {}: {e}", paths.join(", ")))
    }

    /// What lies directly below it and is not the agent's own.
    pub(super) fn others(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().ok();
        let mut names: Vec<String> = entries.filter_map(name).filter(|name| !OWN.contains(&name.as_str())).collect();
        names.sort();
        names
    }

    /// Removes a file or a directory with all below it; symbolic links themselves, not what they point to.
    pub(super) fn remove(&self, path: &str) -> Result<(), String> {
        let place = self.below(path)?;
        let removed = match fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&place),
            Ok(_) => fs::remove_file(&place),
            Err(e) => Err(e),
        };
        match removed {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(format!("cannot remove {}: {e}", place.display())),
            _ => Ok(()),
        }
    }
}

fn part(place: &Path) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Writes a small file of text so that readers see the old one or the whole new one, even after a crash. On a full disk it is written over
/// the old one, whose room it needs: a program that was killed must be started again there too.
pub(super) fn replace(place: &Path, content: &[u8]) -> io::Result<()> {
    let part = part(place);
    let written = File::create(&part).and_then(|mut file| file.write_all(content).and_then(|()| file.sync_data()));
    match written {
        Ok(()) => fs::rename(&part, place),
        Err(error) => {
            let _ = fs::remove_file(&part);
            if error.kind() == ErrorKind::StorageFull { overwrite(place, content).map_err(|_| error) } else { Err(error) }
        }
    }
}

/// Writes over a file that is there, without making it longer than the room that it has: blanks at its end harm no text of ours.
fn overwrite(place: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(place)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    let mut padded = content.to_vec();
    padded.resize(length.max(content.len()), b' ');
    file.write_all(&padded)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, Directory) {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Directory::make(&temporary.path().join("ours")).unwrap();
        (temporary, directory)
    }

    #[test]
    fn a_file_is_written_in_parts_and_read_back() {
        let (_temporary, directory) = directory();
        let content: Vec<u8> = (0..600_000_u32).map(|i| (i % 251) as u8).collect();
        for (i, chunk) in content.chunks(CHUNK_BYTES_MAX).enumerate() {
            directory.write("etcd/data/x", (i * CHUNK_BYTES_MAX) as u64, chunk).unwrap();
            assert!(!directory.any("etcd/data/x").exists(), "not in its place before it is whole");
        }
        directory.finish("etcd/data/x", content.len() as u64, 0o640).unwrap();
        let mode = fs::metadata(directory.any("etcd/data/x")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let mut back = Vec::new();
        while let Reply::Chunk { data, end } = directory.read("etcd/data/x", back.len() as u64).unwrap() {
            back.extend(data);
            if end {
                break;
            }
        }
        assert!(back == content);
        directory.write("etcd/data/x", 0, b"new").unwrap();
        assert!(directory.write("etcd/data/x", 9, b"gap").unwrap_err().contains("there are 3 bytes"));
        assert!(directory.finish("etcd/data/x", 9, 0o600).unwrap_err().contains("3 bytes instead of 9"));
    }

    #[test]
    fn nothing_outside_and_nothing_of_its_own_is_touched() {
        let (temporary, directory) = directory();
        let outside = temporary.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, directory.any("link")).unwrap();
        let absolute = outside.join("precious").display().to_string();
        let own = directory.any("journal").display().to_string();
        for path in
            ["", ".", "..", "../outside/precious", "a/../../outside", "link/precious", "bin/x", "lock", "/", "/etc/passwd", &absolute, &own]
        {
            assert!(directory.remove(path).is_err(), "{path}");
            assert!(directory.write(path, 0, b"y").is_err(), "{path}");
            assert!(directory.finish(path, 1, 0o600).is_err(), "{path}");
        }
        // A link may be removed, but not what it points to.
        directory.remove("link").unwrap();
        directory.remove("never-was").unwrap();
        assert_eq!(fs::read(outside.join("precious")).unwrap(), b"x");
    }
}

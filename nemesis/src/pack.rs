//! A copy of a database's data in one compressed file, for people to look at when the nodes are clean again.

use std::fs::{self, File, FileType};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// How the names of packed files end.
pub const SUFFIX: &str = ".tar.zst";

/// As fast as possible: data is mostly compact already, or empty.
const LEVEL: i32 = 1;

/// Packs what is there of some files and directories into a new file `to`, which its owner alone may read. Paths are absolute or relative
/// to `root`; in the packed file they are relative. Links are kept as links; sockets, pipes and devices are left out. Returns how many
/// files and directories were packed; if there are none, no file is made.
///
/// # Errors
/// What the system says, or that more than `bytes_max` bytes would be written; nothing is left at `to` then.
pub fn pack(root: &Path, paths: &[impl AsRef<Path>], to: &Path, bytes_max: u64) -> io::Result<u64> {
    let there: Vec<PathBuf> = paths.iter().map(|path| root.join(path)).filter(|path| fs::symlink_metadata(path).is_ok()).collect();
    if there.is_empty() {
        return Ok(0);
    }
    let file = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    let packed = pack_into(root, there, Limited { file, left: bytes_max, bytes_max });
    if packed.is_err() {
        // The error is what counts.
        let _ = fs::remove_file(to);
    }
    packed
}

fn pack_into(root: &Path, mut waiting: Vec<PathBuf>, to: Limited) -> io::Result<u64> {
    let mut archive = tar::Builder::new(zstd::Encoder::new(to, LEVEL)?);
    archive.follow_symlinks(false);
    let mut packed = 0;
    while let Some(path) = waiting.pop() {
        let kind = fs::symlink_metadata(&path)?.file_type();
        if !is_kept(kind) {
            continue;
        }
        let name = path.strip_prefix(root).or_else(|_| path.strip_prefix("/")).unwrap_or(&path);
        archive.append_path_with_name(&path, name).map_err(|error| in_words(&path, &error))?;
        packed += 1;
        if kind.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        }
    }
    archive.into_inner()?.finish()?.file.sync_all()?;
    Ok(packed)
}

fn is_kept(kind: FileType) -> bool {
    kind.is_file() || kind.is_dir() || kind.is_symlink()
}

fn in_words(path: &Path, error: &io::Error) -> io::Error {
    if error.kind() == ErrorKind::FileTooLarge {
        return io::Error::new(error.kind(), error.to_string());
    }
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A file that does not grow beyond a size.
struct Limited {
    file: File,
    left: u64,
    bytes_max: u64,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.left = self.left.checked_sub(written as u64).ok_or_else(|| {
            io::Error::new(ErrorKind::FileTooLarge, format!("it is more than {} bytes, also when compressed", self.bytes_max))
        })?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    fn names_in(packed: &Path) -> Vec<(String, Vec<u8>)> {
        let mut archive = tar::Archive::new(zstd::Decoder::new(File::open(packed).unwrap()).unwrap());
        let mut found: Vec<(String, Vec<u8>)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (name, content)
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn what_is_there_is_packed_and_nothing_that_links_point_to() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("ours"), folder.path().join("outside"));
        fs::create_dir_all(root.join("data/deep/empty")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        fs::write(outside.join("core"), "core").unwrap();
        fs::write(root.join("data/deep/log"), "log").unwrap();
        // Nothing but a hole: it takes no room, packed or not.
        File::create(root.join("data/hole")).unwrap().set_len(1 << 30).unwrap();
        std::os::unix::fs::symlink(outside.join("secret"), root.join("data/link")).unwrap();
        let _socket = UnixListener::bind(root.join("data/socket")).unwrap();
        let (to, core) = (folder.path().join("packed.tar.zst"), outside.join("core").display().to_string());
        assert_eq!(pack(&root, &["never", "data", &core], &to, 100_000).unwrap(), 7);
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        let found = names_in(&to);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.trim_end_matches('/')).collect();
        let core = core.trim_start_matches('/');
        let mut expected = vec!["data", "data/deep", "data/deep/empty", "data/deep/log", "data/hole", "data/link", core];
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert!(found.iter().any(|(name, content)| name == "data/deep/log" && content == b"log"));
        assert!(found.iter().all(|(_, content)| content != b"secret"), "what a link points to");
        assert!(pack(&root, &["data"], &to, 100_000).is_err(), "what is there is not written over");
    }

    #[test]
    fn nothing_is_made_of_nothing_and_nothing_is_left_of_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("packed.tar.zst");
        assert_eq!(pack(folder.path(), &["data"], &to, 100).unwrap(), 0);
        assert!(!to.exists());
        let noise: Vec<u8> = (0..10_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(folder.path().join("data"), noise).unwrap();
        let error = pack(folder.path(), &["data"], &to, 100).unwrap_err().to_string();
        assert!(error.contains("more than 100 bytes"), "{error}");
        assert!(!to.exists());
    }
}

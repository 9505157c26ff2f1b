//! File systems of programs' own, each in a file: made, mounted, filled, read-only, without power.
//!
//! The image lies beside the place where it is mounted, so that it survives the host's crash and goes with the program's directory.
//! The loop device below it is the kernel's to release when it is unmounted, in whatever way that happens.

use super::files::Directory;
use crate::agent::protocol::disk::DiskHarm;
use crate::command::{Command, DataDisk, Program};
use crate::exec::{Running, find};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// What a disk is filled with.
const FILLER: &str = ".rashomon-filler";

/// The tools that are needed, and the packages that have them.
const TOOLS: [(&str, &str); 3] = [("mkfs.ext4", "e2fsprogs"), ("mount", "mount"), ("umount", "mount")];

/// How long a mount that is still in use is waited for: processes that were killed close their files a moment later.
const BUSY_WITHIN: Duration = Duration::from_secs(5);

/// `FS_IOC_SHUTDOWN`, and the flag that says: at once, and write nothing any more, not even the file system's journal.
const SHUTDOWN: libc::c_ulong = 0x8004_587D;
const SHUTDOWN_WITHOUT_FLUSH: u32 = 2;

/// The size of what is mounted to see whether that can be done: the least that has a journal.
const TRIED_BYTES: u64 = 8 << 20;

/// A journal entry: something was done to the disk of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HurtDisk {
    /// Whose disk it is, and how to start it again.
    pub program: Program,
    /// What was done.
    pub harm: DiskHarm,
}

impl HurtDisk {
    /// In words, for whoever is told that it was undone.
    pub(super) fn describe(&self) -> String {
        let what = match self.harm {
            DiskHarm::Full => "was full",
            DiskHarm::ReadOnly => "was read-only",
            DiskHarm::PowerLoss => "was without power",
        };
        format!("the disk of {} {what}", self.program.name)
    }
}

/// The disks below an agent's directory.
#[derive(Clone, Debug)]
pub(super) struct Disks {
    home: Directory,
    running: Running,
}

impl Disks {
    pub(super) fn new(home: &Directory, running: Running) -> Disks {
        Disks { home: home.clone(), running }
    }

    /// Makes a small disk, mounts it, and leaves nothing of it: what cannot be done is said before anybody relies on it.
    pub(super) fn try_out(&self, bytes: u64) -> Result<(), String> {
        let cannot = |why: String| format!("no file system can be made and mounted here: {why}");
        for (tool, package) in TOOLS {
            find(tool).ok_or_else(|| cannot(format!("{tool} is not installed (on Debian and Ubuntu: package {package})")))?;
        }
        let free = free_bytes(self.home.root()).map_err(|e| cannot(e.to_string()))?;
        if free < bytes {
            let mib = |bytes: u64| bytes >> 20;
            return Err(cannot(format!("{} has {} MiB free of {} MiB needed", self.home.root().display(), mib(free), mib(bytes))));
        }
        let disk = DataDisk { at: "disk-tried-out".into(), bytes: TRIED_BYTES };
        let tried = self.mount(&disk);
        let undone = self.remove(&disk);
        tried.and(undone).map_err(cannot)
    }

    /// Sees to it that a disk is mounted; makes it if there is none.
    pub(super) fn mount(&self, disk: &DataDisk) -> Result<(), String> {
        let (place, image) = (self.place(disk)?, self.image(disk)?);
        let fail = |e: io::Error| format!("cannot make {}: {e}", place.display());
        fs::create_dir_all(&place).map_err(fail)?;
        if is_mounted(&place)? {
            return Ok(());
        }
        if !image.exists() {
            self.make(&image, disk.bytes)?;
        }
        self.run(&["mount", "-t", "ext4", "-o", "loop,nosuid,nodev,noinit_itable"], &[&image, &place])?;
        match fs::remove_dir(place.join("lost+found")) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(format!("cannot use {}: {e}", place.display())),
            _ => Ok(()),
        }
    }

    /// Makes an empty file system, and puts it in its place when it is whole.
    fn make(&self, image: &Path, bytes: u64) -> Result<(), String> {
        let part = image.with_extension("part");
        let fail = |e: io::Error| format!("cannot make {}: {e}", part.display());
        File::create(&part).and_then(|file| file.set_len(bytes)).map_err(fail)?;
        // No blocks kept for root, who may be the one who runs out of them; few inodes, and nothing written ahead of its use.
        let options = ["mkfs.ext4", "-q", "-F", "-m", "0", "-N", "4096", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"];
        self.run(&options, &[&part])?;
        fs::rename(&part, image).map_err(fail)
    }

    /// Unmounts a disk. No harm if it is not mounted.
    pub(super) fn unmount(&self, disk: &DataDisk) -> Result<(), String> {
        self.unmount_place(&self.place(disk)?)
    }

    fn unmount_place(&self, place: &Path) -> Result<(), String> {
        while is_mounted(place)? {
            self.run_when_free(&["umount"], place)?;
        }
        Ok(())
    }

    /// Unmounts whatever disks of ours are mounted on a directory or below, even those that no program is known to have.
    pub(super) fn unmount_below(&self, directory: &Path) -> Result<(), String> {
        let ours = |place: &PathBuf| place.starts_with(directory) && image_of(place).exists();
        let mut places: Vec<PathBuf> = mounts()?.into_iter().filter(ours).collect();
        places.dedup();
        places.iter().try_for_each(|place| self.unmount_place(place))
    }

    /// Removes a disk with all that is on it.
    fn remove(&self, disk: &DataDisk) -> Result<(), String> {
        self.unmount(disk)?;
        self.home.remove(&disk.at)?;
        self.home.remove(&format!("{}.image", disk.at))
    }

    /// Takes all space there is on a disk, also what has become free since.
    pub(super) fn fill(&self, disk: &DataDisk) -> Result<(), String> {
        let filler = self.place(disk)?.join(FILLER);
        let fail = |e: io::Error| format!("cannot fill {}: {e}", filler.display());
        let mut file = OpenOptions::new().append(true).create(true).open(&filler).map_err(fail)?;
        // Halves of what is free, as long as they fit; then byte by byte what no block holds.
        while let free @ 1.. = free_bytes(&filler).map_err(fail)? {
            let mut piece = free;
            while piece > 0 && !extend(&file, piece).map_err(fail)? {
                piece /= 2;
            }
            if piece == 0 {
                break;
            }
        }
        loop {
            match file.write(&[0; 512]) {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOSPC) => return Ok(()),
                Err(e) => return Err(fail(e)),
            }
        }
    }

    /// Gives the space back. No harm if none was taken.
    pub(super) fn empty(&self, disk: &DataDisk) -> Result<(), String> {
        let filler = self.place(disk)?.join(FILLER);
        match fs::remove_file(&filler) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(format!("cannot remove {}: {e}", filler.display())),
            _ => Ok(()),
        }
    }

    /// Makes a disk take no more writes, or take them again. To make it read-only nobody may have files open for writing on it.
    pub(super) fn set_read_only(&self, disk: &DataDisk, read_only: bool) -> Result<(), String> {
        self.run_when_free(&["mount", "-o", if read_only { "remount,ro" } else { "remount,rw" }], &self.place(disk)?)
    }

    /// Loses everything that was written to a disk and not synced. It is of no use until it is mounted anew.
    #[allow(unsafe_code, reason = "no library has this ioctl")]
    pub(super) fn cut_power(&self, disk: &DataDisk) -> Result<(), String> {
        let place = self.place(disk)?;
        if !is_mounted(&place)? {
            return Err(format!("{} is not mounted", place.display()));
        }
        let fail = |e: io::Error| format!("cannot shut down the file system on {}: {e}", place.display());
        let directory = File::open(&place).map_err(fail)?;
        let flag = SHUTDOWN_WITHOUT_FLUSH;
        // SAFETY: the descriptor is open, and the call reads four bytes from a value that outlives it.
        match unsafe { libc::ioctl(directory.as_raw_fd(), SHUTDOWN, &raw const flag) } {
            0 => Ok(()),
            _ => Err(fail(io::Error::last_os_error())),
        }
    }

    fn place(&self, disk: &DataDisk) -> Result<PathBuf, String> {
        self.home.below(&disk.at)
    }

    fn image(&self, disk: &DataDisk) -> Result<PathBuf, String> {
        self.home.below(&format!("{}.image", disk.at))
    }

    /// Does something with a mount, again and again while it is still in use.
    fn run_when_free(&self, tool: &[&str], place: &Path) -> Result<(), String> {
        let deadline = Instant::now() + BUSY_WITHIN;
        loop {
            match self.run(tool, &[place]) {
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
                done => return done,
            }
        }
    }

    fn run(&self, tool: &[&str], paths: &[&Path]) -> Result<(), String> {
        let words = tool.iter().map(|word| (*word).to_owned()).chain(paths.iter().map(|path| path.display().to_string()));
        let command = Command::new(words);
        let output = self.running.run(&command, self.home.root())?;
        if output.success() { Ok(()) } else { Err(format!("`{command}` failed: {}", output.complaint())) }
    }
}

/// The disk of a program, or that it has none.
pub(super) fn of(program: &Program) -> Result<&DataDisk, String> {
    program.own.disk.as_ref().ok_or_else(|| format!("{} has no disk of its own on this node", program.name))
}

/// The image that would be mounted on this place if it were one of ours.
fn image_of(place: &Path) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(".image");
    name.into()
}

fn is_mounted(place: &Path) -> Result<bool, String> {
    Ok(mounts()?.iter().any(|mounted| mounted == place))
}

/// Where something is mounted, the latest first.
fn mounts() -> Result<Vec<PathBuf>, String> {
    let text = fs::read_to_string("/proc/self/mountinfo").map_err(|e| format!("cannot see what is mounted: {e}"))?;
    // The fifth field of proc(5), with blanks and the like as \040.
    let place = |line: &str| line.split(' ').nth(4).map(|field| PathBuf::from(unescape(field)));
    Ok(text.lines().rev().filter_map(place).collect())
}

fn unescape(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                text.push(char::from(byte));
                text.push_str(&part[3..]);
            }
            None => text.push_str(part),
        }
    }
    text
}

/// How much more may be written to the file system of this path.
fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Makes a file longer, with blocks of its own; whether there was room.
fn extend(file: &File, bytes: u64) -> io::Result<bool> {
    let length = file.metadata()?.len();
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), length, bytes) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::NOSPC) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awkward_names_of_mounts_are_read() {
        assert_eq!(unescape(r"/a\040b\134c"), r"/a b\c");
        assert_eq!(unescape(r"/plain"), "/plain");
        assert_eq!(unescape(r"/odd\9"), "/odd9");
        assert!(mounts().unwrap().contains(&PathBuf::from("/proc")));
    }
}

//! Processes by an identity that is never reused, and namespaces by who is in them.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// One process, for ever: a pid alone may belong to somebody else by the time it is read back from a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessId {
    /// Its number in the namespace of whoever runs the lab.
    pub(super) pid: i32,
    /// When it began, in the kernel's ticks since boot.
    started: u64,
    /// Which boot: pids and ticks begin anew with each.
    boot: String,
}

impl ProcessId {
    /// The identity of a process that runs now.
    pub(super) fn of(pid: i32) -> io::Result<ProcessId> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let started = start_time(&stat).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat cannot be read")))?;
        Ok(ProcessId { pid, started, boot: fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().into() })
    }

    /// A handle on the process, if it is still the same one and has not ended.
    pub(super) fn open(&self) -> Option<Handle> {
        let handle = Handle::open(self.pid)?;
        // Opened first and compared then: from here on the number cannot become somebody else's.
        (ProcessId::of(self.pid).ok()? == *self && !handle.has_ended(Duration::ZERO)).then_some(handle)
    }
}

/// The 22nd field of `/proc/PID/stat`. The second is the program's name in brackets and may hold anything.
fn start_time(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// A handle (pidfd) on one process.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) pid: i32,
    fd: OwnedFd,
}

impl Handle {
    /// A handle on whichever process has this number now.
    pub(super) fn open(pid: i32) -> Option<Handle> {
        let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Handle { pid, fd })
    }

    /// Sends a signal. No harm if the process has ended.
    pub(super) fn signal(&self, signal: Signal) {
        // The only errors are "it has ended", and "not permitted", which root never sees.
        let _ = pidfd_send_signal(&self.fd, signal);
    }

    /// Whether it has ended, or ends within this time. For the first process of a pid namespace this means that every
    /// process in there has ended too.
    pub(super) fn has_ended(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return false,
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => return true,
            }
        }
    }
}

/// Kills processes and waits until they are gone; gives the numbers of those that are not by then.
pub(super) fn kill_all(handles: &[Handle], within: Duration) -> Vec<i32> {
    for handle in handles {
        handle.signal(Signal::KILL);
    }
    await_end(handles, within)
}

/// Waits until processes have ended; gives the numbers of those that have not by then.
pub(super) fn await_end(handles: &[Handle], within: Duration) -> Vec<i32> {
    let deadline = Instant::now() + within;
    handles.iter().filter(|h| !h.has_ended(deadline.saturating_duration_since(Instant::now()))).map(|h| h.pid).collect()
}

/// Which namespace: the device and inode of its file. Unique among the namespaces that exist at one time; a number is used
/// again once its namespace is gone, so hold the file open while comparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct NamespaceId {
    device: u64,
    inode: u64,
}

impl NamespaceId {
    /// The namespace of a process, of this kind: `net`, `pid`, `mnt`.
    pub(super) fn of(pid: &str, kind: &str) -> io::Result<NamespaceId> {
        fs::metadata(format!("/proc/{pid}/ns/{kind}")).map(|m| NamespaceId { device: m.dev(), inode: m.ino() })
    }

    /// The namespace behind an open file of `/proc/PID/ns`.
    pub(super) fn of_file(file: &fs::File) -> io::Result<NamespaceId> {
        file.metadata().map(|m| NamespaceId { device: m.dev(), inode: m.ino() })
    }
}

/// All processes in one of these namespaces of a kind, in order.
pub(super) fn in_namespaces(kind: &str, namespaces: &BTreeSet<NamespaceId>) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| NamespaceId::of(&pid.to_string(), kind).is_ok_and(|id| namespaces.contains(&id)))
        .collect();
    pids.sort_unstable();
    pids
}

/// The memory that processes hold together, in bytes: what they share is counted once.
pub(super) fn memory_bytes(pids: &[i32]) -> u64 {
    let of = |pid: &i32| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    pids.iter().filter_map(of).sum::<u64>() * 1024
}

/// How many threads this process has.
pub(super) fn thread_count() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// Replaces a standard stream of this process by `/dev/null`.
pub(super) fn forget_stdin() -> io::Result<()> {
    let null = fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(null.as_fd())?;
    Ok(())
}

/// Where a program is; `PATH` may be empty or lack the folders of administrators.
pub(super) fn find_program(program: &str, folders: &[&str]) -> Option<std::path::PathBuf> {
    folders
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| fs::metadata(path).is_ok_and(|m| m.is_file() && m.mode() & 0o111 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn start_times_are_read_past_odd_names() {
        let fields: Vec<String> = (4..=30).map(|n| n.to_string()).collect();
        assert_eq!(start_time(&format!("7 (a) b) R {}", fields.join(" "))), Some(22));
        assert_eq!(start_time("7 (a"), None);
        assert_eq!(start_time("7 (a) R 1"), None);
    }

    #[test]
    fn a_process_is_known_by_more_than_its_number() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId::of(child.id() as i32).unwrap();
        let other = ProcessId { started: id.started + 1, ..id.clone() };
        let earlier = ProcessId { boot: "another".into(), ..id.clone() };
        assert!(id.open().is_some() && other.open().is_none() && earlier.open().is_none());

        let handle = id.open().unwrap();
        assert!(!handle.has_ended(Duration::ZERO));
        assert_eq!(await_end(std::slice::from_ref(&handle), Duration::from_millis(1)), [id.pid]);
        assert!(kill_all(&[handle], Duration::from_secs(5)).is_empty());
        assert!(id.open().is_none(), "ended, though not yet waited for");
        child.wait().unwrap();
        assert!(id.open().is_none());
    }

    #[test]
    fn this_process_is_in_its_namespace() {
        let mine = BTreeSet::from([NamespaceId::of("self", "net").unwrap()]);
        assert!(in_namespaces("net", &mine).contains(&(std::process::id() as i32)));
        assert!(in_namespaces("net", &BTreeSet::new()).is_empty());
        assert!(memory_bytes(&[std::process::id() as i32]) > 0);
    }

    #[test]
    fn programs_are_found_where_administrators_keep_them() {
        assert_eq!(find_program("sh", &["/nowhere", "/bin"]), Some("/bin/sh".into()));
        assert_eq!(find_program("no-such-program", &["/bin"]), None);
        assert_eq!(find_program("passwd", &["/etc"]), None, "not executable");
    }
}

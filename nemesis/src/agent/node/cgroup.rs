//! Control groups of programs' own: how much memory and processor time their processes may take together.
//!
//! Version 2 where the kernel has it and its root lets groups have the controller, version 1 elsewhere. A program's processes are put into
//! its groups when it starts and never moved: what a process took before it is moved stays charged to where it was, and a limit
//! would not touch that. A limit is a fault and is undone; the groups go when the program is stopped for good.

use crate::agent::protocol::group::Resource;
use crate::agent::protocol::group::Usage;
use crate::agent::protocol::group::read_usage;
use crate::command::Program;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The least memory that is left to a program.
const MEMORY_BYTES_MIN: u64 = 4 << 20;

/// What processor time is given out in: a share of so many microseconds, again and again. The least that is given.
const PERIOD_US: u64 = 100_000;
const QUOTA_US_MIN: u64 = 1_000;

/// How long a group is waited for whose processes were killed.
const EMPTY_WITHIN: Duration = Duration::from_secs(3);

/// How old an empty group must be to be taken for one that nobody will use again.
const ABANDONED_AFTER: Duration = Duration::from_mins(10);

/// A journal entry: a program is given less of something than it wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Squeezed {
    /// The program, and how to start it again: memory that it cannot have may have ended it.
    pub program: Program,
    /// Of what.
    pub resource: Resource,
}

impl Squeezed {
    /// In words, for whoever is told that it was undone.
    pub(super) fn describe(&self) -> String {
        format!("the {} of {} was limited", self.resource.controller(), self.program.name)
    }
}

/// A group under one controller.
struct Group {
    path: PathBuf,
    resource: Resource,
    /// Whether it is of version 2.
    unified: bool,
}

/// Puts processes into the groups of a program.
pub(super) struct Entrance {
    files: Vec<File>,
}

impl Entrance {
    /// Moves the calling process in. Async-signal-safe: writes to open files and does nothing else.
    pub(super) fn enter(&self) -> io::Result<()> {
        // `0` is whoever writes it.
        self.files.iter().try_for_each(|file| rustix::io::write(file, b"0").map(drop).map_err(io::Error::from))
    }
}

/// The groups of a program, or that it has none.
pub(super) fn of(program: &Program) -> Result<&str, String> {
    program.own.groups.as_deref().ok_or_else(|| format!("{} has no control groups of its own on this node", program.name))
}

/// Removes groups of ours that nobody is in any more: those of hosts that share this kernel and were taken down without a word.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with("rashomon-");
        // One that was made just now may be empty because its program is about to start.
        let old =
            entry.metadata().and_then(|found| found.modified()).is_ok_and(|made| made.elapsed().is_ok_and(|age| age > ABANDONED_AFTER));
        if ours && old {
            // The kernel refuses to remove one that has processes.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Makes the groups of this name if need be, and opens their doors.
pub(super) fn make(name: &str) -> Result<Entrance, String> {
    let mut files = Vec::new();
    for group in groups(name)? {
        group.path.parent().map(sweep).unwrap_or_default();
        let fail = |e: io::Error| format!("cannot make the control group {}: {e}", group.path.display());
        match fs::create_dir(&group.path) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(fail(e)),
            _ => files.push(OpenOptions::new().write(true).open(group.path.join("cgroup.procs")).map_err(fail)?),
        }
    }
    Ok(Entrance { files })
}

/// Removes the groups of this name, once no process is left in them. No harm if there are none.
pub(super) fn remove(name: &str) -> Result<(), String> {
    // Where none can be made there is none.
    let Ok(groups) = groups(name) else { return Ok(()) };
    let deadline = Instant::now() + EMPTY_WITHIN;
    for group in groups {
        loop {
            match fs::remove_dir(&group.path) {
                Ok(()) => break,
                Err(e) if e.kind() == ErrorKind::NotFound => break,
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                Err(e) => return Err(format!("cannot remove the control group {}: {e}", group.path.display())),
            }
        }
    }
    Ok(())
}

/// Whether groups can be made on this node; makes some and removes them.
pub(super) fn try_out(name: &str) -> Result<(), String> {
    let made = make(name).map(drop);
    let removed = remove(name);
    made.and(removed)
}

/// Limits a program to this share, in thousandths, of the memory that it has now, or of one processor.
pub(super) fn limit(name: &str, resource: Resource, thousandths: u32) -> Result<(), String> {
    let group = group(name, resource)?;
    let share = |whole: u64| whole / 1000 * u64::from(thousandths);
    match resource {
        Resource::Cpu => group.set_quota(Some(share(PERIOD_US).max(QUOTA_US_MIN))),
        Resource::Memory => {
            let used = group.usage()?.used;
            let wanted = share(used).max(MEMORY_BYTES_MIN);
            // Version 1 refuses less than can be taken away now: then as little as it lets.
            let steps = [0, 1, 2, 3, 4, 5, 6, 7].map(|step| wanted + used.saturating_sub(wanted) / 4 * step);
            let mut refused = String::new();
            for bytes in steps {
                match group.set_memory(Some(bytes)) {
                    Ok(()) => return Ok(()),
                    Err(why) => refused = why,
                }
            }
            Err(refused)
        }
    }
}

/// Takes a limit away. No harm if there is none.
pub(super) fn unlimit(name: &str, resource: Resource) -> Result<(), String> {
    let group = group(name, resource)?;
    match resource {
        // The host has crashed and its groups with it, or the program was stopped.
        _ if !group.path.exists() => Ok(()),
        Resource::Cpu => group.set_quota(None),
        Resource::Memory => group.set_memory(None),
    }
}

fn groups(name: &str) -> Result<[Group; 2], String> {
    Ok([group(name, Resource::Memory)?, group(name, Resource::Cpu)?])
}

fn group(name: &str, resource: Resource) -> Result<Group, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.starts_with("rashomon-") || name.len() > 128 || !name.chars().all(plain) {
        return Err(format!("{name:?} is no name of a control group of ours"));
    }
    let text = fs::read_to_string("/proc/self/mountinfo").map_err(|e| format!("cannot see what is mounted: {e}"))?;
    let (root, unified) = root(&text, resource.controller(), |root| has_controller(root, resource.controller()))?;
    Ok(Group { path: root.join(name), resource, unified })
}

/// Whether groups below the root of version 2 have a controller.
fn has_controller(root: &Path, controller: &str) -> bool {
    let text = fs::read_to_string(root.join("cgroup.subtree_control")).unwrap_or_default();
    text.split_ascii_whitespace().any(|word| word == controller)
}

/// Where the groups of a controller are, and whether they are of version 2.
fn root(mountinfo: &str, controller: &str, offers: impl Fn(&Path) -> bool) -> Result<(PathBuf, bool), String> {
    let mut unified = None;
    for line in mountinfo.lines() {
        // proc(5): some fields, a dash, the kind of file system, its source, its options.
        let Some((mount, kind)) = line.split_once(" - ") else { continue };
        let place = mount.split(' ').nth(4).map(PathBuf::from).unwrap_or_default();
        let mut kind = kind.split(' ');
        match (kind.next(), kind.nth(1)) {
            (Some("cgroup2"), _) if offers(&place) => return Ok((place, true)),
            (Some("cgroup2"), _) => unified = Some(place),
            _ => {}
        }
    }
    for line in mountinfo.lines() {
        let Some((mount, kind)) = line.split_once(" - cgroup ") else { continue };
        if kind.split(' ').nth(1).is_some_and(|options| options.split(',').any(|option| option == controller)) {
            return Ok((mount.split(' ').nth(4).map(PathBuf::from).unwrap_or_default(), false));
        }
    }
    Err(match unified {
        Some(root) => format!(
            "the control groups in {} have no {controller}: write +{controller} into {}/cgroup.subtree_control, or run on a host that boots with systemd",
            root.display(),
            root.display()
        ),
        None => format!("no control groups for {controller} are mounted on this node: mount -t cgroup2 none /sys/fs/cgroup"),
    })
}

impl Group {
    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.path.join(file);
        fs::write(&path, text).map_err(|e| format!("cannot write {text} to {}: {e}", path.display()))
    }

    fn read(&self, file: &str) -> Result<String, String> {
        let path = self.path.join(file);
        fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))
    }

    fn set_memory(&self, bytes: Option<u64>) -> Result<(), String> {
        match (self.unified, bytes) {
            (true, bytes) => self.write("memory.max", &bytes.map_or_else(|| "max".into(), |bytes| bytes.to_string())),
            (false, bytes) => self.write("memory.limit_in_bytes", &bytes.map_or_else(|| "-1".into(), |bytes| bytes.to_string())),
        }
    }

    fn set_quota(&self, quota_us: Option<u64>) -> Result<(), String> {
        if self.unified {
            let quota = quota_us.map_or_else(|| "max".into(), |quota| quota.to_string());
            return self.write("cpu.max", &format!("{quota} {PERIOD_US}"));
        }
        self.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
        self.write("cpu.cfs_quota_us", &quota_us.map_or_else(|| "-1".into(), |quota| quota.to_string()))
    }

    fn usage(&self) -> Result<Usage, String> {
        let files = files(self.resource, self.unified).map(|file| self.read(file));
        let [limit, used, reached] = files;
        Ok(read_usage(self.resource, &limit?, &used?, &reached?))
    }
}

/// The files that tell a group's usage: the limit, what is used, how often the limit was reached.
fn files(resource: Resource, unified: bool) -> [&'static str; 3] {
    match (resource, unified) {
        (Resource::Memory, true) => ["memory.max", "memory.current", "memory.events"],
        (Resource::Memory, false) => ["memory.limit_in_bytes", "memory.usage_in_bytes", "memory.failcnt"],
        (Resource::Cpu, true) => ["cpu.max", "cpu.stat", "cpu.stat"],
        (Resource::Cpu, false) => ["cpu.cfs_quota_us", "cpu.stat", "cpu.stat"],
    }
}

/// Where the files of a group are, for somebody else to read: the limit, what is used, how often the limit was reached.
pub(super) fn paths(name: &str, resource: Resource) -> Result<[String; 3], String> {
    let group = group(name, resource)?;
    Ok(files(resource, group.unified).map(|file| group.path.join(file).display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "30 29 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                      31 29 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
                      32 29 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn version_2_is_taken_where_it_has_the_controller() {
        let root =
            |text: &str, controller: &str, v2: bool| root(text, controller, |_| v2).map(|(path, v2)| (path.display().to_string(), v2));
        assert_eq!(root(V1, "memory", true), Ok(("/sys/fs/cgroup/unified".into(), true)));
        assert_eq!(root(V1, "memory", false), Ok(("/sys/fs/cgroup/memory".into(), false)));
        assert_eq!(root(V1, "cpu", false), Ok(("/sys/fs/cgroup/cpu".into(), false)));
        assert!(root(V1, "io", false).unwrap_err().contains("write +io into /sys/fs/cgroup/unified/cgroup.subtree_control"));
        assert!(root("", "cpu", false).unwrap_err().contains("no control groups for cpu are mounted"));
    }

    #[test]
    fn both_versions_say_what_is_used() {
        let memory = |limit, used, reached| read_usage(Resource::Memory, limit, used, reached);
        let usage = |limit, used, reached| Usage { limit, used, reached };
        assert_eq!(memory("max\n", "4096\n", "low 0\nhigh 0\nmax 7\noom 0\n"), usage(None, 4096, 7));
        assert_eq!(memory("max\n", "4096\n", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 5\n"), usage(None, 4096, 9));
        assert_eq!(memory("9223372036854771712\n", "4096\n", "3\n"), usage(None, 4096, 3));
        assert_eq!(memory("65536\n", "4096\n", "3\n"), usage(Some(65536), 4096, 3));
        let cpu = |limit, stat| read_usage(Resource::Cpu, limit, stat, stat);
        assert_eq!(cpu("max 100000\n", "usage_usec 12\nnr_periods 5\nnr_throttled 4\n"), usage(None, 12, 4));
        assert_eq!(cpu("5000 100000\n", "usage_usec 12\nnr_throttled 4\n"), usage(Some(5000), 12, 4));
        assert_eq!(cpu("-1\n", "nr_periods 5\nnr_throttled 4\nthrottled_time 99\n"), usage(None, 0, 4));
    }

    #[test]
    fn only_groups_of_ours_have_names() {
        for name in ["system.slice", "rashomon-../x", "", "rashomon-a b"] {
            assert!(group(name, Resource::Cpu).is_err(), "{name}");
        }
    }
}

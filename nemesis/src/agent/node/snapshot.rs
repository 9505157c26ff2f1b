//! What a node is like: everything that a run may touch, or that a careless one could damage. Two snapshots of a node are alike if,
//! and only if, a run left no trace.
//!
//! It is taken by looking only. Counters, times and numbers of processes are left out: they change by themselves. A tool that is
//! missing is itself noted, so that its disappearance shows.

use super::{system_clock, time_daemon};
use crate::agent::protocol::snapshot::Snapshot;
use crate::agent::protocol::snapshot::Topic;
use crate::command::Command;
use crate::exec::{Running, find};
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a tool may take.
const TOOL_WITHIN: Duration = Duration::from_secs(10);

/// The most of one topic that is kept line by line; what is beyond is kept as a hash.
const TOPIC_BYTES_MAX: usize = 400_000;

/// The longest line that is kept of a process: its arguments may be long.
const LINE_CHARS_MAX: usize = 400;

/// What of the agent's directory is not compared: programs of several builds, the lock, and the list of what was touched.
const LEFT_OUT: [&str; 5] = ["bin", "lock", "lock.holder", "footprint", "footprint.part"];

/// Looks at this node. Of control groups only those of these names are looked for: every node on the kernel sees all.
pub(super) fn take(directory: &Path, running: &Running, groups: &[String]) -> Snapshot {
    let tool = |argv: &[&str]| said(running, argv);
    let topics = [
        (Topic::Nft, tool(&["nft", "-s", "list", "ruleset"]).map_or_else(absent, |text| with_places(&text))),
        (Topic::Iptables, tool(&["iptables-save"]).map_or_else(absent, |text| without_counters(&text))),
        (Topic::Ip6tables, tool(&["ip6tables-save"]).map_or_else(absent, |text| without_counters(&text))),
        (Topic::Qdiscs, qdiscs(&tool)),
        (Topic::Mounts, mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())),
        (Topic::Processes, processes(directory)),
        (Topic::TimeDaemon, time_daemons()),
        (Topic::ClockRate, if time_daemons().is_empty() { system_clock::rate() } else { Vec::new() }),
        (Topic::Files, files(directory)),
        (Topic::Cgroups, cgroups(groups)),
    ];
    let topics = topics.into_iter().map(|(topic, lines)| (topic, bounded(lines))).collect();
    Snapshot { directory: directory.display().to_string(), topics }
}

/// What a tool says; a sentence if it says nothing that can be used.
fn said(running: &Running, argv: &[&str]) -> Result<String, String> {
    let (name, arguments) = argv.split_first().ok_or("no command")?;
    let tool = find(name).ok_or_else(|| format!("({name} is not on this node)"))?;
    let command = Command::new(std::iter::once(tool.as_str()).chain(arguments.iter().copied())).timeout(TOOL_WITHIN);
    let output = running.run(&command, Path::new("/"))?;
    if !output.success() {
        // The words may hold numbers that change: that it fails is what is compared.
        return Err(format!("({name} fails on this node)"));
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.truncated {
        text.push_str("(only the beginning of a very long answer is compared)\n");
    }
    Ok(text)
}

fn absent(why: String) -> Vec<String> {
    vec![why]
}

/// The lines of `nft list ruleset`, each with the table and the chain or set that it stands in.
fn with_places(text: &str) -> Vec<String> {
    let mut place: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line == "}" {
            place.pop();
            continue;
        }
        let opens = line.strip_suffix('{').map(str::trim);
        lines.push(place.iter().copied().chain([opens.unwrap_or(line)]).collect::<Vec<_>>().join(" / "));
        place.extend(opens);
    }
    lines
}

/// The lines of `iptables-save`, without its comments (they hold the time) and counters.
fn without_counters(text: &str) -> Vec<String> {
    let is_kept = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let plain = |line: &str| match line.rsplit_once(" [") {
        Some((chain, _)) if line.starts_with(':') => chain.to_owned(),
        _ => line.to_owned(),
    };
    let mut table = String::new();
    let mut lines = Vec::new();
    for line in text.lines().filter(is_kept) {
        match line.strip_prefix('*') {
            Some(name) => table = name.into(),
            None if line == "COMMIT" => {}
            None => lines.push(format!("{table} {}", plain(line))),
        }
    }
    lines
}

fn qdiscs(tool: &impl Fn(&[&str]) -> Result<String, String>) -> Vec<String> {
    let mut lines: Vec<String> = match tool(&["tc", "qdisc", "show"]) {
        Ok(text) => text.lines().map(without_references).collect(),
        Err(why) => return absent(why),
    };
    let devices = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    for device in devices.lines().filter_map(|line| line.split_once(':')).map(|(device, _)| device.trim()) {
        for what in ["class", "filter"] {
            let text = tool(&["tc", what, "show", "dev", device]).unwrap_or_else(|why| why);
            lines.extend(text.lines().filter(|line| !line.trim().is_empty()).map(|line| format!("{what} on {device}: {}", line.trim())));
        }
    }
    lines
}

/// A qdisc as `tc` shows it, without the number of those who hold it.
fn without_references(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let skipped = words.iter().position(|word| *word == "refcnt");
    let kept = words.iter().enumerate().filter(|(i, _)| skipped.is_none_or(|at| *i != at && *i != at + 1));
    kept.map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
}

/// `/proc/self/mountinfo` without numbers that are given anew, and without what comes and goes with logins.
fn mounts(text: &str) -> Vec<String> {
    let one = |line: &str| {
        let (mount, kind) = line.split_once(" - ")?;
        // Number, parent, device, root, mount point, options, and what is shared with whom.
        let fields: Vec<&str> = mount.split(' ').collect();
        let [_, _, _, root, point, options, ..] = fields[..] else { return None };
        // An overlay shows this if it was mounted for the first time, and no longer after a boot.
        let kind = kind.replace(",uuid=on", "");
        (!point.starts_with("/run/user/")).then(|| format!("{point} is {root} of {kind} ({options})"))
    };
    text.lines().filter_map(one).collect()
}

fn processes(directory: &Path) -> Vec<String> {
    let own = ancestors(std::process::id());
    let mut lines: Vec<String> = numbers().into_iter().filter(|pid| !own.contains(pid)).filter_map(|pid| line_of(pid, directory)).collect();
    lines.sort();
    lines
}

fn numbers() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A process and those that it descends from: whoever looks is not part of the picture, nor sudo, nor sshd.
fn ancestors(pid: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut next = Some(pid);
    while let Some(pid) = next.filter(|pid| *pid > 1 && found.insert(*pid)) {
        next = status(pid, "PPid:").and_then(|parent| parent.parse().ok());
    }
    found
}

/// A field of `/proc/PID/status`.
fn status(pid: u32, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}

/// How a process is written down; `None` if it is none of ours and runs.
fn line_of(pid: u32, directory: &Path) -> Option<String> {
    let state = status(pid, "State:")?;
    if state.starts_with(['Z', 'X']) {
        return None;
    }
    let stopped = if state.starts_with('T') { "stopped: " } else { "" };
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments: Vec<String> =
        arguments.split(|&b| b == 0).filter(|a| !a.is_empty()).map(|a| String::from_utf8_lossy(a).into_owned()).collect();
    let below = |link: &str| fs::read_link(format!("/proc/{pid}/{link}")).is_ok_and(|path| path.starts_with(directory));
    let named = arguments.iter().any(|argument| argument.contains(&*directory.to_string_lossy()));
    if named || below("exe") || below("cwd") || is_marked(pid) {
        return Some(format!("{stopped}{}", arguments.join(" ").chars().take(LINE_CHARS_MAX).collect::<String>()));
    }
    // Of somebody else's only the name: arguments may hold secrets.
    (!stopped.is_empty()).then(|| format!("{stopped}{}", status(pid, "Name:").unwrap_or_default()))
}

fn is_marked(pid: u32) -> bool {
    let mark = format!("{}=", super::process::MARK);
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|all| all.split(|&b| b == 0).any(|variable| variable.starts_with(mark.as_bytes())))
}

fn time_daemons() -> Vec<String> {
    let mut found: Vec<String> =
        numbers().into_iter().filter_map(|pid| status(pid, "Name:")).filter(|name| time_daemon::NAMES.contains(&name.as_str())).collect();
    found.sort();
    found.dedup();
    found
}

/// Every file below a directory. Links are not followed.
fn files(directory: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Vec<PathBuf> = vec![directory.to_path_buf()];
    while let Some(folder) = open.pop() {
        let mut names: Vec<PathBuf> = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        names.sort();
        for path in names {
            let relative = path.strip_prefix(directory).unwrap_or(&path);
            if LEFT_OUT.iter().any(|name| relative == Path::new(name)) {
                continue;
            }
            // What vanishes while it is looked at is not there.
            let Ok(found) = fs::symlink_metadata(&path) else { continue };
            let content = if found.is_file() {
                fs::read(&path).map_or("cannot be read".into(), |content| format!("{} bytes, hash {:016x}", content.len(), hash(&content)))
            } else if found.is_dir() {
                open.push(path.clone());
                "folder".into()
            } else {
                fs::read_link(&path).map_or("special file".into(), |to| format!("link to {}", to.display()))
            };
            let mode = found.permissions().mode() & 0o7777;
            lines.push(format!("{}: {content}, mode {mode:o}, owner {}:{}", relative.display(), found.uid(), found.gid()));
        }
    }
    lines
}

/// Control groups of these names, in either version's tree.
fn cgroups(names: &[String]) -> Vec<String> {
    const DEPTH_MAX: usize = 4;
    let root = Path::new("/sys/fs/cgroup");
    let mut lines = Vec::new();
    let mut open = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()) {
            if path.file_name().is_some_and(|name| names.iter().any(|ours| name == ours.as_str())) {
                lines.push(path.display().to_string());
            } else if depth < DEPTH_MAX {
                open.push((path, depth + 1));
            }
        }
    }
    lines.sort();
    lines
}

/// Tells contents apart that differ by accident; nobody attacks it.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// The first lines, and a hash of all others.
fn bounded(mut lines: Vec<String>) -> Vec<String> {
    let mut bytes = 0;
    let fits = lines.iter().take_while(|line| {
        bytes += line.len();
        bytes <= TOPIC_BYTES_MAX
    });
    let fits = fits.count();
    if fits < lines.len() {
        let rest = lines.split_off(fits);
        lines.push(format!("({} more lines, hash {:016x})", rest.len(), hash(rest.join("\n").as_bytes())));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn rules_stand_with_their_place_and_without_counters() {
        let nft = "table inet foreign {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n\n\tchain in {\n\t\ttcp dport 9 drop\n\t}\n}\n";
        assert_eq!(
            with_places(nft),
            [
                "table inet foreign",
                "table inet foreign / set s",
                "table inet foreign / set s / type ipv4_addr",
                "table inet foreign / chain in",
                "table inet foreign / chain in / tcp dport 9 drop"
            ]
        );
        let saved = "# Generated on Fri\n*filter\n:INPUT ACCEPT [12:3456]\n-A INPUT -m comment --comment \"a [b\" -j DROP\nCOMMIT\n";
        assert_eq!(without_counters(saved), ["filter :INPUT ACCEPT", "filter -A INPUT -m comment --comment \"a [b\" -j DROP"]);
        assert_eq!(without_references("qdisc noqueue 0: dev lo root refcnt 2 "), "qdisc noqueue 0: dev lo root");
    }

    #[test]
    fn mounts_are_told_by_what_lasts() {
        let text =
            "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n40 1 0:3 / /run/user/0 rw - tmpfs tmpfs rw\n";
        assert_eq!(mounts(text), ["/mnt2 is /mnt1 of ext3 /dev/root rw,errors=continue (rw,noatime)"]);
    }

    #[test]
    fn every_byte_mode_and_name_of_a_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etcd/data");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "abc").unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let before = files(folder.path());
        assert_eq!(before.len(), 2, "{before:?}");
        assert_eq!(files(folder.path()), before);
        fs::write(&path, "abd").unwrap();
        assert_ne!(files(folder.path()), before);
        fs::write(&path, "abc").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_ne!(files(folder.path()), before);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(folder.path().join("bin/rashomon-1"), "").unwrap();
        assert_eq!(files(folder.path()), before, "programs of other builds do not count");
    }

    #[test]
    fn a_process_that_names_the_directory_is_seen_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let before = processes(folder.path());
        let mut child = std::process::Command::new("sh")
            .args(["-c", "echo; read x", "sh", &folder.path().display().to_string()])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // Its arguments can be read a moment after it was started only: once it runs, they can.
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let seen = processes(folder.path());
        child.kill().unwrap();
        child.wait().unwrap();
        // Other tests have programs of their own at the same time.
        let name = folder.path().display().to_string();
        let named = |lines: &[String]| lines.iter().filter(|line| line.contains(&name)).count();
        assert_eq!([named(&before), named(&seen), named(&processes(folder.path()))], [0, 1, 0], "{seen:?}");
    }

    #[test]
    fn what_is_too_long_is_kept_as_a_hash() {
        let lines = |last: &str| (0..50_000).map(|i| format!("line number {i}")).chain([last.to_owned()]).collect::<Vec<_>>();
        let (a, b) = (bounded(lines("x")), bounded(lines("y")));
        assert!(a.iter().map(String::len).sum::<usize>() < TOPIC_BYTES_MAX + 100 && a != b && a == bounded(lines("x")));
    }
}

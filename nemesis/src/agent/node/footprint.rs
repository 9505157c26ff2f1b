//! Everything that a run touched on this node: files, processes, rules, qdiscs, clocks, and the commands it ran.
//!
//! It is a file of the agent's directory with one JSON object per line, begun anew by each run, so that it outlives agents that are
//! killed and hosts that crash. It is for people to read, and nothing is undone by it: that is the journal's work. So a line that
//! cannot be written, because the disk is full, is missed and hinders nobody.

use super::journal::Entry;
use super::{files, firewall, packets};
use crate::agent::protocol::Request;
use crate::agent::protocol::touch::Touch;
use crate::command::shell_line;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The kind of control groups.
const CGROUP: &str = "cgroup";

/// The most that is kept: a run touches the same few things again and again.
const TOUCHES_MAX: usize = 10_000;

/// The list of what was touched.
#[derive(Debug)]
pub(super) struct Footprint {
    path: PathBuf,
    touches: Vec<Touch>,
}

impl Footprint {
    /// Reads what an earlier agent of the run noted.
    pub(super) fn open(directory: &Path) -> Footprint {
        let path = directory.join(files::FOOTPRINT);
        let text = fs::read_to_string(&path).unwrap_or_default();
        // A line that was cut short by a crash or a full disk is skipped.
        let touches = text.lines().filter_map(|line| serde_json::from_str(line).ok()).take(TOUCHES_MAX).collect();
        Footprint { path, touches }
    }

    /// A new run begins: what the one before touched is forgotten.
    pub(super) fn begin(&mut self) {
        self.touches.clear();
        let _ = fs::remove_file(&self.path);
    }

    /// Everything so far, each thing once, in the order in which it was first touched.
    pub(super) fn touches(&self) -> &[Touch] {
        &self.touches
    }

    /// The control groups among them, by name: others on the same kernel have theirs.
    pub(super) fn cgroups(&self) -> Vec<String> {
        self.touches.iter().filter(|touch| touch.kind == CGROUP).map(|touch| touch.what.clone()).collect()
    }

    /// Notes some things, each if it is new.
    pub(super) fn note(&mut self, touches: impl IntoIterator<Item = Touch>) {
        for touch in touches {
            if self.touches.len() >= TOUCHES_MAX || self.touches.contains(&touch) {
                continue;
            }
            if let Ok(line) = serde_json::to_string(&touch) {
                let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path);
                let _ = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
            }
            self.touches.push(touch);
        }
    }
}

/// What an agent touches by being there.
pub(super) fn of_agent(directory: &Path) -> Vec<Touch> {
    let mut touches: Vec<Touch> = ["journal", "lock", "lock.holder", "processes", files::FOOTPRINT]
        .into_iter()
        .map(|name| Touch::new("file", directory.join(name).display().to_string()))
        .collect();
    if let Ok(program) = std::env::current_exe() {
        touches.push(Touch::new("file", program.display().to_string()));
        touches.push(Touch::new("process", format!("{} agent", program.display())));
    }
    touches
}

/// What a request touches whatever comes of it. Those that only look touch nothing; faults are noted by their entries in the journal.
pub(super) fn of_request(request: &Request, directory: &Path) -> Vec<Touch> {
    let place = |path: &str| directory.join(path).display().to_string();
    match request {
        Request::Run(command) => vec![Touch::new("command", command.to_string())],
        Request::Finish { path, .. } => vec![Touch::new("file", place(path))],
        Request::RemoveTree { path } => vec![Touch::new("file", format!("{} (removed, with all below it)", place(path)))],
        Request::Pack { to, .. } => vec![Touch::new("file", place(to))],
        Request::Start(program) => {
            let mut touches = vec![Touch::new("process", shell_line(&program.argv)), Touch::new("file", place(&program.log))];
            if let Some(disk) = &program.own.disk {
                touches.push(Touch::new("mount", format!("{0}, which is in the file {0}.image", place(&disk.at))));
            }
            touches.extend(program.own.groups.iter().map(|name| Touch::new(CGROUP, name)));
            touches
        }
        Request::Stop { name } => vec![Touch::new("process", format!("{name} (ended)"))],
        _ => Vec::new(),
    }
}

/// What a fault touches.
pub(super) fn of_entry(entry: &Entry) -> Touch {
    let queue = |backend| format!("{} (packets are handed to the agent)", firewall::Place::Queue.names(backend));
    match entry {
        Entry::Cut(cut) => Touch::new("firewall", firewall::Place::Cut.names(cut.backend)),
        Entry::Shaped(shaped) => match &shaped.way {
            packets::Way::Netem(devices) => Touch::new("qdisc", format!("prio 5253: and netem 5254: on {}", devices.join(" "))),
            packets::Way::Queue { backend, .. } => Touch::new("firewall", queue(*backend)),
        },
        Entry::Killed(killed) => Touch::new("process", format!("{} (killed or ended, and started)", killed.program.name)),
        Entry::Paused(paused) => Touch::new("process", format!("{} (stopped by a signal, and let run on)", paused.name)),
        Entry::HurtDisk(hurt) => Touch::new("mount", hurt.describe()),
        Entry::Damaged(damaged) => Touch::new("file", format!("the data of {} (some of its bytes, and put back)", damaged.program.name)),
        Entry::Squeezed(squeezed) => Touch::new(CGROUP, squeezed.describe()),
        Entry::Skewed(skewed) => Touch::new("clock", format!("the vDSO of the processes of {}", skewed.name)),
        Entry::TimeDaemonStopped(stopped) => Touch::new("process", format!("{} (stopped, and started)", stopped.describe())),
        Entry::SystemClock(_) => Touch::new("clock", "the node's own (set, its rate changed, and put right)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_kept_once_across_agents_and_forgotten_by_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let mut footprint = Footprint::open(folder.path());
        footprint.note([Touch::new("file", "/a"), Touch::new("file", "/b"), Touch::new("file", "/a")]);
        assert_eq!(footprint.touches().len(), 2);
        // The end of a line is lost.
        let text = fs::read_to_string(folder.path().join(files::FOOTPRINT)).unwrap();
        fs::write(folder.path().join(files::FOOTPRINT), &text[..text.len() - 4]).unwrap();
        let mut next = Footprint::open(folder.path());
        assert_eq!(next.touches(), [Touch::new("file", "/a")]);
        next.begin();
        assert!(Footprint::open(folder.path()).touches().is_empty());
    }

    #[test]
    fn a_disk_that_takes_nothing_hinders_nobody() {
        let mut footprint = Footprint::open(Path::new("/nonexistent"));
        footprint.note([Touch::new("file", "/a")]);
        assert_eq!(footprint.touches().len(), 1);
    }
}

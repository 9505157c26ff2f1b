//! Chaos to the nemesis itself: while a fault is active, whoever could heal it is killed, cut off, crashed or kept from writing. The
//! nodes come clean all the same, within ten seconds by their agents, or by `rashomon heal` where no agent is left; and then they are
//! what they were before the run, byte for byte.
//!
//! Each round is one way to be cruel and one class of faults; `RASHOMON_TEST_FROM` names the first. A hundred rounds in a row, every
//! way to every class at least once, are among the parts of `tests/run --thorough`; or at once:
//!
//! ```text
//! RASHOMON_REQUIRE=lab RASHOMON_TEST_SIZE=8 cargo test --test tests lab::chaos -- --nocapture
//! ```

use super::bed::*;
use super::support::*;
use std::fs;
use std::time::{Duration, Instant};

/// Faults that leave something on a node which somebody has to undo.
const FAULTS: [&str; 14] = [
    "disk:power-loss@one",
    "disk:read-only@one",
    "membership:one",
    "memory:one",
    "disk:full@one",
    "kill:one",
    "partition:halves",
    "clock:bump",
    "disk:bitflip@one",
    "pause:one",
    "cpu:one",
    "packet:loss",
    "stop:one",
    "crash:one",
];

/// Rounds at the usual size: every fault has its turn.
const ROUNDS: u32 = FAULTS.len() as u32;

/// What is done to those who could undo them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    HarnessKilled,
    AgentsKilled,
    PacketsOfSshDropped,
    SessionsKilled,
    NodeCrashed,
    DiskFull,
}

const WAYS: [Way; 6] =
    [Way::HarnessKilled, Way::AgentsKilled, Way::PacketsOfSshDropped, Way::SessionsKilled, Way::NodeCrashed, Way::DiskFull];

/// What a host shows while a fault is active, and no longer once it is undone.
const HURT: &str = "exec 2>/dev/null; nft list tables | grep rashomon; iptables -S | grep -i rashomon; ps -eo stat=,comm= | grep ^T; \
                    ls /var/lib/rashomon/etcd/data/.rashomon-filler; grep etcd/data /proc/mounts | grep ' ro,'; \
                    for g in $(sed -n 's|.*:/\\(rashomon-[^/]*\\)$|\\1|p' /proc/$(pgrep -xo etcd)/cgroup | sort -u); do \
                    cd /sys/fs/cgroup; grep -hvE '^(-1|max.*|9223372036854771712)$' cpu/$g/cpu.cfs_quota_us memory/$g/memory.limit_in_bytes $g/cpu.max $g/memory.max; done; \
                    cat /var/lib/rashomon/journal; [ \"$(pgrep -xc etcd)\" = 1 ] || echo etcd is down; true";

/// Every look is a login to each host: they have other things to do.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The host that crashes.
const CRASHED: &str = "n2";

/// The room that is left to the agent and the database on a disk that will be full.
const ROOM: &str = "1200m";

#[test]
fn nodes_come_clean_whatever_becomes_of_those_who_hurt_them() {
    rounds(0);
}

/// The other half, at the same time.
#[test]
fn nodes_come_clean_whatever_becomes_of_those_who_hurt_them_2() {
    rounds(1);
}

/// One half of the rounds.
fn rounds(half: usize) {
    let Some(bed) = Bed::new(3) else { return };
    let ways = WAYS.len();
    let from: usize = std::env::var("RASHOMON_TEST_FROM").map_or(0, |from| from.parse().expect("RASHOMON_TEST_FROM is a number"));
    let many = times(ROUNDS / 2) as usize;
    for round in (from + half * many..).take(many) {
        // Every fault has its turn before one comes again. After 42 rounds the same pairs would: then it goes on with the others.
        let (way, fault) = (WAYS[round % ways], FAULTS[(round + round / (ways * FAULTS.len() / 2)) % FAULTS.len()]);
        let began = Instant::now();
        let healed = Round { bed: &bed, way, fault, number: round }.run();
        report(&format!("round {round}: {fault}, {way:?}: clean {healed:.1?} after it, {:.1?} in all", began.elapsed()));
    }
}

struct Round<'a> {
    bed: &'a Bed,
    way: Way,
    fault: &'a str,
    number: usize,
}

impl Round<'_> {
    /// Returns how long the nodes took to come clean.
    fn run(&self) -> Duration {
        if self.way == Way::DiskFull {
            self.make_disks_small();
        }
        // The fault begins soon and has no end: the harness does nothing more to the nodes.
        let script = self.bed.store.path().join("schedule.toml");
        fs::write(&script, format!("[[schedule]]\nat = \"500ms\"\nfault = \"{}\"\n", self.fault)).unwrap();
        let seed = self.number.to_string();
        let args = ["--schedule", &script.to_string_lossy(), "--time-limit", "5m", "--seed", &seed];
        let harness = Background::start(self.bed.test(&args));
        let what = || format!("round {}: {}, {:?}", self.number, self.fault, self.way);
        eventually(&format!("{}: the fault is active", what()), RUN_PATIENCE, || {
            is_active(&self.bed.history(), self.class()) && (self.class() == "membership" || !self.hurt().is_empty())
        });
        self.be_cruel(&harness);
        let since = Instant::now();
        if self.class() == "crash" {
            // The lab boots its hosts when the harness is gone.
            signal(harness.pid(), "KILL");
            eventually(&format!("{}: the host is booted", what()), HEAL_WITHIN, || self.on_hosts().len() == usize::from(self.bed.hosts));
        }
        if self.way == Way::AgentsKilled && self.class() != "membership" {
            assert!(!self.hurt().is_empty(), "{}: nobody was left to heal it", what());
        }
        if self.way == Way::AgentsKilled || self.class() == "crash" {
            self.heal(&[]);
        }
        if self.needs_room() {
            self.spare();
            self.heal(&[]);
        }
        // The one node that is cut off, crashed or has no room left, and the others with it.
        let by_hand = self.way == Way::AgentsKilled || self.way == Way::NodeCrashed || self.class() == "crash";
        let within = if by_hand { PATIENCE } else { HEAL_WITHIN };
        loop {
            let seen = self.hurt();
            if seen.is_empty() {
                break;
            }
            assert!(since.elapsed() < within, "{}: not clean within {within:?}: {seen}", what());
            std::thread::sleep(LOOK_EVERY);
        }
        let healed = since.elapsed();
        self.spare();
        signal(harness.pid(), "KILL");
        drop(harness);
        self.be_as_before(&what());
        healed
    }

    fn class(&self) -> &str {
        self.fault.split(':').next().unwrap()
    }

    /// What the hosts show of the fault.
    fn hurt(&self) -> String {
        let of_host = |host: String| {
            let seen = self.bed.lab.ssh_or_nothing(&host, HURT);
            let lines = seen.lines().filter(|line| *line != "etcd is down" || self.must_run(&host));
            lines.flat_map(|line| [&host, ": ", line, "\n"]).collect::<String>()
        };
        self.bed.each_host().map(of_host).collect()
    }

    /// Whether it is the fault, or what we leave undone, if the database of this host does not run: it may not want to on a full disk, nobody
    /// has started it where the host has crashed, and a member that has left stays out (only the others could let it in).
    fn must_run(&self, host: &str) -> bool {
        match self.way {
            _ if self.class() == "membership" && self.bed.history().contains(&format!("removed {host}")) => false,
            Way::DiskFull => false,
            Way::NodeCrashed => host != CRASHED,
            _ => true,
        }
    }

    /// The hosts that are not off.
    fn on_hosts(&self) -> Vec<String> {
        self.bed.each_host().filter(|host| !self.bed.lab.ssh_or_nothing(host, "true").contains("cannot be asked")).collect()
    }

    /// Whether what undoes the fault writes to the node's disk: it starts the database or puts back files.
    fn needs_room(&self) -> bool {
        self.way == Way::DiskFull && ["kill", "stop", "crash", "disk", "memory", "cpu"].contains(&self.class())
    }

    fn heal(&self, more: &[&str]) {
        let lab = format!("--lab={}", self.bed.lab.name);
        let output = finish(self.bed.lab.rashomon(&[&["heal", &lab], more].concat()), PATIENCE);
        assert_eq!(output.status.code(), Some(0), "round {}: {} {:?}: {}", self.number, self.fault, self.way, text(&output));
    }

    fn be_cruel(&self, harness: &Background) {
        let lab = &self.bed.lab;
        match self.way {
            Way::HarnessKilled => signal(harness.pid(), "KILL"),
            Way::AgentsKilled => {
                for host in self.on_hosts() {
                    lab.ssh(&host, "pkill -KILL -f '[r]ashomon.* agent --run'; true");
                }
                signal(harness.pid(), "KILL");
            }
            Way::PacketsOfSshDropped => {
                // What the sessions that there are send and receive; new ones are let in, or nobody could look.
                for host in self.on_hosts() {
                    lab.ssh(&host, &format!("ss -Htn state established '( sport = :22 )' | awk '{{print $4}}' | sed 's/.*://' | grep -vx \"$(echo $SSH_CLIENT | cut -d ' ' -f 2)\" | {CUT}"));
                }
            }
            Way::SessionsKilled => {
                for host in self.on_hosts() {
                    // The session of the agent: its parent, or the parent of the shell that started it.
                    lab.ssh(&host, "for a in $(pgrep -f '[r]ashomon.* agent --run'); do kill -KILL $(ps -o ppid= $a); done; true");
                }
            }
            Way::NodeCrashed => {
                signal(harness.pid(), "KILL");
                lab.run("crash", &[CRASHED]);
                lab.run("boot", &[CRASHED]);
                // Of n2 no agent is left; those of the others have begun to undo.
                self.heal(&[]);
            }
            Way::DiskFull => {
                for host in self.on_hosts() {
                    // Most of it at once, and what is left, while others write too, byte by byte.
                    lab.ssh(&host, "f=/var/lib/rashomon/etcd/filler; fallocate -l $(($(df -k --output=avail /var/lib/rashomon | tail -1) - 8192))k $f; \
                         dd if=/dev/zero of=$f bs=64k oflag=append conv=notrunc 2>/dev/null; df -k /var/lib/rashomon | awk 'END {exit $4 > 0}'");
                }
                signal(harness.pid(), "KILL");
            }
        }
    }

    /// The agent's directory on a disk of its own, which can be filled without harm to the machine. No harm if it is.
    fn make_disks_small(&self) {
        for host in self.bed.each_host() {
            let script = format!(
                "mountpoint -q /var/lib/rashomon && exit; mkdir -p /var/lib/rashomon /tmp/kept && cp -a /var/lib/rashomon/. /tmp/kept/ && \
                 mount -t tmpfs -o size={ROOM} none /var/lib/rashomon && cp -a /tmp/kept/. /var/lib/rashomon/ && rm -r /tmp/kept"
            );
            self.bed.lab.ssh(&host, &script);
        }
    }

    /// What was done to the hosts besides the fault is undone.
    fn spare(&self) {
        for host in self.bed.each_host() {
            match self.way {
                Way::PacketsOfSshDropped => drop(self.bed.lab.ssh(&host, "nft delete table inet cruel 2>/dev/null; true")),
                Way::DiskFull => drop(self.bed.lab.ssh(&host, "rm -f /var/lib/rashomon/etcd/filler")),
                _ => {}
            }
        }
    }

    /// What the run started goes too, and then nothing is left of it.
    fn be_as_before(&self, what: &str) {
        if self.way == Way::DiskFull {
            self.make_disks_small(); // A host that has crashed has lost it.
        }
        self.heal(&["--teardown"]);
        let run = self.bed.run_folder().to_string_lossy().into_owned();
        let output = finish(self.bed.lab.rashomon(&["verify-clean", &run]), PATIENCE);
        assert_eq!(output.status.code(), Some(0), "{what}: {}", text(&output));
        if self.way == Way::DiskFull {
            for host in self.bed.each_host() {
                // The last agent may need a moment to go.
                self.bed.lab.ssh(
                    &host,
                    "for i in $(seq 20); do mountpoint -q /var/lib/rashomon || exit 0; umount /var/lib/rashomon; sleep 0.2; done; exit 1",
                );
            }
        }
        self.bed.assert_clean();
    }
}

/// Drops what comes from some ports of the control node, read from standard input.
const CUT: &str = "{ nft add table inet cruel; nft add chain inet cruel in '{ type filter hook input priority -20; }'; \
                   while read port; do nft add rule inet cruel in tcp dport 22 tcp sport $port drop; done; }";

/// Whether this fault is active by what is recorded so far.
fn is_active(history: &str, fault: &str) -> bool {
    let count = |event: &str| history.matches(&format!("\"f\":\"{event}-{fault}\",\"value\":{{")).count();
    count("start") > count("stop")
}

//! Chaos to the nemesis itself: while a fault is active, whoever could heal it is killed, cut off, crashed or kept from writing. The
//! nodes come clean all the same, within ten seconds by their agents, or by `rashomon heal` where no agent is left; and then they are
//! what they were before the run, byte for byte.
//!
//! Each round is one way to be cruel and one class of faults. A hundred rounds in a row, every way to every class several times:
//!
//! ```text
//! RASHOMON_REQUIRE=lab RASHOMON_TEST_SIZE=17 cargo test --workspace --test lab chaos -- --nocapture
//! ```

use crate::bed::*;
use crate::support::*;
use std::fs;
use std::time::{Duration, Instant};

/// Faults that leave something on a node which somebody has to undo.
const FAULTS: [&str; 6] = ["partition:halves", "packet:loss", "kill:one", "stop:one", "pause:one", "clock:bump"];

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
const HURT: &str = "nft list tables | grep rashomon; iptables -S | grep -i rashomon; ps -eo stat=,comm= | grep ^T; \
                    cat /var/lib/rashomon/journal; [ \"$(pgrep -xc etcd)\" = 1 ] || echo etcd is down; true";

/// The host that crashes.
const CRASHED: &str = "n2";

/// The room that is left to the agent and the database on a disk that will be full.
const ROOM: &str = "400m";

#[test]
fn nodes_come_clean_whatever_becomes_of_those_who_hurt_them() {
    let Some(bed) = Bed::new(3) else { return };
    let ways = WAYS.len();
    for round in 0..times(ways as u32) as usize {
        // Every way meets every fault before a pair comes again.
        let (way, fault) = (WAYS[round % ways], FAULTS[(round + round / ways) % FAULTS.len()]);
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
            is_active(&self.bed.history(), self.class()) && !self.hurt().is_empty()
        });
        self.be_cruel(&harness);
        let since = Instant::now();
        if self.way == Way::AgentsKilled {
            assert!(!self.hurt().is_empty(), "{}: nobody was left to heal it", what());
            self.heal(&[]);
        }
        if self.needs_room() {
            self.spare();
            self.heal(&[]);
        }
        // The one node that is cut off, crashed or has no room left, and the others with it.
        let within = if self.way == Way::AgentsKilled || self.way == Way::NodeCrashed { PATIENCE } else { HEAL_WITHIN };
        loop {
            let seen = self.hurt();
            if seen.is_empty() {
                break;
            }
            assert!(since.elapsed() < within, "{}: not clean within {within:?}: {seen}", what());
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

    /// What the hosts show of the fault. That a database does not run is no fault of ours where its disk is full or its host has crashed.
    fn hurt(&self) -> String {
        let is_ours = |host: &str, line: &str| match self.way {
            _ if line != "etcd is down" => true,
            Way::DiskFull => false,
            Way::NodeCrashed => host != CRASHED,
            _ => true,
        };
        let of_host = |host: String| {
            let seen = self.bed.lab.ssh_or_nothing(&host, HURT);
            let lines = seen.lines().filter(|line| is_ours(&host, line)).map(|line| format!("{host}: {line}\n"));
            lines.collect::<String>()
        };
        self.bed.each_host().map(of_host).collect()
    }

    /// Whether the database has to be started to undo the fault, which it may refuse on a full disk.
    fn needs_room(&self) -> bool {
        self.way == Way::DiskFull && ["kill", "stop"].contains(&self.class())
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
                for host in self.bed.each_host() {
                    lab.ssh(&host, "pkill -KILL -f '[r]ashomon.* agent --run'; true");
                }
                signal(harness.pid(), "KILL");
            }
            Way::PacketsOfSshDropped => {
                // What the sessions that there are send and receive; new ones are let in, or nobody could look.
                for host in self.bed.each_host() {
                    lab.ssh(&host, &format!("ss -Htn state established '( sport = :22 )' | awk '{{print $4}}' | sed 's/.*://' | grep -vx \"$(echo $SSH_CLIENT | cut -d ' ' -f 2)\" | {CUT}"));
                }
            }
            Way::SessionsKilled => {
                for host in self.bed.each_host() {
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
                for host in self.bed.each_host() {
                    lab.ssh(&host, "dd if=/dev/zero of=/var/lib/rashomon/etcd/filler bs=1M 2>/dev/null; df -k /var/lib/rashomon | awk 'END {exit $4 > 0}'");
                }
                signal(harness.pid(), "KILL");
            }
        }
    }

    /// The agent's directory on a disk of its own, which can be filled without harm to the machine.
    fn make_disks_small(&self) {
        for host in self.bed.each_host() {
            let script = format!(
                "mkdir -p /var/lib/rashomon /tmp/kept && cp -a /var/lib/rashomon/. /tmp/kept/ && \
                 mount -t tmpfs -o size={ROOM} none /var/lib/rashomon && cp -a /tmp/kept/. /var/lib/rashomon/ && rm -r /tmp/kept"
            );
            self.bed.lab.ssh(&host, &script);
        }
    }

    /// What was done to the hosts besides the fault is undone.
    fn spare(&self) {
        for host in self.bed.each_host() {
            match self.way {
                Way::PacketsOfSshDropped => drop(self.bed.lab.ssh(&host, "nft delete table inet cruel")),
                Way::DiskFull => drop(self.bed.lab.ssh(&host, "rm -f /var/lib/rashomon/etcd/filler")),
                _ => {}
            }
        }
    }

    /// What the run started goes too, and then nothing is left of it.
    fn be_as_before(&self, what: &str) {
        self.heal(&["--teardown"]);
        let run = self.bed.run_folder().to_string_lossy().into_owned();
        let output = finish(self.bed.lab.rashomon(&["verify-clean", &run]), PATIENCE);
        assert_eq!(output.status.code(), Some(0), "{what}: {}", text(&output));
        if self.way == Way::DiskFull {
            for host in self.bed.each_host() {
                // The last agent may need a moment to go.
                self.bed.lab.ssh(&host, "for i in $(seq 20); do umount /var/lib/rashomon && exit 0; sleep 0.2; done; exit 1");
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

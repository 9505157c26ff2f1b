//! A lab with room for runs of etcd, and looking at what a run left on its hosts.

use super::support::*;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// More than a test of some seconds takes, with setup, recovery and check, on a busy machine.
pub(crate) const RUN_PATIENCE: Duration = Duration::from_mins(3);
/// Within this time every node has to be healed when the harness is gone.
pub(crate) const HEAL_WITHIN: Duration = Duration::from_secs(10);

/// A lab that is up, and a folder for runs.
pub(crate) struct Bed {
    pub(crate) lab: TestLab,
    pub(crate) hosts: u8,
    pub(crate) store: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn new(hosts: u8) -> Option<Bed> {
        let lab = TestLab::new()?;
        lab.up(u32::from(hosts));
        Some(Bed { lab, hosts, store: tempfile::tempdir().unwrap() })
    }

    /// `rashomon test etcd --lab ARGS`. The link to the latest run goes: who waits for this one must not meet an earlier one's history.
    pub(crate) fn test(&self, args: &[&str]) -> Command {
        let _ = fs::remove_file(self.store.path().join("latest"));
        self.test_into(self.store.path(), args)
    }

    pub(crate) fn test_into(&self, store: &Path, args: &[&str]) -> Command {
        let (lab, store) = (format!("--lab={}", self.lab.name), store.to_string_lossy());
        let mut all = vec!["test", "etcd", &lab, "--store", &store];
        all.extend(args);
        self.lab.rashomon(&all)
    }

    /// A test on nodes that are given by address, run inside the lab's network: what `--lab` does, spelled out.
    pub(crate) fn test_by_address(&self, nodes: &str, key: &Path, known_hosts: &Path) -> Command {
        let store = self.store.path().to_string_lossy();
        let (key, known_hosts) = (key.to_string_lossy(), known_hosts.to_string_lossy());
        let test = [RASHOMON, "test", "etcd", "--nodes", nodes, "--user", "root", "--key", &key, "--known-hosts", &known_hosts];
        let mut all = vec!["--"];
        all.extend(test);
        all.extend(["--store", &store, "--time-limit", "5s"]);
        self.lab.command("exec", &all)
    }

    pub(crate) fn each_host(&self) -> impl Iterator<Item = String> {
        (1..=self.hosts).map(|host| format!("n{host}"))
    }

    pub(crate) fn addresses(&self) -> String {
        (1..=self.hosts).map(|host| format!("{}.{host}", self.lab.subnet)).collect::<Vec<_>>().join(",")
    }

    /// The run's own folder.
    pub(crate) fn run_folder(&self) -> PathBuf {
        fs::canonicalize(self.store.path().join("latest")).unwrap()
    }

    pub(crate) fn results(&self) -> Value {
        serde_json::from_slice(&fs::read(self.run_folder().join("results.json")).unwrap()).unwrap()
    }

    /// The run that has just ended is valid in all that it was asked. On a busy machine it may have had little time to answer, and none for
    /// some function: that alone is no failure.
    pub(crate) fn assert_valid(&self, output: &Output) {
        let results = self.results();
        let gaps = results["coverage"]["gaps"].as_array().unwrap();
        let is_rarely_answered = |gap: &Value| {
            let gap = gap.as_str().unwrap();
            gap.contains("of the time that clients asked") || gap.contains("ended ok, so this run says nothing about it")
        };
        let is_told = output.status.code() == Some(if gaps.is_empty() { 0 } else { 2 });
        assert!(is_told && results["checker"] == "valid" && gaps.iter().all(is_rarely_answered), "{}", text(output));
    }

    /// What is recorded so far of the run that is on.
    pub(crate) fn history(&self) -> String {
        fs::read_to_string(self.store.path().join("latest/history.jsonl")).unwrap_or_default()
    }

    /// Faults and programs that are left on a host; empty if none is. Looked at over a connection of its own.
    pub(crate) fn left_on(&self, host: &str) -> String {
        let look = "nft list tables | grep rashomon; iptables -S | grep -i rashomon; \
                    ps -eo stat=,comm=,args= | grep -E '^T|^[^ ]+ +(etcd|rashomon)'; \
                    ss -Htlpn | grep -v ':22 '; ls -d /var/lib/rashomon/etcd /var/lib/rashomon/disk*; grep ' /var/lib/rashomon' /proc/mounts; cat /var/lib/rashomon/journal";
        self.lab.ssh(host, &format!("{{ {look}; }} 2>/dev/null; true"))
    }

    pub(crate) fn assert_clean(&self) {
        for host in self.each_host() {
            assert_eq!(self.left_on(&host), "", "left on {host}");
        }
    }
}

/// Makes a host's own copy of a folder of programs, without some of them.
pub(crate) fn remove_programs(bed: &Bed, host: &str, folder: &str, programs: &str) {
    let script = format!(
        "mkdir -p /tmp/without/upper /tmp/without/work && cd {folder} && \
         mount -t overlay overlay -o lowerdir={folder},upperdir=/tmp/without/upper,workdir=/tmp/without/work {folder} && \
         cd {folder} && rm -f {programs}"
    );
    bed.lab.ssh(host, &script);
}

/// Counts the faults of this name that were seen to take effect.
pub(crate) fn observed(results: &Value, fault: &str) -> u64 {
    let faults = results["coverage"]["faults"].as_array().unwrap();
    faults.iter().find(|f| f["fault"] == fault).map_or(0, |f| f["observed"].as_u64().unwrap())
}

/// Waits for the end of a program; its exit code.
pub(crate) fn end_of(program: &mut Background) -> i32 {
    let mut status = None;
    eventually("the program ends", RUN_PATIENCE, || {
        status = program.0.try_wait().unwrap();
        status.is_some()
    });
    status.and_then(|status| status.code()).expect("no signal ended it")
}

/// Says something that is worth knowing even of a test that passes.
pub(crate) fn report(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "measured: {line}");
}

//! Looking a node over before a test: what it has, and which faults can be injected there. What can be tried is tried for real, on
//! nobody's packets and on a process that only sleeps, and undone.

use crate::agent::client::install::sudoers_line;
use crate::agent::protocol::clock::Skew;
use crate::agent::protocol::traffic::Shape;
use crate::faults::crash;
use crate::machine::boot_id;
use crate::remote::Access;
use crate::spec::CLASSES;
use crate::{Agent, AgentOptions, Agents, Cluster, Command, NodeError, ProcessState, Program};
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `login`, `tools`, `fault packet`.
    pub topic: String,
    /// Whether it is as a test may need it.
    pub ok: bool,
    /// Whether that matters here: no test misses the power switch of a host that is not a lab's, nor a database that nobody has asked for.
    pub matters: bool,
    /// How it is done, or why it cannot be.
    pub told: String,
}

/// A database to look for on each node.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'a> {
    /// Its name.
    pub name: &'a str,
    /// What tells its version.
    pub command: &'a [&'a str],
    /// Whether this database shall be tested.
    pub is_wanted: bool,
}

/// An address kept for documentation (RFC 5737): what is done to its packets hurts nobody.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The least room on the disk that a test should have, in kilobytes.
const ROOM_KB_MIN: u64 = 200_000;

/// What the sleeping process is called.
const SLEEPER: &str = "doctor";

/// How far its clock is put ahead.
const AHEAD_NS: i64 = 3_600_000_000_000;

/// The tools that faults use where they are there, and Debian's packages that hold them.
const TOOLS: [(&str, &str); 8] = [
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("ip6tables", "iptables"),
    ("tc", "iproute2"),
    ("ip", "iproute2"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mount", "mount"),
    ("sudo", "sudo"),
];

/// The size of a file system that is tried.
const DISK_BYTES: u64 = 64 << 20;

/// The largest file of the kernel that is read.
const KERNEL_FILE_BYTES_MAX: usize = 64 << 10;

/// Looks every node over, all at once. An error for a node on which no agent could be started.
pub fn examine(
    cluster: &Cluster,
    access: &Access,
    options: &AgentOptions,
    in_a_lab: bool,
    sought: &[Sought<'_>],
) -> Vec<Result<Vec<Finding>, NodeError>> {
    let agents = Agents::connect_each(cluster, access, options);
    // A node whose kernel booted as another's did shares it.
    let boots: Vec<String> = agents.iter().map(|agent| agent.as_ref().map_or(String::new(), |agent| agent.about().boot)).collect();
    let others = |i: usize| {
        let others = boots.iter().enumerate().filter(|(j, boot)| *j != i && !boot.is_empty()).map(|(_, boot)| boot.clone());
        std::iter::once(boot_id()).chain(others).collect::<Vec<String>>()
    };
    let look = |agent: Result<Agent, NodeError>, others: &[String]| {
        let agent = agent?;
        let mut findings = findings(&agent, others, in_a_lab);
        findings.extend(sought.iter().map(|database| database.look(&agent)));
        agent.close().map(|_| findings)
    };
    std::thread::scope(|scope| {
        let (look, others) = (&look, &others);
        let threads: Vec<_> = agents.into_iter().enumerate().map(|(i, agent)| scope.spawn(move || look(agent, &others(i)))).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn findings(agent: &Agent, other_boots: &[String], in_a_lab: bool) -> Vec<Finding> {
    let own_clock = agent.try_system_clock(other_boots).map_err(|error| error.message);
    let mut found: Vec<(String, Result<String, String>)> = [
        ("login", login(agent)),
        ("kernel", said(agent, &["uname", "-srm"])),
        ("tools", tools(agent)),
        ("disk", room(agent)),
        ("loop devices", loop_devices(agent)),
        ("control groups", control_groups(agent)),
        ("system clock", Ok(system_clock(&own_clock))),
        ("time daemon", time_daemon(agent, own_clock.is_ok())),
    ]
    .map(|(topic, told)| (topic.to_owned(), told))
    .to_vec();
    // Every node on a kernel sees the groups of all.
    let groups = format!("rashomon-doctor-{}-{}", agent.about().pid, agent.node().index);
    let tried = Tried {
        partition: partition(agent),
        packet: packet(agent),
        processes: with_sleeper(agent, processes),
        clock: either_clock(own_clock, with_sleeper(agent, clock)),
        disk: agent
            .try_disk(DISK_BYTES)
            .map(|()| "on a file system of the database's own, in a file".into())
            .map_err(|error| error.message),
        control_groups: agent.try_groups(&groups).map(|()| "by control groups of the database's own".into()).map_err(|error| error.message),
        crash: if in_a_lab { Ok("by the lab".into()) } else { Err(crash::ONLY_IN_A_LAB.into()) },
    };
    found.extend(CLASSES.iter().map(|class| (format!("fault {}", class.name), tried.of(class.name))));
    let finding = |(topic, told): (String, Result<String, String>)| {
        let matters = in_a_lab || topic != "fault crash";
        Finding::new(topic, matters, told)
    };
    found.into_iter().map(finding).collect()
}

impl Finding {
    fn new(topic: String, matters: bool, told: Result<String, String>) -> Finding {
        let ok = told.is_ok();
        Finding { topic, ok, matters, told: told.unwrap_or_else(|why| why) }
    }

    /// Whether a test would miss something.
    pub fn is_missed(&self) -> bool {
        self.matters && !self.ok
    }
}

impl Sought<'_> {
    fn look(&self, agent: &Agent) -> Finding {
        let hint = |why| format!("{why}; a test can upload a binary of its own");
        Finding::new(format!("database {}", self.name), self.is_wanted, said(agent, self.command).map_err(hint))
    }
}

/// What was tried, for all classes of faults that do it in the same way.
struct Tried {
    partition: Result<String, String>,
    packet: Result<String, String>,
    processes: Result<String, String>,
    clock: Result<String, String>,
    disk: Result<String, String>,
    control_groups: Result<String, String>,
    crash: Result<String, String>,
}

impl Tried {
    fn of(&self, class: &str) -> Result<String, String> {
        match class {
            "partition" => self.partition.clone(),
            "packet" => self.packet.clone(),
            "kill" | "stop" | "restart" | "pause" => self.processes.clone(),
            "clock" => self.clock.clone(),
            "disk" => self.disk.clone(),
            "memory" | "cpu" => self.control_groups.clone(),
            "crash" => self.crash.clone(),
            "membership" | "admin" => Ok("by the database's own commands".into()),
            _ => Err("nobody has written down what it needs".into()),
        }
    }
}

fn login(agent: &Agent) -> Result<String, String> {
    let about = agent.about();
    if about.uid == 0 {
        return Ok(format!("as root; all that is ours is below {}", about.directory));
    }
    let user = said(agent, &["id", "-un"])?;
    let line = sudoers_line(&user, &format!("{}/bin/rashomon", about.directory));
    Err(format!("as {user}, not root, and sudo does not help: most faults need root. In /etc/sudoers.d: {line}"))
}

/// The first line of what a command says.
fn said(agent: &Agent, argv: &[&str]) -> Result<String, String> {
    let output = agent.run_ok(&Command::new(argv.iter().copied()).timeout(Duration::from_secs(10))).map_err(|error| error.message)?;
    Ok(output.text().lines().next().unwrap_or_default().to_owned())
}

/// A file of the kernel; empty if there is none.
fn kernel_file(agent: &Agent, path: &str) -> String {
    agent.read_file(path, KERNEL_FILE_BYTES_MAX).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Asked by the shell's own way to look for programs, in the places where the agent looks.
fn tool_is_there(agent: &Agent, tool: &str) -> Result<String, String> {
    let asked = Command::new(["sh", "-c", "command -v -- \"$1\"", "sh", tool]);
    match agent.run(&asked) {
        Ok(output) if output.success() => Ok(output.text()),
        Ok(_) => Err(format!("{tool} is not on this node")),
        Err(error) => Err(error.message),
    }
}

fn tools(agent: &Agent) -> Result<String, String> {
    let (there, missing): (Vec<_>, Vec<_>) = TOOLS.into_iter().partition(|(tool, _)| tool_is_there(agent, tool).is_ok());
    let names = |tools: &[(&'static str, &str)]| tools.iter().map(|(tool, _)| *tool).collect::<Vec<_>>().join(" ");
    let missing_words: Vec<String> = missing.iter().map(|(tool, package)| format!("{tool} (package {package})")).collect();
    let told = if missing.is_empty() { names(&there) } else { format!("{}; not there: {}", names(&there), missing_words.join(", ")) };
    // Either of these can cut the network; of all others their faults speak.
    if there.iter().any(|(tool, _)| ["nft", "iptables"].contains(tool)) { Ok(told) } else { Err(told) }
}

fn room(agent: &Agent) -> Result<String, String> {
    let directory = agent.directory();
    let output = agent.run_ok(&Command::new(["df", "-Pk", &directory])).map_err(|error| error.message)?;
    // Filesystem, blocks, used, available, ...
    let free_kb = output.text().lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    let free_kb = free_kb.ok_or("df says nothing that can be read")?;
    let told = format!("{} MB free for {directory}", free_kb / 1000);
    if free_kb >= ROOM_KB_MIN {
        Ok(told)
    } else {
        Err(format!("{told}: a test may fill it; make room, {} MB at least", ROOM_KB_MIN / 1000))
    }
}

fn loop_devices(agent: &Agent) -> Result<String, String> {
    let there = agent.run(&Command::new(["test", "-w", "/dev/loop-control"])).is_ok_and(|output| output.success());
    if there { Ok("/dev/loop-control".into()) } else { Err("no /dev/loop-control that may be written to: modprobe loop, as root".into()) }
}

fn control_groups(agent: &Agent) -> Result<String, String> {
    let version_2 = kernel_file(agent, "/sys/fs/cgroup/cgroup.controllers");
    let has = |path: &str| agent.run(&Command::new(["test", "-w", path])).is_ok_and(|output| output.success());
    if !version_2.is_empty() {
        let told = format!("version 2: {}", version_2.trim());
        return if has("/sys/fs/cgroup/cgroup.procs") { Ok(told) } else { Err(format!("{told}, and may not be written to")) };
    }
    let found: Vec<&str> =
        ["memory", "cpu", "freezer"].into_iter().filter(|name| has(&format!("/sys/fs/cgroup/{name}/cgroup.procs"))).collect();
    if found.is_empty() {
        Err("none that may be written to below /sys/fs/cgroup".into())
    } else {
        Ok(format!("version 1: {}", found.join(" ")))
    }
}

/// Whose the node's clock is. One that is not its own is no fault of it: the fault `clock` does without.
fn system_clock(own_clock: &Result<Vec<String>, String>) -> String {
    match own_clock {
        Ok(_) => "its own, and may be set".into(),
        Err(why) => why.clone(),
    }
}

/// How the fault `clock` is done.
fn either_clock(own_clock: Result<Vec<String>, String>, per_process: Result<String, String>) -> Result<String, String> {
    match (own_clock, per_process) {
        (Ok(daemons), _) if daemons.is_empty() => Ok("the node's own clock is set; clock:process leaves it alone".into()),
        (Ok(daemons), _) => {
            Ok(format!("the node's own clock is set, and {} stopped meanwhile; clock:process leaves both alone", daemons.join(", ")))
        }
        (Err(_), Ok(how)) => Ok(how),
        (Err(why_not), Err(why)) => Err(format!("{why}; and the node's own clock: {why_not}")),
    }
}

fn time_daemon(agent: &Agent, is_stopped: bool) -> Result<String, String> {
    let pattern = "chronyd|ntpd|ntpsec|openntpd|systemd-timesyn|ptp4l";
    let output = agent.run(&Command::new(["pgrep", "-l", "-x", pattern])).map_err(|error| error.message)?;
    let text = output.text();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    Ok(if names.is_empty() {
        "none runs".into()
    } else {
        format!(
            "{} runs; {}",
            names.join(" "),
            if is_stopped { "stopped while the node's clock is wrong, then started" } else { "it is left alone" }
        )
    })
}

fn partition(agent: &Agent) -> Result<String, String> {
    let dropped = agent.drop_from(&[NOBODY]);
    let by = said(agent, &["nft", "list", "table", "inet", "rashomon"]).map_or("iptables", |_| "nft");
    dropped.and(agent.drop_from(&[])).map(|()| format!("by {by}")).map_err(|error| error.message)
}

fn packet(agent: &Agent) -> Result<String, String> {
    let shaped = agent.shape(&[NOBODY], &Shape { loss: 1000, ..Shape::default() }, 0);
    let by_nft = said(agent, &["nft", "list", "table", "inet", "rashomon-packets"]).is_ok();
    let by_iptables = said(agent, &["iptables", "-n", "-L", "RASHOMON-PACKETS"]).is_ok();
    let how = match (by_nft, by_iptables) {
        (true, _) => "in user space, handed over by nft: netem is not in the kernel, or cannot be used here",
        (_, true) => "in user space, handed over by iptables: netem is not in the kernel, or cannot be used here",
        _ => "by netem",
    };
    shaped.and(agent.shape(&[], &Shape::default(), 0)).map(|()| how.into()).map_err(|error| error.message)
}

/// Does something to a process that only sleeps, and ends it whatever came of that.
fn with_sleeper(agent: &Agent, act: impl FnOnce(&Agent) -> Result<String, NodeError>) -> Result<String, String> {
    let done = agent.start(&sleeper()).and_then(|()| act(agent));
    let ended = agent.stop(SLEEPER).and_then(|()| agent.remove_tree("doctor.log"));
    done.and_then(|told| ended.map(|()| told)).map_err(|error| error.message)
}

fn sleeper() -> Program {
    let argv = ["sleep", "60"].map(String::from).to_vec();
    Program { name: SLEEPER.into(), argv, env: Vec::new(), dir: None, log: "doctor.log".into(), own: crate::command::Own::default() }
}

fn processes(agent: &Agent) -> Result<String, NodeError> {
    let must_be = |wanted: ProcessState| match agent.state(SLEEPER)? {
        state if state == wanted => Ok(()),
        state => Err(NodeError::new(&agent.node().name, format!("a process is {state:?} that should be {wanted:?}"))),
    };
    agent.pause(SLEEPER)?;
    must_be(ProcessState::Paused)?;
    agent.resume(SLEEPER)?;
    must_be(ProcessState::Running)?;
    agent.terminate(SLEEPER)?;
    must_be(ProcessState::Down)?;
    agent.start(&sleeper())?;
    agent.kill(SLEEPER)?;
    must_be(ProcessState::Down)?;
    Ok("by signals".into())
}

fn clock(agent: &Agent) -> Result<String, NodeError> {
    agent.skew(SLEEPER, &Skew::Bump { offset_ns: AHEAD_NS })?;
    let readings = agent.read_clock(SLEEPER)?;
    agent.restore_clock(SLEEPER)?;
    let ahead = |offset_ns: i64| (offset_ns - AHEAD_NS).abs() < AHEAD_NS / 100;
    if readings.is_empty() || !readings.iter().all(|reading| ahead(reading.offset_ns)) {
        return Err(NodeError::new(&agent.node().name, format!("a clock that was put one hour ahead reads {readings:?}")));
    }
    Ok("per process, by its vDSO".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_faults_is_spoken_of() {
        let ok = || Ok(String::new());
        let tried = Tried { partition: ok(), packet: ok(), processes: ok(), clock: ok(), disk: ok(), control_groups: ok(), crash: ok() };
        for class in CLASSES {
            assert!(tried.of(class.name).is_ok(), "{}", class.name);
        }
    }
}

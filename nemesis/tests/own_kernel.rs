//! What may be tried only on a kernel that nobody else lives on: its clock is set, and set right again. It runs where `tests/vm/run`
//! has made such a kernel, and says so elsewhere.
//!
//! This program is the agent, too, when it is called as one: so that it can be killed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::type_complexity,
    clippy::single_match_else,
    reason = "a test may panic, and says what it saw"
)]

use rashomon_nemesis::agent::node::serve;
use rashomon_nemesis::agent::protocol::clock::Skew;
use rashomon_nemesis::agent::protocol::group::Resource;
use rashomon_nemesis::agent::protocol::traffic::Shape;
use rashomon_nemesis::{Access, Agent, AgentOptions, Agents, Clocks, Cluster, Node, Own, ProcessState, Program, SystemClocks};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECOND: i64 = 1_000_000_000;

/// How right the clock must be afterwards: its readings take some microseconds where the machine is emulated.
const RIGHT_NS: i64 = 100_000;

/// The word with which this program is called in a container.
const CONTAINER: &str = "container";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, rest @ ..] = &arguments[..]
        && word == "agent"
    {
        return serve::main(rest);
    }
    // The kernel itself says that it is one of ours: nothing else may be hurt here.
    if !fs::read_to_string("/proc/cmdline").unwrap_or_default().split_whitespace().any(|word| word == "rashomon.vm") {
        let required = std::env::var("RASHOMON_REQUIRE").unwrap_or_default().split(',').any(|part| part == "vm");
        println!("NOT RUN: what needs a kernel of its own: tests/vm/run makes one");
        return if required { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    if arguments.get(1).is_some_and(|word| word == CONTAINER) {
        in_a_container();
        return ExitCode::SUCCESS;
    }
    let tests: [(&str, fn(&Place)); 7] = [
        ("a kernel that others live on is refused", a_kernel_that_others_live_on_is_refused),
        ("the clock goes wrong in every way and right again", the_clock_goes_wrong_in_every_way_and_right_again),
        ("an agent that is killed leaves a clock that the next one sets right", an_agent_that_is_killed),
        ("a time daemon is stopped and started again", a_time_daemon_is_stopped_and_started_again),
        ("a time daemon that comes back by itself is left alone", a_time_daemon_that_comes_back),
        ("packets to one peer are shaped by netem, and the qdisc that was there comes back", packets),
        ("control groups of version 2 hold processor time and memory back", control_groups),
    ];
    // One for all: to bring the agent there takes longer than most tests.
    let place = Place::new();
    // Only those that are named, if any is.
    let wanted = |name: &str| arguments.len() < 2 || arguments[1..].iter().any(|word| name.contains(word.as_str()));
    for (name, test) in tests.into_iter().filter(|(name, _)| wanted(name)) {
        let begin = Instant::now();
        // A panic ends the whole: what comes next would find a node that is not clean.
        test(&place);
        println!("ok: {name} ({:.1} s)", begin.elapsed().as_secs_f64());
    }
    ExitCode::SUCCESS
}

/// An agent on this machine, in a folder of its own.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    fn agents(&self) -> Agents {
        let cluster = Cluster { nodes: vec![Node { index: 0, name: "n1".into(), address: "127.0.0.1".parse().unwrap() }].into() };
        let mut options = AgentOptions::new("a test", std::env::current_exe().unwrap());
        options.directory = Some(self.folder.path().display().to_string());
        Agents::connect(&cluster, &Access::Local, &options).unwrap()
    }
}

fn only(agents: &Agents) -> &Agent {
    &agents.all()[0]
}

/// The clocks of this kernel, read by nobody of ours: how far `CLOCK_REALTIME` is before that of the boot, and how much the rate has
/// gained on the raw clock.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_field_names, reason = "units go last")]
struct Look {
    real_minus_boot_ns: i64,
    monotonic_ns: i64,
    raw_ns: i64,
}

#[allow(unsafe_code, reason = "the standard library does not read these clocks")]
fn clock(id: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure lives on this stack.
    assert_eq!(unsafe { libc::clock_gettime(id, &raw mut time) }, 0);
    time.tv_sec * SECOND + time.tv_nsec
}

impl Look {
    /// The reading of many that took the least time.
    fn now() -> Look {
        let one = || {
            let begin = clock(libc::CLOCK_MONOTONIC_RAW);
            let (boot, real, monotonic) = (clock(libc::CLOCK_BOOTTIME), clock(libc::CLOCK_REALTIME), clock(libc::CLOCK_MONOTONIC));
            let end = clock(libc::CLOCK_MONOTONIC_RAW);
            (end - begin, Look { real_minus_boot_ns: real - boot, monotonic_ns: monotonic, raw_ns: i64::midpoint(begin, end) })
        };
        (0..50).map(|_| one()).min_by_key(|(took, _)| *took).unwrap().1
    }

    /// How far the clock is ahead since then. The rate is taken for the usual one: that of a kernel that no daemon has tuned.
    fn ahead_since(&self, before: &Look) -> i64 {
        let gained = (self.monotonic_ns - before.monotonic_ns) - (self.raw_ns - before.raw_ns);
        self.real_minus_boot_ns - before.real_minus_boot_ns + gained
    }
}

#[allow(unsafe_code, reason = "the standard library does not read this")]
fn rate() -> (i64, i64, i32) {
    // SAFETY: it holds numbers only, and nothing is asked to change.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure lives on this stack.
    assert_ne!(unsafe { libc::adjtimex(&raw mut timex) }, -1);
    (timex.tick, timex.freq, timex.status)
}

#[track_caller]
fn is_as_before(before: &Look, rate_before: (i64, i64, i32), what: &str) {
    let off_ns = Look::now().ahead_since(before);
    println!("    {what}: {:.1} us off afterwards", off_ns as f64 / 1e3);
    assert!(off_ns.abs() < RIGHT_NS, "{what}: the clock is {off_ns} ns off");
    assert_eq!(rate(), rate_before, "{what}");
}

const EVERY_WAY: [Skew; 5] = [
    Skew::Bump { offset_ns: 288 * SECOND },
    Skew::Bump { offset_ns: -11_390_625 },
    Skew::Strobe { offset_ns: 3 * SECOND, period: Duration::from_millis(5), lasts: Duration::from_mins(1) },
    Skew::Drift { per_billion: 100_000_000 },
    Skew::Drift { per_billion: -3_125_000 },
];

/// Makes the clock wrong and sees that it is, from outside the agent.
#[track_caller]
fn make_wrong(agent: &Agent, skew: &Skew) -> Look {
    agent.skew_system_clock(&Skew::None, &[]).unwrap();
    let before = Look::now();
    agent.skew_system_clock(skew, &[]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let begin = Look::now();
    let (mut right, mut wrong) = (false, false);
    loop {
        let now = Look::now();
        let (ahead, elapsed) = (now.ahead_since(&before), now.raw_ns - begin.raw_ns);
        match *skew {
            Skew::Bump { offset_ns } => {
                (right, wrong) = (true, (ahead - offset_ns).abs() < RIGHT_NS);
            }
            Skew::Strobe { offset_ns, .. } => {
                right |= ahead.abs() < RIGHT_NS;
                wrong |= (ahead - offset_ns).abs() < RIGHT_NS;
            }
            Skew::Drift { per_billion } if elapsed > SECOND => {
                let gained = (ahead - begin.ahead_since(&before)) as f64 / elapsed as f64 * 1e9;
                (right, wrong) = (true, (gained / per_billion as f64 - 1.0).abs() < 0.02);
                println!("    {skew:?}: gains {gained:.0} billionths");
            }
            _ => {}
        }
        if right && wrong {
            let told = agent.read_system_clock().unwrap();
            if !matches!(skew, Skew::Strobe { .. }) {
                let mut between = [ahead, Look::now().ahead_since(&before)];
                between.sort_unstable();
                assert!((between[0] - RIGHT_NS..=between[1] + RIGHT_NS).contains(&told.ahead_ns), "{told:?} {between:?}");
            }
            return before;
        }
        assert!(Instant::now() < deadline, "{skew:?}: {ahead} ns ahead after {elapsed} ns; right {right}, wrong {wrong}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn a_kernel_that_others_live_on_is_refused(place: &Place) {
    let agents = place.agents();
    let node = only(&agents).node().clone();
    let clocks = SystemClocks::new(agents.clone());
    let (look, rate_before) = (Look::now(), rate());
    // We are the control node, and live here, too.
    for error in [clocks.can_skew(&node).unwrap_err(), clocks.skew(&node, &EVERY_WAY[0]).unwrap_err()] {
        assert!(error.message.contains("shared with the control node"), "{error}");
    }
    only(&agents).try_system_clock(&[]).unwrap();
    is_as_before(&look, rate_before, "refused");
    // And a container, whoever is its control node.
    let mut container = Command::new("unshare");
    container.args(["--pid", "--fork", "--mount-proc"]).arg(std::env::current_exe().unwrap()).arg(CONTAINER);
    assert!(container.status().unwrap().success());
    is_as_before(&look, rate_before, "refused in a container");
    agents.close();
}

/// What this program does in a process namespace of its own.
fn in_a_container() {
    let place = Place::new();
    let agents = place.agents();
    let error = only(&agents).skew_system_clock(&EVERY_WAY[0], &[]).unwrap_err();
    assert!(error.message.contains("it is a container"), "{error}");
    agents.close();
}

fn the_clock_goes_wrong_in_every_way_and_right_again(place: &Place) {
    let agents = place.agents();
    let agent = only(&agents);
    let rate_before = rate();
    for skew in EVERY_WAY {
        let before = make_wrong(agent, &skew);
        agent.restore_system_clock().unwrap();
        is_as_before(&before, rate_before, &format!("{skew:?}"));
        assert!(agent.read_system_clock().is_err(), "nothing is noted any more");
    }
    // One after the other, and the end of the agent in the middle of one.
    let before = make_wrong(agent, &EVERY_WAY[0]);
    for skew in &EVERY_WAY[1..] {
        agent.skew_system_clock(skew, &[]).unwrap();
        thread::sleep(Duration::from_millis(300));
    }
    for undone in agents.close() {
        let undone = undone.unwrap();
        assert!(undone.len() == 1 && undone[0].error.is_none() && undone[0].what.contains("clock was changed"), "{undone:?}");
    }
    is_as_before(&before, rate_before, "all of them");
}

fn an_agent_that_is_killed(place: &Place) {
    for skew in EVERY_WAY {
        let agents = place.agents();
        let rate_before = rate();
        let before = make_wrong(only(&agents), &skew);
        let pid = only(&agents).about().pid as i32;
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        thread::sleep(Duration::from_millis(500));
        let next = place.agents();
        let undone = only(&next).about().undone;
        assert!(undone.len() == 1 && undone[0].error.is_none(), "{undone:?}");
        is_as_before(&before, rate_before, &format!("{skew:?}, by the next agent"));
        next.close();
    }
}

/// Those that run under this name, and what they were started with.
fn running(name: &str) -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let named = pids.filter(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name));
    // One that has ended has no line any more.
    let lines = named.map(|pid| (pid, fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()));
    lines.filter(|(_, line)| !line.is_empty()).collect()
}

/// The first of them: chronyd has a helper of the same name and line.
fn lines(name: &str) -> Vec<String> {
    let mut lines: Vec<String> = running(name).into_iter().map(|(_, line)| line).collect();
    lines.sort();
    lines.dedup();
    lines
}

/// chronyd where it is installed, or a script that is called so.
fn start_daemon(folder: &Path) -> bool {
    let real = std::env::var("RASHOMON_VM_CHRONYD").map(PathBuf::from).ok();
    let real = real.or_else(|| Some(PathBuf::from("/usr/sbin/chronyd"))).filter(|path| path.exists());
    let mut command = match &real {
        Some(chronyd) => {
            let conf = folder.join("chrony.conf");
            let text = format!(
                "server 127.0.0.1 port 1124\nport 0\ncmdport 0\nbindcmdaddress /\npidfile {}\nuser root\n",
                folder.join("pid").display()
            );
            fs::write(&conf, text).unwrap();
            let mut command = Command::new(chronyd);
            command.arg("-f").arg(conf);
            command
        }
        None => {
            let script = folder.join("chronyd");
            fs::write(&script, "#!/bin/sh\nwhile :; do sleep 0.1; done\n").unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
            Command::new(script)
        }
    };
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    thread::spawn(move || child.wait());
    eventually("the time daemon runs", || !running("chronyd").is_empty());
    thread::sleep(Duration::from_millis(500));
    real.is_some()
}

fn end_daemon() {
    for (pid, _) in running("chronyd") {
        let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM);
    }
    eventually("the time daemon is gone", || running("chronyd").is_empty());
}

#[track_caller]
fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !so() {
        assert!(Instant::now() < deadline, "not so: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn a_time_daemon_is_stopped_and_started_again(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    println!("    {} is the time daemon", if start_daemon(folder.path()) { "chronyd" } else { "a script" });
    let line = lines("chronyd");
    assert_eq!(line.len(), 1);
    let agents = place.agents();
    let agent = only(&agents);
    assert_eq!(lines("chronyd"), line, "it has ended by itself");
    assert_eq!(agent.try_system_clock(&[]).unwrap(), ["chronyd"]);
    let before = make_wrong(agent, &EVERY_WAY[0]);
    assert_eq!(running("chronyd"), []);
    agent.restore_system_clock().unwrap();
    assert_eq!(lines("chronyd"), line);
    let off_ns = Look::now().ahead_since(&before);
    println!("    {:.1} us off afterwards", off_ns as f64 / 1e3);
    assert!(off_ns.abs() < 1_000_000, "{off_ns}");
    // And by the next agent.
    make_wrong(agent, &EVERY_WAY[3]);
    assert_eq!(running("chronyd"), []);
    kill_process(Pid::from_raw(agent.about().pid as i32).unwrap(), Signal::KILL).unwrap();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(running("chronyd"), []);
    let next = place.agents();
    let undone = only(&next).about().undone;
    assert!(undone.len() == 2 && undone.iter().all(|one| one.error.is_none()), "{undone:?}");
    assert_eq!(lines("chronyd"), line);
    next.close();
    end_daemon();
}

fn a_time_daemon_that_comes_back(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("chronyd");
    fs::write(&script, "#!/bin/sh\nwhile :; do sleep 0.1; done\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let stop = folder.path().join("stop");
    let keeper = format!("while [ ! -e {} ]; do {}; done", stop.display(), script.display());
    let mut keeper = Command::new("sh").args(["-c", &keeper]).spawn().unwrap();
    eventually("the time daemon runs", || !running("chronyd").is_empty());
    let agents = place.agents();
    let (look, rate_before) = (Look::now(), rate());
    let error = only(&agents).skew_system_clock(&EVERY_WAY[0], &[]).unwrap_err();
    assert!(error.message.contains("does not stay away"), "{error}");
    is_as_before(&look, rate_before, "left alone");
    fs::write(stop, "").unwrap();
    end_daemon();
    keeper.wait().unwrap();
    agents.close();
}

/// Two addresses behind a device of this kernel, in a network namespace of their own.
const DEVICE: &str = "rashomon-test";
const PEERS: [&str; 2] = ["10.77.99.2", "10.77.99.3"];

#[track_caller]
fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What came back of some echoes: how many, how many twice, and the mean time there and back in milliseconds.
#[derive(Debug)]
struct Echoes {
    back: f64,
    duplicates: f64,
    mean_ms: f64,
}

const ECHOES: f64 = 100.0;

/// Asks a peer for echoes, 50 a second, of 1000 bytes each.
fn echoes(peer: &str) -> Echoes {
    let text = shell(&format!("busybox ping -c {ECHOES} -i 0.02 -s 1000 -w 20 {peer} || true"));
    // `100 packets transmitted, 82 packets received, 3 duplicates, 18% packet loss`
    let count = |what: &str| text.lines().find_map(|line| line.split_once(what)?.0.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0);
    let mean = text.lines().find_map(|line| line.split_once("min/avg/max = ")?.1.split('/').nth(1)?.parse().ok());
    Echoes { back: count(" packets received"), duplicates: count(" duplicates"), mean_ms: mean.unwrap_or(0.0) }
}

fn packets(place: &Place) {
    shell(&format!(
        "ip netns add rashomon-test; ip link add {DEVICE} type veth peer name peer netns rashomon-test; ip addr add 10.77.99.1/24 dev {DEVICE}; \
         ip link set {DEVICE} up; ip -n rashomon-test addr add {}/24 dev peer; ip -n rashomon-test addr add {}/24 dev peer; \
         ip -n rashomon-test link set peer up",
        PEERS[0], PEERS[1]
    ));
    let agents = place.agents();
    let agent = only(&agents);
    let qdiscs = || shell(&format!("tc qdisc show dev {DEVICE}; tc filter show dev {DEVICE}"));
    let (before, free) = (qdiscs(), echoes(PEERS[0]));
    println!("    before: {free:?}, {}", before.trim());
    assert!((free.back - ECHOES).abs() < 1.0, "{free:?}");
    let peer = [PEERS[0].parse().unwrap()];
    let usual = Shape::default();
    let shapes: [(Shape, &str, fn(&Echoes, &Echoes) -> bool); 6] = [
        (Shape { delay_us: 50_000, ..usual }, "delay", |now, free| now.mean_ms > free.mean_ms + 45.0 && now.back > 95.0),
        (Shape { loss: 200, ..usual }, "loss", |now, _| (60.0..=95.0).contains(&now.back)),
        (Shape { duplicate: 200, ..usual }, "duplicate", |now, _| (5.0..=45.0).contains(&now.duplicates)),
        // One bit of the whole frame is turned: that of its addresses, or one that a checksum covers.
        (Shape { corrupt: 500, ..usual }, "corrupt", |now, _| now.back < 80.0),
        (Shape { delay_us: 50_000, reorder: 200, ..usual }, "reorder", |now, free| now.mean_ms > free.mean_ms + 25.0),
        // 1042 bytes take 83 ms each and come every 20.
        (Shape { rate_bits: 100_000, ..usual }, "rate", |now, free| now.mean_ms > free.mean_ms + 200.0),
    ];
    for (shape, word, is_so) in shapes {
        agent.shape(&peer, &shape, 7).unwrap();
        let (during, there) = (qdiscs(), echoes(PEERS[0]));
        println!("    {word}: {there:?}");
        assert!(during.contains("netem") && during.contains(word), "{during}");
        assert!(is_so(&there, &free), "{word}: {there:?}, and before {free:?}");
        let other = echoes(PEERS[1]);
        assert!(other.back > 99.0 && other.duplicates < 1.0 && other.mean_ms < free.mean_ms + 40.0, "{word}, the other peer: {other:?}");
    }
    agent.shape(&[], &usual, 0).unwrap();
    assert_eq!(qdiscs(), before);
    // And by the next agent.
    agent.shape(&peer, &Shape { loss: 1000, ..usual }, 7).unwrap();
    kill_process(Pid::from_raw(agent.about().pid as i32).unwrap(), Signal::KILL).unwrap();
    thread::sleep(Duration::from_millis(500));
    assert!(echoes(PEERS[0]).back < 1.0);
    let next = place.agents();
    assert!(only(&next).about().undone.iter().all(|one| one.error.is_none()));
    assert_eq!(qdiscs(), before);
    next.close();
    shell(&format!("ip link del {DEVICE}; ip netns del rashomon-test"));
}

fn control_groups(place: &Place) {
    let agents = place.agents();
    let agent = only(&agents);
    let groups = format!("rashomon-test-{}", std::process::id());
    agent.try_groups(&groups).unwrap();
    assert!(Path::new("/sys/fs/cgroup/cgroup.controllers").exists(), "this kernel has control groups of version 1");
    let program = |name: &str, script: &str| Program {
        name: name.into(),
        argv: ["sh", "-c", script].map(String::from).to_vec(),
        env: Vec::new(),
        dir: None,
        log: format!("{name}.log"),
        own: Own { groups: Some(groups.clone()), ..Own::default() },
    };
    agent.start(&program("busy", "while :; do :; done")).unwrap();
    let used = |within: Duration| {
        let before = agent.usage(&groups, Resource::Cpu).unwrap();
        thread::sleep(within);
        let after = agent.usage(&groups, Resource::Cpu).unwrap();
        (after.used - before.used) as f64 / within.as_micros() as f64
    };
    let free = used(Duration::from_secs(1));
    agent.squeeze("busy", Resource::Cpu, 50).unwrap();
    let usage = agent.usage(&groups, Resource::Cpu).unwrap();
    let squeezed = used(Duration::from_secs(2));
    agent.release("busy", Resource::Cpu).unwrap();
    println!("    processor time: {free:.2} of one, {squeezed:.3} when squeezed, {:?}", agent.usage(&groups, Resource::Cpu).unwrap());
    assert_eq!(usage.limit, Some(5_000));
    assert!(free > 0.2 && squeezed < 0.12, "{free} {squeezed}");
    assert_eq!(agent.usage(&groups, Resource::Cpu).unwrap().limit, None);
    agent.stop("busy").unwrap();
    // `tail` keeps what it was given last, until it is told that nothing more comes.
    agent.start(&program("large", "(head -c 32000000 /dev/zero; sleep 1000) | tail -c 32000000")).unwrap();
    eventually("it holds its memory", || agent.usage(&groups, Resource::Memory).unwrap().used > 32_000_000);
    let before = agent.usage(&groups, Resource::Memory).unwrap();
    agent.squeeze("large", Resource::Memory, 500).unwrap();
    eventually("memory is short", || agent.usage(&groups, Resource::Memory).unwrap().reached > before.reached);
    let during = agent.usage(&groups, Resource::Memory).unwrap();
    let state = agent.state("large").unwrap();
    agent.release("large", Resource::Memory).unwrap();
    println!("    memory: {before:?}, {during:?} and {state:?} when squeezed");
    assert!(during.limit.is_some_and(|limit| limit <= before.used / 2 + 4096), "{during:?}");
    assert_eq!(agent.usage(&groups, Resource::Memory).unwrap().limit, None);
    eventually("it runs", || agent.state("large").unwrap() == ProcessState::Running);
    agent.stop("large").unwrap();
    assert!(!Path::new("/sys/fs/cgroup").join(&groups).exists());
    agents.close();
}

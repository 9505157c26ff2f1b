//! A lab for one test, programs with deadlines, and what is there before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(crate) const RASHOMON: &str = env!("CARGO_BIN_EXE_rashomon");
/// More than any command on a lab takes, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A name and a folder for a lab; whatever is in there at the end of the test is taken down.
pub(crate) struct TestLab {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) subnet: String,
    test: String,
    began: Instant,
    /// Given back when the lab is down.
    _place: Place,
}

/// How many labs there are at a time, each in a test of its own. They wait most of the time, and share two cores well.
const LABS_MAX: u8 = 8;

static TAKEN: Mutex<[bool; LABS_MAX as usize]> = Mutex::new([false; LABS_MAX as usize]);
static GIVEN_BACK: Condvar = Condvar::new();

/// One of the places that there are for labs; its number is part of the subnet. Labs do not meet even on the same addresses, but who
/// reads the output of a test that failed can tell them apart.
struct Place(u8);

impl Place {
    /// Waits until one is free.
    fn take() -> Place {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = GIVEN_BACK.wait_while(taken, |taken| taken.iter().all(|&t| t)).unwrap_or_else(PoisonError::into_inner);
        let free = taken.iter().position(|&t| !t).unwrap();
        taken[free] = true;
        Place(free as u8)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner)[usize::from(self.0)] = false;
        GIVEN_BACK.notify_one();
    }
}

impl TestLab {
    /// `None`, said loudly, if this machine cannot have labs; a panic if it must.
    pub(crate) fn new() -> Option<TestLab> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        if let Some(why) = why_not() {
            assert!(!required(), "{test} cannot run, but RASHOMON_REQUIRE asks for it: {why}");
            // Not by eprintln: the output of a test that passes is thrown away.
            let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: {why}");
            return None;
        }
        let place = Place::take();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{}-{number}", std::process::id());
        let folder = Path::new("/tmp").join(format!("rashomon-lab-{name}"));
        Some(TestLab { name, folder, subnet: format!("10.94.{}", 83 + place.0), test, began: Instant::now(), _place: place })
    }

    /// `rashomon lab COMMAND --name NAME ARGS`, not yet run.
    pub(crate) fn command(&self, command: &str, args: &[&str]) -> Command {
        let mut all = vec!["lab", command, "--name", &self.name];
        all.extend(args);
        self.rashomon(&all)
    }

    /// `rashomon ARGS` that knows where this lab is.
    pub(crate) fn rashomon(&self, args: &[&str]) -> Command {
        let mut command = bare(RASHOMON);
        command.args(args).env("RASHOMON_LAB_DIR", &self.folder);
        command
    }

    /// [`TestLab::command`], which must succeed; its output.
    pub(crate) fn run(&self, command: &str, args: &[&str]) -> String {
        succeed(self.command(command, args))
    }

    pub(crate) fn up(&self, hosts: u32) -> String {
        self.run("up", &[&hosts.to_string(), "--subnet", &self.subnet])
    }

    /// A command on a host, over SSH, which must succeed; its output.
    pub(crate) fn ssh(&self, host: &str, script: &str) -> String {
        self.run("ssh", &[host, script])
    }

    /// A command on a host that may be off: then its output is a word.
    pub(crate) fn ssh_or_nothing(&self, host: &str, script: &str) -> String {
        let output = finish(self.command("ssh", &[host, script]), PATIENCE);
        if output.status.success() { String::from_utf8_lossy(&output.stdout).into_owned() } else { format!("{host} cannot be asked") }
    }

    /// The folder of the lab itself.
    pub(crate) fn own_folder(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// The processes of the lab that run on this machine's side: the control process, and the first of each host.
    pub(crate) fn keepers(&self) -> Vec<i32> {
        let folder = self.own_folder().to_string_lossy().into_owned();
        let is_ours = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|b| *b == 0).collect();
            words.get(1) == Some(&b"lab".as_slice()) && words.get(3) == Some(&folder.as_bytes())
        };
        all_pids().into_iter().filter(is_ours).collect()
    }

    /// The control process.
    pub(crate) fn control(&self) -> i32 {
        let is_control = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|l| l.windows(9).any(|w| w == b"\0control\0"));
        let found: Vec<i32> = self.keepers().into_iter().filter(is_control).collect();
        assert_eq!(found.len(), 1, "control processes: {found:?}");
        found[0]
    }

    /// Every namespace that a process of the lab is in and this one is not.
    pub(crate) fn namespaces(&self) -> Namespaces {
        let mine: BTreeSet<_> = namespaces_of("self").into_keys().collect();
        let mut all: BTreeMap<_, _> = self.keepers().iter().flat_map(|pid| namespaces_of(&pid.to_string())).collect();
        all.retain(|id, _| !mine.contains(id));
        Namespaces(all)
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        if self.folder.exists() {
            let output = finish(self.command("down", &[]), PATIENCE);
            if !std::thread::panicking() {
                assert!(output.status.success(), "{}", text(&output));
            }
        }
        // Without the time that it waited for a place.
        let _ = writeln!(std::io::stderr(), "took: {} {:.1} s", self.test, self.began.elapsed().as_secs_f64());
    }
}

/// What a lab could leave behind on the machine.
#[derive(Debug, PartialEq)]
pub(crate) struct Machine {
    mounts: Vec<String>,
    links: String,
    named_namespaces: Vec<String>,
    rules: String,
    hosts: String,
}

impl Machine {
    pub(crate) fn now() -> Machine {
        let list = |path: &str| -> Vec<String> {
            let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
            let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        // Named namespaces are looked at by their names: other programs of this machine may make some at the same time.
        let ours = |name: &String| name.contains("lab") || name.starts_with('t');
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        Machine {
            mounts: mounts.lines().filter(|line| !line.contains("/netns")).map(str::to_owned).collect(),
            links: succeed(with_args(bare("ip"), &["-o", "link"])),
            named_namespaces: list("/run/netns").into_iter().chain(list("/etc/netns")).filter(ours).collect(),
            rules: succeed(with_args(bare("nft"), &["list", "ruleset"])),
            hosts: fs::read_to_string("/etc/hosts").unwrap(),
        }
    }
}

/// Namespaces by their numbers, with their files held open: no new namespace can get the number of an old one meanwhile. (Mount
/// namespaces are left out, since to hold one is to keep its mounts.)
pub(crate) struct Namespaces(BTreeMap<(u64, u64), File>);

impl Namespaces {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Processes of this machine that run in one of them.
    pub(crate) fn inhabitants(&self) -> Vec<i32> {
        let inside = |pid: &i32| namespaces_of(&pid.to_string()).keys().any(|id| self.0.contains_key(id));
        all_pids().into_iter().filter(|&pid| runs(pid)).filter(inside).collect()
    }

    /// How many are not among the others.
    pub(crate) fn count_new(&self, others: &Namespaces) -> usize {
        self.0.keys().filter(|id| !others.0.contains_key(id)).count()
    }
}

fn namespaces_of(pid: &str) -> BTreeMap<(u64, u64), File> {
    let open = |kind: &&str| {
        let file = File::open(format!("/proc/{pid}/ns/{kind}")).ok()?;
        let id = file.metadata().ok()?;
        Some(((id.dev(), id.ino()), file))
    };
    ["net", "pid", "uts", "ipc"].iter().filter_map(open).collect()
}

pub(crate) fn all_pids() -> Vec<i32> {
    fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Whether a process runs (one that has ended and was not waited for yet does not).
pub(crate) fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Sends a signal to a process that this test has started or found in its own lab.
pub(crate) fn signal(pid: i32, name: &str) {
    succeed(with_args(bare("kill"), &[&format!("-{name}"), &pid.to_string()]));
}

/// Waits until something is so; panics if it never is. It looks less and less often: many a look is a login, and many tests wait at
/// the same time.
pub(crate) fn eventually(what: &str, within: Duration, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    let mut pause = Duration::from_millis(10);
    while !so() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(300));
    }
}

/// A program with nothing on its standard input and only a path in its environment.
pub(crate) fn bare(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    command
}

pub(crate) fn with_args(mut command: Command, args: &[&str]) -> Command {
    command.args(args);
    command
}

/// Runs a command to its end; kills it and panics if it takes longer.
pub(crate) fn finish(mut command: Command, within: Duration) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let pid = child.id() as i32;
    let (done, ended) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        // Ends when the program has ended *and* nobody holds its output any more.
        let output = child.wait_with_output();
        let _ = done.send(());
        output
    });
    if ended.recv_timeout(within).is_err() {
        let doing = doing(&command, pid);
        let _ = with_args(bare("kill"), &["-KILL", &pid.to_string()]).status();
        // Unless it has ended long ago, and something that it started holds its output.
        let said = match ended.recv_timeout(Duration::from_secs(5)) {
            Ok(()) => waiting.join().unwrap().map_or_else(|e| e.to_string(), |output| text(&output)),
            Err(_) => "something that it started holds its output".to_owned(),
        };
        panic!("{command:?} has not ended within {within:?}\n{said}\n{doing}");
    }
    waiting.join().unwrap().unwrap()
}

/// What a program that does not end is doing: what its threads wait in, what runs below it, and the end of its run's log.
fn doing(command: &Command, pid: i32) -> String {
    let mut lines = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let read = |file: &str| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default().trim().to_owned();
        lines.push(format!(
            "thread {}: waits in {:?}, syscall {}, children {}",
            read("comm"),
            read("wchan"),
            read("syscall"),
            read("children")
        ));
    }
    let arguments: Vec<_> = command.get_args().collect();
    if let Some(store) = arguments.windows(2).find(|pair| pair[0] == "--store").map(|pair| Path::new(pair[1])) {
        let log = std::fs::read_to_string(store.join("latest/log.jsonl")).unwrap_or_default();
        let log: Vec<&str> = log.lines().collect();
        lines.extend(log[log.len().saturating_sub(40)..].iter().map(|line| (*line).to_owned()));
    }
    lines.join("\n")
}

/// Runs a command that must succeed; its output.
pub(crate) fn succeed(command: Command) -> String {
    let name = format!("{command:?}");
    let output = finish(command, PATIENCE);
    assert!(output.status.success(), "{name}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command that must fail with this exit code; what it says.
pub(crate) fn fail(command: Command, code: i32) -> String {
    let name = format!("{command:?}");
    let output = finish(command, PATIENCE);
    assert_eq!(output.status.code(), Some(code), "{name}: {}", text(&output));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Everything a command has said, for messages.
pub(crate) fn text(output: &Output) -> String {
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A program in the background that is killed at the end.
pub(crate) struct Background(pub(crate) Child);

impl Background {
    pub(crate) fn start(mut command: Command) -> Background {
        Background(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> i32 {
        self.0.id() as i32
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How often something is to be repeated.
pub(crate) fn times(usual: u32) -> u32 {
    crate::size::times(usual.into()) as u32
}

fn required() -> bool {
    is_required("lab")
}

/// Whether this part must run: then a test that cannot run fails.
pub(crate) fn is_required(part: &str) -> bool {
    std::env::var("RASHOMON_REQUIRE").unwrap_or_default().split(',').any(|required| required == part)
}

fn why_not() -> Option<String> {
    if fs::metadata("/proc/self").map_or(1, |m| m.uid()) != 0 {
        return Some("it needs Linux and root".into());
    }
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let missing = |program: &&&str| !folders.iter().any(|folder| Path::new(folder).join(program).exists());
    let missing: Vec<&str> = ["sshd", "ssh", "ip", "nft", "etcd", "setpriv", "unshare"].iter().filter(missing).copied().collect();
    (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
}

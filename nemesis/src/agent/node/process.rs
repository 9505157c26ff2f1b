//! Programs on the node: started in sessions of their own, found again, killed, paused.
//!
//! A program's processes are told by three marks, so that neither a new agent loses them nor a recycled process id is ever
//! signalled: the leader's process id together with its start time and the kernel's boot id; the leader's session; and a
//! variable in the environment that all descendants inherit. Each process is signalled through a file descriptor of its own
//! (pidfd), opened before its identity is checked.

use super::cgroup;
use super::disk::Disks;
use super::endings::Endings;
use super::files::{Directory, replace};
use crate::command::{Program, tail};
use crate::exec::let_signals_in;
use crate::exec::{cannot_start, search_path};
use crate::machine::boot_id;
use crate::{Ending, ProcessState};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, kill_process, pidfd_open, pidfd_send_signal, setrlimit, setsid,
};
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How long killed processes may take to be gone, and paused ones to stop.
const GONE_WITHIN: Duration = Duration::from_secs(3);

/// How long a program may take to end when it is asked to: it may have much to write.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// How long a program that ends at once is waited for, to say so.
const ENDS_AT_ONCE: Duration = Duration::from_millis(100);

/// The environment variable that marks a program's processes.
pub(super) const MARK: &str = "RASHOMON_PROGRAM";

/// A journal entry: a program was killed; it is undone by starting it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Killed {
    /// How to start it again.
    pub program: Program,
}

/// A journal entry: a program is stopped; it is undone by letting it run on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Its name.
    pub name: String,
}

/// A program as it was last started: the content of its file in `processes/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    program: Program,
    /// What its processes have in their environment.
    mark: String,
    /// Who leads its session; `None` between noting that it will be started and having started it.
    leader: Option<Identity>,
}

/// A process, for as long as the machine is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    pid: i32,
    /// Clock ticks since boot.
    start: u64,
    boot: String,
}

/// The programs of an agent's directory.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    home: Directory,
    records: PathBuf,
    disks: Disks,
    endings: Endings,
}

impl Programs {
    pub(super) fn new(home: &Directory, disks: Disks) -> Result<Programs, String> {
        let records = home.root().join("processes");
        // Environments may hold secrets: for the owner only.
        fs::create_dir_all(&records)
            .and_then(|()| fs::set_permissions(&records, fs::Permissions::from_mode(0o700)))
            .map_err(|e| format!("cannot use {}: {e}", records.display()))?;
        Ok(Programs { home: home.clone(), records, disks, endings: Endings::default() })
    }

    fn record_path(&self, name: &str) -> Result<PathBuf, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || name.len() > 64 || !name.chars().all(plain) {
            return Err(format!("{name:?} is no name of a program: use up to 64 letters, digits, `-`, `_` and `.`"));
        }
        Ok(self.records.join(format!("{name}.json")))
    }

    fn record(&self, name: &str) -> Result<Option<Record>, String> {
        let path = self.record_path(name)?;
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(format!("cannot read {}: {e}", path.display())),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|e| format!("{} is damaged: {e}; end the program by hand and remove the file", path.display()))
    }

    fn note(&self, record: &Record) -> Result<(), String> {
        let path = self.record_path(&record.program.name)?;
        let text = serde_json::to_vec(record).map_err(|e| e.to_string())?;
        replace(&path, &text).map_err(|e| format!("cannot write {}: {e}", path.display()))
    }

    /// How a program was last started; `None` if it never was, or was forgotten since.
    pub(super) fn known(&self, name: &str) -> Result<Option<Program>, String> {
        Ok(self.record(name)?.map(|record| record.program))
    }

    /// How a program was last started.
    pub(super) fn last(&self, name: &str) -> Result<Program, String> {
        self.known(name)?.ok_or_else(|| format!("{name} was never started on this node"))
    }

    /// What a program's processes do.
    pub(super) fn state(&self, name: &str) -> Result<ProcessState, String> {
        let Some(record) = self.record(name)? else { return Ok(ProcessState::Down) };
        let members = members(&record);
        Ok(match (members.is_empty(), members.iter().all(|process| process.stopped)) {
            (true, _) => ProcessState::Down,
            (false, true) => ProcessState::Paused,
            (false, false) => ProcessState::Running,
        })
    }

    /// Starts a program. No harm if it is there already.
    pub(super) fn start(&self, program: &Program) -> Result<(), String> {
        if self.state(&program.name)? != ProcessState::Down {
            return Ok(());
        }
        let nanos = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
        let mut record = Record { program: program.clone(), mark: format!("{}-{}-{nanos:x}", program.name, process::id()), leader: None };
        // First the mark, so that a program whose start nobody lived to note is found all the same.
        self.note(&record)?;
        self.provide(program)?;
        let mut child = self.spawn(&record)?;
        record.leader = stat(child.id() as i32).map(|leader| Identity { pid: leader.pid, start: leader.start, boot: boot_id() });
        self.note(&record)?;
        if let Some(how) = ended_at_once(&mut child)
            && members(&record).is_empty()
        {
            let log = fs::read(self.home.any(&program.log)).unwrap_or_default();
            return Err(format!("{} ended at once ({how}); the end of its log {}: {}", program.name, program.log, tail(&log, 600)));
        }
        self.endings.watch(program, &self.home, child, move || !members(&record).is_empty());
        Ok(())
    }

    /// Sees to it that a program's own disk is mounted, if it has one.
    pub(super) fn provide(&self, program: &Program) -> Result<(), String> {
        program.own.disk.as_ref().map_or(Ok(()), |disk| self.disks.mount(disk))
    }

    #[allow(unsafe_code, reason = "a session of its own is made, and groups are entered, between fork and exec")]
    fn spawn(&self, record: &Record) -> Result<Child, String> {
        let Record { program, mark, .. } = record;
        let Some((file, arguments)) = program.argv.split_first() else { return Err(format!("{} has no command", program.name)) };
        let log = self.home.below(&program.log)?;
        let fail = |e: io::Error| format!("cannot write the log {}: {e}", log.display());
        fs::create_dir_all(log.parent().unwrap_or(Path::new("/"))).map_err(fail)?;
        let output = OpenOptions::new().append(true).create(true).open(&log).map_err(fail)?;
        let errors = output.try_clone().map_err(fail)?;
        let dir = program.dir.as_deref().map_or(self.home.root().to_path_buf(), |dir| self.home.any(dir));
        let mut command = process::Command::new(file);
        command
            .args(arguments)
            .env("PATH", search_path())
            .envs(program.env.iter().map(|(name, value)| (name, value)))
            .env(MARK, mark)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let groups = program.own.groups.as_deref().map(cgroup::make).transpose()?;
        let leave = move || {
            let_signals_in()?;
            dump_cores()?;
            setsid()?;
            groups.as_ref().map_or(Ok(()), cgroup::Entrance::enter)
        };
        // SAFETY: setsid, write, setrlimit and what lets signals in are async-signal-safe; nothing is allocated, and no memory is touched but the list of open files.
        unsafe { command.pre_exec(leave) };
        command.spawn().map_err(|e| cannot_start(file, program.dir.as_deref(), &e))
    }

    /// Kills all processes of a program and waits until they are gone. No harm if there are none.
    pub(super) fn kill(&self, name: &str) -> Result<(), String> {
        self.endings.expect(name);
        self.signal_until(name, Signal::KILL, |process| process.is_none())
    }

    /// Kills a program for good, takes away what it has for itself, and forgets it. No harm if there is none.
    pub(super) fn stop(&self, name: &str) -> Result<(), String> {
        self.kill(name)?;
        let own = self.record(name)?.map(|record| record.program.own).unwrap_or_default();
        if let Some(disk) = &own.disk {
            self.disks.unmount(disk)?;
        }
        if let Some(groups) = &own.groups {
            cgroup::remove(groups)?;
        }
        self.forget(name)
    }

    /// All living processes of a program.
    pub(super) fn pids(&self, name: &str) -> Result<Vec<i32>, String> {
        Ok(self.record(name)?.map_or_else(Vec::new, |record| members(&record).into_iter().map(|process| process.pid).collect()))
    }

    /// Asks every process of a program to end, each once, and waits until they are gone. No harm if there are none.
    pub(super) fn terminate(&self, name: &str) -> Result<(), String> {
        let Some(record) = self.record(name)? else { return Ok(()) };
        self.endings.expect(name);
        let deadline = Instant::now() + ENDS_WITHIN;
        let mut asked: Vec<(i32, u64)> = Vec::new();
        loop {
            let members = members(&record);
            if members.is_empty() {
                return Ok(());
            }
            for process in &members {
                // A second SIGTERM makes many servers drop everything: that would be another fault.
                if !asked.contains(&(process.pid, process.start)) {
                    send(process, Signal::TERM).map_err(|e| format!("cannot signal process {} of {name}: {e}", process.pid))?;
                    asked.push((process.pid, process.start));
                }
            }
            if Instant::now() >= deadline {
                return Err(format!("{name} has not ended within {} s of SIGTERM", ENDS_WITHIN.as_secs()));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// How a program ended when nobody had asked it to, or killed it.
    pub(super) fn endings(&self, name: &str) -> Vec<Ending> {
        self.endings.of(name)
    }

    /// What tells a program's process from the one after a restart; `None` if it is down.
    pub(super) fn incarnation(&self, name: &str) -> Result<Option<String>, String> {
        let Some(record) = self.record(name)? else { return Ok(None) };
        let first = members(&record).into_iter().min_by_key(|process| (process.start, process.pid));
        Ok(first.map(|process| format!("process {}, started at tick {}", process.pid, process.start)))
    }

    /// An error if a program is down.
    pub(super) fn must_run(&self, name: &str) -> Result<(), String> {
        match self.state(name)? {
            ProcessState::Down => Err(format!("{name} does not run on this node")),
            ProcessState::Running | ProcessState::Paused => Ok(()),
        }
    }

    /// Stops all processes of a program and waits until they are, with each of their threads: one that is inside a system call stops
    /// when it leaves it. No harm if there are none.
    pub(super) fn pause(&self, name: &str) -> Result<(), String> {
        self.signal_until(name, Signal::STOP, |process| process.is_none_or(|process| process.stopped && threads_are_stopped(process.pid)))
    }

    /// Lets all processes of a program run on. No harm if there are none.
    pub(super) fn resume(&self, name: &str) -> Result<(), String> {
        self.signal_until(name, Signal::CONT, |process| process.is_none_or(|process| !process.stopped))
    }

    /// The names of all programs that were started and not forgotten.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.records).into_iter().flatten().flatten();
        let name = |entry: fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned());
        let mut names: Vec<String> = entries.filter_map(name).collect();
        names.sort();
        names
    }

    /// Forgets a program that is gone.
    fn forget(&self, name: &str) -> Result<(), String> {
        match fs::remove_file(self.record_path(name)?) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(format!("cannot forget {name}: {e}")),
            _ => Ok(()),
        }
    }

    /// Signals every process of a program that is not yet as wanted, again and again: they may fork meanwhile.
    fn signal_until(&self, name: &str, signal: Signal, as_wanted: impl Fn(Option<&Process>) -> bool) -> Result<(), String> {
        let Some(record) = self.record(name)? else { return Ok(()) };
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            let members = members(&record);
            let open: Vec<&Process> = members.iter().filter(|process| !as_wanted(Some(process))).collect();
            if open.is_empty() {
                return Ok(());
            }
            for process in &open {
                send(process, signal).map_err(|e| format!("cannot signal process {} of {name}: {e}", process.pid))?;
            }
            if Instant::now() >= deadline {
                let pids: Vec<String> = open.iter().map(|process| process.pid.to_string()).collect();
                return Err(format!("process(es) {} of {name} did not react to {signal:?}", pids.join(", ")));
            }
            thread::sleep(Duration::from_millis(3));
        }
    }
}

/// Has the kernel keep the core of a process that it ends, as far as the user may: by default it keeps none. Called between fork and exec.
fn dump_cores() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    Ok(setrlimit(Resource::Core, Rlimit { current: maximum, maximum })?)
}

fn ended_at_once(child: &mut Child) -> Option<String> {
    let deadline = Instant::now() + ENDS_AT_ONCE;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status.to_string());
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}

/// A process as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    session: i32,
    start: u64,
    stopped: bool,
    zombie: bool,
}

/// All living processes of a program.
fn members(record: &Record) -> Vec<Process> {
    let leader = record.leader.as_ref().filter(|leader| leader.boot == boot_id());
    let leads = |process: &Process| leader.is_some_and(|leader| leader.pid == process.pid && leader.start == process.start);
    // While the leader itself is there, even as a zombie, its session is certainly ours.
    let session = leader.filter(|leader| stat(leader.pid).is_some_and(|process| leads(&process))).map(|leader| leader.pid);
    let mark = format!("{MARK}={}", record.mark);
    let ours = |process: &Process| leads(process) || session == Some(process.session) || is_marked(process.pid, &mark);
    processes().filter(|process| !process.zombie && ours(process)).collect()
}

fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?))
}

fn is_marked(pid: i32, mark: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|&b| b == 0).any(|variable| variable == mark.as_bytes()))
}

fn stat(pid: i32) -> Option<Process> {
    read_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads `/proc/PID/stat`. The name of the process, in parentheses, may itself hold blanks and parentheses.
fn read_stat(pid: i32, text: &str) -> Option<Process> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
    // Fields 3, 6 and 22 of proc(5), counted from 1.
    let (state, session, start) = (*fields.first()?, fields.get(3)?.parse().ok()?, fields.get(19)?.parse().ok()?);
    Some(Process { pid, session, start, stopped: matches!(state, "T" | "t"), zombie: matches!(state, "Z" | "X" | "x") })
}

/// Whether no thread of a process does anything. The process itself is shown as stopped as soon as its first thread is.
fn threads_are_stopped(pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    // A thread that has no file any more is gone.
    threads
        .filter_map(|thread| read_stat(pid, &fs::read_to_string(thread.path().join("stat")).ok()?))
        .all(|thread| thread.stopped || thread.zombie)
}

/// Signals a process if it is still the one that was seen. That it is gone is no error.
fn send(process: &Process, signal: Signal) -> io::Result<()> {
    let Some(pid) = Pid::from_raw(process.pid) else { return Ok(()) };
    let still_there = || stat(process.pid).is_some_and(|now| now.start == process.start);
    let sent = match pidfd_open(pid, PidfdFlags::empty()) {
        // From here on the id cannot mean another process to the descriptor; is it the one that was seen?
        Ok(handle) if still_there() => pidfd_send_signal(handle, signal),
        // Kernels before 5.3 have no pidfd: there the check and the signal are two steps.
        Err(Errno::NOSYS) if still_there() => kill_process(pid, signal),
        Ok(_) | Err(Errno::NOSYS) => Ok(()),
        Err(error) => Err(error),
    };
    match sent {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Own;

    struct Place {
        _temporary: tempfile::TempDir,
        programs: Programs,
    }

    impl Place {
        fn new() -> Place {
            let temporary = tempfile::tempdir().unwrap();
            let home = Directory::make(temporary.path()).unwrap();
            let disks = Disks::new(&home, crate::exec::Running::default());
            let programs = Programs::new(&home, disks).unwrap();
            Place { _temporary: temporary, programs }
        }

        fn start(&self, script: &str) {
            self.programs.start(&program(script)).unwrap();
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = self.programs.kill("p");
        }
    }

    fn program(script: &str) -> Program {
        let argv = ["sh", "-c", script].map(String::from).to_vec();
        Program { name: "p".into(), argv, env: Vec::new(), dir: None, log: "logs/p.log".into(), own: Own::default() }
    }

    fn members_of(place: &Place) -> Vec<Process> {
        members(&place.programs.record("p").unwrap().unwrap())
    }

    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_program_is_started_paused_resumed_and_killed() {
        let place = Place::new();
        let state = || place.programs.state("p").unwrap();
        assert_eq!(state(), ProcessState::Down);
        assert!(place.programs.last("p").is_err());
        place.start("echo up; sleep 100 & sleep 100");
        eventually("three processes", || members_of(&place).len() == 3);
        place.start("exit 1");
        assert_eq!(state(), ProcessState::Running, "no second one");
        place.programs.pause("p").unwrap();
        assert_eq!(state(), ProcessState::Paused);
        place.programs.resume("p").unwrap();
        assert_eq!(state(), ProcessState::Running);
        place.programs.pause("p").unwrap();
        place.programs.kill("p").unwrap();
        assert_eq!(state(), ProcessState::Down);
        assert!(place.programs.must_run("p").unwrap_err().contains("does not run"));
        for _ in 0..2 {
            place.programs.kill("p").unwrap();
            place.programs.resume("p").unwrap();
            place.programs.pause("p").unwrap();
        }
        assert_eq!(fs::read(place.programs.home.any("logs/p.log")).unwrap(), b"up\n");
    }

    #[test]
    fn children_are_found_when_their_leader_is_gone_or_they_leave_its_session() {
        let place = Place::new();
        place.start("sleep 100 & setsid sleep 100 & sleep 0.3");
        eventually("the leader has ended", || {
            members_of(&place).len() == 2 && members_of(&place).iter().all(|p| p.pid != p.session || p.session != leader(&place))
        });
        place.programs.kill("p").unwrap();
        assert_eq!(members_of(&place), []);
    }

    fn leader(place: &Place) -> i32 {
        place.programs.record("p").unwrap().unwrap().leader.unwrap().pid
    }

    #[test]
    fn a_recycled_process_id_is_never_signalled() {
        let place = Place::new();
        // A process of somebody else now has the id that our program once had.
        let mut stranger = process::Command::new("sleep").arg("100").process_group(0).spawn().unwrap();
        let now = stat(stranger.id() as i32).unwrap();
        for (start, boot) in [(now.start + 1, boot_id()), (now.start, "another boot".to_string())] {
            let leader = Some(Identity { pid: now.pid, start, boot });
            place.programs.note(&Record { program: program(""), mark: "m".into(), leader }).unwrap();
            assert_eq!(place.programs.state("p").unwrap(), ProcessState::Down);
            place.programs.kill("p").unwrap();
            place.programs.resume("p").unwrap();
        }
        // And between the look and the signal.
        send(&Process { start: now.start + 1, ..now.clone() }, Signal::KILL).unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(stranger.try_wait().unwrap().is_none(), "the stranger was killed");
        send(&now, Signal::KILL).unwrap();
        stranger.wait().unwrap();
        send(&now, Signal::KILL).unwrap();
    }

    #[test]
    fn a_program_whose_start_nobody_noted_is_found_by_its_mark() {
        let place = Place::new();
        place.start("sleep 100");
        let record = Record { leader: None, ..place.programs.record("p").unwrap().unwrap() };
        place.programs.note(&record).unwrap();
        assert_eq!(place.programs.state("p").unwrap(), ProcessState::Running);
        place.programs.kill("p").unwrap();
        assert_eq!(place.programs.state("p").unwrap(), ProcessState::Down);
    }

    #[test]
    fn a_program_that_fails_says_why() {
        let place = Place::new();
        let error = place.programs.start(&program("echo no such flag; exit 2")).unwrap_err();
        assert!(error.contains("ended at once (exit status: 2)") && error.contains("no such flag"), "{error}");
        let absent = Program { argv: vec!["no-such-database".into()], ..program("") };
        assert!(place.programs.start(&absent).unwrap_err().contains("is it installed on this node?"));
        let outside = Program { log: "/tmp/elsewhere.log".into(), ..program("true") };
        assert!(place.programs.start(&outside).unwrap_err().contains("refused"));
        for name in ["", "../x", "a/b", ".hidden", "a b"] {
            assert!(place.programs.state(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_program_that_is_asked_to_end_is_asked_once_and_has_time() {
        let place = Place::new();
        place.start("n=0; trap 'n=$((n+1)); echo asked $n; sleep 0.3; exit 0' TERM; echo up; while :; do sleep 0.02; done");
        let log = || fs::read_to_string(place.programs.home.any("logs/p.log")).unwrap_or_default();
        eventually("it is up", || log().contains("up"));
        let before = place.programs.incarnation("p").unwrap();
        assert!(before.is_some());
        place.programs.terminate("p").unwrap();
        assert_eq!(place.programs.state("p"), Ok(ProcessState::Down));
        assert_eq!(place.programs.incarnation("p"), Ok(None));
        assert_eq!(log().matches("asked").count(), 1, "{}", log());
        place.programs.terminate("p").unwrap();
        place.start("sleep 600");
        assert_ne!(place.programs.incarnation("p").unwrap(), before);
    }

    #[test]
    fn what_ends_by_itself_is_told_and_what_we_ended_is_not() {
        let place = Place::new();
        let endings = || place.programs.endings("p");
        place.start("echo it is broken; sleep 1; exit 3");
        eventually("its end is noted", || endings().len() == 1);
        let Ending { how, out_of_memory, log, .. } = endings().remove(0);
        assert_eq!((how.as_str(), out_of_memory, log.trim()), ("exit status: 3", false, "it is broken"));
        place.start("sleep 100");
        place.programs.kill("p").unwrap();
        place.start("sleep 100");
        place.programs.terminate("p").unwrap();
        place.start("exec sleep 100");
        send(&members_of(&place)[0], Signal::KILL).unwrap();
        eventually("the end by a stranger is noted", || endings().len() == 2);
        assert_eq!(endings()[1].how, "signal: 9 (SIGKILL)");
        assert!(endings()[0].ago > endings()[1].ago);
        // One whose children go on has not ended.
        place.start("sleep 100 & sleep 1");
        eventually("the leader has ended", || members_of(&place).len() == 1);
        place.programs.kill("p").unwrap();
        assert_eq!(endings().len(), 2);
    }

    #[test]
    fn the_core_of_what_crashed_is_found() {
        let place = Place::new();
        place.start("sleep 1; kill -SEGV $$");
        let endings = || place.programs.endings("p");
        eventually("its end is noted", || !endings().is_empty());
        let Ending { how, core, .. } = endings().remove(0);
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        // What is handed to a program is that program's; elsewhere than in the program's directory we may not look.
        if pattern.starts_with(['|', '/']) || pattern.trim().is_empty() {
            return;
        }
        assert_eq!(how, "signal: 11 (SIGSEGV) (core dumped)");
        let core = core.expect("a core");
        assert!(Path::new(&core).starts_with(place.programs.home.root()) && fs::metadata(&core).unwrap().len() > 0, "{core}");
    }

    #[test]
    fn awkward_names_of_processes_are_read() {
        let fields = "S 1 2 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        for name in ["(sleep)", "(a) b)", "(x y)", "() R 9 9 9)"] {
            let process = read_stat(5, &format!("5 {name} {fields}")).unwrap();
            assert_eq!((process.session, process.start, process.stopped), (77, 4242, false), "{name}");
        }
        assert_eq!(read_stat(5, "5 sleep S"), None);
        assert_eq!(read_stat(5, ""), None);
    }
}

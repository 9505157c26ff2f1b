//! The agent's life on the node: lock, journal, greeting, requests; and the undoing of everything at its end.

use super::addresses;
use super::cgroup::{self, Resource, Squeezed};
use super::clock::{Clocks, Skewed};
use super::damage::{self, Change, Damaged, Plan};
use super::disk::{self, DiskHarm, Disks, HurtDisk};
use super::exec::Running;
use super::files::{Directory, replace};
use super::firewall::{Backend, Cut, Firewall};
use super::footprint::{self, Footprint};
use super::journal::{Entry, Journal};
use super::packets::{Packets, Shaped};
use super::probe::Probe;
use super::process::{Killed, Paused, Programs};
use super::protocol::{About, Answer, Greeting, LINE_BYTES_MAX, Outcome, Question, Reply, Request, Undone, VERSION};
use super::{snapshot, vdso};
use crate::ProcessState;
use crate::command::Program;
use crate::shape::Shape;
use rustix::process::geteuid;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

/// The most requests answered at once.
const BUSY_MAX: usize = 256;

/// How long the last answers may take to leave.
const FAREWELL: Duration = Duration::from_millis(300);

/// How an agent is to work: the arguments of `rashomon agent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// What the run is called, for another that finds the node taken.
    pub run: String,
    /// The agent's directory; the default of [`super::AgentOptions::directory`] if `None`.
    pub directory: Option<PathBuf>,
    /// How long it waits for a heartbeat.
    pub dead_man: Duration,
    /// How long it waits for another agent to leave the node.
    pub lock_within: Duration,
    /// The UDP port for probes; any if 0.
    pub probe_port: u16,
    /// The address that the control node comes from: never cut off.
    pub control: Option<IpAddr>,
    /// Only undo what an agent that was killed left behind, say what it was, and exit.
    pub heal: bool,
    /// When healing: also end the programs that a run started, and remove its files.
    pub teardown: bool,
}

impl Default for ServeOptions {
    fn default() -> ServeOptions {
        ServeOptions {
            run: "a run without a name".into(),
            directory: None,
            dead_man: Duration::from_secs(5),
            lock_within: Duration::from_secs(3),
            probe_port: 0,
            control: None,
            heal: false,
            teardown: false,
        }
    }
}

impl ServeOptions {
    /// The arguments that [`ServeOptions::parse`] reads back.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--run".into(), self.run.clone()];
        if let Some(directory) = &self.directory {
            arguments.extend(["--directory".into(), directory.display().to_string()]);
        }
        arguments.extend(["--dead-man-ms".into(), self.dead_man.as_millis().to_string()]);
        arguments.extend(["--lock-within-ms".into(), self.lock_within.as_millis().to_string()]);
        arguments.extend(["--probe-port".into(), self.probe_port.to_string()]);
        if let Some(control) = self.control {
            arguments.extend(["--control".into(), control.to_string()]);
        }
        for (flag, given) in [("--heal", self.heal), ("--teardown", self.teardown)] {
            if given {
                arguments.push(flag.into());
            }
        }
        arguments
    }

    /// Reads the arguments of `rashomon agent`.
    pub fn parse(arguments: &[String]) -> Result<ServeOptions, String> {
        let mut options = ServeOptions::default();
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let flag = match name.as_str() {
                "--heal" => Some(&mut options.heal),
                "--teardown" => Some(&mut options.teardown),
                _ => None,
            };
            if let Some(flag) = flag {
                *flag = true;
                continue;
            }
            let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{name} needs a number, not {value:?}"));
            match name.as_str() {
                "--run" => options.run.clone_from(value),
                "--directory" => options.directory = Some(value.into()),
                "--dead-man-ms" => options.dead_man = Duration::from_millis(number()?),
                "--lock-within-ms" => options.lock_within = Duration::from_millis(number()?),
                "--probe-port" => options.probe_port = number()?.try_into().map_err(|_| format!("{value} is no port"))?,
                "--control" => options.control = Some(value.parse().map_err(|_| format!("{value:?} is no address"))?),
                _ => return Err(format!("unknown argument {name:?}")),
            }
        }
        Ok(options)
    }

    fn directory(&self) -> PathBuf {
        match (&self.directory, std::env::var_os("HOME")) {
            (Some(directory), _) => directory.clone(),
            (None, Some(home)) if !geteuid().is_root() => Path::new(&home).join(".rashomon"),
            _ => PathBuf::from("/var/lib/rashomon"),
        }
    }
}

/// What `rashomon agent ARGUMENTS` does. Call it before the process has started any thread: it sets signals aside.
pub fn main(arguments: &[String]) -> ExitCode {
    if arguments == [super::install::HELLO] {
        return ExitCode::SUCCESS;
    }
    let events = mpsc::channel();
    let options = match ServeOptions::parse(arguments) {
        Ok(options) => options,
        Err(why) => return refuse(&mut io::stdout(), &format!("the agent was started with wrong arguments: {why}")),
    };
    await_signals(events.0.clone());
    run(io::stdin(), io::stdout(), &options, events)
}

/// The agent over any pair of streams: answers requests until its input ends, heartbeats stop or it is told to leave; then
/// undoes every fault. The exit code is 0 if nothing is left to undo.
pub fn serve(input: impl Read + Send + 'static, output: impl Write + Send + 'static, options: &ServeOptions) -> ExitCode {
    run(input, output, options, mpsc::channel())
}

enum Event {
    Line(Vec<u8>),
    TooLong,
    End,
    Terminate,
}

fn run(
    input: impl Read + Send + 'static,
    mut output: impl Write + Send + 'static,
    options: &ServeOptions,
    events: (Sender<Event>, Receiver<Event>),
) -> ExitCode {
    let host = match Host::enter(options) {
        Ok(host) => Arc::new(host),
        Err(why) => return refuse(&mut output, &why),
    };
    let mut undone = if options.teardown { host.tear_down() } else { Vec::new() };
    undone.extend(host.undo_all());
    let clean = undone.iter().all(|undone| undone.error.is_none());
    let greeting = Greeting::RashomonAgent(host.about(undone));
    if options.heal {
        let said = say(&mut output, &greeting);
        return if clean && said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let (answers, to_write) = mpsc::channel();
    let writer = thread::spawn(move || {
        let _ = say(&mut output, &greeting);
        for answer in to_write {
            if say::<Answer>(&mut output, &answer).is_err() {
                return;
            }
        }
    });
    let (sender, receiver) = events;
    thread::spawn(move || read_lines(input, &sender));
    // Whatever goes wrong in here, what was hurt is healed below.
    let farewell = catch_unwind(AssertUnwindSafe(|| attend(&host, &receiver, &answers, options.dead_man))).unwrap_or(None);
    let undone = host.leave();
    host.running.kill();
    let clean = undone.iter().all(|undone| undone.error.is_none());
    if let Some(id) = farewell {
        let _ = answers.send(Answer { id: Some(id), outcome: Outcome::Done(Reply::Undone(undone)) });
    }
    drop(answers);
    let deadline = Instant::now() + FAREWELL;
    while farewell.is_some() && !writer.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Answers requests until it is time to go. Returns the number of the request that asked it to, if one did.
fn attend(host: &Arc<Host>, events: &Receiver<Event>, answers: &Sender<Answer>, dead_man: Duration) -> Option<u64> {
    let mut last_heard = Instant::now();
    let failed = |id, why: String| Answer { id, outcome: Outcome::Failed(why) };
    loop {
        let line = match events.recv_timeout(dead_man.saturating_sub(last_heard.elapsed())) {
            Ok(Event::Line(line)) => line,
            Ok(Event::TooLong) => {
                let _ = answers.send(failed(None, format!("a line of more than {LINE_BYTES_MAX} bytes")));
                continue;
            }
            Ok(Event::End | Event::Terminate) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        };
        let question = match serde_json::from_slice::<Question>(&line) {
            Ok(question) => question,
            Err(error) => {
                let _ = answers.send(failed(None, format!("not a request: {error}")));
                continue;
            }
        };
        last_heard = Instant::now();
        match question.ask {
            Request::Ping => drop(answers.send(Answer { id: Some(question.id), outcome: Outcome::Done(Reply::Nothing) })),
            Request::Bye => return Some(question.id),
            _ if host.busy.load(Ordering::Relaxed) >= BUSY_MAX => {
                let _ = answers.send(failed(Some(question.id), format!("busy with {BUSY_MAX} other requests")));
            }
            _ => {
                let (id, worker) = (question.id, Worker { host: host.clone(), answers: answers.clone(), question });
                if let Err(error) = worker.start() {
                    let _ = answers.send(failed(Some(id), format!("this node has no room for another thread: {error}")));
                }
            }
        }
    }
}

/// Answers one request, on a thread of its own.
struct Worker {
    host: Arc<Host>,
    answers: Sender<Answer>,
    question: Question,
}

impl Worker {
    fn start(self) -> io::Result<()> {
        self.host.busy.fetch_add(1, Ordering::Relaxed);
        let host = self.host.clone();
        let started = thread::Builder::new().spawn(move || self.work());
        if started.is_err() {
            host.busy.fetch_sub(1, Ordering::Relaxed);
        }
        started.map(drop)
    }

    fn work(self) {
        let answer = catch_unwind(AssertUnwindSafe(|| self.host.answer(&self.question.ask)));
        let answer = answer.unwrap_or_else(|_| Err("the agent has a defect: this request made it panic".into()));
        self.host.busy.fetch_sub(1, Ordering::Relaxed);
        let outcome = answer.map_or_else(Outcome::Failed, Outcome::Done);
        let _ = self.answers.send(Answer { id: Some(self.question.id), outcome });
    }
}

/// Reads lines of bounded length; skips what is longer.
fn read_lines(input: impl Read, events: &Sender<Event>) {
    let mut input = BufReader::new(input);
    loop {
        let mut line = Vec::new();
        let event = match (&mut input).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => Event::End,
            Ok(_) if line.ends_with(b"\n") => Event::Line(line),
            Ok(length) if length < LINE_BYTES_MAX => Event::End,
            Ok(_) => match skip_line(&mut input) {
                Ok(()) => Event::TooLong,
                Err(_) => Event::End,
            },
        };
        let end = matches!(event, Event::End);
        if events.send(event).is_err() || end {
            return;
        }
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let newline = buffer.iter().position(|&b| b == b'\n');
        let used = newline.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        if newline.is_some() {
            return Ok(());
        }
    }
}

fn say<T: serde::Serialize>(output: &mut impl Write, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

fn refuse(output: &mut impl Write, why: &str) -> ExitCode {
    let _ = say(output, &Greeting::RashomonRefusal(why.into()));
    ExitCode::FAILURE
}

/// Everything of this node that the agent holds.
struct Host {
    directory: Directory,
    journal: Mutex<Journal>,
    footprint: Mutex<Footprint>,
    programs: Programs,
    clocks: Clocks,
    disks: Disks,
    /// One change of a program at a time.
    programs_gate: Mutex<()>,
    firewall: Firewall,
    firewall_gate: Mutex<()>,
    packets: Packets,
    probe: Probe,
    running: Running,
    busy: AtomicUsize,
    control: Option<IpAddr>,
    /// Whether the agent is leaving: nothing is hurt any more. Held for reading while something is.
    leaving: RwLock<bool>,
    /// Released by the kernel when the agent ends in whatever way.
    _lock: File,
}

impl Host {
    fn enter(options: &ServeOptions) -> Result<Host, String> {
        let directory = Directory::make(&options.directory())?;
        let lock = lock(&directory.root().join("lock"), options)?;
        let running = Running::default();
        Ok(Host {
            journal: Mutex::new(Journal::open(directory.root())?),
            programs: Programs::new(&directory, Disks::new(&directory, running.clone()))?,
            disks: Disks::new(&directory, running.clone()),
            footprint: Mutex::new(Footprint::open(directory.root())),
            clocks: Clocks::default(),
            programs_gate: Mutex::new(()),
            packets: Packets::new(Firewall::find(running.clone()), running.clone()),
            firewall: Firewall::find(running.clone()),
            firewall_gate: Mutex::new(()),
            probe: Probe::listen(options.probe_port)?,
            directory,
            running,
            busy: AtomicUsize::new(0),
            control: options.control.map(|address| address.to_canonical()),
            leaving: RwLock::new(false),
            _lock: lock,
        })
    }

    fn about(&self, undone: Vec<Undone>) -> About {
        About {
            protocol: VERSION,
            pid: std::process::id(),
            uid: geteuid().as_raw(),
            directory: self.directory.root().display().to_string(),
            addresses: addresses::own(),
            probe_port: self.probe.port(),
            control: self.control,
            undone,
        }
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn footprint(&self) -> MutexGuard<'_, Footprint> {
        self.footprint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_footprint(&self) {
        let mut footprint = self.footprint();
        footprint.begin();
        footprint.note(footprint::of_agent(self.directory.root()));
    }

    /// Notes a fault where it outlives us, before it is applied.
    fn begin(&self, entry: &Entry) -> Result<(), String> {
        self.journal().begin(entry)?;
        self.footprint().note([footprint::of_entry(entry)]);
        Ok(())
    }

    fn answer(&self, request: &Request) -> Result<Reply, String> {
        self.footprint().note(footprint::of_request(request, self.directory.root()));
        match request {
            Request::Ping | Request::Bye => Ok(Reply::Nothing),
            Request::Run(command) => {
                let mut command = command.clone();
                command.dir = command.dir.map(|dir| self.directory.any(&dir).display().to_string());
                self.running.run(&command, self.directory.root()).map(Reply::Output)
            }
            Request::Write { path, offset, data } => self.directory.write(path, *offset, data).map(|()| Reply::Nothing),
            Request::Finish { path, size, mode } => self.directory.finish(path, *size, *mode).map(|()| Reply::Nothing),
            Request::Read { path, offset } => self.directory.read(path, *offset),
            Request::RemoveTree { path } => self.remove(path).map(|()| Reply::Nothing),
            Request::State { name } => self.programs.state(name).map(Reply::State),
            Request::ReadClock { name } => self.read_clock(name),
            Request::Incarnation { name } => self.programs.incarnation(name).map(Reply::Incarnation),
            Request::ProbeSend { to, nonce } => self.probe.send(*to, *nonce).map(|()| Reply::Nothing),
            Request::ProbeHeard { nonce, within } => Ok(Reply::Heard(self.probe.heard(*nonce, *within))),
            Request::Echo { to, nonce, echoes } => self.probe.echo(*to, *nonce, echoes).map(Reply::Echoed),
            Request::UsageFiles { name, resource } => cgroup::paths(name, *resource).map(Reply::Paths),
            Request::PlanDamage { name, plan } => self.plan_damage(name, plan).map(Reply::Changes),
            Request::Snapshot => Ok(Reply::Snapshot(snapshot::take(self.directory.root(), &self.running, &self.footprint().cgroups()))),
            Request::Time => Ok(Reply::Time(vdso::now_ns())),
            Request::BeginFootprint => {
                self.begin_footprint();
                Ok(Reply::Nothing)
            }
            Request::Footprint => Ok(Reply::Footprint(self.footprint().touches().to_vec())),
            Request::Heal => Ok(Reply::Undone(self.undo_all())),
            _ => self.change(request).map(|()| Reply::Nothing),
        }
    }

    /// Changes what runs or what is heard, unless the agent is leaving.
    fn change(&self, request: &Request) -> Result<(), String> {
        let leaving = self.leaving.read().unwrap_or_else(PoisonError::into_inner);
        if *leaving {
            return Err("the agent is leaving".into());
        }
        if let Request::DropFrom { addresses } = request {
            let _one_at_a_time = self.firewall_gate.lock().unwrap_or_else(PoisonError::into_inner);
            return self.drop_from(addresses);
        }
        if let Request::Shape { addresses, shape, seed } = request {
            let _one_at_a_time = self.firewall_gate.lock().unwrap_or_else(PoisonError::into_inner);
            return self.shape(addresses, shape, *seed);
        }
        let _one_at_a_time = self.programs_gate.lock().unwrap_or_else(PoisonError::into_inner);
        match request {
            Request::Start(program) => {
                self.programs.start(program)?;
                self.journal().end_all(|entry| matches!(entry, Entry::Killed(killed) if killed.program.name == program.name))
            }
            Request::Stop { name } => {
                self.programs.stop(name)?;
                self.clocks.forget(name);
                self.journal().end_all(|entry| match entry {
                    Entry::Killed(killed) => killed.program.name == *name,
                    Entry::Paused(paused) => paused.name == *name,
                    Entry::Skewed(skewed) => skewed.name == *name,
                    Entry::HurtDisk(hurt) => hurt.program.name == *name,
                    Entry::Damaged(damaged) => damaged.program.name == *name,
                    Entry::Squeezed(squeezed) => squeezed.program.name == *name,
                    Entry::Cut(_) | Entry::Shaped(_) => false,
                })
            }
            Request::Kill { name } => {
                let program = self.programs.last(name)?;
                self.begin(&Entry::Killed(Killed { program }))?;
                self.programs.kill(name)
            }
            Request::Terminate { name } => {
                let program = self.programs.last(name)?;
                self.begin(&Entry::Killed(Killed { program }))?;
                self.programs.terminate(name)
            }
            Request::ExpectCrash { name } => {
                // Of a program that does not belong on this node at the moment, nothing is to be started after the crash.
                match self.programs.known(name)? {
                    Some(program) => self.begin(&Entry::Killed(Killed { program })),
                    None => Ok(()),
                }
            }
            Request::Pause { name } => {
                self.programs.must_run(name)?;
                self.begin(&Entry::Paused(Paused { name: name.clone() }))?;
                self.programs.pause(name)
            }
            Request::Resume { name } => {
                self.programs.resume(name)?;
                self.journal().end_all(|entry| matches!(entry, Entry::Paused(paused) if paused.name == *name))
            }
            Request::Skew { name, skew } => {
                self.programs.must_run(name)?;
                self.begin(&Entry::Skewed(Skewed { name: name.clone() }))?;
                self.clocks.skew(name, || self.programs.pids(name), skew)
            }
            Request::RestoreClock { name } => {
                self.clocks.restore(name, || self.programs.pids(name))?;
                self.journal().end_all(|entry| matches!(entry, Entry::Skewed(skewed) if skewed.name == *name))
            }
            Request::TryGroups { name } => cgroup::try_out(name),
            Request::Squeeze { name, resource, thousandths } => self.squeeze(name, *resource, *thousandths),
            Request::Release { name, resource } => self.undo_all_of(
                |entry| matches!(entry, Entry::Squeezed(squeezed) if squeezed.program.name == *name && squeezed.resource == *resource),
            ),
            Request::Damage { name, changes } => self.damage(name, changes),
            Request::Repair { name } => self.undo_all_of(|entry| matches!(entry, Entry::Damaged(damaged) if damaged.program.name == *name)),
            Request::TryDisk { bytes } => self.disks.try_out(*bytes),
            Request::HurtDisk { name, harm } => self.hurt_disk(name, *harm),
            Request::HealDisk { name } => self.undo_all_of(|entry| matches!(entry, Entry::HurtDisk(hurt) if hurt.program.name == *name)),
            other => Err(format!("this agent cannot {other:?}")),
        }
    }

    /// Reads a program's clocks, while nobody else does something to its processes.
    fn read_clock(&self, name: &str) -> Result<Reply, String> {
        let _here = self.leaving.read().unwrap_or_else(PoisonError::into_inner);
        let _one_at_a_time = self.programs_gate.lock().unwrap_or_else(PoisonError::into_inner);
        super::clock::read(name, &self.programs.pids(name)?).map(Reply::Clock)
    }

    /// Removes a file or a directory with all below it, and first the disks of ours that are mounted there.
    fn remove(&self, path: &str) -> Result<(), String> {
        self.disks.unmount_below(&self.directory.below(path)?)?;
        self.directory.remove(path)
    }

    fn hurt_disk(&self, name: &str, harm: DiskHarm) -> Result<(), String> {
        let program = self.programs.last(name)?;
        let disk = disk::of(&program)?;
        self.begin(&Entry::HurtDisk(HurtDisk { program: program.clone(), harm }))?;
        match harm {
            DiskHarm::Full => self.disks.fill(disk),
            DiskHarm::ReadOnly => {
                self.programs.kill(name)?;
                self.disks.set_read_only(disk, true)?;
                // One that cannot run so ends at once: that is what such a disk does.
                let _ = self.programs.start(&program);
                Ok(())
            }
            DiskHarm::PowerLoss => {
                // Without power nobody acknowledges anything. A program that runs on a little longer does, and a call to sync that is
                // under way when the file system shuts down may tell it that all went well: so it stands still before.
                self.programs.pause(name)?;
                self.disks.cut_power(disk)?;
                self.programs.kill(name)?;
                self.disks.unmount(disk)
            }
        }
    }

    fn heal_disk(&self, hurt: &HurtDisk) -> Result<(), String> {
        let disk = disk::of(&hurt.program)?;
        if hurt.harm == DiskHarm::PowerLoss {
            // Whoever cut the power may have been killed half-way: the program stands still, on a file system that is shut down.
            self.programs.kill(&hurt.program.name)?;
            self.disks.unmount(disk)?;
        }
        // Its power was cut, or that of the whole host.
        self.disks.mount(disk)?;
        match hurt.harm {
            DiskHarm::Full => self.disks.empty(disk)?,
            DiskHarm::ReadOnly => self.disks.set_read_only(disk, false)?,
            DiskHarm::PowerLoss => {}
        }
        self.start_again(&hurt.program)
    }

    fn squeeze(&self, name: &str, resource: Resource, thousandths: u32) -> Result<(), String> {
        self.programs.must_run(name)?;
        let program = self.programs.last(name)?;
        let groups = cgroup::of(&program)?;
        self.begin(&Entry::Squeezed(Squeezed { program: program.clone(), resource }))?;
        cgroup::limit(groups, resource, thousandths)
    }

    /// Kills a program, so that its files stay as they are, and looks at them.
    fn plan_damage(&self, name: &str, plan: &Plan) -> Result<Vec<Change>, String> {
        let leaving = self.leaving.read().unwrap_or_else(PoisonError::into_inner);
        if *leaving {
            return Err("the agent is leaving".into());
        }
        let _one_at_a_time = self.programs_gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.programs.must_run(name)?;
        let program = self.programs.last(name)?;
        self.begin(&Entry::Killed(Killed { program: program.clone() }))?;
        self.programs.kill(name)?;
        damage::plan(&self.directory, plan).inspect_err(|_| {
            let _ = self.revive(&program);
        })
    }

    fn damage(&self, name: &str, changes: &[Change]) -> Result<(), String> {
        if self.programs.state(name)? != ProcessState::Down {
            return Err(format!("{name} was started again meanwhile: its files are left alone"));
        }
        let program = self.programs.last(name)?;
        self.begin(&Entry::Damaged(Damaged { program: program.clone(), changes: changes.to_vec() }))?;
        let done = damage::inflict(&self.directory, changes);
        // One that does not run on what it finds ends at once: that is for it to decide.
        let _ = self.revive(&program);
        done
    }

    /// Starts a program that was killed; whether it then runs or not, it is not kept down any more.
    fn revive(&self, program: &Program) -> Result<(), String> {
        let started = self.programs.start(program);
        self.journal().end_all(|entry| matches!(entry, Entry::Killed(killed) if killed.program.name == program.name))?;
        started
    }

    /// Starts a program that ended because of a fault, unless another fault keeps it down.
    fn start_again(&self, program: &Program) -> Result<(), String> {
        let is_kept_down = |entry: &Entry| matches!(entry, Entry::Killed(killed) if killed.program.name == program.name);
        if self.journal().open_entries().iter().any(|(_, entry)| is_kept_down(entry)) {
            return Ok(());
        }
        self.programs.start(program)
    }

    fn spare_control(&self, addresses: &[IpAddr], what: &str) -> Result<(), String> {
        match addresses.iter().find(|address| Some(address.to_canonical()) == self.control) {
            Some(control) => Err(format!("refused to {what} {control}: the control node talks to this node from there")),
            None => Ok(()),
        }
    }

    fn drop_from(&self, addresses: &[IpAddr]) -> Result<(), String> {
        self.spare_control(addresses, "drop packets from")?;
        if addresses.is_empty() {
            return self.undo_all_of(|entry| matches!(entry, Entry::Cut(_)));
        }
        let backend = self.firewall.backend(addresses)?;
        self.begin(&Entry::Cut(Cut { backend }))?;
        self.firewall.cut(backend, addresses)
    }

    /// Replaces what there was, by the first way that works.
    fn shape(&self, addresses: &[IpAddr], shape: &Shape, seed: u64) -> Result<(), String> {
        self.spare_control(addresses, "hold back packets to")?;
        self.undo_all_of(|entry| matches!(entry, Entry::Shaped(_)))?;
        if addresses.is_empty() {
            return Ok(());
        }
        let (ways, mut why_not) = self.packets.ways(addresses);
        for way in ways {
            self.begin(&Entry::Shaped(Shaped { way: way.clone() }))?;
            match self.packets.apply(&way, addresses, shape, seed) {
                Ok(()) => return Ok(()),
                Err(why) => why_not.push(why),
            }
            self.undo_all_of(|entry| matches!(entry, Entry::Shaped(_)))?;
        }
        Err(format!("packets cannot be shaped on this node: {}", why_not.join("; ")))
    }

    fn undo_all_of(&self, which: impl Fn(&Entry) -> bool) -> Result<(), String> {
        let found = self.journal().open_entries().into_iter().filter(|(_, entry)| which(entry));
        for (id, entry) in found.collect::<Vec<_>>() {
            self.undo(&entry)?;
            self.journal().end(id)?;
        }
        Ok(())
    }

    fn undo(&self, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::Cut(cut) => self.firewall.clear(cut.backend),
            Entry::Shaped(shaped) => self.packets.clear(&shaped.way),
            Entry::Killed(killed) => self.programs.start(&killed.program),
            Entry::Paused(paused) => self.programs.resume(&paused.name),
            Entry::Skewed(skewed) => self.clocks.restore(&skewed.name, || self.programs.pids(&skewed.name)),
            Entry::HurtDisk(hurt) => self.heal_disk(hurt),
            Entry::Damaged(damaged) => {
                self.programs.kill(&damaged.program.name)?;
                // After the host's crash the files are there only when their disk is.
                self.programs.provide(&damaged.program)?;
                damage::repair(&self.directory, &damaged.changes)?;
                self.start_again(&damaged.program)
            }
            Entry::Squeezed(squeezed) => {
                cgroup::unlimit(cgroup::of(&squeezed.program)?, squeezed.resource)?;
                self.start_again(&squeezed.program)
            }
        }
    }

    /// Undoes everything, once what is under way has ended, and lets nothing begin any more.
    fn leave(&self) -> Vec<Undone> {
        let mut leaving = self.leaving.write().unwrap_or_else(PoisonError::into_inner);
        *leaving = true;
        self.undo_journal()
    }

    /// Undoes everything, once what is under way has ended.
    fn undo_all(&self) -> Vec<Undone> {
        let _alone = self.leaving.write().unwrap_or_else(PoisonError::into_inner);
        self.undo_journal()
    }

    /// Ends every program that was started, with the faults on it, and removes all files that are not the agent's own.
    fn tear_down(&self) -> Vec<Undone> {
        let mut undone = Vec::new();
        let names = self.programs.names();
        for name in &names {
            let error = self.change(&Request::Stop { name: name.clone() }).err();
            undone.push(Undone { what: format!("{name} was started by a run"), error });
        }
        for path in self.directory.others() {
            let error = self.directory.remove(&path).err();
            undone.push(Undone { what: format!("{path} was written by a run"), error });
        }
        undone
    }

    /// Undoes the journal, the latest entry first; what fails stays in it.
    fn undo_journal(&self) -> Vec<Undone> {
        let entries = self.journal().open_entries();
        let mut undone: Vec<Undone> = Vec::new();
        for (id, entry) in entries {
            let error = self.undo(&entry).and_then(|()| self.journal().end(id)).err();
            undone.push(Undone { what: describe(&entry), error });
        }
        // Tables of ours that no journal knows of: somebody removed the journal.
        let open = self.journal().open_entries();
        let [cut, queue] = self.firewall.has_tables();
        let mut clear = |stray: bool, clear: fn(&Firewall, Backend) -> Result<(), String>| {
            if stray {
                let error = clear(&self.firewall, Backend::Nft).err();
                undone.push(Undone { what: "a table of ours in the firewall that no journal knows of".into(), error });
            }
        };
        clear(cut && !open.iter().any(|(_, entry)| matches!(entry, Entry::Cut(_))), Firewall::clear);
        clear(queue && !open.iter().any(|(_, entry)| matches!(entry, Entry::Shaped(_))), Firewall::clear_queue);
        if let Some(error) = self.journal().set_unreadable_aside() {
            undone.push(Undone { what: "what the journal could not tell".into(), error: Some(error) });
        }
        undone
    }
}

fn describe(entry: &Entry) -> String {
    match entry {
        Entry::Cut(_) => "packets were dropped".into(),
        Entry::Shaped(_) => "packets were held back, lost or mangled".into(),
        Entry::Killed(killed) => format!("{} was killed", killed.program.name),
        Entry::Paused(paused) => format!("{} was paused", paused.name),
        Entry::Skewed(skewed) => format!("the clock of {} was changed", skewed.name),
        Entry::HurtDisk(hurt) => hurt.describe(),
        Entry::Damaged(damaged) => format!("files of {} were damaged", damaged.program.name),
        Entry::Squeezed(squeezed) => squeezed.describe(),
    }
}

/// Takes the lock of the directory, or says who has it.
fn lock(path: &Path, options: &ServeOptions) -> Result<File, String> {
    let fail = |e: io::Error| format!("cannot use the lock {}: {e}", path.display());
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(fail)?;
    let deadline = Instant::now() + options.lock_within;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            Err(fs::TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(path.with_file_name("lock.holder")).unwrap_or_else(|_| "somebody".into());
                return Err(format!("another run is using this node: {}. Wait for its end, or end it", holder.trim()));
            }
            Err(fs::TryLockError::Error(e)) => return Err(fail(e)),
        }
    }
    let from = options.control.map_or(String::new(), |address| format!(" from {address}"));
    let holder = format!("{}{from} (its agent is process {})\n", options.run, std::process::id());
    replace(&path.with_file_name("lock.holder"), holder.as_bytes()).map_err(fail)?;
    Ok(file)
}

/// Turns signals into events: SIGTERM, SIGINT and SIGQUIT end the agent in order. SIGHUP, which the end of an SSH connection may
/// bring, is swallowed: the end of the input says when to go.
#[allow(unsafe_code, reason = "the standard library has no signals")]
fn await_signals(events: Sender<Event>) {
    // SAFETY: a signal set of zeros is valid storage, and is initialised before it is used.
    let mut signals: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set lives on this stack; no other thread runs yet, so all will inherit the mask. So do children: those that are to
    // hear signals let them in.
    unsafe {
        libc::sigemptyset(&raw mut signals);
        for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGINT, libc::SIGQUIT] {
            libc::sigaddset(&raw mut signals, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut());
    }
    let wait = move || {
        loop {
            let mut signal = 0;
            // SAFETY: both point to values of this closure.
            let waited = unsafe { libc::sigwait(&raw const signals, &raw mut signal) };
            if waited == 0 && signal != libc::SIGHUP && events.send(Event::Terminate).is_err() {
                return;
            }
        }
    };
    // Without the thread the signals stay blocked: the agent then ends with its input or its heartbeats alone.
    let _ = thread::Builder::new().name("signals".into()).spawn(wait);
}

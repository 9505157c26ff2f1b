//! The life of a test.
//!
//! teardown → setup → ready → clients → nemesis setup → the run → faults end, heal → recovery → final reads → history sealed →
//! logs and data → teardown → judged → data kept or not.
//!
//! Whatever happens on the way, the faults are healed and the database is torn down: by `Guard` on errors and panics, by
//! the second Ctrl-C's thread when a person has no patience, by the agents on the nodes when this process is killed.

use crate::check::analysis;
use crate::check::limits::Limits;
use crate::check::live::Live;
use crate::cut::{CUT_SHORT, TIME_LIMIT_MS};
use crate::findings::{Finding, Findings};
use crate::run::{Run, TestFacts};
use crate::runner::clean;
use crate::runner::clock::Clock;
use crate::runner::interpreter::{Ended, Interpreter, Setup, Tally};
use crate::runner::interrupt::Interrupt;
use crate::runner::keep;
use crate::runner::keep::{Keep, When};
use crate::runner::nemesis_thread;
use crate::runner::nemesis_thread::{Hurting, NemesisThread, Work};
use crate::runner::recorder::Recorder;
use crate::store::RunDir;
use crate::timeline::PHASE;
use crate::timeline::Phase;
use crate::ui::progress::{Progress, bar};
use crate::ui::{console, exit, format};
use anyhow::{Context as _, anyhow, bail};
use histories::Value;
use histories::history::Meta;
use nemesis::fault::Context;
use nemesis::schedule::Schedule;
use nemesis::{Agents, Cluster, Fault, Nemesis, Node, ProcessState};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use workloads::generator::{Generator, on_threads};
use workloads::{System, Workload};

/// Everything a test is made of.
pub struct Plan {
    /// What `test.json` will say. The version of the database and the start are filled in on the way.
    pub facts: TestFacts,
    /// Who is asked.
    pub system: Arc<dyn System>,
    /// The nodes.
    pub cluster: Cluster,
    /// The agents on the nodes, if there are any. They are closed when the test has ended.
    pub agents: Option<Agents>,
    /// What is asked.
    pub workload: Workload,
    /// What hurts.
    pub faults: Vec<Box<dyn Fault>>,
    /// When.
    pub schedule: Schedule,
    /// The length of the main phase.
    pub time_limit: Duration,
    /// The deadline of one op.
    pub op_timeout: Duration,
    /// How long recovery and final reads may take together, and how long the cluster may take to come up.
    pub recovery_time: Duration,
    /// What the check may use.
    pub limits: Limits,
    /// Whether the data of the nodes is kept.
    pub keep: Keep,
    /// Whether the history is judged while it grows.
    pub watch: Watch,
}

/// What the verdict so far is for, while clients still ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Nothing: the run is judged at its end only.
    No,
    /// It is shown.
    Show,
    /// It is shown, and the first violation ends the main phase.
    EndAtViolation,
}

/// A test that has ended.
pub struct Finished {
    /// The run, judged.
    pub run: Run,
    /// The faults that could not be healed, in sentences: a person must look.
    pub unhealed: Vec<String>,
}

/// How often progress is shown and the impatient are heard.
const TICK: Duration = Duration::from_millis(200);

/// How long the test waits for the end of the process that somebody impatient is about to end.
const ENDS_WITHIN: Duration = Duration::from_mins(5);

/// How long whoever gives up waits for an action of the nemesis to end before the faults are left to the agents.
const NEMESIS_PATIENCE: Duration = Duration::from_secs(25);

/// Runs a test and judges it. Whoever calls it says the verdict, and then writes it ([`analysis::write`]).
///
/// # Errors
/// Whatever kept the test from being carried out: a node, the disk, the database. Everything is healed and torn down then.
pub fn run(plan: Plan, dir: &RunDir, progress: &Progress, interrupt: &Interrupt) -> anyhow::Result<Finished> {
    let (limits, keep) = (plan.limits, plan.keep);
    let unhealed = carry_out(plan, dir, progress, interrupt)?;
    // From here on only files are needed: Ctrl-C now ends the check.
    let asked = interrupt.times();
    let mut run = analysis::judge_run(dir, analysis::Otherwise::default(), limits, || interrupt.times() > asked, progress)?;
    keep::settle(keep, &mut run, dir);
    Ok(Finished { run, unhealed })
}

/// All that needs nodes. Returns the faults that could not be healed.
fn carry_out(plan: Plan, dir: &RunDir, progress: &Progress, interrupt: &Interrupt) -> anyhow::Result<Vec<String>> {
    let Plan {
        mut facts,
        system,
        cluster,
        agents,
        workload,
        faults,
        schedule,
        time_limit,
        op_timeout,
        recovery_time,
        keep,
        watch,
        limits: _,
    } = plan;
    dir.write_test(&facts)?;
    let context = Context { cluster: cluster.clone(), database: system.database(), network: system.network() };
    let nemesis = Nemesis::new(context.clone(), faults, schedule, facts.seed)?;
    let bed = Arc::new(Bed { context, nemesis: Arc::new(Mutex::new(nemesis)), agents, ended_by: Mutex::default() });
    let guard = Guard(Arc::clone(&bed));
    // Ends what clients are asked for at the moment: at a person's wish, or at a violation.
    let enough = Interrupt::none();
    let hurting = Hurting::default();
    let left = Left { bed: Arc::clone(&bed), hurting: Arc::clone(&hurting), command: facts.command.clone() };
    let _impatience = Impatience::watch(left, interrupt.clone(), enough.clone(), dir.clone())?;

    let start = Instant::now();
    facts.database_version = set_up(&bed, dir, recovery_time, progress, interrupt)?;
    let clock = Clock::start();
    facts.setup_ms = start.elapsed().as_millis() as u64;
    facts.started = jiff::Timestamp::now().to_string();
    dir.write_test(&facts)?;
    let recorder =
        Recorder::create(&dir.history(), &header(&facts), clock).with_context(|| format!("cannot write {}", dir.history().display()))?;
    let mut stage = Stage {
        runtime: tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("client").build()?,
        recorder: Arc::new(recorder),
        tally: Arc::default(),
        hurting,
        interrupt: interrupt.clone(),
        enough: enough.clone(),
        live: None,
        interpreter: None,
    };
    if watch != Watch::No {
        stage.live = Some(Live::watch(&dir.history(), analysis::options_of(&facts.judged)?, move |_| {
            if watch == Watch::EndAtViolation {
                enough.ask();
            }
        })?);
    }
    stage.open(&system, &cluster, facts.concurrency, op_timeout);
    let mut unhealed = stage.main_phase(&bed, workload.main, time_limit, progress)?;
    stage.final_phase(&bed, workload.last, recovery_time, progress)?;
    if interrupt.times() < 2 {
        let findings = look_beside(system.as_ref(), &cluster, stage.recorder.clock(), progress);
        dir.write_findings(&findings)?;
    }
    stage.close()?;
    bed.may_end(EndedBy::Test);
    fetch_logs(&bed, dir, progress);
    if keep.when != When::Never && interrupt.times() < 2 {
        fetch_data(&bed, keep, dir, progress);
    }
    tear_down(&bed, progress);
    unhealed.extend(verify_clean(&bed, dir, progress));
    unhealed.extend(bed.dismiss_agents());
    drop(guard);
    Ok(unhealed)
}

/// The header of the history: enough to judge it without the rest of its directory.
fn header(facts: &TestFacts) -> Meta {
    let text = |text: &str| Value::Str(text.into());
    let header = [
        ("test", text(&facts.name())),
        ("workload", text(&facts.workload)),
        ("database", text(&facts.database)),
        ("model", text(&facts.judged.model)),
        ("seed", text(&format!("{:#x}", facts.seed))),
        ("started", text(&facts.started)),
    ];
    let mut header: BTreeMap<String, Value> = header.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    header.insert(TIME_LIMIT_MS.into(), Value::Int(i64::try_from(facts.time_limit_ms).unwrap_or(i64::MAX)));
    Meta { keyed: facts.judged.keyed, header, ..Meta::default() }
}

/// What must be healed and torn down whatever happens.
struct Bed {
    context: Context,
    nemesis: Arc<Mutex<Nemesis>>,
    agents: Option<Agents>,
    /// Who ends it, or has ended it. Two at once would find each other's work half done, and say that something is left.
    ended_by: Mutex<Option<EndedBy>>,
}

/// Who heals and tears down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndedBy {
    /// The test itself, or the guard if it fails.
    Test,
    /// Somebody who does not wait for it. The process ends with that.
    Impatience,
}

impl Bed {
    fn nemesis(&self) -> MutexGuard<'_, Nemesis> {
        self.nemesis.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nemesis, unless it is stuck in an action.
    fn nemesis_soon(&self) -> Option<MutexGuard<'_, Nemesis>> {
        let deadline = Instant::now() + NEMESIS_PATIENCE;
        loop {
            match self.nemesis.try_lock() {
                Ok(nemesis) => return Some(nemesis),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
                Err(TryLockError::WouldBlock) => std::thread::sleep(TICK),
            }
        }
    }

    fn on_all<T: Send>(&self, act: impl Fn(&Node) -> T + Sync) -> Vec<T> {
        let all: Vec<usize> = (0..self.context.cluster.len()).collect();
        self.context.cluster.on(&all, act)
    }

    /// Whether healing and teardown are up to the caller: nobody else has begun with them. Where somebody impatient has, the test waits here
    /// for the end of the process.
    fn may_end(&self, who: EndedBy) -> bool {
        let mut ended_by = self.ended_by.lock().unwrap_or_else(PoisonError::into_inner);
        let may = ended_by.is_none();
        let now = *ended_by.get_or_insert(who);
        drop(ended_by);
        if who == EndedBy::Test && now == EndedBy::Impatience {
            std::thread::sleep(ENDS_WITHIN);
        }
        may
    }

    /// Ends every fault and takes the database down, as well as that can be done. Returns what is left, in sentences.
    fn abandon(&self) -> Vec<String> {
        // If it is stuck, ending the agents makes them undo everything on their nodes.
        let healed = self.nemesis_soon().map(|mut nemesis| nemesis.heal()).unwrap_or_default();
        for (name, report) in healed {
            tracing::info!(event = name, observed = report.observed, seen = report.seen, "healed on the way out");
        }
        let mut left = Vec::new();
        for error in self.on_all(|node| self.context.database.teardown(node)).into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "teardown");
            left.push(error.to_string());
        }
        left.extend(self.dismiss_agents());
        left
    }

    /// Ends the agents; each undoes first whatever is still active on its node. Returns what could not be undone, in sentences.
    fn dismiss_agents(&self) -> Vec<String> {
        let mut left = Vec::new();
        let Some(agents) = &self.agents else { return left };
        for (node, result) in self.context.cluster.nodes.iter().zip(agents.close()) {
            match result {
                Ok(undone) => {
                    for one in undone {
                        tracing::info!(node = node.name, what = one.what, error = one.error, "undone by the agent");
                        left.extend(one.error.map(|error| format!("{}: {}: {error}", node.name, one.what)));
                    }
                }
                Err(error) => tracing::warn!(%error, "ending the agent"),
            }
        }
        left
    }
}

/// Heals and tears down when an error or a panic ends the test early.
struct Guard(Arc<Bed>);

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.may_end(EndedBy::Test) {
            self.0.abandon();
        }
    }
}

/// Answers Ctrl-C, whatever the test is waiting for. The first ends the main phase: all that follows it is still done, since a
/// run without its final reads has shown little. The second heals and goes, the third goes at once.
struct Impatience {
    /// Dropped at the end, which ends the thread.
    _alive: Sender<()>,
}

impl Impatience {
    fn watch(left: Left, interrupt: Interrupt, enough: Interrupt, dir: RunDir) -> std::io::Result<Impatience> {
        let bed = Arc::clone(&left.bed);
        let (alive, ended) = channel::<()>();
        let tick = move |ended: &Receiver<()>| ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout);
        std::thread::Builder::new().name("impatience".into()).spawn(move || {
            for times in [1, 2] {
                while interrupt.times() < times {
                    if !tick(&ended) {
                        return;
                    }
                }
                enough.ask();
                if times == 1 {
                    console::complain("\nending the run: faults are healed, final reads made; Ctrl-C again heals and goes\n");
                }
            }
            console::complain("\nhealing the nodes; once more ends at once and leaves it to the agents on the nodes\n");
            let healing = bed.may_end(EndedBy::Impatience).then(|| {
                let bed = Arc::clone(&bed);
                std::thread::spawn(move || bed.abandon())
            });
            let is_healed = || healing.as_ref().is_some_and(std::thread::JoinHandle::is_finished);
            while !is_healed() && interrupt.times() < 3 {
                if healing.is_some() {
                    std::thread::sleep(TICK);
                } else if !tick(&ended) {
                    // The test itself has ended it.
                    return;
                }
            }
            let path = format::shell(&[dir.path().display().to_string()]);
            console::complain(&format!("ended; `rashomon analyze {path}` judges what was recorded\n"));
            let code = match healing.filter(std::thread::JoinHandle::is_finished).map(std::thread::JoinHandle::join) {
                // Nothing is left, and nobody has judged it.
                Some(Ok(nothing)) if nothing.is_empty() => exit::UNKNOWN,
                Some(Ok(what)) => {
                    console::complain(&format!("left: {}; {} removes all of it\n", what.join("; "), removes(&left.command)));
                    exit::CRASH
                }
                Some(Err(_)) | None => {
                    console::complain(&format!("{}\n", left.in_words()));
                    exit::CRASH
                }
            };
            std::process::exit(i32::from(code));
        })?;
        Ok(Impatience { _alive: alive })
    }
}

/// What is left on the nodes when nobody waits until it is gone.
struct Left {
    bed: Arc<Bed>,
    hurting: Hurting,
    /// The command line of the test.
    command: Vec<String>,
}

impl Left {
    /// What is left, and how to remove it, in a line.
    fn in_words(&self) -> String {
        let Context { cluster, database, .. } = &self.bed.context;
        let nodes: Vec<&str> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
        let what = format!("{} on {}", database.name(), nodes.join(", "));
        let hurting = self.hurting.lock().unwrap_or_else(PoisonError::into_inner);
        left_in_words(&what, &hurting, self.bed.agents.as_ref().map(|_| self.command.as_slice()))
    }
}

/// `command`: that of the test, where agents are on the nodes; without agents the nodes are processes that end with this program.
fn left_in_words(what: &str, hurting: &BTreeMap<String, String>, command: Option<&[String]>) -> String {
    let faults: Vec<String> = hurting.iter().map(|(fault, what)| format!("{fault} ({what})")).collect();
    let faults = if faults.is_empty() { String::new() } else { format!(", and the faults {}", faults.join(", ")) };
    match command {
        Some(command) => format!("left: {what}{faults}; the agents on the nodes undo faults, {} removes all of it", removes(command)),
        None => format!("left: nothing; {what}{faults} end with this program"),
    }
}

/// The command that removes from nodes what the test of this command line has left there: `rashomon heal --lab --teardown`.
pub fn removes(command: &[String]) -> String {
    /// The options that say which nodes, and how they are reached; whether a value follows as a word of its own.
    const REACH: [(&str, bool); 11] = [
        ("--lab", false),
        ("--nodes", true),
        ("--user", true),
        ("--port", true),
        ("--key", true),
        ("--known-hosts", true),
        ("--ssh-config", true),
        ("--insecure", false),
        ("--sudo", false),
        ("--sudo-password-file", true),
        ("--ask-sudo-password", false),
    ];
    let mut heal: Vec<String> = ["rashomon", "heal"].map(String::from).to_vec();
    let mut rest = command.iter();
    while let Some(word) = rest.next() {
        let (name, joined) = word.split_once('=').map_or((word.as_str(), false), |(name, _)| (name, true));
        if let Some((_, has_value)) = REACH.iter().find(|(known, _)| *known == name) {
            heal.push(word.clone());
            if *has_value && !joined {
                heal.extend(rest.next().cloned());
            }
        }
    }
    heal.push("--teardown".into());
    format!("`{}`", format::shell(&heal))
}

/// Teardown, setup, wait until the cluster answers, nemesis setup. Returns the database's version.
fn set_up(bed: &Bed, dir: &RunDir, within: Duration, progress: &Progress, interrupt: &Interrupt) -> anyhow::Result<String> {
    let Context { cluster, database, .. } = &bed.context;
    progress.begin("setup");
    let step = |text: String| -> anyhow::Result<()> {
        tracing::info!(text, "setup");
        progress.update(|| text);
        if interrupt.times() > 0 { Err(anyhow!("interrupted before the first client could ask; nothing was recorded")) } else { Ok(()) }
    };
    step("seeing what the faults need".into())?;
    bed.nemesis().prepare()?;
    step(format!("tearing down what an earlier run may have left on {}", format::many(cluster.len(), "node")))?;
    cluster.on_all(|node| database.teardown(node))?;
    if let Some(agents) = &bed.agents {
        step("looking at the nodes as they are".into())?;
        clean::begin(cluster, agents, dir)?;
    }
    step(format!("setting up {} on {}", database.name(), format::many(cluster.len(), "node")))?;
    let up = cluster.on_all(|node| database.setup(cluster, node)).and_then(|_| {
        progress.update(|| format!("waiting until {} answers", database.name()));
        database.await_ready(cluster, within)
    });
    if let Err(error) = up {
        fetch_logs(bed, dir, progress);
        return Err(anyhow!(error).context(format!("{} did not come up; its logs are in {}", database.name(), dir.path().display())));
    }
    let version = database.version(&cluster.nodes[0]).unwrap_or_default();
    step("preparing the faults".into())?;
    bed.nemesis().setup()?;
    let leaders: Vec<&str> = database.primaries(cluster).into_iter().map(|i| cluster.nodes[i].name.as_str()).collect();
    let led = if leaders.is_empty() { String::new() } else { format!(", leader {}", leaders.join(" ")) };
    progress.end(format!("{0} of {0} nodes up{led}  {1} {version}", cluster.len(), database.name()).trim_end());
    Ok(version)
}

/// The part of a test in which clients ask.
struct Stage {
    runtime: Runtime,
    recorder: Arc<Recorder>,
    tally: Arc<Tally>,
    /// The faults that are active now, in words.
    hurting: Hurting,
    interrupt: Interrupt,
    /// Asked when the phase that runs shall end.
    enough: Interrupt,
    /// The verdict so far, if anybody wants it.
    live: Option<Live>,
    interpreter: Option<Interpreter>,
}

impl Stage {
    fn open(&mut self, system: &Arc<dyn System>, cluster: &Cluster, concurrency: u32, op_timeout: Duration) {
        let system = Arc::clone(system);
        let setup = Setup {
            cluster: cluster.clone(),
            concurrency,
            op_timeout,
            client: Arc::new(move |node| system.client(node)),
            recorder: Arc::clone(&self.recorder),
            tally: Arc::clone(&self.tally),
            interrupt: self.enough.clone(),
        };
        let _inside = self.runtime.enter();
        self.interpreter = Some(Interpreter::new(setup));
    }

    fn begin(&self, phase: &str) {
        tracing::info!(phase, "phase");
        nemesis_thread::record(&self.recorder, PHASE, &Value::Str(phase.into()));
    }

    /// What comes after this the run does not put to the test. The history says so, and who ended it.
    fn record_cut(&self) {
        let by = if self.interrupt.times() == 0 { "the first violation (--fail-fast)" } else { self.interrupt.by().unwrap_or("a signal") };
        tracing::warn!(by, "cut short");
        nemesis_thread::record(&self.recorder, CUT_SHORT, &Value::Str(by.into()));
    }

    /// Clients ask while faults come and go; then every fault is ended. Returns what could not be healed.
    fn main_phase(
        &mut self,
        bed: &Bed,
        generator: Box<dyn Generator>,
        time_limit: Duration,
        progress: &Progress,
    ) -> anyhow::Result<Vec<String>> {
        self.begin(Phase::Main.name());
        progress.begin("running");
        let until = self.recorder.clock().now_ns() + time_limit.as_nanos() as u64;
        let nemesis = NemesisThread::start(Work {
            nemesis: Arc::clone(&bed.nemesis),
            cluster: bed.context.cluster.clone(),
            recorder: Arc::clone(&self.recorder),
            until_ns: until,
            hurting: Arc::clone(&self.hurting),
        })?;
        let ended = self.ask(generator, until, |stage| stage.running_line(time_limit), progress);
        if matches!(ended, Ok(Ended::Interrupted)) {
            self.record_cut();
        }
        self.begin(Phase::Recovery.name());
        // From here on it would only keep the cores from the final reads.
        let so_far = self.live.take().map(|live| live.so_far());
        let unhealed = nemesis.finish()?;
        if ended? == Ended::RecorderFailed {
            bail!(self.recorder.failure().unwrap_or_default());
        }
        let [ok, fail, info] = self.tally.counts();
        let count = |n| format::count(n, false);
        let mut line = format!("{} ops: {} ok, {} fail, {} info", count(ok + fail + info), count(ok), count(fail), count(info));
        if let Some(so_far) = so_far {
            tracing::info!(so_far = so_far.in_words(), "live");
            let _ = write!(line, ", {}", so_far.in_words());
        }
        progress.end(&line);
        Ok(unhealed)
    }

    /// Waits until the cluster answers again, and makes the final reads. Skipped if a person is impatient.
    fn final_phase(
        &mut self,
        bed: &Bed,
        last: Option<Box<dyn Generator>>,
        recovery_time: Duration,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        if self.interrupt.times() > 1 {
            self.record_cut();
            self.begin("end");
            return Ok(());
        }
        let Context { cluster, database, .. } = &bed.context;
        let lives = bed.on_all(|node| !matches!(database.state(node), Ok(ProcessState::Down)));
        let living =
            Cluster { nodes: cluster.nodes.iter().zip(&lives).filter(|(_, lives)| **lives).map(|(node, _)| node.clone()).collect() };
        let gone: Vec<&str> = cluster.nodes.iter().zip(&lives).filter(|(_, lives)| !**lives).map(|(node, _)| node.name.as_str()).collect();
        if !gone.is_empty() {
            tracing::warn!(?gone, "no process");
            let rest = if living.is_empty() { "no node is left to be read" } else { "the others are read" };
            progress.say(&format!("warning: {} does not run on {}; {rest}", database.name(), gone.join(", ")));
        }
        if living.is_empty() {
            self.begin("end");
            return Ok(());
        }
        let deadline = Instant::now() + recovery_time;
        let until = self.recorder.clock().now_ns() + recovery_time.as_nanos() as u64;
        progress.begin("recovery");
        progress.update(|| "waiting until the cluster answers again".into());
        match database.await_ready(&living, recovery_time) {
            Ok(()) => progress.end("the cluster answers again"),
            Err(error) => {
                tracing::warn!(%error, "recovery");
                progress.end(&format!("the cluster did not recover in {}: {error}", format::duration(recovery_time)));
            }
        }
        if let Some(last) = last.filter(|_| self.interrupt.times() < 2 && Instant::now() < deadline) {
            self.begin(Phase::FinalReads.name());
            let [before, ..] = self.tally.counts();
            progress.begin("reading");
            let answered = |stage: &Stage| format::count(stage.tally.counts()[0] - before, false);
            let nodes = lives.len();
            let last = on_threads(move |thread| lives[thread as usize % nodes], last);
            let ended = self.ask(Box::new(last), until, |stage| format!("{} final reads answered", answered(stage)), progress)?;
            if ended == Ended::RecorderFailed {
                bail!(self.recorder.failure().unwrap_or_default());
            }
            if ended == Ended::Interrupted {
                self.record_cut();
            }
            progress.end(&format!("{} final reads answered", answered(self)));
            tracing::info!(?ended, "final reads");
        }
        self.begin("end");
        Ok(())
    }

    /// Runs the interpreter as a task beside its workers, so that handing over an op costs no switch of threads, and shows
    /// progress meanwhile.
    fn ask(
        &mut self,
        mut generator: Box<dyn Generator>,
        until: u64,
        line: impl Fn(&Stage) -> String,
        progress: &Progress,
    ) -> anyhow::Result<Ended> {
        let mut interpreter = self.interpreter.take().context("the interpreter is gone")?;
        let mut task = self.runtime.spawn(async move {
            let ended = interpreter.run(generator.as_mut(), until).await;
            (interpreter, ended)
        });
        let joined = self.runtime.block_on(async {
            loop {
                tokio::select! {
                    joined = &mut task => break joined,
                    () = tokio::time::sleep(TICK) => progress.update(|| line(self)),
                }
            }
        });
        let (interpreter, ended) = joined.context("the interpreter failed; this is a fault of Rashomon")?;
        self.interpreter = Some(interpreter);
        Ok(ended)
    }

    /// `███▌······  3.4 of 10 s  1 031 ops  ok 170/s  fail 16/s  info 22`, and the faults that are active.
    fn running_line(&self, time_limit: Duration) -> String {
        let seconds = self.recorder.clock().now_ns() as f64 / 1e9;
        let limit = time_limit.as_secs_f64();
        let [ok, fail, info] = self.tally.counts();
        let per_second = |n: u64| format::count((n as f64 / seconds.max(0.001)) as u64, false);
        let mut line = format!(
            "{}  {:.1} of {limit} s  {} ops  ok {}/s  fail {}/s  info {}",
            bar(seconds / limit),
            seconds.min(limit),
            format::count(ok + fail + info, false),
            per_second(ok),
            per_second(fail),
            format::count(info, false)
        );
        if let Some(live) = &self.live {
            let _ = write!(line, "  {}", live.so_far().in_words());
        }
        for (fault, what) in self.hurting.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = write!(line, "  {fault}: {what}");
        }
        line
    }

    /// Ends the clients and seals the history.
    fn close(self) -> anyhow::Result<()> {
        let Stage { runtime, recorder, interpreter, .. } = self;
        if let Some(interpreter) = interpreter {
            runtime.block_on(interpreter.close());
        }
        // Clients that keep their thread to themselves shall not keep us.
        runtime.shutdown_timeout(TICK);
        match Arc::try_unwrap(recorder) {
            Ok(recorder) => recorder.seal().map_err(|failure| anyhow!(failure)),
            // A client that is stuck still holds it: what was recorded reaches the file with the next batch.
            Err(recorder) => recorder.flushed().map_err(|failure| anyhow!(failure)),
        }
    }
}

/// Looks for what no store should show, whatever the clients were told, while the nodes still run.
fn look_beside(system: &dyn System, cluster: &Cluster, clock: &Clock, progress: &Progress) -> Findings {
    progress.begin("nodes");
    progress.update(|| "comparing what they hold".into());
    let mut findings = Findings::from(system.findings(cluster));
    let database = system.database();
    let all: Vec<usize> = (0..cluster.len()).collect();
    for (node, endings) in cluster.nodes.iter().zip(cluster.on(&all, |node| database.endings(node))) {
        match endings {
            Ok(endings) => {
                let now_ns = clock.now_ns();
                findings.found.extend(endings.iter().map(|ending| Finding::ended(database.name(), &node.name, ending, now_ns)));
            }
            Err(error) => findings.notes.push(format!("whether its process ended by itself is not known: {error}")),
        }
    }
    for finding in &findings.found {
        tracing::warn!(id = finding.id, text = finding.text, "finding");
    }
    match (findings.found.as_slice(), findings.notes.as_slice()) {
        ([], []) => progress.clear(),
        ([], notes) => progress.end(&notes.join("; ")),
        (found, _) => progress.end(&found.iter().map(|finding| finding.text.as_str()).collect::<Vec<_>>().join("; ")),
    }
    findings
}

/// Copies the nodes' logs into the run's directory; what cannot be had is said and missed.
fn fetch_logs(bed: &Bed, dir: &RunDir, progress: &Progress) {
    progress.begin("logs");
    progress.update(|| "fetching the nodes' logs".into());
    let fetched = bed.on_all(|node| {
        let into = dir.node(&node.name);
        std::fs::create_dir_all(&into)
            .map_err(|error| nemesis::NodeError::new(&node.name, format!("cannot make {}: {error}", into.display())))
            .and_then(|()| bed.context.database.fetch_logs(node, &into))
    });
    progress.clear();
    for error in fetched.into_iter().filter_map(Result::err) {
        tracing::warn!(%error, "logs");
        progress.say(&format!("warning: the logs of {error}"));
    }
}

/// Copies what the nodes hold into the run's directory: whether it is wanted is known when the run is judged, and then it is gone.
fn fetch_data(bed: &Bed, keep: Keep, dir: &RunDir, progress: &Progress) {
    progress.begin("data");
    progress.update(|| "fetching what the nodes hold".into());
    let fetched = bed.on_all(|node| bed.context.database.fetch_data(node, &dir.node_data(&node.name), keep.bytes_max));
    progress.clear();
    for error in fetched.into_iter().filter_map(Result::err) {
        tracing::warn!(%error, "data");
        progress.say(&format!("warning: the data of {error}; nothing of it is kept (--keep-data, --keep-data-limit)"));
    }
}

fn tear_down(bed: &Bed, progress: &Progress) {
    for error in bed.on_all(|node| bed.context.database.teardown(node)).into_iter().filter_map(Result::err) {
        tracing::warn!(%error, "teardown");
        progress.say(&format!("warning: the teardown of {error}"));
    }
}

/// Compares the nodes with what they were like before, and says so. Returns what is left on them, in sentences.
fn verify_clean(bed: &Bed, dir: &RunDir, progress: &Progress) -> Vec<String> {
    let Some(agents) = &bed.agents else { return Vec::new() };
    let cluster = &bed.context.cluster;
    progress.begin("nodes");
    progress.update(|| "comparing the nodes with what they were like before".into());
    // A fault that its own recovery could not end may be undone by the agent.
    for error in bed.on_all(|node| agents.of(node).heal()).into_iter().filter_map(Result::err) {
        tracing::warn!(%error, "healing before the nodes are compared");
    }
    if let Err(error) = clean::keep_footprints(cluster, agents, dir) {
        tracing::warn!(%error, "footprints");
    }
    let looked = match dir.read_before() {
        Ok(before) => clean::compare(cluster, agents, &before),
        Err(error) => return vec![format!("the nodes cannot be compared with what they were like before: {error:#}")],
    };
    let mut left = Vec::new();
    let mut others = Vec::new();
    for (node, looked) in cluster.nodes.iter().zip(looked) {
        match looked {
            Ok(differences) => {
                for difference in differences {
                    tracing::warn!(node = node.name, what = difference.what, left = difference.left, "not as before");
                    let list = if difference.left { &mut left } else { &mut others };
                    list.push(clean::line(&node.name, &difference));
                }
            }
            Err(error) => left.push(format!("{error}; `rashomon verify-clean {}` looks again", dir.path().display())),
        }
    }
    if left.is_empty() && others.is_empty() {
        progress.end(&format!("{} as before: {}", format::many(cluster.len(), "node"), clean::COMPARED));
    } else {
        progress.clear();
    }
    for line in others {
        progress.say(&format!("warning: {line}"));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_names_what_is_left_and_how_to_remove_it() {
        let hurting = BTreeMap::from([("kill".to_owned(), "n2".to_owned())]);
        let command: Vec<String> = "rashomon test etcd --lab".split(' ').map(str::to_owned).collect();
        let told = left_in_words("etcd on n1, n2", &hurting, Some(&command));
        assert!(told.starts_with("left: etcd on n1, n2, and the faults kill (n2); "), "{told}");
        assert!(told.ends_with("`rashomon heal --lab --teardown` removes all of it") && !told.contains('\n'), "{told}");
        assert!(left_in_words("demo on n1", &BTreeMap::new(), None).contains("left: nothing"));
    }

    #[test]
    fn the_command_that_removes_what_is_left_reaches_the_same_nodes() {
        for (test, heal) in [
            ("rashomon test etcd --lab --nemesis kill", "`rashomon heal --lab --teardown`"),
            ("rashomon test etcd --lab=two --time-limit 3m", "`rashomon heal --lab=two --teardown`"),
            (
                "rashomon test etcd --nodes a,b --user admin --key=k --sudo --insecure --seed 0x5",
                "`rashomon heal --nodes a,b --user admin --key=k --sudo --insecure --teardown`",
            ),
        ] {
            let words: Vec<String> = test.split(' ').map(str::to_owned).collect();
            assert_eq!(removes(&words), heal);
        }
    }
}

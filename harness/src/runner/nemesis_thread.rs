//! The nemesis's thread: performs the schedule while the clients ask, and ends every fault when they have asked.

use crate::check::fault_windows::HEAL;
use crate::runner::recorder::{Entry, Recorder};
use crate::ui::format;
use anyhow::{Context as _, anyhow, bail};
use histories::{Kind, Value};
use nemesis::fault::Phase;
use nemesis::report::Report;
use nemesis::{Cluster, Nemesis};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The faults that are active now, in words, for the progress line.
pub type Hurting = Arc<Mutex<BTreeMap<String, String>>>;

/// How often ending the faults is tried at the end of the run.
const HEAL_TRIES: u32 = 3;

/// How long the nemesis may take to end every fault: each of its requests to a node has a much shorter deadline.
const PATIENCE: Duration = Duration::from_mins(3);

/// How often its end is looked for.
const TICK: Duration = Duration::from_millis(5);

/// What the thread works with.
pub struct Work {
    /// The nemesis. Locked while it acts: whoever wants to heal in between waits for that.
    pub nemesis: Arc<Mutex<Nemesis>>,
    /// The nodes.
    pub cluster: Cluster,
    /// Where its events go: two per action.
    pub recorder: Arc<Recorder>,
    /// No fault begins after this time of the recorder's clock.
    pub until_ns: u64,
    /// What the progress line shows.
    pub hurting: Hurting,
}

/// The running thread.
pub struct NemesisThread {
    /// Dropped to end the schedule.
    going: Sender<()>,
    thread: JoinHandle<Vec<String>>,
}

impl NemesisThread {
    /// Starts to perform the schedule. The schedule's zero is now.
    pub fn start(work: Work) -> std::io::Result<NemesisThread> {
        let (going, ended) = channel();
        let thread = std::thread::Builder::new().name("nemesis".into()).spawn(move || work.run(&ended))?;
        Ok(NemesisThread { going, thread })
    }

    /// Ends the schedule and every fault. Returns those that could not be healed, in sentences.
    ///
    /// # Errors
    /// The thread panicked, or does not come back: nobody knows what is healed.
    pub fn finish(self) -> anyhow::Result<Vec<String>> {
        drop(self.going);
        let deadline = Instant::now() + PATIENCE;
        while !self.thread.is_finished() {
            if Instant::now() >= deadline {
                bail!("the nemesis has not come back for {}: faults may be left on nodes", format::duration(PATIENCE));
            }
            std::thread::sleep(TICK);
        }
        self.thread.join().map_err(|_| anyhow!("the nemesis failed; this is a fault of Rashomon")).context("faults may be left on nodes")
    }
}

impl Work {
    fn run(&self, ended: &Receiver<()>) -> Vec<String> {
        let zero = Instant::now();
        loop {
            // Not `while let`: the lock would be held while its body runs.
            let Some(action) = self.nemesis().next_action() else { break };
            if !sleep_until(zero + action.at, ended) || self.recorder.clock().now_ns() >= self.until_ns {
                break;
            }
            let name = self.nemesis().action_name(&action);
            record(&self.recorder, &name, &Value::Nil);
            let (name, report) = self.nemesis().perform(&action);
            self.note(&name, action.phase, &report);
        }
        // Faults stay until the clients' last answers are in.
        let _ = ended.recv();
        self.heal()
    }

    fn nemesis(&self) -> std::sync::MutexGuard<'_, Nemesis> {
        self.nemesis.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, name: &str, phase: Phase, report: &Report) {
        record(&self.recorder, name, &report.to_value(&self.cluster));
        let fault = name.split_once('-').map_or(name, |(_, fault)| fault).to_owned();
        let mut hurting = self.hurting.lock().unwrap_or_else(PoisonError::into_inner);
        match phase {
            Phase::Start if report.observed => {
                hurting.insert(fault, report.what.clone());
            }
            Phase::Stop if report.observed => {
                hurting.remove(&fault);
            }
            _ => {}
        }
    }

    /// Ends every fault, and tries again what could not be ended.
    fn heal(&self) -> Vec<String> {
        record(&self.recorder, HEAL, &Value::Nil);
        let mut unhealed = Vec::new();
        for attempt in 0..HEAL_TRIES {
            if attempt > 0 {
                std::thread::sleep(Duration::from_secs(1));
            }
            let healed = self.nemesis().heal();
            unhealed.clear();
            for (name, report) in healed {
                self.note(&name, Phase::Stop, &report);
                if !report.observed {
                    unhealed.push(format!("{name}: {}: {}", report.what, report.seen));
                }
            }
            if unhealed.is_empty() {
                break;
            }
        }
        unhealed
    }
}

/// Sleeps, unless the end comes first: then false.
fn sleep_until(at: Instant, ended: &Receiver<()>) -> bool {
    ended.recv_timeout(at.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout)
}

/// Records an event of the nemesis.
pub fn record(recorder: &Recorder, f: &str, value: &Value) {
    recorder.record(&Entry { process: None, thread: None, node: None, kind: Kind::Info, f, value, error: None });
}

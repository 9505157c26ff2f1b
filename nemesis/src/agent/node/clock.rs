//! The clocks of programs on the node, made to go wrong and right again.
//!
//! A program's processes are rewritten each by itself ([`super::vdso`]); children that they fork later follow. A strobe is a thread
//! here that turns the offset on and off while they run; a drift is computed in the processes themselves, so that no step is seen.

use super::vdso::{ClockError, Rewritten, Setting, restore};
use crate::agent::protocol::clock::Reading;
use crate::agent::protocol::clock::Skew;
use crate::machine::now_ns;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a program's processes are looked for until none is found that is not rewritten: they may fork meanwhile.
const ROUNDS: u32 = 50;

/// An error of a reading that no further reading is needed for, and the most readings.
const ERROR_NS_GOOD: i64 = 100_000;
const READINGS_MAX: u32 = 8;

/// The shortest period of a strobe.
const PERIOD_MIN: Duration = Duration::from_millis(1);

/// A journal entry: a program's processes are rewritten; it is undone by putting back what was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skewed {
    /// The program's name.
    pub name: String,
}

/// The clocks of an agent's programs.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    strobes: Mutex<BTreeMap<String, Strobe>>,
}

impl Clocks {
    fn strobes(&self) -> MutexGuard<'_, BTreeMap<String, Strobe>> {
        self.strobes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the clock of a program wrong in this way and no longer in the way before. `pids` are its processes now.
    pub(super) fn skew(&self, name: &str, pids: impl Fn() -> Result<Vec<i32>, String>, skew: &Skew) -> Result<(), String> {
        self.forget(name);
        let processes = rewrite(name, pids)?;
        let setting = match *skew {
            Skew::None | Skew::Strobe { .. } => Setting::default(),
            Skew::Bump { offset_ns } => Setting::ahead(offset_ns),
            Skew::Drift { per_billion } => Setting::drifting(now_ns(), per_billion),
        };
        set(&processes, &setting)?;
        if let Skew::Strobe { offset_ns, period, lasts } = *skew {
            let strobe = Strobe::start(processes, Setting::ahead(offset_ns), period.max(PERIOD_MIN), lasts);
            self.strobes().insert(name.to_owned(), strobe.map_err(|error| format!("cannot strobe the clock of {name}: {error}"))?);
        }
        Ok(())
    }

    /// Puts back what was there. No harm if a process is gone, or never was rewritten.
    pub(super) fn restore(&self, name: &str, pids: impl Fn() -> Result<Vec<i32>, String>) -> Result<(), String> {
        self.forget(name);
        let mut looked_at = Vec::new();
        for _ in 0..ROUNDS {
            let new: Vec<i32> = pids()?.into_iter().filter(|pid| !looked_at.contains(pid)).collect();
            if new.is_empty() {
                break;
            }
            for &pid in &new {
                match restore(pid) {
                    // What cannot be rewritten never was.
                    Ok(_) | Err(ClockError::Gone(_) | ClockError::Unfit(_)) => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
            looked_at.extend(new);
        }
        Ok(())
    }

    /// Ends a strobe, if there is one: the clock is right then.
    pub(super) fn forget(&self, name: &str) {
        let strobe = self.strobes().remove(name);
        drop(strobe);
    }
}

/// Reads the clock of each process of a program, as that process does. An error if one of them is not rewritten.
pub(super) fn read(name: &str, pids: &[i32]) -> Result<Vec<Reading>, String> {
    let mut readings = Vec::new();
    for &pid in pids {
        let read = match Rewritten::find(pid) {
            Ok(Some(process)) => read_exactly(&process),
            Ok(None) => return Err(format!("process {pid} of {name} has its own clock: it began after the fault")),
            Err(error) => Err(error),
        };
        match read {
            Ok(reading) => readings.push(reading),
            Err(ClockError::Gone(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    if readings.is_empty() { Err(format!("{name} does not run on this node")) } else { Ok(readings) }
}

/// Reads a clock, again if the process or the agent lost the processor meanwhile; the most exact reading.
fn read_exactly(process: &Rewritten) -> Result<Reading, ClockError> {
    let mut best = process.read()?;
    for _ in 1..READINGS_MAX {
        if best.error_ns <= ERROR_NS_GOOD {
            break;
        }
        let again = process.read()?;
        if again.error_ns < best.error_ns {
            best = again;
        }
    }
    Ok(best)
}

/// Rewrites every process of a program.
fn rewrite(name: &str, pids: impl Fn() -> Result<Vec<i32>, String>) -> Result<Vec<Rewritten>, String> {
    let mut processes = BTreeMap::new();
    let mut gone = Vec::new();
    for _ in 0..ROUNDS {
        let new: Vec<i32> = pids()?.into_iter().filter(|pid| !processes.contains_key(pid) && !gone.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        for pid in new {
            match Rewritten::install(pid) {
                Ok(process) => drop(processes.insert(pid, process)),
                Err(ClockError::Gone(_)) => gone.push(pid),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    if processes.is_empty() { Err(format!("{name} does not run on this node")) } else { Ok(processes.into_values().collect()) }
}

/// Sets the clock of processes; those that are gone are right in any case.
fn set(processes: &[Rewritten], setting: &Setting) -> Result<(), String> {
    for process in processes {
        match process.set(setting) {
            Ok(()) | Err(ClockError::Gone(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

/// A clock that is wrong and right by turns. It is right when this is dropped.
#[derive(Debug)]
struct Strobe {
    /// Closed to end it.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Strobe {
    fn start(processes: Vec<Rewritten>, wrong: Setting, period: Duration, lasts: Duration) -> std::io::Result<Strobe> {
        let (end, ended) = mpsc::channel();
        let over = Instant::now() + lasts;
        let strobe = move || {
            let right = Setting::default();
            let mut next = Instant::now();
            let mut is_wrong = false;
            while Instant::now() < over {
                is_wrong = !is_wrong;
                if set(&processes, if is_wrong { &wrong } else { &right }).is_err() {
                    break;
                }
                // From beat to beat, so that the time of the writing does not add up; but no beat is made up for.
                next = (next + period).max(Instant::now());
                if ended.recv_timeout(next.saturating_duration_since(Instant::now())) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            let _ = set(&processes, &right);
        };
        let thread = thread::Builder::new().name("strobe".into()).spawn(strobe)?;
        Ok(Strobe { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Strobe {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

//! The nemesis: performs the schedule, remembers what is active, heals.

use crate::NodeError;
use crate::fault::{Action, Context, Fault, Phase, Report};
use crate::schedule::{Schedule, targets};
use std::time::Duration;

/// Faults, their schedule, and what they act on. It lives on one plain thread: its methods block.
pub struct Nemesis {
    context: Context,
    faults: Vec<Entry>,
    schedule: Schedule,
    seed: u64,
}

struct Entry {
    fault: Box<dyn Fault>,
    /// How often it was injected.
    count: u64,
    active: bool,
}

impl Nemesis {
    /// A nemesis that injects these faults (see [`crate::spec::parse`]), with gaps of `interval` on average.
    pub fn new(context: Context, faults: Vec<Box<dyn Fault>>, interval: Duration, seed: u64) -> Nemesis {
        let names: Vec<&str> = faults.iter().map(|fault| fault.name()).collect();
        let schedule = Schedule::new(&names, interval, seed);
        let faults = faults.into_iter().map(|fault| Entry { fault, count: 0, active: false }).collect();
        Nemesis { context, faults, schedule, seed }
    }

    /// The names of its faults.
    pub fn names(&self) -> Vec<&'static str> {
        self.faults.iter().map(|entry| entry.fault.name()).collect()
    }

    /// Prepares every fault that was asked for. Called when the database answers, before the first op.
    pub fn setup(&mut self) -> Result<(), NodeError> {
        self.faults.iter_mut().try_for_each(|entry| entry.fault.setup(&self.context))
    }

    /// The next step of the schedule, which has no end; `None` if there are no faults.
    pub fn next_action(&mut self) -> Option<Action> {
        self.schedule.next()
    }

    /// What an action is called in the history: `start-partition`, `stop-kill`.
    pub fn action_name(&self, action: &Action) -> String {
        event_name(action.phase, self.faults[action.fault].fault.name())
    }

    /// Performs an action and returns its name and what came of it. Never fails: what did not work is in the report.
    pub fn perform(&mut self, action: &Action) -> (String, Report) {
        let entry = &mut self.faults[action.fault];
        let name = event_name(action.phase, entry.fault.name());
        let report = match action.phase {
            Phase::Start => entry.start(&self.context, self.seed),
            Phase::Stop => entry.stop(&self.context),
        };
        tracing::info!(event = name, what = report.what, observed = report.observed, seen = report.seen, "nemesis");
        (name, report)
    }

    /// Ends every active fault and returns what came of it, by name of the event. Idempotent: what could not be ended is tried
    /// again by the next call. Runs on every exit path.
    pub fn heal(&mut self) -> Vec<(String, Report)> {
        let active: Vec<usize> = (0..self.faults.len()).filter(|&i| self.faults[i].active).collect();
        active.into_iter().map(|fault| self.perform(&Action { fault, phase: Phase::Stop, at: Duration::ZERO })).collect()
    }

    /// Whether any fault is active, or could not be ended.
    pub fn is_active(&self) -> bool {
        self.faults.iter().any(|entry| entry.active)
    }
}

impl Entry {
    fn start(&mut self, context: &Context, seed: u64) -> Report {
        let mut rng = targets(seed, self.fault.name(), self.count);
        self.count += 1;
        if self.active && !self.stop(context).observed {
            return Report::nothing("not injected: the one before could not be ended".into());
        }
        // Active from now on whatever comes back: half an injection must be healed too.
        self.active = true;
        self.fault.inject(context, &mut rng).unwrap_or_else(|error| Report::nothing(format!("not injected: {error}")))
    }

    fn stop(&mut self, context: &Context) -> Report {
        match self.fault.recover(context) {
            Ok(report) => {
                self.active = !report.observed;
                report
            }
            Err(error) => Report { seen: error.to_string(), ..Report::of(Vec::new(), "not healed".into()) },
        }
    }
}

fn event_name(phase: Phase, fault: &str) -> String {
    match phase {
        Phase::Start => format!("start-{fault}"),
        Phase::Stop => format!("stop-{fault}"),
    }
}

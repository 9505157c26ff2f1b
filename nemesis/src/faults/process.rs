//! Faults of the database's process: killed by SIGKILL or ended by SIGTERM and started again, at once or after a while, or
//! stopped by SIGSTOP and resumed by SIGCONT, as after a long garbage collection.

use crate::fault::{Context, Fault};
use crate::faults::support::observe;
use crate::faults::support::target::Choice;
use crate::report::Report;
use crate::{Database, Node, NodeError, ProcessState};
use rand_chacha::ChaCha8Rng;

/// What is done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// It dies, and is started again.
    Kill,
    /// It is asked to end, and is started again after a while.
    Stop,
    /// It is asked to end, and is started again at once.
    Restart,
    /// It stands still for a while.
    Pause,
}

/// How a harm is called: the fault's name, what was done, and what was done to undo it.
struct Names {
    fault: &'static str,
    done: &'static str,
    undone: &'static str,
}

impl Harm {
    fn names(self) -> Names {
        match self {
            Harm::Kill => Names { fault: "kill", done: "killed", undone: "started" },
            Harm::Stop => Names { fault: "stop", done: "stopped", undone: "started" },
            Harm::Restart => Names { fault: "restart", done: "restarted", undone: "left running" },
            Harm::Pause => Names { fault: "pause", done: "paused", undone: "resumed" },
        }
    }

    /// Whether a process in this state cannot be harmed: that it is down then would be no effect of this, and one that stands
    /// still does not hear that it is asked to end.
    fn is_lost_on(self, state: ProcessState) -> Option<&'static str> {
        match (self, state) {
            (_, ProcessState::Down) => Some("down"),
            (Harm::Stop | Harm::Restart, ProcessState::Paused) => Some("paused"),
            _ => None,
        }
    }

    /// The nodes whose processes can be harmed, and a remark on the others.
    fn fit(self, context: &Context, nodes: Vec<usize>) -> (Vec<usize>, String) {
        let (on, mut note) = context.without_off(nodes);
        let states = context.cluster.on(&on, |node| context.database.state(node));
        let mut fit = Vec::new();
        for (node, state) in on.into_iter().zip(states) {
            match state.ok().and_then(|state| self.is_lost_on(state)) {
                Some(word) => note = format!("{note} (not {}, {word} already)", context.cluster.names(&[node])),
                None => fit.push(node),
            }
        }
        (fit, note)
    }

    /// The state of a process that was harmed.
    fn state(self) -> ProcessState {
        match self {
            Harm::Kill | Harm::Stop | Harm::Restart => ProcessState::Down,
            Harm::Pause => ProcessState::Paused,
        }
    }

    fn inflict(self, database: &dyn Database, node: &Node) -> Result<(), NodeError> {
        match self {
            Harm::Kill => database.kill(node),
            Harm::Stop => database.terminate(node),
            Harm::Restart => database.terminate(node).and_then(|()| database.start(node)),
            Harm::Pause => database.pause(node),
        }
    }

    fn undo(self, database: &dyn Database, node: &Node) -> Result<(), NodeError> {
        match self {
            Harm::Kill | Harm::Stop | Harm::Restart => database.start(node),
            Harm::Pause => database.resume(node),
        }
    }
}

/// Harms the database's process on some nodes, and undoes that.
pub struct ProcessFault {
    harm: Harm,
    choice: Choice,
    active: Vec<usize>,
}

impl ProcessFault {
    /// Harms the processes of what `choice` draws.
    pub fn new(harm: Harm, choice: Choice) -> ProcessFault {
        ProcessFault { harm, choice, active: Vec::new() }
    }
}

impl Fault for ProcessFault {
    fn name(&self) -> &'static str {
        self.harm.names().fault
    }

    fn setup(&mut self, _context: &Context) -> Result<(), NodeError> {
        Ok(())
    }

    /// A process that is down already, by another fault or by itself, is left out, and the report says so.
    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError> {
        let done = self.harm.names().done;
        let (nodes, note) = self.choice.draw_fit(context, rng, |drawn| self.harm.fit(context, drawn));
        if nodes.is_empty() {
            return Ok(Report::nothing(format!("nothing is {done}{note}")));
        }
        let before = if self.harm == Harm::Restart { observe::incarnations(context, &nodes) } else { Vec::new() };
        self.active.clone_from(&nodes);
        let mut report = Report::of(nodes.clone(), format!("{done} {}{note}", context.cluster.names(&nodes)));
        let errors = context.errors_on(&nodes, |node| self.harm.inflict(&*context.database, node));
        report.seen(match self.harm {
            Harm::Restart => observe::restarted(context, &nodes, &before),
            harm => observe::processes(context, &nodes, |state| state == harm.state()),
        });
        report.failed(&errors);
        Ok(report)
    }

    fn recover(&mut self, context: &Context) -> Result<Report, NodeError> {
        if self.active.is_empty() {
            return Ok(Report::idle());
        }
        let (nodes, off) = context.without_off(self.active.clone());
        if nodes.is_empty() {
            self.active.clear();
            return Ok(Report::all_off(&off));
        }
        let mut report = Report::of(nodes.clone(), format!("{} {}{off}", self.harm.names().undone, context.cluster.names(&nodes)));
        let errors = context.errors_on(&nodes, |node| self.harm.undo(&*context.database, node));
        // Another fault may have its hands on it meanwhile: what counts is that this harm is gone.
        report.seen(observe::processes(context, &nodes, |state| state != self.harm.state()));
        report.failed(&errors);
        if report.observed {
            self.active.clear();
        }
        Ok(report)
    }
}

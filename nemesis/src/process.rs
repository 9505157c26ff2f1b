//! Faults of the database's process: killed by SIGKILL and started again, or stopped by SIGSTOP and resumed by SIGCONT, as
//! after a long garbage collection.

use crate::fault::{Context, Fault, Report};
use crate::target::Choice;
use crate::{Database, Node, NodeError, ProcessState, observe};
use rand_chacha::ChaCha8Rng;

/// What is done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// It dies, and is started again.
    Kill,
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
            Harm::Pause => Names { fault: "pause", done: "paused", undone: "resumed" },
        }
    }

    /// The state of a process that was harmed.
    fn state(self) -> ProcessState {
        match self {
            Harm::Kill => ProcessState::Down,
            Harm::Pause => ProcessState::Paused,
        }
    }

    fn inflict(self, database: &dyn Database, node: &Node) -> Result<(), NodeError> {
        match self {
            Harm::Kill => database.kill(node),
            Harm::Pause => database.pause(node),
        }
    }

    fn undo(self, database: &dyn Database, node: &Node) -> Result<(), NodeError> {
        match self {
            Harm::Kill => database.start(node),
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

    /// A process that is down already, by another fault or by itself, is left out, and the report says so: that it is down then
    /// would be no effect of this.
    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError> {
        let done = self.harm.names().done;
        let (drawn, mut note) = self.choice.draw(context, rng);
        let states = context.cluster.on(&drawn, |node| context.database.state(node));
        let is_down = |state: &Result<ProcessState, NodeError>| matches!(state, Ok(ProcessState::Down));
        let (down, nodes): (Vec<_>, Vec<_>) = drawn.into_iter().zip(&states).partition(|(_, state)| is_down(state));
        let [down, nodes] = [down, nodes].map(|part| part.into_iter().map(|(node, _)| node).collect::<Vec<usize>>());
        if !down.is_empty() {
            note = format!("{note} (not {}, down already)", context.cluster.names(&down));
        }
        if nodes.is_empty() {
            return Ok(Report::nothing(format!("nothing is {done}{note}")));
        }
        self.active.clone_from(&nodes);
        let mut report = Report::of(nodes.clone(), format!("{done} {}{note}", context.cluster.names(&nodes)));
        let errors = context.errors_on(&nodes, |node| self.harm.inflict(&*context.database, node));
        report.seen(observe::processes(context, &nodes, |state| state == self.harm.state()));
        report.failed(&errors);
        Ok(report)
    }

    fn recover(&mut self, context: &Context) -> Result<Report, NodeError> {
        if self.active.is_empty() {
            return Ok(Report::idle());
        }
        let nodes = self.active.clone();
        let mut report = Report::of(nodes.clone(), format!("{} {}", self.harm.names().undone, context.cluster.names(&nodes)));
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

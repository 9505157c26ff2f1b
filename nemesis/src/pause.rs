//! Pause: processes that are stopped by SIGSTOP and run on after SIGCONT, as after a long garbage collection.

use crate::fault::{Context, Fault, Report};
use crate::target::Choice;
use crate::{NodeError, ProcessState, observe};
use rand_chacha::ChaCha8Rng;

/// Pauses the database's process on some nodes; lets it run on.
pub struct Pause {
    choice: Choice,
    active: Vec<usize>,
}

impl Pause {
    /// Pauses the processes of what `choice` draws.
    pub fn new(choice: Choice) -> Pause {
        Pause { choice, active: Vec::new() }
    }
}

impl Fault for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn setup(&mut self, _context: &Context) -> Result<(), NodeError> {
        Ok(())
    }

    /// A process that another fault has killed cannot be paused: its node is left out, and the report says so.
    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError> {
        let (drawn, note) = self.choice.draw(context, rng);
        let states = context.cluster.on(&drawn, |node| context.database.state(node));
        let down = |state: &Result<ProcessState, NodeError>| matches!(state, Ok(ProcessState::Down));
        let nodes: Vec<usize> = drawn.iter().zip(&states).filter(|(_, state)| !down(state)).map(|(&node, _)| node).collect();
        let absent: Vec<usize> = drawn.iter().zip(&states).filter(|(_, state)| down(state)).map(|(&node, _)| node).collect();
        let note = if absent.is_empty() { note } else { format!("{note} (not {}, down already)", context.cluster.names(&absent)) };
        if nodes.is_empty() {
            return Ok(Report::nothing(format!("nothing is paused{note}")));
        }
        self.active.clone_from(&nodes);
        let mut report = Report::of(nodes.clone(), format!("paused {}{note}", context.cluster.names(&nodes)));
        let errors = context.errors_on(&nodes, |node| context.database.pause(node));
        report.seen(observe::processes(context, &nodes, |state| state == ProcessState::Paused));
        report.failed(&errors);
        Ok(report)
    }

    fn recover(&mut self, context: &Context) -> Result<Report, NodeError> {
        if self.active.is_empty() {
            return Ok(Report::idle());
        }
        let nodes = self.active.clone();
        let mut report = Report::of(nodes.clone(), format!("resumed {}", context.cluster.names(&nodes)));
        let errors = context.errors_on(&nodes, |node| context.database.resume(node));
        // Another fault may have killed it meanwhile: what counts is that it is not stopped.
        report.seen(observe::processes(context, &nodes, |state| state != ProcessState::Paused));
        report.failed(&errors);
        if report.observed {
            self.active.clear();
        }
        Ok(report)
    }
}

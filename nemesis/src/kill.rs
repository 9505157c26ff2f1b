//! Kill: processes that die by SIGKILL and are started again.

use crate::fault::{Context, Fault, Report};
use crate::target::Choice;
use crate::{NodeError, ProcessState, observe};
use rand_chacha::ChaCha8Rng;

/// Kills the database's process on some nodes; starts it again.
pub struct Kill {
    choice: Choice,
    active: Vec<usize>,
}

impl Kill {
    /// Kills the processes of what `choice` draws.
    pub fn new(choice: Choice) -> Kill {
        Kill { choice, active: Vec::new() }
    }
}

impl Fault for Kill {
    fn name(&self) -> &'static str {
        "kill"
    }

    fn setup(&mut self, _context: &Context) -> Result<(), NodeError> {
        Ok(())
    }

    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError> {
        let (nodes, note) = self.choice.draw(context, rng);
        if nodes.is_empty() {
            return Ok(Report::nothing(format!("nothing is killed{note}")));
        }
        self.active.clone_from(&nodes);
        let mut report = Report::of(nodes.clone(), format!("killed {}{note}", context.cluster.names(&nodes)));
        let errors = context.errors_on(&nodes, |node| context.database.kill(node));
        report.seen(observe::processes(context, &nodes, |state| state == ProcessState::Down));
        report.failed(&errors);
        Ok(report)
    }

    fn recover(&mut self, context: &Context) -> Result<Report, NodeError> {
        if self.active.is_empty() {
            return Ok(Report::idle());
        }
        let nodes = self.active.clone();
        let mut report = Report::of(nodes.clone(), format!("started {}", context.cluster.names(&nodes)));
        let errors = context.errors_on(&nodes, |node| context.database.start(node));
        // Another fault may have paused it meanwhile: what counts is that it is there.
        report.seen(observe::processes(context, &nodes, |state| state != ProcessState::Down));
        report.failed(&errors);
        if report.observed {
            self.active.clear();
        }
        Ok(report)
    }
}

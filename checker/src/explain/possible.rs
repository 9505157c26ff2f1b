//! Which states were possible at each moment of a contradiction's span.

use super::Explainer;
use crate::budget::Budget;
use crate::linear;
use crate::model::Model;
use crate::verdict::{Counterexample, Possible};
use histories::history::NO_EVENT;

/// States that are named at one moment of the strip.
const STATES_ON_STRIP: usize = 8;
/// States that are named at the end of the longest prefix.
const STATES_AT_END: usize = 100;
/// With more events than this in the span, only those of the core are looked at.
const EVENTS_WATCHED: usize = 200;
/// In a longer history of a collection, whose states are large, nothing is looked at.
const OPS_OF_COLLECTION: usize = 5000;

impl<M: Model> Explainer<'_, M> {
    /// Fills in `possible` and `states`, if they can be found with little effort: they do not bear on the verdict.
    pub(crate) fn possible(&self, found: &mut Counterexample, blocked: u32, budget: &Budget) {
        if self.model.collection().is_some() && self.problem.entries.len() > OPS_OF_COLLECTION {
            return;
        }
        let end = self.problem.entries[blocked as usize].ret;
        if budget.stopped().is_some() {
            return;
        }
        let watched = self.watched(found, end);
        for surveyed in linear::survey(self.model, self.problem, blocked, &watched, STATES_AT_END, budget).unwrap_or_default() {
            let mut states: Vec<String> = surveyed.states.iter().map(|state| self.model.show_state(state, &self.history.values)).collect();
            // By length first: then numbers stand in their order.
            states.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
            found.states.clone_from(&states);
            let more = surveyed.more + states.len().saturating_sub(STATES_ON_STRIP);
            states.truncate(STATES_ON_STRIP);
            let changed = found.possible.last().is_none_or(|before| (&before.states, before.more) != (&states, more));
            if changed {
                found.possible.push(Possible { event: surveyed.at, states, more });
            }
        }
        if !found.possible.is_empty() {
            found.possible.push(Possible { event: end, states: Vec::new(), more: 0 });
        }
    }

    /// The events to look at, the last of them being the last before the one that is blocked.
    fn watched(&self, found: &Counterexample, end: u32) -> Vec<u32> {
        let of_core = found.core.iter().flat_map(|&id| {
            let op = self.history.op(id);
            [op.invoke, op.complete]
        });
        let mut of_core: Vec<u32> = of_core.filter(|&event| event != NO_EVENT && event < end).collect();
        of_core.sort_unstable();
        let Some(&start) = of_core.first() else { return of_core };
        let known = |e: &linear::problem::Entry| [e.call, e.ret];
        let in_span = || self.problem.entries.iter().flat_map(known).filter(|event| (start..end).contains(event));
        let last = in_span().max();
        let mut watched = if in_span().nth(EVENTS_WATCHED).is_none() { in_span().collect() } else { of_core };
        watched.extend(last);
        watched.sort_unstable();
        watched.dedup();
        watched
    }
}

//! From the updates of an order to the whole order.

use super::path::Step;
use super::problem::Problem;
use crate::model::Model;
use histories::OpId;

/// Puts the pure ops into an order of updates.
///
/// The search gives each update a point in time: just before an event. Between the points of two updates the state is what
/// the first left; a pure op goes where its own interval meets such a stretch in whose state it can happen (the search found
/// one). All ops then stand at points inside their intervals, so real time is respected.
///
/// Updates that return only after `until` and are not in `updates`, and pure ops that return after it, are left out.
pub(crate) fn complete<M: Model>(model: &M, problem: &Problem<M::Op>, updates: &[Step], until: u32) -> Option<Vec<OpId>> {
    let mut states = Vec::with_capacity(updates.len() + 1);
    states.push(model.init());
    for step in updates {
        let op = &problem.classes[problem.entries[step.op as usize].class as usize];
        states.push(model.step(states.last()?, op)?);
    }
    // (the update before it, its invocation, the op): sorted, that is the order.
    let mut reads: Vec<(usize, u32, OpId)> = Vec::new();
    for entry in &problem.entries {
        let op = &problem.classes[entry.class as usize];
        if !model.is_pure(op) || entry.is_crashed() || entry.ret > until {
            continue;
        }
        // The state in force at its invocation, then the later ones while they begin before its return.
        let first = updates.partition_point(|step| step.at <= entry.call);
        let place = (first..=updates.len())
            .take_while(|&i| i == first || updates[i - 1].at <= entry.ret)
            .find(|&i| model.step(&states[i], op).is_some())?;
        reads.push((place, entry.call, entry.id));
    }
    reads.sort_unstable();
    let mut order = Vec::with_capacity(updates.len() + reads.len());
    let mut reads = reads.into_iter().peekable();
    for place in 0..=updates.len() {
        if place > 0 {
            order.push(problem.entries[updates[place - 1].op as usize].id);
        }
        while let Some((_, _, id)) = reads.next_if(|read| read.0 == place) {
            order.push(id);
        }
    }
    Some(order)
}

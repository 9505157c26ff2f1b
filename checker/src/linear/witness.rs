//! From the updates of an order to the whole order.

use super::path::Step;
use super::problem::Problem;
use crate::budget::{Account, Limit};
use crate::model::Model;
use histories::OpId;

/// Puts the pure ops into an order of updates.
///
/// The search gives each update a point in time: just before an event. Between the points of two updates the state is what
/// the first left; a pure op goes where its own interval meets such a stretch in whose state it can happen (the search found
/// one). All ops then stand at points inside their intervals, so real time is respected.
///
/// An overwrite that returned and is not in `updates` was hidden by another, and goes immediately before it.
///
/// Updates that return only after `until` and are not in `updates`, and pure ops that return after it, are left out.
///
/// `None` if a pure op finds no place, which cannot be if the order of updates is one.
///
/// # Errors
/// The budget ended.
pub(crate) fn complete<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    updates: &[Step],
    until: u32,
    account: &mut Account<'_>,
) -> Result<Option<Vec<OpId>>, Limit> {
    let bytes = updates.len() * size_of::<M::State>() + problem.entries.len() * (1 + size_of::<(usize, u32, OpId)>() + size_of::<OpId>());
    account.hold(bytes)?;
    let Some(states) = states(model, problem, updates, bytes, account)? else { return Ok(None) };
    let Some(mut hidden) = hidden(model, problem, updates, until) else { return Ok(None) };
    hidden.sort_unstable();
    let mut hidden = hidden.into_iter().peekable();
    let Some(mut reads) = places(model, problem, updates, &states, until, account)? else { return Ok(None) };
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
        while let Some((_, id)) = hidden.next_if(|hidden| hidden.0 == place) {
            order.push(id);
        }
    }
    Ok(Some(order))
}

/// The overwrites that returned by `until` and are not among the updates, each with the update that hides it: the first
/// overwrite whose point is between its events. `None` if there is none for one of them.
fn hidden<M: Model>(model: &M, problem: &Problem<M::Op>, updates: &[Step], until: u32) -> Option<Vec<(usize, OpId)>> {
    let mut is_used = vec![false; problem.entries.len()];
    for step in updates {
        is_used[step.op as usize] = true;
    }
    let is_overwrite = |class: u32| model.is_blind_write(&problem.classes[class as usize]);
    let left = problem.entries.iter().zip(is_used).filter(|(entry, used)| !used && !entry.is_crashed() && entry.ret <= until);
    left.filter(|(entry, _)| !model.is_pure(&problem.classes[entry.class as usize]))
        .map(|(entry, _)| {
            let first = updates.partition_point(|step| step.at <= entry.call);
            let within = updates[first..].iter().take_while(|step| step.at <= entry.ret);
            let hides = within.map(|step| is_overwrite(problem.entries[step.op as usize].class)).position(|hides| hides);
            (is_overwrite(entry.class)).then_some((first + hides?, entry.id))
        })
        .collect()
}

/// Bytes that are asked for at once.
const ROOM: usize = 1 << 16;

/// The state before each update, and after the last.
fn states<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    updates: &[Step],
    bytes: usize,
    account: &mut Account<'_>,
) -> Result<Option<Vec<M::State>>, Limit> {
    let mut states = Vec::with_capacity(updates.len() + 1);
    let mut state = model.init();
    // What the states point to, and how much of it was asked for.
    let (mut outside, mut granted) = (0, 0);
    for step in updates {
        let op = &problem.classes[problem.entries[step.op as usize].class as usize];
        let Some(next) = model.step(&state, op) else { return Ok(None) };
        account.stepped()?;
        outside += model.state_bytes(&next);
        if outside > granted {
            granted = outside + ROOM;
            account.hold(bytes + granted)?;
        }
        states.push(std::mem::replace(&mut state, next));
    }
    states.push(state);
    Ok(Some(states))
}

/// (the update before it, its invocation, the op) of each pure op that had returned: sorted, that is their order.
type Places = Vec<(usize, u32, OpId)>;

fn places<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    updates: &[Step],
    states: &[M::State],
    until: u32,
    account: &mut Account<'_>,
) -> Result<Option<Places>, Limit> {
    let mut reads = Vec::new();
    for entry in &problem.entries {
        let op = &problem.classes[entry.class as usize];
        if !model.is_pure(op) || entry.is_crashed() || entry.ret > until {
            continue;
        }
        // The state in force at its invocation, then the later ones while they begin before its return.
        let mut place = updates.partition_point(|step| step.at <= entry.call);
        while model.step(&states[place], op).is_none() {
            account.stepped()?;
            if updates.get(place).is_none_or(|step| step.at > entry.ret) {
                return Ok(None);
            }
            place += 1;
        }
        account.stepped()?;
        reads.push((place, entry.call, entry.id));
    }
    Ok(Some(reads))
}

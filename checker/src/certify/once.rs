//! Contradictions in which each other update may take effect once, or never.
//!
//! The plain form of the just-in-time search (Lowe 2017), by itself: a map from (state, needed ops in flight that are done) to
//! the smallest sets of optional ops that were used on the way. When an op returns, pending ops are linearized until it is;
//! an optional one may also pass unused. Two rules keep the sets small, and no others are used:
//!
//! * of pending ops of one kind and role, the one that returns first is used first (swap the two in any order that does not);
//! * of two ways to the same point, one that used a part of what the other used is as good (it can go on in every way the
//!   other can).
//!
//! Where a needed op leaves one state only, whatever was before (a read of all balances), what came before it is asked later only:
//! first the history is taken to begin there, with each needed op that overlaps it done already or not, and all others unused.
//! Every order of all ends in such an order, so if there is none, that is a contradiction; and the many ways to get there, which
//! make such questions hard, are not followed.

use super::{Claims, Effort, FxMap, Unanswered};
use crate::decode::NEVER;
use crate::model::Model;

/// Sorted indices of ops in flight.
type Ops = Vec<u32>;

/// The needed ops that are done, the optional ones that are.
type Point<S> = (S, Ops);

/// Everything that can be, and what it took of the optional ops.
type Ways<S> = FxMap<Point<S>, Vec<Ops>>;

/// How many needed ops may overlap the one at which a history is taken to begin: each is done by then or not.
const OVERLAPPING_MAX: usize = 8;

/// Where the history is taken to begin.
struct Start<S> {
    /// The place of its first event.
    event: usize,
    ways: Ways<S>,
    /// In flight then, by return.
    pending: Vec<u32>,
}

/// Whether no order of the needed ops exists, see [`super::Claims::contradict`].
pub(super) fn contradict<M: Model>(claims: &Claims<'_, M>, is_needed: &[bool], effort: &mut Effort<'_>) -> Result<bool, Unanswered> {
    let matters = claims.matter(is_needed, effort)?;
    if let Some(start) = known_state(claims, is_needed, &matters, effort)?
        && contradict_from(claims, is_needed, &matters, start, effort)?
    {
        return Ok(true);
    }
    let mut ways: Ways<M::State> = FxMap::default();
    ways.insert((claims.model.init(), Vec::new()), vec![Vec::new()]);
    contradict_from(claims, is_needed, &matters, Start { event: 0, ways, pending: Vec::new() }, effort)
}

/// Where the first needed op begins that leaves one state only.
fn known_state<M: Model>(
    claims: &Claims<'_, M>,
    is_needed: &[bool],
    matters: &[bool],
    effort: &mut Effort<'_>,
) -> Result<Option<Start<M::State>>, Unanswered> {
    effort.take(claims.ops.len() as u64 / 8)?;
    let leaves = |i: usize| if is_needed[i] && claims.ops[i].ret != NEVER { claims.leaves(i) } else { None };
    let Some((pin, state)) = (0..claims.ops.len()).find_map(|i| Some((i, leaves(i)?))) else { return Ok(None) };
    let Some(event) = claims.events.iter().position(|&(at, i)| i as usize == pin && at == claims.ops[pin].call) else { return Ok(None) };
    let overlaps = |i: &u32| {
        let (item, pinned) = (claims.ops[*i as usize], claims.ops[pin]);
        *i as usize != pin && item.call < pinned.ret && item.ret > pinned.call
    };
    let is_left = |i: &u32| is_needed[*i as usize] || matters[claims.ops[*i as usize].kind as usize];
    let around: Vec<u32> = (0..claims.ops.len() as u32).filter(|i| is_left(i) && overlaps(i)).collect();
    let undecided: Vec<u32> = around.iter().copied().filter(|&i| is_needed[i as usize] && claims.ops[i as usize].ret != NEVER).collect();
    if undecided.len() > OVERLAPPING_MAX {
        return Ok(None);
    }
    let mut ways: Ways<M::State> = FxMap::default();
    for chosen in 0..1usize << undecided.len() {
        let mut done: Ops = undecided.iter().enumerate().filter(|(bit, _)| chosen >> bit & 1 == 1).map(|(_, &i)| i).collect();
        done.insert(done.partition_point(|&i| i < pin as u32), pin as u32);
        ways.insert((state.clone(), done), vec![Vec::new()]);
    }
    let mut pending: Vec<u32> = around.into_iter().filter(|&i| claims.ops[i as usize].call < claims.ops[pin].call).collect();
    pending.sort_by_key(|&i| claims.ops[i as usize].ret);
    Ok(Some(Start { event, ways, pending }))
}

fn contradict_from<M: Model>(
    claims: &Claims<'_, M>,
    is_needed: &[bool],
    matters: &[bool],
    start: Start<M::State>,
    effort: &mut Effort<'_>,
) -> Result<bool, Unanswered> {
    let is_optional = |i: u32| !is_needed[i as usize] || claims.ops[i as usize].ret == NEVER;
    let Start { event, mut ways, mut pending } = start;
    for &(at, index) in &claims.events[event..] {
        effort.take(1 + pending.len() as u64 / 16)?;
        let item = claims.ops[index as usize];
        if !is_needed[index as usize] && !matters[item.kind as usize] {
            continue;
        }
        if at == item.call {
            // By return, so that the first pending op of a kind is the one to use.
            let place = pending.partition_point(|&i| claims.ops[i as usize].ret <= item.ret);
            pending.insert(place, index);
            continue;
        }
        ways = returns(claims, &ways, &pending, index, &is_optional, effort)?;
        pending.retain(|&i| i != index);
        if ways.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn returns<M: Model>(
    claims: &Claims<'_, M>,
    before: &Ways<M::State>,
    pending: &[u32],
    target: u32,
    is_optional: &impl Fn(u32) -> bool,
    effort: &mut Effort<'_>,
) -> Result<Ways<M::State>, Unanswered> {
    let mut ways = Room { used: 0, granted: 0, each: size_of::<(Point<M::State>, Ops)>() * 4 + 4 * size_of::<u32>() * pending.len() };
    let mut after: Ways<M::State> = FxMap::default();
    let mut waiting: Ways<M::State> = FxMap::default();
    let mut todo: Vec<(Point<M::State>, Ops)> = Vec::new();
    for ((state, done), uses) in before {
        for used in uses {
            effort.take(1 + (done.len() + used.len()) as u64 / 16)?;
            ways.one_more(effort)?;
            if done.contains(&target) || used.contains(&target) {
                add(&mut after, (state.clone(), without(done, target)), without(used, target));
                continue;
            }
            if is_optional(target) {
                add(&mut after, (state.clone(), done.clone()), used.clone());
            }
            if add(&mut waiting, (state.clone(), done.clone()), used.clone()) {
                todo.push(((state.clone(), done.clone()), used.clone()));
            }
        }
    }
    while let Some(((state, done), used)) = todo.pop() {
        effort.take(1 + pending.len() as u64)?;
        let mut tried: Vec<(u32, bool)> = Vec::new();
        for &i in pending {
            let (kind, optional) = (claims.ops[i as usize].kind, is_optional(i));
            if done.contains(&i) || used.contains(&i) || tried.contains(&(kind, optional)) {
                continue;
            }
            tried.push((kind, optional));
            let next = claims.model.step(&state, &claims.kinds[kind as usize]);
            effort.account.stepped()?;
            let Some(next) = next else { continue };
            let (mut done, mut used) = (done.clone(), used.clone());
            ways.one_more(effort)?;
            if i == target {
                add(&mut after, (next, done), used);
                continue;
            }
            let set = if optional { &mut used } else { &mut done };
            set.insert(set.partition_point(|&j| j < i), i);
            if add(&mut waiting, (next.clone(), done.clone()), used.clone()) {
                todo.push(((next, done), used));
            }
        }
    }
    Ok(after)
}

/// The memory that ways take.
struct Room {
    used: usize,
    granted: usize,
    /// Bytes of one: it is kept twice, in tables that may double.
    each: usize,
}

impl Room {
    fn one_more(&mut self, effort: &mut Effort<'_>) -> Result<(), Unanswered> {
        self.used += 1;
        if self.used > self.granted {
            self.granted = self.used + self.used / 2 + 64;
            effort.account.hold(self.granted * self.each)?;
        }
        Ok(())
    }
}

/// Adds a way to a point, unless a known one used a part of it; forgets those that used more.
fn add<S: Eq + std::hash::Hash>(ways: &mut Ways<S>, point: Point<S>, used: Ops) -> bool {
    let uses = ways.entry(point).or_default();
    if uses.iter().any(|known| is_part(known, &used)) {
        return false;
    }
    uses.retain(|known| !is_part(&used, known));
    uses.push(used);
    true
}

fn is_part(a: &[u32], b: &[u32]) -> bool {
    a.iter().all(|i| b.binary_search(i).is_ok())
}

fn without(ops: &[u32], op: u32) -> Ops {
    ops.iter().copied().filter(|&i| i != op).collect()
}

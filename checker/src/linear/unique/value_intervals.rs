//! Values that are put in once and taken out once: what queues, stacks and bags have in common.
//!
//! Call the ops on one value its *life*: it is put in, and taken out or not. A value that is taken out was put in, once, by an op
//! that was invoked before the removal returned; and it is taken out once. Then the insert may be taken to return before the
//! removal does, and the removal to be invoked after the insert. A value is *surely there* from the return of its insert to the
//! invocation of its removal.
//!
//! An insert of unknown outcome whose value nobody took out, or only an op that does not know what it took, is left out: leave
//! out both, and a legal order stays one.

use super::{Inserts, NONE, No, Ops};
use crate::budget::Account;
use crate::decode::NEVER;
use crate::model::Role;

/// A value that stayed: its removal is invoked and returns after everything.
pub(super) const STAYED: u32 = NEVER;
/// A removal of unknown outcome returns after everything that is known, and before the removal of a value that stayed.
pub(super) const LATE: u32 = NEVER - 1;

/// The ops on one value. Positions are tightened as said above.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) insert: u32,
    /// [`NONE`] if it stayed.
    pub(super) remove: u32,
    pub(super) in_call: u32,
    pub(super) in_ret: u32,
    pub(super) out_call: u32,
    pub(super) out_ret: u32,
}

impl Life {
    pub(super) fn stayed(&self) -> bool {
        self.remove == NONE
    }

    /// Whether there are moments at which it is surely there.
    pub(super) fn is_sure(&self) -> bool {
        self.in_ret < self.out_call
    }

    /// The same, taken out by an op of unknown outcome that was invoked at `call`.
    pub(super) fn taken_by(self, remove: u32, call: u32) -> Life {
        Life { remove, out_call: call.max(self.in_call), out_ret: LATE, ..self }
    }
}

/// All lives, and what there is besides.
#[derive(Debug, Default)]
pub(super) struct Lives {
    pub(super) all: Vec<Life>,
    /// Entries that found nothing.
    pub(super) empties: Vec<u32>,
    /// Removals of unknown outcome, by invocation.
    pub(super) unknown: Vec<u32>,
    /// Values were left out that were put in more than once.
    pub(super) in_part: bool,
}

impl Lives {
    /// Those taken out by ops that say so, and those that stayed.
    pub(super) fn split(&self) -> (Vec<Life>, Vec<Life>) {
        self.all.iter().partition(|life| !life.stayed())
    }

    /// What an order of the lives says of all ops.
    pub(super) fn conclude<T>(&self, found: T) -> Result<T, No> {
        if self.in_part { Err(No::Open) } else { Ok(found) }
    }
}

/// Reads the lives.
///
/// # Errors
/// The ops that break what is said of one life; or something here is not covered.
pub(super) fn lives(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Lives, No> {
    let inserts = Inserts::new(ops, account)?;
    let mut found = Lives { in_part: inserts.any_repeated(), ..Lives::default() };
    let remove_of = removals(ops, &inserts, &mut found, account)?;
    found.all.reserve_exact(inserts.of.len());
    for (insert, entry) in (0..).zip(&ops.entries) {
        account.work(2)?;
        let Role::Insert(value) = ops.role(insert) else { continue };
        let remove = remove_of[insert as usize];
        if remove == NONE && entry.is_crashed() || found.in_part && inserts.get(value) == Some(NONE) {
            continue;
        }
        let (out_call, out_ret) = match ops.entries.get(remove as usize) {
            Some(remove) => (remove.call.max(entry.call), remove.ret),
            None => (STAYED, STAYED),
        };
        found.all.push(Life { insert, remove, in_call: entry.call, in_ret: entry.ret.min(out_ret), out_call, out_ret });
    }
    Ok(found)
}

/// The removal of each insert's value.
fn removals(ops: &Ops<'_>, inserts: &Inserts, found: &mut Lives, account: &mut Account<'_>) -> Result<Vec<u32>, No> {
    let mut remove_of: Vec<u32> = vec![NONE; ops.entries.len()];
    for (i, entry) in (0..).zip(&ops.entries) {
        account.work(2)?;
        match ops.role(i) {
            Role::Insert(_) => {}
            Role::RemoveAny if entry.is_crashed() => found.unknown.push(i),
            Role::Empty if !entry.is_crashed() => found.empties.push(i),
            Role::Remove(value) if !entry.is_crashed() => {
                let Some(insert) = inserts.get(value) else { return Err(No::Broken(vec![i])) };
                if insert == NONE {
                    continue;
                }
                if ops.entries[insert as usize].call > entry.ret {
                    return Err(No::Broken(vec![i, insert]));
                }
                let other = std::mem::replace(&mut remove_of[insert as usize], i);
                if other != NONE {
                    return Err(No::Broken(vec![i, other, insert]));
                }
            }
            _ => return Err(No::Open),
        }
    }
    Ok(remove_of)
}

/// For each op that found nothing, the first moment and the last one at which no value is surely there. At any such moment each
/// life can be all over or not have begun.
///
/// # Errors
/// The fewest lives of which one is surely there all the time, and the op.
pub(super) fn moments(ops: &Ops<'_>, lives: &[Life], empties: &[u32], account: &mut Account<'_>) -> Result<Vec<(u32, u32)>, No> {
    if empties.is_empty() {
        return Ok(Vec::new());
    }
    let mut surely: Vec<&Life> = lives.iter().filter(|life| life.is_sure()).collect();
    account.work(8 * surely.len() as u64)?;
    surely.sort_unstable_by_key(|life| life.in_ret);
    // The stretches of time in which something is surely there.
    let mut stretches: Vec<(u32, u32)> = Vec::new();
    for life in &surely {
        match stretches.last_mut() {
            Some(last) if life.in_ret <= last.1 => last.1 = last.1.max(life.out_call),
            _ => stretches.push((life.in_ret, life.out_call)),
        }
    }
    let mut moments = Vec::with_capacity(empties.len());
    for &empty in empties {
        account.work(4)?;
        let entry = ops.entries[empty as usize];
        let around = |moment: u32| {
            let next = stretches.partition_point(|stretch| stretch.0 <= moment);
            next.checked_sub(1).map(|i| stretches[i]).filter(|stretch| stretch.1 > moment)
        };
        let first = around(entry.call).map_or(entry.call, |stretch| stretch.1);
        if first >= entry.ret {
            let covering = cover(surely.iter().copied(), entry.call, entry.ret);
            return Err(No::Broken(covering.into_iter().chain([empty]).collect()));
        }
        moments.push((first, around(entry.ret - 1).map_or(entry.ret, |stretch| stretch.0) - 1));
    }
    Ok(moments)
}

/// The fewest lives, given by the returns of their inserts, of which one is surely there at every moment between two events;
/// their ops.
pub(super) fn cover<'l>(surely: impl Iterator<Item = &'l Life>, from: u32, to: u32) -> Vec<u32> {
    let (mut ops, mut reached) = (Vec::new(), from);
    let mut surely = surely.peekable();
    while reached < to {
        let mut best: Option<&Life> = None;
        while let Some(life) = surely.next_if(|life| life.in_ret <= reached) {
            if best.is_none_or(|best| best.out_call < life.out_call) {
                best = Some(life);
            }
        }
        let Some(best) = best else { break };
        ops.extend([best.insert, best.remove]);
        reached = best.out_call;
    }
    ops
}

/// By when a value that stayed must be gone so that all who found nothing have a moment: the last moment of such an op whose
/// first comes after the value was put in, plus one; [`NEVER`] if there is none.
pub(super) struct GoneBy {
    /// (first moment, the least of the last moments from here on), by first moment.
    moments: Vec<(u32, u32)>,
}

impl GoneBy {
    pub(super) fn new(moments: &[(u32, u32)]) -> GoneBy {
        let mut moments = moments.to_vec();
        moments.sort_unstable();
        for i in (0..moments.len().saturating_sub(1)).rev() {
            moments[i].1 = moments[i].1.min(moments[i + 1].1);
        }
        GoneBy { moments }
    }

    pub(super) fn deadline(&self, life: &Life) -> u32 {
        let first = self.moments.partition_point(|moment| moment.0 < life.in_ret);
        self.moments.get(first).map_or(NEVER, |moment| moment.1 + 1)
    }
}

/// A value that stayed and must be gone before the event `deadline`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needy {
    pub(super) deadline: u32,
    pub(super) life: Life,
}

/// Lets removals of unknown outcome, taken from the list of those left, take out what cannot have stayed: a value is best taken
/// by an op that was invoked early, and values with early deadlines take the earliest; of two with the same deadline the one that
/// may have gone in later.
///
/// # Errors
/// The values of which there are too many: the places up to the last of them.
pub(super) fn take_out(ops: &Ops<'_>, needy: &mut [Needy], unknown: &mut Vec<u32>) -> Result<Vec<Life>, usize> {
    needy.sort_unstable_by_key(|needy| (needy.deadline, std::cmp::Reverse(needy.life.in_call)));
    let mut taken = Vec::with_capacity(needy.len());
    for (place, needy) in needy.iter().enumerate() {
        let taker = unknown.get(place).map(|&taker| (taker, ops.entries[taker as usize].call));
        let Some((taker, call)) = taker.filter(|taker| taker.1 < needy.deadline) else { return Err(place) };
        taken.push(needy.life.taken_by(taker, call));
    }
    unknown.drain(..needy.len());
    Ok(taken)
}

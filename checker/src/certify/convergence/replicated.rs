//! The second look at replicated data types: the rules of `convergence::replicated`, element by element, from the ops alone.

use super::Claims;
use crate::convergence::decode::{Act, DataType, Seen};
use histories::{OpId, Outcome, Process, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// What was done to one element, and who read it.
#[derive(Default)]
struct Element {
    /// Adds that may have happened.
    adds: Vec<OpId>,
    /// Those that certainly did.
    certain_adds: Vec<OpId>,
    /// Removes that may have happened.
    removes: Vec<OpId>,
    /// Those that certainly did: of each process the last.
    certain_removes: BTreeMap<Process, OpId>,
    /// The first read of each process that returned it.
    read: BTreeMap<Process, OpId>,
    /// When the first read before the end that returned it was over.
    read_by: Option<u32>,
}

/// Whether the updates that happened explain the end, by what the removes among them had seen.
pub(super) fn explains(claims: &Claims<'_>, data_type: DataType, happened: &BTreeSet<OpId>) -> Result<(), String> {
    if data_type == DataType::Counter {
        return Ok(());
    }
    let happens = |id: OpId| happened.contains(&id);
    let elements = elements(claims, happens, happens, &claims.early);
    for read in claims.reads.values() {
        let Seen::Elements(found) = read else { continue };
        let found: BTreeSet<ValueId> = found.iter().copied().collect();
        for (id, element) in &elements {
            let is_there = found.contains(id);
            if is_there && !element.may_stay(claims, data_type) || !is_there && !element.may_go(claims, data_type) {
                return Err(format!("what was seen by removes does not explain an element of {} ops", element.adds.len()));
            }
        }
    }
    Ok(())
}

/// Whether the needed reads, one final one among them or none, cannot be explained if the needed updates happened and each other one
/// did or did not.
pub(super) fn contradict(claims: &Claims<'_>, data_type: DataType, read: Option<&Seen>, early: &[OpId], updates: &[OpId]) -> bool {
    let begun = claims.begun(|_| true);
    if !early.iter().all(|&read| claims.seen(read).iter().all(|seen| claims.could_return(read, seen, &begun))) {
        return true;
    }
    let Some(Seen::Elements(found)) = read else { return false };
    let there: BTreeSet<ValueId> = found.iter().copied().collect();
    if there.len() < found.len() {
        return true;
    }
    let elements = elements(claims, |_| true, |id| updates.contains(&id), early);
    let stays = |id: &ValueId| elements.get(id).is_some_and(|element| element.may_stay(claims, data_type));
    let goes = |(id, element): (&ValueId, &Element)| there.contains(id) || element.may_go(claims, data_type);
    !there.iter().all(stays) || !elements.iter().all(goes)
}

/// The elements that were added or removed, by the updates that may and that certainly did happen, and the reads that count.
fn elements(
    claims: &Claims<'_>,
    may: impl Fn(OpId) -> bool,
    certainly: impl Fn(OpId) -> bool,
    reads: &[OpId],
) -> BTreeMap<ValueId, Element> {
    let process = |id: OpId| claims.history.op_process(claims.history.op(id));
    let mut elements: BTreeMap<ValueId, Element> = BTreeMap::new();
    for (&id, (acts, is_done)) in claims.updates.iter().filter(|(id, _)| may(**id)) {
        for act in acts {
            match act {
                Act::Add(value) => {
                    let element = elements.entry(*value).or_default();
                    element.adds.push(id);
                    element.certain_adds.extend(Some(id).filter(|id| certainly(*id)));
                }
                Act::Remove(value) => {
                    let element = elements.entry(*value).or_default();
                    element.removes.push(id);
                    if certainly(id) && *is_done {
                        element.certain_removes.insert(process(id), id);
                    }
                }
                _ => {}
            }
        }
    }
    for (read, seen) in reads.iter().flat_map(|&read| claims.seen(read).into_iter().map(move |seen| (read, seen))) {
        let Seen::Elements(found) = seen else { continue };
        let ended = claims.history.op(read).complete;
        for value in &*found {
            if let Some(element) = elements.get_mut(value) {
                element.read.entry(process(read)).or_insert(read);
                element.read_by = Some(element.read_by.map_or(ended, |known| known.min(ended)));
            }
        }
    }
    elements
}

impl Element {
    /// The earliest moment by which a certain remove knew an add, through a read.
    fn known(&self, claims: &Claims<'_>) -> Option<u32> {
        let asked = self.certain_removes.iter().filter(|(process, remove)| self.read.get(process).is_some_and(|read| read < remove));
        asked.map(|(process, _)| claims.history.op(self.read[process]).complete).min()
    }

    /// Whether the process of an acknowledged add certainly removed the element later.
    fn removed_by_its_own(&self, claims: &Claims<'_>, add: OpId) -> bool {
        let op = claims.history.op(add);
        let own = self.certain_removes.get(&claims.history.op_process(op));
        claims.history.outcome(op) == Outcome::Ok && own.is_some_and(|&remove| claims.history.op(remove).invoke > op.complete)
    }

    /// Whether it may be in the set when all that happened is known.
    fn may_stay(&self, claims: &Claims<'_>, data_type: DataType) -> bool {
        let known = self.known(claims);
        match data_type {
            DataType::TwoPhaseSet => {
                let own = self.certain_adds.iter().any(|add| self.removed_by_its_own(claims, *add));
                !self.adds.is_empty() && known.is_none() && !own
            }
            DataType::ObservedRemoveSet => {
                let before = |add: OpId| known.is_some_and(|known| claims.history.op(add).invoke < known);
                let candidates = self.adds.iter().filter(|add| before(**add)).count();
                let is_left = |add: OpId| known.is_none() || candidates > usize::from(before(add));
                self.adds.iter().any(|&add| !self.removed_by_its_own(claims, add) && is_left(add))
            }
            _ => !self.adds.is_empty(),
        }
    }

    /// Whether it may be missing from it.
    fn may_go(&self, claims: &Claims<'_>, data_type: DataType) -> bool {
        let nobody_put_it = self.certain_adds.is_empty() && self.read_by.is_none();
        match data_type {
            DataType::TwoPhaseSet => nobody_put_it || !self.removes.is_empty(),
            DataType::ObservedRemoveSet => {
                let end = |&remove: &OpId| {
                    let op = claims.history.op(remove);
                    if claims.history.outcome(op) == Outcome::Ok { op.complete } else { u32::MAX }
                };
                let last = self.removes.iter().map(end).max();
                let may_be_seen = |add: OpId| last.is_some_and(|last| claims.history.op(add).invoke < last);
                let began_before = |add: OpId, until: u32| claims.history.op(add).invoke < until;
                self.certain_adds.iter().all(|&add| may_be_seen(add))
                    && self.read_by.is_none_or(|until| self.adds.iter().any(|&add| began_before(add, until) && may_be_seen(add)))
            }
            DataType::GrowOnlySet | DataType::Counter => nobody_put_it,
        }
    }
}

/// Steps of the sums that are looked at, at most.
const SUM_STEPS_MAX: usize = 1 << 28;

/// Whether each of these reads returned a sum of some of the changes that may have happened and had begun before it ended: sums are
/// kept as the stretches that they fill.
pub(super) fn numbers_are_sums(claims: &Claims<'_>, reads: &[OpId], may: &dyn Fn(OpId) -> bool) -> Result<bool, String> {
    let ended = |read: &OpId| claims.history.op(*read).complete;
    let mut reads: Vec<OpId> = reads.to_vec();
    reads.sort_unstable_by_key(ended);
    let initial = i128::from(claims.objects.initial_number);
    let mut sums = vec![(initial, initial)];
    let mut changes = claims.updates.iter().filter(|(id, _)| may(**id)).peekable();
    let mut steps = 0;
    for read in reads {
        let seen = claims.seen(read);
        let [Seen::Number(number)] = seen[..] else { return Err(format!("op {} is no read of a counter", read.0)) };
        while let Some((_, (acts, _))) = changes.next_if(|(id, _)| claims.history.op(**id).invoke < ended(&read)) {
            let amount: i128 = acts.iter().map(|act| if let Act::Increase(amount) = act { i128::from(*amount) } else { 0 }).sum();
            sums = with(&sums, amount);
            steps += sums.len();
            if steps > SUM_STEPS_MAX {
                return Err("too many sums are possible".into());
            }
        }
        let number = i128::from(number);
        if !sums.iter().any(|&(low, high)| low <= number && number <= high) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The stretches, and the same with an amount added.
fn with(sums: &[(i128, i128)], amount: i128) -> Vec<(i128, i128)> {
    let moved = sums.iter().map(|&(low, high)| (low + amount, high + amount));
    let mut all: Vec<(i128, i128)> = sums.iter().copied().chain(moved).collect();
    all.sort_unstable();
    let mut joined: Vec<(i128, i128)> = Vec::with_capacity(all.len());
    for (low, high) in all {
        match joined.last_mut() {
            Some(last) if low <= last.1 + 1 => last.1 = last.1.max(high),
            _ => joined.push((low, high)),
        }
    }
    joined
}

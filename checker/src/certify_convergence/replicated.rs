//! The second look at replicated data types: the rules of `convergence::replicated`, element by element, from the ops alone.

use super::Claims;
use crate::convergence::decode::{Act, DataType, Fact, Seen};
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
}

/// Whether the updates that happened explain every read.
pub(super) fn explains(claims: &Claims<'_>, data_type: DataType, happened: &BTreeSet<OpId>) -> Result<(), String> {
    for &read in &claims.early {
        if !matches!(seen(claims, read), Some(Seen::Number(_))) && !could_return(claims, read)? {
            return Err(format!("op {} returned what nobody had begun to put there", read.0));
        }
    }
    if data_type == DataType::Counter {
        return numbers_are_sums(claims, &claims.early).and_then(|are| if are { Ok(()) } else { Err("a read is no sum".into()) });
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

/// Whether the needed reads cannot be explained if the needed updates happened and each other one did or did not.
pub(super) fn contradict(claims: &Claims<'_>, data_type: DataType, needed: &[OpId]) -> Result<bool, String> {
    let (mut finals, mut early, mut updates) = (Vec::new(), Vec::new(), BTreeSet::new());
    for &id in needed {
        match (claims.reads.get(&id), claims.updates.get(&id)) {
            (Some(seen), _) => finals.push(seen),
            (None, Some((_, true))) => {
                updates.insert(id);
            }
            (None, None) if claims.early.binary_search(&id).is_ok() => early.push(id),
            _ => return Err(format!("op {} is no read and no acknowledged update", id.0)),
        }
    }
    if finals.windows(2).any(|pair| pair[0] != pair[1]) {
        return Ok(true);
    }
    if data_type == DataType::Counter {
        let sums = numbers_are_sums(claims, &early)?;
        return Ok(!sums || finals.first().map_or(Ok(false), |read| claims.explained(read, &[]).map(|explained| !explained))?);
    }
    for &read in &early {
        if !could_return(claims, read)? {
            return Ok(true);
        }
    }
    let Some(Seen::Elements(found)) = finals.first() else { return Ok(false) };
    let there: BTreeSet<ValueId> = found.iter().copied().collect();
    if there.len() < found.len() {
        return Ok(true);
    }
    let elements = elements(claims, |_| true, |id| updates.contains(&id), &early);
    let stays = |id: &ValueId| elements.get(id).is_some_and(|element| element.may_stay(claims, data_type));
    let goes = |(id, element): (&ValueId, &Element)| there.contains(id) || element.may_go(claims, data_type);
    Ok(!there.iter().all(stays) || !elements.iter().all(goes))
}

/// What a read returned.
fn seen(claims: &Claims<'_>, read: OpId) -> Option<Seen> {
    let mut facts = Vec::new();
    claims.objects.decode(claims.history, read, false, &mut facts).ok()?;
    facts.into_iter().find_map(|(key, fact)| if let Fact::Read(seen) = fact { Some(seen).filter(|_| key == claims.key) } else { None })
}

/// Whether each element that a read returned is there once and had begun to be added.
fn could_return(claims: &Claims<'_>, read: OpId) -> Result<bool, String> {
    let Some(Seen::Elements(found)) = seen(claims, read) else { return Err(format!("op {} is no read of a set", read.0)) };
    let until = claims.history.op(read).complete;
    let begun: &BTreeMap<ValueId, u32> = claims.begun.get_or_init(|| {
        let mut begun = BTreeMap::new();
        for (&id, (acts, _)) in &claims.updates {
            for act in acts {
                if let Act::Add(element) = act {
                    begun.entry(*element).or_insert(claims.history.op(id).invoke);
                }
            }
        }
        begun
    });
    let distinct: BTreeSet<&ValueId> = found.iter().collect();
    Ok(distinct.len() == found.len() && distinct.into_iter().all(|element| begun.get(element).is_some_and(|&first| first < until)))
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
    for &read in reads {
        let Some(Seen::Elements(found)) = seen(claims, read) else { continue };
        for value in &*found {
            if let Some(element) = elements.get_mut(value).filter(|element| !element.removes.is_empty()) {
                element.read.entry(process(read)).or_insert(read);
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
        match data_type {
            DataType::TwoPhaseSet => self.certain_adds.is_empty() || !self.removes.is_empty(),
            DataType::ObservedRemoveSet => {
                let end = |&remove: &OpId| {
                    let op = claims.history.op(remove);
                    if claims.history.outcome(op) == Outcome::Ok { op.complete } else { u32::MAX }
                };
                let last = self.removes.iter().map(end).max();
                self.certain_adds.iter().all(|&add| last.is_some_and(|last| claims.history.op(add).invoke < last))
            }
            _ => self.certain_adds.is_empty(),
        }
    }
}

/// Steps of the sums that are looked at, at most.
const SUM_STEPS_MAX: usize = 1 << 28;

/// Whether each of these reads returned a sum of some of the changes that had begun before it ended: sums are kept as the
/// stretches that they fill.
fn numbers_are_sums(claims: &Claims<'_>, reads: &[OpId]) -> Result<bool, String> {
    let ended = |read: &OpId| claims.history.op(*read).complete;
    let mut reads: Vec<OpId> = reads.to_vec();
    reads.sort_unstable_by_key(ended);
    let initial = i128::from(claims.objects.initial_number);
    let mut sums = vec![(initial, initial)];
    let mut changes = claims.updates.iter().peekable();
    let mut steps = 0;
    for read in reads {
        let Some(Seen::Number(number)) = seen(claims, read) else { return Err(format!("op {} is no read of a counter", read.0)) };
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

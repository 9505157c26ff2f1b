//! Whether an order of an object's updates explains its final reads: one rule per kind of object.

use super::compare::{Found, Wrong, difference};
use super::decode::{Act, Objects, Seen, Shape};
use super::{FinalRead, Object, Update, replicated, sums, written};
use crate::budget::{Account, Limit};
use hashbrown::{HashMap, HashSet};
use histories::{History, OpId, ValueId};
use rustc_hash::FxBuildHasher;
use std::collections::BTreeMap;

/// Bytes that a decision takes at most, but for the sums of a counter.
pub(super) fn bytes(objects: &Objects<'_>, object: &Object) -> usize {
    match objects.shape() {
        Shape::Set | Shape::List => object.updates.len() * (size_of::<Tally>() + size_of::<Add>() * 2 + 48),
        Shape::Register | Shape::Counter => object.updates.len() * 64,
    }
}

/// Decides by the kind of what was read. Linear in the updates and the sizes of the final reads that differ, but for counters:
/// see [`sums`].
pub(super) fn decide(history: &History, objects: &Objects<'_>, object: &Object, account: &mut Account<'_>) -> Result<Found, Limit> {
    let found = match (objects.data_type, objects.shape()) {
        (_, Shape::Counter) => sums::counter(history, objects, object, account)?,
        (Some(data_type), _) => replicated::decide(history, objects, object, data_type, account)?,
        (None, Shape::Register) => written::register(history, objects, object, account)?,
        (None, Shape::Set | Shape::List) => elements(history, objects, object, account)?,
    };
    Ok(match found {
        Found::Order(mut order) => {
            order.extend(object.reads.iter().map(|read| read.op));
            Found::Order(order)
        }
        other => other,
    })
}

/// An add.
#[derive(Clone, Copy)]
struct Add {
    op: OpId,
    invoked: u32,
    is_done: bool,
}

/// What was done with one element.
#[derive(Default)]
struct Tally {
    element: Option<ValueId>,
    /// By invocation.
    adds: Vec<Add>,
    adds_done: usize,
    removes: usize,
    /// By how often a read before the end returned it, where that takes adds of unknown outcome: when the first such read completed.
    asked: BTreeMap<usize, (u32, OpId)>,
}

impl Tally {
    /// Adds that were invoked before an event: acknowledged ones, and all.
    fn begun(&self, event: u32) -> (usize, usize) {
        let begun = &self.adds[..self.adds.partition_point(|add| add.invoked < event)];
        (begun.iter().filter(|add| add.is_done).count(), begun.len())
    }
}

/// The elements by first appearance.
#[derive(Default)]
struct Tallies {
    place: HashMap<ValueId, usize, FxBuildHasher>,
    all: Vec<Tally>,
}

impl Tallies {
    fn new(history: &History, object: &Object) -> Tallies {
        let mut tallies = Tallies::default();
        for update in &object.updates {
            let (Act::Add(element) | Act::Remove(element)) = update.act else { continue };
            let place = *tallies.place.entry(element).or_insert(tallies.all.len());
            if place == tallies.all.len() {
                tallies.all.push(Tally { element: Some(element), ..Tally::default() });
            }
            let tally = &mut tallies.all[place];
            if update.act == Act::Remove(element) {
                tally.removes += 1;
                continue;
            }
            tally.adds.push(Add { op: update.op, invoked: history.op(update.op).invoke, is_done: update.is_done });
            tally.adds_done += usize::from(update.is_done);
        }
        tallies
    }

    /// How often an element must be there, and may be.
    fn bounds(&self, is_set: bool, place: usize) -> (usize, usize) {
        let (done, all) = (self.all[place].adds_done, self.all[place].adds.len());
        if is_set { (done.min(usize::from(self.all[place].removes == 0)), all.min(1)) } else { (done, all) }
    }

    /// What is wrong with a read before the end; and remembers what it asks for.
    fn take_early(&mut self, is_set: bool, read: OpId, until: u32, seen: &[ValueId]) -> Option<Wrong> {
        let mut times: HashMap<ValueId, usize, FxBuildHasher> = HashMap::with_capacity_and_hasher(seen.len(), FxBuildHasher);
        for &value in seen {
            let there = times.entry(value).or_default();
            *there += 1;
            let Some(tally) = self.place.get(&value).map(|&place| &mut self.all[place]) else {
                return Some(Wrong::Nowhere { read, value });
            };
            let (done, all) = tally.begun(until);
            if all == 0 {
                return Some(Wrong::Nowhere { read, value });
            }
            let attempted = if is_set { 1 } else { all };
            if *there > attempted {
                return Some(Wrong::Twice { read, value, times: seen.iter().filter(|other| **other == value).count(), attempted });
            }
            if *there > done {
                let first = tally.asked.entry(*there).or_insert((until, read));
                *first = (*first).min((until, read));
            }
        }
        None
    }

    /// What is wrong with one final read by itself.
    fn wrong(&self, is_set: bool, read: OpId, seen: &[ValueId]) -> Option<Wrong> {
        let mut times = vec![0_usize; self.all.len()];
        for &value in seen {
            let attempted = self.place.get(&value).filter(|&&place| !self.all[place].adds.is_empty());
            let Some(&place) = attempted else { return Some(Wrong::Nowhere { read, value }) };
            times[place] += 1;
        }
        let too_often = (0..times.len()).find(|&place| times[place] > self.bounds(is_set, place).1);
        if let Some(place) = too_often {
            let value = self.all[place].element?;
            return Some(Wrong::Twice { read, value, times: times[place], attempted: self.bounds(is_set, place).1 });
        }
        let mut lost = (0..times.len()).filter(|&place| times[place] < self.bounds(is_set, place).0);
        if let Some(place) = lost.next() {
            let value = self.all[place].element?;
            return Some(Wrong::Lost { read, value, there: times[place], others: lost.count() });
        }
        (0..times.len()).filter_map(|place| self.gone(is_set, read, place, times[place])).min_by_key(Wrong::size)
    }

    /// Whether what was read before is there no more. Those of unknown outcome that were invoked first are taken to have happened.
    fn gone(&self, is_set: bool, read: OpId, place: usize, there: usize) -> Option<Wrong> {
        let tally = &self.all[place];
        let value = tally.element?;
        if is_set {
            let &(_, early) = tally.asked.values().next().filter(|_| there == 0 && tally.removes == 0)?;
            return Some(Wrong::SeenThenGone { early, read, value, there, adds: Vec::new() });
        }
        let wrong = tally.asked.iter().filter_map(|(&times, &(until, early))| {
            let happened = there.checked_sub(tally.adds_done)?;
            let (done, all) = tally.begun(until);
            // With so many that came later, too few are left to have been read.
            let late = tally.adds.iter().filter(|add| add.is_done && add.invoked > until).map(|add| add.op);
            let adds = late.take((there + 1).saturating_sub(times)).collect();
            (times > done + happened.min(all - done)).then_some(Wrong::SeenThenGone { early, read, value, there, adds })
        });
        wrong.min_by_key(Wrong::size)
    }

    /// Of a set, an add of unknown outcome that explains reads before the end where no acknowledged one does.
    fn implied(&self) -> HashSet<OpId, FxBuildHasher> {
        self.all.iter().filter(|tally| !tally.asked.is_empty()).filter_map(|tally| tally.adds.first()).map(|add| add.op).collect()
    }
}

fn elements(history: &History, objects: &Objects<'_>, object: &Object, account: &mut Account<'_>) -> Result<Found, Limit> {
    let (mut tallies, is_set) = (Tallies::new(history, object), objects.is_set());
    for &read in &object.early {
        for seen in object.seen(history, objects, read) {
            let Seen::Elements(seen) = seen else { continue };
            account.work(seen.len() as u64 + 1)?;
            if let Some(wrong) = tallies.take_early(is_set, read, history.op(read).complete, &seen) {
                return Ok(Found::Wrong(wrong));
            }
        }
    }
    let mut first: Option<&FinalRead> = None;
    let mut differs = None;
    for read in &object.reads {
        let Seen::Elements(seen) = &read.seen else { continue };
        account.work(seen.len() as u64)?;
        if first.is_some_and(|first| first.seen == read.seen) {
            continue;
        }
        if let Some(wrong) = tallies.wrong(is_set, read.op, seen) {
            return Ok(Found::Wrong(wrong));
        }
        if first.is_some() {
            differs = differs.or(Some(read));
        }
        first = first.or(Some(read));
    }
    let Some((FinalRead { op, seen: Seen::Elements(seen), .. }, differs)) = first.map(|first| (first, differs)) else {
        return Ok(Found::Order(Vec::new()));
    };
    if let Some(FinalRead { op: other, seen: Seen::Elements(theirs), .. }) = differs {
        return Ok(Found::Wrong(difference((*op, seen), (*other, theirs))));
    }
    Ok(Found::Order(if is_set { set_order(object, seen, &tallies.implied()) } else { list_order(object, seen) }))
}

/// First what is undone by what follows, then what is there in the end, or takes away what is not.
fn set_order(object: &Object, seen: &[ValueId], implied: &HashSet<OpId, FxBuildHasher>) -> Vec<OpId> {
    // Those of unknown outcome count where nothing else explains an element.
    let happened = |update: &Update| update.is_done || implied.contains(&update.op);
    let mut settled: HashMap<ValueId, bool, FxBuildHasher> = HashMap::default();
    let is_there = |element: ValueId| seen.binary_search(&element).is_ok();
    for update in &object.updates {
        match update.act {
            Act::Add(element) if is_there(element) => *settled.entry(element).or_default() |= happened(update),
            Act::Remove(element) if !is_there(element) => *settled.entry(element).or_default() |= happened(update),
            _ => {}
        }
    }
    let (mut early, mut late) = (Vec::new(), Vec::new());
    for update in &object.updates {
        let (Act::Add(element) | Act::Remove(element)) = update.act else { continue };
        let settles = matches!(update.act, Act::Add(_)) == is_there(element);
        if !settles && happened(update) {
            early.push(update.op);
        }
        let Some(by_a_done_one) = settled.get_mut(&element).filter(|_| settles) else { continue };
        if happened(update) || !std::mem::replace(by_a_done_one, true) {
            late.push(update.op);
        }
    }
    early.extend(late);
    early
}

/// The appends in the order of what they appended, acknowledged ones first.
fn list_order(object: &Object, seen: &[ValueId]) -> Vec<OpId> {
    let mut appends: HashMap<ValueId, Vec<OpId>, FxBuildHasher> = HashMap::default();
    for is_done in [false, true] {
        for update in object.updates.iter().rev().filter(|update| update.is_done == is_done) {
            if let Act::Add(element) = update.act {
                appends.entry(element).or_default().push(update.op);
            }
        }
    }
    seen.iter().filter_map(|element| appends.get_mut(element)?.pop()).collect()
}

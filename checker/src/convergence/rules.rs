//! Whether an order of an object's updates explains its final reads: one rule per kind of object.

use super::decode::{Act, Objects, Seen};
use super::{FinalRead, Object, replicated};
use crate::budget::{Account, Limit};
use hashbrown::HashMap;
use histories::{History, OpId, ValueId};
use rustc_hash::FxBuildHasher;

/// What was found out about an object.
pub(super) enum Found {
    /// An order of its updates, and the final reads at its end.
    Order(Vec<OpId>),
    /// There is none.
    Wrong(Wrong),
    /// Neither was found, and this is why.
    Open(String),
}

/// What is wrong with a final read.
#[derive(Clone, Debug)]
pub(super) enum Wrong {
    /// It returned what nobody had attempted.
    Nowhere { read: OpId, value: ValueId },
    /// It holds an element more often than that was attempted.
    Twice { read: OpId, value: ValueId, times: usize, attempted: usize },
    /// It lacks what was added and what no remove can have taken away.
    Gone { read: OpId, value: ValueId, add: OpId, others: usize },
    /// Of a two-phase set: it has what was removed by one who had put it there, or had read it (`known_by`).
    CameBack { read: OpId, value: ValueId, known_by: OpId, remove: OpId },
    /// Of an observed-remove set: it has an element of which all adds had been seen by removes: by those of the same process, or because a
    /// read (`known_by`) had returned the only one.
    NotRemoved { read: OpId, value: ValueId, removes: Vec<OpId>, known_by: Option<OpId> },
    /// A read that is not final returned a number that is no sum of what had been begun, though between the least and the
    /// greatest, or beyond.
    EarlySum { read: OpId, seen: i64, possible: (i128, i128) },
    /// It lacks what was acknowledged and nobody tried to remove; of a list, it has it less often.
    Lost { read: OpId, value: ValueId, there: usize, others: usize },
    /// It returned the initial value although a write was acknowledged.
    AllLost { read: OpId, update: OpId, value: ValueId },
    /// It returned a number that no sum of what was done gives.
    Sum { read: OpId, seen: i64, sum: Sum },
    /// It and another one differ: in an element that is here and not there, or only in their order.
    Differ { here: OpId, there: OpId, element: Option<ValueId> },
}

/// What a counter can have come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    /// The initial number and all acknowledged changes.
    pub(super) acknowledged: i128,
    /// How many these are.
    pub(super) changes: usize,
    /// What those of unknown outcome can add at least and at most.
    pub(super) unknown: (i128, i128),
}

/// Bytes that a decision takes at most, but for the sums of a counter.
pub(super) fn bytes(object: &Object) -> usize {
    object.updates.len() * (size_of::<Tally>() + 48)
}

/// Decides by the kind of what was read. Linear in the updates and the sizes of the final reads that differ, but for counters:
/// see [`subset`].
pub(super) fn decide(history: &History, objects: &Objects<'_>, object: &Object, account: &mut Account<'_>) -> Result<Found, Limit> {
    let found = match (objects.data_type, object.reads.first().map(|first| &first.seen)) {
        (Some(data_type), _) => replicated::decide(history, objects, object, data_type, account)?,
        (None, None) => Found::Order(Vec::new()),
        (None, Some(Seen::Value(_))) => register(history, objects, object),
        (None, Some(Seen::Elements(_))) => elements(objects, object, account)?,
        (None, Some(Seen::Number(_))) => counter(objects, object, account)?,
    };
    Ok(match found {
        Found::Order(mut order) => {
            order.extend(object.reads.iter().map(|read| read.op));
            Found::Order(order)
        }
        other => other,
    })
}

/// The first read that returned something else than the first of all.
fn other(object: &Object) -> Option<(&FinalRead, &FinalRead)> {
    let first = object.reads.first()?;
    object.reads.iter().find(|read| read.seen != first.seen).map(|other| (first, other))
}

/// The last write of the order is the one that is read: any of them can be.
fn register(history: &History, objects: &Objects<'_>, object: &Object) -> Found {
    let extended = object.updates.iter().any(|update| update.act == Act::Extend);
    for read in &object.reads {
        let Seen::Value(value) = read.seen else { continue };
        let initial = objects.is_initial(history, value);
        if !extended && !initial && !object.updates.iter().any(|update| update.act == Act::Write(value)) {
            return Found::Wrong(Wrong::Nowhere { read: read.op, value });
        }
    }
    if let Some((first, other)) = other(object) {
        return Found::Wrong(Wrong::Differ { here: first.op, there: other.op, element: None });
    }
    if extended {
        return Found::Open("its strings were appended to, and which order of that explains what was read is not searched for".into());
    }
    let Some(FinalRead { op: read, seen: Seen::Value(value), .. }) = object.reads.first() else { return Found::Order(Vec::new()) };
    let done = || object.updates.iter().filter(|update| update.is_done).map(|update| update.op);
    let source = object.updates.iter().filter(|update| update.act == Act::Write(*value)).max_by_key(|update| update.is_done);
    match (source, object.updates.iter().rfind(|update| update.is_done)) {
        (Some(source), _) => Found::Order(done().filter(|op| *op != source.op).chain([source.op]).collect()),
        (None, Some(lost)) => Found::Wrong(Wrong::AllLost { read: *read, update: lost.op, value: *value }),
        (None, None) => Found::Order(Vec::new()),
    }
}

/// What was done with one element.
#[derive(Default)]
struct Tally {
    element: Option<ValueId>,
    adds_done: usize,
    adds: usize,
    removes: usize,
}

/// The elements by first appearance.
#[derive(Default)]
struct Tallies {
    place: HashMap<ValueId, usize, FxBuildHasher>,
    all: Vec<Tally>,
}

impl Tallies {
    fn new(object: &Object) -> Tallies {
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
            tally.adds += 1;
            tally.adds_done += usize::from(update.is_done);
        }
        tallies
    }

    /// How often an element must be there, and may be.
    fn bounds(&self, is_set: bool, place: usize) -> (usize, usize) {
        let tally = &self.all[place];
        if is_set { (tally.adds_done.min(usize::from(tally.removes == 0)), tally.adds.min(1)) } else { (tally.adds_done, tally.adds) }
    }

    /// What is wrong with one read by itself.
    fn wrong(&self, is_set: bool, read: OpId, seen: &[ValueId]) -> Option<Wrong> {
        let mut times = vec![0_usize; self.all.len()];
        for &value in seen {
            let attempted = self.place.get(&value).filter(|&&place| self.all[place].adds > 0);
            let Some(&place) = attempted else { return Some(Wrong::Nowhere { read, value }) };
            times[place] += 1;
        }
        let too_often = (0..times.len()).find(|&place| times[place] > self.bounds(is_set, place).1);
        if let Some(place) = too_often {
            let value = self.all[place].element?;
            return Some(Wrong::Twice { read, value, times: times[place], attempted: self.bounds(is_set, place).1 });
        }
        let mut lost = (0..times.len()).filter(|&place| times[place] < self.bounds(is_set, place).0);
        let place = lost.next()?;
        let value = self.all[place].element?;
        Some(Wrong::Lost { read, value, there: times[place], others: lost.count() })
    }
}

fn elements(objects: &Objects<'_>, object: &Object, account: &mut Account<'_>) -> Result<Found, Limit> {
    let (tallies, is_set) = (Tallies::new(object), objects.is_set());
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
    Ok(Found::Order(if is_set { set_order(object, seen) } else { list_order(object, seen) }))
}

/// An element that one of two reads has more often, the read that has it first.
pub(super) fn difference(first: (OpId, &[ValueId]), second: (OpId, &[ValueId])) -> Wrong {
    let sorted = |seen: &[ValueId]| {
        let mut seen = seen.to_vec();
        seen.sort_unstable();
        seen
    };
    let (ours, theirs) = (sorted(first.1), sorted(second.1));
    let at = (0..ours.len()).find(|&i| ours.get(i) != theirs.get(i)).unwrap_or(ours.len());
    match (ours.get(at), theirs.get(at)) {
        // In sorted lists the smaller of the first two that differ is missing from the other.
        (Some(&mine), other) if other.is_none_or(|&other| mine < other) => {
            Wrong::Differ { here: first.0, there: second.0, element: Some(mine) }
        }
        (_, Some(&other)) => Wrong::Differ { here: second.0, there: first.0, element: Some(other) },
        _ => Wrong::Differ { here: first.0, there: second.0, element: None },
    }
}

/// First what is undone by what follows, then what is there in the end, or takes away what is not.
fn set_order(object: &Object, seen: &[ValueId]) -> Vec<OpId> {
    // Those of unknown outcome count where nothing else explains an element.
    let mut settled: HashMap<ValueId, bool, FxBuildHasher> = HashMap::default();
    let is_there = |element: ValueId| seen.binary_search(&element).is_ok();
    for update in &object.updates {
        match update.act {
            Act::Add(element) if is_there(element) => *settled.entry(element).or_default() |= update.is_done,
            Act::Remove(element) if !is_there(element) => *settled.entry(element).or_default() |= update.is_done,
            _ => {}
        }
    }
    let (mut early, mut late) = (Vec::new(), Vec::new());
    for update in &object.updates {
        let (Act::Add(element) | Act::Remove(element)) = update.act else { continue };
        let settles = matches!(update.act, Act::Add(_)) == is_there(element);
        if !settles && update.is_done {
            early.push(update.op);
        }
        let Some(by_a_done_one) = settled.get_mut(&element).filter(|_| settles) else { continue };
        if update.is_done || !std::mem::replace(by_a_done_one, true) {
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

pub(super) fn counter(objects: &Objects<'_>, object: &Object, account: &mut Account<'_>) -> Result<Found, Limit> {
    let amount = |act: Act| if let Act::Increase(amount) = act { amount } else { 0 };
    let unknown: Vec<(OpId, i64)> = object.updates.iter().filter(|u| !u.is_done).map(|u| (u.op, amount(u.act))).collect();
    let part = |sign: i64| unknown.iter().filter(|u| u.1.signum() == sign).map(|u| i128::from(u.1)).sum::<i128>();
    let done = || object.updates.iter().filter(|update| update.is_done);
    let acknowledged = i128::from(objects.initial_number) + done().map(|u| i128::from(amount(u.act))).sum::<i128>();
    let sum = Sum { acknowledged, changes: done().count(), unknown: (part(-1), part(1)) };
    let mut order = None;
    let mut first = None;
    for read in &object.reads {
        let Seen::Number(seen) = read.seen else { continue };
        if first.is_some_and(|first| first == seen) {
            continue;
        }
        match subset(&unknown, i128::from(seen) - acknowledged, account)? {
            Subset::Found(happened) => order = order.or(Some(happened)),
            Subset::None => return Ok(Found::Wrong(Wrong::Sum { read: read.op, seen, sum })),
            Subset::TooMany => return Ok(Found::Open("too many different sums are possible to find the one that was read".into())),
        }
        first = first.or(Some(seen));
    }
    if let Some((first, other)) = other(object) {
        return Ok(Found::Wrong(Wrong::Differ { here: first.op, there: other.op, element: None }));
    }
    Ok(Found::Order(done().map(|update| update.op).chain(order.unwrap_or_default()).collect()))
}

/// Whether some of the amounts add up to a number.
enum Subset {
    Found(Vec<OpId>),
    None,
    TooMany,
}

/// Bits of the table of sums, at most.
const SUMS_MAX: u128 = 1 << 28;

/// Which of the amounts add up to `target`: all negative ones are taken, and which of all are turned around is looked for by a
/// table of reachable sums, row by row; equal amounts are taken in groups of 1, 2, 4, ... (Bellman's knapsack). Time and bits:
/// the target times the number of groups.
fn subset(amounts: &[(OpId, i64)], target: i128, account: &mut Account<'_>) -> Result<Subset, Limit> {
    let negative: i128 = amounts.iter().map(|a| i128::from(a.1.min(0))).sum();
    let all: i128 = amounts.iter().map(|a| i128::from(a.1.unsigned_abs())).sum();
    let turned = target - negative;
    if turned < 0 || turned > all {
        return Ok(Subset::None);
    }
    let groups = groups(amounts);
    if (turned as u128 + 64) * (groups.len() as u128 + 1) > SUMS_MAX {
        return Ok(Subset::TooMany);
    }
    let (turned, words) = (turned as usize, turned as usize / 64 + 1);
    let mut account = Account::new(account.budget());
    account.hold(words * 8 * (groups.len() + 1))?;
    let mut rows = vec![vec![0_u64; words]];
    rows[0][0] = 1;
    for group in &groups {
        account.work(words as u64)?;
        let row = shifted(&rows[rows.len() - 1], group.weight);
        rows.push(row);
    }
    let has = |row: &[u64], at: usize| row[at / 64] >> (at % 64) & 1 == 1;
    if !has(&rows[groups.len()], turned) {
        return Ok(Subset::None);
    }
    let mut at = turned;
    let mut taken = Vec::new();
    for (i, group) in groups.iter().enumerate().rev() {
        let is_turned = !has(&rows[i], at);
        if is_turned {
            at -= group.weight as usize;
        }
        if is_turned != group.is_negative {
            taken.extend(group.ops.iter().copied());
        }
    }
    Ok(Subset::Found(taken))
}

/// Equal amounts that are taken together or not at all.
struct Group {
    weight: u128,
    is_negative: bool,
    ops: Vec<OpId>,
}

fn groups(amounts: &[(OpId, i64)]) -> Vec<Group> {
    let mut sorted = amounts.to_vec();
    sorted.sort_by_key(|a| (a.1, a.0));
    let mut groups = Vec::new();
    for equal in sorted.chunk_by(|a, b| a.1 == b.1) {
        let (mut rest, mut size) = (equal, 1);
        while !rest.is_empty() {
            let (group, others) = rest.split_at(size.min(rest.len()));
            let ops: Vec<OpId> = group.iter().map(|a| a.0).collect();
            let amount = equal[0].1;
            groups.push(Group { weight: u128::from(amount.unsigned_abs()) * ops.len() as u128, is_negative: amount < 0, ops });
            (rest, size) = (others, size * 2);
        }
    }
    groups
}

/// The row and the row moved up.
pub(super) fn shifted(row: &[u64], by: u128) -> Vec<u64> {
    let mut next = row.to_vec();
    let (words, bits) = ((by / 64).min(row.len() as u128) as usize, (by % 64) as u32);
    for (from, to) in next.iter_mut().skip(words).enumerate() {
        *to |= row[from] << bits;
        if bits > 0 && from > 0 {
            *to |= row[from - 1] >> (64 - bits);
        }
    }
    next
}

//! Counters that only go up (or only down), decided by sums.
//!
//! # The idea
//! (Ours. In general the question is NP-hard: which of the adds in flight make up the difference of two reads is a subset sum.)
//! Reads come in the order of their numbers. At each moment the number is at least the sum of the adds that have returned, and at
//! most that of the adds that have been invoked; both sums only grow. So a read has a first moment, at which enough has been invoked,
//! and a last one, before too much has returned; and no later read in that order may end before an earlier one begins. Where this
//! is broken, there is no order.
//!
//! Otherwise an order is looked for, read by read: the adds that have returned since the read before must be counted now, and
//! some that are in flight may be, so that their sum is the difference. The fewest are tried first, those that return first
//! before others, those of unknown outcome last of all; a read is as early as its adds allow. If nothing fits, the choice before is
//! changed. (Where all adds are of one amount this is exact: those that return first are as good as any.) An order is an order;
//! if the steps allowed end before one is found, the search must say.

use super::{No, Ops};
use crate::budget::{Account, Limit};
use crate::linear::problem::{Event, NEVER};
use crate::model::Deed;
use histories::OpId;
use std::collections::BTreeSet;

/// How often a choice may be changed, per read and besides; and what may be tried for one choice.
const CHANGES_PER_READ: usize = 2;
const CHANGES: usize = 20_000;
const TRIES: usize = 30_000;
/// Choices that are kept for one read, and adds that one choice may have beyond those that it must.
const CHOICES: usize = 8;
const ADDS: usize = 16;
/// Adds of unknown outcome that are tried for one choice, the latest first.
const UNKNOWN_TRIED: usize = 4096;
/// Of these so many are tried together.
const UNKNOWN_TOGETHER: usize = 32;
/// How many adds are suspected.
const BLAMED: usize = 1000;

#[derive(Clone, Copy, Debug)]
struct Add {
    amount: i128,
    entry: u32,
    call: u32,
    ret: u32,
}

#[derive(Clone, Copy, Debug)]
struct Read {
    /// How far from the start.
    number: i128,
    entry: u32,
    first: u32,
    last: u32,
}

pub(super) fn decide(ops: &Ops<'_>, start: i128, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let sign = direction(ops, account)?;
    let (mut adds, mut reads) = (Vec::new(), Vec::new());
    for (i, entry) in (0..).zip(&ops.entries) {
        account.work(2)?;
        match ops.deed(i) {
            Deed::Add(amount) => adds.push(Add { amount: sign * i128::from(amount), entry: i, call: entry.call, ret: entry.ret }),
            Deed::Saw(number) => {
                reads.push(Read { number: sign * (i128::from(number) - start), entry: i, first: entry.call, last: entry.ret - 1 });
            }
            _ => return Err(No::Open),
        }
    }
    narrow(ops, &adds, &mut reads, account)?;
    Windows::new(&adds, &reads).run(account)?.order(ops, account)
}

/// 1 if all adds are positive, -1 if all are negative.
fn direction(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<i128, No> {
    let mut sign = 0;
    for i in 0..ops.entries.len() as u32 {
        account.work(1)?;
        match ops.deed(i) {
            Deed::Add(amount) if sign == 0 || sign == i128::from(amount.signum()) => sign = amount.signum().into(),
            Deed::Saw(_) => {}
            _ => return Err(No::Open),
        }
    }
    Ok(if sign == 0 { 1 } else { sign })
}

/// Sorts the reads by number, narrows their moments by the sums, and looks whether they can come in that order.
fn narrow(ops: &Ops<'_>, adds: &[Add], reads: &mut [Read], account: &mut Account<'_>) -> Result<(), No> {
    account.work(8 * ops.entries.len() as u64)?;
    // (event, sum after it).
    let (mut invoked, mut returned) = (Vec::with_capacity(adds.len()), Vec::with_capacity(adds.len()));
    let (mut high, mut low) = (0i128, 0i128);
    let mut amount_of = vec![0; ops.entries.len()];
    for add in adds {
        amount_of[add.entry as usize] = add.amount;
    }
    for (rank, &(_, event)) in (0u32..).zip(ops.events) {
        match event {
            Event::Call(i) if amount_of[i as usize] != 0 => {
                high += amount_of[i as usize];
                invoked.push((rank, high));
            }
            Event::Return(i) if amount_of[i as usize] != 0 => {
                low += amount_of[i as usize];
                returned.push((rank, low));
            }
            _ => {}
        }
    }
    for read in reads.iter_mut() {
        account.work(8)?;
        if read.number > 0 {
            let enough = invoked.partition_point(|sum| sum.1 < read.number);
            read.first = read.first.max(invoked.get(enough).map_or(NEVER, |sum| sum.0));
        }
        let too_much = returned.partition_point(|sum| sum.1 <= read.number);
        read.last = read.last.min(returned.get(too_much).map_or(NEVER, |sum| sum.0.saturating_sub(1)));
        if read.number < 0 || read.first > read.last {
            let read = *read;
            return Err(No::Broken(blame(ops, adds, reads, &[read])));
        }
    }
    account.work(8 * reads.len() as u64)?;
    reads.sort_unstable_by_key(|read| (read.number, read.first, read.entry));
    let mut latest: Option<Read> = None;
    for read in reads.iter() {
        if let Some(before) = latest.filter(|before| before.first > read.last) {
            return Err(No::Broken(blame(ops, adds, reads, &[before, *read])));
        }
        latest = latest.filter(|latest| latest.first > read.first).or(Some(*read));
    }
    // Nobody comes later than those after it must.
    for i in (0..reads.len().saturating_sub(1)).rev() {
        reads[i].last = reads[i].last.min(reads[i + 1].last);
    }
    Ok(())
}

/// Reads that cannot be where they are, and what keeps them from it: a read of more that had returned before, or adds.
fn blame(ops: &Ops<'_>, adds: &[Add], reads: &[Read], odd: &[Read]) -> Vec<u32> {
    let mut suspects: Vec<u32> = odd.iter().map(|read| read.entry).collect();
    for read in odd {
        let span = ops.entries[read.entry as usize];
        let returned = |entry: u32| ops.entries[entry as usize].ret < span.call;
        if let Some(more) = reads.iter().find(|more| more.number > read.number && returned(more.entry)) {
            suspects.push(more.entry);
            continue;
        }
        let mut before: Vec<&Add> = adds.iter().filter(|add| add.ret <= span.ret).collect();
        before.sort_unstable_by_key(|add| std::cmp::Reverse(add.amount));
        let mut sum = 0;
        for add in before.into_iter().take(BLAMED) {
            suspects.push(add.entry);
            sum += add.amount;
            if sum > read.number {
                break;
            }
        }
    }
    suspects
}

/// The adds that are counted at a read and were not before, and the read's moment.
#[derive(Clone, Debug)]
struct Choice {
    moment: u32,
    adds: Vec<u32>,
}

/// A read that has its adds.
struct Frame {
    /// Where they begin in the line.
    from: usize,
    moment: u32,
    /// How many adds had returned by then, in the order of their returns.
    returned: usize,
    /// Other choices, the best last.
    others: Vec<Choice>,
}

struct Windows<'a> {
    adds: &'a [Add],
    reads: &'a [Read],
    by_ret: Vec<u32>,
    is_counted: Vec<bool>,
    /// Adds that were invoked and are not counted, by return; without those of unknown outcome.
    pending: BTreeSet<(u32, u32)>,
    /// Those of unknown outcome.
    unknown: Vec<u32>,
    /// How many adds were invoked, by the last moment of a read.
    invoked: usize,
    line: Vec<u32>,
    frames: Vec<Frame>,
}

impl<'a> Windows<'a> {
    fn new(adds: &'a [Add], reads: &'a [Read]) -> Windows<'a> {
        let mut by_ret: Vec<u32> = (0..adds.len() as u32).filter(|&i| adds[i as usize].ret != NEVER).collect();
        by_ret.sort_unstable_by_key(|&i| adds[i as usize].ret);
        Windows {
            adds,
            reads,
            by_ret,
            is_counted: vec![false; adds.len()],
            pending: BTreeSet::new(),
            unknown: Vec::new(),
            invoked: 0,
            line: Vec::with_capacity(adds.len()),
            frames: Vec::with_capacity(reads.len()),
        }
    }

    fn run(mut self, account: &mut Account<'_>) -> Result<Windows<'a>, No> {
        let mut changes = CHANGES + CHANGES_PER_READ * self.reads.len();
        while self.frames.len() < self.reads.len() {
            account.work(16)?;
            let mut choices = self.choices(account)?;
            while choices.is_empty() {
                account.work(16)?;
                changes = changes.checked_sub(1).ok_or(No::Open)?;
                choices = self.undo().ok_or(No::Open)?;
            }
            self.take(choices);
        }
        Ok(self)
    }

    /// Takes the last of some choices for the next read.
    fn take(&mut self, mut choices: Vec<Choice>) {
        let Some(choice) = choices.pop() else { return };
        let mut returned = self.frames.last().map_or(0, |frame| frame.returned);
        while self.by_ret.get(returned).is_some_and(|&i| self.adds[i as usize].ret <= choice.moment) {
            returned += 1;
        }
        self.frames.push(Frame { from: self.line.len(), moment: choice.moment, returned, others: choices });
        for i in choice.adds {
            self.is_counted[i as usize] = true;
            self.pending.remove(&(self.adds[i as usize].ret, i));
            self.line.push(i);
        }
    }

    /// Takes back the last read's choice; its others. `None` if there was none.
    fn undo(&mut self) -> Option<Vec<Choice>> {
        let frame = self.frames.pop()?;
        for i in self.line.drain(frame.from..) {
            self.is_counted[i as usize] = false;
            let ret = self.adds[i as usize].ret;
            if ret != NEVER {
                self.pending.insert((ret, i));
            }
        }
        Some(frame.others)
    }

    /// What may be counted at the next read, the best last.
    fn choices(&mut self, account: &mut Account<'_>) -> Result<Vec<Choice>, Limit> {
        let read = self.reads[self.frames.len()];
        while let Some(add) = self.adds.get(self.invoked).filter(|add| add.call <= read.last) {
            if add.ret == NEVER {
                self.unknown.push(self.invoked as u32);
            } else {
                self.pending.insert((add.ret, self.invoked as u32));
            }
            self.invoked += 1;
        }
        let (moment, returned) = self.frames.last().map_or((0, 0), |frame| (frame.moment, frame.returned));
        let before = self.frames.len().checked_sub(1).map_or(0, |before| self.reads[before].number);
        let earliest = moment.max(read.first);
        let mut must: Vec<u32> = Vec::new();
        for &i in &self.by_ret[returned..] {
            if self.adds[i as usize].ret > earliest {
                break;
            }
            if !self.is_counted[i as usize] {
                must.push(i);
            }
        }
        if earliest > read.last {
            return Ok(Vec::new());
        }
        let rest = read.number - before - must.iter().map(|&i| self.adds[i as usize].amount).sum::<i128>();
        if rest <= 0 {
            return Ok(if rest == 0 { vec![Choice { moment: earliest, adds: must }] } else { Vec::new() });
        }
        let may = |i: &u32| self.adds[*i as usize].call <= read.last && self.adds[*i as usize].amount <= rest;
        let in_flight: Vec<u32> = self.pending.iter().filter(|add| add.0 > earliest).map(|add| add.1).filter(may).collect();
        let mut sums = Sums { adds: self.adds, tries: TRIES, found: Vec::new() };
        sums.find(&in_flight, rest, &[]);
        if sums.found.is_empty() {
            let unknown = self.unknown.iter().rev().copied().filter(|i| !self.is_counted[*i as usize]).filter(may);
            for i in unknown.take(UNKNOWN_TRIED) {
                sums.find(&in_flight, rest - self.adds[i as usize].amount, &[i]);
                if sums.tries == 0 || sums.found.len() >= CHOICES {
                    break;
                }
            }
        }
        if sums.found.is_empty() {
            let unknown = self.unknown.iter().rev().copied().filter(|i| !self.is_counted[*i as usize]).filter(may);
            let among: Vec<u32> = in_flight.iter().copied().chain(unknown.take(UNKNOWN_TOGETHER)).collect();
            sums.tries = TRIES;
            sums.find(&among, rest, &[]);
        }
        account.work(TRIES as u64 / 16)?;
        let choices = sums.found.into_iter().filter_map(|more| self.choice(read, earliest, &must, &more));
        let mut choices: Vec<Choice> = choices.collect();
        choices.reverse();
        Ok(choices)
    }

    /// The choice of these adds, if all that have returned by its moment are counted.
    fn choice(&self, read: Read, earliest: u32, must: &[u32], more: &[u32]) -> Option<Choice> {
        let moment = more.iter().map(|&i| self.adds[i as usize].call).fold(earliest, u32::max);
        let has_all = self.pending.iter().take_while(|add| add.0 <= moment).all(|add| add.0 <= earliest || more.contains(&add.1));
        (has_all && moment <= read.last).then(|| Choice { moment, adds: [must, more].concat() })
    }

    /// The order of all ops.
    fn order(mut self, ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
        let mut order = Vec::with_capacity(ops.entries.len());
        let mut moment = 0;
        let ends: Vec<usize> = self.frames.iter().skip(1).map(|frame| frame.from).chain([self.line.len()]).collect();
        for ((frame, end), read) in self.frames.iter().zip(ends).zip(self.reads) {
            account.work(8)?;
            let adds = &mut self.line[frame.from..end];
            adds.sort_unstable_by_key(|&i| self.adds[i as usize].call.max(moment));
            order.extend(adds.iter().map(|&i| ops.id(self.adds[i as usize].entry)));
            order.push(ops.id(read.entry));
            moment = frame.moment;
        }
        // By invocation.
        let left = self.adds.iter().zip(&self.is_counted).filter(|(add, counted)| !**counted && add.ret != NEVER);
        order.extend(left.map(|(add, _)| ops.id(add.entry)));
        Ok(order)
    }
}

/// Looks for adds with a sum, the fewest first.
struct Sums<'a> {
    adds: &'a [Add],
    tries: usize,
    found: Vec<Vec<u32>>,
}

impl Sums<'_> {
    fn find(&mut self, among: &[u32], sum: i128, with: &[u32]) {
        if sum == 0 {
            self.found.push(with.to_vec());
            return;
        }
        let amount = |place: usize| self.adds[among[place] as usize].amount;
        // The greatest from each place on.
        let mut greatest: Vec<i128> = (0..among.len()).map(amount).collect();
        for place in (0..among.len().saturating_sub(1)).rev() {
            greatest[place] = greatest[place].max(greatest[place + 1]);
        }
        for many in 1..=among.len().min(ADDS) {
            let mut places: Vec<usize> = vec![0];
            let mut left = sum;
            while let Some(&place) = places.last() {
                if self.tries == 0 || self.found.len() >= CHOICES {
                    return;
                }
                self.tries -= 1;
                let missing = many - places.len() + 1;
                if place + missing > among.len() || greatest[place] * (missing as i128) < left {
                    places.pop();
                    if let Some(last) = places.last_mut() {
                        left += self.adds[among[*last] as usize].amount;
                        *last += 1;
                    }
                    continue;
                }
                let amount = self.adds[among[place] as usize].amount;
                if missing == 1 && amount == left {
                    self.found.push(places.iter().map(|&place| among[place]).chain(with.iter().copied()).collect());
                }
                if missing > 1 && amount < left {
                    left -= amount;
                    places.push(place + 1);
                } else if let Some(last) = places.last_mut() {
                    *last += 1;
                }
            }
        }
    }
}

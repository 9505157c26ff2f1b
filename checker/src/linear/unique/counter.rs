//! Counters that only go up (or only down), decided by sums.
//!
//! # The idea
//! (Ours. In general the question is NP-hard: which of the adds in flight make up the difference of two reads is a subset sum.)
//! Reads come in the order of their numbers. At each moment the number is at least the sum of the adds that have returned, and at
//! most that of the adds that have been invoked; both sums only grow. So a read has a first moment, at which enough has been invoked,
//! and a last one, before too much has returned; and no later read in that order may end before an earlier one begins. Where this
//! is broken, there is no order.
//!
//! Otherwise which adds are counted at which read is looked for, read by read: module `lines`.

mod partial_sums;

use super::{No, Ops};
use crate::budget::Account;
use crate::decode::NEVER;
use crate::linear::problem::Event;
use crate::model::Deed;
use histories::OpId;
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
    partial_sums::decide(ops, &adds, &reads, account)
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

//! Mutexes and semaphores, decided by counting in O(n log n).
//!
//! # The idea
//! (Ours.) A semaphore of P permits, of which each op takes or gives back one (a mutex is one with P = 1). Nobody asks who gives
//! back, so ops of one kind differ in their times only. Let ops be done as late as they can be: when somebody returns who has
//! not been done; then, if there is no permit to take (or none to give back), somebody of the other kind is done before, of those
//! that were invoked the one that returns first. *If nobody is there, there is no order.* Take any order, and go through the
//! events with it: it has done at least as many of each kind as we have, because it has done whoever returned, and the bounds on
//! the difference of both numbers leave no fewer of the other kind; and where it has done as many, they can be exchanged for
//! those that we did, which return first. So where we run out of ops that were invoked, it does too.
//!
//! An op of unknown outcome returns never and is done only if it must be. Where ops take several permits, an order found in
//! this way is one; and by each event the permits that must have been taken, less P, must be covered by releases that have been
//! invoked, and what must have been given back by takes: if neither says anything, the search must.

use super::{No, Ops};
use crate::budget::Account;
use crate::linear::problem::Event;
use crate::model::Deed;
use histories::OpId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Ops of one kind that have been invoked and not been done; the first to return first.
type Pending = BinaryHeap<Reverse<(u32, u32)>>;

pub(super) fn decide(ops: &Ops<'_>, permits: u32, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let mut signed = Vec::with_capacity(ops.entries.len());
    for i in 0..ops.entries.len() as u32 {
        account.work(2)?;
        signed.push(match ops.deed(i) {
            Deed::Take { permits, .. } => i64::from(permits),
            Deed::GiveBack { permits, .. } => -i64::from(permits),
            _ => return Err(No::Open),
        });
    }
    let is_possible = |i: u32| signed[i as usize].unsigned_abs() <= u64::from(permits);
    if let Some(impossible) = (0..).zip(&ops.entries).find(|(i, entry)| !entry.is_crashed() && !is_possible(*i)) {
        return Err(No::Broken(vec![impossible.0]));
    }
    check_counts(ops, &signed, i64::from(permits), account)?;
    let one_each = signed.iter().all(|&signed| signed.abs() == 1);
    arrange(ops, &signed, i64::from(permits), account).map_err(|no| match no {
        No::Blocked(_) if !one_each => No::Open,
        no => no,
    })
}

/// That at each event as many had been invoked as must have been done.
fn check_counts(ops: &Ops<'_>, signed: &[i64], permits: i64, account: &mut Account<'_>) -> Result<(), No> {
    let (mut taken, mut given, mut may_take, mut may_give) = (0i64, 0i64, 0i64, 0i64);
    for &(_, event) in ops.events {
        account.work(2)?;
        match event {
            Event::Call(i) => {
                may_take += signed[i as usize].max(0);
                may_give -= signed[i as usize].min(0);
            }
            Event::Return(i) => {
                taken += signed[i as usize].max(0);
                given -= signed[i as usize].min(0);
                if taken - permits > may_give || given > may_take {
                    return Err(No::Blocked(i));
                }
            }
        }
    }
    Ok(())
}

/// The order, or the op that returns and cannot be done.
fn arrange(ops: &Ops<'_>, signed: &[i64], permits: i64, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let mut order = Vec::with_capacity(ops.entries.len());
    let mut is_done = vec![false; ops.entries.len()];
    let (mut takes, mut releases) = (Pending::new(), Pending::new());
    let mut free = permits;
    for &(_, event) in ops.events {
        account.work(8)?;
        let i = match event {
            Event::Call(i) => {
                let pending = if signed[i as usize] > 0 { &mut takes } else { &mut releases };
                pending.push(Reverse((ops.entries[i as usize].ret, i)));
                continue;
            }
            Event::Return(i) if is_done[i as usize] => continue,
            Event::Return(i) => i,
        };
        let helpers = if signed[i as usize] > 0 { &mut releases } else { &mut takes };
        while !(0..=permits).contains(&(free - signed[i as usize])) {
            account.work(8)?;
            let Some(Reverse((_, helper))) = helpers.pop() else { return Err(No::Blocked(i)) };
            if is_done[helper as usize] {
                continue;
            }
            if !(0..=permits).contains(&(free - signed[helper as usize])) {
                return Err(No::Blocked(i));
            }
            free -= signed[helper as usize];
            is_done[helper as usize] = true;
            order.push(ops.id(helper));
        }
        free -= signed[i as usize];
        is_done[i as usize] = true;
        order.push(ops.id(i));
    }
    Ok(order)
}

//! Unordered queues (bags) in which every value is put in once, decided in O(n log n), exactly.
//!
//! # The idea
//! (Ours; without unknown outcomes the multisets of Abdulla et al., PLDI 2025.) A dequeue may take any value that is there, so
//! each life goes its own way: it is enough that each is possible by itself, as module `lives` says. Only an op that found the bag
//! empty asks about all of them: it happens at a moment at which no value is surely there.
//!
//! **Unknown outcomes.** An enqueue that nobody noticed is left out, one that was noticed returned never. A dequeue of unknown
//! outcome may have taken one value that stayed, at any moment since its invocation. At a moment t at which the bag was found
//! empty all values that stayed and whose enqueue has returned by t, say N(t) of them, must have been taken, by different such
//! dequeues that were invoked by t, of which there are S(t). So N(t) ≤ S(t) is necessary. It is enough: let those that were
//! enqueued first be taken first, each at the first of the chosen moments after its enqueue; at each chosen moment no more than
//! S(t) have been used. So each op that found the bag empty takes the first moment at which nothing that is taken out by name is
//! surely there and N(t) ≤ S(t), independently of the others.

use super::{NONE, No, Ops};
use crate::budget::Account;
use crate::linear::problem::Event;
use crate::linear::unique::value_intervals::{Life, cover, lives};
use histories::OpId;

/// Where too many values stayed: so many of them are suspected.
const BLAMED: usize = 256;

/// In one moment: who takes out comes before who finds nothing, and who puts in comes last.
const OUT: u8 = 0;
const AT_ONCE: u8 = 1;
const EMPTY: u8 = 2;
const IN: u8 = 3;

/// (moment, what comes first in it, turn, entry): sorted, that is the order.
type Placed = Vec<(u32, u8, u32, u32)>;

pub(super) fn decide(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let found = lives(ops, account)?;
    let (known, stayed) = found.split();
    let mut placed: Placed = Vec::with_capacity(2 * known.len() + stayed.len() + found.empties.len());
    for (turn, life) in (0..).zip(&known) {
        if life.is_sure() {
            placed.push((life.in_ret - 1, IN, turn, life.insert));
            placed.push((life.out_call, OUT, turn, life.remove));
        } else {
            placed.push((life.out_call, AT_ONCE, 2 * turn, life.insert));
            placed.push((life.out_call, AT_ONCE, 2 * turn + 1, life.remove));
        }
    }
    placed.extend(stayed.iter().map(|life| (life.in_ret - 1, IN, NONE, life.insert)));
    if !found.empties.is_empty() {
        find_empty(ops, &known, &stayed, &mut placed, account)?;
    }
    account.work(8 * placed.len() as u64)?;
    placed.sort_unstable();
    found.conclude(placed.into_iter().map(|(.., entry)| ops.id(entry)).collect())
}

/// Goes through the events and gives each op that found nothing its moment, with dequeues of unknown outcome before it.
fn find_empty(ops: &Ops<'_>, known: &[Life], stayed: &[Life], placed: &mut Placed, account: &mut Account<'_>) -> Result<(), No> {
    // By event: how many more lives are surely there after it.
    let mut change = vec![0i32; ops.events.len()];
    for life in known.iter().filter(|life| life.is_sure()) {
        change[life.in_ret as usize] += 1;
        change[life.out_call as usize] -= 1;
    }
    let mut left: Vec<&Life> = stayed.iter().collect();
    left.sort_unstable_by_key(|life| std::cmp::Reverse(life.in_ret));
    let (mut there, mut stay, mut takers, mut used) = (0, 0, Vec::new(), 0);
    let mut waiting: Vec<u32> = Vec::new();
    let mut is_served = vec![false; ops.entries.len()];
    let stays_from: Vec<u32> = left.iter().rev().map(|life| life.in_ret).collect();
    for (rank, &(_, event)) in (0..).zip(ops.events) {
        account.work(4)?;
        match event {
            Event::Call(i) if ops.entries[i as usize].is_crashed() && ops.is_removal(i) => takers.push(i),
            Event::Call(i) if ops.found_nothing(i) => waiting.push(i),
            Event::Return(i) if ops.found_nothing(i) && !is_served[i as usize] => return Err(No::Broken(blame(ops, known, stayed, i))),
            _ => {}
        }
        there += change[rank as usize];
        while stays_from.get(stay).is_some_and(|&from| from <= rank) {
            stay += 1;
        }
        if waiting.is_empty() || there > 0 || stay > takers.len() {
            continue;
        }
        while let Some(life) = left.pop_if(|life| life.in_ret <= rank) {
            placed.push((rank, OUT, life.insert, takers[used]));
            used += 1;
        }
        for empty in waiting.drain(..) {
            is_served[empty as usize] = true;
            placed.push((rank, EMPTY, empty, empty));
        }
    }
    Ok(())
}

/// What was there while the op was in flight, and what had stayed.
fn blame(ops: &Ops<'_>, known: &[Life], stayed: &[Life], empty: u32) -> Vec<u32> {
    let entry = ops.entries[empty as usize];
    let mut stays: Vec<&Life> = stayed.iter().filter(|life| life.in_ret < entry.ret).collect();
    stays.sort_unstable_by_key(|life| life.in_ret);
    let takers =
        ops.entries.iter().zip(0..).filter(|(taker, i)| taker.call < entry.ret && taker.is_crashed() && ops.is_removal(*i)).count();
    // If one more stayed than could be taken, it covers the time from its enqueue on.
    let too_many = stays.get(takers).map(|life| life.in_ret);
    let mut surely: Vec<Life> = known.iter().filter(|life| life.is_sure()).copied().collect();
    surely.extend(stays.get(takers).map(|life| **life));
    surely.sort_unstable_by_key(|life| life.in_ret);
    let mut suspects = cover(surely.iter(), entry.call, entry.ret);
    if too_many.is_some() {
        suspects.extend(stays.iter().take((takers + 1).min(BLAMED)).map(|life| life.insert));
    }
    suspects.push(empty);
    suspects
}

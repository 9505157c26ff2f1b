//! Reentrant mutexes, decided by intervals in O(n log n), exactly.
//!
//! # The idea
//! (Ours.) The ops of one process follow one another, so it is known how often it holds the lock between them. A *hold* goes from
//! the acquire of a process that did not hold it to the release that gives it back, or lasts for ever. While a process holds the
//! lock no other may: holds must be apart. A hold lasts from the return of its acquire to the invocation of its release at least,
//! and these can be all of it: so there is an order exactly if no two of these intervals overlap, and no process releases what it
//! does not hold.
//!
//! An op of unknown outcome is the last of its process. An acquire need not have happened; the release of a hold has, as soon as
//! it was invoked, which disturbs nobody. Where a process goes on after such an op, the search must say.

use super::{No, Ops};
use crate::budget::Account;
use crate::decode::NEVER;
use crate::model::Deed;
use histories::OpId;

/// How many ops of a process that broke a rule are suspected.
const BLAMED: usize = 200;

/// In one moment.
const RELEASES: u8 = 0;
const INSIDE: u8 = 1;
const ACQUIRES: u8 = 2;

/// Where the lock is surely held by a process: from the return of one op to the invocation of another.
struct Hold {
    from: u32,
    to: u32,
    /// Its ops in the list of all by process.
    first: usize,
    last: usize,
}

pub(super) fn decide(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let mut by_process: Vec<(u32, u32)> = Vec::with_capacity(ops.entries.len());
    for i in 0..ops.entries.len() as u32 {
        account.work(2)?;
        let (Deed::Take { by, .. } | Deed::GiveBack { by, .. }) = ops.deed(i) else { return Err(No::Open) };
        by_process.push((by, i));
    }
    by_process.sort_unstable();
    let mut holds = Vec::new();
    let mut placed: Vec<(u32, u8, u32)> = Vec::with_capacity(by_process.len());
    let mut from = 0;
    for group in by_process.chunk_by(|a, b| a.0 == b.0) {
        account.work(8 * group.len() as u64)?;
        follow(ops, group, from, &mut holds, &mut placed)?;
        from += group.len();
    }
    holds.sort_unstable_by_key(|hold: &Hold| hold.from);
    let mut longest = 0;
    for next in 1..holds.len() {
        if holds[next].from < holds[longest].to {
            // Known as soon as the second has it: what the first did until then is enough.
            let known = holds[next].from;
            let of_first = by_process[holds[longest].first..=holds[longest].last].iter().map(|op| op.1);
            let until_known = of_first.take(BLAMED).filter(|&op| ops.entries[op as usize].ret <= known);
            return Err(No::Broken(until_known.chain([by_process[holds[next].first].1]).collect()));
        }
        if holds[next].to > holds[longest].to {
            longest = next;
        }
    }
    account.work(8 * placed.len() as u64)?;
    placed.sort_unstable();
    Ok(placed.into_iter().map(|(.., entry)| ops.id(entry)).collect())
}

/// The holds of one process, and the moments of its ops. `at` is where they are in the list of all.
fn follow(ops: &Ops<'_>, group: &[(u32, u32)], at: usize, holds: &mut Vec<Hold>, placed: &mut Vec<(u32, u8, u32)>) -> Result<(), No> {
    let mut times = 0;
    let mut before = 0;
    for (place, &(_, i)) in group.iter().enumerate() {
        let entry = ops.entries[i as usize];
        if place > 0 && entry.call < before {
            return Err(No::Open);
        }
        before = entry.ret;
        let is_take = matches!(ops.deed(i), Deed::Take { .. });
        match (is_take, times) {
            // It need not have happened.
            _ if entry.is_crashed() && (is_take || times != 1) => continue,
            (true, 0) => {
                holds.push(Hold { from: entry.ret, to: NEVER, first: at + place, last: at + group.len() - 1 });
                placed.push((entry.ret - 1, ACQUIRES, i));
            }
            (false, 0) => {
                let suspects = &group[(place + 1).saturating_sub(BLAMED)..=place];
                return Err(No::Broken(suspects.iter().map(|op| op.1).collect()));
            }
            (false, 1) => {
                if let Some(hold) = holds.last_mut() {
                    (hold.to, hold.last) = (entry.call, at + place);
                }
                placed.push((entry.call, RELEASES, i));
            }
            _ => placed.push((entry.call, INSIDE, i)),
        }
        times = if is_take { times + 1 } else { times - 1 };
    }
    Ok(())
}

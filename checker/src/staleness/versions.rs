//! The smallest k such that every read returns one of the k latest writes.
//!
//! Bounds first. A write takes effect by the first completion f of it and the reads that returned it, and not before it was
//! invoked. So of a read r of w, each write that was invoked after f(w) and whose own f is before the invocation of r lies between
//! them in every order: that many and one more is the least k. And any order shows a k that is enough; one is made by giving each write a
//! moment: f if its reads go on after that, else the first moment at which no other value must be there. (Of a history that is
//! linearizable this is an order: k = 1.)
//!
//! Where the two meet, this is k. Where they do not, each k between them is asked of the search for linearizability (see
//! `linear`), with a register that remembers its latest k values: exact, as long as the budget lasts.

use super::Bounds;
use super::cell::{Cell, Write};
use super::latest::Latest;
use crate::budget::{Account, Budget, Limit};
use crate::certify::order;
use crate::check::decide_key;
use crate::decode::NEVER;
use crate::linear::problem::{Unread, decode};
use crate::options::Options;
use crate::verdict::Answer;
use histories::keyed::{KeyOps, Keys};
use histories::{History, OpId};

/// Up to which k is searched: a state holds so many values.
const K_MAX: u64 = 16;

/// The k of a key, and a read that shows the lower bound by what lies between it and its write.
pub(super) fn least(
    history: &History,
    keys: &Keys,
    group: &KeyOps,
    model: &Latest,
    cell: &Cell,
    budget: &Budget,
) -> Result<(Bounds, Option<OpId>), Unread> {
    let mut account = Account::new(budget);
    let (least, read) = at_least(cell, &mut account).map_err(Unread::Out)?;
    let (order, most) = at_most(cell, &mut account).map_err(Unread::Out)?;
    let shows = |order: &[OpId], k: u64| {
        let of = order::Of { model: &model.with(k as usize), history, keys };
        order::holds(&of, group, order, NEVER, budget).is_ok()
    };
    let mut bounds = Bounds { least, most: if shows(&order, most) { most } else { cell.writes.len() as u64 } };
    if bounds.is_exact() {
        return Ok((bounds, read));
    }
    let Some(read_ops) = decode(model, history, keys, std::slice::from_ref(group), budget).pop() else { return Ok((bounds, read)) };
    let (_held, problem) = read_ops?;
    while !bounds.is_exact() && bounds.least <= K_MAX {
        let model = model.with(bounds.least as usize);
        let found = decide_key(&model, history, keys, group, &problem, &Options::default(), budget, budget.steps.unwrap_or(u64::MAX));
        match found.answer {
            Answer::Valid(witness) if shows(&witness.order, bounds.least) => bounds.most = bounds.least,
            Answer::Invalid(_) => bounds.least += 1,
            Answer::Valid(_) | Answer::Unknown(_) => break,
        }
    }
    Ok((bounds, read.filter(|_| bounds.least == least)))
}

/// By when a write certainly took effect.
fn certain(write: &Write) -> u32 {
    if write.is_unique { write.first_return } else { write.ret }
}

/// The most writes that lie between a read and its write in every order, and one. O(n log n).
fn at_least(cell: &Cell, account: &mut Account<'_>) -> Result<(u64, Option<OpId>), Limit> {
    account.work(cell.writes.len() as u64 * 8)?;
    // Writes are by invocation: those invoked after a moment are at the end.
    let mut by_effect: Vec<(u32, usize)> = cell.writes.iter().map(certain).zip(0..).filter(|write| write.0 != NEVER).collect();
    by_effect.sort_unstable();
    let mut taken = Fenwick::new(cell.writes.len());
    let mut next = by_effect.into_iter().peekable();
    let (mut least, mut shown) = (1, None);
    for read in &cell.reads {
        account.work(16)?;
        while let Some((_, write)) = next.next_if(|write| write.0 < read.call) {
            taken.add(write);
        }
        let source = &cell.writes[read.source as usize];
        if !source.is_unique {
            continue;
        }
        let after = cell.writes.partition_point(|write| write.call <= source.first_return);
        let between = taken.before(cell.writes.len()) - taken.before(after);
        if between + 1 > least {
            (least, shown) = (between + 1, Some(read.op));
        }
    }
    Ok((least, shown))
}

/// Counts of places, and of those before one: Fenwick 1994.
struct Fenwick(Vec<u32>);

impl Fenwick {
    fn new(len: usize) -> Fenwick {
        Fenwick(vec![0; len + 1])
    }

    fn add(&mut self, place: usize) {
        let mut at = place + 1;
        while at < self.0.len() {
            self.0[at] += 1;
            at += at & at.wrapping_neg();
        }
    }

    fn before(&self, place: usize) -> u64 {
        let (mut at, mut count) = (place, 0);
        while at > 0 {
            count += u64::from(self.0[at]);
            at &= at - 1;
        }
        count
    }
}

/// An order, and the k that it shows. O(n log n).
fn at_most(cell: &Cell, account: &mut Account<'_>) -> Result<(Vec<OpId>, u64), Limit> {
    account.work((cell.writes.len() + cell.reads.len()) as u64 * 16)?;
    let moments = moments(cell);
    // Each op's moment; at the same one, reads of what is there already, then the write, then the reads of it.
    let mut places: Vec<(u32, u32, u32, OpId)> = Vec::with_capacity(cell.writes.len() + cell.reads.len());
    for (i, write) in (0..).zip(&cell.writes) {
        if let (Some(op), true) = (write.op, write.took_effect()) {
            places.push((moments[i as usize], i, 0, op));
        }
    }
    let mut source_of: Vec<(OpId, u32)> = Vec::with_capacity(cell.reads.len());
    for read in &cell.reads {
        let moment = moments[read.source as usize];
        let is_later = read.call > moment;
        places.push(if is_later { (read.call, 0, 0, read.op) } else { (moment, read.source, 1, read.op) });
        source_of.push((read.op, read.source));
    }
    places.sort_unstable();
    let mut version = vec![0_u64; cell.writes.len()];
    let (mut written, mut most) = (0, 1);
    let mut order = Vec::with_capacity(places.len());
    for (_, write, _, op) in places {
        account.work(8)?;
        order.push(op);
        if let Ok(at) = source_of.binary_search_by_key(&op, |read| read.0) {
            most = most.max(written - version[source_of[at].1 as usize] + 1);
        } else {
            written += 1;
            version[write as usize] = written;
        }
    }
    Ok((order, most))
}

/// When each write is taken to have taken effect: between its invocation and the first completion in its cluster.
fn moments(cell: &Cell) -> Vec<u32> {
    let last_start = |write: &Write| write.call.max(write.last_read.map_or(0, |read| read.0));
    // Where a value must be there: from the first completion to the last invocation. Joined where they overlap.
    let mut taken: Vec<(u32, u32)> = (cell.writes.iter())
        .filter(|write| write.took_effect() && write.first_return < last_start(write))
        .map(|write| (write.first_return, last_start(write)))
        .collect();
    taken.sort_unstable();
    taken.dedup_by(|next, last| {
        let overlaps = next.0 < last.1;
        if overlaps {
            last.1 = last.1.max(next.1);
        }
        overlaps
    });
    (cell.writes.iter())
        .map(|write| {
            let start = last_start(write);
            if write.first_return < start {
                return write.first_return;
            }
            let before = taken.partition_point(|stretch| stretch.0 < start);
            let inside = before.checked_sub(1).map(|i| taken[i]).filter(|stretch| start < stretch.1);
            inside.map_or(start, |stretch| stretch.1.min(write.first_return))
        })
        .collect()
}

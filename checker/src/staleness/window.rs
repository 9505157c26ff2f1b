//! The inconsistency window: until how long after its acknowledgement a write was not seen by reads that began later.
//!
//! A read of a register has not seen a write if it returned a value that was there before the write was invoked; a read of a set or a
//! list, if the element is missing. A read that began before the acknowledgement says nothing, and neither does an element
//! that somebody tried to remove.

use super::Windows;
use super::cell::Cell;
use crate::budget::{Account, Limit};
use crate::convergence::decode::{Act, Fact, Objects, Seen};
use crate::decode::NEVER;
use crate::linear::problem::Unread;
use hashbrown::HashMap;
use histories::keyed::KeyOps;
use histories::{History, OpId, Outcome, ValueId};
use rustc_hash::FxBuildHasher;

/// A read by its position, so that the latest of two is the larger one.
type Late = (u32, OpId);

/// Collects the window of each write.
struct Collector<'a> {
    times: &'a [i64],
    /// The last read of all.
    last: Option<Late>,
    windows: Windows,
    longest_ns: u64,
}

impl Collector<'_> {
    /// A write acknowledged at a position, and the last read that had not seen it.
    fn add(&mut self, op: OpId, acknowledged: u32, missed: Option<Late>) {
        if self.last.is_none_or(|last| last.0 < acknowledged) {
            self.windows.untested += 1;
            return;
        }
        let missed = missed.filter(|read| read.0 > acknowledged);
        let window = missed.map_or(0, |read| self.times[read.0 as usize].abs_diff(self.times[acknowledged as usize]));
        if let Some(read) = missed
            && (self.windows.longest.is_none() || window > self.longest_ns)
        {
            (self.windows.longest, self.longest_ns) = (Some((op, read.1)), window);
        }
        self.windows.sorted_ns.push(window);
    }

    fn finish(mut self) -> Windows {
        self.windows.sorted_ns.sort_unstable();
        self.windows
    }
}

/// Of the acknowledged writes of a register. O(n log n).
pub(super) fn of_writes(cell: &Cell, times: &[i64], account: &mut Account<'_>) -> Result<Windows, Limit> {
    account.work((cell.reads.len() + cell.writes.len()) as u64 * 8)?;
    // By when the value that was read had certainly been there.
    let mut reads: Vec<(u32, Late)> = Vec::with_capacity(cell.reads.len());
    for read in &cell.reads {
        let source = &cell.writes[read.source as usize];
        if source.is_unique {
            reads.push((source.first_return, (read.call, read.op)));
        }
    }
    reads.sort_unstable();
    let last = cell.reads.iter().map(|read| (read.call, read.op)).max();
    let mut collector = Collector { times, last, windows: Windows::default(), longest_ns: 0 };
    let mut older = reads.into_iter().peekable();
    let mut missed: Option<Late> = None;
    // By invocation.
    for write in &cell.writes {
        while let Some((_, read)) = older.next_if(|read| read.0 < write.call) {
            missed = missed.max(Some(read));
        }
        if let Some(op) = write.op.filter(|_| write.ret != NEVER) {
            collector.add(op, write.ret, missed);
        }
    }
    Ok(collector.finish())
}

/// Of the acknowledged elements of a set or a list. O(reads times elements).
pub(super) fn of_elements(
    history: &History,
    group: &KeyOps,
    objects: &Objects<'_>,
    times: &[i64],
    account: &mut Account<'_>,
) -> Result<Windows, Unread> {
    let (adds, reads) = elements(history, group, objects, account)?;
    let mut place_of: HashMap<ValueId, usize, FxBuildHasher> = HashMap::default();
    place_of.extend(adds.iter().enumerate().map(|(place, add)| (add.0, place)));
    let last = reads.last().map(|read| read.0);
    let mut missed: Vec<Option<Late>> = vec![None; adds.len()];
    let mut seen_by = vec![u32::MAX; adds.len()];
    for (number, (late, elements)) in (0..).zip(&reads) {
        account.work((elements.len() + adds.len()) as u64).map_err(Unread::Out)?;
        for place in elements.iter().filter_map(|element| place_of.get(element)) {
            seen_by[*place] = number;
        }
        // By acknowledgement.
        let known = adds.partition_point(|add| add.1 < late.0);
        for (missed, _) in missed[..known].iter_mut().zip(&seen_by).filter(|(_, seen)| **seen != number) {
            *missed = Some(*late);
        }
    }
    let mut collector = Collector { times, last, windows: Windows::default(), longest_ns: 0 };
    for (&(_, acknowledged, op), missed) in adds.iter().zip(missed) {
        collector.windows.unseen.extend(Some(op).filter(|_| missed.is_some() && missed == last));
        collector.add(op, acknowledged, missed);
    }
    Ok(collector.finish())
}

/// Elements with their first acknowledgements, in the order of these.
type Adds = Vec<(ValueId, u32, OpId)>;
/// Reads by invocation, with what they returned.
type Reads = Vec<(Late, std::sync::Arc<[ValueId]>)>;

/// The elements that nobody tried to remove, and the reads.
fn elements(history: &History, group: &KeyOps, objects: &Objects<'_>, account: &mut Account<'_>) -> Result<(Adds, Reads), Unread> {
    account.hold(group.ops.len() * 96).map_err(Unread::Out)?;
    let mut first: HashMap<ValueId, Option<(u32, OpId)>, FxBuildHasher> = HashMap::default();
    let (mut reads, mut facts): (Reads, Vec<(ValueId, Fact)>) = (Vec::new(), Vec::new());
    let mut order = Vec::new();
    for &id in &group.ops {
        account.work(16).map_err(Unread::Out)?;
        facts.clear();
        objects.decode(history, id, false, &mut facts).map_err(|why| Unread::Malformed(id, why))?;
        let op = history.op(id);
        let is_done = history.outcome(op) == Outcome::Ok;
        for (_, fact) in facts.drain(..) {
            match fact {
                Fact::Update(Act::Add(element)) if is_done => {
                    order.push(element);
                    let ended = (op.complete + 1, id);
                    let known = first.entry(element).or_insert(Some(ended));
                    *known = known.map(|known| known.min(ended));
                }
                Fact::Update(Act::Remove(element)) => {
                    first.insert(element, None);
                }
                Fact::Read(Seen::Elements(elements)) if is_done => reads.push(((op.invoke + 1, id), elements)),
                _ => {}
            }
        }
    }
    let mut adds: Adds = Vec::new();
    for element in order {
        if let Some((acknowledged, op)) = first.insert(element, None).flatten() {
            adds.push((element, acknowledged, op));
        }
    }
    adds.sort_unstable_by_key(|add| add.1);
    reads.sort_unstable_by_key(|read| read.0);
    Ok((adds, reads))
}

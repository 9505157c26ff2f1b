//! What can be wrong with the final reads of an object.

use super::{FinalRead, Object};
use histories::{OpId, ValueId};

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
    /// It lacks an element, or has it less often, than a read before (`early`) had returned it, which nobody tried to remove. `adds`: those
    /// that were acknowledged and that the read before cannot have seen.
    SeenThenGone { early: OpId, read: OpId, value: ValueId, there: usize, adds: Vec<OpId> },
    /// No one choice of the updates of unknown outcome explains its number and those of the reads before.
    EarlyAndLate { early: Vec<OpId>, read: OpId, number: i64 },
    /// Of a register: each of these cas (a read may stand for one whose value it returned), and the final read, if there is one, needs
    /// one of a few values, which were there so many times at most, if that is known.
    FoundTooOften { ops: Vec<OpId>, read: Option<OpId>, times: Option<usize> },
    /// Of a register: it returned what cannot have come back after this update.
    NeverBack { read: OpId, op: OpId },
    /// It returned a number that no sum of what was done gives.
    Sum { read: OpId, seen: i64, sum: Sum },
    /// It and another one differ: in an element that is here and not there, or only in their order.
    Differ { here: OpId, there: OpId, element: Option<ValueId> },
}

impl Wrong {
    /// The op because of which a remove knew what it removed.
    pub(super) fn known_by(&self) -> Option<OpId> {
        if let Wrong::CameBack { known_by, .. } = self {
            return Some(*known_by);
        }
        if let Wrong::NotRemoved { known_by, .. } = self { *known_by } else { None }
    }

    /// How many ops show it, beside the reads.
    pub(super) fn size(&self) -> usize {
        if let Wrong::SeenThenGone { adds, .. } = self { adds.len() } else { 0 }
    }
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

/// The first read that returned something else than the first of all.
pub(super) fn other(object: &Object) -> Option<(&FinalRead, &FinalRead)> {
    let first = object.reads.first()?;
    object.reads.iter().find(|read| read.seen != first.seen).map(|other| (first, other))
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

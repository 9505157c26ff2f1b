//! Sets of which single elements are added, removed and asked for, each added once; decided in O(n log n), exactly.
//!
//! # The idea
//! (Lee and Mathur, OOPSLA 2025, and Abdulla et al., PLDI 2025, have sets; unknown outcomes and ops that do not say what they found
//! are our own.) Without reads of the whole, a set is one object per element, so each element can be ordered by itself (Herlihy and
//! Wing 1990, section 3.1: linearizability is local); the orders are merged by the moments of their ops.
//!
//! An element that is added once is out until a moment a, in until a moment b, and out again. a lies in the add, before the return
//! of each op that found the element there; b after the invocation of each such op, in the op that took it out. All other ops
//! found it out, or do not say: they have a moment before a or after b. The later a and the earlier b, the better for them, so a
//! is as late as it can be and b as early. *Who took it out?* The op that says so, if there is one (two contradict each other).
//! Otherwise, of the ops that do not say what they found, whatever their outcome, the one that allows the earliest b: the others
//! then have a moment outside, or would have none in any order. If a can be as late as b, both come in one moment, and all others
//! come before or after it.
//!
//! An add of unknown outcome happened only if somebody found the element; a removal of unknown outcome only if it took it out.

use super::{No, Ops};
use crate::budget::Account;
use crate::decode::NEVER;
use crate::interner::Interner;
use crate::model::{Deed, small};
use histories::{OpId, ValueId};

/// In one moment.
const BEFORE: u8 = 0;
const ADDS: u8 = 1;
const FINDS: u8 = 2;
const REMOVES: u8 = 3;
const AFTER: u8 = 4;

/// (moment, what comes first in it, entry): sorted, that is the order.
type Placed = Vec<(u32, u8, u32)>;

pub(super) fn decide(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let mut numbers: Interner<ValueId> = Interner::new(ops.entries.len());
    let mut elements = 0;
    let mut by_element: Vec<(u32, u32)> = Vec::with_capacity(ops.entries.len());
    for i in 0..ops.entries.len() as u32 {
        account.work(2)?;
        let (Deed::Enter(element, _) | Deed::Leave(element, _) | Deed::Has(element, _)) = ops.deed(i) else { return Err(No::Open) };
        let number = numbers.number(small(element), &element, elements);
        elements += u32::from(number == elements);
        by_element.push((number, i));
    }
    account.work(8 * by_element.len() as u64)?;
    by_element.sort_unstable();
    let mut placed = Placed::with_capacity(by_element.len());
    let mut in_part = false;
    for group in by_element.chunk_by(|a, b| a.0 == b.0) {
        account.work(8 * group.len() as u64)?;
        match Element::read(ops, group) {
            Some(element) => element.place(&mut placed).map_err(No::Broken)?,
            None => in_part = true,
        }
    }
    if in_part {
        return Err(No::Open);
    }
    account.work(8 * placed.len() as u64)?;
    placed.sort_unstable();
    Ok(placed.into_iter().map(|(.., entry)| ops.id(entry)).collect())
}

/// The ops on one element.
struct Element<'a> {
    ops: &'a Ops<'a>,
    add: Option<u32>,
    /// Those that say that they added it although it was there.
    denied: Vec<u32>,
    /// Those that found it there, and those of them that took it out.
    found: Vec<u32>,
    took: Vec<u32>,
    /// Removals that do not say what they found.
    silent: Vec<u32>,
    /// Those that found it not there.
    missed: Vec<u32>,
}

impl<'a> Element<'a> {
    /// `None` if it is added more than once, or by an op of unknown outcome that says what it found.
    fn read(ops: &'a Ops<'a>, group: &[(u32, u32)]) -> Option<Element<'a>> {
        let (denied, found, took, silent, missed) = Default::default();
        let mut element = Element { ops, add: None, denied, found, took, silent, missed };
        for &(_, i) in group {
            if ops.entries[i as usize].is_crashed() && !matches!(ops.deed(i), Deed::Enter(_, None) | Deed::Leave(_, None)) {
                return None;
            }
            match ops.deed(i) {
                Deed::Enter(_, said) => {
                    if element.add.replace(i).is_some() {
                        return None;
                    }
                    element.denied.extend((said == Some(false)).then_some(i));
                }
                Deed::Leave(_, Some(true)) => element.took.push(i),
                Deed::Leave(_, None) => element.silent.push(i),
                Deed::Has(_, true) => element.found.push(i),
                _ => element.missed.push(i),
            }
        }
        Some(element)
    }

    fn call(&self, entry: u32) -> u32 {
        self.ops.entries[entry as usize].call
    }

    /// The last moment of an op.
    fn last(&self, entry: u32) -> u32 {
        match self.ops.entries[entry as usize].ret {
            NEVER => NEVER,
            ret => ret - 1,
        }
    }

    fn is_crashed(&self, entry: u32) -> bool {
        self.ops.entries[entry as usize].is_crashed()
    }

    /// The moments of all ops, or those that contradict each other.
    fn place(&self, placed: &mut Placed) -> Result<(), Vec<u32>> {
        let seen = || self.found.iter().chain(&self.took).copied();
        let add = self.add.filter(|&add| !self.is_crashed(add) || seen().next().is_some());
        if let Some(&denied) = self.denied.first() {
            return Err(vec![denied]);
        }
        let Some(add) = add else {
            let returned = self.silent.iter().filter(|&&silent| !self.is_crashed(silent));
            placed.extend(self.missed.iter().chain(returned).map(|&entry| (self.call(entry), BEFORE, entry)));
            return seen().next().map_or(Ok(()), |seen| Err(vec![seen]));
        };
        if let [one, other, ..] = self.took[..] {
            return Err(vec![one, other, add]);
        }
        let first_to_end = seen().chain([add]).min_by_key(|&entry| self.last(entry)).unwrap_or(add);
        let in_at = self.last(first_to_end);
        if in_at < self.call(add) {
            return Err(vec![add, first_to_end]);
        }
        let last_to_begin = self.found.iter().copied().chain([add]).max_by_key(|&entry| self.call(entry)).unwrap_or(add);
        let at = |taker: u32| self.call(taker).max(self.call(last_to_begin));
        let takers = if self.took.is_empty() { &self.silent } else { &self.took };
        let taker = takers.iter().copied().filter(|&taker| at(taker) <= self.last(taker)).min_by_key(|&taker| at(taker));
        if let (None, Some(&took)) = (taker, self.took.first()) {
            return Err(vec![add, took, last_to_begin]);
        }
        let out_at = taker.map_or(NEVER, at);
        self.place_around(placed, add, taker, in_at, out_at, &[add, first_to_end, last_to_begin])
    }

    /// All ops, with the element in from one moment to another at least.
    fn place_around(
        &self,
        placed: &mut Placed,
        add: u32,
        taker: Option<u32>,
        in_at: u32,
        out_at: u32,
        because_of: &[u32],
    ) -> Result<(), Vec<u32>> {
        let in_at = in_at.min(out_at.max(self.call(add)));
        let out_at = out_at.max(in_at);
        placed.push((in_at, ADDS, add));
        placed.extend(self.found.iter().map(|&entry| (self.call(entry).max(in_at), FINDS, entry)));
        placed.extend(taker.map(|taker| (out_at, REMOVES, taker)));
        let others = self.silent.iter().filter(|&&silent| Some(silent) != taker && !self.is_crashed(silent));
        for &entry in self.missed.iter().chain(others) {
            if self.call(entry) <= in_at {
                placed.push((self.call(entry), BEFORE, entry));
            } else if out_at != NEVER && self.last(entry) >= out_at {
                placed.push((self.call(entry).max(out_at), AFTER, entry));
            } else {
                // Those that took it out, or could have, are part of it.
                let silent = self.silent.iter().filter(|&&taker| self.call(taker) <= self.last(entry));
                return Err(because_of.iter().chain(&self.took).chain(silent).copied().chain([entry]).collect());
            }
        }
        Ok(())
    }
}

//! Numbers for the distinct things among many: from a table where things come with small numbers of their own, else by hashing.
//!
//! Histories in which every value is written once have as many values as ops, mostly small integers in ascending order. To look
//! one up in a table as large as that by its hash is a cache miss; by its own number it is none.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use std::hash::Hash;

const NONE: u32 = u32::MAX;

/// What was numbered so far.
#[derive(Debug)]
pub(crate) struct Interner<T> {
    /// By the thing's own number.
    table: Vec<u32>,
    /// Own numbers from here on are too large for a table.
    end: u64,
    others: HashMap<T, u32, FxBuildHasher>,
}

/// The length of a table that has this place.
fn length_with(own: usize) -> usize {
    (own + 1).next_power_of_two().max(64)
}

impl<T: Hash + Eq + Clone> Interner<T> {
    /// For about as many things as `expected`, or fewer: tables are no longer than a small multiple of it.
    pub(crate) fn new(expected: usize) -> Interner<T> {
        Interner { table: Vec::new(), end: expected as u64 * 4, others: HashMap::default() }
    }

    /// The number of `thing`: `next` from now on, if it has none yet. `own` tells it apart from all others that have one.
    pub(crate) fn number(&mut self, own: Option<u64>, thing: &T, next: u32) -> u32 {
        let Some(own) = own.filter(|&own| own < self.end) else {
            return *self.others.entry_ref(thing).or_insert(next);
        };
        let own = own as usize;
        if own >= self.table.len() {
            self.table.resize(length_with(own), NONE);
        }
        let number = &mut self.table[own];
        if *number == NONE {
            *number = next;
        }
        *number
    }

    /// The number of `thing`, if it has one.
    pub(crate) fn get(&self, own: Option<u64>, thing: &T) -> Option<u32> {
        match own.filter(|&own| own < self.end) {
            Some(own) => self.table.get(own as usize).copied().filter(|&number| number != NONE),
            None => self.others.get(thing).copied(),
        }
    }

    /// Bytes that the table will hold after this number, the old one that is copied from included; `None` if it is large
    /// enough already. The map of all others is not counted.
    pub(crate) fn growth(&self, own: Option<u64>) -> Option<usize> {
        let own = own.filter(|&own| own < self.end && own >= self.table.len() as u64)? as usize;
        Some((length_with(own) + self.table.len()) * size_of::<u32>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_has_one_number() {
        let mut interner = Interner::new(10);
        let own = |thing: &i64| u64::try_from(*thing).ok();
        let things = [5, 39, -1, 40, 5, 1000, -1, 39, 0, 40];
        let mut seen: Vec<i64> = Vec::new();
        for thing in things {
            let next = seen.len() as u32;
            let number = interner.number(own(&thing), &thing, next);
            assert_eq!(number as usize, seen.iter().position(|s| *s == thing).unwrap_or(seen.len()), "{thing}");
            seen.extend((number == next).then_some(thing));
            assert_eq!(interner.get(own(&thing), &thing), Some(number));
        }
        assert_eq!((interner.get(own(&6), &6), interner.get(own(&41), &41)), (None, None));
        assert!(interner.growth(Some(39)).is_none() && interner.growth(Some(1 << 40)).is_none());
    }
}

//! Which ops of unknown outcome a configuration has used: a count per class, interned.
//!
//! Ops of one class that are open for ever are indistinguishable once they have been invoked, so a configuration needs to
//! remember how many it used and not which. Of two configurations that are otherwise equal, the one that used no more of any
//! class can do all that the other can: it **dominates** it. *Why:* each of the next steps of the one is one of the other, which
//! again used no more; and an order does not have to use what is left. For the same reason a step by an op of unknown outcome
//! that leaves the state as it is leads to nothing new.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use std::sync::Arc;

/// The usage of a configuration that has used nothing.
pub(crate) const NOTHING_USED: u32 = 0;

/// Sorted by class: (class, how many), none of them zero.
type Counts = Arc<[(u32, u32)]>;

/// All usages that a search has seen.
#[derive(Debug)]
pub(crate) struct Usages {
    list: Vec<Counts>,
    index: HashMap<Counts, u32, FxBuildHasher>,
    bytes: usize,
    /// Whether less use dominates; else only the same use is as good.
    dominance: bool,
}

impl Usages {
    pub(crate) fn new(dominance: bool) -> Usages {
        let nothing: Counts = Arc::from([]);
        Usages { list: vec![nothing.clone()], index: std::iter::once((nothing, NOTHING_USED)).collect(), bytes: 0, dominance }
    }

    /// How many of the class are used.
    pub(crate) fn count(&self, usage: u32, class: u32) -> u32 {
        if usage == NOTHING_USED {
            return 0;
        }
        let counts = &self.list[usage as usize];
        counts.binary_search_by_key(&class, |c| c.0).map_or(0, |i| counts[i].1)
    }

    /// The usage with one more of the class.
    pub(crate) fn with_one_more(&mut self, usage: u32, class: u32) -> u32 {
        let mut counts = self.list[usage as usize].to_vec();
        match counts.binary_search_by_key(&class, |c| c.0) {
            Ok(i) => counts[i].1 += 1,
            Err(i) => counts.insert(i, (class, 1)),
        }
        if let Some(&found) = self.index.get(&counts[..]) {
            return found;
        }
        self.bytes += 64 + 8 * counts.len();
        let counts: Counts = counts.into();
        let number = self.list.len() as u32;
        self.list.push(counts.clone());
        self.index.insert(counts, number);
        number
    }

    /// How many ops a usage stands for.
    pub(crate) fn total(&self, usage: u32) -> u32 {
        self.list[usage as usize].iter().map(|c| c.1).sum()
    }

    /// Whether less use dominates.
    pub(crate) fn dominance(&self) -> bool {
        self.dominance
    }

    /// Whether `a` uses no more of any class than `b`, so that it dominates.
    pub(crate) fn is_within(&self, a: u32, b: u32) -> bool {
        if !self.dominance || a == b || a == NOTHING_USED {
            return self.dominance || a == b;
        }
        let (a, b) = (&self.list[a as usize], &self.list[b as usize]);
        let mut rest = b.iter();
        a.len() <= b.len()
            && a.iter().all(|&(class, count)| rest.find(|other| other.0 >= class).is_some_and(|other| other.0 == class && other.1 >= count))
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_use_dominates() {
        let mut usages = Usages::new(true);
        let a = usages.with_one_more(NOTHING_USED, 7);
        let b = usages.with_one_more(a, 3);
        let c = usages.with_one_more(b, 3);
        let d = usages.with_one_more(NOTHING_USED, 3);
        assert_eq!(usages.with_one_more(d, 7), b);
        assert_eq!((usages.count(c, 3), usages.count(c, 7), usages.count(c, 5), usages.total(c)), (2, 1, 0, 3));
        for (less, more, within) in
            [(NOTHING_USED, a, true), (a, b, true), (b, c, true), (d, c, true), (c, b, false), (a, d, false), (b, a, false)]
        {
            assert_eq!(usages.is_within(less, more), within, "{less} {more}");
        }
    }
}

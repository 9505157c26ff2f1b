//! Which ops of unknown outcome a configuration has used: a count per class, interned.
//!
//! Ops of one class that are open for ever are indistinguishable once they have been invoked, so a configuration needs to
//! remember how many it used and not which. Of two configurations that are otherwise equal, the one that used no more of any
//! class can do all that the other can: it **dominates** it. *Why:* each of the next steps of the one is one of the other, which
//! again used no more; and an order does not have to use what is left. For the same reason a step by an op of unknown outcome
//! that leaves the state as it is leads to nothing new.

use super::path::growth;
use hashbrown::HashTable;

/// The usage of a configuration that has used nothing.
pub(crate) const NOTHING_USED: u32 = 0;

/// Of one class, how many are used; never zero.
type Count = (u32, u32);

/// One usage, by what is asked of it most.
#[derive(Clone, Copy, Debug)]
struct Usage {
    /// Where its counts end among all; they begin where those of the usage before it end.
    end: usize,
    /// A bit for each class that it has used; classes share bits.
    classes: u64,
    /// The sum of what each op's class is hashed to.
    hash: u64,
    /// How many ops it stands for.
    total: u32,
}

/// All usages that a search has seen, and still needs.
#[derive(Debug)]
pub(crate) struct Usages {
    list: Vec<Usage>,
    /// Of each usage in turn, its counts in ascending order of class.
    counts: Vec<Count>,
    index: HashTable<u32>,
    collect_at: usize,
    /// Whether less use dominates; else only the same use is as good.
    dominance: bool,
}

/// How many gather before the first collection. (Tests have small histories.)
const COLLECT_FIRST: usize = if cfg!(test) { 1 } else { 1 << 12 };

impl Usages {
    pub(crate) fn new(dominance: bool) -> Usages {
        let nothing = Usage { end: 0, classes: 0, hash: 0, total: 0 };
        let mut index = HashTable::new();
        index.insert_unique(nothing.hash, NOTHING_USED, |_| nothing.hash);
        Usages { list: vec![nothing], counts: Vec::new(), index, collect_at: COLLECT_FIRST, dominance }
    }

    fn counts(&self, usage: u32) -> &[Count] {
        counts_of(&self.list, &self.counts, usage)
    }

    /// How many of the class are used.
    pub(crate) fn count(&self, usage: u32, class: u32) -> u32 {
        if self.list[usage as usize].classes & bit(class) == 0 {
            return 0;
        }
        let counts = self.counts(usage);
        counts.binary_search_by_key(&class, |c| c.0).map_or(0, |i| counts[i].1)
    }

    /// The usage with one more of the class.
    pub(crate) fn with_one_more(&mut self, usage: u32, class: u32) -> u32 {
        let Usages { list, counts, index, .. } = self;
        let before = list[usage as usize];
        let hash = before.hash.wrapping_add(hash_of(class));
        let mine = counts_of(list, counts, usage);
        let place = mine.binary_search_by_key(&class, |count| count.0);
        let is_wanted = |&other: &u32| {
            let other = counts_of(list, counts, other);
            match place {
                Ok(i) => {
                    other.len() == mine.len()
                        && other[i] == (class, mine[i].1 + 1)
                        && other[..i] == mine[..i]
                        && other[i + 1..] == mine[i + 1..]
                }
                Err(i) => other.len() == mine.len() + 1 && other[i] == (class, 1) && other[..i] == mine[..i] && other[i + 1..] == mine[i..],
            }
        };
        if let Some(&found) = index.find(hash, is_wanted) {
            return found;
        }
        let number = list.len() as u32;
        let begin = counts.len();
        counts.extend_from_within(begin_of(list, usage)..before.end);
        match place {
            Ok(i) => counts[begin + i].1 += 1,
            Err(i) => counts.insert(begin + i, (class, 1)),
        }
        list.push(Usage { end: counts.len(), classes: before.classes | bit(class), hash, total: before.total + 1 });
        index.insert_unique(hash, number, |&i| list[i as usize].hash);
        number
    }

    /// How many ops a usage stands for.
    pub(crate) fn total(&self, usage: u32) -> u32 {
        self.list[usage as usize].total
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
        let (less, more) = (&self.list[a as usize], &self.list[b as usize]);
        // Most pairs end here. As much as another in all, and not equal, is more of some class.
        if less.total >= more.total || less.classes & !more.classes != 0 {
            return false;
        }
        let mut rest = self.counts(b).iter();
        self.counts(a)
            .iter()
            .all(|&(class, count)| rest.find(|other| other.0 >= class).is_some_and(|other| other.0 == class && other.1 >= count))
    }

    /// Whether enough usages have gathered to make a collection worth its while.
    pub(crate) fn is_due(&self) -> bool {
        self.list.len() >= self.collect_at
    }

    /// Bytes that a collection needs besides those held, with so many that are kept.
    pub(crate) fn bytes_to_collect(&self, kept: usize) -> usize {
        self.list.len() * size_of::<u32>() + kept * size_of::<&u32>()
    }

    /// Drops all usages that are not in `kept`, and renumbers these.
    pub(crate) fn collect<'a>(&mut self, kept: impl Iterator<Item = &'a mut u32>) {
        const DROPPED: u32 = u32::MAX;
        let mut kept: Vec<&mut u32> = kept.collect();
        let mut renumbered = vec![DROPPED; self.list.len()];
        renumbered[NOTHING_USED as usize] = NOTHING_USED;
        for usage in &kept {
            renumbered[**usage as usize] = NOTHING_USED;
        }
        self.index.clear();
        let Usages { list, counts, index, .. } = self;
        let (mut next, mut begin, mut end) = (0, 0, 0);
        for (old, new) in renumbered.iter_mut().enumerate() {
            let from = std::mem::replace(&mut begin, list[old].end);
            if *new == DROPPED {
                continue;
            }
            counts.copy_within(from..begin, end);
            end += begin - from;
            list[next] = Usage { end, ..list[old] };
            *new = next as u32;
            next += 1;
        }
        list.truncate(next);
        counts.truncate(end);
        for usage in 0..next as u32 {
            index.insert_unique(list[usage as usize].hash, usage, |&i| list[i as usize].hash);
        }
        for usage in &mut kept {
            **usage = renumbered[**usage as usize];
        }
        self.collect_at = (2 * next).max(COLLECT_FIRST);
    }

    /// Bytes that one more usage, with one op more than this one, may need besides those held: the lists double, the old ones are
    /// copied from.
    pub(crate) fn growth(&self, usage: u32) -> usize {
        let index = if self.index.len() == self.index.capacity() { self.index.len().max(4) * 2 * 6 } else { 0 };
        growth(&self.list, 1) + growth(&self.counts, self.counts(usage).len() + 1) + index
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<Usage>() + self.counts.capacity() * size_of::<Count>() + self.index.capacity() * 5
    }
}

fn begin_of(list: &[Usage], usage: u32) -> usize {
    if usage == NOTHING_USED { 0 } else { list[usage as usize - 1].end }
}

fn counts_of<'a>(list: &[Usage], counts: &'a [Count], usage: u32) -> &'a [Count] {
    &counts[begin_of(list, usage)..list[usage as usize].end]
}

fn bit(class: u32) -> u64 {
    1 << (class % 64)
}

/// Of a single op. Sums of these are told apart well, for all bits depend on all of the class (the finalizer of splitmix64: Steele,
/// Lea and Flood 2014).
fn hash_of(class: u32) -> u64 {
    let mut hash = (u64::from(class) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

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

    /// Collections change nothing but numbers.
    #[test]
    fn usages_survive_collections() {
        let mut usages = Usages::new(true);
        let mut mine = [NOTHING_USED; 5];
        let mut expected: [BTreeMap<u32, u32>; 5] = Default::default();
        for round in 0..3000u32 {
            let who = (round * 7 % 5) as usize;
            if round % 40 == 39 {
                let other = (who + 1) % 5;
                mine[other] = mine[who];
                expected[other] = expected[who].clone();
            }
            let class = round * round % 97;
            mine[who] = usages.with_one_more(mine[who], class);
            *expected[who].entry(class).or_default() += 1;
            if round % 13 == 0 {
                usages.collect(mine.iter_mut());
                assert!(usages.list.len() <= mine.len() + 1);
            }
            let counts: Vec<Count> = expected[who].iter().map(|(&class, &count)| (class, count)).collect();
            assert_eq!(usages.counts(mine[who]), counts);
            assert_eq!(usages.total(mine[who]), expected[who].values().sum::<u32>());
            let again = usages.with_one_more(mine[who], 100);
            assert_eq!(usages.with_one_more(mine[who], 100), again, "a usage has one number");
            for other in 0..5 {
                let within = expected[who].iter().all(|(class, count)| expected[other].get(class).is_some_and(|more| more >= count));
                assert_eq!(usages.is_within(mine[who], mine[other]), within);
            }
        }
    }
}

//! A set of configurations, of which only those are kept that no other dominates.

use super::mask::Mask;
use super::usage::Usages;
use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Where the object may be after some events: its state, and which of the ops in flight have already taken effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config<K> {
    /// The slots of the pending ops that have taken effect.
    pub done: K,
    /// The slots of the pending overwrites that need not take effect any more, for they can have done so unseen: see
    /// [`super::search`].
    pub free: K,
    /// The state's number.
    pub state: u32,
    /// The ops of unknown outcome that have taken effect.
    pub used: u32,
    /// The chain of updates that led here.
    pub path: u32,
}

const NONE: u32 = u32::MAX;

/// Configurations, at most one per state, mask and minimal usage.
#[derive(Debug)]
pub(crate) struct Configs<K> {
    list: Vec<Config<K>>,
    /// The next configuration of the same state and mask.
    next: Vec<u32>,
    /// Those that a later one dominates.
    dead: Vec<bool>,
    dead_count: usize,
    /// Heads of the lists of equal state and mask.
    heads: HashTable<u32>,
}

impl<K: Mask> Configs<K> {
    pub(crate) fn new() -> Configs<K> {
        Configs { list: Vec::new(), next: Vec::new(), dead: Vec::new(), dead_count: 0, heads: HashTable::new() }
    }

    /// Forgets all. Memory is kept for the next set unless this one was far larger than usual.
    pub(crate) fn clear(&mut self) {
        let few = self.list.len() * 8 + 1024;
        if self.heads.capacity() > few {
            *self = Configs::new();
            return;
        }
        self.list.clear();
        self.next.clear();
        self.dead.clear();
        self.dead_count = 0;
        self.heads.clear();
    }

    /// Adds a configuration, unless one that is there can do all that it can. At most `most` of equal state and mask are
    /// kept. Returns its number if it was added. `reads` are slots of ops that change nothing: what has done more of them can do
    /// all that the other can. They have to stay the same until the set is cleared.
    pub(crate) fn insert(&mut self, config: Config<K>, reads: K, usages: &Usages, most: usize) -> Option<u32> {
        let number = self.list.len() as u32;
        let Configs { list, next, dead, dead_count, heads } = self;
        let same = |i: u32| {
            let other = &list[i as usize];
            (other.state, other.free) == (config.state, config.free) && other.done.minus(reads) == config.done.minus(reads)
        };
        let can_all =
            |one: &Config<K>, other: &Config<K>| other.done.minus(one.done) == K::default() && usages.is_within(one.used, other.used);
        let head = match heads.entry(hash_of(&config, reads), |&i| same(i), |&i| hash_of(&list[i as usize], reads)) {
            hashbrown::hash_table::Entry::Vacant(place) => {
                place.insert(number);
                NONE
            }
            hashbrown::hash_table::Entry::Occupied(mut place) => {
                let head = *place.get();
                let mut i = head;
                let mut alive = 0;
                while i != NONE {
                    if !dead[i as usize] {
                        let other = &list[i as usize];
                        if can_all(other, &config) {
                            return None;
                        }
                        alive += usize::from(other.done == config.done);
                    }
                    i = next[i as usize];
                }
                if alive >= most {
                    return None;
                }
                let mut i = head;
                while i != NONE {
                    if !dead[i as usize] && can_all(&config, &list[i as usize]) {
                        dead[i as usize] = true;
                        *dead_count += 1;
                    }
                    i = next[i as usize];
                }
                *place.get_mut() = number;
                head
            }
        };
        list.push(config);
        next.push(head);
        dead.push(false);
        Some(number)
    }

    /// A configuration by its number, `None` if another has come to dominate it.
    pub(crate) fn get(&self, number: u32) -> Option<Config<K>> {
        (!self.dead[number as usize]).then(|| self.list[number as usize])
    }

    /// The number after the last one given.
    pub(crate) fn end(&self) -> u32 {
        self.list.len() as u32
    }

    /// Says how a configuration came to be.
    pub(crate) fn set_path(&mut self, number: u32, path: u32) {
        self.list[number as usize].path = path;
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len() - self.dead_count
    }

    /// Moves all that are kept to a plain list.
    pub(crate) fn drain_into(&mut self, out: &mut Vec<Config<K>>) {
        out.clear();
        out.extend(self.list.iter().zip(&self.dead).filter(|(_, dead)| !**dead).map(|(config, _)| *config));
        self.clear();
    }

    /// Bytes that the next configuration may need besides those held: the lists double, the old ones are copied from.
    pub(crate) fn growth(&self) -> usize {
        let lists = if self.list.len() == self.list.capacity() { self.list.len().max(4) * 2 * (size_of::<Config<K>>() + 5) } else { 0 };
        let heads = if self.heads.len() == self.heads.capacity() { self.heads.len().max(4) * 2 * 6 } else { 0 };
        lists + heads
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<Config<K>>() + self.next.capacity() * 5 + self.heads.capacity() * 5
    }
}

fn hash_of<K: Mask>(config: &Config<K>, reads: K) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u64(config.done.minus(reads).word());
    hasher.write_u64(config.free.word());
    hasher.write_u32(config.state);
    hasher.finish()
}

//! The states of the object, numbered, and the steps between them, computed once: steps are functions of state and class, and
//! equal states have equal numbers.

use crate::model::Model;
use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};

/// No state: the op cannot happen there.
pub(crate) const IMPOSSIBLE: u32 = u32::MAX;
const UNTRIED: u32 = u32::MAX - 1;

/// With more classes than this, a table of all steps is mostly holes: steps are then made anew each time.
const CLASSES_IN_TABLE: usize = 256;

/// Interned states and memoised steps.
pub(crate) struct States<'a, M: Model> {
    model: &'a M,
    classes: &'a [M::Op],
    list: Vec<M::State>,
    index: HashTable<u32>,
    table: Vec<u32>,
    /// Whether steps are remembered.
    remembers: bool,
    /// Steps of the model that were made.
    made: u64,
    /// What the states point to.
    bytes_outside: usize,
}

impl<'a, M: Model> States<'a, M> {
    /// Knows the initial state only, as number 0.
    pub(crate) fn new(model: &'a M, classes: &'a [M::Op], remembers: bool) -> States<'a, M> {
        let remembers = remembers && classes.len() <= CLASSES_IN_TABLE;
        let mut states =
            States { model, classes, list: Vec::new(), index: HashTable::new(), table: Vec::new(), remembers, made: 0, bytes_outside: 0 };
        states.intern(model.init());
        states
    }

    /// The state after an op of the class happened in `state`, or [`IMPOSSIBLE`].
    pub(crate) fn step(&mut self, state: u32, class: u32) -> u32 {
        if !self.remembers {
            return self.make_step(state, class);
        }
        let at = state as usize * self.classes.len() + class as usize;
        if self.table[at] == UNTRIED {
            self.table[at] = self.make_step(state, class);
        }
        self.table[at]
    }

    /// What [`States::step`] would say, if that is remembered.
    pub(crate) fn known(&self, state: u32, class: u32) -> Option<u32> {
        let next = if self.remembers { self.table[state as usize * self.classes.len() + class as usize] } else { UNTRIED };
        (next != UNTRIED).then_some(next)
    }

    /// How many steps of the model were made: each may have taken long.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    fn make_step(&mut self, state: u32, class: u32) -> u32 {
        self.made += 1;
        match self.model.step(&self.list[state as usize], &self.classes[class as usize]) {
            Some(next) => self.intern(next),
            None => IMPOSSIBLE,
        }
    }

    fn intern(&mut self, state: M::State) -> u32 {
        let hash = hash_of(&state);
        let States { list, index, .. } = self;
        if let Some(&found) = index.find(hash, |&i| list[i as usize] == state) {
            return found;
        }
        let number = list.len() as u32;
        self.bytes_outside += self.model.state_bytes(&state);
        list.push(state);
        index.insert_unique(hash, number, |&i| hash_of(&list[i as usize]));
        if self.remembers {
            self.table.resize(self.list.len() * self.classes.len(), UNTRIED);
        }
        number
    }

    /// A state by its number.
    pub(crate) fn get(&self, state: u32) -> &M::State {
        &self.list[state as usize]
    }

    /// How many states are known.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Bytes of memory held. Lists are counted one and a half times: while they double, there are the old ones too.
    pub(crate) fn bytes(&self) -> usize {
        let lists = self.list.capacity() * size_of::<M::State>() + self.index.capacity() * 5 + self.table.capacity() * 4;
        lists * 3 / 2 + self.bytes_outside
    }
}

fn hash_of(state: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    state.hash(&mut hasher);
    hasher.finish()
}

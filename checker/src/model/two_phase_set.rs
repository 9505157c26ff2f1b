//! A two-phase set: an element that was removed never comes back.

use super::{Call, Decoded, Model, Set, set};
use crate::options::Options;
use crate::verdict::Words;
use histories::Values;
use std::collections::BTreeMap;

/// A set whose removals are final (Shapiro, Preguiça, Baquero and Zawirski 2011, specification 12), used by one client at a time:
/// an add of an element that was removed does nothing, and neither does a remove of one that is not there.
#[derive(Clone, Copy, Debug)]
pub struct TwoPhaseSet {
    calls: Set,
}

impl TwoPhaseSet {
    /// A set that is empty at first.
    pub fn new(options: &Options) -> TwoPhaseSet {
        TwoPhaseSet { calls: Set::new(options) }
    }
}

impl Model for TwoPhaseSet {
    /// The elements that were added, and whether they are still there.
    type State = BTreeMap<histories::ValueId, bool>;
    type Op = set::Op;

    fn name(&self) -> &'static str {
        "2p-set"
    }

    fn init(&self) -> Self::State {
        BTreeMap::new()
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<set::Op>, String> {
        self.calls.decode(call)
    }

    fn step(&self, state: &Self::State, op: &set::Op) -> Option<Self::State> {
        let mut next = state.clone();
        self.apply(&mut next, op).then_some(next)
    }

    fn apply(&self, state: &mut Self::State, op: &set::Op) -> bool {
        let is_there = |element| state.get(element) == Some(&true);
        match op {
            set::Op::Add(element, new) => {
                let is_new = !state.contains_key(element);
                state.entry(*element).or_insert(true);
                new.is_none_or(|said| said == is_new)
            }
            set::Op::Remove(element, there) => {
                let was_there = is_there(element);
                if was_there {
                    state.insert(*element, false);
                }
                there.is_none_or(|said| said == was_there)
            }
            set::Op::Contains(element, there) => is_there(element) == *there,
            set::Op::Read(elements) => elements.iter().eq(state.iter().filter(|(_, there)| **there).map(|(element, _)| element)),
        }
    }

    fn is_pure(&self, op: &set::Op) -> bool {
        self.calls.is_pure(op)
    }

    fn state_bytes(&self, state: &Self::State) -> usize {
        16 + state.len() * 3 * size_of::<histories::ValueId>()
    }

    fn tell_op(&self, op: &set::Op, perfect: bool, values: &Values) -> Vec<Words> {
        self.calls.tell_op(op, perfect, values)
    }

    fn show_op(&self, op: &set::Op, values: &Values) -> String {
        self.calls.show_op(op, values)
    }

    fn show_state(&self, state: &Self::State, values: &Values) -> String {
        self.calls.show_state(&state.iter().filter(|(_, there)| **there).map(|(element, _)| *element).collect(), values)
    }
}

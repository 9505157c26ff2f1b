//! A set: `add`, `remove`, `contains`, and `read` of the whole. With one client at a time a replicated set that only grows
//! (g-set), or that removes what it has seen (or-set), is the same.

use super::container::show_list;
use super::{Call, Collection, Decoded, Deed, Model, Role, text};
use crate::options::{NilRead, Options};
use crate::verdict::{Others, Words};
use histories::{Outcome, ValueId, Values};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The name of a set from which nothing is removed.
const GROW_ONLY: &str = "g-set";

/// A set that is empty at first.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    nil_read: NilRead,
    name: &'static str,
}

/// An op of a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Puts an element in. If it says so: whether it was not there before.
    Add(ValueId, Option<bool>),
    /// Takes an element out. If it says so: whether it was there before.
    Remove(ValueId, Option<bool>),
    /// Whether an element is there.
    Contains(ValueId, bool),
    /// All elements, sorted by word. One that is there twice is seen in no state.
    Read(Arc<[ValueId]>),
}

impl Set {
    /// A set, by the name that the options give it. A read of nil has an unknown result unless they say that it is the empty set.
    pub fn new(options: &Options) -> Set {
        let name = match options.model.as_str() {
            GROW_ONLY => GROW_ONLY,
            "or-set" => "or-set",
            "2p-set" => "2p-set",
            _ => "set",
        };
        Set { nil_read: options.nil_read.unwrap_or(NilRead::Wildcard), name }
    }
}

/// What an op said of itself, if it returned true or false.
fn told(output: Option<ValueId>) -> Option<bool> {
    match output {
        Some(ValueId::TRUE) => Some(true),
        Some(ValueId::FALSE) => Some(false),
        _ => None,
    }
}

/// Sorts elements. A store often returns them nearly in the order in which they came: then each is moved by a few places, and only
/// where that turns out to be wrong all are sorted anew.
fn sort(elements: &mut [ValueId]) {
    let mut moves_left = 8 * elements.len();
    for i in 1..elements.len() {
        let element = elements[i];
        let mut place = i;
        while place > 0 && elements[place - 1] > element && moves_left > 0 {
            elements[place] = elements[place - 1];
            place -= 1;
            moves_left -= 1;
        }
        elements[place] = element;
        if moves_left == 0 {
            return elements.sort_unstable();
        }
    }
}

impl Model for Set {
    /// The elements.
    type State = BTreeSet<ValueId>;
    type Op = Op;

    fn name(&self) -> &'static str {
        self.name
    }

    fn init(&self) -> BTreeSet<ValueId> {
        BTreeSet::new()
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let op = match call.f {
            "add" | "insert" => Some(Op::Add(call.input, told(call.output))),
            "remove" | "delete" if self.name == GROW_ONLY && call.outcome != Outcome::Fail => {
                return Err(format!("a g-set only grows: it knows add, contains and read, not {}", call.f));
            }
            "remove" | "delete" => Some(Op::Remove(call.input, told(call.output))),
            "contains" | "member" => match (call.output, told(call.output)) {
                (_, Some(there)) => Some(Op::Contains(call.input, there)),
                (None | Some(ValueId::NIL), None) => None,
                (Some(other), None) => return Err(format!("{} returns true or false, not {}", call.f, call.values.display(other))),
            },
            "read" => match call.output {
                None => None,
                Some(ValueId::NIL) => (self.nil_read == NilRead::Missing).then(|| Op::Read(Arc::from([]))),
                Some(output) => {
                    let Some(elements) = call.values.elements(output) else {
                        return Err(format!("a set is read as a set, vector or list, not {}", call.values.display(output)));
                    };
                    let mut elements: Arc<[ValueId]> = elements.into();
                    if let Some(elements) = Arc::get_mut(&mut elements) {
                        sort(elements); // Nobody else has them yet.
                    }
                    Some(Op::Read(elements))
                }
            },
            other => return Err(format!("a set knows add, remove, contains and read, not {other}")),
        };
        Ok(op.filter(|_| call.outcome != Outcome::Fail).map_or(Decoded::Nothing, Decoded::Op))
    }

    fn step(&self, state: &BTreeSet<ValueId>, op: &Op) -> Option<BTreeSet<ValueId>> {
        let mut next = state.clone();
        self.apply(&mut next, op).then_some(next)
    }

    fn apply(&self, state: &mut BTreeSet<ValueId>, op: &Op) -> bool {
        match op {
            Op::Add(element, new) => {
                let is_new = state.insert(*element);
                new.is_none_or(|said| said == is_new)
            }
            Op::Remove(element, there) => {
                let was_there = state.remove(element);
                there.is_none_or(|said| said == was_there)
            }
            Op::Contains(element, there) => state.contains(element) == *there,
            Op::Read(elements) => elements.len() == state.len() && elements.iter().eq(state.iter()),
        }
    }

    fn op_bytes(&self, op: &Op) -> usize {
        if let Op::Read(elements) = op { size_of_val(&**elements) } else { 0 }
    }

    fn is_pure(&self, op: &Op) -> bool {
        matches!(op, Op::Contains(..) | Op::Read(_))
    }

    fn state_bytes(&self, state: &BTreeSet<ValueId>) -> usize {
        16 + state.len() * 2 * size_of::<ValueId>()
    }

    fn contradictions(&self) -> &'static [Others] {
        &[Others::SameValues]
    }

    fn collection(&self) -> Option<Collection> {
        Some(Collection::Set)
    }

    fn role<'o>(&self, op: &'o Op) -> Role<'o> {
        match op {
            Op::Add(element, None) => Role::Insert(*element),
            Op::Remove(element, Some(true)) => Role::Remove(*element),
            Op::Add(element, _) => Role::Put(*element),
            Op::Remove(element, _) | Op::Contains(element, _) => Role::Concerns(*element),
            Op::Read(elements) => Role::Read(elements),
        }
    }

    fn deed(&self, op: &Op) -> Deed {
        match *op {
            Op::Add(element, new) => Deed::Enter(element, new),
            Op::Remove(element, there) => Deed::Leave(element, there),
            Op::Contains(element, there) => Deed::Has(element, there),
            Op::Read(_) => Deed::Other,
        }
    }

    fn restrict(&self, op: &Op, keep: &dyn Fn(ValueId) -> bool) -> Option<Op> {
        match op {
            Op::Add(element, _) | Op::Remove(element, _) | Op::Contains(element, _) => keep(*element).then(|| op.clone()),
            Op::Read(elements) => Some(Op::Read(elements.iter().copied().filter(|&element| keep(element)).collect())),
        }
    }

    fn tell_op(&self, op: &Op, _: bool, values: &Values) -> Vec<Words> {
        let value = |value: &ValueId| Words::Value(values.display(*value));
        match op {
            Op::Add(element, _) => vec![text("added "), value(element)],
            Op::Remove(element, Some(false)) => vec![text("found no "), value(element), text(" to remove")],
            Op::Remove(element, _) => vec![text("removed "), value(element)],
            Op::Contains(element, true) => vec![text("found "), value(element)],
            Op::Contains(element, false) => vec![text("found no "), value(element)],
            Op::Read(elements) => vec![text("read "), Words::Value(show_list(elements.iter().map(|e| values.display(*e))))],
        }
    }

    fn show_op(&self, op: &Op, values: &Values) -> String {
        match op {
            Op::Add(element, _) => format!("add {}", values.display(*element)),
            Op::Remove(element, _) => format!("remove {}", values.display(*element)),
            Op::Contains(element, there) => format!("contains {}→{there}", values.display(*element)),
            Op::Read(elements) => format!("r→{}", show_list(elements.iter().map(|e| values.display(*e)))),
        }
    }

    fn show_state(&self, state: &BTreeSet<ValueId>, values: &Values) -> String {
        show_list(state.iter().map(|e| values.display(*e)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_sorted_however_they_come() {
        let elements = |numbers: &mut dyn Iterator<Item = i64>| numbers.filter_map(ValueId::small_int).collect::<Vec<_>>();
        let sorted = elements(&mut (0..500));
        for step in [1, 3, 499, 251] {
            let mut shuffled = elements(&mut (0..500).map(|i| i * step % 500));
            let mut twisted = elements(&mut (0..500).map(|i| (i / 5) * 5 + (4 - i % 5)));
            sort(&mut shuffled);
            sort(&mut twisted);
            assert!(shuffled == sorted && twisted == sorted, "{step}");
        }
        sort(&mut []);
    }
}

//! A stack, last in first out: `push`, `pop`, `peek`.

use super::container::{Container, Names, Op, container, show_list};
use super::{Collection, Model};
use histories::{ValueId, Values};

/// A stack that is empty at first and has no end.
#[derive(Clone, Copy, Debug)]
pub struct Stack;

const NAMES: Names = Names { model: "stack", noun: "stack", insert: ("push", "pushed"), remove: ("pop", "popped"), has_next: true };

impl Container for Stack {
    type State = Vec<ValueId>;

    fn names(&self) -> &'static Names {
        &NAMES
    }

    fn can_happen(&self, state: &Vec<ValueId>, op: Op) -> bool {
        match op {
            Op::Insert(_) => true,
            Op::Remove(value) | Op::Peek(value) => state.last() == Some(&value),
            Op::RemoveAny => !state.is_empty(),
            Op::Empty => state.is_empty(),
        }
    }

    fn happen(&self, state: &mut Vec<ValueId>, op: Op) -> bool {
        match op {
            Op::Insert(value) => state.push(value),
            Op::Remove(_) | Op::RemoveAny => return state.pop().is_some(),
            Op::Peek(_) | Op::Empty => {}
        }
        true
    }
}

impl Model for Stack {
    container!(Vec<ValueId>, |_| Collection::Stack);

    /// The bottom first.
    fn show_state(&self, state: &Vec<ValueId>, values: &Values) -> String {
        show_list(state.iter().map(|&value| values.display(value)))
    }
}

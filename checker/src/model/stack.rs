//! A stack, last in first out: `push`, `pop`.

use super::container::{Names, Op, container, show_list};
use super::{Call, Decoded, Model};
use histories::{ValueId, Values};

/// A stack that is empty at first and has no end.
#[derive(Clone, Copy, Debug)]
pub struct Stack;

const NAMES: Names = Names { noun: "stack", insert: ("push", "pushed"), remove: ("pop", "popped") };

fn decode(call: &Call<'_>) -> Result<Decoded<Op>, String> {
    NAMES.decode(call)
}

fn can_happen(state: &[ValueId], op: Op) -> bool {
    match op {
        Op::Insert(_) => true,
        Op::Remove(value) => state.last() == Some(&value),
        Op::RemoveAny => !state.is_empty(),
        Op::Empty => state.is_empty(),
    }
}

fn happen(state: &mut Vec<ValueId>, op: Op) -> bool {
    match op {
        Op::Insert(value) => state.push(value),
        Op::Remove(_) | Op::RemoveAny => return state.pop().is_some(),
        Op::Empty => {}
    }
    true
}

impl Model for Stack {
    container!(Vec<ValueId>, "stack", Stack);

    /// The bottom first.
    fn show_state(&self, state: &Vec<ValueId>, values: &Values) -> String {
        show_list(state.iter().map(|&value| values.display(value)))
    }
}

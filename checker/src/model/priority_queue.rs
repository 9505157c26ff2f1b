//! A priority queue: `insert` of an integer, `delete-min` that returns the smallest.

use super::container::{Names, Op, container, show_list};
use super::{Call, Decoded, Model};
use histories::Values;
use std::collections::BTreeMap;

/// A priority queue of integers that is empty at first and has no end. The smallest comes out first.
#[derive(Clone, Copy, Debug)]
pub struct PriorityQueue;

/// How many there are of each integer.
type Held = BTreeMap<i64, u32>;

const NAMES: Names = Names { noun: "priority queue", insert: ("insert", "inserted"), remove: ("delete-min", "took out") };

/// Reads an op and makes sure that its value has a rank.
fn decode(call: &Call<'_>) -> Result<Decoded<Op>, String> {
    let decoded = NAMES.decode(call)?;
    if let Decoded::Op(Op::Insert(value) | Op::Remove(value)) = decoded
        && value.as_small_int().is_none()
    {
        return Err(format!("a priority queue orders integers of up to 62 bits; {} is none", call.values.display(value)));
    }
    Ok(decoded)
}

fn smallest(state: &Held) -> Option<i64> {
    state.first_key_value().map(|(value, _)| *value)
}

fn can_happen(state: &Held, op: Op) -> bool {
    match op {
        Op::Insert(_) => true,
        Op::Remove(value) => smallest(state).is_some() && smallest(state) == value.as_small_int(),
        Op::RemoveAny => !state.is_empty(),
        Op::Empty => state.is_empty(),
    }
}

fn happen(state: &mut Held, op: Op) -> bool {
    match op {
        Op::Insert(value) => {
            let Some(value) = value.as_small_int() else { return false };
            *state.entry(value).or_default() += 1;
        }
        Op::Remove(_) | Op::RemoveAny => {
            let Some(mut first) = state.first_entry() else { return false };
            *first.get_mut() -= 1;
            if *first.get() == 0 {
                first.remove();
            }
        }
        Op::Empty => {}
    }
    true
}

impl Model for PriorityQueue {
    container!(Held, "priority-queue", PriorityQueue);

    fn show_state(&self, state: &Held, _: &Values) -> String {
        show_list(state.iter().flat_map(|(value, many)| (0..*many).map(|_| value.to_string())).collect::<Vec<_>>().into_iter())
    }
}

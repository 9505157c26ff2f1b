//! A queue, first in first out: `enqueue`, `dequeue`.

use super::container::{Names, Op, container, show_list};
use super::{Call, Decoded, Model};
use histories::{ValueId, Values};
use std::collections::VecDeque;

/// A queue that is empty at first and has no end.
#[derive(Clone, Copy, Debug)]
pub struct FifoQueue;

const NAMES: Names = Names { noun: "queue", insert: ("enqueue", "enqueued"), remove: ("dequeue", "dequeued") };

fn decode(call: &Call<'_>) -> Result<Decoded<Op>, String> {
    NAMES.decode(call)
}

fn can_happen(state: &VecDeque<ValueId>, op: Op) -> bool {
    match op {
        Op::Insert(_) => true,
        Op::Remove(value) => state.front() == Some(&value),
        Op::RemoveAny => !state.is_empty(),
        Op::Empty => state.is_empty(),
    }
}

fn happen(state: &mut VecDeque<ValueId>, op: Op) -> bool {
    match op {
        Op::Insert(value) => state.push_back(value),
        Op::Remove(_) | Op::RemoveAny => return state.pop_front().is_some(),
        Op::Empty => {}
    }
    true
}

impl Model for FifoQueue {
    container!(VecDeque<ValueId>, "fifo-queue", Queue);

    fn show_state(&self, state: &VecDeque<ValueId>, values: &Values) -> String {
        show_list(state.iter().map(|&value| values.display(value)))
    }
}

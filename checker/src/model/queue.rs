//! A queue, first in first out: `enqueue`, `dequeue`, `peek`.

use super::container::{Container, Names, Op, container, show_list};
use super::{Collection, Model};
use histories::{ValueId, Values};
use std::collections::VecDeque;

/// A queue that is empty at first and has no end.
#[derive(Clone, Copy, Debug)]
pub struct FifoQueue;

const NAMES: Names =
    Names { model: "fifo-queue", noun: "queue", insert: ("enqueue", "enqueued"), remove: ("dequeue", "dequeued"), has_next: true };

impl Container for FifoQueue {
    type State = VecDeque<ValueId>;

    fn names(&self) -> &'static Names {
        &NAMES
    }

    fn can_happen(&self, state: &VecDeque<ValueId>, op: Op) -> bool {
        match op {
            Op::Insert(_) => true,
            Op::Remove(value) | Op::Peek(value) => state.front() == Some(&value),
            Op::RemoveAny => !state.is_empty(),
            Op::Empty => state.is_empty(),
        }
    }

    fn happen(&self, state: &mut VecDeque<ValueId>, op: Op) -> bool {
        match op {
            Op::Insert(value) => state.push_back(value),
            Op::Remove(_) | Op::RemoveAny => return state.pop_front().is_some(),
            Op::Peek(_) | Op::Empty => {}
        }
        true
    }
}

impl Model for FifoQueue {
    container!(VecDeque<ValueId>, |_| Collection::Queue);

    fn show_state(&self, state: &VecDeque<ValueId>, values: &Values) -> String {
        show_list(state.iter().map(|&value| values.display(value)))
    }
}

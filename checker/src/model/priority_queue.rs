//! A priority queue: `insert` of an integer; `delete-min` that returns the smallest, or `delete-max` that returns the greatest; `peek`.

use super::container::{Container, Names, Op, container, show_list};
use super::{Call, Collection, Model};
use histories::Values;
use std::collections::BTreeMap;

/// Which of the integers comes out first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum First {
    /// The smallest.
    Smallest,
    /// The greatest.
    Greatest,
}

impl First {
    /// What comes out first has the least rank.
    pub(crate) fn rank(self, value: i64) -> i64 {
        match self {
            First::Smallest => value,
            First::Greatest => -value,
        }
    }
}

/// A priority queue of integers that is empty at first and has no end.
#[derive(Clone, Copy, Debug)]
pub struct PriorityQueue(pub First);

/// How many there are of each rank.
type Held = BTreeMap<i64, u32>;

const SMALLEST: Names = Names {
    model: "priority-queue",
    noun: "priority queue",
    insert: ("insert", "inserted"),
    remove: ("delete-min", "took out"),
    has_next: true,
};
const GREATEST: Names = Names { model: "max-priority-queue", remove: ("delete-max", "took out"), ..SMALLEST };

impl Container for PriorityQueue {
    type State = Held;

    fn names(&self) -> &'static Names {
        match self.0 {
            First::Smallest => &SMALLEST,
            First::Greatest => &GREATEST,
        }
    }

    /// Values must have a rank, and functions that say which end they mean must mean this one.
    fn refuse(&self, call: &Call<'_>, op: Op) -> Option<String> {
        let (other_end, other) = match self.0 {
            First::Smallest => ("max", &GREATEST),
            First::Greatest => ("min", &SMALLEST),
        };
        if call.f.ends_with(other_end) {
            return Some(format!("{} is of the model {}, not of {}", call.f, other.model, self.name()));
        }
        match op {
            Op::Insert(value) | Op::Remove(value) | Op::Peek(value) if value.as_small_int().is_none() => {
                Some(format!("a priority queue orders integers of up to 62 bits; {} is none", call.values.display(value)))
            }
            Op::Insert(_) | Op::Remove(_) | Op::Peek(_) | Op::RemoveAny | Op::Empty => None,
        }
    }

    fn can_happen(&self, state: &Held, op: Op) -> bool {
        match op {
            Op::Insert(_) => true,
            Op::Remove(value) | Op::Peek(value) => {
                let next = state.first_key_value().map(|(rank, _)| *rank);
                next.is_some() && next == value.as_small_int().map(|value| self.0.rank(value))
            }
            Op::RemoveAny => !state.is_empty(),
            Op::Empty => state.is_empty(),
        }
    }

    fn happen(&self, state: &mut Held, op: Op) -> bool {
        match op {
            Op::Insert(value) => {
                let Some(value) = value.as_small_int() else { return false };
                *state.entry(self.0.rank(value)).or_default() += 1;
            }
            Op::Remove(_) | Op::RemoveAny => {
                let Some(mut first) = state.first_entry() else { return false };
                *first.get_mut() -= 1;
                if *first.get() == 0 {
                    first.remove();
                }
            }
            Op::Peek(_) | Op::Empty => {}
        }
        true
    }
}

impl Model for PriorityQueue {
    container!(Held, |queue| Collection::PriorityQueue(queue.0));

    /// What comes out first stands first.
    fn show_state(&self, state: &Held, _: &Values) -> String {
        let value = |rank: &i64| self.0.rank(*rank).to_string();
        show_list(state.iter().flat_map(|(rank, many)| (0..*many).map(move |_| value(rank))).collect::<Vec<_>>().into_iter())
    }
}

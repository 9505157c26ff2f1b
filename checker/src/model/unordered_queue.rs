//! A queue without order, or bag: `enqueue`, `dequeue` of any value in it.

use super::container::{Container, Names, Op, container, show_list};
use super::{Collection, Model};
use histories::{ValueId, Values};
use std::collections::BTreeMap;

/// A bag that is empty at first and has no end.
///
/// A dequeue of unknown outcome may have taken any value that was there: which one is left open, as a *debt*. The state is a
/// list of groups of values; the debts of a group are to be paid with values of it or of earlier ones.
#[derive(Clone, Copy, Debug)]
pub struct UnorderedQueue;

/// Values that were put in between two debts, how many of each; and the debts made then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Group {
    values: BTreeMap<ValueId, u32>,
    debts: u32,
}

impl Group {
    fn len(&self) -> u32 {
        self.values.values().sum()
    }
}

const NAMES: Names =
    Names { model: "unordered-queue", noun: "queue", insert: ("enqueue", "enqueued"), remove: ("dequeue", "dequeued"), has_next: false };

impl Container for UnorderedQueue {
    type State = Vec<Group>;

    fn names(&self) -> &'static Names {
        &NAMES
    }

    fn can_happen(&self, state: &Vec<Group>, op: Op) -> bool {
        match op {
            Op::Insert(_) => true,
            Op::Remove(value) => state.iter().any(|group| group.values.contains_key(&value)),
            // Where all values went to pay debts, `settle` has left none.
            Op::RemoveAny => !state.is_empty(),
            // Refused: nobody knows what comes out next.
            Op::Peek(_) => false,
            Op::Empty => state.iter().map(Group::len).sum::<u32>() == state.iter().map(|group| group.debts).sum::<u32>(),
        }
    }

    fn happen(&self, state: &mut Vec<Group>, op: Op) -> bool {
        match op {
            Op::Insert(value) => {
                if state.last().is_none_or(|group| group.debts > 0) {
                    state.push(Group::default());
                }
                let last = state.len() - 1;
                *state[last].values.entry(value).or_default() += 1;
                true
            }
            // The latest copy: earlier ones can pay more debts.
            Op::Remove(value) => {
                let Some(group) = state.iter_mut().rev().find(|group| group.values.contains_key(&value)) else { return false };
                let many = group.values.entry(value).or_default();
                *many -= 1;
                if *many == 0 {
                    group.values.remove(&value);
                }
                settle(state)
            }
            Op::RemoveAny => {
                let last = state.len() - 1;
                state[last].debts += 1;
                settle(state)
            }
            Op::Peek(_) | Op::Empty => true,
        }
    }
}

/// Whether all debts can be paid. Values that are all needed for it are gone; groups without debts join the next.
fn settle(state: &mut Vec<Group>) -> bool {
    let (mut values, mut debts, mut gone) = (0, 0, 0);
    for (i, group) in state.iter().enumerate() {
        values += group.len();
        debts += group.debts;
        if values < debts {
            return false;
        }
        if values == debts {
            gone = i + 1;
        }
    }
    state.drain(..gone);
    let mut i = 0;
    while i + 1 < state.len() {
        if state[i].debts > 0 {
            i += 1;
            continue;
        }
        let Group { values, .. } = state.remove(i);
        for (value, many) in values {
            *state[i].values.entry(value).or_default() += many;
        }
    }
    true
}

impl Model for UnorderedQueue {
    container!(Vec<Group>, |_| Collection::Bag);

    fn show_state(&self, state: &Vec<Group>, values: &Values) -> String {
        let mut all: Vec<String> = Vec::new();
        for (value, many) in state.iter().flat_map(|group| &group.values) {
            all.extend((0..*many).map(|_| values.display(*value)));
        }
        let shown = show_list(all.into_iter());
        match state.iter().map(|group| group.debts).sum::<u32>() {
            0 => shown,
            debts => format!("{shown} less {debts}"),
        }
    }
}

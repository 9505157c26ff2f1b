//! A list: `append` at its end, `read` of the whole.

use super::container::show_list;
use super::{Call, Collection, Decoded, Model, Role, text};
use crate::options::{NilRead, Options};
use crate::verdict::{Others, Words};
use histories::{Outcome, ValueId, Values};
use std::sync::Arc;

/// A list that is empty at first, and only grows.
#[derive(Clone, Copy, Debug)]
pub struct ListAppend {
    nil_read: NilRead,
}

/// An op of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Adds a value at the end.
    Append(ValueId),
    /// All values in their order.
    Read(Arc<[ValueId]>),
}

impl ListAppend {
    /// A list. A read of nil is the empty list unless the options say that its result is unknown: this is how transactional
    /// list histories write it.
    pub fn new(options: &Options) -> ListAppend {
        ListAppend { nil_read: options.nil_read.unwrap_or(NilRead::Missing) }
    }
}

impl Model for ListAppend {
    /// The values.
    type State = Vec<ValueId>;
    type Op = Op;

    fn name(&self) -> &'static str {
        "list-append"
    }

    fn init(&self) -> Vec<ValueId> {
        Vec::new()
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let op = match call.f {
            "append" => Some(Op::Append(call.input)),
            "read" | "r" => match call.output {
                None => None,
                Some(ValueId::NIL) => (self.nil_read == NilRead::Missing).then(|| Op::Read(Arc::from([]))),
                Some(output) => match call.values.elements(output) {
                    Some(values) => Some(Op::Read(values.into())),
                    None => return Err(format!("a list is read as a vector or list, not {}", call.values.display(output))),
                },
            },
            other => return Err(format!("a list knows append of one value and read of all, not {other}")),
        };
        Ok(op.filter(|_| call.outcome != Outcome::Fail).map_or(Decoded::Nothing, Decoded::Op))
    }

    fn step(&self, state: &Vec<ValueId>, op: &Op) -> Option<Vec<ValueId>> {
        match op {
            Op::Append(value) => {
                let mut next = Vec::with_capacity(state.len() + 1);
                next.extend_from_slice(state);
                next.push(*value);
                Some(next)
            }
            Op::Read(values) => (values[..] == state[..]).then(|| state.clone()),
        }
    }

    fn apply(&self, state: &mut Vec<ValueId>, op: &Op) -> bool {
        match op {
            Op::Append(value) => {
                state.push(*value);
                true
            }
            Op::Read(values) => values[..] == state[..],
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        matches!(op, Op::Read(_))
    }

    fn op_bytes(&self, op: &Op) -> usize {
        if let Op::Read(values) = op { size_of_val(&**values) } else { 0 }
    }

    fn state_bytes(&self, state: &Vec<ValueId>) -> usize {
        16 + state.len() * 2 * size_of::<ValueId>()
    }

    fn contradictions(&self) -> &'static [Others] {
        &[Others::SameValues]
    }

    fn collection(&self) -> Option<Collection> {
        Some(Collection::List)
    }

    fn role<'o>(&self, op: &'o Op) -> Role<'o> {
        match op {
            Op::Append(value) => Role::Insert(*value),
            Op::Read(values) => Role::Read(values),
        }
    }

    fn restrict(&self, op: &Op, keep: &dyn Fn(ValueId) -> bool) -> Option<Op> {
        match op {
            Op::Append(value) => keep(*value).then(|| op.clone()),
            Op::Read(values) => Some(Op::Read(values.iter().copied().filter(|&value| keep(value)).collect())),
        }
    }

    fn tell_op(&self, op: &Op, _: bool, values: &Values) -> Vec<Words> {
        match op {
            Op::Append(value) => vec![text("appended "), Words::Value(values.display(*value))],
            Op::Read(list) => vec![text("read "), Words::Value(show_list(list.iter().map(|v| values.display(*v))))],
        }
    }

    fn show_op(&self, op: &Op, values: &Values) -> String {
        match op {
            Op::Append(value) => format!("append {}", values.display(*value)),
            Op::Read(list) => format!("r→{}", show_list(list.iter().map(|v| values.display(*v)))),
        }
    }

    fn show_state(&self, state: &Vec<ValueId>, values: &Values) -> String {
        show_list(state.iter().map(|v| values.display(*v)))
    }
}

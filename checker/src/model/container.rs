//! What queues and stacks have in common: a value goes in, a value comes out, or there was none.

use super::{Call, Decoded, Role, small, text};
use crate::verdict::Words;
use histories::{Outcome, ValueId, Values, View};

/// An op of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Puts a value in.
    Insert(ValueId),
    /// Took this value out.
    Remove(ValueId),
    /// Took a value out and nobody knows which: of unknown outcome.
    RemoveAny,
    /// Found nothing to take out.
    Empty,
}

/// The functions that put a value in, and those that take one out. Each container knows them all: what matters is the model.
const INSERT: [&str; 6] = ["enqueue", "push", "offer", "insert", "put", "add"];
const REMOVE: [&str; 6] = ["dequeue", "pop", "poll", "delete-min", "take", "remove"];

/// How a container speaks of itself.
pub(super) struct Names {
    /// `queue`.
    pub(super) noun: &'static str,
    /// `enqueue`, `enqueued`.
    pub(super) insert: (&'static str, &'static str),
    /// `dequeue`, `dequeued`.
    pub(super) remove: (&'static str, &'static str),
}

impl Names {
    /// Reads an op: the value that went in is the input, the one that came out the output; nil, `:empty` or `:exhausted` came
    /// out of an empty container.
    pub(super) fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let Names { noun, insert: (insert, _), remove: (remove, _) } = self;
        let failed = call.outcome == Outcome::Fail;
        let op = if INSERT.contains(&call.f) {
            if call.input.is_nil() {
                return Err(format!("{} needs the value that goes into the {noun}; nil is what comes out of an empty one", call.f));
            }
            Op::Insert(call.input)
        } else if REMOVE.contains(&call.f) {
            match call.output {
                None => Op::RemoveAny,
                Some(value) if matches!(call.values.view(value), View::Nil | View::Keyword("empty" | "exhausted")) => Op::Empty,
                Some(value) => Op::Remove(value),
            }
        } else if call.f == "drain" {
            return Err(format!("a drain takes many values out at different moments; record each of them as a {remove} of its own"));
        } else {
            return Err(format!("a {noun} knows {insert} of a value and {remove} that returns one (nil if empty), not {}", call.f));
        };
        Ok(if failed { Decoded::Nothing } else { Decoded::Op(op) })
    }

    pub(super) fn tell(&self, op: Op, values: &Values) -> Vec<Words> {
        let value = |value: ValueId| Words::Value(values.display(value));
        let verb = |verb: &str| text(&format!("{verb} "));
        match op {
            Op::Insert(v) => vec![verb(self.insert.1), value(v)],
            Op::Remove(v) => vec![verb(self.remove.1), value(v)],
            Op::RemoveAny => vec![verb(self.remove.1), text("a value that nobody knows")],
            Op::Empty => vec![text(&format!("found the {} empty", self.noun))],
        }
    }

    pub(super) fn show(&self, op: Op, values: &Values) -> String {
        match op {
            Op::Insert(v) => format!("{} {}", self.insert.0, values.display(v)),
            Op::Remove(v) => format!("{}→{}", self.remove.0, values.display(v)),
            Op::RemoveAny => format!("{}→?", self.remove.0),
            Op::Empty => format!("{}→nothing", self.remove.0),
        }
    }
}

impl Op {
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Op::Insert(value) => Some(small(value)? << 1),
            Op::Remove(value) => Some(small(value)? << 1 | 1),
            Op::RemoveAny | Op::Empty => None,
        }
    }

    pub(super) fn role(self) -> Role<'static> {
        match self {
            Op::Insert(v) => Role::Insert(v),
            Op::Remove(v) => Role::Remove(v),
            Op::RemoveAny => Role::RemoveAny,
            Op::Empty => Role::Empty,
        }
    }

    pub(super) fn restrict(self, keep: &dyn Fn(ValueId) -> bool) -> Option<Op> {
        match self {
            Op::Insert(v) | Op::Remove(v) => keep(v).then_some(self),
            Op::RemoveAny | Op::Empty => Some(self),
        }
    }
}

/// Values between brackets; long lists are cut.
pub(super) fn show_list(values: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 20;
    let len = values.len();
    let shown: Vec<String> = values.take(SHOWN).collect();
    let more = if len > SHOWN { format!(" … {len} in all") } else { String::new() };
    format!("[{}{more}]", shown.join(" "))
}

/// The parts of [`super::Model`] that every container answers alike. It says what changes a state in place.
macro_rules! container {
    ($state:ty, $name:literal, $collection:ident) => {
        type State = $state;
        type Op = Op;

        fn name(&self) -> &'static str {
            $name
        }

        fn init(&self) -> Self::State {
            Self::State::default()
        }

        fn decode(&self, call: &$crate::model::Call<'_>) -> Result<$crate::model::Decoded<Op>, String> {
            decode(call)
        }

        fn step(&self, state: &Self::State, op: &Op) -> Option<Self::State> {
            if !can_happen(state, *op) {
                return None;
            }
            let mut next = state.clone();
            self.apply(&mut next, op).then_some(next)
        }

        fn apply(&self, state: &mut Self::State, op: &Op) -> bool {
            can_happen(state, *op) && happen(state, *op)
        }

        /// Lists double when they grow.
        fn state_bytes(&self, state: &Self::State) -> usize {
            16 + state.len() * 2 * size_of::<histories::ValueId>()
        }

        fn op_number(&self, op: &Op) -> Option<u64> {
            op.number()
        }

        fn is_pure(&self, op: &Op) -> bool {
            *op == Op::Empty
        }

        fn contradictions(&self) -> &'static [$crate::verdict::Others] {
            &[$crate::verdict::Others::SameValues]
        }

        fn collection(&self) -> Option<$crate::model::Collection> {
            Some($crate::model::Collection::$collection)
        }

        fn role<'o>(&self, op: &'o Op) -> $crate::model::Role<'o> {
            op.role()
        }

        fn restrict(&self, op: &Op, keep: &dyn Fn(histories::ValueId) -> bool) -> Option<Op> {
            op.restrict(keep)
        }

        fn tell_op(&self, op: &Op, _: bool, values: &Values) -> Vec<$crate::verdict::Words> {
            NAMES.tell(*op, values)
        }

        fn show_op(&self, op: &Op, values: &Values) -> String {
            NAMES.show(*op, values)
        }
    };
}
pub(super) use container;

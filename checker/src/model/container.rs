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
    /// Saw this value, which would come out next, and left it there.
    Peek(ValueId),
    /// Found nothing to take out or to see.
    Empty,
}

/// The functions that put a value in, those that take one out, and those that see which would come out next. Each container knows them
/// all but for those that say in which order: what matters is the model.
const INSERT: [&str; 7] = ["enqueue", "enq", "push", "offer", "insert", "put", "add"];
const REMOVE: [&str; 8] = ["dequeue", "deq", "pop", "poll", "delete-min", "delete-max", "take", "remove"];
const PEEK: [&str; 4] = ["peek", "peek-min", "peek-max", "top"];

/// How a container speaks of itself.
pub(super) struct Names {
    /// The model's name.
    pub(super) model: &'static str,
    /// `queue`.
    pub(super) noun: &'static str,
    /// `enqueue`, `enqueued`.
    pub(super) insert: (&'static str, &'static str),
    /// `dequeue`, `dequeued`.
    pub(super) remove: (&'static str, &'static str),
    /// Whether it is settled what comes out next, so that it can be seen.
    pub(super) has_next: bool,
}

/// What came out, or was seen: nothing came out of an empty container.
pub(super) fn came_out(value: ValueId, values: &Values) -> Option<ValueId> {
    Some(value).filter(|&value| !matches!(values.view(value), View::Nil | View::Keyword("empty" | "exhausted")))
}

impl Names {
    /// Reads an op: the value that went in is the input, the one that came out the output; nil, `:empty` or `:exhausted` came
    /// out of an empty container.
    pub(super) fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let Names { model: _, noun, insert: (insert, _), remove: (remove, _), has_next } = self;
        let failed = call.outcome == Outcome::Fail;
        let op = if INSERT.contains(&call.f) {
            if call.input.is_nil() {
                return Err(format!("{} needs the value that goes into the {noun}; nil is what comes out of an empty one", call.f));
            }
            Op::Insert(call.input)
        } else if REMOVE.contains(&call.f) {
            match call.output {
                None => Op::RemoveAny,
                Some(value) => came_out(value, call.values).map_or(Op::Empty, Op::Remove),
            }
        } else if *has_next && PEEK.contains(&call.f) {
            match call.output {
                None => return Ok(Decoded::Nothing),
                Some(value) => came_out(value, call.values).map_or(Op::Empty, Op::Peek),
            }
        } else if call.f == "drain" {
            return Err(format!("a drain takes many values out at different moments; record each of them as a {remove} of its own"));
        } else {
            let peek = if *has_next { ", and peek" } else { "" };
            return Err(format!("a {noun} knows {insert} of a value and {remove} that returns one (nil if empty){peek}, not {}", call.f));
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
            Op::Peek(v) => vec![verb("peeked at"), value(v)],
            Op::Empty => vec![text(&format!("found the {} empty", self.noun))],
        }
    }

    pub(super) fn show(&self, op: Op, values: &Values) -> String {
        match op {
            Op::Insert(v) => format!("{} {}", self.insert.0, values.display(v)),
            Op::Remove(v) => format!("{}→{}", self.remove.0, values.display(v)),
            Op::RemoveAny => format!("{}→?", self.remove.0),
            Op::Peek(v) => format!("peek→{}", values.display(v)),
            Op::Empty => format!("{}→nothing", self.remove.0),
        }
    }
}

impl Op {
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Op::Insert(value) => Some(small(value)? << 2),
            Op::Remove(value) => Some(small(value)? << 2 | 1),
            Op::Peek(value) => Some(small(value)? << 2 | 2),
            Op::RemoveAny | Op::Empty => None,
        }
    }

    pub(super) fn role(self) -> Role<'static> {
        match self {
            Op::Insert(v) => Role::Insert(v),
            Op::Remove(v) => Role::Remove(v),
            Op::RemoveAny => Role::RemoveAny,
            Op::Peek(v) => Role::Concerns(v),
            Op::Empty => Role::Empty,
        }
    }

    pub(super) fn restrict(self, keep: &dyn Fn(ValueId) -> bool) -> Option<Op> {
        match self {
            Op::Insert(v) | Op::Remove(v) | Op::Peek(v) => keep(v).then_some(self),
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

/// What one container does in its own way.
pub(super) trait Container {
    /// What is in it.
    type State: Default + Clone;

    fn names(&self) -> &'static Names;

    fn can_happen(&self, state: &Self::State, op: Op) -> bool;

    /// Changes the state; false if `op` could not have happened, and then the state is meaningless.
    fn happen(&self, state: &mut Self::State, op: Op) -> bool;

    /// Why it cannot be asked this, though others can.
    fn refuse(&self, call: &Call<'_>, op: Op) -> Option<String> {
        let _ = (call, op);
        None
    }
}

/// [`super::Model`] for a [`Container`], but for how it is shown.
macro_rules! container {
    ($state:ty, $collection:expr) => {
        type State = $state;
        type Op = Op;

        fn name(&self) -> &'static str {
            self.names().model
        }

        fn init(&self) -> $state {
            <$state>::default()
        }

        fn decode(&self, call: &$crate::model::Call<'_>) -> Result<$crate::model::Decoded<Op>, String> {
            let decoded = self.names().decode(call)?;
            let refused = if let $crate::model::Decoded::Op(op) = &decoded { self.refuse(call, *op) } else { None };
            refused.map_or(Ok(decoded), Err)
        }

        fn step(&self, state: &$state, op: &Op) -> Option<$state> {
            if !self.can_happen(state, *op) {
                return None;
            }
            let mut next = state.clone();
            self.happen(&mut next, *op).then_some(next)
        }

        fn apply(&self, state: &mut $state, op: &Op) -> bool {
            self.can_happen(state, *op) && self.happen(state, *op)
        }

        /// Lists double when they grow.
        fn state_bytes(&self, state: &$state) -> usize {
            16 + state.len() * 2 * size_of::<histories::ValueId>()
        }

        fn op_number(&self, op: &Op) -> Option<u64> {
            op.number()
        }

        fn is_pure(&self, op: &Op) -> bool {
            matches!(op, Op::Peek(_) | Op::Empty)
        }

        fn contradictions(&self) -> &'static [$crate::verdict::Others] {
            &[$crate::verdict::Others::SameValues]
        }

        fn collection(&self) -> Option<$crate::model::Collection> {
            let collection: fn(&Self) -> $crate::model::Collection = $collection;
            Some(collection(self))
        }

        fn role<'o>(&self, op: &'o Op) -> $crate::model::Role<'o> {
            op.role()
        }

        fn restrict(&self, op: &Op, keep: &dyn Fn(histories::ValueId) -> bool) -> Option<Op> {
            op.restrict(keep)
        }

        fn tell_op(&self, op: &Op, _: bool, values: &Values) -> Vec<$crate::verdict::Words> {
            self.names().tell(*op, values)
        }

        fn show_op(&self, op: &Op, values: &Values) -> String {
            self.names().show(*op, values)
        }
    };
}
pub(super) use container;

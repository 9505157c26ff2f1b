//! A queue with two ends: `push-front`, `push-back`, `pop-front`, `pop-back`, `peek-front`, `peek-back`.

use super::container::{came_out, show_list};
use super::{Call, Decoded, Model, Role, small, text};
use crate::verdict::{Others, Words};
use histories::{Outcome, ValueId, Values};
use std::collections::VecDeque;

/// A deque that is empty at first and has no end to its room.
#[derive(Clone, Copy, Debug)]
pub struct Deque;

/// Where something goes in or comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The first value is there.
    Front,
    /// The last value is there.
    Back,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            End::Front => "front",
            End::Back => "back",
        }
    }
}

/// An op of a deque.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Puts a value in.
    Push(End, ValueId),
    /// Took this value out.
    Pop(End, ValueId),
    /// Took a value out and nobody knows which: of unknown outcome.
    PopAny(End),
    /// Saw this value, and left it there.
    Peek(End, ValueId),
    /// Found nothing to take out or to see.
    Empty,
}

fn at(state: &VecDeque<ValueId>, end: End) -> Option<ValueId> {
    match end {
        End::Front => state.front().copied(),
        End::Back => state.back().copied(),
    }
}

fn can_happen(state: &VecDeque<ValueId>, op: Op) -> bool {
    match op {
        Op::Push(..) => true,
        Op::Pop(end, value) | Op::Peek(end, value) => at(state, end) == Some(value),
        Op::PopAny(_) => !state.is_empty(),
        Op::Empty => state.is_empty(),
    }
}

fn happen(state: &mut VecDeque<ValueId>, op: Op) -> bool {
    match op {
        Op::Push(End::Front, value) => state.push_front(value),
        Op::Push(End::Back, value) => state.push_back(value),
        Op::Pop(End::Front, _) | Op::PopAny(End::Front) => return state.pop_front().is_some(),
        Op::Pop(End::Back, _) | Op::PopAny(End::Back) => return state.pop_back().is_some(),
        Op::Peek(..) | Op::Empty => {}
    }
    true
}

/// What a function does, and at which end: `push-front`, `push_front`.
fn read(f: &str) -> Option<(&str, End)> {
    let (act, end) = f.split_once(['-', '_'])?;
    let end = match end {
        "front" | "first" | "left" => End::Front,
        "back" | "last" | "right" => End::Back,
        _ => return None,
    };
    matches!(act, "push" | "pop" | "peek").then_some((act, end))
}

impl Model for Deque {
    type State = VecDeque<ValueId>;
    type Op = Op;

    fn name(&self) -> &'static str {
        "deque"
    }

    fn init(&self) -> VecDeque<ValueId> {
        VecDeque::new()
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let Some((act, end)) = read(call.f) else {
            let known =
                "push-front and push-back of a value, and pop-front, pop-back, peek-front, peek-back that return one (nil if empty)";
            return Err(format!("a deque knows {known}, not {}", call.f));
        };
        if act == "push" && call.input.is_nil() {
            return Err(format!("{} needs the value that goes into the deque; nil is what comes out of an empty one", call.f));
        }
        let out = call.output.map(|value| came_out(value, call.values));
        Ok(match (act, out) {
            _ if call.outcome == Outcome::Fail => Decoded::Nothing,
            ("push", _) => Decoded::Op(Op::Push(end, call.input)),
            (_, Some(None)) => Decoded::Op(Op::Empty),
            ("pop", Some(Some(value))) => Decoded::Op(Op::Pop(end, value)),
            ("pop", None) => Decoded::Op(Op::PopAny(end)),
            (_, Some(Some(value))) => Decoded::Op(Op::Peek(end, value)),
            (_, None) => Decoded::Nothing,
        })
    }

    fn step(&self, state: &VecDeque<ValueId>, op: &Op) -> Option<VecDeque<ValueId>> {
        if !can_happen(state, *op) {
            return None;
        }
        let mut next = state.clone();
        happen(&mut next, *op).then_some(next)
    }

    fn apply(&self, state: &mut VecDeque<ValueId>, op: &Op) -> bool {
        can_happen(state, *op) && happen(state, *op)
    }

    /// Lists double when they grow.
    fn state_bytes(&self, state: &VecDeque<ValueId>) -> usize {
        16 + state.len() * 2 * size_of::<ValueId>()
    }

    fn op_number(&self, op: &Op) -> Option<u64> {
        let (kind, end, value) = match *op {
            Op::Push(end, value) => (0, end, value),
            Op::Pop(end, value) => (1, end, value),
            Op::Peek(end, value) => (2, end, value),
            Op::PopAny(_) | Op::Empty => return None,
        };
        Some(small(value)? * 6 + kind * 2 + u64::from(end == End::Back))
    }

    fn is_pure(&self, op: &Op) -> bool {
        matches!(op, Op::Peek(..) | Op::Empty)
    }

    fn contradictions(&self) -> &'static [Others] {
        &[Others::SameValues]
    }

    fn role<'o>(&self, op: &'o Op) -> Role<'o> {
        match *op {
            Op::Push(_, value) => Role::Insert(value),
            Op::Pop(_, value) => Role::Remove(value),
            Op::PopAny(_) => Role::RemoveAny,
            Op::Peek(_, value) => Role::Concerns(value),
            Op::Empty => Role::Empty,
        }
    }

    /// Each value goes its own way: what is left of a legal order is one.
    fn restrict(&self, op: &Op, keep: &dyn Fn(ValueId) -> bool) -> Option<Op> {
        match *op {
            Op::Push(_, value) | Op::Pop(_, value) | Op::Peek(_, value) => keep(value).then_some(*op),
            Op::PopAny(_) | Op::Empty => Some(*op),
        }
    }

    fn tell_op(&self, op: &Op, _: bool, values: &Values) -> Vec<Words> {
        let value = |value: ValueId| Words::Value(values.display(value));
        let at = |end: End| text(&format!(" at the {}", end.name()));
        match *op {
            Op::Push(end, v) => vec![text("pushed "), value(v), at(end)],
            Op::Pop(end, v) => vec![text("popped "), value(v), at(end)],
            Op::PopAny(end) => vec![text("popped a value that nobody knows"), at(end)],
            Op::Peek(end, v) => vec![text("peeked at "), value(v), at(end)],
            Op::Empty => vec![text("found the deque empty")],
        }
    }

    fn show_op(&self, op: &Op, values: &Values) -> String {
        match *op {
            Op::Push(end, v) => format!("push-{} {}", end.name(), values.display(v)),
            Op::Pop(end, v) => format!("pop-{}→{}", end.name(), values.display(v)),
            Op::PopAny(end) => format!("pop-{}→?", end.name()),
            Op::Peek(end, v) => format!("peek-{}→{}", end.name(), values.display(v)),
            Op::Empty => "→nothing".into(),
        }
    }

    /// The front first.
    fn show_state(&self, state: &VecDeque<ValueId>, values: &Values) -> String {
        show_list(state.iter().map(|&value| values.display(value)))
    }
}

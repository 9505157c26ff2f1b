//! A lock that gives a token to each holder: `acquire` returns one, greater than all before; `release`.

use super::{Call, Decoded, Deed, Model, Role, Tally, text};
use crate::verdict::{Others, Words};
use histories::{Outcome, ValueId, Values};

/// A lock that one holder has at a time, whose tokens grow. It does not ask who releases it.
#[derive(Clone, Copy, Debug)]
pub struct FencingLock;

/// An op of a fencing lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Takes the lock and returns this token.
    Acquire(i64),
    /// Takes the lock; nobody knows the token.
    AcquireUnknown,
    /// Gives it back.
    Release,
    /// The token was given out; nothing is said of who holds the lock. Only in contradictions about tokens.
    Granted(i64),
}

/// The state of a fencing lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    held: bool,
    /// The last token, if it is known; otherwise the least that it can be. (A lesser one allows all that a greater one does.)
    last: i128,
}

impl Model for FencingLock {
    type State = State;
    type Op = Op;

    fn name(&self) -> &'static str {
        "fencing-lock"
    }

    fn init(&self) -> State {
        State { held: false, last: i128::MIN }
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let op = match (call.f, call.output) {
            ("acquire", None) => Op::AcquireUnknown,
            ("acquire", Some(token)) => match call.values.as_int(token) {
                // In words that fit a state and an explanation alike.
                Some(token) if ValueId::small_int(token).is_some() => Op::Acquire(token),
                _ => return Err(format!("acquire returns its token, an integer of up to 62 bits, not {}", call.values.display(token))),
            },
            ("release", _) => Op::Release,
            (other, _) => return Err(format!("a fencing lock knows acquire, which returns a token, and release, not {other}")),
        };
        Ok(if call.outcome == Outcome::Fail { Decoded::Nothing } else { Decoded::Op(op) })
    }

    fn step(&self, state: &State, op: &Op) -> Option<State> {
        let newer = |token: i64| i128::from(token) > state.last;
        match *op {
            Op::Acquire(token) => (!state.held && newer(token)).then_some(State { held: true, last: token.into() }),
            Op::AcquireUnknown => (!state.held).then(|| State { held: true, last: state.last.max(i128::from(i64::MIN)) + 1 }),
            Op::Release => state.held.then_some(State { held: false, ..*state }),
            Op::Granted(token) => newer(token).then_some(State { last: token.into(), ..*state }),
        }
    }

    fn contradictions(&self) -> &'static [Others] {
        &[Others::SameValues, Others::AtMostOnce]
    }

    fn role<'o>(&self, op: &'o Op) -> Role<'o> {
        match *op {
            Op::Acquire(token) | Op::Granted(token) => ValueId::small_int(token).map_or(Role::Other, Role::Insert),
            Op::AcquireUnknown | Op::Release => Role::Other,
        }
    }

    /// Without the other tokens nothing can be said of who holds the lock, only that the tokens grow.
    fn restrict(&self, op: &Op, keep: &dyn Fn(ValueId) -> bool) -> Option<Op> {
        match *op {
            Op::Acquire(token) | Op::Granted(token) => ValueId::small_int(token).filter(|&token| keep(token)).map(|_| Op::Granted(token)),
            Op::AcquireUnknown | Op::Release => None,
        }
    }

    fn tally(&self) -> Option<Tally> {
        Some(Tally::Tokens)
    }

    fn deed(&self, op: &Op) -> Deed {
        match *op {
            Op::Acquire(token) => Deed::Take { permits: 1, by: 0, token: Some(token) },
            Op::AcquireUnknown => Deed::Take { permits: 1, by: 0, token: None },
            Op::Release => Deed::GiveBack { permits: 1, by: 0 },
            Op::Granted(_) => Deed::Other,
        }
    }

    fn tell_op(&self, op: &Op, _: bool, _: &Values) -> Vec<Words> {
        match op {
            Op::Acquire(token) | Op::Granted(token) => vec![text("acquired the lock with token "), Words::Value(token.to_string())],
            Op::AcquireUnknown => vec![text("acquired the lock")],
            Op::Release => vec![text("released the lock")],
        }
    }

    fn show_op(&self, op: &Op, _: &Values) -> String {
        match op {
            Op::Acquire(token) | Op::Granted(token) => format!("acquire→{token}"),
            Op::AcquireUnknown => "acquire→?".into(),
            Op::Release => "release".into(),
        }
    }

    fn show_state(&self, state: &State, _: &Values) -> String {
        let held = if state.held { "held" } else { "free" };
        if state.last < i128::from(i64::MIN) { held.into() } else { format!("{held}, token {}", state.last) }
    }
}

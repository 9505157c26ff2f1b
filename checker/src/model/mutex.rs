//! A mutex: `acquire`, `release`.

use super::{Call, Decoded, Deed, Model, Sees, Tally, text};
use crate::verdict::{Others, Words};
use histories::{Outcome, Values};

/// A lock that one holder has at a time. It does not ask who releases it.
#[derive(Clone, Copy, Debug)]
pub struct Mutex;

/// An op of a mutex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Takes the lock; it must be free.
    Acquire,
    /// Gives it back; it must be held.
    Release,
}

impl Model for Mutex {
    /// Whether the lock is held.
    type State = bool;
    type Op = Op;

    fn name(&self) -> &'static str {
        "mutex"
    }

    fn init(&self) -> bool {
        false
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let op = match call.f {
            "acquire" => Op::Acquire,
            "release" => Op::Release,
            other => return Err(format!("a mutex knows acquire and release, not {other}")),
        };
        Ok(if call.outcome == Outcome::Fail { Decoded::Nothing } else { Decoded::Op(op) })
    }

    fn step(&self, held: &bool, op: &Op) -> Option<bool> {
        match (op, held) {
            (Op::Acquire, false) => Some(true),
            (Op::Release, true) => Some(false),
            _ => None,
        }
    }

    fn sees(&self, op: &Op) -> Sees<bool> {
        Sees::Only(*op == Op::Release)
    }

    fn contradictions(&self) -> &'static [Others] {
        &[Others::AnyNumber, Others::AtMostOnce]
    }

    fn tally(&self) -> Option<Tally> {
        Some(Tally::Permits(1))
    }

    fn deed(&self, op: &Op) -> Deed {
        match op {
            Op::Acquire => Deed::Take { permits: 1, by: 0, token: None },
            Op::Release => Deed::GiveBack { permits: 1, by: 0 },
        }
    }

    fn tell_op(&self, op: &Op, _: bool, _: &Values) -> Vec<Words> {
        vec![text(match op {
            Op::Acquire => "acquired the lock",
            Op::Release => "released the lock",
        })]
    }

    fn tell_absence(&self, held: &bool, again: bool, _: &Values) -> Vec<Words> {
        vec![text(match (held, again) {
            (false, _) => "nobody released it in between",
            (true, false) => "nobody acquired it",
            (true, true) => "nobody acquired it again",
        })]
    }

    fn show_op(&self, op: &Op, _: &Values) -> String {
        match op {
            Op::Acquire => "acquire".into(),
            Op::Release => "release".into(),
        }
    }

    fn show_state(&self, held: &bool, _: &Values) -> String {
        if *held { "held".into() } else { "free".into() }
    }
}

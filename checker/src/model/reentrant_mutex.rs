//! A mutex that its holder may take again: `acquire`, `release`, by whom.

use super::{Call, Decoded, Deed, Model, Tally, text};
use crate::verdict::{Others, Words};
use histories::{Outcome, Values};

/// A lock that one process holds at a time, as often as it likes; it is free again when it was released as often.
#[derive(Clone, Copy, Debug)]
pub struct ReentrantMutex;

/// An op of a reentrant mutex, with the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Takes the lock: nobody else may hold it.
    Acquire(u32),
    /// Gives it back once: the process must hold it.
    Release(u32),
}

impl Model for ReentrantMutex {
    /// Who holds it, and how often; nobody: 0 times.
    type State = (u32, u32);
    type Op = Op;

    fn name(&self) -> &'static str {
        "reentrant-mutex"
    }

    fn init(&self) -> (u32, u32) {
        (0, 0)
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let op = match call.f {
            "acquire" => Op::Acquire(call.process),
            "release" => Op::Release(call.process),
            other => return Err(format!("a reentrant mutex knows acquire and release, not {other}")),
        };
        Ok(if call.outcome == Outcome::Fail { Decoded::Nothing } else { Decoded::Op(op) })
    }

    fn step(&self, &(holder, times): &(u32, u32), op: &Op) -> Option<(u32, u32)> {
        match *op {
            Op::Acquire(process) => (times == 0 || holder == process).then_some((process, times + 1)),
            Op::Release(process) if times == 0 || holder != process => None,
            Op::Release(_) => Some(if times == 1 { (0, 0) } else { (holder, times - 1) }),
        }
    }

    fn contradictions(&self) -> &'static [Others] {
        &[Others::AtMostOnce]
    }

    fn tally(&self) -> Option<Tally> {
        Some(Tally::Holds)
    }

    fn deed(&self, op: &Op) -> Deed {
        match *op {
            Op::Acquire(by) => Deed::Take { permits: 1, by, token: None },
            Op::Release(by) => Deed::GiveBack { permits: 1, by },
        }
    }

    fn tell_op(&self, op: &Op, _: bool, _: &Values) -> Vec<Words> {
        vec![text(match op {
            Op::Acquire(_) => "acquired the lock",
            Op::Release(_) => "released the lock",
        })]
    }

    fn show_op(&self, op: &Op, _: &Values) -> String {
        match op {
            Op::Acquire(_) => "acquire".into(),
            Op::Release(_) => "release".into(),
        }
    }

    fn show_state(&self, &(_, times): &(u32, u32), _: &Values) -> String {
        if times == 0 { "free".into() } else { format!("held ×{times}") }
    }
}

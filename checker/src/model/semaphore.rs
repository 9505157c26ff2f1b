//! A semaphore: `acquire` and `release` of permits.

use super::{Call, Decoded, Deed, Model, Tally, text};
use crate::options::Options;
use crate::verdict::{Others, Words};
use histories::{Outcome, Values};

/// A number of permits that are taken and given back. It does not ask who gives them back.
#[derive(Clone, Copy, Debug)]
pub struct Semaphore {
    permits: u32,
}

/// An op of a semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Takes so many permits, which must be there.
    Acquire(u32),
    /// Gives so many back, which must have been taken.
    Release(u32),
}

impl Semaphore {
    /// A semaphore with the permits of the options; without them, one.
    pub fn new(options: &Options) -> Semaphore {
        Semaphore { permits: options.permits.unwrap_or(1) }
    }
}

impl Model for Semaphore {
    /// Permits that are there.
    type State = u32;
    type Op = Op;

    fn name(&self) -> &'static str {
        "semaphore"
    }

    fn init(&self) -> u32 {
        self.permits
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let many = || {
            let told = if call.input.is_nil() { Some(1) } else { call.values.as_int(call.input) };
            let many = told.and_then(|many| u32::try_from(many).ok()).filter(|&many| many > 0);
            many.ok_or_else(|| format!("{} takes a number of permits, not {}", call.f, call.values.display(call.input)))
        };
        let op = match call.f {
            "acquire" => Op::Acquire(many()?),
            "release" => Op::Release(many()?),
            other => return Err(format!("a semaphore knows acquire and release, not {other}")),
        };
        Ok(if call.outcome == Outcome::Fail { Decoded::Nothing } else { Decoded::Op(op) })
    }

    fn step(&self, state: &u32, op: &Op) -> Option<u32> {
        match *op {
            Op::Acquire(many) => state.checked_sub(many),
            Op::Release(many) => state.checked_add(many).filter(|there| *there <= self.permits),
        }
    }

    fn contradictions(&self) -> &'static [Others] {
        &[Others::AnyNumber, Others::AtMostOnce]
    }

    fn tally(&self) -> Option<Tally> {
        Some(Tally::Permits(self.permits))
    }

    fn deed(&self, op: &Op) -> Deed {
        match *op {
            Op::Acquire(permits) => Deed::Take { permits, by: 0, token: None },
            Op::Release(permits) => Deed::GiveBack { permits, by: 0 },
        }
    }

    fn tell_op(&self, op: &Op, _: bool, _: &Values) -> Vec<Words> {
        let (verb, many) = match op {
            Op::Acquire(many) => ("acquired", many),
            Op::Release(many) => ("released", many),
        };
        vec![text(&format!("{verb} {many} permit{}", if *many == 1 { "" } else { "s" }))]
    }

    fn show_op(&self, op: &Op, _: &Values) -> String {
        match op {
            Op::Acquire(many) => format!("acquire {many}"),
            Op::Release(many) => format!("release {many}"),
        }
    }

    fn show_state(&self, state: &u32, _: &Values) -> String {
        format!("{state} of {}", self.permits)
    }
}

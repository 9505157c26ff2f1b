//! A counter: `add` of a number, `inc`, `dec`, `read`. With one client at a time a replicated one (g-counter, pn-counter) is the same.

use super::{Call, Decoded, Deed, Model, Tally, text};
use crate::options::Options;
use crate::verdict::Words;
use histories::{Outcome, Value, Values};

/// The name of a counter that never goes down.
const GROW_ONLY: &str = "g-counter";

/// A counter that starts at a number.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    initial: i128,
    name: &'static str,
}

/// An op of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Adds to it; less than nothing to take away.
    Add(i64),
    /// Returns its number.
    Read(i64),
}

impl Counter {
    /// A counter, by the name that the options give it, that starts at their initial value, or at 0.
    ///
    /// # Errors
    /// An initial value that is no number.
    pub fn new(options: &Options) -> Result<Counter, String> {
        let name = match options.model.as_str() {
            GROW_ONLY => GROW_ONLY,
            "pn-counter" => "pn-counter",
            _ => "counter",
        };
        match &options.initial {
            None | Some(Value::Nil) => Ok(Counter { initial: 0, name }),
            Some(value) => match value.as_int() {
                Some(number) => Ok(Counter { initial: number.into(), name }),
                None => Err(format!("a counter starts at a whole number, not {value}; give one with --initial")),
            },
        }
    }
}

impl Model for Counter {
    /// Wide enough for any sum.
    type State = i128;
    type Op = Op;

    fn name(&self) -> &'static str {
        self.name
    }

    fn init(&self) -> i128 {
        self.initial
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let number = |value| call.values.as_int(value);
        let amount = || match call.input {
            nil if nil.is_nil() => Ok(1),
            input => number(input).ok_or_else(|| format!("{} takes a whole number, not {}", call.f, call.values.display(input))),
        };
        let op = match call.f {
            "add" | "inc" | "increment" => Some(Op::Add(amount()?)),
            "dec" | "decrement" => {
                Some(Op::Add(amount()?.checked_neg().ok_or("a counter does not go down by the smallest number of 64 bits")?))
            }
            "read" => match call.output {
                None => None,
                Some(output) if output.is_nil() => None,
                Some(output) => match number(output) {
                    Some(seen) => Some(Op::Read(seen)),
                    None => return Err(format!("a counter is read as a whole number, not {}", call.values.display(output))),
                },
            },
            other => return Err(format!("a counter knows add, inc, dec and read, not {other}")),
        };
        let failed = call.outcome == Outcome::Fail;
        if let Some(Op::Add(amount @ ..0)) = op.filter(|_| self.name == GROW_ONLY && !failed) {
            return Err(format!("a g-counter only grows, not by {amount}"));
        }
        // To add nothing changes nothing.
        Ok(op.filter(|op| !failed && *op != Op::Add(0)).map_or(Decoded::Nothing, Decoded::Op))
    }

    fn step(&self, state: &i128, op: &Op) -> Option<i128> {
        match *op {
            Op::Add(amount) => state.checked_add(amount.into()),
            Op::Read(seen) => (*state == seen.into()).then_some(*state),
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        matches!(op, Op::Read(_))
    }

    fn tally(&self) -> Option<Tally> {
        Some(Tally::Number(self.initial))
    }

    fn deed(&self, op: &Op) -> Deed {
        match *op {
            Op::Add(amount) => Deed::Add(amount),
            Op::Read(seen) => Deed::Saw(seen),
        }
    }

    fn tell_op(&self, op: &Op, _: bool, _: &Values) -> Vec<Words> {
        match op {
            Op::Add(amount) => vec![text("added "), Words::Value(amount.to_string())],
            Op::Read(seen) => vec![text("read "), Words::Value(seen.to_string())],
        }
    }

    fn show_op(&self, op: &Op, _: &Values) -> String {
        match op {
            Op::Add(amount) => format!("add {amount}"),
            Op::Read(seen) => format!("r→{seen}"),
        }
    }

    fn show_state(&self, state: &i128, _: &Values) -> String {
        state.to_string()
    }
}

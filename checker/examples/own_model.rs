//! A model of your own in fifty lines: a switch that clients toggle and look at.
//!
//! `cargo run -p rashomon-checker --example own_model`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use rashomon_checker::histories::{Outcome, ValueId};
use rashomon_checker::model::{Call, Decoded, Model};

/// A switch, off at first.
struct Switch;

/// What clients do with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Op {
    Toggle,
    Look(bool),
}

impl Model for Switch {
    type State = bool;
    type Op = Op;

    fn name(&self) -> &'static str {
        "switch"
    }

    fn init(&self) -> bool {
        false
    }

    /// Failed ops did not happen, and a look whose answer never came says nothing.
    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        Ok(match (call.f, call.output) {
            _ if call.outcome == Outcome::Fail => Decoded::Nothing,
            ("toggle", _) => Decoded::Op(Op::Toggle),
            ("look", None) => Decoded::Nothing,
            ("look", Some(seen)) => Decoded::Op(Op::Look(seen == ValueId::TRUE)),
            (other, _) => return Err(format!("a switch knows toggle and look, not {other}")),
        })
    }

    fn step(&self, on: &bool, op: &Op) -> Option<bool> {
        match op {
            Op::Toggle => Some(!on),
            Op::Look(seen) => (on == seen).then_some(*on),
        }
    }

    /// Not needed, but the search is faster if it knows which ops change nothing.
    fn is_pure(&self, op: &Op) -> bool {
        matches!(op, Op::Look(_))
    }
}

fn main() -> Result<(), String> {
    use rashomon_checker::histories::{Builder, Kind, Value};
    use rashomon_checker::{Answer, Budget, Options, check_linearizable_with};

    let mut history = Builder::new();
    let mut event = |process, kind, f, value| history.event(process, kind, f, &value, 0);
    event(0, Kind::Invoke, "toggle", Value::Nil);
    event(0, Kind::Ok, "toggle", Value::Nil);
    event(1, Kind::Invoke, "look", Value::Nil);
    event(1, Kind::Ok, "look", Value::Bool(true));
    event(2, Kind::Invoke, "look", Value::Nil);
    event(2, Kind::Ok, "look", Value::Bool(false));
    let verdict = check_linearizable_with(&Switch, &history.finish(), &Options::default(), &Budget::unlimited())?;
    let Answer::Invalid(found) = &verdict.keys[0].answer else { return Err("the switch went off by itself, unnoticed".into()) };
    println!("{}: {} operations contradict each other", verdict.answer.name(), found.needed.len());
    Ok(())
}

/// `cargo test` runs the example too.
#[test]
fn finds_the_contradiction() {
    assert_eq!(main(), Ok(()));
}

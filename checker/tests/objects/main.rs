//! The definition against the engine, for every model that `oracle.rs` does not ask about: queues, sets, locks and so on.
//!
//! Nothing here is shared with the checker. Each object is one function in plain integers: all that a call can return in a
//! state, with the state that follows. An order is looked for by trying all of them (Herlihy and Wing 1990). Every witness is
//! replayed, and every contradiction is re-checked against what the documentation of `Counterexample` claims.
//!
//! First every history of up to four ops, however they overlap (more with `RASHOMON_TEST_SIZE` 4 or above); then random ones of
//! up to ten, most of them as an honest object would answer. `RASHOMON_TEST_SIZE` multiplies their number.

#![allow(clippy::unwrap_used, reason = "tests")]

mod collections;
mod definition;
mod locks;
mod random;
mod stores;

use definition::{Interval, Object, State, check_core, check_witness, order_exists};
use histories::{Builder, History, Kind, OpId, Value};
use rashomon_checker::{Answer, Budget, Options, check_linearizable};

#[derive(Default)]
struct Tally {
    valid: usize,
    invalid: usize,
}

fn size() -> f64 {
    std::env::var("RASHOMON_TEST_SIZE").ok().map_or(1.0, |s| s.parse().expect("RASHOMON_TEST_SIZE is a number"))
}

/// Compares the checker with the definition on one history.
fn judge(object: &Object, history: &History, ops: &[Interval], tally: &mut Tally, what: &dyn Fn() -> String) {
    let options = Options { model: object.model.into(), keyed: Some(false), ..object.options.clone() };
    let expected = order_exists(object, ops);
    let verdict = check_linearizable(history, &options, &Budget::unlimited()).unwrap();
    let context = || format!("{}: {}\n{ops:#?}\n{:?}", object.model, what(), verdict.keys);
    match (&verdict.keys[0].answer, expected) {
        (Answer::Valid(witness), true) => {
            tally.valid += 1;
            check_witness(object, ops, &witness.order).unwrap_or_else(|why| panic!("{why}: {}", context()));
        }
        (Answer::Invalid(found), false) => {
            tally.invalid += 1;
            check_core(object, ops, found).unwrap_or_else(|why| panic!("{why}: {}", context()));
        }
        _ => panic!("expected {}: {}", if expected { "valid" } else { "invalid" }, context()),
    }
}

/// A history as it is built: which act was invoked, when, and when it returned.
#[derive(Clone, Default)]
struct Partial {
    ops: Vec<(usize, usize, Option<usize>)>,
    events: usize,
}

/// Every history of up to `most_ops` of the object's acts, however they overlap; a call that never returns is of unknown outcome.
fn exhaust(object: &Object, most_ops: usize) {
    let most_ops = most_ops + usize::from(size() >= 4.0);
    let (mut tally, mut seen) = (Tally::default(), 0);
    let mut unfinished = vec![Partial::default()];
    while let Some(partial) = unfinished.pop() {
        if partial.ops.len() < most_ops {
            for act in 0..object.acts.len() {
                let busy = |op: &(usize, usize, Option<usize>)| op.2.is_none() && object.acts[op.0].1 == object.acts[act].1;
                if object.by_process && partial.ops.iter().any(busy) {
                    continue;
                }
                let mut next = partial.clone();
                next.ops.push((act, next.events, None));
                next.events += 1;
                unfinished.push(next);
            }
        }
        for i in 0..partial.ops.len() {
            if partial.ops[i].2.is_none() {
                let mut next = partial.clone();
                next.ops[i].2 = Some(next.events);
                next.events += 1;
                unfinished.push(next);
            }
        }
        if partial.ops.iter().all(|&(act, _, ret)| ret.is_some() || is_first_of_its_call(object, act)) {
            one_of_all(object, &partial, &mut tally);
            seen += 1;
        }
    }
    assert!(tally.valid > 20 && tally.invalid > 20 && tally.valid + tally.invalid == seen, "{} {}", tally.valid, tally.invalid);
}

/// Acts that never return are told apart by their calls only: one of each is enough.
fn is_first_of_its_call(object: &Object, act: usize) -> bool {
    let (f, input, _) = &object.acts[act];
    object.acts.iter().position(|other| (&other.0, &other.1) == (f, input)) == Some(act)
}

fn one_of_all(object: &Object, partial: &Partial, tally: &mut Tally) {
    let mut builder = Builder::new();
    for now in 0..partial.events {
        let (process, &(act, call, _)) = (0..).zip(&partial.ops).find(|(_, op)| op.1 == now || op.2 == Some(now)).unwrap();
        let (f, input, output) = &object.acts[act];
        let process = if object.by_process { input.as_int().unwrap() } else { process };
        let (kind, value) = if call == now { (Kind::Invoke, input) } else { (Kind::Ok, output) };
        builder.event(process, kind, f, value, 0);
    }
    let intervals = (0..).zip(&partial.ops).map(|(i, &(act, call, ret))| {
        let (f, input, output) = object.acts[act].clone();
        Interval { id: OpId(i), f, input, output: ret.map(|_| output), call, ret: ret.unwrap_or(usize::MAX) }
    });
    judge(object, &builder.finish(), &intervals.collect::<Vec<_>>(), tally, &|| "exhaustive".into());
}

/// Random histories, as many as asked for times the size; a tenth at least of each verdict.
fn many(object: &Object, histories: u32) {
    let histories = u64::from(histories) * (size() * 16.0) as u64 / 16;
    let half = |half: u64| {
        let mut tally = Tally::default();
        for seed in (half..histories).step_by(2) {
            let (history, ops, shape) = random::history(object, seed);
            judge(object, &history, &ops, &mut tally, &|| format!("seed {seed}: {shape}"));
        }
        tally
    };
    let tallies = std::thread::scope(|scope| [0, 1].map(|n| scope.spawn(move || half(n))).map(|thread| thread.join().unwrap()));
    let (valid, invalid) = (tallies.iter().map(|t| t.valid).sum::<usize>(), tallies.iter().map(|t| t.invalid).sum::<usize>());
    let least = histories as usize / 10;
    assert!(valid > least && invalid > least, "{}: {valid} valid, {invalid} invalid", object.model);
}

/// An integer.
fn int(i: i64) -> Value {
    Value::Int(i)
}

/// The state's numbers as a vector.
fn vector(state: &State) -> Value {
    Value::Vector(state.iter().map(|&i| int(i)).collect())
}

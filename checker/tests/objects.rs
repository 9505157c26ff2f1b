//! The definition against the engine, for every model that `oracle.rs` does not ask about: queues, sets, locks and so on.
//!
//! Nothing here is shared with the checker. Each object is one function in plain integers: all that a call can return in a
//! state, with the state that follows. An order is looked for by trying all of them (Herlihy and Wing 1990). Every witness is
//! replayed, and every contradiction is re-checked against what the documentation of `Counterexample` claims.
//!
//! First every history of up to four ops, however they overlap; then random ones of mostly up to ten, often as an honest object
//! would answer. Each is judged under one combination of the engine's switches, and now and then one under all of them.
//!
//! `RASHOMON_TEST_SIZE` multiplies the number of random ones: with 40 it is a million for each object. With 4 or more there are
//! also all histories of five ops, of at most three processes besides those that get no answer. Of two invocations next to each
//! other only one order is tried then: no op had returned in between, so the definition does not tell the two apart. And all
//! histories of up to two ops are judged under every combination of switches.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which tell how much they tried")]

mod collections;
mod definition;
mod locks;
mod random;
mod stores;

use crate::size::size;
use crate::switches;
use definition::{Interval, Object, State, check_core, check_witness, order_exists};
use histories::{Builder, History, Kind, OpId, Value};
use rashomon_checker::{Answer, Budget, Options, check_linearizable};

#[derive(Default)]
struct Tally {
    valid: usize,
    invalid: usize,
    /// Histories times the switches they were judged under.
    checks: usize,
}

/// Compares the checker with the definition on one history, under some combinations of switches or under all.
fn judge(object: &Object, history: &History, ops: &[Interval], all: bool, tally: &mut Tally, what: &dyn Fn() -> String) {
    let expected = order_exists(object, ops);
    *(if expected { &mut tally.valid } else { &mut tally.invalid }) += 1;
    let some = switches::combinations(tally.valid as u64 + tally.invalid as u64);
    for rules in some.chain(switches::all().take(if all { usize::MAX } else { 0 })) {
        let options = Options { model: object.model.into(), keyed: Some(false), rules, ..object.options.clone() };
        let verdict = check_linearizable(history, &options, &Budget::unlimited()).unwrap();
        let context = || format!("{}: {}, {rules:?}\n{ops:#?}\n{:?}", object.model, what(), verdict.keys);
        let checked = match (&verdict.keys[0].answer, expected) {
            (Answer::Valid(witness), true) => check_witness(object, ops, &witness.order),
            (Answer::Invalid(found), false) => check_core(object, ops, found),
            _ => Err("the answer is another"),
        };
        checked.unwrap_or_else(|why| panic!("{why}: expected {}: {}", if expected { "valid" } else { "invalid" }, context()));
        tally.checks += 1;
    }
}

/// In large tests histories of so many ops are judged under every combination of switches.
const UNDER_ALL: usize = 2;

/// A history as it is built: which act was invoked, when, and when it returned.
#[derive(Clone, Default)]
struct Partial {
    ops: Vec<(usize, usize, Option<usize>)>,
    events: usize,
}

impl Partial {
    /// Whether invocations next to each other are in the order of their acts.
    fn is_in_order(&self) -> bool {
        self.ops.windows(2).all(|two| two[0].1 + 1 < two[1].1 || two[0].0 <= two[1].0)
    }

    /// The most ops in flight at once, but for those that never return.
    fn processes(&self) -> usize {
        let in_flight = |now: usize| self.ops.iter().filter(|op| op.1 <= now && op.2.is_some_and(|ret| now < ret)).count();
        (0..self.events).map(in_flight).max().unwrap_or(0)
    }
}

/// Every history of up to `full` of the object's acts, however they overlap; a call that never returns is of unknown outcome.
/// In large tests those of five too, as the documentation above says.
fn exhaust(object: &Object, full: usize) {
    let most_ops = if size() >= 4.0 { full.max(5) } else { full };
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
                if next.ops.len() <= full || next.is_in_order() {
                    unfinished.push(next);
                }
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
        let told_apart = partial.ops.iter().all(|&(act, _, ret)| ret.is_some() || is_first_of_its_call(object, act));
        if told_apart && (partial.ops.len() <= full || partial.processes() <= 3) {
            one_of_all(object, &partial, &mut tally);
            seen += 1;
        }
    }
    println!("{}, exhaustive: {} valid, {} invalid, {} checks", object.model, tally.valid, tally.invalid, tally.checks);
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
    let all = size() >= 4.0 && partial.ops.len() <= UNDER_ALL;
    judge(object, &builder.finish(), &intervals.collect::<Vec<_>>(), all, tally, &|| "exhaustive".into());
}

/// Random histories, as many as asked for times the size; a tenth at least of each verdict.
fn many(object: &Object, histories: u32) {
    let histories = u64::from(histories) * (size() * 16.0) as u64 / 16;
    let half = |half: u64| {
        let mut tally = Tally::default();
        for seed in (half..histories).step_by(2) {
            let (history, ops, shape) = random::history(object, seed);
            judge(object, &history, &ops, false, &mut tally, &|| format!("seed {seed}: {shape}"));
        }
        tally
    };
    let tallies = std::thread::scope(|scope| [0, 1].map(|n| scope.spawn(move || half(n))).map(|thread| thread.join().unwrap()));
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let (valid, invalid, checks) = (sum(|t| t.valid), sum(|t| t.invalid), sum(|t| t.checks));
    println!("{}, random: {valid} valid, {invalid} invalid, {checks} checks", object.model);
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

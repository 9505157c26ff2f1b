//! Sequential consistency by its definition: every interleaving of small random histories, one op after the other.
//!
//! (Reads and writes of several keys, crashed ops, transactions and repeated values are judged by the oracle of `weaker.rs` too.) Nothing here
//! is shared with the checker.
//!
//! A bug that was there once, and that these tests found: an op that had been looked at did not hear of what was found out
//! later about one before it, so that cycles through it went unseen; appends of which each was let happen as often as it liked, without
//! end; an op of unknown outcome left out although it makes another value than the one that a failed cas did not find.
//!
//! `RASHOMON_TEST_SIZE` multiplies the number of histories (default 1); with 17 there are a million.

#![allow(clippy::unwrap_used, reason = "tests")]

use crate::size::{size, times};
use histories::{Builder, History, Kind, Value};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rashomon_checker::verdict::{Others, Summary};
use rashomon_checker::{Answer, Budget, Consistency, Counterexample, FailedCas, Options, Reason, check};
use std::collections::{BTreeMap, VecDeque};

/// What an op does; `None`: nobody knows what it took.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Read(i64),
    Write(i64),
    Cas(i64, i64),
    /// A failed cas that is held against the register.
    Mismatch(i64),
    /// Letters at the end of a string; and all of it, as digits.
    Append(i64),
    ReadText(i64),
    Enqueue(i64),
    Dequeue(Option<i64>),
    FoundEmpty,
}

#[derive(Clone, Copy, Debug)]
struct Op {
    session: usize,
    key: i64,
    call: Call,
    crashed: bool,
}

/// Nobody reads longer strings: these are not told apart.
const LETTERS_MAX: usize = 4;

/// All objects: registers that hold 0 at first, queues that are empty.
type State = BTreeMap<i64, VecDeque<i64>>;

fn happen(state: &State, op: &Op) -> Option<State> {
    let mut next = state.clone();
    let object = next.entry(op.key).or_default();
    let held = object.front().copied();
    match op.call {
        Call::Read(value) => (held.unwrap_or(0) == value).then_some(())?,
        // Of strings 0 is the empty one, and the register that holds 0 is the same.
        Call::Write(0) => object.clear(),
        Call::Write(value) => *object = [value].into(),
        Call::Cas(old, 0) if held.unwrap_or(0) == old => object.clear(),
        Call::Cas(old, new) if held.unwrap_or(0) == old => *object = [new].into(),
        Call::Cas(..) => return None,
        Call::Mismatch(old) => (held.unwrap_or(0) != old).then_some(())?,
        Call::Append(letter) if object.len() < LETTERS_MAX => object.push_back(letter),
        Call::Append(_) => {}
        Call::ReadText(text) => (object.iter().fold(0, |read, letter| read * 10 + letter) == text).then_some(())?,
        Call::Enqueue(value) => object.push_back(value),
        Call::Dequeue(wanted) => {
            let taken = object.pop_front()?;
            wanted.is_none_or(|wanted| wanted == taken).then_some(())?;
        }
        Call::FoundEmpty => held.is_none().then_some(())?,
    }
    Some(next)
}

/// The ops that must keep their places, session by session, and others that may happen anywhere.
struct Game<'a> {
    sessions: Vec<Vec<&'a Op>>,
    free: Vec<&'a Op>,
    again: bool,
}

impl Game<'_> {
    /// Whether some order exists from here. Without `again` each of the free ops happens once at most.
    fn ends(&self, next: &mut Vec<usize>, used: u64, state: &State, seen: &mut Vec<(Vec<usize>, u64, State)>) -> bool {
        if self.sessions.iter().zip(next.iter()).all(|(session, &next)| session[next..].iter().all(|op| op.crashed)) {
            return true;
        }
        let here = (next.clone(), used, state.clone());
        if seen.contains(&here) {
            return false;
        }
        seen.push(here);
        for session in 0..next.len() {
            let Some(op) = self.sessions[session].get(next[session]) else { continue };
            if let Some(after) = happen(state, op) {
                next[session] += 1;
                let found = self.ends(next, used, &after, seen);
                next[session] -= 1;
                if found {
                    return true;
                }
            }
        }
        (0..self.free.len()).any(|at| {
            let bit = 1 << at;
            used & bit == 0
                && happen(state, self.free[at])
                    .is_some_and(|after| self.ends(next, if self.again { used } else { used | bit }, &after, seen))
        })
    }

    fn has_order(&self) -> bool {
        self.ends(&mut vec![0; self.sessions.len()], 0, &State::new(), &mut Vec::new())
    }
}

fn by_session<'a>(ops: impl Iterator<Item = &'a Op>) -> Vec<Vec<&'a Op>> {
    let mut sessions: BTreeMap<usize, Vec<&Op>> = BTreeMap::new();
    for op in ops {
        sessions.entry(op.session).or_default().push(op);
    }
    sessions.into_values().collect()
}

/// The definition.
fn is_sequential(ops: &[Op]) -> bool {
    Game { sessions: by_session(ops.iter()), free: Vec::new(), again: false }.has_order()
}

/// What a counter-example without a cycle claims, literally.
fn is_contradiction(ops: &[Op], needed: &[usize], others: Others) -> bool {
    let named: Vec<i64> = needed.iter().flat_map(|&at| values(&ops[at])).collect();
    let keys: Vec<i64> = needed.iter().map(|&at| ops[at].key).collect();
    let concerns =
        |op: &Op| keys.contains(&op.key) && (others != Others::SameValues || values(op).iter().all(|value| named.contains(value)));
    let is_free = |at: usize| {
        !needed.contains(&at)
            && !matches!(ops[at].call, Call::Read(_) | Call::ReadText(_) | Call::Mismatch(_) | Call::FoundEmpty)
            && concerns(&ops[at])
    };
    let free = (0..ops.len()).filter(|&at| is_free(at)).map(|at| &ops[at]).collect();
    let sessions = by_session(needed.iter().map(|&at| &ops[at]));
    !Game { sessions, free, again: others == Others::AnyNumber }.has_order()
}

fn values(op: &Op) -> Vec<i64> {
    match op.call {
        Call::Read(value) | Call::Write(value) | Call::Enqueue(value) | Call::Dequeue(Some(value)) => vec![value],
        Call::Cas(old, new) => vec![old, new],
        // The first three are of no collection of values.
        Call::Mismatch(_) | Call::Append(_) | Call::ReadText(_) | Call::Dequeue(None) | Call::FoundEmpty => Vec::new(),
    }
}

/// What histories are of.
#[derive(Clone, Copy, PartialEq)]
enum Kinds {
    /// Reads and writes of few values.
    Register,
    Cas,
    /// Registers whose failed cas say what they did not hold.
    FailedCas,
    /// Strings that are put and appended to.
    Text,
    Queue,
}

impl Kinds {
    fn model(self) -> &'static str {
        match self {
            Kinds::Register => "register",
            Kinds::Cas | Kinds::FailedCas => "cas-register",
            Kinds::Text => "kv",
            Kinds::Queue => "fifo-queue",
        }
    }

    fn call(self, rng: &mut impl Rng, fresh: i64, crashed: bool) -> Call {
        let value = rng.random_range(0..4);
        match (self, rng.random_range(0..5)) {
            (Kinds::Text, 0 | 1) => Call::Append(rng.random_range(1..3)),
            (Kinds::Text, 2) => Call::Write(rng.random_range(0..3)),
            (Kinds::Text, _) if crashed => Call::Append(rng.random_range(1..3)),
            (Kinds::Text, _) => Call::ReadText([0, 1, 2, 11, 12, 21, 121][rng.random_range(0..7)]),
            (Kinds::FailedCas, 0) if !crashed => Call::Mismatch(value),
            (Kinds::Queue, 0 | 1) => Call::Enqueue(fresh),
            (Kinds::Queue, _) if crashed => Call::Dequeue(None),
            (Kinds::Queue, 2) => Call::FoundEmpty,
            (Kinds::Queue, _) => Call::Dequeue(Some(rng.random_range(1..=fresh.max(3)))),
            (Kinds::Cas, 0) | (Kinds::FailedCas, 3) => Call::Cas(value, rng.random_range(0..4)),
            (_, 1 | 2) => Call::Write(value),
            (_, _) if crashed => Call::Write(value),
            (..) => Call::Read(value),
        }
    }
}

fn random_ops(rng: &mut impl Rng, kinds: Kinds) -> Vec<Op> {
    let threads = rng.random_range(1..=3);
    let mut session: Vec<usize> = (0..threads).collect();
    let mut next_session = threads;
    let keys = rng.random_range(1..=2);
    let mut ops = Vec::new();
    for fresh in 1..=rng.random_range(1..=8) {
        let thread = rng.random_range(0..threads);
        let crashed = rng.random_range(0..8) == 0;
        let call = kinds.call(rng, fresh, crashed);
        ops.push(Op { session: session[thread], key: rng.random_range(0..keys), call, crashed });
        if crashed {
            session[thread] = next_session;
            next_session += 1;
        }
    }
    ops
}

/// Each op after the other: sequential consistency knows no time.
fn history(kinds: Kinds, ops: &[Op]) -> History {
    let text = |digits: i64| Value::Str(if digits == 0 { String::new() } else { digits.to_string() }.into());
    let mut builder = Builder::new();
    for op in ops {
        let (f, input, output) = match op.call {
            Call::Write(value) if kinds == Kinds::Text => ("put", text(value), text(value)),
            Call::Append(letter) => ("append", text(letter), text(letter)),
            Call::ReadText(value) => ("get", Value::Nil, text(value)),
            Call::Mismatch(old) => ("cas", Value::pair(old, 9), Value::pair(old, 9)),
            Call::Read(value) => ("read", Value::Nil, Value::Int(value)),
            Call::Write(value) => ("write", Value::Int(value), Value::Int(value)),
            Call::Cas(old, new) => ("cas", Value::pair(old, new), Value::pair(old, new)),
            Call::Enqueue(value) => ("enqueue", Value::Int(value), Value::Int(value)),
            Call::Dequeue(value) => ("dequeue", Value::Nil, value.map_or(Value::Nil, Value::Int)),
            Call::FoundEmpty => ("dequeue", Value::Nil, Value::Nil),
        };
        let process = op.session as i64;
        builder.event(process, Kind::Invoke, f, &Value::pair(op.key, input.clone()), 0);
        let (kind, value) = match op.call {
            _ if op.crashed => (Kind::Info, input),
            Call::Mismatch(_) => (Kind::Fail, output),
            _ => (Kind::Ok, output),
        };
        builder.event(process, kind, f, &Value::pair(op.key, value), 0);
    }
    builder.finish()
}

fn options(kinds: Kinds) -> Options {
    let initial = (!matches!(kinds, Kinds::Queue | Kinds::Text)).then_some(Value::Int(0));
    let failed_cas = (kinds == Kinds::FailedCas).then_some(FailedCas::Assert);
    Options { keyed: Some(true), initial, failed_cas, ..Options::from(kinds.model()) }
}

fn judged_right(ops: &[Op], proof: &Counterexample) {
    if !proof.cycle.is_empty() || proof.pattern.is_some() {
        // Of ops and edges: the oracle of `weaker.rs` looks at these.
        return;
    }
    let needed: Vec<usize> = proof.needed.iter().map(|id| id.0 as usize).collect();
    assert!(is_contradiction(ops, &needed, proof.others), "{proof:?} of {ops:#?}");
    assert!(proof.minimal, "{proof:?} of {ops:#?}");
    for leave_out in 0..needed.len() {
        let rest: Vec<usize> = (0..needed.len()).filter(|&at| at != leave_out).map(|at| needed[at]).collect();
        assert!(!is_contradiction(ops, &rest, proof.others), "{leave_out} is not needed: {proof:?} of {ops:#?}");
    }
}

fn agree(kinds: Kinds, seed: u64, count: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut found = [0, 0];
    for _ in 0..times(count) {
        let ops = random_ops(&mut rng, kinds);
        let history = history(kinds, &ops);
        let verdict = check(&history, Consistency::Sequential, &options(kinds), &Budget::unlimited()).unwrap();
        let expected = is_sequential(&ops);
        found[usize::from(expected)] += 1;
        match &verdict.keys[0].answer {
            Answer::Valid(_) => assert!(expected, "valid, but is not: {ops:#?}"),
            Answer::Invalid(proof) => {
                assert!(!expected, "invalid, but is not: {ops:#?}");
                judged_right(&ops, proof);
            }
            Answer::Unknown(reason) => panic!("{reason:?}: {ops:#?}"),
        }
        let per_key = check(&history, Consistency::SequentialPerKey, &options(kinds), &Budget::unlimited()).unwrap();
        for key in 0..2 {
            let of_key: Vec<Op> = ops.iter().filter(|op| op.key == key).copied().collect();
            let answer = per_key.keys.iter().find(|answer| history.values.get(answer.key.unwrap()) == Value::Int(key));
            let answer = answer.map_or(Summary::Valid, |answer| answer.answer.summary());
            assert_eq!(answer, if is_sequential(&of_key) { Summary::Valid } else { Summary::Invalid }, "key {key} of {ops:#?}");
        }
    }
    assert!(found.iter().all(|&found| found > count / 100), "{found:?}");
}

/// All histories of so many ops of up to three sessions, on two keys, each a write of a value of its own or a read of any that
/// is written, in any order. The oracle is the definition; here the answers come from what must come before what.
#[test]
fn all_small_histories() {
    let large = size() > 1.0;
    let count = if large { 4 } else { 3 };
    let each: usize = 3 * 2 * (count + 2);
    let mut found = [0, 0];
    for number in 0..each.pow(count as u32) {
        let (mut rest, mut ops, mut sessions) = (number, Vec::new(), 0);
        for at in 0..count {
            let (session, key, what) = (rest % 3, rest / 3 % 2, rest / 6 % (count + 2));
            rest /= each;
            // Sessions are named in the order in which they appear.
            if session > sessions {
                break;
            }
            sessions = sessions.max(session + 1);
            let call = if what == count + 1 { Call::Write(at as i64 + 1) } else { Call::Read(what as i64) };
            ops.push(Op { session, key: key as i64, call, crashed: false });
        }
        if ops.len() < count {
            continue;
        }
        let history = history(Kinds::Register, &ops);
        let answer = check(&history, Consistency::Sequential, &options(Kinds::Register), &Budget::unlimited()).unwrap().answer;
        let expected = is_sequential(&ops);
        assert_eq!(answer, if expected { Summary::Valid } else { Summary::Invalid }, "{ops:#?}");
        found[usize::from(expected)] += 1;
    }
    assert!(found.iter().all(|&found| found > 300), "{found:?}");
}

#[test]
fn registers_of_few_values() {
    agree(Kinds::Register, 1, 20_000);
}

#[test]
fn cas_registers() {
    agree(Kinds::Cas, 2, 20_000);
}

#[test]
fn registers_with_failed_cas() {
    agree(Kinds::FailedCas, 4, 8_000);
}

#[test]
fn strings_that_are_appended_to() {
    agree(Kinds::Text, 5, 4_000);
}

#[test]
fn queues() {
    agree(Kinds::Queue, 3, 20_000);
}

fn single(process: i64, call: Call) -> Op {
    Op { session: process as usize, key: 0, call, crashed: false }
}

#[test]
fn budgets_end_it() {
    // Many writers of few values, and a reader who saw what nobody can have left in this order.
    let mut ops: Vec<Op> = (0..12).flat_map(|writer| (0..8).map(move |turn| single(writer, Call::Write((writer + turn) % 3)))).collect();
    ops.extend((0..40).map(|turn| single(12, Call::Read(turn % 3))));
    let history = history(Kinds::Register, &ops);
    let reason = |budget: &Budget| {
        let verdict = check(&history, Consistency::Sequential, &options(Kinds::Register), budget).unwrap();
        match verdict.keys.into_iter().next().unwrap().answer {
            Answer::Unknown(reason) => reason,
            other => panic!("{other:?}"),
        }
    };
    let stopped = Budget::unlimited();
    stopped.stop(rashomon_checker::budget::Stop::Deadline);
    assert!(matches!(reason(&stopped), Reason::Time { .. }));
    let mut small = Budget::unlimited();
    small.bytes = Some(1);
    assert!(matches!(reason(&small), Reason::Memory { .. }));
    let mut short = Budget::unlimited();
    short.steps = Some(10);
    assert!(matches!(reason(&short), Reason::Steps { .. }));
}

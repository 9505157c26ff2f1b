//! The definition against the engine: all orders of small random histories, tried one by one.
//!
//! Nothing here is shared with the checker: the objects are specified anew, on plain integers and strings, and an order is
//! looked for in the most literal way (Herlihy and Wing 1990): every order of every subset of the ops of unknown outcome.
//! Every counter-example is re-checked too, against the statement that the documentation of `Counterexample` makes.
//!
//! First every history of up to four ops, however they overlap; then random ones of up to ten. Each is judged under one
//! combination of the engine's switches, and now and then one under all of them.
//!
//! Bugs that were planted once to see these tests fail (and the procedures' own, `src/linear/tests.rs`, and those of `certify`):
//! the bit of an op that returned stays; an op of unknown outcome never happens, or surely did; it is used twice; one way
//! dominates another that used a different op; the latest deadline first; a read is not linearized at its invocation, or from
//! a stale cache; each of the four rules of the zones left out; values of two sources taken for unique ones; blocks sorted by
//! their first return alone; a needed op of a contradiction skipped; the others' cas ignored; an optional op forced, or used
//! again; real time not checked in a witness; nil reads and failed cas read the other way round.
//!
//! `RASHOMON_TEST_SIZE` multiplies the number of random histories (4: a million for each of the four models). With 4 or more there
//! are also all histories of five ops, of at most three processes besides those that get no answer. Of two invocations next to
//! each other only one order is tried then: no op had returned in between, so the definition does not tell the two apart. And all histories of up to two ops
//! are judged under every combination of switches.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which tell how much they tried")]

use crate::size::{size, times};
use crate::switches;
use histories::{Builder, History, Kind, OpId, Value};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rashomon_checker::{Answer, Budget, Counterexample, FailedCas, NilRead, Options, check_linearizable};
use std::collections::BTreeSet;

/// An op of any of the objects, in the oracle's own words.
#[derive(Clone, Debug, PartialEq)]
enum Do {
    Read(i64),
    Write(i64),
    Cas(i64, i64),
    CasFailed(i64),
    Get(String),
    Put(String),
    Append(String),
    Acquire,
    Release,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Number(i64),
    Text(String),
    Locked(bool),
}

fn happens(state: &State, op: &Do) -> Option<State> {
    match (state, op) {
        (State::Number(n), Do::Read(v)) if n == v => Some(state.clone()),
        (State::Number(_), Do::Write(v)) => Some(State::Number(*v)),
        (State::Number(n), Do::Cas(old, new)) if n == old => Some(State::Number(*new)),
        (State::Number(n), Do::CasFailed(old)) if n != old => Some(state.clone()),
        (State::Text(t), Do::Get(v)) if t == v => Some(state.clone()),
        (State::Text(_), Do::Put(v)) => Some(State::Text(v.clone())),
        (State::Text(t), Do::Append(v)) => Some(State::Text(format!("{t}{v}"))),
        (State::Locked(false), Do::Acquire) => Some(State::Locked(true)),
        (State::Locked(true), Do::Release) => Some(State::Locked(false)),
        _ => None,
    }
}

/// An op with its interval. `ret` is `usize::MAX` for one that may also never happen.
#[derive(Clone, Debug)]
struct Interval {
    id: OpId,
    op: Do,
    call: usize,
    ret: usize,
}

impl Interval {
    fn is_read(&self) -> bool {
        matches!(self.op, Do::Read(_) | Do::CasFailed(_) | Do::Get(_))
    }
}

/// The definition. Chooses the first op of an order in every possible way, then the rest.
fn can_be_ordered(state: &State, left: &mut Vec<Interval>) -> bool {
    let first_return = left.iter().map(|o| o.ret).min().unwrap_or(usize::MAX);
    if first_return == usize::MAX {
        return true; // All that is left may never have happened.
    }
    for i in 0..left.len() {
        if left[i].call > first_return {
            continue; // Another op had returned before this one was invoked.
        }
        if let Some(next) = happens(state, &left[i].op) {
            let op = left.remove(i);
            let found = can_be_ordered(&next, left);
            left.insert(i, op);
            if found {
                return true;
            }
        }
    }
    false
}

/// Every state in which an order can end, in the words of the models.
fn possible_ends(state: &State, left: &mut Vec<Interval>, ends: &mut BTreeSet<String>) {
    let first_return = left.iter().map(|o| o.ret).min().unwrap_or(usize::MAX);
    if first_return == usize::MAX {
        ends.insert(match state {
            State::Number(NIL) => "nil".into(),
            State::Number(n) => n.to_string(),
            State::Text(t) => format!("{t:?}"),
            State::Locked(held) => if *held { "held" } else { "free" }.into(),
        });
    }
    for i in 0..left.len() {
        if left[i].call <= first_return
            && let Some(next) = happens(state, &left[i].op)
        {
            let op = left.remove(i);
            possible_ends(&next, left, ends);
            left.insert(i, op);
        }
    }
}

/// What `Counterexample::needed` claims of the others: any number of times within their interval, or never; reads ignored.
/// All that is possible is followed event by event.
fn relaxed_can_be_ordered(initial: &State, ops: &[Interval], needed: &BTreeSet<OpId>, events: usize) -> bool {
    let mut possible: BTreeSet<(State, Vec<bool>)> = BTreeSet::from([(initial.clone(), vec![false; ops.len()])]);
    for now in 0..events {
        // Everything that can be done between this event and the last one.
        let mut todo: Vec<_> = possible.iter().cloned().collect();
        while let Some((state, done)) = todo.pop() {
            for (i, op) in ops.iter().enumerate().filter(|(_, op)| op.call < now && now <= op.ret) {
                let is_needed = needed.contains(&op.id);
                if is_needed && done[i] || !is_needed && op.is_read() {
                    continue;
                }
                let mut done = done.clone();
                done[i] |= is_needed;
                // A text that is longer than all texts that are read can never be read again but after a put.
                let longest = ops.iter().map(|o| if let Do::Get(t) = &o.op { t.len() } else { 0 }).max().unwrap_or(0);
                let next = happens(&state, &op.op).filter(|next| is_needed || !matches!(next, State::Text(t) if t.len() > longest + 1));
                if let Some(next) = next
                    && possible.insert((next.clone(), done.clone()))
                {
                    todo.push((next, done));
                }
            }
        }
        if let Some((i, _)) = ops.iter().enumerate().find(|(_, op)| op.ret == now && needed.contains(&op.id)) {
            possible.retain(|(_, done)| done[i]);
        }
    }
    !possible.is_empty()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Object {
    Register,
    CasRegister,
    Kv,
    Mutex,
}

/// How a random history looks.
#[derive(Clone, Debug)]
struct Shape {
    object: Object,
    processes: usize,
    ops: usize,
    values: i64,
    unique: bool,
    crash: f64,
    honest: f64,
    nil_read: NilRead,
    failed_cas: FailedCas,
    initial: Option<i64>,
}

fn random_shape(object: Object, rng: &mut impl Rng) -> Shape {
    Shape {
        object,
        processes: rng.random_range(1..=4),
        ops: rng.random_range(1..=10),
        values: rng.random_range(1..=4),
        unique: rng.random_bool(0.4),
        crash: *[0.0, 0.1, 0.4, 0.8].choose(rng).unwrap(),
        honest: *[0.0, 0.5, 0.8, 0.95, 1.0].choose(rng).unwrap(),
        nil_read: if rng.random() { NilRead::Missing } else { NilRead::Wildcard },
        failed_cas: if rng.random() { FailedCas::Assert } else { FailedCas::Drop },
        initial: if rng.random() { Some(rng.random_range(0..=2)) } else { None },
    }
}

const NIL: i64 = -1;
const WRITTEN: i64 = 10;

fn number(v: i64) -> Value {
    if v == NIL { Value::Nil } else { Value::Int(v) }
}

struct Call {
    process: i64,
    f: &'static str,
    input: Value,
    op: Do,
    /// What an honest object did when it did it.
    result: Option<Do>,
    at: usize,
    id: OpId,
}

/// Runs a shape: random calls on an object that does each of them at a random moment, and lies now and then.
struct Simulation<'r, R: Rng> {
    shape: Shape,
    rng: &'r mut R,
    builder: Builder,
    events: usize,
    truth: State,
    open: Vec<Call>,
    intervals: Vec<Interval>,
    fresh: i64,
    next_process: i64,
    ops: u32,
}

impl<R: Rng> Simulation<'_, R> {
    fn initial(shape: &Shape) -> State {
        match shape.object {
            Object::Register | Object::CasRegister => State::Number(shape.initial.unwrap_or(NIL)),
            Object::Kv => State::Text(String::new()),
            Object::Mutex => State::Locked(false),
        }
    }

    fn value(&mut self) -> i64 {
        self.rng.random_range(0..self.shape.values)
    }

    fn written(&mut self) -> i64 {
        if !self.shape.unique {
            return self.value();
        }
        self.fresh += 1;
        WRITTEN + self.fresh
    }

    fn seen(&mut self) -> i64 {
        if self.rng.random_bool(0.1) {
            return NIL;
        }
        if self.shape.unique { WRITTEN + self.rng.random_range(1..=self.fresh.max(1) + 1) } else { self.value() }
    }

    fn text(&mut self) -> String {
        let n = self.value();
        ["a", "b", "ab", "c"][n as usize].to_owned()
    }

    fn invoke(&mut self) {
        let die = self.rng.random_range(0..3);
        let (f, input, op) = match (self.shape.object, die) {
            (Object::Register | Object::CasRegister, 0) => {
                let v = self.written();
                ("write", number(v), Do::Write(v))
            }
            (Object::CasRegister, 1) => {
                let (a, b) = (self.seen(), self.written());
                ("cas", Value::pair(number(a), number(b)), Do::Cas(a, b))
            }
            (Object::Register | Object::CasRegister, _) => {
                let v = self.seen();
                ("read", Value::Nil, Do::Read(v))
            }
            (Object::Kv, 0) => {
                let t = self.text();
                ("put", Value::Str(t.clone().into()), Do::Put(t))
            }
            (Object::Kv, 1) => {
                let t = self.text();
                ("append", Value::Str(t.clone().into()), Do::Append(t))
            }
            (Object::Kv, _) => {
                let t = if self.rng.random_bool(0.2) { String::new() } else { self.text() + &self.text() };
                ("get", Value::Nil, Do::Get(t))
            }
            (Object::Mutex, 0) => ("release", Value::Nil, Do::Release),
            (Object::Mutex, _) => ("acquire", Value::Nil, Do::Acquire),
        };
        let process = self.next_process;
        self.next_process += 1;
        self.builder.event(process, Kind::Invoke, f, &input, self.events as i64);
        self.open.push(Call { process, f, input, op, result: None, at: self.events, id: OpId(self.ops) });
        self.events += 1;
        self.ops += 1;
    }

    /// The object does one of the open calls.
    fn act(&mut self) {
        let waiting: Vec<usize> = (0..self.open.len()).filter(|&i| self.open[i].result.is_none()).collect();
        let Some(&i) = waiting.choose(self.rng) else { return };
        let truth = match (&self.open[i].op, &self.truth) {
            (Do::Read(_), State::Number(n)) => Some(Do::Read(*n)),
            (Do::Get(_), State::Text(t)) => Some(Do::Get(t.clone())),
            (Do::Cas(old, _), State::Number(n)) if old != n => Some(Do::CasFailed(*old)),
            (op, state) => happens(state, op).map(|next| {
                self.truth = next;
                op.clone()
            }),
        };
        self.open[i].result = truth;
    }

    fn complete(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let i = self.rng.random_range(0..self.open.len());
        let honest = self.rng.random_bool(self.shape.honest);
        let crash = self.rng.random_bool(self.shape.crash);
        if honest && !crash && self.open[i].result.is_none() {
            return; // An honest object has to do it first.
        }
        let call = self.open.swap_remove(i);
        let lied = if let Do::Cas(old, _) = &call.op
            && self.rng.random_bool(0.2)
        {
            Do::CasFailed(*old)
        } else {
            call.op.clone()
        };
        let done = if honest { call.result.clone().unwrap_or(lied) } else { lied };
        let (kind, output) = match &done {
            _ if crash => (Kind::Info, Value::Nil),
            Do::Read(v) => (Kind::Ok, number(*v)),
            Do::Get(t) => (Kind::Ok, Value::Str(t.clone().into())),
            Do::CasFailed(_) => (Kind::Fail, call.input.clone()),
            // A lie that calls a failure: sure not to have happened, whatever the truth was.
            _ if !honest && !matches!(done, Do::Cas(..)) && self.rng.random_bool(0.1) => (Kind::Fail, call.input.clone()),
            _ => (Kind::Ok, call.input.clone()),
        };
        self.builder.event(call.process, kind, call.f, &output, self.events as i64);
        let ret = if kind == Kind::Info { usize::MAX } else { self.events };
        self.events += 1;
        let done = if crash { call.op } else { done };
        let is_read = matches!(done, Do::Read(_) | Do::Get(_));
        let says_nothing = match (&done, kind) {
            (_, Kind::Info) => is_read,
            (Do::Read(NIL), _) => self.shape.nil_read == NilRead::Wildcard,
            (Do::CasFailed(_), _) => self.shape.failed_cas == FailedCas::Drop,
            (_, Kind::Fail) => true,
            _ => false,
        };
        if !says_nothing {
            self.intervals.push(Interval { id: call.id, op: done, call: call.at, ret });
        }
    }

    fn run(mut self) -> (History, Vec<Interval>, usize) {
        // An honest mutex may leave all its callers waiting.
        for _ in 0..20 * self.shape.ops {
            if self.ops as usize == self.shape.ops {
                break;
            }
            match self.rng.random_range(0..3) {
                0 if self.open.len() < self.shape.processes => self.invoke(),
                1 => self.act(),
                _ => self.complete(),
            }
        }
        for _ in 0..self.rng.random_range(0..12) {
            self.act();
            self.complete();
        }
        for call in self.open {
            if !matches!(call.op, Do::Read(_) | Do::Get(_)) {
                self.intervals.push(Interval { id: call.id, op: call.op, call: call.at, ret: usize::MAX });
            }
        }
        self.intervals.sort_by_key(|i| i.id);
        (self.builder.finish(), self.intervals, self.events)
    }
}

fn options(shape: &Shape) -> Options {
    let model = match shape.object {
        Object::Register => "register",
        Object::CasRegister => "cas-register",
        Object::Kv => "kv",
        Object::Mutex => "mutex",
    };
    let is_register = matches!(shape.object, Object::Register | Object::CasRegister);
    Options {
        model: model.into(),
        keyed: Some(false),
        initial: shape.initial.filter(|_| is_register).map(Value::Int),
        nil_read: is_register.then_some(shape.nil_read),
        failed_cas: is_register.then_some(shape.failed_cas),
        ..Options::default()
    }
}

#[derive(Default)]
struct Tally {
    valid: usize,
    invalid: usize,
    /// Histories times the switches they were judged under.
    checks: usize,
    /// Whether they are to be judged under every combination of these.
    all: bool,
}

/// One random history. Panics, with the history, where the engine and the definition differ.
fn one(object: Object, seed: u64, tally: &mut Tally) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shape = random_shape(object, &mut rng);
    let initial = Simulation::<ChaCha8Rng>::initial(&shape);
    let simulation = Simulation {
        shape: shape.clone(),
        rng: &mut rng,
        builder: Builder::new(),
        events: 0,
        truth: initial.clone(),
        open: Vec::new(),
        intervals: Vec::new(),
        fresh: 0,
        next_process: 0,
        ops: 0,
    };
    let (history, intervals, events) = simulation.run();
    judge(&history, &options(&shape), &initial, intervals, events, tally, &|| format!("seed {seed}: {shape:?}"));
}

/// Compares the checker with the definition on one history.
fn judge(
    history: &History,
    options: &Options,
    initial: &State,
    mut intervals: Vec<Interval>,
    events: usize,
    tally: &mut Tally,
    what: &dyn Fn() -> String,
) {
    let expected = can_be_ordered(initial, &mut intervals);
    *(if expected { &mut tally.valid } else { &mut tally.invalid }) += 1;
    let under_all = if tally.all { usize::MAX } else { 0 };
    for rules in switches::combinations((tally.valid + tally.invalid) as u64).chain(switches::all().take(under_all)) {
        let options = Options { rules, ..options.clone() };
        let verdict = check_linearizable(history, &options, &Budget::unlimited()).unwrap();
        let context = || format!("{}, {rules:?}\n{intervals:#?}\n{:?}", what(), verdict.keys);
        let checked = match (&verdict.keys[0].answer, expected) {
            (Answer::Valid(witness), true) => check_witness(initial, &intervals, &witness.order),
            (Answer::Invalid(counterexample), false) => check_core(initial, &intervals, events, counterexample),
            _ => Err("the answer is another"),
        };
        checked.unwrap_or_else(|why| panic!("{why}: expected {}: {}", if expected { "valid" } else { "invalid" }, context()));
        tally.checks += 1;
    }
}

fn check_witness(initial: &State, ops: &[Interval], order: &[OpId]) -> Result<(), &'static str> {
    let mut state = initial.clone();
    let mut placed: Vec<&Interval> = Vec::new();
    for id in order {
        let op = ops.iter().find(|o| o.id == *id).ok_or("an op is in the witness that says nothing")?;
        if placed.iter().any(|before| before.id == op.id) {
            return Err("an op is in the witness twice");
        }
        if placed.iter().any(|before| op.ret < before.call) {
            return Err("the witness breaks real time");
        }
        state = happens(&state, &op.op).ok_or("the witness is not legal")?;
        placed.push(op);
    }
    let missing = ops.iter().any(|o| o.ret != usize::MAX && !order.contains(&o.id));
    if missing { Err("an op is missing from the witness") } else { Ok(()) }
}

fn check_core(initial: &State, ops: &[Interval], events: usize, found: &Counterexample) -> Result<(), &'static str> {
    let needed: BTreeSet<OpId> = found.needed.iter().copied().collect();
    if needed.iter().any(|id| !ops.iter().any(|o| o.id == *id)) || needed.is_empty() {
        return Err("the core has ops that say nothing");
    }
    if !needed.iter().all(|id| found.core.contains(id)) || found.stuck.is_none_or(|id| !found.core.contains(&id)) {
        return Err("the core is not whole");
    }
    if relaxed_can_be_ordered(initial, ops, &needed, events) {
        return Err("the core can be ordered");
    }
    if !found.minimal {
        return Err("the core of a small history is not minimal");
    }
    for id in &needed {
        let rest: BTreeSet<OpId> = needed.iter().copied().filter(|other| other != id).collect();
        if !relaxed_can_be_ordered(initial, ops, &rest, events) {
            return Err("an op of the core is not needed");
        }
    }
    let until = ops.iter().find(|o| Some(o.id) == found.blocked).ok_or("nothing is blocked")?.ret;
    let before: Vec<Interval> = ops
        .iter()
        .filter(|o| o.call < until)
        .cloned()
        .map(|mut o| {
            if o.ret >= until {
                o.ret = usize::MAX;
            }
            o
        })
        .collect();
    check_witness(initial, &before, &found.prefix).map_err(|_| "the prefix does not hold")?;
    let mut ends = BTreeSet::new();
    possible_ends(initial, &mut before.clone(), &mut ends);
    let states: BTreeSet<String> = found.states.iter().cloned().collect();
    // At most a hundred are named.
    let same = states == ends || states.len() == 100 && states.is_subset(&ends);
    if !same || found.possible.last().is_none_or(|last| !last.states.is_empty()) {
        return Err("the states at the end are others");
    }
    Ok(())
}

fn many(object: Object) {
    let histories = times(250_000);
    let tally = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            scope.spawn(move || {
                let mut tally = Tally::default();
                for seed in (half..histories).step_by(2) {
                    one(object, seed, &mut tally);
                }
                tally
            })
        });
        let [a, b] = halves.map(|half| half.join().unwrap());
        Tally { valid: a.valid + b.valid, invalid: a.invalid + b.invalid, checks: a.checks + b.checks, all: false }
    });
    // A test that sees one verdict only proves little.
    let least = (histories / 10) as usize;
    println!("{object:?}, random: {} valid, {} invalid, {} checks", tally.valid, tally.invalid, tally.checks);
    assert!(tally.valid > least && tally.invalid > least, "{} valid, {} invalid", tally.valid, tally.invalid);
}

#[test]
fn register_is_decided_as_defined() {
    many(Object::Register);
}

#[test]
fn cas_register_is_decided_as_defined() {
    many(Object::CasRegister);
}

#[test]
fn kv_is_decided_as_defined() {
    many(Object::Kv);
}

#[test]
fn mutex_is_decided_as_defined() {
    many(Object::Mutex);
}

/// A history as it is built: what was invoked and when, and when it returned.
#[derive(Clone, Default)]
struct Partial {
    /// The act, by its place in the alphabet; when it was invoked, and when it returned.
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

/// Every history of `ops` calls out of `alphabet`, however they overlap, or fewer of them: see above. A call that never returns is
/// of unknown outcome.
fn every_history(alphabet: usize, ops: usize, fewer: bool, with: &mut impl FnMut(&Partial)) {
    let mut unfinished = vec![Partial::default()];
    while let Some(partial) = unfinished.pop() {
        if partial.ops.len() < ops {
            for act in 0..alphabet {
                let mut next = partial.clone();
                next.ops.push((act, next.events, None));
                next.events += 1;
                if !fewer || next.is_in_order() {
                    unfinished.push(next);
                }
            }
        } else if !fewer || partial.processes() <= 3 {
            with(&partial);
        }
        for i in 0..partial.ops.len() {
            if partial.ops[i].2.is_none() {
                let mut next = partial.clone();
                next.ops[i].2 = Some(next.events);
                next.events += 1;
                unfinished.push(next);
            }
        }
    }
}

fn exhaust(object: Object, alphabet: &[Do], full: usize) {
    let shape = Shape {
        object,
        processes: 0,
        ops: 0,
        values: 0,
        unique: false,
        crash: 0.0,
        honest: 0.0,
        nil_read: NilRead::Missing,
        failed_cas: FailedCas::Assert,
        initial: None,
    };
    let (options, initial) = (options(&shape), Simulation::<ChaCha8Rng>::initial(&shape));
    let mut tally = Tally::default();
    let mut seen = 0;
    let most_ops = if is_large() { full.max(5) } else { full };
    for ops in 0..=most_ops {
        tally.all = is_large() && ops <= 2;
        every_history(alphabet.len(), ops, ops > full, &mut |partial| {
            let mut builder = Builder::new();
            for now in 0..partial.events {
                let (process, (act, call, _)) = (0..).zip(&partial.ops).find(|(_, op)| op.1 == now || op.2 == Some(now)).unwrap();
                let op = &alphabet[*act];
                let text = |t: &String| Value::Str(t.clone().into());
                let (f, input, output) = match op {
                    Do::Read(v) => ("read", Value::Nil, number(*v)),
                    Do::Write(v) => ("write", number(*v), number(*v)),
                    Do::Cas(a, b) => ("cas", Value::pair(number(*a), number(*b)), Value::pair(number(*a), number(*b))),
                    Do::CasFailed(a) => ("cas", Value::pair(number(*a), number(*a)), Value::pair(number(*a), number(*a))),
                    Do::Get(t) => ("get", Value::Nil, text(t)),
                    Do::Put(t) => ("put", text(t), text(t)),
                    Do::Append(t) => ("append", text(t), text(t)),
                    Do::Acquire => ("acquire", Value::Nil, Value::Nil),
                    Do::Release => ("release", Value::Nil, Value::Nil),
                };
                let kind = match op {
                    _ if *call == now => Kind::Invoke,
                    Do::CasFailed(_) => Kind::Fail,
                    _ => Kind::Ok,
                };
                builder.event(process, kind, f, if *call == now { &input } else { &output }, 0);
            }
            let intervals = (0..).zip(&partial.ops).map(|(i, (act, call, ret))| {
                let op = &alphabet[*act];
                // A cas whose failure nobody heard of is one of unknown outcome.
                let op = if let (Do::CasFailed(a), None) = (op, ret) { Do::Cas(*a, *a) } else { op.clone() };
                Interval { id: OpId(i), op, call: *call, ret: ret.unwrap_or(usize::MAX) }
            });
            let intervals = intervals.filter(|interval| interval.ret != usize::MAX || !interval.is_read()).collect();
            judge(&builder.finish(), &options, &initial, intervals, partial.events, &mut tally, &|| format!("{object:?}"));
            seen += 1;
        });
    }
    println!("{object:?}, exhaustive: {} valid, {} invalid, {} checks", tally.valid, tally.invalid, tally.checks);
    assert!(tally.valid > 20 && tally.invalid > 20 && tally.valid + tally.invalid == seen);
}

/// Whether there is time for histories of five ops.
fn is_large() -> bool {
    size() >= 4.0
}

#[test]
fn every_small_history_of_a_register() {
    exhaust(Object::Register, &[Do::Read(NIL), Do::Read(0), Do::Read(1), Do::Write(0), Do::Write(1)], 4);
}

#[test]
fn every_small_history_of_a_cas_register() {
    let acts = [Do::Read(0), Do::Read(1), Do::Write(0), Do::Cas(0, 1), Do::Cas(1, 0), Do::CasFailed(0)];
    exhaust(Object::CasRegister, &acts, 4);
    if is_large() {
        exhaust(Object::CasRegister, &[&acts[..], &[Do::Read(NIL), Do::Write(1), Do::CasFailed(1)]].concat(), 3);
    }
}

#[test]
fn every_small_history_of_a_key() {
    let [a, b, ab] = ["a", "b", "ab"].map(String::from);
    exhaust(Object::Kv, &[Do::Get(String::new()), Do::Get(a.clone()), Do::Get(ab), Do::Put(a), Do::Append(b)], 4);
}

#[test]
fn every_small_history_of_a_mutex() {
    exhaust(Object::Mutex, &[Do::Acquire, Do::Release], 5);
}

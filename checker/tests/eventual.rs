//! The definition of eventual consistency against the procedure: orders of the updates of small random histories, looked for
//! one by one.
//!
//! Nothing here is shared with the checker. Every subset of the updates of unknown outcome is added to the acknowledged ones, and
//! every order of them is played on a plain object; the ends that come out are compared with what the final reads returned.
//!
//! `RASHOMON_TEST_SIZE` multiplies the number of histories (default 1).

#![allow(clippy::unwrap_used, reason = "tests")]

use crate::size::size;
use histories::{Builder, History, Kind, Value};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Answer, Budget, Consistency, Options, check};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Register,
    Set,
    List,
    Counter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ok,
    Fail,
    Info,
    /// The recording ends before.
    Open,
}

/// An op in the oracle's own words. Of a register the list holds its value, of a counter its number.
#[derive(Clone, Debug)]
struct Op {
    process: usize,
    key: i64,
    /// `None`: a read.
    update: Option<(&'static str, i64)>,
    seen: Vec<i64>,
    end: End,
    invoked: usize,
    ended: usize,
}

struct Case {
    object: Object,
    ops: Vec<Op>,
    /// The node of each process, if there are nodes.
    nodes: Option<Vec<usize>>,
}

fn play(object: Object, state: &mut Vec<i64>, (f, value): (&str, i64)) {
    match (object, f) {
        (Object::Register, _) => *state = vec![value],
        (Object::Counter, _) => state[0] += value,
        (Object::Set, "remove") => state.retain(|element| *element != value),
        (Object::Set, _) if state.contains(&value) => {}
        (Object::Set, _) => {
            state.push(value);
            state.sort_unstable();
        }
        (Object::List, _) => state.push(value),
    }
}

fn start(object: Object) -> Vec<i64> {
    if matches!(object, Object::Register | Object::Counter) { vec![0] } else { Vec::new() }
}

/// Every state at the end of some order of all that must happen and some of what may.
fn ends(object: Object, state: &[i64], must: &[(&'static str, i64)], may: &[(&'static str, i64)], found: &mut BTreeSet<Vec<i64>>) {
    if must.is_empty() {
        found.insert(state.to_vec());
    }
    for (i, &update) in must.iter().chain(may).enumerate() {
        let (mut must, mut may) = (must.to_vec(), may.to_vec());
        if i < must.len() {
            must.remove(i);
        } else {
            may.remove(i - must.len());
        }
        let mut next = state.to_vec();
        play(object, &mut next, update);
        ends(object, &next, &must, &may, found);
    }
}

impl Case {
    fn updates(&self, key: i64, end: impl Fn(End) -> bool) -> Vec<(&'static str, i64)> {
        self.ops.iter().filter(|op| op.key == key && end(op.end)).filter_map(|op| op.update).collect()
    }

    fn possible_ends(&self, key: i64) -> BTreeSet<Vec<i64>> {
        let must = self.updates(key, |end| end == End::Ok);
        let may = self.updates(key, |end| matches!(end, End::Info | End::Open));
        let mut found = BTreeSet::new();
        ends(self.object, &start(self.object), &must, &may, &mut found);
        found
    }

    fn judge(&self, key: i64) -> Summary {
        let is_update = |op: &&Op| op.update.is_some() && op.end != End::Fail;
        let last = self.ops.iter().filter(is_update).map(|op| if op.end == End::Open { op.invoked } else { op.ended }).max();
        let mut finals: BTreeMap<usize, &Op> = BTreeMap::new();
        for op in self.ops.iter().filter(|op| op.key == key && op.update.is_none() && op.end == End::Ok) {
            if last.is_none_or(|last| op.invoked > last) {
                finals.insert(op.process, op);
            }
        }
        let possible = self.possible_ends(key);
        let explains = |end: &Vec<i64>| finals.values().all(|read| read.seen == *end);
        if !possible.iter().any(explains) {
            return Summary::Invalid;
        }
        let processes: BTreeSet<usize> = self.ops.iter().map(|op| op.process).collect();
        let is_covered = match &self.nodes {
            Some(nodes) => processes.iter().all(|p| finals.keys().any(|other| nodes[*other] == nodes[*p])),
            None => processes.iter().all(|p| {
                let last = self.ops.iter().rfind(|op| op.process == *p).unwrap();
                matches!(last.end, End::Info | End::Open) || finals.contains_key(p)
            }),
        };
        if is_covered && !finals.is_empty() { Summary::Valid } else { Summary::Unknown }
    }

    fn history(&self) -> History {
        let value = |op: &Op, under: Value| Value::pair(op.key, under);
        let mut events: Vec<(usize, &Op, bool)> = Vec::new();
        for op in &self.ops {
            events.push((op.invoked, op, true));
            if op.end != End::Open {
                events.push((op.ended, op, false));
            }
        }
        events.sort_by_key(|event| event.0);
        let mut builder = Builder::new();
        for (at, op, is_invocation) in events {
            let input = value(op, op.update.map_or(Value::Nil, |(_, argument)| Value::Int(argument)));
            let kind = match (is_invocation, op.end) {
                (true, _) => Kind::Invoke,
                (_, End::Ok) => Kind::Ok,
                (_, End::Fail) => Kind::Fail,
                _ => Kind::Info,
            };
            let result = match self.object {
                Object::Register | Object::Counter => Value::Int(op.seen.first().copied().unwrap_or(0)),
                _ => Value::Vector(op.seen.iter().map(|&element| Value::Int(element)).collect()),
            };
            let is_answer = kind == Kind::Ok && op.update.is_none();
            let told = if is_answer { value(op, result) } else { input };
            builder.event(op.process as i64, kind, op.update.map_or("read", |update| update.0), &told, at as i64 * 1000);
        }
        for (process, node) in self.nodes.iter().flatten().enumerate() {
            let process = builder.values().int(process as i64);
            builder.node(process, &format!("n{node}"));
        }
        builder.finish()
    }

    fn options(&self) -> Options {
        let model = match self.object {
            Object::Register => "register",
            Object::Set => "set",
            Object::List => "list-append",
            Object::Counter => "counter",
        };
        let initial = (self.object == Object::Register).then_some(Value::Int(0));
        Options { keyed: Some(true), initial, ..Options::from(model) }
    }
}

/// A history of updates and reads that overlap, then of final reads, most of which tell the truth.
fn random(object: Object, rng: &mut impl Rng) -> Case {
    let processes = rng.random_range(1..=3);
    let nodes = rng.random_bool(0.5).then(|| (0..processes).map(|_| rng.random_range(0..2)).collect());
    let mut case = Case { object, ops: Vec::new(), nodes };
    let (mut clock, mut alive) = (0, vec![true; processes]);
    let mut open: Vec<Option<usize>> = vec![None; processes];
    let keys = rng.random_range(1..=2);
    let crashes = if rng.random_bool(0.3) { 0.3 } else { 0.03 };
    for _ in 0..rng.random_range(0..12) {
        let process = rng.random_range(0..processes);
        clock += 1;
        match open[process].take() {
            Some(op) => {
                case.ops[op].ended = clock;
                let is_read = case.ops[op].update.is_none();
                case.ops[op].end = match rng.random_bool(crashes) {
                    true => End::Info,
                    false if rng.random_bool(0.1) => End::Fail,
                    false => End::Ok,
                };
                alive[process] = case.ops[op].end != End::Info;
                if is_read && case.ops[op].end == End::Ok {
                    case.ops[op].seen = somewhere(object, rng);
                }
            }
            None if alive[process] && case.ops.len() < 7 => {
                let update = rng.random_bool(0.8).then(|| update(object, rng));
                let key = rng.random_range(0..keys);
                open[process] = Some(case.ops.len());
                case.ops.push(Op { process, key, update, seen: Vec::new(), end: End::Open, invoked: clock, ended: usize::MAX });
            }
            None => {}
        }
    }
    // Most of those in flight are answered, not all.
    for in_flight in &mut open {
        if let Some(op) = in_flight.take_if(|_| rng.random_bool(0.9)) {
            clock += 1;
            (case.ops[op].end, case.ops[op].ended) = (End::Ok, clock);
            if case.ops[op].update.is_none() {
                case.ops[op].seen = somewhere(object, rng);
            }
        }
    }
    for key in 0..keys {
        let truth = case.possible_ends(key).into_iter().collect::<Vec<_>>();
        let truth = &truth[rng.random_range(0..truth.len())];
        for process in (0..processes).filter(|&process| alive[process] && open[process].is_none()) {
            for _ in 0..rng.random_range(0..=2) + usize::from(rng.random_bool(0.7)) {
                let seen = if rng.random_bool(0.07) { somewhere(object, rng) } else { truth.clone() };
                clock += 2;
                case.ops.push(Op { process, key, update: None, seen, end: End::Ok, invoked: clock - 1, ended: clock });
            }
        }
    }
    case
}

fn update(object: Object, rng: &mut impl Rng) -> (&'static str, i64) {
    match object {
        Object::Register => ("write", rng.random_range(0..4)),
        Object::Set if rng.random_bool(0.3) => ("remove", rng.random_range(0..3)),
        Object::Set => ("add", rng.random_range(0..3)),
        Object::List => ("append", rng.random_range(0..4)),
        Object::Counter => ("add", [1, 1, 2, 5, -1, -3][rng.random_range(0..6)]),
    }
}

fn somewhere(object: Object, rng: &mut impl Rng) -> Vec<i64> {
    match object {
        Object::Register => vec![rng.random_range(0..5)],
        Object::Counter => vec![rng.random_range(-3..8)],
        _ => {
            let mut elements: Vec<i64> = (0..rng.random_range(0..4)).map(|_| rng.random_range(0..4)).collect();
            if object == Object::Set {
                elements.sort_unstable();
            }
            elements
        }
    }
}

fn agree(object: Object, count: usize, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut told = BTreeMap::new();
    let count = (count as f64 * size()) as usize;
    for number in 0..count {
        let case = random(object, &mut rng);
        let history = case.history();
        let verdict = check(&history, Consistency::Eventual, &case.options(), &Budget::unlimited()).unwrap();
        let keys: BTreeSet<i64> = case.ops.iter().map(|op| op.key).collect();
        let judged: BTreeMap<i64, Summary> = keys.into_iter().map(|key| (key, case.judge(key))).collect();
        for (&key, &expected) in &judged {
            let of_key = |id| history.values.as_int(id) == Some(key);
            let found = verdict.keys.iter().find(|found| found.key.is_some_and(of_key));
            // Of a key of which nothing was read or changed nothing is said.
            let summary = found.map_or(Summary::Unknown, |found| found.answer.summary());
            assert_eq!(summary, expected, "{object:?} {number}, key {key}: {:?}\n{:?} {:?}", found, case.ops, case.nodes);
            *told.entry(format!("{summary:?}")).or_insert(0_usize) += 1;
            if let Some(Answer::Invalid(proof)) = found.map(|found| &found.answer) {
                assert!(
                    proof.minimal && (proof.needed.len() <= 2 || object == Object::List) && !proof.sentence.is_empty(),
                    "{object:?} {number}: {proof:?}"
                );
            }
        }
    }
    assert!(told.values().all(|&times| times > count / 50) && told.len() == 3, "{told:?}");
}

#[test]
fn registers_agree_with_the_definition() {
    agree(Object::Register, 60_000, 1);
}

#[test]
fn sets_agree_with_the_definition() {
    agree(Object::Set, 60_000, 2);
}

#[test]
fn lists_agree_with_the_definition() {
    agree(Object::List, 60_000, 3);
}

#[test]
fn counters_agree_with_the_definition() {
    agree(Object::Counter, 60_000, 4);
}

//! The definition of eventual consistency against the procedure: orders of the updates of small random histories, looked for
//! one by one.
//!
//! Nothing here is shared with the checker. Every subset of the updates of unknown outcome is added to the acknowledged ones, and
//! every order of them is played on a plain object; the ends that come out are compared with what the final reads returned, and the
//! updates with what was read before.
//!
//! Bugs that were there once, and that these tests find: a cas taken for a write that needs nothing; what was read before the end, of
//! updates of unknown outcome, and is gone in the end.
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
    CasRegister,
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

/// The function, and its argument; of a cas the new value, before it the one that it finds.
type Update = (&'static str, i64, i64);

/// An op in the oracle's own words. Of a register the list holds its value, of a counter its number.
#[derive(Clone, Debug)]
struct Op {
    process: usize,
    key: i64,
    /// `None`: a read.
    update: Option<Update>,
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

fn play(object: Object, state: &mut Vec<i64>, (f, old, value): Update) -> bool {
    match (object, f) {
        (_, "cas") if state[..] != [old] => return false,
        (Object::Register | Object::CasRegister, _) => *state = vec![value],
        (Object::Counter, _) => state[0] += value,
        (Object::Set, "remove") => state.retain(|element| *element != value),
        (Object::Set, _) if state.contains(&value) => {}
        (Object::Set, _) => {
            state.push(value);
            state.sort_unstable();
        }
        (Object::List, _) => state.push(value),
    }
    true
}

fn start(object: Object) -> Vec<i64> {
    if matches!(object, Object::Register | Object::CasRegister | Object::Counter) { vec![0] } else { Vec::new() }
}

/// Every state at the end of some order of these updates.
fn ends(object: Object, state: &[i64], updates: &[Update], found: &mut BTreeSet<Vec<i64>>) {
    if updates.is_empty() {
        found.insert(state.to_vec());
    }
    for (i, &update) in updates.iter().enumerate() {
        let mut next = state.to_vec();
        if !updates[..i].contains(&update) && play(object, &mut next, update) {
            ends(object, &next, &[&updates[..i], &updates[i + 1..]].concat(), found);
        }
    }
}

/// Whether some of these updates leave what was read, in some order; of a register, whether one of them stores it.
fn leave(object: Object, updates: &[Update], seen: &[i64]) -> bool {
    let count = |list: &[i64], value: i64| list.iter().filter(|other| **other == value).count();
    let added: Vec<i64> = updates.iter().filter(|update| update.0 != "remove").map(|update| update.2).collect();
    match object {
        Object::Register | Object::CasRegister => seen == [0] || added.contains(&seen[0]),
        Object::Set => seen.windows(2).all(|two| two[0] < two[1]) && seen.iter().all(|element| added.contains(element)),
        Object::List => seen.iter().all(|&element| count(seen, element) <= count(&added, element)),
        Object::Counter => (0..1_usize << added.len())
            .any(|mask| (0..added.len()).filter(|i| mask >> i & 1 == 1).map(|i| added[i]).sum::<i64>() == seen[0]),
    }
}

impl Case {
    /// All executions: of which updates, and the states in which they can end.
    fn executions(&self, key: i64) -> Vec<(Vec<&Op>, BTreeSet<Vec<i64>>)> {
        let of = |is_done: bool| {
            let is_it = move |op: &&Op| op.key == key && op.update.is_some() && op.end != End::Fail && (op.end == End::Ok) == is_done;
            self.ops.iter().filter(is_it).collect::<Vec<_>>()
        };
        let (done, uncertain) = (of(true), of(false));
        let mut executions = Vec::new();
        for mask in 0..1_usize << uncertain.len() {
            let more = uncertain.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, op)| *op);
            let happened: Vec<&Op> = done.iter().copied().chain(more).collect();
            let updates: Vec<Update> = happened.iter().filter_map(|op| op.update).collect();
            let mut found = BTreeSet::new();
            ends(self.object, &start(self.object), &updates, &mut found);
            executions.push((happened, found));
        }
        executions
    }

    /// The reads of a key that are not final, and the last of each process that are.
    fn reads(&self, key: i64) -> (Vec<&Op>, BTreeMap<usize, &Op>) {
        let is_update = |op: &&Op| op.update.is_some() && op.end != End::Fail;
        let last = self.ops.iter().filter(is_update).map(|op| if op.end == End::Open { op.invoked } else { op.ended }).max();
        let mut finals: BTreeMap<usize, &Op> = BTreeMap::new();
        let reads = || self.ops.iter().filter(|op| op.key == key && op.update.is_none() && op.end == End::Ok);
        for op in reads().filter(|op| last.is_none_or(|last| op.invoked > last)) {
            finals.insert(op.process, op);
        }
        (reads().filter(|op| !finals.values().any(|known| known.invoked == op.invoked)).collect(), finals)
    }

    fn judge(&self, key: i64) -> Summary {
        let (early, finals) = self.reads(key);
        let explains = |(happened, ends): &(Vec<&Op>, BTreeSet<Vec<i64>>)| {
            let begun = |read: &Op| happened.iter().filter(|op| op.invoked < read.ended).filter_map(|op| op.update).collect::<Vec<_>>();
            early.iter().all(|read| leave(self.object, &begun(read), &read.seen))
                && ends.iter().any(|end| finals.values().all(|read| read.seen == *end))
        };
        if !self.executions(key).iter().any(explains) {
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
            let argument = op.update.map_or(Value::Nil, |(f, old, new)| if f == "cas" { Value::pair(old, new) } else { Value::Int(new) });
            let input = value(op, argument);
            let kind = match (is_invocation, op.end) {
                (true, _) => Kind::Invoke,
                (_, End::Ok) => Kind::Ok,
                (_, End::Fail) => Kind::Fail,
                _ => Kind::Info,
            };
            let result = match self.object {
                Object::Register | Object::CasRegister | Object::Counter => Value::Int(op.seen.first().copied().unwrap_or(0)),
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
            Object::CasRegister => "cas-register",
            Object::Set => "set",
            Object::List => "list-append",
            Object::Counter => "counter",
        };
        let initial = matches!(self.object, Object::Register | Object::CasRegister).then_some(Value::Int(0));
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
                    case.ops[op].seen = something(&case, case.ops[op].key, rng);
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
                case.ops[op].seen = something(&case, case.ops[op].key, rng);
            }
        }
    }
    for key in 0..keys {
        let truth: Vec<Vec<i64>> = case.executions(key).into_iter().flat_map(|execution| execution.1).collect();
        let truth = if truth.is_empty() { somewhere(object, rng) } else { truth[rng.random_range(0..truth.len())].clone() };
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

fn update(object: Object, rng: &mut impl Rng) -> Update {
    match object {
        Object::CasRegister if rng.random_bool(0.6) => ("cas", rng.random_range(0..3), rng.random_range(0..4)),
        Object::Register | Object::CasRegister => ("write", 0, rng.random_range(0..4)),
        Object::Set if rng.random_bool(0.3) => ("remove", 0, rng.random_range(0..3)),
        Object::Set => ("add", 0, rng.random_range(0..3)),
        Object::List => ("append", 0, rng.random_range(0..4)),
        Object::Counter => ("add", 0, [1, 1, 2, 5, -1, -3][rng.random_range(0..6)]),
    }
}

/// What a read may return that has seen some of what had begun.
fn something(case: &Case, key: i64, rng: &mut impl Rng) -> Vec<i64> {
    if rng.random_bool(0.04) {
        return somewhere(case.object, rng);
    }
    let begun = case.ops.iter().filter(|op| op.key == key && op.end != End::Fail).filter_map(|op| op.update);
    let some: Vec<i64> = begun.filter(|update| update.0 != "remove" && rng.random_bool(0.7)).map(|update| update.2).collect();
    match case.object {
        Object::Register | Object::CasRegister => vec![some.last().copied().unwrap_or(0)],
        Object::Counter => vec![some.iter().sum()],
        Object::Set => some.into_iter().collect::<BTreeSet<i64>>().into_iter().collect(),
        Object::List => some,
    }
}

fn somewhere(object: Object, rng: &mut impl Rng) -> Vec<i64> {
    match object {
        Object::Register | Object::CasRegister => vec![rng.random_range(0..5)],
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
    let (mut told, mut open) = (BTreeMap::new(), 0);
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
            // Which cas of unknown outcome connect what happened is hard to say in rare cases.
            let is_uncertain = |op: &Op| op.update.is_some_and(|update| update.0 == "cas") && !matches!(op.end, End::Ok | End::Fail);
            if summary != expected && summary == Summary::Unknown && case.ops.iter().any(is_uncertain) {
                open += 1;
                continue;
            }
            assert_eq!(summary, expected, "{object:?} {number}, key {key}: {:?}\n{:?} {:?}", found, case.ops, case.nodes);
            *told.entry(format!("{summary:?}")).or_insert(0_usize) += 1;
            if let Some(Answer::Invalid(proof)) = found.map(|found| &found.answer) {
                assert!(
                    proof.minimal
                        && (proof.needed.len() <= 2 || !matches!(object, Object::Register | Object::Set))
                        && !proof.sentence.is_empty(),
                    "{object:?} {number}: {proof:?}"
                );
            }
        }
    }
    assert!(told.values().all(|&times| times > count / 50) && told.len() == 3, "{told:?}");
    assert!(open <= count / 1_000, "{open} of {count} stayed open");
}

#[test]
fn registers_agree_with_the_definition() {
    agree(Object::Register, 60_000, 1);
}

#[test]
fn cas_registers_agree_with_the_definition() {
    agree(Object::CasRegister, 15_000, 5);
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

//! The definition of replicated data types (the head of `convergence/replicated.rs`) against the procedure that decides them: all
//! executions of small histories, looked at one by one.
//!
//! Nothing here is shared with the checker, and no rule of its proof is used: every set of updates that may have happened is taken
//! with every relation of which removes had seen which adds, over all elements together; those that break one of the conditions
//! are thrown away, and the states of the others are what final reads may return. Every other read is compared with what the type makes
//! of every set of those of these updates that had begun, with every relation between them.
//!
//! `RASHOMON_TEST_SIZE` multiplies the number of histories (default 1).
//!
//! Bugs that were planted by hand in `convergence/replicated.rs`, each of which this test found: a remove that has seen what its process
//! reads only later; of an observed-remove set, an add after all removes that may be missing; an add that is not the first taken for the
//! only one that a read can have seen; the first taken for that although another one had begun too; a read before the end that is not
//! asked whether what it returned had begun; sums with gaps between them taken for all numbers between the least and the greatest; a
//! remove of unknown outcome that has no effect any more after its client gave up; what was read before the end, of updates of unknown
//! outcome, and is gone in the end.

#![allow(clippy::unwrap_used, reason = "tests")]

use crate::size::size;
use histories::{Builder, History, Kind, Value};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Answer, Budget, Consistency, Options, check};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    GSet,
    TwoPhase,
    Observed,
    GCounter,
    PnCounter,
}

impl Type {
    fn is_counter(self) -> bool {
        matches!(self, Type::GCounter | Type::PnCounter)
    }

    fn model(self) -> &'static str {
        match self {
            Type::GSet => "g-set",
            Type::TwoPhase => "2p-set",
            Type::Observed => "or-set",
            Type::GCounter => "g-counter",
            Type::PnCounter => "pn-counter",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ok,
    Fail,
    Info,
    /// The recording ends before.
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Add(i64),
    Remove(i64),
    Read,
}

/// An op in the oracle's own words. Of a counter the list holds its number.
#[derive(Clone, Debug)]
struct Op {
    process: usize,
    key: i64,
    does: Does,
    seen: Vec<i64>,
    end: End,
    invoked: usize,
    ended: usize,
}

impl Op {
    fn is_update(&self) -> bool {
        self.does != Does::Read && self.end != End::Fail
    }

    fn before(&self, other: &Op) -> bool {
        self.end == End::Ok && self.ended < other.invoked
    }
}

#[derive(Debug)]
struct Case {
    of: Type,
    ops: Vec<Op>,
    nodes: Option<Vec<usize>>,
}

/// All ways to choose some of these.
fn subsets<T: Copy>(all: &[T]) -> impl Iterator<Item = Vec<T>> + '_ {
    (0..1_usize << all.len()).map(move |mask| all.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, &one)| one).collect())
}

impl Case {
    /// The updates of a key, as places.
    fn updates(&self, key: i64, filter: impl Fn(&Op) -> bool) -> Vec<usize> {
        (0..self.ops.len()).filter(|&i| self.ops[i].key == key && self.ops[i].is_update() && filter(&self.ops[i])).collect()
    }

    /// The pairs of an add and a remove of one element, of which the remove may have seen the add.
    fn pairs(&self, happened: &[usize]) -> Vec<(usize, usize)> {
        let mut pairs = Vec::new();
        for &add in happened {
            for &remove in happened {
                let (a, r) = (&self.ops[add], &self.ops[remove]);
                if let (Does::Add(element), Does::Remove(other)) = (a.does, r.does)
                    && element == other
                    && !r.before(a)
                {
                    pairs.push((add, remove));
                }
            }
        }
        pairs
    }

    /// What the type makes of updates with what their removes had seen: several states, where it leaves open whether a remove
    /// takes effect.
    fn states(&self, happened: &[usize], saw: &[(usize, usize)]) -> BTreeSet<Vec<i64>> {
        let amount = |&i: &usize| if let Does::Add(amount) = self.ops[i].does { amount } else { 0 };
        if self.of.is_counter() {
            return [vec![happened.iter().map(amount).sum()]].into();
        }
        let removes: Vec<usize> = happened.iter().copied().filter(|&i| matches!(self.ops[i].does, Does::Remove(_))).collect();
        let blind: Vec<usize> = removes.iter().copied().filter(|remove| !saw.iter().any(|pair| pair.1 == *remove)).collect();
        let mut states = BTreeSet::new();
        for effective in subsets(if self.of == Type::TwoPhase { &blind } else { &[] }) {
            let takes_effect = |remove: usize| effective.contains(&remove) || !blind.contains(&remove);
            let mut state = BTreeSet::new();
            for &add in happened {
                let Does::Add(element) = self.ops[add].does else { continue };
                let hidden = match self.of {
                    Type::TwoPhase => removes.iter().any(|&r| self.ops[r].does == Does::Remove(element) && takes_effect(r)),
                    Type::Observed => removes.iter().any(|&r| saw.contains(&(add, r))),
                    _ => false,
                };
                if !hidden {
                    state.insert(element);
                }
            }
            states.insert(state.into_iter().collect());
        }
        states
    }

    /// Whether a relation keeps what clients did (2) and read (3). What lies in the future is in no relation.
    fn is_known(&self, key: i64, happened: &[usize], saw: &[(usize, usize)], early: &[usize]) -> bool {
        happened.iter().all(|&remove| {
            let r = &self.ops[remove];
            let Does::Remove(element) = r.does else { return true };
            let own = happened.iter().all(|&add| {
                let a = &self.ops[add];
                a.does != Does::Add(element) || a.process != r.process || !a.before(r) || saw.contains(&(add, remove))
            });
            let read = early.iter().all(|&read| {
                let q = &self.ops[read];
                assert_eq!(q.key, key);
                q.process != r.process
                    || !q.before(r)
                    || !q.seen.contains(&element)
                    || happened.iter().any(|&add| self.ops[add].invoked < q.ended && saw.contains(&(add, remove)))
            });
            own && read
        })
    }

    /// All states in which everybody may be in the end.
    fn ends(&self, key: i64, early: &[usize]) -> BTreeSet<Vec<i64>> {
        let certain = self.updates(key, |op| op.end == End::Ok);
        let uncertain = self.updates(key, |op| op.end != End::Ok);
        let mut ends = BTreeSet::new();
        for more in subsets(&uncertain) {
            let mut happened = [certain.clone(), more].concat();
            happened.sort_unstable();
            if !early.iter().all(|&read| self.early_is_explained(read, &happened)) {
                continue;
            }
            for saw in subsets(&self.pairs(&happened)) {
                if self.is_known(key, &happened, &saw, early) {
                    ends.extend(self.states(&happened, &saw));
                }
            }
        }
        ends
    }

    fn early_is_explained(&self, read: usize, happened: &[usize]) -> bool {
        let q = &self.ops[read];
        let begun: Vec<usize> = happened.iter().copied().filter(|&update| self.ops[update].invoked < q.ended).collect();
        subsets(&begun).any(|happened| subsets(&self.pairs(&happened)).any(|saw| self.states(&happened, &saw).contains(&q.seen)))
    }

    /// The reads of a key that are not final, and those that are.
    fn reads(&self, key: i64) -> (Vec<usize>, BTreeMap<usize, usize>) {
        let ends = |op: &Op| if op.end == End::Open { op.invoked } else { op.ended };
        let last = self.ops.iter().filter(|op| op.is_update()).map(ends).max();
        let mut finals = BTreeMap::new();
        let reads =
            || (0..self.ops.len()).filter(|&i| self.ops[i].key == key && self.ops[i].does == Does::Read && self.ops[i].end == End::Ok);
        for read in reads().filter(|&i| last.is_none_or(|last| self.ops[i].invoked > last)) {
            finals.insert(self.ops[read].process, read);
        }
        (reads().filter(|read| !finals.values().any(|known| known == read)).collect(), finals)
    }

    fn judge(&self, key: i64) -> Summary {
        let (early, finals) = self.reads(key);
        let in_the_end = self.ends(key, &early).iter().any(|end| finals.values().all(|&read| self.ops[read].seen == *end));
        if !in_the_end {
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
            let (f, argument) = match op.does {
                Does::Add(value) => ("add", Value::Int(value)),
                Does::Remove(value) => ("remove", Value::Int(value)),
                Does::Read => ("read", Value::Nil),
            };
            let kind = match (is_invocation, op.end) {
                (true, _) => Kind::Invoke,
                (_, End::Ok) => Kind::Ok,
                (_, End::Fail) => Kind::Fail,
                _ => Kind::Info,
            };
            let told = match (kind, op.does) {
                (Kind::Ok, Does::Read) if self.of.is_counter() => Value::Int(op.seen[0]),
                (Kind::Ok, Does::Read) => Value::Vector(op.seen.iter().map(|&element| Value::Int(element)).collect()),
                _ => argument,
            };
            builder.event(op.process as i64, kind, f, &Value::pair(op.key, told), at as i64 * 1000);
        }
        for (process, node) in self.nodes.iter().flatten().enumerate() {
            let process = builder.values().int(process as i64);
            builder.node(process, &format!("n{node}"));
        }
        builder.finish()
    }

    /// Compares the checker's answers with the definition's, and counts them.
    fn compare(&self, told: &mut BTreeMap<&'static str, usize>) {
        let history = self.history();
        let options = Options { keyed: Some(true), ..Options::from(self.of.model()) };
        let verdict = check(&history, Consistency::Eventual, &options, &Budget::unlimited()).unwrap();
        for key in self.ops.iter().map(|op| op.key).collect::<BTreeSet<i64>>() {
            let expected = self.judge(key);
            let of_key = |id| history.values.as_int(id) == Some(key);
            let found = verdict.keys.iter().find(|found| found.key.is_some_and(of_key));
            // Of a key of which nothing was read or changed nothing is said.
            let summary = found.map_or(Summary::Unknown, |found| found.answer.summary());
            assert_eq!(summary, expected, "key {key}: {found:?}\n{self:?}");
            *told.entry(summary.name()).or_default() += 1;
            if let Some(Answer::Invalid(proof)) = found.map(|found| &found.answer) {
                assert!(proof.minimal && !proof.sentence.is_empty() && !proof.needed.is_empty(), "{proof:?}\n{self:?}");
            }
        }
    }
}

fn update(of: Type, rng: &mut impl Rng) -> Does {
    match of {
        Type::GCounter => Does::Add([1, 1, 2, 5][rng.random_range(0..4)]),
        Type::PnCounter => Does::Add([1, 1, 2, 5, -1, -3][rng.random_range(0..6)]),
        Type::TwoPhase | Type::Observed if rng.random_bool(0.4) => Does::Remove(rng.random_range(0..2)),
        _ => Does::Add(rng.random_range(0..2)),
    }
}

fn somewhere(of: Type, rng: &mut impl Rng) -> Vec<i64> {
    if of.is_counter() {
        return vec![rng.random_range(-3..8)];
    }
    let mut elements: Vec<i64> = (0..rng.random_range(0..3)).map(|_| rng.random_range(0..3)).collect();
    elements.sort_unstable();
    elements
}

/// What a read may return that has seen some of what had begun.
fn something(case: &Case, key: i64, rng: &mut impl Rng) -> Vec<i64> {
    if rng.random_bool(0.05) {
        return somewhere(case.of, rng);
    }
    let begun: Vec<Does> = case.updates(key, |_| true).into_iter().filter(|_| rng.random_bool(0.7)).map(|i| case.ops[i].does).collect();
    let amounts = begun.iter().filter_map(|does| if let Does::Add(amount) = does { Some(*amount) } else { None });
    if case.of.is_counter() { vec![amounts.sum()] } else { amounts.collect::<BTreeSet<i64>>().into_iter().collect() }
}

/// A history of updates and reads that overlap, then of final reads, most of which tell the truth.
fn random(of: Type, rng: &mut impl Rng) -> Case {
    let processes = rng.random_range(1..=3);
    let nodes = rng.random_bool(0.5).then(|| (0..processes).map(|_| rng.random_range(0..2)).collect());
    let mut case = Case { of, ops: Vec::new(), nodes };
    let (mut clock, mut alive) = (0, vec![true; processes]);
    let mut open: Vec<Option<usize>> = vec![None; processes];
    let keys = if rng.random_bool(0.8) { 1 } else { 2 };
    let crashes = if rng.random_bool(0.3) { 0.3 } else { 0.03 };
    for _ in 0..rng.random_range(0..16) {
        let process = rng.random_range(0..processes);
        clock += 1;
        match open[process].take() {
            Some(op) => {
                case.ops[op].ended = clock;
                case.ops[op].end = match rng.random_bool(crashes) {
                    true => End::Info,
                    false if rng.random_bool(0.05) => End::Fail,
                    false => End::Ok,
                };
                alive[process] = case.ops[op].end != End::Info;
                if case.ops[op].does == Does::Read && case.ops[op].end == End::Ok {
                    case.ops[op].seen = something(&case, case.ops[op].key, rng);
                }
            }
            None if alive[process] && case.ops.len() < 8 => {
                let does = if rng.random_bool(0.75) { update(of, rng) } else { Does::Read };
                let key = rng.random_range(0..keys);
                open[process] = Some(case.ops.len());
                case.ops.push(Op { process, key, does, seen: Vec::new(), end: End::Open, invoked: clock, ended: usize::MAX });
            }
            None => {}
        }
    }
    for in_flight in &mut open {
        if let Some(op) = in_flight.take_if(|_| rng.random_bool(0.9)) {
            clock += 1;
            (case.ops[op].end, case.ops[op].ended) = (End::Ok, clock);
            if case.ops[op].does == Does::Read {
                case.ops[op].seen = something(&case, case.ops[op].key, rng);
            }
        }
    }
    for key in 0..keys {
        let (early, _) = case.reads(key);
        let truth: Vec<Vec<i64>> = case.ends(key, &early).into_iter().collect();
        let truth = if truth.is_empty() { Vec::new() } else { truth[rng.random_range(0..truth.len())].clone() };
        let is_told = case.of.is_counter() && truth.is_empty();
        for process in (0..processes).filter(|&process| !is_told && alive[process] && open[process].is_none()) {
            for _ in 0..rng.random_range(0..=1) + usize::from(rng.random_bool(0.8)) {
                let seen = if rng.random_bool(0.1) { somewhere(of, rng) } else { truth.clone() };
                clock += 2;
                case.ops.push(Op { process, key, does: Does::Read, seen, end: End::Ok, invoked: clock - 1, ended: clock });
            }
        }
    }
    case
}

fn agree(of: Type, count: usize, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut told = BTreeMap::new();
    let count = (count as f64 * size()) as usize;
    for _ in 0..count {
        random(of, &mut rng).compare(&mut told);
    }
    assert!(told.values().all(|&times| times > count / 50) && told.len() == 3, "{told:?}");
}

#[test]
fn grow_only_sets_agree_with_the_definition() {
    agree(Type::GSet, 30_000, 1);
}

#[test]
fn two_phase_sets_agree_with_the_definition() {
    agree(Type::TwoPhase, 30_000, 2);
}

#[test]
fn observed_remove_sets_agree_with_the_definition() {
    agree(Type::Observed, 60_000, 3);
}

#[test]
fn grow_only_counters_agree_with_the_definition() {
    agree(Type::GCounter, 30_000, 4);
}

#[test]
fn counters_agree_with_the_definition() {
    agree(Type::PnCounter, 30_000, 5);
}

/// Every history of three ops on one element by two clients, one after the other or overlapping, each of known or unknown outcome,
/// and what is read in the end.
#[test]
fn all_short_histories_agree_with_the_definition() {
    const OPS: usize = 3;
    let kinds = [(Does::Add(0), End::Ok), (Does::Remove(0), End::Ok), (Does::Add(0), End::Info), (Does::Remove(0), End::Info)];
    let reads = [Vec::new(), vec![0]];
    let choices = 2 * (kinds.len() + reads.len());
    let mut told = BTreeMap::new();
    for of in [Type::TwoPhase, Type::Observed] {
        for number in 0..choices.pow(OPS as u32) << (OPS - 1) << 1 {
            let (mut rest, overlaps) = (number >> OPS, number & ((1 << OPS) - 1));
            let mut ops: Vec<Op> = Vec::new();
            for place in 0..OPS {
                let choice = rest % choices;
                rest /= choices;
                let (process, kind) = (choice % 2, choice / 2);
                let (does, end) = kinds.get(kind).copied().unwrap_or((Does::Read, End::Ok));
                let seen = kind.checked_sub(kinds.len()).map(|read| reads[read].clone()).unwrap_or_default();
                // Who does not know what came of an op goes on as another process.
                let process = if end == End::Info { 2 + place } else { process };
                let overlaps = overlaps >> place & 1 == 1 && place > 0 && ops[place - 1].process != process;
                if overlaps {
                    ops[place - 1].ended = 10 * place + 12;
                }
                ops.push(Op { process, key: 0, does, seen, end, invoked: 10 * place + 10, ended: 10 * place + 15 });
            }
            for process in 0..2 {
                let seen = reads[overlaps & 1].clone();
                ops.push(Op {
                    process,
                    key: 0,
                    does: Does::Read,
                    seen,
                    end: End::Ok,
                    invoked: 100 + 10 * process,
                    ended: 105 + 10 * process,
                });
            }
            Case { of, ops, nodes: None }.compare(&mut told);
        }
    }
    assert!(told.len() >= 2 && told.values().all(|&times| times > 1_000), "{told:?}");
}

#[test]
fn what_a_type_does_not_offer_is_refused() {
    for (model, f, value, why) in [("g-set", "remove", 1, "only grows"), ("g-counter", "add", -1, "only grows")] {
        let history = |kind: Kind| {
            let mut builder = Builder::new();
            builder.event(0, Kind::Invoke, f, &Value::Int(value), 0);
            builder.event(0, kind, f, &Value::Int(value), 1);
            builder.finish()
        };
        for consistency in [Consistency::Eventual, Consistency::Linearizable] {
            let error = check(&history(Kind::Ok), consistency, &model.into(), &Budget::unlimited()).unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(check(&history(Kind::Fail), consistency, &model.into(), &Budget::unlimited()).is_ok(), "the store refused it as well");
        }
    }
}

//! Staleness against its definitions, on small random histories of one register or of two: orders of all ops are looked for one by one.
//!
//! Nothing here is shared with the checker. k: of all orders that keep real time the one whose stalest read is least stale. t: the
//! least of all candidates (differences of two times) for which an order exists if reads may begin so much earlier. Windows: each
//! write against each read.
//!
//! `RASHOMON_TEST_SIZE` multiplies the number of histories (default 1); with 40 there are a million.

#![allow(clippy::unwrap_used, reason = "tests")]

use crate::size::size;
use histories::{Builder, History, Kind, Value};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rashomon_checker::staleness::{Bounds, KeyStaleness, Staleness, measure};
use rashomon_checker::{Budget, Options};
use std::collections::{BTreeMap, BTreeSet};

/// An op: a write of a value or a read of it. Event positions, and the times of events.
#[derive(Clone, Copy, Debug)]
struct Op {
    key: i64,
    is_write: bool,
    value: i64,
    call: usize,
    /// `None`: its outcome is unknown.
    ret: Option<usize>,
}

#[derive(Clone, Debug)]
struct Case {
    ops: Vec<Op>,
    times: Vec<i64>,
}

impl Case {
    /// One key's ops; the times are those of all events.
    fn of_key(&self, key: i64) -> Case {
        Case { ops: self.ops.iter().filter(|op| op.key == key).copied().collect(), times: self.times.clone() }
    }

    /// Whether `a` must come before `b` if reads begin earlier by `t` (`None`: the order of events alone).
    fn precedes(&self, a: Op, b: Op, t: Option<i64>) -> bool {
        let Some(ret) = a.ret else { return false };
        match t {
            Some(t) if !b.is_write => self.times[ret] < self.times[b.call] - t,
            _ => ret < b.call,
        }
    }

    /// The least staleness of the stalest read, over all orders. Staleness 1: the latest write.
    fn least_k(&self, t: Option<i64>, placed: &mut Vec<usize>, worst: usize, best: &mut usize) {
        if worst >= *best {
            return;
        }
        if (0..self.ops.len()).all(|i| placed.contains(&i) || self.ops[i].ret.is_none()) {
            *best = worst;
            return;
        }
        for i in (0..self.ops.len()).filter(|i| !placed.contains(i)).collect::<Vec<_>>() {
            let op = self.ops[i];
            let waits = (0..self.ops.len()).any(|j| j != i && !placed.contains(&j) && self.precedes(self.ops[j], op, t));
            if waits || !op.is_write && op.ret.is_none() {
                continue;
            }
            let mut next = worst;
            if !op.is_write {
                let versions = placed.iter().rev().map(|&j| self.ops[j]).filter(|op| op.is_write).map(|op| op.value).chain([0]);
                let Some(age) = versions.collect::<Vec<_>>().iter().position(|value| *value == op.value) else { continue };
                next = worst.max(age + 1);
            }
            placed.push(i);
            self.least_k(t, placed, next, best);
            placed.pop();
        }
    }

    fn k(&self) -> Option<usize> {
        let mut best = usize::MAX;
        self.least_k(None, &mut Vec::new(), 1, &mut best);
        (best < usize::MAX).then_some(best)
    }

    fn is_atomic(&self, t: Option<i64>) -> bool {
        let mut best = 2;
        self.least_k(t, &mut Vec::new(), 1, &mut best);
        best == 1
    }

    fn t(&self) -> Option<i64> {
        if self.is_atomic(None) {
            return Some(0);
        }
        let all = self.times.iter().flat_map(|a| self.times.iter().map(move |b| (a - b).abs()));
        let candidates: BTreeSet<i64> = all.flat_map(|d| [d, d + 1]).filter(|&d| d > 0).collect();
        candidates.into_iter().find(|&t| self.is_atomic(Some(t)))
    }

    /// Of each acknowledged write followed by a read, how long reads missed it; and how many were not followed.
    fn windows(&self) -> (Vec<u64>, usize) {
        let by = |value: i64| {
            let of_value = self.ops.iter().filter(|op| op.value == value && (op.is_write || op.ret.is_some()));
            if value == 0 { Some(0) } else { of_value.filter_map(|op| op.ret.map(|ret| ret + 1)).min() }
        };
        let reads = || self.ops.iter().filter(|op| !op.is_write && op.ret.is_some());
        let (mut found, mut untested) = (Vec::new(), 0);
        for write in self.ops.iter().filter(|op| op.is_write) {
            let Some(ret) = write.ret else { continue };
            if !reads().any(|read| read.call > ret) {
                untested += 1;
                continue;
            }
            let missed = reads().filter(|read| read.call > ret && by(read.value).is_some_and(|by| by < write.call + 1));
            found.push(missed.map(|read| (self.times[read.call] - self.times[ret]) as u64).max().unwrap_or(0));
        }
        found.sort_unstable();
        (found, untested)
    }

    fn history(&self) -> History {
        let mut builder = Builder::new();
        for (at, &time) in self.times.iter().enumerate() {
            let (process, op) = self.ops.iter().enumerate().find(|(_, op)| op.call == at || op.ret == Some(at)).unwrap();
            let is_call = op.call == at;
            let f = if op.is_write { "write" } else { "read" };
            let value = if op.is_write || !is_call { Value::Int(op.value) } else { Value::Nil };
            builder.event(process as i64, if is_call { Kind::Invoke } else { Kind::Ok }, f, &Value::pair(op.key, value), time);
        }
        builder.finish()
    }
}

/// Ops that overlap at random; a read returns one of the values of its key written so far, the newer the likelier.
fn random(repeated: bool, rng: &mut impl Rng) -> Case {
    let (ops, keys) = (rng.random_range(1..=8), rng.random_range(1..=2));
    let mut case = Case { ops: Vec::new(), times: Vec::new() };
    let (mut clock, mut open): (i64, Vec<usize>) = (0, Vec::new());
    let mut written = [vec![0], vec![0]];
    while case.ops.len() < ops || !open.is_empty() {
        let at = case.times.len();
        let begins = case.ops.len() < ops && (open.is_empty() || open.len() < 3 && rng.random_bool(0.45));
        if begins {
            let (key, is_write) = (rng.random_range(0..keys), rng.random_bool(0.5));
            let value = match (is_write, repeated) {
                (true, false) => at as i64 + 1,
                (true, true) => rng.random_range(0..3),
                (false, _) => 0,
            };
            if is_write {
                written[key as usize].push(value);
            }
            open.push(case.ops.len());
            case.ops.push(Op { key, is_write, value, call: at, ret: None });
        } else {
            let ended = open.swap_remove(rng.random_range(0..open.len()));
            if rng.random_bool(if case.ops[ended].is_write { 0.1 } else { 0.03 }) {
                continue;
            }
            case.ops[ended].ret = Some(at);
            if !case.ops[ended].is_write {
                let written = &written[case.ops[ended].key as usize];
                let back = (0..written.len() - 1).take_while(|_| rng.random_bool(0.45)).count();
                case.ops[ended].value = written[written.len() - 1 - back];
            }
        }
        clock += rng.random_range(0..4);
        case.times.push(clock);
    }
    case
}

/// What is told of one key, against the definitions; k and whether t is exact.
fn judge(repeated: bool, case: &Case, found: &KeyStaleness) -> (Option<usize>, bool) {
    let (k, t) = (case.k(), case.t());
    let told_k = k.map(|k| Bounds { least: k as u64, most: k as u64 });
    assert_eq!(found.versions.clone().ok(), told_k, "{case:?} {found:?}");
    let is_exact = match (&found.time_ns, t) {
        (Ok(bounds), Some(t)) => {
            let t = t as u64;
            assert!(bounds.least <= t && t <= bounds.most && (repeated || bounds.is_exact()), "{t} {case:?} {found:?}");
            bounds.is_exact()
        }
        (Err(_), None) => false,
        other => panic!("{other:?} {case:?}"),
    };
    if !repeated {
        let windows = found.windows.clone().unwrap();
        assert_eq!((windows.sorted_ns, windows.untested), case.windows(), "{case:?}");
    }
    (k, is_exact)
}

/// What is told of all keys together: the worst of each.
fn judge_all(told: &Staleness) {
    let worst = |of: fn(&KeyStaleness) -> &Result<Bounds, String>| {
        let of_each: Option<Vec<Bounds>> = told.keys.iter().map(|key| of(key).clone().ok()).collect();
        of_each.map(|each| each.iter().fold((0, 0), |worst, of| (worst.0.max(of.least), worst.1.max(of.most))))
    };
    let all = |of: &Result<Bounds, String>| of.clone().ok().map(|of| (of.least, of.most));
    assert_eq!(all(&told.all.versions), worst(|key| &key.versions), "{told:?}");
    assert_eq!(all(&told.all.time_ns), worst(|key| &key.time_ns), "{told:?}");
    let mut windows: Vec<u64> = told.keys.iter().flat_map(|key| key.windows.clone().unwrap().sorted_ns).collect();
    windows.sort_unstable();
    assert_eq!(told.all.windows.as_ref().unwrap().sorted_ns, windows, "{told:?}");
}

fn agree(repeated: bool, count: usize, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut ks, mut exact): (BTreeMap<usize, usize>, usize) = (BTreeMap::new(), 0);
    let options = Options { keyed: Some(true), initial: Some(Value::Int(0)), ..Options::from("register") };
    let count = (count as f64 * size()) as usize;
    for _ in 0..count {
        let case = random(repeated, &mut rng);
        let history = case.history();
        let told = measure(&history, &options, &Budget::unlimited()).unwrap();
        for found in &told.keys {
            let key = history.values.as_int(found.key.unwrap()).unwrap();
            let (k, is_exact) = judge(repeated, &case.of_key(key), found);
            exact += usize::from(is_exact);
            *ks.entry(k.unwrap_or(0)).or_default() += 1;
        }
        let keys: BTreeSet<i64> = case.ops.iter().map(|op| op.key).collect();
        assert_eq!(told.keys.len(), keys.len());
        judge_all(&told);
    }
    assert!((1..=3).all(|k| ks[&k] > count / 200) && exact > count / 2, "{ks:?} {exact}");
}

#[test]
fn unique_values_agree_with_the_definitions() {
    agree(false, 15_000, 1);
}

#[test]
fn repeated_values_agree_with_the_definitions() {
    agree(true, 10_000, 2);
}

/// Elements of a set by hand: added at 10 ms, missed by a read at 15 ms, seen at 40 ms; another one that is never seen.
#[test]
fn elements_have_windows_too() {
    let mut builder = Builder::new();
    let ms = 1_000_000;
    let mut op = |process: i64, f: &str, input: &Value, output: &Value, from: i64, to: i64| {
        builder.event(process, Kind::Invoke, f, input, from * ms);
        builder.event(process, Kind::Ok, f, output, to * ms);
    };
    let set = |elements: &[i64]| Value::Vector(elements.iter().copied().map(Value::Int).collect());
    op(0, "add", &Value::Int(1), &Value::Int(1), 5, 10);
    op(1, "read", &Value::Nil, &set(&[]), 15, 16);
    op(0, "add", &Value::Int(2), &Value::Int(2), 17, 20);
    op(1, "read", &Value::Nil, &set(&[1]), 40, 41);
    op(0, "add", &Value::Int(3), &Value::Int(3), 50, 51);
    let history = builder.finish();
    let told = measure(&history, &"set".into(), &Budget::unlimited()).unwrap();
    let windows = told.all.windows.unwrap();
    assert_eq!(windows.sorted_ns, [5 * ms as u64, 20 * ms as u64]);
    assert_eq!((windows.untested, &windows.unseen[..]), (1, &[histories::OpId(2)][..]));
    // A replicated set is measured as any other.
    let of_type = measure(&history, &"or-set".into(), &Budget::unlimited()).unwrap();
    assert_eq!(of_type.all.windows.unwrap().sorted_ns, windows.sorted_ns);
    assert_eq!((windows.per_mille(500), windows.per_mille(999)), (Some(5 * ms as u64), Some(20 * ms as u64)));
    assert!(told.all.versions.unwrap_err().contains("not of a set"));
}

#[test]
fn what_cannot_be_measured_says_why() {
    let mut builder = Builder::new();
    for (kind, value) in [(Kind::Invoke, Value::Nil), (Kind::Ok, Value::Int(7))] {
        builder.event(0, kind, "read", &value, histories::history::NO_TIME);
    }
    let told = measure(&builder.finish(), &"register".into(), &Budget::unlimited()).unwrap();
    assert!(told.all.versions.unwrap_err().contains("what nobody had written"));
    assert!(told.all.windows.unwrap_err().contains("no times"));
    let error = measure(&Builder::new().finish(), &"mutex".into(), &Budget::unlimited()).unwrap_err();
    assert!(error.contains("mutex"), "{error}");
}

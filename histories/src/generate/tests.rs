//! Every history is what its plan says, and its anomaly is one: an oracle that shares no code with the objects tries all orders.

use super::*;
use crate::history::{Builder, Kind, OpId, Outcome};
use crate::keyed::Keys;
use crate::write::write;
use crate::{Format, read_bytes};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What all objects hold, by key: a register one value or none, a queue its elements, a lock its holder's mark.
type State = BTreeMap<i64, Vec<i64>>;

/// An op as the oracle sees it: what it returned is `None` where nobody knows.
struct Seen {
    f: String,
    key: i64,
    input: Value,
    output: Option<Value>,
}

fn int(value: &Value) -> i64 {
    value.as_int().unwrap_or_else(|| panic!("{value} is no integer"))
}

/// What a value of a key that holds one value is, as the words of a string or as one number.
fn words(value: &Value) -> Vec<i64> {
    match value {
        Value::Nil => Vec::new(),
        Value::Str(text) => text.split('v').skip(1).map(|word| word.parse().unwrap()).collect(),
        value => vec![int(value)],
    }
}

fn ints(value: &Value) -> Vec<i64> {
    value.elements().unwrap_or_else(|| panic!("{value} has no elements")).iter().map(int).collect()
}

/// The states after an op that returned what it did: none where it could not.
fn step(model: Model, state: &State, op: &Seen) -> Option<State> {
    let mut next = state.clone();
    let held = next.entry(op.key).or_default();
    let shows = |expected: &Vec<i64>| op.output.as_ref().is_none_or(|output| words(output) == *expected);
    let is_possible = match (model, op.f.as_str()) {
        (Model::Set, "read") => op.output.as_ref().is_none_or(|output| {
            let mut shown = ints(output);
            shown.sort_unstable();
            shown == *held
        }),
        (Model::Set, "add") => {
            if !held.contains(&int(&op.input)) {
                held.push(int(&op.input));
                held.sort_unstable();
            }
            true
        }
        (Model::Counter, "read") => op.output.as_ref().is_none_or(|output| int(output) == held.iter().sum::<i64>()),
        (Model::Counter, "add") => {
            *held = vec![held.iter().sum::<i64>() + int(&op.input)];
            true
        }
        (_, "read" | "get") if model != Model::Bank => shows(held),
        (_, "write" | "put") => {
            *held = words(&op.input);
            true
        }
        (_, "append") => {
            held.extend(words(&op.input));
            true
        }
        (_, "cas") => {
            let pair = ints(&op.input);
            let is_there = *held == [pair[0]];
            *held = vec![pair[1]];
            is_there
        }
        (_, "enqueue" | "push") => {
            held.push(int(&op.input));
            true
        }
        (_, "dequeue") => !held.is_empty() && shows(&vec![held.remove(0)]),
        (_, "pop") => held.pop().is_some_and(|element| shows(&vec![element])),
        (_, "acquire") => std::mem::replace(held, vec![1]).is_empty(),
        (_, "release") => !std::mem::take(held).is_empty(),
        (Model::Bank, "read") => op.output.as_ref().is_none_or(|output| {
            let Value::Map(entries) = output else { panic!("{output} is no map") };
            entries.iter().all(|(account, balance)| state[&int(account)] == [int(balance)])
        }),
        (Model::Bank, "transfer") => {
            let Value::Map(entries) = &op.input else { panic!("{} is no map", op.input) };
            let field = |name: &str| int(&entries.iter().find(|(key, _)| *key == Value::Keyword(name.into())).unwrap().1);
            next.get_mut(&field("from")).unwrap()[0] -= field("amount");
            next.get_mut(&field("to")).unwrap()[0] += field("amount");
            next[&field("from")][0] >= 0
        }
        (_, "txn") => return transaction(next, op),
        (model, f) => panic!("{model} has no {f}"),
    };
    is_possible.then_some(next)
}

fn transaction(mut state: State, op: &Seen) -> Option<State> {
    let shown = op.output.as_ref().unwrap_or(&op.input).elements().unwrap();
    for micro in shown {
        let [Value::Keyword(f), key, value] = micro.elements().unwrap() else { panic!("{micro} is no micro-op") };
        let held = state.entry(int(key)).or_default();
        match &**f {
            "w" => *held = vec![int(value)],
            "append" => held.push(int(value)),
            "r" if op.output.is_none() => {}
            "r" if value.elements().is_some() => {
                if ints(value) != *held {
                    return None;
                }
            }
            "r" if words(value) != *held => return None,
            "r" => {}
            other => panic!("{other} is no micro-op"),
        }
    }
    Some(state)
}

/// Whether some order explains the history (Herlihy and Wing 1990), by trying all, from completion to completion.
fn is_linearizable(model: Model, history: &History) -> bool {
    let keys = Keys::split(history, None);
    let seen: Vec<Option<Seen>> = history.op_ids().map(|id| seen(history, &keys, id)).collect();
    let mut of_event: BTreeMap<u32, (OpId, bool)> = BTreeMap::new();
    for id in history.op_ids() {
        of_event.insert(history.op(id).invoke, (id, true));
        of_event.insert(history.op(id).complete, (id, false));
    }
    let accounts = if model == Model::Bank { accounts(history) } else { 0 };
    let initial: State = (0..accounts).map(|account| (account, vec![10])).collect();
    let mut configurations: HashSet<(State, BTreeSet<u32>)> = HashSet::from([(initial, BTreeSet::new())]);
    let mut open: BTreeSet<u32> = BTreeSet::new();
    for (id, is_call) in of_event.into_values() {
        let (Some(_), op) = (&seen[id.0 as usize], id.0) else { continue };
        if is_call {
            open.insert(op);
            continue;
        }
        if history.outcome(history.op(id)) != Outcome::Ok {
            continue;
        }
        let mut found: HashSet<(State, BTreeSet<u32>)> = HashSet::new();
        let mut visited: HashSet<(State, BTreeSet<u32>)> = HashSet::new();
        let mut todo: Vec<(State, BTreeSet<u32>)> = configurations.into_iter().collect();
        while let Some((state, mut done)) = todo.pop() {
            if done.remove(&op) {
                found.insert((state, done));
                continue;
            }
            for &other in open.iter().filter(|other| !done.contains(other)) {
                if let Some(next) = step(model, &state, seen[other as usize].as_ref().unwrap()) {
                    let mut done = done.clone();
                    done.insert(other);
                    if visited.insert((next.clone(), done.clone())) {
                        todo.push((next, done));
                    }
                }
            }
        }
        open.remove(&op);
        configurations = found;
    }
    !configurations.is_empty()
}

/// The op, unless it says nothing: it failed, or read what nobody knows.
fn seen(history: &History, keys: &Keys, id: OpId) -> Option<Seen> {
    let op = history.op(id);
    let f = history.name(history.op_function(op)).to_owned();
    let outcome = history.outcome(op);
    if outcome == Outcome::Fail || (outcome == Outcome::Info && matches!(f.as_str(), "read" | "get")) {
        return None;
    }
    let key = if keys.is_keyed() { history.values.as_pair(history.input(op))?.0.as_small_int()? } else { 0 };
    let output = keys.output(history, op).map(|value| history.values.get(value));
    Some(Seen { f, key, input: history.values.get(keys.input(history, op)), output })
}

fn accounts(history: &History) -> i64 {
    let reads = history.ops().iter().filter_map(|&op| history.output(op)).map(|value| history.values.get(value));
    reads
        .filter_map(|value| if let Value::Map(entries) = value { Some(entries) } else { None })
        .filter(|entries| entries.iter().all(|e| e.0.as_int().is_some()))
        .map(|entries| entries.len() as i64)
        .next()
        .unwrap_or(0)
}

fn size() -> u64 {
    crate::test_size::times(3)
}

/// Small plans of every kind, without an anomaly.
fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for model in Model::ALL {
        // Orders that nothing tells apart are many, where elements stay inside.
        let ops = if matches!(model, Model::Queue | Model::Stack) { 24 } else { 40 };
        for values in [Distinct::Unique, Distinct::Few(3)] {
            for (keys, info) in [(1, 0.0), (1, 0.03), (2, 0.0), (3, 0.03)] {
                for seed in 0..size() {
                    let ops = ops + 10 * (seed % 3) as u32;
                    let keys = if model.has_transactions() { keys + 1 } else { keys };
                    let plan = Plan { values, keys, info, seed, concurrency: 3, anomaly_at: 0.2, ..Plan::new(model, ops) };
                    plans.extend(plan.check().is_ok().then_some(plan));
                }
            }
        }
    }
    plans
}

#[test]
fn without_an_anomaly_an_order_explains_all() {
    plans().par_iter().for_each(|plan| {
        let (history, planted) = history(plan).unwrap();
        assert_eq!(planted, None);
        assert!(is_linearizable(plan.model, &history), "{plan:?}");
    });
}

#[test]
fn with_one_no_order_does() {
    let mut made: BTreeMap<(&str, &str), (u32, u32)> = BTreeMap::new();
    let cases: Vec<Plan> = (plans().iter())
        .flat_map(|plan| plan.model.anomalies().iter().map(|&anomaly| Plan { anomaly: Some(anomaly), ..plan.clone() }))
        .filter(|plan| plan.check().is_ok())
        .collect();
    let results: Vec<bool> = (cases.par_iter())
        .map(|plan| match history(plan) {
            Ok((history, planted)) => {
                let planted = planted.unwrap();
                assert!(!is_linearizable(plan.model, &history), "{plan:?}\n{planted:?}");
                assert_eq!(history.op(OpId(planted.op)).invoke, planted.event);
                true
            }
            Err(Refused::NoPlace { .. }) => false,
            Err(refused) => panic!("{plan:?}: {refused}"),
        })
        .collect();
    for (plan, is_made) in cases.iter().zip(results) {
        let count = made.entry((plan.model.name(), plan.anomaly.unwrap().name())).or_default();
        count.0 += u32::from(is_made);
        count.1 += 1;
    }
    let pairs: usize = Model::ALL.iter().map(|model| model.anomalies().len()).sum();
    assert_eq!(made.len(), pairs);
    for ((model, anomaly), (made, of)) in made {
        assert!(made > 1 && 5 * made > of, "{model} could carry {anomaly} in {made} of {of} histories only");
    }
}

/// What is asked for in the benchmark, too: many clients leave a place.
#[test]
fn busy_histories_have_a_place() {
    for model in Model::ALL {
        for &anomaly in model.anomalies() {
            for concurrency in [1, 20, 100] {
                let plan = Plan { concurrency, info: 0.01, anomaly: Some(anomaly), ..Plan::new(model, 20_000) };
                let made = history(&plan);
                if concurrency == 1 && anomaly == Anomaly::DoubleGrant {
                    assert!(matches!(made, Err(Refused::NoPlace { .. })), "one client alone never asks twice");
                    continue;
                }
                let planted = made.unwrap_or_else(|refused| panic!("{model}, {concurrency} clients: {refused}")).1.unwrap();
                assert!(planted.op >= 18_000, "{planted:?}");
            }
        }
    }
}

/// The time-weighted mean of ops in flight, from the first event to the last invocation, and their maximum.
fn in_flight(history: &History) -> (f64, u32) {
    let (mut now, mut most, mut area, mut last) = (0_u32, 0, 0.0, history.time(0).unwrap());
    let start = last;
    let end = (0..history.len() as u32).rfind(|&event| history.kind(event) == Kind::Invoke).unwrap();
    for event in 0..=end {
        let time = history.time(event).unwrap();
        area += f64::from(now) * (time - last) as f64;
        last = time;
        now = if history.kind(event) == Kind::Invoke { now + 1 } else { now - 1 };
        most = most.max(now);
    }
    (area / (last - start) as f64, most)
}

#[test]
fn clients_are_busy_and_some_ops_crash() {
    for model in Model::ALL {
        for (concurrency, info) in [(1, 0.0), (10, 0.01), (50, 0.1)] {
            let plan = Plan { concurrency, info, seed: 3, ..Plan::new(model, 20_000) };
            let (history, _) = history(&plan).unwrap();
            let (mean, most) = in_flight(&history);
            let share = mean / f64::from(concurrency);
            assert!((0.88..0.92).contains(&share), "{model}, {concurrency} clients: {share}");
            assert!(most <= concurrency, "{model}: {most} of {concurrency} clients");
            let crashed = history.ops().iter().filter(|&&op| history.outcome(op) == Outcome::Info).count() as f64 / 20_000.0;
            assert!((crashed - info).abs() <= info * 0.2, "{model}: {crashed} info, not {info}");
            assert_eq!(history.misuses(), []);
            assert_eq!(history.ops().len(), 20_000);
            assert!((1..history.len() as u32).all(|event| history.time(event) > history.time(event - 1)), "{model}");
        }
    }
}

#[test]
fn clients_that_think_are_idle() {
    let plan = Plan { think_ns: OP_NS, ..Plan::new(Model::Register, 20_000) };
    let (mean, _) = in_flight(&history(&plan).unwrap().0);
    assert!((4.8..5.2).contains(&mean), "{mean}");
}

#[test]
fn values_are_as_asked() {
    let written = |plan: &Plan| {
        let (history, _) = history(plan).unwrap();
        let keys = Keys::split(&history, None);
        let is_write = |op| matches!(history.name(history.op_function(op)), "write" | "put" | "append" | "enqueue" | "push" | "add");
        let mut of_key: BTreeMap<Option<i64>, Vec<String>> = BTreeMap::new();
        for group in keys.groups() {
            let values = group.ops.iter().map(|&id| history.op(id)).filter(|&op| is_write(op));
            let values = values.map(|op| history.values.display(keys.input(&history, op)));
            of_key.insert(group.key.and_then(crate::ValueId::as_small_int), values.collect());
        }
        of_key
    };
    for model in [Model::Register, Model::CasRegister, Model::Kv, Model::Queue, Model::Stack, Model::Set, Model::Counter] {
        for keys in [1, 3] {
            let plan = Plan { keys, ..Plan::new(model, 3000) };
            let unique = written(&plan);
            assert_eq!(unique.len(), keys as usize);
            for values in unique.values() {
                assert!(values.len() > 100, "{model}");
                assert_eq!(values.iter().collect::<HashSet<_>>().len(), values.len(), "{model}");
            }
            for values in written(&Plan { values: Distinct::Few(5), ..plan }).values() {
                assert_eq!(values.iter().collect::<HashSet<_>>().len(), 5, "{model}");
            }
        }
    }
}

#[test]
fn files_hold_all_of_it() {
    for model in Model::ALL {
        let plan = Plan { keys: 3, info: 0.05, ..Plan::new(model, 200) };
        let (made, _) = history(&plan).unwrap();
        for format in [Format::Jsonl, Format::Edn] {
            let mut file = Vec::new();
            write(&mut file, &made, format).unwrap();
            let mut again = read_bytes(&file, None).unwrap();
            if format == Format::Edn {
                again.meta.keyed = made.meta.keyed;
            }
            assert_eq!(made.difference(&again), None, "{model} as {format}");
        }
    }
}

/// FNV-1a of a history as JSON lines: any change of what a seed makes shows here.
fn digest(history: &History) -> u64 {
    let mut file = Vec::new();
    write(&mut file, history, Format::Jsonl).unwrap();
    file.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn a_seed_makes_one_history() {
    let digests: Vec<(&str, u64)> = (Model::ALL.iter())
        .map(|&model| {
            let plan = Plan { seed: 9, info: 0.05, keys: 3, anomaly: Some(model.anomalies()[0]), ..Plan::new(model, 5000) };
            (model.name(), digest(&history(&plan).unwrap_or_else(|refused| panic!("{model}: {refused}")).0))
        })
        .collect();
    let expected = [
        ("register", 0xef35_013f_b68e_f902_u64),
        ("cas-register", 0x8382_3f9a_7efa_3c65),
        ("kv", 0xf768_108a_a08d_3043),
        ("queue", 0xcee2_a0c8_7305_2be3),
        ("stack", 0x3756_1c84_9ac9_09ad),
        ("set", 0x6f6e_a851_cff0_d2fd),
        ("counter", 0x8d7b_6156_a07d_bd53),
        ("mutex", 0x73a4_8f22_00ca_af32),
        ("list-append", 0x8e36_e54e_35f0_974e),
        ("rw-register", 0x6e1d_340b_7950_d38c),
        ("bank", 0x4a5a_cf46_a482_e82a),
    ];
    assert_eq!(digests, expected);
}

#[test]
fn plans_that_make_no_sense() {
    let register = Plan::new(Model::Register, 100);
    let bank = Plan::new(Model::Bank, 100);
    let queue = Plan { values: Distinct::Few(5), ..Plan::new(Model::Queue, 100) };
    for (plan, why) in [
        (Plan { concurrency: 0, ..register.clone() }, "concurrency must be from 1"),
        (Plan { info: 1.5, ..register.clone() }, "from 0 to 1, not 1.5"),
        (Plan { info: f64::NAN, ..register.clone() }, "from 0 to 1"),
        (Plan { values: Distinct::Few(0), ..register.clone() }, "or unique"),
        (Plan { ops: u32::MAX, ..register.clone() }, "at most"),
        (Plan { anomaly: Some(Anomaly::Reorder), ..register.clone() }, "stale-read, lost-write, phantom"),
        (Plan { anomaly: Some(Anomaly::StaleRead), values: Distinct::Few(1), ..register }, "two values"),
        (Plan { keys: 1, ..bank.clone() }, "two accounts"),
        (Plan { values: Distinct::Few(5), ..bank }, "leave them unique"),
        (Plan { anomaly: Some(Anomaly::Reorder), ..queue }, "only where values are unique"),
    ] {
        let refused = history(&plan).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert!(history(&Plan::new(Model::Register, 0)).unwrap().0.is_empty());
}

/// The oracle itself: a history that is told apart from its neighbour by one value.
#[test]
fn the_oracle_tells_right_from_wrong() {
    for (second, expected) in [(2, true), (1, false)] {
        let mut builder = Builder::new();
        for (f, value, result) in [("write", Value::Int(1), 1), ("write", Value::Int(2), 2), ("read", Value::Nil, second)] {
            builder.event(0, Kind::Invoke, f, &value, 0);
            builder.event(0, Kind::Ok, f, &Value::Int(result), 0);
        }
        assert_eq!(is_linearizable(Model::Register, &builder.finish()), expected);
    }
}

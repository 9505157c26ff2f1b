//! Queues, stacks, sets, lists, counters.

use super::definition::{Object, Outcomes, State};
use super::{exhaust, int, many, vector};
use histories::Value;
use rashomon_checker::Options;

pub(crate) type Acts<'a> = &'a [(&'static str, Value, Value)];

pub(crate) fn object(model: &'static str, outcomes: Outcomes, calls: &[(&'static str, Value)], acts: Acts<'_>) -> Object {
    Object {
        model,
        options: Options::default(),
        starts: vec![State::new()],
        by_process: false,
        after: None,
        most_ops: 10,
        outcomes,
        calls: calls.to_vec(),
        acts: acts.to_vec(),
    }
}

/// Two values that go in and come out, or nothing comes out; random histories have five values.
fn container(model: &'static str, put: &'static str, take: &'static str, outcomes: Outcomes) -> Object {
    let mut calls: Vec<_> = (1..=5).map(|v| (put, int(v))).collect();
    calls.extend(vec![(take, Value::Nil); 6]);
    let mut acts: Vec<_> = (1..=2).map(|v| (put, int(v), int(v))).collect();
    acts.extend([int(1), int(2), Value::Nil].map(|v| (take, Value::Nil, v)));
    object(model, outcomes, &calls, &acts)
}

/// Calls and acts that see what comes out next, and leave it there.
fn with_peek(mut object: Object, peek: &'static str) -> Object {
    object.calls.extend(vec![(peek, Value::Nil); 2]);
    object.acts.extend([int(1), int(2)].map(|v| (peek, Value::Nil, v)));
    object
}

fn put(state: &State, input: &Value) -> Vec<(Value, State)> {
    let mut next = state.clone();
    next.push(input.as_int().unwrap());
    vec![(input.clone(), next)]
}

/// Takes out the value at one of these places.
fn take(state: &State, places: impl Iterator<Item = usize>) -> Vec<(Value, State)> {
    if state.is_empty() {
        return vec![(Value::Nil, State::new())];
    }
    places
        .map(|place| {
            let mut next = state.clone();
            let value = next.remove(place);
            (int(value), next)
        })
        .collect()
}

/// What a peek returns: what `take` would, and nothing is changed.
fn peeked(state: &State, taken: Vec<(Value, State)>) -> Vec<(Value, State)> {
    taken.into_iter().map(|(value, _)| (value, state.clone())).collect()
}

fn queue(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    if f == "peek" {
        return peeked(state, take(state, 0..1));
    }
    if f == "enqueue" { put(state, input) } else { take(state, 0..1) }
}

fn deque(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    let last = state.len().max(1) - 1;
    match f {
        "push-back" => put(state, input),
        "push-front" => {
            let mut next = state.clone();
            next.insert(0, input.as_int().unwrap());
            vec![(input.clone(), next)]
        }
        "pop-front" => take(state, 0..1),
        "pop-back" => take(state, std::iter::once(last)),
        "peek-front" => peeked(state, take(state, 0..1)),
        _ => peeked(state, take(state, std::iter::once(last))),
    }
}

fn stack(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    if f == "peek" {
        return peeked(state, take(state, std::iter::once(state.len().max(1) - 1)));
    }
    if f == "push" { put(state, input) } else { take(state, std::iter::once(state.len().max(1) - 1)) }
}

fn bag(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    let mut outcomes = if f == "enqueue" { put(state, input) } else { take(state, 0..state.len()) };
    for outcome in &mut outcomes {
        outcome.1.sort_unstable();
    }
    outcomes
}

fn priority_queue(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    if f == "peek" {
        return peeked(state, take(state, 0..1));
    }
    let mut outcomes = if f == "insert" { put(state, input) } else { take(state, 0..1) };
    for outcome in &mut outcomes {
        outcome.1.sort_unstable();
    }
    outcomes
}

fn max_priority_queue(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    let mut outcomes = match f {
        "peek" => return peeked(state, take(state, 0..1)),
        "insert" => put(state, input),
        _ => take(state, 0..1),
    };
    for outcome in &mut outcomes {
        outcome.1.sort_unstable_by_key(|&value| std::cmp::Reverse(value));
    }
    outcomes
}

fn set(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    if f == "read" {
        return vec![(Value::Set(state.iter().map(|&i| int(i)).collect()), state.clone())];
    }
    let element = input.as_int().unwrap();
    let mut next = state.clone();
    let there = next.contains(&element);
    next.retain(|&other| other != element);
    match f {
        "contains" => return vec![(Value::Bool(there), state.clone())],
        "remove" => return vec![(Value::Bool(there), next)],
        _ => next.push(element),
    }
    next.sort_unstable();
    // Some sets tell whether the element is new, others answer with the element.
    if f == "add" { vec![(input.clone(), next)] } else { vec![(Value::Bool(!there), next)] }
}

/// The state holds what is there, and less than nothing for what was there.
fn two_phase_set(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    if f == "read" {
        return vec![(Value::Set(state.iter().filter(|&&i| i > 0).map(|&i| int(i)).collect()), state.clone())];
    }
    let element = input.as_int().unwrap();
    let (there, gone) = (state.contains(&element), state.contains(&-element));
    let mut next = state.clone();
    match f {
        "contains" => return vec![(Value::Bool(there), state.clone())],
        "remove" if there => {
            next.retain(|&other| other != element);
            next.push(-element);
        }
        "add" | "insert" if !there && !gone => next.push(element),
        _ => {}
    }
    next.sort_unstable();
    let told = match f {
        "add" => input.clone(),
        "remove" => Value::Bool(there),
        _ => Value::Bool(!there && !gone),
    };
    vec![(told, next)]
}

fn list(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    if f == "append" { put(state, input) } else { vec![(vector(state), state.clone())] }
}

fn counter(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    let now = state[0];
    match f {
        "read" => vec![(int(now), state.clone())],
        "inc" => vec![(Value::Nil, vec![now + 1])],
        "dec" => vec![(Value::Nil, vec![now - 1])],
        _ => vec![(input.clone(), vec![now + input.as_int().unwrap()])],
    }
}

#[test]
fn queue_is_decided_as_defined() {
    let object = container("fifo-queue", "enqueue", "dequeue", queue);
    exhaust(&object, 4);
    many(&object, 25_000);
    let object = with_peek(object, "peek");
    exhaust(&object, 3);
    many(&object, 10_000);
}

#[test]
fn stack_is_decided_as_defined() {
    let object = container("stack", "push", "pop", stack);
    exhaust(&object, 4);
    many(&object, 25_000);
    let object = with_peek(object, "peek");
    exhaust(&object, 3);
    many(&object, 10_000);
}

#[test]
fn unordered_queue_is_decided_as_defined() {
    let object = container("unordered-queue", "enqueue", "dequeue", bag);
    exhaust(&object, 4);
    many(&object, 25_000);
}

#[test]
fn priority_queue_is_decided_as_defined() {
    let object = container("priority-queue", "insert", "delete-min", priority_queue);
    exhaust(&object, 4);
    many(&object, 25_000);
    let object = with_peek(object, "peek");
    exhaust(&object, 3);
    many(&object, 10_000);
}

#[test]
fn max_priority_queue_is_decided_as_defined() {
    let object = container("max-priority-queue", "insert", "delete-max", max_priority_queue);
    many(&object, 10_000);
    let object = with_peek(object, "peek");
    exhaust(&object, 3);
    many(&object, 10_000);
}

#[test]
fn deque_is_decided_as_defined() {
    let mut object = container("deque", "push-back", "pop-back", deque);
    let other = container("deque", "push-front", "pop-front", deque);
    object.calls.extend(other.calls);
    object.acts.extend(other.acts);
    let object = with_peek(with_peek(object, "peek-front"), "peek-back");
    exhaust(&object, 3);
    many(&object, 25_000);
}

#[test]
fn set_is_decided_as_defined() {
    let elements = |elements: &[i64]| Value::Set(elements.iter().map(|&i| int(i)).collect());
    let acts = [
        ("add", int(1), int(1)),
        ("add", int(2), int(2)),
        ("remove", int(1), Value::Bool(true)),
        ("contains", int(1), Value::Bool(false)),
        ("read", Value::Nil, elements(&[1])),
        ("read", Value::Nil, elements(&[1, 2])),
    ];
    let mut calls: Vec<_> = (1..=5).map(|v| ("add", int(v))).collect();
    calls.extend(vec![("read", Value::Nil); 4]);
    let mut growing = object("set", set, &calls, &acts);
    exhaust(&growing, 4);
    many(&growing, 25_000);
    growing.calls.extend((1..=4).flat_map(|v| [("remove", int(v)), ("contains", int(v)), ("insert", int(v))]));
    many(&growing, 15_000);
}

#[test]
fn two_phase_set_is_decided_as_defined() {
    let elements = |elements: &[i64]| Value::Set(elements.iter().map(|&i| int(i)).collect());
    let acts = [
        ("add", int(1), int(1)),
        ("remove", int(1), Value::Bool(true)),
        ("remove", int(1), Value::Bool(false)),
        ("contains", int(1), Value::Bool(false)),
        ("read", Value::Nil, elements(&[1])),
        ("read", Value::Nil, elements(&[])),
    ];
    let mut calls: Vec<_> = (1..=3).flat_map(|v| [("add", int(v)), ("remove", int(v)), ("contains", int(v)), ("insert", int(v))]).collect();
    calls.extend(vec![("read", Value::Nil); 4]);
    let object = object("2p-set", two_phase_set, &calls, &acts);
    exhaust(&object, 4);
    many(&object, 15_000);
}

#[test]
fn list_is_decided_as_defined() {
    let values = |values: &[i64]| Value::Vector(values.iter().map(|&i| int(i)).collect());
    let reads = [&[][..], &[1], &[2], &[1, 2]].map(|seen| ("read", Value::Nil, values(seen)));
    let mut acts = vec![("append", int(1), int(1)), ("append", int(2), int(2))];
    acts.extend(reads);
    let mut calls: Vec<_> = (1..=5).map(|v| ("append", int(v))).collect();
    calls.extend(vec![("read", Value::Nil); 5]);
    let object = object("list-append", list, &calls, &acts);
    exhaust(&object, 4);
    many(&object, 25_000);
}

#[test]
fn counter_is_decided_as_defined() {
    let acts = [
        ("add", int(2), int(2)),
        ("inc", Value::Nil, Value::Nil),
        ("dec", Value::Nil, Value::Nil),
        ("read", Value::Nil, int(0)),
        ("read", Value::Nil, int(1)),
    ];
    let mut calls = vec![("add", int(2)), ("add", int(3)), ("add", int(-1)), ("inc", Value::Nil), ("inc", Value::Nil), ("dec", Value::Nil)];
    calls.extend(vec![("read", Value::Nil); 4]);
    let mut object = Object { starts: vec![vec![0]], ..object("counter", counter, &calls, &acts) };
    exhaust(&object, 4);
    many(&object, 15_000);
    // Those that go one way only are decided by sums.
    for sign in [1, -1] {
        let step = if sign == 1 { "inc" } else { "dec" };
        object.calls = [1, 1, 2, 2, 3, 5].map(|amount| ("add", int(sign * amount))).to_vec();
        object.calls.extend(vec![(step, Value::Nil); 2]);
        object.calls.extend(vec![("read", Value::Nil); 6]);
        many(&object, 25_000);
    }
}

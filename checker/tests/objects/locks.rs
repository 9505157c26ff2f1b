//! Locks and ids.

use super::collections::object;
use super::definition::{Object, State};
use super::{exhaust, int, many};
use histories::Value;
use rashomon_checker::Options;

/// The holder, and how often it holds the lock.
fn reentrant(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    let (holder, times, process) = (state[0], state[1], input.as_int().unwrap());
    match f {
        "acquire" if times == 0 || holder == process => vec![(Value::Nil, vec![process, times + 1])],
        "release" if times > 1 && holder == process => vec![(Value::Nil, vec![process, times - 1])],
        "release" if times == 1 && holder == process => vec![(Value::Nil, vec![0, 0])],
        _ => Vec::new(),
    }
}

fn semaphore(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    let many = input.as_int().unwrap_or(1);
    let there = if f == "acquire" { state[0] - many } else { state[0] + many };
    if (0..=2).contains(&there) { vec![(Value::Nil, vec![there])] } else { Vec::new() }
}

/// Whether it is held, and the last token.
fn fencing(state: &State, f: &str, _: &Value) -> Vec<(Value, State)> {
    let (held, last) = (state[0] == 1, state[1]);
    match f {
        // Small ones last: those that nobody knows may be smaller than all that are seen.
        "acquire" if !held => (last.max(0) + 1..=30).chain(last + 1..=0).map(|token| (int(token), vec![1, token])).collect(),
        "release" if held => vec![(Value::Nil, vec![0, last])],
        _ => Vec::new(),
    }
}

fn ids(state: &State, _: &str, _: &Value) -> Vec<(Value, State)> {
    let fresh = (1..=5).filter(|id| !state.contains(id));
    fresh
        .map(|id| {
            let mut next = state.clone();
            next.push(id);
            next.sort_unstable();
            (int(id), next)
        })
        .collect()
}

#[test]
fn reentrant_mutex_is_decided_as_defined() {
    let calls: Vec<_> = (1..=3).flat_map(|p| [("acquire", int(p)), ("release", int(p))]).collect();
    let acts: Vec<_> = calls[..4].iter().map(|(f, input)| (*f, input.clone(), Value::Nil)).collect();
    let object = Object { starts: vec![vec![0, 0]], by_process: true, ..object("reentrant-mutex", reentrant, &calls, &acts) };
    exhaust(&object, 5);
    many(&object, 25_000);
}

#[test]
fn semaphore_is_decided_as_defined() {
    let calls = [("acquire", Value::Nil), ("acquire", int(2)), ("release", Value::Nil), ("release", int(2)), ("release", int(1))];
    let acts: Vec<_> = calls[..4].iter().map(|(f, input)| (*f, input.clone(), Value::Nil)).collect();
    let options = Options { permits: Some(2), ..Options::default() };
    let mut calls = calls.to_vec();
    calls.extend(calls.clone());
    let object = Object { starts: vec![vec![2]], options, ..object("semaphore", semaphore, &calls, &acts) };
    exhaust(&object, 4);
    many(&object, 25_000);
}

#[test]
fn fencing_lock_is_decided_as_defined() {
    let calls = [("acquire", Value::Nil), ("release", Value::Nil)];
    let acts = [("acquire", Value::Nil, int(1)), ("acquire", Value::Nil, int(2)), ("release", Value::Nil, Value::Nil)];
    let object = Object { starts: vec![vec![0, -12]], ..object("fencing-lock", fencing, &calls, &acts) };
    exhaust(&object, 4);
    many(&object, 25_000);
}

#[test]
fn id_generator_is_decided_as_defined() {
    let acts = [("generate", Value::Nil, int(1)), ("generate", Value::Nil, int(2))];
    let object = object("id-generator", ids, &[("generate", Value::Nil)], &acts);
    exhaust(&object, 4);
    many(&object, 25_000);
}

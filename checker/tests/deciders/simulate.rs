//! Histories of any length: clients use an object of plain integers, which does each call at a random moment; crashed calls may be
//! done later, or never. A lie is an answer that was right at another time, or for another call.

use histories::{Builder, History, Kind, Value};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rashomon_checker::Algorithm;

type State = Vec<i64>;

/// What a call returns, the state having changed; `None` if it can not happen now.
type Act = fn(&mut State, client: i64, f: &'static str, input: i64, rng: &mut ChaCha8Rng) -> Option<Value>;

/// The next call of a client, given the number of the call: its function and what it is called with.
type Ask = fn(number: i64, client: i64, state: &State, rng: &mut ChaCha8Rng) -> (&'static str, i64);

pub(crate) struct Object {
    pub(crate) model: &'static str,
    pub(crate) algorithm: Algorithm,
    pub(crate) permits: u32,
    /// Of a thousand short histories so many may be left to the search.
    pub(crate) open_per_mille: usize,
    /// Whether honest histories with ops of unknown outcome may be left to the search: adds of unknown outcome explain much.
    pub(crate) may_be_open: bool,
    /// Whether a client goes on after a call of unknown outcome, as another.
    is_process_bound: bool,
    start: &'static [i64],
    ask: Ask,
    act: Act,
}

/// No input.
const NIL: i64 = i64::MIN;

/// The input of a cas is so many times the old value, and the new one.
const OLD: i64 = 1 << 20;

fn container_call(put: &'static str, take: &'static str, number: i64, rng: &mut ChaCha8Rng) -> (&'static str, i64) {
    if rng.random_bool(0.4) { (put, number) } else { (take, NIL) }
}

#[allow(clippy::unnecessary_wraps, reason = "as all acts")]
fn taken(state: &mut State, place: Option<usize>) -> Option<Value> {
    Some(place.map_or(Value::Nil, |place| Value::Int(state.remove(place))))
}

fn add_or_read(number: i64, rng: &mut ChaCha8Rng, sign: i64) -> (&'static str, i64) {
    let amount = if number % 3 == 0 { number } else { 1 + number % 4 };
    if rng.random_bool(0.5) { ("add", sign * amount) } else { ("read", NIL) }
}

#[allow(clippy::unnecessary_wraps, reason = "as all acts")]
fn count(state: &mut State, f: &str, input: i64) -> Option<Value> {
    if f == "add" {
        state[0] += input;
        return Some(Value::Int(input));
    }
    Some(Value::Int(state[0]))
}

fn lock_call(free: bool, rng: &mut ChaCha8Rng) -> &'static str {
    if rng.random_bool(if free { 0.8 } else { 0.2 }) { "acquire" } else { "release" }
}

const fn object(model: &'static str, algorithm: Algorithm, open_per_mille: usize, ask: Ask, act: Act) -> Object {
    Object { model, algorithm, permits: 1, open_per_mille, may_be_open: false, is_process_bound: false, start: &[], ask, act }
}

/// All values.
fn values(state: &State) -> Vec<Value> {
    state.iter().map(|&value| Value::Int(value)).collect()
}

pub(crate) const OBJECTS: &[Object] = &[
    Object {
        start: &[0],
        ..object(
            "register",
            Algorithm::Zones,
            0,
            |number, _, _, rng| if rng.random_bool(0.5) { ("write", number + 1) } else { ("read", NIL) },
            |state, _, f, input, _| {
                state[0] = if f == "write" { input } else { state[0] };
                Some(Value::Int(state[0]))
            },
        )
    },
    Object {
        start: &[0],
        ..object(
            "cas-register",
            Algorithm::Zones,
            0,
            |number, _, state, rng| match rng.random_range(0..4) {
                0 => ("write", number + 1),
                1 | 2 => ("cas", state[0] * OLD + number + 1),
                _ => ("read", NIL),
            },
            |state, _, f, input, _| {
                match f {
                    "cas" if state[0] != input / OLD => return None,
                    "cas" => state[0] = input % OLD,
                    "write" => state[0] = input,
                    _ => {}
                }
                Some(if f == "cas" { value(f, input) } else { Value::Int(state[0]) })
            },
        )
    },
    object(
        "fifo-queue",
        Algorithm::QueueOrder,
        20,
        |number, _, _, rng| container_call("enqueue", "dequeue", number, rng),
        |state, _, f, input, _| {
            if f == "enqueue" {
                state.push(input);
                return Some(Value::Int(input));
            }
            let place = (!state.is_empty()).then_some(0);
            taken(state, place)
        },
    ),
    object(
        "stack",
        Algorithm::StackNesting,
        20,
        |number, _, _, rng| container_call("push", "pop", number, rng),
        |state, _, f, input, _| {
            if f == "push" {
                state.push(input);
                return Some(Value::Int(input));
            }
            let place = state.len().checked_sub(1);
            taken(state, place)
        },
    ),
    object(
        "unordered-queue",
        Algorithm::BagMoments,
        0,
        |number, _, _, rng| container_call("enqueue", "dequeue", number, rng),
        |state, _, f, input, rng| {
            if f == "enqueue" {
                state.push(input);
                return Some(Value::Int(input));
            }
            let place = (!state.is_empty()).then(|| rng.random_range(0..state.len()));
            taken(state, place)
        },
    ),
    object(
        "priority-queue",
        Algorithm::PriorityOrder,
        20,
        // Values are unique and in no order.
        |number, _, _, rng| container_call("insert", "delete-min", number * 7919 % 100_003, rng),
        |state, _, f, input, _| {
            if f == "insert" {
                state.push(input);
                return Some(Value::Int(input));
            }
            let place = (0..state.len()).min_by_key(|&place| state[place]);
            taken(state, place)
        },
    ),
    object(
        "max-priority-queue",
        Algorithm::PriorityOrder,
        20,
        |number, _, _, rng| container_call("insert", "delete-max", number * 7919 % 100_003, rng),
        |state, _, f, input, _| {
            if f == "insert" {
                state.push(input);
                return Some(Value::Int(input));
            }
            let place = (0..state.len()).max_by_key(|&place| state[place]);
            taken(state, place)
        },
    ),
    object(
        "set",
        Algorithm::SetElements,
        0,
        |number, _, _, rng| {
            // The calls of a few numbers concern one element, which is added by the first.
            let (first, place) = (number / 6 * 6, number % 6);
            let other = first - 6 * rng.random_range(0..2i64.min(1 + number / 6));
            if place == 0 {
                (*["add", "insert"].choose(rng).unwrap(), first)
            } else {
                (*["remove", "delete", "contains"].choose(rng).unwrap(), other)
            }
        },
        |state, _, f, input, _| {
            let there = state.contains(&input);
            match f {
                "contains" => return Some(Value::Bool(there)),
                "remove" | "delete" => state.retain(|&other| other != input),
                _ if !there => state.push(input),
                _ => {}
            }
            // Some do not say what they found.
            Some(if matches!(f, "add" | "delete") { Value::Nil } else { Value::Bool(if f == "insert" { !there } else { there }) })
        },
    ),
    object(
        "set",
        Algorithm::NestedReads,
        0,
        |number, _, _, rng| if rng.random_bool(0.5) { ("add", number) } else { ("read", NIL) },
        |state, _, f, input, _| {
            if f == "add" {
                state.push(input);
                return Some(Value::Int(input));
            }
            Some(Value::Set(values(state)))
        },
    ),
    object(
        "list-append",
        Algorithm::ReadOrder,
        0,
        |number, _, _, rng| if rng.random_bool(0.5) { ("append", number) } else { ("read", NIL) },
        |state, _, f, input, _| {
            if f == "append" {
                state.push(input);
                return Some(Value::Int(input));
            }
            Some(Value::Vector(values(state)))
        },
    ),
    Object {
        start: &[0],
        ..object(
            "id-generator",
            Algorithm::DistinctIds,
            0,
            |_, _, _, _| ("generate", NIL),
            |state, _, _, _, _| {
                state[0] += 1;
                Some(Value::Int(state[0]))
            },
        )
    },
    Object {
        start: &[0],
        ..object(
            "mutex",
            Algorithm::PermitCounts,
            0,
            |_, _, state, rng| (lock_call(state[0] == 0, rng), NIL),
            |state, _, f, _, _| {
                let free = state[0] == 0;
                (free == (f == "acquire")).then(|| {
                    state[0] = 1 - state[0];
                    Value::Nil
                })
            },
        )
    },
    Object {
        start: &[0],
        permits: 3,
        ..object(
            "semaphore",
            Algorithm::PermitCounts,
            0,
            |_, _, state, rng| (lock_call(state[0] < 2, rng), NIL),
            |state, _, f, _, _| {
                let next = state[0] + if f == "acquire" { 1 } else { -1 };
                (0..=3).contains(&next).then(|| {
                    state[0] = next;
                    Value::Nil
                })
            },
        )
    },
    Object {
        start: &[0, 0],
        is_process_bound: true,
        ..object(
            "reentrant-mutex",
            Algorithm::HoldIntervals,
            0,
            |_, client, state, rng| (lock_call(state[1] == 0 || state[0] != client, rng), NIL),
            |state, client, f, _, _| {
                let holds = state[1] > 0 && state[0] == client;
                if f == "acquire" && (holds || state[1] == 0) {
                    (state[0], state[1]) = (client, state[1] + 1);
                    return Some(Value::Nil);
                }
                (f == "release" && holds).then(|| {
                    state[1] -= 1;
                    Value::Nil
                })
            },
        )
    },
    Object {
        start: &[0, 0],
        ..object(
            "fencing-lock",
            Algorithm::TokenOrder,
            0,
            |_, _, state, rng| (lock_call(state[0] == 0, rng), NIL),
            |state, _, f, _, rng| {
                if (state[0] == 0) != (f == "acquire") {
                    return None;
                }
                state[0] = 1 - state[0];
                state[1] += if f == "acquire" { rng.random_range(1..4) } else { 0 };
                Some(if f == "acquire" { Value::Int(state[1]) } else { Value::Nil })
            },
        )
    },
    Object {
        start: &[0],
        may_be_open: true,
        ..object(
            "counter",
            Algorithm::CounterSums,
            1,
            |number, _, _, rng| add_or_read(number, rng, 1),
            |state, _, f, input, _| count(state, f, input),
        )
    },
    // The value, and the revision of the store: other keys are changed in between. Values come back. A cas that lies tells no revision, and
    // in some short histories nobody does: these are left open, and so are chains of cas of unknown outcome.
    Object {
        start: &[0, 0],
        may_be_open: true,
        ..object(
            "etcd-kv",
            Algorithm::RevisionOrder,
            250,
            |number, _, state, rng| match rng.random_range(0..9) {
                0..4 => ("put", 1 + number % 7),
                4 if state[0] > 0 => ("cas", state[0] * OLD + 1 + number % 5),
                _ => ("get", NIL),
            },
            |state, _, f, input, rng| {
                let stored = match f {
                    "cas" if state[0] != input / OLD => return None,
                    "cas" => input % OLD,
                    "put" => input,
                    _ if state[0] == 0 => return Some(Value::Nil),
                    _ => return Some(Value::pair(state[0], state[1])),
                };
                *state = vec![stored, state[1] + rng.random_range(1..4)];
                Some(Value::pair(value(f, input), state[1]))
            },
        )
    },
];

/// What a history looks like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    ops: usize,
    clients: usize,
    crash: f64,
    lie: f64,
}

impl Shape {
    pub(crate) fn short(seed: u64) -> Shape {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xabc);
        Shape {
            ops: rng.random_range(2..=14),
            clients: rng.random_range(2..=5),
            crash: *[0.0, 0.1, 0.3].choose(&mut rng).unwrap(),
            lie: *[0.0, 0.1, 0.3].choose(&mut rng).unwrap(),
        }
    }

    pub(crate) fn long(seed: u64) -> Shape {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xdef);
        Shape {
            ops: 1000,
            clients: rng.random_range(2..=4),
            crash: *[0.0, 0.01, 0.05].choose(&mut rng).unwrap(),
            lie: *[0.0, 0.001, 0.01].choose(&mut rng).unwrap(),
        }
    }

    pub(crate) fn honest(seed: u64) -> Shape {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x123);
        let (ops, clients) = *[(10, 3), (50, 5), (300, 8), (1000, 4), (1000, 12)].choose(&mut rng).unwrap();
        Shape { ops, clients, crash: *[0.0, 0.01, 0.05, 0.2].choose(&mut rng).unwrap(), lie: 0.0 }
    }

    pub(crate) fn is_honest(&self) -> bool {
        self.lie == 0.0
    }
}

struct Open {
    process: i64,
    f: &'static str,
    input: i64,
    /// What it returned, once it was done.
    result: Option<Value>,
    is_crashed: bool,
}

pub(crate) fn history(object: &Object, shape: &Shape, seed: u64) -> History {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut builder = Builder::new();
    let mut state: State = object.start.to_vec();
    let mut open: Vec<Open> = Vec::new();
    let mut said: Vec<(&'static str, Value)> = Vec::new();
    let mut idle: Vec<i64> = (1..=shape.clients as i64).collect();
    let (mut asked, mut next_process) = (0, shape.clients as i64 + 1);
    for _ in 0..shape.ops * 40 {
        match rng.random_range(0..3) {
            0 if asked < shape.ops && !idle.is_empty() => {
                let process = idle.swap_remove(rng.random_range(0..idle.len()));
                let (f, input) = (object.ask)(asked as i64, process, &state, &mut rng);
                builder.event(process, Kind::Invoke, f, &value(f, input), 0);
                open.push(Open { process, f, input, result: None, is_crashed: false });
                asked += 1;
            }
            1 => {
                let waiting: Vec<usize> = (0..open.len()).filter(|&i| open[i].result.is_none()).collect();
                let Some(&i) = waiting.choose(&mut rng) else { continue };
                // A crashed call is done late, if at all.
                if !open[i].is_crashed || rng.random_bool(0.1) {
                    let Open { process, f, input, .. } = open[i];
                    open[i].result = (object.act)(&mut state, process, f, input, &mut rng);
                    if open[i].is_crashed && open[i].result.is_some() {
                        open.swap_remove(i);
                    }
                }
            }
            _ => {
                let in_flight: Vec<usize> = (0..open.len()).filter(|&i| !open[i].is_crashed).collect();
                let Some(&i) = in_flight.choose(&mut rng) else { continue };
                let process = open[i].process;
                if rng.random_bool(shape.crash) {
                    builder.event(process, Kind::Info, open[i].f, &value(open[i].f, open[i].input), 0);
                    idle.push(if object.is_process_bound { next_process } else { process + 1_000_000 });
                    next_process += 1;
                    open[i].is_crashed = true;
                    if open[i].result.is_some() {
                        open.swap_remove(i);
                    }
                    continue;
                }
                let lie = said.iter().filter(|said| said.0 == open[i].f).map(|said| said.1.clone()).collect::<Vec<_>>();
                let lie = lie.choose(&mut rng).filter(|_| open[i].result.is_some() && rng.random_bool(shape.lie)).cloned();
                // Who puts something in says nothing that could be a lie.
                let lie = lie.filter(|_| open[i].input == NIL || matches!(open[i].f, "contains" | "remove"));
                // What it asks for may not be to be had.
                let may_fail = matches!(open[i].f, "acquire" | "release" | "cas");
                let lie = lie.or_else(|| {
                    let lies = may_fail && open[i].result.is_none() && rng.random_bool(shape.lie);
                    if open[i].f == "cas" {
                        return lies.then(|| value("cas", open[i].input));
                    }
                    said.iter().rev().find(|said| lies && said.0 == open[i].f).map(|said| said.1.clone())
                });
                let Some(result) = lie.or(open[i].result.clone()) else {
                    if may_fail && rng.random_bool(0.2) {
                        builder.event(process, Kind::Fail, open[i].f, &value(open[i].f, open[i].input), 0);
                        idle.push(process);
                        open.swap_remove(i);
                    } else if asked == shape.ops && rng.random_bool(0.05) {
                        // It waits for ever.
                        builder.event(process, Kind::Info, open[i].f, &value(open[i].f, open[i].input), 0);
                        open[i].is_crashed = true;
                    }
                    continue;
                };
                builder.event(process, Kind::Ok, open[i].f, &result, 0);
                said.push((open[i].f, result));
                idle.push(process);
                open.swap_remove(i);
            }
        }
    }
    builder.finish()
}

fn value(f: &str, input: i64) -> Value {
    match f {
        "cas" => Value::pair(input / OLD, input % OLD),
        _ if input == NIL => Value::Nil,
        _ => Value::Int(input),
    }
}

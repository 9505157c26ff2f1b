//! Stores: strings with delete and cas, revisions, transactions, accounts.

use super::collections::object;
use super::definition::{After, Object, State};
use super::{exhaust, int, many};
use histories::Value;
use rashomon_checker::{NilRead, Options};

fn string(state: &State) -> Value {
    Value::Str(state.iter().map(|&c| char::from(c as u8)).collect::<String>().into())
}

fn letters(value: &Value) -> State {
    if let Value::Str(text) = value { text.bytes().map(i64::from).collect() } else { State::new() }
}

fn kv(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    match f {
        "get" => vec![(string(state), state.clone())],
        "put" => vec![(input.clone(), letters(input))],
        "append" => vec![(input.clone(), [&state[..], &letters(input)].concat())],
        "delete" => vec![(input.clone(), State::new())],
        _ => {
            let pair = input.elements().unwrap();
            if letters(&pair[0]) == *state { vec![(input.clone(), letters(&pair[1]))] } else { Vec::new() }
        }
    }
}

/// No history here tells a later revision.
const LAST: i64 = 16;

/// What a call does to etcd's key.
enum Deed {
    Nothing,
    /// It stores a value, 0 for none.
    Store(i64),
    CannotHappen,
}

fn deed(value: i64, f: &str, input: &Value) -> Deed {
    let pair = |at: usize| input.elements().unwrap()[at].as_int().unwrap_or(0);
    match f {
        "get" => Deed::Nothing,
        "put" => Deed::Store(input.as_int().unwrap()),
        "delete" if value == 0 => Deed::Nothing,
        "delete" => Deed::Store(0),
        _ if pair(0) == value => Deed::Store(pair(1)),
        _ => Deed::CannotHappen,
    }
}

/// The value, 0 for none, and the revision. What changes the key returns its revision, or keeps it for itself.
fn etcd(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    let (value, revision) = (state[0], state[1]);
    let unchanged = |output| (output, state.clone());
    match deed(value, f, input) {
        Deed::CannotHappen => Vec::new(),
        Deed::Store(to) => {
            let both = |next| [(Value::pair(input.clone(), int(next)), vec![to, next]), (input.clone(), vec![to, next])];
            (revision + 1..=LAST).flat_map(both).collect()
        }
        Deed::Nothing if f == "get" && value == 0 => vec![unchanged(Value::Nil)],
        Deed::Nothing if f == "get" => [Value::pair(int(value), int(revision)), int(value)].map(unchanged).to_vec(),
        // A delete of nothing: any revision that it tells is the store's, not the key's.
        Deed::Nothing => {
            let told = (1..=LAST).map(|told| Value::pair(Value::Nil, int(told)));
            std::iter::once(Value::Nil).chain(told).map(unchanged).collect()
        }
    }
}

/// The same where whoever knows a revision tells it.
fn etcd_that_tells(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    let tells = |output: &Value| *output == Value::Nil || output.elements().is_some_and(|pair| f == "get" || pair[0] == *input);
    etcd(state, f, input).into_iter().filter(|(output, _)| tells(output)).collect()
}

/// The states after a change, without the values of all that it might have returned: there are too many.
fn after_a_change(state: &State, f: &str, input: &Value, seen: Option<&Value>, must_tell: bool) -> Option<Vec<State>> {
    let Deed::Store(to) = deed(state[0], f, input) else { return None };
    let told = seen.and_then(Value::elements).filter(|pair| seen != Some(input) && pair[0] == *input).and_then(|pair| pair[1].as_int());
    let is_untold = seen.is_none_or(|seen| seen == input && !(must_tell && *seen != Value::Nil));
    let is_possible = |next: &i64| *next > state[1] && told.map_or(is_untold, |told| *next == told);
    Some((1..=LAST).filter(is_possible).map(|next| vec![to, next]).collect())
}

fn keyword(name: &str) -> Value {
    Value::Keyword(name.into())
}

fn part(f: &str, name: &str, value: Value) -> Value {
    Value::Vector(vec![keyword(f), keyword(name), value])
}

/// Two registers x and y of integers.
fn registers(state: &State, _: &str, input: &Value) -> Vec<(Value, State)> {
    let mut next = state.clone();
    let mut parts = Vec::new();
    for part in input.elements().unwrap() {
        let [f, name, value] = part.elements().unwrap() else { panic!("a part has three parts") };
        let place = usize::from(*name == keyword("y"));
        if *f == keyword("w") {
            next[place] = value.as_int().unwrap();
            parts.push(part.clone());
        } else {
            parts.push(Value::Vector(vec![f.clone(), name.clone(), int(next[place])]));
        }
    }
    vec![(Value::Vector(parts), next)]
}

/// Two lists x and y, one after the other, the length of x before them.
fn lists(state: &State, _: &str, input: &Value) -> Vec<(Value, State)> {
    let (x, y) = state[1..].split_at(state[0] as usize);
    let mut lists = [x.to_vec(), y.to_vec()];
    let mut parts = Vec::new();
    for part in input.elements().unwrap() {
        let [f, name, value] = part.elements().unwrap() else { panic!("a part has three parts") };
        let list = &mut lists[usize::from(*name == keyword("y"))];
        if *f == keyword("append") {
            list.push(value.as_int().unwrap());
            parts.push(part.clone());
        } else {
            let seen = Value::Vector(list.iter().map(|&i| int(i)).collect());
            parts.push(Value::Vector(vec![f.clone(), name.clone(), seen]));
        }
    }
    let next = [&[lists[0].len() as i64][..], &lists[0], &lists[1]].concat();
    vec![(Value::Vector(parts), next)]
}

fn balances(state: &State) -> Value {
    Value::Map(vec![(int(0), int(state[0])), (int(1), int(state[1]))])
}

fn bank(state: &State, f: &str, input: &Value) -> Vec<(Value, State)> {
    if f == "read" {
        return vec![(balances(state), state.clone())];
    }
    let Value::Map(fields) = input else { panic!("a transfer is a map") };
    let field = |i: usize| fields[i].1.as_int().unwrap();
    let mut next = state.clone();
    next[field(0) as usize] -= field(2);
    next[field(1) as usize] += field(2);
    vec![(input.clone(), next)]
}

fn transfer(from: i64, to: i64, amount: i64) -> (&'static str, Value) {
    ("transfer", Value::Map([("from", from), ("to", to), ("amount", amount)].map(|(name, i)| (keyword(name), int(i))).to_vec()))
}

#[test]
fn kv_with_delete_and_cas_is_decided_as_defined() {
    let text = |text: &str| Value::Str(text.into());
    let cas = |a: &str, b: &str| ("cas", Value::pair(text(a), text(b)));
    let acts = [
        ("get", Value::Nil, text("a")),
        ("put", text("a"), text("a")),
        ("delete", Value::Nil, Value::Nil),
        ("cas", cas("a", "b").1, cas("a", "b").1),
        ("append", text("b"), text("b")),
    ];
    let mut calls = vec![("put", text("a")), ("put", text("b")), ("delete", Value::Nil), cas("a", "b"), cas("b", "ab"), cas("", "a")];
    calls.extend(vec![("get", Value::Nil); 4]);
    let mut store = object("kv", kv, &calls, &acts[..4]);
    exhaust(&store, 4);
    many(&store, 15_000);
    store.acts = acts.to_vec();
    store.calls.extend([("append", text("b")), ("append", text("a"))]);
    exhaust(&store, 3);
    many(&store, 15_000);
}

#[test]
fn etcd_kv_is_decided_as_defined() {
    let acts = [
        ("get", Value::Nil, Value::pair(int(1), int(1))),
        ("get", Value::Nil, int(1)),
        ("put", int(1), Value::pair(int(1), int(2))),
        ("put", int(1), int(1)),
        ("delete", Value::Nil, Value::Nil),
        ("cas", Value::pair(int(1), int(2)), Value::pair(Value::pair(int(1), int(2)), int(3))),
    ];
    let mut calls: Vec<_> = (1..=3).map(|v| ("put", int(v))).collect();
    calls.extend([("delete", Value::Nil), ("cas", Value::pair(int(1), int(2))), ("cas", Value::pair(int(2), int(3)))]);
    calls.extend(vec![("get", Value::Nil); 4]);
    let after: After = |state, f, input, seen| after_a_change(state, f, input, seen, false);
    let object = Object { starts: vec![vec![0, 0]], after: Some(after), most_ops: 7, ..object("etcd-kv", etcd, &calls, &acts) };
    exhaust(&object, 3);
    many(&object, 10_000);
}

/// Values that come back, puts of unknown outcome that nobody reads, and revisions of all that is known.
#[test]
fn etcd_kv_that_tells_all_revisions_is_decided_as_defined() {
    let cas = |a, b| ("cas", Value::pair(int(a), int(b)));
    let told = |(f, input): (&'static str, Value), revision| (f, input.clone(), Value::pair(input, int(revision)));
    let seen = |value, revision| ("get", Value::Nil, Value::pair(int(value), int(revision)));
    let acts = [
        ("get", Value::Nil, Value::Nil),
        seen(1, 1),
        seen(1, 3),
        told(("put", int(1)), 1),
        told(("put", int(2)), 2),
        told(cas(1, 2), 3),
        told(cas(2, 1), 4),
    ];
    let mut calls: Vec<_> = [1, 1, 2, 2, 3, 4].map(|v| ("put", int(v))).to_vec();
    calls.extend([cas(1, 2), cas(2, 1), cas(2, 3), cas(1, 3)]);
    calls.extend(vec![("get", Value::Nil); 6]);
    let after: After = |state, f, input, seen| after_a_change(state, f, input, seen, true);
    let mut object =
        Object { starts: vec![vec![0, 0]], after: Some(after), most_ops: 7, ..object("etcd-kv", etcd_that_tells, &calls, &acts) };
    exhaust(&object, 3);
    many(&object, 5_000);
    // Most puts get no answer, and few are read.
    object.calls = (1..=6).map(|v| ("put", int(v))).chain(vec![("get", Value::Nil); 3]).chain([cas(1, 2)]).collect();
    many(&object, 3_000);
    // Deletes, whose revision may be that of nothing.
    object.calls.extend([("delete", Value::Nil), ("delete", Value::Nil)]);
    many(&object, 3_000);
}

#[test]
fn multi_register_is_decided_as_defined() {
    let txn = |parts: &[Value]| ("txn", Value::Vector(parts.to_vec()));
    let (read, write) = (|name| part("r", name, Value::Nil), |name, v| part("w", name, int(v)));
    let calls = [
        txn(&[read("x")]),
        txn(&[read("x"), read("y")]),
        txn(&[write("x", 1)]),
        txn(&[write("x", 2), write("y", 2)]),
        txn(&[read("y"), write("x", 3)]),
        txn(&[write("y", 4), read("y"), read("x")]),
    ];
    let done = |f: &'static str, input: &Value, state: [i64; 2]| (f, input.clone(), registers(&state.to_vec(), f, input)[0].0.clone());
    let acts: Vec<_> = calls.iter().take(5).enumerate().map(|(i, (f, input))| done(f, input, [[0, 0], [1, 0], [2, 2]][i % 3])).collect();
    let initial = Value::Map(vec![(keyword("x"), int(0)), (keyword("y"), int(0))]);
    let options = Options { initial: Some(initial), ..Options::default() };
    let calls = [&calls[..], &calls[..2], &calls[..2]].concat();
    let object = Object { starts: vec![vec![0, 0]], options, ..object("multi-register", registers, &calls, &acts) };
    exhaust(&object, 3);
    many(&object, 15_000);
}

#[test]
fn transactions_on_lists_are_decided_as_defined() {
    let txn = |parts: &[Value]| ("txn", Value::Vector(parts.to_vec()));
    let (read, append) = (|name| part("r", name, Value::Nil), |name, v| part("append", name, int(v)));
    let mut calls: Vec<_> = (1..=4).map(|v| txn(&[append("x", v)])).collect();
    calls.extend([txn(&[append("y", 5), read("x")]), txn(&[append("x", 6), append("y", 6)])]);
    calls.extend(vec![txn(&[read("x"), read("y")]); 4]);
    let acts: Vec<_> = [0, 4, 6].map(|i| (calls[i].0, calls[i].1.clone(), lists(&vec![1, 1], "txn", &calls[i].1)[0].0.clone())).to_vec();
    let options = Options { nil_read: Some(NilRead::Missing), ..Options::default() };
    let object = Object { starts: vec![vec![0]], options, ..object("multi-register", lists, &calls, &acts) };
    exhaust(&object, 4);
    many(&object, 15_000);
}

#[test]
fn bank_is_decided_as_defined() {
    let calls = [transfer(0, 1, 3), transfer(1, 0, 2), transfer(0, 1, 1), ("read", Value::Nil), ("read", Value::Nil), ("read", Value::Nil)];
    let mut acts: Vec<_> = calls[..2].iter().map(|(f, input)| (*f, input.clone(), input.clone())).collect();
    acts.extend([[5, 5], [2, 8], [4, 6]].map(|state| ("read", Value::Nil, balances(&state.to_vec()))));
    let calls = [&calls[..], &calls[..]].concat();
    let options = Options { initial: Some(balances(&vec![5, 5])), ..Options::default() };
    let mut bank = Object { starts: vec![vec![5, 5]], options, ..object("bank", bank, &calls, &acts) };
    exhaust(&bank, 4);
    many(&bank, 25_000);
    // Nobody says what the accounts hold at first. Whoever reads them finds ten in all, so they held ten.
    bank.options = Options::default();
    bank.starts = (-8..=18).map(|a| vec![a, 10 - a]).collect();
    exhaust(&bank, 3);
    bank.starts = vec![vec![5, 5]];
    bank.starts.extend((-12..=22).map(|a| vec![a, 10 - a]));
    bank.calls.extend(vec![("read", Value::Nil); 6]);
    many(&bank, 10_000);
}

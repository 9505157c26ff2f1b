//! The value findings once more, by their definition: every read against every write, over the generator's own records. Shares
//! no code with what it checks, pairing and keys included.

use super::meaning::Meaning;
use super::values::{Found, tally};
use super::{Assume, PLACES_MAX};
use crate::history::{Builder, Event, History, Kind};
use crate::keyed::Keys;
use crate::value::Value;

/// Small random numbers, the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// One op as the generator knows it. Without an invocation it began before everything.
#[derive(Clone, Debug)]
struct Made {
    f: &'static str,
    input: Value,
    output: Value,
    began: Option<usize>,
    ended: Option<(usize, Kind)>,
}

/// What the functions of an object are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Object {
    Register,
    Ids,
    Set,
    Queue,
    Strings,
    Transactions,
    Lists,
}

const OBJECTS: [Object; 7] =
    [Object::Register, Object::Ids, Object::Set, Object::Queue, Object::Strings, Object::Transactions, Object::Lists];

fn functions(object: Object) -> &'static [&'static str] {
    match object {
        Object::Register => &["read", "write", "cas"],
        Object::Ids => &["read", "write"],
        Object::Set => &["read", "add"],
        Object::Queue => &["enqueue", "dequeue", "drain"],
        Object::Strings => &["get", "put", "append"],
        Object::Transactions | Object::Lists => &["txn"],
    }
}

fn scalar(dice: &mut Dice) -> Value {
    match dice.below(20) {
        0 => Value::Nil,
        1 => "".into(),
        2 => "a".into(),
        3 => Value::Bool(false),
        4 => Value::Float(1.0),
        5 => Value::Int(-3),
        6 => Value::Int(1 << 40),
        7 => Value::Vector(vec![Value::Int(1), Value::Int(2)]),
        n => Value::Int(n as i64 % 6),
    }
}

fn collection(dice: &mut Dice) -> Value {
    let length = dice.below(4);
    Value::Vector((0..length).map(|i| if dice.one_in(3) { scalar(dice) } else { Value::Int(i as i64 + 1) }).collect())
}

fn micro(dice: &mut Dice, object: Object, is_answer: bool) -> Value {
    let key = Value::Int(dice.below(2) as i64);
    let read = dice.one_in(2);
    let write = if object == Object::Lists { "append" } else { "w" };
    let value = match (read, is_answer) {
        (true, false) => Value::Nil,
        (true, true) if object == Object::Lists && !dice.one_in(9) => collection(dice),
        _ => scalar(dice),
    };
    Value::Vector(vec![Value::Keyword(if read { "r" } else { write }.into()), key, value])
}

/// What an op of this function is called with, and what it may return.
fn values(dice: &mut Dice, object: Object, f: &str) -> (Value, Value) {
    let many = |dice: &mut Dice, is_answer| {
        let length = 1 + dice.below(3);
        Value::Vector((0..length).map(|_| micro(dice, object, is_answer)).collect())
    };
    match f {
        "txn" => (many(dice, false), many(dice, true)),
        "cas" => (Value::Vector(vec![scalar(dice), scalar(dice)]), Value::Nil),
        "read" if matches!(object, Object::Ids | Object::Set) && !dice.one_in(9) => (Value::Nil, collection(dice)),
        "drain" => (Value::Nil, collection(dice)),
        "read" | "get" | "dequeue" => (Value::Nil, scalar(dice)),
        _ => {
            let value = scalar(dice);
            let answer = if dice.one_in(5) { scalar(dice) } else { value.clone() };
            (value, answer)
        }
    }
}

/// A history of a few ops, and what the generator knows of them in the order of their first events.
fn made(dice: &mut Dice, object: Object, keyed: bool, completions_only: bool) -> (History, Vec<Made>) {
    let mut builder = Builder::new();
    let mut made: Vec<Made> = Vec::new();
    let mut in_flight: Vec<Option<usize>> = vec![None; 3];
    let mut names: Vec<i64> = (0..3).collect();
    let mut position = 0;
    let steps = 2 + dice.below(24);
    for _ in 0..steps {
        let thread = dice.below(3) as usize;
        let mut event = |name: i64, kind, f: &str, value: &Value| {
            let (process, f) = (builder.values().int(name), builder.name(f));
            let value = builder.values().insert(value);
            builder.push(Event { process, kind, f, value, time: 0, line: 0 });
            position += 1;
            position - 1
        };
        if let Some(op) = in_flight[thread].take() {
            let kind = [Kind::Ok, Kind::Ok, Kind::Ok, Kind::Fail, Kind::Info][dice.below(5) as usize];
            made[op].ended = Some((event(names[thread], kind, made[op].f, &made[op].output), kind));
            names[thread] += if kind == Kind::Info { 3 } else { 0 };
            continue;
        }
        let f = dice.of(functions(object));
        let (mut input, mut output) = values(dice, object, f);
        if keyed {
            let key = Value::Int(dice.below(2) as i64);
            (input, output) = (Value::Vector(vec![key.clone(), input]), Value::Vector(vec![key, output]));
        }
        if completions_only {
            // Nothing but the completion: what it was called with is what it returned.
            let kind = if dice.one_in(4) { Kind::Fail } else { Kind::Ok };
            let value = if matches!(f, "read" | "get" | "dequeue" | "drain" | "txn") { output } else { input };
            let ended = Some((event(names[thread], kind, f, &value), kind));
            made.push(Made { f, input: value.clone(), output: value, began: None, ended });
        } else {
            let began = Some(event(names[thread], Kind::Invoke, f, &input));
            in_flight[thread] = Some(made.len());
            made.push(Made { f, input, output, began, ended: None });
        }
    }
    (builder.finish(), made)
}

#[derive(Clone, Debug, PartialEq)]
struct Write {
    op: usize,
    object: Value,
    value: Value,
    failed: bool,
    asked: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Read {
    op: usize,
    object: Value,
    value: Value,
    element: bool,
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Nil | Value::List(_) | Value::Vector(_) | Value::Set(_) | Value::Map(_) | Value::Tagged(..))
}

/// What the definition says: how often, and the ops of the first ones.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    unwritten: Vec<(usize, Value)>,
    failed: Vec<(usize, Value)>,
    early: Vec<(usize, Value)>,
    repeated: Vec<(usize, Value)>,
    writes: usize,
    reads: usize,
    reads_nil: usize,
}

/// The writes and reads of one op, nil ones included.
fn expand(op: usize, made: &Made, keyed: bool) -> (Vec<Write>, Vec<Read>) {
    let ok = matches!(made.ended, Some((_, Kind::Ok)));
    let failed = matches!(made.ended, Some((_, Kind::Fail)));
    let part = |value: &Value, i: usize| value.elements().unwrap()[i].clone();
    let (object, input, output) = if keyed {
        (part(&made.input, 0), part(&made.input, 1), part(&made.output, 1))
    } else {
        (Value::Nil, made.input.clone(), made.output.clone())
    };
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    let mut write = |object: &Value, value: &Value, asked| {
        writes.push(Write { op, object: object.clone(), value: value.clone(), failed, asked });
    };
    let mut read = |object: &Value, value: &Value| reads.push(Read { op, object: object.clone(), value: value.clone(), element: false });
    match made.f {
        "txn" => {
            let is_read = |micro: &Value| part(micro, 0) == Value::Keyword("r".into());
            for micro in input.elements().unwrap().iter().filter(|m| !is_read(m)) {
                write(&part(micro, 1), &part(micro, 2), true);
            }
            for micro in output.elements().unwrap().iter().filter(|_| ok) {
                if is_read(micro) {
                    read(&part(micro, 1), &part(micro, 2));
                } else {
                    write(&part(micro, 1), &part(micro, 2), false);
                }
            }
        }
        "cas" => {
            write(&object, &part(&input, 1), true);
            if ok {
                read(&object, &part(&input, 0));
            }
        }
        "read" | "get" | "dequeue" | "drain" => {
            if ok {
                read(&object, &output);
            }
        }
        _ => {
            write(&object, &input, true);
            if ok {
                write(&object, &output, false);
            }
        }
    }
    (writes, reads)
}

fn expected(object: Object, made: &[Made], keyed: bool, initial: Option<&Value>) -> Expected {
    let expanded: Vec<(Vec<Write>, Vec<Read>)> = made.iter().enumerate().map(|(op, m)| expand(op, m, keyed)).collect();
    let all_writes: Vec<Write> = expanded.iter().flat_map(|e| e.0.clone()).collect();
    let all_reads: Vec<Read> = expanded.iter().flat_map(|e| e.1.clone()).collect();
    let used = |f: &str| made.iter().any(|m| m.f == f);
    let combines = match object {
        Object::Set => used("add"),
        Object::Strings => used("append"),
        Object::Lists => made
            .iter()
            .any(|m| m.input.elements().unwrap().iter().any(|micro| micro.elements().unwrap()[0] == Value::Keyword("append".into()))),
        _ => false,
    };
    let mut expected = Expected::default();
    let counted = |read: &&Read| matches!(made[read.op].f, "read" | "get" | "txn");
    expected.reads = all_reads.iter().filter(counted).count();
    expected.reads_nil = all_reads.iter().filter(counted).filter(|r| r.value == Value::Nil).count();

    let writes: Vec<Write> = all_writes.iter().filter(|w| is_scalar(&w.value)).cloned().collect();
    let whole = object == Object::Transactions || object == Object::Lists;
    let collections_in = |object: &Value| all_writes.iter().any(|w| (whole || w.object == *object) && w.value.elements().is_some());
    let mut reads: Vec<Read> = Vec::new();
    for read in &all_reads {
        match read.value.elements() {
            Some(elements) if !collections_in(&read.object) => {
                reads.extend(elements.iter().map(|value| Read { value: value.clone(), element: true, ..read.clone() }));
            }
            None if !combines => reads.push(read.clone()),
            _ => {}
        }
    }
    reads.retain(|read| is_scalar(&read.value));
    for (i, read) in reads.iter().enumerate() {
        let Some(class) = class(made, &writes, read, initial) else { continue };
        let same = |earlier: &&Read| (&earlier.object, &earlier.value) == (&read.object, &read.value);
        if reads[..i].iter().filter(same).any(|earlier| self::class(made, &writes, earlier, initial).is_some()) {
            continue;
        }
        let list = match class {
            Class::Unwritten => &mut expected.unwritten,
            Class::Failed => &mut expected.failed,
            Class::Early => &mut expected.early,
        };
        list.push((read.op, read.value.clone()));
    }
    let asked: Vec<&Write> = writes.iter().filter(|w| w.asked && !w.failed).collect();
    for (i, write) in asked.iter().enumerate() {
        let same_object = |other: &&&Write| other.object == write.object;
        expected.writes += usize::from(asked.iter().filter(same_object).count() > 1);
        if asked[..i].iter().filter(same_object).any(|other| other.value == write.value) {
            expected.repeated.push((write.op, write.value.clone()));
        }
    }
    expected
}

enum Class {
    Unwritten,
    Failed,
    Early,
}

/// What is wrong with a read, if anything is.
fn class(made: &[Made], writes: &[Write], read: &Read, initial: Option<&Value>) -> Option<Class> {
    let common = [Value::Int(0), Value::Bool(false), "".into(), Value::Float(0.0)];
    let is_initial = match initial {
        Some(Value::Vector(elements)) => elements.contains(&read.value),
        Some(initial) => !read.element && *initial == read.value,
        None => false,
    };
    if is_initial || (!read.element && common.contains(&read.value)) {
        return None;
    }
    let end = made[read.op].ended.unwrap().0;
    let of_it: Vec<&Write> = writes.iter().filter(|w| w.object == read.object && w.value == read.value).collect();
    let in_time = |w: &&&Write| made[w.op].began.is_none_or(|began| began < end);
    if of_it.iter().filter(in_time).any(|w| !w.failed) {
        None
    } else if of_it.iter().filter(in_time).count() > 0 {
        Some(Class::Failed)
    } else if of_it.is_empty() {
        Some(Class::Unwritten)
    } else {
        Some(Class::Early)
    }
}

#[track_caller]
fn assert_found(what: &str, history: &History, found: &Found, expected: &[(usize, Value)], context: &dyn Fn() -> String) {
    assert_eq!(found.count, expected.len(), "{what}: {}", context());
    let spots: Vec<(usize, Value)> = found.spots.iter().map(|spot| (spot.op.0 as usize, history.values.get(spot.value))).collect();
    assert_eq!(spots, expected[..expected.len().min(PLACES_MAX)], "{what}: {}", context());
}

#[test]
fn values_are_judged_as_defined() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut seen = [0; 4];
    for case in 0..crate::test_size::times(30_000) {
        let object = OBJECTS[case as usize % OBJECTS.len()];
        let transactions = matches!(object, Object::Transactions | Object::Lists);
        let keyed = !transactions && dice.one_in(2);
        let (history, made) = made(&mut dice, object, keyed, case % 5 == 0);
        let initial = [None, None, Some(Value::Int(3)), Some(Value::Vector(vec![Value::Int(2)]))][case as usize % 4].clone();
        let expected = expected(object, &made, keyed, initial.as_ref());
        let assume = Assume { keyed: Some(keyed), initial };
        let keys = Keys::split(&history, assume.keyed);
        let meaning = Meaning::of(&history).expect("all functions are known");
        let found = tally(&history, &keys, &assume, &meaning).expect("all ops can be understood");
        let context = &|| format!("case {case}, {object:?}, keyed {keyed}, {assume:?}: {made:#?}");
        assert_found("unwritten", &history, &found.unwritten, &expected.unwritten, context);
        assert_found("failed", &history, &found.failed, &expected.failed, context);
        assert_found("early", &history, &found.early, &expected.early, context);
        assert_found("repeated", &history, &found.repeated, &expected.repeated, context);
        let sums = (found.writes, found.reads, found.reads_nil);
        assert_eq!(sums, (expected.writes, expected.reads, expected.reads_nil), "{}", context());
        let lists = [&expected.unwritten, &expected.failed, &expected.early, &expected.repeated];
        for (seen, list) in seen.iter_mut().zip(lists) {
            *seen += list.len();
        }
    }
    assert!(seen.iter().all(|&n| n > 500), "the generator makes too few of some kind: {seen:?}");
}

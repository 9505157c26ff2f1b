//! One meaning at every level: what nil, the empty string, the empty list and a failed cas say must not depend on which consistency
//! model is asked.
//!
//! The histories are of one process, one op after the other, all of them answered. Then there is one order only, so linearizable,
//! sequential, causal and PRAM all ask the same: whether a plain object that is used in this order gives these results. That object is
//! written down here, in plain words, and shares nothing with the checker. Eventual consistency asks less: it must not call
//! invalid what that object does.
//!
//! Bugs that were there once, and that this finds: a cas of the empty string that finds nil in one place and not in another; a nil read in
//! a transaction that says nothing here and something there; `--nil-read` that is not heeded by a get; `--failed-cas assert` that is not
//! heeded by models of reads and writes.
//!
//! `RASHOMON_TEST_SIZE` multiplies the number of histories (default 1).

#![allow(clippy::unwrap_used, reason = "tests")]

use crate::size::times;
use histories::{Builder, History, Kind, Value};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Budget, Consistency, FailedCas, MODELS, NilRead, Options, check};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Object {
    Register,
    CasRegister,
    /// A store of strings: nil and the empty string are one.
    Kv,
    /// Registers in transactions: nil and the empty list are one.
    Transactions,
}

impl Object {
    fn model(self) -> &'static str {
        match self {
            Object::Register => "register",
            Object::CasRegister => "cas-register",
            Object::Kv => "kv",
            Object::Transactions => "multi-register",
        }
    }

    /// What a read of nil means where nobody says it.
    fn nil_read(self) -> NilRead {
        match self {
            Object::Register | Object::CasRegister => NilRead::Wildcard,
            Object::Kv | Object::Transactions => NilRead::Missing,
        }
    }

    /// Values, and other ways to write nothing.
    fn values(self) -> Vec<Value> {
        let mut values = vec![Value::Nil, Value::Str("a".into()), Value::Str("b".into())];
        match self {
            Object::Register | Object::CasRegister => {}
            Object::Kv => values.push(Value::Str("".into())),
            Object::Transactions => values.push(Value::Vector(Vec::new())),
        }
        values
    }
}

/// One read, write or cas of one key; of a transaction a part.
#[derive(Clone, Debug)]
enum Act {
    Read(i64, Value),
    Write(i64, Value),
    Cas(i64, Value, Value),
    FailedCas(i64, Value, Value),
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::Str(text) => text.is_empty(),
        Value::Vector(elements) => elements.is_empty(),
        _ => false,
    }
}

fn are_one(a: &Value, b: &Value) -> bool {
    a == b || is_nothing(a) && is_nothing(b)
}

/// The definition: whether the object gives these results in this order.
fn is_kept(acts: &[Act], nil_read: NilRead, failed_cas: FailedCas) -> bool {
    let mut held: BTreeMap<i64, Value> = BTreeMap::new();
    acts.iter().all(|act| {
        let holds = |key: &i64, value: &Value| are_one(held.get(key).unwrap_or(&Value::Nil), value);
        match act {
            Act::Read(_, Value::Nil) if nil_read == NilRead::Wildcard => true,
            Act::Read(key, value) => holds(key, value),
            Act::Write(key, value) => {
                held.insert(*key, value.clone());
                true
            }
            Act::Cas(key, old, new) => {
                let found = holds(key, old);
                held.insert(*key, new.clone());
                found
            }
            Act::FailedCas(key, old, _) => failed_cas == FailedCas::Drop || !holds(key, old),
        }
    })
}

fn random(object: Object, rng: &mut impl Rng) -> Vec<Act> {
    let values = object.values();
    let mut held: BTreeMap<i64, Value> = BTreeMap::new();
    let mut acts = Vec::new();
    for _ in 0..rng.random_range(1..=6) {
        let key = rng.random_range(0..2);
        let (value, other) = (values[rng.random_range(0..values.len())].clone(), values[rng.random_range(0..values.len())].clone());
        // Most results are as the object gives them.
        let honest = held.get(&key).cloned().filter(|_| rng.random_bool(0.8)).unwrap_or(other);
        let can_cas = matches!(object, Object::CasRegister | Object::Kv);
        acts.push(match rng.random_range(0..5) {
            0 if can_cas => Act::Cas(key, honest, value.clone()),
            1 if can_cas => Act::FailedCas(key, honest, value.clone()),
            0..=2 => Act::Write(key, value.clone()),
            _ => Act::Read(key, honest),
        });
        if let Some(Act::Cas(..) | Act::Write(..)) = acts.last() {
            held.insert(key, value);
        }
    }
    acts
}

fn history(object: Object, acts: &[Act], rng: &mut impl Rng) -> History {
    let mut builder = Builder::new();
    let mut rest = acts;
    while !rest.is_empty() {
        let at_once = if object == Object::Transactions { rng.random_range(1..=rest.len().min(3)) } else { 1 };
        let (first, later) = rest.split_at(at_once);
        rest = later;
        if object == Object::Transactions {
            let part = |f: &str, key: i64, value: &Value| Value::Vector(vec![Value::Keyword(f.into()), Value::Int(key), value.clone()]);
            let parts = |done: bool| {
                let one = |act: &Act| match act {
                    Act::Read(key, value) => part("r", *key, if done { value } else { &Value::Nil }),
                    Act::Write(key, value) | Act::Cas(key, _, value) | Act::FailedCas(key, _, value) => part("w", *key, value),
                };
                Value::Vector(first.iter().map(one).collect())
            };
            builder.event(0, Kind::Invoke, "txn", &parts(false), 0);
            builder.event(0, Kind::Ok, "txn", &parts(true), 0);
            continue;
        }
        let (read, write) = if object == Object::Kv { ("get", "put") } else { ("read", "write") };
        let (kind, f, key, input, output) = match &first[0] {
            Act::Read(key, value) => (Kind::Ok, read, *key, Value::Nil, value.clone()),
            Act::Write(key, value) => (Kind::Ok, write, *key, value.clone(), value.clone()),
            Act::Cas(key, old, new) => {
                (Kind::Ok, "cas", *key, Value::pair(old.clone(), new.clone()), Value::pair(old.clone(), new.clone()))
            }
            Act::FailedCas(key, old, new) => {
                (Kind::Fail, "cas", *key, Value::pair(old.clone(), new.clone()), Value::pair(old.clone(), new.clone()))
            }
        };
        builder.event(0, Kind::Invoke, f, &Value::pair(key, input), 0);
        builder.event(0, kind, f, &Value::pair(key, output), 0);
    }
    builder.finish()
}

/// The levels for which one process has one order only.
const SAME: [Consistency; 6] = [
    Consistency::Linearizable,
    Consistency::Sequential,
    Consistency::CausalMemory,
    Consistency::CausalConvergence,
    Consistency::Causal,
    Consistency::Pram,
];

fn agree(object: Object, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut told = BTreeMap::new();
    for number in 0..times(2_000) {
        let acts = random(object, &mut rng);
        let history = history(object, &acts, &mut rng);
        let nil_read = [None, Some(NilRead::Missing), Some(NilRead::Wildcard)][rng.random_range(0..3)];
        let asserts = object == Object::CasRegister && rng.random_bool(0.5);
        let failed_cas = if asserts { FailedCas::Assert } else { FailedCas::Drop };
        let keyed = Some(object != Object::Transactions);
        let options = Options { nil_read, failed_cas: Some(failed_cas), keyed, ..Options::from(object.model()) };
        let is_kept = is_kept(&acts, nil_read.unwrap_or(object.nil_read()), failed_cas);
        let expected = if is_kept { Summary::Valid } else { Summary::Invalid };
        for level in SAME {
            let verdict = check(&history, level, &options, &Budget::unlimited()).unwrap();
            *told.entry((level.name(), verdict.answer.name())).or_insert(0_u64) += 1;
            // Of values that were written twice, and of a cas that failed, these may not know enough.
            let may_be_open = !matches!(level, Consistency::Linearizable | Consistency::Sequential);
            let is_open = may_be_open && verdict.answer == Summary::Unknown;
            assert!(
                is_open || verdict.answer == expected,
                "{number}: {level:?} {options:?}: {:?}, not {expected:?}\n{acts:#?}",
                verdict.keys
            );
        }
        let eventual = check(&history, Consistency::Eventual, &options, &Budget::unlimited()).unwrap().answer;
        assert!(!is_kept || eventual != Summary::Invalid, "{number}: {options:?}\n{acts:#?}");
    }
    for level in SAME {
        for answer in [Summary::Valid, Summary::Invalid] {
            assert!(told.get(&(level.name(), answer.name())).is_some_and(|&n| n > times(100)), "{told:?}");
        }
    }
}

#[test]
fn registers_mean_the_same_at_every_level() {
    agree(Object::Register, 1);
}

#[test]
fn cas_registers_mean_the_same_at_every_level() {
    agree(Object::CasRegister, 2);
}

#[test]
fn stores_mean_the_same_at_every_level() {
    agree(Object::Kv, 3);
}

#[test]
fn transactions_mean_the_same_at_every_level() {
    agree(Object::Transactions, 4);
}

fn single(f: &str, input: &Value, output: &Value, kind: Kind) -> History {
    let mut builder = Builder::new();
    builder.event(0, Kind::Invoke, f, input, 0);
    builder.event(0, kind, f, output, 0);
    builder.finish()
}

/// Whether a level is for a model does not depend on whether the history holds an update, nor on how that ended.
#[test]
fn models_are_refused_whatever_a_history_holds() {
    let histories = [
        Builder::new().finish(),
        single("read", &Value::Nil, &Value::Vector(Vec::new()), Kind::Ok),
        single("add", &Value::Int(1), &Value::Int(1), Kind::Ok),
        single("add", &Value::Int(1), &Value::Int(1), Kind::Fail),
    ];
    let cells = ["register", "cas-register", "kv", "etcd-kv", "multi-register"];
    let weaker = Consistency::ALL
        .into_iter()
        .filter(|level| !matches!(level, Consistency::Linearizable | Consistency::Sequential | Consistency::Eventual));
    for (level, (model, _)) in weaker.flat_map(|level| MODELS.iter().map(move |model| (level, model))) {
        for history in &histories {
            let found = check(history, level, &Options::from(*model), &Budget::unlimited());
            let is_refused = found.as_ref().is_err_and(|why| why.contains(&format!("not of {model}")));
            assert_eq!(is_refused, !cells.contains(model), "{level:?} {model}: {found:?}");
        }
    }
}

/// Every model heeds `--nil-read`, in that the two choices differ on some read of nil, or refuses the one that it would not heed.
#[test]
fn choices_are_heeded_or_refused() {
    for (model, _) in MODELS {
        let judge = |nil_read| {
            let mut builder = Builder::new();
            let nil = Value::Nil;
            let (update, read, value, found) = match *model {
                "multi-register" => {
                    let part = |f: &str, v: Value| Value::Vector(vec![Value::Vector(vec![Value::Keyword(f.into()), Value::Int(0), v])]);
                    ("txn", "txn", part("w", Value::Int(1)), part("r", Value::Nil))
                }
                "kv" | "etcd-kv" => ("put", "get", Value::Str("a".into()), nil),
                "list-append" => ("append", "read", Value::Int(1), nil),
                "register" | "cas-register" => ("write", "read", Value::Int(1), nil),
                "counter" | "g-counter" | "pn-counter" | "set" | "g-set" | "2p-set" | "or-set" => ("add", "read", Value::Int(1), nil),
                _ => ("read", "read", Value::Nil, nil),
            };
            builder.event(0, Kind::Invoke, update, &value, 0);
            builder.event(0, Kind::Ok, update, &value, 0);
            builder.event(0, Kind::Invoke, read, &found, 0);
            builder.event(0, Kind::Ok, read, &found, 0);
            let options = Options { nil_read: Some(nil_read), keyed: Some(false), ..Options::from(*model) };
            check(&builder.finish(), Consistency::Linearizable, &options, &Budget::unlimited())
        };
        let refuses = |found: &Result<_, String>| found.as_ref().is_err_and(|why| why.contains("--nil-read"));
        let (missing, wildcard) = (judge(NilRead::Missing), judge(NilRead::Wildcard));
        match (&missing, &wildcard) {
            (Ok(missing), Ok(wildcard)) => {
                assert_eq!((missing.answer, wildcard.answer), (Summary::Invalid, Summary::Valid), "{model}");
            }
            _ => assert!(refuses(&missing) || refuses(&wildcard), "{model}: {missing:?} {wildcard:?}"),
        }
        let asserted = Options { failed_cas: Some(FailedCas::Assert), ..Options::from(*model) };
        let found = check(&Builder::new().finish(), Consistency::Linearizable, &asserted, &Budget::unlimited());
        assert_eq!(found.is_err(), !matches!(*model, "register" | "cas-register"), "{model}");
    }
}

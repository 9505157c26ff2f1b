//! Only true witnesses pass, and only true contradictions.

use super::*;
use crate::options::Options;
use histories::keyed::Keys;
use histories::{Builder, Kind, Value};

/// An op: its function, its argument, what it returned, and how it ended.
type Told<'a> = (&'static str, Option<i64>, &'a [i64], Kind);

/// Each op by a process of its own.
fn with_claims(model: &str, ops: &[Told<'_>], check: impl FnOnce(&Claims<'_>)) {
    let mut builder = Builder::new();
    for (process, &(f, argument, seen, kind)) in (0..).zip(ops) {
        let input = argument.map_or(Value::Nil, Value::Int);
        let all = Value::Vector(seen.iter().copied().map(Value::Int).collect());
        let output = match (argument, model) {
            (Some(_), _) => input.clone(),
            (None, "set" | "list-append") => all,
            (None, _) => Value::Int(seen[0]),
        };
        builder.event(process, Kind::Invoke, f, &input, 0);
        builder.event(process, kind, f, &output, 0);
    }
    let history = builder.finish();
    let keys = Keys::split(&history, Some(false));
    let options = Options { initial: Some(Value::Int(0)), ..Options::from(model) };
    let objects = Objects::new(&history, &options, &keys).unwrap();
    let all: Vec<OpId> = history.op_ids().collect();
    check(&Claims::new(&history, &objects, ValueId::NIL, &all, last_update(&history, &objects)));
}

fn ops(ids: &[u32]) -> Vec<OpId> {
    ids.iter().map(|&id| OpId(id)).collect()
}

fn refused(found: &Result<(), String>, why: &str) {
    assert!(found.as_ref().is_err_and(|said| said.contains(why)), "{found:?}, not: {why}");
}

#[test]
fn only_true_orders_pass() {
    let told: [Told<'_>; 6] = [
        ("read", None, &[], Kind::Ok), // No final one: updates follow.
        ("add", Some(1), &[], Kind::Ok),
        ("add", Some(2), &[], Kind::Info),
        ("remove", Some(1), &[], Kind::Ok),
        ("read", None, &[2], Kind::Ok),
        ("read", None, &[2], Kind::Ok),
    ];
    with_claims("set", &told, |claims| {
        let judge = |order: &[u32]| claims.explains(&ops(order));
        assert_eq!(judge(&[1, 2, 3, 4, 5]), Ok(()));
        assert_eq!(judge(&[2, 1, 3, 5, 4]), Ok(()));
        refused(&judge(&[1, 3, 4, 5]), "op 4 does not find its result");
        refused(&judge(&[3, 1, 2, 4, 5]), "op 4 does not find its result");
        refused(&judge(&[1, 2, 3, 4]), "op 5 is missing");
        refused(&judge(&[1, 2, 3, 3, 4, 5]), "op 3 is in the order twice");
        refused(&judge(&[2, 4, 5]), "op 1 is missing");
        refused(&judge(&[1, 2, 3, 4, 0, 5]), "op 0 does not belong here");
        refused(&judge(&[1, 2, 3, 9, 4, 5]), "op 9 does not belong here");
        refused(&judge(&[1, 2, 4, 3, 5]), "op 4 does not find its result");
        assert_eq!(claims.contradict(&ops(&[1, 3, 4, 5])), Ok(false));
        assert!(claims.contradict(&ops(&[2, 4])).is_err(), "an update that nobody acknowledged is not needed");
    });
}

/// Each with the ops that contradict each other, none of which can be left out.
#[test]
fn only_true_contradictions_pass() {
    let (ok, info) = (Kind::Ok, Kind::Info);
    let cases: [(&str, &[Told<'_>], &[u32]); 8] = [
        ("set", &[("add", Some(1), &[], ok), ("read", None, &[], ok)], &[0, 1]),
        ("set", &[("add", Some(1), &[], ok), ("read", None, &[1, 3], ok)], &[1]),
        ("set", &[("add", Some(1), &[], info), ("read", None, &[1], ok), ("read", None, &[], ok)], &[1, 2]),
        ("list-append", &[("append", Some(1), &[], ok), ("read", None, &[1, 1], ok)], &[1]),
        ("list-append", &[("append", Some(1), &[], ok), ("append", Some(1), &[], ok), ("read", None, &[1], ok)], &[0, 1, 2]),
        ("register", &[("write", Some(1), &[], ok), ("read", None, &[0], ok)], &[0, 1]),
        ("register", &[("write", Some(1), &[], ok), ("read", None, &[2], ok)], &[1]),
        ("counter", &[("add", Some(2), &[], ok), ("add", Some(3), &[], info), ("read", None, &[3], ok)], &[2]),
    ];
    for (model, told, needed) in cases {
        with_claims(model, told, |claims| {
            assert_eq!(claims.contradict(&ops(needed)), Ok(true), "{model} {told:?}");
            assert_eq!(claims.is_minimal(&ops(needed)), Ok(true), "{model} {told:?}");
        });
    }
    let innocent: [(&str, &[Told<'_>], &[u32]); 5] = [
        ("set", &[("add", Some(1), &[], ok), ("remove", Some(1), &[], info), ("read", None, &[], ok)], &[0, 2]),
        ("set", &[("add", Some(1), &[], info), ("read", None, &[], ok)], &[1]),
        ("list-append", &[("append", Some(1), &[], ok), ("append", Some(1), &[], info), ("read", None, &[1, 1], ok)], &[0, 2]),
        ("register", &[("write", Some(1), &[], info), ("read", None, &[0], ok)], &[1]),
        ("counter", &[("add", Some(2), &[], ok), ("add", Some(3), &[], info), ("read", None, &[5], ok)], &[2]),
    ];
    for (model, told, needed) in innocent {
        with_claims(model, told, |claims| assert_eq!(claims.contradict(&ops(needed)), Ok(false), "{model} {told:?}"));
    }
}

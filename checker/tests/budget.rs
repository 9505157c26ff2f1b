//! What ends a check early, and what is said then.

#![allow(clippy::unwrap_used, reason = "tests")]

use histories::{Builder, History, Kind, Value};
use rashomon_checker::budget::Stop;
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Answer, Budget, Options, Reason, Verdict, check_linearizable};

/// `width` writes of 0 and 1 at a time, and as many reads that see 0 and 1 in turn: there are very many orders. The last read
/// sees 2.
fn hard(width: i64, rounds: i64) -> History {
    let mut builder = Builder::new();
    for round in 0..rounds {
        let base = round * 100;
        for i in 0..width {
            builder.event(base + i, Kind::Invoke, "write", &Value::Int(i % 3), 0);
        }
        for i in 0..width {
            builder.event(base + 50 + i, Kind::Invoke, "read", &Value::Nil, 0);
        }
        for i in 0..width {
            builder.event(base + 50 + i, Kind::Ok, "read", &Value::Int(i % 3), 0);
        }
        for i in 0..width {
            builder.event(base + i, Kind::Ok, "write", &Value::Int(i % 3), 0);
        }
    }
    builder.finish()
}

fn check(history: &History, budget: &Budget) -> Verdict {
    check_linearizable(history, &Options { model: "register".into(), ..Options::default() }, budget).unwrap()
}

fn reason(verdict: &Verdict) -> &Reason {
    assert_eq!(verdict.answer, Summary::Unknown);
    match &verdict.keys[0].answer {
        Answer::Unknown(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_limits_it_is_decided() {
    assert_eq!(check(&hard(12, 20), &Budget::unlimited()).answer, Summary::Valid);
}

#[test]
fn the_step_limit_ends_it() {
    const STEPS: u64 = 100;
    let mut budget = Budget::unlimited();
    budget.steps = Some(STEPS);
    let verdict = check(&hard(12, 20), &budget);
    let Reason::Steps { ops_ordered, .. } = reason(&verdict) else { panic!("{verdict:?}") };
    assert!(*ops_ordered > 0 && *ops_ordered < 480, "{ops_ordered}");
    // Each search that is tried has so many.
    assert!(verdict.keys[0].steps <= 3 * (STEPS + 1), "{}", verdict.keys[0].steps);
}

#[test]
fn the_memory_limit_ends_it_and_is_given_back() {
    let mut budget = Budget::unlimited();
    budget.bytes = Some(200_000);
    let verdict = check(&hard(30, 20), &budget);
    assert!(matches!(reason(&verdict), Reason::Memory { .. }), "{verdict:?}");
    assert!(budget.peak_bytes() > 100_000 && budget.peak_bytes() <= 200_000, "{}", budget.peak_bytes());
    assert!(budget.take(200_000), "what was taken was not given back");
}

#[test]
fn the_stop_flag_ends_it() {
    for (why, expected) in [(Stop::Deadline, false), (Stop::Interrupt, true)] {
        let budget = Budget::unlimited();
        budget.stop(why);
        let verdict = check(&hard(30, 20), &budget);
        assert_eq!(*reason(&verdict) == Reason::Interrupted, expected, "{verdict:?}");
    }
}

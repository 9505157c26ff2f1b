//! Limits that strike at every moment of a check.

use super::*;
use crate::{Answer, NilRead, Options, Reason, Verdict, check_linearizable};
use histories::{Builder, History, Kind, Value};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn accounts_give_back_and_never_take_too_much() {
    let budget = Budget { bytes: Some(100), ..Budget::default() };
    let mut first = Account::new(&budget);
    let mut second = Account::new(&budget);
    assert_eq!((first.hold(60), second.hold(50), second.hold(40)), (Ok(()), Err(Limit::Memory), Ok(())));
    assert_eq!((first.hold(10), second.hold(90)), (Ok(()), Ok(())));
    drop(first);
    drop(second);
    assert!(budget.take(100) && !budget.take(1));
    assert_eq!(budget.peak_bytes(), 100);
}

#[test]
fn the_stop_flag_is_seen_at_once_and_soon() {
    let budget = Budget::unlimited();
    let mut working = Account::new(&budget);
    assert_eq!(working.work(1), Ok(()));
    budget.stop(Stop::Interrupt);
    budget.stop(Stop::Deadline);
    let seen = (0..=WORK_BETWEEN_LOOKS).find_map(|_| working.work(1).err());
    assert_eq!(seen, Some(Limit::Stopped(Stop::Interrupt)), "the first reason stays");
    assert_eq!(Account::new(&budget).work(0), seen.map_or(Ok(()), Err));
}

/// Reads, writes and cas by some clients on a register that answers honestly; or a read near the end does not.
fn random_history(rng: &mut ChaCha8Rng) -> History {
    let (unique, lie, crash) = (rng.random_bool(0.5), rng.random_bool(0.6), [0.0, 0.1][rng.random_range(0..2usize)]);
    let (ops, cas) = (rng.random_range(60..200), rng.random_bool(0.4));
    let mut builder = Builder::new();
    let (mut held, mut seen, mut fresh) = (0, vec![0], 0);
    // (process, function, argument, result)
    let mut open: Vec<(i64, &str, Value, Option<Value>)> = Vec::new();
    let mut invoked = 0;
    while invoked < ops || !open.is_empty() {
        if open.len() < 6 && invoked < ops && rng.random_bool(0.5) {
            fresh += 1;
            let new = if unique { fresh } else { rng.random_range(0..3) };
            let (f, value) = match rng.random_range(0..4) {
                0 => ("write", Value::Int(new)),
                1 if cas => ("cas", Value::pair(held, new)),
                _ => ("read", Value::Nil),
            };
            builder.event(invoked, Kind::Invoke, f, &value, 0);
            open.push((invoked, f, value, None));
            invoked += 1;
            continue;
        }
        if open.is_empty() {
            continue;
        }
        let i = rng.random_range(0..open.len());
        if open[i].3.is_none() {
            let result = match (&open[i].1, &open[i].2) {
                (&"write", Value::Int(new)) => {
                    held = *new;
                    open[i].2.clone()
                }
                (&"cas", Value::Vector(pair)) if pair[0] == Value::Int(held) => {
                    let Value::Int(new) = pair[1] else { panic!("{pair:?}") };
                    held = new;
                    open[i].2.clone()
                }
                (&"cas", _) => Value::Nil,
                _ if lie && invoked * 10 > ops * 9 => Value::Int(seen[seen.len() / 3]),
                _ => Value::Int(held),
            };
            seen.push(held);
            open[i].3 = Some(result);
        } else {
            let (process, f, value, result) = open.swap_remove(i);
            let failed = f == "cas" && result == Some(Value::Nil);
            let kind = if rng.random_bool(crash) {
                Kind::Info
            } else if failed {
                Kind::Fail
            } else {
                Kind::Ok
            };
            let value = if kind == Kind::Ok { result.unwrap() } else { value };
            builder.event(process, kind, f, &value, 0);
        }
    }
    builder.finish()
}

fn check(history: &History, budget: &Budget) -> Verdict {
    let options = Options {
        model: "cas-register".into(),
        keyed: Some(false),
        initial: Some(Value::Int(0)),
        nil_read: Some(NilRead::Wildcard),
        ..Options::default()
    };
    check_linearizable(history, &options, budget).unwrap()
}

/// Whatever a limit cuts off, what is said is either what would have been said without it, or `unknown` with its reason; the
/// check ends soon after; and no memory stays taken.
#[test]
fn a_limit_may_strike_at_any_moment() {
    let (mut cut, mut kept, mut invalid_kept, mut latest) = (0, 0, 0, 0);
    for seed in 0..60 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let history = random_history(&mut rng);
        let all = Budget::unlimited();
        let expected = check(&history, &all);
        let looks = all.looks.load(Ordering::Relaxed);
        for at in (0..looks).step_by(looks as usize / 60 + 1) {
            let budget = Budget { stop_at_look: Some(at), ..Budget::default() };
            let verdict = check(&history, &budget);
            latest = latest.max(budget.looks.load(Ordering::Relaxed) - at);
            match &verdict.keys[0].answer {
                Answer::Unknown(reason) => {
                    assert_eq!(*reason, Reason::Interrupted, "seed {seed}, look {at}");
                    cut += 1;
                }
                answer => {
                    assert_eq!(answer.summary(), expected.answer, "seed {seed}, look {at}");
                    invalid_kept += u32::from(matches!(answer, Answer::Invalid(_)));
                    kept += 1;
                }
            }
        }
        for part in 0..20 {
            let bytes = all.peak_bytes() * part / 20;
            let budget = Budget { bytes: Some(bytes), ..Budget::default() };
            let verdict = check(&history, &budget);
            match (&verdict.reason, verdict.keys.first().map(|key| &key.answer)) {
                (Some(Reason::Memory { .. }), None) | (None, Some(Answer::Unknown(Reason::Memory { .. }))) => cut += 1,
                (None, Some(answer)) => assert_eq!(answer.summary(), expected.answer, "seed {seed}, {bytes} bytes"),
                other => panic!("seed {seed}, {bytes} bytes: {other:?}"),
            }
            assert!(budget.take(bytes), "seed {seed}: some of {bytes} bytes were not given back");
        }
    }
    assert!(cut > 1000 && kept > 200 && invalid_kept > 100, "{cut} {kept} {invalid_kept}");
    assert!(latest <= 40, "{latest} looks after the flag was raised");
}

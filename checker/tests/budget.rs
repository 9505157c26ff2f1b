//! What ends a check early, and what is said then.

#![allow(clippy::unwrap_used, reason = "tests")]

use histories::{Builder, History, Kind, Value};
use rashomon_checker::budget::Stop;
use rashomon_checker::model::{Call, Decoded, Model, Sees};
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Answer, Budget, Options, Reason, Rules, Verdict, check_linearizable, check_linearizable_with};
use std::sync::atomic::{AtomicU64, Ordering};

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

/// A register of somebody's own whose steps might take minutes: the time is up during one of them.
struct Slow<'b> {
    budget: &'b Budget,
    up_at_step: u64,
    steps: AtomicU64,
    /// Whether it says what it need not say.
    says_more: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Op {
    Read(i64),
    Write(i64),
}

impl Model for Slow<'_> {
    type State = i64;
    type Op = Op;

    fn name(&self) -> &'static str {
        "slow"
    }

    fn init(&self) -> i64 {
        0
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let number = |value: histories::ValueId| value.as_small_int().unwrap();
        Ok(match (call.f, call.output) {
            ("write", _) => Decoded::Op(Op::Write(number(call.input))),
            (_, Some(seen)) => Decoded::Op(Op::Read(number(seen))),
            _ => Decoded::Nothing,
        })
    }

    fn step(&self, state: &i64, op: &Op) -> Option<i64> {
        if self.steps.fetch_add(1, Ordering::Relaxed) == self.up_at_step {
            self.budget.stop(Stop::Deadline);
        }
        match op {
            Op::Read(seen) => (state == seen).then_some(*state),
            Op::Write(new) => Some(*new),
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        self.says_more && matches!(op, Op::Read(_))
    }

    fn is_blind_write(&self, op: &Op) -> bool {
        self.says_more && matches!(op, Op::Write(_))
    }

    fn sees(&self, op: &Op) -> Sees<i64> {
        match op {
            Op::Read(seen) if self.says_more => Sees::Only(*seen),
            Op::Write(_) if self.says_more => Sees::Nothing,
            _ => Sees::Something,
        }
    }
}

/// Rounds of a few writes and reads, some of the writes without an answer; the last read may see what nobody wrote.
fn rounds(lies: bool) -> History {
    let mut builder = Builder::new();
    for round in 0..6 {
        let base = round * 10;
        for i in 0..3 {
            builder.event(base + i, Kind::Invoke, "write", &Value::Int(i), 0);
            builder.event(base + 5 + i, Kind::Invoke, "read", &Value::Nil, 0);
        }
        for i in 0..3 {
            let lie = lies && round == 5 && i == 2;
            builder.event(base + 5 + i, Kind::Ok, "read", &Value::Int(if lie { 9 } else { i }), 0);
            let kind = if i == round % 3 { Kind::Info } else { Kind::Ok };
            builder.event(base + i, kind, "write", &Value::Int(i), 0);
        }
    }
    builder.finish()
}

#[test]
fn no_step_is_begun_when_the_time_is_up() {
    // Each search alone, and all of them.
    let combinations = [0, 1, 7, 64, 128, 256, 512, Rules::COMBINATIONS - 1].map(Rules::combination);
    let (mut ended, mut latest, mut telling) = (0, 0, 0);
    for (lies, says_more, rules) in [false, true]
        .into_iter()
        .flat_map(|lies| [false, true].into_iter().flat_map(move |says_more| combinations.map(|rules| (lies, says_more, rules))))
    {
        let history = rounds(lies);
        let check = |up_at_step| {
            let budget = Budget::unlimited();
            let model = Slow { budget: &budget, up_at_step, steps: AtomicU64::new(0), says_more };
            let options = Options { keyed: Some(false), rules, ..Options::default() };
            let verdict = check_linearizable_with(&model, &history, &options, &budget).unwrap();
            (verdict, model.steps.load(Ordering::Relaxed))
        };
        let (_, all) = check(u64::MAX);
        for up_at in (0..all).step_by(all as usize / 40 + 1) {
            let (verdict, steps) = check(up_at);
            // The words of what was certified by then are looked for in the ops themselves, each distinct one a few times.
            let after = if verdict.answer == Summary::Invalid { &mut telling } else { &mut latest };
            *after = steps.saturating_sub(up_at + 1).max(*after);
            ended += u32::from(verdict.answer == Summary::Unknown);
        }
    }
    assert!(ended > 500 && latest <= 1 && telling <= 60, "{ended} ended by it, {latest} steps after it, {telling} to tell");
}

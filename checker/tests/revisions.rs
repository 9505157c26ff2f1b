//! Keys of etcd with many puts that got no answer and were never read: a cluster whose leader is killed over and over.
//!
//! What must hold is said in steps, not in time: as many as the history has ops, give or take, and not as many as there are subsets
//! of the puts without an answer.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which tell how long they took")]

use crate::size::times;
use histories::{Builder, History, Kind, Value};
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Algorithm, Answer, Budget, Consistency, Options, check, check_linearizable};

const READS: i64 = 200;

/// So many puts without an answer, then puts that are read one by one; with the revisions that etcd gives them, or without.
struct Crashed {
    puts: i64,
    numbered: bool,
    /// What the last read returns in place of the truth: a value, and its revision.
    last_read: Option<(i64, i64)>,
}

impl Crashed {
    fn first_revision(&self) -> i64 {
        100 + self.puts
    }

    fn history(&self) -> History {
        let mut builder = Builder::new();
        for put in 0..self.puts {
            let value = Value::Int(10_000_000 + put);
            builder.event(1000 + put, Kind::Invoke, "put", &value, 0);
            builder.event(1000 + put, Kind::Info, "put", &value, 0);
        }
        let told = |value: i64, revision: i64| if self.numbered { Value::pair(value, revision) } else { Value::Int(value) };
        for n in 0..READS {
            let revision = self.first_revision() + n;
            builder.event(0, Kind::Invoke, "put", &Value::Int(n), 0);
            builder.event(0, Kind::Ok, "put", &told(n, revision), 0);
            let (value, revision) = self.last_read.filter(|_| n + 1 == READS).unwrap_or((n, revision));
            builder.event(1, Kind::Invoke, "get", &Value::Nil, 0);
            builder.event(1, Kind::Ok, "get", &told(value, revision), 0);
        }
        builder.finish()
    }

    fn check(&self, algorithm: Algorithm) -> (Answer, &'static str, u64) {
        let options = Options { keyed: Some(false), algorithm, ..Options::from("etcd-kv") };
        let mut budget = Budget::unlimited();
        budget.steps = Some(1_000_000);
        let mut verdict = check_linearizable(&self.history(), &options, &budget).unwrap();
        let key = verdict.keys.swap_remove(0);
        (key.answer, key.algorithm, key.steps)
    }
}

#[test]
fn puts_without_an_answer_that_nobody_read_cost_nothing() {
    for puts in [0, 20, 200, times(20_000) as i64] {
        for numbered in [true, false] {
            let history = Crashed { puts, numbered, last_read: None };
            let start = std::time::Instant::now();
            let (answer, algorithm, _) = history.check(Algorithm::Auto);
            println!("{puts} puts, numbered {numbered}: {algorithm}, {:?}", start.elapsed());
            assert_eq!(answer.summary(), Summary::Valid, "{puts} {numbered}: {answer:?}");
            assert_eq!(algorithm, if numbered { "revision order" } else { "zones" });
            let (answer, _, steps) = history.check(Algorithm::Search);
            println!("  search: {steps} steps, {:?}", start.elapsed());
            assert_eq!(answer.summary(), Summary::Valid, "{puts} {numbered}: {answer:?}");
            assert!(steps < 10 * READS as u64, "{puts} {numbered}: {steps} steps");
        }
    }
}

/// What is wrong is found among them, and the contradiction is small.
#[test]
fn a_contradiction_stands_out_of_puts_without_an_answer() {
    for puts in [20, 200, times(20_000) as i64] {
        let revision = |n: i64| 100 + puts + n;
        let lies = [
            (true, (5, revision(5)), "a value that was replaced"),
            (true, (READS - 1, revision(5)), "a revision of another value"),
            (true, (READS - 1, revision(READS)), "a revision that nobody made"),
            (true, (10_000_000, revision(3)), "a revision that another put got"),
            (true, (7, revision(READS + 7)), "a value that came back, though it was put once"),
            (true, (99_999_999, revision(READS)), "a value that nobody put"),
            (false, (5, 0), "a value that was replaced"),
            (false, (99_999_999, 0), "a value that nobody put"),
        ];
        // Which states were possible is asked of registers in another way, which takes long where there are many such puts.
        for (numbered, last_read, what) in lies.into_iter().filter(|lie| lie.0 || puts <= 200) {
            let start = std::time::Instant::now();
            let (answer, algorithm, _) = Crashed { puts, numbered, last_read: Some(last_read) }.check(Algorithm::Auto);
            println!("{puts} puts, {what}, numbered {numbered}: {algorithm}, {:?}", start.elapsed());
            let Answer::Invalid(found) = answer else { panic!("{puts} puts, {what}: {answer:?}") };
            assert!(found.minimal && found.needed.len() <= 3, "{puts} puts, {what}: {:?}", found.needed);
        }
    }
}

/// A put without an answer that was read has whatever revision is missing; where none is missing it cannot have been.
#[test]
fn a_put_without_an_answer_has_the_revision_that_is_missing() {
    let history = |gap: i64, seen: i64| {
        let mut builder = Builder::new();
        let mut event = |process, kind, f, value: Value| builder.event(process, kind, f, &value, 0);
        event(0, Kind::Invoke, "put", Value::Int(1));
        event(0, Kind::Ok, "put", Value::pair(1, 5));
        event(1, Kind::Invoke, "put", Value::Int(2));
        event(1, Kind::Info, "put", Value::Int(2));
        event(2, Kind::Invoke, "get", Value::Nil);
        event(2, Kind::Ok, "get", Value::pair(2, seen));
        event(0, Kind::Invoke, "cas", Value::pair(2, 3));
        event(0, Kind::Ok, "cas", Value::pair(Value::pair(2, 3), 5 + gap));
        builder.finish()
    };
    let answer = |gap, seen| {
        let options = Options { keyed: Some(false), ..Options::from("etcd-kv") };
        check_linearizable(&history(gap, seen), &options, &Budget::unlimited()).unwrap().answer
    };
    assert_eq!(answer(2, 6), Summary::Valid);
    assert_eq!(answer(9, 11), Summary::Valid);
    assert_eq!(answer(1, 6), Summary::Invalid, "there is no revision between 5 and 6");
    assert_eq!(answer(2, 7), Summary::Invalid, "the cas had that one");
    assert_eq!(answer(9, 4), Summary::Invalid, "the first put was before it");
}

/// Who does not look at revisions sees the values alone: what a model weaker than linearizable says, it says of both.
#[test]
fn weaker_models_and_staleness_read_the_values() {
    for last_read in [None, Some((5, 0)), Some((99_999_999, 0))] {
        let [plain, numbered] = [false, true].map(|numbered| Crashed { puts: 5, numbered, last_read }.history());
        let options = Options { keyed: Some(false), ..Options::from("etcd-kv") };
        // Those that are left out go by revisions.
        let by_revisions = [Consistency::Linearizable, Consistency::Sequential, Consistency::SequentialPerKey];
        for consistency in Consistency::ALL.into_iter().filter(|consistency| !by_revisions.contains(consistency)) {
            let answer = |history| check(history, consistency, &options, &Budget::unlimited()).unwrap().answer;
            assert_eq!(answer(&plain), answer(&numbered), "{consistency:?} {last_read:?}");
        }
        let staleness = |history| rashomon_checker::staleness::measure(history, &options, &Budget::unlimited()).unwrap().all.versions;
        assert_eq!(staleness(&plain), staleness(&numbered), "{last_read:?}");
    }
}

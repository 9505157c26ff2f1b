//! Isolation levels by their definitions: every order of small histories, one after the other, and the cases of Elle's own tests.
//!
//! Nothing here is shared with the checker. Serial orders and snapshots are run on the objects; of the weaker levels every commit
//! order is held against the definition. `RASHOMON_TEST_SIZE` multiplies the number of histories (default 1).

#![allow(clippy::unwrap_used, reason = "tests")]

mod cases;
mod corpus;
mod definition;

use crate::size::times;
use definition::{F, Part, Transaction, keeps};
use histories::{Builder, History, Kind, Outcome, Value};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Answer, Budget, Consistency, Isolation, Options, Verdict, check};

fn value(part: &Part, is_lists: bool, is_known: bool) -> Value {
    let list = || Value::Vector(part.values.iter().map(|&value| Value::Int(value)).collect());
    let name = match part.f {
        F::Read => "r",
        F::Write if is_lists => "append",
        F::Write => "w",
    };
    let held = match part.f {
        F::Read if !is_known || part.values.is_empty() => Value::Nil,
        F::Read if is_lists => list(),
        F::Read | F::Write => Value::Int(part.values[0]),
    };
    Value::Vector(vec![Value::Keyword(name.into()), Value::Int(part.key), held])
}

/// The history as a file would record it.
fn history(transactions: &[Transaction], is_lists: bool) -> History {
    let mut events: Vec<(u32, usize, bool)> = Vec::new();
    for (at, transaction) in transactions.iter().enumerate() {
        events.push((transaction.invoke, at, true));
        events.push((transaction.complete, at, false));
    }
    events.sort_unstable();
    let mut b = Builder::new();
    for (time, at, is_invocation) in events {
        let transaction = &transactions[at];
        let kind = match (is_invocation, transaction.outcome) {
            (true, _) => Kind::Invoke,
            (false, Outcome::Ok) => Kind::Ok,
            (false, Outcome::Fail) => Kind::Fail,
            (false, Outcome::Info) => Kind::Info,
        };
        let parts = transaction.parts.iter().map(|part| value(part, is_lists, kind == Kind::Ok)).collect::<Vec<_>>();
        b.event(transaction.session, kind, "txn", &Value::Vector(parts), i64::from(time));
    }
    b.finish()
}

fn judge(history: &History, level: Isolation) -> Verdict {
    check(history, Consistency::Isolation(level), &Options::default(), &Budget::unlimited()).unwrap()
}

fn shown(transactions: &[Transaction]) -> String {
    let lines: Vec<String> = transactions.iter().map(|t| format!("  {t:?}")).collect();
    lines.join("\n")
}

/// What was compared, by answer.
#[derive(Default, Debug)]
struct Tally {
    valid: usize,
    invalid: usize,
    unknown: usize,
}

fn compare(transactions: &[Transaction], is_lists: bool, is_unique: bool, tally: &mut Tally) {
    if !transactions.iter().any(|transaction| transaction.outcome == Outcome::Ok) {
        return;
    }
    let history = history(transactions, is_lists);
    let mut answers = Vec::new();
    for level in Isolation::ALL {
        let verdict = judge(&history, level);
        answers.push((level, verdict.answer));
        // Without unique values only what is run can be told.
        if !is_unique && !definition::is_run(level) {
            continue;
        }
        let expected = keeps(transactions, is_lists, level);
        let is_right = match verdict.answer {
            Summary::Valid => expected,
            Summary::Invalid => !expected,
            // That nothing is ever left open is said below.
            Summary::Unknown => true,
        };
        let tell = || format!("{level:?}, expected {expected}:\n{}{:?} {:?}", shown(transactions), verdict.keys, verdict.reason);
        assert!(is_right, "{}", tell());
        match verdict.answer {
            Summary::Valid => tally.valid += 1,
            Summary::Invalid => tally.invalid += 1,
            Summary::Unknown => {
                let is_open = !is_unique || is_lists && level == Isolation::ReadUncommitted;
                assert!(is_open, "undecided: {}", tell());
                tally.unknown += 1;
            }
        }
    }
    for &(strong, kept) in &answers {
        for &(weak, broken) in &answers {
            let contradict = strong.implies(weak) && kept == Summary::Valid && broken == Summary::Invalid;
            assert!(!contradict, "{strong:?} and not {weak:?}:\n{}", shown(transactions));
        }
    }
}

/// All histories of up to three transactions with at most two micro-ops, on two keys with two values each, by number.
struct Enumeration {
    number: u64,
}

impl Enumeration {
    fn pick(&mut self, of: u64) -> u64 {
        let picked = self.number % of;
        self.number /= of;
        picked
    }

    /// `None` if the number stands for none (a key has more than two writes).
    fn history(&mut self, is_lists: bool) -> Option<Vec<Transaction>> {
        let count = 1 + self.pick(3) as usize;
        let mut written = [0_i64; 2];
        let mut transactions: Vec<Transaction> = Vec::new();
        let times = self.pick(3);
        for at in 0..count {
            let mut parts = Vec::new();
            for _ in 0..=self.pick(2) {
                let key = self.pick(2);
                if self.pick(2) == 0 {
                    parts.push(Part { f: F::Read, key: key as i64, values: Vec::new() });
                } else {
                    written[key as usize] += 1;
                    parts.push(Part { f: F::Write, key: key as i64, values: vec![written[key as usize]] });
                }
            }
            let outcome = [Outcome::Ok, Outcome::Ok, Outcome::Info, Outcome::Fail][self.pick(4) as usize];
            let session = self.pick(at as u64 + 1) as i64;
            let earlier = transactions.iter().filter(|earlier| earlier.session == session).count() as u32;
            // One after the other; as far as sessions allow all at once; or the first all the time.
            let (invoke, complete) = match times {
                0 => (at as u32 * 2, at as u32 * 2 + 1),
                1 => (earlier * 10 + at as u32, earlier * 10 + 5 + at as u32),
                _ if at == 0 => (0, 20),
                _ => (at as u32 * 2, at as u32 * 2 + 1),
            };
            if times == 2 && at > 0 && session == 0 {
                return None;
            }
            transactions.push(Transaction { parts, outcome, session, invoke, complete });
        }
        if written.iter().any(|&written| written > 2) {
            return None;
        }
        // A process ends with an unknown outcome.
        let goes_on = |(at, t): (usize, &Transaction)| {
            t.outcome == Outcome::Info && transactions[at + 1..].iter().any(|later| later.session == t.session)
        };
        if transactions.iter().enumerate().any(goes_on) {
            return None;
        }
        for part in transactions.iter_mut().filter(|t| t.outcome == Outcome::Ok).flat_map(|t| &mut t.parts) {
            if part.f == F::Read {
                let written = written[part.key as usize];
                part.values = match self.pick(if is_lists { 5 } else { 3 }) {
                    0 => Vec::new(),
                    1 => vec![1],
                    2 => vec![2],
                    3 => vec![1, 2],
                    _ => vec![2, 1],
                };
                if part.values.iter().any(|&value| value > written) {
                    return None;
                }
            }
        }
        Some(transactions)
    }
}

#[test]
fn small_histories_are_judged_as_defined() {
    let mut tally = Tally::default();
    let mut rng = ChaCha8Rng::seed_from_u64(15);
    for _ in 0..times(12_000) {
        let is_lists = rng.random_bool(0.5);
        if let Some(transactions) = (Enumeration { number: rng.next_u64() }).history(is_lists) {
            compare(&transactions, is_lists, true, &mut tally);
        }
    }
    assert!(tally.valid > 1000 && tally.invalid > 1000, "{tally:?}");
}

fn random(rng: &mut impl Rng, is_lists: bool, is_unique: bool) -> Vec<Transaction> {
    let (count, keys) = (rng.random_range(2..=6), rng.random_range(1..=3_i64));
    let (fails, unknown, noise) = (rng.random_bool(0.3), rng.random_bool(0.4), rng.random_bool(0.4));
    let mut written: Vec<Vec<i64>> = vec![Vec::new(); keys as usize];
    let mut transactions: Vec<Transaction> = Vec::new();
    let (mut clock, mut open): (u32, Vec<usize>) = (0, Vec::new());
    let mut sessions: Vec<Option<i64>> = (0..3).map(Some).collect();
    let mut next_session = 3;
    while transactions.len() < count || !open.is_empty() {
        clock += 1;
        let idle: Vec<i64> = sessions.iter().flatten().copied().filter(|s| open.iter().all(|&o| transactions[o].session != *s)).collect();
        if transactions.len() < count && !idle.is_empty() && (open.is_empty() || rng.random_bool(0.6)) {
            let mut parts = Vec::new();
            for _ in 0..rng.random_range(1..=3) {
                let key = rng.random_range(0..keys);
                if rng.random_bool(0.5) {
                    parts.push(Part { f: F::Read, key, values: Vec::new() });
                } else {
                    let of_key = &mut written[key as usize];
                    let new = if is_unique || rng.random_bool(0.8) { of_key.len() as i64 + 1 } else { 1 };
                    of_key.push(new);
                    parts.push(Part { f: F::Write, key, values: vec![new] });
                }
            }
            let outcome = match rng.random_range(0..10) {
                0 | 1 if fails => Outcome::Fail,
                2..=4 if unknown => Outcome::Info,
                _ => Outcome::Ok,
            };
            let session = idle[rng.random_range(0..idle.len())];
            open.push(transactions.len());
            transactions.push(Transaction { parts, outcome, session, invoke: clock, complete: 0 });
        } else if !open.is_empty() {
            let done = open.swap_remove(rng.random_range(0..open.len()));
            transactions[done].complete = clock;
            // Most processes end with an unknown outcome; some go on.
            if transactions[done].outcome == Outcome::Info && rng.random_bool(0.7) {
                let gone = transactions[done].session;
                sessions.iter_mut().filter(|s| **s == Some(gone)).for_each(|s| *s = Some(next_session));
                next_session += 1;
            }
        }
    }
    fill(rng, &mut transactions, &written, is_lists, noise);
    transactions
}

/// What was read: of some run in which each transaction sees what is there at some moment, and now and then anything.
fn fill(rng: &mut impl Rng, transactions: &mut [Transaction], written: &[Vec<i64>], is_lists: bool, noise: bool) {
    let mut order: Vec<usize> = (0..transactions.len()).collect();
    if rng.random_bool(0.7) {
        order.sort_by_key(|&at| transactions[at].complete);
    } else {
        for at in (1..order.len()).rev() {
            order.swap(at, rng.random_range(0..=at));
        }
    }
    let mut states: Vec<Vec<Vec<i64>>> = vec![vec![Vec::new(); written.len()]];
    for at in order {
        let lag = rng.random_range(0..3_usize);
        let start = states.len() - 1 - lag.min(states.len() - 1);
        let (mut seen, mut held) = (states[start].clone(), states[states.len() - 1].clone());
        let transaction = &mut transactions[at];
        for part in &mut transaction.parts {
            let key = part.key as usize;
            match part.f {
                F::Read => {
                    part.values = if is_lists { seen[key].clone() } else { seen[key].last().copied().into_iter().collect() };
                    if noise && rng.random_bool(0.2) {
                        let mut other = written[key].clone();
                        other.truncate(rng.random_range(0..=other.len()));
                        part.values = if is_lists { other } else { other.pop().into_iter().collect() };
                    }
                }
                F::Write => {
                    seen[key].push(part.values[0]);
                    held[key].push(part.values[0]);
                }
            }
        }
        if transaction.outcome != Outcome::Fail && (transaction.outcome == Outcome::Ok || rng.random_bool(0.6)) || rng.random_bool(0.05) {
            states.push(held);
        }
    }
}

#[test]
fn random_histories_are_judged_as_defined() {
    let mut tally = Tally::default();
    let mut rng = ChaCha8Rng::seed_from_u64(16);
    for _ in 0..times(1_500) {
        let (is_lists, is_unique) = (rng.random_bool(0.5), rng.random_bool(0.9));
        let transactions = random(&mut rng, is_lists, is_unique);
        compare(&transactions, is_lists, is_unique, &mut tally);
    }
    assert!(tally.valid > 1000 && tally.invalid > 1000, "{tally:?}");
    assert!(tally.unknown * 10 < tally.valid, "{tally:?}");
}

/// Of each level the anomaly with which it is refuted; `None`: it is kept.
fn anomaly(history: &History, level: Isolation) -> Option<&'static str> {
    let verdict = judge(history, level);
    match &verdict.keys[0].answer {
        Answer::Valid(_) => None,
        Answer::Invalid(proof) => Some(proof.pattern.unwrap().name()),
        Answer::Unknown(reason) => panic!("{level:?}: {reason:?}"),
    }
}

//! How long a check goes on after it was asked to end: every procedure and every model, on histories that keep each of them busy for
//! longer, at several moments, so that all phases are met: reading, deciding, certifying, shrinking, explaining.
//!
//! Whoever runs it with `--nocapture` sees the table. The bound is generous, for machines that do other things at the same time.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which tell how long it took")]

use histories::generate::{self, Anomaly, Distinct, Model, Plan};
use histories::{Builder, History, Kind, Value};
use rashomon_checker::budget::Stop;
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Algorithm, Budget, Consistency, Options, check, staleness};
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// When a check is asked to end.
const STOPS: [Duration; 4] = [Duration::from_millis(15), Duration::from_millis(60), Duration::from_millis(200), Duration::from_millis(500)];

/// What it may still take then.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a check did that was asked to end.
struct Ended {
    answer: Summary,
    /// How long it went on; `None` if it was done before.
    late: Option<Duration>,
}

fn ended(stop: Duration, work: impl FnOnce(&Budget) -> Summary) -> Ended {
    let budget = Budget::unlimited();
    let asked = Mutex::new(None);
    let (done, is_done) = channel::<()>();
    std::thread::scope(|scope| {
        let (budget, asked) = (&budget, &asked);
        scope.spawn(move || {
            if is_done.recv_timeout(stop).is_err() {
                *asked.lock().unwrap() = Some(Instant::now());
                budget.stop(Stop::Deadline);
            }
        });
        let answer = work(budget);
        let over = Instant::now();
        let late = asked.lock().unwrap().map(|asked| over.duration_since(asked));
        let _ = done.send(());
        Ended { answer, late }
    })
}

/// All that is found out about one piece of work.
#[derive(Default)]
struct Table {
    stopped: usize,
    worst: Duration,
}

impl Table {
    fn try_all(&mut self, name: &str, work: impl Fn(&Budget) -> Summary) {
        let mut told = String::new();
        for stop in STOPS {
            let Ended { answer, late } = ended(stop, &work);
            let Some(late) = late else {
                let _ = write!(told, "   done, {}", answer.name());
                break;
            };
            let _ = write!(told, "   {:6.1} ms", late.as_secs_f64() * 1e3);
            self.stopped += usize::from(answer == Summary::Unknown);
            self.worst = self.worst.max(late);
            assert!(late < PATIENCE, "{name}, asked to end after {stop:?}, went on for {late:?}");
        }
        println!("{name:44}{told}");
    }
}

fn generated(model: Model, ops: u32, change: impl FnOnce(&mut Plan)) -> History {
    let mut plan = Plan { concurrency: 20, seed: 7, anomaly_at: 0.95, ..Plan::new(model, ops) };
    change(&mut plan);
    generate::history(&plan).unwrap().0
}

/// A history in which one client after another does what it is told, and every second op overlaps the one before.
fn in_turns(ops: i64, op: impl Fn(i64) -> (&'static str, Value, Value)) -> History {
    let mut builder = Builder::new();
    for pair in 0..ops / 2 {
        let both = [op(2 * pair), op(2 * pair + 1)];
        for (process, (f, input, _)) in (0..).zip(&both) {
            builder.event(process, Kind::Invoke, f, input, 0);
        }
        for (process, (f, _, output)) in (0..).zip(&both) {
            builder.event(process, Kind::Ok, f, output, 0);
        }
    }
    builder.finish()
}

/// Each session reads what the one before wrote and writes something itself; the last one misses what the first wrote. All of it is
/// needed to see that, so to leave out what is not takes long.
fn chain(sessions: i64) -> History {
    let mut builder = Builder::new();
    let mut op = |process: i64, f: &str, key: i64, value: i64| {
        for kind in [Kind::Invoke, Kind::Ok] {
            builder.event(process, kind, f, &Value::pair(key, Value::Int(value)), 0);
        }
    };
    op(0, "write", 0, 1);
    op(0, "write", 1, 1);
    for session in 1..sessions {
        op(session, "read", session, 1);
        op(session, "write", session + 1, 1);
    }
    op(sessions, "read", sessions, 1);
    op(sessions, "read", 0, 0);
    builder.finish()
}

/// Each procedure by its name and all together, on an honest history and on one that is broken near its end.
#[test]
fn a_check_of_linearizability_ends_soon_after_it_was_asked_to() {
    const OPS: u32 = 200_000;
    let few = |plan: &mut Plan| plan.values = Distinct::Few(5);
    let lies = |anomaly| move |plan: &mut Plan| plan.anomaly = Some(anomaly);
    let crashes = |plan: &mut Plan| plan.info = 0.01;
    let locks = |lie: bool| {
        in_turns(i64::from(OPS), move |i| match i % 2 {
            0 => ("acquire", Value::Nil, Value::Int(if lie && i + 2 == i64::from(OPS) { 7 } else { i })),
            _ => ("release", Value::Nil, Value::Nil),
        })
    };
    let heap = |lie: bool| {
        in_turns(i64::from(OPS), move |i| match i % 2 {
            0 => ("insert", Value::Int(i), Value::Int(i)),
            _ => ("delete-min", Value::Nil, Value::Int(if lie && i + 1 == i64::from(OPS) { -1 } else { i - 1 })),
        })
    };
    let ids = in_turns(i64::from(OPS), |i| ("generate", Value::Nil, Value::Int(i)));
    let cases: Vec<(&str, &str, &[Algorithm], History)> = vec![
        ("register, unique", "register", &[Algorithm::Zones, Algorithm::Search], generated(Model::Register, OPS, |_| {})),
        ("register, unique, stale", "register", &[Algorithm::Zones], generated(Model::Register, OPS, lies(Anomaly::StaleRead))),
        ("register, 5 values", "register", &[Algorithm::Search], generated(Model::Register, OPS, few)),
        ("cas-register, 5 values, 1 % info", "cas-register", &[Algorithm::Search], {
            generated(Model::CasRegister, OPS, |plan| (plan.values, plan.info) = (Distinct::Few(5), 0.01))
        }),
        ("kv, 100 keys, 5 values", "kv", &[Algorithm::Search], {
            generated(Model::Kv, OPS, |plan| (plan.values, plan.keys) = (Distinct::Few(5), 100))
        }),
        ("registers, 100 keys, stale", "register", &[Algorithm::Zones], {
            generated(Model::Register, OPS, |plan| (plan.anomaly, plan.keys) = (Some(Anomaly::StaleRead), 100))
        }),
        ("queue, 1 % info", "fifo-queue", &[Algorithm::QueueOrder, Algorithm::Search], generated(Model::Queue, OPS, crashes)),
        ("queue, reordered", "fifo-queue", &[Algorithm::QueueOrder], generated(Model::Queue, OPS, lies(Anomaly::Reorder))),
        ("queue, duplicate", "unordered-queue", &[Algorithm::BagMoments], generated(Model::Queue, OPS, lies(Anomaly::Duplicate))),
        ("bag, 1 % info", "unordered-queue", &[Algorithm::BagMoments], generated(Model::Queue, OPS, crashes)),
        ("stack, 1 % info", "stack", &[Algorithm::StackNesting], generated(Model::Stack, OPS, crashes)),
        ("stack, reordered", "stack", &[Algorithm::StackNesting], generated(Model::Stack, OPS, lies(Anomaly::Reorder))),
        ("set, whole reads", "set", &[Algorithm::NestedReads, Algorithm::SetElements], generated(Model::Set, OPS / 4, crashes)),
        ("set, stale", "set", &[Algorithm::NestedReads], generated(Model::Set, OPS / 4, lies(Anomaly::StaleRead))),
        ("counter, 1 % info", "counter", &[Algorithm::CounterSums], generated(Model::Counter, OPS, crashes)),
        ("counter, 30 clients, 10 % info", "counter", &[Algorithm::CounterSums, Algorithm::Search], {
            generated(Model::Counter, OPS / 10, |plan| (plan.concurrency, plan.info) = (30, 0.1))
        }),
        ("counter, stale", "counter", &[Algorithm::CounterSums], generated(Model::Counter, OPS, lies(Anomaly::StaleRead))),
        ("mutex, 1 % info", "mutex", &[Algorithm::PermitCounts], generated(Model::Mutex, OPS, crashes)),
        ("mutex, granted twice", "mutex", &[Algorithm::PermitCounts], generated(Model::Mutex, OPS, lies(Anomaly::DoubleGrant))),
        ("semaphore", "semaphore", &[Algorithm::PermitCounts], locks(false)),
        ("reentrant mutex", "reentrant-mutex", &[Algorithm::HoldIntervals], locks(false)),
        ("fencing lock", "fencing-lock", &[Algorithm::TokenOrder], locks(false)),
        ("fencing lock, an old token", "fencing-lock", &[Algorithm::TokenOrder], locks(true)),
        ("priority queue", "priority-queue", &[Algorithm::PriorityOrder], heap(false)),
        ("priority queue, a lie", "priority-queue", &[Algorithm::PriorityOrder], heap(true)),
        ("ids", "id-generator", &[Algorithm::DistinctIds], ids),
    ];
    let mut table = Table::default();
    for (name, model, algorithms, history) in &cases {
        for &algorithm in &[&[Algorithm::Auto], *algorithms].concat() {
            let keyed = Some(name.contains("keys"));
            let options = Options { algorithm, keyed, ..Options::from(*model) };
            table.try_all(&format!("{name}, {}", algorithm.name()), |budget| {
                check(history, Consistency::Linearizable, &options, budget).unwrap().answer
            });
        }
    }
    println!("{} were stopped, the last of them after {:?}", table.stopped, table.worst);
    assert!(table.stopped > cases.len(), "only {} were stopped", table.stopped);
}

/// The weaker models, and how stale reads are.
#[test]
fn a_check_of_a_weaker_model_ends_soon_after_it_was_asked_to() {
    const OPS: u32 = 100_000;
    let mut table = Table::default();
    for anomaly in [None, Some(Anomaly::StaleRead)] {
        let history = generated(Model::Register, OPS, |plan| (plan.keys, plan.anomaly) = (50, anomaly));
        let told = if anomaly.is_some() { "registers, stale" } else { "registers" };
        let options = Options { keyed: Some(true), ..Options::from("register") };
        for consistency in Consistency::named() {
            table.try_all(&format!("{told}, {}", consistency.name()), |budget| {
                check(&history, consistency, &options, budget).unwrap().answer
            });
        }
        table.try_all(&format!("{told}, staleness"), |budget| {
            staleness::measure(&history, &options, budget).map_or(Summary::Unknown, |_| Summary::Valid)
        });
    }
    let long = chain(700);
    let options = Options { keyed: Some(true), initial: Some(Value::Int(0)), ..Options::from("register") };
    for consistency in [Consistency::Sequential, Consistency::CausalMemory] {
        table.try_all(&format!("a chain of sessions, {}", consistency.name()), |budget| {
            check(&long, consistency, &options, budget).unwrap().answer
        });
    }
    let transactions = generated(Model::ListAppend, OPS, |_| {});
    for consistency in [Consistency::Sequential, Consistency::Linearizable] {
        let options = Options { keyed: Some(false), ..Options::from("multi-register") };
        table.try_all(&format!("list-append, {}", consistency.name()), |budget| {
            check(&transactions, consistency, &options, budget).unwrap().answer
        });
    }
    println!("{} were stopped, the last of them after {:?}", table.stopped, table.worst);
    assert!(table.stopped > 10, "only {} were stopped", table.stopped);
}

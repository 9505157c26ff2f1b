//! The memory limit, against what is really allocated.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which tell how much was taken")]
#![allow(unsafe_code, reason = "an allocator that counts")]

use histories::generate::{self, Anomaly, Distinct, Model, Plan};
use histories::{Builder, History, Kind, Value};
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Answer, Budget, Options, Reason, check_linearizable};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    /// Counted as if both were held for a moment, as they may be.
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(size, Ordering::Relaxed) + size, Ordering::Relaxed);
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Rounds of writes and reads that overlap within a round. The reads of a round see its first write; the last one of all sees
/// what the first round wrote, if it lies.
fn rounds(rounds: i64, width: i64, unique: bool, lies: bool) -> History {
    let mut builder = Builder::new();
    for round in 0..rounds {
        let value = |i: i64| Value::Int(if unique { round * width + i } else { i % 5 });
        for i in 0..width {
            builder.event(i, Kind::Invoke, "write", &value(i), 0);
            builder.event(width + i, Kind::Invoke, "read", &Value::Nil, 0);
        }
        for i in 0..width {
            let lie = lies && round + 1 == rounds && i + 1 == width;
            builder.event(width + i, Kind::Ok, "read", &if lie { Value::Int(-1) } else { value(i) }, 0);
            builder.event(i, Kind::Ok, "write", &value(i), 0);
        }
    }
    builder.finish()
}

/// Rounds of enqueues and dequeues that overlap within a round, of a few values only: there are very many orders, and the last
/// dequeue finds what nobody put in.
fn queue(rounds: i64, width: i64) -> History {
    let mut builder = Builder::new();
    for round in 0..rounds {
        for i in 0..width {
            builder.event(i, Kind::Invoke, "enqueue", &Value::Int(i % 3), 0);
        }
        for i in 0..width {
            builder.event(i, Kind::Ok, "enqueue", &Value::Int(i % 3), 0);
        }
        for i in 0..width {
            builder.event(i, Kind::Invoke, "dequeue", &Value::Nil, 0);
        }
        for i in 0..width / 2 {
            let lie = round + 1 == rounds && i + 1 == width / 2;
            builder.event(i, Kind::Ok, "dequeue", &Value::Int(if lie { -1 } else { i % 3 }), 0);
        }
        for i in width / 2..width {
            builder.event(i, Kind::Ok, "dequeue", &Value::Int(i % 3), 0);
        }
    }
    builder.finish()
}

/// A set or a list to which much is added, and that is read as a whole over and over: the reads hold far more than all else.
fn whole_reads(add: &str, lies: bool) -> History {
    let mut builder = Builder::new();
    let mut all = Vec::new();
    for element in 0..4000 {
        builder.event(0, Kind::Invoke, add, &Value::Int(element), 0);
        builder.event(0, Kind::Ok, add, &Value::Int(element), 0);
        all.push(Value::Int(element));
        if element % 4 == 3 {
            builder.event(1, Kind::Invoke, "read", &Value::Nil, 0);
            let seen = if lies && element == 3999 { &all[1..] } else { &all[..] };
            builder.event(1, Kind::Ok, "read", &Value::Vector(seen.to_vec()), 0);
        }
    }
    builder.finish()
}

/// A string that grows by appending, and is read over and over.
fn growing_string() -> History {
    let mut builder = Builder::new();
    let mut all = String::new();
    for number in 0..4000 {
        let more = format!("{number};");
        for kind in [Kind::Invoke, Kind::Ok] {
            builder.event(0, kind, "append", &Value::Str(more.as_str().into()), 0);
        }
        all += &more;
        if number % 4 == 3 {
            builder.event(1, Kind::Invoke, "get", &Value::Nil, 0);
            builder.event(1, Kind::Ok, "get", &Value::Str(all.as_str().into()), 0);
        }
    }
    builder.finish()
}

/// One test: the count is of the whole process.
#[test]
fn no_more_is_allocated_than_the_limit_allows() {
    const MB: usize = 1_000_000;
    let (mut decided, mut undecided, mut undecided_by_64) = (0, 0, 0);
    let counter = Plan { concurrency: 30, info: 0.1, seed: 3, ..Plan::new(Model::Counter, 20_000) };
    let cas = Plan { concurrency: 30, info: 0.1, values: Distinct::Few(5), seed: 1, ..Plan::new(Model::CasRegister, 20_000) };
    let cas_lies = Plan { concurrency: 100, info: 0.2, anomaly: Some(Anomaly::StaleRead), ..Plan { ops: 5_000, ..cas.clone() } };
    for (name, model, history) in [
        ("unique values", "register", rounds(10_000, 6, true, false)),
        ("unique values, a lie", "register", rounds(10_000, 6, true, true)),
        ("few values", "register", rounds(3_000, 20, false, false)),
        ("wide", "register", rounds(2, 300, false, false)),
        ("queue", "fifo-queue", queue(20, 14)),
        ("counter", "counter", generate::history(&counter).unwrap().0),
        ("cas of few values", "cas-register", generate::history(&cas).unwrap().0),
        ("cas of few values, a lie", "cas-register", generate::history(&cas_lies).unwrap().0),
        ("whole reads of a set", "set", whole_reads("add", false)),
        ("whole reads of a set, a lie", "set", whole_reads("add", true)),
        ("whole reads of a list", "list-append", whole_reads("append", false)),
        ("whole reads of a list, a lie", "list-append", whole_reads("append", true)),
        ("growing string", "kv", growing_string()),
    ] {
        for limit in [1, 4, 16, 64, 128] {
            let budget = {
                let mut budget = Budget::unlimited();
                budget.bytes = Some((limit * MB) as u64);
                budget.steps = match model {
                    "register" => Some(300_000),
                    "cas-register" => Some(3_000_000),
                    _ => None,
                };
                budget
            };
            let before = NOW.load(Ordering::Relaxed);
            PEAK.store(before, Ordering::Relaxed);
            let options = Options { model: model.into(), keyed: Some(false), ..Options::default() };
            let verdict = check_linearizable(&history, &options, &budget).unwrap();
            let most = PEAK.load(Ordering::Relaxed) - before;
            println!("{name}, {limit} MB: {most} bytes, {}", verdict.answer.name());
            // So much is promised: at a limit of 64 MB at most 80 MB besides the history.
            assert!(most <= limit * MB * 5 / 4, "{name}: {most} bytes at a limit of {limit} MB, {} by account", budget.peak_bytes());
            undecided_by_64 += usize::from(limit == 64 && verdict.answer == Summary::Unknown);
            let said = verdict.reason.as_ref().or(match verdict.keys.first().map(|key| &key.answer) {
                Some(Answer::Unknown(reason)) => Some(reason),
                _ => None,
            });
            match (verdict.answer, said) {
                (Summary::Unknown, Some(Reason::Memory { .. } | Reason::Steps { .. })) => undecided += 1,
                (Summary::Unknown, _) => panic!("{name}, {limit} MB: {said:?}"),
                _ => decided += 1,
            }
        }
    }
    assert!(decided >= 4 && undecided >= 6, "{decided} decided, {undecided} undecided");
    assert!(undecided_by_64 > 0, "64 MB were enough for all of them");
}

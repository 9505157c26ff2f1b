//! The memory limit, against what is really allocated.

#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(unsafe_code, reason = "an allocator that counts")]

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

/// One test: the count is of the whole process.
#[test]
fn no_more_is_allocated_than_the_limit_allows() {
    const MIB: usize = 1 << 20;
    let (mut decided, mut undecided) = (0, 0);
    for (name, history) in [
        ("unique values", rounds(10_000, 6, true, false)),
        ("unique values, a lie", rounds(10_000, 6, true, true)),
        ("few values", rounds(3_000, 20, false, false)),
        ("wide", rounds(2, 300, false, false)),
    ] {
        for limit in [1, 2, 4, 8, 16, 32, 128] {
            let budget = {
                let mut budget = Budget::unlimited();
                budget.bytes = Some((limit * MIB) as u64);
                budget.steps = Some(300_000);
                budget
            };
            let before = NOW.load(Ordering::Relaxed);
            PEAK.store(before, Ordering::Relaxed);
            let options = Options { model: "register".into(), keyed: Some(false), ..Options::default() };
            let verdict = check_linearizable(&history, &options, &budget).unwrap();
            let most = PEAK.load(Ordering::Relaxed) - before;
            assert!(most <= limit * MIB * 5 / 4, "{name}: {most} bytes at a limit of {limit} MiB, {} by account", budget.peak_bytes());
            let said = verdict.reason.as_ref().or(match verdict.keys.first().map(|key| &key.answer) {
                Some(Answer::Unknown(reason)) => Some(reason),
                _ => None,
            });
            match (verdict.answer, said) {
                (Summary::Unknown, Some(Reason::Memory { .. } | Reason::Steps { .. })) => undecided += 1,
                (Summary::Unknown, _) => panic!("{name}, {limit} MiB: {said:?}"),
                _ => decided += 1,
            }
        }
    }
    assert!(decided >= 4 && undecided >= 8, "{decided} decided, {undecided} undecided");
}

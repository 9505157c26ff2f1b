//! How a project gates its own store in its own tests: threads use it, a recorder notes what they saw, the checker decides.
//!
//! ```console
//! $ cargo run -p rashomon-checker --example gate_a_map
//! ```
//!
//! Two concurrent maps are put to the test. One is published (`DashMap`) and keeps its word; the other is ours, and its
//! compare-and-set looks first and writes then, without holding the lock in between.

use dashmap::DashMap;
use rashomon_checker::histories::{History, Value};
use rashomon_checker::recorder::{Recorder, assert_linearizable};
use rashomon_checker::{Options, Verdict};
use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;

/// What the test needs to know of a map: every key is a register.
pub trait Map: Sync {
    /// The value of a key; 0 if there is none.
    fn read(&self, key: i64) -> i64;
    /// Stores a value.
    fn write(&self, key: i64, value: i64);
    /// Stores `new` if the value is `old`; whether it was.
    fn compare_and_set(&self, key: i64, old: i64, new: i64) -> bool;
}

impl Map for DashMap<i64, i64> {
    fn read(&self, key: i64) -> i64 {
        self.get(&key).map_or(0, |value| *value)
    }

    fn write(&self, key: i64, value: i64) {
        self.insert(key, value);
    }

    fn compare_and_set(&self, key: i64, old: i64, new: i64) -> bool {
        let mut entry = self.entry(key).or_insert(0);
        let holds = *entry == old;
        if holds {
            *entry = new;
        }
        holds
    }
}

/// A map whose compare-and-set lets go of the lock between looking and writing.
#[derive(Default)]
pub struct Hasty(Mutex<HashMap<i64, i64>>);

impl Map for Hasty {
    fn read(&self, key: i64) -> i64 {
        self.0.lock().expect("no thread panics with the lock").get(&key).copied().unwrap_or(0)
    }

    fn write(&self, key: i64, value: i64) {
        self.0.lock().expect("no thread panics with the lock").insert(key, value);
    }

    fn compare_and_set(&self, key: i64, old: i64, new: i64) -> bool {
        let holds = self.read(key) == old;
        thread::yield_now();
        if holds {
            self.write(key, new);
        }
        holds
    }
}

/// Uses a map from four threads; what they saw. Written values are unique, and a cas asks for a value that was read.
pub fn use_map(map: &impl Map, rounds: i64) -> History {
    let recorder = Recorder::new();
    thread::scope(|scope| {
        for thread in 1..=4 {
            let mut client = recorder.client();
            scope.spawn(move || {
                for round in 0..rounds {
                    let (key, value) = (round / 50, thread * 1_000_000 + round);
                    let op = client.invoke("read", Value::pair(key, None::<i64>));
                    let seen = map.read(key);
                    op.ok(Value::pair(key, seen));
                    if round % 10 == thread {
                        let op = client.invoke("write", Value::pair(key, value));
                        map.write(key, value);
                        op.ok(Value::pair(key, value));
                    } else {
                        let cas = Value::pair(key, Value::pair(seen, value));
                        let op = client.invoke("cas", cas.clone());
                        if map.compare_and_set(key, seen, value) { op.ok(cas) } else { op.fail() }
                    }
                }
            });
        }
    });
    recorder.history()
}

/// Each key is a register of its own that holds 0 at first.
pub fn registers() -> Options {
    Options { keyed: Some(true), initial: Some(Value::Int(0)), ..Options::from("cas-register") }
}

/// The verdict on what was seen.
pub fn judge(history: &History) -> Verdict {
    rashomon_checker::check_linearizable(history, &registers(), &rashomon_checker::Budget::unlimited())
        .expect("the ops are those of a cas-register")
}

#[allow(dead_code, clippy::print_stdout, reason = "an example prints; a test includes this file for what is above")]
fn main() {
    assert_linearizable(registers(), &use_map(&DashMap::new(), 2_000));
    println!("DashMap: linearizable");
    let history = use_map(&Hasty::default(), 2_000);
    println!("Hasty: {}", judge(&history).in_words(&history));
}

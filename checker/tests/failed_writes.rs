//! Recorded runs in dbcop's format, simulated: transactions that take effect one after the other on a store which refuses
//! single writes, forgets some answers, and aborts. Every such run is serializable, hence sequentially consistent, whatever it
//! says of single writes. Nothing here is shared with the reader or the checker.

#![allow(clippy::unwrap_used, reason = "tests")]

use crate::size::times;
use histories::{Format, History, Outcome, read_bytes, write};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Budget, Consistency, Options, check};
use std::collections::BTreeMap;

const SESSIONS: usize = 3;
const KEYS: u64 = 3;

#[derive(Clone, Copy, Debug)]
struct Event {
    is_write: bool,
    key: u64,
    value: u64,
    success: bool,
}

type Transaction = (Vec<Event>, bool);

/// Transactions by session. A write that is answered as failed happens all the same `lies` times in ten.
fn simulate(rng: &mut impl Rng, lies: u32) -> Vec<Vec<Transaction>> {
    let mut sessions = vec![Vec::new(); SESSIONS];
    let mut store: BTreeMap<u64, u64> = BTreeMap::new();
    let mut last = 0;
    for _ in 0..12 {
        let (mut after, mut events) = (store.clone(), Vec::new());
        for _ in 0..rng.random_range(1..4) {
            let key = rng.random_range(0..KEYS);
            if rng.random_range(0..2) == 0 {
                last += 1;
                let success = rng.random_range(0..3) > 0;
                if success || rng.random_range(0..10) < lies {
                    after.insert(key, last);
                }
                events.push(Event { is_write: true, key, value: last, success });
            } else if let Some(&value) = after.get(&key) {
                events.push(Event { is_write: false, key, value, success: true });
            } else {
                events.push(Event { is_write: false, key, value: 0, success: false });
            }
        }
        // What an aborted transaction read of itself, nobody else may read.
        let committed = rng.random_range(0..6) > 0;
        if committed {
            store = after;
        }
        sessions[rng.random_range(0..SESSIONS)].push((events, committed));
    }
    sessions
}

fn file(sessions: &[Vec<Transaction>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let number = |bytes: &mut Vec<u8>, number: u64| bytes.extend(number.to_le_bytes());
    for parameter in [1, 1, KEYS, 12, 3] {
        number(&mut bytes, parameter);
    }
    for text in ["", "2024-05-24T21:18:04.900123456+02:00", "2024-05-24T21:18:05.900123456+02:00"] {
        number(&mut bytes, text.len() as u64);
        bytes.extend(text.as_bytes());
    }
    number(&mut bytes, sessions.len() as u64);
    for session in sessions {
        number(&mut bytes, session.len() as u64);
        for (events, committed) in session {
            number(&mut bytes, events.len() as u64);
            for event in events {
                bytes.push(u8::from(event.is_write));
                number(&mut bytes, event.key);
                number(&mut bytes, event.value);
                bytes.push(u8::from(event.success));
            }
            bytes.push(u8::from(*committed));
        }
    }
    bytes
}

fn sequential(history: &History) -> Summary {
    check(history, Consistency::Sequential, &Options::default(), &Budget::unlimited()).unwrap().answer
}

/// The writes of the ops that ended so.
fn writes(history: &History, outcome: Outcome) -> usize {
    let of = |&op| history.values.elements(history.input(op)).unwrap().iter().filter(|&&micro_op| is_write(history, micro_op)).count();
    history.ops().iter().filter(|&&op| history.outcome(op) == outcome).map(of).sum()
}

fn is_write(history: &History, micro_op: histories::ValueId) -> bool {
    history.values.name(history.values.elements(micro_op).unwrap()[0]) == "w"
}

#[test]
fn a_serial_run_is_valid_whatever_its_single_writes_answered() {
    let mut refused = 0;
    for seed in 0..times(200) {
        for lies in [0, 3] {
            let sessions = simulate(&mut ChaCha8Rng::seed_from_u64(seed), lies);
            let history = read_bytes(&file(&sessions), None).unwrap();
            assert_eq!(history.meta.format, Format::Dbcop.name());
            assert_eq!(sequential(&history), Summary::Valid, "seed {seed}, {lies} lies: {sessions:?}");
            let events = || sessions.iter().flatten().flat_map(|(events, committed)| events.iter().map(move |event| (event, committed)));
            let succeeded = events().filter(|(event, committed)| **committed && event.is_write && event.success).count();
            let all = events().filter(|(event, _)| event.is_write).count();
            let done = writes(&history, Outcome::Ok);
            assert_eq!(done + writes(&history, Outcome::Fail), all, "seed {seed}: every write is in the history");
            assert!(done >= succeeded && (lies > 0 || done == succeeded), "seed {seed}: {done} done, {succeeded} succeeded");
            refused += all - done;
            let mut converted = Vec::new();
            write(&mut converted, &history, Format::Edn).unwrap();
            let again = read_bytes(&converted, None).unwrap();
            assert_eq!((writes(&again, Outcome::Ok), sequential(&again)), (done, Summary::Valid), "seed {seed}: converted");
        }
    }
    assert!(refused > 0, "the simulation refuses no write");
}

#[test]
fn a_write_that_failed_and_was_read_happened() {
    let event = |is_write, key, value, success| Event { is_write, key, value, success };
    // Read, and then what was there before is read again.
    let writer = vec![(vec![event(true, 0, 1, true)], true), (vec![event(true, 0, 2, false)], true)];
    let reader = vec![(vec![event(false, 0, 2, true)], true), (vec![event(false, 0, 1, true)], true)];
    assert_eq!(sequential(&read_bytes(&file(&[writer, reader]), None).unwrap()), Summary::Invalid);
}

//! A list or a set to which clients add, and which they read as a whole now and then.
//!
//! `histories::generate` makes reads the rarer the larger the set is; here they are as many as it takes to return so many bytes.

use histories::{Builder, History, Kind, Value};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What an element takes in memory.
const BYTES_PER_ELEMENT: u64 = 4;

#[derive(Clone, Copy)]
enum Op {
    Add(i64),
    Read,
}

struct Client {
    process: i64,
    /// What is in flight.
    op: Option<Op>,
    /// How many elements the read found, or that the element is in.
    done: Option<usize>,
}

/// Each client has nine tenths of the time an op in flight; each takes effect at a random moment.
pub(crate) fn history(model: &str, ops: u32, clients: u32, info: f64, megabytes: u32, lies: bool) -> History {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let add = if model == "set" { "add" } else { "append" };
    let whole = |elements: &[i64]| {
        let elements = elements.iter().map(|&element| Value::Int(element)).collect();
        if model == "set" { Value::Set(elements) } else { Value::Vector(elements) }
    };
    // On average a read finds half of all elements.
    let reads = u64::from(megabytes) * 1_000_000 / (u64::from(ops) / 2 * BYTES_PER_ELEMENT);
    let reads_of_ops = reads as f64 / f64::from(ops);
    let mut builder = Builder::new();
    let mut elements: Vec<i64> = Vec::new();
    // How many of the elements, from the first on, were answered when the last read that lies was sent.
    let (mut sent, mut fresh, mut next_process) = (0, 0, i64::from(clients));
    let mut all: Vec<Client> = (0..i64::from(clients)).map(|process| Client { process, op: None, done: None }).collect();
    let mut to_lie = lies;
    while sent < ops || all.iter().any(|client| client.op.is_some()) {
        let client = &mut all[rng.random_range(0..clients as usize)];
        let near_end = sent > ops / 100 * 99;
        match (client.op, client.done) {
            (None, _) if sent < ops => {
                let read = rng.random_bool(reads_of_ops) || near_end && to_lie && rng.random_bool(0.05);
                fresh += i64::from(!read);
                client.op = Some(if read { Op::Read } else { Op::Add(fresh) });
                sent += 1;
                let (f, input) = if read { ("read", Value::Nil) } else { (add, Value::Int(fresh)) };
                builder.event(client.process, Kind::Invoke, f, &input, 0);
            }
            (None, _) => {}
            (Some(op), None) => {
                if let Op::Add(element) = op {
                    elements.push(element);
                }
                client.done = Some(elements.len());
            }
            (Some(op), Some(found)) => {
                // What went in long ago was surely answered.
                let missed = if near_end && to_lie && matches!(op, Op::Read) { 1000 } else { 0 };
                to_lie &= missed == 0;
                let (f, input, output) = match op {
                    Op::Add(element) => (add, Value::Int(element), Value::Int(element)),
                    Op::Read => ("read", Value::Nil, whole(&elements[..found - missed.min(found)])),
                };
                if missed == 0 && rng.random_bool(info) {
                    builder.event(client.process, Kind::Info, f, &input, 0);
                    client.process = next_process;
                    next_process += 1;
                } else {
                    builder.event(client.process, Kind::Ok, f, &output, 0);
                }
                (client.op, client.done) = (None, None);
            }
        }
    }
    builder.finish()
}

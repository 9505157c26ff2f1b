//! Histories of simulated, correct objects with saturated clients: about nine of ten have an op in flight at any time.
//!
//! Each op acts on the object at a random moment between its two events, so the history is linearizable, unless one read near
//! the end is made to lie.

use histories::{Builder, History, Kind, Value};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Reads and writes, half and half.
    Register,
    /// Reads, writes and cas, a third each.
    Cas,
    /// Gets and puts, half and half, on so many keys.
    Kv(usize),
}

/// A kind of history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    /// What the clients do.
    pub(crate) workload: Workload,
    /// Ops in all.
    pub(crate) ops: usize,
    /// Clients.
    pub(crate) clients: usize,
    /// Distinct values written; 0 makes each write unique.
    pub(crate) values: i64,
    /// The share of ops whose outcome nobody learns.
    pub(crate) info: f64,
    /// Whether one read near the end lies.
    pub(crate) lie: bool,
    /// The seed.
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug)]
enum Do {
    Read,
    Write(i64),
    Cas(i64, i64),
}

#[derive(Clone, Copy, Debug)]
enum Client {
    Idle,
    Called { key: usize, op: Do },
    Acted { key: usize, op: Do, result: Option<i64> },
}

/// The chance that a client with an op in flight advances when it is looked at: so it is idle a tenth of the time.
const ADVANCES: f64 = 1.0 / 4.5;

struct Simulation {
    recipe: Recipe,
    rng: ChaCha8Rng,
    builder: Builder,
    keyed: bool,
    /// What each key holds, and the last value it held when a tenth of the ops were done.
    held: Vec<(i64, i64)>,
    fresh: i64,
    invoked: usize,
    time: i64,
    lied: bool,
}

/// Makes the history. Deterministic.
pub(crate) fn generate(recipe: &Recipe) -> History {
    let keys = if let Workload::Kv(keys) = recipe.workload { keys } else { 1 };
    let mut simulation = Simulation {
        recipe: *recipe,
        rng: ChaCha8Rng::seed_from_u64(recipe.seed),
        builder: Builder::new(),
        keyed: keys > 1,
        held: vec![(NOTHING, NOTHING); keys],
        fresh: 0,
        invoked: 0,
        time: 0,
        lied: !recipe.lie,
    };
    simulation.builder.meta().keyed = Some(keys > 1);
    simulation.run();
    simulation.builder.finish()
}

const NOTHING: i64 = -1;

impl Simulation {
    fn run(&mut self) {
        let mut clients = vec![Client::Idle; self.recipe.clients];
        let mut processes: Vec<i64> = (0..self.recipe.clients as i64).collect();
        let mut busy = 0;
        while self.invoked < self.recipe.ops || busy > 0 {
            let i = self.rng.random_range(0..clients.len());
            self.time += 1000;
            let advances = self.rng.random_bool(ADVANCES);
            clients[i] = match clients[i] {
                Client::Idle if self.invoked < self.recipe.ops => {
                    busy += 1;
                    let key = self.rng.random_range(0..self.held.len());
                    let op = self.op(key);
                    self.invoke(processes[i], key, op);
                    Client::Called { key, op }
                }
                Client::Called { key, op } if advances => {
                    let crashes = self.rng.random_bool(self.recipe.info / 2.0);
                    if crashes {
                        busy -= 1;
                        self.crash(&mut processes[i], key, op);
                        Client::Idle
                    } else {
                        Client::Acted { key, op, result: self.act(key, op) }
                    }
                }
                Client::Acted { key, op, result } if advances => {
                    busy -= 1;
                    if self.rng.random_bool(self.recipe.info / 2.0) {
                        self.crash(&mut processes[i], key, op);
                    } else {
                        self.complete(processes[i], key, op, result);
                    }
                    Client::Idle
                }
                waiting => waiting,
            };
        }
    }

    fn new_value(&mut self) -> i64 {
        if self.recipe.values > 0 {
            return self.rng.random_range(0..self.recipe.values);
        }
        self.fresh += 1;
        self.fresh
    }

    fn op(&mut self, key: usize) -> Do {
        let die = self.rng.random_range(0..6);
        match self.recipe.workload {
            Workload::Cas if die >= 4 => {
                let old = if self.recipe.values > 0 { self.new_value() } else { self.held[key].0 };
                Do::Cas(old, self.new_value())
            }
            Workload::Cas if die >= 2 => Do::Write(self.new_value()),
            Workload::Register | Workload::Kv(_) if die >= 3 => Do::Write(self.new_value()),
            _ => Do::Read,
        }
    }

    /// What the op does to the object: the value read, or nothing for a cas that found another.
    fn act(&mut self, key: usize, op: Do) -> Option<i64> {
        let (held, old) = &mut self.held[key];
        match op {
            Do::Read => return Some(*held),
            Do::Cas(expected, _) if expected != *held => return None,
            Do::Cas(_, new) | Do::Write(new) => {
                *held = new;
                if self.invoked * 10 < self.recipe.ops {
                    *old = new;
                }
            }
        }
        Some(*held)
    }

    fn event(&mut self, process: i64, kind: Kind, key: usize, op: Do, read: Option<i64>) {
        let number = |v: i64| if v == NOTHING { Value::Nil } else { Value::Int(v) };
        let kv = matches!(self.recipe.workload, Workload::Kv(_));
        let (f, value) = match op {
            Do::Read => (if kv { "get" } else { "read" }, read.map_or(Value::Nil, number)),
            Do::Write(v) => (if kv { "put" } else { "write" }, number(v)),
            Do::Cas(old, new) => ("cas", Value::pair(number(old), number(new))),
        };
        let value = if self.keyed { Value::pair(key as i64, value) } else { value };
        self.builder.event(process, kind, f, &value, self.time);
    }

    fn invoke(&mut self, process: i64, key: usize, op: Do) {
        self.invoked += 1;
        self.event(process, Kind::Invoke, key, op, None);
    }

    fn crash(&mut self, process: &mut i64, key: usize, op: Do) {
        self.event(*process, Kind::Info, key, op, None);
        *process += self.recipe.clients as i64;
    }

    fn complete(&mut self, process: i64, key: usize, op: Do, result: Option<i64>) {
        let is_late = self.invoked * 20 > self.recipe.ops * 19;
        let (kind, read) = match (op, result) {
            (Do::Read, Some(_)) if !self.lied && is_late => {
                self.lied = true;
                // Among few values an old one is there again soon: only one that never was is sure to be a lie.
                let old = if self.recipe.values == 0 { self.held[key].1 } else { self.recipe.values + 1 };
                (Kind::Ok, Some(old))
            }
            (_, None) => (Kind::Fail, None),
            (_, result) => (Kind::Ok, result),
        };
        self.event(process, kind, key, op, read);
    }
}

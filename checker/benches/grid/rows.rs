//! The rows of the tables, and the histories behind them.

use crate::whole_reads;
use histories::History;
use histories::generate::{self, Anomaly, Distinct, Model, Plan};

/// A kind of history. Keys of 1 are no keys.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) object: Object,
    pub(crate) ops: u32,
    pub(crate) clients: u32,
    values: Distinct,
    pub(crate) info: f64,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Object {
    /// Simulated by `histories::generate`.
    Generated(Model, u32),
    /// Adds or appends, and now and then a read of everything: so many megabytes of reads in all.
    WholeReads(&'static str, u32),
}

const fn row(name: &'static str, object: Object, ops: u32, clients: u32, values: u32, info: f64) -> Row {
    let values = if values == 0 { Distinct::Unique } else { Distinct::Few(values) };
    Row { name, object, ops, clients, values, info }
}

impl Row {
    /// The name of the checker's model.
    pub(crate) fn model(&self) -> &'static str {
        match self.object {
            Object::Generated(Model::Queue, _) => "fifo-queue",
            Object::Generated(model, _) => model.name(),
            Object::WholeReads(model, _) => model,
        }
    }

    /// Among few values an old one is there again soon: only one that never was is sure to be a lie.
    fn lie(&self) -> Anomaly {
        match (self.object, self.values) {
            (Object::Generated(Model::Queue, _), _) => Anomaly::Reorder,
            (_, Distinct::Unique) => Anomaly::StaleRead,
            _ => Anomaly::Phantom,
        }
    }

    /// The history, with one lie near its end or without.
    pub(crate) fn history(&self, lies: bool) -> History {
        let &Row { ops, clients, values, info, .. } = self;
        let (model, keys) = match self.object {
            Object::Generated(model, keys) => (model, keys),
            Object::WholeReads(model, megabytes) => return whole_reads::history(model, ops, clients, info, megabytes, lies),
        };
        let anomaly = lies.then(|| self.lie());
        let plan = Plan { concurrency: clients, keys, values, info, anomaly, seed: 1, ..Plan::new(model, ops) };
        generate::history(&plan).expect("the grid's plans make sense").0
    }

    /// The beginning of its line.
    pub(crate) fn title(&self) -> String {
        format!("{:<34} {:>8} {:>7} {:>3}%", self.name, self.ops, self.clients, self.info * 100.0)
    }
}

const REGISTER: Object = Object::Generated(Model::Register, 1);
const CAS: Object = Object::Generated(Model::CasRegister, 1);
const QUEUE: Object = Object::Generated(Model::Queue, 1);
const fn kv(keys: u32) -> Object {
    Object::Generated(Model::Kv, keys)
}

const M: u32 = 1_000_000;
const K: u32 = 1_000;

/// What is measured.
pub(crate) const GRID: &[Row] = &[
    row("register, unique values", REGISTER, M, 10, 0, 0.0),
    row("register, unique values", REGISTER, M, 100, 0, 0.0),
    row("register, unique values", REGISTER, M, 10, 0, 0.1),
    row("register, unique values", REGISTER, M, 100, 0, 0.1),
    row("register, 5 values", REGISTER, M, 5, 5, 0.0),
    row("register, 5 values", REGISTER, M, 10, 5, 0.0),
    row("register, 5 values", REGISTER, 10 * K, 20, 5, 0.0),
    row("register, 5 values", REGISTER, 10 * K, 50, 5, 0.0),
    row("register, 5 values", REGISTER, 10 * K, 100, 5, 0.0),
    row("register, 5 values", REGISTER, 100 * K, 10, 5, 0.01),
    row("cas-register, 5 values", CAS, M, 5, 5, 0.0),
    row("cas-register, 5 values", CAS, M, 10, 5, 0.0),
    row("cas-register, 5 values", CAS, 10 * K, 20, 5, 0.0),
    row("cas-register, 5 values", CAS, 10 * K, 20, 5, 0.01),
    row("cas-register, 5 values", CAS, 10 * K, 20, 5, 0.1),
    row("cas-register, unique values", CAS, 100 * K, 20, 0, 0.01),
    row("kv, 100 keys, 5 values", kv(100), M, 20, 5, 0.0),
    row("kv, 100 keys, 5 values", kv(100), M, 100, 5, 0.01),
    row("fifo queue, unique values", QUEUE, M, 10, 0, 0.01),
    row("fifo queue, unique values", QUEUE, M, 100, 0, 0.01),
    row("list-append, 10 MB of whole reads", Object::WholeReads("list-append", 10), 100 * K, 20, 0, 0.01),
    row("list-append, 100 MB of whole reads", Object::WholeReads("list-append", 100), 100 * K, 20, 0, 0.01),
    row("set, 10 MB of whole reads", Object::WholeReads("set", 10), 100 * K, 20, 0, 0.01),
    row("set, 100 MB of whole reads", Object::WholeReads("set", 100), 100 * K, 20, 0, 0.01),
    row("kv, 10,000 keys, 5 values", kv(10 * K), 10 * M, 100, 5, 0.001),
];

/// On what the rules are switched off.
pub(crate) const FOR_RULES: &[Row] = &[
    row("register, unique values", REGISTER, 100 * K, 10, 0, 0.01),
    row("register, 5 values", REGISTER, 100 * K, 10, 5, 0.0),
    row("register, 5 values", REGISTER, 10 * K, 20, 5, 0.0),
    row("register, 5 values", REGISTER, 10 * K, 10, 5, 0.01),
    row("cas-register, 5 values", CAS, 10 * K, 20, 5, 0.01),
];

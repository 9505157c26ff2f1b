//! Makes histories: clients with random delays use a simulated object that is correct, or tells one lie.
//!
//! Each op takes effect on the object at one random moment between its two events, so the history is linearizable
//! (transactions: strictly serializable) by construction, and the order in which ops took effect is its witness. An op of
//! unknown outcome takes effect before its `info`, at some later moment, or never. An [`Anomaly`] is planted only where the
//! events that are already there exclude every explanation, so that a history either violates its model or is refused
//! ([`Refused::NoPlace`]), and never is innocent by chance.
//!
//! Pure: the same [`Plan`] makes the same history on every machine. Randomness is `ChaCha8`, and all that follows from it is
//! whole numbers. Time is linear in the ops, memory is that of the [`History`] and, for some anomalies, eight bytes per
//! value.
//!
//! Start reading at [`history`]; `simulation` is the loop over the moments of all clients, `object` what it asks of a model,
//! `scene` where an anomaly may be planted. Each other module is one simulated object.

mod append;
mod bank;
mod counter;
mod dice;
mod elements;
mod gone;
mod keyed;
mod kv;
mod mutex;
mod object;
mod queue;
mod register;
mod rw_register;
mod scene;
mod set;
mod simulation;
mod stack;

use crate::history::History;
use crate::value::Value;
use std::fmt;

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Model {
    /// `read`, `write`.
    Register,
    /// `read`, `write`, `cas [old new]`.
    CasRegister,
    /// `get`, `put`, and with unique values `append`: strings then, numbers otherwise.
    Kv,
    /// First in, first out: `enqueue`, `dequeue`; an empty one answers `fail`.
    Queue,
    /// Last in, first out: `push`, `pop`; an empty one answers `fail`.
    Stack,
    /// `add`, and `read` of the whole set, the rarer the larger it is.
    Set,
    /// `add` of positive amounts, `read`.
    Counter,
    /// `acquire`, which fails while another holds it, and `release`.
    Mutex,
    /// Transactions of `[:append k v]` and `[:r k nil]`. A key is given up after 32 appends, and another takes its place.
    ListAppend,
    /// Transactions of `[:w k v]` and `[:r k nil]`.
    RwRegister,
    /// `transfer {:from a, :to b, :amount n}`, which fails where the money is missing, and `read` of all accounts.
    Bank,
}

impl Model {
    /// All of them.
    pub const ALL: [Model; 11] = [
        Model::Register,
        Model::CasRegister,
        Model::Kv,
        Model::Queue,
        Model::Stack,
        Model::Set,
        Model::Counter,
        Model::Mutex,
        Model::ListAppend,
        Model::RwRegister,
        Model::Bank,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Model::Register => "register",
            Model::CasRegister => "cas-register",
            Model::Kv => "kv",
            Model::Queue => "queue",
            Model::Stack => "stack",
            Model::Set => "set",
            Model::Counter => "counter",
            Model::Mutex => "mutex",
            Model::ListAppend => "list-append",
            Model::RwRegister => "rw-register",
            Model::Bank => "bank",
        }
    }

    /// What can be planted in its histories.
    pub fn anomalies(self) -> &'static [Anomaly] {
        use Anomaly::{
            DoubleGrant, Duplicate, FracturedRead, LostElement, LostUpdate, LostWrite, NegativeBalance, Phantom, Reorder, StaleRead,
        };
        match self {
            Model::Register | Model::Kv | Model::Counter => &[StaleRead, LostWrite, Phantom],
            Model::CasRegister => &[StaleRead, LostWrite, LostUpdate, Phantom],
            Model::Queue | Model::Stack => &[Duplicate, Reorder, LostElement, Phantom],
            Model::Set => &[StaleRead, LostElement, Phantom],
            Model::Mutex => &[DoubleGrant],
            Model::ListAppend => &[StaleRead, LostWrite, Duplicate, Reorder, FracturedRead, Phantom],
            Model::RwRegister => &[StaleRead, LostUpdate, FracturedRead, Phantom],
            Model::Bank => &[LostWrite, FracturedRead, NegativeBalance],
        }
    }

    /// Whether one op may concern several keys: then keys are inside the ops, and not the halves of `[key value]` pairs.
    fn has_transactions(self) -> bool {
        matches!(self, Model::ListAppend | Model::RwRegister | Model::Bank)
    }

    /// The number of keys where the plan names none: one object, keys for transactions to choose from, accounts.
    pub fn default_keys(self) -> u32 {
        if self.has_transactions() { 8 } else { 1 }
    }

    /// Whether few values make sense: not where nothing is stored, nor where a value must tell who wrote it.
    fn takes_few_values(self) -> bool {
        !matches!(self, Model::Mutex | Model::ListAppend | Model::RwRegister | Model::Bank)
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What goes wrong once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Anomaly {
    /// A read returns what was there before something that had been answered when the read was sent.
    StaleRead,
    /// A write that is answered `ok` never takes effect, and a later read shows it.
    LostWrite,
    /// A cas, or a read and a write of one transaction, succeeds on a value that others had replaced.
    LostUpdate,
    /// A read returns what nobody ever wrote.
    Phantom,
    /// An element comes out twice, or was appended twice.
    Duplicate,
    /// Elements come out, or are shown, in an order that cannot be.
    Reorder,
    /// An element whose insertion was answered `ok` is never seen again.
    LostElement,
    /// A lock is given to a second holder.
    DoubleGrant,
    /// A read sees one half of a transaction and misses the other.
    FracturedRead,
    /// A read shows an account that is overdrawn.
    NegativeBalance,
}

impl Anomaly {
    /// All of them.
    pub const ALL: [Anomaly; 10] = [
        Anomaly::StaleRead,
        Anomaly::LostWrite,
        Anomaly::LostUpdate,
        Anomaly::Phantom,
        Anomaly::Duplicate,
        Anomaly::Reorder,
        Anomaly::LostElement,
        Anomaly::DoubleGrant,
        Anomaly::FracturedRead,
        Anomaly::NegativeBalance,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Anomaly::StaleRead => "stale-read",
            Anomaly::LostWrite => "lost-write",
            Anomaly::LostUpdate => "lost-update",
            Anomaly::Phantom => "phantom",
            Anomaly::Duplicate => "duplicate",
            Anomaly::Reorder => "reorder",
            Anomaly::LostElement => "lost-element",
            Anomaly::DoubleGrant => "double-grant",
            Anomaly::FracturedRead => "fractured-read",
            Anomaly::NegativeBalance => "negative-balance",
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The values that are written, per key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distinct {
    /// Each write stores a value of its own: 1, 2, 3 and so on, per key.
    #[default]
    Unique,
    /// So many, from 0 on, at random (a counter: amounts of 1 to so many).
    Few(u32),
}

/// What history to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The object.
    pub model: Model,
    /// Client ops.
    pub ops: u32,
    /// Clients, each with one op in flight at most.
    pub concurrency: u32,
    /// The share of ops whose outcome nobody learns, from 0 to 1. Ops that would blur the planned anomaly are left out of it.
    pub info: f64,
    /// The values written.
    pub values: Distinct,
    /// Independent keys, or keys of transactions, or accounts; 0: [`Model::default_keys`].
    pub keys: u32,
    /// The seed.
    pub seed: u64,
    /// The mean gap between two ops of a client, in nanoseconds. An op takes [`OP_NS`] on average.
    pub think_ns: u64,
    /// What goes wrong, once.
    pub anomaly: Option<Anomaly>,
    /// The share of the ops after which a place for it is looked for, from 0 to 1.
    pub anomaly_at: f64,
}

/// How long an op takes on average, in nanoseconds: two exponential halves, before and after it takes effect.
pub const OP_NS: u64 = 1_000_000;
/// The gap between two ops that leaves nine clients of ten with an op in flight.
pub const THINK_NS: u64 = OP_NS / 9;
/// The most ops of one history: an event's index has 32 bits.
pub const OPS_MAX: u32 = 2_000_000_000;
/// The most clients.
pub const CONCURRENCY_MAX: u32 = 1_000_000;
/// The most keys.
pub const KEYS_MAX: u32 = 100_000_000;

impl Plan {
    /// 10 clients, unique values, every outcome known, nothing wrong, seed 0.
    pub fn new(model: Model, ops: u32) -> Plan {
        Plan {
            model,
            ops,
            concurrency: 10,
            info: 0.0,
            values: Distinct::Unique,
            keys: 0,
            seed: 0,
            think_ns: THINK_NS,
            anomaly: None,
            anomaly_at: 0.95,
        }
    }

    fn keys(&self) -> u32 {
        if self.keys == 0 { self.model.default_keys() } else { self.keys }
    }

    /// A value that is none of those written.
    fn never_written(&self) -> i64 {
        match self.values {
            Distinct::Unique => i64::from(self.ops) + 1,
            Distinct::Few(values) => i64::from(values),
        }
    }

    fn check(&self) -> Result<(), Refused> {
        let refuse = |why: String| Err(Refused::Plan(why));
        let model = self.model;
        let in_bounds = |what: &str, number: u32, max: u32| {
            if (1..=max).contains(&number) { Ok(()) } else { refuse(format!("{what} must be from 1 to {max}, not {number}")) }
        };
        if self.ops > OPS_MAX {
            return refuse(format!("a history holds at most {OPS_MAX} ops, not {}", self.ops));
        }
        in_bounds("concurrency", self.concurrency, CONCURRENCY_MAX)?;
        in_bounds("keys", self.keys(), KEYS_MAX)?;
        for (what, share) in [("the share of info", self.info), ("the anomaly's place", self.anomaly_at)] {
            if !(0.0..=1.0).contains(&share) {
                return refuse(format!("{what} is a share, from 0 to 1, not {share}"));
            }
        }
        if model == Model::Bank && self.keys() < 2 {
            return refuse("a bank needs two accounts at least: ask for more keys".into());
        }
        if let Distinct::Few(values) = self.values {
            if !model.takes_few_values() {
                return refuse(format!("the values of {model} cannot be chosen: leave them unique"));
            }
            if values == 0 {
                return refuse("values must be 1 at least, or unique".into());
            }
        }
        self.check_anomaly()
    }

    fn check_anomaly(&self) -> Result<(), Refused> {
        let Some(anomaly) = self.anomaly else { return Ok(()) };
        let fitting = self.model.anomalies();
        if !fitting.contains(&anomaly) {
            let names: Vec<&str> = fitting.iter().map(|anomaly| anomaly.name()).collect();
            return Err(Refused::Plan(format!("{} has no {anomaly}; what can be planted there: {}", self.model, names.join(", "))));
        }
        let needs_two = matches!(anomaly, Anomaly::StaleRead | Anomaly::LostWrite | Anomaly::LostUpdate) && self.model != Model::Counter;
        if needs_two && self.values == Distinct::Few(1) {
            return Err(Refused::Plan(format!("{anomaly} needs two values at least: one never goes")));
        }
        let needs_unique = matches!(self.model, Model::Queue | Model::Stack | Model::Set) && anomaly != Anomaly::Phantom;
        if needs_unique && self.values != Distinct::Unique {
            return Err(Refused::Plan(format!("{anomaly} in a {} shows only where values are unique", self.model)));
        }
        Ok(())
    }

    /// The facts for the header of a file.
    fn header(&self) -> Vec<(String, Value)> {
        let mut facts = vec![
            ("model".into(), Value::Str(self.model.name().into())),
            ("seed".into(), i64::try_from(self.seed).map_or_else(|_| Value::Str(self.seed.to_string().into()), Value::Int)),
        ];
        facts.extend(self.anomaly.map(|anomaly| ("anomaly".into(), Value::Str(anomaly.name().into()))));
        facts
    }
}

/// Where the anomaly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planted {
    /// What it is.
    pub anomaly: Anomaly,
    /// The event that invokes the op which shows it.
    pub event: u32,
    /// The position of that op among the client ops.
    pub op: u32,
    /// Its key, where there are several.
    pub key: Option<u32>,
    /// What happened, in words.
    pub what: String,
}

/// Why no history was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The plan makes no sense. The text says what would.
    #[error("{0}")]
    Plan(String),
    /// No place could carry the anomaly.
    #[error(
        "no place after op {from} of {ops} can carry a {anomaly} that is certain; {advice}",
        advice = "plant it earlier, or ask for more ops, fewer clients, fewer keys or unique values"
    )]
    NoPlace {
        /// What was to be planted.
        anomaly: Anomaly,
        /// The first op that was looked at.
        from: u32,
        /// The ops of the history.
        ops: u32,
    },
}

/// Makes a history, and says where its anomaly is.
///
/// # Errors
/// [`Refused`].
pub fn history(plan: &Plan) -> Result<(History, Option<Planted>), Refused> {
    plan.check()?;
    let unique = plan.values == Distinct::Unique;
    let planned = plan.anomaly;
    let (keys, never) = (plan.keys(), plan.never_written());
    match plan.model {
        Model::Register => keyed::run(plan, || register::Register::new(plan.values, register::Functions::ReadWrite, never)),
        Model::CasRegister => keyed::run(plan, || register::Register::new(plan.values, register::Functions::Cas, never)),
        Model::Kv => keyed::run(plan, || kv::Kv::new(plan.values, never)),
        Model::Queue => keyed::run(plan, || queue::Queue::new(plan.values, unique && planned.is_some(), never)),
        Model::Stack => keyed::run(plan, || stack::Stack::new(plan.values, unique && planned.is_some(), never)),
        Model::Set => keyed::run(plan, || set::Set::new(plan.values, unique && planned.is_some(), never)),
        Model::Counter => keyed::run(plan, || counter::Counter::new(plan.values)),
        Model::Mutex => keyed::run(plan, || mutex::Mutex::new(plan.concurrency)),
        Model::ListAppend => simulation::run(plan, append::ListAppend::new(keys, never)),
        Model::RwRegister => simulation::run(plan, rw_register::RwRegister::new(keys, never)),
        Model::Bank => simulation::run(plan, bank::Bank::new(keys)),
    }
}

#[cfg(test)]
mod tests;

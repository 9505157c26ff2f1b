//! The workload `register`: many independent registers, each read, written and compared-and-set by clients on all nodes.
//!
//! Built to make violations visible. Every write of a key stores a value that no other write of that key stores, so a read
//! says which write it saw, and one stale read is a contradiction that no other order explains away; with values drawn from
//! five, most stale reads are hidden. A cas compares with a value that was read from that key, so that it often succeeds, and
//! stores a fresh one. All threads of a group, which covers every node, work on the same key at the same time: reads race
//! with writes through other nodes, which is where stale reads are. After a few hundred ops the group takes the next key, so
//! the crashed ops of a partition are spread over many small histories that stay cheap to check.
//!
//! | f | argument | result if `ok` |
//! |---|---|---|
//! | `read` | `[key nil]` | `[key value]`; `[key nil]` if nothing was written yet |
//! | `write` | `[key value]` | the argument |
//! | `cas` | `[key [old new]]` | the argument; if the key does not hold `old` it fails with [`OpError::MISMATCH`] |
//!
//! Of a system that tells revisions, a value that was read and an argument that is returned are `[value revision]`.
//!
//! Keys and values are integers; keys count from 0, values from 1.
//!
//! [`OpError::MISMATCH`]: crate::OpError::MISMATCH

use crate::client::{Completion, Invocation};
use crate::generator::{Context, Event, Generator, Next, concurrent_keys, limit, rest, stream};
use crate::workloads::{Asked, Workload, WorkloadKind};
use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use histories::Value;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How often each function is asked for, relative to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Reads; at least 1.
    pub read: NonZeroU32,
    /// Writes; at least 1.
    pub write: NonZeroU32,
    /// Compare-and-set, if the system offers it.
    pub cas: u32,
}

/// The choices of this workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterOptions {
    /// Ops on a key before the next key is taken; each key gets a random share of 0.9 to 1.0 of it, so that the keys of
    /// different groups do not end together.
    pub ops_per_key: NonZeroU32,
    /// Threads that work on one key. `None`: two per node.
    pub threads_per_key: Option<NonZeroU32>,
    /// How often each function is asked for.
    pub mix: Mix,
    /// `None`: every write of a key has a value of its own. `Some(n)`: values are drawn from `0..n`, and so is what a cas
    /// compares with.
    pub values: Option<NonZeroU32>,
    /// Final reads, at most. Every key is read on every node, if that is not more; else the newest keys, on fewer nodes. `None`: all.
    pub final_reads_max: Option<u32>,
}

impl Default for RegisterOptions {
    fn default() -> RegisterOptions {
        let some = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        RegisterOptions {
            ops_per_key: some(300),
            threads_per_key: None,
            mix: Mix { read: some(2), write: some(1), cas: 1 },
            values: None,
            final_reads_max: None,
        }
    }
}

/// The row of the table of workloads.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

/// Its options, in the words of the command line and of files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[group(skip)]
pub struct RegisterWords {
    /// Keys in use at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub keys: Option<u32>,
    /// Ops on a key before the next one takes its place
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub ops_per_key: Option<u32>,
    /// Values written to a key: unique, or a number of values to draw from (finds less)
    #[arg(long, value_name = "N", default_value = "unique")]
    pub values: Values,
    /// Reads at the end, of every key at every node as far as they go: all, or a number
    #[arg(long, value_name = "N", default_value = "all")]
    pub final_reads: LastReads,
}

/// The values that are written to a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Number")]
pub enum Values {
    /// No value twice.
    #[default]
    Unique,
    /// So many, drawn again and again.
    Few(NonZeroU32),
}

/// How much is read at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Number")]
pub enum LastReads {
    /// Every key at every node.
    #[default]
    All,
    /// So many of these, the newest keys first.
    AtMost(NonZeroU32),
}

/// What a file says where a number or a word may stand.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u32),
    Word(String),
}

impl Number {
    fn text(self) -> String {
        match self {
            Number::Number(n) => n.to_string(),
            Number::Word(word) => word,
        }
    }
}

impl FromStr for Values {
    type Err = String;

    fn from_str(text: &str) -> Result<Values, String> {
        match (text, text.parse()) {
            ("unique", _) => Ok(Values::Unique),
            (_, Ok(n)) => Ok(Values::Few(n)),
            _ => Err("write unique, or a number of values like 5".into()),
        }
    }
}

impl FromStr for LastReads {
    type Err = String;

    fn from_str(text: &str) -> Result<LastReads, String> {
        match (text, text.parse()) {
            ("all", _) => Ok(LastReads::All),
            (_, Ok(most)) => Ok(LastReads::AtMost(most)),
            _ => Err("write all, or a number of reads like 10000".into()),
        }
    }
}

impl TryFrom<Number> for Values {
    type Error = String;

    fn try_from(number: Number) -> Result<Values, String> {
        number.text().parse()
    }
}

impl TryFrom<Number> for LastReads {
    type Error = String;

    fn try_from(number: Number) -> Result<LastReads, String> {
        number.text().parse()
    }
}

impl WorkloadKind for Kind {
    fn name(&self) -> &'static str {
        "register"
    }

    fn about(&self) -> &'static str {
        "Reads, writes and compare-and-sets of independent keys"
    }

    fn needs(&self) -> &'static [&'static str] {
        &["read", "write"]
    }

    fn augment(&self, command: Command) -> Command {
        RegisterWords::augment_args(command)
    }

    fn make(&self, options: &ArgMatches, asked: &Asked<'_>) -> Result<Workload, String> {
        let words = RegisterWords::from_arg_matches(options).map_err(|error| error.to_string())?;
        let mut options = RegisterOptions::default();
        if let Some(keys) = words.keys {
            options.threads_per_key = NonZeroU32::new(asked.concurrency.div_ceil(keys));
        }
        if let Some(ops) = words.ops_per_key.and_then(NonZeroU32::new) {
            options.ops_per_key = ops;
        }
        if let Values::Few(n) = words.values {
            options.values = Some(n);
        }
        if let LastReads::AtMost(most) = words.final_reads {
            options.final_reads_max = Some(most.get());
        }
        let offers = Offers { cas: asked.system.offers("cas"), revisions: asked.system.tells_revisions() };
        Ok(workload(&options, offers, asked.nodes, asked.concurrency as usize, asked.seed))
    }
}

/// How long a thread is left alone after an op of it ended in an error: a node that is down refuses within microseconds.
const REST: Duration = Duration::from_millis(50);

/// What a system can do for this workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// It compares and sets.
    pub cas: bool,
    /// It tells the revision of what was read and changed.
    pub revisions: bool,
}

/// The workload, from its seed, for a system that offers so much, on so many nodes with so many client threads.
pub fn workload(options: &RegisterOptions, offers: Offers, nodes: usize, concurrency: usize, seed: u64) -> Workload {
    let cas = offers.cas && options.mix.cas > 0;
    let model = match (offers.revisions, cas) {
        (true, _) => "etcd-kv",
        (false, true) => "cas-register",
        (false, false) => "register",
    };
    let group = options.threads_per_key.map_or(2 * nodes, |n| n.get() as usize).min(concurrency).max(1);
    let keys_begun = Arc::new(AtomicI64::new(0));
    Workload {
        name: "register",
        main: main_phase(options, cas, group as u32, seed, Arc::clone(&keys_begun)),
        last: Some(Box::new(rest(REST, FinalReads::new(options.final_reads_max.map_or(usize::MAX, |max| max as usize), keys_begun)))),
        options: checker::Options {
            model: model.into(),
            keyed: Some(true),
            initial: Some(Value::Nil),
            // A key that was never written is found missing: that is a statement about its state, not about nothing.
            nil_read: Some(checker::NilRead::Missing),
            // A cas also fails because its node refused it: that says nothing about the value.
            failed_cas: Some(checker::FailedCas::Drop),
            ..checker::Options::default()
        },
        must_succeed: if cas { vec!["read", "write", "cas"] } else { vec!["read", "write"] },
        describe: describe(options, cas, group),
    }
}

fn describe(options: &RegisterOptions, cas: bool, group: usize) -> Vec<(String, String)> {
    let Mix { read, write, cas: weight } = options.mix;
    let mix = if cas { format!("read {read} : write {write} : cas {weight}") } else { format!("read {read} : write {write}") };
    [
        ("mix", mix),
        ("ops per key", options.ops_per_key.to_string()),
        ("threads per key", group.to_string()),
        ("values", options.values.map_or("unique".into(), |n| n.to_string())),
    ]
    .map(|(name, text)| (name.to_owned(), text))
    .into()
}

fn main_phase(options: &RegisterOptions, cas: bool, group: u32, seed: u64, keys_begun: Arc<AtomicI64>) -> Box<dyn Generator> {
    let RegisterOptions { ops_per_key, mix, values, .. } = *options;
    let keys = (0_i64..).inspect(move |key| keys_begun.store(key + 1, Ordering::Relaxed));
    let one_key = move |key: i64| {
        let mut rng = stream(seed, "register", key as u64);
        let ops = f64::from(ops_per_key.get()) * rng.random_range(0.9..=1.0);
        limit((ops as u64).max(1), OneKey { rng, mix: Mix { cas: if cas { mix.cas } else { 0 }, ..mix }, values, written: 0, read: None })
    };
    Box::new(rest(REST, concurrent_keys(group, keys, one_key)))
}

/// The ops on one key.
struct OneKey {
    rng: ChaCha8Rng,
    mix: Mix,
    values: Option<NonZeroU32>,
    /// Values given out so far: the last unique one.
    written: i64,
    /// The value that was read last.
    read: Option<i64>,
}

impl OneKey {
    /// A value to store.
    fn fresh(&mut self) -> i64 {
        if let Some(n) = self.values {
            return self.rng.random_range(0..i64::from(n.get()));
        }
        self.written += 1;
        self.written
    }

    /// What a cas compares with; nothing as long as no value was read.
    fn expected(&mut self) -> Option<i64> {
        match self.values {
            Some(n) => Some(self.rng.random_range(0..i64::from(n.get()))),
            None => self.read,
        }
    }

    fn invocation(&mut self) -> Invocation {
        let (read, write) = (u64::from(self.mix.read.get()), u64::from(self.mix.write.get()));
        let drawn = self.rng.random_range(0..read + write + u64::from(self.mix.cas));
        if drawn < read {
            return Invocation { f: "read", value: Value::Nil };
        }
        match if drawn < read + write { None } else { self.expected() } {
            Some(old) => Invocation { f: "cas", value: Value::pair(old, self.fresh()) },
            None => Invocation { f: "write", value: Value::Int(self.fresh()) },
        }
    }
}

impl Generator for OneKey {
    fn next(&mut self, context: &Context<'_>) -> Next {
        match context.free.first() {
            Some(&thread) => Next::Op { thread, invocation: self.invocation() },
            None => Next::PENDING,
        }
    }

    fn update(&mut self, _now: u64, event: &Event<'_>) {
        if let Event::Complete(_, Invocation { f: "read", .. }, Completion::Ok(value)) = event
            && let Some(value) = value.as_int().or_else(|| value.elements()?.first()?.as_int())
        {
            // A value, or a value with its revision.
            self.read = Some(value);
        }
    }
}

/// A read of every key on every node, each repeated until it is `ok`. First every key on one node, the newest first, then
/// every key on another: what the bound leaves out is what others have read already, and the oldest.
struct FinalReads {
    max: usize,
    keys_begun: Arc<AtomicI64>,
    /// By node: the keys still to be read there. `None` before the first question.
    left: Option<Vec<VecDeque<i64>>>,
    /// By thread: the key that it reads now.
    reading: Vec<Option<i64>>,
    in_flight: usize,
}

impl FinalReads {
    fn new(max: usize, keys_begun: Arc<AtomicI64>) -> FinalReads {
        FinalReads { max, keys_begun, left: None, reading: Vec::new(), in_flight: 0 }
    }

    /// Who reads what. A node without a thread is passed over.
    fn plan(&self, context: &Context<'_>) -> Vec<VecDeque<i64>> {
        let mut nodes: Vec<u32> = context.threads.iter().map(|&t| context.node_of(t)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let mut left = vec![VecDeque::new(); context.nodes.max(1) as usize];
        if nodes.is_empty() {
            return left;
        }
        let newest_first = || (0..self.keys_begun.load(Ordering::Relaxed)).rev();
        let all = (0..nodes.len()).flat_map(|round| newest_first().map(move |key| (round, key)));
        for (round, key) in all.take(self.max) {
            let node = nodes[(key as usize + round) % nodes.len()];
            left[node as usize].push_back(key);
        }
        left
    }
}

impl Generator for FinalReads {
    fn next(&mut self, context: &Context<'_>) -> Next {
        if self.left.is_none() {
            self.left = Some(self.plan(context));
            self.reading = vec![None; context.processes.len()];
        }
        let left = self.left.get_or_insert_default();
        for &thread in context.free {
            if let Some(key) = left[context.node_of(thread) as usize].pop_front() {
                self.reading[thread as usize] = Some(key);
                self.in_flight += 1;
                return Next::Op { thread, invocation: Invocation { f: "read", value: Value::pair(key, Value::Nil) } };
            }
        }
        if self.in_flight == 0 && left.iter().all(VecDeque::is_empty) { Next::Done } else { Next::PENDING }
    }

    fn update(&mut self, _now: u64, event: &Event<'_>) {
        let Event::Complete(thread, _, completion) = event else { return };
        let Some(key) = self.reading.get_mut(*thread as usize).and_then(Option::take) else { return };
        self.in_flight -= 1;
        if !matches!(completion, Completion::Ok(_))
            && let Some(left) = &mut self.left
        {
            let node = *thread as usize % left.len();
            left[node].push_front(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::OpError;
    use crate::generator::{End, Simulation, Trace, simulate};
    use std::collections::{BTreeMap, BTreeSet};

    const NODES: usize = 5;
    const THREADS: usize = 10;

    /// A store that does each op at the moment of its invocation and answers after a random time, or crashes.
    struct Store {
        rng: ChaCha8Rng,
        registers: BTreeMap<i64, Value>,
        crashes: f64,
    }

    impl Store {
        fn new(crashes: f64) -> Store {
            Store { rng: stream(1, "store", 0), registers: BTreeMap::new(), crashes }
        }

        fn answer(&mut self, op: &Invocation) -> (u64, Completion) {
            let latency = self.rng.random_range(1_000..1_000_000);
            if self.rng.random_bool(self.crashes) {
                return (latency, Completion::Info(OpError::new("timeout", "")));
            }
            let (key, argument) = split(&op.value);
            let register = self.registers.entry(key).or_insert(Value::Nil);
            let result = match (op.f, argument.elements()) {
                ("read", _) => register.clone(),
                ("cas", Some([old, _])) if old != register => return (latency, Completion::Fail(OpError::new(OpError::MISMATCH, ""))),
                ("cas", Some([_, new])) => {
                    *register = new.clone();
                    argument.clone()
                }
                _ => {
                    *register = argument.clone();
                    argument.clone()
                }
            };
            (latency, Completion::Ok(Value::pair(key, result)))
        }
    }

    fn split(value: &Value) -> (i64, &Value) {
        match value.elements() {
            Some([key, value]) => (key.as_int().unwrap(), value),
            _ => panic!("not keyed: {value:?}"),
        }
    }

    fn with(cas: bool) -> Offers {
        Offers { cas, revisions: false }
    }

    fn options() -> RegisterOptions {
        RegisterOptions::default()
    }

    fn run(generator: impl Generator, ops_max: usize, crashes: f64) -> Trace {
        let mut store = Store::new(crashes);
        let simulation = Simulation { threads: THREADS as u32, nodes: NODES as u32, ops_max, time_max: u64::MAX / 2 };
        simulate(generator, &simulation, |op| store.answer(op))
    }

    fn main_run(options: &RegisterOptions, cas: bool, ops: usize) -> Trace {
        run(workload(options, with(cas), NODES, THREADS, 7).main, ops, 0.01)
    }

    /// By key: every value that an op would store.
    fn stored(trace: &Trace) -> BTreeMap<i64, Vec<i64>> {
        let mut stored: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for step in trace.invocations().filter(|s| s.invocation.f != "read") {
            let (key, argument) = split(&step.invocation.value);
            let value = argument.elements().map_or(argument, |pair| &pair[1]);
            stored.entry(key).or_default().push(value.as_int().unwrap());
        }
        stored
    }

    #[test]
    fn every_value_is_stored_once_per_key() {
        for (key, values) in stored(&main_run(&options(), true, 20_000)) {
            let distinct: BTreeSet<i64> = values.iter().copied().collect();
            assert_eq!(distinct.len(), values.len(), "key {key}");
        }
    }

    #[test]
    fn a_cas_compares_with_what_was_read_on_its_key_and_often_succeeds() {
        let trace = main_run(&options(), true, 20_000);
        let mut read: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
        let (mut all, mut succeeded) = (0, 0);
        for step in &trace.steps {
            let (key, argument) = split(&step.invocation.value);
            match (step.invocation.f, &step.completion) {
                ("read", Some(Completion::Ok(value))) => {
                    read.entry(key).or_default().extend(split(value).1.as_int());
                }
                ("cas", None) => {
                    let old = argument.elements().unwrap()[0].as_int().unwrap();
                    assert!(read.get(&key).is_some_and(|values| values.contains(&old)), "key {key}: {old} was never read");
                    all += 1;
                }
                ("cas", Some(Completion::Ok(_))) => succeeded += 1,
                _ => {}
            }
        }
        assert!(all > 3_000, "a quarter of the ops is cas: {all}");
        assert!(succeeded * 10 > all, "{succeeded} of {all} cas succeeded");
    }

    #[test]
    fn a_cas_compares_with_the_value_of_what_was_read_with_its_revision() {
        let offers = Offers { cas: true, revisions: true };
        let mut store = Store::new(0.0);
        let simulation = Simulation { threads: THREADS as u32, nodes: NODES as u32, ops_max: 2_000, time_max: u64::MAX / 2 };
        let trace = simulate(workload(&options(), offers, NODES, THREADS, 7).main, &simulation, |op| match store.answer(op) {
            (latency, Completion::Ok(value)) if *split(&value).1 != Value::Nil => {
                let (key, value) = split(&value);
                (latency, Completion::Ok(Value::pair(key, Value::pair(value.clone(), 7))))
            }
            answer => answer,
        });
        let cas = trace.steps.iter().filter(|s| s.invocation.f == "cas" && matches!(s.completion, Some(Completion::Ok(_)))).count();
        assert!(cas > 50, "{cas} cas succeeded");
    }

    #[test]
    fn the_mix_is_kept_and_cas_is_asked_only_where_it_is_offered() {
        for (offers_cas, shares) in [(true, [0.5, 0.25, 0.25]), (false, [2.0 / 3.0, 1.0 / 3.0, 0.0])] {
            let trace = main_run(&options(), offers_cas, 20_000);
            for (f, share) in ["read", "write", "cas"].into_iter().zip(shares) {
                let count = trace.invocations().filter(|s| s.invocation.f == f).count();
                assert!((count as f64 / 20_000.0 - share).abs() < 0.03, "{f}: {count}");
            }
            assert!(offers_cas || trace.invocations().all(|s| s.invocation.f != "cas"));
        }
    }

    #[test]
    fn few_values_on_request() {
        let few = RegisterOptions { values: NonZeroU32::new(5), ..options() };
        let trace = main_run(&few, true, 5_000);
        let values: BTreeSet<i64> = stored(&trace).into_values().flatten().collect();
        assert_eq!(values, (0..5).collect());
        let cas = trace.steps.iter().filter(|s| s.invocation.f == "cas" && matches!(s.completion, Some(Completion::Ok(_)))).count();
        assert!(cas > 0);
    }

    #[test]
    fn keys_are_worked_on_by_every_node_and_end_at_slightly_different_sizes() {
        let trace = run(workload(&options(), with(true), NODES, THREADS, 7).main, 30_000, 0.0);
        let mut keys: BTreeMap<i64, (usize, BTreeSet<u32>)> = BTreeMap::new();
        for step in trace.invocations() {
            let (ops, nodes) = keys.entry(split(&step.invocation.value).0).or_default();
            *ops += 1;
            nodes.insert(step.thread % NODES as u32);
        }
        keys.pop_last();
        let sizes: BTreeSet<usize> = keys.values().map(|(ops, _)| *ops).collect();
        assert!(keys.len() > 90 && sizes.len() > 20, "{sizes:?}");
        assert!(sizes.iter().all(|ops| (270..=300).contains(ops)), "{sizes:?}");
        assert!(keys.values().all(|(_, nodes)| nodes.len() == NODES));
    }

    #[test]
    fn groups_of_threads_have_keys_of_their_own() {
        let groups = RegisterOptions { threads_per_key: NonZeroU32::new(5), ..options() };
        let trace = main_run(&groups, true, 5_000);
        let mut keys_of_first_half: BTreeSet<i64> = BTreeSet::new();
        let mut keys_of_second_half: BTreeSet<i64> = BTreeSet::new();
        for step in trace.invocations() {
            let keys = if step.thread < 5 { &mut keys_of_first_half } else { &mut keys_of_second_half };
            keys.insert(split(&step.invocation.value).0);
        }
        assert!(keys_of_first_half.is_disjoint(&keys_of_second_half));
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let drawn = |seed| run(workload(&options(), with(true), NODES, THREADS, seed).main, 2_000, 0.0);
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    /// The main phase until `keys` keys have begun, then the final reads answered by `answer`.
    fn final_reads(options: &RegisterOptions, keys: usize, threads: u32, mut answer: impl FnMut(&Invocation) -> Completion) -> Trace {
        let Workload { main, last, .. } = workload(options, with(false), NODES, THREADS, 7);
        run(main, keys * 300 - 200, 0.0);
        let simulation = Simulation { threads, nodes: NODES as u32, ops_max: 10_000, time_max: u64::MAX / 2 };
        simulate(last.unwrap(), &simulation, |op| (1_000, answer(op)))
    }

    fn read_at(trace: &Trace) -> Vec<(i64, u32)> {
        trace.invocations().map(|s| (split(&s.invocation.value).0, s.thread % NODES as u32)).collect()
    }

    #[test]
    fn every_key_is_read_at_the_end_on_every_node() {
        let trace = final_reads(&options(), 4, 10, |op| Completion::Ok(op.value.clone()));
        assert!(trace.invocations().all(|s| s.invocation.f == "read"));
        let mut read = read_at(&trace);
        read.sort_unstable();
        let all: Vec<(i64, u32)> = (0..4).flat_map(|key| (0..5).map(move |node| (key, node))).collect();
        assert_eq!((read, trace.end), (all, End::Done));
    }

    #[test]
    fn a_final_read_is_repeated_on_its_node_until_it_is_ok() {
        let mut attempts = BTreeMap::new();
        let trace = final_reads(&options(), 2, 5, |op| {
            let count = attempts.entry(split(&op.value).0).or_insert(0);
            *count += 1;
            if *count <= 7 { Completion::Fail(OpError::new("connection-refused", "")) } else { Completion::Ok(op.value.clone()) }
        });
        assert_eq!(trace.end, End::Done);
        let ok: BTreeSet<(i64, u32)> = trace
            .steps
            .iter()
            .filter(|s| matches!(s.completion, Some(Completion::Ok(_))))
            .map(|s| (split(&s.invocation.value).0, s.thread % NODES as u32))
            .collect();
        assert_eq!(ok.len(), 10);
        assert_eq!(read_at(&trace).len(), 10 + 2 * 7);
    }

    #[test]
    fn final_reads_are_bounded_and_the_newest_keys_come_first() {
        let bounded = RegisterOptions { final_reads_max: Some(7), ..options() };
        let mut read: Vec<i64> =
            read_at(&final_reads(&bounded, 5, 10, |op| Completion::Ok(op.value.clone()))).into_iter().map(|(key, _)| key).collect();
        read.sort_unstable();
        assert_eq!(read, [0, 1, 2, 3, 3, 4, 4], "each once, the two newest twice");
    }

    #[test]
    fn nodes_without_a_thread_are_passed_over() {
        let trace = final_reads(&options(), 3, 2, |op| Completion::Ok(op.value.clone()));
        let mut read = read_at(&trace);
        read.sort_unstable();
        assert_eq!((read, trace.end), ((0..3).flat_map(|key| [(key, 0), (key, 1)]).collect(), End::Done));
    }

    #[test]
    fn what_must_hold_and_what_must_be_seen() {
        let all = workload(&options(), with(true), NODES, THREADS, 1);
        assert_eq!((all.options.model.as_str(), all.must_succeed), ("cas-register", vec!["read", "write", "cas"]));
        let numbered = workload(&options(), Offers { cas: true, revisions: true }, NODES, THREADS, 1);
        assert_eq!((numbered.options.model.as_str(), numbered.must_succeed), ("etcd-kv", vec!["read", "write", "cas"]));
        let without = workload(&options(), with(false), NODES, THREADS, 1);
        assert_eq!((without.options.model.as_str(), without.must_succeed), ("register", vec!["read", "write"]));
        let no_cas = RegisterOptions { mix: Mix { cas: 0, ..options().mix }, ..options() };
        assert_eq!(workload(&no_cas, with(true), NODES, THREADS, 1).options.model, "register");
    }
}

//! A history in memory: one row per event, in columns, with invocations and completions paired.
//!
//! **File order is the order.** Times are data and may run backwards (they do, in recorded files); what a verdict rests on is
//! the position of an event. An op whose completion is `info`, or missing, is of unknown outcome: it may take effect at any
//! later moment, or never. The nemesis's events are kept (reports shade with them) but are no ops.

use crate::value::{Value, ValueId, Values};
use std::collections::BTreeMap;

/// What an event says of its op.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A process calls.
    Invoke,
    /// It took effect, and this is what came back.
    Ok,
    /// It certainly did not take effect.
    Fail,
    /// Nobody knows. The nemesis uses it for its start and its end alike.
    Info,
}

impl Kind {
    /// The word used in files: `invoke`, `ok`, `fail`, `info`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        }
    }
}

/// How an op ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It took effect between its two events.
    Ok,
    /// It did not take effect.
    Fail,
    /// It may have taken effect at any moment after its invocation, or never will.
    Info,
}

/// A process of a history, as a dense index in order of appearance. Its name in the file is [`History::process_name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process(pub u32);

/// An op of a history: the position in [`History::ops`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub u32);

/// No event: an op without an invocation or without a completion.
pub const NO_EVENT: u32 = u32::MAX;
/// No time was recorded.
pub const NO_TIME: i64 = i64::MIN;

/// One event, as a reader hands it to the [`Builder`].
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The name of the process in the file: usually an integer; `:nemesis` for the nemesis.
    pub process: ValueId,
    /// invoke, ok, fail or info.
    pub kind: Kind,
    /// The function: `read`, `write`, ... [`Builder::name`] makes it.
    pub f: u16,
    /// Its argument or its result.
    pub value: ValueId,
    /// Nanoseconds since the start of the test, or [`NO_TIME`].
    pub time: i64,
    /// The line of the file, from 1; 0 where there is none.
    pub line: u32,
}

/// A client op: an invocation and, perhaps, its completion. Positions are event indices, or [`NO_EVENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// The event of the invocation; [`NO_EVENT`] in files that record completions only.
    pub invoke: u32,
    /// The event of the completion, `info` included; [`NO_EVENT`] if the file ends before it.
    pub complete: u32,
}

/// Something the file does that no client can do. Verdicts on such a history are meaningless around that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misuse {
    /// The event.
    pub event: u32,
    /// What is wrong with it.
    pub kind: MisuseKind,
}

/// The ways in which events do not pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MisuseKind {
    /// A completion whose process has no op in flight.
    CompletionWithoutInvocation,
    /// An invocation of a process that has an op in flight.
    TwoOpsAtOnce,
    /// A completion that names another function than its invocation.
    OtherFunction,
    /// An invocation of a process whose last op ended `info`.
    GoesOnAfterInfo,
}

/// Facts about the whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// The format it was read from, by its name on the command line (`edn`, `jsonl`, ...); empty if it was made in memory.
    pub format: &'static str,
    /// Whether values are `[key value]` pairs: `Some` where the file says so, `None` where it must be guessed or told.
    pub keyed: Option<bool>,
    /// Further facts a file's header states (test, workload, seed, ...), by name.
    pub header: BTreeMap<String, Value>,
}

/// A recorded history. Columns of events, and the client ops that they form.
#[derive(Debug, Default)]
pub struct History {
    /// The arena of all values.
    pub values: Values,
    /// Facts about the whole file.
    pub meta: Meta,
    names: Vec<Box<str>>,
    kinds: Vec<Kind>,
    functions: Vec<u16>,
    processes: Vec<u32>,
    inputs: Vec<ValueId>,
    times: Vec<i64>,
    lines: Vec<u32>,
    ops: Vec<Op>,
    process_names: Vec<ValueId>,
    process_is_client: Vec<bool>,
    process_nodes: Vec<Option<Box<str>>>,
    errors: Vec<(u32, ValueId)>,
    misuses: Vec<Misuse>,
}

impl History {
    /// The number of events, the nemesis's included.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there is no event at all (a legal history).
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The client ops, in the order of their first event.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// One op.
    pub fn op(&self, id: OpId) -> Op {
        self.ops[id.0 as usize]
    }

    /// All op ids, in order.
    pub fn op_ids(&self) -> impl Iterator<Item = OpId> + use<> {
        (0..self.ops.len() as u32).map(OpId)
    }

    /// The kind of an event.
    pub fn kind(&self, event: u32) -> Kind {
        self.kinds[event as usize]
    }

    /// The function of an event, interned: [`History::name`] is its text.
    pub fn function(&self, event: u32) -> u16 {
        self.functions[event as usize]
    }

    /// The text of an interned function name.
    pub fn name(&self, f: u16) -> &str {
        &self.names[f as usize]
    }

    /// All function names; the position is the interned id.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// The process of an event.
    pub fn process(&self, event: u32) -> Process {
        Process(self.processes[event as usize])
    }

    /// The value of an event.
    pub fn value(&self, event: u32) -> ValueId {
        self.inputs[event as usize]
    }

    /// The time of an event in nanoseconds, if the file has times.
    pub fn time(&self, event: u32) -> Option<i64> {
        Some(self.times[event as usize]).filter(|&t| t != NO_TIME)
    }

    /// The line of an event in its file, from 1; 0 where there is none.
    pub fn line(&self, event: u32) -> u32 {
        self.lines[event as usize]
    }

    /// The `:error` of an event.
    pub fn error(&self, event: u32) -> Option<ValueId> {
        self.errors.binary_search_by_key(&event, |e| e.0).ok().map(|i| self.errors[i].1)
    }

    /// The number of processes, the nemesis included.
    pub fn process_count(&self) -> usize {
        self.process_names.len()
    }

    /// The name of a process in the file: an integer, or `:nemesis`.
    pub fn process_name(&self, process: Process) -> ValueId {
        self.process_names[process.0 as usize]
    }

    /// Whether a process is a client (its name is not that of the nemesis).
    pub fn is_client(&self, process: Process) -> bool {
        self.process_is_client[process.0 as usize]
    }

    /// The node a process talks to, where the file says so.
    pub fn node(&self, process: Process) -> Option<&str> {
        self.process_nodes[process.0 as usize].as_deref()
    }

    /// The events that no client can have produced.
    pub fn misuses(&self) -> &[Misuse] {
        &self.misuses
    }

    /// Events of processes that are no clients: the nemesis's.
    pub fn nemesis_events(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len() as u32).filter(|&e| !self.is_client(self.process(e)))
    }

    /// The event that stands for an op: its invocation, or its completion where there is none.
    pub fn first_event(&self, op: Op) -> u32 {
        if op.invoke == NO_EVENT { op.complete } else { op.invoke }
    }

    /// The process of an op.
    pub fn op_process(&self, op: Op) -> Process {
        self.process(self.first_event(op))
    }

    /// The function of an op, interned.
    pub fn op_function(&self, op: Op) -> u16 {
        self.function(self.first_event(op))
    }

    /// How an op ended.
    pub fn outcome(&self, op: Op) -> Outcome {
        if op.complete == NO_EVENT {
            return Outcome::Info;
        }
        match self.kind(op.complete) {
            Kind::Ok => Outcome::Ok,
            Kind::Fail => Outcome::Fail,
            Kind::Info | Kind::Invoke => Outcome::Info,
        }
    }

    /// What an op was called with: the value of its invocation, for every outcome.
    pub fn input(&self, op: Op) -> ValueId {
        self.value(self.first_event(op))
    }

    /// What an op returned, if it ended `ok`.
    pub fn output(&self, op: Op) -> Option<ValueId> {
        (self.outcome(op) == Outcome::Ok).then(|| self.value(op.complete))
    }

    /// Whether real-time order is known: false for files that hold completions only.
    pub fn has_real_time(&self) -> bool {
        self.ops.iter().all(|op| op.invoke != NO_EVENT)
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.values.bytes()
            + self.kinds.capacity()
            + self.functions.capacity() * 2
            + self.processes.capacity() * 4
            + self.inputs.capacity() * 8
            + self.times.capacity() * 8
            + self.lines.capacity() * 4
            + self.ops.capacity() * size_of::<Op>()
            + self.errors.capacity() * 16
    }
}

/// Builds a [`History`] event by event, in file order.
#[derive(Debug, Default)]
pub struct Builder {
    history: History,
    name_ids: BTreeMap<Box<str>, u16>,
    process_ids: hashbrown::HashMap<ValueId, u32, rustc_hash::FxBuildHasher>,
}

impl Builder {
    /// An empty history.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// The arena, to make the values of the next events in.
    pub fn values(&mut self) -> &mut Values {
        &mut self.history.values
    }

    /// Facts about the whole file.
    pub fn meta(&mut self) -> &mut Meta {
        &mut self.history.meta
    }

    /// Interns a function's name.
    pub fn name(&mut self, f: &str) -> u16 {
        if let Some(&id) = self.name_ids.get(f) {
            return id;
        }
        let id = u16::try_from(self.history.names.len()).expect("more than 65,536 function names in one history");
        self.history.names.push(f.into());
        self.name_ids.insert(f.into(), id);
        id
    }

    /// Appends an event and returns its index.
    pub fn push(&mut self, event: Event) -> u32 {
        let process = self.process(event.process);
        let h = &mut self.history;
        let index = u32::try_from(h.kinds.len()).expect("more than 2^32 events in one history");
        h.kinds.push(event.kind);
        h.functions.push(event.f);
        h.processes.push(process.0);
        h.inputs.push(event.value);
        h.times.push(event.time);
        h.lines.push(event.line);
        index
    }

    /// Notes the `:error` of the event just pushed.
    pub fn error(&mut self, event: u32, error: ValueId) {
        self.history.errors.push((event, error));
    }

    /// Notes the node that a process talks to.
    pub fn node(&mut self, process: ValueId, node: &str) {
        let process = self.process(process);
        self.history.process_nodes[process.0 as usize].get_or_insert_with(|| node.into());
    }

    /// A shorthand for tests and generators: makes the event's parts and pushes it.
    pub fn event(&mut self, process: i64, kind: Kind, f: &str, value: &Value, time: i64) -> u32 {
        let process = self.values().int(process);
        let value = self.values().insert(value);
        let f = self.name(f);
        self.push(Event { process, kind, f, value, time, line: 0 })
    }

    fn process(&mut self, name: ValueId) -> Process {
        let h = &mut self.history;
        let next = h.process_names.len() as u32;
        let id = *self.process_ids.entry(name).or_insert(next);
        if id == next {
            let is_client = h.values.name(name) != "nemesis";
            h.process_names.push(name);
            h.process_is_client.push(is_client);
            h.process_nodes.push(None);
        }
        Process(id)
    }

    /// Pairs invocations with completions. Events that do not pair are kept as [`History::misuses`]: a completion without an
    /// invocation is an op by itself; an op that is still in flight when its process invokes again is of unknown outcome.
    pub fn finish(self) -> History {
        let mut h = self.history;
        let mut open = vec![None::<usize>; h.process_names.len()];
        let mut crashed = vec![false; h.process_names.len()];
        h.errors.sort_unstable_by_key(|e| e.0);
        for event in 0..h.kinds.len() as u32 {
            let process = h.processes[event as usize] as usize;
            if !h.process_is_client[process] {
                continue;
            }
            let mut misuse = |kind| h.misuses.push(Misuse { event, kind });
            match (h.kinds[event as usize], open[process]) {
                (Kind::Invoke, in_flight) => {
                    if in_flight.is_some() {
                        misuse(MisuseKind::TwoOpsAtOnce);
                    } else if crashed[process] {
                        misuse(MisuseKind::GoesOnAfterInfo);
                    }
                    crashed[process] = false;
                    open[process] = Some(h.ops.len());
                    h.ops.push(Op { invoke: event, complete: NO_EVENT });
                }
                (kind, Some(op)) => {
                    if h.functions[h.ops[op].invoke as usize] != h.functions[event as usize] {
                        misuse(MisuseKind::OtherFunction);
                    }
                    h.ops[op].complete = event;
                    open[process] = None;
                    crashed[process] = kind == Kind::Info;
                }
                (_, None) => {
                    misuse(MisuseKind::CompletionWithoutInvocation);
                    h.ops.push(Op { invoke: NO_EVENT, complete: event });
                }
            }
        }
        h
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_and_misuses() {
        let mut b = Builder::new();
        b.event(0, Kind::Invoke, "write", &Value::Int(1), 10);
        b.event(1, Kind::Invoke, "read", &Value::Nil, 20);
        b.event(1, Kind::Ok, "read", &Value::Int(1), 30);
        b.event(0, Kind::Info, "write", &Value::Str("timeout".into()), 40);
        b.event(1, Kind::Invoke, "read", &Value::Nil, 50);
        b.event(1, Kind::Invoke, "read", &Value::Nil, 60);
        b.event(2, Kind::Ok, "read", &Value::Nil, 70);
        let h = b.finish();
        let outcomes: Vec<Outcome> = h.ops().iter().map(|&op| h.outcome(op)).collect();
        assert_eq!(outcomes, [Outcome::Info, Outcome::Ok, Outcome::Info, Outcome::Info, Outcome::Ok]);
        assert_eq!(h.values.get(h.input(h.ops()[0])), Value::Int(1));
        let misuses: Vec<MisuseKind> = h.misuses().iter().map(|m| m.kind).collect();
        assert_eq!(misuses, [MisuseKind::TwoOpsAtOnce, MisuseKind::CompletionWithoutInvocation]);
    }
}

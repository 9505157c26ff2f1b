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

    /// The kind that a word used in files names.
    pub fn of(name: &str) -> Option<Kind> {
        match name {
            "invoke" => Some(Kind::Invoke),
            "ok" => Some(Kind::Ok),
            "fail" => Some(Kind::Fail),
            "info" => Some(Kind::Info),
            _ => None,
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

/// Everything that a history knows of one event.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// invoke, ok, fail or info.
    pub kind: Kind,
    /// The function.
    pub f: &'a str,
    /// The name of the process in the file; nil where it has none.
    pub process: ValueId,
    /// The argument or the result.
    pub value: ValueId,
    /// Nanoseconds.
    pub time: Option<i64>,
    /// Why it failed, or why nobody knows.
    pub error: Option<ValueId>,
    /// The node the process talks to.
    pub node: Option<&'a str>,
    /// The thread that runs the process.
    pub thread: Option<u32>,
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
    /// The line of an event that was still being written when its writer was killed, and that is left out.
    pub torn_line: Option<u32>,
    /// Fields of events that mean nothing to this program and were passed over, in order of appearance.
    pub passed_over: Vec<Box<str>>,
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
    process_threads: Vec<Option<u32>>,
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

    /// Whether any event has an `:error`.
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
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

    /// The thread that runs a process, where the file says so: a thread goes on as a new process after an `info`.
    pub fn thread(&self, process: Process) -> Option<u32> {
        self.process_threads[process.0 as usize]
    }

    /// Whether the file records processes. Where it does not, all ops are of one process named nil, and no session order
    /// holds between them.
    pub fn has_processes(&self) -> bool {
        !self.process_names.iter().any(|name| name.is_nil())
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

    /// The first difference to another history in what a file can hold (lines of the file and the order of interning aside),
    /// for people; `None` if they say the same.
    pub fn difference(&self, other: &History) -> Option<String> {
        if self.len() != other.len() {
            return Some(format!("{} events, {} events", self.len(), other.len()));
        }
        if self.meta.keyed != other.meta.keyed {
            return Some(format!("keyed {:?}, {:?}", self.meta.keyed, other.meta.keyed));
        }
        // Equal values have equal words in an arena that holds both histories' values.
        let (mut both, mut words) = (Values::new(), [Vec::new(), Vec::new()]);
        for (history, words) in [self, other].into_iter().zip(&mut words) {
            both.absorb(&history.values, words);
        }
        (0..self.len() as u32).find_map(|event| {
            let (mine, theirs) = (self.row(event), other.row(event));
            let values = |row: &Row<'_>, words: &[ValueId]| {
                [Some(row.process), Some(row.value), row.error].map(|value| value.map(|value| value.translated(words)))
            };
            let same_values = values(&mine, &words[0]) == values(&theirs, &words[1]);
            let rest = |row: &Row<'_>| (row.kind, row.f.to_owned(), row.time, row.node.map(str::to_owned), row.thread);
            if same_values && rest(&mine) == rest(&theirs) {
                return None;
            }
            let shown = |h: &History, row: &Row<'_>| {
                let value = |id| h.values.display(id);
                format!(
                    "{} {} {} {} {:?} error {:?} node {:?} thread {:?}",
                    value(row.process),
                    row.kind.name(),
                    row.f,
                    value(row.value),
                    row.time,
                    row.error.map(value),
                    row.node,
                    row.thread
                )
            };
            Some(format!("event {event}: {} against {}", shown(self, &mine), shown(other, &theirs)))
        })
    }

    /// Everything that is known of an event.
    pub fn row(&self, event: u32) -> Row<'_> {
        let process = self.process(event);
        Row {
            kind: self.kind(event),
            f: self.name(self.function(event)),
            process: self.process_name(process),
            value: self.value(event),
            time: self.time(event),
            error: self.error(event),
            node: self.node(process),
            thread: self.thread(process),
        }
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
    name_ids: hashbrown::HashMap<Box<str>, u16, rustc_hash::FxBuildHasher>,
    process_ids: hashbrown::HashMap<ValueId, u32, rustc_hash::FxBuildHasher>,
    /// The nemesis's process under its one name, whatever the file calls it.
    nemesis: Option<Process>,
}

/// The name of the nemesis's process.
const NEMESIS: &str = "nemesis";
/// How many events there may be before more are refused: what one piece of input can hold surely fits on top.
const ROOM: usize = (u32::MAX - (1 << 27)) as usize;
/// Function names looked for one by one before the table is asked: histories have few.
const FEW_NAMES: usize = 4;

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

    /// The number of events so far.
    pub fn len(&self) -> usize {
        self.history.len()
    }

    /// Whether there is no event yet.
    pub fn is_empty(&self) -> bool {
        self.history.is_empty()
    }

    /// Whether one more event fits: event and value numbers are 32 bits wide.
    pub(crate) fn has_room(&self) -> bool {
        self.history.len() < ROOM && self.history.values.has_room()
    }

    /// Interns a function's name.
    ///
    /// # Panics
    /// If there are more than 65,536: readers ask [`Builder::try_name`].
    pub fn name(&mut self, f: &str) -> u16 {
        self.try_name(f).expect("at most 65,536 function names in one history")
    }

    /// Interns a function's name; `None` if there are 65,536 others.
    pub fn try_name(&mut self, f: &str) -> Option<u16> {
        let names = &self.history.names;
        if let Some(id) = names.iter().take(FEW_NAMES).position(|name| **name == *f) {
            return Some(id as u16);
        }
        if let Some(&id) = self.name_ids.get(f) {
            return Some(id);
        }
        let id = u16::try_from(names.len()).ok()?;
        self.history.names.push(f.into());
        self.name_ids.insert(f.into(), id);
        Some(id)
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

    /// Notes the node that a process talks to. The first note stands.
    pub fn node(&mut self, process: ValueId, node: &str) {
        let process = self.process(process);
        self.history.process_nodes[process.0 as usize].get_or_insert_with(|| node.into());
    }

    /// Notes the node that a process talks to, by a value of the arena: its text, or its notation if it has none.
    pub fn node_value(&mut self, process: ValueId, node: ValueId) {
        let process = self.process(process);
        let History { values, process_nodes, .. } = &mut self.history;
        process_nodes[process.0 as usize].get_or_insert_with(|| match values.name(node) {
            "" => values.display(node).into(),
            name => name.into(),
        });
    }

    /// Notes the thread that runs a process. The first note stands.
    pub fn thread(&mut self, process: ValueId, thread: u32) {
        let process = self.process(process);
        self.history.process_threads[process.0 as usize].get_or_insert(thread);
    }

    /// Notes a field of an event that means nothing to us.
    pub fn passed_over(&mut self, field: &str) {
        let fields = &mut self.history.meta.passed_over;
        let field = &field[..field.floor_char_boundary(FIELD_NAME_MAX)];
        if fields.len() < PASSED_OVER_MAX && !fields.iter().any(|name| **name == *field) {
            fields.push(field.into());
        }
    }

    /// A shorthand for tests and generators: makes the event's parts and pushes it.
    pub fn event(&mut self, process: i64, kind: Kind, f: &str, value: &Value, time: i64) -> u32 {
        let process = self.values().int(process);
        let value = self.values().insert(value);
        let f = self.name(f);
        self.push(Event { process, kind, f, value, time, line: 0 })
    }

    /// Appends everything that another builder holds, whose lines are counted from `lines_before`. `false`: more distinct
    /// functions or events than fit.
    pub(crate) fn absorb(&mut self, part: &Builder, lines_before: u32, words: &mut Vec<ValueId>) -> bool {
        let other = &part.history;
        if !self.has_room() {
            return false;
        }
        let first_event = self.history.len() as u32;
        self.history.values.absorb(&other.values, words);
        let mut functions = Vec::with_capacity(other.names.len());
        for name in &other.names {
            let Some(id) = self.try_name(name) else { return false };
            functions.push(id);
        }
        let processes: Vec<u32> = other.process_names.iter().map(|name| self.process(name.translated(words)).0).collect();
        for (part_process, &process) in processes.iter().enumerate() {
            if let (node @ None, Some(other)) = (&mut self.history.process_nodes[process as usize], &other.process_nodes[part_process]) {
                *node = Some(other.clone());
            }
            if let (thread @ None, other) = (&mut self.history.process_threads[process as usize], other.process_threads[part_process]) {
                *thread = other;
            }
        }
        for field in &other.meta.passed_over {
            self.passed_over(field);
        }
        let h = &mut self.history;
        h.meta.keyed = h.meta.keyed.or(other.meta.keyed);
        h.kinds.extend_from_slice(&other.kinds);
        h.functions.extend(other.functions.iter().map(|&f| functions[f as usize]));
        h.processes.extend(other.processes.iter().map(|&p| processes[p as usize]));
        h.inputs.extend(other.inputs.iter().map(|value| value.translated(words)));
        h.times.extend_from_slice(&other.times);
        h.lines.extend(other.lines.iter().map(|line| line + lines_before));
        h.errors.extend(other.errors.iter().map(|&(event, error)| (event + first_event, error.translated(words))));
        true
    }

    /// Forgets everything, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        let h = &mut self.history;
        h.values.clear();
        h.meta = Meta::default();
        h.names.clear();
        h.kinds.clear();
        h.functions.clear();
        h.processes.clear();
        h.inputs.clear();
        h.times.clear();
        h.lines.clear();
        h.process_names.clear();
        h.process_is_client.clear();
        h.process_nodes.clear();
        h.process_threads.clear();
        h.errors.clear();
        self.name_ids.clear();
        self.process_ids.clear();
        self.nemesis = None;
    }

    fn process(&mut self, name: ValueId) -> Process {
        if let Some(&id) = self.process_ids.get(&name) {
            return Process(id);
        }
        self.new_process(name)
    }

    #[cold]
    fn new_process(&mut self, name: ValueId) -> Process {
        let h = &mut self.history;
        let is_nemesis = h.values.name(name) == NEMESIS;
        if let (true, Some(nemesis)) = (is_nemesis, self.nemesis) {
            self.process_ids.insert(name, nemesis.0);
            return nemesis;
        }
        let process = Process(h.process_names.len() as u32);
        let shown = if is_nemesis { h.values.keyword(NEMESIS) } else { name };
        h.process_names.push(shown);
        h.process_is_client.push(!is_nemesis);
        h.process_nodes.push(None);
        h.process_threads.push(None);
        self.process_ids.insert(name, process.0);
        if is_nemesis {
            self.nemesis = Some(process);
        }
        process
    }

    /// Pairs invocations with completions. Events that do not pair are kept as [`History::misuses`]: an `ok` or `fail` without
    /// an invocation is an op by itself (an `info` is none: it claims nothing); an op that is still in flight when its process
    /// invokes again is of unknown outcome. Files that hold completions only misuse nothing, they just know no real time.
    pub fn finish(self) -> History {
        let mut h = self.history;
        h.errors.sort_unstable_by_key(|e| e.0);
        let mut pairing = Pairing::new(&h);
        for event in 0..h.kinds.len() as u32 {
            if h.process_is_client[h.processes[event as usize] as usize] {
                pairing.event(&h, event);
            }
        }
        let Pairing { ops, mut misuses, .. } = pairing;
        if ops.iter().all(|op| op.invoke == NO_EVENT) {
            misuses.retain(|m| m.kind != MisuseKind::CompletionWithoutInvocation);
        }
        h.ops = ops;
        h.misuses = misuses;
        h
    }
}

/// How many names of passed-over fields are kept.
const PASSED_OVER_MAX: usize = 64;
/// How many bytes are kept of each.
const FIELD_NAME_MAX: usize = 100;

/// Finds the ops of a history, event by event.
struct Pairing {
    ops: Vec<Op>,
    misuses: Vec<Misuse>,
    /// By process: the op in flight.
    open: Vec<Option<u32>>,
    /// By process: whether its last op ended `info`.
    crashed: Vec<bool>,
    /// By function: the ops in flight of the nameless process of files without processes, where nothing but the function
    /// tells which completion belongs to which invocation.
    nameless: Vec<Vec<u32>>,
}

impl Pairing {
    fn new(h: &History) -> Pairing {
        let processes = h.process_names.len();
        Pairing {
            ops: Vec::new(),
            misuses: Vec::new(),
            open: vec![None; processes],
            crashed: vec![false; processes],
            nameless: vec![Vec::new(); h.names.len()],
        }
    }

    fn event(&mut self, h: &History, event: u32) {
        let process = h.processes[event as usize] as usize;
        let (kind, f) = (h.kinds[event as usize], h.functions[event as usize]);
        let is_nameless = h.process_names[process].is_nil();
        if kind == Kind::Invoke {
            let op = self.ops.len() as u32;
            self.ops.push(Op { invoke: event, complete: NO_EVENT });
            if is_nameless {
                self.nameless[f as usize].push(op);
                return;
            }
            if self.open[process].replace(op).is_some() {
                self.misuse(event, MisuseKind::TwoOpsAtOnce);
            } else if std::mem::take(&mut self.crashed[process]) {
                self.misuse(event, MisuseKind::GoesOnAfterInfo);
            }
            return;
        }
        let open = if is_nameless { self.nameless[f as usize].pop() } else { self.open[process].take() };
        let Some(op) = open else {
            self.misuse(event, MisuseKind::CompletionWithoutInvocation);
            if kind != Kind::Info {
                self.ops.push(Op { invoke: NO_EVENT, complete: event });
            }
            return;
        };
        let op = &mut self.ops[op as usize];
        op.complete = event;
        if h.functions[op.invoke as usize] != f {
            self.misuse(event, MisuseKind::OtherFunction);
        }
        self.crashed[process] = kind == Kind::Info;
    }

    fn misuse(&mut self, event: u32, kind: MisuseKind) {
        self.misuses.push(Misuse { event, kind });
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

//! A history as these models see it: sessions of ops in program order, and for every read the op whose value it returned.
//!
//! * A **session** is a process. After an op of unknown outcome whatever follows is a new session, under the same name or not.
//! * An **op** reads and writes keys in one step. Of several writes of one key in a transaction the last one counts; a read
//!   after a write of its own transaction returns that write's value and says nothing of others.
//! * **Reads-from** is resolved by value, so values must be unique per key. A value written twice, or written although it is
//!   the initial one, leaves reads of it without a known source: they are ignored and [`Execution::doubts`] says so. Whatever
//!   is wrong without them is wrong with them (each model here allows every history from which reads, or writes together with
//!   all reads of them, were removed), so `invalid` stands and only `valid` is withheld.
//! * An **op of unknown outcome** has happened if somebody who has happened read it. Otherwise it is left out. That loses
//!   nothing: nobody read it, and it is the last of its session, so in every order that explains the history with it, the
//!   same order without it is legal and keeps all that the model asks for; and an order that explains the history without it
//!   is an explanation too, as it need never have happened.

use super::decode::{Micro, Rules};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use histories::{History, OpId, Outcome, ValueId};
use rustc_hash::FxBuildHasher;

/// The source of a read that returned what a key holds at first.
pub(crate) const INITIAL: u32 = u32::MAX;
/// Written more than once.
const SEVERAL: u32 = u32::MAX - 1;

type FxMap<K, V> = HashMap<K, V, FxBuildHasher>;

/// A read of a key from another op, or of its initial value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) key: u32,
    /// The node that wrote the value, or [`INITIAL`].
    pub(crate) source: u32,
}

/// Something that no order explains, whatever the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Impossible {
    /// A value that nobody wrote, though a failed op may have tried.
    ThinAir { read: OpId, key: ValueId, value: ValueId, failed: Option<OpId> },
    /// A value that its transaction replaced before it ended.
    Intermediate { read: OpId, writer: OpId, key: ValueId, value: ValueId },
    /// A transaction that does not read what it wrote itself.
    OwnWrite { read: OpId, key: ValueId, value: ValueId },
    /// A transaction that reads what it writes only later.
    Future { read: OpId, key: ValueId, value: ValueId },
    /// A transaction that reads two values of one key.
    TwoValues { read: OpId, key: ValueId, value: ValueId },
}

/// See the module. Nodes are ops, numbered session by session in program order.
#[derive(Debug, Default)]
pub(crate) struct Execution {
    /// The op of each node.
    pub(crate) ops: Vec<OpId>,
    /// The session of each node.
    pub(crate) session: Vec<u32>,
    /// The first node of each session, and the number of nodes.
    pub(crate) starts: Vec<u32>,
    read_starts: Vec<u32>,
    reads: Vec<Read>,
    write_starts: Vec<u32>,
    /// The keys that each node writes.
    writes: Vec<u32>,
    /// The names of the keys.
    pub(crate) keys: Vec<ValueId>,
    /// The first thing that no order explains.
    pub(crate) impossible: Option<Impossible>,
    /// Why the history may be invalid although this execution is not, in sentences.
    pub(crate) doubts: Vec<String>,
}

impl Execution {
    /// What it holds for each op of a history of plain ops, while it is made.
    pub(crate) const BYTES_PER_OP: usize = 120;

    /// Nodes and their sessions only: for the procedures on orders.
    pub(crate) fn of_sessions(session: Vec<u32>, starts: Vec<u32>) -> Execution {
        Execution { ops: (0..session.len() as u32).map(OpId).collect(), session, starts, ..Execution::default() }
    }

    /// Ops.
    pub(crate) fn len(&self) -> usize {
        self.ops.len()
    }

    /// Sessions.
    pub(crate) fn sessions(&self) -> usize {
        self.starts.len() - 1
    }

    /// The nodes of a session.
    pub(crate) fn nodes(&self, session: usize) -> std::ops::Range<u32> {
        self.starts[session]..self.starts[session + 1]
    }

    /// The op before, in its session.
    pub(crate) fn previous(&self, node: u32) -> Option<u32> {
        (node > self.starts[self.session[node as usize] as usize]).then(|| node - 1)
    }

    /// What a node read from others.
    pub(crate) fn reads(&self, node: u32) -> &[Read] {
        &self.reads[self.read_starts[node as usize] as usize..self.read_starts[node as usize + 1] as usize]
    }

    /// The keys that a node wrote.
    pub(crate) fn writes(&self, node: u32) -> &[u32] {
        &self.writes[self.write_starts[node as usize] as usize..self.write_starts[node as usize + 1] as usize]
    }

    /// The nodes that a node read from.
    pub(crate) fn sources(&self, node: u32) -> impl Iterator<Item = u32> + Clone + '_ {
        self.reads(node).iter().map(|read| read.source).filter(|&source| source != INITIAL)
    }

    /// Whether every op is one read or one write.
    pub(crate) fn is_plain(&self) -> bool {
        (0..self.len() as u32).all(|node| self.reads(node).len() + self.writes(node).len() <= 1)
    }

    /// The same with these nodes only (sorted), and without reads of what the others wrote.
    pub(crate) fn restricted(&self, nodes: &[u32]) -> Execution {
        let mut part = Execution { keys: self.keys.clone(), read_starts: vec![0], write_starts: vec![0], ..Execution::default() };
        let mut last = u32::MAX;
        for (at, &node) in nodes.iter().enumerate() {
            let session = self.session[node as usize];
            if session != last {
                part.starts.push(at as u32);
                last = session;
            }
            part.ops.push(self.ops[node as usize]);
            part.session.push(part.starts.len() as u32 - 1);
            for read in self.reads(node) {
                let source = if read.source == INITIAL { Ok(INITIAL) } else { nodes.binary_search(&read.source).map(|at| at as u32) };
                part.reads.extend(source.ok().map(|source| Read { source, ..*read }));
            }
            part.writes.extend_from_slice(self.writes(node));
            part.read_starts.push(part.reads.len() as u32);
            part.write_starts.push(part.writes.len() as u32);
        }
        part.starts.push(nodes.len() as u32);
        part
    }

    /// Reads a history. Linear in its micro-ops.
    ///
    /// # Errors
    /// The first op that is neither read nor write, and why.
    pub(crate) fn new(history: &History, rules: &Rules<'_>) -> Result<Execution, (OpId, String)> {
        let raw = Raw::new(history, rules)?;
        Ok(raw.finish(history, rules))
    }
}

/// An op that may have happened.
#[derive(Clone, Copy, Debug)]
struct RawOp {
    id: OpId,
    session: u32,
    is_done: bool,
    reads: (u32, u32),
    writes: (u32, u32),
}

#[derive(Debug, Default)]
struct Raw {
    ops: Vec<RawOp>,
    sessions: usize,
    /// Reads from others: key and value.
    reads: Vec<(u32, ValueId)>,
    /// Last writes: key and value.
    writes: Vec<(u32, ValueId)>,
    /// Values that their own transaction replaced.
    passing: FxMap<(u32, ValueId), u32>,
    keys: Vec<ValueId>,
    key_ids: FxMap<ValueId, u32>,
    /// With the op's position.
    impossible: Vec<(usize, Impossible)>,
}

impl Raw {
    fn new(history: &History, rules: &Rules<'_>) -> Result<Raw, (OpId, String)> {
        let mut raw = Raw::default();
        let mut session_of = vec![u32::MAX; history.process_count()];
        let has_processes = history.has_processes();
        let mut micros = Vec::new();
        let mut own = FxMap::default();
        for id in history.op_ids() {
            let op = history.op(id);
            micros.clear();
            rules.decode(history, id, &mut micros).map_err(|why| (id, why))?;
            let is_done = history.outcome(op) == Outcome::Ok;
            let process = history.op_process(op).0 as usize;
            if !micros.is_empty() && (is_done || micros.iter().any(|micro| micro.is_write)) {
                if session_of[process] == u32::MAX || !has_processes {
                    session_of[process] = raw.sessions as u32;
                    raw.sessions += 1;
                }
                raw.push(id, session_of[process], is_done, &micros, &mut own);
            }
            if history.outcome(op) == Outcome::Info {
                session_of[process] = u32::MAX;
            }
        }
        Ok(raw)
    }

    fn key(&mut self, name: ValueId) -> u32 {
        let next = self.keys.len() as u32;
        match self.key_ids.entry(name) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                entry.insert(next);
                self.keys.push(name);
                next
            }
        }
    }

    fn push(&mut self, id: OpId, session: u32, is_done: bool, micros: &[Micro], own: &mut FxMap<u32, (usize, ValueId)>) {
        let (first_read, first_write) = (self.reads.len(), self.writes.len());
        own.clear();
        for micro in micros {
            let key = self.key(micro.key);
            let known = own.get(&key).copied();
            match (micro.is_write, known) {
                (true, Some((at, replaced))) => {
                    self.writes[at].1 = micro.value;
                    own.insert(key, (at, micro.value));
                    self.passing.insert((key, replaced), self.ops.len() as u32);
                }
                (true, None) => {
                    own.insert(key, (self.writes.len(), micro.value));
                    self.writes.push((key, micro.value));
                }
                (false, Some((_, value))) if value != micro.value => {
                    self.impossible.push((self.ops.len(), Impossible::OwnWrite { read: id, key: micro.key, value: micro.value }));
                }
                (false, Some(_)) => {}
                (false, None) => self.reads.push((key, micro.value)),
            }
        }
        self.reads[first_read..].sort_unstable();
        let two_values = self.reads[first_read..].windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1);
        if let Some(&[_, (key, value)]) = two_values {
            self.impossible.push((self.ops.len(), Impossible::TwoValues { read: id, key: self.keys[key as usize], value }));
        }
        let span = |first: usize, all: usize| (first as u32, all as u32);
        let (reads, writes) = (span(first_read, self.reads.len()), span(first_write, self.writes.len()));
        self.ops.push(RawOp { id, session, is_done, reads, writes });
    }

    /// Who wrote each value last in an op of its own.
    fn writers(&self) -> FxMap<(u32, ValueId), u32> {
        let mut writers = FxMap::with_capacity_and_hasher(self.writes.len(), FxBuildHasher);
        for (at, op) in self.ops.iter().enumerate() {
            for &write in &self.writes[op.writes.0 as usize..op.writes.1 as usize] {
                writers.entry(write).and_modify(|writer| *writer = SEVERAL).or_insert(at as u32);
            }
        }
        writers
    }

    fn finish(mut self, history: &History, rules: &Rules<'_>) -> Execution {
        let writers = self.writers();
        let initial = self.initial(history, rules);
        let source = |read: &(u32, ValueId)| match writers.get(read) {
            Some(_) if initial == Some(read.1) && !rules.initial_may_be_written => Some(SEVERAL),
            Some(&writer) => Some(writer),
            None if initial == Some(read.1) => Some(INITIAL),
            None => None,
        };
        let sources: Vec<Option<u32>> = self.reads.iter().map(source).collect();
        let happened = self.happened(&sources);
        let mut doubts = Vec::new();
        if !history.has_processes() {
            doubts.push("it records no processes, so nobody knows which operations were of one session".into());
        }
        if rules.unjudged_failure(history).is_some() {
            let why = "a failed cas is taken as having found another value, which neither reads nor writes say (--failed-cas drop \
                       ignores it; --consistency sequential judges it)";
            doubts.push(why.into());
        }
        let mut unclear = None;
        let mut sourceless = None;
        for (at, op) in self.ops.iter().enumerate().filter(|(at, _)| happened[*at]) {
            for read in op.reads.0..op.reads.1 {
                let (key, value) = self.reads[read as usize];
                match sources[read as usize] {
                    Some(SEVERAL) => unclear = unclear.or(Some((key, value))),
                    Some(writer) if writer as usize == at => {
                        self.impossible.push((at, Impossible::Future { read: op.id, key: self.keys[key as usize], value }));
                    }
                    Some(_) => {}
                    None => sourceless = sourceless.or(Some((at, key, value))),
                }
            }
        }
        if let Some((at, key, value)) = sourceless {
            self.impossible.push((at, self.sourceless(history, rules, at, key, value)));
        }
        if let Some((key, value)) = unclear {
            let name = self.keys[key as usize];
            let of = if name.is_nil() { String::new() } else { format!(" of key {}", history.values.display(name)) };
            let value = history.values.display(value);
            doubts.push(format!("the value {value}{of} was stored more than once and read, so nobody knows whose value was read"));
        }
        let mut execution = self.lay_out(&sources, &happened);
        execution.doubts = doubts;
        execution.impossible = self.impossible.iter().filter(|(at, _)| happened[*at]).min_by_key(|(at, _)| *at).map(|found| found.1);
        execution.keys = self.keys;
        execution
    }

    /// The history's word for the initial value, if it is read or written there.
    fn initial(&self, history: &History, rules: &Rules<'_>) -> Option<ValueId> {
        match &rules.initial {
            histories::Value::Nil => Some(ValueId::NIL),
            histories::Value::Int(i) if ValueId::small_int(*i).is_some() => ValueId::small_int(*i),
            other => self.reads.iter().map(|read| read.1).find(|&value| history.values.get(value) == *other),
        }
    }

    /// The ops that are done, and those that they read from, and so on.
    fn happened(&self, sources: &[Option<u32>]) -> Vec<bool> {
        let mut happened: Vec<bool> = self.ops.iter().map(|op| op.is_done).collect();
        let mut todo: Vec<u32> = (0..self.ops.len() as u32).filter(|&at| happened[at as usize]).collect();
        while let Some(at) = todo.pop() {
            let (from, to) = self.ops[at as usize].reads;
            for source in sources[from as usize..to as usize].iter().flatten().filter(|source| **source < SEVERAL) {
                if !std::mem::replace(&mut happened[*source as usize], true) {
                    todo.push(*source);
                }
            }
        }
        happened
    }

    /// What is wrong with a read of a value that no op left behind.
    fn sourceless(&self, history: &History, rules: &Rules<'_>, at: usize, key: u32, value: ValueId) -> Impossible {
        let (read, name) = (self.ops[at].id, self.keys[key as usize]);
        if let Some(&writer) = self.passing.get(&(key, value)) {
            return Impossible::Intermediate { read, writer: self.ops[writer as usize].id, key: name, value };
        }
        let failed = history.op_ids().filter(|&id| history.outcome(history.op(id)) == Outcome::Fail).find(|&id| {
            let mut micros = Vec::new();
            rules.attempted(history, id, &mut micros).is_ok()
                && micros.iter().any(|micro| micro.is_write && micro.key == name && micro.value == value)
        });
        Impossible::ThinAir { read, key: name, value, failed }
    }

    /// The ops that happened, session by session.
    fn lay_out(&self, sources: &[Option<u32>], happened: &[bool]) -> Execution {
        let kept = |at: usize| happened[at];
        let mut starts = vec![0u32; self.sessions + 1];
        for op in self.ops.iter().enumerate().filter(|(at, _)| kept(*at)).map(|(_, op)| op) {
            starts[op.session as usize + 1] += 1;
        }
        for session in 0..self.sessions {
            starts[session + 1] += starts[session];
        }
        let mut next = starts.clone();
        let mut node_of = vec![u32::MAX; self.ops.len()];
        let mut order = vec![0usize; starts[self.sessions] as usize];
        for (at, op) in self.ops.iter().enumerate().filter(|(at, _)| kept(*at)) {
            node_of[at] = next[op.session as usize];
            order[node_of[at] as usize] = at;
            next[op.session as usize] += 1;
        }
        let mut execution = Execution { starts, read_starts: vec![0], write_starts: vec![0], ..Execution::default() };
        for at in order {
            let op = self.ops[at];
            execution.ops.push(op.id);
            execution.session.push(op.session);
            let first = execution.reads.len();
            let span = op.reads.0 as usize..op.reads.1 as usize;
            for (&(key, _), &source) in self.reads[span.clone()].iter().zip(&sources[span]) {
                let found = match source {
                    Some(INITIAL) => Read { key, source: INITIAL },
                    Some(writer) if writer < SEVERAL => Read { key, source: node_of[writer as usize] },
                    _ => continue,
                };
                if !execution.reads[first..].last().is_some_and(|last| *last == found) {
                    execution.reads.push(found);
                }
            }
            execution.writes.extend(self.writes[op.writes.0 as usize..op.writes.1 as usize].iter().map(|write| write.0));
            execution.read_starts.push(execution.reads.len() as u32);
            execution.write_starts.push(execution.writes.len() as u32);
        }
        execution
    }
}

impl Impossible {
    /// The op that read it.
    pub(crate) fn reader(&self) -> OpId {
        match *self {
            Impossible::ThinAir { read, .. }
            | Impossible::Intermediate { read, .. }
            | Impossible::OwnWrite { read, .. }
            | Impossible::Future { read, .. }
            | Impossible::TwoValues { read, .. } => read,
        }
    }
}

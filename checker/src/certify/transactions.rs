//! Orders and cycles of transactions, derived again from the history alone.
//!
//! An order is run: on the objects themselves for serial orders and snapshots, by the definition of Biswas and Enea for what is
//! weaker. Of a cycle each edge is looked up: who wrote the value that was read, where it stands in the longest list, which op had
//! completed before.

use super::{FxMap, FxSet};
use crate::options::{NilRead, Options};
use crate::transactions::anomaly::Anomaly;
use crate::transactions::isolation::{Isolation, Keeps};
use crate::verdict::EdgeKind;
use histories::{History, OpId, Outcome, Value, ValueId};

/// An edge of a cycle, with the key that it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) from: OpId,
    pub(crate) to: OpId,
    pub(crate) kind: EdgeKind,
    pub(crate) key: Option<ValueId>,
    pub(crate) reader: Option<OpId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum F {
    Read,
    Write,
}

type Part = (F, ValueId, ValueId);

/// A history as its lines say it.
pub(crate) struct Transcript<'a> {
    history: &'a History,
    is_lists: bool,
    skip_nil: bool,
    initial: Option<Value>,
    initial_may_be_written: bool,
    /// Every write of a value of a key.
    writes: FxMap<(ValueId, ValueId), Vec<OpId>>,
    /// The longest list that was read of each key.
    longest: FxMap<ValueId, &'a [ValueId]>,
    /// The transactions of unknown outcome of which a committed one has seen a write.
    seen: FxSet<OpId>,
}

impl<'a> Transcript<'a> {
    pub(crate) fn new(history: &'a History, options: &Options, is_lists: bool) -> Transcript<'a> {
        let of_sessions = matches!(history.meta.format, "awdit" | "plume" | "dbcop");
        let zero = of_sessions.then_some(Value::Int(0));
        let mut all = Transcript {
            history,
            is_lists,
            skip_nil: options.nil_read == Some(NilRead::Wildcard),
            initial: options.initial.clone().or(zero).filter(|value| *value != Value::Nil),
            initial_may_be_written: of_sessions && options.initial.is_none(),
            writes: FxMap::default(),
            longest: FxMap::default(),
            seen: FxSet::default(),
        };
        for op in history.op_ids() {
            for (f, key, value) in all.parts(op) {
                if f == F::Write {
                    all.writes.entry((key, value)).or_default().push(op);
                } else if is_lists {
                    let list = all.list(value);
                    let longest = all.longest.entry(key).or_insert(&[]);
                    if list.len() > longest.len() {
                        *longest = list;
                    }
                }
            }
        }
        all.see();
        all
    }

    fn see(&mut self) {
        let mut seen = Vec::new();
        for (key, list) in &self.longest {
            seen.extend(list.iter().filter_map(|&value| self.writer(*key, value)));
        }
        if !self.is_lists {
            for op in self.history.op_ids() {
                seen.extend(self.reads(op).into_iter().filter_map(|(key, value, _)| self.writer(key, value)));
            }
        }
        self.seen = seen.into_iter().collect();
    }

    fn outcome(&self, op: OpId) -> Outcome {
        self.history.outcome(self.history.op(op))
    }

    fn happened(&self, op: OpId) -> bool {
        self.outcome(op) == Outcome::Ok || self.outcome(op) == Outcome::Info && self.seen.contains(&op)
    }

    fn list(&self, value: ValueId) -> &'a [ValueId] {
        self.history.values.elements(value).unwrap_or(&[])
    }

    /// What a transaction did. Reads of those that are not ok say nothing.
    fn parts(&self, op: OpId) -> Vec<Part> {
        let (history, values) = (self.history, &self.history.values);
        let of = history.op(op);
        let is_ok = self.outcome(op) == Outcome::Ok;
        let value = history.output(of).unwrap_or(history.input(of));
        let f = history.name(history.op_function(of));
        let part = |f: &str, key: ValueId, value: ValueId| {
            let is_nothing = values.elements(value).is_some_and(<[ValueId]>::is_empty);
            match f {
                "r" | "read" if !is_ok || self.skip_nil && value.is_nil() => None,
                "r" | "read" => Some((F::Read, key, if is_nothing { ValueId::NIL } else { value })),
                _ => Some((F::Write, key, value)),
            }
        };
        if f != "txn"
            && let Some((key, value)) = values.as_pair(value)
            && !f.is_empty()
            && matches!(f, "r" | "read" | "w" | "write" | "append")
        {
            return part(f, key, value).into_iter().collect();
        }
        let parts = values.elements(value).unwrap_or(&[]).iter();
        let parts = parts.filter_map(|&micro| match *values.elements(micro)? {
            [f, key, value] => part(values.name(f), key, value),
            [f, key] => part(values.name(f), key, ValueId::NIL),
            _ => None,
        });
        parts.collect()
    }

    /// The external reads: key, and the value; of lists the last element, nil if there is none; and the place among the parts.
    fn reads(&self, op: OpId) -> Vec<(ValueId, ValueId, usize)> {
        let parts = self.parts(op);
        let mut reads = Vec::new();
        for (at, &(f, key, value)) in parts.iter().enumerate().filter(|(_, part)| part.0 == F::Read) {
            let own = parts[..at].iter().filter(|part| part.0 == F::Write && part.1 == key).count();
            match (self.is_lists, own) {
                (true, _) => {
                    let list = self.list(value);
                    let base = &list[..list.len().saturating_sub(own)];
                    reads.push((key, base.last().copied().unwrap_or(ValueId::NIL), at));
                }
                (false, 0) => reads.push((key, value, at)),
                (false, _) => {}
            }
            debug_assert!(f == F::Read);
        }
        reads
    }

    /// The list that a read found, without what the transaction had appended itself.
    fn base(&self, op: OpId, at: usize) -> &'a [ValueId] {
        let parts = self.parts(op);
        let Some(&(_, key, value)) = parts.get(at) else { return &[] };
        let own = parts[..at].iter().filter(|part| part.0 == F::Write && part.1 == key).count();
        let list = self.list(value);
        &list[..list.len().saturating_sub(own)]
    }

    /// Who wrote a value, if it was one transaction, and one that did not fail.
    fn writer(&self, key: ValueId, value: ValueId) -> Option<OpId> {
        match self.writes.get(&(key, value))?[..] {
            [op] if self.outcome(op) != Outcome::Fail && !self.is_initial(key, value) => Some(op),
            _ => None,
        }
    }

    fn is_initial(&self, key: ValueId, value: ValueId) -> bool {
        if self.is_lists {
            return value.is_nil();
        }
        if self.initial_may_be_written && self.writes.contains_key(&(key, value)) {
            return false;
        }
        self.initial.as_ref().map_or(value.is_nil(), |initial| self.history.values.get(value) == *initial)
    }

    fn writes_key(&self, op: OpId, key: ValueId) -> bool {
        self.parts(op).iter().any(|part| part.0 == F::Write && part.1 == key)
    }

    /// Whether a transaction read a key from another.
    fn read_from(&self, reader: OpId, key: ValueId, writer: OpId) -> bool {
        reader != writer && self.reads(reader).iter().any(|read| read.0 == key && self.writer(key, read.1) == Some(writer))
    }

    /// Whether each edge is there, they make a circle, and the level forbids such a one.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn cycle(&self, level: Isolation, claims: &[Claim]) -> Result<(), String> {
        if claims.is_empty() {
            return Err("a cycle has edges".into());
        }
        for (at, claim) in claims.iter().enumerate() {
            if claim.to != claims[(at + 1) % claims.len()].from {
                return Err("the edges make no circle".into());
            }
            if !self.happened(claim.from) || !self.happened(claim.to) {
                return Err("a transaction of the cycle need not have happened".into());
            }
            let from_reads = level == Isolation::ReadUncommitted && !self.is_lists;
            if from_reads || !allows(level, claim.kind) || !self.edge(level, claim) {
                return Err(format!("an edge of the cycle is not there ({:?})", claim.kind));
            }
        }
        let is_replaced = |at: usize| claims[at % claims.len()].kind == EdgeKind::Replaced;
        if is_snapshot(level) && (0..claims.len()).any(|at| is_replaced(at) && is_replaced(at + 1)) {
            return Err("snapshot isolation allows the cycle".into());
        }
        Ok(())
    }

    fn edge(&self, level: Isolation, claim: &Claim) -> bool {
        let Claim { from, to, kind, key, reader } = *claim;
        let by_key = |holds: &dyn Fn(ValueId) -> bool| key.is_some_and(holds);
        match kind {
            EdgeKind::SessionOrder => {
                let process = |op| self.history.op_process(self.history.op(op));
                process(from) == process(to) && from < to && self.outcome(from) == Outcome::Ok && self.history.has_processes()
            }
            EdgeKind::RealTime => self.outcome(from) == Outcome::Ok && self.history.op(from).complete < self.history.op(to).invoke,
            EdgeKind::ReadsFrom => by_key(&|key| self.read_from(to, key, from)),
            EdgeKind::VersionOrder => by_key(&|key| self.is_before(key, from, to)),
            EdgeKind::Replaced if is_weak(level) => by_key(&|key| {
                let is_initial = self.reads(from).iter().any(|read| read.0 == key && self.is_initial(key, read.1));
                is_initial && self.writes_key(to, key) && self.is_visible(level, to, from, key)
            }),
            EdgeKind::Replaced => by_key(&|key| self.is_replaced(key, from, to)),
            EdgeKind::Forced => by_key(&|key| {
                reader.is_some_and(|reader| {
                    self.writes_key(from, key) && from != to && self.read_from(reader, key, to) && self.is_visible(level, from, reader, key)
                })
            }),
            EdgeKind::Saw | EdgeKind::InitialRead => false,
        }
    }

    /// The values that a transaction appended to a key, if nobody else did.
    fn appended(&self, op: OpId, key: ValueId) -> Vec<ValueId> {
        let own = self.parts(op).into_iter().filter(|part| part.0 == F::Write && part.1 == key).map(|part| part.2);
        own.filter(|&value| self.writes.get(&(key, value)).is_some_and(|writers| writers.len() == 1)).collect()
    }

    fn place(&self, key: ValueId, value: ValueId) -> Option<usize> {
        self.longest.get(&key)?.iter().position(|&element| element == value)
    }

    /// Whether all elements of the longest list have one writer: only then what is not in it comes after it.
    fn is_known(&self, key: ValueId) -> bool {
        let list = self.longest.get(&key).copied().unwrap_or(&[]);
        list.iter().all(|&value| self.writes.get(&(key, value)).is_some_and(|writers| writers.len() == 1))
    }

    fn is_before(&self, key: ValueId, from: OpId, to: OpId) -> bool {
        if from == to {
            return false;
        }
        if !self.is_lists {
            return self.read_from(to, key, from) && self.writes_key(to, key);
        }
        let first = self.appended(from, key).into_iter().filter_map(|value| self.place(key, value)).min();
        let later = |value: ValueId| self.place(key, value).map_or_else(|| self.is_known(key), |place| Some(place) > first);
        first.is_some() && self.appended(to, key).into_iter().any(later)
    }

    /// Whether a transaction read a version of the key that comes before one of another.
    fn is_replaced(&self, key: ValueId, reader: OpId, writer: OpId) -> bool {
        if reader == writer {
            return false;
        }
        if !self.is_lists {
            let sources: Vec<ValueId> = self.reads(reader).iter().filter(|read| read.0 == key).map(|read| read.1).collect();
            return self.writes_key(writer, key)
                && sources.iter().any(|&value| {
                    self.is_initial(key, value) || self.writer(key, value).is_some_and(|source| self.read_from(writer, key, source))
                });
        }
        let missed = |value: ValueId, list: &[ValueId]| !list.contains(&value) && (self.place(key, value).is_some() || self.is_known(key));
        let longest = self.longest.get(&key).copied().unwrap_or(&[]);
        let lists: Vec<&[ValueId]> =
            self.parts(reader).iter().filter(|part| part.0 == F::Read && part.1 == key).map(|part| self.list(part.2)).collect();
        let appended = self.appended(writer, key);
        lists.iter().any(|list| longest.starts_with(list) && appended.iter().any(|&value| missed(value, list)))
    }

    /// Whether a writer is visible to a read of the key by a reader.
    fn is_visible(&self, level: Isolation, writer: OpId, reader: OpId, key: ValueId) -> bool {
        let reads = self.reads(reader);
        match level {
            Isolation::StrongSessionReadCommitted => {
                let last = reads.iter().filter(|read| read.0 == key).map(|read| read.2).max();
                reads.iter().any(|read| Some(read.2) < last && self.writer(read.0, read.1) == Some(writer))
            }
            Isolation::ReadAtomic => self.precedes(writer, reader, false),
            _ => self.precedes(writer, reader, true),
        }
    }

    /// Whether one comes before another by session order and reads, in one step or in many.
    fn precedes(&self, from: OpId, to: OpId, in_many: bool) -> bool {
        let mut seen: FxSet<OpId> = FxSet::default();
        let mut open = vec![to];
        while let Some(at) = open.pop() {
            let read = self.reads(at).into_iter().filter_map(|(key, value, _)| self.writer(key, value));
            let session = self.history.op_ids().take(at.0 as usize).filter(|&op| self.follows_in_session(op, at));
            for before in read.chain(session).filter(|&before| before != at) {
                if before == from {
                    return true;
                }
                if in_many && seen.insert(before) {
                    open.push(before);
                }
            }
        }
        false
    }

    fn follows_in_session(&self, op: OpId, later: OpId) -> bool {
        let process = |op| self.history.op_process(self.history.op(op));
        self.history.has_processes() && op < later && process(op) == process(later) && self.outcome(op) == Outcome::Ok
    }
}

fn is_weak(level: Isolation) -> bool {
    matches!(level, Isolation::StrongSessionReadCommitted | Isolation::ReadAtomic | Isolation::TransactionalCausal)
}

fn allows(level: Isolation, kind: EdgeKind) -> bool {
    match kind {
        EdgeKind::SessionOrder => level.keeps() >= Keeps::Sessions,
        EdgeKind::RealTime => level.keeps() == Keeps::RealTime,
        EdgeKind::VersionOrder => true,
        EdgeKind::ReadsFrom => level != Isolation::ReadUncommitted,
        EdgeKind::Replaced => !matches!(level, Isolation::ReadUncommitted | Isolation::ReadCommitted),
        EdgeKind::Forced => is_weak(level),
        EdgeKind::Saw | EdgeKind::InitialRead => false,
    }
}

/// What an order is run on: the lists, or the last writes.
#[derive(Default)]
struct Objects {
    lists: FxMap<ValueId, Vec<ValueId>>,
    values: FxMap<ValueId, ValueId>,
    /// When a key was last committed.
    committed: FxMap<ValueId, usize>,
}

impl Transcript<'_> {
    /// Whether an order explains the history at a level. Under snapshot isolation each transaction stands in it twice: where it
    /// starts, and where it commits.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn order(&self, level: Isolation, order: &[OpId]) -> Result<(), String> {
        let times = match level {
            Isolation::StrongSnapshotIsolation | Isolation::StrongSessionSnapshotIsolation | Isolation::SnapshotIsolation => 2,
            _ => 1,
        };
        let ends = self.ends(order, times)?;
        self.keeps_order(level, &ends)?;
        match level {
            Isolation::StrictSerializable
            | Isolation::StrongSessionSerializable
            | Isolation::Serializable
            | Isolation::RepeatableRead
            | Isolation::StrongSnapshotIsolation
            | Isolation::StrongSessionSnapshotIsolation
            | Isolation::SnapshotIsolation => self.run(order, &ends),
            Isolation::TransactionalCausal
            | Isolation::ReadAtomic
            | Isolation::StrongSessionReadCommitted
            | Isolation::ReadCommitted
            | Isolation::ReadUncommitted => self.explains(level, order, &ends),
        }
    }

    /// Where each transaction starts and commits: those that are ok are there, those that failed are not.
    fn ends(&self, order: &[OpId], times: usize) -> Result<FxMap<OpId, (usize, usize)>, String> {
        let mut ends: FxMap<OpId, (usize, usize)> = FxMap::default();
        let mut counts: FxMap<OpId, usize> = FxMap::default();
        for (at, &op) in order.iter().enumerate() {
            ends.entry(op).and_modify(|ends| ends.1 = at).or_insert((at, at));
            *counts.entry(op).or_default() += 1;
        }
        for op in self.history.op_ids() {
            let count = counts.get(&op).copied().unwrap_or(0);
            let fits = match self.outcome(op) {
                Outcome::Ok => count == times,
                Outcome::Fail => count == 0,
                Outcome::Info => count == 0 || count == times,
            };
            if !fits {
                return Err(format!("a transaction stands {count} times in the order"));
            }
        }
        Ok(ends)
    }

    fn keeps_order(&self, level: Isolation, ends: &FxMap<OpId, (usize, usize)>) -> Result<(), String> {
        let history = self.history;
        if level.keeps() >= Keeps::Sessions && history.has_processes() {
            let mut last: FxMap<u32, OpId> = FxMap::default();
            for op in history.op_ids().filter(|op| ends.contains_key(op)) {
                let process = history.op_process(history.op(op)).0;
                if last.get(&process).is_some_and(|before| ends[before].1 >= ends[&op].0) {
                    return Err("the order breaks that of a session".into());
                }
                if self.outcome(op) == Outcome::Ok {
                    last.insert(process, op);
                }
            }
        }
        if level.keeps() == Keeps::RealTime {
            // Backwards from the last start: nothing later may have completed before what started earlier was invoked.
            let mut events: Vec<(usize, OpId)> = ends.iter().flat_map(|(&op, ends)| [(ends.0 * 2, op), (ends.1 * 2 + 1, op)]).collect();
            events.sort_unstable();
            let mut first_end = u32::MAX;
            for (at, op) in events.into_iter().rev() {
                if at % 2 == 0 && history.op(op).invoke > first_end {
                    return Err("the order breaks that of real time".into());
                }
                if at % 2 == 1 && self.outcome(op) == Outcome::Ok {
                    first_end = first_end.min(history.op(op).complete);
                }
            }
        }
        Ok(())
    }

    /// Runs the order on the objects.
    fn run(&self, order: &[OpId], ends: &FxMap<OpId, (usize, usize)>) -> Result<(), String> {
        let mut objects = Objects::default();
        for (at, op) in order.iter().enumerate() {
            let (start, commit) = ends[op];
            let parts = self.parts(*op);
            if at == start {
                self.reads_right(&parts, &objects)?;
            }
            if at == commit {
                for &(_, key, value) in parts.iter().filter(|part| part.0 == F::Write) {
                    if objects.committed.get(&key).is_some_and(|&before| before > start && before != at) {
                        return Err("two transactions write a key at the same time".into());
                    }
                    objects.committed.insert(key, at);
                    if self.is_lists {
                        objects.lists.entry(key).or_default().push(value);
                    } else {
                        objects.values.insert(key, value);
                    }
                }
            }
        }
        Ok(())
    }

    fn reads_right(&self, parts: &[Part], objects: &Objects) -> Result<(), String> {
        for (at, &(_, key, value)) in parts.iter().enumerate().filter(|(_, part)| part.0 == F::Read) {
            let own: Vec<ValueId> = parts[..at].iter().filter(|part| part.0 == F::Write && part.1 == key).map(|part| part.2).collect();
            let is_right = if self.is_lists {
                let list = self.list(value);
                let held = objects.lists.get(&key).map_or(&[][..], Vec::as_slice);
                list.len() == held.len() + own.len() && list.starts_with(held) && list.ends_with(&own)
            } else {
                match own.last().or_else(|| objects.values.get(&key)) {
                    Some(&held) => held == value,
                    None => self.is_initial(key, value),
                }
            };
            if !is_right {
                return Err(format!("a read of key {} does not return what it holds then", self.history.values.display(key)));
            }
        }
        Ok(())
    }

    /// Whether a commit order explains the reads, by the definition of the level.
    fn explains(&self, level: Isolation, order: &[OpId], ends: &FxMap<OpId, (usize, usize)>) -> Result<(), String> {
        let mut lists: FxMap<ValueId, Vec<ValueId>> = FxMap::default();
        for &op in order {
            for (_, key, value) in self.parts(op).into_iter().filter(|part| part.0 == F::Write) {
                lists.entry(key).or_default().push(value);
            }
        }
        for &op in order.iter().filter(|&&op| self.outcome(op) == Outcome::Ok) {
            self.own_writes_are_read(op)?;
            for (_, key, value) in self.parts(op).into_iter().filter(|part| self.is_lists && part.0 == F::Read) {
                let failed = |value: &ValueId| {
                    self.writes.get(&(key, *value)).is_some_and(|ops| ops.iter().all(|&op| self.outcome(op) == Outcome::Fail))
                };
                let mut list = self.list(value).to_vec();
                if level == Isolation::ReadUncommitted {
                    list.retain(|value| !failed(value));
                }
                if !lists.get(&key).map_or(&[][..], Vec::as_slice).starts_with(&list) {
                    return Err("a list that was read is no beginning of that of the order".into());
                }
            }
            if level != Isolation::ReadUncommitted {
                self.sources_hold(op, ends)?;
            }
        }
        if is_weak(level) { self.nothing_is_missed(level, order, ends) } else { Ok(()) }
    }

    fn own_writes_are_read(&self, op: OpId) -> Result<(), String> {
        let parts = self.parts(op);
        for (at, &(_, key, value)) in parts.iter().enumerate().filter(|(_, part)| part.0 == F::Read) {
            let own: Vec<ValueId> = parts[..at].iter().filter(|part| part.0 == F::Write && part.1 == key).map(|part| part.2).collect();
            let is_right = if self.is_lists { self.list(value).ends_with(&own) } else { own.last().is_none_or(|&own| own == value) };
            if !is_right {
                return Err("a transaction does not read what it wrote".into());
            }
        }
        Ok(())
    }

    /// Of each external read: the source is committed, final and earlier.
    fn sources_hold(&self, reader: OpId, ends: &FxMap<OpId, (usize, usize)>) -> Result<(), String> {
        for (key, value, _) in self.reads(reader) {
            match self.writer(key, value) {
                Some(source) => {
                    let last = self.parts(source).into_iter().rfind(|part| part.0 == F::Write && part.1 == key).map(|part| part.2);
                    let is_earlier = ends.get(&source).is_some_and(|source| source.0 < ends[&reader].0);
                    if source == reader || !is_earlier || last != Some(value) {
                        return Err("a read does not come after what it read".into());
                    }
                }
                None if self.is_initial(key, value) => {}
                None => return Err("nobody knows who wrote what was read".into()),
            }
        }
        Ok(())
    }

    /// That no read misses a writer that is visible to it: none of those comes after the one that was read from.
    fn nothing_is_missed(&self, level: Isolation, order: &[OpId], ends: &FxMap<OpId, (usize, usize)>) -> Result<(), String> {
        let mut past = Past::new(self, level, order)?;
        for &reader in order {
            let reads = self.reads(reader);
            let sources: Vec<Option<OpId>> = reads.iter().map(|read| self.writer(read.0, read.1)).collect();
            past.enter(self, reader, &sources);
            for (at, &(key, ..)) in reads.iter().enumerate() {
                let visible = match level {
                    Isolation::StrongSessionReadCommitted => self.last_of(&sources[..at], key, ends),
                    Isolation::ReadAtomic => self.last_of(&sources, key, ends).max(past.in_session(self, reader, key)),
                    _ => past.before(reader, key),
                };
                if visible > sources[at].map(|source| ends[&source].0 + 1) {
                    return Err("a read misses a write that is visible".into());
                }
                let repeats = reads.iter().zip(&sources).any(|(other, source)| other.0 == key && *source != sources[at]);
                if repeats && level != Isolation::StrongSessionReadCommitted {
                    return Err("a transaction reads two versions of a key".into());
                }
            }
            past.leave(self, reader, ends);
        }
        Ok(())
    }

    /// The last of those that write a key: its place in the order, from 1.
    fn last_of(&self, sources: &[Option<OpId>], key: ValueId, ends: &FxMap<OpId, (usize, usize)>) -> Option<usize> {
        sources.iter().flatten().filter(|&&source| self.writes_key(source, key)).map(|source| ends[source].0 + 1).max()
    }
}

/// What has gone before, while the transactions are gone through in their commit order.
struct Past {
    is_causal: bool,
    /// The row of each process; a transaction of unknown outcome has one of its own.
    row_of: FxMap<OpId, u32>,
    rows: usize,
    /// By row and key: places in the row, each with the last place in the order of the writers up to there, from 1.
    writers: FxMap<(u32, ValueId), Vec<(u32, usize)>>,
    rows_of_key: FxMap<ValueId, Vec<u32>>,
    /// How many of each row have been gone through.
    lengths: Vec<u32>,
    /// Of each transaction how many of each row it comes after, if that is looked at.
    clocks: FxMap<OpId, Vec<u32>>,
    last: FxMap<u32, OpId>,
}

/// Numbers in all clocks together.
const CLOCKS_MAX: usize = 1 << 28;

impl Past {
    fn new(all: &Transcript<'_>, level: Isolation, order: &[OpId]) -> Result<Past, String> {
        let (mut row_of, mut rows) = (FxMap::default(), 0);
        let mut of_process: FxMap<u32, u32> = FxMap::default();
        for &op in order {
            let process = all.history.op_process(all.history.op(op)).0;
            let is_part = all.outcome(op) == Outcome::Ok && all.history.has_processes();
            let row = if is_part { *of_process.entry(process).or_insert(rows) } else { rows };
            rows = rows.max(row + 1);
            row_of.insert(op, row);
        }
        let is_causal = level == Isolation::TransactionalCausal;
        if is_causal && (rows as usize).saturating_mul(order.len()) > CLOCKS_MAX {
            return Err("there are too many sessions to look at the order again".into());
        }
        let rows = rows as usize;
        Ok(Past {
            is_causal,
            row_of,
            rows,
            writers: FxMap::default(),
            rows_of_key: FxMap::default(),
            lengths: vec![0; rows],
            clocks: FxMap::default(),
            last: FxMap::default(),
        })
    }

    /// The last transaction of the process that is part of a transaction's past.
    fn previous(&self, all: &Transcript<'_>, op: OpId) -> Option<OpId> {
        let process = all.history.op_process(all.history.op(op)).0;
        self.last.get(&process).copied().filter(|_| all.history.has_processes())
    }

    fn enter(&mut self, all: &Transcript<'_>, op: OpId, sources: &[Option<OpId>]) {
        if !self.is_causal {
            return;
        }
        let mut clock = vec![0; self.rows];
        for before in sources.iter().flatten().copied().chain(self.previous(all, op)) {
            let Some(known) = self.clocks.get(&before) else { continue };
            clock.iter_mut().zip(known).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
        }
        self.clocks.insert(op, clock);
    }

    /// Where the last writer of a key among all that causally come before is, from 1.
    fn before(&self, op: OpId, key: ValueId) -> Option<usize> {
        let clock = self.clocks.get(&op)?;
        let rows = self.rows_of_key.get(&key)?;
        rows.iter().filter_map(|&row| self.last_up_to(row, key, clock[row as usize])).max()
    }

    fn last_up_to(&self, row: u32, key: ValueId, length: u32) -> Option<usize> {
        let writers = self.writers.get(&(row, key))?;
        let seen = writers.partition_point(|writer| writer.0 < length);
        writers[..seen].last().map(|writer| writer.1)
    }

    /// Where the last writer of a key in the session so far is, from 1.
    fn in_session(&self, all: &Transcript<'_>, op: OpId, key: ValueId) -> Option<usize> {
        let row = self.row_of[&self.previous(all, op)?];
        self.last_up_to(row, key, u32::MAX)
    }

    fn leave(&mut self, all: &Transcript<'_>, op: OpId, ends: &FxMap<OpId, (usize, usize)>) {
        let row = self.row_of[&op];
        let place = self.lengths[row as usize];
        self.lengths[row as usize] += 1;
        for (_, key, _) in all.parts(op).into_iter().filter(|part| part.0 == F::Write) {
            let of_row = self.writers.entry((row, key)).or_default();
            if of_row.is_empty() {
                self.rows_of_key.entry(key).or_default().push(row);
            }
            if of_row.last().is_none_or(|last| last.0 != place) {
                of_row.push((place, ends[&op].0 + 1));
            }
        }
        if let Some(clock) = self.clocks.get_mut(&op) {
            clock[row as usize] = place + 1;
        }
        if all.outcome(op) == Outcome::Ok {
            self.last.insert(all.history.op_process(all.history.op(op)).0, op);
        }
    }
}

/// An anomaly that needs no cycle, as it is claimed.
#[derive(Clone, Debug)]
pub(crate) struct Impossible {
    pub(crate) anomaly: Anomaly,
    pub(crate) key: ValueId,
    /// What was read, or the element that matters.
    pub(crate) value: ValueId,
    /// The reader, and the writers that it concerns.
    pub(crate) ops: Vec<OpId>,
}

/// So many transactions are put in every order, as far as there are not too many ways.
const ENUMERATED_MAX: usize = 32;

impl Transcript<'_> {
    /// Whether the anomaly is there.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn finding(&self, claim: &Impossible) -> Result<(), String> {
        let Some(&reader) = claim.ops.first() else { return Err("nobody read it".into()) };
        if self.outcome(reader) == Outcome::Ok && self.shows(reader, claim) {
            return Ok(());
        }
        Err(format!("{} is not there", claim.anomaly.name()))
    }

    fn shows(&self, reader: OpId, claim: &Impossible) -> bool {
        let &Impossible { anomaly, key, value, .. } = claim;
        let parts = self.parts(reader);
        let read: Vec<(usize, ValueId)> =
            parts.iter().enumerate().filter(|(_, part)| part.0 == F::Read && part.1 == key).map(|(at, part)| (at, part.2)).collect();
        let has =
            |value: ValueId| read.iter().any(|&(_, read)| if self.is_lists { self.list(read).contains(&value) } else { read == value });
        let own = |at: usize| parts[..at].iter().filter(|part| part.0 == F::Write && part.1 == key).map(|part| part.2).collect::<Vec<_>>();
        let only = |value: ValueId| match self.writes.get(&(key, value)).map(Vec::as_slice) {
            Some(&[op]) => Some(op),
            _ => None,
        };
        let is_failed = |value: ValueId| only(value).is_some_and(|op| self.outcome(op) == Outcome::Fail);
        match anomaly {
            Anomaly::GarbageRead => has(value) && !self.writes.contains_key(&(key, value)) && !self.is_initial(key, value),
            Anomaly::CyclicVersions => only(value).is_some_and(|writer| {
                let own = self.parts(writer).into_iter().filter(|part| part.0 == F::Write && part.1 == key).map(|part| part.2);
                let before: Vec<ValueId> = own.take_while(|&own| own != value).collect();
                let is_missed = |list: &[ValueId]| {
                    let place = list.iter().position(|&element| element == value);
                    place.is_some_and(|place| before.iter().any(|earlier| !list[..place].contains(earlier)))
                };
                self.outcome(writer) != Outcome::Fail && read.iter().any(|&(_, list)| is_missed(self.list(list)))
            }),
            Anomaly::LostUpdate => {
                let sources = |op: OpId| self.reads(op).into_iter().filter(|read| read.0 == key).map(|read| read.1).collect::<Vec<_>>();
                let is_known = |value: ValueId| self.is_initial(key, value) || self.writer(key, value).is_some();
                let is_same = |other: OpId| {
                    let (mine, others) = (sources(reader), sources(other));
                    self.outcome(other) == Outcome::Ok && mine.iter().any(|&value| is_known(value) && others.contains(&value))
                };
                let mut others = claim.ops.iter().filter(|&&other| other != reader);
                self.writes_key(reader, key) && others.any(|&other| self.writes_key(other, key) && is_same(other))
            }
            Anomaly::DuplicateElements if only(value).is_none() => false,
            Anomaly::DuplicateElements => {
                read.iter().any(|&(_, list)| self.list(list).iter().filter(|&&element| element == value).count() > 1)
            }
            Anomaly::G1a => has(value) && is_failed(value),
            Anomaly::G1b => {
                let writer = only(value).filter(|&writer| writer != reader);
                let last = writer.and_then(|writer| self.parts(writer).into_iter().rfind(|part| part.0 == F::Write && part.1 == key));
                last.is_some_and(|last| last.2 != value) && self.reads(reader).iter().any(|read| read.0 == key && read.1 == value)
            }
            Anomaly::DirtyUpdate => read.iter().any(|&(_, list)| {
                let list = self.list(list);
                let at = list.iter().position(|&element| element == value);
                let is_committed = only(value).is_some_and(|op| self.outcome(op) != Outcome::Fail);
                is_committed && at.is_some_and(|at| list[..at].iter().any(|&element| is_failed(element)))
            }),
            Anomaly::IncompatibleOrder => read.iter().any(|&(_, list)| {
                let longest = self.longest.get(&key).copied().unwrap_or(&[]);
                list == value && !longest.starts_with(self.list(list))
            }),
            Anomaly::Internal => read.iter().any(|&(at, read)| {
                let own = own(at);
                read == value && if self.is_lists { !self.list(read).ends_with(&own) } else { own.last().is_some_and(|&own| own != read) }
            }),
            Anomaly::Repeated => {
                let base = |&(at, read): &(usize, ValueId)| {
                    let list = self.list(read);
                    let own = own(at);
                    if self.is_lists { list[..list.len().saturating_sub(own.len())].to_vec() } else { vec![read] }
                };
                let external: Vec<_> = read.iter().filter(|read| self.is_lists || own(read.0).is_empty()).map(base).collect();
                external.windows(2).any(|pair| pair[0] != pair[1])
            }
            Anomaly::FutureRead => read.iter().any(|&(at, read)| {
                let mut later = parts[at..].iter().filter(|part| part.0 == F::Write && part.1 == key);
                read == value
                    && later.any(|later| {
                        only(later.2) == Some(reader) && if self.is_lists { self.list(read).contains(&later.2) } else { later.2 == read }
                    })
            }),
            Anomaly::Cycle(_) | Anomaly::NonmonotonicRead | Anomaly::FracturedRead | Anomaly::CausalityViolation | Anomaly::NoOrder => {
                false
            }
        }
    }

    /// Whether no order of these transactions explains from whom each read: every way of starting and committing them is
    /// followed. Two that write a key do not overlap.
    ///
    /// # Errors
    /// There is one, or there are too many.
    pub(crate) fn has_no_order(&self, level: Isolation, ops: &[OpId]) -> Result<(), String> {
        if ops.len() > ENUMERATED_MAX || ops.iter().any(|&op| !self.happened(op)) {
            return Err(format!("no order of {} transactions was found, and they are too many to try each again", ops.len()));
        }
        let runs = self.runs(level, ops);
        let mut seen: FxSet<Run> = FxSet::default();
        let mut open = vec![Run { started: 0, committed: 0, versions: Vec::new() }];
        while let Some(run) = open.pop() {
            if run.committed.count_ones() as usize == ops.len() {
                return Err("there is an order".into());
            }
            if seen.len() > RUNS_MAX {
                return Err("there are too many orders to try each again".into());
            }
            for next in (0..ops.len()).filter_map(|at| runs.goes_on(&run, at)) {
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        Ok(())
    }

    fn runs(&self, level: Isolation, ops: &[OpId]) -> Runs {
        // What others wrote is left out: an order of all is one of these.
        let writer = |key: ValueId, value: ValueId| {
            let writer = self.writer(key, value)?;
            ops.iter().position(|&other| other == writer)
        };
        let reads = |&op: &OpId| {
            let expected = |(key, value, at): (ValueId, ValueId, usize)| {
                let mut writers: Vec<usize> = match self.is_lists {
                    true if self.is_known(key) => self.base(op, at).iter().filter_map(|&value| writer(key, value)).collect(),
                    false if self.is_initial(key, value) => Vec::new(),
                    false => vec![writer(key, value)?],
                    true => return None,
                };
                writers.dedup();
                Some((key, writers))
            };
            self.reads(op).into_iter().filter_map(expected).collect()
        };
        let writes = |&op: &OpId| self.parts(op).into_iter().filter(|part| part.0 == F::Write).map(|part| part.1).collect();
        let before = |&op: &OpId| {
            let is_before = |other: OpId| {
                let in_session = level.keeps() >= Keeps::Sessions && self.follows_in_session(other, op);
                let in_time = level.keeps() == Keeps::RealTime
                    && self.outcome(other) == Outcome::Ok
                    && self.history.op(other).complete < self.history.op(op).invoke;
                in_session || in_time
            };
            ops.iter().enumerate().filter(|(_, other)| is_before(**other)).fold(0, |mask, (at, _)| mask | 1 << at)
        };
        Runs {
            is_snapshot: is_snapshot(level),
            is_lists: self.is_lists,
            reads: ops.iter().map(reads).collect(),
            writes: ops.iter().map(writes).collect(),
            before: ops.iter().map(before).collect(),
        }
    }
}

/// So many states of runs are looked at.
const RUNS_MAX: usize = 300_000;

/// Who has started, who has committed, and who wrote each key: of lists all, of registers the last.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Run {
    started: u32,
    committed: u32,
    versions: Vec<(ValueId, Vec<usize>)>,
}

/// What each transaction reads from whom, writes, and comes after.
struct Runs {
    is_snapshot: bool,
    is_lists: bool,
    reads: Vec<Vec<(ValueId, Vec<usize>)>>,
    writes: Vec<Vec<ValueId>>,
    before: Vec<u32>,
}

impl Runs {
    /// The next step of a transaction, if it can make one.
    fn goes_on(&self, run: &Run, at: usize) -> Option<Run> {
        let me = 1_u32 << at;
        if run.committed & me != 0 {
            return None;
        }
        let mut next = run.clone();
        if run.started & me == 0 {
            let version = |key: ValueId| run.versions.iter().find(|version| version.0 == key).map_or(&[][..], |version| &version.1);
            if self.before[at] & !run.committed != 0 || self.reads[at].iter().any(|(key, writers)| version(*key) != writers) {
                return None;
            }
            next.started |= me;
            if self.is_snapshot {
                return Some(next);
            }
        }
        let is_open = |other: usize| other != at && next.started & !next.committed & 1 << other != 0;
        let is_shared = |other: usize| self.writes[other].iter().any(|key| self.writes[at].contains(key));
        if (0..self.writes.len()).any(|other| is_open(other) && is_shared(other)) {
            return None;
        }
        next.committed |= me;
        let mut keys = self.writes[at].clone();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            if self.is_missed(&next, key, at) {
                return None;
            }
            match next.versions.iter_mut().find(|version| version.0 == key) {
                Some((_, writers)) if self.is_lists => writers.push(at),
                Some((_, writers)) => *writers = vec![at],
                None => next.versions.push((key, vec![at])),
            }
        }
        next.versions.sort_unstable();
        Some(next)
    }
}

impl Runs {
    /// Whether one that has not started still has to read what is there now, before a transaction adds to it or replaces it: what
    /// was there does not come back.
    fn is_missed(&self, run: &Run, key: ValueId, writer: usize) -> bool {
        let version = run.versions.iter().find(|version| version.0 == key).map_or(&[][..], |version| &version.1);
        let waits = |reader: usize| reader != writer && run.started & 1 << reader == 0;
        (0..self.reads.len()).any(|reader| waits(reader) && self.reads[reader].iter().any(|read| read.0 == key && read.1 == version))
    }
}

fn is_snapshot(level: Isolation) -> bool {
    matches!(level, Isolation::SnapshotIsolation | Isolation::StrongSessionSnapshotIsolation | Isolation::StrongSnapshotIsolation)
}

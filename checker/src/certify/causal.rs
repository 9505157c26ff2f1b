//! The second look at answers of models weaker than linearizable.
//!
//! As `certify` does for linearizability: the ops are read out of the history again, by what they say and nothing else, and
//! nothing is shared with the procedures that decide. A witness is replayed op by op on a map from keys to values, and what it must
//! keep is checked in it. A contradiction is established on its few ops alone, by the closure of what must come before what,
//! written down from the definitions.

use crate::Consistency;
use crate::budget::{Account, Limit};
use crate::causal::decode::{Micro, Rules};
use crate::certify::order::Refused;
use crate::verdict::{Edge, EdgeKind, SessionView};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use histories::{History, OpId, Outcome, ValueId};
use rayon::prelude::*;
use rustc_hash::FxBuildHasher;
use std::ops::Range;

#[cfg(test)]
mod tests;

type FxMap<K, V> = HashMap<K, V, FxBuildHasher>;

/// No op, or none yet.
const NONE: u32 = u32::MAX;
/// The initial value was read.
const INITIAL: u32 = u32::MAX - 1;
/// A value was read that several ops left, or an op left although it is the initial one.
const SEVERAL: u32 = u32::MAX - 2;
/// A value was read that nobody left.
const NOBODY: u32 = u32::MAX - 3;

struct Op {
    id: OpId,
    session: u32,
    /// The number of its session's ops before it.
    position: u32,
    is_done: bool,
    steps: (u32, u32),
    reads: (u32, u32),
    writes: (u32, u32),
}

/// A read or write of a key, which has a number.
#[derive(Clone, Copy)]
struct Step {
    is_write: bool,
    key: u32,
    value: ValueId,
}

/// A read of a key that its op had not written itself: the op whose value it returned, or one of the words above.
#[derive(Clone, Copy)]
struct Seen {
    key: u32,
    source: u32,
}

/// The ops of a history, as the definitions see them.
pub(crate) struct Claims<'a> {
    history: &'a History,
    rules: &'a Rules<'a>,
    ops: Vec<Op>,
    steps: Vec<Step>,
    reads: Vec<Seen>,
    /// The keys in which ops leave values.
    writes: Vec<u32>,
    keys: usize,
    sessions: Vec<Vec<u32>>,
    /// The place of each op of the history among the ops.
    places: Vec<u32>,
}

impl<'a> Claims<'a> {
    /// What it holds for each op of a history of plain ops, while it is made.
    pub(crate) const BYTES_PER_OP: usize = 160;

    /// Reads the ops. Those that cannot be decoded were refused before.
    pub(crate) fn new(history: &'a History, rules: &'a Rules<'a>) -> Claims<'a> {
        let mut claims = Claims {
            history,
            rules,
            ops: Vec::with_capacity(history.ops().len()),
            steps: Vec::with_capacity(history.ops().len()),
            reads: Vec::new(),
            writes: Vec::new(),
            keys: 0,
            sessions: Vec::new(),
            places: vec![NONE; history.ops().len()],
        };
        let mut open: Vec<u32> = vec![NONE; history.process_count()];
        let mut keys: FxMap<ValueId, u32> = FxMap::default();
        let has_processes = history.has_processes();
        let mut micros = Vec::new();
        for id in history.op_ids() {
            let op = history.op(id);
            let outcome = history.outcome(op);
            let process = history.op_process(op).0 as usize;
            micros.clear();
            if rules.decode(history, id, &mut micros).is_err() {
                continue;
            }
            if !micros.is_empty() {
                if open[process] == NONE {
                    open[process] = claims.sessions.len() as u32;
                    claims.sessions.push(Vec::new());
                }
                claims.push(id, open[process], outcome == Outcome::Ok, &micros, &mut keys);
            }
            if outcome == Outcome::Info || !has_processes {
                open[process] = NONE;
            }
        }
        claims.keys = keys.len();
        claims.find_sources();
        claims
    }

    fn push(&mut self, id: OpId, session: u32, is_done: bool, micros: &[Micro], keys: &mut FxMap<ValueId, u32>) {
        let first = self.steps.len() as u32;
        for &Micro { is_write, key, value } in micros {
            let next = keys.len() as u32;
            self.steps.push(Step { is_write, key: *keys.entry(key).or_insert(next), value });
        }
        let at = self.ops.len() as u32;
        self.places[id.0 as usize] = at;
        let own = &mut self.sessions[session as usize];
        let position = own.len() as u32;
        own.push(at);
        let steps = (first, self.steps.len() as u32);
        self.ops.push(Op { id, session, position, is_done, steps, reads: (0, 0), writes: (0, 0) });
    }

    /// What each op leaves in which keys, and from whom it read.
    fn find_sources(&mut self) {
        let mut writer: FxMap<(u32, ValueId), u32> = FxMap::with_capacity_and_hasher(self.steps.len(), FxBuildHasher);
        for at in 0..self.ops.len() {
            let first = self.writes.len();
            for i in self.step_range(at) {
                let Step { is_write, key, value } = self.steps[i];
                let is_last = || !self.steps[i + 1..self.step_range(at).end].iter().any(|later| later.is_write && later.key == key);
                if is_write && is_last() {
                    self.writes.push(key);
                    match writer.entry((key, value)) {
                        Entry::Occupied(mut entry) => *entry.get_mut() = SEVERAL,
                        Entry::Vacant(entry) => {
                            entry.insert(at as u32);
                        }
                    }
                }
            }
            self.ops[at].writes = (first as u32, self.writes.len() as u32);
        }
        for at in 0..self.ops.len() {
            let first = self.reads.len();
            for i in self.step_range(at) {
                let Step { is_write, key, value } = self.steps[i];
                let is_own = || self.steps[self.step_range(at).start..i].iter().any(|earlier| earlier.is_write && earlier.key == key);
                if !is_write && !is_own() {
                    let source = match (writer.get(&(key, value)), self.is_initial(value)) {
                        (Some(&writer), false) => writer,
                        (Some(&writer), true) if self.rules.initial_may_be_written => writer,
                        (Some(_), true) => SEVERAL,
                        (None, true) => INITIAL,
                        (None, false) => NOBODY,
                    };
                    self.reads.push(Seen { key, source });
                }
            }
            self.ops[at].reads = (first as u32, self.reads.len() as u32);
        }
    }

    fn step_range(&self, at: usize) -> Range<usize> {
        self.ops[at].steps.0 as usize..self.ops[at].steps.1 as usize
    }

    fn steps(&self, at: usize) -> &[Step] {
        &self.steps[self.step_range(at)]
    }

    fn reads(&self, at: usize) -> &[Seen] {
        &self.reads[self.ops[at].reads.0 as usize..self.ops[at].reads.1 as usize]
    }

    fn writes(&self, at: usize) -> &[u32] {
        &self.writes[self.ops[at].writes.0 as usize..self.ops[at].writes.1 as usize]
    }

    fn is_initial(&self, value: ValueId) -> bool {
        match &self.rules.initial {
            histories::Value::Nil => value.is_nil(),
            histories::Value::Int(i) if value.as_small_int().is_some() => value.as_small_int() == Some(*i),
            initial => self.history.values.get(value) == *initial,
        }
    }

    fn at(&self, id: OpId) -> Result<usize, String> {
        match self.places.get(id.0 as usize) {
            Some(&at) if at != NONE => Ok(at as usize),
            _ => Err(format!("op {} does not belong here", id.0)),
        }
    }

    fn all_at(&self, ids: &[OpId]) -> Result<Vec<u32>, String> {
        ids.iter().map(|&id| self.at(id).map(|at| at as u32)).collect()
    }

    /// The op whose value was read, `None` if it is the initial one.
    fn source(seen: Seen) -> Result<Option<usize>, String> {
        match seen.source {
            INITIAL => Ok(None),
            SEVERAL => Err("a value that was read was stored more than once".into()),
            NOBODY => Err("a value was read that nobody stored".into()),
            source => Ok(Some(source as usize)),
        }
    }

    /// Whether the views are legal, one for each session that reads, keep what the model asks for, and leave no op out.
    pub(crate) fn views(&self, views: &[SessionView], consistency: Consistency) -> Result<(), String> {
        let found: Vec<(usize, Vec<u32>)> = views.par_iter().map(|view| self.view(view, consistency)).collect::<Result<_, String>>()?;
        if found.windows(2).any(|pair| pair[0].1 != pair[1].1) {
            return Err("an op of unknown outcome happened in one view and not in another".into());
        }
        let mut seen = vec![false; self.sessions.len()];
        for (session, _) in found {
            seen[session] = true;
        }
        let reads = |&at: &u32| self.ops[at as usize].is_done && !self.reads(at as usize).is_empty();
        match (0..seen.len()).find(|&session| !seen[session] && self.sessions[session].iter().any(reads)) {
            Some(session) => Err(format!("session {session} reads and has no view")),
            None => Ok(()),
        }
    }

    /// The session of a view that holds, and the ops of unknown outcome that happened in it.
    fn view(&self, view: &SessionView, consistency: Consistency) -> Result<(usize, Vec<u32>), String> {
        let first = self.at(view.first.ok_or("a view of no session")?)?;
        let session = self.ops[first].session as usize;
        let order = self.all_at(&view.order)?;
        self.legal(&order, session)?;
        self.complete(&order, session, consistency == Consistency::CausalMemory)?;
        self.keeps(&order, session, consistency)?;
        let mut used: Vec<u32> = order.into_iter().filter(|&at| !self.ops[at as usize].is_done).collect();
        used.sort_unstable();
        Ok((session, used))
    }

    /// Whether every read of the session finds its value where it stands.
    fn legal(&self, order: &[u32], session: usize) -> Result<(), String> {
        let mut state: Vec<Option<ValueId>> = vec![None; self.keys];
        for &at in order {
            let is_own = self.ops[at as usize].session as usize == session;
            for step in self.steps(at as usize) {
                let held = &mut state[step.key as usize];
                if step.is_write {
                    *held = Some(step.value);
                } else if is_own && !held.map_or_else(|| self.is_initial(step.value), |held| held == step.value) {
                    return Err(format!("op {} does not find its value where it stands in the view", self.id(at)));
                }
            }
        }
        Ok(())
    }

    /// The number of an op in the history, for messages.
    fn id(&self, at: u32) -> u32 {
        self.ops[at as usize].id.0
    }

    /// Whether an order holds each write that is done, and the session's own ops, or all ops, once.
    fn complete(&self, order: &[u32], session: usize, all: bool) -> Result<(), String> {
        let mut seen = vec![false; self.ops.len()];
        for &at in order {
            if std::mem::replace(&mut seen[at as usize], true) {
                return Err(format!("op {} is in an order twice", self.id(at)));
            }
        }
        let is_needed =
            |at: usize| self.ops[at].is_done && (all || self.ops[at].session as usize == session || !self.writes(at).is_empty());
        match (0..seen.len()).find(|&at| !seen[at] && is_needed(at)) {
            Some(at) => Err(format!("op {} is missing from an order", self.ops[at].id.0)),
            None => Ok(()),
        }
    }

    fn keeps(&self, order: &[u32], session: usize, consistency: Consistency) -> Result<(), String> {
        match consistency {
            Consistency::CausalMemory => {
                self.keeps_sessions(order, |_| true)?;
                self.keeps_reads_from(order, &self.places(order))
            }
            Consistency::Pram => self.keeps_sessions(order, |_| true),
            Consistency::MonotonicWrites => self.keeps_sessions(order, |at| !self.writes(at).is_empty()),
            Consistency::ReadYourWrites => {
                let place = self.places(order);
                // The place after the latest own write.
                let mut latest = 0;
                for &at in &self.sessions[session] {
                    let mine = place[at as usize];
                    if mine != NONE && mine < latest && !self.reads(at as usize).is_empty() {
                        return Err(format!("op {} stands before a write of its own session", self.id(at)));
                    }
                    if mine != NONE && !self.writes(at as usize).is_empty() {
                        latest = latest.max(mine + 1);
                    }
                }
                Ok(())
            }
            Consistency::MonotonicReads => {
                let place = self.places(order);
                let mut latest = 0;
                for &at in &self.sessions[session] {
                    // What did not happen read nothing.
                    if place[at as usize] == NONE {
                        continue;
                    }
                    let reads = self.reads(at as usize);
                    if !reads.is_empty() && place[at as usize] < latest {
                        return Err(format!("op {} stands before a write that its session had read", self.id(at)));
                    }
                    latest = latest.max(Self::latest(reads, &place)?);
                }
                Ok(())
            }
            _ => self.keeps_writes_after_reads(order),
        }
    }

    /// The place after the last of what was read; 0 if none of it is placed.
    fn latest(reads: &[Seen], place: &[u32]) -> Result<u32, String> {
        let mut latest = 0;
        for &seen in reads {
            if let Some(source) = Self::source(seen)?
                && place[source] != NONE
            {
                latest = latest.max(place[source] + 1);
            }
        }
        Ok(latest)
    }

    fn places(&self, order: &[u32]) -> Vec<u32> {
        let mut place = vec![NONE; self.ops.len()];
        for (i, &at) in (0..).zip(order) {
            place[at as usize] = i;
        }
        place
    }

    fn keeps_sessions(&self, order: &[u32], concerns: impl Fn(usize) -> bool) -> Result<(), String> {
        let mut next = vec![0; self.sessions.len()];
        for &at in order.iter().filter(|&&at| concerns(at as usize)) {
            let Op { session, position, id, .. } = self.ops[at as usize];
            if position < next[session as usize] {
                return Err(format!("op {} stands after a later one of its session", id.0));
            }
            next[session as usize] = position + 1;
        }
        Ok(())
    }

    fn keeps_reads_from(&self, order: &[u32], place: &[u32]) -> Result<(), String> {
        for &at in order {
            for &seen in self.reads(at as usize) {
                if let Some(source) = Self::source(seen)?
                    && place[source] >= place[at as usize]
                {
                    return Err(format!("op {} stands before one that it read from", self.id(at)));
                }
            }
        }
        Ok(())
    }

    fn keeps_writes_after_reads(&self, order: &[u32]) -> Result<(), String> {
        let place = self.places(order);
        for session in &self.sessions {
            let mut latest = 0;
            for &at in session.iter().filter(|&&at| self.ops[at as usize].is_done || place[at as usize] != NONE) {
                latest = latest.max(Self::latest(self.reads(at as usize), &place)?);
                if !self.writes(at as usize).is_empty() && place[at as usize] < latest {
                    return Err(format!("op {} stands before a write that its session had read", self.id(at)));
                }
            }
        }
        Ok(())
    }

    /// Whether an order keeps the causal order, and explains every read by its causal past: for `causal-convergence` by the last
    /// write of the key in this order, for `causal` by a write that no other of the key has replaced.
    pub(crate) fn one_order(&self, order: &[OpId], converges: bool) -> Result<(), String> {
        let order = self.all_at(order)?;
        let place = self.places(&order);
        self.complete(&order, 0, true)?;
        self.keeps_sessions(&order, |_| true)?;
        self.keeps_reads_from(&order, &place)?;
        let past = self.past(&order)?;
        let writes = Writes::new(self, &place);
        let count = self.sessions.len();
        let comes_before = |a: u32, b: u32| {
            let Op { session, position, .. } = self.ops[a as usize];
            past[b as usize * count + session as usize] > position
        };
        let mut forced: Vec<(u32, u32)> = Vec::new();
        // How many of each group come before the op that is looked at: along a session they only become more.
        let mut visible = vec![0u32; writes.groups.len()];
        for session in &self.sessions {
            visible.fill(0);
            for &at in session.iter().filter(|&&at| place[at as usize] != NONE) {
                forced.clear();
                for &seen in self.reads(at as usize) {
                    let source = Self::source(seen)?.map(|source| source as u32);
                    for index in writes.groups(seen.key) {
                        let group = &writes.groups[index];
                        let end = past[at as usize * count + group.session as usize];
                        let own = writes.of(group);
                        let until = &mut visible[index];
                        while own.get(*until as usize).is_some_and(|&write| self.ops[write as usize].position < end) {
                            *until += 1;
                        }
                        let Some(&write) = own[..*until as usize].iter().rev().find(|&&write| write != at) else { continue };
                        match source {
                            None => return Err(format!("op {} read an initial value that was replaced", self.id(at))),
                            Some(source) if source == write => {}
                            Some(source) if converges && place[write as usize] > place[source as usize] => {
                                return Err(format!("op {} read what a later write had replaced", self.id(at)));
                            }
                            Some(source) => forced.push((write, source)),
                        }
                    }
                }
                if !converges && !Self::can_all_come_first(&mut forced, comes_before) {
                    return Err(format!("op {} read what another write had replaced", self.id(at)));
                }
            }
        }
        Ok(())
    }

    /// Whether the first of each pair can come before the second, along with the causal order: takes away pairs of which
    /// the second comes before the first of no pair left.
    fn can_all_come_first(left: &mut Vec<(u32, u32)>, comes_before: impl Fn(u32, u32) -> bool) -> bool {
        loop {
            let before = left.len();
            let stays = |pair: (u32, u32)| left.iter().any(|other| pair.1 == other.0 || comes_before(pair.1, other.0));
            let fewer: Vec<(u32, u32)> = left.iter().copied().filter(|&pair| stays(pair)).collect();
            if fewer.len() == before {
                return before == 0;
            }
            *left = fewer;
        }
    }

    /// For each op, how many ops of each session come before it or are it.
    fn past(&self, order: &[u32]) -> Result<Vec<u32>, String> {
        let count = self.sessions.len();
        let mut past = vec![0u32; self.ops.len() * count];
        let mut last = vec![NONE; count];
        for &at in order {
            let Op { session, position, .. } = self.ops[at as usize];
            let previous = std::mem::replace(&mut last[session as usize], at);
            if previous != NONE {
                join(&mut past, count, previous as usize, at as usize);
            }
            for &seen in self.reads(at as usize) {
                if let Some(source) = Self::source(seen)? {
                    join(&mut past, count, source, at as usize);
                }
            }
            past[at as usize * count + session as usize] = position + 1;
        }
        Ok(past)
    }

    /// Whether an op contradicts itself, or read what nobody can have left for it.
    pub(crate) fn is_impossible(&self, id: OpId) -> Result<bool, String> {
        let at = self.at(id)?;
        let mut held: FxMap<u32, ValueId> = FxMap::default();
        for step in self.steps(at) {
            let known = held.insert(step.key, step.value);
            if !step.is_write && known.is_some_and(|known| known != step.value) {
                return Ok(true);
            }
        }
        Ok(self.reads(at).iter().any(|seen| seen.source == NOBODY || seen.source == at as u32))
    }

    /// Whether these ops alone contradict the model, with the cycle given as one of what must come before what.
    ///
    /// # Errors
    /// An op or an edge that does not belong here; or the budget ended.
    pub(crate) fn contradict(
        &self,
        ops: &[OpId],
        cycle: &[Edge],
        consistency: Consistency,
        account: &mut Account<'_>,
    ) -> Result<bool, Refused> {
        let nodes = self.all_at(ops).map_err(Refused::Wrong)?;
        self.closes(ops, cycle).map_err(Refused::Wrong)?;
        Core::new(self, &nodes).map_err(Refused::Wrong)?.contradicts(consistency, account).map_err(Refused::Out)
    }

    /// Whether the edges make a cycle of the ops, and those that the history itself shows are there.
    fn closes(&self, ops: &[OpId], cycle: &[Edge]) -> Result<(), String> {
        let before = |a: &Edge, b: &Edge| a.to == b.from;
        let closes =
            !cycle.is_empty() && cycle.windows(2).all(|pair| before(&pair[0], &pair[1])) && before(&cycle[cycle.len() - 1], &cycle[0]);
        if !closes || cycle.iter().any(|edge| !ops.contains(&edge.from) || !ops.contains(&edge.to)) {
            return Err("its edges make no cycle of its ops".into());
        }
        for edge in cycle {
            let (from, to) = (self.at(edge.from)?, self.at(edge.to)?);
            let is_true = match edge.kind {
                EdgeKind::SessionOrder => self.ops[from].session == self.ops[to].session && from < to,
                EdgeKind::ReadsFrom => self.reads(to).iter().any(|seen| seen.source == from as u32),
                _ => true,
            };
            if !is_true {
                return Err(format!("op {} need not come before op {}", edge.from.0, edge.to.0));
            }
        }
        Ok(())
    }

    /// Whether none of the ops can be left out of a contradiction.
    ///
    /// # Errors
    /// As [`Claims::contradict`].
    pub(crate) fn is_minimal(&self, ops: &[OpId], consistency: Consistency, account: &mut Account<'_>) -> Result<bool, Refused> {
        let nodes = self.all_at(ops).map_err(Refused::Wrong)?;
        for leave_out in 0..nodes.len() {
            let rest: Vec<u32> = (0..nodes.len()).filter(|&i| i != leave_out).map(|i| nodes[i]).collect();
            if Core::new(self, &rest).map_err(Refused::Wrong)?.contradicts(consistency, account).map_err(Refused::Out)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Takes over into one row of a table what is larger in another.
fn join(table: &mut [u32], width: usize, from: usize, to: usize) {
    for column in 0..width {
        let more = table[from * width + column];
        let mine = &mut table[to * width + column];
        *mine = (*mine).max(more);
    }
}

/// The writes of each key that were placed, by session and in its order.
struct Writes {
    starts: Vec<u32>,
    groups: Vec<Group>,
    ops: Vec<u32>,
}

/// A session's writes of one key.
struct Group {
    session: u32,
    from: u32,
    to: u32,
}

impl Writes {
    fn new(claims: &Claims<'_>, place: &[u32]) -> Writes {
        let mut all: Vec<(u32, u32, u32, u32)> = Vec::new();
        for at in (0..claims.ops.len()).filter(|&at| place[at] != NONE) {
            let Op { session, position, .. } = claims.ops[at];
            all.extend(claims.writes(at).iter().map(|&key| (key, session, position, at as u32)));
        }
        all.sort_unstable();
        let mut writes = Writes { starts: vec![0], groups: Vec::new(), ops: all.iter().map(|write| write.3).collect() };
        let mut from = 0;
        for key in 0..claims.keys as u32 {
            while from < all.len() && all[from].0 == key {
                let session = all[from].1;
                let to = from + all[from..].iter().take_while(|write| (write.0, write.1) == (key, session)).count();
                writes.groups.push(Group { session, from: from as u32, to: to as u32 });
                from = to;
            }
            writes.starts.push(writes.groups.len() as u32);
        }
        writes
    }

    fn groups(&self, key: u32) -> Range<usize> {
        self.starts[key as usize] as usize..self.starts[key as usize + 1] as usize
    }

    fn of(&self, group: &Group) -> &[u32] {
        &self.ops[group.from as usize..group.to as usize]
    }
}

/// A read of one core op: its place, the key, and the place of its source; `None` for the initial value.
struct CoreRead {
    by: usize,
    key: u32,
    source: Option<usize>,
}

/// A few ops and what they say of each other. A read of what none of them wrote says nothing.
struct Core {
    sessions: Vec<u32>,
    writes: Vec<Vec<u32>>,
    reads: Vec<CoreRead>,
}

/// What must come before what.
type Before = Vec<Vec<bool>>;

impl Core {
    fn new(claims: &Claims<'_>, nodes: &[u32]) -> Result<Core, String> {
        let mut nodes = nodes.to_vec();
        // Ops are numbered in the order in which they were invoked, so this is the order of each session.
        nodes.sort_unstable();
        let mut core = Core { sessions: Vec::new(), writes: Vec::new(), reads: Vec::new() };
        for (place, at) in nodes.iter().map(|&at| at as usize).enumerate() {
            core.sessions.push(claims.ops[at].session);
            core.writes.push(claims.writes(at).to_vec());
            // A value of several sources may be from any of them: the read is ignored.
            for &seen in claims.reads(at).iter().filter(|seen| seen.source != SEVERAL) {
                let source = match Claims::source(seen)?.map(|source| nodes.binary_search(&(source as u32))) {
                    None => None,
                    Some(Ok(source)) => Some(source),
                    Some(Err(_)) => continue,
                };
                core.reads.push(CoreRead { by: place, key: seen.key, source });
            }
        }
        Ok(core)
    }

    fn len(&self) -> usize {
        self.sessions.len()
    }

    fn contradicts(&self, consistency: Consistency, account: &mut Account<'_>) -> Result<bool, Limit> {
        let n = self.len();
        let causal = self.causal(account)?;
        let is_cyclic = |before: &Before| (0..n).any(|op| before[op][op]);
        match consistency {
            Consistency::Sequential => self.is_stuck(causal, |_| true, true, account),
            _ if is_causal(consistency) && is_cyclic(&causal) => Ok(true),
            Consistency::Causal => {
                for op in 0..n {
                    if self.is_stuck(causal.clone(), |read| read.by == op, false, account)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Consistency::CausalConvergence => {
                if self.contradicts(Consistency::Causal, account)? {
                    return Ok(true);
                }
                let mut arbitration = causal.clone();
                for read in &self.reads {
                    for other in self.others(read).filter(|&other| causal[other][read.by]) {
                        if let Some(source) = read.source {
                            arbitration[other][source] = true;
                        }
                    }
                }
                close(&mut arbitration, account)?;
                Ok(is_cyclic(&arbitration))
            }
            _ => {
                let both = !matches!(consistency, Consistency::CausalMemory | Consistency::Pram);
                let mut sessions = self.sessions.clone();
                sessions.sort_unstable();
                sessions.dedup();
                for session in sessions {
                    let before = if is_causal(consistency) { causal.clone() } else { self.kept(session, consistency, account)? };
                    if self.is_stuck(before, |read| self.sessions[read.by] == session, both, account)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// The other writes of the key that was read.
    fn others(&self, read: &CoreRead) -> impl Iterator<Item = usize> + '_ {
        let (by, key, source) = (read.by, read.key, read.source);
        (0..self.len()).filter(move |&other| other != by && Some(other) != source && self.writes[other].contains(&key))
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.len()).flat_map(|a| (a + 1..self.len()).map(move |b| (a, b))).filter(|&(a, b)| self.sessions[a] == self.sessions[b])
    }

    fn causal(&self, account: &mut Account<'_>) -> Result<Before, Limit> {
        let mut before = vec![vec![false; self.len()]; self.len()];
        self.pairs().for_each(|(a, b)| before[a][b] = true);
        for read in &self.reads {
            if let Some(source) = read.source {
                before[source][read.by] = true;
            }
        }
        close(&mut before, account)?;
        Ok(before)
    }

    /// What the view of a session keeps, from the definitions.
    fn kept(&self, session: u32, consistency: Consistency, account: &mut Account<'_>) -> Result<Before, Limit> {
        let mut before = vec![vec![false; self.len()]; self.len()];
        for read in self.reads.iter().filter(|read| self.sessions[read.by] == session) {
            if let Some(source) = read.source {
                before[source][read.by] = true;
            }
        }
        let writes = |op: usize| !self.writes[op].is_empty();
        let reads = |op: usize| self.reads.iter().any(|read| read.by == op);
        for (a, b) in self.pairs() {
            let is_own = self.sessions[a] == session;
            before[a][b] |= match consistency {
                Consistency::Pram => true,
                Consistency::ReadYourWrites => is_own && writes(a) && reads(b),
                Consistency::MonotonicWrites => writes(a) && writes(b),
                _ => false,
            };
        }
        for read in &self.reads {
            let Some(source) = read.source else { continue };
            // One that would have to follow itself among them.
            for later in (read.by..self.len()).filter(|&later| self.sessions[later] == self.sessions[read.by]) {
                before[source][later] |= match consistency {
                    Consistency::MonotonicReads => self.sessions[later] == session && reads(later),
                    Consistency::WritesFollowReads => writes(later),
                    _ => false,
                };
            }
        }
        close(&mut before, account)?;
        Ok(before)
    }

    /// Whether no order keeps `before` and explains the reads: some op would have to come before itself.
    fn is_stuck(
        &self,
        mut before: Before,
        judges: impl Fn(&CoreRead) -> bool,
        both: bool,
        account: &mut Account<'_>,
    ) -> Result<bool, Limit> {
        loop {
            let mut is_new = false;
            for read in self.reads.iter().filter(|read| judges(read)) {
                account.work(self.len() as u64)?;
                for other in self.others(read) {
                    match read.source {
                        None if before[other][read.by] => return Ok(true),
                        None => is_new |= both && !std::mem::replace(&mut before[read.by][other], true),
                        Some(source) => {
                            is_new |= before[other][read.by] && !std::mem::replace(&mut before[other][source], true);
                            is_new |= both && before[source][other] && !std::mem::replace(&mut before[read.by][other], true);
                        }
                    }
                }
            }
            close(&mut before, account)?;
            if (0..self.len()).any(|op| before[op][op]) {
                return Ok(true);
            }
            if !is_new {
                return Ok(false);
            }
        }
    }
}

/// Whether a model keeps the causal order.
fn is_causal(consistency: Consistency) -> bool {
    matches!(consistency, Consistency::Causal | Consistency::CausalConvergence | Consistency::CausalMemory)
}

/// The transitive closure.
fn close(before: &mut Before, account: &mut Account<'_>) -> Result<(), Limit> {
    let n = before.len();
    for middle in 0..n {
        account.work((n * n) as u64 / 8)?;
        let row = before[middle].clone();
        for from in before.iter_mut().filter(|from| from[middle]) {
            from.iter_mut().zip(&row).for_each(|(known, more)| *known |= more);
        }
    }
    Ok(())
}

//! The second look at answers of models weaker than linearizable.
//!
//! As `certify` does for linearizability: the ops are read out of the history again, by what they say and nothing else, and
//! nothing is shared with the procedures that decide. A witness is replayed op by op on a map from keys to values, and what it must
//! keep is checked in it. A contradiction is established on its few ops alone, by the closure of what must come before what,
//! written down from the definitions.

use crate::Consistency;
use crate::verdict::{Edge, EdgeKind, SessionView};
use crate::weaker::decode::{Micro, Rules};
use hashbrown::{HashMap, HashSet};
use histories::{History, OpId, Outcome, ValueId};
use rustc_hash::FxBuildHasher;

type FxMap<K, V> = HashMap<K, V, FxBuildHasher>;

struct Op {
    id: OpId,
    session: usize,
    /// The number of its session's ops before it.
    position: usize,
    is_done: bool,
    micros: (usize, usize),
}

/// The ops of a history, as the definitions see them.
pub(crate) struct Claims<'a> {
    history: &'a History,
    rules: &'a Rules<'a>,
    ops: Vec<Op>,
    micros: Vec<Micro>,
    sessions: Vec<Vec<usize>>,
    /// Which op leaves a value in a key; `None` if several do.
    writer: FxMap<(ValueId, ValueId), Option<usize>>,
}

impl<'a> Claims<'a> {
    /// Reads the ops. Those that cannot be decoded were refused before.
    pub(crate) fn new(history: &'a History, rules: &'a Rules<'a>) -> Claims<'a> {
        let mut claims = Claims { history, rules, ops: Vec::new(), micros: Vec::new(), sessions: Vec::new(), writer: FxMap::default() };
        let mut open: FxMap<u32, usize> = FxMap::default();
        for id in history.op_ids() {
            let op = history.op(id);
            let first = claims.micros.len();
            let outcome = history.outcome(op);
            if rules.decode(history, id, &mut claims.micros).is_err() {
                continue;
            }
            let process = history.op_process(op).0;
            if claims.micros.len() > first {
                let session = *open.entry(process).or_insert_with(|| {
                    claims.sessions.push(Vec::new());
                    claims.sessions.len() - 1
                });
                let position = claims.sessions[session].len();
                claims.sessions[session].push(claims.ops.len());
                let micros = (first, claims.micros.len());
                claims.ops.push(Op { id, session, position, is_done: outcome == Outcome::Ok, micros });
            }
            if outcome == Outcome::Info || !history.has_processes() {
                open.remove(&process);
            }
        }
        for at in 0..claims.ops.len() {
            for (key, value) in claims.left_behind(at) {
                claims.writer.entry((key, value)).and_modify(|writer| *writer = None).or_insert(Some(at));
            }
        }
        claims
    }

    fn micros(&self, at: usize) -> &[Micro] {
        &self.micros[self.ops[at].micros.0..self.ops[at].micros.1]
    }

    /// What an op leaves in the keys that it writes.
    fn left_behind(&self, at: usize) -> Vec<(ValueId, ValueId)> {
        let micros = self.micros(at);
        let is_last = |i: usize| micros[i].is_write && !micros[i + 1..].iter().any(|later| later.is_write && later.key == micros[i].key);
        (0..micros.len()).filter(|&i| is_last(i)).map(|i| (micros[i].key, micros[i].value)).collect()
    }

    /// What an op read of keys that it had not written itself.
    fn read_from_others(&self, at: usize) -> Vec<(ValueId, ValueId)> {
        let micros = self.micros(at);
        let is_own = |i: usize| micros[..i].iter().any(|earlier| earlier.is_write && earlier.key == micros[i].key);
        (0..micros.len()).filter(|&i| !micros[i].is_write && !is_own(i)).map(|i| (micros[i].key, micros[i].value)).collect()
    }

    fn is_initial(&self, value: ValueId) -> bool {
        match &self.rules.initial {
            histories::Value::Nil => value.is_nil(),
            histories::Value::Int(i) if value.as_small_int().is_some() => value.as_small_int() == Some(*i),
            initial => self.history.values.get(value) == *initial,
        }
    }

    fn at(&self, id: OpId) -> Result<usize, String> {
        self.ops.binary_search_by_key(&id, |op| op.id).map_err(|_| format!("op {} does not belong here", id.0))
    }

    fn writes(&self, at: usize) -> bool {
        self.micros(at).iter().any(|micro| micro.is_write)
    }

    /// The op whose value was read, `None` if it is the initial one.
    fn source(&self, read: (ValueId, ValueId)) -> Result<Option<usize>, String> {
        match self.writer.get(&read) {
            Some(Some(writer)) if !self.is_initial(read.1) || self.rules.initial_may_be_written => Ok(Some(*writer)),
            Some(_) => Err("a value that was read was stored more than once".into()),
            None if self.is_initial(read.1) => Ok(None),
            None => Err("a value was read that nobody stored".into()),
        }
    }

    /// Whether the views are legal, one for each session that reads, keep what the model asks for, and leave no op out.
    pub(crate) fn views(&self, views: &[SessionView], consistency: Consistency) -> Result<(), String> {
        let mut crashed: Option<Vec<usize>> = None;
        let mut seen = vec![false; self.sessions.len()];
        for view in views {
            let first = self.at(view.first.ok_or("a view of no session")?)?;
            let session = self.ops[first].session;
            let order = view.order.iter().map(|&id| self.at(id)).collect::<Result<Vec<usize>, String>>()?;
            self.legal(&order, session)?;
            self.complete(&order, session, consistency == Consistency::CausalMemory)?;
            self.keeps(&order, session, consistency)?;
            let mut used: Vec<usize> = order.iter().copied().filter(|&at| !self.ops[at].is_done).collect();
            used.sort_unstable();
            if crashed.get_or_insert_with(|| used.clone()) != &used {
                return Err("an op of unknown outcome happened in one view and not in another".into());
            }
            seen[session] = true;
        }
        let reads = |session: &Vec<usize>| session.iter().any(|&at| self.ops[at].is_done && !self.read_from_others(at).is_empty());
        match (0..seen.len()).find(|&session| !seen[session] && reads(&self.sessions[session])) {
            Some(session) => Err(format!("session {session} reads and has no view")),
            None => Ok(()),
        }
    }

    /// Whether every read of the session finds its value where it stands.
    fn legal(&self, order: &[usize], session: usize) -> Result<(), String> {
        let mut state: FxMap<ValueId, ValueId> = FxMap::default();
        for &at in order {
            for micro in self.micros(at) {
                if micro.is_write {
                    state.insert(micro.key, micro.value);
                } else if self.ops[at].session == session {
                    let finds = state.get(&micro.key).map_or_else(|| self.is_initial(micro.value), |held| *held == micro.value);
                    if !finds {
                        return Err(format!("op {} does not find its value where it stands in the view", self.ops[at].id.0));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether an order holds each write that is done, and the session's own ops, or all ops, once.
    fn complete(&self, order: &[usize], session: usize, all: bool) -> Result<(), String> {
        let mut seen = vec![false; self.ops.len()];
        for &at in order {
            if std::mem::replace(&mut seen[at], true) {
                return Err(format!("op {} is in an order twice", self.ops[at].id.0));
            }
        }
        let is_needed = |at: &usize| self.ops[*at].is_done && (all || self.ops[*at].session == session || self.writes(*at));
        match (0..seen.len()).find(|at| !seen[*at] && is_needed(at)) {
            Some(at) => Err(format!("op {} is missing from an order", self.ops[at].id.0)),
            None => Ok(()),
        }
    }

    fn keeps(&self, order: &[usize], session: usize, consistency: Consistency) -> Result<(), String> {
        match consistency {
            Consistency::CausalMemory => {
                self.keeps_sessions(order, |_| true)?;
                self.keeps_reads_from(order)
            }
            Consistency::Pram => self.keeps_sessions(order, |_| true),
            Consistency::MonotonicWrites => self.keeps_sessions(order, |at| self.writes(at)),
            Consistency::ReadYourWrites => {
                let place = self.places(order);
                let mut latest = None;
                for &at in &self.sessions[session] {
                    if place[at].is_some() && !self.read_from_others(at).is_empty() && place[at] < latest {
                        return Err(format!("op {} stands before a write of its own session", self.ops[at].id.0));
                    }
                    if self.writes(at) {
                        latest = latest.max(place[at]);
                    }
                }
                Ok(())
            }
            Consistency::MonotonicReads => {
                let place = self.places(order);
                let mut latest = None;
                for &at in &self.sessions[session] {
                    let reads = self.read_from_others(at);
                    if place[at].is_some() && !reads.is_empty() && place[at] < latest {
                        return Err(format!("op {} stands before a write that its session had read", self.ops[at].id.0));
                    }
                    for read in reads {
                        latest = latest.max(self.source(read)?.and_then(|source| place[source]));
                    }
                }
                Ok(())
            }
            _ => self.keeps_writes_after_reads(order),
        }
    }

    fn places(&self, order: &[usize]) -> Vec<Option<usize>> {
        let mut place = vec![None; self.ops.len()];
        for (i, &at) in order.iter().enumerate() {
            place[at] = Some(i);
        }
        place
    }

    fn keeps_sessions(&self, order: &[usize], concerns: impl Fn(usize) -> bool) -> Result<(), String> {
        let mut next = vec![0; self.sessions.len()];
        for &at in order.iter().filter(|&&at| concerns(at)) {
            let Op { session, position, id, .. } = self.ops[at];
            if position < next[session] {
                return Err(format!("op {} stands after a later one of its session", id.0));
            }
            next[session] = position + 1;
        }
        Ok(())
    }

    fn keeps_reads_from(&self, order: &[usize]) -> Result<(), String> {
        let place = self.places(order);
        for &at in order {
            for read in self.read_from_others(at) {
                if let Some(source) = self.source(read)?
                    && place[source].is_none_or(|before| Some(before) >= place[at])
                {
                    return Err(format!("op {} stands before one that it read from", self.ops[at].id.0));
                }
            }
        }
        Ok(())
    }

    fn keeps_writes_after_reads(&self, order: &[usize]) -> Result<(), String> {
        let place = self.places(order);
        for session in &self.sessions {
            let mut latest = None;
            for &at in session.iter().filter(|&&at| self.ops[at].is_done || place[at].is_some()) {
                for read in self.read_from_others(at) {
                    latest = latest.max(self.source(read)?.and_then(|source| place[source]));
                }
                if self.writes(at) && place[at] < latest {
                    return Err(format!("op {} stands before a write that its session had read", self.ops[at].id.0));
                }
            }
        }
        Ok(())
    }

    /// Whether an order keeps the causal order, and explains every read by its causal past: for `causal-convergence` by the last
    /// write of the key in this order, for `causal` by a write that no other of the key has replaced.
    pub(crate) fn one_order(&self, order: &[OpId], converges: bool) -> Result<(), String> {
        let order = order.iter().map(|&id| self.at(id)).collect::<Result<Vec<usize>, String>>()?;
        self.complete(&order, 0, true)?;
        self.keeps_sessions(&order, |_| true)?;
        self.keeps_reads_from(&order)?;
        let place = self.places(&order);
        let past = self.past(&order)?;
        let writes = self.writes_by_session(&order);
        let count = self.sessions.len();
        let comes_before = |a: usize, b: usize| past[b * count + self.ops[a].session] as usize > self.ops[a].position;
        for &at in &order {
            let mut forced: Vec<(usize, usize)> = Vec::new();
            for read in self.read_from_others(at) {
                let source = self.source(read)?;
                for (session, own) in writes.get(&read.0).into_iter().flatten() {
                    let end = past[at * count + session] as usize;
                    let visible = own[..own.partition_point(|&write| self.ops[write].position < end)].iter().rev();
                    let Some(&write) = visible.clone().find(|&&write| write != at) else { continue };
                    match source {
                        None => return Err(format!("op {} read an initial value that was replaced", self.ops[at].id.0)),
                        Some(source) if source == write => {}
                        Some(source) if converges && place[write] > place[source] => {
                            return Err(format!("op {} read what a later write had replaced", self.ops[at].id.0));
                        }
                        Some(source) => forced.push((write, source)),
                    }
                }
            }
            if !converges && !Self::can_all_come_first(&forced, comes_before) {
                return Err(format!("op {} read what another write had replaced", self.ops[at].id.0));
            }
        }
        Ok(())
    }

    /// Whether the first of each pair can come before the second, along with the causal order: takes away pairs of which
    /// the second comes before the first of no pair left.
    fn can_all_come_first(pairs: &[(usize, usize)], comes_before: impl Fn(usize, usize) -> bool) -> bool {
        let mut left = pairs.to_vec();
        loop {
            let stays = |pair: &(usize, usize)| left.iter().any(|other| pair.1 == other.0 || comes_before(pair.1, other.0));
            let fewer: Vec<(usize, usize)> = left.iter().copied().filter(stays).collect();
            if fewer.len() == left.len() {
                return left.is_empty();
            }
            left = fewer;
        }
    }

    /// For each op, how many ops of each session come before it or are it.
    fn past(&self, order: &[usize]) -> Result<Vec<u32>, String> {
        let count = self.sessions.len();
        let mut past = vec![0u32; self.ops.len() * count];
        let mut last: Vec<Option<usize>> = vec![None; count];
        for &at in order {
            let Op { session, position, .. } = self.ops[at];
            let mut before: Vec<usize> = last[session].replace(at).into_iter().collect();
            for read in self.read_from_others(at) {
                before.extend(self.source(read)?);
            }
            for other in before {
                for s in 0..count {
                    past[at * count + s] = past[at * count + s].max(past[other * count + s]);
                }
            }
            past[at * count + session] = position as u32 + 1;
        }
        Ok(past)
    }

    /// For each key, its writes by session, in the session's order.
    fn writes_by_session(&self, order: &[usize]) -> FxMap<ValueId, Vec<(usize, Vec<usize>)>> {
        let mut writes: FxMap<ValueId, Vec<(usize, Vec<usize>)>> = FxMap::default();
        let mut index: FxMap<(ValueId, usize), usize> = FxMap::default();
        for &at in order {
            for (key, _) in self.left_behind(at) {
                let session = self.ops[at].session;
                let of_key = writes.entry(key).or_default();
                let place = *index.entry((key, session)).or_insert_with(|| {
                    of_key.push((session, Vec::new()));
                    of_key.len() - 1
                });
                of_key[place].1.push(at);
            }
        }
        writes
    }

    /// Whether an op contradicts itself, or read what nobody can have left for it.
    pub(crate) fn is_impossible(&self, id: OpId) -> Result<bool, String> {
        let at = self.at(id)?;
        let mut held: FxMap<ValueId, ValueId> = FxMap::default();
        for micro in self.micros(at) {
            let known = held.insert(micro.key, micro.value);
            if !micro.is_write && known.is_some_and(|known| known != micro.value) {
                return Ok(true);
            }
        }
        Ok(self.read_from_others(at).iter().any(|read| match self.writer.get(read) {
            Some(writer) => *writer == Some(at) && (!self.is_initial(read.1) || self.rules.initial_may_be_written),
            None => !self.is_initial(read.1),
        }))
    }

    /// Whether these ops alone contradict the model, with the cycle given as one of what must come before what.
    pub(crate) fn contradict(&self, ops: &[OpId], cycle: &[Edge], consistency: Consistency) -> Result<bool, String> {
        let nodes = ops.iter().map(|&id| self.at(id)).collect::<Result<Vec<usize>, String>>()?;
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
                EdgeKind::ReadsFrom => self.read_from_others(to).into_iter().any(|read| self.source(read) == Ok(Some(from))),
                _ => true,
            };
            if !is_true {
                return Err(format!("op {} need not come before op {}", edge.from.0, edge.to.0));
            }
        }
        Ok(Core::new(self, &nodes)?.contradicts(consistency))
    }

    /// Whether any of the ops can be left out of a contradiction.
    pub(crate) fn is_minimal(&self, ops: &[OpId], consistency: Consistency) -> Result<bool, String> {
        let nodes = ops.iter().map(|&id| self.at(id)).collect::<Result<Vec<usize>, String>>()?;
        for leave_out in 0..nodes.len() {
            let rest: Vec<usize> = (0..nodes.len()).filter(|&i| i != leave_out).map(|i| nodes[i]).collect();
            if Core::new(self, &rest)?.contradicts(consistency) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A read of one core op: its place, the key, and the place of its source; `None` for the initial value.
struct CoreRead {
    by: usize,
    key: ValueId,
    source: Option<usize>,
}

/// A few ops and what they say of each other. A read of what none of them wrote says nothing.
struct Core {
    sessions: Vec<usize>,
    writes: Vec<HashSet<ValueId, FxBuildHasher>>,
    reads: Vec<CoreRead>,
}

/// What must come before what.
type Before = Vec<Vec<bool>>;

impl Core {
    fn new(claims: &Claims<'_>, nodes: &[usize]) -> Result<Core, String> {
        let mut nodes = nodes.to_vec();
        // Ops are numbered in the order in which they were invoked, so this is the order of each session.
        nodes.sort_unstable();
        let mut core = Core { sessions: Vec::new(), writes: Vec::new(), reads: Vec::new() };
        for (place, &at) in nodes.iter().enumerate() {
            core.sessions.push(claims.ops[at].session);
            core.writes.push(claims.left_behind(at).into_iter().map(|left| left.0).collect());
            for read in claims.read_from_others(at) {
                // A value of several sources may be from any of them: the read is ignored.
                let is_unclear = claims
                    .writer
                    .get(&read)
                    .is_some_and(|writer| writer.is_none() || claims.is_initial(read.1) && !claims.rules.initial_may_be_written);
                if is_unclear {
                    continue;
                }
                let source = claims.source(read)?;
                let source = match source.map(|source| nodes.binary_search(&source)) {
                    None => None,
                    Some(Ok(source)) => Some(source),
                    Some(Err(_)) => continue,
                };
                core.reads.push(CoreRead { by: place, key: read.0, source });
            }
        }
        Ok(core)
    }

    fn len(&self) -> usize {
        self.sessions.len()
    }

    fn contradicts(&self, consistency: Consistency) -> bool {
        let n = self.len();
        let causal = self.causal();
        let is_cyclic = |before: &Before| (0..n).any(|op| before[op][op]);
        let own = |session: usize| move |read: &&CoreRead| self.sessions[read.by] == session;
        match consistency {
            Consistency::Causal => is_cyclic(&causal) || (0..n).any(|op| self.is_stuck(causal.clone(), |read| read.by == op, false)),
            Consistency::CausalConvergence => {
                self.contradicts(Consistency::Causal) || {
                    let mut arbitration = causal.clone();
                    for read in &self.reads {
                        for other in self.others(read).filter(|&other| causal[other][read.by]) {
                            if let Some(source) = read.source {
                                arbitration[other][source] = true;
                            }
                        }
                    }
                    close(&mut arbitration);
                    is_cyclic(&arbitration)
                }
            }
            Consistency::CausalMemory => {
                is_cyclic(&causal) || self.sessions.iter().any(|&session| self.is_stuck(causal.clone(), |read| own(session)(&read), false))
            }
            _ => self.sessions.iter().any(|&session| {
                let before = self.kept(session, consistency);
                self.is_stuck(before, |read| own(session)(&read), consistency != Consistency::Pram)
            }),
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

    fn causal(&self) -> Before {
        let mut before = vec![vec![false; self.len()]; self.len()];
        self.pairs().for_each(|(a, b)| before[a][b] = true);
        for read in &self.reads {
            if let Some(source) = read.source {
                before[source][read.by] = true;
            }
        }
        close(&mut before);
        before
    }

    /// What the view of a session keeps, from the definitions.
    fn kept(&self, session: usize, consistency: Consistency) -> Before {
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
            for later in (read.by..self.len()).filter(|&later| self.sessions[later] == self.sessions[read.by] && later != source) {
                before[source][later] |= match consistency {
                    Consistency::MonotonicReads => self.sessions[later] == session && reads(later),
                    Consistency::WritesFollowReads => writes(later),
                    _ => false,
                };
            }
        }
        // A write that would have to follow itself.
        if consistency == Consistency::WritesFollowReads {
            for read in &self.reads {
                if let Some(source) = read.source
                    && source > read.by
                    && self.sessions[source] == self.sessions[read.by]
                {
                    before[source][source] = true;
                }
            }
        }
        close(&mut before);
        before
    }

    /// Whether no order keeps `before` and explains the reads: some op would have to come before itself.
    fn is_stuck(&self, mut before: Before, judges: impl Fn(&CoreRead) -> bool, both: bool) -> bool {
        loop {
            let mut is_new = false;
            for read in self.reads.iter().filter(|read| judges(read)) {
                for other in self.others(read) {
                    match read.source {
                        None if before[other][read.by] => return true,
                        None => is_new |= both && !std::mem::replace(&mut before[read.by][other], true),
                        Some(source) => {
                            is_new |= before[other][read.by] && !std::mem::replace(&mut before[other][source], true);
                            is_new |= both && before[source][other] && !std::mem::replace(&mut before[read.by][other], true);
                        }
                    }
                }
            }
            close(&mut before);
            if (0..self.len()).any(|op| before[op][op]) {
                return true;
            }
            if !is_new {
                return false;
            }
        }
    }
}

/// The transitive closure.
fn close(before: &mut Before) {
    let n = before.len();
    for middle in 0..n {
        let row = before[middle].clone();
        for from in before.iter_mut().filter(|from| from[middle]) {
            from.iter_mut().zip(&row).for_each(|(known, more)| *known |= more);
        }
    }
}

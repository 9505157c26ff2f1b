//! What must come before what, where it is known which write each read saw: to a fixed point, and then as far as one write
//! of a key after the other can be given its place.
//!
//! hb = (session order ∪ reads-from)⁺. A legal order has no write of a key between a write of it and its readers. So if r
//! reads w, and w' is another write of the key: w' hb r forces w' before w, and w hb w' forces r before w'. A read of the
//! initial value comes before all writes of the key. These edges are added until nothing is new. A cycle is a violation, and its
//! cause. Without one there need not be an order: of two writes of a key that are not ordered either may have to come first.
//!
//! If all writes of each key are ordered, all edges are added and there is no cycle, then every order that keeps the edges is
//! legal: r comes after w, and before the next write. So writes are put in a line key by key, each after those that come
//! before it in a guess of the order; where that makes a cycle, the other way round; and where both do, the search has to look.
//!
//! Clocks say for each op how many ops of each session come before it. They only grow, and what an edge changes ends where
//! others know it already: the time is that of ops times sessions, but in rare cases.

use crate::budget::{Account, Limit};
use crate::causal::execution::{Execution, INITIAL};
use crate::causal::graph;
use crate::causal::graph::Cycle;
use crate::causal::patterns::KeyWrites;
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

const NONE: u32 = u32::MAX;

/// Of how many edges the causes are looked for.
const CAUSES_MAX: usize = 2_000;

/// Why it did not come to an end.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Ops that show that there is no order.
    Cycle(Vec<u32>),
    /// The budget ended.
    Out(Limit),
}

impl From<Limit> for Ended {
    fn from(limit: Limit) -> Ended {
        Ended::Out(limit)
    }
}

/// Why no more can be said.
#[derive(Clone, Copy)]
enum Stop {
    /// This op would have to come before itself.
    Cycle(u32),
    Out(Limit),
}

impl From<Limit> for Stop {
    fn from(limit: Limit) -> Stop {
        Stop::Out(limit)
    }
}

/// An edge beside session order and reads-from.
#[derive(Clone, Copy, Debug)]
struct Edge {
    from: u32,
    to: u32,
    /// The read that forces it, and of which key.
    reader: u32,
    key: u32,
    /// The edge of the same beginning, and of the same end, that was added before.
    next_out: u32,
    next_in: u32,
}

/// Who read what a node wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reader {
    source: u32,
    key: u32,
    node: u32,
}

pub(crate) struct Saturation<'a> {
    execution: &'a Execution,
    writes: KeyWrites,
    sessions: usize,
    /// For each node, how many ops of each session come before it or are it.
    clocks: Vec<u32>,
    edges: Vec<Edge>,
    first_out: Vec<u32>,
    first_in: Vec<u32>,
    readers: Vec<Reader>,
    reader_starts: Vec<u32>,
    /// The place of each node in an order of hb, and how many have been visited in it.
    rank: Vec<u32>,
    visited: u32,
    /// Visited nodes of which something has changed.
    queue: BinaryHeap<Reverse<(u32, u32)>>,
    is_queued: Vec<bool>,
    /// Clocks as they were before an assumption.
    trail: Option<Vec<(u32, u32)>>,
}

impl<'a> Saturation<'a> {
    /// Bytes that it holds at first.
    pub(crate) fn bytes(execution: &Execution) -> usize {
        execution.len() * (execution.sessions() * 4 + 80)
    }

    /// All forced edges.
    ///
    /// # Errors
    /// Ops that show that there is no order; or the budget ended.
    pub(crate) fn new(execution: &'a Execution, account: &mut Account<'_>) -> Result<Saturation<'a>, Ended> {
        let order = graph::order(execution, &[], true).map_err(|Cycle(nodes)| Ended::Cycle(nodes))?;
        let (n, sessions) = (execution.len(), execution.sessions());
        let mut saturation = Saturation {
            execution,
            writes: KeyWrites::new(execution),
            sessions,
            clocks: vec![0; n * sessions],
            edges: Vec::new(),
            first_out: vec![NONE; n],
            first_in: vec![NONE; n],
            readers: Vec::new(),
            reader_starts: Vec::new(),
            rank: vec![0; n],
            visited: 0,
            queue: BinaryHeap::new(),
            is_queued: vec![false; n],
            trail: None,
        };
        for (at, &node) in (0..).zip(&order) {
            saturation.rank[node as usize] = at;
        }
        saturation.find_readers();
        let found = saturation.fill(&order, account);
        found.map_err(|stop| saturation.ended(stop))?;
        Ok(saturation)
    }

    fn find_readers(&mut self) {
        let execution = self.execution;
        for node in 0..execution.len() as u32 {
            let known = execution.reads(node).iter().filter(|read| read.source != INITIAL);
            self.readers.extend(known.map(|read| Reader { source: read.source, key: read.key, node }));
        }
        self.readers.sort_unstable();
        let mut at = 0;
        for source in 0..=execution.len() as u32 {
            at += self.readers[at as usize..].iter().take_while(|reader| reader.source < source).count() as u32;
            self.reader_starts.push(at);
        }
    }

    /// The readers of a node, by key, and of a key by session.
    fn readers(&self, node: u32) -> std::ops::Range<usize> {
        self.reader_starts[node as usize] as usize..self.reader_starts[node as usize + 1] as usize
    }

    fn fill(&mut self, order: &[u32], account: &mut Account<'_>) -> Result<(), Stop> {
        self.initial_reads(account)?;
        for &node in order {
            self.visited += 1;
            self.visit(node, true, account)?;
            self.settle(account)?;
        }
        Ok(())
    }

    /// Each session's last read of a key's initial value comes before each session's first write of it.
    fn initial_reads(&mut self, account: &mut Account<'_>) -> Result<(), Stop> {
        let execution = self.execution;
        let mut last: HashMap<(u32, u32), u32, FxBuildHasher> = HashMap::default();
        let mut pairs = Vec::new();
        for node in 0..execution.len() as u32 {
            for read in execution.reads(node).iter().filter(|read| read.source == INITIAL) {
                if last.insert((read.key, execution.session[node as usize]), node).is_none() {
                    pairs.push((read.key, execution.session[node as usize]));
                }
            }
        }
        for pair in pairs {
            let reader = last[&pair];
            for at in 0..self.writes.groups(pair.0).len() {
                account.work(4)?;
                let group = self.writes.groups(pair.0)[at];
                let first = self.writes.nodes(group).iter().copied().find(|&write| write != reader);
                if let Some(write) = first {
                    self.add(reader, write, reader, pair.0, account)?;
                }
            }
        }
        Ok(())
    }

    fn position(&self, node: u32) -> u32 {
        node - self.execution.starts[self.execution.session[node as usize] as usize]
    }

    /// Whether `a` is `b` or comes before it, as far as is known.
    fn reaches(&self, a: u32, b: u32) -> bool {
        self.clocks[b as usize * self.sessions + self.execution.session[a as usize] as usize] > self.position(a)
    }

    fn add(&mut self, from: u32, to: u32, reader: u32, key: u32, account: &mut Account<'_>) -> Result<(), Limit> {
        if self.reaches(from, to) {
            return Ok(());
        }
        if self.edges.len() == self.edges.capacity() {
            account.hold(Self::bytes(self.execution) + self.edges.capacity().max(1 << 10) * 3 * size_of::<Edge>())?;
        }
        let id = self.edges.len() as u32;
        let next_out = std::mem::replace(&mut self.first_out[from as usize], id);
        let next_in = std::mem::replace(&mut self.first_in[to as usize], id);
        self.edges.push(Edge { from, to, reader, key, next_out, next_in });
        self.touch(to);
        Ok(())
    }

    /// Something before the node has changed. (Those that were not visited yet will see.)
    fn touch(&mut self, node: u32) {
        let rank = self.rank[node as usize];
        if rank < self.visited && !std::mem::replace(&mut self.is_queued[node as usize], true) {
            self.queue.push(Reverse((rank, node)));
        }
    }

    fn settle(&mut self, account: &mut Account<'_>) -> Result<(), Stop> {
        while let Some(Reverse((_, node))) = self.queue.pop() {
            self.is_queued[node as usize] = false;
            self.visit(node, false, account)?;
        }
        Ok(())
    }

    /// Brings a node up to date, and adds what follows.
    fn visit(&mut self, node: u32, is_first: bool, account: &mut Account<'_>) -> Result<(), Stop> {
        account.work(4 + self.sessions as u64 / 4)?;
        let has_changed = self.pull(node)?;
        if !has_changed && !is_first {
            return Ok(());
        }
        self.touch_followers(node);
        self.judge_reads(node, account)?;
        self.judge_writes(node, account)
    }

    fn touch_followers(&mut self, node: u32) {
        if let Some(next) = graph::next(self.execution, node) {
            self.touch(next);
        }
        for at in self.readers(node) {
            self.touch(self.readers[at].node);
        }
        let mut edge = self.first_out[node as usize];
        while edge != NONE {
            self.touch(self.edges[edge as usize].to);
            edge = self.edges[edge as usize].next_out;
        }
    }

    /// Takes over what those immediately before a node know. Whether that was more.
    fn pull(&mut self, node: u32) -> Result<bool, Stop> {
        let execution = self.execution;
        let mut has_changed = false;
        let own = node as usize * self.sessions + execution.session[node as usize] as usize;
        if self.clocks[own] == 0 {
            self.clocks[own] = self.position(node) + 1;
            has_changed = true;
        }
        for before in execution.previous(node).into_iter().chain(execution.sources(node)) {
            has_changed |= self.pull_from(before, node)?;
        }
        let mut edge = self.first_in[node as usize];
        while edge != NONE {
            has_changed |= self.pull_from(self.edges[edge as usize].from, node)?;
            edge = self.edges[edge as usize].next_in;
        }
        Ok(has_changed)
    }

    fn pull_from(&mut self, before: u32, node: u32) -> Result<bool, Stop> {
        let k = self.sessions;
        if self.reaches(node, before) {
            return Err(Stop::Cycle(node));
        }
        let mut has_changed = false;
        let (from, to) = (before as usize * k, node as usize * k);
        for session in 0..k {
            let known = self.clocks[from + session];
            let mine = self.clocks[to + session];
            if known > mine {
                if let Some(trail) = &mut self.trail {
                    trail.push(((to + session) as u32, mine));
                }
                self.clocks[to + session] = known;
                has_changed = true;
            }
        }
        Ok(has_changed)
    }

    /// The last of a session's writes of a key, a group, that come before a node.
    fn last_before(&self, key: u32, group: usize, node: u32) -> Option<u32> {
        let group = self.writes.groups(key)[group];
        let session = group.session as usize;
        let mut end = self.execution.starts[session] + self.clocks[node as usize * self.sessions + session];
        if self.execution.session[node as usize] as usize == session {
            end = end.min(node);
        }
        let nodes = self.writes.nodes(group);
        nodes[..nodes.partition_point(|&write| write < end)].last().copied()
    }

    /// Other writes that come before a read come before what it saw.
    fn judge_reads(&mut self, node: u32, account: &mut Account<'_>) -> Result<(), Stop> {
        let execution = self.execution;
        for read in execution.reads(node).iter().filter(|read| read.source != INITIAL) {
            for group in 0..self.writes.groups(read.key).len() {
                account.work(1)?;
                if let Some(other) = self.last_before(read.key, group, node)
                    && other != read.source
                {
                    self.add(other, read.source, node, read.key, account)?;
                }
            }
        }
        Ok(())
    }

    /// The readers of other writes that come before a write come before it. (Of a session's writes, the last one is enough:
    /// readers of those before come before that.)
    fn judge_writes(&mut self, node: u32, account: &mut Account<'_>) -> Result<(), Stop> {
        let execution = self.execution;
        for &key in execution.writes(node) {
            for group in 0..self.writes.groups(key).len() {
                account.work(1)?;
                let Some(other) = self.last_before(key, group, node) else { continue };
                for at in self.readers(other) {
                    let reader = self.readers[at];
                    if reader.key == key && reader.node != node && !self.reaches(reader.node, node) {
                        self.add(reader.node, node, reader.node, key, account)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn ended(&self, stop: Stop) -> Ended {
        match stop {
            Stop::Out(limit) => Ended::Out(limit),
            Stop::Cycle(node) => Ended::Cycle(self.causes(node)),
        }
    }

    /// All ops that show that a node would have to come before itself: a short cycle; for each forced edge of it the read, what it
    /// saw, and the way that forced it, which was known before the edge was; and so on.
    fn causes(&self, node: u32) -> Vec<u32> {
        let mut suspects = Vec::new();
        let mut seen = vec![false; self.edges.len()];
        let mut todo = Vec::new();
        let all = self.edges.len() as u32;
        self.way(node, node, all, &mut suspects, &mut todo);
        let mut count = 0;
        while let Some(id) = todo.pop() {
            if std::mem::replace(&mut seen[id as usize], true) {
                continue;
            }
            count += 1;
            if count > CAUSES_MAX {
                break;
            }
            let Edge { from, to, reader, key, .. } = self.edges[id as usize];
            suspects.extend([from, to]);
            if reader == NONE {
                continue;
            }
            suspects.push(reader);
            let source = self.execution.reads(reader).iter().find(|read| read.key == key).map_or(INITIAL, |read| read.source);
            if reader != from {
                self.way(from, reader, id, &mut suspects, &mut todo);
            } else if source != INITIAL {
                suspects.push(source);
                self.way(source, to, id, &mut suspects, &mut todo);
            }
        }
        suspects.sort_unstable();
        suspects.dedup();
        suspects
    }

    /// A way from `a` to `b` over edges older than `limit`, with as few as possible that are not session order: the ends of
    /// those that are not, and the forced ones.
    fn way(&self, a: u32, b: u32, limit: u32, suspects: &mut Vec<u32>, forced: &mut Vec<u32>) {
        // Each node that leads to b, with the step after it: the next node, and the edge if it is a forced one.
        let mut after: HashMap<u32, (u32, u32), FxBuildHasher> = HashMap::default();
        let mut queue = VecDeque::from([(b, NONE, NONE)]);
        let mut is_begun = false;
        while let Some((node, to, edge)) = queue.pop_front() {
            if is_begun && node == a {
                after.insert(a, (to, edge));
                break;
            }
            if is_begun && node == b || after.contains_key(&node) {
                continue;
            }
            if is_begun {
                after.insert(node, (to, edge));
            }
            is_begun = true;
            let leads = |before: u32| before == a || self.reaches(a, before);
            let mut id = self.first_in[node as usize];
            while id != NONE {
                let Edge { from, next_in, .. } = self.edges[id as usize];
                if id < limit && leads(from) {
                    queue.push_back((from, node, id));
                }
                id = next_in;
            }
            queue.extend(self.execution.sources(node).filter(|&source| leads(source)).map(|source| (source, node, NONE)));
            if let Some(before) = self.execution.previous(node).filter(|&before| leads(before)) {
                queue.push_front((before, node, NONE));
            }
        }
        let mut node = a;
        suspects.push(a);
        while let Some(&(to, edge)) = after.get(&node) {
            if edge != NONE {
                forced.push(edge);
            }
            if self.execution.previous(to) != Some(node) || edge != NONE {
                suspects.extend([node, to]);
            }
            if to == b {
                break;
            }
            node = to;
        }
        suspects.push(b);
    }

    /// All nodes in an order that keeps every edge; of those that can come next, the one of the lowest priority does.
    pub(crate) fn guess(&self, priority: &[u32]) -> Vec<u32> {
        let n = self.execution.len();
        let mut waits_for = vec![0u32; n];
        for node in 0..n as u32 {
            waits_for[node as usize] = u32::from(self.execution.previous(node).is_some()) + self.execution.sources(node).count() as u32;
        }
        for edge in &self.edges {
            waits_for[edge.to as usize] += 1;
        }
        let entry = |node: u32| Reverse((priority[node as usize], node));
        let mut ready: BinaryHeap<_> = (0..n as u32).filter(|&node| waits_for[node as usize] == 0).map(entry).collect();
        let mut order = Vec::with_capacity(n);
        while let Some(Reverse((_, node))) = ready.pop() {
            order.push(node);
            let mut leave = |to: u32| {
                waits_for[to as usize] -= 1;
                if waits_for[to as usize] == 0 {
                    ready.push(entry(to));
                }
            };
            if let Some(next) = graph::next(self.execution, node) {
                leave(next);
            }
            self.readers(node).for_each(|at| leave(self.readers[at].node));
            let mut edge = self.first_out[node as usize];
            while edge != NONE {
                leave(self.edges[edge as usize].to);
                edge = self.edges[edge as usize].next_out;
            }
        }
        order
    }

    /// Puts the writes of each key in a line, each as late as those before it in the guess allow. False if there is one for which
    /// no place was found.
    ///
    /// # Errors
    /// The budget ended.
    pub(crate) fn line_up(&mut self, guess: &[u32], account: &mut Account<'_>) -> Result<bool, Limit> {
        let execution = self.execution;
        let mut lines: Vec<Vec<u32>> = vec![Vec::new(); execution.keys.len()];
        for &node in guess {
            for &key in execution.writes(node) {
                let mut line = std::mem::take(&mut lines[key as usize]);
                let mut at = line.len();
                while at > 0 && !self.reaches(line[at - 1], node) {
                    account.work(2)?;
                    let other = line[at - 1];
                    if !self.reaches(node, other) {
                        if self.assume(other, node, account)? {
                            break;
                        }
                        if !self.assume(node, other, account)? {
                            return Ok(false);
                        }
                    }
                    at -= 1;
                }
                line.insert(at, node);
                lines[key as usize] = line;
            }
        }
        Ok(true)
    }

    /// Adds an edge, and what follows. False if that makes a cycle: then nothing has changed.
    fn assume(&mut self, from: u32, to: u32, account: &mut Account<'_>) -> Result<bool, Limit> {
        let edges = self.edges.len();
        self.trail = Some(Vec::new());
        self.add(from, to, NONE, NONE, account)?;
        let found = self.settle(account);
        let trail = self.trail.take().unwrap_or_default();
        match found {
            Ok(()) => Ok(true),
            Err(Stop::Out(limit)) => Err(limit),
            Err(Stop::Cycle(_)) => {
                for (at, clock) in trail.into_iter().rev() {
                    self.clocks[at as usize] = clock;
                }
                while self.edges.len() > edges {
                    let Some(Edge { from, to, next_out, next_in, .. }) = self.edges.pop() else { break };
                    self.first_out[from as usize] = next_out;
                    self.first_in[to as usize] = next_in;
                }
                while let Some(Reverse((_, node))) = self.queue.pop() {
                    self.is_queued[node as usize] = false;
                }
                Ok(false)
            }
        }
    }
}

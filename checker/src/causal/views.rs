//! One view per process: causal memory, PRAM and monotonic reads.
//!
//! A *view* of a process is a legal order of all writes and its own ops. What it must keep is a relation on ops:
//!
//! * **Causal memory** (CM; Bouajjani et al. 2017, section 4; Ahamad et al. 1995): the causal order.
//! * **PRAM** (Lipton and Sandberg 1988): each session's order.
//! * **Monotonic reads** (Terry et al. 1994, in the form of one view per process): the writes that an earlier read of the
//!   process saw before each later read of it.
//!
//! In all three the process's own reads stand in one line, the *chain*, as they happened. (For monotonic reads that is no
//! further demand while no op both reads and writes: a read that stands in a view after a later one can be moved to just
//! before that one. What it saw is already there, as the later read must come after it, and was not replaced since, as it was still there
//! further on.)
//!
//! With the reads in line a view is found by its necessary edges alone: if w1 leads to a read of w2, both of one key, then w1
//! comes before w2. Let all such edges be added until nothing is new. There is no view if a cycle appears (`CyclicHB`), or a write of a
//! key leads to a read of its initial value (`WriteHBInitRead`). Otherwise take the chain's ops in turn, each after all that leads to
//! it and was not taken yet, in any order that keeps the edges: what leads to a read of w2 and writes its key leads to w2 too.
//!
//! So of each op only one number matters, its *label*: the first op of the chain that it leads to. Labels only ever fall, and
//! w1 leads to the read at position i exactly if its label is at most i. All is linear in the number of ops for each process,
//! as long as few labels fall more than once.

use super::execution::{Execution, INITIAL};
use crate::causal::patterns::KeyWrites;
use std::collections::VecDeque;

/// What a view keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// The causal order.
    Causality,
    /// Each session's order.
    Sessions,
    /// What earlier reads saw before later reads.
    EarlierReads,
}

const NONE: u32 = u32::MAX;

/// What a view holds for each op, while it is made.
pub(crate) const BYTES_PER_OP: usize = 96;

/// Why an op has its label: it leads to the op of the record `next`. Without one it is an op of the chain.
#[derive(Clone, Copy, Debug)]
struct Record {
    node: u32,
    next: u32,
    /// For an edge that was forced: why its beginning led to the reader before, and the reader.
    why: u32,
    reader: u32,
}

/// What the chain reads of one key.
#[derive(Debug, Default)]
struct Slot {
    key: u32,
    /// The writes read, each with the position of its last read.
    sources: Vec<(u32, u32)>,
    /// The last read of the initial value.
    initial: Option<u32>,
}

struct View<'a> {
    execution: &'a Execution,
    writes: &'a KeyWrites,
    keeps: Keeps,
    session: u32,
    chain: Vec<u32>,
    /// The position of each node in the chain.
    position: Vec<u32>,
    label: Vec<u32>,
    record: Vec<u32>,
    records: Vec<Record>,
    slots: Vec<Slot>,
    slot_of: Vec<u32>,
    dirty: VecDeque<u32>,
    is_dirty: Vec<bool>,
}

/// A view of a session, if there is one: all writes and the session's ops, for causal memory the other sessions' reads too.
///
/// # Errors
/// Ops that show that there is none.
pub(crate) fn view(execution: &Execution, writes: &KeyWrites, session: u32, keeps: Keeps) -> Result<Vec<u32>, Vec<u32>> {
    let mut view = View::new(execution, writes, session, keeps);
    for position in 0..view.chain.len() as u32 {
        view.lower(view.chain[position as usize], position, Record { node: NONE, next: NONE, why: NONE, reader: NONE })?;
    }
    while let Some(slot) = view.dirty.pop_front() {
        view.is_dirty[slot as usize] = false;
        view.force(slot as usize)?;
    }
    view.order()
}

impl<'a> View<'a> {
    fn new(execution: &'a Execution, writes: &'a KeyWrites, session: u32, keeps: Keeps) -> View<'a> {
        let n = execution.len();
        let own = execution.nodes(session as usize);
        let in_chain = |&node: &u32| keeps != Keeps::EarlierReads || !execution.reads(node).is_empty();
        let chain: Vec<u32> = own.filter(in_chain).collect();
        let mut view = View {
            execution,
            writes,
            keeps,
            session,
            position: vec![NONE; n],
            label: vec![NONE; n],
            record: vec![NONE; n],
            records: Vec::with_capacity(n),
            slots: Vec::new(),
            slot_of: vec![NONE; execution.keys.len()],
            dirty: VecDeque::new(),
            is_dirty: Vec::new(),
            chain,
        };
        for (at, &node) in view.chain.iter().enumerate() {
            view.position[node as usize] = at as u32;
            for read in execution.reads(node) {
                let slot = &mut view.slot_of[read.key as usize];
                if *slot == NONE {
                    *slot = view.slots.len() as u32;
                    view.slots.push(Slot { key: read.key, ..Slot::default() });
                    view.is_dirty.push(false);
                }
                let slot = &mut view.slots[*slot as usize];
                if read.source == INITIAL {
                    slot.initial = Some(at as u32);
                } else {
                    slot.sources.push((read.source, at as u32));
                }
            }
        }
        for slot in &mut view.slots {
            // The last read of each source is the one that stays.
            slot.sources.sort_unstable_by_key(|&(source, at)| (source, std::cmp::Reverse(at)));
            slot.sources.dedup_by_key(|source| source.0);
        }
        view
    }

    /// What the relation puts immediately before a node.
    fn before(&self, node: u32) -> impl Iterator<Item = u32> + 'a {
        let is_own = self.position[node as usize] != NONE;
        let previous = (self.keeps != Keeps::EarlierReads).then(|| self.execution.previous(node)).flatten();
        let sources = (is_own || self.keeps == Keeps::Causality).then(|| self.execution.sources(node));
        previous.into_iter().chain(sources.into_iter().flatten())
    }

    /// Lowers the label of a node, and of all that lead to it.
    fn lower(&mut self, node: u32, label: u32, why: Record) -> Result<(), Vec<u32>> {
        let mut todo = vec![Record { node, ..why }];
        while let Some(record) = todo.pop() {
            let node = record.node as usize;
            if self.label[node] <= label {
                continue;
            }
            let id = self.records.len() as u32;
            self.records.push(record);
            self.label[node] = label;
            self.record[node] = id;
            if self.position[node] != NONE && self.position[node] > label {
                return Err(self.suspects(&[id], &[]));
            }
            for &key in self.execution.writes(record.node) {
                self.touch(key);
            }
            todo.extend(self.before(record.node).map(|before| Record { node: before, next: id, why: NONE, reader: NONE }));
        }
        Ok(())
    }

    fn touch(&mut self, key: u32) {
        let slot = self.slot_of[key as usize];
        if slot != NONE && !std::mem::replace(&mut self.is_dirty[slot as usize], true) {
            self.dirty.push_back(slot);
        }
    }

    /// Adds the edges that the reads of one key force, as they are known now.
    fn force(&mut self, slot: usize) -> Result<(), Vec<u32>> {
        let (key, initial) = (self.slots[slot].key, self.slots[slot].initial);
        let writes = self.writes.of_key(key);
        if let Some(initial) = initial
            && let Some(&write) =
                writes.iter().find(|&&write| self.label[write as usize] <= initial && self.position[write as usize] != initial)
        {
            return Err(self.suspects(&[self.record[write as usize]], &[self.chain[initial as usize]]));
        }
        // From the label to the last read nobody else may write the key.
        let mut spans: Vec<(u32, u32, u32)> =
            self.slots[slot].sources.iter().map(|&(source, last)| (self.label[source as usize], last, source)).collect();
        spans.sort_unstable();
        // An op of the chain may read one write and be the next.
        let clash = |a: (u32, u32, u32), b: (u32, u32, u32)| b.0 < a.1 || b.0 == a.1 && self.position[b.2 as usize] != a.1;
        if let Some(&[a, b]) = spans.windows(2).find(|pair| clash(pair[0], pair[1])) {
            let readers = [self.chain[a.1 as usize], self.chain[b.1 as usize]];
            return Err(self.suspects(&[self.record[a.2 as usize], self.record[b.2 as usize]], &readers));
        }
        for &write in writes {
            let label = self.label[write as usize];
            let Some(&(first, last, source)) = spans[..spans.partition_point(|span| span.0 < label)].last() else { continue };
            let is_reader = self.position[write as usize] == last;
            if label <= last && source != write && !is_reader {
                let why = self.record[write as usize];
                let record = Record { node: write, next: self.record[source as usize], why, reader: self.chain[last as usize] };
                self.lower(write, first, record)?;
            }
        }
        Ok(())
    }

    /// The nodes of some records, of all that follow from them, and some more.
    fn suspects(&self, records: &[u32], more: &[u32]) -> Vec<u32> {
        let mut suspects = more.to_vec();
        let mut seen = hashbrown::HashSet::new();
        let mut todo = records.to_vec();
        while let Some(mut id) = todo.pop() {
            let mut came_by_session = false;
            while id != NONE {
                let Record { node, next, why, reader } = self.records[id as usize];
                let goes_by_session =
                    why == NONE && next != NONE && self.execution.previous(self.records[next as usize].node) == Some(node);
                if !(came_by_session && goes_by_session) {
                    suspects.push(node);
                }
                if !seen.insert(id) {
                    suspects.push(node);
                    break;
                }
                if why != NONE {
                    suspects.push(reader);
                    todo.push(why);
                }
                came_by_session = goes_by_session;
                id = next;
            }
        }
        suspects
    }

    /// The view, once all edges are known.
    fn order(&self) -> Result<Vec<u32>, Vec<u32>> {
        let n = self.execution.len();
        let edges = self.edges();
        let mut starts = vec![0u32; n + 1];
        let mut waits_for = vec![0u32; n];
        for &(from, to, _) in &edges {
            starts[from as usize + 1] += 1;
            waits_for[to as usize] += 1;
        }
        for node in 0..n {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut after = vec![0u32; edges.len()];
        for &(from, to, _) in &edges {
            after[next[from as usize] as usize] = to;
            next[from as usize] += 1;
        }
        let mut order = Vec::with_capacity(n);
        let mut ready = Vec::new();
        let mut taken = 0;
        for node in self.by_label() {
            if waits_for[node as usize] == 0 {
                ready.push(node);
                waits_for[node as usize] = NONE;
            }
            while let Some(node) = ready.pop() {
                taken += 1;
                let is_own = self.execution.session[node as usize] == self.session;
                if is_own || self.keeps == Keeps::Causality || !self.execution.writes(node).is_empty() {
                    order.push(node);
                }
                for &to in &after[starts[node as usize] as usize..starts[node as usize + 1] as usize] {
                    waits_for[to as usize] -= 1;
                    if waits_for[to as usize] == 0 {
                        ready.push(to);
                        waits_for[to as usize] = NONE;
                    }
                }
            }
        }
        if taken == n { Ok(order) } else { Err(self.cycle(&edges, &waits_for)) }
    }

    /// All nodes by label. Those of one label that wait for others follow these as soon as they can.
    fn by_label(&self) -> Vec<u32> {
        let last = self.chain.len();
        let place = |node: u32| (self.label[node as usize] as usize).min(last);
        let mut next = vec![0u32; last + 2];
        for node in 0..self.label.len() as u32 {
            next[place(node) + 1] += 1;
        }
        for label in 0..=last {
            next[label + 1] += next[label];
        }
        let mut nodes = vec![0u32; self.label.len()];
        for node in 0..self.label.len() as u32 {
            nodes[next[place(node)] as usize] = node;
            next[place(node)] += 1;
        }
        nodes
    }

    /// The edges between nodes of one label, with the reader of those that are forced.
    fn edges(&self) -> Vec<(u32, u32, u32)> {
        let mut edges = Vec::new();
        for node in 0..self.label.len() as u32 {
            let same = |before: &u32| self.label[*before as usize] == self.label[node as usize];
            edges.extend(self.before(node).filter(same).map(|before| (before, node, NONE)));
        }
        for slot in &self.slots {
            // Of one label and key there is at most one source that is not of the chain, and one that is: the last of the label.
            let of_chain = |source: u32| self.position[source as usize] != NONE;
            let mut spans: Vec<(u32, bool, u32, u32)> = slot
                .sources
                .iter()
                .map(|&(source, last)| (self.label[source as usize], of_chain(source), source, self.chain[last as usize]))
                .collect();
            spans.sort_unstable();
            for &write in self.writes.of_key(slot.key) {
                let label = self.label[write as usize];
                let from = spans.partition_point(|span| span.0 < label);
                let same = spans[from..].iter().take_while(|span| span.0 == label);
                edges.extend(
                    same.filter(|&&(_, _, source, reader)| source != write && reader != write)
                        .map(|&(_, _, source, reader)| (write, source, reader)),
                );
            }
        }
        edges
    }

    /// A cycle among ops of one label, and what shows its edges.
    fn cycle(&self, edges: &[(u32, u32, u32)], waits_for: &[u32]) -> Vec<u32> {
        let mut waits_on = vec![NONE; waits_for.len()];
        let is_left = |node: u32| waits_for[node as usize] != NONE;
        for (at, &(from, to, _)) in edges.iter().enumerate() {
            if is_left(from) && is_left(to) {
                waits_on[to as usize] = at as u32;
            }
        }
        let mut seen = vec![false; waits_for.len()];
        let mut node = (0..waits_for.len() as u32).find(|&node| is_left(node)).unwrap_or(0);
        while !std::mem::replace(&mut seen[node as usize], true) {
            node = edges[waits_on[node as usize] as usize].0;
        }
        let start = node;
        let (mut suspects, mut records) = (Vec::new(), Vec::new());
        loop {
            let (from, to, reader) = edges[waits_on[node as usize] as usize];
            let previous = edges[waits_on[from as usize] as usize];
            let is_middle = reader == NONE
                && previous.2 == NONE
                && self.execution.previous(to) == Some(from)
                && self.execution.previous(from) == Some(previous.0);
            if !is_middle {
                suspects.extend([from, to]);
            }
            if reader != NONE {
                suspects.push(reader);
                records.push(self.record[from as usize]);
            }
            node = from;
            if node == start {
                break;
            }
        }
        suspects.extend(self.suspects(&records, &[]));
        suspects
    }
}

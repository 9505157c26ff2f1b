//! Causal consistency and causal convergence by bad patterns (Bouajjani, Enea, Guerraoui, Hamza: On verifying causal
//! consistency, POPL 2017, sections 5 and 6), in the number of ops times the number of sessions.
//!
//! The causal order is CO = (session order ∪ reads-from)⁺. Clocks say, for each op, how many ops of each session are in its
//! causal past; what a session wrote of a key last before that is the only write of the session that a read of the key can be
//! wrong about, as the others come before it.
//!
//! * **Causal** (CC): for every op there is an order of its causal past, and it, that keeps CO and explains what it read. It
//!   fails exactly if CO is cyclic (`CyclicCO`), if an op reads the initial value although a write of the key is CO-before it
//!   (`WriteCOInitRead`), or if it reads a write that another one of the key, itself CO-before the read, is CO-after
//!   (`WriteCORead`). A transaction that reads several keys also needs one order for all its reads: see `Causal::several_reads`.
//! * **Causal convergence** (CCv): one order of all writes for everybody. w1 CF w2 (conflict) if both write a key and a read of
//!   w2 has w1 in its causal past: then w1 must come first. It fails exactly if CC does or CO ∪ CF is cyclic (`CyclicCF`).

use super::execution::{Execution, INITIAL};
use super::graph::{self, Cycle};

/// The writes of each key by session.
#[derive(Debug)]
pub(crate) struct KeyWrites {
    starts: Vec<u32>,
    groups: Vec<Group>,
    nodes: Vec<u32>,
}

/// The writes of one key in one session: a range of nodes, in program order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) session: u32,
    from: u32,
    to: u32,
}

impl KeyWrites {
    /// Linear in the number of writes.
    pub(crate) fn new(execution: &Execution) -> KeyWrites {
        let keys = execution.keys.len();
        let mut next = vec![0u32; keys + 1];
        let all = 0..execution.len() as u32;
        for &key in all.clone().flat_map(|node| execution.writes(node)) {
            next[key as usize + 1] += 1;
        }
        for key in 0..keys {
            next[key + 1] += next[key];
        }
        let bounds = next.clone();
        let mut nodes = vec![0u32; bounds[keys] as usize];
        for node in all {
            for &key in execution.writes(node) {
                nodes[next[key as usize] as usize] = node;
                next[key as usize] += 1;
            }
        }
        let (mut starts, mut groups) = (vec![0u32], Vec::<Group>::new());
        for key in 0..keys {
            let first = groups.len();
            for at in bounds[key]..bounds[key + 1] {
                let session = execution.session[nodes[at as usize] as usize];
                match groups[first..].last_mut() {
                    Some(group) if group.session == session => group.to = at + 1,
                    _ => groups.push(Group { session, from: at, to: at + 1 }),
                }
            }
            starts.push(groups.len() as u32);
        }
        KeyWrites { starts, groups, nodes }
    }

    /// The sessions that write a key.
    pub(crate) fn groups(&self, key: u32) -> &[Group] {
        &self.groups[self.starts[key as usize] as usize..self.starts[key as usize + 1] as usize]
    }

    /// A session's writes of a key.
    pub(crate) fn nodes(&self, group: Group) -> &[u32] {
        &self.nodes[group.from as usize..group.to as usize]
    }

    /// All writes of a key.
    pub(crate) fn of_key(&self, key: u32) -> &[u32] {
        match self.groups(key) {
            [] => &[],
            [first, .., last] => &self.nodes[first.from as usize..last.to as usize],
            [only] => self.nodes(*only),
        }
    }
}

/// The causal order of an execution.
#[derive(Debug)]
pub(crate) struct Causal<'a> {
    execution: &'a Execution,
    pub(crate) writes: KeyWrites,
    /// All nodes, each after those that it depends on.
    pub(crate) order: Vec<u32>,
    clocks: Vec<u32>,
}

/// w1 comes before w2, as `reader` read w2 and has w1 in its causal past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) before: u32,
    pub(crate) after: u32,
    pub(crate) reader: u32,
}

impl<'a> Causal<'a> {
    /// Bytes that the clocks of an execution take.
    pub(crate) fn bytes(execution: &Execution) -> u64 {
        execution.len() as u64 * execution.sessions() as u64 * 4
    }

    /// The causal order.
    ///
    /// # Errors
    /// A cycle of it (`CyclicCO`), as the ops where it changes sessions.
    pub(crate) fn new(execution: &'a Execution) -> Result<Causal<'a>, Vec<u32>> {
        let order = match graph::order(execution, &[], true) {
            Ok(order) => order,
            Err(Cycle(nodes)) => return Err(nodes),
        };
        let sessions = execution.sessions();
        let mut clocks = vec![0u32; execution.len() * sessions];
        for &node in &order {
            let row = node as usize * sessions;
            for before in execution.previous(node).into_iter().chain(execution.sources(node)) {
                let other = before as usize * sessions;
                // Two rows of one array: the other one is read as a copy of each word.
                for session in 0..sessions {
                    clocks[row + session] = clocks[row + session].max(clocks[other + session]);
                }
            }
            let session = execution.session[node as usize] as usize;
            clocks[row + session] = node - execution.starts[session] + 1;
        }
        Ok(Causal { execution, writes: KeyWrites::new(execution), order, clocks })
    }

    /// Whether `a` is `b`, or CO-before it.
    pub(crate) fn reaches(&self, a: u32, b: u32) -> bool {
        let session = self.execution.session[a as usize] as usize;
        self.clocks[b as usize * self.execution.sessions() + session] > a - self.execution.starts[session]
    }

    /// What each session wrote of the key last, of what is CO-before the node.
    fn last_writes(&self, key: u32, node: u32) -> impl Iterator<Item = u32> + '_ {
        let row = node as usize * self.execution.sessions();
        self.writes.groups(key).iter().filter_map(move |&group| {
            let session = group.session as usize;
            let mut end = self.execution.starts[session] + self.clocks[row + session];
            if self.execution.session[node as usize] as usize == session {
                end = end.min(node);
            }
            let nodes = self.writes.nodes(group);
            nodes[..nodes.partition_point(|&write| write < end)].last().copied()
        })
    }

    /// The first read that is wrong about one write alone, as (the write, the read): `WriteCOInitRead` or `WriteCORead`.
    pub(crate) fn wrong_read(&self) -> Option<(u32, u32)> {
        self.order.iter().find_map(|&node| {
            self.execution.reads(node).iter().find_map(|read| {
                let is_wrong = |&write: &u32| read.source == INITIAL || write != read.source && self.reaches(read.source, write);
                self.last_writes(read.key, node).find(is_wrong).map(|write| (write, node))
            })
        })
    }

    /// The conflicts between writes that CO leaves open.
    pub(crate) fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for &reader in &self.order {
            for read in self.execution.reads(reader).iter().filter(|read| read.source != INITIAL) {
                let after = read.source;
                let open = |&before: &u32| before != after && !self.reaches(before, after);
                conflicts.extend(self.last_writes(read.key, reader).filter(open).map(|before| Conflict { before, after, reader }));
            }
        }
        conflicts
    }

    /// A transaction that read several writes which no order of its causal past explains together, as all that shows it.
    ///
    /// Every other write of a key that it read must come before the one that it read. A cycle of such and of CO goes through
    /// writes that it read only: from `w_i` to `w_j` if `w_i` is CO-before a write (or is one) that must come before `w_j`. Without a cycle
    /// the order exists: the union of CO and these edges, read from its beginning, has each `w_j` as the last write of its key.
    pub(crate) fn several_reads(&self) -> Option<Vec<u32>> {
        (0..self.execution.len() as u32).find_map(|node| self.fractured(node))
    }

    fn fractured(&self, node: u32) -> Option<Vec<u32>> {
        let reads: Vec<_> = self.execution.reads(node).iter().filter(|read| read.source != INITIAL).copied().collect();
        if reads.len() < 2 {
            return None;
        }
        let mut conflicts = Vec::new();
        for read in &reads {
            let after = read.source;
            let open = |&before: &u32| before != after;
            conflicts.extend(self.last_writes(read.key, node).filter(open).map(|before| Conflict { before, after, reader: node }));
        }
        // Each write that was read points to those that must come after one that it is CO-before.
        let places: Vec<u32> = reads.iter().map(|read| read.source).collect();
        let edge = |from: usize, to: usize| conflicts.iter().find(|c| c.after == places[to] && self.reaches(places[from], c.before));
        let steps: Vec<Vec<usize>> =
            (0..places.len()).map(|from| (0..places.len()).filter(|&to| edge(from, to).is_some()).collect()).collect();
        let cycle = graph::small_cycle(&steps)?;
        let mut suspects = vec![node];
        for (at, &from) in cycle.iter().enumerate() {
            let to = cycle[(at + 1) % cycle.len()];
            if let Some(conflict) = edge(from, to) {
                suspects.extend(self.path(places[from], conflict.before));
                suspects.extend(self.path(conflict.before, node));
            }
        }
        Some(suspects)
    }

    /// Ops that show that `a` is CO-before `b`: both, and on the way the ends of each reads-from, as few of them as possible.
    pub(crate) fn path(&self, a: u32, b: u32) -> Vec<u32> {
        graph::path(self.execution, a, b, |node| self.reaches(a, node))
    }

    /// One order of all ops that keeps CO and the conflicts.
    ///
    /// # Errors
    /// A cycle of both (`CyclicCF`), as all ops that show it.
    pub(crate) fn arbitration(&self, conflicts: &[Conflict]) -> Result<Vec<u32>, Vec<u32>> {
        let edges: Vec<(u32, u32)> = conflicts.iter().map(|c| (c.before, c.after)).collect();
        graph::order(self.execution, &edges, true).map_err(|Cycle(nodes)| {
            let mut suspects = nodes.clone();
            for (at, &from) in nodes.iter().enumerate() {
                let to = nodes[(at + 1) % nodes.len()];
                if let Some(conflict) = conflicts.iter().find(|c| (c.before, c.after) == (from, to)) {
                    suspects.extend(self.path(conflict.before, conflict.reader));
                }
            }
            suspects
        })
    }
}

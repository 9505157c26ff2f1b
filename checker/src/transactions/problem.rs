//! What is known of the transactions that happened: who read which version of a key, and which versions follow which.

use super::anomaly::Anomaly;
use super::reading::{Holds, Transactions};
use histories::{OpId, ValueId};

/// The version that a key has at first, as if a transaction before all others had written it.
pub(crate) const INITIAL: u32 = u32::MAX;
/// Nobody.
pub(crate) const NONE: u32 = u32::MAX;

/// A read of a version from outside of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) key: u32,
    /// The transaction that wrote the version; [`INITIAL`].
    pub(crate) source: u32,
}

/// Of a key, that the version of one transaction comes before that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct After {
    pub(crate) key: u32,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// An anomaly that needs no cycle.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) anomaly: Anomaly,
    pub(crate) key: u32,
    /// What was read; or the value that matters.
    pub(crate) value: ValueId,
    /// Ops: the one that shows it first, then the writers that it concerns.
    pub(crate) ops: Vec<OpId>,
}

/// The transactions that happened, as nodes in the order of their first events.
#[derive(Debug, Default)]
pub(crate) struct Problem {
    pub(crate) op: Vec<OpId>,
    pub(crate) session: Vec<u32>,
    pub(crate) invoke: Vec<u32>,
    pub(crate) complete: Vec<u32>,
    pub(crate) has_sessions: bool,
    /// The order of versions was seen in lists. Else it follows from reads, and of writes alone nothing is known.
    pub(crate) has_lists: bool,
    pub(crate) keys: usize,
    reads: Vec<Read>,
    read_starts: Vec<u32>,
    writes: Vec<u32>,
    write_starts: Vec<u32>,
    writers: Vec<u32>,
    writer_starts: Vec<u32>,
    /// By key and by the earlier transaction.
    after: Vec<After>,
    after_starts: Vec<u32>,
    /// Anomalies that need no cycle, the first of each kind.
    pub(crate) findings: Vec<Finding>,
    /// Why nothing can be said to be kept.
    pub(crate) doubts: Vec<String>,
    /// Why even read uncommitted can be neither kept nor broken.
    pub(crate) no_version_order: Option<String>,
}

impl Problem {
    pub(crate) fn len(&self) -> usize {
        self.op.len()
    }

    /// The external reads of a node, in their order.
    pub(crate) fn reads(&self, node: u32) -> &[Read] {
        slice(&self.reads, &self.read_starts, node)
    }

    /// The keys that a node writes, each once.
    pub(crate) fn writes(&self, node: u32) -> &[u32] {
        slice(&self.writes, &self.write_starts, node)
    }

    /// The nodes that write a key, each once, in the order of their first events.
    pub(crate) fn writers(&self, key: u32) -> &[u32] {
        slice(&self.writers, &self.writer_starts, key)
    }

    /// What is known of the order of a key's versions. Together with what follows it is the whole that is known.
    pub(crate) fn after(&self, key: u32) -> &[After] {
        slice(&self.after, &self.after_starts, key)
    }

    /// What is known to follow a version at once or later.
    pub(crate) fn successors(&self, key: u32, from: u32) -> &[After] {
        let all = self.after(key);
        let start = all.partition_point(|after| after.from < from);
        let end = start + all[start..].partition_point(|after| after.from == from);
        &all[start..end]
    }

    /// Notes an anomaly, unless one of its kind is known.
    pub(crate) fn found(&mut self, finding: impl FnOnce() -> Finding, anomaly: Anomaly) {
        if self.findings.iter().all(|known| known.anomaly != anomaly) {
            self.findings.push(finding());
        }
    }

    pub(crate) fn doubt(&mut self, why: impl FnOnce() -> String) {
        if self.doubts.is_empty() {
            self.doubts.push(why());
        }
    }

    /// Takes the transactions that happened for nodes; gives the node of each.
    pub(crate) fn nodes(&mut self, all: &Transactions, happened: &[bool]) -> Vec<u32> {
        self.has_sessions = all.has_sessions;
        self.has_lists = all.holds == Holds::Lists;
        self.keys = all.keys.len();
        let mut node_of = vec![NONE; all.len()];
        let mut writes: Vec<u32> = Vec::new();
        self.write_starts.push(0);
        for transaction in (0..all.len()).filter(|&transaction| happened[transaction]) {
            node_of[transaction] = self.op.len() as u32;
            self.op.push(all.op[transaction]);
            self.session.push(all.session[transaction]);
            self.invoke.push(all.invoke[transaction]);
            self.complete.push(all.complete[transaction]);
            writes.clear();
            writes.extend(all.micros(transaction as u32).iter().filter(|micro| micro.is_write).map(|micro| micro.key));
            writes.sort_unstable();
            writes.dedup();
            self.writes.extend_from_slice(&writes);
            self.write_starts.push(self.writes.len() as u32);
        }
        let pairs = (0..self.len() as u32).flat_map(|node| self.writes(node).iter().map(move |&key| (key, node)));
        (self.writer_starts, self.writers) = grouped(self.keys, pairs.collect::<Vec<_>>().into_iter());
        node_of
    }

    /// The external reads, node by node, in their order.
    pub(crate) fn with_reads(&mut self, reads: &[(u32, Read)]) {
        (self.read_starts, self.reads) = grouped(self.len(), reads.iter().copied());
    }

    pub(crate) fn with_order(&mut self, mut after: Vec<After>) {
        after.sort_unstable();
        after.dedup();
        (self.after_starts, self.after) = grouped(self.keys, after.into_iter().map(|after| (after.key, after)));
    }
}

impl Problem {
    /// The problem of some of its nodes alone, and which these are: reads from others are left out, and versions of others. Whatever
    /// order explains the whole explains the part.
    pub(crate) fn restricted(&self, keep: &[bool]) -> (Problem, Vec<u32>) {
        let kept: Vec<u32> = (0..self.len() as u32).filter(|&node| keep[node as usize]).collect();
        let mut new_of = vec![NONE; self.len()];
        for (new, &old) in (0..).zip(&kept) {
            new_of[old as usize] = new;
        }
        let column = |all: &[u32]| kept.iter().map(|&old| all[old as usize]).collect::<Vec<u32>>();
        let mut part = Problem {
            op: kept.iter().map(|&old| self.op[old as usize]).collect(),
            session: column(&self.session),
            invoke: column(&self.invoke),
            complete: column(&self.complete),
            has_sessions: self.has_sessions,
            has_lists: self.has_lists,
            keys: self.keys,
            ..Problem::default()
        };
        let writes: Vec<(u32, u32)> = kept.iter().flat_map(|&old| self.writes(old).iter().map(move |&key| (old, key))).collect();
        let pairs = writes.iter().map(|&(old, key)| (new_of[old as usize], key));
        (part.write_starts, part.writes) = grouped(kept.len(), pairs);
        (part.writer_starts, part.writers) = grouped(self.keys, writes.iter().map(|&(old, key)| (key, new_of[old as usize])));
        let mut reads = Vec::new();
        for (new, &old) in (0..).zip(&kept) {
            let known = self.reads(old).iter().filter(|read| read.source == INITIAL || keep[read.source as usize]);
            reads.extend(known.map(|read| {
                let source = if read.source == INITIAL { INITIAL } else { new_of[read.source as usize] };
                (new, Read { key: read.key, source })
            }));
        }
        part.with_reads(&reads);
        let mut after = Vec::new();
        for key in 0..self.keys as u32 {
            let is_kept = |node: u32| node == INITIAL || keep[node as usize];
            for first in self.after(key).iter().filter(|after| is_kept(after.from)) {
                let from = if first.from == INITIAL { INITIAL } else { new_of[first.from as usize] };
                let mut open = vec![first.to];
                let mut seen = Vec::new();
                while let Some(to) = open.pop() {
                    if is_kept(to) {
                        after.push(After { key, from, to: new_of[to as usize] });
                    } else if !seen.contains(&to) {
                        seen.push(to);
                        open.extend(self.successors(key, to).iter().map(|after| after.to));
                    }
                }
            }
        }
        after.retain(|after| after.from != after.to);
        part.with_order(after);
        (part, kept)
    }
}

fn slice<'a, T>(all: &'a [T], starts: &[u32], at: u32) -> &'a [T] {
    &all[starts[at as usize] as usize..starts[at as usize + 1] as usize]
}

/// Things by the small number that comes with each: where those of each number begin, and the things. The order of those of one
/// number stays.
pub(crate) fn grouped<T: Copy>(numbers: usize, pairs: impl Iterator<Item = (u32, T)> + Clone) -> (Vec<u32>, Vec<T>) {
    let mut starts = vec![0_u32; numbers + 2];
    for (number, _) in pairs.clone() {
        starts[number as usize + 2] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut things: Vec<T> = Vec::new();
    if let Some((_, any)) = pairs.clone().next() {
        things.resize(starts[numbers + 1] as usize, any);
        for (number, thing) in pairs {
            let at = &mut starts[number as usize + 1];
            things[*at as usize] = thing;
            *at += 1;
        }
    }
    starts.pop();
    (starts, things)
}

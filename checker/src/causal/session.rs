//! Read-your-writes, monotonic writes and writes-follow-reads, in the form of one view per process (Terry et al. 1994;
//! Brzeziński, Sobaniec and Wawrzyniak 2004): each process has a legal order of all writes and its own reads that keeps
//!
//! * **read-your-writes**: the process's own writes before its later reads;
//! * **monotonic writes**: the writes of every session in their order;
//! * **writes-follow-reads**: every write after those that its session had read before it.
//!
//! None of them says in which order the process's reads come: each may have been answered by another replica. So with ops
//! that are one read or one write each, little is left to forbid, and it is decided here without search:
//!
//! * Monotonic writes alone forbid nothing: take the writes in any order that keeps the sessions', and each read just after
//!   the write that it saw.
//! * Writes-follow-reads forbids cycles of what it says, and nothing else, for the same reason.
//! * Read-your-writes: see [`read_your_writes`].
//!
//! Ops that read or write several keys say more. They are decided where a stronger model holds, or the necessary edges make
//! a cycle; what is left is said to be unknown.

use super::execution::{Execution, INITIAL};
use super::graph::{self, Cycle};

/// The writes in an order that keeps every session's.
pub(crate) fn monotonic_writes(execution: &Execution) -> Vec<u32> {
    (0..execution.len() as u32).filter(|&node| !execution.writes(node).is_empty()).collect()
}

/// The writes in an order in which each follows those that its session had read before it.
///
/// # Errors
/// A cycle: the writes, and the reads between them.
pub(crate) fn writes_follow_reads(execution: &Execution) -> Result<Vec<u32>, Vec<u32>> {
    let n = execution.len() as u32;
    // What a session has read up to an op is a node of its own, `op`; the op's write is `n + op`.
    let sessions = execution.sessions() as u32;
    let session = execution.session.iter().copied().chain((0..n).map(|op| sessions + op)).collect();
    let starts = execution.starts.iter().copied().chain((0..n).map(|op| n + op + 1)).collect();
    let split = Execution::of_sessions(session, starts);
    let mut edges = Vec::new();
    for op in 0..n {
        edges.extend(execution.sources(op).map(|source| (n + source, op)));
        if !execution.writes(op).is_empty() {
            edges.push((op, n + op));
        }
    }
    match graph::order(&split, &edges, false) {
        Ok(order) => {
            let writes = order.into_iter().filter(|&node| node >= n).map(|node| node - n);
            Ok(writes.filter(|&node| !execution.writes(node).is_empty()).collect())
        }
        Err(Cycle(nodes)) => Err(nodes.into_iter().map(|node| if node < n { node } else { node - n }).collect()),
    }
}

/// A view of a session where each op is one read or one write: the writes in the order given, each read just after what it saw.
pub(crate) fn with_reads(execution: &Execution, session: usize, writes: &[u32]) -> Vec<u32> {
    let readers = Readers::new(execution, session);
    let mut view: Vec<u32> = readers.initial.clone();
    for &write in writes {
        view.push(write);
        view.extend(readers.of(write));
    }
    view
}

/// The reads of a session by what they saw.
struct Readers {
    initial: Vec<u32>,
    /// (source, reader), sorted.
    pairs: Vec<(u32, u32)>,
}

impl Readers {
    fn new(execution: &Execution, session: usize) -> Readers {
        let mut readers = Readers { initial: Vec::new(), pairs: Vec::new() };
        for node in execution.nodes(session) {
            match execution.reads(node) {
                [read] if read.source == INITIAL => readers.initial.push(node),
                [read] => readers.pairs.push((read.source, node)),
                _ => {}
            }
        }
        readers.pairs.sort_unstable();
        readers
    }

    fn of(&self, source: u32) -> impl Iterator<Item = u32> + '_ {
        let from = self.pairs.partition_point(|pair| pair.0 < source);
        self.pairs[from..].iter().take_while(move |pair| pair.0 == source).map(|pair| pair.1)
    }

    fn last_of(&self, source: u32) -> Option<u32> {
        let end = self.pairs.partition_point(|pair| pair.0 <= source);
        self.pairs[..end].last().filter(|pair| pair.0 == source).map(|pair| pair.1)
    }
}

/// A view of a session whose ops are one read or one write each, in which its own writes come before its later reads.
///
/// Of the writes of a key by the session itself, w must come after all that stand before its last reader, except w. There is a view
/// unless two of them would each have to come after the other, or the initial value of a key is read after an own write of it:
/// take the session's ops in their order, but each own write that must come before an earlier one, together with its reads (all of
/// which stand before that one), just before that; reads of an own write that stand before it, just after it; and at the end
/// everybody else's writes, each with the session's reads of it. (An own write must come before one earlier one at most: of two,
/// each would have to come after the other.)
///
/// # Errors
/// The ops that show that there is none.
pub(crate) fn read_your_writes(execution: &Execution, session: usize) -> Result<Vec<u32>, Vec<u32>> {
    let own = execution.nodes(session);
    let readers = Readers::new(execution, session);
    // The own writes by key, each with its last reader.
    let mut writes: Vec<(u32, u32, Option<u32>)> = own
        .clone()
        .flat_map(|node| execution.writes(node).iter().map(move |&key| (key, node)))
        .map(|(key, node)| (key, node, readers.last_of(node)))
        .collect();
    writes.sort_unstable();
    for &read in readers.initial.iter().rev() {
        let key = execution.reads(read)[0].key;
        let first = writes.partition_point(|write| write.0 < key);
        if let Some(&(_, write, _)) = writes.get(first).filter(|write| write.0 == key && write.1 < read) {
            return Err(vec![write, read]);
        }
    }
    let mut moved_before = vec![u32::MAX; own.len()];
    for of_key in writes.chunk_by(|a, b| a.0 == b.0) {
        place(of_key, own.start, &mut moved_before)?;
    }
    let mut moved: Vec<(u32, u32)> = Vec::new();
    moved.extend(own.clone().map(|node| (moved_before[(node - own.start) as usize], node)).filter(|pair| pair.0 != u32::MAX));
    moved.sort_unstable();
    let is_moved = |node: u32| own.contains(&node) && moved_before[(node - own.start) as usize] != u32::MAX;
    let mut view = Vec::new();
    for node in own.clone() {
        if let [read] = execution.reads(node) {
            let is_past = read.source == INITIAL || own.contains(&read.source) && read.source < node;
            if is_past && !(read.source != INITIAL && is_moved(read.source)) {
                view.push(node);
            }
        } else if !is_moved(node) {
            let from = moved.partition_point(|pair| pair.0 < node);
            for &(_, other) in moved[from..].iter().take_while(|pair| pair.0 == node) {
                view.push(other);
                view.extend(readers.of(other));
            }
            view.push(node);
            view.extend(readers.of(node).filter(|&reader| reader < node));
        }
    }
    for foreign in (0..execution.len() as u32).filter(|node| !own.contains(node) && !execution.writes(*node).is_empty()) {
        view.push(foreign);
        view.extend(readers.of(foreign));
    }
    Ok(view)
}

/// Before which earlier write of its key each own write must come, if any.
fn place(writes: &[(u32, u32, Option<u32>)], first: u32, moved_before: &mut [u32]) -> Result<(), Vec<u32>> {
    // Of the writes up to each, the one that is read last.
    let mut latest: Vec<(u32, u32)> = Vec::with_capacity(writes.len());
    for (at, &(_, node, last)) in writes.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| latest[at]).filter(|&(reader, _)| reader > node);
        if let Some((reader, other)) = before {
            moved_before[(node - first) as usize] = other;
            if let Some(last) = last {
                // Those that stand before the last reader of this one.
                let count = writes[..at].partition_point(|write| write.1 < last);
                let crossed = count.checked_sub(1).map(|at| latest[at]).filter(|&(reader, _)| reader > node);
                if let Some((reader, other)) = crossed {
                    return Err(vec![node, last, other, reader]);
                }
            }
            latest.push(last.map_or((reader, other), |last| (last, node).max((reader, other))));
        } else {
            let own = last.map_or((0, node), |last| (last, node));
            let previous = at.checked_sub(1).map_or((0, node), |at| latest[at]);
            latest.push(own.max(previous));
        }
    }
    Ok(())
}

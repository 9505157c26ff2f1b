//! Read committed, read atomic and causal consistency of transactions in the schema of Biswas and Enea (OOPSLA 2019), decided
//! as Møldrup and Pavlogiannis do (AWDIT, PLDI 2025).
//!
//! There is a commit order that keeps session order and what was read from whom, such that wherever `t3` reads a key from `t1` and
//! another writer `t2` of the key is visible to `t3`, `t2` commits before `t1`. What is visible does not depend on the commit order, so
//! the edges that this forces are known at once, and an order exists if and only if there is no cycle. Of all visible writers of one
//! session the last is enough: the others come before it anyway.

use super::graph::{Edges, Graph, Why, session_pairs};
use super::isolation::Isolation;
use super::problem::{INITIAL, NONE, Problem, Read};
use super::reading::NEVER;
use crate::budget::{Account, Limit};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

const NO_KEY: u32 = u32::MAX;
/// Numbers in all clocks together: 4 GB.
const CLOCKS_MAX: usize = 1 << 30;

/// The graph whose orders are the commit orders.
///
/// # Errors
/// The budget ended.
pub(crate) fn graph(problem: &Problem, level: Isolation, account: &mut Account<'_>) -> Result<Graph, Limit> {
    let mut edges = Edges::default();
    for (from, to) in session_pairs(problem) {
        edges.push(from, to, Why::Session, NO_KEY, NONE);
    }
    for node in 0..problem.len() as u32 {
        for read in problem.reads(node).iter().filter(|read| read.source != INITIAL && read.source != node) {
            edges.push(read.source, node, Why::Reads, read.key, NONE);
        }
    }
    for after in (0..problem.keys as u32).flat_map(|key| problem.after(key)).filter(|after| after.from != INITIAL) {
        edges.push(after.from, after.to, Why::Overwrites, after.key, NONE);
    }
    match level {
        Isolation::ReadAtomic => read_atomic(problem, &mut edges, account)?,
        Isolation::TransactionalCausal => causal(problem, &mut edges, account)?,
        Isolation::StrongSessionReadCommitted => read_committed(problem, &mut edges, account)?,
        // Decided without edges that a level forces.
        Isolation::StrictSerializable
        | Isolation::StrongSessionSerializable
        | Isolation::Serializable
        | Isolation::RepeatableRead
        | Isolation::StrongSnapshotIsolation
        | Isolation::StrongSessionSnapshotIsolation
        | Isolation::SnapshotIsolation
        | Isolation::ReadCommitted
        | Isolation::ReadUncommitted => {}
    }
    account.hold(edges.all.len() * Graph::BYTES_PER_EDGE)?;
    Ok(Graph::of(1, problem.len(), &edges))
}

/// That a writer of a key is visible to a reader of it. If the reader saw the initial version the writer comes after it, and the
/// edge back says so.
fn visible(edges: &mut Edges, writer: u32, reader: u32, read: Read) {
    if writer == read.source || writer == reader {
        return;
    }
    if read.source == INITIAL {
        edges.push(reader, writer, Why::Replaced, read.key, NONE);
    } else {
        edges.push(writer, read.source, Why::Forced, read.key, reader);
    }
}

/// Visible is what an earlier read saw.
fn read_committed(problem: &Problem, edges: &mut Edges, account: &mut Account<'_>) -> Result<(), Limit> {
    let mut sources: Vec<u32> = Vec::new();
    for node in 0..problem.len() as u32 {
        sources.clear();
        for &read in problem.reads(node) {
            account.work(sources.len() as u64 + 1)?;
            for &source in &sources {
                if problem.writes(source).binary_search(&read.key).is_ok() {
                    visible(edges, source, node, read);
                }
            }
            if read.source != INITIAL && !sources.contains(&read.source) {
                sources.push(read.source);
            }
        }
    }
    Ok(())
}

/// Visible is what the session did before, and every transaction that was read from.
fn read_atomic(problem: &Problem, edges: &mut Edges, account: &mut Account<'_>) -> Result<(), Limit> {
    let mut sources: Vec<u32> = Vec::new();
    // The last writer of a key in a session so far.
    let mut last: HashMap<(u32, u32), u32, FxBuildHasher> = HashMap::default();
    for node in 0..problem.len() as u32 {
        sources.clear();
        sources.extend(problem.reads(node).iter().map(|read| read.source).filter(|&source| source != INITIAL && source != node));
        sources.sort_unstable();
        sources.dedup();
        let session = problem.session[node as usize];
        for &read in problem.reads(node) {
            account.work(sources.len() as u64 + 1)?;
            for &source in sources.iter().filter(|&&source| problem.writes(source).binary_search(&read.key).is_ok()) {
                visible(edges, source, node, read);
            }
            if let Some(&writer) = last.get(&(session, read.key)) {
                visible(edges, writer, node, read);
            }
        }
        if problem.has_sessions && problem.complete[node as usize] != NEVER {
            last.extend(problem.writes(node).iter().map(|&key| ((session, key), node)));
        }
    }
    Ok(())
}

/// Visible is all that comes before by sessions and reads: of each transaction, how many of each row.
fn causal(problem: &Problem, edges: &mut Edges, account: &mut Account<'_>) -> Result<(), Limit> {
    let base = edges.all.iter().filter(|(_, arrow)| matches!(arrow.why, Why::Session | Why::Reads)).copied().collect();
    let base = Graph::of(1, problem.len(), &Edges { all: base });
    // A cycle is found by whoever asks for an order.
    let Some(order) = base.order(problem) else { return Ok(()) };
    let rows = Rows::new(problem);
    if problem.len().saturating_mul(rows.count) > CLOCKS_MAX {
        return Err(Limit::Memory);
    }
    account.hold(problem.len() * rows.count * 4)?;
    let mut clocks = vec![0_u32; problem.len() * rows.count];
    for &node in &order {
        account.work((base.arrows(node).len() * rows.count) as u64)?;
        let from = node as usize * rows.count;
        for arrow in base.arrows(node) {
            let to = arrow.to as usize * rows.count;
            for row in 0..rows.count {
                clocks[to + row] = clocks[to + row].max(clocks[from + row]);
            }
            let own = &mut clocks[to + rows.row[node as usize] as usize];
            *own = (*own).max(rows.place[node as usize] + 1);
        }
    }
    for node in 0..problem.len() as u32 {
        let clock = &clocks[node as usize * rows.count..][..rows.count];
        for &read in problem.reads(node) {
            let of_key = rows.of_key(read.key);
            account.work(of_key.len() as u64 + 1)?;
            for &(row, start, end) in of_key {
                let writers = &rows.writers[start as usize..end as usize];
                let seen = writers.partition_point(|&writer| rows.place[writer as usize] < clock[row as usize]);
                if let Some(&writer) = seen.checked_sub(1).and_then(|last| writers.get(last)) {
                    visible(edges, writer, node, read);
                }
            }
        }
    }
    Ok(())
}

/// Sessions as rows in which each place follows from the next: a session that goes on after a transaction of unknown outcome
/// does so in another row, since that one is no part of its past.
struct Rows {
    row: Vec<u32>,
    place: Vec<u32>,
    count: usize,
    /// The writers of each key, row by row.
    writers: Vec<u32>,
    /// Of each key the rows that write it, and where their writers are.
    of_keys: Vec<(u32, u32, u32)>,
    of_key_starts: Vec<u32>,
}

impl Rows {
    fn new(problem: &Problem) -> Rows {
        let sessions = problem.session.iter().max().map_or(0, |&most| most as usize + 1);
        // The row of a session and the next place in it; none where a new one begins.
        let mut open: Vec<Option<(u32, u32)>> = vec![None; sessions];
        let (mut row, mut place, mut count) = (Vec::new(), Vec::new(), 0_u32);
        for node in 0..problem.len() {
            let open = &mut open[problem.session[node] as usize];
            let (at, next) = open.unwrap_or((count, 0));
            count = count.max(at + 1);
            row.push(at);
            place.push(next);
            let goes_on = problem.has_sessions && problem.complete[node] != NEVER;
            *open = goes_on.then_some((at, next + 1));
        }
        let mut rows = Rows { row, place, count: count as usize, writers: Vec::new(), of_keys: Vec::new(), of_key_starts: vec![0] };
        let mut writers: Vec<u32> = Vec::new();
        for key in 0..problem.keys as u32 {
            writers.clear();
            writers.extend_from_slice(problem.writers(key));
            writers.sort_unstable_by_key(|&writer| (rows.row[writer as usize], rows.place[writer as usize]));
            for same in writers.chunk_by(|&a, &b| rows.row[a as usize] == rows.row[b as usize]) {
                let start = rows.writers.len() as u32;
                rows.writers.extend_from_slice(same);
                rows.of_keys.push((rows.row[same[0] as usize], start, start + same.len() as u32));
            }
            rows.of_key_starts.push(rows.of_keys.len() as u32);
        }
        rows
    }

    fn of_key(&self, key: u32) -> &[(u32, u32, u32)] {
        &self.of_keys[self.of_key_starts[key as usize] as usize..self.of_key_starts[key as usize + 1] as usize]
    }
}

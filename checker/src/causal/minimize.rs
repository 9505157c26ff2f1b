//! Contradictions of a few ops: the necessary edges one by one, until there is a cycle.
//!
//! The plainest form of each model's rules, on the closure of all edges, and so only for the few ops that a faster procedure
//! has found guilty. It names each edge of the cycle, and leaves out every op that is not needed. The time is that of a closure,
//! cubic in the ops, for each op that is left out, so it all goes by the budget.

use super::execution::{Execution, INITIAL, Read};
use crate::budget::{Account, Limit};
use crate::consistency::Consistency;
use crate::verdict::{EdgeKind, Pattern};
use std::collections::VecDeque;

/// An edge between two nodes and, where a read is the reason, the node that reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) kind: EdgeKind,
    pub(crate) reader: Option<u32>,
}

/// A cycle of necessary edges, and the session whose view it concerns.
#[derive(Debug)]
pub(crate) struct Contradiction {
    pub(crate) pattern: Pattern,
    pub(crate) cycle: Vec<Link>,
    pub(crate) session: Option<u32>,
}

/// Leaves out nodes as long as what is left is a contradiction. Removing nodes never makes one, so each is tried once. `None` if
/// they are none.
///
/// # Errors
/// The budget ended.
pub(crate) fn shrink(
    execution: &Execution,
    suspects: &[u32],
    consistency: Consistency,
    account: &mut Account<'_>,
) -> Result<Option<(Vec<u32>, Contradiction)>, Limit> {
    let mut nodes = suspects.to_vec();
    nodes.sort_unstable();
    nodes.dedup();
    let mut contradicts = |nodes: &[u32]| contradiction(&execution.restricted(nodes), consistency, account).map(|found| found.is_some());
    if !contradicts(&nodes)? {
        return Ok(None);
    }
    let mut size = nodes.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < nodes.len() {
            let mut fewer = nodes.clone();
            fewer.drain(at..(at + size).min(nodes.len()));
            if contradicts(&fewer)? {
                nodes = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    let found = contradiction(&execution.restricted(&nodes), consistency, account)?;
    Ok(found.map(|found| (nodes, found)))
}

/// A contradiction of the execution to a model, if its necessary edges make a cycle.
///
/// # Errors
/// The budget ended.
pub(crate) fn contradiction(
    execution: &Execution,
    consistency: Consistency,
    account: &mut Account<'_>,
) -> Result<Option<Contradiction>, Limit> {
    let found = match consistency {
        Consistency::Sequential | Consistency::SequentialPerKey => {
            let all: Vec<u32> = (0..execution.len() as u32).collect();
            let cycle = saturated(execution, causality(execution), &all, true, account)?;
            return Ok(cycle.map(|cycle| Contradiction { pattern: Pattern::CyclicSc, cycle, session: None }));
        }
        Consistency::Causal | Consistency::CausalConvergence | Consistency::CausalMemory => causal(execution, account)?,
        _ => None,
    };
    match consistency {
        _ if found.is_some() => Ok(found),
        Consistency::Causal => Ok(None),
        Consistency::CausalConvergence => convergence(execution, account),
        _ => of_a_session(execution, consistency, account),
    }
}

/// The shortest contradiction in the view of a session.
fn of_a_session(execution: &Execution, consistency: Consistency, account: &mut Account<'_>) -> Result<Option<Contradiction>, Limit> {
    let mut best: Option<Contradiction> = None;
    for session in 0..execution.sessions() as u32 {
        let own = execution.nodes(session as usize).collect::<Vec<_>>();
        let causal = consistency == Consistency::CausalMemory;
        let links = if causal { causality(execution) } else { kept(execution, session, consistency) };
        let Some(cycle) = saturated(execution, links, &own, !causal && consistency != Consistency::Pram, account)? else { continue };
        let pattern = match causal {
            true if is_initial(&cycle) => Pattern::WriteHbInitRead,
            true => Pattern::CyclicHb,
            false => Pattern::CyclicView,
        };
        if best.as_ref().is_none_or(|best| cycle.len() < best.cycle.len()) {
            best = Some(Contradiction { pattern, cycle, session: Some(session) });
        }
    }
    Ok(best)
}

fn is_initial(cycle: &[Link]) -> bool {
    cycle.iter().any(|link| link.kind == EdgeKind::InitialRead)
}

fn link(from: u32, to: u32, kind: EdgeKind) -> Link {
    Link { from, to, kind, reader: None }
}

fn session_order(execution: &Execution) -> Vec<Link> {
    let pairs = (0..execution.sessions())
        .flat_map(|session| execution.nodes(session).flat_map(move |a| (a + 1..execution.nodes(session).end).map(move |b| (a, b))));
    pairs.map(|(a, b)| link(a, b, EdgeKind::SessionOrder)).collect()
}

fn reads_from(execution: &Execution, nodes: impl Iterator<Item = u32>) -> Vec<Link> {
    nodes.flat_map(|node| execution.sources(node).map(move |source| link(source, node, EdgeKind::ReadsFrom))).collect()
}

fn causality(execution: &Execution) -> Vec<Link> {
    let mut links = session_order(execution);
    links.extend(reads_from(execution, 0..execution.len() as u32));
    links
}

/// What the view of a session keeps.
fn kept(execution: &Execution, session: u32, consistency: Consistency) -> Vec<Link> {
    let own = || execution.nodes(session as usize);
    let writes = |node: &u32| !execution.writes(*node).is_empty();
    let reads = |node: &u32| !execution.reads(*node).is_empty();
    let mut links = reads_from(execution, own());
    match consistency {
        Consistency::Pram => links.extend(session_order(execution)),
        Consistency::ReadYourWrites => {
            for write in own().filter(writes) {
                links.extend((write + 1..own().end).filter(reads).map(|read| link(write, read, EdgeKind::SessionOrder)));
            }
        }
        Consistency::MonotonicReads => {
            for earlier in own() {
                for source in execution.sources(earlier) {
                    let later = (earlier + 1..own().end).filter(reads);
                    links.extend(later.map(|later| Link { reader: Some(earlier), ..link(source, later, EdgeKind::Saw) }));
                }
            }
        }
        Consistency::MonotonicWrites => {
            links.extend(session_order(execution).into_iter().filter(|link| writes(&link.from) && writes(&link.to)));
        }
        _ => {
            for reader in 0..execution.len() as u32 {
                let end = execution.nodes(execution.session[reader as usize] as usize).end;
                for source in execution.sources(reader) {
                    let later = (reader..end).filter(writes);
                    links.extend(later.map(|write| Link { reader: Some(reader), ..link(source, write, EdgeKind::Saw) }));
                }
            }
        }
    }
    links
}

/// CC: for each op, an order of its causal past that explains what it read.
fn causal(execution: &Execution, account: &mut Account<'_>) -> Result<Option<Contradiction>, Limit> {
    let found = |pattern, cycle| Ok(Some(Contradiction { pattern, cycle, session: None }));
    if let Some(cycle) = saturated(execution, causality(execution), &[], false, account)? {
        return found(Pattern::CyclicCo, cycle);
    }
    let mut shortest: Option<Vec<Link>> = None;
    for node in (0..execution.len() as u32).filter(|&node| !execution.reads(node).is_empty()) {
        let cycle = saturated(execution, causality(execution), &[node], false, account)?;
        let is_shorter = |cycle: &Vec<Link>| shortest.as_ref().is_none_or(|shortest| cycle.len() < shortest.len());
        if let Some(cycle) = cycle.filter(is_shorter) {
            shortest = Some(cycle);
        }
    }
    let Some(cycle) = shortest else { return Ok(None) };
    let forced = cycle.iter().filter(|link| link.kind == EdgeKind::Forced).count();
    let pattern = match forced {
        _ if is_initial(&cycle) => Pattern::WriteCoInitRead,
        1 => Pattern::WriteCoRead,
        _ => Pattern::CyclicReads,
    };
    found(pattern, cycle)
}

/// The conflicts that the causal order alone makes.
fn convergence(execution: &Execution, account: &mut Account<'_>) -> Result<Option<Contradiction>, Limit> {
    let mut links = causality(execution);
    let reaches = Closure::of(execution.len(), &links, account)?;
    let all: Vec<u32> = (0..execution.len() as u32).collect();
    let forced = forced(execution, &reaches, &all, false, account)?;
    links.extend(forced);
    let cycle = shortest_cycle(execution.len(), &links, account)?;
    Ok(cycle.map(|cycle| Contradiction { pattern: Pattern::CyclicCf, cycle, session: None }))
}

/// What must come before what in the view of a session; `None` if that is a cycle.
///
/// # Errors
/// The budget ended.
pub(crate) fn necessary(
    execution: &Execution,
    session: u32,
    consistency: Consistency,
    account: &mut Account<'_>,
) -> Result<Option<Closure>, Limit> {
    let own = execution.nodes(session as usize).collect::<Vec<_>>();
    let mut links = kept(execution, session, consistency);
    saturate(execution, &mut links, &own, consistency != Consistency::Pram, account)
}

/// The shortest cycle among the edges and those that the reads of `readers` force.
fn saturated(
    execution: &Execution,
    mut links: Vec<Link>,
    readers: &[u32],
    both: bool,
    account: &mut Account<'_>,
) -> Result<Option<Vec<Link>>, Limit> {
    match saturate(execution, &mut links, readers, both, account)? {
        Some(_) => Ok(None),
        None => shortest_cycle(execution.len(), &links, account),
    }
}

/// Adds the edges that the reads of `readers` force until nothing is new; `None` if there is a cycle. With `both`, also those
/// from a read to what comes after its source.
fn saturate(
    execution: &Execution,
    links: &mut Vec<Link>,
    readers: &[u32],
    both: bool,
    account: &mut Account<'_>,
) -> Result<Option<Closure>, Limit> {
    let n = execution.len();
    loop {
        let reaches = Closure::of(n, links, account)?;
        if reaches.is_cyclic() {
            return Ok(None);
        }
        let mut is_new = false;
        for link in forced(execution, &reaches, readers, both, account)? {
            if !reaches.get(link.from, link.to) {
                links.push(link);
                is_new = true;
            }
        }
        if !is_new {
            return Ok(Some(reaches));
        }
    }
}

fn forced(execution: &Execution, reaches: &Closure, readers: &[u32], both: bool, account: &mut Account<'_>) -> Result<Vec<Link>, Limit> {
    let mut links = Vec::new();
    for &reader in readers {
        for &Read { key, source } in execution.reads(reader) {
            account.work(execution.len() as u64)?;
            let others = (0..execution.len() as u32).filter(|&other| other != source && other != reader);
            for other in others.filter(|&other| execution.writes(other).contains(&key)) {
                let edge = |from, to, kind| Link { from, to, kind, reader: Some(reader) };
                if reaches.get(other, reader) || both && source == INITIAL {
                    links.push(if source == INITIAL {
                        edge(reader, other, EdgeKind::InitialRead)
                    } else {
                        edge(other, source, EdgeKind::Forced)
                    });
                }
                if both && source != INITIAL && reaches.get(source, other) {
                    links.push(edge(reader, other, EdgeKind::Replaced));
                }
            }
        }
    }
    Ok(links)
}

/// Which node leads to which.
pub(crate) struct Closure {
    words: usize,
    rows: Vec<u64>,
}

impl Closure {
    fn of(n: usize, links: &[Link], account: &mut Account<'_>) -> Result<Closure, Limit> {
        let words = n.div_ceil(64);
        account.work(links.len() as u64)?;
        let mut closure = Closure { words, rows: vec![0; n * words] };
        for link in links {
            closure.rows[link.from as usize * words + link.to as usize / 64] |= 1 << (link.to % 64);
        }
        for middle in 0..n {
            account.work((n * words) as u64 / 4)?;
            let row: Vec<u64> = closure.rows[middle * words..][..words].to_vec();
            for from in 0..n {
                if closure.get(from as u32, middle as u32) {
                    for (word, more) in closure.rows[from * words..][..words].iter_mut().zip(&row) {
                        *word |= more;
                    }
                }
            }
        }
        Ok(closure)
    }

    pub(crate) fn get(&self, from: u32, to: u32) -> bool {
        self.rows[from as usize * self.words + to as usize / 64] >> (to % 64) & 1 == 1
    }

    fn is_cyclic(&self) -> bool {
        let n = self.rows.len().checked_div(self.words).unwrap_or(0);
        (0..n as u32).any(|node| self.get(node, node))
    }
}

fn shortest_cycle(n: usize, links: &[Link], account: &mut Account<'_>) -> Result<Option<Vec<Link>>, Limit> {
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); n];
    for (at, link) in links.iter().enumerate() {
        out[link.from as usize].push(at);
    }
    let mut shortest: Option<Vec<Link>> = None;
    for start in 0..n as u32 {
        account.work(links.len() as u64)?;
        let is_shorter = |cycle: &Vec<Link>| shortest.as_ref().is_none_or(|shortest| cycle.len() < shortest.len());
        if let Some(cycle) = cycle_through(start, &out, links).filter(is_shorter) {
            shortest = Some(cycle);
        }
    }
    Ok(shortest)
}

fn cycle_through(start: u32, out: &[Vec<usize>], links: &[Link]) -> Option<Vec<Link>> {
    let mut came_by = vec![usize::MAX; out.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for &at in &out[node as usize] {
            let to = links[at].to;
            if to == start {
                let mut cycle = vec![links[at]];
                while cycle[cycle.len() - 1].from != start {
                    cycle.push(links[came_by[cycle[cycle.len() - 1].from as usize]]);
                }
                cycle.reverse();
                return Some(cycle);
            }
            if came_by[to as usize] == usize::MAX {
                came_by[to as usize] = at;
                queue.push_back(to);
            }
        }
    }
    None
}

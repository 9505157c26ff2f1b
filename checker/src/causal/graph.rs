//! Orders, cycles and paths of the graph whose edges are session order, reads-from and some more.

use super::execution::Execution;
use std::collections::VecDeque;

/// The nodes of a cycle in turn; of several in a row that only session order connects, the first and the last.
#[derive(Debug)]
pub(crate) struct Cycle(pub(crate) Vec<u32>);

/// How many nodes of a cyclic part are tried as the beginning of a shortest cycle.
const BEGINNINGS: usize = 16;

/// Adjacency of additional edges.
struct Extra {
    starts: Vec<u32>,
    to: Vec<u32>,
}

impl Extra {
    fn new(nodes: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Extra {
        let mut starts = vec![0u32; nodes + 1];
        for (from, _) in edges.clone() {
            starts[from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut to = vec![0u32; starts[nodes] as usize];
        for (from, target) in edges {
            to[next[from as usize] as usize] = target;
            next[from as usize] += 1;
        }
        Extra { starts, to }
    }

    fn of(&self, node: u32) -> &[u32] {
        &self.to[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }
}

/// The edges of reads-from, each from the writer to the reader.
fn reads_from(execution: &Execution) -> impl Iterator<Item = (u32, u32)> + Clone + '_ {
    (0..execution.len() as u32).flat_map(|node| execution.sources(node).map(move |source| (source, node)))
}

/// All nodes in an order that keeps session order, the edges, and with `reads` reads-from. Linear.
///
/// # Errors
/// A short cycle.
pub(crate) fn order(execution: &Execution, edges: &[(u32, u32)], reads: bool) -> Result<Vec<u32>, Cycle> {
    let n = execution.len();
    let reads = reads.then(|| reads_from(execution));
    let extra = Extra::new(n, reads.into_iter().flatten().chain(edges.iter().copied()));
    let mut waits_for = vec![0u32; n];
    for node in 0..n as u32 {
        waits_for[node as usize] += u32::from(execution.previous(node).is_some());
        for &to in extra.of(node) {
            waits_for[to as usize] += 1;
        }
    }
    let mut ready: Vec<u32> = (0..n as u32).rev().filter(|&node| waits_for[node as usize] == 0).collect();
    let mut order = Vec::with_capacity(n);
    while let Some(node) = ready.pop() {
        order.push(node);
        for to in extra.of(node).iter().copied().chain(next(execution, node)) {
            waits_for[to as usize] -= 1;
            if waits_for[to as usize] == 0 {
                ready.push(to);
            }
        }
    }
    if order.len() == n { Ok(order) } else { Err(shortest_cycle(execution, &extra, &waits_for)) }
}

/// The op after, in its session.
pub(crate) fn next(execution: &Execution, node: u32) -> Option<u32> {
    (node + 1 < execution.starts[execution.session[node as usize] as usize + 1]).then_some(node + 1)
}

/// A shortest cycle through one of a few nodes that were never ready; some of those are on none, but walking back leads to one.
fn shortest_cycle(execution: &Execution, extra: &Extra, waits_for: &[u32]) -> Cycle {
    let n = execution.len();
    let is_left = |node: u32| waits_for[node as usize] > 0;
    // Every node left waits for another one: following one back repeats.
    let mut waits_on = vec![u32::MAX; n];
    for node in (0..n as u32).filter(|&node| is_left(node)) {
        for to in extra.of(node).iter().copied().chain(next(execution, node)) {
            waits_on[to as usize] = node;
        }
    }
    let mut seen = vec![false; n];
    let mut node = (0..n as u32).find(|&node| is_left(node)).unwrap_or(0);
    while !std::mem::replace(&mut seen[node as usize], true) {
        node = waits_on[node as usize];
    }
    let mut found = vec![node];
    let mut at = waits_on[node as usize];
    while at != node {
        found.push(at);
        at = waits_on[at as usize];
    }
    found.reverse();
    let stride = found.len().div_ceil(BEGINNINGS);
    let mut best = compressed(execution, &found);
    for &start in found.iter().step_by(stride) {
        let cycle = compressed(execution, &cycle_through(execution, extra, start, is_left));
        if !cycle.is_empty() && cycle.len() < best.len() {
            best = cycle;
        }
    }
    Cycle(best)
}

/// A cycle through a node with the fewest edges that are not session order.
fn cycle_through(execution: &Execution, extra: &Extra, start: u32, is_left: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut parent = vec![u32::MAX; execution.len()];
    let mut done = vec![false; execution.len()];
    let mut queue = VecDeque::from([(start, u32::MAX)]);
    while let Some((node, from)) = queue.pop_front() {
        if std::mem::replace(&mut done[node as usize], true) {
            continue;
        }
        parent[node as usize] = from;
        if let Some(next) = next(execution, node).filter(|&next| is_left(next)) {
            if next == start {
                return back(&parent, node);
            }
            queue.push_front((next, node));
        }
        for &to in extra.of(node) {
            if to == start {
                return back(&parent, node);
            }
            if is_left(to) && !done[to as usize] {
                queue.push_back((to, node));
            }
        }
    }
    Vec::new()
}

/// The nodes from the beginning to `end`.
fn back(parent: &[u32], end: u32) -> Vec<u32> {
    let mut nodes = vec![end];
    let mut node = parent[end as usize];
    while node != u32::MAX {
        nodes.push(node);
        node = parent[node as usize];
    }
    nodes.reverse();
    nodes
}

/// A cycle without the nodes in the middle of a run of session order.
fn compressed(execution: &Execution, cycle: &[u32]) -> Vec<u32> {
    let n = cycle.len();
    let session = |at: usize| execution.session[cycle[at % n] as usize];
    let is_step = |a: usize, b: usize| session(a) == session(b) && cycle[b % n] == cycle[a % n] + 1;
    (0..n).filter(|&at| !(is_step(at + n - 1, at) && is_step(at, at + 1))).map(|at| cycle[at]).collect()
}

/// From `a` to `b` along session order and reads-from, with as few of the latter as possible and without the nodes in the middle of a run of the
/// former. `is_after` says of a node whether `a` leads to it. Both must be connected.
pub(crate) fn path(execution: &Execution, a: u32, b: u32, is_after: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut after = vec![u32::MAX; execution.len()];
    let mut done = vec![false; execution.len()];
    let mut queue = VecDeque::from([(b, u32::MAX)]);
    while let Some((node, from)) = queue.pop_front() {
        if std::mem::replace(&mut done[node as usize], true) {
            continue;
        }
        after[node as usize] = from;
        if node == a {
            break;
        }
        if let Some(before) = execution.previous(node).filter(|&before| is_after(before)) {
            queue.push_front((before, node));
        }
        for source in execution.sources(node).filter(|&source| is_after(source)) {
            queue.push_back((source, node));
        }
    }
    let mut nodes = Vec::new();
    let mut node = a;
    while node != u32::MAX {
        nodes.push(node);
        node = after[node as usize];
    }
    let session = |at: usize| execution.session[nodes[at] as usize];
    let is_step = |at: usize| at + 1 < nodes.len() && session(at) == session(at + 1) && nodes[at] + 1 == nodes[at + 1];
    (0..nodes.len()).filter(|&at| at == 0 || !(is_step(at - 1) && is_step(at))).map(|at| nodes[at]).collect()
}

/// A cycle of a small graph given by its edges, if there is one.
pub(crate) fn small_cycle(steps: &[Vec<usize>]) -> Option<Vec<usize>> {
    let n = steps.len();
    (0..n)
        .filter_map(|start| {
            let mut parent = vec![usize::MAX; n];
            let mut queue = VecDeque::from([start]);
            while let Some(node) = queue.pop_front() {
                for &to in &steps[node] {
                    if to == start {
                        let mut cycle = vec![node];
                        while cycle[cycle.len() - 1] != start {
                            cycle.push(parent[cycle[cycle.len() - 1]]);
                        }
                        cycle.reverse();
                        return Some(cycle);
                    }
                    if parent[to] == usize::MAX {
                        parent[to] = node;
                        queue.push_back(to);
                    }
                }
            }
            None
        })
        .min_by_key(Vec::len)
}

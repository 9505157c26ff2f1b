//! What must come before what, as a graph of points: the start and the commit of each transaction, or one point for both.
//!
//! A dependency of `b` on `a` (write, read, session or real time) says that `a` commits before `b` starts; an anti-dependency
//! of `b` on `a` says that `a` starts before `b` commits. With two points for each transaction an order of the points is a run under
//! snapshot isolation: a cycle of the points is one of `D; rw?` (Cerone, Bernardi and Gotsman 2015). With one point it is a serial
//! order. So one graph decides both, in linear time and without the composed relation being built.
//!
//! Real time takes two edges for each transaction: a chain of nodes, one for each completion, into which completed transactions
//! lead and out of which later ones come. Such nodes stand after the points.

use super::isolation::Keeps;
use super::problem::Problem;
use super::reading::NEVER;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Why one point comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// A transaction starts before it commits.
    Within,
    /// One read what the other wrote.
    Reads,
    /// One wrote what follows in the order of a key's versions.
    Overwrites,
    /// One read a version that the other replaced.
    Replaced,
    /// Both are of one session.
    Session,
    /// One had completed before the other was invoked; also between the nodes of the chain.
    RealTime,
    /// Both write a key of which a third reads the second's version though it comes after the first.
    Forced,
}

/// An edge to a point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrow {
    pub(crate) to: u32,
    pub(crate) why: Why,
    /// The key, where there is one; and the reader of what is forced.
    pub(crate) key: u32,
    pub(crate) reader: u32,
}

/// Which dependencies count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// The order of versions only.
    Writes,
    /// The order of versions, and of a writer before those that read from it.
    Dependencies,
    /// Dependencies, and anti-dependencies between snapshots.
    Snapshots,
    /// Dependencies, and anti-dependencies between transactions in a serial order.
    Serial,
}

/// The graph.
#[derive(Debug)]
pub(crate) struct Graph {
    /// Points for each transaction: 1 or 2.
    pub(crate) width: u32,
    points: usize,
    starts: Vec<u32>,
    arrows: Vec<Arrow>,
}

/// Edges in the making.
#[derive(Debug, Default)]
pub(crate) struct Edges {
    pub(crate) all: Vec<(u32, Arrow)>,
}

impl Edges {
    pub(crate) fn push(&mut self, from: u32, to: u32, why: Why, key: u32, reader: u32) {
        self.all.push((from, Arrow { to, why, key, reader }));
    }
}

const NO_KEY: u32 = u32::MAX;

impl Graph {
    /// Bytes for each edge, while it is built.
    pub(crate) const BYTES_PER_EDGE: usize = 40;

    /// How many edges a problem gives at most, without those of order.
    pub(crate) fn edges(problem: &Problem) -> usize {
        let nodes = 0..problem.len() as u32;
        let of_reads = nodes.flat_map(|node| problem.reads(node)).map(|read| 1 + problem.successors(read.key, read.source).len());
        of_reads.sum::<usize>() + (0..problem.keys as u32).map(|key| problem.after(key).len()).sum::<usize>() + 4 * problem.len()
    }

    /// The graph of what is certain.
    pub(crate) fn new(problem: &Problem, counts: Counts, keeps: Keeps) -> Graph {
        let width = if counts == Counts::Snapshots { 2 } else { 1 };
        let mut edges = Edges::default();
        let end = |node: u32| node * width + width - 1;
        let start = |node: u32| node * width;
        for node in 0..problem.len() as u32 {
            if width == 2 {
                edges.push(start(node), end(node), Why::Within, NO_KEY, NO_KEY);
            }
            if counts == Counts::Writes {
                continue;
            }
            for read in problem.reads(node) {
                if read.source != super::problem::INITIAL && read.source != node {
                    edges.push(end(read.source), start(node), Why::Reads, read.key, NO_KEY);
                }
                if counts == Counts::Dependencies {
                    continue;
                }
                for after in problem.successors(read.key, read.source).iter().filter(|after| after.to != node) {
                    edges.push(start(node), end(after.to), Why::Replaced, read.key, NO_KEY);
                }
            }
        }
        let has_order = problem.has_lists || counts != Counts::Writes;
        for after in (0..problem.keys as u32).flat_map(|key| problem.after(key)).filter(|_| has_order) {
            if after.from != super::problem::INITIAL && after.from != after.to {
                edges.push(end(after.from), start(after.to), Why::Overwrites, after.key, NO_KEY);
            }
        }
        let mut points = problem.len() * width as usize;
        if keeps >= Keeps::Sessions {
            sessions(problem, width, &mut edges);
        }
        if keeps == Keeps::RealTime {
            points += real_time(problem, width, &mut edges);
        }
        Graph::of(width, points, &edges)
    }

    /// A graph of these edges.
    pub(crate) fn of(width: u32, points: usize, edges: &Edges) -> Graph {
        let (starts, arrows) = super::problem::grouped(points, edges.all.iter().copied());
        Graph { width, points, starts, arrows }
    }

    pub(crate) fn len(&self) -> usize {
        self.points
    }

    pub(crate) fn arrows(&self, point: u32) -> &[Arrow] {
        &self.arrows[self.starts[point as usize] as usize..self.starts[point as usize + 1] as usize]
    }

    /// An order of the points of transactions that keeps every edge, of all that can come next always the one that completed first;
    /// `None` if there is a cycle.
    pub(crate) fn order(&self, problem: &Problem) -> Option<Vec<u32>> {
        let mut before = vec![0_u32; self.points];
        for arrow in &self.arrows {
            before[arrow.to as usize] += 1;
        }
        let points = problem.len() * self.width as usize;
        let rank = |point: u32| -> u64 {
            if point as usize >= points {
                return 0;
            }
            let node = (point / self.width) as usize;
            let is_start = self.width == 2 && point.is_multiple_of(2);
            let event = if is_start || problem.complete[node] == NEVER { problem.invoke[node] } else { problem.complete[node] };
            u64::from(event) + 1
        };
        let mut open: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
        open.extend((0..self.points as u32).filter(|&point| before[point as usize] == 0).map(|point| Reverse((rank(point), point))));
        let (mut order, mut done) = (Vec::with_capacity(points), 0);
        while let Some(Reverse((_, point))) = open.pop() {
            done += 1;
            if (point as usize) < points {
                order.push(point);
            }
            for arrow in self.arrows(point) {
                before[arrow.to as usize] -= 1;
                if before[arrow.to as usize] == 0 {
                    open.push(Reverse((rank(arrow.to), arrow.to)));
                }
            }
        }
        (done == self.points).then_some(order)
    }

    /// The strongly connected component of each point (Tarjan 1972, without recursion), and the size of each.
    pub(crate) fn components(&self) -> (Vec<u32>, Vec<u32>) {
        const UNSEEN: u32 = u32::MAX;
        let n = self.points;
        let (mut index, mut low, mut component) = (vec![UNSEEN; n], vec![0_u32; n], vec![UNSEEN; n]);
        let (mut stack, mut calls): (Vec<u32>, Vec<(u32, u32)>) = (Vec::new(), Vec::new());
        let (mut next, mut sizes) = (0, Vec::new());
        for root in 0..n as u32 {
            if index[root as usize] != UNSEEN {
                continue;
            }
            calls.push((root, 0));
            while let Some(&mut (point, ref mut at)) = calls.last_mut() {
                let here = point as usize;
                if *at == 0 && index[here] == UNSEEN {
                    (index[here], low[here]) = (next, next);
                    next += 1;
                    stack.push(point);
                }
                if let Some(arrow) = self.arrows(point).get(*at as usize) {
                    *at += 1;
                    let to = arrow.to as usize;
                    if index[to] == UNSEEN {
                        calls.push((arrow.to, 0));
                    } else if component[to] == UNSEEN {
                        low[here] = low[here].min(index[to]);
                    }
                    continue;
                }
                calls.pop();
                if let Some(&(caller, _)) = calls.last() {
                    low[caller as usize] = low[caller as usize].min(low[here]);
                }
                if low[here] == index[here] {
                    let number = sizes.len() as u32;
                    let mut size = 0;
                    while let Some(member) = stack.pop() {
                        component[member as usize] = number;
                        size += 1;
                        if member == point {
                            break;
                        }
                    }
                    sizes.push(size);
                }
            }
        }
        (component, sizes)
    }
}

/// The order of each session. One of unknown outcome is still in flight when its session goes on.
pub(crate) fn session_pairs(problem: &Problem) -> Vec<(u32, u32)> {
    let mut pairs = Vec::new();
    if !problem.has_sessions {
        return pairs;
    }
    let sessions = problem.session.iter().max().map_or(0, |&most| most as usize + 1);
    let mut last = vec![super::problem::NONE; sessions];
    for node in 0..problem.len() as u32 {
        let last = &mut last[problem.session[node as usize] as usize];
        if *last != super::problem::NONE {
            pairs.push((*last, node));
        }
        if problem.complete[node as usize] != NEVER {
            *last = node;
        }
    }
    pairs
}

fn sessions(problem: &Problem, width: u32, edges: &mut Edges) {
    for (from, to) in session_pairs(problem) {
        edges.push(from * width + width - 1, to * width, Why::Session, NO_KEY, NO_KEY);
    }
}

/// The chain of real time; gives the number of its nodes.
fn real_time(problem: &Problem, width: u32, edges: &mut Edges) -> usize {
    let mut ends: Vec<(u32, u32)> = (0..problem.len() as u32).map(|node| (problem.complete[node as usize], node)).collect();
    ends.retain(|end| end.0 != NEVER);
    ends.sort_unstable();
    let first = problem.len() as u32 * width;
    for (at, (_, node)) in (0_u32..).zip(&ends) {
        edges.push(node * width + width - 1, first + at, Why::RealTime, NO_KEY, NO_KEY);
        if at > 0 {
            edges.push(first + at - 1, first + at, Why::RealTime, NO_KEY, NO_KEY);
        }
    }
    for node in 0..problem.len() as u32 {
        let before = ends.partition_point(|end| end.0 < problem.invoke[node as usize]) as u32;
        if before > 0 {
            edges.push(first + before - 1, node * width, Why::RealTime, NO_KEY, NO_KEY);
        }
    }
    ends.len()
}

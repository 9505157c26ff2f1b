//! A shortest cycle of a graph, without a time-out: from each point of a component a search in breadth, until so many steps
//! were made; a component has a cycle, so one is always found.

use super::anomaly::Shape;
use super::graph::{Graph, Why};
use crate::budget::{Account, Limit};
use std::collections::VecDeque;

/// An edge of a cycle between transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) why: Why,
    pub(crate) key: u32,
    pub(crate) reader: u32,
}

/// After so many steps the best cycle so far is taken.
const STEPS: u64 = 20_000_000;

/// How the search went to a point: the point before it and which of its arrows.
#[derive(Clone, Copy)]
struct Step {
    from: u32,
    arrow: u32,
    distance: u32,
    round: u32,
}

/// A shortest cycle. With `one_replaced`, of those that hold exactly one anti-dependency.
///
/// # Errors
/// The budget ended.
pub(crate) fn shortest(graph: &Graph, nodes: usize, one_replaced: bool, account: &mut Account<'_>) -> Result<Option<Vec<Link>>, Limit> {
    let (component, sizes) = graph.components();
    let mut search =
        Search { graph, nodes, component: &component, steps: vec![Step { from: 0, arrow: 0, distance: 0, round: 0 }; graph.len()] };
    let (mut best, mut best_length, mut work): (Option<Vec<Link>>, u32, u64) = (None, u32::MAX, 0);
    let mut round = 0;
    let points = (nodes * graph.width as usize) as u32;
    for start in (0..points).filter(|&point| sizes[component[point as usize] as usize] > 1) {
        if work > STEPS && best.is_some() {
            break;
        }
        if one_replaced {
            for (at, arrow) in (0_u32..).zip(graph.arrows(start)) {
                if arrow.why != Why::Replaced || component[arrow.to as usize] != component[start as usize] {
                    continue;
                }
                round += 1;
                if let Some(length) = search.from(arrow.to, start, round, best_length, true, &mut work, account)? {
                    let mut path = search.path(arrow.to, start);
                    path.push((start, at));
                    (best, best_length) = (Some(search.links(&path)), length);
                }
            }
        } else {
            round += 1;
            if let Some(length) = search.from(start, start, round, best_length, false, &mut work, account)? {
                let path = search.path(start, start);
                (best, best_length) = (Some(search.links(&path)), length);
            }
        }
    }
    Ok(best)
}

struct Search<'a> {
    graph: &'a Graph,
    nodes: usize,
    component: &'a [u32],
    steps: Vec<Step>,
}

impl Search<'_> {
    fn is_time(&self, point: u32) -> bool {
        point as usize >= self.nodes * self.graph.width as usize
    }

    #[allow(clippy::too_many_arguments, reason = "a search is a part of all of these")]
    /// Searches a way from one point to another, of at least one edge and less than `limit`; says how long it is. Steps along
    /// the chain of real time and within a transaction count nothing.
    fn from(
        &mut self,
        from: u32,
        to: u32,
        round: u32,
        limit: u32,
        without_replaced: bool,
        work: &mut u64,
        account: &mut Account<'_>,
    ) -> Result<Option<u32>, Limit> {
        let mut open = VecDeque::from([(from, 0)]);
        if from == to && without_replaced {
            return Ok(None);
        }
        while let Some((point, distance)) = open.pop_front() {
            let arrows = self.graph.arrows(point);
            *work += arrows.len() as u64 + 1;
            account.work(arrows.len() as u64 + 1)?;
            for (at, arrow) in (0_u32..).zip(arrows) {
                let is_out = self.component[arrow.to as usize] != self.component[from as usize];
                if is_out || without_replaced && arrow.why == Why::Replaced {
                    continue;
                }
                let is_free = arrow.why == Why::Within || self.is_time(arrow.to);
                let next = distance + u32::from(!is_free);
                let step = &mut self.steps[arrow.to as usize];
                if next >= limit || step.round == round && step.distance <= next {
                    continue;
                }
                *step = Step { from: point, arrow: at, distance: next, round };
                if arrow.to == to && next > 0 {
                    return Ok(Some(next));
                }
                if is_free { open.push_front((arrow.to, next)) } else { open.push_back((arrow.to, next)) }
            }
        }
        Ok(None)
    }

    /// The steps of the way that was found, in order.
    fn path(&self, from: u32, to: u32) -> Vec<(u32, u32)> {
        let mut path = Vec::new();
        let mut at = to;
        loop {
            let step = self.steps[at as usize];
            path.push((step.from, step.arrow));
            at = step.from;
            if at == from {
                break;
            }
        }
        path.reverse();
        path
    }

    /// The edges between transactions, in a circle.
    fn links(&self, path: &[(u32, u32)]) -> Vec<Link> {
        // Begin at a transaction.
        let first = path.iter().position(|step| !self.is_time(step.0)).unwrap_or(0);
        let mut links = Vec::new();
        let mut from = path.get(first).map_or(0, |step| step.0);
        for &(point, arrow) in path[first..].iter().chain(&path[..first]) {
            let arrow = self.graph.arrows(point)[arrow as usize];
            if arrow.why == Why::Within || self.is_time(arrow.to) {
                if !self.is_time(arrow.to) {
                    from = arrow.to;
                }
                continue;
            }
            let width = self.graph.width;
            links.push(Link { from: from / width, to: arrow.to / width, why: arrow.why, key: arrow.key, reader: arrow.reader });
            from = arrow.to;
        }
        links
    }
}

/// Of which kinds the edges of a cycle are.
pub(crate) fn shape(links: &[Link]) -> Shape {
    let is_replaced = |at: usize| links[at % links.len()].why == Why::Replaced;
    let replaced = (0..links.len()).filter(|&at| is_replaced(at)).count();
    let adjacent = (0..links.len()).any(|at| is_replaced(at) && is_replaced(at + 1));
    match replaced {
        0 if links.iter().any(|link| link.why == Why::Reads) => Shape::G1c,
        0 => Shape::G0,
        1 => Shape::GSingle,
        _ if adjacent => Shape::G2,
        _ => Shape::GNonadjacent,
    }
}

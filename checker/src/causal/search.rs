//! A view of one session by search, where transactions of several keys leave more than necessary edges can tell.
//!
//! Places one op after the other, each after all that must come before it. Reads that find their values are placed at once:
//! they change nothing, so it is never better to wait. What can follow depends on the ops placed and on the last write of each
//! key that is still to be read, so no such point is tried twice.

use super::FEW;
use super::execution::{Execution, INITIAL};
use crate::budget::{Account, Budget, Limit};
use crate::causal::minimize::{Closure, necessary};
use crate::consistency::Consistency;
use hashbrown::HashSet;
use rustc_hash::FxBuildHasher;

/// Points that are tried.
const POINTS_MAX: usize = 100_000;

/// The ops placed, and the last write of each key.
type Point = (u128, Vec<u32>);

/// A view of the session that keeps what the guarantee asks for; `None` if none was found.
///
/// # Errors
/// The budget ended.
pub(super) fn view(execution: &Execution, session: u32, consistency: Consistency, budget: &Budget) -> Result<Option<Vec<u32>>, Limit> {
    let mut account = Account::new(budget);
    if execution.len() > FEW {
        return Ok(None);
    }
    let Some(closure) = necessary(execution, session, consistency, &mut account)? else { return Ok(None) };
    let search = Search::new(execution, session, &closure);
    let mut seen: HashSet<Point, FxBuildHasher> = HashSet::default();
    let mut todo: Vec<(Point, Vec<u32>)> = vec![search.settled((0, vec![INITIAL; execution.keys.len()]), Vec::new())];
    while let Some((point, order)) = todo.pop() {
        account.work(16 * execution.len() as u64)?;
        if point.0 == search.all {
            return Ok(Some(order));
        }
        if seen.len() == POINTS_MAX {
            return Ok(None);
        }
        if !seen.insert(point.clone()) {
            continue;
        }
        for node in (0..execution.len() as u32).rev().filter(|&node| search.can_follow(&point, node)) {
            let (mut point, mut order) = (point.clone(), order.clone());
            search.place(&mut point, &mut order, node);
            todo.push(search.settled(point, order));
        }
    }
    Ok(None)
}

struct Search<'a> {
    execution: &'a Execution,
    session: u32,
    /// What must be placed before each op.
    before: Vec<u128>,
    all: u128,
}

impl Search<'_> {
    fn new<'a>(execution: &'a Execution, session: u32, closure: &Closure) -> Search<'a> {
        let nodes = 0..execution.len() as u32;
        let is_in = |&node: &u32| execution.session[node as usize] == session || !execution.writes(node).is_empty();
        let all = nodes.clone().filter(is_in).fold(0u128, |set, node| set | 1 << node);
        let before = nodes
            .clone()
            .map(|node| nodes.clone().filter(|&other| closure.get(other, node)).fold(0u128, |set, other| set | 1 << other) & all);
        Search { execution, session, before: before.collect(), all }
    }

    fn can_follow(&self, (placed, last): &Point, node: u32) -> bool {
        let is_open = (self.all & !placed) >> node & 1 == 1 && self.before[node as usize] & !placed == 0;
        let is_own = self.execution.session[node as usize] == self.session;
        is_open && (!is_own || self.execution.reads(node).iter().all(|read| last[read.key as usize] == read.source))
    }

    fn place(&self, (placed, last): &mut Point, order: &mut Vec<u32>, node: u32) {
        *placed |= 1 << node;
        order.push(node);
        for &key in self.execution.writes(node) {
            last[key as usize] = node;
        }
    }

    /// With every read placed that can be.
    fn settled(&self, mut point: Point, mut order: Vec<u32>) -> (Point, Vec<u32>) {
        let is_read = |node: u32| self.execution.writes(node).is_empty();
        while let Some(node) = self.execution.nodes(self.session as usize).find(|&node| is_read(node) && self.can_follow(&point, node)) {
            self.place(&mut point, &mut order, node);
        }
        (point, order)
    }
}

//! An order that keeps real time keeps the order of every process too: where a history is linearizable, and that is soon known, its
//! keys' orders make one of all.
//!
//! Each key's order has a moment inside each op at which it takes effect; so all of them together with the order of every
//! process are in the order of those moments, and there is no cycle (Herlihy and Wing 1990, theorem 1).

use crate::budget::Budget;
use crate::linear::problem::decode;
use crate::linear::{self, Answer};
use crate::model::Model;
use crate::options::Algorithm;
use crate::switches::Rules;
use histories::keyed::Keys;
use histories::{History, OpId};
use std::collections::VecDeque;

/// Steps that may be spent on each key.
const STEPS: u64 = 1 << 20;

/// An order of all ops, if each key has one that keeps real time and is found in a few steps.
pub(super) fn order<M: Model>(model: &M, history: &History, keys: &Keys, budget: &Budget) -> Option<Vec<OpId>> {
    if !history.has_real_time() {
        return None;
    }
    let mut orders = Vec::new();
    for read in decode(model, history, keys, keys.groups(), budget) {
        let (_account, problem) = read.ok()?;
        match linear::decide(model, &problem, Algorithm::Auto, Rules::default(), budget, budget.steps.unwrap_or(STEPS).min(STEPS)).found {
            Answer::Order(order) => orders.push(order),
            Answer::Stuck(_) | Answer::Unknown(_) => return None,
        }
    }
    merged(history, &orders)
}

/// One order that keeps each of these and that of every process.
fn merged(history: &History, orders: &[Vec<OpId>]) -> Option<Vec<OpId>> {
    let n = history.ops().len();
    let mut is_in = vec![false; n];
    orders.iter().flatten().for_each(|id| is_in[id.0 as usize] = true);
    // At most two ops come immediately after each: of its key and of its process.
    let mut after = vec![[u32::MAX; 2]; n];
    let mut waits_for = vec![0u8; n];
    for pair in orders.iter().flat_map(|order| order.windows(2)) {
        after[pair[0].0 as usize][0] = pair[1].0;
        waits_for[pair[1].0 as usize] += 1;
    }
    let mut last = vec![u32::MAX; history.process_count()];
    for id in history.op_ids().filter(|id| is_in[id.0 as usize]) {
        let process = history.op_process(history.op(id)).0 as usize;
        let before = std::mem::replace(&mut last[process], id.0);
        if before != u32::MAX {
            after[before as usize][1] = id.0;
            waits_for[id.0 as usize] += 1;
        }
    }
    let mut ready: VecDeque<u32> = (0..n as u32).filter(|&op| is_in[op as usize] && waits_for[op as usize] == 0).collect();
    let mut order = Vec::with_capacity(n);
    while let Some(op) = ready.pop_front() {
        order.push(OpId(op));
        for next in after[op as usize].into_iter().filter(|&next| next != u32::MAX) {
            waits_for[next as usize] -= 1;
            if waits_for[next as usize] == 0 {
                ready.push_back(next);
            }
        }
    }
    (order.len() == orders.iter().map(Vec::len).sum()).then_some(order)
}

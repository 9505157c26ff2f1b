//! Linearizability word by word (Herlihy and Wing 1990): every order of every set of ops that contains all that returned.

use crate::model::{Call, Decoded, Model};
use histories::{History, Outcome};
use std::collections::HashSet;

struct Op<O> {
    does: O,
    call: u32,
    /// `u32::MAX`: it may also never happen.
    ret: u32,
}

/// Whether there is a legal order that keeps real time; `None` if the model cannot read an op.
pub(super) fn order_exists<M: Model>(model: &M, history: &History) -> Option<bool> {
    let mut ops = Vec::new();
    for &op in history.ops() {
        let outcome = history.outcome(op);
        let output = (outcome == Outcome::Ok).then(|| history.value(op.complete));
        let (f, process) = (history.name(history.op_function(op)), history.op_process(op).0);
        let call = Call { f, input: history.value(op.invoke), output, outcome, process, values: &history.values };
        let ret = if outcome == Outcome::Info { u32::MAX } else { op.complete };
        match model.decode(&call).ok()? {
            Decoded::Nothing => {}
            Decoded::Op(decoded) => ops.push(Op { does: decoded, call: op.invoke, ret }),
        }
    }
    Some(exists(model, &ops))
}

fn exists<M: Model>(model: &M, ops: &[Op<M::Op>]) -> bool {
    // The ops that stand in the order, and the state they lead to.
    let mut seen: HashSet<(u32, M::State)> = HashSet::new();
    let mut todo = vec![(0u32, model.init())];
    while let Some((placed, state)) = todo.pop() {
        let left = || ops.iter().enumerate().filter(|(i, _)| placed >> i & 1 == 0);
        if left().all(|(_, op)| op.ret == u32::MAX) {
            return true;
        }
        for (i, op) in left() {
            // It must not stand before one that had returned when it was invoked.
            if left().any(|(_, other)| other.ret < op.call) {
                continue;
            }
            if let Some(next) = model.step(&state, &op.does)
                && seen.insert((placed | 1 << i, next.clone()))
            {
                todo.push((placed | 1 << i, next));
            }
        }
    }
    false
}

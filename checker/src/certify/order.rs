//! Whether an order is one: replayed op by op, straight from the history.

use crate::budget::{Account, Limit};
use crate::linear::problem::decode_op;
use crate::model::Model;
use histories::keyed::{KeyOps, Keys};
use histories::{History, OpId};

/// An order that does not hold, or that could not be looked at to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// What is wrong with it, in a sentence.
    Wrong(String),
    /// The budget ended.
    Out(Limit),
}

/// Whether `order` explains the ops of one key that had returned before the event `until` (`NEVER`: all): each of them is
/// in it once, each other one at most once, no op of another key; it is legal; and no op stands before one that had
/// completed before it was invoked.
///
/// # Errors
/// See [`Refused`].
pub(crate) fn holds<M: Model>(
    model: &M,
    history: &History,
    keys: &Keys,
    group: &KeyOps,
    order: &[OpId],
    until: u32,
    account: &mut Account<'_>,
) -> Result<(), Refused> {
    account.hold(group.ops.len()).map_err(Refused::Out)?;
    let mut seen = vec![false; group.ops.len()];
    let mut state = model.init();
    let mut latest_call = 0;
    let mut place = 0;
    for &id in order {
        account.work(4).map_err(Refused::Out)?;
        let wrong = |what: &str| Err(Refused::Wrong(format!("op {} {what}", id.0)));
        place = near(&group.ops, place, id);
        if group.ops.get(place) != Some(&id) {
            return wrong("is in the order and does not belong there");
        }
        if std::mem::replace(&mut seen[place], true) {
            return wrong("is in the order twice");
        }
        let Ok(Some((op, ret))) = decode_op(model, history, keys, id) else {
            return wrong("is in the order and does not belong there");
        };
        let call = history.op(id).invoke;
        if ret < latest_call {
            return wrong("had completed before one was invoked that stands before it");
        }
        if call >= until {
            return wrong("was invoked after the end of the order");
        }
        latest_call = latest_call.max(call);
        if !model.apply(&mut state, &op) {
            return wrong("cannot happen where it stands in the order");
        }
    }
    for (&id, _) in group.ops.iter().zip(&seen).filter(|(_, seen)| !**seen) {
        account.work(4).map_err(Refused::Out)?;
        if let Ok(Some((_, ret))) = decode_op(model, history, keys, id)
            && ret < until
        {
            return Err(Refused::Wrong(format!("op {} is missing from the order", id.0)));
        }
    }
    Ok(())
}

/// The place of the op, or where it would be: looked for from `from` outwards, for orders hardly move ops about.
fn near(ops: &[OpId], from: usize, id: OpId) -> usize {
    let (mut low, mut high) = (from.min(ops.len()), from);
    let mut stride = 1;
    while low > 0 && ops[low - 1] >= id {
        low = low.saturating_sub(stride);
        stride *= 2;
    }
    stride = 1;
    while high < ops.len() && ops[high] < id {
        high += stride;
        stride *= 2;
    }
    let high = high.min(ops.len());
    low + ops[low..high].partition_point(|&op| op < id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_from_anywhere() {
        let ops: Vec<OpId> = (0..50).map(|i| OpId(3 * i + 1)).collect();
        for from in 0..=50 {
            for id in 0..155 {
                assert_eq!(near(&ops, from, OpId(id)), ops.partition_point(|op| op.0 < id), "{id} from {from}");
            }
        }
        assert_eq!(near(&[], 0, OpId(3)), 0);
    }
}

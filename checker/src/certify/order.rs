//! Whether an order is one: replayed op by op, straight from the history.

use crate::budget::{Account, Budget, Limit};
use crate::decode::{NEVER, decode_op};
use crate::locality;
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
pub(crate) fn holds<M: Model>(of: &Of<'_, M>, group: &KeyOps, order: &[OpId], until: u32, budget: &Budget) -> Result<(), Refused> {
    let mut replay = Replay::new(of, group, order, until, budget)?;
    replay.goes_on(of, OpId(u32::MAX))?;
    replay.ends(of)
}

/// The same for the orders of many keys, of which some have none.
pub(crate) fn all_hold<M: Model>(
    of: &Of<'_, M>,
    groups: &[KeyOps],
    orders: &[Option<&[OpId]>],
    budget: &Budget,
) -> Vec<Option<Result<(), Refused>>> {
    let with_orders = groups.iter().zip(orders.iter().copied());
    let mut replays: Vec<_> = with_orders.map(|(group, order)| order.map(|order| Replay::new(of, group, order, NEVER, budget))).collect();
    for end in locality::stretches(of.history.ops().len(), groups.len()) {
        for replay in replays.iter_mut().flatten() {
            if let Ok(going) = replay
                && let Err(refused) = going.goes_on(of, end)
            {
                *replay = Err(refused);
            }
        }
    }
    replays.into_iter().map(|replay| replay.map(|replay| replay.and_then(|replay| replay.ends(of)))).collect()
}

/// What is replayed.
pub(crate) struct Of<'a, M> {
    /// The object.
    pub model: &'a M,
    /// The history.
    pub history: &'a History,
    /// How keys are taken off.
    pub keys: &'a Keys,
}

/// An order, as far as it has been replayed.
struct Replay<'a, 'b, M: Model> {
    group: &'a KeyOps,
    left: &'a [OpId],
    until: u32,
    state: M::State,
    /// Which of the key's ops have been met.
    seen: Vec<bool>,
    latest_call: u32,
    place: usize,
    account: Account<'b>,
}

impl<'a, 'b, M: Model> Replay<'a, 'b, M> {
    fn new(of: &Of<'_, M>, group: &'a KeyOps, order: &'a [OpId], until: u32, budget: &'b Budget) -> Result<Self, Refused> {
        let mut account = Account::new(budget);
        account.hold(group.ops.len()).map_err(Refused::Out)?;
        let seen = vec![false; group.ops.len()];
        Ok(Replay { group, left: order, until, state: of.model.init(), seen, latest_call: 0, place: 0, account })
    }

    /// Replays up to the first op that does not come before `end` in the history.
    fn goes_on(&mut self, of: &Of<'_, M>, end: OpId) -> Result<(), Refused> {
        while let [id, left @ ..] = self.left
            && *id < end
        {
            self.left = left;
            self.happens(of, *id)?;
        }
        Ok(())
    }

    fn happens(&mut self, of: &Of<'_, M>, id: OpId) -> Result<(), Refused> {
        self.account.work(4).map_err(Refused::Out)?;
        let wrong = |what: &str| Err(Refused::Wrong(format!("op {} {what}", id.0)));
        self.place = near(&self.group.ops, self.place, id);
        if self.group.ops.get(self.place) != Some(&id) {
            return wrong("is in the order and does not belong there");
        }
        if std::mem::replace(&mut self.seen[self.place], true) {
            return wrong("is in the order twice");
        }
        let Ok(Some((op, ret))) = decode_op(of.model, of.history, of.keys, id) else {
            return wrong("is in the order and does not belong there");
        };
        let call = of.history.op(id).invoke;
        if ret < self.latest_call {
            return wrong("had completed before one was invoked that stands before it");
        }
        if call >= self.until {
            return wrong("was invoked after the end of the order");
        }
        self.latest_call = self.latest_call.max(call);
        if !of.model.apply(&mut self.state, &op) {
            return wrong("cannot happen where it stands in the order");
        }
        self.account.stepped().map_err(Refused::Out)
    }

    /// Whether all of the order was replayed, and nothing is missing from it.
    fn ends(mut self, of: &Of<'_, M>) -> Result<(), Refused> {
        if let [id, ..] = self.left {
            return Err(Refused::Wrong(format!("op {} is in the order and not in the history", id.0)));
        }
        for (&id, _) in self.group.ops.iter().zip(&self.seen).filter(|(_, seen)| !**seen) {
            self.account.work(4).map_err(Refused::Out)?;
            if let Ok(Some((_, ret))) = decode_op(of.model, of.history, of.keys, id)
                && ret < self.until
            {
                return Err(Refused::Wrong(format!("op {} is missing from the order", id.0)));
            }
        }
        Ok(())
    }
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

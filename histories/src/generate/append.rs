//! Transactions over lists: `[:append k v]`, `[:r k nil]`.
//!
//! Values are unique per key: 1, 2, 3 and so on. A key that has had its appends is given up for a fresh one, so that lists stay
//! short.

use super::Anomaly;
use super::dice::Dice;
use super::object::{Moment, Object};
use super::scene::Scene;
use crate::value::{ValueId, Values};

/// Micro-ops of a transaction, at most.
const MICRO_OPS_MAX: usize = 4;
/// Appends to a key until it is given up.
const APPENDS: usize = 32;

/// A micro-op.
#[derive(Clone, Copy, Debug, Default)]
struct Micro {
    list: u32,
    /// What is appended; `None` reads.
    append: Option<i64>,
    /// Where in [`Op::found`] the elements that a read found begin and end.
    from: usize,
    to: usize,
}

/// A transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Op {
    micro: [Micro; MICRO_OPS_MAX],
    len: usize,
    found: Vec<i64>,
    /// The append that never takes effect.
    lost: Option<usize>,
}

impl Op {
    fn micro_ops(&self) -> &[Micro] {
        &self.micro[..self.len]
    }

    fn elements(&self, micro: &Micro) -> &[i64] {
        &self.found[micro.from..micro.to]
    }

    /// The reads of keys that the transaction names once: what they return depends on nothing that it does itself.
    fn plain_reads(&self) -> impl Iterator<Item = usize> + '_ {
        let is_alone = |list: u32| self.micro_ops().iter().filter(|micro| micro.list == list).count() == 1;
        (0..self.len).filter(move |&i| self.micro[i].append.is_none() && is_alone(self.micro[i].list))
    }
}

/// The list under one key.
#[derive(Debug, Default)]
struct List {
    /// In the order in which they were appended.
    items: Vec<i64>,
    /// By value, from 1: the transaction that appends it, by the event of its invocation, and the event of its answer.
    appends: Vec<(u32, u32)>,
    /// The most elements that an answered read has shown.
    shown: usize,
}

impl List {
    fn of(&self, value: i64) -> (u32, u32) {
        self.appends[(value - 1) as usize]
    }
}

/// No answer.
const NEVER: u32 = u32::MAX;

/// All lists.
#[derive(Debug)]
pub(super) struct ListAppend {
    never: i64,
    /// By key.
    lists: Vec<List>,
    /// The keys in use.
    keys: Vec<u32>,
    /// The list that lost an append, the value, and since when its transaction has been answered.
    lost: Option<(u32, i64, Option<u32>)>,
}

impl ListAppend {
    pub(super) fn new(keys: u32, never: i64) -> ListAppend {
        let never = never.saturating_mul(MICRO_OPS_MAX as i64);
        ListAppend { never, lists: (0..keys).map(|_| List::default()).collect(), keys: (0..keys).collect(), lost: None }
    }

    /// The next value of a key, which is given up if it was the last.
    fn append(&mut self, key: usize, called: u32) -> Micro {
        let list = self.keys[key];
        let appends = &mut self.lists[list as usize].appends;
        appends.push((called, NEVER));
        let value = appends.len() as i64;
        if appends.len() == APPENDS {
            self.keys[key] = self.lists.len() as u32;
            self.lists.push(List::default());
        }
        Micro { list, append: Some(value), from: 0, to: 0 }
    }

    /// Whether an append to this list can be lost, so that later transactions still read the list.
    fn may_lose(micro: &Micro) -> bool {
        micro.append.is_some_and(|value| value as usize <= APPENDS / 2)
    }

    fn read(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        if scene.wants(Anomaly::Phantom) {
            self.phantom(op, moment, scene);
        } else if scene.wants(Anomaly::Duplicate) {
            ListAppend::duplicate(op, moment, scene);
        } else if scene.wants(Anomaly::StaleRead) {
            self.stale(op, moment, scene);
        } else if scene.wants(Anomaly::Reorder) {
            self.reorder(op, moment, scene);
        } else if scene.wants(Anomaly::FracturedRead) {
            self.fracture(op, moment, scene);
        } else if let Some((list, value, Some(since))) = self.lost
            && moment.called > since
            && scene.awaits(Anomaly::LostWrite)
            && op.plain_reads().any(|i| op.micro[i].list == list)
        {
            scene.plant(moment.called, format!("{value}, whose append had been answered, is missing from {list} for ever"));
            scene.under(list);
        }
    }

    /// Puts an element at the end of what a read found: at the end of all, so that nothing else moves.
    fn extend(op: &mut Op, read: usize, element: i64) {
        let Micro { from, to, .. } = op.micro[read];
        let start = op.found.len();
        op.found.extend_from_within(from..to);
        op.found.push(element);
        op.micro[read].from = start;
        op.micro[read].to = op.found.len();
    }

    fn phantom(&self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        let Some(read) = op.plain_reads().next() else { return };
        ListAppend::extend(op, read, self.never);
        scene.plant(moment.called, format!("a read returns {}, which nobody appends", self.never));
        scene.under(op.micro[read].list);
    }

    fn duplicate(op: &mut Op, moment: Moment, scene: &mut Scene) {
        let Some(read) = op.plain_reads().find(|&i| !op.elements(&op.micro[i]).is_empty()) else { return };
        let element = op.elements(&op.micro[read])[0];
        ListAppend::extend(op, read, element);
        scene.plant(moment.called, format!("a read returns {element} twice"));
        scene.under(op.micro[read].list);
    }

    /// Ends a read before an element whose append had been answered when the transaction was sent.
    fn stale(&self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        let found = op.plain_reads().find_map(|i| {
            let list = &self.lists[op.micro[i].list as usize];
            let at = op.elements(&op.micro[i]).iter().rposition(|&value| list.of(value).1 < moment.called)?;
            Some((i, at))
        });
        let Some((read, at)) = found else { return };
        let element = op.elements(&op.micro[read])[at];
        op.micro[read].to = op.micro[read].from + at;
        scene.plant(moment.called, format!("a read misses {element}, whose append had been answered when it was sent"));
        scene.under(op.micro[read].list);
    }

    /// Swaps two elements that another read has shown in their order.
    fn reorder(&self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        let both = |&i: &usize| self.lists[op.micro[i].list as usize].shown.min(op.elements(&op.micro[i]).len()) >= 2;
        let Some(read) = op.plain_reads().find(both) else { return };
        let Micro { list, from, .. } = op.micro[read];
        let at = from + self.lists[list as usize].shown.min(op.elements(&op.micro[read]).len()) - 2;
        op.found.swap(at, at + 1);
        let (first, second) = (op.found[at], op.found[at + 1]);
        scene.plant(moment.called, format!("a read returns {first} before {second}, and another {second} before {first}"));
        scene.under(list);
    }

    /// Ends a read before an element of a transaction of which another read of the same transaction shows an element.
    fn fracture(&self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        let by = |i: usize, value: i64| self.lists[op.micro[i].list as usize].of(value).0;
        let found = op.plain_reads().find_map(|whole| {
            let shows = |txn: u32| op.elements(&op.micro[whole]).iter().any(|&value| by(whole, value) == txn);
            op.plain_reads().filter(|&torn| torn != whole).find_map(|torn| {
                let at = op.elements(&op.micro[torn]).iter().rposition(|&value| shows(by(torn, value)))?;
                Some((whole, torn, at))
            })
        });
        let Some((whole, torn, at)) = found else { return };
        let element = op.elements(&op.micro[torn])[at];
        op.micro[torn].to = op.micro[torn].from + at;
        let (seen, missed) = (op.micro[whole].list, op.micro[torn].list);
        scene.plant(moment.called, format!("a transaction sees what another appended to {seen}, and misses its {element} on {missed}"));
        scene.under(missed);
    }
}

impl Object for ListAppend {
    type Op = Op;

    fn ask(&mut self, op: &mut Op, moment: Moment, scene: &Scene, dice: &mut Dice) {
        op.found.clear();
        op.lost = None;
        if let Some((list, _, Some(_))) = self.lost
            && scene.awaits(Anomaly::LostWrite)
        {
            op.len = 1;
            op.micro[0] = Micro { list, append: None, from: 0, to: 0 };
            return;
        }
        op.len = 1 + dice.below(MICRO_OPS_MAX as u64) as usize;
        for i in 0..op.len {
            let key = dice.below(self.keys.len() as u64) as usize;
            let reads = dice.below(2) == 0;
            op.micro[i] =
                if reads { Micro { list: self.keys[key], append: None, from: 0, to: 0 } } else { self.append(key, moment.called) };
        }
    }

    fn act(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        if moment.answered
            && scene.wants(Anomaly::LostWrite)
            && let Some(lost) = op.micro_ops().iter().position(ListAppend::may_lose)
        {
            scene.begin();
            op.lost = Some(lost);
            self.lost = Some((op.micro[lost].list, op.micro[lost].append.unwrap_or(0), None));
        }
        for i in 0..op.len {
            let Micro { list, append, .. } = op.micro[i];
            let items = &mut self.lists[list as usize].items;
            if let Some(value) = append {
                if op.lost != Some(i) {
                    items.push(value);
                }
                continue;
            }
            op.micro[i].from = op.found.len();
            op.found.extend_from_slice(items);
            op.micro[i].to = op.found.len();
        }
    }

    fn answer(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) -> bool {
        if op.lost.is_some() {
            self.lost = self.lost.map(|(list, value, _)| (list, value, Some(moment.now)));
        }
        self.read(op, moment, scene);
        for micro in op.micro_ops() {
            let list = &mut self.lists[micro.list as usize];
            match micro.append {
                Some(value) => list.appends[(value - 1) as usize].1 = moment.now,
                None => list.shown = list.shown.max(micro.to - micro.from),
            }
        }
        true
    }

    fn called_with(&self, op: &Op, values: &mut Values) -> (&'static str, ValueId) {
        ("txn", written(op, values, |_, _| ValueId::NIL))
    }

    fn returned(&self, op: &Op, values: &mut Values) -> ValueId {
        written(op, values, |micro, values| {
            let items: Vec<ValueId> = op.elements(micro).iter().map(|&value| values.int(value)).collect();
            values.vector(&items)
        })
    }
}

/// The transaction as a value; `read` makes the value of a read.
fn written(op: &Op, values: &mut Values, read: impl Fn(&Micro, &mut Values) -> ValueId) -> ValueId {
    let mut micro_ops = [ValueId::NIL; MICRO_OPS_MAX];
    for (written, micro) in micro_ops.iter_mut().zip(op.micro_ops()) {
        let key = values.int(i64::from(micro.list));
        let parts = match micro.append {
            Some(value) => [values.keyword("append"), key, values.int(value)],
            None => [values.keyword("r"), key, read(micro, values)],
        };
        *written = values.vector(&parts);
    }
    values.vector(&micro_ops[..op.len])
}

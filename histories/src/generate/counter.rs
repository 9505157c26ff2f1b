//! A counter: `add` of a positive amount, `read`.
//!
//! In every order a read returns at least the sum of what had been answered when it was sent, and at most the sum of all that
//! was sent before it was answered.

use super::dice::Dice;
use super::object::{Crash, Moment, Object};
use super::scene::Scene;
use super::{Anomaly, Distinct};
use crate::value::{ValueId, Values};

/// An op on the counter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Op {
    /// What is added; `None` reads.
    amount: Option<i64>,
    found: i64,
    /// The sum of the adds that had been answered when it was sent, and an older number.
    least: i64,
    stale: Option<i64>,
}

/// A counter.
#[derive(Debug)]
pub(super) struct Counter {
    values: Distinct,
    fresh: i64,
    held: i64,
    /// The sums of the adds that were sent, and of those that were answered.
    sent: i64,
    answered: i64,
    /// A number that the counter once showed, and the last such that is less than what has been answered.
    old: i64,
    stale: Option<i64>,
}

impl Counter {
    pub(super) fn new(values: Distinct) -> Counter {
        Counter { values, fresh: 0, held: 0, sent: 0, answered: 0, old: 0, stale: None }
    }

    fn read(&self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        if scene.wants(Anomaly::Phantom) {
            op.found = self.sent + 1;
            scene.plant(moment.called, format!("a read returns {}, more than all that was ever sent", op.found));
        } else if let Some(stale) = op.stale.filter(|_| scene.wants(Anomaly::StaleRead)) {
            op.found = stale;
            scene.plant(moment.called, format!("a read returns {stale}, but {} had been added when it was sent", op.least));
        } else if scene.awaits(Anomaly::LostWrite) && op.found < op.least {
            scene.plant(moment.called, format!("an add is lost: a read returns {}, but {} had been added", op.found, op.least));
        }
    }

    /// What was read before now is stale once as much as that has been answered, and more.
    fn note(&mut self) {
        if self.answered > self.old {
            self.stale = Some(self.old);
            self.old = self.held;
        }
    }
}

impl Object for Counter {
    type Op = Op;

    fn ask(&mut self, op: &mut Op, _: Moment, scene: &Scene, dice: &mut Dice) {
        // An add that is lost shows once few others are in flight.
        let reads = dice.below(16) < if scene.awaits(Anomaly::LostWrite) { 15 } else { 8 };
        let amount = match self.values {
            _ if reads => None,
            Distinct::Unique => {
                self.fresh += 1;
                Some(self.fresh)
            }
            Distinct::Few(values) => Some(1 + dice.below(u64::from(values)) as i64),
        };
        self.sent += amount.unwrap_or(0);
        *op = Op { amount, found: 0, least: self.answered, stale: self.stale };
    }

    /// Crashed adds that took effect would make good for the lost one, and for what an old number lacks.
    fn crash(&self, _: &Op, scene: &Scene) -> Crash {
        if scene.plans(Anomaly::LostWrite) || scene.plans(Anomaly::StaleRead) { Crash::WithoutEffect } else { Crash::Anyhow }
    }

    fn act(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        op.found = self.held;
        let Some(amount) = op.amount else { return };
        if moment.answered && scene.wants(Anomaly::LostWrite) {
            scene.begin();
        } else {
            self.held += amount;
        }
    }

    fn answer(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) -> bool {
        match op.amount {
            None => self.read(op, moment, scene),
            Some(amount) => {
                self.answered += amount;
                self.note();
            }
        }
        true
    }

    fn called_with(&self, op: &Op, values: &mut Values) -> (&'static str, ValueId) {
        op.amount.map_or(("read", ValueId::NIL), |amount| ("add", values.int(amount)))
    }

    fn returned(&self, op: &Op, values: &mut Values) -> ValueId {
        match op.amount {
            None => values.int(op.found),
            Some(amount) => values.int(amount),
        }
    }
}

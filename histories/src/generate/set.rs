//! A set that only grows: `add`, and `read` of all of it.
//!
//! A read is a prefix of the order in which the elements went in: one number, whatever its size. Reads get rarer as the set
//! grows, so that all of them together stay linear in the ops.

use super::dice::Dice;
use super::elements::Elements;
use super::object::{Moment, Object};
use super::scene::Scene;
use super::{Anomaly, Distinct};
use crate::value::{ValueId, Values};

/// Elements that the reads return for each op, on average.
const READ_PER_OP: u64 = 8;

/// An op on the set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Op {
    /// What is added; `None` reads.
    element: Option<i64>,
    /// How many elements the read finds.
    found: usize,
    /// What a lying read leaves out, or adds.
    without: Option<i64>,
    with: Option<i64>,
    is_lost: bool,
}

/// A set.
#[derive(Debug)]
pub(super) struct Set {
    values: Distinct,
    never: i64,
    /// In the order in which they went in.
    inside: Vec<i64>,
    /// Of few values: which are inside.
    is_inside: Vec<bool>,
    elements: Elements,
    /// An element that never went in, and since when its add has been answered.
    lost: Option<(i64, Option<u32>)>,
}

impl Set {
    pub(super) fn new(values: Distinct, is_watched: bool, never: i64) -> Set {
        let few = if let Distinct::Few(values) = values { values as usize } else { 0 };
        let elements = Elements::new(is_watched);
        Set { values, never, inside: Vec::new(), is_inside: vec![false; few], elements, lost: None }
    }

    /// Whether there shall be a read although reads have become rare: one that lies, or that shows what was lost.
    fn wants_read(&self, scene: &Scene, dice: &mut Dice) -> bool {
        let awaits = |anomaly| scene.awaits(anomaly);
        match self.lost {
            Some((_, Some(_))) if awaits(Anomaly::LostElement) => true,
            _ => (awaits(Anomaly::StaleRead) || awaits(Anomaly::Phantom)) && dice.below(16) == 0,
        }
    }

    fn read(&self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        if scene.wants(Anomaly::Phantom) {
            op.with = Some(self.never);
            scene.plant(moment.called, format!("a read returns {}, which nobody adds", self.never));
        } else if scene.wants(Anomaly::StaleRead) {
            let is_settled = |&element: &i64| self.elements.answered_at(element).is_some_and(|time| time < moment.called);
            op.without = self.inside[..op.found].iter().copied().rfind(is_settled);
            if let Some(element) = op.without {
                scene.plant(moment.called, format!("a read misses {element}, whose add had been answered when it was sent"));
            }
        } else if let Some((element, Some(since))) = self.lost
            && moment.called > since
            && scene.awaits(Anomaly::LostElement)
        {
            scene.plant(moment.called, format!("{element}, whose add had been answered, is missing from this read and all later ones"));
        }
    }
}

impl Object for Set {
    type Op = Op;

    fn ask(&mut self, op: &mut Op, moment: Moment, scene: &Scene, dice: &mut Dice) {
        *op = Op::default();
        let reads = dice.below(2 * READ_PER_OP + self.inside.len() as u64) < READ_PER_OP;
        if !reads && !self.wants_read(scene, dice) {
            op.element = Some(match self.values {
                Distinct::Unique => self.elements.send(moment.called),
                Distinct::Few(values) => dice.below(u64::from(values)) as i64,
            });
        }
    }

    fn act(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        op.found = self.inside.len();
        let Some(element) = op.element else { return };
        if moment.answered && scene.wants(Anomaly::LostElement) {
            scene.begin();
            self.lost = Some((element, None));
            op.is_lost = true;
        } else if let Some(is_inside) = self.is_inside.get_mut(element as usize) {
            if !std::mem::replace(is_inside, true) {
                self.inside.push(element);
            }
        } else {
            self.inside.push(element);
        }
    }

    fn answer(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) -> bool {
        match op.element {
            None => self.read(op, moment, scene),
            Some(element) if op.is_lost => self.lost = Some((element, Some(moment.now))),
            Some(element) => self.elements.answer(element, moment.now),
        }
        true
    }

    fn called_with(&self, op: &Op, values: &mut Values) -> (&'static str, ValueId) {
        op.element.map_or(("read", ValueId::NIL), |element| ("add", values.int(element)))
    }

    fn returned(&self, op: &Op, values: &mut Values) -> ValueId {
        if op.element.is_some() {
            return self.called_with(op, values).1;
        }
        let shown = self.inside[..op.found].iter().filter(|&&element| op.without != Some(element)).copied().chain(op.with);
        let items: Vec<ValueId> = shown.map(|element| values.int(element)).collect();
        values.vector(&items)
    }
}

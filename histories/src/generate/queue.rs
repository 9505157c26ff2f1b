//! A queue: first in, first out.

use super::dice::Dice;
use super::elements::Elements;
use super::object::{Crash, Moment, Object};
use super::scene::Scene;
use super::{Anomaly, Distinct};
use crate::value::{ValueId, Values};
use std::collections::VecDeque;

/// An op on the queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Op {
    is_insert: bool,
    /// What is inserted, or what came out.
    element: Option<i64>,
}

/// An element that was taken aside, and since when one that came after it has been out.
#[derive(Clone, Copy, Debug)]
struct Aside {
    element: i64,
    overtaken: Option<u32>,
}

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    values: Distinct,
    never: i64,
    inside: VecDeque<i64>,
    elements: Elements,
    /// An element whose dequeue was answered.
    out: Option<i64>,
    aside: Option<Aside>,
    lost: Option<i64>,
}

impl Queue {
    pub(super) fn new(values: Distinct, is_watched: bool, never: i64) -> Queue {
        let elements = Elements::new(is_watched);
        Queue { values, never, inside: VecDeque::new(), elements, out: None, aside: None, lost: None }
    }

    /// The oldest element, if its enqueue was answered, so that others can come after it.
    fn settled_front(&mut self) -> Option<i64> {
        let front = *self.inside.front()?;
        self.elements.answered_at(front).is_some().then(|| self.inside.pop_front()).flatten()
    }

    fn dequeue(&mut self, moment: Moment, scene: &mut Scene) -> Option<i64> {
        if moment.answered && scene.wants(Anomaly::Phantom) {
            scene.plant(moment.called, format!("a dequeue returns {}, which nobody enqueues", self.never));
            return Some(self.never);
        }
        if let Some(out) = self.out.filter(|_| moment.answered && scene.wants(Anomaly::Duplicate)) {
            scene.plant(moment.called, format!("a dequeue returns {out}, which another has returned before"));
            return Some(out);
        }
        if let Some(Aside { element, overtaken: Some(since) }) = self.aside
            && moment.answered
            && moment.called > since
        {
            self.aside = None;
            scene.plant(moment.called, format!("a dequeue returns {element} after one that had been enqueued later"));
            return Some(element);
        }
        if scene.wants(Anomaly::LostElement)
            && let Some(front) = self.settled_front()
        {
            scene.begin();
            self.lost = Some(front);
        }
        if scene.wants(Anomaly::Reorder)
            && let Some(element) = self.settled_front()
        {
            scene.begin();
            self.aside = Some(Aside { element, overtaken: None });
        }
        self.inside.pop_front().or_else(|| {
            // None overtook it: it comes out as it should.
            let element = self.aside.take_if(|aside| aside.overtaken.is_none())?.element;
            scene.abandon();
            Some(element)
        })
    }
}

impl Object for Queue {
    type Op = Op;

    fn ask(&mut self, op: &mut Op, moment: Moment, _: &Scene, dice: &mut Dice) {
        let is_insert = dice.below(2) == 0;
        let element = match self.values {
            _ if !is_insert => None,
            Distinct::Unique => Some(self.elements.send(moment.called)),
            Distinct::Few(values) => Some(dice.below(u64::from(values)) as i64),
        };
        *op = Op { is_insert, element };
    }

    /// A dequeue that crashed could have taken the element that is missing.
    fn crash(&self, op: &Op, scene: &Scene) -> Crash {
        if !op.is_insert && scene.plans(Anomaly::LostElement) { Crash::Never } else { Crash::Anyhow }
    }

    fn act(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        if op.is_insert {
            self.inside.extend(op.element);
        } else {
            op.element = self.dequeue(moment, scene);
        }
    }

    fn answer(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) -> bool {
        let Some(element) = op.element else { return false };
        if op.is_insert {
            self.elements.answer(element, moment.now);
            return true;
        }
        self.out = Some(element);
        if let Some(Aside { element: first, overtaken: overtaken @ None }) = &mut self.aside
            && self.elements.is_before(*first, element)
        {
            *overtaken = Some(moment.now);
        }
        if let Some(lost) = self.lost
            && scene.awaits(Anomaly::LostElement)
            && self.elements.is_before(lost, element)
        {
            scene.plant(moment.called, format!("a dequeue returns {element}, but {lost}, enqueued before it, never comes out"));
        }
        true
    }

    fn called_with(&self, op: &Op, values: &mut Values) -> (&'static str, ValueId) {
        match op {
            Op { is_insert: true, element: Some(element) } => ("enqueue", values.int(*element)),
            _ => ("dequeue", ValueId::NIL),
        }
    }

    fn returned(&self, op: &Op, values: &mut Values) -> ValueId {
        op.element.map_or(ValueId::NIL, |element| values.int(element))
    }
}

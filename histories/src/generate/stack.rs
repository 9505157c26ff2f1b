//! A stack: last in, first out.

use super::dice::Dice;
use super::elements::Elements;
use super::object::{Crash, Moment, Object};
use super::scene::Scene;
use super::{Anomaly, Distinct};
use crate::value::{ValueId, Values};

/// An op on the stack.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Op {
    is_insert: bool,
    /// What is pushed, or what came out.
    element: Option<i64>,
    /// It takes an element from below another.
    overtakes: bool,
}

/// The top, taken aside, and since when one from below it has been out.
#[derive(Clone, Copy, Debug)]
struct Aside {
    element: i64,
    overtaken: Option<u32>,
}

/// How far below the top an element is looked for.
const DEPTH_MAX: usize = 1000;

/// A stack.
#[derive(Debug)]
pub(super) struct Stack {
    values: Distinct,
    never: i64,
    inside: Vec<i64>,
    elements: Elements,
    /// An element whose pop was answered.
    out: Option<i64>,
    aside: Option<Aside>,
    lost: Option<i64>,
}

impl Stack {
    pub(super) fn new(values: Distinct, is_watched: bool, never: i64) -> Stack {
        let elements = Elements::new(is_watched);
        Stack { values, never, inside: Vec::new(), elements, out: None, aside: None, lost: None }
    }

    /// Takes an element from below the top, which was pushed after it and before this pop was sent.
    fn take_from_below(&mut self, moment: Moment) -> Option<i64> {
        let (&top, below) = self.inside.split_last()?;
        if self.elements.answered_at(top).is_none_or(|time| time > moment.called) {
            return None;
        }
        let lowest = below.len().saturating_sub(DEPTH_MAX);
        let at = lowest + below[lowest..].iter().rposition(|&element| self.elements.is_before(element, top))?;
        self.inside.pop();
        self.aside = Some(Aside { element: top, overtaken: None });
        Some(self.inside.remove(at))
    }

    fn pop(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) -> Option<i64> {
        if moment.answered && scene.wants(Anomaly::Phantom) {
            scene.plant(moment.called, format!("a pop returns {}, which nobody pushes", self.never));
            return Some(self.never);
        }
        if let Some(out) = self.out.filter(|_| moment.answered && scene.wants(Anomaly::Duplicate)) {
            scene.plant(moment.called, format!("a pop returns {out}, which another has returned before"));
            return Some(out);
        }
        if let Some(Aside { element, overtaken: Some(since) }) = self.aside
            && moment.answered
            && moment.called > since
        {
            self.aside = None;
            scene.plant(moment.called, format!("a pop returns {element} after one that was below it"));
            return Some(element);
        }
        if moment.answered
            && scene.wants(Anomaly::Reorder)
            && let Some(element) = self.take_from_below(moment)
        {
            scene.begin();
            op.overtakes = true;
            return Some(element);
        }
        if scene.wants(Anomaly::LostElement)
            && let Some(&top) = self.inside.last()
            && self.elements.answered_at(top).is_some()
        {
            scene.begin();
            self.lost = self.inside.pop();
        }
        self.inside.pop()
    }
}

impl Object for Stack {
    type Op = Op;

    fn ask(&mut self, op: &mut Op, moment: Moment, scene: &Scene, dice: &mut Dice) {
        // What was lost shows when what was below it comes out.
        let pushes_of_eight = if self.lost.is_some() && scene.awaits(Anomaly::LostElement) { 2 } else { 4 };
        let is_insert = dice.below(8) < pushes_of_eight;
        let element = match self.values {
            _ if !is_insert => None,
            Distinct::Unique => Some(self.elements.send(moment.called)),
            Distinct::Few(values) => Some(dice.below(u64::from(values)) as i64),
        };
        *op = Op { is_insert, element, overtakes: false };
    }

    /// A pop that crashed could have taken the element that is missing.
    fn crash(&self, op: &Op, scene: &Scene) -> Crash {
        if !op.is_insert && scene.plans(Anomaly::LostElement) { Crash::Never } else { Crash::Anyhow }
    }

    fn act(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        if op.is_insert {
            self.inside.extend(op.element);
        } else {
            op.element = self.pop(op, moment, scene);
        }
    }

    fn answer(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) -> bool {
        let Some(element) = op.element else { return false };
        if op.is_insert {
            self.elements.answer(element, moment.now);
            return true;
        }
        self.out = Some(element);
        if let Some(aside) = self.aside.as_mut().filter(|_| op.overtakes) {
            aside.overtaken = Some(moment.now);
        }
        if let Some(lost) = self.lost
            && scene.awaits(Anomaly::LostElement)
            && self.elements.is_before(element, lost)
            && self.elements.answered_at(lost).is_some_and(|time| time < moment.called)
        {
            scene.plant(moment.called, format!("a pop returns {element}, but {lost}, pushed on top of it, never comes out"));
        }
        true
    }

    fn called_with(&self, op: &Op, values: &mut Values) -> (&'static str, ValueId) {
        match op {
            Op { is_insert: true, element: Some(element), .. } => ("push", values.int(*element)),
            _ => ("pop", ValueId::NIL),
        }
    }

    fn returned(&self, op: &Op, values: &mut Values) -> ValueId {
        op.element.map_or(ValueId::NIL, |element| values.int(element))
    }
}

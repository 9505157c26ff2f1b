//! Independent keys: an object for each, chosen at random, its values in `[key value]` pairs. One key is no pair.

use super::dice::Dice;
use super::object::{Crash, Moment, Object};
use super::scene::Scene;
use super::{Plan, Planted, Refused, simulation};
use crate::history::History;
use crate::value::{ValueId, Values};

struct Keyed<O> {
    objects: Vec<O>,
}

/// An op, with the key of its object.
#[derive(Default)]
struct Op<T> {
    key: u32,
    op: T,
}

/// Simulates as many objects as the plan has keys.
pub(super) fn run<O: Object>(plan: &Plan, mut object: impl FnMut() -> O) -> Result<(History, Option<Planted>), Refused> {
    match plan.keys() {
        1 => simulation::run(plan, object()),
        keys => simulation::run(plan, Keyed { objects: (0..keys).map(|_| object()).collect() }),
    }
}

impl<O: Object> Object for Keyed<O> {
    type Op = Op<O::Op>;

    fn ask(&mut self, op: &mut Self::Op, moment: Moment, scene: &Scene, dice: &mut Dice) {
        op.key = dice.below(self.objects.len() as u64) as u32;
        self.objects[op.key as usize].ask(&mut op.op, moment, scene, dice);
    }

    fn crash(&self, op: &Self::Op, scene: &Scene) -> Crash {
        self.objects[op.key as usize].crash(&op.op, scene)
    }

    fn act(&mut self, op: &mut Self::Op, moment: Moment, scene: &mut Scene) {
        self.objects[op.key as usize].act(&mut op.op, moment, scene);
        scene.under(op.key);
    }

    fn answer(&mut self, op: &mut Self::Op, moment: Moment, scene: &mut Scene) -> bool {
        let is_ok = self.objects[op.key as usize].answer(&mut op.op, moment, scene);
        scene.under(op.key);
        is_ok
    }

    fn crashed(&mut self, op: &Self::Op, moment: Moment) {
        self.objects[op.key as usize].crashed(&op.op, moment);
    }

    fn called_with(&self, op: &Self::Op, values: &mut Values) -> (&'static str, ValueId) {
        let (f, value) = self.objects[op.key as usize].called_with(&op.op, values);
        (f, pair(values, op.key, value))
    }

    fn returned(&self, op: &Self::Op, values: &mut Values) -> ValueId {
        let value = self.objects[op.key as usize].returned(&op.op, values);
        pair(values, op.key, value)
    }
}

fn pair(values: &mut Values, key: u32, value: ValueId) -> ValueId {
    let key = values.int(i64::from(key));
    values.vector(&[key, value])
}

//! Transactions over registers: `[:w k v]`, `[:r k nil]`. Values are unique per key.

use super::Anomaly;
use super::dice::Dice;
use super::gone::Gone;
use super::object::{Moment, Object};
use super::scene::Scene;
use crate::value::{ValueId, Values};

/// Micro-ops of a transaction, at most.
const MICRO_OPS_MAX: usize = 4;
/// What a key holds at first.
const NOTHING: i64 = 0;

/// A micro-op.
#[derive(Clone, Copy, Debug, Default)]
struct Micro {
    key: u32,
    is_write: bool,
    /// What is written, or what the read found.
    value: i64,
    /// Of a read: the transaction that wrote what it found, and a value that certainly was there before that one.
    by: u32,
    replaced: Option<i64>,
}

/// A transaction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Op {
    micro: [Micro; MICRO_OPS_MAX],
    len: usize,
}

impl Op {
    fn micro_ops(&self) -> &[Micro] {
        &self.micro[..self.len]
    }

    /// The reads of keys that the transaction names once.
    fn plain_reads(&self) -> impl Iterator<Item = usize> + '_ {
        let is_alone = |key: u32| self.micro_ops().iter().filter(|micro| micro.key == key).count() == 1;
        (0..self.len).filter(move |&i| !self.micro[i].is_write && is_alone(self.micro[i].key))
    }

    /// The read of a key that the transaction first reads, once, and then writes.
    fn updates(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len).filter(|&i| {
            let key = self.micro[i].key;
            let of_key = |micro: &&Micro| micro.key == key;
            let others = self.micro[i + 1..self.len].iter().filter(of_key);
            !self.micro[i].is_write && !self.micro[..i].iter().any(|micro| micro.key == key) && {
                let mut others = others.peekable();
                others.peek().is_some() && others.all(|micro| micro.is_write)
            }
        })
    }

    /// Whether a micro-op is the last write of its key.
    fn is_last_write(&self, i: usize) -> bool {
        let Micro { key, is_write, .. } = self.micro[i];
        is_write && !self.micro[i + 1..self.len].iter().any(|micro| micro.is_write && micro.key == key)
    }
}

/// The register under one key.
#[derive(Clone, Debug)]
struct Register {
    held: i64,
    /// The transaction that wrote it, and a value that certainly was there before that one.
    by: u32,
    replaced: Option<i64>,
    fresh: i64,
    gone: Gone<i64>,
    /// A value that an answered transaction read and replaced.
    updated: Option<i64>,
}

/// All registers.
#[derive(Debug)]
pub(super) struct RwRegister {
    never: i64,
    registers: Vec<Register>,
}

impl RwRegister {
    pub(super) fn new(keys: u32, never: i64) -> RwRegister {
        let register = Register { held: NOTHING, by: 0, replaced: None, fresh: 0, gone: Gone::default(), updated: None };
        RwRegister { never: never.saturating_mul(MICRO_OPS_MAX as i64), registers: vec![register; keys as usize] }
    }

    fn read(&self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        let (read, value, what) = if scene.wants(Anomaly::Phantom) {
            let Some(read) = op.plain_reads().next() else { return };
            (read, self.never, "a read returns what nobody writes")
        } else if scene.wants(Anomaly::StaleRead) {
            let stale = |i: usize| self.registers[op.micro[i].key as usize].gone.gone(moment.called).map(|&value| (i, value));
            let Some((read, value)) = op.plain_reads().find_map(stale) else { return };
            (read, value, "a read returns what had been overwritten when its transaction was sent")
        } else if scene.wants(Anomaly::LostUpdate) {
            let twice = |i: usize| self.registers[op.micro[i].key as usize].updated.map(|value| (i, value));
            let Some((read, value)) = op.updates().find_map(twice) else { return };
            (read, value, "two transactions read and replace the same value")
        } else if scene.wants(Anomaly::FracturedRead) {
            let torn = |i: usize| {
                let Micro { by, replaced, .. } = op.micro[i];
                let whole = op.plain_reads().any(|other| other != i && op.micro[other].value != NOTHING && op.micro[other].by == by);
                replaced.filter(|_| whole).map(|value| (i, value))
            };
            let Some((read, value)) = op.plain_reads().find_map(torn) else { return };
            (read, value, "a transaction sees one write of another, and misses the other")
        } else {
            return;
        };
        op.micro[read].value = value;
        scene.plant(moment.called, what.into());
        scene.under(op.micro[read].key);
    }
}

impl Object for RwRegister {
    type Op = Op;

    fn ask(&mut self, op: &mut Op, _: Moment, _: &Scene, dice: &mut Dice) {
        op.len = 1 + dice.below(MICRO_OPS_MAX as u64) as usize;
        for i in 0..op.len {
            let key = match i {
                // One in four micro-ops names the key of the one before it: reads that are written back.
                1.. if dice.below(4) == 0 => op.micro[i - 1].key,
                _ => dice.below(self.registers.len() as u64) as u32,
            };
            let is_write = dice.below(2) == 0;
            let register = &mut self.registers[key as usize];
            register.fresh += i64::from(is_write);
            op.micro[i] = Micro { key, is_write, value: if is_write { register.fresh } else { NOTHING }, ..Micro::default() };
        }
    }

    fn act(&mut self, op: &mut Op, moment: Moment, _: &mut Scene) {
        for i in 0..op.len {
            let micro = &mut op.micro[i];
            let register = &mut self.registers[micro.key as usize];
            if micro.is_write {
                let before = register.gone.settled(moment.called).or_else(|| register.gone.gone(moment.called));
                register.replaced = before.copied();
                register.held = micro.value;
                register.by = moment.called;
            } else {
                micro.value = register.held;
                micro.by = register.by;
                micro.replaced = register.replaced;
            }
        }
    }

    fn answer(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) -> bool {
        self.read(op, moment, scene);
        for read in op.updates() {
            let Micro { key, value, .. } = op.micro[read];
            let register = &mut self.registers[key as usize];
            register.updated = Some(value).filter(|&value| value != NOTHING).or(register.updated);
        }
        for i in 0..op.len {
            let Micro { key, is_write, value, .. } = op.micro[i];
            let register = &mut self.registers[key as usize];
            if op.is_last_write(i) {
                register.gone.seen(&value, moment.called, moment.now, scene.armed);
                register.gone.stored(&value, moment.now);
            } else if !is_write && value != NOTHING && op.micro_ops().iter().all(|micro| micro.key != key || !micro.is_write) {
                register.gone.seen(&value, moment.called, moment.now, scene.armed);
            }
        }
        true
    }

    fn called_with(&self, op: &Op, values: &mut Values) -> (&'static str, ValueId) {
        ("txn", written(op, values, |_, _| ValueId::NIL))
    }

    fn returned(&self, op: &Op, values: &mut Values) -> ValueId {
        written(op, values, |value, values| if value == NOTHING { ValueId::NIL } else { values.int(value) })
    }
}

/// The transaction as a value; `read` makes the value of a read.
fn written(op: &Op, values: &mut Values, read: impl Fn(i64, &mut Values) -> ValueId) -> ValueId {
    let mut micro_ops = [ValueId::NIL; MICRO_OPS_MAX];
    for (written, micro) in micro_ops.iter_mut().zip(op.micro_ops()) {
        let key = values.int(i64::from(micro.key));
        let parts = if micro.is_write {
            [values.keyword("w"), key, values.int(micro.value)]
        } else {
            [values.keyword("r"), key, read(micro.value, values)]
        };
        *written = values.vector(&parts);
    }
    values.vector(&micro_ops[..op.len])
}

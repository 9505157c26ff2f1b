//! A register, with and without compare-and-set.

use super::dice::Dice;
use super::gone::Watch;
use super::object::{Crash, Moment, Object};
use super::scene::Scene;
use super::{Anomaly, Distinct};
use crate::value::{ValueId, Values};

/// What the clients know of the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Functions {
    /// Reads and writes, half and half.
    ReadWrite,
    /// Reads, writes and cas, a third each.
    Cas,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Call {
    #[default]
    Read,
    Write(i64),
    Cas(i64, i64),
}

/// An op on the register.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Op {
    call: Call,
    /// What it found: what a read returns, and what a cas compares with.
    found: i64,
    is_lost: bool,
    /// A cas that is sent to succeed although it cannot.
    lies: bool,
}

/// What a register holds at first.
const NOTHING: i64 = -1;

/// A register.
#[derive(Debug)]
pub(super) struct Register {
    values: Distinct,
    functions: Functions,
    never: i64,
    held: i64,
    fresh: i64,
    watch: Watch<i64>,
    /// The value that a lost write left in place, and since when that write has been answered.
    lost: Option<(i64, Option<u32>)>,
}

impl Register {
    pub(super) fn new(values: Distinct, functions: Functions, never: i64) -> Register {
        Register { values, functions, never, held: NOTHING, fresh: 0, watch: Watch::new(values), lost: None }
    }

    fn value(&mut self, scene: &Scene, dice: &mut Dice) -> i64 {
        let Distinct::Few(values) = self.values else {
            self.fresh += 1;
            return self.fresh;
        };
        let value = dice.below(u64::from(values)) as i64;
        if awaits_gone(scene) { self.watch.adjusted(value) } else { value }
    }

    fn cas(&mut self, op: &mut Op, moment: Moment, scene: &Scene, dice: &mut Dice) {
        let new = self.value(scene, dice);
        let stale = self.watch.gone.gone(moment.called).copied().filter(|_| scene.wants(Anomaly::LostUpdate));
        let old = match (stale, self.values) {
            (Some(stale), _) => stale,
            (None, Distinct::Few(values)) => dice.below(u64::from(values)) as i64,
            (None, Distinct::Unique) => self.held,
        };
        op.lies = stale.is_some();
        // A cas of nothing would compare with a value that no client knows.
        op.call = if old == NOTHING { Call::Write(new) } else { Call::Cas(old, new) };
    }

    fn read(&self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        if scene.wants(Anomaly::Phantom) {
            op.found = self.never;
            scene.plant(moment.called, format!("a read returns {}, which nobody ever writes", op.found));
        } else if let Some(&old) = self.watch.gone.gone(moment.called).filter(|_| scene.wants(Anomaly::StaleRead)) {
            op.found = old;
            scene.plant(moment.called, format!("a read returns {old}, which had been overwritten when it was sent"));
        } else if let Some((old, Some(since))) = self.lost
            && moment.called > since
            && scene.awaits(Anomaly::LostWrite)
        {
            op.found = old;
            scene.plant(moment.called, format!("a read returns {old} after a write that was answered and never took effect"));
        }
    }
}

/// Whether the anomaly that is awaited needs a value that is gone.
pub(super) fn awaits_gone(scene: &Scene) -> bool {
    [Anomaly::StaleRead, Anomaly::LostWrite, Anomaly::LostUpdate].into_iter().any(|anomaly| scene.awaits(anomaly))
}

/// Whether such an anomaly is planned.
pub(super) fn plans_gone(scene: &Scene) -> bool {
    [Anomaly::StaleRead, Anomaly::LostWrite, Anomaly::LostUpdate].into_iter().any(|anomaly| scene.plans(anomaly))
}

impl Object for Register {
    type Op = Op;

    fn ask(&mut self, op: &mut Op, moment: Moment, scene: &Scene, dice: &mut Dice) {
        *op = Op::default();
        let die = dice.below(6);
        match self.functions {
            Functions::Cas if die >= 4 => self.cas(op, moment, scene, dice),
            Functions::Cas if die >= 2 => op.call = Call::Write(self.value(scene, dice)),
            Functions::ReadWrite if die >= 3 => op.call = Call::Write(self.value(scene, dice)),
            _ => {}
        }
        if let Call::Write(new) | Call::Cas(_, new) = op.call {
            self.watch.sent(new);
        }
    }

    fn crash(&self, op: &Op, scene: &Scene) -> Crash {
        let stored = match op.call {
            Call::Read => None,
            Call::Write(new) | Call::Cas(_, new) => Some(new),
        };
        let is_watched = stored.is_some() && stored == self.watch.reserved();
        if op.lies || (is_watched && plans_gone(scene)) { Crash::Never } else { Crash::Anyhow }
    }

    fn act(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        op.found = self.held;
        match op.call {
            Call::Write(_) if moment.answered && scene.wants(Anomaly::LostWrite) => {
                if let Some(&old) = self.watch.gone.settled(moment.called) {
                    scene.begin();
                    self.lost = Some((old, None));
                    op.is_lost = true;
                }
            }
            _ => {}
        }
        match op.call {
            Call::Write(new) if !op.is_lost => self.held = new,
            Call::Cas(old, new) if old == self.held => self.held = new,
            _ => {}
        }
    }

    fn answer(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) -> bool {
        let (shown, is_ok) = match op.call {
            Call::Read => {
                self.read(op, moment, scene);
                (op.found, true)
            }
            Call::Write(new) => (new, true),
            Call::Cas(old, new) => (new, old == op.found),
        };
        if op.lies && scene.wants(Anomaly::LostUpdate) {
            scene.plant(moment.called, "a cas succeeds on a value that had been overwritten when it was sent".into());
            return true;
        }
        if op.is_lost {
            self.lost = self.lost.map(|(old, _)| (old, Some(moment.now)));
        }
        if is_ok && shown != NOTHING {
            self.watch.gone.seen(&shown, moment.called, moment.now, scene.armed);
        }
        if let Call::Write(new) | Call::Cas(_, new) = op.call {
            self.watch.answered(new, &new, is_ok, moment.now);
        }
        is_ok
    }

    fn called_with(&self, op: &Op, values: &mut Values) -> (&'static str, ValueId) {
        match op.call {
            Call::Read => ("read", ValueId::NIL),
            Call::Write(new) => ("write", values.int(new)),
            Call::Cas(old, new) => {
                let pair = [values.int(old), values.int(new)];
                ("cas", values.vector(&pair))
            }
        }
    }

    fn returned(&self, op: &Op, values: &mut Values) -> ValueId {
        match op.call {
            Call::Read if op.found == NOTHING => ValueId::NIL,
            Call::Read => values.int(op.found),
            _ => self.called_with(op, values).1,
        }
    }
}

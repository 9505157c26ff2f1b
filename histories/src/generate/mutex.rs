//! A lock: `acquire`, which fails while another client holds it, and `release`.
//!
//! A client whose op crashed does not know whether it holds the lock, and goes on with a release.

use super::Anomaly;
use super::dice::Dice;
use super::object::{Crash, Moment, Object};
use super::scene::Scene;
use crate::value::{ValueId, Values};

/// An op on the lock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Op {
    is_release: bool,
    is_ok: bool,
}

/// A lock.
#[derive(Debug)]
pub(super) struct Mutex {
    holder: Option<u32>,
    /// By client: whether it may hold the lock.
    may_hold: Vec<bool>,
    /// Acquires that were answered ok, and releases that were sent and have not failed.
    acquired: u32,
    released: u32,
}

impl Mutex {
    pub(super) fn new(clients: u32) -> Mutex {
        Mutex { holder: None, may_hold: vec![false; clients as usize], acquired: 0, released: 0 }
    }
}

impl Object for Mutex {
    type Op = Op;

    fn ask(&mut self, op: &mut Op, moment: Moment, _: &Scene, _: &mut Dice) {
        *op = Op { is_release: self.may_hold[moment.client as usize], is_ok: false };
        self.released += u32::from(op.is_release);
    }

    /// An acquire that takes effect after its client has asked for the release would lock out everybody for ever. Where a
    /// second grant is planned, the grants and releases must be known.
    fn crash(&self, op: &Op, scene: &Scene) -> Crash {
        match (op.is_release, scene.plans(Anomaly::DoubleGrant)) {
            (true, true) => Crash::Never,
            (false, true) => Crash::WithoutEffect,
            (_, false) => Crash::AtOnce,
        }
    }

    fn act(&mut self, op: &mut Op, moment: Moment, _: &mut Scene) {
        let expected = if op.is_release { Some(moment.client) } else { None };
        op.is_ok = self.holder == expected;
        if op.is_ok {
            self.holder = if op.is_release { None } else { Some(moment.client) };
        }
    }

    /// In every order there is a release between two grants. So if all grants but one were followed by all the releases that
    /// were ever sent, one grant more is one too many.
    fn answer(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) -> bool {
        if op.is_release {
            self.released -= u32::from(!op.is_ok);
            self.may_hold[moment.client as usize] = false;
            return op.is_ok;
        }
        if !op.is_ok && scene.wants(Anomaly::DoubleGrant) && self.acquired > self.released {
            op.is_ok = true;
            scene.plant(moment.called, "an acquire succeeds while another client holds the lock".into());
        }
        self.acquired += u32::from(op.is_ok);
        self.may_hold[moment.client as usize] = op.is_ok;
        op.is_ok
    }

    fn crashed(&mut self, _: &Op, moment: Moment) {
        self.may_hold[moment.client as usize] = true;
    }

    fn called_with(&self, op: &Op, _: &mut Values) -> (&'static str, ValueId) {
        (if op.is_release { "release" } else { "acquire" }, ValueId::NIL)
    }

    fn returned(&self, _: &Op, _: &mut Values) -> ValueId {
        ValueId::NIL
    }
}

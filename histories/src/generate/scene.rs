//! Where the anomaly may be planted, and where it was.

use super::{Anomaly, Planted};

/// The state of the one anomaly of a history: planned, begun by one object, planted.
#[derive(Debug)]
pub(super) struct Scene {
    planned: Option<Anomaly>,
    /// Whether the place where to look begins.
    pub(super) armed: bool,
    /// An object has begun one that takes several ops.
    begun: bool,
    planted: Option<Planted>,
}

impl Scene {
    pub(super) fn new(planned: Option<Anomaly>) -> Scene {
        Scene { planned, armed: false, begun: false, planted: None }
    }

    /// Whether it is planned in this history, be it now or later: ops that would blur it are left out.
    pub(super) fn plans(&self, anomaly: Anomaly) -> bool {
        self.planned == Some(anomaly)
    }

    /// Whether it is to come about now, or has begun.
    pub(super) fn awaits(&self, anomaly: Anomaly) -> bool {
        self.armed && self.planted.is_none() && self.plans(anomaly)
    }

    /// Whether it is to come about now, and no object has begun it.
    pub(super) fn wants(&self, anomaly: Anomaly) -> bool {
        self.awaits(anomaly) && !self.begun
    }

    /// An object takes it on itself.
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    /// That object cannot finish it: another may try.
    pub(super) fn abandon(&mut self) {
        self.begun = false;
    }

    /// It is there: the op that was called at this event shows it.
    pub(super) fn plant(&mut self, called: u32, what: String) {
        if let Some(anomaly) = self.planned {
            self.planted = Some(Planted { anomaly, event: called, op: 0, key: None, what });
        }
    }

    /// Notes the key of what was just planted.
    pub(super) fn under(&mut self, key: u32) {
        if let Some(planted) = &mut self.planted {
            planted.key.get_or_insert(key);
        }
    }

    pub(super) fn into_planted(self) -> Option<Planted> {
        self.planted
    }
}

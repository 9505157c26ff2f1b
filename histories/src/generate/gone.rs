//! Knows of a value that it is certainly gone: nobody who asks from now on can be given it.
//!
//! A value is *settled* once every op that could store it has been answered. An op that was sent after that, and that stored or
//! showed another value, comes after all of them in every order. From its answer on the value is *gone*: an op that is sent
//! later comes after that op, and nobody stores the value again in between.

use super::Distinct;

/// Watches one value after another of a register.
#[derive(Clone, Debug, Default)]
pub(super) struct Gone<T> {
    /// A settled value, and the event at which it was.
    settled: Option<(T, u32)>,
    /// A value that is gone, and the event since when it is.
    gone: Option<(T, u32)>,
}

impl<T: Clone + PartialEq> Gone<T> {
    /// An op that stored this value, the only one, was answered. The value watched before is kept until it is gone.
    pub(super) fn stored(&mut self, value: &T, now: u32) {
        if self.settled.is_none() {
            self.settled = Some((value.clone(), now));
        }
    }

    /// An op sent at `called` that stored or showed this value was answered. `keep` what is gone already, so that an op that
    /// is sent now finds it when it is answered.
    pub(super) fn seen(&mut self, value: &T, called: u32, now: u32, keep: bool) {
        if keep && self.gone.is_some() {
            return;
        }
        if let Some((old, _)) = self.settled.take_if(|(old, since)| called > *since && old != value) {
            self.gone = Some((old, now));
        }
    }

    /// The value that an op sent at `called` cannot be given.
    pub(super) fn gone(&self, called: u32) -> Option<&T> {
        self.gone.as_ref().filter(|(_, since)| called > *since).map(|(value, _)| value)
    }

    /// The value that was settled when an op was sent.
    pub(super) fn settled(&self, called: u32) -> Option<&T> {
        self.settled.as_ref().filter(|(_, since)| called > *since).map(|(value, _)| value)
    }

    /// Somebody may store the watched value again.
    pub(super) fn forget(&mut self) {
        self.settled = None;
        self.gone = None;
    }
}

/// What may be watched among few values: the last one alone, which then is never stored by an op that crashes, and by nobody
/// while the anomaly is awaited. Where values are unique, all of them.
#[derive(Clone, Debug)]
pub(super) struct Watch<T> {
    values: Distinct,
    pub(super) gone: Gone<T>,
    /// Ops in flight that may store the value watched among few.
    open: u32,
    /// Whether it was ever stored.
    was_stored: bool,
}

impl<T: Clone + PartialEq> Watch<T> {
    pub(super) fn new(values: Distinct) -> Watch<T> {
        Watch { values, gone: Gone { settled: None, gone: None }, open: 0, was_stored: false }
    }

    /// The value watched among few.
    pub(super) fn reserved(&self) -> Option<i64> {
        match self.values {
            Distinct::Unique => None,
            Distinct::Few(values) => Some(i64::from(values) - 1),
        }
    }

    /// What to store while a place for the anomaly is awaited, instead of a random value: the reserved one if it never was
    /// stored, any other otherwise, if there is one.
    pub(super) fn adjusted(&self, value: i64) -> i64 {
        match (self.reserved(), self.was_stored) {
            (Some(reserved), false) => reserved,
            (Some(reserved), true) if value == reserved && reserved > 0 => value - 1,
            _ => value,
        }
    }

    /// An op is sent that may store this value.
    pub(super) fn sent(&mut self, value: i64) {
        if self.reserved() == Some(value) {
            self.open += 1;
            self.gone.forget();
        }
    }

    /// An op that was sent to store `value` was answered: what was held after it, and whether it was stored. Those of the
    /// reserved value are always answered.
    pub(super) fn answered(&mut self, value: i64, held: &T, is_ok: bool, now: u32) {
        match self.reserved() {
            None if is_ok => self.gone.stored(held, now),
            Some(reserved) if reserved == value => {
                self.open -= 1;
                self.was_stored |= is_ok;
                if self.open == 0 && self.was_stored {
                    self.gone.stored(held, now);
                }
            }
            _ => {}
        }
    }
}

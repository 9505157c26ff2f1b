//! Who wrote which value of which key.

use super::reading::{Micro, Transactions};
use hashbrown::HashMap;
use histories::{Outcome, ValueId};
use rustc_hash::FxBuildHasher;

/// A value that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version {
    /// The transaction.
    pub(crate) writer: u32,
    /// Whether this write is the last one of its transaction on this key.
    pub(crate) is_last: bool,
    /// Whether another write of the value exists: then nobody knows whose was read.
    pub(crate) is_ambiguous: bool,
}

/// All values that were written, also by transactions that failed.
#[derive(Debug, Default)]
pub(crate) struct Versions(HashMap<(u32, ValueId), Version, FxBuildHasher>);

impl Versions {
    pub(crate) fn new(all: &Transactions) -> Versions {
        let mut versions = Versions::default();
        for transaction in 0..all.len() as u32 {
            let micros = all.micros(transaction);
            for (at, micro) in micros.iter().enumerate().filter(|(_, micro)| micro.is_write) {
                let is_last = !micros[at + 1..].iter().any(|later| later.is_write && later.key == micro.key);
                let version = Version { writer: transaction, is_last, is_ambiguous: false };
                let known = versions.0.entry((micro.key, micro.value));
                known.and_modify(|known| known.is_ambiguous = true).or_insert(version);
            }
        }
        versions
    }

    pub(crate) fn get(&self, key: u32, value: ValueId) -> Option<Version> {
        self.0.get(&(key, value)).copied()
    }
}

/// Which transactions happened: those that are ok, and of those of unknown outcome the ones of which somebody saw something.
/// The others need not have happened: whatever explains a history with one of them explains it without.
pub(crate) fn ok(all: &Transactions) -> Vec<bool> {
    all.outcome.iter().map(|&outcome| outcome == Outcome::Ok).collect()
}

/// The values that a transaction wrote of the key of its micro-op at `at` before that.
pub(crate) fn own(micros: &[Micro], at: usize) -> impl DoubleEndedIterator<Item = ValueId> + '_ {
    let key = micros[at].key;
    micros[..at].iter().filter(move |micro| micro.is_write && micro.key == key).map(|micro| micro.value)
}

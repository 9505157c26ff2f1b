//! Limits of a search, and its progress. The checker has no clock: whoever owns one sets the stop flag.

use crate::verdict::Reason;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Why a search was stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stop {
    /// The time limit was reached.
    Deadline = 1,
    /// A person asked for it.
    Interrupt = 2,
}

/// What a search may use. Shared by all threads of one check; counters are for progress and for the memory limit.
#[derive(Debug, Default)]
pub struct Budget {
    /// Steps (configurations visited) per key, if limited.
    pub steps: Option<u64>,
    /// Bytes that all searches of this check may hold at once, if limited.
    pub bytes: Option<u64>,
    stop: StopFlag,
    bytes_used: AtomicU64,
    bytes_peak: AtomicU64,
    /// Keys decided so far.
    pub keys_done: AtomicU64,
    /// Keys in all; 0 until known.
    pub keys_total: AtomicU64,
    /// Ops ordered so far, over all keys.
    pub ops_done: AtomicU64,
    /// Configurations visited so far, over all keys.
    pub steps_done: AtomicU64,
    /// How often the stop flag was looked at, and at which look a test raises it.
    #[cfg(test)]
    looks: AtomicU64,
    #[cfg(test)]
    stop_at_look: Option<u64>,
}

/// On a cache line of its own: all look at it all the time, and nearly nobody writes to it.
#[derive(Debug, Default)]
#[repr(align(64))]
struct StopFlag(AtomicU8);

impl StopFlag {
    fn raised(&self) -> Option<Stop> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Stop::Deadline),
            _ => Some(Stop::Interrupt),
        }
    }
}

impl Budget {
    /// No limit but the stop flag.
    pub fn unlimited() -> Budget {
        Budget::default()
    }

    /// Asks every search of this check to end soon. The first reason stays.
    pub fn stop(&self, why: Stop) {
        let _ = self.stop.0.compare_exchange(0, why as u8, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether and why the check was asked to stop. All that takes long asks every few thousand steps.
    pub fn stopped(&self) -> Option<Stop> {
        #[cfg(test)]
        if Some(self.looks.fetch_add(1, Ordering::Relaxed)) == self.stop_at_look {
            self.stop(Stop::Interrupt);
        }
        self.stop.raised()
    }

    /// Takes `bytes` from the memory budget. False if so much is not left; then nothing is taken, and who needs it ends with
    /// `unknown: memory`.
    pub fn take(&self, bytes: u64) -> bool {
        let limit = self.bytes.unwrap_or(u64::MAX);
        let more = |used: u64| used.checked_add(bytes).filter(|&used| used <= limit);
        let Ok(before) = self.bytes_used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) else { return false };
        self.bytes_peak.fetch_max(before + bytes, Ordering::Relaxed);
        true
    }

    /// Gives back what was taken.
    pub fn give(&self, bytes: u64) {
        self.bytes_used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The most bytes that were taken at once.
    pub fn peak_bytes(&self) -> u64 {
        self.bytes_peak.load(Ordering::Relaxed)
    }
}

/// Which limit ended a procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The step limit.
    Steps,
    /// The memory limit.
    Memory,
    /// The stop flag.
    Stopped(Stop),
}

impl Limit {
    /// What is said of it, with how far the procedure had come.
    pub(crate) fn reason(self, ops_ordered: usize, states: usize) -> Reason {
        match self {
            Limit::Steps => Reason::Steps { ops_ordered, states },
            Limit::Memory => Reason::Memory { ops_ordered, states },
            Limit::Stopped(Stop::Deadline) => Reason::Time { ops_ordered, states },
            Limit::Stopped(Stop::Interrupt) => Reason::Interrupted,
        }
    }
}

/// Work between two looks at the stop flag: a fraction of a millisecond. (Tests have small histories.)
const WORK_BETWEEN_LOOKS: u64 = if cfg!(test) { 64 } else { 1 << 14 };

/// One procedure's part of a budget: it says what it does and what it holds, and hears when it has to end. What it holds is
/// given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Account<'b> {
    budget: &'b Budget,
    held: u64,
    until_look: u64,
}

impl<'b> Account<'b> {
    /// An account that holds nothing, and looks at the stop flag at once.
    pub(crate) fn new(budget: &'b Budget) -> Account<'b> {
        Account { budget, held: 0, until_look: 0 }
    }

    /// The budget it is a part of.
    pub(crate) fn budget(&self) -> &'b Budget {
        self.budget
    }

    /// Says that some work is about to be done, in units of a few nanoseconds to a few tens of them.
    ///
    /// # Errors
    /// The check was asked to end.
    pub(crate) fn work(&mut self, units: u64) -> Result<(), Limit> {
        if units < self.until_look {
            self.until_look -= units;
            return Ok(());
        }
        self.until_look = WORK_BETWEEN_LOOKS;
        self.budget.stopped().map_or(Ok(()), |why| Err(Limit::Stopped(why)))
    }

    /// Says that a step of the model was just made. A model of somebody's own may take long for it, so this looks at the stop flag
    /// each time: a check ends with the step that is being made.
    ///
    /// # Errors
    /// The check was asked to end.
    pub(crate) fn stepped(&self) -> Result<(), Limit> {
        self.budget.stop.raised().map_or(Ok(()), |why| Err(Limit::Stopped(why)))
    }

    /// Says how many bytes are held from now on, in all. To be said before they are allocated.
    ///
    /// # Errors
    /// So many are not left; the account holds what it held before.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Limit> {
        let bytes = bytes as u64;
        if bytes > self.held {
            if !self.budget.take(bytes - self.held) {
                return Err(Limit::Memory);
            }
        } else {
            self.budget.give(self.held - bytes);
        }
        self.held = bytes;
        Ok(())
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        self.budget.give(self.held);
    }
}

#[cfg(test)]
mod tests;

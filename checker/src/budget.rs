//! Limits of a search, and its progress. The checker has no clock: whoever owns one sets the stop flag.

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
    stop: AtomicU8,
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
}

impl Budget {
    /// No limit but the stop flag.
    pub fn unlimited() -> Budget {
        Budget::default()
    }

    /// Asks every search of this check to end soon. The first reason stays.
    pub fn stop(&self, why: Stop) {
        let _ = self.stop.compare_exchange(0, why as u8, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether and why the check was asked to stop. Searches ask every few thousand steps.
    pub fn stopped(&self) -> Option<Stop> {
        match self.stop.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Stop::Deadline),
            _ => Some(Stop::Interrupt),
        }
    }

    /// Takes `bytes` from the memory budget. False if it is used up: the search ends with `unknown: memory`.
    pub fn take(&self, bytes: u64) -> bool {
        let used = self.bytes_used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.bytes_peak.fetch_max(used, Ordering::Relaxed);
        self.bytes.is_none_or(|limit| used <= limit)
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

//! The run's clock: monotonic, zero when the first client may ask. One clock stamps every event of a run.

use std::time::{Duration, Instant};

/// A monotonic clock with its zero.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: Instant,
}

impl Clock {
    /// A clock that is zero now.
    pub fn start() -> Clock {
        Clock { zero: Instant::now() }
    }

    /// Nanoseconds since zero.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The instant of a time of this clock.
    pub fn instant(&self, ns: u64) -> Instant {
        self.zero + Duration::from_nanos(ns)
    }
}

//! When elements with unique values were sent, and when their insertion was answered.

/// The elements 1, 2, 3 and so on. Kept only where an anomaly is planned.
#[derive(Debug)]
pub(super) struct Elements {
    is_kept: bool,
    last: i64,
    /// By element, from 1: the events of the insertion and of its answer.
    times: Vec<(u32, u32)>,
}

/// No answer.
const NEVER: u32 = u32::MAX;

impl Elements {
    pub(super) fn new(is_kept: bool) -> Elements {
        Elements { is_kept, last: 0, times: Vec::new() }
    }

    /// A new one, sent now.
    pub(super) fn send(&mut self, now: u32) -> i64 {
        self.last += 1;
        if self.is_kept {
            self.times.push((now, NEVER));
        }
        self.last
    }

    /// Its insertion was answered ok.
    pub(super) fn answer(&mut self, element: i64, now: u32) {
        if let Some(times) = self.times.get_mut((element - 1) as usize) {
            times.1 = now;
        }
    }

    /// When it was sent.
    pub(super) fn sent_at(&self, element: i64) -> u32 {
        self.times.get((element - 1) as usize).map_or(0, |times| times.0)
    }

    /// When its insertion was answered, if it was.
    pub(super) fn answered_at(&self, element: i64) -> Option<u32> {
        self.times.get((element - 1) as usize).map(|times| times.1).filter(|&time| time != NEVER)
    }

    /// Whether one was in before the other was sent, in every order.
    pub(super) fn is_before(&self, first: i64, second: i64) -> bool {
        self.answered_at(first).is_some_and(|time| time < self.sent_at(second))
    }
}

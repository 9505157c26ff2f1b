//! What may happen to packets on their way, and what a probe of a link tells of it.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A share in thousandths.
pub type Thousandths = u16;

/// What happens to packets. All zero: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// How much later they arrive, in microseconds.
    pub delay_us: u64,
    /// The most by which the delay of one differs from `delay_us`; uniform.
    pub jitter_us: u64,
    /// The share that is lost.
    pub loss: Thousandths,
    /// The share that arrives twice.
    pub duplicate: Thousandths,
    /// The share that does not wait for `delay_us`, and so overtakes the others.
    pub reorder: Thousandths,
    /// The share of which one bit is flipped.
    pub corrupt: Thousandths,
    /// How likely it is that a packet fares like the one before, instead of by a draw of its own: the shares stay what they are,
    /// but come in bursts.
    pub correlation: Thousandths,
    /// Bits a second that pass; 0: no limit.
    pub rate_bits: u64,
}

/// How a link is probed: so many datagrams that the other end sends back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echoes {
    /// How many.
    pub count: u32,
    /// How many bytes each.
    pub bytes: u32,
    /// The time between two.
    pub every: Duration,
    /// How long to wait after the last one for what has not come back.
    pub within: Duration,
}

/// What came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Datagrams sent.
    pub sent: u32,
    /// Of those, how many came back at least once.
    pub back: u32,
    /// How many came back once more than needed.
    pub duplicates: u32,
    /// How many came back after one that was sent later.
    pub disordered: u32,
    /// The shortest, the median and the longest time until one was back, in microseconds; 0 if none was.
    pub round_trip_us: [u64; 3],
}

impl Measured {
    /// Sums up the arrivals `(number, microseconds after it was sent)`, in the order of arrival.
    pub(crate) fn of(sent: u32, arrivals: &[(u32, u64)]) -> Measured {
        let mut seen = vec![false; sent as usize];
        let mut measured = Measured { sent, ..Measured::default() };
        let (mut latest, mut times) = (0, Vec::new());
        for &(number, time_us) in arrivals.iter().filter(|(number, _)| *number < sent) {
            if std::mem::replace(&mut seen[number as usize], true) {
                measured.duplicates += 1;
                continue;
            }
            measured.back += 1;
            measured.disordered += u32::from(number < latest);
            latest = latest.max(number);
            times.push(time_us);
        }
        times.sort_unstable();
        if let (Some(&first), Some(&last)) = (times.first(), times.last()) {
            measured.round_trip_us = [first, times[times.len() / 2], last];
        }
        measured
    }

    /// The share of what was sent that did not come back.
    pub fn lost_share(&self) -> f64 {
        f64::from(self.sent - self.back) / f64::from(self.sent.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_summed_up() {
        let measured = Measured::of(5, &[(0, 10), (2, 30), (1, 20), (2, 35), (9, 1)]);
        assert_eq!(measured, Measured { sent: 5, back: 3, duplicates: 1, disordered: 1, round_trip_us: [10, 20, 30] });
        assert!((measured.lost_share() - 0.4).abs() < 1e-9);
        assert_eq!(Measured::of(2, &[]), Measured { sent: 2, ..Measured::default() });
    }
}

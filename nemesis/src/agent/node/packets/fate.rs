//! What becomes of each packet: no clock and no packets in here, so that it can be tested.

use crate::agent::protocol::traffic::{Shape, Thousandths};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What becomes of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) struct Fate {
    /// It never arrives.
    pub(in crate::agent) lost: bool,
    /// It arrives once more.
    pub(in crate::agent) twice: bool,
    /// One bit of it is flipped: this one, modulo how many there are.
    pub(in crate::agent) flipped: Option<u32>,
    /// When it goes on, in microseconds of the caller's clock.
    pub(in crate::agent) at_us: u64,
}

/// A line that packets pass one after another.
pub(in crate::agent) struct Wire {
    shape: Shape,
    rng: ChaCha8Rng,
    /// What became of the last packet, for each kind: lost, twice, overtaking, flipped.
    last: [bool; 4],
    /// When the last packet has passed, at the rate that is allowed.
    free_at_us: u64,
}

impl Wire {
    pub(in crate::agent) fn new(shape: &Shape, seed: u64) -> Wire {
        Wire { shape: *shape, rng: ChaCha8Rng::seed_from_u64(seed), last: [false; 4], free_at_us: 0 }
    }

    /// What becomes of a packet of so many bytes that sets out now.
    pub(in crate::agent) fn fate(&mut self, now_us: u64, bytes: usize) -> Fate {
        let Shape { loss, duplicate, reorder, corrupt, delay_us, jitter_us, rate_bits, .. } = self.shape;
        let [lost, twice, overtakes, flips] =
            [(0, loss), (1, duplicate), (2, reorder), (3, corrupt)].map(|(i, share)| self.happens(i, share));
        let flipped = flips.then(|| self.rng.random());
        let spread = if jitter_us == 0 { 0 } else { self.rng.random_range(0..=2 * jitter_us) };
        let wait_us = if overtakes { 0 } else { (delay_us + spread).saturating_sub(jitter_us) };
        let mut at_us = now_us.saturating_add(wait_us);
        if rate_bits > 0 && !lost {
            let passes_us = (bytes as u64).saturating_mul(8_000_000) / rate_bits;
            self.free_at_us = self.free_at_us.max(now_us).saturating_add(passes_us);
            at_us = self.free_at_us.saturating_add(wait_us);
        }
        Fate { lost, twice, flipped, at_us }
    }

    /// A Markov chain that keeps the share whatever the correlation.
    fn happens(&mut self, kind: usize, share: Thousandths) -> bool {
        if share == 0 {
            return false;
        }
        let as_before = self.rng.random_range(0..1000) < self.shape.correlation;
        if !as_before {
            self.last[kind] = self.rng.random_range(0..1000) < share;
        }
        self.last[kind]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(shape: Shape, count: u64) -> Vec<Fate> {
        let mut wire = Wire::new(&shape, 3);
        (0..count).map(|i| wire.fate(i * 1000, 1000)).collect()
    }

    #[test]
    fn nothing_happens_if_nothing_is_asked_for() {
        for (i, fate) in fates(Shape::default(), 100).into_iter().enumerate() {
            assert_eq!(fate, Fate { lost: false, twice: false, flipped: None, at_us: i as u64 * 1000 });
        }
    }

    #[test]
    fn shares_are_kept_and_correlation_makes_bursts() {
        let bursts = |correlation| {
            let fates = fates(Shape { loss: 200, duplicate: 300, corrupt: 100, correlation, ..Shape::default() }, 200_000);
            let share = |of: &dyn Fn(&Fate) -> bool| fates.iter().filter(|fate| of(fate)).count() as f64 / fates.len() as f64;
            assert!((share(&|f| f.lost) - 0.2).abs() < 0.01, "{}", share(&|f| f.lost));
            assert!((share(&|f| f.twice) - 0.3).abs() < 0.01);
            assert!((share(&|f| f.flipped.is_some()) - 0.1).abs() < 0.01);
            fates.windows(2).filter(|pair| !pair[0].lost && pair[1].lost).count()
        };
        let (alone, correlated) = (bursts(0), bursts(750));
        assert!((30_000..34_000).contains(&alone) && (7_000..9_000).contains(&correlated), "{alone} {correlated}");
    }

    #[test]
    fn delay_jitter_and_overtaking() {
        let fates = fates(Shape { delay_us: 50_000, jitter_us: 10_000, ..Shape::default() }, 10_000);
        let waits: Vec<u64> = fates.iter().enumerate().map(|(i, fate)| fate.at_us - i as u64 * 1000).collect();
        assert!(waits.iter().all(|wait| (40_000..=60_000).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < 41_000) && waits.iter().any(|wait| *wait > 59_000));
        let fates = self::fates(Shape { delay_us: 50_000, reorder: 200, ..Shape::default() }, 10_000);
        let overtaking = fates.iter().enumerate().filter(|(i, fate)| fate.at_us == *i as u64 * 1000).count();
        assert!((1_800..2_200).contains(&overtaking), "{overtaking}");
    }

    #[test]
    fn a_rate_is_kept_over_any_stretch() {
        // A packet of 8,000 bits each millisecond, and a megabit a second may pass: one each 8 ms.
        let fates = fates(Shape { rate_bits: 1_000_000, ..Shape::default() }, 1000);
        assert!(fates.windows(2).all(|pair| pair[1].at_us - pair[0].at_us == 8_000));
        let mut wire = Wire::new(&Shape { rate_bits: 1_000_000, ..Shape::default() }, 1);
        assert_eq!([wire.fate(0, 1000).at_us, wire.fate(100_000, 1000).at_us], [8_000, 108_000], "an idle line saves nothing up");
    }
}

//! Randomness in whole numbers, so that every machine draws the same.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers.
#[derive(Debug)]
pub(super) struct Dice(ChaCha8Rng);

/// A probability, in parts of 2^64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance(u128);

impl Chance {
    /// Of a share from 0 to 1. Multiplying by a power of two is exact.
    pub(super) fn of(share: f64) -> Chance {
        Chance((share * 18_446_744_073_709_551_616.0) as u128)
    }
}

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `n`, which is not 0. The bias is `n` in 2^64.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Whether it happens.
    pub(super) fn happens(&mut self, chance: Chance) -> bool {
        u128::from(self.0.next_u64()) < chance.0
    }

    /// A delay with an exponential distribution of the given mean, by comparing uniform numbers alone (von Neumann 1951):
    /// a run of falling numbers that ends at an even place gives its first as the fraction; each that does not adds one.
    pub(super) fn delay(&mut self, mean: u64) -> u64 {
        let mut whole = 0_u64;
        loop {
            let first = self.0.next_u32();
            let (mut last, mut is_even) = (first, true);
            loop {
                let next = self.0.next_u32();
                if next > last {
                    break;
                }
                last = next;
                is_even = !is_even;
            }
            if is_even {
                return ((u128::from(whole << 32 | u64::from(first)) * u128::from(mean)) >> 32) as u64;
            }
            whole += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_exponential() {
        let (mut dice, count, mean) = (Dice::new(1), 200_000_u32, 1_000_000);
        let delays: Vec<u64> = (0..count).map(|_| dice.delay(mean)).collect();
        let average = delays.iter().sum::<u64>() as f64 / f64::from(count);
        assert!((average / mean as f64 - 1.0).abs() < 0.01, "{average}");
        // The share that is longer than t means is e^-t.
        for t in [0.5_f64, 1.0, 2.0, 4.0] {
            let longer = delays.iter().filter(|&&d| d as f64 > t * mean as f64).count() as f64 / f64::from(count);
            assert!((longer - (-t).exp()).abs() < 0.005, "{t}: {longer}");
        }
    }

    #[test]
    fn chances() {
        let mut dice = Dice::new(2);
        assert!((0..1000).all(|_| dice.happens(Chance::of(1.0)) && !dice.happens(Chance::of(0.0))));
        let share = (0..100_000).filter(|_| dice.happens(Chance::of(0.25))).count() as f64 / 1e5;
        assert!((share - 0.25).abs() < 0.01, "{share}");
        assert!((0..1000).all(|_| dice.below(3) < 3));
    }
}

//! The links into a node: packets from peers are dropped as the switches say, or held back for a while.
//!
//! Loopback is too fast and too orderly to show what a network does. Every packet is therefore held back by a random time, so
//! that packets overtake each other and replicas disagree now and then.

use super::switches::Switches;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest time for which a packet is held back while no switch delays it.
pub const DELAY_MAX: Duration = Duration::from_millis(12);

/// The most packets held back at once; more are lost.
const HELD_MAX: usize = 1 << 16;

/// Packets on their way into a node.
#[derive(Debug)]
pub struct Links<P> {
    rng: ChaCha8Rng,
    /// By the time they are due and, for equal times, the order in which they came.
    held: BTreeMap<(Duration, u64), (usize, P)>,
    count: u64,
}

impl<P> Links<P> {
    /// Links whose delays follow from a seed.
    pub fn new(seed: u64) -> Links<P> {
        Links { rng: ChaCha8Rng::seed_from_u64(seed), held: BTreeMap::new(), count: 0 }
    }

    /// A packet came in. Returns whether it will be delivered. `is_data`: see [`delay`].
    pub fn accept(&mut self, now: Duration, from: usize, packet: P, is_data: bool, switches: &Switches) -> bool {
        let delay = delay(&mut self.rng, is_data);
        if switches.drop_from.contains(&from) || self.held.len() >= HELD_MAX {
            return false;
        }
        let slow = switches.delay_from_ms.iter().filter(|slow| slow.0 == from).map(|slow| Duration::from_millis(slow.1)).sum();
        self.count += 1;
        self.held.insert((now + delay + slow, self.count), (from, packet));
        true
    }

    /// When the next packet is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.held.first_key_value().map(|(&(due, _), _)| due)
    }

    /// Takes out a packet that is due.
    pub fn pop_due(&mut self, now: Duration) -> Option<(usize, P)> {
        let first = self.held.first_entry()?;
        if first.key().0 <= now { Some(first.remove()) } else { None }
    }
}

/// For how long a packet is held back. Questions and acknowledgements rarely take more than a millisecond, data up to twelve:
/// a value is on its way to the replicas for a while, in which they can be seen to disagree.
pub fn delay(rng: &mut impl Rng, is_data: bool) -> Duration {
    let micros = match (is_data, rng.random_range(0..50)) {
        (true, _) => rng.random_range(0..DELAY_MAX.as_micros()),
        (false, 0) => rng.random_range(1_000..DELAY_MAX.as_micros()),
        (false, _) => rng.random_range(0..1_000),
    };
    Duration::from_micros(micros as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(links: &mut Links<u32>, now: Duration) -> Vec<(usize, u32)> {
        std::iter::from_fn(|| links.pop_due(now)).collect()
    }

    #[test]
    fn packets_arrive_once_within_the_longest_delay_and_not_in_order() {
        for is_data in [false, true] {
            let mut links = Links::new(1);
            for packet in 0..1_000 {
                links.accept(Duration::ZERO, 1, packet, is_data, &Switches::default());
            }
            let early: Vec<u32> = drain(&mut links, DELAY_MAX / 2).into_iter().map(|(_, packet)| packet).collect();
            let late: Vec<u32> = drain(&mut links, DELAY_MAX).into_iter().map(|(_, packet)| packet).collect();
            assert!(links.next_due().is_none() && !early.is_sorted() && !late.is_empty());
            let mut all = [early, late].concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..1_000));
        }
    }

    #[test]
    fn switches_drop_and_delay() {
        let switches = Switches { drop_from: vec![2], delay_from_ms: vec![(3, 100)], ..Switches::default() };
        let mut links = Links::new(1);
        let accepted = [1, 2, 3].map(|from| links.accept(Duration::ZERO, from, 0, false, &switches));
        assert_eq!(accepted, [true, false, true]);
        assert_eq!(drain(&mut links, DELAY_MAX), [(1, 0)]);
        assert!(links.next_due() >= Some(Duration::from_millis(100)));
        assert_eq!(drain(&mut links, Duration::from_millis(100) + DELAY_MAX), [(3, 0)]);
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut links = Links::new(1);
        let accepted = (0..HELD_MAX as u32 + 10).filter(|&packet| links.accept(Duration::ZERO, 1, packet, true, &Switches::default()));
        assert_eq!(accepted.count(), HELD_MAX);
    }
}

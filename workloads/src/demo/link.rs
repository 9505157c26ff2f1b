//! The links into a node: packets from peers are dropped as the switches say, or held back for a while.
//!
//! Loopback is too fast and too orderly to show what a network does. Every packet is therefore held back by a random time:
//! mostly short, sometimes long, so that packets overtake each other and replicas disagree for a moment now and then.

use super::switches::Switches;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest time for which a packet is held back while no switch delays it.
pub const DELAY_MAX: Duration = Duration::from_millis(30);

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

    /// A packet came in. Returns whether it will be delivered.
    pub fn accept(&mut self, now: Duration, from: usize, packet: P, switches: &Switches) -> bool {
        let delay = delay(&mut self.rng);
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

/// For how long a packet is held back: below 1 ms for eight of ten, below 5 ms for most others, up to 30 ms for one of fifty.
pub fn delay(rng: &mut impl Rng) -> Duration {
    let micros = match rng.random_range(0..100) {
        0..80 => rng.random_range(0..1_000),
        80..98 => rng.random_range(1_000..5_000),
        _ => rng.random_range(5_000..DELAY_MAX.as_micros() as u64),
    };
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(links: &mut Links<u32>, now: Duration) -> Vec<(usize, u32)> {
        std::iter::from_fn(|| links.pop_due(now)).collect()
    }

    #[test]
    fn packets_arrive_once_within_the_longest_delay_and_not_in_order() {
        let mut links = Links::new(1);
        for packet in 0..1_000 {
            links.accept(Duration::ZERO, 1, packet, &Switches::default());
        }
        assert!(drain(&mut links, Duration::from_micros(500)).len() > 200);
        let mut rest: Vec<u32> = drain(&mut links, DELAY_MAX).into_iter().map(|(_, packet)| packet).collect();
        assert!(!rest.is_sorted());
        assert!(links.next_due().is_none());
        rest.sort_unstable();
        rest.dedup();
        assert!(rest.len() < 800);
    }

    #[test]
    fn switches_drop_and_delay() {
        let switches = Switches { drop_from: vec![2], delay_from_ms: vec![(3, 100)] };
        let mut links = Links::new(1);
        for from in 1..4 {
            links.accept(Duration::ZERO, from, 0, &switches);
        }
        assert_eq!(drain(&mut links, DELAY_MAX), [(1, 0)]);
        assert!(links.next_due() >= Some(Duration::from_millis(100)));
        assert_eq!(drain(&mut links, Duration::from_millis(100) + DELAY_MAX), [(3, 0)]);
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut links = Links::new(1);
        for packet in 0..HELD_MAX as u32 + 10 {
            links.accept(Duration::ZERO, 1, packet, &Switches::default());
        }
        assert_eq!(links.held.len(), HELD_MAX);
    }
}

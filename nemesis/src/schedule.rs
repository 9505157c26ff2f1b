//! When faults start and end: for each class by turns, with uniform gaps; classes overlap.
//!
//! Everything is drawn from the seed by `ChaCha8`, with a stream of its own for each class and use, so that the gaps and targets of
//! one class are the same whatever other classes there are, and whatever the cluster does.

use crate::fault::{Action, Phase};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// Uses of randomness: the low bits of a stream's number.
const GAPS: u64 = 0;
const TARGETS: u64 = 1;

/// The words of a target stream that belong to one injection: far more than any draws.
const WORDS_PER_INJECTION: u128 = 1 << 20;

/// The generator of a class of faults for one use.
fn stream(seed: u64, class: &str, usage: u64) -> ChaCha8Rng {
    // FNV-1a: the number of a class must depend on its name alone.
    let hash = class.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(hash << 1 | usage);
    rng
}

/// The generator for the targets of a class's injection number `count`: the same whatever the earlier ones drew.
pub(crate) fn targets(seed: u64, class: &str, count: u64) -> ChaCha8Rng {
    let mut rng = stream(seed, class, TARGETS);
    rng.set_word_pos(u128::from(count) * WORDS_PER_INJECTION);
    rng
}

/// An endless schedule.
pub struct Schedule {
    interval: Duration,
    classes: Vec<Turns>,
}

struct Turns {
    gaps: ChaCha8Rng,
    phase: Phase,
    at: Duration,
}

impl Turns {
    fn advance(&mut self, interval: Duration) {
        let gap_max = (2 * interval).as_nanos().clamp(1, u128::from(u64::MAX)) as u64;
        self.at = self.at.saturating_add(Duration::from_nanos(self.gaps.random_range(0..gap_max)));
    }
}

impl Schedule {
    /// The schedule of these classes: gaps between the start and the end of a fault, and between its end and the next start, are
    /// uniform in [0, 2 × `interval`).
    pub fn new(classes: &[&str], interval: Duration, seed: u64) -> Schedule {
        let turns = |class: &&str| {
            let mut turns = Turns { gaps: stream(seed, class, GAPS), phase: Phase::Start, at: Duration::ZERO };
            turns.advance(interval);
            turns
        };
        Schedule { interval, classes: classes.iter().map(turns).collect() }
    }
}

impl Iterator for Schedule {
    type Item = Action;

    /// The next action; of two at the same time, that of the earlier class. `None` only if there are no classes.
    fn next(&mut self) -> Option<Action> {
        let (fault, turns) = self.classes.iter_mut().enumerate().min_by_key(|(_, turns)| turns.at)?;
        let action = Action { fault, phase: turns.phase, at: turns.at };
        turns.phase = match turns.phase {
            Phase::Start => Phase::Stop,
            Phase::Stop => Phase::Start,
        };
        turns.advance(self.interval);
        Some(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn actions(classes: &[&str], seed: u64, count: usize) -> Vec<Action> {
        Schedule::new(classes, INTERVAL, seed).take(count).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_another_another() {
        let classes = ["partition", "kill", "pause"];
        assert_eq!(actions(&classes, 7, 200), actions(&classes, 7, 200));
        assert_ne!(actions(&classes, 7, 20), actions(&classes, 8, 20));
    }

    #[test]
    fn starts_and_stops_alternate_in_order_of_time() {
        let all = actions(&["partition", "kill"], 3, 400);
        assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at));
        for fault in 0..2 {
            let phases: Vec<Phase> = all.iter().filter(|a| a.fault == fault).map(|a| a.phase).collect();
            assert!(phases.chunks_exact(2).all(|pair| pair == [Phase::Start, Phase::Stop]));
        }
        let overlap = all.windows(2).any(|pair| pair[0].phase == Phase::Start && pair[1].phase == Phase::Start);
        assert!(overlap, "classes never overlap");
    }

    #[test]
    fn a_class_keeps_its_schedule_whatever_else_there_is() {
        let times = |classes: &[&str], class: usize| {
            actions(classes, 5, 60).into_iter().filter(|a| a.fault == class).map(|a| a.at).take(15).collect::<Vec<_>>()
        };
        assert_eq!(times(&["kill"], 0), times(&["partition", "kill", "pause"], 1));
    }

    #[test]
    fn gaps_are_uniform_below_twice_the_interval() {
        let all = actions(&["kill"], 1, 10_001);
        let gaps: Vec<f64> = all.windows(2).map(|pair| pair[1].at.as_secs_f64() - pair[0].at.as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((4.8..5.2).contains(&mean), "{mean}");
        assert!(gaps.iter().all(|&gap| gap < 10.0) && gaps.iter().any(|&gap| gap > 9.9) && gaps.iter().any(|&gap| gap < 0.1));
    }

    #[test]
    fn targets_of_an_injection_do_not_depend_on_earlier_draws() {
        let mut first = targets(1, "kill", 0);
        let _: [u64; 100] = first.random();
        let draw = |count| targets(1, "kill", count).random::<u64>();
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        assert_ne!(draw(0), targets(1, "pause", 0).random::<u64>());
    }

    #[test]
    fn no_interval_is_no_endless_loop() {
        assert_eq!(Schedule::new(&["kill"], Duration::ZERO, 1).take(10).count(), 10);
        assert_eq!(Schedule::new(&[], INTERVAL, 1).next(), None);
    }
}

//! One of several generators for each op.

use super::{Context, Event, Generator, Next, earlier};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A generator and how often it is chosen, relative to the others. Weight 0: never.
type Weighted = (u32, Box<dyn Generator>);

/// Chooses one of `weighted`, by weight.
fn draw(rng: &mut ChaCha8Rng, weights: impl Iterator<Item = u32> + Clone) -> usize {
    let total: u64 = weights.clone().map(u64::from).sum();
    let mut at = if total == 0 { 0 } else { rng.random_range(0..total) };
    for (i, weight) in weights.enumerate() {
        if at < u64::from(weight) {
            return i;
        }
        at -= u64::from(weight);
    }
    0
}

fn without_zero(mut alternatives: Vec<Weighted>) -> Vec<Weighted> {
    alternatives.retain(|(weight, _)| *weight > 0);
    alternatives
}

/// A random mixture: each op comes from one of these, chosen by weight, waiting for it if it is not ready. Over many ops the
/// shares are those of the weights. Ends when all have ended.
pub fn mix(rng: ChaCha8Rng, alternatives: Vec<(u32, Box<dyn Generator>)>) -> Mix {
    Mix { rng, alternatives: without_zero(alternatives), chosen: None }
}

/// See [`mix`].
pub struct Mix {
    rng: ChaCha8Rng,
    alternatives: Vec<Weighted>,
    chosen: Option<usize>,
}

impl Generator for Mix {
    fn next(&mut self, context: &Context<'_>) -> Next {
        while !self.alternatives.is_empty() {
            let chosen = match self.chosen {
                Some(chosen) => chosen,
                None => draw(&mut self.rng, self.alternatives.iter().map(|a| a.0)),
            };
            self.chosen = Some(chosen);
            match self.alternatives[chosen].1.next(context) {
                Next::Done => {
                    // Updates of its ops in flight are lost on it: it said that it is done.
                    drop(self.alternatives.swap_remove(chosen));
                    self.chosen = None;
                }
                next @ Next::Op { .. } => {
                    self.chosen = None;
                    return next;
                }
                pending @ Next::Pending { .. } => return pending,
            }
        }
        Next::Done
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        for (_, generator) in &mut self.alternatives {
            generator.update(now, event);
        }
    }
}

/// Whichever of these has an op now; where several have, one of them at random, by weight. Ends when all have ended.
pub fn any(rng: ChaCha8Rng, alternatives: Vec<(u32, Box<dyn Generator>)>) -> Any {
    let alternatives = without_zero(alternatives);
    Any { rng, order: Vec::with_capacity(alternatives.len()), alternatives }
}

/// See [`any`].
pub struct Any {
    rng: ChaCha8Rng,
    alternatives: Vec<Weighted>,
    /// Those not yet asked in this call.
    order: Vec<usize>,
}

impl Generator for Any {
    fn next(&mut self, context: &Context<'_>) -> Next {
        self.order.clear();
        self.order.extend(0..self.alternatives.len());
        let mut until = None;
        let mut ended = false;
        let mut op = None;
        while !self.order.is_empty() {
            let drawn = draw(&mut self.rng, self.order.iter().map(|&i| self.alternatives[i].0));
            let i = self.order.remove(drawn);
            match self.alternatives[i].1.next(context) {
                Next::Done => {
                    self.alternatives[i].0 = 0;
                    ended = true;
                }
                Next::Pending { until: at } => until = earlier(until, at),
                next @ Next::Op { .. } => {
                    op = Some(next);
                    break;
                }
            }
        }
        if ended {
            self.alternatives.retain(|(weight, _)| *weight > 0);
        }
        match op {
            Some(op) => op,
            None if self.alternatives.is_empty() => Next::Done,
            None => Next::Pending { until },
        }
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        for (_, generator) in &mut self.alternatives {
            generator.update(now, event);
        }
    }
}

/// An op of the one, an op of the other, and so on, until one has ended.
pub fn flip_flop<A: Generator, B: Generator>(a: A, b: B) -> FlipFlop<A, B> {
    FlipFlop { a, b, second: false, done: false }
}

/// See [`flip_flop`].
#[derive(Debug)]
pub struct FlipFlop<A, B> {
    a: A,
    b: B,
    second: bool,
    done: bool,
}

impl<A: Generator, B: Generator> Generator for FlipFlop<A, B> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        if self.done {
            return Next::Done;
        }
        let next = if self.second { self.b.next(context) } else { self.a.next(context) };
        match next {
            Next::Op { .. } => self.second = !self.second,
            Next::Done => self.done = true,
            Next::Pending { .. } => {}
        }
        next
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        self.a.update(now, event);
        self.b.update(now, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulation::testing::{op, run, values};
    use super::super::{End, delay, limit, on_threads, once, repeat, sequence, stream, then};
    use super::*;
    use std::time::Duration;

    fn boxed(g: impl Generator + 'static) -> Box<dyn Generator> {
        Box::new(g)
    }

    fn share(all: &[i64], of: i64) -> f64 {
        all.iter().filter(|&&v| v == of).count() as f64 / all.len() as f64
    }

    #[test]
    fn mix_keeps_the_weights() {
        let alternatives = vec![
            (6, boxed(repeat(op("r", 1)))),
            (3, boxed(repeat(op("w", 2)))),
            (1, boxed(repeat(op("c", 3)))),
            (0, boxed(repeat(op("x", 4)))),
        ];
        let all = values(&run(4, limit(20_000, mix(stream(1, "mix", 0), alternatives))));
        assert!((share(&all, 1) - 0.6).abs() < 0.02, "{}", share(&all, 1));
        assert!((share(&all, 2) - 0.3).abs() < 0.02);
        assert!((share(&all, 3) - 0.1).abs() < 0.02);
        assert!(share(&all, 4) == 0.0);
    }

    #[test]
    fn mix_ends_when_all_have_ended_and_repeats_with_its_seed() {
        let make = |seed| {
            let alternatives = vec![(1, boxed(limit(10, repeat(op("r", 1))))), (5, boxed(limit(10, repeat(op("w", 2)))))];
            mix(stream(seed, "mix", 0), alternatives)
        };
        let all = values(&run(2, make(1)));
        assert_eq!(all.len(), 20);
        assert_eq!(all, values(&run(2, make(1))));
        assert_ne!(all, values(&run(2, make(2))));
    }

    #[test]
    fn mix_waits_for_the_chosen_one_and_any_does_not() {
        let alternatives = || vec![(1, boxed(delay(Duration::from_secs(1), repeat(op("slow", 1))))), (1, boxed(repeat(op("fast", 2))))];
        let mixed = values(&run(1, limit(400, mix(stream(1, "mix", 0), alternatives()))));
        assert!((share(&mixed, 1) - 0.5).abs() < 0.1, "{}", share(&mixed, 1));
        let whichever = values(&run(1, limit(400, any(stream(1, "any", 0), alternatives()))));
        assert!(share(&whichever, 1) < 0.05, "{}", share(&whichever, 1));
    }

    #[test]
    fn any_breaks_ties_by_weight() {
        let alternatives = vec![(3, boxed(repeat(op("r", 1)))), (1, boxed(repeat(op("w", 2))))];
        let all = values(&run(4, limit(10_000, any(stream(1, "any", 0), alternatives))));
        assert!((share(&all, 1) - 0.75).abs() < 0.02, "{}", share(&all, 1));
    }

    #[test]
    fn any_serves_whoever_is_ready_and_ends_with_the_last() {
        // The first alternative may use thread 0 only, and it is busy half of the time.
        let alternatives = vec![(1, boxed(on_threads(|t| t == 0, limit(5, repeat(op("r", 1)))))), (1, boxed(limit(5, repeat(op("w", 2)))))];
        let trace = run(2, any(stream(1, "any", 0), alternatives));
        assert_eq!((values(&trace).len(), trace.end), (10, End::Done));
        assert!(trace.invocations().filter(|s| s.invocation.f == "r").all(|s| s.thread == 0));
        assert_eq!(run(1, any(stream(1, "any", 0), vec![])).end, End::Done);
    }

    #[test]
    fn flip_flop_alternates_until_one_ends() {
        assert_eq!(values(&run(1, flip_flop(repeat(op("a", 1)), sequence([op("b", 2), op("b", 3)])))), [1, 2, 1, 3, 1]);
        let once_then_none = then(flip_flop(once(op("a", 1)), repeat(op("b", 2))), once(op("c", 3)));
        assert_eq!(values(&run(1, once_then_none)), [1, 2, 3]);
    }
}

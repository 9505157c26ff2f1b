//! One generator after another.

use super::{Context, Event, Generator, Next};
use std::collections::VecDeque;

/// `first` to its end, then `second`, without waiting for ops in flight.
pub fn then(first: impl Generator + 'static, second: impl Generator + 'static) -> Chain {
    Chain { rest: VecDeque::from([Box::new(first) as Box<dyn Generator>, Box::new(second)]) }
}

/// Each of these to its end, in this order; each begins when no op is in flight any more.
pub fn phases(all: Vec<Box<dyn Generator>>) -> Chain {
    Chain { rest: all.into_iter().map(|g| Box::new(synchronize(g)) as Box<dyn Generator>).collect() }
}

/// See [`then`] and [`phases`].
pub struct Chain {
    rest: VecDeque<Box<dyn Generator>>,
}

impl Generator for Chain {
    fn next(&mut self, context: &Context<'_>) -> Next {
        while let Some(first) = self.rest.front_mut() {
            match first.next(context) {
                Next::Done => drop(self.rest.pop_front()),
                other => return other,
            }
        }
        Next::Done
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        if let Some(first) = self.rest.front_mut() {
            first.update(now, event);
        }
    }
}

/// Begins `generator` when all of its threads are free.
pub fn synchronize<G: Generator>(generator: G) -> Synchronize<G> {
    Synchronize { begun: false, generator }
}

/// See [`synchronize`].
#[derive(Debug)]
pub struct Synchronize<G> {
    begun: bool,
    generator: G,
}

impl<G: Generator> Generator for Synchronize<G> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        self.begun |= context.all_free();
        if self.begun { self.generator.next(context) } else { Next::PENDING }
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        self.generator.update(now, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulation::testing::{answering, ok, op, run, values};
    use super::super::{limit, once, repeat, reserve, sequence};
    use super::*;

    #[test]
    fn then_does_not_wait_for_ops_in_flight() {
        // Value 1 takes long; value 2 is asked meanwhile.
        let trace = answering(2, then(once(op("slow", 1)), once(op("fast", 2))), |i| (if i.f == "slow" { 1_000 } else { 1 }, ok(i)));
        assert_eq!(trace.invocations().map(|s| s.time).collect::<Vec<_>>(), [0, 0]);
    }

    #[test]
    fn phases_are_barriers() {
        let all: Vec<Box<dyn Generator>> = vec![
            Box::new(sequence([op("slow", 1), op("fast", 2)])),
            Box::new(limit(2, repeat(op("fast", 3)))),
            Box::new(once(op("fast", 4))),
        ];
        let trace = answering(2, phases(all), |i| (if i.f == "slow" { 1_000 } else { 1 }, ok(i)));
        assert_eq!(values(&trace), [1, 2, 3, 3, 4]);
        assert_eq!(trace.invocations().map(|s| s.time).collect::<Vec<_>>(), [0, 0, 1_000, 1_000, 1_001]);
    }

    #[test]
    fn a_barrier_concerns_the_generators_own_threads_only() {
        // Thread 0 is busy for a long time with an op of another part.
        let parts: Vec<(u32, Box<dyn Generator>)> = vec![(1, Box::new(once(op("slow", 1))))];
        let trace =
            answering(3, reserve(parts, phases(vec![Box::new(limit(2, repeat(op("fast", 2)))), Box::new(once(op("fast", 3)))])), |i| {
                (if i.f == "slow" { 1_000 } else { 1 }, ok(i))
            });
        assert_eq!(trace.invocations().find(|s| s.invocation == op("fast", 3)).map(|s| s.time), Some(1));
    }

    #[test]
    fn nothing_at_all_is_done() {
        assert_eq!(values(&run(1, phases(vec![]))).len(), 0);
        assert_eq!(values(&run(1, then(sequence([]), once(op("read", 1))))), [1]);
    }
}

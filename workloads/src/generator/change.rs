//! Ops changed or left out.

use super::{Context, Event, Generator, Next};
use crate::client::{Completion, Invocation, OpError};

/// The ops of `generator`, each changed by `change`. The generator below hears events in their changed form.
pub fn map<G: Generator, F: FnMut(Invocation) -> Invocation + Send>(change: F, generator: G) -> Map<G, F> {
    Map { change, generator }
}

/// See [`map`].
#[derive(Debug)]
pub struct Map<G, F> {
    change: F,
    generator: G,
}

impl<G: Generator, F: FnMut(Invocation) -> Invocation + Send> Generator for Map<G, F> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        match self.generator.next(context) {
            Next::Op { thread, invocation } => Next::Op { thread, invocation: (self.change)(invocation) },
            other => other,
        }
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        self.generator.update(now, event);
    }
}

/// The ops of `generator` that `keep` keeps. To the generator below, an op left out has failed.
pub fn filter<G: Generator, F: FnMut(&Invocation) -> bool + Send>(keep: F, generator: G) -> Filter<G, F> {
    Filter { keep, generator }
}

/// See [`filter`].
#[derive(Debug)]
pub struct Filter<G, F> {
    keep: F,
    generator: G,
}

/// Ops left out in one call, at most: a filter that keeps nothing must not stop the run's clock.
const LEFT_OUT_MAX: usize = 1_000;

impl<G: Generator, F: FnMut(&Invocation) -> bool + Send> Generator for Filter<G, F> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        for _ in 0..LEFT_OUT_MAX {
            let next = self.generator.next(context);
            let Next::Op { thread, invocation } = &next else { return next };
            if (self.keep)(invocation) {
                return next;
            }
            let left_out = Completion::Fail(OpError::new("filtered", "left out by a filter"));
            self.generator.update(context.now, &Event::Complete(*thread, invocation, &left_out));
        }
        Next::Pending { until: Some(context.now + 1) }
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        self.generator.update(now, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulation::testing::{op, run, values};
    use super::super::{End, concurrency_limit, limit, repeat, sequence};
    use super::*;
    use histories::Value;

    fn numbers(n: i64) -> impl Generator {
        sequence((0..n).map(|i| op("write", i)))
    }

    #[test]
    fn map_changes_every_op() {
        let doubled = map(|i| Invocation { value: Value::Int(i.value.as_int().unwrap() * 2), ..i }, numbers(4));
        assert_eq!(values(&run(2, doubled)), [0, 2, 4, 6]);
    }

    #[test]
    fn filter_leaves_out() {
        assert_eq!(values(&run(2, filter(|i| i.value.as_int().unwrap() % 3 == 0, numbers(10)))), [0, 3, 6, 9]);
    }

    #[test]
    fn an_op_left_out_is_not_in_flight() {
        let odd = filter(|i| i.value.as_int().unwrap() % 2 == 1, concurrency_limit(1, numbers(10)));
        assert_eq!(values(&run(3, odd)), [1, 3, 5, 7, 9]);
    }

    #[test]
    fn a_filter_that_keeps_nothing_lets_time_pass() {
        let context = Context { now: 5, free: &[0], threads: &[0], processes: &[0], nodes: 1 };
        assert_eq!(filter(|_| false, repeat(op("read", 1))).next(&context), Next::Pending { until: Some(6) });
        assert_eq!(run(1, filter(|_| false, limit(5_000, repeat(op("read", 1))))).end, End::Done);
    }
}

//! How much: a number of ops, of processes, of ops in flight, or until one is `ok`.

use super::{Context, Event, Generator, InFlight, Next};
use crate::client::Completion;
use rustc_hash::FxHashSet;

/// At most `n` ops of `generator`.
pub fn limit<G: Generator>(n: u64, generator: G) -> Limit<G> {
    Limit { left: n, generator }
}

/// See [`limit`].
#[derive(Debug)]
pub struct Limit<G> {
    left: u64,
    generator: G,
}

impl<G: Generator> Generator for Limit<G> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        if self.left == 0 {
            return Next::Done;
        }
        let next = self.generator.next(context);
        if let Next::Op { .. } = next {
            self.left -= 1;
        }
        next
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        self.generator.update(now, event);
    }
}

/// Ends before an op would be given to the `n + 1`-th process: a bound on crashed processes, and thereby on how hard the
/// history is to check.
pub fn process_limit<G: Generator>(n: usize, generator: G) -> ProcessLimit<G> {
    ProcessLimit { n, seen: FxHashSet::default(), free: Vec::new(), generator }
}

/// See [`process_limit`].
#[derive(Debug)]
pub struct ProcessLimit<G> {
    n: usize,
    seen: FxHashSet<u64>,
    free: Vec<u32>,
    generator: G,
}

impl<G: Generator> Generator for ProcessLimit<G> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        let allowed = |seen: &FxHashSet<u64>, n, thread: u32| seen.len() < n || seen.contains(&context.processes[thread as usize]);
        if !context.threads.iter().any(|&t| allowed(&self.seen, self.n, t)) {
            return Next::Done;
        }
        self.free.clear();
        self.free.extend(context.free.iter().copied().filter(|&t| allowed(&self.seen, self.n, t)));
        let next = self.generator.next(&Context { free: &self.free, ..*context });
        if let Next::Op { thread, .. } = next {
            self.seen.insert(context.processes[thread as usize]);
        }
        next
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        self.generator.update(now, event);
    }
}

/// At most `n` ops of `generator` in flight at any time.
pub fn concurrency_limit<G: Generator>(n: usize, generator: G) -> ConcurrencyLimit<G> {
    ConcurrencyLimit { n, in_flight: InFlight::default(), generator }
}

/// See [`concurrency_limit`].
#[derive(Debug)]
pub struct ConcurrencyLimit<G> {
    n: usize,
    in_flight: InFlight,
    generator: G,
}

impl<G: Generator> Generator for ConcurrencyLimit<G> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        if self.in_flight.count >= self.n {
            return if self.n == 0 { Next::Done } else { Next::PENDING };
        }
        let next = self.generator.next(context);
        if let Next::Op { thread, .. } = next {
            self.in_flight.insert(thread);
        }
        next
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        if let Event::Complete(thread, ..) = event {
            self.in_flight.remove(*thread);
        }
        self.generator.update(now, event);
    }
}

/// Ops of `generator` until one of them ends `ok`.
pub fn until_ok<G: Generator>(generator: G) -> UntilOk<G> {
    UntilOk { in_flight: InFlight::default(), done: false, generator }
}

/// See [`until_ok`].
#[derive(Debug)]
pub struct UntilOk<G> {
    in_flight: InFlight,
    done: bool,
    generator: G,
}

impl<G: Generator> Generator for UntilOk<G> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        if self.done {
            return Next::Done;
        }
        let next = self.generator.next(context);
        if let Next::Op { thread, .. } = next {
            self.in_flight.insert(thread);
        }
        next
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        if let Event::Complete(thread, _, completion) = event
            && self.in_flight.remove(*thread)
            && matches!(completion, Completion::Ok(_))
        {
            self.done = true;
        }
        self.generator.update(now, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulation::testing::{answering, failed, op, run, values};
    use super::super::{End, any, once, repeat, stream, then};
    use super::*;
    use crate::client::OpError;
    use histories::Value;

    #[test]
    fn limit_counts_ops() {
        let trace = run(3, limit(7, repeat(op("read", 1))));
        assert_eq!((values(&trace).len(), trace.end), (7, End::Done));
        assert_eq!(values(&run(3, limit(0, repeat(op("read", 1))))).len(), 0);
        assert_eq!(values(&run(3, limit(5, once(op("read", 1))))).len(), 1, "a limit does not make ops");
    }

    #[test]
    fn process_limit_ends_when_too_many_processes_have_crashed() {
        // Every op crashes its process: two threads, five processes, five ops.
        let trace = answering(2, process_limit(5, repeat(op("read", 1))), |_| (1, Completion::Info(OpError::new("timeout", ""))));
        let processes: Vec<u64> = trace.invocations().map(|s| s.process).collect();
        assert_eq!((processes, trace.end), (vec![0, 1, 2, 3, 4], End::Done));
    }

    #[test]
    fn process_limit_lets_known_processes_go_on() {
        let trace = run(4, limit(20, process_limit(2, repeat(op("read", 1)))));
        assert_eq!(values(&trace).len(), 20);
        assert!(trace.invocations().all(|s| s.process < 2));
    }

    #[test]
    fn concurrency_limit_holds_at_every_moment() {
        let trace = run(5, limit(40, concurrency_limit(2, repeat(op("read", 1)))));
        assert_eq!((values(&trace).len(), trace.most_in_flight()), (40, 2));
        assert_eq!(run(5, limit(40, repeat(op("read", 1)))).most_in_flight(), 5);
        assert_eq!(run(5, concurrency_limit(0, repeat(op("read", 1)))).end, End::Done);
    }

    #[test]
    fn until_ok_goes_on_until_its_own_op_is_ok() {
        let mut n = 0;
        let trace = answering(1, until_ok(repeat(op("read", 1))), |_| {
            n += 1;
            (1, if n < 4 { failed() } else { Completion::Ok(Value::Nil) })
        });
        assert_eq!((values(&trace).len(), trace.end), (4, End::Done));
    }

    #[test]
    fn until_ok_does_not_take_anothers_success_for_its_own() {
        // Ops with value 1 are always ok, those with 2 never: the second generator must not end.
        let both = any(
            stream(1, "t", 0),
            vec![
                (1, Box::new(limit(50, repeat(op("read", 1)))) as Box<dyn Generator>),
                (1, Box::new(limit(50, until_ok(repeat(op("read", 2)))))),
            ],
        );
        let trace = answering(3, then(both, once(op("read", 3))), |i| {
            (1, if i.value == Value::Int(1) { Completion::Ok(Value::Nil) } else { failed() })
        });
        assert_eq!(values(&trace).iter().filter(|&&v| v == 2).count(), 50);
    }
}

//! The leaves: what is asked, as soon as a thread is free.

use super::{Context, Generator, Next};
use crate::client::Invocation;
use std::collections::VecDeque;

/// Asks for this once.
pub fn once(invocation: Invocation) -> Sequence {
    sequence([invocation])
}

/// Asks for each of these once, in this order, each as soon as a thread is free.
pub fn sequence(invocations: impl IntoIterator<Item = Invocation>) -> Sequence {
    Sequence { rest: invocations.into_iter().collect() }
}

/// See [`sequence`].
#[derive(Debug)]
pub struct Sequence {
    rest: VecDeque<Invocation>,
}

impl Generator for Sequence {
    fn next(&mut self, context: &Context<'_>) -> Next {
        if self.rest.is_empty() {
            return Next::Done;
        }
        let Some(&thread) = context.free.first() else { return Next::PENDING };
        self.rest.pop_front().map_or(Next::Done, |invocation| Next::Op { thread, invocation })
    }
}

/// Asks for this again and again.
pub fn repeat(invocation: Invocation) -> Repeat {
    Repeat { invocation }
}

/// See [`repeat`].
#[derive(Debug)]
pub struct Repeat {
    invocation: Invocation,
}

impl Generator for Repeat {
    fn next(&mut self, context: &Context<'_>) -> Next {
        match context.free.first() {
            Some(&thread) => Next::Op { thread, invocation: self.invocation.clone() },
            None => Next::PENDING,
        }
    }
}

/// Asks for what `make` makes for a thread, until it makes nothing.
pub fn from_fn<F>(make: F) -> FromFn<F>
where
    F: FnMut(&Context<'_>, u32) -> Option<Invocation> + Send,
{
    FromFn { make, done: false }
}

/// See [`from_fn`].
#[derive(Debug)]
pub struct FromFn<F> {
    make: F,
    done: bool,
}

impl<F: FnMut(&Context<'_>, u32) -> Option<Invocation> + Send> Generator for FromFn<F> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        if self.done {
            return Next::Done;
        }
        let Some(&thread) = context.free.first() else { return Next::PENDING };
        let Some(invocation) = (self.make)(context, thread) else {
            self.done = true;
            return Next::Done;
        };
        Next::Op { thread, invocation }
    }
}

/// Makes a generator, runs it to its end, makes the next one: `times` times, or for ever.
///
/// It ends early when a new one has nothing to ask at all, because no later one would either.
pub fn cycle<G: Generator, F: FnMut() -> G + Send>(times: Option<u64>, make: F) -> Cycle<G, F> {
    Cycle { left: times, make, current: None, done: false }
}

/// See [`cycle`].
#[derive(Debug)]
pub struct Cycle<G, F> {
    left: Option<u64>,
    make: F,
    current: Option<G>,
    done: bool,
}

impl<G: Generator, F: FnMut() -> G + Send> Cycle<G, F> {
    fn make(&mut self) -> Option<G> {
        match &mut self.left {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None => {}
        }
        Some((self.make)())
    }
}

impl<G: Generator, F: FnMut() -> G + Send> Generator for Cycle<G, F> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        if self.done {
            return Next::Done;
        }
        if let Some(current) = &mut self.current {
            match current.next(context) {
                Next::Done => {}
                other => return other,
            }
        }
        self.current = self.make();
        let next = self.current.as_mut().map_or(Next::Done, |g| g.next(context));
        self.done = next == Next::Done;
        next
    }

    fn update(&mut self, now: u64, event: &super::Event<'_>) {
        if let Some(current) = &mut self.current {
            current.update(now, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulation::testing::{op, run, values};
    use super::super::{End, limit};
    use super::*;

    #[test]
    fn once_asks_once() {
        let trace = run(2, once(op("read", 1)));
        assert_eq!((values(&trace), trace.end), (vec![1], End::Done));
    }

    #[test]
    fn a_sequence_keeps_its_order() {
        assert_eq!(values(&run(3, sequence((0..9).map(|i| op("write", i))))), (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn repeat_goes_on_and_uses_every_thread() {
        let trace = run(3, limit(9, repeat(op("read", 1))));
        assert_eq!(values(&trace), vec![1; 9]);
        let mut threads: Vec<u32> = trace.invocations().map(|s| s.thread).collect();
        threads.sort_unstable();
        assert_eq!(threads, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    }

    #[test]
    fn from_fn_ends_with_nothing_and_stays_ended() {
        let mut i = 0;
        let trace = run(
            2,
            from_fn(move |_, thread| {
                i += 1;
                (i != 4).then(|| op("write", i * 10 + i64::from(thread)))
            }),
        );
        assert_eq!((values(&trace).len(), trace.end), (3, End::Done));
    }

    #[test]
    fn cycle_repeats_a_bounded_or_unbounded_number_of_times() {
        let pair = || sequence([op("write", 1), op("read", 2)]);
        assert_eq!(values(&run(1, cycle(Some(3), pair))), [1, 2, 1, 2, 1, 2]);
        assert_eq!(values(&run(1, limit(5, cycle(None, pair)))), [1, 2, 1, 2, 1]);
        assert_eq!(run(1, cycle(None, || sequence([]))).end, End::Done, "an empty cycle must not spin");
    }

    #[test]
    fn nothing_is_asked_while_no_thread_is_free() {
        let context = Context { now: 0, free: &[], threads: &[0], processes: &[0], nodes: 1 };
        assert_eq!(once(op("read", 1)).next(&context), Next::PENDING);
        assert_eq!(repeat(op("read", 1)).next(&context), Next::PENDING);
        assert_eq!(from_fn(|_, _| None).next(&context), Next::PENDING);
    }
}

//! When: rates, pauses, deadlines.

use super::{Context, Event, Generator, Next, earlier};
use crate::client::{Completion, OpError};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// How far a pace may fall behind and still catch up. More than a timer's coarseness, so that a rate of many thousands per
/// second is kept by a clock that ticks in milliseconds; little enough that a stall is not followed by a flood.
const CATCH_UP_NS: u64 = 20_000_000;

/// A duration in the run's unit of time. 584 years at most.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The time before which a pace gives no op.
#[derive(Debug, Default)]
struct Slot {
    at: Option<u64>,
}

impl Slot {
    /// The time to wait for, if it is not yet time.
    fn wait(&self, now: u64) -> Option<u64> {
        self.at.filter(|&at| now < at)
    }

    /// An op was given: the next one comes `gap` after the time it was due.
    fn advance(&mut self, now: u64, gap: u64) {
        let due = self.at.unwrap_or(now).max(now.saturating_sub(CATCH_UP_NS));
        self.at = Some(due.saturating_add(gap));
    }
}

/// The ops of `generator` at random gaps, uniform in [0, 2 × `mean_gap`): a **total** rate of one per `mean_gap`, over all
/// threads together, as far as threads are free.
pub fn stagger<G: Generator>(rng: ChaCha8Rng, mean_gap: Duration, generator: G) -> Stagger<G> {
    Stagger { rng, mean_gap: nanoseconds(mean_gap), slot: Slot::default(), generator }
}

/// See [`stagger`].
#[derive(Debug)]
pub struct Stagger<G> {
    rng: ChaCha8Rng,
    mean_gap: u64,
    slot: Slot,
    generator: G,
}

impl<G: Generator> Generator for Stagger<G> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        if let Some(at) = self.slot.wait(context.now) {
            return Next::Pending { until: Some(at) };
        }
        let next = self.generator.next(context);
        if let Next::Op { .. } = next {
            let range = self.mean_gap.saturating_mul(2);
            let gap = if range == 0 { 0 } else { self.rng.random_range(0..range) };
            self.slot.advance(context.now, gap);
        }
        next
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        self.generator.update(now, event);
    }
}

/// The ops of `generator` at equal gaps, as far as threads are free.
pub fn delay<G: Generator>(gap: Duration, generator: G) -> Delay<G> {
    Delay { gap: nanoseconds(gap), slot: Slot::default(), generator }
}

/// See [`delay`].
#[derive(Debug)]
pub struct Delay<G> {
    gap: u64,
    slot: Slot,
    generator: G,
}

impl<G: Generator> Generator for Delay<G> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        if let Some(at) = self.slot.wait(context.now) {
            return Next::Pending { until: Some(at) };
        }
        let next = self.generator.next(context);
        if let Next::Op { .. } = next {
            self.slot.advance(context.now, self.gap);
        }
        next
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        self.generator.update(now, event);
    }
}

/// Asks nothing for this long, from the first time it is asked; then it is done.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { duration: nanoseconds(duration), end: None }
}

/// See [`sleep`].
#[derive(Debug)]
pub struct Sleep {
    duration: u64,
    end: Option<u64>,
}

impl Generator for Sleep {
    fn next(&mut self, context: &Context<'_>) -> Next {
        let end = *self.end.get_or_insert(context.now.saturating_add(self.duration));
        if context.now < end { Next::Pending { until: Some(end) } } else { Next::Done }
    }
}

/// The ops of `generator` for this long, from the first time it is asked.
pub fn time_limit<G: Generator>(duration: Duration, generator: G) -> TimeLimit<G> {
    TimeLimit { duration: nanoseconds(duration), end: None, generator }
}

/// See [`time_limit`].
#[derive(Debug)]
pub struct TimeLimit<G> {
    duration: u64,
    end: Option<u64>,
    generator: G,
}

impl<G: Generator> Generator for TimeLimit<G> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        let end = *self.end.get_or_insert(context.now.saturating_add(self.duration));
        if context.now >= end {
            return Next::Done;
        }
        match self.generator.next(context) {
            Next::Pending { until } => Next::Pending { until: earlier(until, Some(end)) },
            other => other,
        }
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        self.generator.update(now, event);
    }
}

/// A thread whose op ended in an error gets no op of `generator` for this long; a cas that found another value
/// ([`OpError::MISMATCH`]) is no error here.
///
/// A node that is down refuses in microseconds. Without a rest its threads would fill the history with refusals and use up
/// what other combinators limit, and clients themselves never sleep.
pub fn rest<G: Generator>(duration: Duration, generator: G) -> Rest<G> {
    Rest { duration: nanoseconds(duration), until: Vec::new(), resting: 0, free: Vec::new(), generator }
}

/// See [`rest`].
#[derive(Debug)]
pub struct Rest<G> {
    duration: u64,
    /// By thread: the end of its rest; 0 if it does not rest.
    until: Vec<u64>,
    resting: usize,
    free: Vec<u32>,
    generator: G,
}

impl<G> Rest<G> {
    /// The end of a thread's rest, if it rests now.
    fn rests(&mut self, thread: u32, now: u64) -> Option<u64> {
        let until = self.until.get_mut(thread as usize).filter(|until| **until > 0)?;
        if *until > now {
            return Some(*until);
        }
        *until = 0;
        self.resting -= 1;
        None
    }

    fn begin(&mut self, thread: u32, until: u64) {
        let thread = thread as usize;
        if thread >= self.until.len() {
            self.until.resize(thread + 1, 0);
        }
        self.resting += usize::from(self.until[thread] == 0);
        self.until[thread] = until.max(1);
    }
}

impl<G: Generator> Generator for Rest<G> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        if self.resting == 0 {
            return self.generator.next(context);
        }
        let mut free = std::mem::take(&mut self.free);
        free.clear();
        let mut first = None;
        for &thread in context.free {
            match self.rests(thread, context.now) {
                Some(until) => first = earlier(first, Some(until)),
                None => free.push(thread),
            }
        }
        let next = self.generator.next(&Context { free: &free, ..*context });
        self.free = free;
        match next {
            Next::Pending { until } => Next::Pending { until: earlier(until, first) },
            other => other,
        }
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        if let Event::Complete(thread, _, Completion::Fail(error) | Completion::Info(error)) = event
            && error.kind != OpError::MISMATCH
        {
            self.begin(*thread, now.saturating_add(self.duration));
        }
        self.generator.update(now, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulation::testing::{answering, failed, op, run, values};
    use super::super::{End, limit, once, phases, repeat, stream, then};
    use super::*;

    const MS: u64 = 1_000_000;

    fn times(trace: &super::super::Trace) -> Vec<u64> {
        trace.invocations().map(|s| s.time).collect()
    }

    #[test]
    fn stagger_keeps_the_total_rate() {
        let trace = run(50, limit(20_000, stagger(stream(1, "stagger", 0), Duration::from_millis(1), repeat(op("read", 1)))));
        let times = times(&trace);
        let mean = *times.last().unwrap() as f64 / (times.len() - 1) as f64;
        assert!((mean / MS as f64 - 1.0).abs() < 0.02, "mean gap {mean} ns");
        let gaps: Vec<u64> = times.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(gaps.iter().all(|&g| g < 2 * MS));
        assert!(gaps.iter().any(|&g| g > 19 * MS / 10) && gaps.iter().any(|&g| g < MS / 10), "gaps are spread over [0, 2 ms)");
    }

    #[test]
    fn a_pace_catches_up_with_a_coarse_clock_but_not_with_a_stall() {
        let mut paced = delay(Duration::from_micros(100), repeat(op("read", 1)));
        let mut ops_at = |now| {
            let context = Context { now, free: &[0], threads: &[0], processes: &[0], nodes: 1 };
            (0..1_000_000).take_while(|_| matches!(paced.next(&context), Next::Op { .. })).count()
        };
        // Asked every 10 ms only: 100 per tick.
        assert_eq!(ops_at(0), 1);
        assert_eq!((1..=50).map(|tick| ops_at(tick * 10 * MS)).sum::<usize>(), 5_000);
        // Ten seconds of nothing are not made up for.
        assert_eq!(ops_at(10_500 * MS), 201);
    }

    #[test]
    fn delay_keeps_equal_gaps() {
        assert_eq!(times(&run(4, limit(4, delay(Duration::from_millis(3), repeat(op("read", 1)))))), [0, 3 * MS, 6 * MS, 9 * MS]);
    }

    #[test]
    fn sleep_and_then() {
        let trace = run(2, then(once(op("read", 1)), then(sleep(Duration::from_millis(5)), once(op("read", 2)))));
        assert_eq!((values(&trace), times(&trace)), (vec![1, 2], vec![0, 5 * MS]));
    }

    #[test]
    fn time_limit_counts_from_the_first_question() {
        let limited = || time_limit(Duration::from_millis(10), delay(Duration::from_millis(3), repeat(op("read", 1))));
        let trace = run(2, phases(vec![Box::new(sleep(Duration::from_millis(100))), Box::new(limited())]));
        assert_eq!(times(&trace), [100 * MS, 103 * MS, 106 * MS, 109 * MS]);
        assert_eq!(trace.end, End::Done);
    }

    #[test]
    fn a_time_limit_ends_a_generator_that_waits_for_ever() {
        struct Never;
        impl Generator for Never {
            fn next(&mut self, _: &Context<'_>) -> Next {
                Next::PENDING
            }
        }
        assert_eq!(run(1, Never).end, End::Stuck);
        assert_eq!(run(1, time_limit(Duration::from_millis(1), Never)).end, End::Done);
    }

    #[test]
    fn a_thread_rests_after_an_error_and_the_others_do_not() {
        let mut first = true;
        let trace = answering(2, rest(Duration::from_millis(10), limit(100, repeat(op("read", 1)))), |i| {
            let completion = if std::mem::take(&mut first) { failed() } else { super::super::simulation::testing::ok(i) };
            (MS, completion)
        });
        let of = |thread| trace.invocations().filter(move |s| s.thread == thread).map(|s| s.time / MS).take(3).collect::<Vec<_>>();
        assert_eq!((of(0), of(1)), (vec![0, 11, 12], vec![0, 1, 2]));
    }

    #[test]
    fn when_all_rest_time_passes_and_a_mismatch_is_no_error() {
        let kinds = [("connection-refused", 11), (OpError::MISMATCH, 1)];
        for (kind, gap_ms) in kinds {
            let trace = answering(1, rest(Duration::from_millis(10), limit(3, repeat(op("cas", 1)))), |_| {
                (MS, Completion::Fail(OpError::new(kind, "")))
            });
            assert_eq!(times(&trace), [0, gap_ms * MS, 2 * gap_ms * MS], "{kind}");
        }
    }
}

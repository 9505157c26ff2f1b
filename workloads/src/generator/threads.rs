//! The threads divided: each part has a generator of its own, which sees no other thread.

use super::{Context, Event, Generator, Next, earlier};

/// Some threads and their generator.
struct Part {
    threads: Vec<u32>,
    generator: Box<dyn Generator>,
    free: Vec<u32>,
    done: bool,
    /// The call of [`Generator::next`] in which it was last asked.
    asked: u64,
}

impl Part {
    fn new(threads: Vec<u32>, generator: Box<dyn Generator>) -> Part {
        Part { threads, generator, free: Vec::new(), done: false, asked: 0 }
    }
}

/// How to divide the threads, once they are known.
type Divide = Box<dyn FnOnce(&[u32]) -> Vec<(Vec<u32>, Box<dyn Generator>)> + Send>;

/// See [`each_thread`] and [`reserve`].
pub struct Divided {
    divide: Option<Divide>,
    parts: Vec<Part>,
    /// By thread: its part, or `NO_PART`.
    part_of: Vec<u32>,
    calls: u64,
}

const NO_PART: u32 = u32::MAX;

/// The part of each thread, by thread number.
pub(super) fn index_parts<'a>(parts: impl Iterator<Item = &'a [u32]>) -> Vec<u32> {
    let mut part_of = Vec::new();
    for (i, threads) in parts.enumerate() {
        for &thread in threads {
            let thread = thread as usize;
            if thread >= part_of.len() {
                part_of.resize(thread + 1, NO_PART);
            }
            part_of[thread] = i as u32;
        }
    }
    part_of
}

/// A generator of its own for each thread, made by `make`. Ends when all have ended.
pub fn each_thread<G: Generator + 'static>(mut make: impl FnMut(u32) -> G + Send + 'static) -> Divided {
    Divided::new(Box::new(move |threads| threads.iter().map(|&t| (vec![t], Box::new(make(t)) as Box<dyn Generator>)).collect()))
}

/// The first threads for the first generator, so many for the second, ... and all others for `rest`. Ends when all have ended.
///
/// Generators for which no thread is left ask nothing.
pub fn reserve(parts: Vec<(u32, Box<dyn Generator>)>, rest: impl Generator + 'static) -> Divided {
    Divided::new(Box::new(move |threads| {
        let mut left = threads;
        let mut divided: Vec<(Vec<u32>, Box<dyn Generator>)> = Vec::with_capacity(parts.len() + 1);
        for (count, generator) in parts {
            let (own, others) = left.split_at(left.len().min(count as usize));
            divided.push((own.to_vec(), generator));
            left = others;
        }
        divided.push((left.to_vec(), Box::new(rest)));
        divided
    }))
}

impl Divided {
    fn new(divide: Divide) -> Divided {
        Divided { divide: Some(divide), parts: Vec::new(), part_of: Vec::new(), calls: 0 }
    }

    fn begin(&mut self, threads: &[u32]) {
        let Some(divide) = self.divide.take() else { return };
        self.parts = divide(threads).into_iter().filter(|(own, _)| !own.is_empty()).map(|(own, g)| Part::new(own, g)).collect();
        self.part_of = index_parts(self.parts.iter().map(|p| p.threads.as_slice()));
    }
}

impl Generator for Divided {
    fn next(&mut self, context: &Context<'_>) -> Next {
        self.begin(context.threads);
        self.calls += 1;
        let mut until = None;
        for &thread in context.free {
            let Some(&part) = self.part_of.get(thread as usize).filter(|&&part| part != NO_PART) else { continue };
            let Part { threads, generator, free, done, asked } = &mut self.parts[part as usize];
            if *done || std::mem::replace(asked, self.calls) == self.calls {
                continue;
            }
            free.clear();
            free.extend(context.free.iter().copied().filter(|&t| self.part_of.get(t as usize) == Some(&part)));
            match generator.next(&Context { free, threads, ..*context }) {
                Next::Done => *done = true,
                Next::Pending { until: at } => until = earlier(until, at),
                op @ Next::Op { .. } => return op,
            }
        }
        if self.parts.iter().all(|p| p.done) { Next::Done } else { Next::Pending { until } }
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        if let Some(part) = self.part_of.get(event.thread() as usize).and_then(|&part| self.parts.get_mut(part as usize)) {
            part.generator.update(now, event);
        }
    }
}

/// `generator`, on the threads that `chosen` chooses and on no other.
pub fn on_threads<G: Generator, F: Fn(u32) -> bool + Send>(chosen: F, generator: G) -> OnThreads<G, F> {
    OnThreads { chosen, threads: None, free: Vec::new(), generator }
}

/// See [`on_threads`].
#[derive(Debug)]
pub struct OnThreads<G, F> {
    chosen: F,
    threads: Option<Vec<u32>>,
    free: Vec<u32>,
    generator: G,
}

impl<G: Generator, F: Fn(u32) -> bool + Send> Generator for OnThreads<G, F> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        let choose = |threads: &[u32]| threads.iter().copied().filter(|&t| (self.chosen)(t)).collect::<Vec<u32>>();
        let threads = self.threads.get_or_insert_with(|| choose(context.threads));
        self.free.clear();
        self.free.extend(context.free.iter().copied().filter(|&t| (self.chosen)(t)));
        if threads.is_empty() {
            return Next::Done;
        }
        self.generator.next(&Context { free: &self.free, threads, ..*context })
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        if (self.chosen)(event.thread()) {
            self.generator.update(now, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulation::testing::{answering, failed, ok, op, run, values};
    use super::super::{End, Trace, limit, repeat, until_ok};
    use super::*;

    fn by_thread(trace: &Trace) -> Vec<(u32, i64)> {
        let mut all: Vec<_> = trace.invocations().map(|s| (s.thread, s.invocation.value.as_int().unwrap())).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn each_thread_has_its_own() {
        let trace = run(3, each_thread(|t| limit(2, repeat(op("read", i64::from(t))))));
        assert_eq!(by_thread(&trace), [(0, 0), (0, 0), (1, 1), (1, 1), (2, 2), (2, 2)]);
        assert_eq!(trace.end, End::Done);
    }

    #[test]
    fn each_thread_reads_until_ok() {
        let mut attempts = [0; 3];
        let trace = answering(3, each_thread(|t| until_ok(repeat(op("read", i64::from(t))))), |i| {
            let t = i.value.as_int().unwrap() as usize;
            attempts[t] += 1;
            (1, if attempts[t] > t { ok(i) } else { failed() })
        });
        assert_eq!(by_thread(&trace), [(0, 0), (1, 1), (1, 1), (2, 2), (2, 2), (2, 2)]);
    }

    #[test]
    fn reserve_divides_in_order_and_gives_the_rest_to_the_last() {
        let parts: Vec<(u32, Box<dyn Generator>)> =
            vec![(2, Box::new(limit(20, repeat(op("a", 1))))), (1, Box::new(limit(20, repeat(op("b", 2)))))];
        let trace = run(6, reserve(parts, limit(20, repeat(op("c", 3)))));
        let mut pairs = by_thread(&trace);
        pairs.dedup();
        assert_eq!(pairs, [(0, 1), (1, 1), (2, 2), (3, 3), (4, 3), (5, 3)]);
        assert_eq!((values(&trace).len(), trace.end), (60, End::Done));
    }

    #[test]
    fn reserve_with_too_few_threads_leaves_the_later_ones_out() {
        let parts: Vec<(u32, Box<dyn Generator>)> =
            vec![(2, Box::new(limit(5, repeat(op("a", 1))))), (2, Box::new(limit(5, repeat(op("b", 2)))))];
        let trace = run(2, reserve(parts, limit(5, repeat(op("c", 3)))));
        assert_eq!((values(&trace), trace.end), (vec![1; 5], End::Done));
    }

    #[test]
    fn a_part_that_is_busy_does_not_hold_up_the_others() {
        let parts: Vec<(u32, Box<dyn Generator>)> = vec![(1, Box::new(limit(3, repeat(op("slow", 1)))))];
        let trace = answering(2, reserve(parts, limit(30, repeat(op("fast", 2)))), |i| (if i.f == "slow" { 1_000 } else { 1 }, ok(i)));
        assert_eq!(trace.invocations().filter(|s| s.invocation.f == "fast" && s.time < 1_000).count(), 30);
    }

    #[test]
    fn on_threads_keeps_to_them() {
        let trace = run(4, on_threads(|t| t % 2 == 1, limit(10, repeat(op("read", 1)))));
        assert!(trace.invocations().all(|s| s.thread % 2 == 1));
        assert_eq!((values(&trace).len(), trace.end), (10, End::Done));
        assert_eq!(run(2, on_threads(|t| t > 7, repeat(op("read", 1)))).end, End::Done, "no thread, no op");
    }
}

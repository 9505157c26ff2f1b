//! Independent keys: many small histories in one run.
//!
//! Checking costs far more than linearly in the number of ops in flight on one object, and crashed ops stay in flight for
//! ever. Many keys with few ops each keep it cheap however long the run is (linearizability is a local property: Herlihy and
//! Wing 1990, theorem 1). What a key's generator gives as `value` is recorded as `[key value]`; it hears of its key's events
//! in its own, keyless form.

use super::threads::index_parts;
use super::{Context, Event, Generator, Next, earlier};
use crate::client::{Completion, Invocation};
use histories::Value;

/// Divides the threads into groups of `group` (the last ones larger where they do not come out even), and each group works on
/// a key of its own, with the generator that `make` makes for it; when that ends, the group takes the next of `keys`, without
/// waiting for its ops in flight.
pub fn concurrent_keys<G, K, F>(group: u32, keys: K, make: F) -> Keys<G, K, F>
where
    G: Generator,
    K: Iterator<Item = i64> + Send,
    F: FnMut(i64) -> G + Send,
{
    Keys { group: group.max(1) as usize, ahead: keys, make, groups: Vec::new(), group_of: Vec::new(), calls: 0 }
}

/// One key after another, each by all threads.
pub fn sequential_keys<G, K, F>(keys: K, make: F) -> Keys<G, K, F>
where
    G: Generator,
    K: Iterator<Item = i64> + Send,
    F: FnMut(i64) -> G + Send,
{
    concurrent_keys(u32::MAX, keys, make)
}

/// See [`concurrent_keys`] and [`sequential_keys`].
#[derive(Debug)]
pub struct Keys<G, K, F> {
    group: usize,
    ahead: K,
    make: F,
    groups: Vec<Group<G>>,
    /// By thread: its group.
    group_of: Vec<u32>,
    calls: u64,
}

#[derive(Debug)]
struct Group<G> {
    threads: Vec<u32>,
    free: Vec<u32>,
    current: Option<(i64, G)>,
    done: bool,
    /// The call of [`Generator::next`] in which it was last asked.
    asked: u64,
}

/// Keys begun by one group in one call, at most: generators that ask nothing must not stop the run's clock.
const KEYS_PER_CALL_MAX: usize = 64;

/// Cuts `threads` into as many groups of at least `size` as there can be, their sizes as equal as they can be.
fn divide(threads: &[u32], size: usize) -> Vec<Vec<u32>> {
    let count = (threads.len() / size).max(1);
    let (base, larger) = (threads.len() / count, threads.len() % count);
    let mut rest = threads;
    (0..count)
        .map(|i| {
            let (own, others) = rest.split_at(base + usize::from(i >= count - larger));
            rest = others;
            own.to_vec()
        })
        .collect()
}

impl<G: Generator> Group<G> {
    fn next<K: Iterator<Item = i64>, F: FnMut(i64) -> G>(&mut self, context: &Context<'_>, keys: &mut K, make: &mut F) -> Next {
        for _ in 0..KEYS_PER_CALL_MAX {
            if self.current.is_none() {
                self.current = keys.next().map(|key| (key, make(key)));
            }
            let Some((key, generator)) = &mut self.current else {
                self.done = true;
                return Next::Done;
            };
            match generator.next(&Context { free: &self.free, threads: &self.threads, ..*context }) {
                Next::Done => self.current = None,
                Next::Op { thread, invocation: Invocation { f, value } } => {
                    return Next::Op { thread, invocation: Invocation { f, value: Value::pair(*key, value) } };
                }
                pending @ Next::Pending { .. } => return pending,
            }
        }
        Next::Pending { until: Some(context.now + 1) }
    }
}

impl<G, K, F> Generator for Keys<G, K, F>
where
    G: Generator,
    K: Iterator<Item = i64> + Send,
    F: FnMut(i64) -> G + Send,
{
    fn next(&mut self, context: &Context<'_>) -> Next {
        if self.groups.is_empty() {
            let fresh = |threads| Group { threads, free: Vec::new(), current: None, done: false, asked: 0 };
            self.groups = divide(context.threads, self.group).into_iter().map(fresh).collect();
            self.group_of = index_parts(self.groups.iter().map(|g| g.threads.as_slice()));
        }
        self.calls += 1;
        let mut until = None;
        for &thread in context.free {
            let Some(&g) = self.group_of.get(thread as usize) else { continue };
            let Some(group) = self.groups.get_mut(g as usize) else { continue };
            if group.done || std::mem::replace(&mut group.asked, self.calls) == self.calls {
                continue;
            }
            group.free.clear();
            group.free.extend(context.free.iter().copied().filter(|&t| self.group_of.get(t as usize) == Some(&g)));
            match group.next(context, &mut self.ahead, &mut self.make) {
                Next::Done => {}
                Next::Pending { until: at } => until = earlier(until, at),
                op @ Next::Op { .. } => return op,
            }
        }
        if self.groups.iter().all(|g| g.done) { Next::Done } else { Next::Pending { until } }
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        let group = self.group_of.get(event.thread() as usize).and_then(|&g| self.groups.get_mut(g as usize));
        // An op of a former key may still be in flight: its end does not concern the key of now.
        let Some((key, generator)) = group.and_then(|g| g.current.as_mut()) else { return };
        match event {
            Event::Invoke(thread, invocation) => {
                if let Some(own) = keyless(*key, invocation) {
                    generator.update(now, &Event::Invoke(*thread, &own));
                }
            }
            Event::Complete(thread, invocation, completion) => {
                if let Some(own) = keyless(*key, invocation) {
                    let result = keyless_result(completion);
                    generator.update(now, &Event::Complete(*thread, &own, &result));
                }
            }
        }
    }
}

/// The invocation without its key, if it is on this key.
fn keyless(key: i64, invocation: &Invocation) -> Option<Invocation> {
    match invocation.value.elements() {
        Some([k, value]) if k.as_int() == Some(key) => Some(Invocation { f: invocation.f, value: value.clone() }),
        _ => None,
    }
}

fn keyless_result(completion: &Completion) -> Completion {
    match completion {
        Completion::Ok(value) => match value.elements() {
            Some([_, result]) => Completion::Ok(result.clone()),
            _ => completion.clone(),
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulation::testing::{answering, ok, op, run};
    use super::super::{End, Trace, from_fn, limit, repeat, until_ok};
    use super::*;
    use std::collections::BTreeMap;

    fn key_of(invocation: &Invocation) -> i64 {
        invocation.value.elements().unwrap()[0].as_int().unwrap()
    }

    /// The threads that worked on each key, and the number of ops.
    fn keys(trace: &Trace) -> BTreeMap<i64, (Vec<u32>, usize)> {
        let mut keys: BTreeMap<i64, (Vec<u32>, usize)> = BTreeMap::new();
        for step in trace.invocations() {
            let (threads, ops) = keys.entry(key_of(&step.invocation)).or_default();
            *ops += 1;
            if !threads.contains(&step.thread) {
                threads.push(step.thread);
                threads.sort_unstable();
            }
        }
        keys
    }

    #[test]
    fn groups_work_on_a_key_each_and_then_on_the_next() {
        let trace = run(6, concurrent_keys(3, 0..5, |_| limit(12, repeat(op("read", 7)))));
        let keys = keys(&trace);
        assert_eq!(keys.len(), 5);
        assert!(keys.values().all(|(threads, ops)| *ops == 12 && (threads == &[0, 1, 2] || threads == &[3, 4, 5])), "{keys:?}");
        assert_eq!(trace.end, End::Done);
        assert_eq!(trace.invocations().next().unwrap().invocation.value, Value::pair(0, 7));
    }

    #[test]
    fn threads_that_do_not_come_out_even_are_not_left_out() {
        assert_eq!(divide(&[0, 1, 2, 3, 4, 5, 6], 3), [vec![0, 1, 2], vec![3, 4, 5, 6]]);
        assert_eq!(divide(&[0, 1, 2, 3, 4, 5, 6, 7], 3), [vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
        assert_eq!(divide(&[4, 9], 3), [vec![4, 9]]);
        assert_eq!(divide(&[1, 2, 3], 1), [vec![1], vec![2], vec![3]]);
    }

    #[test]
    fn sequential_keys_use_all_threads() {
        let trace = run(5, sequential_keys(10..13, |_| limit(20, repeat(op("read", 7)))));
        let all = (vec![0, 1, 2, 3, 4], 20);
        assert_eq!(keys(&trace), BTreeMap::from([(10, all.clone()), (11, all.clone()), (12, all)]));
        let order: Vec<i64> = trace.invocations().map(|s| key_of(&s.invocation)).collect();
        assert!(order.is_sorted(), "one key after another");
    }

    #[test]
    fn the_next_key_does_not_wait_for_ops_in_flight() {
        let mut first = true;
        let trace = answering(2, sequential_keys(0..10, |_| limit(4, repeat(op("read", 7)))), |i| {
            (if std::mem::take(&mut first) { 1_000 } else { 1 }, ok(i))
        });
        assert!(trace.invocations().all(|s| s.time < 1_000));
    }

    /// Asks for a number of its key, and insists on hearing of nothing else.
    struct Listener {
        key: i64,
        left: u32,
    }

    impl Generator for Listener {
        fn next(&mut self, context: &Context<'_>) -> Next {
            if self.left == 0 {
                return Next::Done;
            }
            let Some(&thread) = context.free.first() else { return Next::PENDING };
            self.left -= 1;
            Next::Op { thread, invocation: op("read", self.key * 100) }
        }

        fn update(&mut self, _: u64, event: &Event<'_>) {
            let (Event::Invoke(_, invocation) | Event::Complete(_, invocation, _)) = event;
            assert_eq!(**invocation, op("read", self.key * 100));
            if let Event::Complete(_, _, completion) = event {
                assert_eq!(**completion, Completion::Ok(Value::Int(self.key * 100)));
            }
        }
    }

    #[test]
    fn a_key_hears_its_own_events_without_the_key_and_no_others() {
        // Each key's generator ends at its own first ok. The op of key 0 is answered late, when key 1 is at work.
        let trace = answering(1, sequential_keys(0..3, |_| until_ok(limit(3, repeat(op("read", 7))))), |i| (1, ok(i)));
        assert_eq!(keys(&trace).values().map(|k| k.1).collect::<Vec<_>>(), [1, 1, 1]);

        let mut n = 0;
        let listening = concurrent_keys(2, 0..40, |key| Listener { key, left: 5 });
        let trace = answering(6, listening, |i| {
            n += 1;
            (1 + n * 7 % 23, ok(i))
        });
        assert_eq!((trace.invocations().count(), trace.end), (200, End::Done));
    }

    #[test]
    fn keys_that_ask_nothing_let_time_pass() {
        let trace = run(2, concurrent_keys(1, 0..1_000, |_| from_fn(|_, _| None)));
        assert_eq!((trace.invocations().count(), trace.end), (0, End::Done));
        let context = Context { now: 5, free: &[0], threads: &[0], processes: &[0], nodes: 1 };
        assert_eq!(concurrent_keys(1, 0.., |_| from_fn(|_, _| None)).next(&context), Next::Pending { until: Some(6) });
    }
}

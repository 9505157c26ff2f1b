//! A run without a cluster and without a clock.

use super::{Context, Event, Generator, Next};
use crate::client::{Completion, Invocation};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// How to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Simulation {
    /// The number of client threads.
    pub threads: u32,
    /// The number of nodes.
    pub nodes: u32,
    /// Ends after so many ops.
    pub ops_max: usize,
    /// Ends at this time, in nanoseconds.
    pub time_max: u64,
}

/// One event of a simulated run.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Nanoseconds since the start.
    pub time: u64,
    /// The thread.
    pub thread: u32,
    /// The process that the thread ran.
    pub process: u64,
    /// What was asked.
    pub invocation: Invocation,
    /// What came of it; `None` if this is the invocation.
    pub completion: Option<Completion>,
}

/// Why a simulated run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The generator had nothing more.
    Done,
    /// It waited for an event, but nothing was in flight. A real run would wait for ever.
    Stuck,
    /// A limit of the simulation was reached.
    Limit,
}

/// A simulated run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// All events, in order.
    pub steps: Vec<Step>,
    /// Why it ended.
    pub end: End,
}

impl Trace {
    /// The invocations, in order.
    pub fn invocations(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|s| s.completion.is_none())
    }

    /// The most ops that were in flight at once.
    pub fn most_in_flight(&self) -> usize {
        let mut now = 0;
        let mut most = 0;
        for step in &self.steps {
            match step.completion {
                None => now += 1,
                Some(_) => now -= 1,
            }
            most = most.max(now);
        }
        most
    }
}

/// Runs a generator as the interpreter would, in virtual time: `answer` says how many nanoseconds each op takes and what
/// comes of it. An `info` ends its process; the thread goes on as the next one, `threads` higher.
pub fn simulate(mut generator: impl Generator, simulation: &Simulation, mut answer: impl FnMut(&Invocation) -> (u64, Completion)) -> Trace {
    let mut run = Run::new(simulation);
    loop {
        while let Some((thread, invocation, completion)) = run.completed() {
            generator.update(run.now, &Event::Complete(thread, &invocation, &completion));
            run.end(thread, invocation, completion);
        }
        if run.asked >= simulation.ops_max || run.now > simulation.time_max {
            return run.trace(End::Limit);
        }
        let context = Context {
            now: run.now,
            free: run.free.make_contiguous(),
            threads: &run.threads,
            processes: &run.processes,
            nodes: simulation.nodes,
        };
        match generator.next(&context) {
            Next::Op { thread, invocation } => {
                let (latency, completion) = answer(&invocation);
                generator.update(run.now, &Event::Invoke(thread, &invocation));
                run.begin(thread, invocation, latency, completion);
            }
            Next::Pending { until } => match super::earlier(until, run.next_completion()) {
                Some(at) => run.now = run.now.max(at),
                None => return run.trace(End::Stuck),
            },
            Next::Done if run.in_flight.is_empty() => return run.trace(End::Done),
            Next::Done => run.now = run.next_completion().unwrap_or(run.now),
        }
    }
}

struct Run {
    now: u64,
    asked: usize,
    free: VecDeque<u32>,
    threads: Vec<u32>,
    processes: Vec<u64>,
    /// By order of invocation.
    in_flight: BTreeMap<u64, (u32, Invocation, Completion)>,
    due: BinaryHeap<Reverse<(u64, u64)>>,
    steps: Vec<Step>,
}

impl Run {
    fn new(simulation: &Simulation) -> Run {
        Run {
            now: 0,
            asked: 0,
            free: (0..simulation.threads).collect(),
            threads: (0..simulation.threads).collect(),
            processes: (0..u64::from(simulation.threads)).collect(),
            in_flight: BTreeMap::new(),
            due: BinaryHeap::new(),
            steps: Vec::new(),
        }
    }

    fn next_completion(&self) -> Option<u64> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    fn completed(&mut self) -> Option<(u32, Invocation, Completion)> {
        let Reverse((at, number)) = *self.due.peek()?;
        if at > self.now {
            return None;
        }
        self.due.pop();
        self.in_flight.remove(&number)
    }

    fn begin(&mut self, thread: u32, invocation: Invocation, latency: u64, completion: Completion) {
        let position = self.free.iter().position(|&t| t == thread);
        assert!(position.is_some(), "the generator chose thread {thread}, which is not free");
        self.free.retain(|&t| t != thread);
        self.step(thread, invocation.clone(), None);
        let number = self.asked as u64;
        self.asked += 1;
        // An op takes time: an answer in the same nanosecond would let a closed loop stand still.
        self.due.push(Reverse((self.now + latency.max(1), number)));
        self.in_flight.insert(number, (thread, invocation, completion));
    }

    fn end(&mut self, thread: u32, invocation: Invocation, completion: Completion) {
        let crashed = matches!(completion, Completion::Info(_));
        self.step(thread, invocation, Some(completion));
        if crashed {
            self.processes[thread as usize] += self.threads.len() as u64;
        }
        self.free.push_back(thread);
    }

    fn step(&mut self, thread: u32, invocation: Invocation, completion: Option<Completion>) {
        let process = self.processes[thread as usize];
        self.steps.push(Step { time: self.now, thread, process, invocation, completion });
    }

    fn trace(self, end: End) -> Trace {
        Trace { steps: self.steps, end }
    }
}

/// What the tests of all generators use.
#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::client::OpError;
    use histories::Value;

    pub(in crate::generator) fn op(f: &'static str, value: i64) -> Invocation {
        Invocation { f, value: Value::Int(value) }
    }

    pub(in crate::generator) fn ok(invocation: &Invocation) -> Completion {
        Completion::Ok(invocation.value.clone())
    }

    pub(in crate::generator) fn failed() -> Completion {
        Completion::Fail(OpError::new("connection-refused", ""))
    }

    /// Every op takes 10 ns and is ok.
    pub(in crate::generator) fn run(threads: u32, generator: impl Generator) -> Trace {
        answering(threads, generator, |i| (10, ok(i)))
    }

    pub(in crate::generator) fn answering(
        threads: u32,
        generator: impl Generator,
        answer: impl FnMut(&Invocation) -> (u64, Completion),
    ) -> Trace {
        let simulation = Simulation { threads, nodes: 3, ops_max: 100_000, time_max: u64::MAX / 2 };
        simulate(generator, &simulation, answer)
    }

    /// The values asked for, in order.
    pub(in crate::generator) fn values(trace: &Trace) -> Vec<i64> {
        trace.invocations().map(|s| s.invocation.value.as_int().unwrap()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{answering, ok, op, run};
    use super::*;
    use crate::client::OpError;
    use crate::generator::{limit, repeat};

    #[test]
    fn ops_take_their_time_and_threads_take_turns() {
        let trace = run(2, limit(6, repeat(op("read", 1))));
        let invoked: Vec<(u64, u32)> = trace.invocations().map(|s| (s.time, s.thread)).collect();
        assert_eq!(invoked, [(0, 0), (0, 1), (10, 0), (10, 1), (20, 0), (20, 1)]);
        assert_eq!(trace.steps.len(), 12, "every op ends");
    }

    #[test]
    fn a_crashed_process_is_replaced() {
        let trace = answering(2, limit(4, repeat(op("read", 1))), |_| (5, Completion::Info(OpError::new("timeout", ""))));
        assert_eq!(trace.invocations().map(|s| s.process).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn limits_end_it() {
        let simulation = Simulation { threads: 1, nodes: 1, ops_max: 10, time_max: u64::MAX / 2 };
        assert_eq!(simulate(repeat(op("read", 1)), &simulation, |i| (1, ok(i))).end, End::Limit);
        let simulation = Simulation { threads: 1, nodes: 1, ops_max: 1_000, time_max: 50 };
        assert_eq!(simulate(repeat(op("read", 1)), &simulation, |i| (10, ok(i))).invocations().count(), 6);
    }
}

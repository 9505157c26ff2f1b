//! Schemes under test without processes, sockets and clocks: a whole cluster, its clients and its faults in one thread,
//! repeatable to the last message from a seed.
//!
//! It owes a scheme what `scheme` promises and grants nothing more: links lose, delay and reorder, the disk keeps whole turns,
//! except that a crash may cut the last one short after any of its records, before anything of it has left the node.

use super::link::delay;
use super::protocol::{Answer, Call};
use super::scheme::{Place, Scheme, TICK, Ticket, Turn};
use checker::verdict::Summary;
use histories::{Builder, History, Kind, Outcome, Value};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A cluster to simulate.
pub(super) struct Plan {
    pub(super) nodes: usize,
    pub(super) threads: usize,
    /// Ops before the next key takes its place.
    pub(super) ops_per_key: i64,
    pub(super) time: Duration,
    /// Of ten ops: reads, writes; the rest are cas.
    pub(super) mix: [u32; 2],
    /// The mean time between a fault and the next; none if `None`.
    pub(super) fault_gap: Option<Duration>,
    /// By how much a node's wall clock may be wrong, either way.
    pub(super) clocks: Duration,
    pub(super) seed: u64,
}

impl Plan {
    /// Five nodes, ten clients, and faults all the time.
    pub(super) fn hard(seed: u64) -> Plan {
        let time = Duration::from_secs(2);
        let (fault_gap, clocks) = (Some(Duration::from_millis(60)), Duration::ZERO);
        Plan { nodes: 5, threads: 10, ops_per_key: 300, time, mix: [5, 5], fault_gap, clocks, seed }
    }

    /// Runs it and returns what the clients saw.
    pub(super) fn run<S: Scheme>(&self, make: impl Fn(Place) -> S) -> History {
        Simulation::new(self, &make).run()
    }
}

const OP_TIMEOUT: Duration = Duration::from_secs(1);

/// How many seeds a test tries: `RASHOMON_TEST_SIZE` times the number given.
pub(super) fn seeds(count: u64) -> std::ops::Range<u64> {
    0..crate::test_size::times(count)
}

/// What the checker says to each of some histories, and the number of reads and writes that ended ok in all of them.
pub(super) fn judge(histories: impl Iterator<Item = History>, model: &str) -> (Vec<Summary>, usize) {
    let mut oks = 0;
    let options = checker::Options { model: model.into(), keyed: Some(true), ..checker::Options::default() };
    let verdict = |history: History| {
        oks += history.ops().iter().filter(|&&op| history.outcome(op) == Outcome::Ok).count();
        checker::check_linearizable(&history, &options, &checker::Budget::unlimited()).unwrap().answer
    };
    (histories.map(verdict).collect(), oks)
}

/// What the checker says to each of some histories of reads and writes, asked for a model.
pub(super) fn judge_as(histories: &[History], consistency: checker::Consistency) -> Vec<Summary> {
    let nil_read = Some(checker::NilRead::Missing);
    let options = checker::Options { model: "register".into(), keyed: Some(true), nil_read, ..checker::Options::default() };
    let verdict = |history| checker::check(history, consistency, &options, &checker::Budget::unlimited()).unwrap().answer;
    histories.iter().map(verdict).collect()
}

/// What happens at some moment.
enum Event<M> {
    /// A thread is free to ask.
    Ask { thread: usize },
    /// A call reaches a node.
    Call { node: usize, op: u64, call: Call },
    /// A message reaches a node.
    Message { from: usize, to: usize, message: M },
    /// A node looks at its clock.
    Tick { node: usize, boot: u64 },
    /// An answer reaches a client.
    Answer { op: u64, answer: Answer },
    /// A client has waited long enough.
    Timeout { op: u64 },
    /// The nemesis does something.
    Fault,
    /// A node is killed and started at once.
    Restart { node: usize },
}

struct SimulatedNode<S: Scheme> {
    place: Place,
    scheme: Option<S>,
    /// What is on disk: each record as JSON, as the log has it.
    disk: Vec<String>,
    started: Duration,
    paused: bool,
    /// To be cut short in the middle of the next turn that writes to disk.
    dies_in_turn: bool,
    /// What waits for a paused node.
    backlog: Vec<Event<S::Message>>,
    waiting: BTreeMap<Ticket, u64>,
    last_ticket: u64,
    /// How much its wall clock is ahead, in milliseconds.
    ahead_ms: i64,
}

struct Simulation<'a, S: Scheme> {
    plan: &'a Plan,
    make: &'a dyn Fn(Place) -> S,
    rng: ChaCha8Rng,
    now: Duration,
    events: BTreeMap<(Duration, u64), Event<S::Message>>,
    event_count: u64,
    nodes: Vec<SimulatedNode<S>>,
    /// One-way links that lose everything: from, to.
    cut: BTreeSet<(usize, usize)>,
    history: Builder,
    /// Ops in flight by number: the thread, the function, its key and argument.
    in_flight: BTreeMap<u64, (usize, &'static str, i64, Value)>,
    process_of: Vec<i64>,
    last_process: i64,
    last_value: i64,
    /// The last values seen, for cas to compare with.
    seen: i64,
    ops: u64,
}

impl<'a, S: Scheme> Simulation<'a, S> {
    fn new(plan: &'a Plan, make: &'a dyn Fn(Place) -> S) -> Simulation<'a, S> {
        let node = |index| SimulatedNode {
            place: Place { index, nodes: plan.nodes, boot: 0 },
            scheme: None,
            disk: Vec::new(),
            started: Duration::ZERO,
            paused: false,
            dies_in_turn: false,
            backlog: Vec::new(),
            waiting: BTreeMap::new(),
            last_ticket: 0,
            ahead_ms: 0,
        };
        Simulation {
            plan,
            make,
            rng: ChaCha8Rng::seed_from_u64(plan.seed),
            now: Duration::ZERO,
            events: BTreeMap::new(),
            event_count: 0,
            nodes: (0..plan.nodes).map(node).collect(),
            cut: BTreeSet::new(),
            history: Builder::new(),
            in_flight: BTreeMap::new(),
            process_of: (0..plan.threads as i64).collect(),
            last_process: plan.threads as i64 - 1,
            last_value: 0,
            seen: 0,
            ops: 0,
        }
    }

    fn run(mut self) -> History {
        for node in 0..self.plan.nodes {
            self.start(node);
        }
        for thread in 0..self.plan.threads {
            self.after(Duration::from_micros(thread as u64), Event::Ask { thread });
        }
        self.plan_fault();
        while let Some(((now, _), event)) = self.events.pop_first() {
            self.now = now;
            if now > self.plan.time + 2 * OP_TIMEOUT {
                break;
            }
            self.happen(event);
        }
        self.history.finish()
    }

    fn after(&mut self, delay: Duration, event: Event<S::Message>) {
        self.event_count += 1;
        self.events.insert((self.now + delay, self.event_count), event);
    }

    fn happen(&mut self, event: Event<S::Message>) {
        let node = match event {
            Event::Call { node, .. } | Event::Message { to: node, .. } | Event::Tick { node, .. } => node,
            Event::Ask { thread } => return self.ask(thread),
            Event::Answer { op, answer } => return self.answered(op, Some(answer)),
            Event::Timeout { op } => return self.answered(op, None),
            Event::Fault => return self.fault(),
            Event::Restart { node } => return self.restart(node),
        };
        if self.nodes[node].paused {
            self.nodes[node].backlog.push(event);
        } else {
            self.turn(node, event);
        }
    }

    /// One event at a running node, or at one that is down.
    fn turn(&mut self, index: usize, event: Event<S::Message>) {
        let node = &mut self.nodes[index];
        let Some(scheme) = &mut node.scheme else {
            // Refused at once: nothing was sent.
            if let Event::Call { op, .. } = event {
                self.answered(op, Some(Answer::Fail(super::protocol::Refusal::Busy)));
            }
            return;
        };
        let wall_ms = self.now.as_millis() as i64 + node.ahead_ms;
        let mut turn = Turn::new(index, self.now.saturating_sub(node.started)).at(wall_ms);
        match event {
            Event::Call { op, call, .. } => {
                node.last_ticket += 1;
                node.waiting.insert(Ticket(node.last_ticket), op);
                scheme.call(Ticket(node.last_ticket), call, &mut turn);
            }
            Event::Message { from, message, .. } => scheme.receive(from, message, &mut turn),
            Event::Tick { boot, .. } if boot == node.place.boot => {
                scheme.tick(&mut turn);
                self.after(TICK, Event::Tick { node: index, boot });
            }
            _ => return,
        }
        self.finish(index, turn);
    }

    fn finish(&mut self, index: usize, mut turn: Turn<S>) {
        let node = &mut self.nodes[index];
        let Some(scheme) = &mut node.scheme else { return };
        turn.deliver_to_self(scheme);
        let mut records: Vec<String> = turn.records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
        if node.dies_in_turn && !records.is_empty() {
            records.truncate(self.rng.random_range(0..=records.len()));
            node.disk.extend(records);
            return self.kill(index);
        }
        node.disk.extend(records);
        for (ticket, answer) in turn.answers {
            let op = node.waiting.remove(&ticket).expect("every ticket is answered once");
            let delay = Duration::from_micros(self.rng.random_range(10..200));
            self.event_count += 1;
            self.events.insert((self.now + delay, self.event_count), Event::Answer { op, answer });
        }
        for (to, message) in turn.sends {
            if !self.cut.contains(&(index, to)) {
                let wire = serde_json::to_string(&message).unwrap();
                let message = serde_json::from_str(&wire).unwrap();
                let delay = delay(&mut self.rng, S::is_data(&message));
                self.after(delay, Event::Message { from: index, to, message });
            }
        }
    }

    fn start(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.scheme.is_some() {
            return;
        }
        node.place.boot += 1;
        node.started = self.now;
        let mut scheme = (self.make)(node.place);
        for record in &node.disk {
            scheme.recover(serde_json::from_str(record).unwrap());
        }
        // What a rewritten log says must be the same.
        if self.rng.random_bool(0.5) {
            node.disk = scheme.snapshot().iter().map(|record| serde_json::to_string(record).unwrap()).collect();
            scheme = (self.make)(node.place);
            for record in &node.disk {
                scheme.recover(serde_json::from_str(record).unwrap());
            }
        }
        node.scheme = Some(scheme);
        let boot = node.place.boot;
        self.after(Duration::ZERO, Event::Tick { node: index, boot });
    }

    /// The connections of its clients break, and what waited for it is lost.
    fn kill(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.scheme = None;
        node.dies_in_turn = false;
        node.paused = false;
        let mut lost: Vec<u64> = std::mem::take(&mut node.waiting).into_values().collect();
        for event in std::mem::take(&mut node.backlog) {
            if let Event::Call { op, .. } = event {
                lost.push(op);
            }
        }
        for op in lost {
            self.answered(op, None);
        }
    }

    fn resume(&mut self, index: usize) {
        self.nodes[index].paused = false;
        for event in std::mem::take(&mut self.nodes[index].backlog) {
            self.after(Duration::ZERO, event);
        }
    }

    fn ask(&mut self, thread: usize) {
        if self.now > self.plan.time {
            return;
        }
        self.ops += 1;
        let op = self.ops;
        let key = op as i64 / self.plan.ops_per_key;
        let draw = self.rng.random_range(0..10);
        let value = self.last_value + 1;
        let (f, argument, call) = if draw < self.plan.mix[0] {
            ("read", Value::Nil, Call::Read { key })
        } else if draw < self.plan.mix[0] + self.plan.mix[1] {
            ("write", Value::Int(value), Call::Write { key, value })
        } else {
            ("cas", Value::pair(self.seen, value), Call::Cas { key, old: self.seen, new: value })
        };
        if f != "read" {
            self.last_value = value;
        }
        let process = self.process_of[thread];
        self.record(process, Kind::Invoke, f, &Value::pair(key, argument.clone()));
        self.in_flight.insert(op, (thread, f, key, argument));
        let node = thread % self.plan.nodes;
        let delay = Duration::from_micros(self.rng.random_range(10..200));
        self.after(delay, Event::Call { node, op, call });
        self.after(OP_TIMEOUT, Event::Timeout { op });
    }

    /// An op ends; `None` if its outcome is unknown. No harm if it has ended before.
    fn answered(&mut self, op: u64, answer: Option<Answer>) {
        let Some((thread, f, key, argument)) = self.in_flight.remove(&op) else { return };
        let process = self.process_of[thread];
        let (kind, result) = match answer {
            Some(Answer::Ok(value)) if f == "read" => (Kind::Ok, value.as_i64().into()),
            Some(Answer::Ok(_)) => (Kind::Ok, argument),
            Some(Answer::Fail(_)) => (Kind::Fail, argument),
            Some(Answer::Info(_)) | None => (Kind::Info, argument),
        };
        if let (Kind::Ok, "read", Value::Int(value)) = (kind, f, &result) {
            self.seen = *value;
        }
        self.record(process, kind, f, &Value::pair(key, result));
        if kind == Kind::Info {
            self.last_process += 1;
            self.process_of[thread] = self.last_process;
        }
        let rest = if kind == Kind::Fail { Duration::from_millis(10) } else { Duration::from_micros(self.rng.random_range(1..500)) };
        self.after(rest, Event::Ask { thread });
    }

    fn record(&mut self, process: i64, kind: Kind, f: &str, value: &Value) {
        self.history.event(process, kind, f, value, self.now.as_nanos() as i64);
    }

    fn plan_fault(&mut self) {
        if let Some(gap) = self.plan.fault_gap {
            let gap = gap.mul_f64(self.rng.random_range(0.0..2.0));
            self.after(gap, Event::Fault);
        }
    }

    fn fault(&mut self) {
        let node = self.rng.random_range(0..self.plan.nodes);
        let clocks_ms = self.plan.clocks.as_millis() as i64;
        if clocks_ms > 0 {
            self.nodes[node].ahead_ms = self.rng.random_range(-clocks_ms..=clocks_ms);
        }
        match self.rng.random_range(0..12) {
            0 => self.kill(node),
            1 => self.nodes[node].dies_in_turn = true,
            2 => self.nodes[node].paused = self.nodes[node].scheme.is_some(),
            3 => self.cut_halves(),
            4 => {
                // One way only.
                let deaf = self.rng.random_range(0..self.plan.nodes);
                self.cut.insert((node, deaf));
            }
            5 => self.cut.clear(),
            6 => (0..self.plan.nodes).for_each(|node| self.resume(node)),
            7 => (0..self.plan.nodes).for_each(|node| self.start(node)),
            8 => (0..self.plan.nodes).for_each(|node| self.restart(node)),
            9 => {
                // Lives so short that each asks its first questions while those of the one before are still being answered.
                for _ in 0..8 {
                    let when = Duration::from_micros(self.rng.random_range(0..50_000));
                    self.after(when, Event::Restart { node });
                }
            }
            _ => self.heal(),
        }
        self.plan_fault();
    }

    fn restart(&mut self, node: usize) {
        self.kill(node);
        self.start(node);
    }

    fn heal(&mut self) {
        self.cut.clear();
        for node in 0..self.plan.nodes {
            self.resume(node);
            self.start(node);
        }
    }

    fn cut_halves(&mut self) {
        let side: Vec<bool> = (0..self.plan.nodes).map(|_| *[false, true].choose(&mut self.rng).unwrap()).collect();
        for from in 0..self.plan.nodes {
            self.cut.extend((0..self.plan.nodes).filter(|&to| side[from] != side[to]).map(|to| (from, to)));
        }
    }
}

//! Random histories: an object that does each call at a random moment, and lies now and then.

use super::definition::{Interval, Object, State};
use histories::{Builder, History, Kind, OpId, Value};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

struct Open {
    interval: Interval,
    /// What it returned, once the object did it.
    result: Option<Value>,
}

struct Simulation<'o> {
    object: &'o Object,
    rng: ChaCha8Rng,
    builder: Builder,
    events: usize,
    history: Vec<State>,
    open: Vec<Open>,
    done: Vec<Interval>,
    calls: Vec<(&'static str, Value)>,
    unique: bool,
    crash: f64,
    honest: f64,
}

/// A history of up to so many ops, its ops, and what shaped it.
pub(crate) fn history(object: &Object, seed: u64) -> (History, Vec<Interval>, String) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (ops, processes) = (rng.random_range(1..=object.most_ops), rng.random_range(1..=4usize));
    let unique = rng.random_bool(0.6);
    let crash = *[0.0, 0.0, 0.1, 0.3].choose(&mut rng).unwrap();
    let honest = *[0.3, 0.8, 0.9, 0.95, 1.0].choose(&mut rng).unwrap();
    let start = object.starts[0].clone();
    let simulation = Simulation {
        object,
        rng,
        builder: Builder::new(),
        events: 0,
        history: vec![start],
        open: Vec::new(),
        done: Vec::new(),
        calls: object.calls.clone(),
        unique,
        crash,
        honest,
    };
    let (history, done) = simulation.run(ops, processes);
    (history, done, format!("{ops} ops, {processes} processes, unique {unique}, crash {crash}, honest {honest}"))
}

impl Simulation<'_> {
    fn run(mut self, ops: u32, processes: usize) -> (History, Vec<Interval>) {
        let mut invoked = 0;
        for _ in 0..20 * ops {
            match self.rng.random_range(0..3) {
                0 if self.open.len() < processes && invoked < ops && !self.calls.is_empty() => {
                    invoked += u32::from(self.invoke(invoked));
                }
                1 => self.act(),
                _ => self.complete(),
            }
        }
        let open = std::mem::take(&mut self.open);
        self.done.extend(open.into_iter().map(|open| open.interval));
        self.done.sort_by_key(|interval| interval.id);
        (self.builder.finish(), self.done)
    }

    fn process(&self, number: u32, input: &Value) -> i64 {
        if self.object.by_process { input.as_int().unwrap() } else { number.into() }
    }

    /// Whether a call could be made.
    fn invoke(&mut self, number: u32) -> bool {
        let which = self.rng.random_range(0..self.calls.len());
        let (f, input) = self.calls[which].clone();
        if self.object.by_process && self.open.iter().any(|open| open.interval.input == input) {
            return false;
        }
        // What puts a value in is called once if values are unique.
        if self.unique && input != Value::Nil && !self.object.by_process {
            self.calls.swap_remove(which);
        }
        self.builder.event(self.process(number, &input), Kind::Invoke, f, &input, 0);
        let interval = Interval { id: OpId(number), f, input, output: None, call: self.events, ret: usize::MAX };
        self.open.push(Open { interval, result: None });
        self.events += 1;
        true
    }

    /// The object does one of the open calls.
    fn act(&mut self) {
        let waiting: Vec<usize> = (0..self.open.len()).filter(|&i| self.open[i].result.is_none()).collect();
        let Some(&i) = waiting.choose(&mut self.rng) else { return };
        let interval = &self.open[i].interval;
        let state = self.history.last().unwrap();
        let outcomes = (self.object.outcomes)(state, interval.f, &interval.input);
        // Of many (tokens, revisions) the first few: those to come are not used up.
        if let Some((output, next)) = outcomes[..outcomes.len().min(4)].choose(&mut self.rng) {
            self.open[i].result = Some(output.clone());
            self.history.push(next.clone());
        }
    }

    fn complete(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let i = self.rng.random_range(0..self.open.len());
        let (honest, crash) = (self.rng.random_bool(self.honest), self.rng.random_bool(self.crash));
        if honest && !crash && self.open[i].result.is_none() {
            return; // An honest object has to do it first.
        }
        let lie = self.lie(i);
        let Open { mut interval, result } = self.open.swap_remove(i);
        let process = self.process(interval.id.0, &interval.input);
        let output = result.filter(|_| honest).or(lie).filter(|_| !crash);
        if let Some(output) = &output {
            self.builder.event(process, Kind::Ok, interval.f, output, 0);
            interval.ret = self.events;
        } else {
            self.builder.event(process, Kind::Info, interval.f, &Value::Nil, 0);
            // A process does not go on after an unknown outcome.
            self.calls.retain(|call| !self.object.by_process || call.1 != interval.input);
        }
        self.events += 1;
        interval.output = output;
        self.done.push(interval);
    }

    /// What the object would have returned at another time, or what any act returns.
    fn lie(&mut self, open: usize) -> Option<Value> {
        let interval = &self.open[open].interval;
        let state = self.history.choose(&mut self.rng)?;
        let earlier = (self.object.outcomes)(state, interval.f, &interval.input);
        let acts = self.object.acts.iter().filter(|act| act.0 == interval.f && act.1 == interval.input);
        let any: Vec<Value> = acts.map(|act| act.2.clone()).chain(earlier.into_iter().take(4).map(|outcome| outcome.0)).collect();
        any.choose(&mut self.rng).cloned()
    }
}

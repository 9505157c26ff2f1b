//! A run as the page looks at it: one axis of time, the ops of each key, the nodes.

use crate::render::terminal;
use crate::run::Run;
use crate::timeline::FaultWindow;
use checker::describe;
pub(super) use checker::text::seconds_to as seconds;
use checker::verdict::Summary;
use checker::{Answer, Consistency, KeyVerdict};
use histories::history::NO_EVENT;
use histories::{History, OpId, Outcome};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What every section reads. Computed once per page.
pub(super) struct View<'a> {
    /// The run.
    pub(super) run: &'a Run,
    /// Whether the recording has times. If not, the position of an event stands for its time: see [`View::at`].
    pub(super) timed: bool,
    /// The first and the last moment of the recording on the page's axis, faults included.
    pub(super) span: (i64, i64),
    /// The ops of each key, in the order of `run.verdict.keys`.
    pub(super) key_ops: Vec<Vec<OpId>>,
    /// All nodes that the run names: those of the test in their order, then others by name.
    pub(super) nodes: Vec<String>,
    /// What the ops of counter-examples are called in them.
    named: HashMap<OpId, Named>,
    has_lines: bool,
    origin_ns: i64,
}

/// What an op is called in the counter-example that it is part of: see [`describe::Names`].
struct Named {
    label: String,
    number: Option<usize>,
    decimals: usize,
}

/// The decimals of seconds where no order depends on them.
const DECIMALS: usize = 3;

/// Where there are no times, one event after the other counts as one millisecond: charts and pictures then work alike.
const EVENT_NS: i64 = 1_000_000;

/// Times beyond this are no times since the start of a run but since 1970, and count from the first event.
const SINCE_START_NS_MAX: i64 = 10 * 365 * 86_400 * 1_000_000_000;

impl<'a> View<'a> {
    /// Looks at a run. Linear in its events.
    pub(super) fn new(run: &'a Run) -> View<'a> {
        let history = &run.history;
        let timed = !history.ops().is_empty() && client_events(history).all(|event| history.time(event).is_some());
        let has_lines = !history.is_empty() && (0..history.len() as u32).all(|event| history.line(event) > 0);
        let mut view =
            View { run, timed, span: (0, 0), key_ops: key_ops(run), nodes: nodes(run), named: named(run), has_lines, origin_ns: 0 };
        let (first, last) = view.extent();
        if timed && last > SINCE_START_NS_MAX {
            view.origin_ns = first;
        }
        view.span = ((first - view.origin_ns).min(0), (last - view.origin_ns).max(1));
        view
    }

    /// The first and the last moment of ops and faults, on the recording's own clock.
    fn extent(&self) -> (i64, i64) {
        let events = client_events(&self.run.history).map(|event| self.at(event));
        let faults = self.faults().iter().flat_map(|w| [Some(w.from_ns), w.to_ns]).flatten();
        let (first, last) = events.chain(faults).fold((i64::MAX, i64::MIN), |(low, high), at| (low.min(at), high.max(at)));
        if first <= last { (first, last) } else { (0, 0) }
    }

    /// The recording.
    pub(super) fn history(&self) -> &'a History {
        &self.run.history
    }

    /// The moment of an event on the page's axis: nanoseconds since the start of the run.
    pub(super) fn at(&self, event: u32) -> i64 {
        match self.history().time(event) {
            Some(ns) if self.timed => ns - self.origin_ns,
            _ => i64::from(event) * EVENT_NS,
        }
    }

    /// A moment of the run's clock on the page's axis.
    pub(super) fn moment(&self, run_ns: i64) -> i64 {
        run_ns - self.origin_ns
    }

    /// Whether times were moved so that the first event is at zero.
    pub(super) fn shifted(&self) -> bool {
        self.origin_ns != 0
    }

    /// The faults that can be placed on the axis: all of them, or none where the recording has no times.
    pub(super) fn faults(&self) -> &'a [FaultWindow] {
        if self.timed { &self.run.windows } else { &[] }
    }

    /// A moment in words: `3.631 s`, or the event's position.
    pub(super) fn moment_text(&self, at: i64, decimals: usize) -> String {
        let number = self.moment_number(at, decimals);
        if self.timed { format!("{number} s") } else { format!("{} {number}", self.unit()) }
    }

    /// A moment as a bare number for axes and tables: `3.631`, or the event's position.
    pub(super) fn moment_number(&self, at: i64, decimals: usize) -> String {
        if self.timed {
            return seconds(at, decimals);
        }
        let event = (at / EVENT_NS).clamp(0, self.history().len().saturating_sub(1) as i64) as u32;
        if self.has_lines { self.history().line(event).to_string() } else { event.to_string() }
    }

    /// The decimals of seconds that an op's times need in the counter-example that it is part of.
    pub(super) fn decimals(&self, op: OpId) -> usize {
        self.named.get(&op).map_or(DECIMALS, |named| named.decimals)
    }

    /// What an op is called in the counter-example that it is part of, and its number if it shares its label.
    pub(super) fn label_and_number(&self, op: OpId) -> Option<(&str, Option<usize>)> {
        self.named.get(&op).map(|named| (named.label.as_str(), named.number))
    }

    /// What the numbers of an axis count: seconds, or lines or events where the recording has no times.
    pub(super) fn unit(&self) -> &'static str {
        match (self.timed, self.has_lines) {
            (true, _) => "second",
            (false, true) => "line",
            (false, false) => "event",
        }
    }

    /// The start of an op; its completion where no invocation was recorded.
    pub(super) fn start(&self, op: OpId) -> i64 {
        self.at(self.history().first_event(self.history().op(op)))
    }

    /// The end of an op, if it has one: the moment a client gave up is none.
    pub(super) fn end(&self, op: OpId) -> Option<i64> {
        self.end_event(op).map(|event| self.at(event))
    }

    /// The event that ends an op; `None` for unknown outcomes.
    pub(super) fn end_event(&self, op: OpId) -> Option<u32> {
        let history = self.history();
        let op = history.op(op);
        (history.outcome(op) != Outcome::Info).then_some(op.complete)
    }

    /// The moment from which the client waited no longer, for charts of latency: also that of unknown outcomes.
    pub(super) fn gave_up(&self, op: OpId) -> Option<i64> {
        let op = self.history().op(op);
        (op.complete != NO_EVENT && op.invoke != NO_EVENT).then(|| self.at(op.complete))
    }

    /// How an op ended.
    pub(super) fn outcome(&self, op: OpId) -> Outcome {
        self.history().outcome(self.history().op(op))
    }

    /// The node of an op's process.
    pub(super) fn node(&self, op: OpId) -> Option<&'a str> {
        let history = self.history();
        history.node(history.op_process(history.op(op)))
    }

    /// The process of an op, by its name in the file.
    pub(super) fn process(&self, op: OpId) -> String {
        let history = self.history();
        history.values.display(history.process_name(history.op_process(history.op(op))))
    }

    /// A key as a heading names it: `key 7`; `the object` in a history of one; `all keys together` where no key is judged alone.
    pub(super) fn key_name(&self, key: &KeyVerdict) -> String {
        match key.key {
            Some(id) => format!("key {}", super::text::shorten(&self.history().values.display(id))),
            None if self.keyed() => "all keys together".into(),
            None => "the object".into(),
        }
    }

    /// Whether each key has an answer of its own.
    pub(super) fn is_by_key(&self) -> bool {
        self.run.verdict.is_per_key()
    }

    /// The consistency model.
    pub(super) fn consistency(&self) -> Consistency {
        self.run.consistency
    }

    /// The keys with an answer, each with its position in the verdict.
    pub(super) fn keys(&self, answer: Summary) -> impl Iterator<Item = (usize, &'a KeyVerdict)> {
        self.run.verdict.keys.iter().enumerate().filter(move |(_, key)| key.answer.summary() == answer)
    }

    /// Whether ops carry keys.
    pub(super) fn keyed(&self) -> bool {
        self.run.verdict.keyed
    }
}

fn client_events(history: &History) -> impl Iterator<Item = u32> + '_ {
    history.ops().iter().flat_map(|op| [op.invoke, op.complete]).filter(|&event| event != NO_EVENT)
}

/// The client ops under each key of the verdict.
fn key_ops(run: &Run) -> Vec<Vec<OpId>> {
    let keys = &run.verdict.keys;
    if let [only] = keys.as_slice()
        && only.key.is_none()
    {
        return vec![run.history.op_ids().collect()];
    }
    let places: HashMap<_, usize> = keys.iter().enumerate().filter_map(|(i, key)| Some((key.key?, i))).collect();
    let mut ops = vec![Vec::new(); keys.len()];
    for op in run.history.op_ids() {
        if let Some(&place) = describe::key(&run.history, run.verdict.keyed, op).and_then(|key| places.get(&key)) {
            ops[place].push(op);
        }
    }
    ops
}

fn named(run: &Run) -> HashMap<OpId, Named> {
    let proofs = run.verdict.keys.iter().filter_map(|key| match &key.answer {
        Answer::Invalid(proof) => Some(proof),
        Answer::Valid(_) | Answer::Unknown(_) => None,
    });
    let mut named = HashMap::new();
    for proof in proofs {
        let names = terminal::names(run, proof);
        let of = |op| Named { label: names.label(op), number: names.number(op), decimals: names.decimals() };
        named.extend(proof.core.iter().map(|&op| (op, of(op))));
    }
    named
}

fn nodes(run: &Run) -> Vec<String> {
    let mut nodes: Vec<String> = run.test.iter().flat_map(|test| test.nodes.iter().map(|node| node.name.clone())).collect();
    let known: BTreeSet<String> = nodes.iter().cloned().collect();
    let clients = (0..run.history.process_count() as u32).filter_map(|p| run.history.node(histories::Process(p))).map(String::from);
    let hurt = run.windows.iter().flat_map(|window| window.nodes.iter().cloned());
    let others: BTreeMap<(usize, String), String> = clients.chain(hurt).map(|name| ((name.len(), name.clone()), name)).collect();
    nodes.extend(others.into_values().filter(|name| !known.contains(name)));
    nodes
}

//! What a history holds, in numbers.

use crate::history::{History, NO_EVENT, Outcome};
use crate::keyed::Keys;
use serde::Serialize;

/// The numbers of one history. Ops are those of clients; the nemesis has events only.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stat {
    /// The format it was read from.
    pub format: &'static str,
    /// Events, the nemesis's included.
    pub events: usize,
    /// Events of the nemesis.
    pub nemesis_events: usize,
    /// Client ops.
    pub ops: usize,
    /// Client ops that certainly took effect.
    pub ok: usize,
    /// Client ops that certainly did not.
    pub fail: usize,
    /// Client ops of unknown outcome, the unfinished ones included.
    pub info: usize,
    /// Client ops without a completion: the file ends before it.
    pub unfinished: usize,
    /// Client processes. Each op of unknown outcome ends one.
    pub processes: usize,
    /// The most ops in flight at once; one of unknown outcome is in flight until its `info`.
    pub concurrency: usize,
    /// The same if ops of unknown outcome stay in flight for ever, as they do for a checker.
    pub concurrency_with_crashed: usize,
    /// Independent keys; `None` if the history has none.
    pub keys: Option<usize>,
    /// Why the history is taken to have keys, or none.
    pub keyed_because: String,
    /// Nanoseconds from the earliest to the latest time, if the file has times.
    pub span_ns: Option<i64>,
    /// Events that no client can have produced.
    pub misuses: usize,
    /// By function, in order of first appearance.
    pub functions: Vec<FunctionStat>,
}

/// The ops of one function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FunctionStat {
    /// Its name.
    pub f: String,
    /// Ops that took effect.
    pub ok: usize,
    /// Ops that did not.
    pub fail: usize,
    /// Ops of unknown outcome, the unfinished ones included.
    pub info: usize,
    /// Ops without a completion.
    pub unfinished: usize,
}

impl Stat {
    /// Counts a history. `keyed` overrules the guess whether values are `[key value]` pairs. O(events).
    pub fn of(history: &History, keyed: Option<bool>) -> Stat {
        let keys = Keys::split(history, keyed);
        let functions = functions(history);
        let sum = |count: fn(&FunctionStat) -> usize| functions.iter().map(count).sum();
        let (concurrency, concurrency_with_crashed) = concurrency(history);
        let processes = (0..history.process_count() as u32).filter(|&p| history.is_client(crate::Process(p))).count();
        Stat {
            format: history.meta.format,
            events: history.len(),
            nemesis_events: history.nemesis_events().count(),
            ops: history.ops().len(),
            ok: sum(|f| f.ok),
            fail: sum(|f| f.fail),
            info: sum(|f| f.info),
            unfinished: sum(|f| f.unfinished),
            processes,
            concurrency,
            concurrency_with_crashed,
            keys: keys.is_keyed().then(|| keys.groups().len()),
            keyed_because: keys.reason().into(),
            span_ns: span(history),
            misuses: history.misuses().len(),
            functions,
        }
    }
}

/// Counts ops by function, in order of first appearance. O(ops).
pub fn functions(history: &History) -> Vec<FunctionStat> {
    let mut counts: Vec<FunctionStat> = Vec::new();
    let mut places: Vec<Option<usize>> = vec![None; history.names().len()];
    for &op in history.ops() {
        let f = history.op_function(op);
        let place = *places[f as usize].get_or_insert_with(|| {
            counts.push(FunctionStat { f: history.name(f).into(), ..FunctionStat::default() });
            counts.len() - 1
        });
        let count = &mut counts[place];
        match history.outcome(op) {
            Outcome::Ok => count.ok += 1,
            Outcome::Fail => count.fail += 1,
            Outcome::Info => count.info += 1,
        }
        count.unfinished += usize::from(op.complete == NO_EVENT);
    }
    counts
}

/// The most ops in flight at once: until their completion, and until an answer that says what came of them.
fn concurrency(history: &History) -> (usize, usize) {
    let mut answered = vec![None; history.len()];
    let mut invoked = vec![false; history.len()];
    for &op in history.ops().iter().filter(|op| op.invoke != NO_EVENT) {
        invoked[op.invoke as usize] = true;
        if op.complete != NO_EVENT {
            answered[op.complete as usize] = Some(history.outcome(op));
        }
    }
    let (mut live, mut open, mut live_max, mut open_max) = (0_usize, 0_usize, 0, 0);
    for (invoked, answered) in invoked.into_iter().zip(answered) {
        live = live + usize::from(invoked) - usize::from(answered.is_some());
        open = open + usize::from(invoked) - usize::from(matches!(answered, Some(Outcome::Ok | Outcome::Fail)));
        live_max = live_max.max(live);
        open_max = open_max.max(open);
    }
    (live_max, open_max)
}

fn span(history: &History) -> Option<i64> {
    let mut times = (0..history.len() as u32).filter_map(|event| history.time(event));
    let first = times.next()?;
    let (min, max) = times.fold((first, first), |(min, max), time| (min.min(time), max.max(time)));
    max.checked_sub(min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Kind, Value};

    #[test]
    fn counts_ops_and_what_overlaps() {
        let mut b = Builder::new();
        b.event(0, Kind::Invoke, "write", &Value::Int(1), 50);
        b.event(1, Kind::Invoke, "read", &Value::Nil, 10);
        b.event(0, Kind::Info, "write", &Value::Int(1), 60);
        b.event(1, Kind::Ok, "read", &Value::Int(1), 70);
        b.event(1, Kind::Invoke, "write", &Value::Int(2), 80);
        b.event(2, Kind::Invoke, "read", &Value::Nil, 90);
        b.event(1, Kind::Fail, "write", &Value::Int(2), 95);
        let stat = Stat::of(&b.finish(), None);
        assert_eq!((stat.ops, stat.ok, stat.fail, stat.info, stat.unfinished), (4, 1, 1, 2, 1));
        assert_eq!((stat.concurrency, stat.concurrency_with_crashed), (2, 3));
        assert_eq!((stat.processes, stat.keys, stat.span_ns), (3, None, Some(85)));
        let write = FunctionStat { f: "write".into(), ok: 0, fail: 1, info: 1, unfinished: 0 };
        assert_eq!(stat.functions[0], write);
    }

    #[test]
    fn an_empty_history_is_all_zeros() {
        let stat = Stat::of(&Builder::new().finish(), None);
        assert_eq!((stat.events, stat.ops, stat.concurrency, stat.span_ns), (0, 0, 0, None));
    }
}

//! Ops, processes and explanations as text: in the same words wherever they are shown.

mod names;

use crate::text::seconds_to;
use histories::{History, OpId, Outcome, ValueId};

pub use names::{Names, elide};

/// The key of an op, if the history has independent keys and this op's value is a pair.
pub fn key(history: &History, keyed: bool, op: OpId) -> Option<ValueId> {
    let op = history.op(op);
    let pair = |value| history.values.as_pair(value);
    keyed.then(|| pair(history.input(op)).or_else(|| history.output(op).and_then(pair))).flatten().map(|(key, _)| key)
}

/// What an op was called with, its key taken off.
pub fn input(history: &History, keyed: bool, op: OpId) -> ValueId {
    without_key(history, keyed, history.input(history.op(op)))
}

/// What an op returned, its key taken off, if it ended `ok`.
pub fn output(history: &History, keyed: bool, op: OpId) -> Option<ValueId> {
    history.output(history.op(op)).map(|value| without_key(history, keyed, value))
}

fn without_key(history: &History, keyed: bool, value: ValueId) -> ValueId {
    if keyed { history.values.as_pair(value).map_or(value, |(_, rest)| rest) } else { value }
}

/// An op in a few characters: `w 66`, `r→66`, `cas 1→2`, `append "x"`, `dequeue→3`.
pub fn label(history: &History, keyed: bool, op: OpId) -> String {
    let f = history.name(history.op_function(history.op(op)));
    let value = |id| history.values.display(id);
    let input = input(history, keyed, op);
    match (f, history.values.as_pair(input), output(history, keyed, op)) {
        ("read" | "get", _, Some(result)) => format!("r→{}", value(result)),
        ("read" | "get", _, None) => "r".into(),
        ("write" | "put", _, _) => format!("w {}", value(input)),
        ("cas", Some((old, new)), _) => format!("cas {}→{}", value(old), value(new)),
        (_, _, Some(result)) if result != input && !result.is_nil() && input.is_nil() => format!("{f}→{}", value(result)),
        (_, _, Some(result)) if result != input && !result.is_nil() => format!("{f} {}→{}", value(input), value(result)),
        _ if input.is_nil() => f.into(),
        _ => format!("{f} {}", value(input)),
    }
}

/// The process of an op and its node, where the history says so: `process 34 on n5`.
pub fn who(history: &History, op: OpId) -> String {
    let process = history.op_process(history.op(op));
    let name = history.values.display(history.process_name(process));
    match history.node(process) {
        Some(node) => format!("process {name} on {node}"),
        None => format!("process {name}"),
    }
}

/// The time of an op's invocation in nanoseconds, if known.
pub fn invoked(history: &History, op: OpId) -> Option<i64> {
    let op = history.op(op);
    (op.invoke != histories::history::NO_EVENT).then(|| history.time(op.invoke)).flatten()
}

/// The time of an op's completion in nanoseconds. `None` for ops of unknown outcome: the moment a client gave up means nothing.
pub fn completed(history: &History, op: OpId) -> Option<i64> {
    let op = history.op(op);
    (history.outcome(op) != Outcome::Info).then(|| history.time(op.complete)).flatten()
}

/// A moment in words: `3.631 s`; where the file has no times, the line or the event.
fn moment(history: &History, time: Option<i64>, event: u32, decimals: usize) -> String {
    match time {
        Some(ns) => format!("{} s", seconds_to(ns, decimals)),
        None if event == histories::history::NO_EVENT => "an unknown time".into(),
        None if history.line(event) > 0 => format!("line {}", history.line(event)),
        None => format!("event {event}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Words;
    use histories::{Builder, Kind, Value};

    #[test]
    fn ops_in_a_few_characters() {
        let mut b = Builder::new();
        let n1 = b.values().int(0);
        b.node(n1, "n1");
        for (f, input, output) in [
            ("write", Value::Int(66), Value::Int(66)),
            ("read", Value::Nil, Value::Int(66)),
            ("cas", Value::pair(1, 2), Value::pair(1, 2)),
            ("dequeue", Value::Nil, Value::Int(3)),
            ("acquire", Value::Nil, Value::Nil),
        ] {
            b.event(0, Kind::Invoke, f, &Value::pair(7, input), 1_000_000);
            b.event(0, Kind::Ok, f, &Value::pair(7, output), 2_000_000);
        }
        let h = b.finish();
        let labels: Vec<String> = h.op_ids().map(|op| label(&h, true, op)).collect();
        assert_eq!(labels, ["w 66", "r→66", "cas 1→2", "dequeue→3", "acquire"]);
        assert_eq!(key(&h, true, OpId(0)), histories::ValueId::small_int(7));
        let words = [Words::Who(OpId(1)), Words::Text(" read at ".into()), Words::Completed(OpId(1))];
        let names = Names::new(&h, true, &[OpId(0), OpId(1)]);
        assert_eq!(names.text(&words), "process 0 on n1 read at 0.002 s");
        assert_eq!(names.sentence(&words), "Process 0 on n1 read at 0.002 s");
        assert_eq!(names.sentence(&[Words::Op(OpId(0)), Words::Text(" was first.".into())]), "w 66 was first.");
    }
}

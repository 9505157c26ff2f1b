//! Whether a history says anything at all: what nothing could contradict is no evidence that a store keeps its word.
//!
//! One op that ended ok and says something is asked for, not one of each function. A write says something, and so does a read
//! that returned a value. A read of nothing (`nil`, an empty collection, zero, the initial value) does not: a store that is
//! switched off could have answered that.

use checker::describe;
use histories::{History, OpId, Outcome, Value, ValueId, View};

/// Functions that only look. Their results count, not that they ended.
const LOOKS: [&str; 6] = ["read", "get", "contains", "member", "peek", "r"];

/// Functions that take something away, if something is there.
const TAKES: [&str; 7] = ["dequeue", "pop", "poll", "delete-min", "take", "pop_front", "pop_back"];

/// Why no op of a history says anything, in a sentence; `None` if one does. `keyed`: values are pairs of a key and a value.
pub fn lack(history: &History, keyed: bool, initial: Option<&Value>) -> Option<String> {
    let ops = history.ops();
    let ended = |outcome| ops.iter().filter(|&&op| history.outcome(op) == outcome).count();
    if ops.is_empty() {
        return Some("the history holds no operation".into());
    }
    if ended(Outcome::Ok) == 0 {
        let (fail, info) = (ended(Outcome::Fail), ended(Outcome::Info));
        return Some(format!("no operation ended ok ({fail} fail, {info} of unknown outcome), so there is nothing to contradict"));
    }
    let says = |id: &OpId| history.outcome(history.op(*id)) == Outcome::Ok && says_something(history, keyed, initial, *id);
    (!history.op_ids().any(|id| says(&id)))
        .then(|| "every operation that ended ok only found nothing there, so there is nothing to contradict".into())
}

fn says_something(history: &History, keyed: bool, initial: Option<&Value>, id: OpId) -> bool {
    let f = history.name(history.op_function(history.op(id))).to_lowercase();
    let output = describe::output(history, keyed, id);
    let found = |value: ValueId| !is_nothing(history, initial, value);
    if f == "txn" {
        let parts = output.filter(|output| !output.is_nil()).unwrap_or_else(|| describe::input(history, keyed, id));
        let parts = history.values.elements(parts).unwrap_or_default();
        parts.iter().any(|&part| part_says_something(history, part, &found))
    } else if LOOKS.contains(&f.as_str()) {
        output.is_some_and(found)
    } else if TAKES.contains(&f.as_str()) {
        // Whatever was taken had been there, also a zero; an empty object answers nil, or an empty collection.
        output.is_some_and(|output| !output.is_nil() && history.values.elements(output).is_none_or(|all| !all.is_empty()))
    } else {
        true
    }
}

/// One read or write of a transaction: `[:r x 1]`, `[:append x 2]`.
fn part_says_something(history: &History, part: ValueId, found: &impl Fn(ValueId) -> bool) -> bool {
    match history.values.elements(part) {
        Some([f, rest @ ..]) if matches!(history.values.name(*f), "r" | "read") => rest.get(1).is_some_and(|&value| found(value)),
        Some([_, ..]) => true,
        Some([]) | None => false,
    }
}

/// What an object holds before anybody has written to it.
fn is_nothing(history: &History, initial: Option<&Value>, value: ValueId) -> bool {
    let is_initial = || {
        let (value, initial) = (history.values.get(value), initial?);
        let by_name = if let Value::Map(pairs) = initial { pairs.iter().any(|(_, held)| *held == value) } else { false };
        (*initial == value || by_name).then_some(())
    };
    match history.values.view(value) {
        View::Nil | View::Bool(false) | View::Int(0) => true,
        View::Float(number) => number == 0.0,
        View::Str(text) => text.is_empty() || is_initial().is_some(),
        // A value with its revision, of a key that is not there.
        View::Vector(&[held, revision]) if held.is_nil() && history.values.as_int(revision).is_some() => true,
        View::List(all) | View::Vector(all) | View::Set(all) | View::Map(all) => all.is_empty() || is_initial().is_some(),
        View::Bool(true) | View::Int(_) | View::Number(_) | View::Keyword(_) | View::Symbol(_) | View::Tagged(..) => is_initial().is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// The lack of an EDN history of completed ops, each its own process: function, kind, input and output.
    fn lack_of(ops: &[(&str, &str, &str, &str)], initial: &str) -> Option<String> {
        let mut text = String::new();
        for (process, (f, kind, input, output)) in ops.iter().enumerate() {
            let mut event =
                |kind: &str, value: &str| writeln!(text, "{{:process {process}, :type :{kind}, :f :{f}, :value {value}}}").unwrap();
            event("invoke", input);
            event(kind, output);
        }
        let history = histories::read_bytes(text.as_bytes(), Some(histories::Format::Edn)).unwrap();
        lack(&history, false, Some(&histories::read_value(initial).unwrap()))
    }

    #[test]
    fn what_a_store_that_is_switched_off_could_have_answered_says_nothing() {
        for (op, initial) in [
            (("write", "fail", "1", "1"), "nil"),
            (("write", "info", "1", "1"), "nil"),
            (("read", "ok", "nil", "nil"), "nil"),
            (("read", "ok", "nil", "0"), "nil"),
            (("read", "ok", "nil", "7"), "7"),
            (("read", "ok", "nil", "[]"), "nil"),
            (("read", "ok", "nil", "#{}"), "nil"),
            (("get", "ok", "nil", "\"\""), "nil"),
            (("get", "ok", "nil", "[nil 0]"), "nil"),
            (("contains", "ok", "3", "false"), "nil"),
            (("dequeue", "ok", "nil", "nil"), "nil"),
            (("txn", "ok", "[[:r x nil]]", "[[:r x nil] [:r y []]]"), "nil"),
            (("txn", "ok", "[[:r x nil]]", "[[:r x 5]]"), "{x 5}"),
        ] {
            assert!(lack_of(&[op], initial).is_some(), "{op:?}");
            assert_eq!(lack_of(&[op, ("write", "ok", "1", "1")], initial), None, "{op:?} and a write");
        }
        assert!(lack_of(&[], "nil").unwrap().contains("no operation"));
    }

    #[test]
    fn one_op_is_enough() {
        for (op, initial) in [
            (("write", "ok", "nil", "nil"), "nil"),
            (("read", "ok", "nil", "1"), "nil"),
            (("read", "ok", "nil", "#{1}"), "nil"),
            (("read", "ok", "nil", "{0 0, 1 0}"), "nil"),
            (("contains", "ok", "3", "true"), "nil"),
            (("dequeue", "ok", "nil", "0"), "nil"),
            (("acquire", "ok", "nil", "nil"), "nil"),
            (("generate", "ok", "nil", "0"), "nil"),
            (("txn", "ok", "[[:append x 1]]", "[[:append x 1]]"), "nil"),
            (("txn", "ok", "[[:r x nil]]", "[[:r x nil] [:r y [3]]]"), "nil"),
        ] {
            assert_eq!(lack_of(&[op], initial), None, "{op:?}");
        }
    }
}

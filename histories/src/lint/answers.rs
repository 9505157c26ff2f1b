//! Completions that say something else was done than was asked for.
//!
//! An op that ended `ok` did what it was called for; its completion repeats that, or says nothing (nil, `true`, an empty
//! string, a word such as "ok"), or adds to it (`[value revision]`). One that names another value, another micro-op or another
//! key, or answers `false` to an op that cannot succeed and be false, contradicts it: two ops are mixed up, or one that failed
//! is recorded as `ok`, and nobody knows which was done. Only functions that are known are judged, and of those that may return
//! what came of them (a sum, a longer string, a length) no value is.

use super::{PLACES_MAX, Report, Rule, call, told};
use crate::history::{History, NO_EVENT, Op};
use crate::value::{ValueId, Values, View};

/// What the completion of a function may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The value that was put there.
    Put,
    /// The input, or whether the element was new: sets answer an insert with that.
    Insert,
    /// The expected and the new value.
    Cas,
    /// Whatever came of it, but for false.
    Success,
    /// What is there, under the key that was asked for.
    Read,
    /// The micro-ops, what they read filled in.
    Transaction,
}

fn asked(f: &str) -> Option<Asked> {
    Some(match f.to_ascii_lowercase().as_str() {
        "write" | "put" | "enqueue" | "push" | "transfer" => Asked::Put,
        "insert" => Asked::Insert,
        "cas" | "compare-and-set" | "compare-and-swap" => Asked::Cas,
        "append" | "acquire" => Asked::Success,
        "read" | "get" | "dequeue" | "pop" => Asked::Read,
        "txn" => Asked::Transaction,
        _ => return None,
    })
}

/// The ops whose completion contradicts their invocation, with why. Linear in the size of the values that differ.
pub(super) fn contradictions(history: &History) -> impl Iterator<Item = (Op, &'static str)> + '_ {
    let functions: Vec<Option<Asked>> = history.names().iter().map(|f| asked(f)).collect();
    history.ops().iter().filter_map(move |&op| {
        let output = history.output(op).filter(|&output| !output.is_nil())?;
        if op.invoke == NO_EVENT || output == history.input(op) {
            return None;
        }
        let why = contradiction(&history.values, functions[history.op_function(op) as usize]?, history.input(op), output)?;
        Some((op, why))
    })
}

pub(super) fn lint(report: &mut Report<'_>) {
    let history = report.history;
    let mut count = 0;
    let mut places = Vec::new();
    for (op, why) in contradictions(history) {
        count += 1;
        if places.len() < PLACES_MAX {
            let asked = call(history, op.invoke, history.value(op.invoke));
            places.push((op.complete, format!("{}, after invoke {asked}: {why}", told(history, op.complete))));
        }
    }
    if count > 0 {
        let sentence = match count {
            1 => "1 op ended ok with something else than it was asked for.".into(),
            _ => format!("{count} ops ended ok with something else than they were asked for."),
        };
        report.add(Rule::AnswersSomethingElse, count, sentence, places);
    }
}

const FALSE: &str = "an op that did not succeed is a fail";
const OTHER_VALUE: &str = "another value than was asked for";
const OTHER_KEY: &str = "another key than was asked for";
const OTHER_MICRO_OPS: &str = "other micro-ops than were asked for";

fn contradiction(values: &Values, asked: Asked, input: ValueId, output: ValueId) -> Option<&'static str> {
    // Under a key: `[key value]`.
    let under_key = match (values.as_pair(input), values.as_pair(output)) {
        (Some((key, input)), Some((other, output))) if key == other => Some((input, output)),
        _ => None,
    };
    let is_false = output == ValueId::FALSE || under_key.is_some_and(|(_, output)| output == ValueId::FALSE);
    match asked {
        Asked::Read => is_under_another_key(values, input, output).then_some(OTHER_KEY),
        Asked::Transaction | Asked::Cas | Asked::Success if is_false => Some(FALSE),
        Asked::Transaction => transaction(values, input, output),
        Asked::Insert if is_false => None,
        // What was asked for may be false itself.
        Asked::Put | Asked::Insert => match under_key {
            Some((input, output)) => put(values, input, output),
            None => put(values, input, output),
        },
        Asked::Cas => match under_key {
            Some((input, output)) if values.as_pair(input).is_some() => put(values, input, output),
            _ => put(values, input, output),
        },
        Asked::Success => None,
    }
}

/// `read [1 nil]`, answered `[2 5]`.
fn is_under_another_key(values: &Values, input: ValueId, output: ValueId) -> bool {
    let is_key = |key| !key_is_composite(values, key);
    matches!((values.as_pair(input), values.as_pair(output)),
        (Some((key, ValueId::NIL)), Some((other, _))) if key != other && is_key(key) && is_key(other))
}

fn key_is_composite(values: &Values, key: ValueId) -> bool {
    matches!(values.view(key), View::Nil | View::List(_) | View::Vector(_) | View::Set(_) | View::Map(_))
}

/// Whether `output` can be no answer to an op that put `input` there.
fn put(values: &Values, input: ValueId, output: ValueId) -> Option<&'static str> {
    let holds = |whole, part| values.elements(whole).is_some_and(|elements| elements.contains(&part));
    // `[value revision]` and `[key [value revision]]`; or the key is left out.
    let adds = match (values.as_pair(input), values.as_pair(output)) {
        (Some((key, value)), Some((other, answer))) if key == other => {
            value == answer || holds(answer, value) || says_nothing(values, answer)
        }
        _ => false,
    };
    if input == output || says_nothing(values, output) || holds(output, input) || holds(input, output) || adds {
        return None;
    }
    if output == ValueId::FALSE {
        return Some(FALSE);
    }
    (kind(values, input) == kind(values, output)).then_some(OTHER_VALUE)
}

/// Whether an answer is an acknowledgement and no value.
fn says_nothing(values: &Values, answer: ValueId) -> bool {
    const WORDS: [&str; 8] = ["", "ok", "okay", "success", "true", "done", "created", "updated"];
    match values.view(answer) {
        View::Nil | View::Bool(true) => true,
        View::Str(word) | View::Keyword(word) | View::Symbol(word) => WORDS.iter().any(|other| other.eq_ignore_ascii_case(word)),
        _ => false,
    }
}

/// Values of two kinds are not compared: a revision is no other value than the text that was written.
#[derive(PartialEq, Eq)]
enum KindOfValue {
    Truth,
    Number,
    Text,
    Sequence,
    Map,
    Tagged,
}

fn kind(values: &Values, id: ValueId) -> Option<KindOfValue> {
    match values.view(id) {
        View::Nil => None,
        View::Bool(_) => Some(KindOfValue::Truth),
        View::Int(_) | View::Float(_) | View::Number(_) => Some(KindOfValue::Number),
        View::Str(_) | View::Keyword(_) | View::Symbol(_) => Some(KindOfValue::Text),
        View::List(_) | View::Vector(_) | View::Set(_) => Some(KindOfValue::Sequence),
        View::Map(_) => Some(KindOfValue::Map),
        View::Tagged(..) => Some(KindOfValue::Tagged),
    }
}

/// The micro-ops of a transaction, each against its answer.
fn transaction(values: &Values, input: ValueId, output: ValueId) -> Option<&'static str> {
    let (asked, answered) = (values.elements(input)?, values.elements(output)?);
    let of = |list: &[ValueId]| list.iter().map(|&micro_op| micro_op_of(values, micro_op)).collect::<Option<Vec<_>>>();
    let (asked, answered) = (of(asked)?, of(answered)?);
    if asked.len() != answered.len() {
        return Some(OTHER_MICRO_OPS);
    }
    asked.into_iter().zip(answered).find_map(|(asked, answered)| {
        if asked.is_read != answered.is_read || asked.key != answered.key {
            Some(OTHER_MICRO_OPS)
        } else if !asked.is_read && asked.f == answered.f {
            put(values, asked.value, answered.value)
        } else {
            (asked.f != answered.f).then_some(OTHER_MICRO_OPS)
        }
    })
}

struct MicroOp<'a> {
    f: &'a str,
    is_read: bool,
    key: ValueId,
    value: ValueId,
}

/// `[f key value]`, or `[f key]`, of a function that is known.
fn micro_op_of(values: &Values, micro_op: ValueId) -> Option<MicroOp<'_>> {
    let (f, key, value) = match *values.elements(micro_op)? {
        [f, key] => (f, key, ValueId::NIL),
        [f, key, value] => (f, key, value),
        _ => return None,
    };
    let (f, is_read) = match values.name(f) {
        "r" | "read" => ("r", true),
        "w" | "write" => ("w", false),
        "append" => ("append", false),
        _ => return None,
    };
    Some(MicroOp { f, is_read, key, value })
}

#[cfg(test)]
mod tests {
    use super::super::{Assume, Severity, lint, refusal};
    use super::*;

    fn rules(f: &str, input: &str, output: &str) -> Vec<Rule> {
        let text = format!("[0 :invoke :{f} {input}] [0 :ok :{f} {output}]");
        let history = crate::read_bytes(text.as_bytes(), Some(crate::Format::Edn)).unwrap();
        let errors = lint(&history, &Assume::default()).into_iter().filter(|finding| finding.severity == Severity::Error);
        let errors: Vec<Rule> = errors.map(|finding| finding.rule).collect();
        assert_eq!(errors.is_empty(), refusal(&history).is_none());
        errors
    }

    #[test]
    fn contradictory() {
        for (f, input, output) in [
            ("write", "1", "2"),
            ("write", "1", "1.0"),
            ("write", "1", "false"),
            ("write", "\"a\"", "\"b\""),
            ("write", "true", "false"),
            ("write", "[1 5]", "[2 5]"),
            ("write", "[1 5]", "[1 6]"),
            ("write", "[1 5]", "[1 false]"),
            ("put", "{:a 1}", "{:a 2}"),
            ("enqueue", "1", "2"),
            ("push", "1", "2"),
            ("insert", "1", "2"),
            ("cas", "[5 6]", "false"),
            ("cas", "[5 6]", "[5 7]"),
            ("cas", "[5 6]", "[4 6]"),
            ("cas", "[1 [5 6]]", "[1 false]"),
            ("cas", "[1 [5 6]]", "[1 [5 7]]"),
            ("cas", "[1 [5 6]]", "[2 [5 6]]"),
            ("acquire", "nil", "false"),
            ("acquire", "[1 nil]", "[1 false]"),
            ("append", "1", "false"),
            ("transfer", "{:from 1 :to 2 :amount 3}", "false"),
            ("transfer", "{:from 1 :to 2 :amount 3}", "{:from 1 :to 2 :amount 4}"),
            ("read", "[1 nil]", "[2 5]"),
            ("txn", "[[:w x 2]]", "[[:w z 5]]"),
            ("txn", "[[:w x 2]]", "[[:w x 5]]"),
            ("txn", "[[:w x 2]]", "[[:r x 2]]"),
            ("txn", "[[:w x 2]]", "[[:append x 2]]"),
            ("txn", "[[:w x 2] [:r y nil]]", "[[:r y 5]]"),
            ("txn", "[[:r x nil]]", "[[:r y 5]]"),
            ("txn", "[[:append x 2]]", "[[:append x 3]]"),
            ("txn", "[[:w x 2]]", "false"),
        ] {
            assert_eq!(rules(f, input, output), [Rule::AnswersSomethingElse], "{f} {input} {output}");
        }
    }

    #[test]
    fn consistent() {
        for (f, input, output) in [
            ("write", "1", "1"),
            ("write", "1", "nil"),
            ("write", "1", "true"),
            ("write", "1", "0x1"),
            ("write", "false", "false"),
            ("insert", "1", "false"),
            ("insert", "[1 5]", "[1 false]"),
            ("write", "\"a\"", "\"OK\""),
            ("write", "\"a\"", "\"\""),
            ("write", "\"a\"", "17"),
            ("write", "[1 5]", "5"),
            ("write", "[1 5]", "[1 nil]"),
            ("write", "[1 5]", "[1 [5 17]]"),
            ("write", "5", "[5 17]"),
            ("write", "#{1 2}", "#{2 1}"),
            ("put", "{:a 1 :b 2}", "{:b 2 :a 1}"),
            ("cas", "[5 6]", "true"),
            ("cas", "[5 6]", "[5 6]"),
            ("cas", "[5 6]", "5"),
            ("cas", "[5 6]", "17"),
            ("cas", "[1 [5 6]]", "[1 true]"),
            ("cas", "[5 6]", "[[5 6] 17]"),
            ("add", "1", "false"),
            ("add", "1", "17"),
            ("remove", "1", "false"),
            ("append", "\"a\"", "\"ba\""),
            ("acquire", "nil", "7"),
            ("read", "nil", "[2 5]"),
            ("read", "0", "5"),
            ("read", "[1 nil]", "[1 5]"),
            ("dequeue", "nil", "5"),
            ("unknown", "1", "2"),
            ("txn", "[[:w x 2] [:r y nil]]", "[[:w x 2] [:r y 5]]"),
            ("txn", "[[:w x 2] [:r y nil]]", "((\"w\" x 2) (\"r\" y 5))"),
            ("txn", "[[:w x 2] [:r y]]", "[[:w x 2] [:r y 5]]"),
            ("txn", "[[:w x 2]]", "[[:w x]]"),
            ("txn", "[[:w x 2]]", "true"),
        ] {
            assert_eq!(rules(f, input, output), [], "{f} {input} {output}");
        }
    }
}

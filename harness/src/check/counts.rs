//! Counts ops by function and outcome, and errors by kind.

use crate::run::{ErrorCount, FunctionCount};
use histories::{History, Outcome, ValueId};
use std::collections::BTreeMap;

/// Client ops by function, in order of first appearance.
pub fn functions(history: &History) -> Vec<FunctionCount> {
    let counts = histories::stat::functions(history).into_iter();
    counts.map(|count| FunctionCount { f: count.f, ok: count.ok, fail: count.fail, info: count.info }).collect()
}

/// Ops that did not end `ok`, by function, outcome and kind of error; the most frequent first, then by name.
pub fn errors(history: &History) -> Vec<ErrorCount> {
    let mut counts: BTreeMap<(u16, Outcome, String), (usize, String)> = BTreeMap::new();
    for &op in history.ops() {
        let outcome = history.outcome(op);
        if outcome == Outcome::Ok {
            continue;
        }
        let error = (op.complete != histories::history::NO_EVENT).then(|| history.error(op.complete)).flatten();
        let (kind, detail) = match error {
            Some(error) => parts(history, error),
            None if op.complete == histories::history::NO_EVENT => ("no-completion".into(), "the recording ends before".into()),
            None => ("unnamed".into(), String::new()),
        };
        counts.entry((history.op_function(op), outcome, kind)).or_insert((0, detail)).0 += 1;
    }
    let mut errors: Vec<ErrorCount> = counts
        .into_iter()
        .map(|((f, outcome, kind), (count, example))| ErrorCount {
            f: history.name(f).into(),
            outcome: if outcome == Outcome::Fail { "fail" } else { "info" }.into(),
            kind,
            count,
            example,
        })
        .collect();
    errors.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.f, &a.outcome, &a.kind).cmp(&(&b.f, &b.outcome, &b.kind))));
    errors
}

/// An error's kind and detail: the two elements of a pair, as our recorder writes it; else the whole as the kind.
fn parts(history: &History, error: ValueId) -> (String, String) {
    let values = &history.values;
    let text = |id| if values.name(id).is_empty() { values.display(id) } else { values.name(id).to_owned() };
    values.as_pair(error).map_or_else(|| (text(error), String::new()), |(kind, detail)| (text(kind), text(detail)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use histories::{Builder, Kind, Value};

    #[test]
    fn counts() {
        let mut b = Builder::new();
        for (process, kind, error) in [
            (0, Kind::Ok, None),
            (1, Kind::Fail, Some(Value::pair("refused", "by n1"))),
            (2, Kind::Info, Some(Value::pair("timeout", "1 s"))),
            (3, Kind::Info, Some(Value::pair("timeout", "2 s"))),
            (4, Kind::Info, Some(Value::Keyword("timeout".into()))),
        ] {
            b.event(process, Kind::Invoke, "read", &Value::Nil, 0);
            let event = b.event(process, kind, "read", &Value::Nil, 1);
            if let Some(error) = error {
                let error = b.values().insert(&error);
                b.error(event, error);
            }
        }
        b.event(5, Kind::Invoke, "write", &Value::Int(1), 0);
        let h = b.finish();
        let functions = functions(&h);
        assert_eq!(functions[0], FunctionCount { f: "read".into(), ok: 1, fail: 1, info: 3 });
        assert_eq!(functions[1], FunctionCount { f: "write".into(), ok: 0, fail: 0, info: 1 });
        let errors = errors(&h);
        let short: Vec<_> = errors.iter().map(|e| (e.f.as_str(), e.kind.as_str(), e.count, e.example.as_str())).collect();
        assert_eq!(
            short,
            [("read", "timeout", 3, "1 s"), ("read", "refused", 1, "by n1"), ("write", "no-completion", 1, "the recording ends before")]
        );
    }
}

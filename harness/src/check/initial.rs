//! Whether a contradiction is only that nobody said what keys hold at first.

use checker::describe;
use histories::{History, OpId, ValueId};

/// Whether reads returned 0, and nobody wrote it: what a store answers whose keys begin with 0.
pub(crate) fn zero_is_read_and_not_written(history: &History, keyed: bool) -> bool {
    let mut read = false;
    for id in history.op_ids() {
        let mut written = false;
        micro_ops(history, keyed, id, |is_read, value| {
            let is_zero = history.values.as_int(value) == Some(0);
            read |= is_read && is_zero;
            written |= !is_read && is_zero;
        });
        if written {
            return false;
        }
    }
    read
}

/// Calls back with what an op read, and with what it may have written.
fn micro_ops(history: &History, keyed: bool, id: OpId, mut found: impl FnMut(bool, ValueId)) {
    let values = &history.values;
    let (input, output) = (describe::input(history, keyed, id), describe::output(history, keyed, id));
    match history.name(history.op_function(history.op(id))) {
        "read" | "get" | "r" => output.into_iter().for_each(|value| found(true, value)),
        "write" | "put" | "w" => found(false, input),
        "cas" => values.as_pair(input).into_iter().for_each(|(_, new)| found(false, new)),
        "txn" => {
            for &part in values.elements(output.unwrap_or(input)).unwrap_or_default() {
                if let Some(&[f, _, value]) = values.elements(part) {
                    found(matches!(values.name(f), "r" | "read"), value);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_nobody_are_found() {
        let op = |f: &str, input: &str, output: &str| {
            format!("{{:process 0, :type :invoke, :f {f}, :value {input}}}\n{{:process 0, :type :ok, :f {f}, :value {output}}}\n")
        };
        let read = op(":read", "nil", "0");
        for (more, expected) in [
            (String::new(), true),
            (op(":write", "1", "1"), true),
            (op(":write", "0", "0"), false),
            (op(":cas", "[1 0]", "[1 0]"), false),
            (op(":cas", "[0 1]", "[0 1]"), true),
            (op(":txn", "[[:r x nil] [:w y 1]]", "[[:r x 0] [:w y 1]]"), true),
            (op(":txn", "[[:w y 0]]", "[[:w y 0]]"), false),
        ] {
            let history = histories::read_bytes((more.clone() + &read).as_bytes(), Some(histories::Format::Edn)).unwrap();
            assert_eq!(zero_is_read_and_not_written(&history, false), expected, "{more}");
        }
        let history = histories::read_bytes(op(":read", "nil", "1").as_bytes(), Some(histories::Format::Edn)).unwrap();
        assert!(!zero_is_read_and_not_written(&history, false));
    }
}

//! What must hold of any small history: whatever rules of the engine are on, its answer is that of the definition. The tests of
//! this module and the fuzz targets in `checker/fuzz`, one for each rule, run the same body; it panics if something does not hold.
#![allow(clippy::unwrap_used, reason = "a body fails by panicking")]

mod definition;
mod objects;

use crate::model::{CasRegister, Kv, Register};
use crate::switches::{Rule, Rules};
use crate::verdict::Summary;
use crate::{Budget, Options, check, check_linearizable};
use histories::{Builder, History, Kind, Value};
use objects::{OBJECTS, Object};

/// More ops than this take the definition too long.
const OPS_MAX: usize = 8;

/// Clients, each with at most one op in flight; one that got no answer is replaced.
const CLIENTS: usize = 4;

/// Decides the history that some bytes stand for with a rule and without it, other rules as the bytes say, and by the
/// definition: there must be one answer.
pub fn rule_changes_nothing(rule: Rule, input: &[u8]) {
    let [object, low, high, events @ ..] = input else { return };
    let object = &OBJECTS[usize::from(*object) % OBJECTS.len()];
    let others = Rules::combination(u16::from_le_bytes([*low, *high]));
    let history = history(object, events);
    let Some(expected) = by_definition(object, &history) else { return };
    for rules in [others.with(rule), others.without(rule)] {
        let options = Options { rules, ..options(object) };
        let verdict = check_linearizable(&history, &options, &Budget::unlimited()).unwrap();
        let expected = if expected { Summary::Valid } else { Summary::Invalid };
        assert_eq!(verdict.answer, expected, "{}, {rule:?}, {rules:?}: {:?}\n{}", object.model, verdict.keys, told(&history));
    }
}

fn options(object: &Object) -> Options {
    let initial = (object.model == "counter").then_some(Value::Int(0));
    Options { model: object.model.into(), keyed: Some(false), initial, permits: Some(2), ..Options::default() }
}

/// Each byte is an event: the lowest bits name a client, which makes a call, or has an answer.
fn history(object: &Object, events: &[u8]) -> History {
    let calls = (object.calls)();
    let mut builder = Builder::new();
    let mut open: [Option<usize>; CLIENTS] = [None; CLIENTS];
    let mut processes: [i64; CLIENTS] = [0, 1, 2, 3];
    let mut ops = 0;
    for byte in events {
        let (client, choice) = (usize::from(*byte) % CLIENTS, usize::from(*byte) / CLIENTS);
        let process = processes[client];
        let Some(call) = open[client] else {
            if ops < OPS_MAX {
                let call = choice % calls.len();
                builder.event(process, Kind::Invoke, calls[call].f, &calls[call].input, 0);
                open[client] = Some(call);
                ops += 1;
            }
            continue;
        };
        let call = &calls[call];
        let answer = choice % (call.outputs.len() + 2);
        let (kind, value) = match call.outputs.get(answer) {
            Some(output) => (Kind::Ok, output),
            None if answer == call.outputs.len() => (Kind::Info, &call.input),
            None => (Kind::Fail, &call.input),
        };
        builder.event(process, kind, call.f, value, 0);
        open[client] = None;
        processes[client] += if kind == Kind::Info { CLIENTS as i64 } else { 0 };
    }
    builder.finish()
}

/// Whether the ops can be ordered; `None` if there is no op, or one that the model cannot read.
fn by_definition(object: &Object, history: &History) -> Option<bool> {
    let options = options(object);
    if history.ops().is_empty() {
        return None;
    }
    match object.model {
        "register" => definition::order_exists(&Register::new(history, &options), history),
        "cas-register" => definition::order_exists(&CasRegister::new(history, &options), history),
        "kv" => definition::order_exists(&Kv::new(history, &options), history),
        other => definition::order_exists(&check::any_model(other, history, &options).unwrap(), history),
    }
}

fn told(history: &History) -> String {
    let mut text = Vec::new();
    histories::write(&mut text, history, histories::Format::Edn).unwrap();
    String::from_utf8(text).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Bytes at random, each as many events as fit.
    fn any_bytes(rule: Rule) {
        for seed in 0..crate::test_size::times(4_000) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed * 31 + rule as u64);
            let mut input = [0; 3 + 4 * OPS_MAX];
            rng.fill_bytes(&mut input);
            rule_changes_nothing(rule, &input);
        }
    }

    #[test]
    fn no_rule_changes_an_answer() {
        for rule in Rule::ALL {
            any_bytes(rule);
        }
    }

    #[test]
    fn both_answers_are_met() {
        let mut answers = [0; 2];
        for seed in 0..2_000 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut input = [0; 4 * OPS_MAX];
            rng.fill_bytes(&mut input);
            let object = &OBJECTS[seed as usize % OBJECTS.len()];
            if let Some(valid) = by_definition(object, &history(object, &input)) {
                answers[usize::from(valid)] += 1;
            }
        }
        assert!(answers.iter().all(|&n| n > 200), "{answers:?}");
    }
}

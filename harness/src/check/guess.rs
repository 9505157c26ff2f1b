//! Which model a history is about, when nobody says so: guessed from its functions, and reported as a guess.

use crate::tables;
use histories::{History, names};
use std::collections::BTreeSet;

/// The functions of each model. The first that has all functions of a history is the guess, so a model comes before those that
/// know the same and more. A history of reads only may be of anything: of a register, then.
const KNOWN: &[(&str, &[&str])] = &[
    ("register", &["read", "write"]),
    ("cas-register", &["read", "write", "cas"]),
    ("mutex", &["acquire", "release"]),
    ("kv", &["get", "put", "append", "delete"]),
    ("list-append", &["append", "read", "r"]),
    ("set", &["add", "remove", "contains", "read"]),
    ("counter", &["inc", "increment", "dec", "decrement", "add", "read"]),
    ("fifo-queue", &["enqueue", "dequeue", "peek"]),
    ("stack", &["push", "pop", "peek"]),
    ("deque", &["push-front", "push-back", "pop-front", "pop-back", "peek-front", "peek-back"]),
    ("priority-queue", &["insert", "delete-min", "peek"]),
    ("max-priority-queue", &["insert", "delete-max", "peek"]),
    ("id-generator", &["generate", "generate-id", "next-id"]),
    ("bank", &["transfer", "read"]),
];

/// What `generate` simulates under a name that is none of a model, or that of another: the model that judges it. Transactions on
/// lists and on registers are of one model.
const GENERATED: &[(&str, &str, &[&str])] = &[
    ("queue", "fifo-queue", &["enqueue", "dequeue"]),
    ("list-append", "multi-register", &["txn"]),
    ("rw-register", "multi-register", &["txn"]),
];

/// The model that a history's header names or its functions suggest, and a sentence that says so.
///
/// # Errors
/// A sentence that names the functions seen and asks for `--model`.
pub fn model(history: &History) -> Result<(String, String), String> {
    let functions: BTreeSet<&str> = history.ops().iter().map(|&op| history.name(history.op_function(op))).collect();
    let only = |known: &[&str]| functions.iter().all(|f| known.contains(f));
    if let Some(histories::Value::Str(named)) = history.meta.header.get("model") {
        let generated = GENERATED.iter().find(|(name, _, functions)| **named == **name && only(functions));
        return Ok(match generated {
            Some((name, model, _)) => ((*model).into(), format!("model {model}, for {name} as the file's header says")),
            None => (named.to_string(), format!("model {named}, as the file's header says")),
        });
    }
    let seen = functions.iter().copied().collect::<Vec<_>>().join(", ");
    let Some(&(model, _)) = KNOWN.iter().find(|(_, known)| only(known)) else {
        let meant = functions.iter().filter_map(|f| did_you_mean(f)).collect::<String>();
        let name_one = format!("{meant}name one with --model: {}", models());
        let fits = match hint_at_transactions(history, &functions) {
            Some(hint) => format!("{hint}; or {name_one}"),
            None => name_one,
        };
        return Err(format!("no model fits the functions of this history ({seen}); {fits}"));
    };
    let mut why = if functions.is_empty() { "since there are no ops to tell by".into() } else { format!("from the functions {seen}") };
    let mut model = model;
    if model == "set" && reads_a_number(history) {
        model = "counter";
        why.push_str(", since a number was read");
    }
    Ok((model.into(), format!("model {model} was guessed {why}; --model overrules it")))
}

/// The function that may be meant by one that no model has: ``of `raed`, did you mean read? ``.
fn did_you_mean(f: &str) -> Option<String> {
    let known: BTreeSet<&str> = KNOWN.iter().flat_map(|(_, functions)| functions.iter().copied()).collect();
    let question = if known.contains(f) || f == "txn" { None } else { names::did_you_mean(f, known) };
    question.map(|question| format!("for `{f}` {question} Or "))
}

/// Whether its header says that it is of transactions on lists, which `generate` calls by the name of a model of single operations.
pub fn is_generated_lists(history: &History) -> bool {
    let named = matches!(history.meta.header.get("model"), Some(histories::Value::Str(named)) if **named == *"list-append");
    named && transactions(history) == Some("lists")
}

/// What the transactions of a history are on, where it is one of transactions.
pub fn transactions(history: &History) -> Option<&'static str> {
    let functions: BTreeSet<&str> = history.ops().iter().map(|&op| history.name(history.op_function(op))).collect();
    objects_of_transactions(history, &functions)
}

fn objects_of_transactions(history: &History, functions: &BTreeSet<&str>) -> Option<&'static str> {
    let (mut micro_ops, values) = (BTreeSet::new(), &history.values);
    for &op in history.ops() {
        for &part in values.elements(history.input(op)).or_else(|| values.elements(history.output(op)?))? {
            micro_ops.insert(values.name(*values.elements(part)?.first()?));
        }
    }
    let are = |known: &[&str]| micro_ops.iter().all(|micro_op| known.contains(micro_op));
    match () {
        () if micro_ops.is_empty() || !functions.iter().eq(["txn"].iter()) => None,
        () if are(&["r", "read", "w", "write"]) => Some("registers"),
        () if are(&["r", "read", "w", "write", "append"]) => Some("lists"),
        () => None,
    }
}

/// What decides a history of transactions, where it is one.
fn hint_at_transactions(history: &History, functions: &BTreeSet<&str>) -> Option<String> {
    let what = objects_of_transactions(history, functions)?;
    // Without them nobody knows what was over before what began.
    let begun = history.ops().iter().all(|op| op.invoke != histories::history::NO_EVENT);
    let strictly = if begun { "; without --consistency it is whether they are strictly serializable" } else { "" };
    Some(format!(
        "they are transactions on {what}: --model multi-register --consistency sequential decides whether they are serializable, in an \
         order that keeps each process's own{strictly}"
    ))
}

/// Whether some read returned a number: what a counter does, and a set never.
fn reads_a_number(history: &History) -> bool {
    let mut reads = history.ops().iter().filter(|&&op| history.name(history.op_function(op)) == "read");
    reads.any(|&op| history.output(op).is_some_and(|value| history.values.as_int(value).is_some()))
}

/// The names of all models, for messages.
pub fn models() -> String {
    tables::models().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}

/// Checks a model's name.
///
/// # Errors
/// A sentence that lists the models and names the nearest one.
pub fn known_model(name: &str) -> Result<String, String> {
    if tables::models().any(|(model, _)| model == name) {
        return Ok(name.into());
    }
    Err(names::unknown("model", name, tables::models().map(|(model, _)| model)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use histories::{Builder, Kind, Value};

    fn history(functions: &[&str]) -> History {
        let mut b = Builder::new();
        for (process, f) in functions.iter().enumerate() {
            b.event(process as i64, Kind::Invoke, f, &Value::Nil, 0);
        }
        b.finish()
    }

    #[test]
    fn functions_suggest_models() {
        for (functions, model) in [
            (&["read", "write"][..], "register"),
            (&["read", "cas"], "cas-register"),
            (&["acquire", "release"], "mutex"),
            (&["get", "append"], "kv"),
            (&["append", "read"], "list-append"),
            (&["add", "read"], "set"),
            (&["inc", "add", "read"], "counter"),
            (&["enqueue", "dequeue"], "fifo-queue"),
            (&[], "register"),
        ] {
            let (guessed, why) = super::model(&history(functions)).unwrap();
            assert_eq!(guessed, model);
            assert!(why.contains("guessed"), "{why}");
        }
        let mut counter = Builder::new();
        for (f, input, output) in [("add", Value::Int(5), Value::Int(5)), ("read", Value::Nil, Value::Int(5))] {
            counter.event(0, Kind::Invoke, f, &input, 0);
            counter.event(0, Kind::Ok, f, &output, 1);
        }
        assert_eq!(super::model(&counter.finish()).unwrap().0, "counter");
        assert!(super::model(&history(&["transfer", "enqueue"])).unwrap_err().contains("--model"));
        let mistyped = super::model(&history(&["raed", "write", "x"])).unwrap_err();
        assert!(mistyped.contains("(raed, write, x); for `raed` did you mean read? Or name one with"), "{mistyped}");
    }

    #[test]
    fn transactions_are_met_with_what_decides_them() {
        for (text, told) in [
            ("[[:r x 1] [:w y 2]]", Some("transactions on registers")),
            ("[[:append x 1] [:r y nil]]", Some("transactions on lists")),
            ("[[:cas x [1 2]]]", None),
            ("[]", None),
            ("3", None),
        ] {
            let mut b = Builder::new();
            b.event(0, Kind::Invoke, "txn", &histories::read_value(text).unwrap(), 0);
            let refused = super::model(&b.finish()).unwrap_err();
            assert_eq!(refused.contains("--model multi-register --consistency sequential"), told.is_some(), "{text}: {refused}");
            assert!(told.is_none_or(|told| refused.contains(told)), "{text}: {refused}");
        }
    }

    #[test]
    fn whatever_is_generated_is_judged() {
        use histories::generate::{self, Model, Plan};
        for simulated in Model::ALL {
            let (history, _) = generate::history(&Plan { seed: 3, concurrency: 2, ..Plan::new(simulated, 60) }).unwrap();
            let (model, why) = super::model(&history).unwrap();
            assert!(why.contains(simulated.name()) && why.contains(&model), "{why}");
            let verdict = checker::check_linearizable(&history, &model.as_str().into(), &checker::Budget::unlimited()).unwrap();
            assert_eq!(verdict.answer, checker::verdict::Summary::Valid, "{simulated} as {model}: {:?}", verdict.reason);
        }
    }

    #[test]
    fn typos_are_met_with_a_suggestion() {
        let error = known_model("cas-registr").unwrap_err();
        assert!(error.contains("did you mean cas-register?") && error.contains("mutex"), "{error}");
        assert!(known_model("bank-of-england").unwrap_err().contains("`bank-of-england`; there are register"));
    }
}

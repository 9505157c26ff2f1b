//! The verdict for machines: `results.json` of a run, and the objects of `check --json`.

use crate::render::terminal;
use crate::run::Run;
use checker::describe;
use checker::verdict::{Summary, Undecided};
use checker::{Answer, Counterexample, KeyVerdict};
use histories::{History, OpId, Outcome, Value};
use serde::Serialize;
use serde_json::{Value as Json, json};

/// `results.json`.
pub fn of_run(run: &Run) -> RunResults {
    let told = terminal::what(run, |_| String::new());
    RunResults { summary: format!("{}: {told}", run.summary().name()), fields: fields(run) }
}

/// The verdict of a run for machines, which begins with what a person should know first.
#[derive(Debug, Serialize)]
pub struct RunResults {
    /// `unknown: cut short after 3.5 of 10 s by SIGTERM; the recorded part is linearizable`.
    summary: String,
    #[serde(flatten)]
    fields: Json,
}

/// The version of `results.json`: raised when a field changes its meaning or goes; new fields do not raise it.
pub const RESULTS_FORMAT: u32 = 1;

fn fields(run: &Run) -> Json {
    json!({
        "format": RESULTS_FORMAT,
        "rashomon": env!("CARGO_PKG_VERSION"),
        "verdict": run.summary(),
        "consistency": run.verdict.consistency,
        "cut_short": run.cut,
        "model": run.verdict.model,
        "reason": reason(run),
        "checker": run.verdict.answer,
        "notes": run.verdict.notes,
        "coverage": run.coverage,
        "findings": run.findings.found,
        "looked_at": run.findings.notes,
        "counts": run.counts,
        "errors": run.errors,
        "keys": run.verdict.keys.iter().map(|key| key_summary(run, key)).collect::<Vec<_>>(),
        "counterexample": first_counterexample(run),
        "faults": run.windows.iter().map(|window| json!({
            "fault": window.fault,
            "what": window.what,
            "nodes": window.nodes,
            "from_ns": window.from_ns,
            "injected_ns": window.injected_ns,
            "to_ns": window.to_ns,
            "observed": window.observed,
            "seen": window.seen,
        })).collect::<Vec<_>>(),
        "ops": run.history.ops().len(),
        "parse_ms": millis(run.check.parse),
        "check_ms": millis(run.check.check),
        "peak_rss_bytes": run.check.peak_rss_bytes,
        "search_bytes": run.check.search_bytes,
    })
}

/// The object that `check --json` prints for a file. The names of its fields are a promise.
pub fn of_check(run: &Run) -> Json {
    json!({
        "file": run.history_path.display().to_string(),
        "format": run.history.meta.format,
        "model": run.verdict.model,
        "consistency": run.verdict.consistency,
        "verdict": run.summary(),
        "reason": reason(run),
        "notes": run.verdict.notes,
        "algorithm": algorithm(run),
        "ops": run.history.ops().len(),
        "keys": run.verdict.keys.len(),
        "parse_ms": millis(run.check.parse),
        "check_ms": millis(run.check.check),
        "peak_rss_bytes": run.check.peak_rss_bytes,
        "counterexample": first_counterexample(run),
        "undecided": terminal::smallest_undecided(run).map(|(key, part)| undecided(run, key, part)),
    })
}

/// The same object for a file that could not be judged: no verdict, and why.
pub fn of_error(file: &str, why: &str) -> Json {
    json!({
        "file": file,
        "format": null,
        "model": null,
        "consistency": null,
        "verdict": null,
        "reason": why,
        "notes": null,
        "algorithm": null,
        "ops": null,
        "keys": null,
        "parse_ms": null,
        "check_ms": null,
        "peak_rss_bytes": null,
        "counterexample": null,
        "undecided": null,
    })
}

/// Milliseconds with three decimals.
fn millis(duration: std::time::Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// Why the answer is what it is, in a sentence; `None` for valid.
pub fn reason(run: &Run) -> Option<String> {
    match run.summary() {
        Summary::Valid => None,
        Summary::Invalid => told_first(run).map(|(key, proof)| {
            let told = terminal::names(run, proof).text(&proof.sentence);
            key.key.map_or(told.clone(), |key| format!("key {}: {told}", run.history.values.display(key)))
        }),
        Summary::Unknown => {
            let gaps = run.coverage.gaps.iter().cloned();
            let whole = run.verdict.reason.iter().map(|reason| terminal::reason_words(reason, run));
            let keys = run.verdict.keys.iter().filter_map(|key| match &key.answer {
                Answer::Unknown(reason) => Some(terminal::reason_words(reason, run)),
                _ => None,
            });
            let first: Vec<String> = gaps.chain(whole).chain(keys).take(5).collect();
            Some(first.join("; "))
        }
    }
}

fn told_first(run: &Run) -> Option<(&KeyVerdict, &Counterexample)> {
    terminal::first_invalid(run)
}

/// The procedures that decided the keys, each once, sorted.
fn algorithm(run: &Run) -> String {
    let mut names: Vec<&str> = run.verdict.keys.iter().map(|key| key.algorithm).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn key_summary(run: &Run, key: &KeyVerdict) -> Json {
    let mut summary = json!({
        "key": key.key.map(|key| value(&run.history.values.get(key))),
        "verdict": key.answer.summary(),
        "ops": key.ops,
        "algorithm": key.algorithm,
        "steps": key.steps,
    });
    match &key.answer {
        Answer::Valid(_) => {}
        Answer::Unknown(reason) => {
            summary["reason"] = terminal::reason_words(reason, run).into();
            summary["undecided"] = key.undecided.as_ref().map_or(Json::Null, |part| undecided(run, key, part));
        }
        Answer::Invalid(proof) => summary["reason"] = terminal::names(run, proof).text(&proof.sentence).into(),
    }
    summary
}

/// The part of a key that is undecided.
fn undecided(run: &Run, key: &KeyVerdict, part: &Undecided) -> Json {
    json!({
        "key": key.key.map(|key| value(&run.history.values.get(key))),
        "text": terminal::part_sentence(part, run),
        "ops": part.ops,
        "first": core_op(run, part.first),
        "last": core_op(run, part.last),
        "stopped": part.stopped.map(|stopped| json!({
            "at": core_op(run, stopped.at),
            "in_flight": stopped.in_flight,
            "unknown": stopped.unknown,
        })),
    })
}

fn first_counterexample(run: &Run) -> Json {
    told_first(run).map_or(Json::Null, |(key, proof)| counterexample(run, key, proof))
}

fn counterexample(run: &Run, key: &KeyVerdict, proof: &Counterexample) -> Json {
    let names = terminal::names(run, proof);
    let text = |words| names.sentence(words);
    let place = |op: &OpId| proof.core.iter().position(|core| core == op);
    json!({
        "key": key.key.map(|key| value(&run.history.values.get(key))),
        "sentence": text(&proof.sentence),
        "core": proof.core.iter().map(|&op| core_op(run, op)).collect::<Vec<_>>(),
        "needed": proof.needed.iter().filter_map(place).collect::<Vec<_>>(),
        "others": proof.others,
        "minimal": proof.minimal,
        "stuck": proof.stuck.as_ref().and_then(place),
        "steps": proof.steps.iter().map(|step| json!({
            "text": text(&step.words),
            "because": text(&step.because),
            "from": place(&step.from),
            "to": place(&step.to),
            "kind": step.kind,
        })).collect::<Vec<_>>(),
        "ordered": proof.prefix.len(),
        "blocked": proof.blocked.map(|op| core_op(run, op)),
        "states": proof.states,
        "pattern": proof.pattern,
        "cycle": proof.cycle.iter().map(|edge| json!({
            "from": place(&edge.from),
            "to": place(&edge.to),
            "kind": edge.kind,
            "reader": edge.reader.as_ref().and_then(place),
        })).collect::<Vec<_>>(),
    })
}

/// An op with everything the file says of it. Times in nanoseconds, lines from 1.
fn core_op(run: &Run, id: OpId) -> Json {
    op(&run.history, run.verdict.is_per_key(), id)
}

/// The same, of any history.
pub fn op(history: &History, keyed: bool, id: OpId) -> Json {
    let op = history.op(id);
    let process = history.op_process(op);
    let known = |event: u32| event != histories::history::NO_EVENT;
    let line = |event: u32| known(event).then(|| history.line(event)).filter(|&line| line > 0);
    json!({
        "op": describe::label(history, keyed, id),
        "process": value(&history.values.get(history.process_name(process))),
        "node": history.node(process),
        "f": history.name(history.op_function(op)),
        "input": value(&history.values.get(history.input(op))),
        "output": history.output(op).map(|output| value(&history.values.get(output))),
        "outcome": match history.outcome(op) {
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        },
        "invoke_ns": known(op.invoke).then(|| history.time(op.invoke)).flatten(),
        "complete_ns": known(op.complete).then(|| history.time(op.complete)).flatten(),
        "invoke_line": line(op.invoke),
        "complete_line": line(op.complete),
    })
}

/// A value as JSON where JSON has it, else in EDN notation.
fn value(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Bool(b) => (*b).into(),
        Value::Int(i) => (*i).into(),
        Value::Float(x) => serde_json::Number::from_f64(*x).map_or_else(|| value.to_string().into(), Json::Number),
        Value::Str(s) | Value::Keyword(s) => s.to_string().into(),
        // Values are as deep as the reader's limit of nesting at most.
        Value::List(items) | Value::Vector(items) => items.iter().map(self::value).collect(),
        other => other.to_string().into(),
    }
}

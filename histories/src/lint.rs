//! Misuse in a recorded history: what no client can have produced, what a harness got wrong, and what a store did that no
//! store should, each with the place, the likely causes and what to do.
//!
//! A finding is no verdict. An [`Severity::Error`] makes every verdict meaningless ([`refusal`] is how a checker asks); a
//! [`Severity::Warning`] is probably a mistake of the harness or an anomaly of the store, and changes no verdict; a
//! [`Severity::Note`] says what a verdict on this history proves less than one may think.
//!
//! The values that were read are compared with those that were written only where the functions of a history mean what they
//! are commonly taken to mean; one function that is not known, and nothing is claimed. All of it is linear in the size of the
//! file, up to hashing.

mod answers;
mod fields;
mod keys;
mod meaning;
#[cfg(test)]
mod oracle;
mod outcomes;
mod pairing;
mod rule;
mod table;
mod times;
mod values;

pub use rule::{Rule, Severity};

use crate::history::{History, MisuseKind, OpId};
use crate::keyed::Keys;
use crate::value::{Value, ValueId};
use serde::Serialize;

/// How many places of a finding are told.
pub const PLACES_MAX: usize = 5;

/// What the user says of a history.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assume {
    /// Whether values are `[key value]` pairs; `None`: what the file says, else guessed.
    pub keyed: Option<bool>,
    /// The initial value of every object, besides those that are commonly used (nil, 0, false, the empty string).
    pub initial: Option<Value>,
}

/// Something that is wrong, or probably wrong, with a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which rule found it; a stable name.
    #[serde(rename = "id")]
    pub rule: Rule,
    /// How much it matters.
    pub severity: Severity,
    /// How often: what is counted is in the sentence.
    pub count: usize,
    /// What was found, in a sentence.
    pub sentence: String,
    /// The first places, in file order; at most [`PLACES_MAX`].
    pub places: Vec<Place>,
    /// What it usually comes from, the most likely first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub advice: &'static str,
}

/// Where a finding is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The event, from 0 in file order.
    pub event: u32,
    /// Its line, from 1; 0 where there is none.
    pub line: u32,
    /// What happens there.
    pub text: String,
}

impl Place {
    /// `line 12`, or `event 4` where the file has no lines.
    pub fn name(&self) -> String {
        if self.line == 0 { format!("event {}", self.event) } else { format!("line {}", self.line) }
    }
}

/// Everything that is found in a history, the gravest first, then in the order of the rules. Expected linear time in the size
/// of the file; at most 32 bytes per distinct value written.
pub fn lint(history: &History, assume: &Assume) -> Vec<Finding> {
    let mut report = Report { history, findings: Vec::new() };
    pairing::lint(&mut report);
    fields::lint(&mut report);
    outcomes::lint(&mut report);
    answers::lint(&mut report);
    times::lint(&mut report);
    if !history.ops().is_empty() {
        let keys = Keys::split(history, assume.keyed);
        keys::lint(&mut report, &keys, assume);
        values::lint(&mut report, &keys, assume);
    }
    let mut findings = report.findings;
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.rule));
    findings
}

/// Why no verdict on this history would mean anything: the first of its errors, in a sentence; `None` if it has none.
/// Linear in the number of ops.
pub fn refusal(history: &History) -> Option<String> {
    let (event, what) = misuse(history).or_else(|| contradiction(history))?;
    Some(format!("{what} ({}); no verdict on such a history means anything", place_name(history, event)))
}

fn misuse(history: &History) -> Option<(u32, String)> {
    let misuse = history.misuses().iter().find(|m| pairing::rule(m.kind).severity() == Severity::Error)?;
    let process = process_name(history, misuse.event);
    let f = history.name(history.function(misuse.event));
    let what = match misuse.kind {
        MisuseKind::CompletionWithoutInvocation => format!("process {process} completes {f} without having invoked anything"),
        MisuseKind::TwoOpsAtOnce => format!("process {process} invokes {f} while its last operation is still in flight"),
        MisuseKind::OtherFunction => format!("process {process} completes {f}, but invoked something else"),
        MisuseKind::GoesOnAfterInfo => format!("process {process} goes on after an unknown outcome"),
    };
    Some((misuse.event, what))
}

fn contradiction(history: &History) -> Option<(u32, String)> {
    let (op, why) = answers::contradictions(history).next()?;
    let of = |event| call(history, event, history.value(event));
    let process = process_name(history, op.complete);
    Some((op.complete, format!("process {process} invokes {} and completes {}: {why}", of(op.invoke), of(op.complete))))
}

/// `line 12`, or `event 4` where the file has no lines.
fn place_name(history: &History, event: u32) -> String {
    Place { event, line: history.line(event), text: String::new() }.name()
}

fn process_name(history: &History, event: u32) -> String {
    shown(history, history.process_name(history.process(event)))
}

/// What is found, while it is being found.
struct Report<'h> {
    history: &'h History,
    findings: Vec<Finding>,
}

impl Report<'_> {
    /// Adds a finding of the rule's own severity.
    fn add(&mut self, rule: Rule, count: usize, sentence: String, places: Vec<(u32, String)>) -> &mut Finding {
        let place = |(event, text)| Place { event, line: self.history.line(event), text };
        let places = places.into_iter().take(PLACES_MAX).map(place).collect();
        let causes = rule.causes().iter().map(|&cause| cause.into()).collect();
        self.findings.push(Finding { rule, severity: rule.severity(), count, sentence, places, causes, advice: rule.advice() });
        self.findings.last_mut().expect("just pushed")
    }
}

/// `process 3 invokes write 5`: an event in words.
fn told(history: &History, event: u32) -> String {
    let what = format!("{} {}", history.kind(event).name(), call(history, event, history.value(event)));
    if history.process_name(history.process(event)).is_nil() { what } else { format!("process {}: {what}", process_name(history, event)) }
}

/// `write 5`: a function and a value, short.
fn call(history: &History, event: u32, value: ValueId) -> String {
    format!("{} {}", history.name(history.function(event)), shown(history, value))
}

/// A value, its middle left out if it is long.
fn shown(history: &History, value: ValueId) -> String {
    const LONG: usize = 60;
    let text = history.values.display(value);
    if text.chars().count() <= LONG {
        return text;
    }
    let chars: Vec<char> = text.chars().collect();
    let half = LONG / 2 - 1;
    format!("{}…{}", chars[..half].iter().collect::<String>(), chars[chars.len() - half..].iter().collect::<String>())
}

/// `once`, `3 times`.
fn times(n: usize) -> String {
    if n == 1 { "once".into() } else { format!("{n} times") }
}

/// `1 op`, `3 ops`.
fn many(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// An event of an op to point at: its completion if it has one, for what it returned; else its invocation.
fn last_event(history: &History, op: OpId) -> u32 {
    let op = history.op(op);
    if op.complete == crate::history::NO_EVENT { op.invoke } else { op.complete }
}

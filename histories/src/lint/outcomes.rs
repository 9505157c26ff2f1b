//! What became of the ops: nothing there, nothing succeeded, nothing ended, nothing overlapped.

use super::{PLACES_MAX, Report, Rule, Severity, many, told};
use crate::formats::dbcop::{FAILED_WRITE, READ_FAILED_WRITE};
use crate::history::{History, NO_EVENT, Op, Outcome};
use crate::stat::{self, FunctionStat};

/// From this many ops of a function without one success on, it is no accident of a short run.
const NEVER_OK_OPS: usize = 20;
/// This many unfinished ops are the clients of a run that was cut off.
const UNFINISHED_OPS: usize = 20;
/// More than one unfinished op in so many is a habit.
const UNFINISHED_SHARE: usize = 10;

pub(super) fn lint(report: &mut Report<'_>) {
    let history = report.history;
    if history.is_empty() {
        report.add(Rule::EmptyHistory, 0, "There is no event at all.".into(), Vec::new());
        return;
    }
    if (0..history.len() as u32).all(|event| !history.is_client(history.process(event))) {
        let sentence = format!("All {} are the nemesis's: there is no op of a client.", many(history.len(), "event"));
        report.add(Rule::OnlyNemesis, history.len(), sentence, Vec::new());
        return;
    }
    let functions = stat::functions(history);
    never_ok(report, &functions);
    unfinished(report, &functions);
    no_overlap(report);
    failed_in_transactions(report);
}

/// What the reader of a format says of writes that failed in transactions that committed.
fn failed_in_transactions(report: &mut Report<'_>) {
    let history = report.history;
    if !history.has_errors() {
        return;
    }
    let ops_that_say = |what: &str| {
        let says = |op: &&Op| history.error(history.first_event(**op)).is_some_and(|error| history.values.name(error) == what);
        history.ops().iter().filter(says).map(|op| history.first_event(*op)).collect::<Vec<u32>>()
    };
    let places = |events: &[u32]| events.iter().take(PLACES_MAX).map(|&event| (event, told(history, event))).collect();
    let failed = ops_that_say(FAILED_WRITE);
    let writes = failed.iter().map(|&event| history.values.elements(history.value(event)).map_or(1, <[_]>::len)).sum();
    if writes > 0 {
        let sentence = format!("{} failed in transactions that committed, and did not happen.", many(writes, "write"));
        report.add(Rule::FailedInTransaction, writes, sentence, places(&failed));
    }
    let read = ops_that_say(READ_FAILED_WRITE);
    if !read.is_empty() {
        let sentence = format!("{} committed with a write that failed, and was read: it counts as done.", many(read.len(), "transaction"));
        report.add(Rule::FailedWriteWasRead, read.len(), sentence, places(&read));
    }
}

fn never_ok(report: &mut Report<'_>, functions: &[FunctionStat]) {
    let ops = |f: &FunctionStat| f.ok + f.fail + f.info;
    let sum = |of: &[&FunctionStat]| of.iter().map(|f| ops(f)).sum::<usize>();
    let (info, failed): (Vec<&FunctionStat>, Vec<&FunctionStat>) = functions.iter().filter(|f| f.ok == 0).partition(|f| f.info == ops(f));
    let all = functions.iter().all(|f| f.ok == 0);
    for (rule, found, what) in [(Rule::NeverOk, failed, "none succeeded"), (Rule::AlwaysInfo, info, "the outcome of every one is unknown")]
    {
        if found.is_empty() {
            continue;
        }
        let mut each: Vec<String> = found.iter().take(PLACES_MAX).map(|f| format!("{} of {}", many(ops(f), "op"), f.f)).collect();
        if found.len() > PLACES_MAX {
            each.push(format!("ops of {} more", many(found.len() - PLACES_MAX, "function")));
        }
        let nothing = if all { " No op of the whole history succeeded." } else { "" };
        let count = sum(&found);
        let places = places_of(report.history, &found);
        let finding = report.add(rule, count, format!("{}: {what}.{nothing}", each.join(", ")), places);
        if !all && found.iter().all(|f| ops(f) < NEVER_OK_OPS) {
            finding.severity = Severity::Note;
        }
    }
}

/// The first op of each function.
fn places_of(history: &History, found: &[&FunctionStat]) -> Vec<(u32, String)> {
    let first = |f: &&FunctionStat| {
        let ops = history.ops().iter();
        let mut ops = ops.filter(|&&op| history.name(history.op_function(op)) == f.f);
        let op = *ops.next()?;
        let event = if op.complete == NO_EVENT { op.invoke } else { op.complete };
        let error = history.error(event).map(|error| format!(" ({})", super::shown(history, error)));
        Some((event, format!("{}{}", told(history, event), error.unwrap_or_default())))
    };
    found.iter().take(PLACES_MAX).filter_map(first).collect()
}

fn unfinished(report: &mut Report<'_>, functions: &[FunctionStat]) {
    let history = report.history;
    let count: usize = functions.iter().map(|f| f.unfinished).sum();
    let ops = history.ops().len();
    if count <= UNFINISHED_OPS || count * UNFINISHED_SHARE <= ops {
        return;
    }
    let first = history.ops().iter().filter(|op| op.complete == NO_EVENT).take(PLACES_MAX);
    let places = first.map(|op| (op.invoke, told(history, op.invoke))).collect();
    report.add(Rule::ManyUnfinished, count, format!("{count} of {} have no completion.", many(ops, "op")), places);
}

/// Whether each op is over before the next begins. Ends at the first two that overlap: usually at once.
fn no_overlap(report: &mut Report<'_>) {
    let history = report.history;
    let ops = history.ops();
    let is_over = |op, next: u32| matches!(history.outcome(op), Outcome::Ok | Outcome::Fail) && op.complete < next;
    let one_by_one = ops.windows(2).all(|pair| pair[1].invoke != NO_EVENT && is_over(pair[0], pair[1].invoke));
    if ops.len() < 2 || !one_by_one {
        return;
    }
    let sentence = format!("No two of the {} overlap: each is over before the next begins.", many(ops.len(), "op"));
    report.add(Rule::NoOverlap, ops.len(), sentence, Vec::new());
}

//! Keys that are missing, or mixed up.

use super::{Assume, PLACES_MAX, Report, Rule, answers, call, many, told};
use crate::history::{History, NO_EVENT, Op, OpId};
use crate::keyed::{self, Keys};
use hashbrown::HashSet;

/// Fewer ops tell nothing of a habit.
const HABIT_OPS: usize = 20;
/// At most one op in so many may be an exception.
const EXCEPTION_SHARE: usize = 20;

pub(super) fn lint(report: &mut Report<'_>, keys: &Keys, assume: &Assume) {
    if keys.is_keyed() {
        without_key(report, keys.without_key());
        if !keys.is_guessed() {
            other_key(report);
        }
    } else if assume.keyed.is_none() && report.history.meta.keyed.is_none() {
        nearly_keyed(report);
    }
}

fn without_key(report: &mut Report<'_>, ops: &[OpId]) {
    let history = report.history;
    if ops.is_empty() {
        return;
    }
    let place = |&id: &OpId| {
        let event = history.first_event(history.op(id));
        (event, told(history, event))
    };
    let places = ops.iter().take(PLACES_MAX).map(place).collect();
    let sentence = format!("{} no [key value] pair in a history of keys.", has(ops.len()));
    report.add(Rule::WithoutKey, ops.len(), sentence, places);
}

fn has(n: usize) -> String {
    format!("{} {}", many(n, "op"), if n == 1 { "has" } else { "have" })
}

fn other_key(report: &mut Report<'_>) {
    let history = report.history;
    let key = |event| history.values.as_pair(history.value(event)).map(|pair| pair.0);
    // What contradicts its invocation was told.
    let told_already: HashSet<u32> = answers::contradictions(history).map(|(op, _)| op.complete).collect();
    let is_other = |op: &&Op| {
        let answers = op.invoke != NO_EVENT && history.output(**op).is_some() && !told_already.contains(&op.complete);
        answers && matches!((key(op.invoke), key(op.complete)), (Some(asked), Some(answered)) if asked != answered)
    };
    let count = history.ops().iter().filter(is_other).count();
    if count == 0 {
        return;
    }
    let place = |op: &Op| {
        (op.complete, format!("{}, after invoke {}", told(history, op.complete), call(history, op.invoke, history.value(op.invoke))))
    };
    let places = history.ops().iter().filter(is_other).take(PLACES_MAX).map(place).collect();
    let sentence = format!("{} answered under another key than {} asked for.", are(count), if count == 1 { "it" } else { "they" });
    report.add(Rule::AnswersUnderAnotherKey, count, sentence, places);
}

fn are(n: usize) -> String {
    format!("{} {}", many(n, "op"), if n == 1 { "is" } else { "are" })
}

/// All ops but a few could have keys, so that those few decide how the history is read.
fn nearly_keyed(report: &mut Report<'_>) {
    let history: &History = report.history;
    let ops = history.ops();
    let most = ops.len() / EXCEPTION_SHARE;
    let exceptions: Vec<(Op, &str)> = ops.iter().filter_map(|&op| keyed::misfit(history, op).map(|why| (op, why))).take(most + 1).collect();
    if ops.len() < HABIT_OPS || exceptions.is_empty() || exceptions.len() > most {
        return;
    }
    let place = |&(op, why): &(Op, &str)| {
        let event = history.first_event(op);
        (event, format!("{} {why}", told(history, event)))
    };
    let sentence = format!(
        "{} [key value] in the other {} cases, so the history is taken as one object without keys.",
        if exceptions.len() == 1 { "1 op is not of the form".into() } else { format!("{} ops are not of the form", exceptions.len()) },
        ops.len() - exceptions.len()
    );
    let places = exceptions.iter().take(PLACES_MAX).map(place).collect();
    report.add(Rule::NearlyKeyed, exceptions.len(), sentence, places);
}

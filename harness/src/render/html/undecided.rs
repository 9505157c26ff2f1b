//! `Unknown`: what ran out and where, why it was hard there, and what would help.

use super::Section;
use super::plot::{Axis, Moments, Panel, Steps, chart};
use super::text::{capital, count, list, many};
use super::view::View;
use crate::render::terminal::{part_sentence, reason_words, smallest_undecided};
use checker::verdict::{Reason, Summary};
use checker::{Answer, KeyVerdict};
use histories::{OpId, Outcome};
use maud::{Markup, html};

/// More undecided keys than this are listed without their chart.
const CHARTS_MAX: usize = 3;

/// The sentence of the banner.
pub(super) fn sentence(view: &View<'_>) -> String {
    let whole = view.run.verdict.reason.as_ref().map(|reason| reason_text(view, None, reason));
    let first = || keys(view).next().map(|(_, key, reason)| capital(&reason_text(view, Some(key), reason)));
    let gap = || view.run.coverage.gaps.first().cloned();
    whole.map(|text| capital(&text)).or_else(first).or_else(gap).unwrap_or_else(|| "Nothing could be decided.".into())
}

/// Whether that sentence is the first gap of the coverage, so that it need not be said again.
pub(super) fn sentence_is_a_gap(view: &View<'_>) -> bool {
    view.run.verdict.reason.is_none() && keys(view).next().is_none()
}

/// The section; none if everything was decided and enough was tested.
pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let undecided = keys(view).count();
    let gaps = &view.run.coverage.gaps;
    if undecided == 0 && gaps.is_empty() && view.run.verdict.reason.is_none() {
        return None;
    }
    Some(Section { id: "undecided", menu: "Undecided", heading: heading(view, undecided), lead: lead(view, undecided), body: body(view) })
}

fn heading(view: &View<'_>, undecided: usize) -> String {
    let total = view.run.verdict.keys.len();
    match undecided {
        0 if view.run.verdict.reason.is_some() => "This history allows no answer".into(),
        0 => "Too little was put to the test".into(),
        _ if keys(view).all(|(_, _, reason)| matches!(reason, Reason::History(_))) => "This history allows no answer".into(),
        _ if !view.is_by_key() => "The search ended before it found an order or a contradiction".into(),
        n => format!("{} of {} could not be decided", count(n), many(total, "key")),
    }
}

fn lead(view: &View<'_>, undecided: usize) -> Markup {
    let valid = view.keys(Summary::Valid).count();
    html! {
        @if undecided > 0 && valid > 0 { (many(valid, "key")) " came out valid, and that stays. " }
        @if undecided > 0 {
            "Operations that overlap must be tried in many orders. One of unknown outcome may have taken effect at any later moment, or never: every one that is open doubles, "
            "at worst, what must be tried."
        } @else if !view.run.coverage.gaps.is_empty() {
            "A run may only be called valid if it could have failed."
        }
    }
}

fn keys<'a>(view: &View<'a>) -> impl Iterator<Item = (usize, &'a KeyVerdict, &'a Reason)> {
    view.keys(Summary::Unknown).filter_map(|(place, key)| match &key.answer {
        Answer::Unknown(reason) => Some((place, key, reason)),
        Answer::Valid(_) | Answer::Invalid(_) => None,
    })
}

fn body(view: &View<'_>) -> Markup {
    let keys: Vec<_> = keys(view).collect();
    let gaps = &view.run.coverage.gaps;
    html! {
        @if let Some(reason) = &view.run.verdict.reason { p { (capital(&reason_text(view, None, reason))) } }
        @if !gaps.is_empty() { ul { @for gap in gaps { li { (gap) } } } }
        @for (place, key, reason) in keys.iter().take(CHARTS_MAX) {
            h3 { (capital(&view.key_name(key))) ", " (many(key.ops, "operation")) }
            p { (capital(&reason_words(reason, view.run))) }
            @if let Some(part) = &key.undecided { p { (part_sentence(part, view.run)) } }
            (pressure(view, *place, reason))
        }
        @if keys.len() > CHARTS_MAX {
            p class="note" { (count(keys.len() - CHARTS_MAX)) " more undecided keys are in the table of keys." }
        }
        @if let Some((key, part)) = smallest_undecided(view.run).filter(|_| keys.len() > 1) {
            p { "The smallest undecided part is that of " (view.key_name(key)) ", " (many(part.ops, "operation")) "." }
        }
        @if !keys.is_empty() { (what_helps(view, &keys)) }
    }
}

/// A reason in the words of the terminal; `key` is the key it speaks of.
pub(super) fn reason_text(view: &View<'_>, key: Option<&KeyVerdict>, reason: &Reason) -> String {
    let told = reason_words(reason, view.run);
    match key {
        Some(key) if view.is_by_key() => format!("{} ({}): {told}", view.key_name(key), many(key.ops, "operation")),
        _ => told,
    }
}

/// How many ops of the key were in flight, and how many of unknown outcome were open, over time.
fn pressure(view: &View<'_>, place: usize, reason: &Reason) -> Markup {
    let ops = &view.key_ops[place];
    if ops.is_empty() {
        return html! {};
    }
    let last = ops.iter().filter_map(|&op| view.end(op).or(view.gave_up(op))).max();
    let axis = Axis::new((view.start(ops[0]), last.unwrap_or(view.span.1)), view.timed);
    let counts = |from: &dyn Fn(OpId) -> Option<(i64, Option<i64>)>| Steps::concurrency(&axis, ops.iter().filter_map(|&op| from(op)));
    let live = counts(&|op| Some((view.start(op), Some(view.gave_up(op).unwrap_or(view.span.1)))));
    let open = counts(&|op| (view.outcome(op) == Outcome::Info && !reads(view, op)).then(|| (view.start(op), None)));
    let mut panels = vec![Panel::steps("in flight", "operations", vec![("", "ok", live)])];
    if open.largest() > 0.0 {
        panels.push(Panel::steps("still open", "unknown outcome", vec![("", "info", open)]));
    }
    let ordered = match reason {
        Reason::Time { ops_ordered, .. } | Reason::Memory { ops_ordered, .. } | Reason::Steps { ops_ordered, .. } => *ops_ordered,
        Reason::Interrupted | Reason::OtherKey | Reason::History(_) | Reason::Uncertified(_) => 0,
    };
    let mut ends: Vec<i64> = ops.iter().filter_map(|&op| view.end(op)).collect();
    ends.sort_unstable();
    let reached = ordered.checked_sub(1).and_then(|n| ends.get(n)).copied();
    html! {
        (chart(view, &axis, &panels, &Moments { class: "frontier", at: reached.into_iter().collect() }, None))
        @if let Some(at) = reached {
            p class="note" { "Line: at " (view.moment_text(at, 3)) ", " (many(ordered, "operation")) " of this key had completed." }
        }
    }
}

fn reads(view: &View<'_>, op: OpId) -> bool {
    let history = view.history();
    matches!(history.name(history.op_function(history.op(op))), "read" | "get")
}

fn what_helps(view: &View<'_>, keys: &[(usize, &KeyVerdict, &Reason)]) -> Markup {
    let has = |test: &dyn Fn(&Reason) -> bool| keys.iter().any(|(_, _, reason)| test(reason));
    let ops = keys.iter().flat_map(|(place, ..)| &view.key_ops[*place]);
    let open = ops.filter(|&&op| view.outcome(op) == Outcome::Info && !reads(view, op)).count();
    let sources: Vec<String> = view
        .run
        .errors
        .iter()
        .filter(|error| error.outcome == "info")
        .take(4)
        .map(|error| format!("{} {} ({})", error.f, error.kind, count(error.count)))
        .collect();
    html! {
        h3 { "What would help" }
        ul {
            @if has(&|r| matches!(r, Reason::Time { .. })) { li { "more time: a larger " code { "--time-limit" } } }
            @if has(&|r| matches!(r, Reason::Memory { .. })) { li { "more memory: a larger " code { "--memory-limit" } } }
            @if has(&|r| matches!(r, Reason::Interrupted)) { li { "letting the check run to its end" } }
            @if open > 0 {
                li {
                    "fewer unknown outcomes: " (many(open, "operation")) " on these keys may or may not have happened"
                    @if !sources.is_empty() { "; most in this run come from " (list(&sources)) }
                    ". A longer timeout of the client turns many of them into answers"
                }
            }
            li { "writes of distinct values, and fewer clients on the same key" }
        }
    }
}

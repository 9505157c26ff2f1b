//! The verdict on each key.

use super::text::{count, many};
use super::view::View;
use super::{Section, counterexample, sign};
use checker::verdict::Summary;
use checker::{Answer, KeyVerdict};
use histories::Outcome;
use maud::{Markup, html};
use std::cmp::Reverse;

/// More keys than this are counted, not listed: the worst and the largest come first.
const ROWS_MAX: usize = 500;

/// The section; none for a history of a single object.
pub(super) fn section(view: &View<'_>) -> Option<Section> {
    if !view.keyed() || view.run.verdict.keys.is_empty() {
        return None;
    }
    let lead =
        html! { "Each key is an object of its own and is checked alone. A key with few operations says little, whatever its verdict." };
    Some(Section { id: "keys", menu: "Keys", heading: heading(view), lead, body: table(view) })
}

fn heading(view: &View<'_>) -> String {
    let total = view.run.verdict.keys.len();
    let of = |answer| view.keys(answer).count();
    let are = |n: usize| if n == 1 { "is" } else { "are" };
    match (of(Summary::Invalid), of(Summary::Unknown)) {
        (0, 0) if total == 1 => "The one key is valid".into(),
        (0, 0) => format!("All {} keys are valid", count(total)),
        (0, unknown) => format!("{} of {} {} undecided", count(unknown), many(total, "key"), are(unknown)),
        (invalid, 0) => format!("{} of {} {} invalid", count(invalid), many(total, "key"), are(invalid)),
        (invalid, unknown) => {
            format!("{} of {} {} invalid, {} undecided", count(invalid), many(total, "key"), are(invalid), count(unknown))
        }
    }
}

fn table(view: &View<'_>) -> Markup {
    let mut keys: Vec<(usize, &KeyVerdict)> = view.run.verdict.keys.iter().enumerate().collect();
    keys.sort_by_key(|(place, key)| (Reverse(key.answer.summary()), Reverse(if keys_are_many(view) { key.ops } else { 0 }), *place));
    let shown = &keys[..keys.len().min(ROWS_MAX)];
    html! {
        div class="wide" { table data-sort {
            thead { tr {
                th scope="col" { "key" } th scope="col" class="n" { "ops" } th scope="col" class="n" { "ok" } th scope="col" class="n" { "fail" }
                th scope="col" class="n" { "info" } th scope="col" { "verdict" } th scope="col" { "decided by" }
                th scope="col" class="n" { "configurations" }
            } }
            tbody { @for (place, key) in shown { (row(view, *place, key)) } }
        } }
        @if shown.len() < keys.len() { p class="note" { (rest(&keys[shown.len()..])) } }
    }
}

fn keys_are_many(view: &View<'_>) -> bool {
    view.run.verdict.keys.len() > ROWS_MAX
}

/// What is not listed, in words.
fn rest(keys: &[(usize, &KeyVerdict)]) -> String {
    let valid = keys.iter().all(|(_, key)| key.answer.summary() == Summary::Valid);
    format!("{} not listed{}.", many(keys.len(), "more key"), if valid { ", all valid" } else { "; not all of them valid" })
}

fn row(view: &View<'_>, place: usize, key: &KeyVerdict) -> Markup {
    let of = |outcome| view.key_ops[place].iter().filter(|&&op| view.outcome(op) == outcome).count();
    let (name, sign) = sign(key.answer.summary());
    let link = match key.answer {
        Answer::Invalid(_) => Some(format!("#{}", counterexample::anchor(place))),
        Answer::Unknown(_) => Some("#undecided".into()),
        Answer::Valid(_) => None,
    };
    let label = view.key_name(key);
    html! {
        tr {
            td { (label) }
            td class="n" { (count(key.ops)) }
            td class="n" { (count(of(Outcome::Ok))) }
            td class="n" { (count(of(Outcome::Fail))) }
            td class="n" { (count(of(Outcome::Info))) }
            td {
                @if let Some(link) = link { a class={ "answer " (name) } href=(link) { (sign) " " (name) } }
                @else { span class={ "answer " (name) } { (sign) " " (name) } }
            }
            td { (key.algorithm) }
            td class="n" { (count(key.steps as usize)) }
        }
    }
}

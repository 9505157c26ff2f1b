//! How ops ended: by function and outcome, and the errors behind those that did not end `ok`.

use super::Section;
use super::text::{Percent, count, many, percent};
use super::view::View;
use crate::run::{ErrorCount, FunctionCount};
use histories::Outcome;
use maud::{Markup, html};

/// More kinds of errors than this are counted, not listed.
const ERRORS_MAX: usize = 100;

/// The section; none if there is no op.
pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let run = view.run;
    let [ok, fail, info] = [Outcome::Ok, Outcome::Fail, Outcome::Info].map(|outcome| run.ops(outcome));
    let total = ok + fail + info;
    if total == 0 {
        return None;
    }
    let heading = match info {
        0 => format!("{} of {} succeeded; every outcome is known", count(ok), many(total, "operation")),
        1 => format!("{} of {} succeeded; one has an unknown outcome", count(ok), many(total, "operation")),
        n => format!("{} of {} succeeded; {} have an unknown outcome", count(ok), many(total, "operation"), count(n)),
    };
    let lead = html! { "ok: took effect. fail: certainly did not, and was left out of the search. info: nobody knows, and the checker allowed for both." };
    let body = html! {
        (outcomes(&run.counts))
        @if !run.errors.is_empty() { (errors(&run.errors)) }
    };
    Some(Section { id: "counts", menu: "Counts and errors", heading, lead, body })
}

fn outcomes(counts: &[FunctionCount]) -> Markup {
    let sum = counts.iter().fold(FunctionCount { f: "all".into(), ..FunctionCount::default() }, |mut sum, c| {
        sum.ok += c.ok;
        sum.fail += c.fail;
        sum.info += c.info;
        sum
    });
    let rows = counts.iter().chain((counts.len() > 1).then_some(&sum));
    html! {
        div class="wide" { table class="outcomes" {
            thead { tr {
                th scope="col" { "operation" }
                @for name in ["ok", "fail", "info"] { th scope="colgroup" colspan="2" { (name) ", share" } }
                th scope="col" class="n" { "all" }
            } }
            tbody { @for c in rows { (outcome_row(c, c.f == "all" && std::ptr::eq(c, &raw const sum))) } }
        } }
    }
}

fn outcome_row(c: &FunctionCount, sum: bool) -> Markup {
    let total = c.ok + c.fail + c.info;
    html! {
        tr class=[sum.then_some("sum")] {
            td { (c.f) }
            @for (n, class) in [(c.ok, "ok"), (c.fail, "fail"), (c.info, "info")] {
                td class="n" { (count(n)) }
                td class="share" {
                    svg width="72" height="8" aria-hidden="true" {
                        rect class=(class) width=(Percent(n as f64 / total.max(1) as f64)) height="8" {}
                    }
                    " " (percent(n, total))
                }
            }
            td class="n" { (count(total)) }
        }
    }
}

fn errors(errors: &[ErrorCount]) -> Markup {
    let shown = &errors[..errors.len().min(ERRORS_MAX)];
    html! {
        h3 { "Errors" }
        p {
            "The verdict believes this table: an error listed as definite must mean that the store did nothing. "
            "If a surprising verdict has a wrong reason, it is most often here."
        }
        div class="wide" { table data-sort {
            thead { tr {
                th scope="col" { "taken as" } th scope="col" { "operation" } th scope="col" { "error" } th scope="col" class="n" { "count" }
                th scope="col" { "the first one said" }
            } }
            tbody { @for error in shown {
                tr {
                    td { @if error.outcome == "info" { span class="doubt" { "△ indefinite (info)" } } @else { "× definite (fail)" } }
                    td { (error.f) }
                    td { code { (error.kind) } }
                    td class="n" { (count(error.count)) }
                    td class="said" { (error.example) }
                }
            } }
        } }
        @if shown.len() < errors.len() { p class="note" { (count(errors.len() - shown.len())) " rarer kinds are not listed." } }
    }
}

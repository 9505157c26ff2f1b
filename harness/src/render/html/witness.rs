//! The proof of `valid`: how hard the run tried, and one order per key that explains every answer.

use super::Section;
use super::counterexample::runs;
use super::op::Mark;
use super::text::{capital, count, many};
use super::view::View;
use checker::verdict::Summary;
use checker::{Answer, Consistency};
use histories::history::NO_EVENT;
use histories::{OpId, Outcome};
use maud::{Markup, html};

/// Histories of more ops than this show no order: nobody reads it.
const OPS_MAX: usize = 20_000;
/// Items of one order, and of all orders together.
const ITEMS_PER_KEY_MAX: usize = 1_000;
const ITEMS_MAX: usize = 6_000;

/// The section; none unless the checker found an order for every key.
pub(super) fn section(view: &View<'_>) -> Option<Section> {
    if view.run.verdict.answer != Summary::Valid || view.history().ops().is_empty() {
        return None;
    }
    let keyed = view.is_by_key();
    let heading = match view.consistency() {
        Consistency::Eventual => "An order of the updates explains what is read in the end",
        Consistency::Causal => "An order that keeps the causal one explains every answer",
        Consistency::Linearizable | Consistency::Sequential | Consistency::SequentialPerKey | Consistency::CausalConvergence if keyed => {
            "One order per key explains every answer"
        }
        Consistency::Linearizable | Consistency::Sequential | Consistency::SequentialPerKey | Consistency::CausalConvergence => {
            "One order explains every answer"
        }
        Consistency::Isolation(_) => "An order of the transactions explains what each read",
        _ => "An order for each process explains what it read",
    };
    Some(Section { id: "witness", menu: "Witness", heading: heading.into(), lead: lead(&Effort::of(view), keyed), body: body(view) })
}

fn lead(effort: &Effort, keyed: bool) -> Markup {
    html! {
        "How much that says depends on how hard the run tried. "
        "When an operation began, " (count(effort.median)) @if keyed { " on the same key" }
        " were in flight at the median, itself included, and at most " (count(effort.most)) ". "
        @if effort.reads > 0 {
            (count(effort.choices)) " of " (many(effort.reads, "answered read")) " overlapped a write, so that more than one answer was right. "
        }
        @if effort.during_faults > 0 { (many(effort.during_faults, "operation")) " ran while a fault was active." }
    }
}

fn body(view: &View<'_>) -> Markup {
    let total: usize = view.history().ops().len();
    if total > OPS_MAX {
        return html! { p class="note" { "The orders of " (many(total, "operation")) " are not shown; the check finds them again." } };
    }
    let mut items_left = ITEMS_MAX;
    html! {
        p {
            "Read an order from left to right and keep the last " b { "stored" } " value: every read returns it. "
            "A ? marks an operation of unknown outcome."
        }
        @for (place, key) in view.keys(Summary::Valid) { @if let Answer::Valid(witness) = &key.answer {
            @let left_out = view.key_ops[place].iter().filter(|&&op| view.outcome(op) == Outcome::Info).count()
                - witness.order.iter().filter(|&&op| view.outcome(op) == Outcome::Info).count().min(view.key_ops[place].len());
            details class="witness" {
                summary {
                    @if witness.views.is_empty() {
                        (capital(&view.key_name(key))) ": " (many(witness.order.len(), "operation")) " in order"
                    } @else {
                        (capital(&view.key_name(key))) ": " (many(witness.views.len(), "order")) ", one for each session that reads"
                    }
                    @if left_out > 0 && witness.views.is_empty() { "; " (count(left_out)) " of unknown outcome need not have taken effect" }
                }
                @if witness.views.is_empty() { (order(view, &witness.order, &mut items_left)) }
                @for own in &witness.views {
                    @if let Some(first) = own.first { p { (capital(&format!("process {}", view.process(first)))) ":" } }
                    (order(view, &own.order, &mut items_left))
                }
            }
        } }
    }
}

fn order(view: &View<'_>, order: &[OpId], items_left: &mut usize) -> Markup {
    let runs = runs(view, order);
    let shown = runs.len().min(ITEMS_PER_KEY_MAX).min(*items_left);
    *items_left -= shown;
    html! {
        p class="orderline" { @for (op, times) in &runs[..shown] {
            @let mark = Mark::new(view, *op);
            @if mark.stores.is_some() { b { (mark.listed()) } } @else { (mark.listed()) }
            @if *times > 1 { i { "×" (times) } }
            " "
        } }
        @if shown < runs.len() { p class="note" { (count(runs.len() - shown)) " more items of this order are not shown." } }
    }
}

/// How much the ops of a run overlapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Effort {
    /// Ops in flight on the same key when an op began, itself included: the median.
    median: usize,
    /// The same: the most.
    most: usize,
    /// Reads that were answered.
    reads: usize,
    /// Those of them that overlapped a write on the same key.
    choices: usize,
    /// Ops in flight while an observed fault was active.
    during_faults: usize,
}

impl Effort {
    fn of(view: &View<'_>) -> Effort {
        let mut effort = Effort { during_faults: view.run.coverage.ops_during_faults, ..Effort::default() };
        let mut overlaps: Vec<usize> = Vec::new();
        for ops in &view.key_ops {
            effort.add_key(view, ops, &mut overlaps);
        }
        overlaps.sort_unstable();
        effort.median = overlaps.get(overlaps.len() / 2).copied().unwrap_or(0);
        effort.most = overlaps.last().copied().unwrap_or(0);
        effort
    }

    /// Goes through the events of a key. A read has a choice if a write was in flight when it began, or began before it ended.
    fn add_key(&mut self, view: &View<'_>, ops: &[OpId], overlaps: &mut Vec<usize>) {
        let history = view.history();
        let mut events: Vec<(u32, OpId)> = Vec::with_capacity(ops.len() * 2);
        for &id in ops {
            let op = history.op(id);
            events.extend([op.invoke, op.complete].iter().filter(|&&event| event != NO_EVENT).map(|&event| (event, id)));
        }
        events.sort_unstable();
        let (mut in_flight, mut writes_in_flight, mut writes_begun) = (0_usize, 0_usize, 0_usize);
        let mut open_reads: Vec<(OpId, bool, usize)> = Vec::new();
        for (event, id) in events {
            let op = history.op(id);
            let read = matches!(history.name(history.op_function(op)), "read" | "get");
            if event == op.invoke {
                in_flight += 1;
                overlaps.push(in_flight);
                if read {
                    open_reads.push((id, writes_in_flight > 0, writes_begun));
                } else {
                    writes_in_flight += 1;
                    writes_begun += 1;
                }
            } else if op.invoke != NO_EVENT {
                in_flight -= 1;
                if !read {
                    writes_in_flight -= 1;
                } else if let Some(at) = open_reads.iter().position(|open| open.0 == id) {
                    let (_, had_choice, begun) = open_reads.swap_remove(at);
                    if history.outcome(op) == Outcome::Ok {
                        self.reads += 1;
                        self.choices += usize::from(had_choice || writes_begun > begun);
                    }
                }
            }
        }
    }
}

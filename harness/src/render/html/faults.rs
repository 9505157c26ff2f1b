//! What was done to the nodes: injected, observed, healed. A fault counts only once it was seen.

use super::figure::texture;
use super::plot::{Axis, heads};
use super::text::{Percent, count, list, many};
use super::view::{self, View};
use super::{Section, lanes};
use crate::timeline::FaultWindow;
use crate::ui::format;
use histories::Outcome;
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::time::Duration;

/// More injections than this are summed up: those without effect first, then the earliest.
const ROWS_MAX: usize = 60;
/// So few injections need no sums by fault.
const FEW: usize = 8;
/// Overlapping faults of one node that are drawn.
const ROWS_PER_NODE_MAX: usize = 4;
/// The share of the width below which a bar of the lanes is not labelled.
const LABEL_SHARE_MIN: f64 = 0.055;
/// The same on a narrow screen.
const LABEL_SHARE_MIN_NARROW: f64 = 0.16;

/// The section; none if no fault was asked for and none happened.
pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let (windows, asked) = (&view.run.windows, &view.run.coverage.faults);
    if windows.is_empty() && asked.is_empty() {
        return None;
    }
    let lead = html! {
        "A fault counts only if it was seen, from outside what injected it, to have taken effect. "
        @if view.timed && !windows.is_empty() { "A line: the node runs. Hatched: cut off. Dense: killed. Striped: paused. Dashed frame: no effect seen." }
    };
    let body = html! {
        @if view.timed && !windows.is_empty() { (lanes_of_nodes(view)) }
        @if windows.len() > FEW || asked.iter().any(|fault| fault.injected == 0) { (by_name(view)) }
        @if !windows.is_empty() { (table(view)) }
    };
    Some(Section { id: "faults", menu: "Faults", heading: heading(view), lead, body })
}

fn heading(view: &View<'_>) -> String {
    let windows = &view.run.windows;
    let observed = windows.iter().filter(|w| w.observed).count();
    let mut without: BTreeMap<&str, usize> = BTreeMap::new();
    for window in windows.iter().filter(|w| !w.observed) {
        *without.entry(&window.fault).or_default() += 1;
    }
    let silent: Vec<String> = without.iter().map(|(fault, &n)| many(n, fault)).collect();
    match (windows.len(), observed) {
        (0, _) => "No fault was injected".into(),
        (1, 1) => "The one fault took effect".into(),
        (n, seen) if seen == n => format!("All {} faults took effect", count(n)),
        (n, seen) => format!("{} of {} took effect; not so: {}", count(seen), many(n, "fault"), list(&silent)),
    }
}

/// A lane per node over the run.
fn lanes_of_nodes(view: &View<'_>) -> Markup {
    let axis = Axis::new(view.span, view.timed);
    html! {
        div class="chart lanes" role="group" aria-label="faults per node over time" {
            (heads(view, &axis))
            @for node in &view.nodes { (lane(view, &axis, node)) }
            (axis.row())
        }
    }
}

/// A node's lane: a line while it runs, its faults on it, in further rows where they overlap.
fn lane(view: &View<'_>, axis: &Axis, node: &str) -> Markup {
    let hits: Vec<&FaultWindow> = view.faults().iter().filter(|w| concerns(w, node)).collect();
    let extents: Vec<(f64, f64)> = hits.iter().map(|window| extent(view, axis, window)).collect();
    let rows = lanes::pack(&extents, 0.0, ROWS_PER_NODE_MAX);
    let height = 22 + 18 * rows.iter().flatten().max().copied().unwrap_or(0);
    html! {
        div class="row lane" {
            div class="name" { b { (node) } }
            div class="plot" { svg width="100%" height=(height) role="img" aria-label={ "faults of " (node) } {
                @for x in axis.hairlines() { line class="hair" x1=(Percent(x)) x2=(Percent(x)) y1="0" y2=(height) {} }
                @for (from, to) in running(&hits, &extents) { line class="up" x1=(Percent(from)) x2=(Percent(to)) y1="11" y2="11" {} }
                @for (window, row) in hits.iter().zip(&rows) { @if let Some(row) = row { (bar(view, axis, window, node, *row)) } }
            } }
        }
    }
}

/// The stretches in which no kill kept the node down, from 0 to 1.
fn running(hits: &[&FaultWindow], extents: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let kills = hits.iter().zip(extents).filter(|(window, _)| window.observed && texture(&window.fault) == "dense");
    let mut down: Vec<(f64, f64)> = kills.map(|(_, &extent)| extent).collect();
    down.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut up = Vec::new();
    let mut reached = 0.0;
    for (from, to) in down {
        if from > reached {
            up.push((reached, from));
        }
        reached = to.max(reached);
    }
    if reached < 1.0 {
        up.push((reached, 1.0));
    }
    up
}

fn concerns(window: &FaultWindow, node: &str) -> bool {
    window.nodes.iter().chain(window.groups.iter().flatten()).any(|name| name == node)
}

/// From where to where a fault was active, from 0 to 1.
fn extent(view: &View<'_>, axis: &Axis, window: &FaultWindow) -> (f64, f64) {
    let left = axis.share(view.moment(window.from_ns));
    let right = window.to_ns.map_or(1.0, |end| axis.share(view.moment(end)));
    (left, right.max(left + 0.002))
}

fn bar(view: &View<'_>, axis: &Axis, window: &FaultWindow, node: &str, row: usize) -> Markup {
    let (left, right) = extent(view, axis, window);
    let width = right - left;
    let label = match window.groups.iter().position(|group| group.iter().any(|name| name == node)) {
        Some(side @ 0..26) => format!("side {}", char::from(b'A' + side as u8)),
        _ => window.fault.clone(),
    };
    let texture = texture(&window.fault);
    let title = format!("{}: {} ({})", window.fault, window.what, span_text(view, window));
    let top = 3 + 18 * row;
    html! {
        g class=(if window.observed { "hit" } else { "hit none" }) {
            title { (title) }
            @if window.observed {
                rect fill={ "url(#" (texture) ")" } x=(Percent(left)) y=(top) width=(Percent(width)) height="16" {}
            }
            rect class="frame" x=(Percent(left)) y=(top) width=(Percent(width)) height="16" {}
            @if width >= LABEL_SHARE_MIN {
                text class=[(width < LABEL_SHARE_MIN_NARROW).then_some("wide-only")] x=(Percent(left)) dx="5" y=(top + 12) {
                    (label) @if !window.observed { ": no effect" }
                }
            }
        }
    }
}

fn span_text(view: &View<'_>, window: &FaultWindow) -> String {
    let from = view.moment_number(view.moment(window.from_ns), 3);
    match window.to_ns {
        Some(end) => format!("{from} to {}", view.moment_text(view.moment(end), 3)),
        None => format!("from {from} s, not seen to end"),
    }
}

/// What was asked for, and what came of it.
fn by_name(view: &View<'_>) -> Markup {
    let asked = &view.run.coverage.faults;
    html! {
        div class="wide" { table {
            thead { tr {
                th scope="col" { "fault asked for" } th scope="col" class="n" { "injected" } th scope="col" class="n" { "took effect" }
                th scope="col" class="n" { "active" } th scope="col" { "nodes" }
            } }
            tbody { @for fault in asked {
                tr {
                    td { (fault.fault) }
                    td class="n" { (count(fault.injected)) }
                    td class="n" { span class=(if fault.observed > 0 { "good" } else { "doubt" }) { (count(fault.observed)) } }
                    td class="n" { (format::duration(Duration::from_millis(fault.active_ms))) }
                    td { (fault.nodes.join(" ")) }
                }
            } }
        } }
    }
}

fn table(view: &View<'_>) -> Markup {
    let windows = &view.run.windows;
    let mut shown: Vec<(usize, &FaultWindow)> = windows.iter().enumerate().collect();
    shown.sort_by_key(|(i, window)| (window.observed, *i));
    shown.truncate(ROWS_MAX);
    shown.sort_by_key(|(i, _)| *i);
    let asked = Asked::new(view);
    html! {
        div class="wide" { table class="faults" {
            thead { tr {
                th scope="col" class="n" { "#" } th scope="col" { "fault" } th scope="col" { "what was done" }
                th scope="col" { "who led" }
                th scope="col" class="n" { "began, s" } th scope="col" class="n" { "seen, s" } th scope="col" class="n" { "gone, s" }
                th scope="col" class="n" { "lasted, s" }
                th scope="col" { "took effect" } th scope="col" { "evidence" }
            } }
            tbody { @for (i, window) in &shown { (row(view, &asked, *i, window)) } }
        } }
        @if shown.len() < windows.len() {
            p class="note" { (count(windows.len() - shown.len())) " more injections took effect and are not listed." }
        }
    }
}

fn row(view: &View<'_>, asked: &Asked<'_>, i: usize, window: &FaultWindow) -> Markup {
    let time = |at: Option<i64>| at.map_or_else(|| "–".into(), |at| view.moment_number(view.moment(at), 3));
    html! {
        tr {
            td class="n" { (i + 1) }
            td { (window.fault) }
            td { (if window.what.is_empty() { window.nodes.join(" ") } else { window.what.clone() }) }
            td { (role(view, window)) }
            td class="n" { (time(Some(window.from_ns))) }
            td class="n" { (time(window.injected_ns.filter(|_| window.observed))) }
            td class="n" { (time(window.to_ns)) }
            td class="n" { (lasted(window).map_or_else(|| "–".into(), |lasted| view::seconds(lasted, 3))) }
            td { @if window.observed { span class="good" { "✓ yes" } } @else { span class="doubt" { "? not seen" } } }
            td {
                (window.seen)
                @for (name, value) in &window.facts { span class="more" { (name) ": " (value) } }
                @if let Some(meanwhile) = asked.meanwhile(view, window) { span class="more" { (meanwhile) } }
                @match window.recovered {
                    Some(false) => span class="more doubt" { "? was not seen to be gone afterwards" },
                    None if window.to_ns.is_none() => span class="more doubt" { "? the recording ends before it was gone" },
                    _ => {}
                }
            }
        }
    }
}

/// Who led when the fault began, and whether it hurt them: them and not simply everybody, as a partition does.
fn role(view: &View<'_>, window: &FaultWindow) -> String {
    let Some(leaders) = &window.leaders else { return "–".into() };
    let some = window.nodes.len() < view.nodes.len();
    let told = |leader: &String| if some && window.nodes.contains(leader) { format!("{leader} (hurt)") } else { leader.clone() };
    if leaders.is_empty() { "nobody".into() } else { leaders.iter().map(told).collect::<Vec<_>>().join(" ") }
}

/// From the moment at which it had been injected until it was gone, in nanoseconds.
fn lasted(window: &FaultWindow) -> Option<i64> {
    Some((window.to_ns? - window.injected_ns.filter(|_| window.observed)?).max(0))
}

/// Invocations by node, in order of time: what clients asked of a node while it was hurt.
struct Asked<'a>(BTreeMap<&'a str, Vec<(i64, Outcome)>>);

impl<'a> Asked<'a> {
    fn new(view: &View<'a>) -> Asked<'a> {
        let mut asked: BTreeMap<&str, Vec<(i64, Outcome)>> = BTreeMap::new();
        for op in view.history().op_ids().filter(|_| view.timed) {
            if let Some(node) = view.node(op) {
                asked.entry(node).or_default().push((view.start(op), view.outcome(op)));
            }
        }
        for ops in asked.values_mut() {
            ops.sort_unstable();
        }
        Asked(asked)
    }

    fn meanwhile(&self, view: &View<'_>, window: &FaultWindow) -> Option<String> {
        let from = view.moment(window.from_ns);
        let to = window.to_ns.map_or(view.span.1, |end| view.moment(end));
        let mut counts = [0_usize; 3];
        for node in &window.nodes {
            let ops = self.0.get(node.as_str())?;
            let first = ops.partition_point(|op| op.0 < from);
            let last = ops.partition_point(|op| op.0 <= to);
            for op in &ops[first..last.max(first)] {
                counts[op.1 as usize] += 1;
            }
        }
        let [ok, fail, info] = counts.map(count);
        let total: usize = counts.iter().sum();
        (!window.nodes.is_empty()).then(|| format!("{} asked there meanwhile: {ok} ok, {fail} fail, {info} info", many(total, "op")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(fault: &str, observed: bool) -> FaultWindow {
        FaultWindow { fault: fault.into(), observed, ..FaultWindow::default() }
    }

    #[test]
    fn a_node_runs_except_while_a_kill_was_seen() {
        let windows = [window("kill", true), window("pause", true), window("kill", true), window("kill", false)];
        let hits: Vec<&FaultWindow> = windows.iter().collect();
        let extents = [(0.25, 0.5), (0.1, 0.9), (0.375, 0.75), (0.8, 0.9)];
        assert_eq!(running(&hits, &extents), [(0.0, 0.25), (0.75, 1.0)]);
        assert_eq!(running(&[], &[]), [(0.0, 1.0)]);
        assert_eq!(running(&hits[..1], &[(0.0, 1.0)]), []);
    }
}

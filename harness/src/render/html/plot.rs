//! Charts over the time of a run: one axis for all panels of a chart, faults shaded through them.
//!
//! A chart stretches with the page. Lines and dots live in a box of 1000 by 100 units that is stretched in both directions,
//! with strokes that are not; text and marks are placed by percent. So one drawing serves every width.

use super::lanes;
use super::scale::round_step;
use super::text::{self, Percent, Px};
use super::view::View;
use crate::timeline::{FaultWindow, Phase, PhaseSpan};
use maud::{Markup, PreEscaped, html};
use std::fmt::Write;

/// The units of the stretched box, across.
pub(super) const WIDE: f64 = 1000.0;
/// The units of the stretched box, down.
pub(super) const HIGH: f64 = 100.0;

/// The time axis of a chart.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    from: i64,
    to: i64,
    timed: bool,
}

impl Axis {
    /// An axis over a span of the page's time. `timed` says whether it is seconds, or positions of events.
    pub(super) fn new(span: (i64, i64), timed: bool) -> Axis {
        Axis { from: span.0, to: span.1.max(span.0 + 1), timed }
    }

    /// Its first moment.
    pub(super) fn start(&self) -> i64 {
        self.from
    }

    /// The length in nanoseconds.
    pub(super) fn length(&self) -> i64 {
        self.to - self.from
    }

    /// Where a moment lies, from 0 to 1.
    pub(super) fn share(&self, at: i64) -> f64 {
        ((at - self.from) as f64 / self.length() as f64).clamp(0.0, 1.0)
    }

    /// Whether a fault was active at some time of the axis.
    fn shows(&self, view: &View<'_>, window: &FaultWindow) -> bool {
        view.moment(window.from_ns) <= self.to && window.to_ns.is_none_or(|end| view.moment(end) >= self.from)
    }

    /// The bin of a moment, of `bins` equal ones.
    pub(super) fn bin(&self, at: i64, bins: usize) -> usize {
        ((self.share(at) * bins as f64) as usize).min(bins.saturating_sub(1))
    }

    /// Round times with their places; the first carries the unit.
    fn ticks(&self) -> Vec<(f64, String)> {
        const TICKS_MAX: usize = 12;
        let unit = 1e6;
        let step = round_step(self.length() as f64, unit, TICKS_MAX).max(1.0) as i64;
        let decimals = match step {
            1_000_000_000.. => 0,
            100_000_000.. => 1,
            10_000_000.. => 2,
            _ => 3,
        };
        let first = self.from.div_euclid(step) + i64::from(self.from.rem_euclid(step) > 0);
        let label = |at: i64| match (self.timed, decimals) {
            (false, _) => (at / 1_000_000).to_string(),
            (true, 0) => (at / 1_000_000_000).to_string(),
            (true, _) => super::view::seconds(at, decimals),
        };
        (first..=self.to.div_euclid(step)).map(|i| i * step).map(|at| (self.share(at), label(at))).collect()
    }
}

/// A quantity per bin of time.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    /// One per bin.
    pub(super) values: Vec<f64>,
    /// The width of a bin as a share of the axis. The last bin may be cut off.
    pub(super) width: f64,
}

impl Steps {
    /// The most intervals (start, end; open ones never end) that were open at once in each of 400 bins.
    pub(super) fn concurrency(axis: &Axis, intervals: impl Iterator<Item = (i64, Option<i64>)>) -> Steps {
        const BINS: usize = 400;
        let mut changes: Vec<(i64, i32)> = Vec::new();
        for (start, end) in intervals {
            changes.push((start, 1));
            changes.extend(end.map(|end| (end, -1)));
        }
        changes.sort_unstable();
        let (mut bins, mut open, mut reached) = (vec![0.0_f64; BINS], 0_i32, 0_usize);
        for (at, change) in changes {
            let bin = axis.bin(at, BINS);
            bins[reached + usize::from(reached < bin)..=bin].iter_mut().for_each(|value| *value = value.max(f64::from(open)));
            reached = bin;
            open += change;
            bins[bin] = bins[bin].max(f64::from(open));
        }
        bins[(reached + 1).min(BINS)..].iter_mut().for_each(|value| *value = f64::from(open));
        Steps { values: bins, width: 1.0 / BINS as f64 }
    }

    /// The largest value.
    pub(super) fn largest(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }

    /// The line, in the stretched box, where `top` is the value at its upper edge.
    fn path(&self, top: f64) -> String {
        let mut d = String::new();
        let mut last = f64::NAN;
        for (i, &value) in self.values.iter().enumerate() {
            let y = (HIGH * (1.0 - value / top)).round();
            let x = (i as f64 * self.width * WIDE * 10.0).round() / 10.0;
            if i == 0 {
                let _ = write!(d, "M0 {y}");
            } else if (y - last).abs() > 0.0 {
                let _ = write!(d, "H{x}V{y}");
            }
            last = y;
        }
        let _ = write!(d, "H{WIDE}");
        d
    }
}

/// Something drawn in a panel.
pub(super) enum Layer {
    /// A line in the stretched box.
    Line {
        /// Its classes.
        class: &'static str,
        /// Its path.
        d: String,
    },
    /// Dots: strokes without length in the stretched box.
    Dots {
        /// Their path.
        d: String,
        /// Their diameter in pixels.
        size: f64,
    },
    /// Marks that keep their shape.
    Marks {
        /// The symbol: `cross`, `triangle`.
        symbol: &'static str,
        /// Their places, from 0 to 1 across and down.
        at: Vec<(f64, f64)>,
    },
}

/// One panel of a chart.
pub(super) struct Panel {
    /// What it shows.
    pub(super) name: String,
    /// In which unit.
    pub(super) unit: &'static str,
    /// Labels of the vertical axis, from 0 (top) to 1.
    pub(super) ticks: Vec<(f64, String)>,
    /// From back to front.
    pub(super) layers: Vec<Layer>,
    /// What stands at the right: text, its class, and its height from 0 (top) to 1 if it belongs to a line's end.
    pub(super) side: Vec<(String, &'static str, Option<f64>)>,
}

impl Panel {
    /// A panel of step lines: the name of each (empty: none), its class, its values.
    pub(super) fn steps(name: &str, unit: &'static str, lines: Vec<(&'static str, &'static str, Steps)>) -> Panel {
        let largest = lines.iter().map(|(_, _, steps)| steps.largest()).fold(1.0, f64::max);
        let step = round_step(largest, if largest < 5.0 { 1.0 } else { 0.001 }, 3);
        let top = (largest / step).ceil() * step;
        let ticks = (0..=(top / step).round() as usize).map(|i| (1.0 - i as f64 * step / top, number(i as f64 * step))).collect();
        let end = |steps: &Steps| 1.0 - steps.values.last().copied().unwrap_or(0.0) / top;
        let named = lines.iter().filter(|(name, ..)| !name.is_empty());
        let side = named.map(|(name, class, steps)| ((*name).into(), *class, Some(end(steps)))).collect();
        let layers = lines.into_iter().map(|(_, class, steps)| Layer::Line { class, d: steps.path(top) }).collect();
        Panel { name: name.into(), unit, ticks, layers, side }
    }
}

/// A round number on an axis.
fn number(x: f64) -> String {
    match x {
        x if x == 0.0 || x >= 1.0 && (x - x.round()).abs() < 1e-9 => text::count(x as usize),
        x if x >= 1.0 => format!("{x:.1}"),
        x => format!("{x}"),
    }
}

/// Moments marked by a line through all panels.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    /// What they are: `violation`, `frontier`.
    pub(super) class: &'static str,
    /// When.
    pub(super) at: Vec<i64>,
}

/// A chart: the names of faults, the panels, the axis. `bins` is what the cross-hair reads.
pub(super) fn chart(view: &View<'_>, axis: &Axis, panels: &[Panel], moments: &Moments, bins: Option<String>) -> Markup {
    let bands = bands(view, axis);
    let across = axis.hairlines();
    html! {
        div class="chart" tabindex=[bins.as_ref().map(|_| "0")] data-bins=[bins] role="group" aria-label="charts over time" {
            (heads(view, axis))
            @for panel in panels { (panel_markup(panel, &bands, &across, moments, axis)) }
            (axis.row())
        }
    }
}

impl Axis {
    /// The row of time labels under a chart.
    pub(super) fn row(&self) -> Markup {
        html! {
            div class="row axis" { div class="plot" { svg width="100%" height="16" aria-hidden="true" {
                @for (i, (share, label)) in self.ticks().iter().enumerate() {
                    text class=[(i % 2 == 1).then_some("odd")] x=(Percent(*share)) y="12" text-anchor="middle" {
                        (label) @if i == 0 && self.timed { " s" }
                    }
                }
            } } }
        }
    }

    /// Hairlines at the round times, from 0 to 1.
    pub(super) fn hairlines(&self) -> Vec<f64> {
        self.ticks().iter().map(|tick| tick.0).collect()
    }
}

fn panel_markup(panel: &Panel, bands: &str, across: &[f64], moments: &Moments, axis: &Axis) -> Markup {
    let mut grid = String::new();
    for x in across {
        let _ = write!(grid, "M{:.0} 0V{HIGH}", x * WIDE);
    }
    for (y, _) in &panel.ticks {
        let _ = write!(grid, "M0 {:.0}H{WIDE}", y * HIGH);
    }
    let mut marked = String::new();
    for &at in &moments.at {
        let _ = write!(marked, "M{:.1} 0V{HIGH}", axis.share(at) * WIDE);
    }
    html! {
        div class="row panel" {
            div class="name" { b { (panel.name) } span { (panel.unit) } }
            div class="plot" { svg width="100%" height="96" aria-hidden="true" {
                svg width="100%" height="100%" viewBox="0 0 1000 100" preserveAspectRatio="none" {
                    path class="band" d=(bands) {}
                    path class="grid" d=(grid) {}
                    @for layer in &panel.layers { @match layer {
                        Layer::Line { class, d } => path class=(class) d=(d) {},
                        Layer::Dots { d, size } => path class="dots" stroke-width=(Px(*size)) d=(d) {},
                        Layer::Marks { .. } => {}
                    } }
                    @if !marked.is_empty() { path class=(moments.class) d=(marked) {} }
                }
                @for layer in &panel.layers { @if let Layer::Marks { symbol, at } = layer {
                    g class=(symbol) { (PreEscaped(marks(symbol, at))) }
                } }
                @for (y, label) in &panel.ticks { text x="-6" y=(Percent(*y)) dy="3.5" text-anchor="end" { (label) } }
            } }
            div class="side" { @for (label, class, top) in spread(&panel.side) {
                span class=(class) style=[top.map(|top| format!("top:{top:.0}px"))] { (label) }
            } }
        }
    }
}

/// Uses of a symbol. There may be thousands, so they are written as short as SVG allows.
fn marks(symbol: &str, at: &[(f64, f64)]) -> String {
    let mut uses = String::with_capacity(at.len() * 36);
    for &(x, y) in at {
        let _ = write!(uses, r##"<use href="#{symbol}" x="{}" y="{}"/>"##, Percent(x), Percent(y));
    }
    uses
}

/// Labels at the ends of lines, moved apart until none covers another.
fn spread(side: &[(String, &'static str, Option<f64>)]) -> Vec<(String, &'static str, Option<f64>)> {
    const LINE: f64 = 14.0;
    const PANEL: f64 = 96.0;
    let mut placed = side.to_vec();
    placed.sort_by(|a, b| a.2.unwrap_or(0.0).total_cmp(&b.2.unwrap_or(0.0)));
    let mut below = f64::NEG_INFINITY;
    for (_, _, top) in &mut placed {
        if let Some(share) = top {
            *share = (*share * PANEL - LINE / 2.0).max(below);
            below = *share + LINE;
        }
    }
    placed
}

/// Every observed fault as a rectangle of the stretched box.
fn bands(view: &View<'_>, axis: &Axis) -> String {
    let mut d = String::new();
    for window in view.faults().iter().filter(|w| w.observed && axis.shows(view, w)) {
        let left = axis.share(view.moment(window.from_ns)) * WIDE;
        let right = window.to_ns.map_or(1.0, |end| axis.share(view.moment(end))) * WIDE;
        let _ = write!(d, "M{left:.1} 0V{HIGH}H{:.1}V0Z", right.max(left + 0.5));
    }
    d
}

/// The names of faults and phases above a chart, as far as there is room.
pub(super) fn heads(view: &View<'_>, axis: &Axis) -> Markup {
    const LINES_MAX: usize = 3;
    const PIXELS: f64 = 940.0;
    let faults = view.faults().iter().filter(|w| axis.shows(view, w)).map(|w| {
        let nodes = if w.fault.contains("partition") { String::new() } else { format!(" {}", w.nodes.join(" ")) };
        (axis.share(view.moment(w.from_ns)), format!("{}{nodes}{}", w.fault, if w.observed { "" } else { " (no effect)" }))
    });
    let late =
        |p: &&PhaseSpan| matches!(p.phase, Phase::Recovery | Phase::FinalReads) && (axis.from..=axis.to).contains(&view.moment(p.from_ns));
    let phases = view.run.phases.iter().filter(late).filter(|_| view.timed).map(|p| {
        let name = if p.phase == Phase::Recovery { "recovery" } else { "final reads" };
        (axis.share(view.moment(p.from_ns)), name.to_string())
    });
    let mut labels: Vec<(f64, String)> = faults.chain(phases).collect();
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    if labels.is_empty() {
        return html! {};
    }
    let extents: Vec<(f64, f64)> = labels
        .iter()
        .map(|(x, label)| (x * PIXELS, x * PIXELS + label.chars().count() as f64 * 6.2))
        .map(|(left, right)| if right > PIXELS + 70.0 { (PIXELS - (right - left), PIXELS) } else { (left, right) })
        .collect();
    let lines = lanes::pack(&extents, 8.0, LINES_MAX);
    let used = lines.iter().flatten().max().map_or(0, |line| line + 1);
    let height = used * 14 + 4;
    html! {
        div class="row heads" { div class="plot" { svg width="100%" height=(height) aria-hidden="true" {
            @for (((x, label), line), extent) in labels.iter().zip(&lines).zip(&extents) { @if let Some(line) = line {
                @let base = (used - line) * 14 - 3;
                line x1=(Percent(*x)) x2=(Percent(*x)) y1=(base + 3) y2=(height) {}
                @if extent.0 < x * PIXELS - 1.0 {
                    text x=(Percent(*x)) y=(base) text-anchor="end" { (label) }
                } @else {
                    text x=(Percent(*x)) y=(base) { (label) }
                }
            } }
        } } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency_counts_the_most_at_once() {
        let axis = Axis::new((0, 400), true);
        let steps = Steps::concurrency(&axis, [(10, Some(20)), (12, Some(14)), (30, None), (12, Some(40))].into_iter());
        let at = |ns: usize| steps.values[ns];
        assert_eq!((at(5), at(10), at(11), at(13), at(16), at(25), at(35), at(50)), (0.0, 1.0, 1.0, 3.0, 2.0, 1.0, 2.0, 1.0));
        assert!((at(399) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn an_axis_of_any_length_has_a_few_ticks_inside() {
        for to in [1, 999, 1_000_000, 10_000_000_000, 86_400_000_000_000, i64::MAX / 4] {
            for from in [0, -to / 3] {
                let axis = Axis::new((from, to), true);
                let ticks = axis.ticks();
                assert!(!ticks.is_empty() && ticks.len() <= 14, "{from} {to}: {}", ticks.len());
                assert!(ticks.iter().all(|(share, _)| (0.0..=1.0).contains(share)));
            }
        }
    }

    #[test]
    fn labels_at_line_ends_do_not_cover_each_other() {
        let side = vec![("a".into(), "", Some(0.5)), ("b".into(), "", Some(0.5)), ("c".into(), "", Some(0.0))];
        let tops: Vec<f64> = spread(&side).iter().map(|label| label.2.unwrap()).collect();
        assert!(tops.windows(2).all(|pair| pair[1] - pair[0] >= 13.9), "{tops:?}");
    }

    #[test]
    fn a_step_line_stays_in_its_box() {
        let d = Steps { values: vec![0.0, 5.0, 5.0, 2.0], width: 0.25 }.path(5.0);
        assert_eq!(d, "M0 100H250V0H750V60H1000");
    }
}

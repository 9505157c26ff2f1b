//! Latency and rate over the run, faults shaded behind.

use super::plot::{Axis, HIGH, Layer, Moments, Panel, Steps, WIDE, chart};
use super::text::{count, milliseconds};
use super::view::View;
use super::{Section, counterexample};
use crate::run::FunctionCount;
use checker::verdict::Summary;
use histories::{OpId, Outcome};
use maud::{Markup, html};
use std::fmt::Write;

/// One op as a chart sees it.
#[derive(Clone, Copy, Debug)]
struct Sample {
    start: i64,
    /// Milliseconds until the client had an answer or gave up; `None` if the recording ends before.
    latency: Option<f64>,
    outcome: Outcome,
    function: u16,
}

/// The functions that get a panel of their own: the most frequent.
const FUNCTIONS_MAX: usize = 6;
/// Failing keys whose moment is marked: the earliest.
const VIOLATIONS_MAX: usize = 12;
/// Bins of time, at most.
const BINS_MAX: usize = 400;
/// Dots of all panels together.
const DOTS_MAX: usize = 20_000;
/// The diameter of a dot in pixels.
const DOT_SIZE: f64 = 2.6;
/// Crosses and triangles of all panels together.
const MARKS_MAX: usize = 3_000;

/// The section; none if the recording has no times or no op.
pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let samples = samples(view);
    if !view.timed || samples.is_empty() {
        return None;
    }
    let axis = Axis::new(view.span, true);
    let bins = Bins::new(view, &axis, &samples);
    let scatter = Scatter::new(view, &axis, &samples);
    let detected = counterexample::in_order(view).iter().filter_map(|e| e.detected(view)).take(VIOLATIONS_MAX).collect();
    let shaded = view.faults().iter().any(|w| w.observed);
    let violations = Moments { class: "violation", at: detected };
    let mut panels: Vec<Panel> = scatter.panels;
    panels.push(bins.quantile_panel(&scatter.range));
    panels.push(bins.rate_panel());
    let body = html! {
        p class="status js" role="status" aria-live="off" data-readout {}
        (chart(view, &axis, &panels, &violations, Some(bins.json(&axis))))
        @for note in &scatter.notes { p class="note" { (note) } }
        (table(view, &samples))
    };
    Some(Section {
        id: "performance",
        menu: "Performance",
        heading: heading(&samples, &axis),
        lead: lead(&bins, shaded, violations.at.len(), view.keys(Summary::Invalid).count()),
        body,
    })
}

fn samples(view: &View<'_>) -> Vec<Sample> {
    let history = view.history();
    let sample = |op: OpId| {
        let start = view.start(op);
        Sample {
            start,
            latency: view.gave_up(op).map(|end| (end - start).max(0) as f64 / 1e6),
            outcome: view.outcome(op),
            function: history.op_function(history.op(op)),
        }
    };
    history.op_ids().map(sample).collect()
}

fn heading(samples: &[Sample], axis: &Axis) -> String {
    let mut latencies = ok_latencies(samples.iter());
    let rate = latencies.len() as f64 / (axis.length() as f64 / 1e9);
    let rate = if rate >= 10.0 { count(rate.round() as usize) } else { format!("{rate:.1}") };
    match (quantile(&mut latencies, 0.5), quantile(&mut latencies, 0.99)) {
        (Some(p50), Some(p99)) => {
            format!("Median {} ms, p99 {} ms; {rate} operations a second were answered", milliseconds(p50), milliseconds(p99))
        }
        _ => "No operation was answered".into(),
    }
}

fn lead(bins: &Bins, shaded: bool, violations: usize, failing: usize) -> Markup {
    html! {
        "One dot per operation, at the time of its invocation. "
        @if shaded { "Shaded: a fault that was seen to be active. " }
        @match violations {
            0 => {}
            n if n < failing => { "Red line: an operation that no order explains (the first " (n) " of " (count(failing)) "). " }
            _ => { "Red line: an operation that no order explains. " }
        }
        "Quantiles and rates in bins of " (crate::ui::format::duration(std::time::Duration::from_nanos(bins.width_ns as u64))) "."
    }
}

fn ok_latencies<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<f64> {
    samples.filter(|s| s.outcome == Outcome::Ok).filter_map(|s| s.latency).collect()
}

/// The smallest value that at least this share of all values does not exceed. Reorders them.
fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    let rank = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(rank, f64::total_cmp).1)
}

/// What the vertical axis of latencies covers: powers of ten, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    fn of(samples: &[Sample]) -> Range {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for latency in samples.iter().filter_map(|s| s.latency) {
            low = low.min(latency);
            high = high.max(latency);
        }
        let low = (if low.is_finite() { low.max(0.001) } else { 1.0 }).log10() - 0.1;
        Range { low, high: ((high.max(0.001) * 1.3).log10()).max(low + 1.2) }
    }

    /// The height of a latency, from 0 (top) to 1.
    fn share(self, ms: f64) -> f64 {
        let log = ms.max(1e-6).log10();
        ((self.high - log) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The powers of ten, or every second one where they would stand too close.
    fn ticks(self) -> Vec<(f64, String)> {
        let every = if self.high - self.low > 4.5 { 2 } else { 1 };
        let label = |power: i32| {
            if power < 0 { format!("{:.*}", power.unsigned_abs() as usize, 10_f64.powi(power)) } else { count(10_usize.pow(power as u32)) }
        };
        let powers = (self.low.ceil() as i32..=self.high.floor() as i32).rev().step_by(every);
        powers.map(|power| (self.share(10_f64.powi(power)), label(power))).collect()
    }
}

/// The dots and marks of all ops, a panel per function.
struct Scatter {
    panels: Vec<Panel>,
    range: Range,
    notes: Vec<String>,
}

impl Scatter {
    fn new(view: &View<'_>, axis: &Axis, samples: &[Sample]) -> Scatter {
        let range = Range::of(samples);
        let functions = functions(view);
        let shown: Vec<&FunctionCount> = functions.iter().copied().take(FUNCTIONS_MAX).collect();
        let ids: Vec<Option<u16>> = shown.iter().map(|c| id_of(view, &c.f)).collect();
        let of = |id: Option<u16>, outcome: Outcome| {
            samples.iter().filter(move |s| Some(s.function) == id && s.outcome == outcome).map(|s| (axis.share(s.start), height(range, s)))
        };
        let points = |outcome: Outcome| -> Vec<Vec<(f64, f64)>> { ids.iter().map(|&id| of(id, outcome).collect()).collect() };
        let mut notes = Vec::new();
        let (ok, cell) = thinned(&points(Outcome::Ok), DOTS_MAX, "ok dots", &mut notes);
        let (fail, _) = thinned(&points(Outcome::Fail), MARKS_MAX / 2, "crosses of failed operations", &mut notes);
        let (info, _) = thinned(&points(Outcome::Info), MARKS_MAX / 2, "triangles of unknown outcome", &mut notes);
        // Where one dot stands for a cell, it is as large as the cell: dense stays dense.
        let size = f64::from(cell).max(DOT_SIZE);
        if functions.len() > shown.len() {
            notes.push(format!("Drawn: the {} most frequent of {} functions.", shown.len(), count(functions.len())));
        }
        let panels = shown
            .iter()
            .zip(ok.into_iter().zip(fail.into_iter().zip(info)))
            .map(|(counts, (ok, (fail, info)))| panel(counts, range, Layer::Dots { d: dots(&ok), size }, fail, info))
            .collect();
        Scatter { panels, range, notes }
    }
}

/// An op whose completion was never recorded stands at the upper edge.
fn height(range: Range, sample: &Sample) -> f64 {
    sample.latency.map_or(0.0, |ms| range.share(ms))
}

fn functions<'a>(view: &View<'a>) -> Vec<&'a FunctionCount> {
    let mut functions: Vec<&FunctionCount> = view.run.counts.iter().collect();
    functions.sort_by_key(|c| std::cmp::Reverse(c.ok + c.fail + c.info));
    functions
}

fn id_of(view: &View<'_>, f: &str) -> Option<u16> {
    view.history().names().iter().position(|name| &**name == f).map(|i| i as u16)
}

fn panel(counts: &FunctionCount, range: Range, dots: Layer, fail: Vec<(u32, u32)>, info: Vec<(u32, u32)>) -> Panel {
    let marks = |symbol, points: Vec<(u32, u32)>| {
        let at = points.into_iter().map(|(x, y)| (f64::from(x) / WIDE, f64::from(y) / HIGH)).collect();
        Layer::Marks { symbol, at }
    };
    Panel {
        name: counts.f.clone(),
        unit: "latency, ms",
        ticks: range.ticks(),
        layers: vec![dots, marks("cross", fail), marks("triangle", info)],
        side: vec![
            (format!("● {} ok", count(counts.ok)), "ok", None),
            (format!("× {} fail", count(counts.fail)), "fail", None),
            (format!("△ {} info", count(counts.info)), "info", None),
        ],
    }
}

/// All points if they are few. Else at most one per cell of the stretched box, in every panel, with cells so large that all
/// panels together hold no more than `most`; no op is then farther than a cell from a point that is drawn. Says what was left
/// out. Points come sorted by row, with the size of the cells.
fn thinned(panels: &[Vec<(f64, f64)>], most: usize, what: &str, notes: &mut Vec<String>) -> (Vec<Vec<(u32, u32)>>, u32) {
    const CELL_MAX: u32 = 32;
    let total: usize = panels.iter().map(Vec::len).sum();
    let mut kept: Vec<Vec<(u32, u32)>> = panels.iter().map(|points| snapped(points, 1)).collect();
    let mut cell = 1;
    while kept.iter().map(Vec::len).sum::<usize>() > most && cell < CELL_MAX {
        cell += 1;
        kept = panels.iter().map(|points| snapped(points, cell)).collect();
        kept.iter_mut().for_each(Vec::dedup);
    }
    let drawn: usize = kept.iter().map(Vec::len).sum();
    if drawn < total {
        notes.push(format!("{} of {} {what} drawn: one where several would cover each other.", count(drawn), count(total)));
    }
    (kept, cell)
}

/// Points moved to the corners of cells of so many units, sorted by row.
fn snapped(points: &[(f64, f64)], cell: u32) -> Vec<(u32, u32)> {
    let snap = |share: f64, units: f64| ((share * units / f64::from(cell)).round() as u32 * cell).min(units as u32);
    let mut points: Vec<(u32, u32)> = points.iter().map(|&(x, y)| (snap(x, WIDE), snap(y, HIGH))).collect();
    points.sort_unstable_by_key(|&(x, y)| (y, x));
    points
}

/// Dots as one path of strokes without length, whose round caps are the dots. Sorted by row.
fn dots(points: &[(u32, u32)]) -> String {
    let mut d = String::with_capacity(points.len() * 7);
    let mut last: Option<(u32, u32)> = None;
    for &(x, y) in points {
        let _ = match last {
            Some((before, row)) if row == y => write!(d, "m{} 0h0", x - before),
            _ => write!(d, "M{x} {y}h0"),
        };
        last = Some((x, y));
    }
    d
}

/// Quantiles and rates over time.
struct Bins {
    width_ns: i64,
    /// The width of a bin as a share of the axis. The last bin may be cut off.
    share: f64,
    /// p50, p95, p99 of ok latencies; none where nothing was answered.
    quantiles: Vec<Option<[f64; 3]>>,
    /// ok, fail, info completions a second.
    rates: [Vec<f64>; 3],
}

impl Bins {
    fn new(view: &View<'_>, axis: &Axis, samples: &[Sample]) -> Bins {
        let width_ns = bin_width(axis, samples.len());
        let bins = (axis.length() as usize).div_ceil(width_ns as usize);
        let bin = |at: i64| ((at - axis.start()).max(0) as usize / width_ns as usize).min(bins - 1);
        let mut latencies: Vec<Vec<f64>> = vec![Vec::new(); bins];
        let mut rates: [Vec<f64>; 3] = std::array::from_fn(|_| vec![0.0; bins]);
        for (op, sample) in view.history().op_ids().zip(samples) {
            if let (Outcome::Ok, Some(ms)) = (sample.outcome, sample.latency) {
                latencies[bin(sample.start)].push(ms);
            }
            let end = bin(view.gave_up(op).unwrap_or(sample.start));
            let seconds = width_ns.min(axis.length() - end as i64 * width_ns).max(1) as f64 / 1e9;
            rates[sample.outcome as usize][end] += 1.0 / seconds;
        }
        // A bin that is nearly empty, as the last may be, would draw a spike that means nothing.
        let few = latencies.iter().map(Vec::len).sum::<usize>() / bins / 10;
        let of = |values: &mut Vec<f64>| {
            let enough = values.len() > few;
            enough.then(|| Some([quantile(values, 0.5)?, quantile(values, 0.95)?, quantile(values, 0.99)?])).flatten()
        };
        Bins { width_ns, share: width_ns as f64 / axis.length() as f64, quantiles: latencies.iter_mut().map(of).collect(), rates }
    }

    fn quantile_panel(&self, range: &Range) -> Panel {
        let names = [("p50", "q50"), ("p95", "q95"), ("p99", "q99")];
        let last = self.quantiles.iter().rev().flatten().next();
        let layers = names.iter().enumerate().map(|(i, (_, class))| Layer::Line { class, d: self.quantile_path(*range, i) });
        let side = names.iter().enumerate().map(|(i, (name, _))| ((*name).into(), "ok", Some(last.map_or(0.5, |q| range.share(q[i])))));
        Panel { name: "quantiles".into(), unit: "of ok, ms", ticks: range.ticks(), layers: layers.collect(), side: side.collect() }
    }

    /// A line through the middles of bins, interrupted where nothing was answered.
    fn quantile_path(&self, range: Range, which: usize) -> String {
        let mut d = String::new();
        let mut pen_down = false;
        for (i, quantiles) in self.quantiles.iter().enumerate() {
            if let Some(quantiles) = quantiles {
                let (x, y) = (((i as f64 + 0.5) * self.share).min(1.0) * WIDE, range.share(quantiles[which]) * HIGH);
                let _ = write!(d, "{}{x:.1} {y:.1}", if pen_down { 'L' } else { 'M' });
                if !pen_down {
                    d.push_str("h0");
                }
            }
            pen_down = quantiles.is_some();
        }
        d
    }

    fn rate_panel(&self) -> Panel {
        let [ok, fail, info] = self.rates.clone().map(|values| Steps { values, width: self.share });
        Panel::steps("rate", "answers a second", vec![("fail", "rate fail", fail), ("info", "rate info", info), ("ok", "rate ok", ok)])
    }

    /// What the cross-hair shows.
    fn json(&self, axis: &Axis) -> String {
        let quantile = |which: usize| -> Vec<String> {
            self.quantiles.iter().map(|q| q.map_or_else(String::new, |q| milliseconds(q[which]))).collect()
        };
        let rate = |values: &Vec<f64>| -> Vec<String> { values.iter().map(|&value| count(value.round() as usize)).collect() };
        let series: Vec<String> = [quantile(0), quantile(1), quantile(2), rate(&self.rates[0]), rate(&self.rates[1]), rate(&self.rates[2])]
            .iter()
            .map(|series| series.join(" "))
            .collect();
        let seconds = |ns: i64| ns as f64 / 1e9;
        format!("{:.6}|{:.6}|{:.6}|{}", seconds(axis.start()), seconds(self.width_ns), self.share, series.join("|"))
    }
}

/// A round width: few enough bins that each holds some tens of ops, and no more than a chart can show.
fn bin_width(axis: &Axis, samples: usize) -> i64 {
    const OPS_PER_BIN: usize = 60;
    let wanted = (samples / OPS_PER_BIN).clamp(20, BINS_MAX);
    (super::scale::round_step(axis.length() as f64, 1e6, wanted) as i64).max(1)
}

/// The same facts as numbers.
fn table(view: &View<'_>, samples: &[Sample]) -> Markup {
    let faults = Faulty::new(view);
    let mut rows: Vec<(String, Vec<&Sample>)> =
        functions(view).iter().map(|c| (c.f.clone(), samples.iter().filter(|s| Some(s.function) == id_of(view, &c.f)).collect())).collect();
    rows.push(("all".into(), samples.iter().collect()));
    html! {
        details {
            summary { "Latency of ok operations as a table" }
            div class="wide" { table {
                thead { tr {
                    th scope="col" { "operation" } th scope="col" class="n" { "ok" }
                    @for name in ["p50, ms", "p95, ms", "p99, ms", "largest, ms"] { th scope="col" class="n" { (name) } }
                    @if !faults.0.is_empty() {
                        th scope="col" class="n" { "p50 during faults, ms" } th scope="col" class="n" { "p50 without, ms" }
                    }
                } }
                tbody { @for (name, samples) in &rows { (table_row(name, samples, &faults)) } }
            } }
        }
    }
}

fn table_row(name: &str, samples: &[&Sample], faults: &Faulty) -> Markup {
    let mut all = ok_latencies(samples.iter().copied());
    let show = |value: Option<f64>| value.map_or_else(|| "–".into(), milliseconds);
    let numbers = [0.5, 0.95, 0.99, 1.0].map(|share| show(quantile(&mut all, share)));
    let half = |during: bool| {
        let mut part = ok_latencies(samples.iter().copied().filter(|s| faults.cover(s.start) == during));
        show(quantile(&mut part, 0.5))
    };
    html! {
        tr class=[(name == "all").then_some("sum")] {
            td { (name) } td class="n" { (count(all.len())) }
            @for number in &numbers { td class="n" { (number) } }
            @if !faults.0.is_empty() { td class="n" { (half(true)) } td class="n" { (half(false)) } }
        }
    }
}

/// The stretches of time in which an observed fault was active, merged and sorted.
struct Faulty(Vec<(i64, i64)>);

impl Faulty {
    fn new(view: &View<'_>) -> Faulty {
        let active = view.faults().iter().filter(|w| w.observed);
        let mut spans: Vec<(i64, i64)> =
            active.map(|w| (view.moment(w.from_ns), w.to_ns.map_or(view.span.1, |end| view.moment(end)))).collect();
        spans.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for (from, to) in spans {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        Faulty(merged)
    }

    fn cover(&self, at: i64) -> bool {
        let after = self.0.partition_point(|span| span.0 <= at);
        after > 0 && at <= self.0[after - 1].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_values_that_occur() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([0.5, 0.95, 0.99, 1.0].map(|share| quantile(&mut values, share)), [Some(50.0), Some(95.0), Some(99.0), Some(100.0)]);
        assert_eq!(quantile(&mut [], 0.5), None);
        assert_eq!(quantile(&mut [7.0], 0.99), Some(7.0));
    }

    #[test]
    fn thinning_keeps_one_point_per_cell_and_says_so() {
        let mut notes = Vec::new();
        let points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i) / 1e5, f64::from(i * 7919 % 1000) / 1e3)).collect();
        let (kept, cell) = thinned(std::slice::from_ref(&points), 5_000, "dots", &mut notes);
        assert!(cell > 1);
        assert!(kept[0].len() <= 5_000 && kept[0].len() > 500, "{}", kept[0].len());
        assert_eq!(notes.len(), 1);
        assert_eq!(thinned(&[points[..10].to_vec()], 5_000, "dots", &mut notes).0[0].len(), 10);
        assert_eq!(notes.len(), 1, "all drawn: nothing to say");
    }

    #[test]
    fn dots_are_short_paths() {
        assert_eq!(dots(&[(3, 5), (9, 5), (1, 7)]), "M3 5h0m6 0h0M1 7h0");
    }

    #[test]
    fn latencies_of_any_size_have_a_range() {
        let sample = |latency| Sample { start: 0, latency, outcome: Outcome::Ok, function: 0 };
        let range = Range::of(&[sample(Some(0.0)), sample(Some(1e7)), sample(None)]);
        assert!(range.low >= -3.2 && range.high >= 7.0);
        assert!((2..=6).contains(&range.ticks().len()));
        assert_eq!(Range::of(&[]), Range::of(&[sample(None)]));
        assert!(!Range::of(&[]).ticks().is_empty());
        let labels: Vec<String> = Range { low: -1.2, high: 2.5 }.ticks().into_iter().map(|tick| tick.1).collect();
        assert_eq!(labels, ["100", "10", "1", "0.1"]);
    }
}

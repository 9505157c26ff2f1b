//! How far the clocks of the nodes were off over the run, as far as anybody looked.

use super::Section;
use super::plot::{Axis, HIGH, Layer, Moments, Panel, WIDE, chart};
use super::text::{count, list};
use super::view::View;
use crate::timeline::ClockReading;
use crate::ui::format;
use maud::html;
use std::fmt::Write;
use std::time::Duration;

/// The diameter of a dot in pixels.
const DOT_SIZE: f64 = 3.0;

/// The section; none if no clock was read.
pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let nodes: Vec<(&str, Vec<&ClockReading>)> =
        view.nodes.iter().map(|node| (node.as_str(), readings(view, node))).filter(|(_, readings)| !readings.is_empty()).collect();
    if nodes.is_empty() {
        return None;
    }
    let axis = Axis::new(view.span, true);
    let range = Range::of(nodes.iter().flat_map(|(_, readings)| readings.iter().copied()));
    let panels: Vec<Panel> = nodes.iter().map(|(node, readings)| panel(view, &axis, range, node, readings)).collect();
    let none = Moments { class: "violation", at: Vec::new() };
    let read: usize = nodes.iter().map(|(_, readings)| readings.len()).sum();
    let lead = html! {
        "Each dot is a reading of the time that the database's processes are told, beside the node's own clock; above zero it is ahead. A line keeps "
        "the last reading until the next one. Between powers of ten the distance is the same; within a millisecond of right it is linear. "
        "Shaded: a fault that was seen to be active."
    };
    let body = html! {
        (chart(view, &axis, &panels, &none, None))
        p class="note" { (count(read)) " readings." }
    };
    Some(Section { id: "clocks", menu: "Clocks", heading: heading(&nodes), lead, body })
}

/// What was read of a node's clocks, in order of time.
fn readings<'a>(view: &View<'a>, node: &str) -> Vec<&'a ClockReading> {
    let mut readings: Vec<&ClockReading> =
        view.faults().iter().flat_map(|window| &window.clocks).filter(|reading| reading.node == node).collect();
    readings.sort_by_key(|reading| reading.at_ns);
    readings
}

fn heading(nodes: &[(&str, Vec<&ClockReading>)]) -> String {
    let farthest = |sign: i64| {
        let all = nodes.iter().flat_map(|(node, readings)| readings.iter().map(move |reading| (sign * reading.ahead_ns, *node)));
        all.max().filter(|(ns, _)| *ns >= RIGHT_NS).map(|(ns, node)| (format::duration(Duration::from_nanos(ns as u64)), node))
    };
    let of = |side: &str, far: Option<(String, &str)>| far.map(|(by, node)| format!("{by} {side} ({node})"));
    let parts: Vec<String> = [of("ahead", farthest(1)), of("behind", farthest(-1))].into_iter().flatten().collect();
    if parts.is_empty() { "No clock was seen to be wrong".into() } else { format!("Clocks were up to {}", list(&parts)) }
}

/// Less than this is right.
const RIGHT_NS: i64 = 1_000_000;

/// The vertical axis: powers of ten of milliseconds, ahead of right and behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    /// The distance from right of the edges, in decades of milliseconds; 0 for a side on which nothing lies.
    ahead: f64,
    behind: f64,
}

/// Decades of milliseconds: linear below the first.
fn decades(ns: i64) -> f64 {
    let ms = ns as f64 / 1e6;
    ms.signum() * ms.abs().mul_add(1.0, 1.0).log10()
}

impl Range {
    fn of<'a>(readings: impl Iterator<Item = &'a ClockReading>) -> Range {
        // Some room on both sides: what lies on the edge is hard to see.
        let (mut ahead, mut behind) = (0.5_f64, 0.5_f64);
        for reading in readings {
            ahead = ahead.max(decades(reading.ahead_ns) + 0.3);
            behind = behind.max(0.3 - decades(reading.ahead_ns));
        }
        Range { ahead, behind }
    }

    /// The height of an offset, from 0 (top) to 1.
    fn share(self, ns: i64) -> f64 {
        ((self.ahead - decades(ns)) / (self.ahead + self.behind)).clamp(0.0, 1.0)
    }

    /// Zero, and round offsets to both sides as far as there is room.
    fn ticks(self) -> Vec<(f64, String)> {
        const APART_MIN: f64 = 0.16;
        let offsets = [(10, "10 ms"), (1_000, "1 s"), (100_000, "100 s"), (10_000_000, "10\u{202f}000 s")];
        let both = |(ms, label): (i64, &str)| [(ms, format!("+{label}")), (-ms, format!("−{label}"))];
        let all = std::iter::once((0, "0".to_owned())).chain(offsets.into_iter().flat_map(both));
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for (ms, label) in all {
            let inside = decades(ms * 1_000_000) < self.ahead && -decades(ms * 1_000_000) < self.behind;
            let at = self.share(ms * 1_000_000);
            if inside && ticks.iter().all(|(other, _)| (other - at).abs() >= APART_MIN) {
                ticks.push((at, label));
            }
        }
        ticks
    }
}

fn panel(view: &View<'_>, axis: &Axis, range: Range, node: &str, readings: &[&ClockReading]) -> Panel {
    let place = |reading: &ClockReading| (axis.share(view.moment(reading.at_ns)) * WIDE, range.share(reading.ahead_ns) * HIGH);
    let (mut line, mut dots) = (String::new(), String::new());
    for (i, (x, y)) in readings.iter().map(|reading| place(reading)).enumerate() {
        let _ = if i == 0 { write!(line, "M{x:.1} {y:.1}") } else { write!(line, "H{x:.1}V{y:.1}") };
        let _ = write!(dots, "M{x:.1} {y:.1}h0");
    }
    let farthest = readings.iter().max_by_key(|reading| reading.ahead_ns.abs()).map_or(0, |reading| reading.ahead_ns);
    Panel {
        name: node.into(),
        unit: "ahead",
        ticks: range.ticks(),
        layers: vec![Layer::Line { class: "clock", d: line }, Layer::Dots { d: dots, size: DOT_SIZE }],
        side: vec![(offset(farthest), "ok", None)],
    }
}

/// An offset in words: `+5.1 s`.
fn offset(ns: i64) -> String {
    let sign = if ns < 0 { "−" } else { "+" };
    format!("{sign}{}", format::duration(Duration::from_nanos(ns.unsigned_abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(ahead_ns: i64) -> ClockReading {
        ClockReading { node: "n1".into(), at_ns: 0, ahead_ns, error_ns: 1000 }
    }

    #[test]
    fn offsets_of_any_size_have_a_place_and_a_scale() {
        for far in [0, 12_000, 11_000_000, 288_000_000_000, i64::MAX / 2] {
            for sign in [1, -1] {
                let range = Range::of([reading(sign * far), reading(0)].iter());
                let ticks = range.ticks();
                assert!((1..=6).contains(&ticks.len()), "{far}: {ticks:?}");
                assert!(ticks.iter().all(|(at, _)| (0.0..=1.0).contains(at)), "{far}: {ticks:?}");
                let at = range.share(sign * far);
                assert!(at > 0.0 && at < 1.0 && (sign == 1) == (at <= range.share(0)) || far == 0, "{far}: {at}");
            }
        }
    }

    #[test]
    fn the_heading_names_who_was_farthest_off() {
        let (ahead, behind) = (reading(5_060_000_000), reading(-288_000_000_000));
        assert_eq!(heading(&[("n1", vec![&ahead]), ("n2", vec![&behind])]), "Clocks were up to 5.1 s ahead (n1) and 4.8 min behind (n2)");
        assert_eq!(heading(&[("n1", vec![&reading(100)])]), "No clock was seen to be wrong");
    }
}

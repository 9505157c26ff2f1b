//! The arrows of an explanation: curves between bars, with the number of their step on them.

use super::layout::Bar;
use checker::verdict::{Step, StepKind};

/// A point of the picture.
pub(super) type Point = (f64, f64);

/// A cubic curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    /// Start, two control points, end.
    pub(super) points: [Point; 4],
}

impl Curve {
    /// The point at `t` (0 to 1) along the curve.
    pub(super) fn at(&self, t: f64) -> Point {
        let u = 1.0 - t;
        let weights = [u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t];
        self.points.iter().zip(weights).fold((0.0, 0.0), |sum, (p, w)| (sum.0 + p.0 * w, sum.1 + p.1 * w))
    }

    /// The direction in which it ends, as a vector of length 1.
    pub(super) fn heading(&self) -> Point {
        let [_, _, control, end] = self.points;
        let (dx, dy) = (end.0 - control.0, end.1 - control.1);
        let length = dx.hypot(dy);
        if length > 0.0 { (dx / length, dy / length) } else { (1.0, 0.0) }
    }
}

/// An arrow, placed.
#[derive(Clone, Debug)]
pub(super) struct Arrow {
    /// The number of its step, from 1.
    pub(super) number: usize,
    /// What it means.
    pub(super) kind: StepKind,
    /// The class of the value that flows along it, if one does.
    pub(super) class: &'static str,
    /// Its line.
    pub(super) curve: Curve,
    /// Where its number stands.
    pub(super) badge: Point,
}

/// How far apart the centres of two numbers must be.
const BADGE_APART: f64 = 21.0;
/// How far apart two arrows meet the same edge of a bar.
const ENDS_APART: f64 = 14.0;

/// Places the arrows of the steps whose ops are in the picture. `class` names the colour of a bar's value.
pub(super) fn place(steps: &[Step], bars: &[Bar], class: impl Fn(&Bar) -> &'static str) -> Vec<Arrow> {
    let find = |op| bars.iter().find(|bar| bar.op == op);
    let mut ends: Vec<Point> = Vec::new();
    let mut arrows: Vec<Arrow> = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        let (Some(from), Some(to)) = (find(step.from), find(step.to)) else { continue };
        if from.op == to.op {
            continue;
        }
        let curve = match step.kind {
            StepKind::RealTime => real_time(from, to, bars),
            StepKind::Value => edge_to_edge(from, to, to.seeing(from.storing(to.centre())), Bar::storing, &mut ends),
            StepKind::Contradiction => edge_to_edge(from, to, back_to(from, to), Bar::seeing, &mut ends),
        };
        let badge = badge(&curve, &arrows, bars);
        let class = if step.kind == StepKind::Value { class(from) } else { "" };
        arrows.push(Arrow { number: i + 1, kind: step.kind, class, curve, badge });
    }
    arrows
}

/// From the right end of one bar to the left end of another.
fn real_time(from: &Bar, to: &Bar, bars: &[Bar]) -> Curve {
    let (a, b) = ((from.right, from.y), (to.left, to.y));
    let between = |bar: &Bar| bar.op != from.op && bar.op != to.op && bar.left < b.0 && bar.right > a.0 && same_row(bar, from);
    if same_row(from, to) && bars.iter().any(between) {
        let over = from.y - from.half - 22.0;
        return Curve { points: [a, (a.0 + 14.0, over), (b.0 - 14.0, over), b] };
    }
    let reach = ((b.0 - a.0) * 0.5).max(if same_row(from, to) { 0.0 } else { 26.0 });
    Curve { points: [a, (a.0 + reach, a.1), (b.0 - reach, b.1), b] }
}

/// From the edge of one bar to the facing edge of another, leaving and arriving upright. `aim` is where it should arrive,
/// `out` where it should leave, given where it arrives.
fn edge_to_edge(from: &Bar, to: &Bar, aim: f64, out: impl Fn(&Bar, f64) -> f64, ends: &mut Vec<Point>) -> Curve {
    let same = same_row(from, to);
    let down = !same && to.y > from.y;
    let (leave, arrive) = if down { (from.y + from.half, to.y - to.half) } else { (from.y - from.half, edge_below(to, same)) };
    let end = (free(ends, within(to, aim), arrive, to), arrive);
    let start = (free(ends, within(from, out(from, end.0)), leave, from), leave);
    let bend = if same { 26.0 } else { ((arrive - leave).abs() * 0.5).max(16.0) };
    let way = if down { 1.0 } else { -1.0 };
    let back = if same { -1.0 } else { -way };
    Curve { points: [start, (start.0, start.1 + way * bend), (end.0, end.1 + back * bend), end] }
}

fn edge_below(to: &Bar, same: bool) -> f64 {
    if same { to.y - to.half } else { to.y + to.half }
}

/// Where an arrow against time arrives: clearly to the left of where it starts, if the bar lets it.
fn back_to(from: &Bar, to: &Bar) -> f64 {
    let open = to.mark.open;
    if open { (from.left - 130.0).max(to.left + 14.0) } else { to.centre() }
}

fn within(bar: &Bar, x: f64) -> f64 {
    let margin = 8.0_f64.min((bar.right - bar.left) / 2.0);
    x.clamp(bar.left + margin, bar.right - margin)
}

/// A place on a bar's edge that no other arrow uses yet, as near to the wish as there is one.
fn free(ends: &mut Vec<Point>, wish: f64, y: f64, bar: &Bar) -> f64 {
    let taken = |x: f64| ends.iter().any(|end| (end.1 - y).abs() < 1.0 && (end.0 - x).abs() < ENDS_APART - 0.1);
    let steps = (0..8).flat_map(|i| [f64::from(i), -f64::from(i)]);
    let x = steps.map(|i| within(bar, wish + i * ENDS_APART)).find(|&x| !taken(x)).unwrap_or(wish);
    ends.push((x, y));
    x
}

/// Where the number stands: in the middle, or where it hides neither another number nor a label. Beside an arrow so short
/// that it would hide all of it.
fn badge(curve: &Curve, arrows: &[Arrow], bars: &[Bar]) -> Point {
    const SHORT: f64 = 36.0;
    const BESIDE: f64 = 14.0;
    let apart = |p: Point| arrows.iter().all(|arrow| (arrow.badge.0 - p.0).hypot(arrow.badge.1 - p.1) >= BADGE_APART);
    let clear = |p: Point| !bars.iter().any(|bar| p.0 > bar.left - 9.0 && p.0 < bar.right + 9.0 && (p.1 - bar.y).abs() < bar.half + 5.0);
    let [start, .., end] = curve.points;
    if (end.0 - start.0).hypot(end.1 - start.1) < SHORT {
        let (x, y) = curve.at(0.5);
        let beside = [(x + BESIDE, y), (x - BESIDE, y)];
        return *beside.iter().find(|&&p| apart(p)).unwrap_or(&beside[0]);
    }
    let places: Vec<Point> = [0.5, 0.38, 0.62, 0.28, 0.72, 0.2, 0.8].iter().map(|&t| curve.at(t)).collect();
    let best = places.iter().find(|&&p| apart(p) && clear(p)).or_else(|| places.iter().find(|&&p| apart(p)));
    *best.unwrap_or(&places[0])
}

fn same_row(a: &Bar, b: &Bar) -> bool {
    (a.y - b.y).abs() < 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::html::op::Mark;
    use histories::OpId;

    fn bar(op: u32, left: f64, right: f64, y: f64) -> Bar {
        let mark = Mark { label: String::new(), short: String::new(), stores: None, sees: None, open: false };
        Bar { op: OpId(op), mark, left, right, y, half: 13.0, labelled: true }
    }

    fn step(from: u32, to: u32, kind: StepKind) -> Step {
        Step { words: Vec::new(), because: Vec::new(), from: OpId(from), to: OpId(to), kind }
    }

    #[test]
    fn real_time_goes_from_end_to_start() {
        let bars = [bar(0, 0.0, 50.0, 20.0), bar(1, 120.0, 180.0, 80.0)];
        let arrows = place(&[step(0, 1, StepKind::RealTime)], &bars, |_| "");
        let [start, .., end] = arrows[0].curve.points;
        assert_eq!((start, end), ((50.0, 20.0), (120.0, 80.0)));
        assert!(arrows[0].curve.heading().0 > 0.9);
    }

    #[test]
    fn numbers_keep_apart_and_arrows_share_no_end() {
        let bars = [bar(0, 0.0, 300.0, 20.0), bar(1, 40.0, 90.0, 80.0), bar(2, 60.0, 100.0, 140.0)];
        let steps: Vec<Step> = (0..3).map(|i| step(0, 1 + i % 2, StepKind::Value)).collect();
        let arrows = place(&steps, &bars, |_| "v1");
        for (i, a) in arrows.iter().enumerate() {
            for b in &arrows[..i] {
                assert!((a.badge.0 - b.badge.0).hypot(a.badge.1 - b.badge.1) >= BADGE_APART);
                assert_ne!(a.curve.points[0], b.curve.points[0]);
                assert_ne!(a.curve.points[3], b.curve.points[3]);
            }
        }
    }

    #[test]
    fn a_step_whose_op_is_not_drawn_draws_nothing() {
        assert!(place(&[step(0, 9, StepKind::Value), step(0, 0, StepKind::Value)], &[bar(0, 0.0, 9.0, 0.0)], |_| "").is_empty());
    }

    #[test]
    fn a_contradiction_points_back_in_time() {
        let mut write = bar(0, 100.0, 500.0, 20.0);
        write.mark.open = true;
        let bars = [write, bar(1, 400.0, 450.0, 80.0)];
        let arrows = place(&[step(1, 0, StepKind::Contradiction)], &bars, |_| "");
        assert!(arrows[0].curve.points[3].0 < arrows[0].curve.points[0].0 - 50.0);
    }
}

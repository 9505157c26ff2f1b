//! Time to place.
//!
//! A picture of a few ops is drawn by the *order* of their events: what a verdict rests on is the position of an event in the
//! history, and two events may carry the same time. So a scale maps events, and times only between them.

/// An event whose place must be exact: the start or the end of an op of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Boundary {
    /// The event.
    pub(super) event: u32,
    /// Its time in nanoseconds.
    pub(super) time: i64,
}

/// A stretch between two boundaries (by position) that must be at least this wide, so that it can hold its label.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// The boundary where it starts.
    pub(super) from: usize,
    /// The boundary where it ends; one more than the last for the right edge.
    pub(super) to: usize,
    /// In pixels.
    pub(super) width: f64,
}

#[derive(Clone, Copy, Debug)]
struct Knot {
    event: u32,
    time: i64,
    x: f64,
}

/// A monotone map from events and times to pixels: piecewise linear, and exact at the boundaries.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    knots: Vec<Knot>,
}

impl Scale {
    /// Wide enough to read where little time passes, narrow where much does. `lead` is the time shown before the first and
    /// after the last boundary. The picture fills `left..right`, or goes on to the right if that would take it below
    /// `shrink_min` of its comfortable width.
    pub(super) fn fitted(boundaries: &[Boundary], lead: i64, needs: &[Need], (left, right): (f64, f64), shrink_min: f64) -> Scale {
        let mut knots = with_edges(boundaries, lead);
        let mut widths: Vec<f64> = knots.windows(2).map(|pair| comfortable(pair[1].time - pair[0].time)).collect();
        for need in needs {
            let stretch = &mut widths[need.from + 1..=need.to];
            let missing = need.width - stretch.iter().sum::<f64>();
            let share = missing.max(0.0) / stretch.len().max(1) as f64;
            for width in stretch {
                *width += share;
            }
        }
        let total: f64 = widths.iter().sum();
        let factor = ((right - left) / total).max(shrink_min);
        let mut x = left;
        knots[0].x = x;
        for (knot, width) in knots[1..].iter_mut().zip(&widths) {
            x += width * factor;
            knot.x = x;
        }
        Scale { knots }
    }

    /// Proportional to time.
    pub(super) fn proportional(boundaries: &[Boundary], lead: i64, left: f64, right: f64) -> Scale {
        let mut knots = with_edges(boundaries, lead);
        let (first, last) = (knots[0].time, knots[knots.len() - 1].time);
        let span = (last - first).max(1) as f64;
        let mut reached = left;
        for knot in &mut knots {
            reached = reached.max(left + (right - left) * (knot.time - first) as f64 / span);
            knot.x = reached;
        }
        Scale { knots }
    }

    /// Where the picture starts and ends.
    pub(super) fn edges(&self) -> (f64, f64) {
        (self.knots[0].x, self.knots[self.knots.len() - 1].x)
    }

    /// The times that the picture shows.
    pub(super) fn times(&self) -> (i64, i64) {
        (self.knots[0].time, self.knots[self.knots.len() - 1].time)
    }

    /// The place of an event.
    pub(super) fn event(&self, event: u32, time: i64) -> f64 {
        let after = self.knots.partition_point(|knot| knot.event <= event);
        let Some((a, b)) = self.segment(after) else { return self.edges().1 };
        if a.event == event && after > 1 {
            return a.x;
        }
        let by_time = share(time - a.time, b.time - a.time);
        let by_position = || share(i64::from(event - a.event), i64::from(b.event - a.event)).unwrap_or(0.0);
        a.x + (b.x - a.x) * by_time.unwrap_or_else(by_position)
    }

    /// The place of a moment that is no event.
    pub(super) fn time(&self, time: i64) -> f64 {
        let after = self.knots.iter().position(|knot| knot.time > time).unwrap_or(self.knots.len());
        let Some((a, b)) = self.segment(after) else { return if after == 0 { self.edges().0 } else { self.edges().1 } };
        a.x + (b.x - a.x) * share(time - a.time, b.time - a.time).unwrap_or(0.0)
    }

    fn segment(&self, after: usize) -> Option<(Knot, Knot)> {
        let before = after.checked_sub(1)?;
        Some((*self.knots.get(before)?, *self.knots.get(after)?))
    }
}

/// The boundaries, and the two edges of the picture.
fn with_edges(boundaries: &[Boundary], lead: i64) -> Vec<Knot> {
    let first = boundaries.first().map_or(0, |b| b.time) - lead;
    let last = boundaries.last().map_or(0, |b| b.time) + lead;
    let inner = boundaries.iter().map(|b| Knot { event: b.event, time: b.time, x: 0.0 });
    let edge = |event, time| Knot { event, time, x: 0.0 };
    std::iter::once(edge(0, first)).chain(inner).chain(std::iter::once(edge(u32::MAX, last))).collect()
}

/// The width of a stretch of time in a fitted picture: logarithmic, with a floor so that order stays visible.
fn comfortable(ns: i64) -> f64 {
    let ms = ns.max(0) as f64 / 1e6;
    (24.0 + 36.0 * (1.0 + ms).log10()).clamp(30.0, 150.0)
}

/// `part / whole` within 0..=1; `None` if there is no whole.
fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64).clamp(0.0, 1.0))
}

/// Round steps for an axis: the first of 1, 2, 5, 10, 20, ... times `unit` of which at most `ticks_max` fit into `span`.
pub(super) fn round_step(span: f64, unit: f64, ticks_max: usize) -> f64 {
    let mut decade = unit;
    while decade.is_finite() {
        for step in [decade, 2.0 * decade, 5.0 * decade] {
            if span / step <= ticks_max as f64 {
                return step;
            }
        }
        decade *= 10.0;
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boundaries(times: &[i64]) -> Vec<Boundary> {
        times.iter().enumerate().map(|(i, &ms)| Boundary { event: 10 * (i as u32 + 1), time: ms * 1_000_000 }).collect()
    }

    #[test]
    fn order_is_exact_even_at_equal_times() {
        let b = boundaries(&[100, 100, 101, 9_000]);
        let scale = Scale::fitted(&b, 1_000_000_000, &[], (0.0, 800.0), 0.8);
        let xs: Vec<f64> = b.iter().map(|b| scale.event(b.event, b.time)).collect();
        assert!(xs.windows(2).all(|pair| pair[1] - pair[0] > 20.0), "{xs:?}");
        assert!(xs[0] > 0.0 && xs[3] < 800.0);
        let between = scale.event(25, 100_500_000);
        assert!(xs[1] < between && between < xs[2]);
        assert!((scale.edges().1 - 800.0).abs() < 1e-6);
    }

    #[test]
    fn events_between_boundaries_of_equal_time_are_placed_by_position() {
        let b = boundaries(&[5, 5]);
        let scale = Scale::fitted(&b, 1_000_000, &[], (0.0, 300.0), 0.8);
        let (left, right) = (scale.event(10, 5_000_000), scale.event(20, 5_000_000));
        assert!((scale.event(15, 5_000_000) - f64::midpoint(left, right)).abs() < 1e-6);
    }

    #[test]
    fn a_stretch_is_as_wide_as_its_label() {
        let b = boundaries(&[0, 1, 2, 3]);
        let needs = [Need { from: 1, to: 2, width: 200.0 }, Need { from: 3, to: 4, width: 170.0 }];
        let scale = Scale::fitted(&b, 1_000_000, &needs, (0.0, 100.0), 0.8);
        let width = scale.event(b[2].event, b[2].time) - scale.event(b[1].event, b[1].time);
        assert!(width >= 200.0 * 0.8 - 1e-6, "{width}");
        assert!(scale.edges().1 - scale.event(b[3].event, b[3].time) >= 170.0 * 0.8 - 1e-6);
        assert!(scale.edges().1 > 100.0, "it scrolls rather than shrinks");
    }

    #[test]
    fn moments_are_monotone_and_stay_inside() {
        let b = boundaries(&[3, 1, 7]);
        for scale in [Scale::fitted(&b, 2_000_000, &[], (10.0, 500.0), 0.8), Scale::proportional(&b, 2_000_000, 10.0, 500.0)] {
            let xs: Vec<f64> = (-5..20).map(|ms| scale.time(ms * 1_000_000)).collect();
            assert!(xs.iter().all(|x| (10.0..=500.5).contains(x)), "{xs:?}");
        }
        let b = boundaries(&[1, 3, 7]);
        let scale = Scale::proportional(&b, 2_000_000, 10.0, 500.0);
        let xs: Vec<f64> = (-5..20).map(|ms| scale.time(ms * 1_000_000)).collect();
        assert!(xs.windows(2).all(|pair| pair[0] <= pair[1]), "{xs:?}");
    }

    #[test]
    fn steps_are_round() {
        assert!((round_step(10.0, 0.001, 10) - 1.0).abs() < 1e-9);
        assert!((round_step(10.1, 0.001, 10) - 2.0).abs() < 1e-9);
        assert!((round_step(0.0, 1.0, 10) - 1.0).abs() < 1e-9);
        assert!((round_step(f64::NAN, 1.0, 10) - 1.0).abs() < 1e-9);
    }
}

//! Packing intervals into lanes.

/// Puts intervals (left, right), sorted by their left end, into the fewest lanes such that within a lane `gap` stays free
/// between neighbours, but into no more than `lanes_max`. Returns the lane of each; `None` where all lanes were taken.
pub(super) fn pack(intervals: &[(f64, f64)], gap: f64, lanes_max: usize) -> Vec<Option<usize>> {
    let mut ends: Vec<f64> = Vec::new();
    let place = |&(left, right): &(f64, f64)| {
        let free = ends.iter().position(|&end| end + gap <= left);
        let lane = free.or_else(|| (ends.len() < lanes_max).then_some(ends.len()))?;
        if lane == ends.len() {
            ends.push(right);
        } else {
            ends[lane] = right;
        }
        Some(lane)
    };
    intervals.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_lane_and_overlaps_do_not() {
        let lanes = pack(&[(0.0, 10.0), (5.0, 8.0), (9.0, 12.0), (13.0, 20.0), (14.0, 15.0)], 1.0, 9);
        assert_eq!(lanes, [Some(0), Some(1), Some(1), Some(0), Some(1)]);
    }

    #[test]
    fn what_fits_nowhere_is_left_out() {
        assert_eq!(pack(&[(0.0, 10.0), (1.0, 10.0), (2.0, 3.0), (11.0, 12.0)], 0.0, 2), [Some(0), Some(1), None, Some(0)]);
        assert_eq!(pack(&[(0.0, 1.0)], 0.0, 0), [None]);
    }

    #[test]
    fn no_two_of_a_lane_ever_touch() {
        let intervals: Vec<(f64, f64)> = (0..500).map(|i| (f64::from(i), f64::from(i + 1 + (i * 7919) % 40))).collect();
        let lanes = pack(&intervals, 2.0, usize::MAX);
        let mut ends = vec![f64::NEG_INFINITY; 500];
        for (lane, (left, right)) in lanes.iter().zip(&intervals) {
            let end = &mut ends[lane.unwrap()];
            assert!(*end + 2.0 <= *left);
            *end = *right;
        }
    }
}

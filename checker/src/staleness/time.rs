//! The smallest t such that no read is staler than t.
//!
//! "A history is Δ-atomic if it becomes atomic when the start of every read is moved back by Δ" (Golab, Li and Shah 2011, section
//! 4). Where each read is known to have returned a certain write, the zones decide it (Gibbons and Korach 1997; see
//! `linear::zones`): let f be the first completion in the cluster of a write and its reads, and s the last invocation; two
//! clusters contradict each other exactly if f of each is before s of the other. Moving reads back moves s back, but not
//! before the write's own invocation, and leaves f. So a larger t only resolves contradictions, and the least t is found by
//! halving. With reads moved to before all time, s is the write's invocation, and no two clusters contradict each other: there is
//! always such a t.

use super::Bounds;
use super::cell::{Cell, Write};
use crate::budget::{Account, Limit};
use crate::decode::NEVER;
use histories::OpId;

/// The least t of a key in nanoseconds, and a read that shows it.
type Least = (Result<Bounds, String>, Option<OpId>);

/// The part of a cluster that matters.
#[derive(Clone, Copy)]
struct Zone {
    first_return: u32,
    /// The write's invocation.
    call: u32,
    last_read: Option<(u32, OpId)>,
}

/// See the module. O(n log n) for each bit of the answer.
pub(super) fn least(cell: &Cell, times: &[i64], account: &mut Account<'_>) -> Result<Least, Limit> {
    let (most, read) = of_clusters(cell, times, |_| true, account)?;
    if cell.repeated == 0 {
        return Ok((Ok(Bounds::exact(most)), read));
    }
    let (least, unique_read) = of_clusters(cell, times, |write| write.is_unique, account)?;
    Ok((Ok(Bounds { least: least.min(most), most }), unique_read))
}

/// The least t for some of the clusters.
fn of_clusters(
    cell: &Cell,
    times: &[i64],
    counts: impl Fn(&Write) -> bool,
    account: &mut Account<'_>,
) -> Result<(u64, Option<OpId>), Limit> {
    let chosen = cell.writes.iter().filter(|write| write.took_effect() && counts(write));
    let mut zones: Vec<Zone> =
        chosen.map(|write| Zone { first_return: write.first_return, call: write.call, last_read: write.last_read }).collect();
    zones.sort_unstable_by_key(|zone| (zone.first_return, zone.call));
    // Time apart, by the order of events alone.
    let guilty = contradicting(&zones, |zone| zone.call.max(zone.last_read.map_or(0, |read| read.0)), account)?;
    if guilty.is_empty() {
        return Ok((0, None));
    }
    // A larger t leaves fewer of them.
    let zones: Vec<Zone> = guilty.iter().map(|&i| zones[i]).collect();
    let (mut too_little, mut enough) = (None, 1);
    loop {
        account.work(64)?;
        if contradicting(&zones, |zone| last_start(zone, times, enough), account)?.is_empty() {
            break;
        }
        (too_little, enough) = (Some(enough), enough.saturating_mul(2));
    }
    // Events of one time contradict each other by their order alone: that is more than nothing.
    let mut low = too_little.map_or(1, |t| t + 1);
    while low < enough {
        let middle = low + (enough - low) / 2;
        if contradicting(&zones, |zone| last_start(zone, times, middle), account)?.is_empty() {
            enough = middle;
        } else {
            (too_little, low) = (Some(middle), middle + 1);
        }
    }
    let last = too_little.map_or(Ok(Vec::new()), |t| contradicting(&zones, |zone| last_start(zone, times, t), account))?;
    let stalest = last.iter().filter_map(|&i| zones[i].last_read).max();
    let any = zones.iter().filter_map(|zone| zone.last_read).max();
    Ok((enough, stalest.or(any).map(|read| read.1)))
}

/// The last invocation of a cluster if its reads began so much earlier: just before the first event of that time.
fn last_start(zone: &Zone, times: &[i64], earlier_ns: u64) -> u32 {
    let moved = |(call, _): (u32, OpId)| {
        let time = times[call as usize].saturating_sub_unsigned(earlier_ns);
        times.partition_point(|&other| other < time) as u32
    };
    zone.call.max(zone.last_read.map_or(0, moved))
}

/// The clusters that contradict another one, given by `start` their last invocations. O(n log n).
fn contradicting(zones: &[Zone], start: impl Fn(&Zone) -> u32, account: &mut Account<'_>) -> Result<Vec<usize>, Limit> {
    account.work(zones.len() as u64 * 16)?;
    let starts: Vec<u32> = zones.iter().map(&start).collect();
    // The two latest starts among the first so many clusters.
    let mut latest: Vec<[(u32, usize); 2]> = Vec::with_capacity(zones.len() + 1);
    latest.push([(0, usize::MAX); 2]);
    for (i, &start) in starts.iter().enumerate() {
        let [first, second] = latest[i];
        latest.push(match () {
            () if start > first.0 => [(start, i), first],
            () if start > second.0 => [first, (start, i)],
            () => [first, second],
        });
    }
    let is_guilty = |i: &usize| {
        let before = zones.partition_point(|other| other.first_return < starts[*i]);
        let other = latest[before].iter().find(|other| other.1 != *i && other.1 != usize::MAX);
        zones[*i].first_return != NEVER && other.is_some_and(|other| other.0 > zones[*i].first_return)
    };
    Ok((0..zones.len()).filter(is_guilty).collect())
}

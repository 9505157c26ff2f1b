//! Looking whether packets are hurt, or no longer: by echoes between the nodes, before, during and after.

use crate::agent::protocol::traffic::{Echoes, Measured};
use crate::fault::Context;
use crate::faults::support::packet_harm::Harm;
use crate::report::Seen;
use std::time::{Duration, Instant};

/// How long a fault is given to show, and to go: what waits in a narrow line has to drain first.
const SHOWS_WITHIN: Duration = if cfg!(test) { Duration::from_millis(100) } else { Duration::from_secs(4) };

/// The longest round trip that is waited for beyond what the fault itself adds.
const BACK_WITHIN: Duration = Duration::from_millis(400);

/// The most by which a link may be slower than before, beyond a quarter of the harm, and not count as hurt: nodes are busy.
const SLOWER_US: u64 = 15_000;

/// The share that may be lost on a link that is not hurt.
const LOST_SHARE_MAX: f64 = 0.04;

/// A direction between two nodes, by index, with what echoes told before it was hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) before: Measured,
}

impl Link {
    pub(crate) fn new(from: usize, to: usize) -> Link {
        Link { from, to, before: Measured::default() }
    }
}

/// The links from these nodes to all others.
pub(crate) fn links(n: usize, nodes: &[usize]) -> Vec<Link> {
    nodes.iter().flat_map(|&from| (0..n).filter(move |&to| to != from).map(move |to| Link::new(from, to))).collect()
}

/// The nodes whose packets suffer, ascending.
pub(crate) fn senders(links: &[Link]) -> Vec<usize> {
    let mut nodes: Vec<usize> = links.iter().map(|link| link.from).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// Echoes that tell a harm: many small ones, or few that fill a narrow line.
fn echoes(harm: Harm, amount: u64) -> Echoes {
    let shape = harm.shape(amount);
    let late = Duration::from_micros(2 * (shape.delay_us + shape.jitter_us));
    match harm {
        Harm::Rate => Echoes { count: 25, bytes: 1000, every: Duration::ZERO, within: BACK_WITHIN + Duration::from_secs(1) },
        _ => Echoes { count: 100, bytes: 64, every: Duration::from_millis(4), within: BACK_WITHIN + late },
    }
}

/// Measures all links at once; one that cannot be tried counts as silent.
fn measure(context: &Context, harm: Harm, amount: u64, links: &[Link]) -> Vec<Measured> {
    let echoes = echoes(harm, amount);
    let nodes = &context.cluster.nodes;
    std::thread::scope(|scope| {
        let one = |link: &Link| {
            let (from, to) = (&nodes[link.from], &nodes[link.to]);
            scope.spawn(move || context.network.measure(from, to, &echoes).unwrap_or_default())
        };
        let threads: Vec<_> = links.iter().map(one).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Notes what each link is like before it is hurt.
pub(crate) fn before(context: &Context, harm: Harm, links: &mut [Link]) {
    let measured = measure(context, harm, 1, links);
    for (link, measured) in links.iter_mut().zip(measured) {
        link.before = measured;
    }
}

/// The links of one node together, before and now. Links that were silent before say nothing: another fault cuts them.
struct Sum {
    node: usize,
    before: Measured,
    now: Measured,
}

fn sums(links: &[Link], now: &[Measured]) -> Vec<Sum> {
    let one = |node: usize| {
        let mine: Vec<_> = links.iter().zip(now).filter(|(link, _)| link.from == node && link.before.back > 0).collect();
        let before = total(mine.iter().map(|(link, _)| link.before));
        Sum { node, before, now: total(mine.iter().map(|(_, now)| **now)) }
    };
    senders(links).into_iter().map(one).filter(|sum| sum.before.sent > 0).collect()
}

/// Counts are added up; of times the least of each kind is taken, so that every link must be as slow.
fn total(all: impl Iterator<Item = Measured>) -> Measured {
    let sum = all.reduce(|a, b| Measured {
        sent: a.sent + b.sent,
        back: a.back + b.back,
        duplicates: a.duplicates + b.duplicates,
        disordered: a.disordered + b.disordered,
        round_trip_us: match (a.back, b.back) {
            (_, 0) => a.round_trip_us,
            (0, _) => b.round_trip_us,
            _ => std::array::from_fn(|i| a.round_trip_us[i].min(b.round_trip_us[i])),
        },
    });
    sum.unwrap_or_default()
}

/// Whether the packets of a node are seen to suffer.
fn is_hurt(harm: Harm, amount: u64, Sum { before, now, .. }: &Sum) -> bool {
    let of_sent = |thousandths: u64, part: f64| f64::from(now.sent) * thousandths as f64 / 1000.0 * part;
    let slower_us = now.round_trip_us[1].saturating_sub(before.round_trip_us[1]);
    match harm {
        Harm::Delay => now.back > 0 && slower_us >= amount * 3 / 5,
        Harm::Jitter => now.back > 0 && now.round_trip_us[2] - now.round_trip_us[0] >= amount,
        Harm::Loss | Harm::Corrupt | Harm::Flaky => now.lost_share() >= (amount as f64 / 1000.0 * 0.3).max(before.lost_share() + 0.02),
        Harm::Duplicate => f64::from(now.duplicates) >= of_sent(amount, 0.3),
        Harm::Reorder => f64::from(now.disordered) >= of_sent(amount, 0.2),
        Harm::Rate => {
            let Echoes { count, bytes, .. } = echoes(harm, amount);
            let passes_us = u64::from(count) * u64::from(bytes) * 8_000_000 / amount;
            now.round_trip_us[2] >= before.round_trip_us[2] + passes_us / 2 || now.lost_share() > 0.5
        }
    }
}

/// Whether the packets of a node are seen to pass as before.
fn is_healed(harm: Harm, amount: u64, Sum { before, now, .. }: &Sum) -> bool {
    let added_us = harm.shape(amount).delay_us;
    let slower_us = now.round_trip_us[1].saturating_sub(before.round_trip_us[1]);
    let as_fast = slower_us <= SLOWER_US.max(added_us / 4);
    let as_safe = now.lost_share() <= before.lost_share() + LOST_SHARE_MAX;
    now.back > 0 && as_fast && as_safe && (harm != Harm::Duplicate || now.duplicates == 0)
}

/// Looks until the packets of every node suffer, or time is over.
pub(crate) fn hurt(context: &Context, harm: Harm, amount: u64, links: &[Link]) -> Seen {
    until(context, harm, amount, links, is_hurt)
}

/// Looks until the packets of every node pass as before, or time is over.
pub(crate) fn healed(context: &Context, harm: Harm, amount: u64, links: &[Link]) -> Seen {
    until(context, harm, amount, links, is_healed)
}

fn until(context: &Context, harm: Harm, amount: u64, links: &[Link], as_wanted: fn(Harm, u64, &Sum) -> bool) -> Seen {
    let deadline = Instant::now() + SHOWS_WITHIN;
    loop {
        let sums = sums(links, &measure(context, harm, amount, links));
        let observed = !sums.is_empty() && sums.iter().all(|sum| as_wanted(harm, amount, sum));
        if observed || Instant::now() >= deadline {
            let told: Vec<String> = sums.iter().map(|sum| tell(context, harm, sum)).collect();
            let what = if told.is_empty() { "no link gave an echo before".into() } else { told.join(", ") };
            return Seen { observed, what };
        }
    }
}

/// `n1: round trip 51.3 ms (0.4 ms before)`, or what else the harm is about.
fn tell(context: &Context, harm: Harm, Sum { node, before, now }: &Sum) -> String {
    let name = context.cluster.names(&[*node]);
    let ms = |us: u64| us as f64 / 1000.0;
    let percent = |measured: &Measured| 100.0 * measured.lost_share();
    match harm {
        Harm::Delay => format!("{name}: round trip {:.1} ms ({:.1} ms before)", ms(now.round_trip_us[1]), ms(before.round_trip_us[1])),
        Harm::Jitter => format!("{name}: round trips from {:.1} to {:.1} ms", ms(now.round_trip_us[0]), ms(now.round_trip_us[2])),
        Harm::Rate => format!("{name}: slowest {:.1} ms ({:.1} ms before)", ms(now.round_trip_us[2]), ms(before.round_trip_us[2])),
        Harm::Loss | Harm::Corrupt | Harm::Flaky => format!("{name}: {:.0} % lost ({:.0} % before)", percent(now), percent(before)),
        Harm::Duplicate => format!("{name}: {} of {} came twice", now.duplicates, now.sent),
        Harm::Reorder => format!("{name}: {} of {} out of order", now.disordered, now.sent),
    }
}

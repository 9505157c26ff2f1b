//! Faults of the clock that the database's processes see: ahead or behind at once, by turns, or ever more.
//!
//! A node with a kernel of its own has a clock of its own, and that is set ([`crate::agent::node::system_clock`]), while the program that
//! keeps it right is stopped. On a lab, in containers, and wherever else several nodes share a kernel, the clock is that of all of
//! them and of the control node, and is not touched: each process is told another time of day instead; see
//! [`crate::agent::node::vdso`] for how, and for what that does not reach.

use crate::agent::protocol::clock::Reading;
use crate::agent::protocol::clock::Skew;
use crate::database::Clocks;
use crate::fault::{Context, Fault};
use crate::faults::support::shuffle_bag::Deck;
use crate::faults::support::target::{Choice, Target};
use crate::report::Report;
use crate::report::Seen;
use crate::{Cluster, Node, NodeError, ProcessState};
use histories::Value;
use histories::names::quoted;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, Instant};

/// How far a reading may be off besides its own error.
const TOLERANCE_NS: i64 = 100_000;

/// How exactly a clock must have been read to be called right.
const RIGHT_NS: i64 = 5_000_000;

/// How long a wrong clock is given to show.
const SHOWS_WITHIN: Duration = Duration::from_secs(3);

/// The pauses between two readings of a clock that strobes, and of one that drifts.
const STROBE_READ_EVERY: Duration = Duration::from_millis(7);
const DRIFT_READ_EVERY: Duration = Duration::from_millis(100);

/// The most readings of a node that go into the history at once.
const READINGS_TOLD_MAX: usize = 32;

const MS: f64 = 1e6;

/// A way to be wrong, in words of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Bump,
    Strobe,
    Drift,
}

const WORDS: [(&str, How); 3] = [("bump", How::Bump), ("strobe", How::Strobe), ("drift", How::Drift)];

impl How {
    fn parse(text: &str) -> Result<How, String> {
        match WORDS.iter().find(|(word, _)| *word == text) {
            Some((_, how)) => Ok(*how),
            None => Err(format!(
                "{} is no way for a clock to be wrong: say one of bump, strobe, drift, or whose it is: system, process, system-bump, ...; a TARGET goes behind an @",
                quoted(text, ["system", "process"].into_iter().chain(WORDS.map(|(word, _)| word)))
            )),
        }
    }

    /// How wrong: bumps of ±1.5^(6 + U[0, 25)) ms; strobes by 2^U[2, 18) ms every 2^U[0, 10) ms for 4 to 32 s; drifts of up to 10 %,
    /// down to a 32nd of that.
    fn draw(self, rng: &mut ChaCha8Rng) -> Skew {
        let (sign, size, [pace, length]) = (if rng.random() { 1.0 } else { -1.0 }, rng.random::<f64>(), rng.random::<[f64; 2]>());
        match self {
            How::Bump => Skew::Bump { offset_ns: (sign * 1.5_f64.powf(6.0 + 25.0 * size) * MS) as i64 },
            How::Strobe => Skew::Strobe {
                offset_ns: (sign * 2_f64.powf(2.0 + 16.0 * size) * MS) as i64,
                period: Duration::from_micros((1000.0 * 2_f64.powf(10.0 * pace)) as u64),
                lasts: Duration::from_secs_f64(4.0 + 28.0 * length),
            },
            How::Drift => Skew::Drift { per_billion: (sign * 1e8 * 2_f64.powf(-5.0 * size)) as i64 },
        }
    }
}

/// Whose clock is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The node's where it has one for itself, else its processes'.
    Either,
    /// The node's.
    System,
    /// Its processes'.
    Process,
}

impl Whose {
    /// Takes `system-`, or `process-`, or the word alone off a way to be wrong.
    fn parse(text: &str) -> (Whose, Option<&str>) {
        for (word, whose) in [("system", Whose::System), ("process", Whose::Process)] {
            if text == word {
                return (whose, None);
            }
            if let Some(rest) = text.strip_prefix(word).and_then(|rest| rest.strip_prefix('-')) {
                return (whose, Some(rest));
            }
        }
        (Whose::Either, Some(text))
    }

    /// Whether it is the node's own on this node.
    fn is_system(self, context: &Context, node: &Node) -> bool {
        match self {
            Whose::Either => context.database.system_clocks().is_some_and(|clocks| clocks.can_skew(node).is_ok()),
            Whose::System => true,
            Whose::Process => false,
        }
    }

    /// The clocks that can be made wrong of the nodes that were drawn, and a remark on the others.
    fn fit(self, context: &Context, nodes: Vec<usize>) -> (Vec<Wrong>, String) {
        let (on, off) = context.without_off(nodes);
        let systems = context.cluster.on(&on, |node| self.is_system(context, node));
        let (own, others): (Vec<_>, Vec<_>) = on.into_iter().zip(systems).partition(|(_, system)| *system);
        // A node's clock goes wrong whether a process is there to see it or not.
        let (up, down) = context.without_down(others.into_iter().map(|(node, _)| node).collect());
        let of = |system| move |node| Wrong { node, system };
        let mut wrong: Vec<Wrong> = own.into_iter().map(|(node, _)| of(true)(node)).chain(up.into_iter().map(of(false))).collect();
        wrong.sort_unstable_by_key(|wrong| wrong.node);
        (wrong, off + &down)
    }
}

/// Some ways to be wrong, whose clock is, and on which nodes.
#[derive(Clone, Debug)]
pub struct Way {
    whose: Whose,
    hows: Vec<How>,
    choice: Choice,
}

impl Way {
    /// Reads `bump@primaries`, `system-bump`, `process`: any way if `how` is missing, the usual targets if `target` is.
    pub fn parse(how: Option<&str>, target: Option<&str>, cluster: &Cluster) -> Result<Way, String> {
        let (whose, how) = how.map_or((Whose::Either, None), Whose::parse);
        let hows = match how {
            Some(how) => vec![How::parse(how)?],
            None => WORDS.iter().map(|(_, how)| *how).collect(),
        };
        let target = target.map(|target| Target::parse(target, cluster)).transpose()?;
        if let Some(target) = &target {
            target.check(cluster.len())?;
        }
        Ok(Way { whose, hows, choice: Choice::new(target.into_iter().collect(), cluster.len()) })
    }
}

/// Makes the clocks that the database's processes see on some nodes wrong, and right again.
pub struct ClockFault {
    ways: Vec<Way>,
    /// Each way to be wrong, by the way in which it was asked for.
    deck: Deck<(usize, How)>,
    active: Vec<Wrong>,
}

/// A node whose clock is wrong, and whether that is its own.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    node: usize,
    system: bool,
}

impl ClockFault {
    /// Does all of these by turns; there must be one.
    pub fn new(ways: Vec<Way>) -> ClockFault {
        let each = |(way, asked): (usize, &Way)| asked.hows.iter().map(move |how| (way, *how)).collect::<Vec<_>>();
        let deck = Deck::new(ways.iter().enumerate().flat_map(each).collect());
        ClockFault { ways, deck, active: Vec::new() }
    }
}

fn clocks(context: &Context, system: bool) -> Result<&dyn Clocks, NodeError> {
    let (found, whose) =
        if system { (context.database.system_clocks(), "the nodes of") } else { (context.database.clocks(), "the processes of") };
    let name = context.database.name();
    found.ok_or_else(|| NodeError::new("control node", format!("the clocks of {whose} {name} cannot be changed")))
}

impl Fault for ClockFault {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn ways(&self) -> usize {
        self.deck.all().len()
    }

    /// Prepares every node's clocks once and puts them back: what cannot be done is said before the first op.
    fn setup(&mut self, context: &Context) -> Result<(), NodeError> {
        let mut ways: Vec<Whose> = self.ways.iter().map(|way| way.whose).collect();
        ways.dedup();
        let tried = context.cluster.on_all(|node| {
            let mut looks = Vec::new();
            for whose in &ways {
                let clocks = clocks(context, whose.is_system(context, node))?;
                clocks.can_skew(node)?;
                let right = clocks.skew(node, &Skew::None).and_then(|()| are_ahead_by(clocks, node, 0));
                clocks.restore(node)?;
                looks.push(right?);
            }
            Ok(looks)
        })?;
        let looks = context.cluster.nodes.iter().zip(&tried).flat_map(|(node, looks)| looks.iter().map(move |look| (node, look)));
        match looks.into_iter().find(|(_, look)| !look.as_wanted) {
            Some((node, look)) => Err(NodeError::new(&node.name, format!("its clock is wrong before any fault: {}", look.said))),
            None => Ok(()),
        }
    }

    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError> {
        let Some((way, how)) = self.deck.draw(rng) else { return Ok(Report::nothing("no clock is changed".into())) };
        let way = &self.ways[way];
        let skews: Vec<Skew> = context.cluster.nodes.iter().map(|_| how.draw(rng)).collect();
        let (wrong, note) = way.choice.draw_fit(context, rng, |drawn| way.whose.fit(context, drawn));
        if wrong.is_empty() {
            return Ok(Report::nothing(format!("no clock is changed{note}")));
        }
        self.active.clone_from(&wrong);
        let nodes: Vec<usize> = wrong.iter().map(|wrong| wrong.node).collect();
        let words = wrong.iter().map(|wrong| {
            format!("{}{} {}", if wrong.system { "host " } else { "" }, context.cluster.nodes[wrong.node].name, words(&skews[wrong.node]))
        });
        let mut report = Report::of(nodes.clone(), format!("the clock of {}{note}", words.collect::<Vec<_>>().join(", ")));
        let looks = context
            .cluster
            .on(&nodes, |node| clocks(context, is_system(&wrong, node)).and_then(|clocks| hurt(clocks, node, &skews[node.index])));
        tell(context, &mut report, &nodes, looks);
        Ok(report)
    }

    fn recover(&mut self, context: &Context) -> Result<Report, NodeError> {
        if self.active.is_empty() {
            return Ok(Report::idle());
        }
        let wrong = self.active.clone();
        let (nodes, off) = context.without_off(wrong.iter().map(|wrong| wrong.node).collect());
        if nodes.is_empty() {
            self.active.clear();
            return Ok(Report::all_off(&off));
        }
        let mut report = Report::of(nodes.clone(), format!("the clock of {} is right{off}", context.cluster.names(&nodes)));
        let looks = context.cluster.on(&nodes, |node| {
            let system = is_system(&wrong, node);
            let clocks = clocks(context, system)?;
            let healed = heal(clocks, node);
            match context.database.state(node) {
                _ if system => healed,
                // Killed meanwhile, and its clock with it: nothing is left but the journal's entry.
                Ok(ProcessState::Down) => clocks.restore(node).map(|()| Look::of(true, format!("{} is down", node.name), Vec::new())),
                _ => healed,
            }
        });
        tell(context, &mut report, &nodes, looks);
        if report.observed {
            self.active.clear();
        }
        Ok(report)
    }
}

fn is_system(wrong: &[Wrong], node: &Node) -> bool {
    wrong.iter().any(|wrong| wrong.node == node.index && wrong.system)
}

/// What was seen of the clocks of a node.
#[derive(Clone, Debug)]
struct Look {
    as_wanted: bool,
    said: String,
    readings: Vec<Reading>,
}

impl Look {
    fn of(as_wanted: bool, said: String, readings: Vec<Reading>) -> Look {
        Look { as_wanted, said, readings }
    }
}

/// Notes what was seen, and every reading as `[nanoseconds since 1970, nanoseconds ahead, error]`.
fn tell(context: &Context, report: &mut Report, nodes: &[usize], looks: Vec<Result<Look, NodeError>>) {
    let mut said = Vec::new();
    let mut errors = Vec::new();
    let mut clocks = Vec::new();
    let mut observed = !looks.is_empty();
    for (&node, look) in nodes.iter().zip(looks) {
        match look {
            Ok(look) => {
                observed &= look.as_wanted;
                said.push(look.said);
                let row = |r: &Reading| Value::Vector([r.at_ns, r.offset_ns, r.error_ns].map(Value::Int).to_vec());
                // Enough to draw what the clock did.
                let every = look.readings.len().div_ceil(READINGS_TOLD_MAX).max(1);
                let name = Value::from(context.cluster.nodes[node].name.as_str());
                clocks.push((name, Value::Vector(look.readings.iter().step_by(every).map(row).collect())));
            }
            Err(error) => errors.push(error),
        }
    }
    report.seen(Seen { observed, what: said.join(", ") });
    report.failed(&errors);
    report.facts.push(("clocks".into(), Value::Map(clocks)));
}

/// Makes the clocks of a node wrong, and looks at them before and after.
fn hurt(clocks: &dyn Clocks, node: &Node, skew: &Skew) -> Result<Look, NodeError> {
    clocks.skew(node, &Skew::None)?;
    let before = are_ahead_by(clocks, node, 0)?;
    clocks.skew(node, skew)?;
    let mut look = match *skew {
        Skew::None => are_ahead_by(clocks, node, 0),
        Skew::Bump { offset_ns } => are_ahead_by(clocks, node, offset_ns),
        Skew::Strobe { offset_ns, .. } => strobe(clocks, node, offset_ns),
        Skew::Drift { per_billion } => drift(clocks, node, per_billion),
    }?;
    if !before.as_wanted {
        look.as_wanted = false;
        look.said = format!("{} and before that {}", look.said, before.said);
    }
    look.readings.splice(0..0, before.readings);
    Ok(look)
}

/// Makes the clocks of a node right, sees that they are, and leaves no trace.
fn heal(clocks: &dyn Clocks, node: &Node) -> Result<Look, NodeError> {
    let look = clocks.skew(node, &Skew::None).and_then(|()| are_ahead_by(clocks, node, 0));
    clocks.restore(node)?;
    look
}

/// Reads until all clocks of a node are ahead by this much, or time is over.
fn are_ahead_by(clocks: &dyn Clocks, node: &Node, offset_ns: i64) -> Result<Look, NodeError> {
    let apart_ns = if offset_ns == 0 { 2 * RIGHT_NS } else { offset_ns };
    let deadline = Instant::now() + SHOWS_WITHIN;
    loop {
        let readings = clocks.read(node)?;
        let odd = readings.iter().find(|reading| !is_ahead_by(reading, offset_ns, apart_ns));
        let as_wanted = odd.is_none() && !readings.is_empty();
        if as_wanted || Instant::now() >= deadline {
            let said = odd.or(readings.first()).map_or_else(String::new, |reading| format!("{} {}", node.name, ahead(reading)));
            return Ok(Look::of(as_wanted, said, readings));
        }
        std::thread::sleep(STROBE_READ_EVERY);
    }
}

/// Whether a clock is ahead by this much, and was read so exactly that this can be told from right, or wrong, that is so far apart.
fn is_ahead_by(reading: &Reading, offset_ns: i64, apart_ns: i64) -> bool {
    let error_ns = reading.error_ns + TOLERANCE_NS;
    (reading.offset_ns - offset_ns).abs() <= error_ns && error_ns <= apart_ns.abs() / 2
}

/// Reads until each clock of a node was seen both right and wrong, or time is over.
fn strobe(clocks: &dyn Clocks, node: &Node, offset_ns: i64) -> Result<Look, NodeError> {
    let deadline = Instant::now() + SHOWS_WITHIN;
    let mut readings: Vec<Reading> = Vec::new();
    loop {
        readings.extend(clocks.read(node)?);
        let seen = |wanted: i64| {
            readings.iter().all(|one| readings.iter().any(|other| other.pid == one.pid && is_ahead_by(other, wanted, offset_ns)))
        };
        let as_wanted = seen(offset_ns) && seen(0);
        if as_wanted || Instant::now() >= deadline {
            let words = if as_wanted { "is right and wrong by turns" } else { "was not seen both right and wrong" };
            let said = readings.last().map_or_else(String::new, |reading| format!("{} {words}, now {}", node.name, ahead(reading)));
            return Ok(Look::of(as_wanted, said, readings));
        }
        std::thread::sleep(STROBE_READ_EVERY);
    }
}

/// Reads until each clock of a node has gained what it should, as exactly as it can be told, or time is over.
fn drift(clocks: &dyn Clocks, node: &Node, per_billion: i64) -> Result<Look, NodeError> {
    let deadline = Instant::now() + SHOWS_WITHIN;
    let mut readings = clocks.read(node)?;
    loop {
        std::thread::sleep(DRIFT_READ_EVERY);
        let now = clocks.read(node)?;
        let rates: Vec<Rate> =
            now.iter().filter_map(|last| Rate::between(readings.iter().find(|first| first.pid == last.pid)?, last)).collect();
        readings.extend(&now);
        let as_wanted = !rates.is_empty() && rates.len() == now.len() && rates.iter().all(|rate| rate.is(per_billion));
        if as_wanted || Instant::now() >= deadline {
            let said = rates.last().map_or_else(String::new, |rate| format!("{} {}", node.name, gains(rate.per_billion)));
            return Ok(Look::of(as_wanted, said, readings));
        }
    }
}

/// How much a clock gained between two readings.
struct Rate {
    per_billion: i64,
    error: i64,
}

impl Rate {
    fn between(first: &Reading, last: &Reading) -> Option<Rate> {
        let billion = |ns: i64| i64::try_from(i128::from(ns) * 1_000_000_000 / i128::from(last.at_ns - first.at_ns)).ok();
        if last.at_ns <= first.at_ns {
            return None;
        }
        Some(Rate { per_billion: billion(last.offset_ns - first.offset_ns)?, error: billion(first.error_ns + last.error_ns)? })
    }

    /// Whether it is this rate, give or take a quarter.
    fn is(&self, per_billion: i64) -> bool {
        let quarter = per_billion.abs() / 4;
        self.error <= quarter && (self.per_billion - per_billion).abs() <= quarter
    }
}

/// What a skew does, in words.
fn words(skew: &Skew) -> String {
    match *skew {
        Skew::None => "is right".into(),
        Skew::Bump { offset_ns } => format!("is {}", seconds(offset_ns)),
        Skew::Strobe { offset_ns, period, lasts } => {
            let (period, lasts) = (period.as_secs_f64() * 1e3, lasts.as_secs_f64());
            format!("is {} and right by turns of {period:.1} ms for {lasts:.1} s", seconds(offset_ns))
        }
        Skew::Drift { per_billion } => gains(per_billion),
    }
}

fn seconds(offset_ns: i64) -> String {
    format!("{:.3} s {}", (offset_ns as f64 / 1e9).abs(), if offset_ns < 0 { "behind" } else { "ahead" })
}

fn gains(per_billion: i64) -> String {
    format!("runs {:.2} % too {}", (per_billion as f64 / 1e7).abs(), if per_billion < 0 { "slow" } else { "fast" })
}

/// `is 1.234 s ahead, ±0.05 ms`; `is right, ±0.05 ms`.
fn ahead(reading: &Reading) -> String {
    let error = reading.error_ns as f64 / MS;
    if is_ahead_by(reading, 0, i64::MAX) {
        format!("is right, ±{error:.2} ms")
    } else {
        format!("is {}, ±{error:.2} ms", seconds(reading.offset_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn draws_are_within_their_bounds_and_fill_them() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut bumps, mut strobes, mut drifts) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..2000 {
            for how in [How::Bump, How::Strobe, How::Drift] {
                match how.draw(&mut rng) {
                    Skew::Bump { offset_ns } => bumps.push(offset_ns as f64 / 1e6),
                    Skew::Strobe { offset_ns, period, lasts } => {
                        strobes.push(offset_ns as f64 / 1e6);
                        assert!((1..=1024).contains(&period.as_millis()) && (4..=32).contains(&lasts.as_secs()));
                    }
                    Skew::Drift { per_billion } => drifts.push(per_billion as f64 / 1e9),
                    Skew::None => panic!("no skew was drawn"),
                }
            }
        }
        for (all, least, most) in [(bumps, 11.39, 287_627.0), (strobes, 4.0, 262_144.0), (drifts, 0.1 / 32.0, 0.1)] {
            let sizes = || all.iter().map(|x| x.abs());
            assert!(sizes().all(|x| x > 0.99 * least && x < 1.01 * most), "{all:?}");
            assert!(sizes().any(|x| x < 1.3 * least) && sizes().any(|x| x > most / 1.3));
            assert!(all.iter().any(|x| *x > 0.0) && all.iter().any(|x| *x < 0.0));
        }
    }

    #[test]
    fn a_rate_is_told_only_if_the_readings_are_exact_enough() {
        let reading = |at_ns, offset_ns, error_ns| Reading { pid: 1, at_ns, offset_ns, error_ns };
        let rate = |last: Reading| Rate::between(&reading(1_000_000_000, 0, 10_000), &last);
        assert!(rate(reading(1_100_000_000, 1_000_000, 10_000)).unwrap().is(10_000_000));
        assert!(!rate(reading(1_100_000_000, 700_000, 10_000)).unwrap().is(10_000_000));
        assert!(!rate(reading(1_100_000_000, 1_000_000, 300_000)).unwrap().is(10_000_000));
        assert!(rate(reading(1_000_000_000, 0, 0)).is_none());
    }

    #[test]
    fn a_reading_that_fits_right_and_wrong_shows_neither() {
        let reading = |offset_ns, error_ns| Reading { pid: 1, at_ns: 0, offset_ns, error_ns };
        let bump = 11_000_000;
        assert!(is_ahead_by(&reading(11_100_000, 200_000), bump, bump) && !is_ahead_by(&reading(11_400_000, 200_000), bump, bump));
        assert!(!is_ahead_by(&reading(9_000_000, 6_000_000), bump, bump));
        assert!(is_ahead_by(&reading(-bump, 1000), -bump, -bump) && !is_ahead_by(&reading(0, 1000), -bump, -bump));
    }

    #[test]
    fn words_say_which_way() {
        assert_eq!(words(&Skew::Bump { offset_ns: -1_500_000_000 }), "is 1.500 s behind");
        assert_eq!(words(&Skew::Drift { per_billion: 12_300_000 }), "runs 1.23 % too fast");
        let strobe = Skew::Strobe { offset_ns: 4_000_000, period: Duration::from_micros(2500), lasts: Duration::from_secs(5) };
        assert_eq!(words(&strobe), "is 0.004 s ahead and right by turns of 2.5 ms for 5.0 s");
    }
}

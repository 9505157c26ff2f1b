//! Partitions: nodes that no longer hear each other.

use crate::fault::{Context, Fault};
use crate::faults::support::grudge::Grudge;
use crate::faults::support::observe;
use crate::faults::support::shuffle_bag::Deck;
use crate::faults::support::target::Target;
use crate::report::Report;
use crate::{Cluster, NodeError};
use histories::Value;
use histories::names::did_you_mean;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// A way to cut a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The first half of the nodes from the others.
    Halves,
    /// A random half of the nodes from the others.
    RandomHalves,
    /// These nodes, as one group, from the others.
    Group(Target),
    /// These nodes, or a random half, hear nobody outside the group; they are heard.
    OneWay(Option<Target>),
    /// Two halves that do not hear each other, and one node between them that hears and is heard by all.
    Bridge,
    /// Each node hears a majority, and no two nodes hear the same one.
    MajoritiesRing,
}

/// The words of the cuts that are no targets.
const WORDS: [(&str, Cut); 5] = [
    ("halves", Cut::Halves),
    ("random-halves", Cut::RandomHalves),
    ("one-way", Cut::OneWay(None)),
    ("bridge", Cut::Bridge),
    ("majorities-ring", Cut::MajoritiesRing),
];

impl Cut {
    /// Reads one of the words, `one-way@TARGET`, or a target, and refuses what cuts nothing or everything on this cluster.
    pub fn parse(how: Option<&str>, target: Option<&str>, cluster: &Cluster) -> Result<Cut, String> {
        let target = target.map(|text| Target::parse(text, cluster)).transpose()?;
        let word = WORDS.iter().find(|(word, _)| Some(*word) == how).map(|(_, cut)| cut.clone());
        let cut = match (how, word, target) {
            (_, Some(Cut::OneWay(_)), target) => Cut::OneWay(target),
            (_, Some(cut), None) => cut,
            (Some(how), Some(_), Some(_)) => return Err(format!("`{how}` takes no target")),
            (Some(how), None, Some(_)) => return Err(format!("only `one-way` takes a target behind @, `{how}` does not")),
            (Some(how), None, None) => Cut::Group(Target::parse(how, cluster).map_err(|why| {
                let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
                let meant = did_you_mean(how, words.iter().copied()).map_or_else(String::new, |question| format!(" ({question})"));
                format!("{why}; or {}{meant}", words.join(", "))
            })?),
            (None, _, Some(target)) => Cut::Group(target),
            (None, _, None) => return Err("say how to cut".into()),
        };
        cut.check(cluster.len())?;
        Ok(cut)
    }

    /// What is drawn from when nobody says how, as far as it makes sense for `n` nodes.
    pub fn usual(n: usize) -> Vec<Cut> {
        let cuts = [
            Cut::RandomHalves,
            Cut::Group(Target::One),
            Cut::Group(Target::Primary),
            Cut::Group(Target::Majority),
            Cut::MajoritiesRing,
            Cut::Bridge,
            Cut::OneWay(None),
            Cut::OneWay(Some(Target::Primary)),
        ];
        cuts.into_iter().filter(|cut| cut.check(n).is_ok()).collect()
    }

    /// Refuses a cut that cuts nothing or everything on `n` nodes.
    fn check(&self, n: usize) -> Result<(), String> {
        if let Cut::Group(target) | Cut::OneWay(Some(target)) = self {
            target.check(n)?;
        }
        let example = self.side(n, &mut rand::SeedableRng::seed_from_u64(0), || vec![0]);
        self.grudge(n, &example).check()
    }

    fn grudge(&self, n: usize, side: &[usize]) -> Grudge {
        match self {
            Cut::OneWay(_) => Grudge::one_way(n, side),
            Cut::Bridge => Grudge::bridge(n, side),
            Cut::MajoritiesRing => Grudge::majorities_ring(n, side),
            Cut::Halves | Cut::RandomHalves | Cut::Group(_) => Grudge::split(n, side),
        }
    }

    /// The side that is cut off, ascending; of a bridge and a ring all nodes, in their order. Empty only if nobody leads.
    fn side(&self, n: usize, rng: &mut ChaCha8Rng, primaries: impl FnOnce() -> Vec<usize>) -> Vec<usize> {
        match self {
            Cut::Halves => (0..n / 2).collect(),
            Cut::RandomHalves | Cut::OneWay(None) => {
                let mut order: Vec<usize> = (0..n).collect();
                order.shuffle(rng);
                order.truncate(n / 2);
                order.sort_unstable();
                order
            }
            Cut::Bridge | Cut::MajoritiesRing => {
                let mut order: Vec<usize> = (0..n).collect();
                order.shuffle(rng);
                order
            }
            Cut::Group(target) | Cut::OneWay(Some(target)) => {
                let mut side = target.choose(n, rng, primaries);
                // All nodes are no side: one stays on the other.
                if *target == Target::Random && side.len() == n {
                    side.remove(rng.random_range(0..n));
                }
                side
            }
        }
    }

    /// In words: `n1 n3 | n2 n4 n5`, `n2 does not hear n1 n3`, `n1 n3 | n2 n4, and n5 hears all`.
    fn tell(&self, cluster: &Cluster, side: &[usize]) -> String {
        match self {
            Cut::Bridge => {
                let (bridge, left, right) = Grudge::sides_of_bridge(side);
                return format!("{} | {}, and {} hears all", cluster.names(left), cluster.names(right), cluster.names(&[bridge]));
            }
            Cut::MajoritiesRing => {
                let reach = Grudge::reach_in_ring(side.len());
                return format!("ring {}, each hears the next {reach} on both sides", cluster.names(side));
            }
            _ => {}
        }
        let others: Vec<usize> = (0..cluster.len()).filter(|i| !side.contains(i)).collect();
        let (side, others) = (cluster.names(side), cluster.names(&others));
        match self {
            Cut::OneWay(_) => format!("{side} does not hear {others}"),
            _ => format!("{side} | {others}"),
        }
    }
}

/// Cuts the network; heals it. One partition at a time.
pub struct Partition {
    deck: Deck<Cut>,
    /// Whether the user named the cuts: then a cut that finds no leader does nothing, and says so, instead of taking any node.
    named: bool,
    active: Option<Active>,
}

/// A partition that holds.
struct Active {
    grudge: Grudge,
    /// Whether it was seen to take effect.
    seen: bool,
}

impl Partition {
    /// A partition that makes all of these cuts by turns; the usual ones if there are none.
    pub fn new(cuts: Vec<Cut>, cluster: &Cluster) -> Result<Partition, String> {
        let named = !cuts.is_empty();
        let cuts = if named { cuts } else { Cut::usual(cluster.len()) };
        if cuts.is_empty() {
            return Err(format!("there is no partition of {} node(s)", cluster.len()));
        }
        Ok(Partition { deck: Deck::new(cuts), named, active: None })
    }
}

impl Fault for Partition {
    fn name(&self) -> &'static str {
        "partition"
    }

    fn ways(&self) -> usize {
        self.deck.all().len()
    }

    /// Every node must be able to drop packets, and every link must be heard before any is cut: otherwise silence would prove nothing.
    fn setup(&mut self, context: &Context) -> Result<(), NodeError> {
        if let Some(error) = apply(context, &Grudge::none(context.cluster.len())).0.into_iter().next() {
            return Err(error);
        }
        context.cluster.on_all(|node| context.network.can_drop(node))?;
        observe::all_heard(context)
    }

    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError> {
        let n = context.cluster.len();
        let Some(cut) = self.deck.draw(rng) else { return Ok(Report::nothing("nothing is cut".into())) };
        let anyone = rng.random_range(0..n);
        let mut side = cut.side(n, rng, || observe::primaries(context));
        let mut note = "";
        if side.is_empty() && !self.named {
            side.push(anyone);
            note = " (no node says that it leads: one is taken at random)";
        }
        let grudge = cut.grudge(n, &side);
        if let Err(why) = grudge.check() {
            return Ok(Report::nothing(format!("nothing is cut: {}", if side.is_empty() { "no node says that it leads" } else { &why })));
        }
        let mut report = Report::of(grudge.nodes(), format!("{}{note}", cut.tell(&context.cluster, &side)));
        report.facts.push(("grudge".into(), grudge.to_value(&context.cluster)));
        let active = self.active.insert(Active { grudge, seen: false });
        // What one node cannot do is seen at its links; the others are cut all the same.
        let (errors, off) = apply(context, &active.grudge);
        report.what += &off;
        report.seen(observe::cut(context, &active.grudge));
        report.failed(&errors);
        active.seen = report.observed;
        Ok(report)
    }

    fn recover(&mut self, context: &Context) -> Result<Report, NodeError> {
        let Some(Active { grudge, seen }) = &self.active else { return Ok(Report::idle()) };
        // A node that was down or paused when it was cut off could not be asked; it may run by now.
        let late = if *seen { None } else { Some(observe::cut(context, grudge)) };
        let (errors, off) = apply(context, &Grudge::none(context.cluster.len()));
        let mut report = Report::of(grudge.nodes(), format!("healed{off}"));
        report.seen(observe::healed(context, grudge));
        report.failed(&errors);
        if let Some(late) = late.filter(|late| late.observed) {
            report.facts.push(("seen-late".into(), Value::from(late.what.as_str())));
        }
        if report.observed {
            self.active = None;
        }
        Ok(report)
    }
}

/// Makes every node drop what the grudge says and nothing else, except those whose hosts are off: they hear nobody anyway, and have
/// forgotten what they dropped. Returns the errors, and a note of who was left out.
fn apply(context: &Context, grudge: &Grudge) -> (Vec<NodeError>, String) {
    let nodes = &context.cluster.nodes;
    let (on, off) = context.without_off((0..nodes.len()).collect());
    let errors = context.errors_on(&on, |node| {
        let from: Vec<_> = grudge.dropped_by(node.index).iter().map(|&i| &nodes[i]).collect();
        context.network.drop_from(node, &from)
    });
    (errors, off)
}

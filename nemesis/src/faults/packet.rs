//! Packets between nodes that are late, lost, doubled, out of order, mangled, or squeezed through a narrow line.

use crate::agent::protocol::traffic::Shape;
use crate::fault::{Context, Fault};
use crate::faults::support::link_probe;
use crate::faults::support::link_probe::Link;
use crate::faults::support::packet_harm::{HARMS, Harm};
use crate::faults::support::shuffle_bag::Deck;
use crate::faults::support::target::{Choice, Target};
use crate::report::Report;
use crate::{Cluster, NodeError};
use histories::names::quoted;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A harm of so much, and whose packets are to suffer.
#[derive(Clone, Debug)]
pub struct Item {
    harm: Harm,
    amount: u64,
    targets: Choice,
}

impl Item {
    /// Reads `delay`, `delay=200ms`, `loss@minority`, or a target alone: then it is every harm, one item each.
    pub fn parse(how: Option<&str>, target: Option<&str>, cluster: &Cluster) -> Result<Vec<Item>, String> {
        let n = cluster.len();
        if n < 2 {
            return Err("there is no link between 1 node(s)".into());
        }
        let target = target.map(|text| Target::parse(text, cluster)).transpose()?;
        if let Some(target) = &target {
            target.check(n)?;
        }
        let flaky_at = |harm: Harm| harm == Harm::Flaky && target.is_some();
        let targets = || Choice::new(target.clone().into_iter().collect(), n);
        let Some(how) = how else {
            let all = HARMS.iter().filter(|row| !flaky_at(row.0));
            return Ok(all.map(|row| Item { harm: row.0, amount: row.3, targets: targets() }).collect());
        };
        let (name, amount) = how.split_once('=').map_or((how, None), |(name, amount)| (name, Some(amount)));
        let none = || format!("{} is none of {}", quoted(name, HARMS.map(|row| row.1)), HARMS.map(|row| row.1).join(", "));
        let &(harm, name, unit, usual) = HARMS.iter().find(|row| row.1 == name).ok_or_else(none)?;
        let wrong = |amount: &str| format!("`{amount}` is no amount of {name}: write it like {name}={}", unit.example());
        let amount = amount.map(|amount| unit.read(amount).ok_or_else(|| wrong(amount))).transpose()?.unwrap_or(usual);
        if flaky_at(harm) {
            return Err("`flaky` takes no target: it is one link, drawn".into());
        }
        Ok(vec![Item { harm, amount, targets: targets() }])
    }
}

/// Shapes packets between nodes. One shape at a time.
pub struct Packet {
    deck: Deck<Item>,
    active: Option<Active>,
}

struct Active {
    harm: Harm,
    amount: u64,
    /// The links whose packets suffer, with what a probe told before.
    links: Vec<Link>,
}

impl Packet {
    /// Does all of these by turns; every harm of the usual amount if there are none.
    pub fn new(items: Vec<Item>, cluster: &Cluster) -> Result<Packet, String> {
        let items = if items.is_empty() { Item::parse(None, None, cluster)? } else { items };
        Ok(Packet { deck: Deck::new(items), active: None })
    }
}

impl Fault for Packet {
    fn name(&self) -> &'static str {
        "packet"
    }

    fn ways(&self) -> usize {
        self.deck.all().len()
    }

    fn setup(&mut self, context: &Context) -> Result<(), NodeError> {
        context.cluster.on_all(|node| context.network.can_shape(node))?;
        let n = context.cluster.len();
        let mut links = link_probe::links(n, &(0..n).collect::<Vec<_>>());
        link_probe::before(context, Harm::Loss, &mut links);
        match links.iter().find(|link| link.before.back == 0) {
            None => Ok(()),
            Some(link) => Err(NodeError::new(
                &context.cluster.nodes[link.from].name,
                format!(
                    "gets no echo of {} although no fault is active: hurt packets could not be told from this. Echoes are UDP datagrams between the nodes: let them pass the nodes' firewalls, or leave out `packet`",
                    context.cluster.nodes[link.to].name
                ),
            )),
        }
    }

    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError> {
        let n = context.cluster.len();
        let Some(Item { harm, amount, targets }) = self.deck.draw(rng) else { return Ok(Report::nothing("no packet is hurt".into())) };
        let (a, step, seed) = (rng.random_range(0..n), rng.random_range(1..n), rng.random::<u64>());
        let (mut links, what) = if harm == Harm::Flaky {
            let b = (a + step) % n;
            let links = [(a, b), (b, a)].map(|(from, to)| Link::new(from, to)).to_vec();
            (links, format!("between {} {}", context.cluster.names(&[a.min(b), a.max(b)]), harm.words(amount)))
        } else {
            let (nodes, mut note) = targets.draw(context, rng);
            let (nodes, off) = context.without_off(nodes);
            note += &off;
            if nodes.is_empty() {
                return Ok(Report::nothing(format!("no packet is hurt{note}")));
            }
            (link_probe::links(n, &nodes), format!("packets of {} {}{note}", context.cluster.names(&nodes), harm.words(amount)))
        };
        link_probe::before(context, harm, &mut links);
        if links.iter().all(|link| link.before.back == 0) {
            // Nobody could tell that they are hurt, nor later that they are not.
            return Ok(Report::nothing(format!("{what}: not done, since no link gave an echo before: another fault has its ends")));
        }
        let nodes = link_probe::senders(&links);
        let active = self.active.insert(Active { harm, amount, links });
        let mut report = Report::of(nodes.clone(), what);
        let errors = context.errors_on(&nodes, |node| {
            let to: Vec<_> =
                active.links.iter().filter(|link| link.from == node.index).map(|link| &context.cluster.nodes[link.to]).collect();
            context.network.shape(node, &to, &harm.shape(amount), seed ^ node.index as u64)
        });
        report.seen(link_probe::hurt(context, harm, amount, &active.links));
        report.failed(&errors);
        Ok(report)
    }

    fn recover(&mut self, context: &Context) -> Result<Report, NodeError> {
        let Some(Active { harm, amount, links }) = &self.active else { return Ok(Report::idle()) };
        let (nodes, off) = context.without_off(link_probe::senders(links));
        if nodes.is_empty() {
            self.active = None;
            return Ok(Report::all_off(&off));
        }
        let mut report = Report::of(nodes.clone(), format!("packets pass as before{off}"));
        let errors = context.errors_on(&nodes, |node| context.network.shape(node, &[], &Shape::default(), 0));
        report.seen(link_probe::healed(context, *harm, *amount, links));
        report.failed(&errors);
        if report.observed {
            self.active = None;
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::cluster;

    #[test]
    fn every_harm_has_a_row_and_does_something() {
        for (harm, name, unit, usual) in HARMS {
            assert_eq!(harm.row().1, name);
            assert_ne!(harm.shape(usual), Shape::default(), "{name}");
            assert!(unit.read(unit.example()).is_some(), "{name}");
            let items = Item::parse(Some(name), None, &cluster(3)).unwrap();
            assert_eq!((items.len(), items[0].harm, items[0].amount), (1, harm, usual));
        }
    }

    #[test]
    fn amounts_are_read() {
        for (text, amount) in
            [("delay=200ms", 200_000), ("delay=1.5s", 1_500_000), ("loss=0.5%", 5), ("rate=2mbit", 2_000_000), ("flaky=90%", 900)]
        {
            assert_eq!(Item::parse(Some(text), None, &cluster(3)).unwrap()[0].amount, amount, "{text}");
        }
        for (how, target, words) in [
            ("delay=soon", None, "write it like delay=200ms"),
            ("delay=0ms", None, "no amount"),
            ("loss=200%", None, "no amount"),
            ("loss=NaN%", None, "no amount"),
            ("slow", None, "`slow` is none of delay, jitter"),
            ("flaky", Some("n1"), "takes no target"),
            ("delay", Some("minority-third"), "selects no node of 3"),
        ] {
            let error = Item::parse(Some(how), target, &cluster(3)).unwrap_err();
            assert!(error.contains(words), "{how}: {error}");
        }
        assert!(Item::parse(None, None, &cluster(1)).is_err());
        assert_eq!(Item::parse(None, Some("n1"), &cluster(3)).unwrap().len(), HARMS.len() - 1);
    }
}

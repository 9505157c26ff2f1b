//! What operators do to a database while it serves: compact it, defragment it, move its leader. Each is done once; there is nothing
//! to undo, and nothing that a correct database may show to its clients but a moment of delay.

use crate::fault::{Context, Fault};
use crate::faults::support::shuffle_bag::Deck;
use crate::faults::support::target::{Choice, Target};
use crate::report::Report;
use crate::{Admin, Cluster, NodeError};
use histories::names::quoted;
use rand_chacha::ChaCha8Rng;

/// A thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chore {
    Compact,
    Defragment,
    MoveLeader,
}

const CHORES: [(&str, Chore); 3] = [("compact", Chore::Compact), ("defragment", Chore::Defragment), ("move-leader", Chore::MoveLeader)];

/// Some things to do, and on which node.
#[derive(Clone, Debug)]
pub struct Item {
    chores: Vec<Chore>,
    choice: Choice,
}

impl Item {
    /// Reads `defragment@primary`: any of all things if `how` is missing, on any node if `target` is.
    pub fn parse(how: Option<&str>, target: Option<&str>, cluster: &Cluster) -> Result<Item, String> {
        let known = CHORES.map(|(word, _)| word);
        let none = |how: &str| format!("{} is none of {}; a TARGET goes behind an @", quoted(how, known), known.join(", "));
        let chores = match how {
            None => CHORES.iter().map(|(_, chore)| *chore).collect(),
            Some(how) => vec![CHORES.iter().find(|(word, _)| *word == how).ok_or_else(|| none(how))?.1],
        };
        let target = target.map(|target| Target::parse(target, cluster)).transpose()?;
        if let Some(many) = target.as_ref().filter(|target| !target.is_single(cluster.len())) {
            return Err(format!("`{many}` is not one node: say one, primary, or the name of a node"));
        }
        Ok(Item { chores, choice: Choice::or_usual(target.into_iter().collect(), &[Target::One]) })
    }
}

/// Does one of some things to the database.
pub struct AdminFault {
    deck: Deck<(Chore, Choice)>,
    active: Vec<usize>,
}

impl AdminFault {
    /// Does all of these by turns; there must be one.
    pub fn new(items: Vec<Item>) -> AdminFault {
        let each = |Item { chores, choice }| chores.into_iter().map(move |chore| (chore, Clone::clone(&choice)));
        AdminFault { deck: Deck::new(items.into_iter().flat_map(each).collect()), active: Vec::new() }
    }
}

fn admin(context: &Context) -> Result<&dyn Admin, NodeError> {
    let lacking = || NodeError::new("admin", format!("{} has no commands of operators; leave out `admin`", context.database.name()));
    context.database.admin().ok_or_else(lacking)
}

impl Fault for AdminFault {
    fn name(&self) -> &'static str {
        "admin"
    }

    fn ways(&self) -> usize {
        self.deck.all().len()
    }

    fn setup(&mut self, context: &Context) -> Result<(), NodeError> {
        admin(context).map(|_| ())
    }

    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError> {
        let admin = admin(context)?;
        let Some((chore, choice)) = self.deck.draw(rng) else { return Ok(Report::nothing("there is nothing to do".into())) };
        let (nodes, note) = choice.draw(context, rng);
        let Some(&node) = nodes.first() else { return Ok(Report::nothing(format!("nothing is done{note}"))) };
        let node = &context.cluster.nodes[node];
        let report = match chore {
            Chore::Compact => admin.compact(&context.cluster, node),
            Chore::Defragment => admin.defragment(&context.cluster, node),
            Chore::MoveLeader => admin.move_leader(&context.cluster, node),
        }?;
        self.active.clone_from(&report.nodes);
        Ok(Report { what: format!("{}{note}", report.what), ..report })
    }

    fn recover(&mut self, _context: &Context) -> Result<Report, NodeError> {
        if self.active.is_empty() {
            return Ok(Report::idle());
        }
        let nodes = std::mem::take(&mut self.active);
        Ok(Report { observed: true, seen: "there is nothing to undo".into(), ..Report::of(nodes, "left as it is".into()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemesis::tests::{Pretended, first};
    use crate::{Node, Phase};
    use std::collections::BTreeSet;

    impl Pretended {
        fn chore(&self, node: &Node, what: &str) -> Report {
            let observed = self.with(|inner| !inner.chores_do_nothing);
            Report { observed, ..Report::of(vec![node.index], format!("{what} {}", node.name)) }
        }
    }

    impl Admin for Pretended {
        fn compact(&self, _cluster: &Cluster, node: &Node) -> Result<Report, NodeError> {
            Ok(self.chore(node, "compacted"))
        }

        fn defragment(&self, _cluster: &Cluster, node: &Node) -> Result<Report, NodeError> {
            Ok(self.chore(node, "defragmented"))
        }

        fn move_leader(&self, _cluster: &Cluster, to: &Node) -> Result<Report, NodeError> {
            Ok(self.chore(to, "moved the lead to"))
        }
    }

    #[test]
    fn every_chore_is_done_and_needs_no_undoing() {
        let pretended = Pretended::new(3);
        let mut nemesis = pretended.nemesis("admin", 1);
        let mut whats = BTreeSet::new();
        for _ in 0..60 {
            let report = first(&mut nemesis, Phase::Start);
            assert!(report.observed, "{report:?}");
            whats.insert(report.what);
            let report = first(&mut nemesis, Phase::Stop);
            assert!(report.observed && report.what == "left as it is" && !nemesis.is_active(), "{report:?}");
        }
        assert_eq!(whats.len(), 9, "three chores on three nodes: {whats:?}");
        assert_eq!(first(&mut nemesis, Phase::Stop), Report::idle());
    }

    #[test]
    fn a_chore_without_effect_is_not_observed() {
        let pretended = Pretended::new(3);
        pretended.with(|inner| inner.chores_do_nothing = true);
        let report = first(&mut pretended.nemesis("admin:defragment@n2", 1), Phase::Start);
        assert_eq!((report.observed, report.what.as_str()), (false, "defragmented n2"));
    }
}

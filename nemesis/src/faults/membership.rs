//! A member leaves the cluster while it serves, and comes back with empty data.
//!
//! A member is taken only while every other one serves: with another one down, the rest could lose its majority for good. What the
//! agents on the nodes can undo does not reach this far (it takes a majority of the other members to let one in), so a member that
//! was out when its harness was killed stays out: the others serve without it, and the next test begins with empty data anyway.

use crate::fault::{Context, Fault};
use crate::faults::support::target::{Choice, Target};
use crate::report::Report;
use crate::report::Seen;
use crate::{Cluster, Membership, NodeError};
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, Instant};

/// How long all members may take to serve, before none is removed.
const SERVES_WITHIN: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(2) };

/// How long the others are given to tell that a member has left, or is back.
const SHOWS_WITHIN: Duration = Duration::from_secs(3);

/// How long a member may take to be back: it has to fetch all data. Longer than a few seconds only if the others lack a majority.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The fewest nodes of which one may leave: of two, the one that stays is all there is.
const NODES_MIN: usize = 3;

/// Why there is no such fault where nobody can change who belongs to the cluster.
fn lacking(database: &str) -> NodeError {
    NodeError::new("membership", format!("{database} cannot change who belongs to its cluster; leave out `membership`"))
}

/// Removes one member, and adds it again.
pub struct MembershipFault {
    choice: Choice,
    active: Option<usize>,
}

impl MembershipFault {
    /// Removes one of what these targets select; one, or the one that leads, if there are none.
    ///
    /// # Errors
    /// A target of more than one node, or a cluster that is too small.
    pub fn new(targets: Vec<Target>, cluster: &Cluster) -> Result<MembershipFault, String> {
        let n = cluster.len();
        if n < NODES_MIN {
            return Err(format!("of {n} nodes none may leave: it takes at least {NODES_MIN}"));
        }
        if let Some(many) = targets.iter().find(|target| !target.is_single(n)) {
            return Err(format!("`{many}` is not one node: members leave one at a time; say one, primary, or the name of a node"));
        }
        Ok(MembershipFault { choice: Choice::or_usual(targets, &[Target::One, Target::Primary]), active: None })
    }
}

fn membership(context: &Context) -> Result<&dyn Membership, NodeError> {
    context.database.membership().ok_or_else(|| lacking(context.database.name()))
}

impl Fault for MembershipFault {
    fn name(&self) -> &'static str {
        "membership"
    }

    /// Every node must say that all belong to the cluster: else nobody could tell later that one has left.
    fn setup(&mut self, context: &Context) -> Result<(), NodeError> {
        let membership = membership(context)?;
        let voters = context.cluster.on_all(|node| membership.voters(&context.cluster, node))?;
        match context.cluster.nodes.iter().zip(voters).find(|(_, voters)| voters.len() != context.cluster.len()) {
            Some((node, voters)) => {
                Err(NodeError::new(&node.name, format!("it counts {} as members before any fault", context.cluster.names(&voters))))
            }
            None => Ok(()),
        }
    }

    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError> {
        let membership = membership(context)?;
        let (nodes, note) = self.choice.draw(context, rng);
        let Some(&leaves) = nodes.first() else { return Ok(Report::nothing(format!("no member is removed{note}"))) };
        if let Some(error) = unready(context, membership) {
            let name = context.cluster.names(&[leaves]);
            return Ok(Report::nothing(format!("{name} is not removed{note}: the others might lose their majority, since {error}")));
        }
        self.active = Some(leaves);
        let node = &context.cluster.nodes[leaves];
        let mut report = Report::of(vec![leaves], format!("removed {}{note}", node.name));
        let removed = membership.remove(&context.cluster, node);
        report.seen(told_by_others(context, membership, leaves, false));
        report.failed(&removed.err().into_iter().collect::<Vec<_>>());
        Ok(report)
    }

    fn recover(&mut self, context: &Context) -> Result<Report, NodeError> {
        let Some(back) = self.active else { return Ok(Report::idle()) };
        let membership = membership(context)?;
        let node = &context.cluster.nodes[back];
        let mut report = Report::of(vec![back], format!("added {} with empty data", node.name));
        let added = membership.add(&context.cluster, node, BACK_WITHIN);
        // If the others could not let it in, there is no use in asking them for long whether they have.
        report.seen(if added.is_ok() { told_by_others(context, membership, back, true) } else { Seen::no("it is not back") });
        let errors: Vec<NodeError> = [added, membership.serves(node)].into_iter().filter_map(Result::err).take(1).collect();
        report.failed(&errors);
        if report.observed {
            self.active = None;
        }
        Ok(report)
    }
}

/// Why not every member serves, if that does not change soon: one that was started just now may need a moment.
fn unready(context: &Context, membership: &dyn Membership) -> Option<NodeError> {
    let all: Vec<usize> = (0..context.cluster.len()).collect();
    let deadline = Instant::now() + SERVES_WITHIN;
    loop {
        let error = context.errors_on(&all, |node| membership.serves(node)).into_iter().next()?;
        if Instant::now() >= deadline {
            return Some(error);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Asks the other members until each that answers counts this one among the members, or none does, or time is over.
fn told_by_others(context: &Context, membership: &dyn Membership, node: usize, wanted: bool) -> Seen {
    let others: Vec<usize> = (0..context.cluster.len()).filter(|&other| other != node).collect();
    let name = &context.cluster.nodes[node].name;
    let deadline = Instant::now() + SHOWS_WITHIN;
    loop {
        let answers = context.cluster.on(&others, |other| membership.voters(&context.cluster, other));
        let told: Vec<(usize, bool)> =
            others.iter().zip(&answers).filter_map(|(&other, answer)| Some((other, answer.as_ref().ok()?.contains(&node)))).collect();
        let observed = !told.is_empty() && told.iter().all(|(_, counts)| *counts == wanted);
        if observed || Instant::now() >= deadline {
            let say = |counts: bool, words: &str| {
                let sayers: Vec<usize> = told.iter().filter(|(_, told)| *told == counts).map(|(other, _)| *other).collect();
                (!sayers.is_empty()).then(|| format!("{} {words} {name} as a member", context.cluster.names(&sayers)))
            };
            let parts: Vec<String> = [say(true, "count"), say(false, "do not count")].into_iter().flatten().collect();
            let what = if parts.is_empty() { "no other member answered".into() } else { parts.join(", ") };
            return Seen { observed, what };
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemesis::tests::{Pretended, first};
    use crate::{Node, Phase, ProcessState};

    impl Membership for Pretended {
        fn serves(&self, node: &Node) -> Result<(), NodeError> {
            let serves = |inner: &mut crate::nemesis::tests::Inner| {
                inner.states[node.index] == Some(ProcessState::Running) && !inner.gone.contains(&node.index)
            };
            if self.with(serves) { Ok(()) } else { Err(NodeError::new(&node.name, "it does not serve")) }
        }

        fn voters(&self, cluster: &Cluster, _asked: &Node) -> Result<Vec<usize>, NodeError> {
            Ok((0..cluster.len()).filter(|node| !self.with(|inner| inner.gone.contains(node))).collect())
        }

        fn remove(&self, _cluster: &Cluster, node: &Node) -> Result<(), NodeError> {
            self.with(|inner| {
                inner.gone.push(node.index);
                inner.states[node.index] = Some(ProcessState::Down);
            });
            Ok(())
        }

        fn add(&self, _cluster: &Cluster, node: &Node, _within: Duration) -> Result<(), NodeError> {
            self.with(|inner| {
                if inner.nobody_gets_in {
                    return Err(NodeError::new(&node.name, "the others have no leader"));
                }
                inner.gone.retain(|gone| *gone != node.index);
                inner.states[node.index] = Some(ProcessState::Running);
                Ok(())
            })
        }
    }

    #[test]
    fn nobody_leaves_while_another_member_is_down() {
        let pretended = Pretended::new(5);
        pretended.with(|inner| inner.states[3] = Some(ProcessState::Down));
        let mut nemesis = pretended.nemesis("membership@n2", 1);
        let report = first(&mut nemesis, Phase::Start);
        assert!(!report.observed && report.nodes.is_empty() && report.seen == "no effect", "{report:?}");
        assert!(
            report.what.starts_with("n2 is not removed: the others might lose their majority, since n4: it does not serve"),
            "{report:?}"
        );
        assert!(pretended.with(|inner| inner.gone.is_empty()));
        assert_eq!(first(&mut nemesis, Phase::Stop), Report::idle());
    }

    #[test]
    fn a_member_that_cannot_come_back_is_tried_again_until_it_is() {
        let pretended = Pretended::new(3);
        let mut nemesis = pretended.nemesis("membership:primary", 1);
        let report = first(&mut nemesis, Phase::Start);
        assert!(report.observed && report.what == "removed n2" && report.seen == "n1 n3 do not count n2 as a member", "{report:?}");
        pretended.with(|inner| inner.nobody_gets_in = true);
        let report = nemesis.heal().remove(0).1;
        assert!(!report.observed && report.seen.contains("the others have no leader") && nemesis.is_active(), "{report:?}");
        pretended.with(|inner| inner.nobody_gets_in = false);
        let report = nemesis.heal().remove(0).1;
        assert!(report.observed && report.seen == "n1 n3 count n2 as a member" && !nemesis.is_active(), "{report:?}");
    }
}

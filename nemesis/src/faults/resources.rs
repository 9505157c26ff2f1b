//! The database is given less memory, or less processor time, than it wants.
//!
//! Where that is asked for, its processes are started in control groups of their own: no other process of the node is squeezed. See
//! [`crate::agent::node::cgroup`].

use crate::agent::protocol::group::{Resource, Usage};
use crate::database::Groups;
use crate::fault::{Context, Fault};
use crate::faults::support::observe::look_until;
use crate::faults::support::target::{Choice, Target};
use crate::report::Report;
use crate::{Cluster, Node, NodeError, ProcessState};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The usual shares, in thousandths: of the memory in use, and of one processor.
const MEMORY_SHARE: u32 = 800;
const CPU_SHARE: u32 = 50;

/// How much is left, and whose processes are squeezed.
#[derive(Clone, Debug)]
pub struct Way {
    thousandths: u32,
    choice: Choice,
}

impl Way {
    /// Reads `5%@minority`: the usual share if there is none, the usual targets if there is none. A target may also stand alone.
    pub fn parse(resource: Resource, how: Option<&str>, target: Option<&str>, cluster: &Cluster) -> Result<Way, String> {
        let n = cluster.len();
        let usual = if resource == Resource::Memory { MEMORY_SHARE } else { CPU_SHARE };
        let (share, target) = match (how, target) {
            (Some(how), target) if how.ends_with('%') => (Some(how), target),
            (Some(_), Some(_)) => return Err("what stands before the @ is a share, as in 5%@one".into()),
            (how, target) => (None, how.or(target)),
        };
        let thousandths = match share {
            None => usual,
            Some(share) => match share.trim_end_matches('%').parse::<f64>() {
                Ok(percent) if (0.1..=100.0).contains(&percent) => (percent * 10.0).round() as u32,
                _ => return Err(format!("`{share}` is no share: say 0.1% to 100%")),
            },
        };
        let target = target.map(|target| Target::parse(target, cluster)).transpose()?;
        if let Some(target) = &target {
            target.check(n)?;
        }
        Ok(Way { thousandths, choice: Choice::new(target.into_iter().collect(), n) })
    }
}

/// Squeezes the database's processes on some nodes, and lets them go.
pub struct Squeeze {
    resource: Resource,
    ways: Vec<Way>,
    active: Vec<usize>,
}

impl Squeeze {
    /// Draws one of these ways each time; there must be one.
    pub fn new(resource: Resource, ways: Vec<Way>) -> Squeeze {
        Squeeze { resource, ways, active: Vec::new() }
    }

    fn noun(&self) -> &'static str {
        match self.resource {
            Resource::Memory => "memory",
            Resource::Cpu => "processor time",
        }
    }
}

fn groups(context: &Context) -> Result<&dyn Groups, NodeError> {
    let name = context.database.name();
    context.database.groups().ok_or_else(|| NodeError::new("control node", format!("{name} cannot be put into control groups")))
}

impl Fault for Squeeze {
    fn name(&self) -> &'static str {
        match self.resource {
            Resource::Memory => "memory",
            Resource::Cpu => "cpu",
        }
    }

    fn prepare(&mut self, context: &Context) -> Result<(), NodeError> {
        let groups = groups(context)?;
        context.cluster.on_all(|node| groups.can_provide(node))?;
        groups.provide();
        Ok(())
    }

    fn setup(&mut self, context: &Context) -> Result<(), NodeError> {
        let groups = groups(context)?;
        let usages = context.cluster.on_all(|node| groups.usage(node, self.resource))?;
        match context.cluster.nodes.iter().zip(usages).find(|(_, usage)| usage.limit.is_some()) {
            Some((node, _)) => Err(NodeError::new(&node.name, format!("its {} is limited before any fault", self.noun()))),
            None => Ok(()),
        }
    }

    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError> {
        let (groups, resource) = (groups(context)?, self.resource);
        let way = &self.ways[rng.random_range(0..self.ways.len())];
        let (nodes, note) = way.choice.draw_fit(context, rng, |drawn| context.without_down(drawn));
        if nodes.is_empty() {
            return Ok(Report::nothing(format!("no {} is taken away{note}", self.noun())));
        }
        self.active.clone_from(&nodes);
        let of = if resource == Resource::Memory { "what it uses" } else { "one processor" };
        let share = f64::from(way.thousandths) / 10.0;
        let what = format!("{} of {} is limited to {share} % of {of}{note}", self.noun(), context.cluster.names(&nodes));
        let mut report = Report::of(nodes.clone(), what);
        let before = context.cluster.on(&nodes, |node| {
            let before = groups.usage(node, resource)?;
            groups.squeeze(node, resource, way.thousandths).map(|()| before)
        });
        let errors: Vec<NodeError> = before.iter().filter_map(|before| before.as_ref().err().cloned()).collect();
        report.seen(look_until(context, &nodes, |node| {
            let place = nodes.iter().position(|&index| index == node.index).unwrap_or(0);
            let now = groups.usage(node, resource)?;
            let before = match &before[place] {
                Ok(before) => before,
                Err(error) => return Ok((false, error.to_string())),
            };
            let felt = bites(resource, before, &now);
            // The kernel may have refused a limit below what was in use: what is used now may be less, so it is tried again.
            if !felt && resource == Resource::Memory && now.limit.is_some_and(|limit| limit > now.used) {
                groups.squeeze(node, resource, way.thousandths)?;
            }
            Ok((felt, told(node, resource, before, &now)))
        }));
        report.failed(&errors);
        Ok(report)
    }

    fn recover(&mut self, context: &Context) -> Result<Report, NodeError> {
        if self.active.is_empty() {
            return Ok(Report::idle());
        }
        let (groups, resource, nodes) = (groups(context)?, self.resource, self.active.clone());
        let mut report = Report::of(nodes.clone(), format!("{} of {} is not limited", self.noun(), context.cluster.names(&nodes)));
        let errors = context.errors_on(&nodes, |node| groups.release(node, resource));
        report.seen(look_until(context, &nodes, |node| match groups.usage(node, resource) {
            Ok(usage) => {
                Ok((usage.limit.is_none(), format!("{} {}", node.name, if usage.limit.is_none() { "is free" } else { "is limited" })))
            }
            // Its server was taken out of the cluster meanwhile, and the groups with it.
            Err(_) if context.database.state(node)? == ProcessState::Down => Ok((true, format!("{} is down", node.name))),
            Err(error) => Err(error),
        }));
        report.failed(&errors);
        if report.observed {
            self.active.clear();
        }
        Ok(report)
    }
}

/// Whether a limit is there and was felt: something was taken away, or refused.
fn bites(resource: Resource, before: &Usage, now: &Usage) -> bool {
    let Some(limit) = now.limit else { return false };
    let taken_away = resource == Resource::Memory && before.used > limit && now.used <= limit;
    taken_away || now.reached > before.reached
}

fn told(node: &Node, resource: Resource, before: &Usage, now: &Usage) -> String {
    let times = now.reached.saturating_sub(before.reached);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    match (resource, now.limit) {
        (_, None) => format!("{} has no limit", node.name),
        (Resource::Memory, Some(limit)) => {
            format!(
                "{} uses {:.1} MiB, {:.1} before, may use {:.1}, was refused more {times} times",
                node.name,
                mib(now.used),
                mib(before.used),
                mib(limit)
            )
        }
        (Resource::Cpu, Some(limit)) => format!("{} may run {} % of the time and was held back {times} times", node.name, limit / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::cluster;

    #[test]
    fn shares_and_targets_are_told_apart() {
        let share = |how, target| Way::parse(Resource::Cpu, how, target, &cluster(3)).map(|way| way.thousandths);
        assert_eq!(share(None, None), Ok(CPU_SHARE));
        assert_eq!(share(Some("2.5%"), Some("one")), Ok(25));
        assert_eq!(share(Some("minority"), None), Ok(CPU_SHARE));
        for (how, target, words) in [
            (Some("0%"), None, "is no share"),
            (Some("200%"), None, "is no share"),
            (Some("one"), Some("n1"), "is a share, as in 5%@one"),
            (Some("lots"), None, "is no target"),
            (None, Some("minority-third"), "selects no node"),
        ] {
            assert!(share(how, target).unwrap_err().contains(words), "{how:?} {target:?}");
        }
    }

    #[test]
    fn a_limit_that_nobody_feels_does_not_bite() {
        let usage = |limit, used, reached| Usage { limit, used, reached };
        let memory = |now| bites(Resource::Memory, &usage(None, 100, 4), &now);
        assert!(memory(usage(Some(80), 79, 4)) && memory(usage(Some(200), 100, 5)));
        assert!(!memory(usage(None, 50, 9)) && !memory(usage(Some(200), 100, 4)) && !memory(usage(Some(80), 90, 4)));
        assert!(!bites(Resource::Cpu, &usage(None, 100, 4), &usage(Some(50), 10, 4)));
        assert!(bites(Resource::Cpu, &usage(None, 100, 4), &usage(Some(50), 110, 5)));
    }
}

//! Targets: which nodes a fault acts on.

use crate::Cluster;
use crate::cluster::majority;
use crate::fault::Context;
use crate::faults::support::observe;
use histories::names::quoted;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::fmt;

/// Which nodes a fault acts on, in words of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One node, drawn.
    One,
    /// As many as the cluster can lose and keep a majority: 2 of 5.
    Minority,
    /// The smallest majority: 3 of 5.
    Majority,
    /// As many as fewer than a third: what Byzantine quorums can lose. 1 of 4, 0 of 3.
    MinorityThird,
    /// Every node.
    All,
    /// One of the nodes that say they lead.
    Primary,
    /// All nodes that say they lead.
    Primaries,
    /// A random non-empty subset: each as likely as any other.
    Random,
    /// These nodes, by index, ascending.
    Named(Vec<usize>),
}

/// How often nodes are drawn until one is fit. With two of five down, eight draws of one node all miss once in 1,500 times.
const DRAWS_MAX: usize = 8;

/// The words of the targets that need no name of a node.
const WORDS: [(&str, Target); 8] = [
    ("one", Target::One),
    ("minority", Target::Minority),
    ("majority", Target::Majority),
    ("minority-third", Target::MinorityThird),
    ("all", Target::All),
    ("primary", Target::Primary),
    ("primaries", Target::Primaries),
    ("random", Target::Random),
];

impl Target {
    /// Reads a target: one of the words, or names of nodes with `+` between them.
    pub fn parse(text: &str, cluster: &Cluster) -> Result<Target, String> {
        if let Some((_, target)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(target.clone());
        }
        let mut nodes = Vec::new();
        for name in text.split('+') {
            match cluster.nodes.iter().find(|node| node.name == name) {
                Some(node) => nodes.push(node.index),
                None => return Err(unknown(name, cluster)),
            }
        }
        nodes.sort_unstable();
        nodes.dedup();
        Ok(Target::Named(nodes))
    }

    /// How many nodes it selects of `n`; `None` if that is only known when it happens.
    fn size(&self, n: usize) -> Option<usize> {
        match self {
            Target::One => Some(1.min(n)),
            Target::Minority => Some(n - majority(n).min(n)),
            Target::Majority => Some(majority(n).min(n)),
            Target::MinorityThird => Some(n.saturating_sub(1) / 3),
            Target::All => Some(n),
            Target::Named(nodes) => Some(nodes.len()),
            Target::Primary | Target::Primaries | Target::Random => None,
        }
    }

    /// Refuses a target that selects no node of `n`.
    pub fn check(&self, n: usize) -> Result<(), String> {
        if n == 0 || self.size(n) == Some(0) {
            return Err(format!("`{self}` selects no node of {n}"));
        }
        Ok(())
    }

    /// Whether it never selects more than one node of `n`.
    pub(crate) fn is_single(&self, n: usize) -> bool {
        *self == Target::Primary || self.size(n) == Some(1)
    }

    /// Whether which nodes it selects depends on the cluster and not on the seed alone.
    pub fn asks_the_cluster(&self) -> bool {
        matches!(self, Target::Primary | Target::Primaries)
    }

    /// Chooses the nodes, ascending. `primaries` is asked only if it matters; the draws are the same whatever it answers.
    /// Empty only if nobody leads.
    pub fn choose(&self, n: usize, rng: &mut ChaCha8Rng, primaries: impl FnOnce() -> Vec<usize>) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(rng);
        let coin: u64 = rng.random();
        let mut nodes = match self {
            Target::Named(nodes) => nodes.clone(),
            Target::Random => {
                let members = random_members(n, rng);
                (0..n).filter(|&i| members[i]).collect()
            }
            Target::Primaries => primaries(),
            Target::Primary => {
                let mut leaders = primaries();
                leaders.sort_unstable();
                let drawn = leaders.get((coin % leaders.len().max(1) as u64) as usize).copied();
                drawn.into_iter().collect()
            }
            _ => order[..self.size(n).unwrap_or(0)].to_vec(),
        };
        nodes.sort_unstable();
        nodes.dedup();
        nodes.retain(|&i| i < n);
        nodes
    }
}

/// Targets of a fault on processes: one of them is drawn each time.
#[derive(Clone, Debug)]
pub struct Choice {
    targets: Vec<Target>,
    /// Whether the user named them: then one that finds no leader selects nothing, and says so, instead of any node.
    named: bool,
}

impl Choice {
    /// Draws one of these targets each time; `one`, `minority`, `majority` or `primary` if there are none.
    pub fn new(targets: Vec<Target>, n: usize) -> Choice {
        let mut usual = vec![Target::One, Target::Minority, Target::Majority, Target::Primary];
        usual.retain(|target| target.check(n).is_ok());
        Choice::or_usual(targets, &usual)
    }

    /// Draws one of these targets each time, or of the usual ones if there are none.
    pub(crate) fn or_usual(targets: Vec<Target>, usual: &[Target]) -> Choice {
        if targets.is_empty() { Choice { targets: usual.to_vec(), named: false } } else { Choice { targets, named: true } }
    }

    /// As [`Choice::new`] without targets, but never a majority.
    pub fn few(n: usize) -> Choice {
        let few = [Target::One, Target::Minority, Target::Primary];
        Choice { targets: few.into_iter().filter(|target| target.check(n).is_ok()).collect(), named: false }
    }

    /// Draws as [`Choice::draw`] does, again while nothing that is drawn is fit to be hurt: a fault is not to be lost because another
    /// one came first. Of the nodes drawn `fit` gives what can be hurt, and a remark on the others.
    pub(crate) fn draw_fit<T>(
        &self,
        context: &Context,
        rng: &mut ChaCha8Rng,
        fit: impl Fn(Vec<usize>) -> (Vec<T>, String),
    ) -> (Vec<T>, String) {
        let mut draws = 1;
        loop {
            let (drawn, note) = self.draw(context, rng);
            let is_nothing = drawn.is_empty();
            let (fit, why) = fit(drawn);
            if !fit.is_empty() || is_nothing || draws == DRAWS_MAX {
                return (fit, note + &why);
            }
            draws += 1;
        }
    }

    /// The nodes, and a remark in parentheses if they are not what was asked for.
    pub(crate) fn draw(&self, context: &Context, rng: &mut ChaCha8Rng) -> (Vec<usize>, String) {
        let n = context.cluster.len();
        let target = &self.targets[rng.random_range(0..self.targets.len())];
        let anyone = rng.random_range(0..n);
        let nodes = target.choose(n, rng, || observe::primaries(context));
        match (nodes.is_empty(), self.named) {
            (false, _) => (nodes, String::new()),
            (true, true) => (nodes, " (no node says that it leads)".into()),
            (true, false) => (vec![anyone], " (no node says that it leads: one is taken at random)".into()),
        }
    }
}

/// Each node in or out by a coin; the empty outcome is drawn again, and after many empty ones the first node is taken.
fn random_members(n: usize, rng: &mut ChaCha8Rng) -> Vec<bool> {
    for _ in 0..64 {
        let members: Vec<bool> = (0..n).map(|_| rng.random()).collect();
        if members.contains(&true) {
            return members;
        }
    }
    (0..n).map(|i| i == 0).collect()
}

fn unknown(name: &str, cluster: &Cluster) -> String {
    let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
    let names: Vec<&str> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    let name = quoted(name, words.iter().chain(&names).copied());
    format!("{name} is no target: say one of {}, or names of nodes with + between them ({})", words.join(", "), names.join(", "))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match WORDS.iter().find(|(_, target)| target == self) {
            Some((word, _)) => f.write_str(word),
            None => f.write_str("named nodes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::cluster;
    use rand::SeedableRng;

    fn choose(target: &Target, n: usize, seed: u64) -> Vec<usize> {
        target.choose(n, &mut ChaCha8Rng::seed_from_u64(seed), || vec![2, 0])
    }

    #[test]
    fn sizes_are_those_of_the_field() {
        for (target, sizes) in [
            (Target::One, [1, 1, 1, 1, 1, 1, 1]),
            (Target::Minority, [0, 0, 1, 1, 2, 2, 3]),
            (Target::Majority, [1, 2, 2, 3, 3, 4, 4]),
            (Target::MinorityThird, [0, 0, 0, 1, 1, 1, 2]),
            (Target::All, [1, 2, 3, 4, 5, 6, 7]),
        ] {
            for (n, size) in (1..).zip(sizes) {
                assert_eq!(choose(&target, n, 7).len(), size, "{target} of {n}");
                assert_eq!(target.check(n).is_err(), size == 0, "{target} of {n}");
            }
        }
    }

    #[test]
    fn every_node_and_every_subset_is_drawn_some_time() {
        let mut ones = [false; 5];
        let mut subsets = std::collections::BTreeSet::new();
        for seed in 0..600 {
            ones[choose(&Target::One, 5, seed)[0]] = true;
            subsets.insert(choose(&Target::Random, 5, seed));
        }
        assert_eq!(ones, [true; 5]);
        assert_eq!(subsets.len(), 31);
        assert!(!subsets.contains(&vec![]));
    }

    #[test]
    fn primaries_are_asked_for_and_may_be_none() {
        assert_eq!(choose(&Target::Primaries, 5, 1), [0, 2]);
        let drawn: std::collections::BTreeSet<_> = (0..50).map(|seed| choose(&Target::Primary, 5, seed)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [vec![0], vec![2]]);
        assert_eq!(Target::Primary.choose(5, &mut ChaCha8Rng::seed_from_u64(1), Vec::new), [] as [usize; 0]);
    }

    #[test]
    fn names_are_read_and_unknown_ones_explained() {
        let cluster = cluster(5);
        assert_eq!(Target::parse("n3+n1+n3", &cluster), Ok(Target::Named(vec![0, 2])));
        assert_eq!(Target::parse("minority-third", &cluster), Ok(Target::MinorityThird));
        let error = Target::parse("n1+n9", &cluster).unwrap_err();
        assert!(error.contains("`n9` is no target") && error.contains("minority-third") && error.contains("n5"), "{error}");
        assert!(Target::parse("", &cluster).is_err());
    }
}

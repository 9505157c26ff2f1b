//! Grudges: who does not hear whom.

use crate::Cluster;
use crate::cluster::majority;
use histories::Value;

/// For each node, the nodes whose packets it drops. A link is a direction: `(from, to)` is cut if `to` drops what `from` sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grudge {
    drops: Vec<Vec<usize>>,
}

impl Grudge {
    /// No grudge among `n` nodes.
    pub fn none(n: usize) -> Grudge {
        Grudge { drops: vec![Vec::new(); n] }
    }

    /// Cuts the nodes of `side` off from all others, in both directions. Within the side and among the others all is well.
    pub fn split(n: usize, side: &[usize]) -> Grudge {
        Grudge::of(n, |from, to| side.contains(&from) != side.contains(&to))
    }

    /// The nodes of `deaf` do not hear the others; the others hear them.
    pub fn one_way(n: usize, deaf: &[usize]) -> Grudge {
        Grudge::of(n, |from, to| deaf.contains(&to) && !deaf.contains(&from))
    }

    /// The first node of `order`, and two halves of the others: the sides of [`Grudge::bridge`].
    pub(crate) fn sides_of_bridge(order: &[usize]) -> (usize, &[usize], &[usize]) {
        let (bridge, others) = order.split_first().map_or((0, order), |(first, others)| (*first, others));
        let (left, right) = others.split_at(others.len() / 2);
        (bridge, left, right)
    }

    /// The first node of `order` hears all and is heard by all; the others are two halves that do not hear each other.
    pub fn bridge(n: usize, order: &[usize]) -> Grudge {
        let (_, left, right) = Grudge::sides_of_bridge(order);
        let apart = |a: usize, b: usize| left.contains(&a) && right.contains(&b);
        Grudge::of(n, |from, to| apart(from, to) || apart(to, from))
    }

    /// How far each node of a ring of `n` hears to each side, so that with itself it hears a majority.
    pub(crate) fn reach_in_ring(n: usize) -> usize {
        (majority(n) - 1).div_ceil(2)
    }

    /// The nodes stand in a ring in this order, and each hears its nearest neighbours on both sides: just so many that it hears a
    /// majority. No two nodes hear the same nodes, unless each hears all: of three nodes that is so, and nothing is cut.
    pub fn majorities_ring(n: usize, order: &[usize]) -> Grudge {
        let mut place = vec![0; n];
        for (at, &node) in order.iter().enumerate() {
            place[node] = at;
        }
        Grudge::of(n, |from, to| {
            let distance = place[from].abs_diff(place[to]);
            distance.min(n - distance) > Grudge::reach_in_ring(n)
        })
    }

    /// Cuts the links for which `cut(from, to)`.
    pub fn of(n: usize, cut: impl Fn(usize, usize) -> bool) -> Grudge {
        Grudge { drops: (0..n).map(|to| (0..n).filter(|&from| from != to && cut(from, to)).collect()).collect() }
    }

    /// What a node drops, ascending.
    pub fn dropped_by(&self, node: usize) -> &[usize] {
        &self.drops[node]
    }

    /// Whether a link is cut.
    pub fn cuts(&self, from: usize, to: usize) -> bool {
        self.drops[to].contains(&from)
    }

    /// All links `(from, to)` between different nodes, with whether they are cut.
    pub fn links(&self) -> impl Iterator<Item = (usize, usize, bool)> {
        let n = self.drops.len();
        (0..n).flat_map(move |to| (0..n).filter(move |&from| from != to).map(move |from| (from, to, self.cuts(from, to))))
    }

    /// The number of links that are cut.
    pub fn cut_count(&self) -> usize {
        self.drops.iter().map(Vec::len).sum()
    }

    /// Refuses a grudge that cuts nothing, and one that leaves no node of three or more able to hear any other: that is no
    /// partition but the end of the cluster. Of two nodes, both directions of the one link may be cut.
    pub fn check(&self) -> Result<(), String> {
        let n = self.drops.len();
        match self.cut_count() {
            0 => Err(format!("it cuts no link between {n} nodes")),
            cut if n > 2 && cut == n * (n - 1) => Err(format!("it cuts every link between {n} nodes")),
            _ => Ok(()),
        }
    }

    /// The nodes that drop something, ascending.
    pub fn nodes(&self) -> Vec<usize> {
        (0..self.drops.len()).filter(|&i| !self.drops[i].is_empty()).collect()
    }

    /// As a value: a map from the name of each node that drops something to the names of those it drops.
    pub fn to_value(&self, cluster: &Cluster) -> Value {
        let name = |i: usize| Value::from(cluster.nodes[i].name.as_str());
        let drops = |i: usize| Value::Vector(self.drops[i].iter().map(|&from| name(from)).collect());
        Value::Map(self.nodes().into_iter().map(|i| (name(i), drops(i))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::cluster;

    #[test]
    fn a_split_cuts_both_directions_between_the_sides_only() {
        let grudge = Grudge::split(5, &[0, 3]);
        assert_eq!(grudge.cut_count(), 12);
        for (from, to, cut) in grudge.links() {
            assert_eq!(cut, [0, 3].contains(&from) != [0, 3].contains(&to), "{from} -> {to}");
        }
        assert_eq!(grudge.nodes(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn one_way_cuts_one_direction_only() {
        let grudge = Grudge::one_way(3, &[1]);
        assert_eq!((0..3).map(|i| grudge.dropped_by(i).to_vec()).collect::<Vec<_>>(), [vec![], vec![0, 2], vec![]]);
        assert!(grudge.cuts(0, 1) && !grudge.cuts(1, 0));
        assert_eq!(grudge.nodes(), [1]);
    }

    /// What each node hears, itself included.
    fn heard(grudge: &Grudge, n: usize) -> Vec<Vec<usize>> {
        (0..n).map(|to| (0..n).filter(|&from| !grudge.cuts(from, to)).collect()).collect()
    }

    #[test]
    fn in_a_ring_every_node_hears_a_majority_and_no_two_the_same() {
        for n in 4..12 {
            let order: Vec<usize> = (0..n).rev().collect();
            let heard = heard(&Grudge::majorities_ring(n, &order), n);
            let distinct: std::collections::BTreeSet<_> = heard.iter().collect();
            assert_eq!(distinct.len(), n, "{heard:?}");
            assert!(heard.iter().all(|nodes| nodes.len() >= majority(n) && nodes.len() <= majority(n) + 1), "{heard:?}");
            for (from, to, cut) in Grudge::majorities_ring(n, &order).links() {
                assert_eq!(cut, !heard[from].contains(&to), "two nodes hear each other or not at all");
            }
        }
        assert!(Grudge::majorities_ring(3, &[0, 1, 2]).check().is_err(), "of three each hears all");
    }

    #[test]
    fn a_bridge_hears_both_halves_which_do_not_hear_each_other() {
        let grudge = Grudge::bridge(5, &[2, 0, 4, 1, 3]);
        assert_eq!(heard(&grudge, 5), [vec![0, 2, 4], vec![1, 2, 3], vec![0, 1, 2, 3, 4], vec![1, 2, 3], vec![0, 2, 4]]);
        assert_eq!(heard(&Grudge::bridge(4, &[0, 1, 2, 3]), 4)[1], [0, 1], "the halves of three are one and two");
        assert!(Grudge::bridge(2, &[0, 1]).check().is_err() && Grudge::bridge(1, &[0]).check().is_err());
        assert!(Grudge::bridge(3, &[0, 1, 2]).check().is_ok());
    }

    #[test]
    fn grudges_that_cut_nothing_or_everything_are_refused() {
        assert!(Grudge::none(3).check().is_err());
        assert!(Grudge::split(1, &[0]).check().is_err());
        assert!(Grudge::split(3, &[0, 1, 2]).check().is_err());
        assert!(Grudge::of(3, |_, _| true).check().unwrap_err().contains("every link"));
        assert!(Grudge::split(2, &[0]).check().is_ok());
        assert!(Grudge::split(3, &[0]).check().is_ok());
    }

    #[test]
    fn the_value_names_nodes() {
        let value = Grudge::one_way(3, &[1]).to_value(&cluster(3));
        let expected = Value::Map(vec![("n2".into(), Value::Vector(vec!["n1".into(), "n3".into()]))]);
        assert_eq!(value, expected);
    }
}

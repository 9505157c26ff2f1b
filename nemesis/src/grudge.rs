//! Grudges: who does not hear whom.

use crate::Cluster;
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
